"""The command in a real terminal, and in one that vanishes."""

import asyncio
import os
import re
import signal
from functools import partial
from pathlib import Path

import pytest

from suno_async.sandbox import TaskScript

from .command import Command
from .terminal import Picture, terminal

DEMO = ("demo", "--count", "4", "--out", "songs")
FULL = Path("/dev/full")
SONG = ("--title", "One", "--tags", "piano", "--negative-tags", "metal")
TITLES = ("Morning Piano", "Night Drive", "Kitchen Radio", "Paper Boats")


def is_live(lines: list[str]) -> bool:
    """Tell whether a run is drawn whose songs have begun."""
    return any(re.fullmatch(r"[█▓▚▒░]*▒[█▓▚▒░]* \d of 4(, about \d+ s left)?", ln) for ln in lines)


def audio(folder: Path) -> list[Path]:
    """List the audio files of the demo."""
    return [path for path in folder.glob("songs/*") if path.suffix in {".wav", ".mp3"}]


@pytest.mark.parametrize("columns", [80, 120])
async def test_a_run_fits_its_terminal(tmp_path: Path, columns: int) -> None:
    """Live and at the end each line fits; the table has every song, stage and file whole."""
    async with terminal(tmp_path, *DEMO, columns=columns) as seen:
        lines = await seen.until(is_live)
        for number, title in enumerate(TITLES, 1):
            assert re.fullmatch(
                rf"{number} {title} +[●○]{{3}} [a-z ]+ +(\d+\.\d s)?", lines[number]
            )
        assert len(lines[1]) == columns
        assert is_live(lines[5:6])
        assert len(lines[5]) == columns
        printed = await seen.end()
    assert seen.process.returncode == 0
    assert seen.picture.too_long == 0
    assert printed[0].split() == ["#", "title", "stage", "reached", "seconds", "file"]
    names = {path.name for path in audio(tmp_path)}
    assert len(names) == 8
    assert {line[line.index(line.split("  ")[-1]) :] for line in printed[1:9]} == names
    assert printed[9:] == ["8 files in songs: 4 saved", "The page: songs/index.html"]


async def test_a_run_follows_its_terminal(command: Command) -> None:
    """Made narrower and lower in mid-run, what is drawn next fits and nothing old remains."""
    command.sandbox.script(TaskScript(()))  # which never ends
    words = ("generate", *command.service, "--stem", "short.wav", *SONG)
    key = {"APIKLEY_API_KEY": command.sandbox.api_key}
    async with terminal(command.folder, *words, columns=120, lines=30, environment=key) as seen:
        lines = await seen.until(lambda lines: any("submitted" in line for line in lines))
        for columns, height in ((72, 16), (100, 40)):
            seen.resize(columns, height)
            lines = await seen.until(partial(fills, columns=columns))
            assert [line.split(" ")[0] for line in lines[:2]] == ["Generating", "1"]
            assert fills(lines[2:3], columns)
            assert lines[3:] == ["1 in flight"]


def fills(lines: list[str], columns: int) -> bool:
    """Tell whether a bar is as wide as the terminal."""
    return any(len(line) == columns and line.endswith("▒ 0 of 1") for line in lines)


async def test_a_tiny_terminal_is_enough(tmp_path: Path) -> None:
    """At 20 columns and 5 lines it runs to its end."""
    async with terminal(tmp_path, *DEMO, columns=20, lines=5) as seen:
        printed = await seen.end()
    assert seen.process.returncode == 0
    assert "8 files in songs: 4" in printed
    assert len(audio(tmp_path)) == 8


async def test_a_simple_terminal_gets_lines(tmp_path: Path) -> None:
    """Where the cursor cannot be moved, nothing tries to."""
    async with terminal(tmp_path, *DEMO, environment={"TERM": "dumb"}) as seen:
        printed = await seen.end()
    assert any(re.search(r"\d s  3 Kitchen Radio: submitted as task \w{32}$", ln) for ln in printed)


def ignore_hangups() -> None:
    """Live on without the terminal, as after `nohup`."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)


async def test_a_vanished_terminal_ends_no_run(tmp_path: Path) -> None:
    """What is paid for is saved, although nobody sees it; nothing is amiss."""
    async with terminal(tmp_path, *DEMO, before=ignore_hangups) as seen:
        await seen.until(is_live)
        seen.vanish()
        async with asyncio.timeout(60):
            assert await seen.process.wait() == 0
    assert len(audio(tmp_path)) == 8


@pytest.mark.parametrize("read", [1, 2])
async def test_a_reader_that_leaves_ends_no_run(command: Command, read: int) -> None:
    """As with `| head -2`: nothing is said about it, and the audio is there."""
    reader, writer = os.pipe()
    running = await command.start(*DEMO, key="", before=lambda: os.dup2(writer, 1))
    os.close(writer)
    head = await asyncio.create_subprocess_exec(
        "head", "-n", str(read), stdin=reader, stdout=asyncio.subprocess.PIPE
    )
    os.close(reader)
    lines, _ = await head.communicate()
    ended = await running.end()
    assert lines.count(b"\n") == read
    assert (ended.status, ended.err) == (0, "")
    assert len(audio(command.folder)) == 8


@pytest.mark.skipif(not FULL.exists(), reason=f"this system has no {FULL}")
async def test_a_full_disk_behind_stdout_ends_no_run(command: Command) -> None:
    """The songs may well be on another disk."""
    words = ("demo", "--count", "2", "--out", "songs")
    full = os.open(FULL, os.O_WRONLY)
    ended = await command.run(*words, key="", before=lambda: os.dup2(full, 1))
    os.close(full)
    assert (ended.status, ended.out, ended.err) == (0, "", "")
    assert len(audio(command.folder)) == 4


def test_what_is_unknown_is_refused() -> None:
    """The terminal of these tests accepts no code but those that are meant."""
    for text in ("\x1b]0;title\x07", "\x1b[5n", "\x07", "\u202e", "\x1b[99Z"):
        with pytest.raises(AssertionError):
            Picture(80, 24).feed((text + " " * 20).encode())
