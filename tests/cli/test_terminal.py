"""The command in a real terminal, and in one that vanishes."""

import asyncio
import os
import re
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from suno_async.sandbox import TaskScript

from .command import Command
from .preloaded import Server
from .terminal import Picture, terminal

DEMO = ("demo", "--count", "4", "--out", "songs")
# 128 and the number of SIGPIPE
UNREAD = 141
FULL = Path("/dev/full")
SONG = ("--title", "One", "--tags", "piano", "--negative-tags", "metal")
TITLES = ("Morning Piano", "Night Drive", "Kitchen Radio", "Paper Boats")


def songs(command: Command) -> tuple[str, ...]:
    """Write a manifest; return the words that make its songs."""
    rows = [f"{title},piano,metal,short.wav" for title in TITLES]
    text = "\n".join(["title,tags,negative_tags,stem", *rows])
    (command.folder / "songs.csv").write_text(text)
    return ("generate", *command.service, "--manifest", "songs.csv", "--out", "songs")


def is_live(lines: list[str]) -> bool:
    """Tell whether a run is drawn whose songs have begun."""
    return any(re.fullmatch(r"[█▓▚▒░]*▒[█▓▚▒░]* \d of 4(, about \d+ s left)?", ln) for ln in lines)


def audio(folder: Path) -> list[Path]:
    """List the audio files of the demo."""
    return [path for path in folder.glob("songs/*") if path.suffix in {".wav", ".mp3"}]


@pytest.mark.parametrize("columns", [80, 120])
async def test_a_run_fits_its_terminal(server: Server, tmp_path: Path, columns: int) -> None:
    """Live and at the end each line fits; the table has every song, stage and file whole."""
    async with terminal(server, tmp_path, *DEMO, columns=columns) as seen:
        lines = await seen.until(is_live)
        for number, title in enumerate(TITLES, 1):
            assert re.fullmatch(rf"{number} {title} +[●○]{{3}} [a-z ]+(\d+\.\d s)?", lines[number])
        # those that run have their time at the end of the line
        assert max(map(len, lines[1:5])) == columns
        assert is_live(lines[5:6])
        assert len(lines[5]) == columns
        printed = await seen.end()
    assert seen.process.returncode == 0
    assert seen.picture.too_long == 0
    assert printed[0].split() == ["#", "title", "stage", "reached", "seconds", "file"]
    names = {path.name for path in audio(tmp_path)}
    assert len(names) == 8
    assert {line[line.index(line.split("  ")[-1]) :] for line in printed[1:9]} == names
    assert printed[9:] == [
        "8 files in songs: 4 saved",
        "credits: 1000000 before, 999960 after",
        "The page: songs/index.html",
    ]


async def test_a_run_follows_its_terminal(command: Command) -> None:
    """Made narrower and lower in mid-run, what is drawn next fits and nothing old remains."""
    command.sandbox.script(TaskScript(()))  # which never ends
    words = ("generate", *command.service, "--stem", "short.wav", *SONG)
    key = {"APIKLEY_API_KEY": command.sandbox.api_key}
    async with terminal(
        command.server, command.folder, *words, columns=120, lines=30, environment=key
    ) as seen:
        lines = await seen.until(lambda lines: any("submitted" in line for line in lines))
        for columns, height in ((72, 16), (100, 40)):
            seen.resize(columns, height)
            lines = await seen.until(partial(fills, columns=columns))
            assert lines[0] == "1 song to submit"
            assert lines[1].startswith("1 One ")
            assert fills(lines[2:3], columns)
            assert lines[3:] == ["1 in flight", "credits: 1000000 before"]


def fills(lines: list[str], columns: int) -> bool:
    """Tell whether a bar is as wide as the terminal."""
    return any(len(line) == columns and line.endswith("▒ 0 of 1") for line in lines)


async def test_a_tiny_terminal_is_enough(server: Server, tmp_path: Path) -> None:
    """At 20 columns and 5 lines it runs to its end."""
    async with terminal(server, tmp_path, *DEMO, columns=20, lines=5) as seen:
        printed = await seen.end()
    assert seen.process.returncode == 0
    assert "8 files in songs: 4" in printed
    assert len(audio(tmp_path)) == 8


async def test_a_simple_terminal_gets_lines(server: Server, tmp_path: Path) -> None:
    """Where the cursor cannot be moved, nothing tries to."""
    async with terminal(server, tmp_path, *DEMO, environment={"TERM": "dumb"}) as seen:
        printed = await seen.end()
    assert any(re.search(r"\d s  3 Kitchen Radio: submitted as task \w{32}$", ln) for ln in printed)


def ignore_hangups() -> None:
    """Live on without the terminal, as after `nohup`."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)


async def test_a_vanished_terminal_loses_nothing(command: Command) -> None:
    """What is paid for is saved, although nobody sees it; nothing more is submitted."""
    key = {"APIKLEY_API_KEY": command.sandbox.api_key}
    words = songs(command)
    async with terminal(
        command.server, command.folder, *words, before=ignore_hangups, environment=key
    ) as seen:
        await seen.until(bool)
        seen.vanish()
        async with asyncio.timeout(60):
            assert await seen.process.wait() in {0, UNREAD}
    assert len(audio(command.folder)) == 2 * len(command.sandbox.ledger)


@pytest.mark.parametrize("read", [1, 2])
async def test_a_reader_that_leaves_loses_nothing(command: Command, read: int) -> None:
    """As with `| head -2`: what is paid for is saved, in as many words as anybody reads."""
    reader, writer = os.pipe()
    running = await command.start(*songs(command), before=lambda: os.dup2(writer, 1))
    os.close(writer)
    head = await asyncio.create_subprocess_exec(
        "head", "-n", str(read), stdin=reader, stdout=asyncio.subprocess.PIPE
    )
    os.close(reader)
    lines, _ = await head.communicate()
    ended = await running.end()
    assert lines.count(b"\n") == read
    # a `head` that is slow to leave has been written to until the end
    assert ended.status in {0, UNREAD}
    assert "Exception" not in ended.err
    assert len(audio(command.folder)) == 2 * len(command.sandbox.ledger)


def nobody_reads() -> int:
    """Open a pipe whose reader has left."""
    reader, writer = os.pipe()
    os.close(reader)
    return writer


def full_disk() -> int:
    """Open a file on a disk that is full; the songs may well be on another one."""
    if not FULL.exists():
        pytest.skip(f"this system has no {FULL}")
    return os.open(FULL, os.O_WRONLY)


@pytest.mark.parametrize("stdout", [nobody_reads, full_disk], ids=lambda make: make.__name__)
async def test_a_run_that_nobody_sees_stops_submitting(
    command: Command, stdout: Callable[[], int]
) -> None:
    """It ends as after Ctrl-C, with the status of a closed pipe, and says so on stderr."""
    descriptor = stdout()
    ended = await command.run(*songs(command), before=lambda: os.dup2(descriptor, 1))
    os.close(descriptor)
    assert ended.status == UNREAD
    assert ended.out == ""
    assert ended.err.startswith("suno-async: interrupted\n")
    assert "Exception" not in ended.err
    assert len(audio(command.folder)) == 2 * len(command.sandbox.ledger)


def test_what_is_unknown_is_refused() -> None:
    """The terminal of these tests accepts no code but those that are meant."""
    for text in ("\x1b]0;title\x07", "\x1b[5n", "\x07", "\u202e", "\x1b[99Z"):
        with pytest.raises(AssertionError):
            Picture(80, 24).feed((text + " " * 20).encode())
