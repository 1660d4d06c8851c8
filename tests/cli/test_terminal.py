"""The command in a real terminal, and in one that vanishes."""

import asyncio
import os
import re
import signal
from pathlib import Path

import pytest

from .command import Command
from .terminal import Picture, terminal

DEMO = ("demo", "--count", "4", "--out", "songs")
FULL = Path("/dev/full")
TITLES = ("Morning Piano", "Night Drive", "Kitchen Radio", "Paper Boats")


def audio(folder: Path) -> list[Path]:
    """List the audio files of the demo."""
    return [path for path in folder.glob("songs/*") if path.suffix in {".wav", ".mp3"}]


@pytest.mark.parametrize("columns", [80, 120])
async def test_a_run_fits_its_terminal(tmp_path: Path, columns: int) -> None:
    """Live and at the end each line fits; the table has every song, stage and file whole."""
    async with terminal(tmp_path, *DEMO, columns=columns) as seen:
        lines = await seen.until(lambda lines: sum("● text" in line for line in lines) == 0)
        lines = await seen.until(lambda lines: any("●○○ text is there" in line for line in lines))
        for number, title in enumerate(TITLES, 1):
            assert re.fullmatch(
                rf"{number} {title} +[●○]{{3}} [a-z ]+ +(\d+\.\d s)?", lines[number]
            )
        assert len(lines[1]) == columns
        assert re.fullmatch(r"[█▒░]+ \d of 4(, about \d+ s left)?", lines[5])
        assert len(lines[5]) == columns
        printed = await seen.end()
    assert seen.process.returncode == 0
    assert seen.picture.too_long == 0
    assert printed[0].split() == ["#", "title", "stage", "reached", "seconds", "file"]
    names = {path.name for path in audio(tmp_path)}
    assert len(names) == 8
    assert {line[line.index(line.split("  ")[-1]) :] for line in printed[1:9]} == names
    assert printed[9:] == ["8 files in songs: 4 saved", "The page: songs/index.html"]


async def test_a_run_follows_its_terminal(tmp_path: Path) -> None:
    """Made narrower and lower in mid-run, the next thing drawn fits and nothing old remains."""
    async with terminal(tmp_path, *DEMO, columns=120, lines=30) as seen:
        await seen.until(lambda lines: any(len(line) == 120 for line in lines))
        seen.resize(72, 16)
        lines = await seen.until(lambda lines: len(lines) > 5 and len(lines[5]) == 72)
        assert len(lines) == 7
        assert all(len(line) <= 72 for line in lines)
        printed = await seen.end()
    assert seen.process.returncode == 0
    assert printed[-2] == "8 files in songs: 4 saved"
    assert all(len(line) <= 72 for line in printed)


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
        await seen.until(lambda lines: any("text is there" in line for line in lines))
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
    with FULL.open("w") as full:
        ended = await command.run(
            *("demo", "--count", "2", "--out", "songs"),
            key="",
            before=lambda: os.dup2(full.fileno(), 1),
        )
    assert (ended.status, ended.out, ended.err) == (0, "", "")
    assert len(audio(command.folder)) == 4


def test_what_is_unknown_is_refused() -> None:
    """The terminal of these tests accepts no code but those that are meant."""
    for text in ("\x1b]0;title\x07", "\x1b[5n", "\x07", "\u202e", "\x1b[99Z"):
        with pytest.raises(AssertionError):
            Picture(80, 24).feed((text + " " * 20).encode())
