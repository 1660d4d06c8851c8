"""What is on the screen."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from suno_async import Stage
from suno_async.cli.board import Board, Entry, SavedTrack, State
from suno_async.cli.display import duration, print_result, screen


def shown(board: Board, height: int = 24) -> list[str]:
    """Render the live table on a terminal of 80 columns."""
    file = io.StringIO()
    console = Console(file=file, width=80, height=height, force_terminal=True, color_system=None)
    console.print(screen(board, console, "Heading"))
    return [line.rstrip() for line in file.getvalue().splitlines()]


def test_long_titles_and_problems_stay_on_their_line() -> None:
    """At 80 columns each song has one line, with what matters of title, state and seconds."""
    entry = Entry("A very long title that goes on and on " * 3)
    board = Board([entry, Entry("Short")])
    board.reach(entry, "task", Stage.FIRST)
    board.fail(entry, "a problem that needs many words to be told " * 5)
    lines = shown(board)
    assert len(lines) == 4
    assert all(len(line) <= 80 for line in lines)
    assert "A very long title" in lines[1]
    assert "●●○ failed: a problem" in lines[1]
    assert lines[1].endswith(" s")
    assert lines[-1] == "1 waiting, 1 failed"


def test_more_songs_than_lines_show_those_that_move() -> None:
    """When not all fit, those that run are seen, and the others are counted."""
    board = Board([Entry(f"Song {number}") for number in range(50)])
    board.reach(board.entries[44], "task", Stage.TEXT)
    lines = shown(board, height=14)
    assert len(lines) < 14
    assert any("Song 44" in line and "text is there" in line for line in lines)
    assert lines[-2:] == ["  and 40 more", "49 waiting, 1 running"]


def test_names_from_outside_cannot_move_the_cursor() -> None:
    """Control characters in titles and messages are not sent to the terminal."""
    entry = Entry("\x1b[2Jgone\nnext line")
    board = Board([entry])
    board.fail(entry, "so\x07 what")
    lines = shown(board)
    assert len(lines) == 3
    assert not {"\x1b", "\x07"} & set("".join(lines))


def test_the_result_keeps_whole_names_outside_a_terminal() -> None:
    """In a pipe, file names are not cut: another program may read them."""
    entry = Entry("One", state=State.SAVED, tracks=[SavedTrack(Path("f" * 120 + ".wav"))])
    file = io.StringIO()
    print_result(Board([entry]), Console(file=file, width=80), Path("out"))
    assert "f" * 120 + ".wav" in file.getvalue()
    assert "1 file in out: 1 saved" in file.getvalue()


def test_the_result_has_short_lines_on_a_terminal() -> None:
    """At 80 columns long titles and file names are cut, each in its line."""
    names = (f"{'long title ' * 5}{letter * 32}.wav" for letter in "ab")
    tracks = [SavedTrack(Path(name)) for name in names]
    entry = Entry("long title " * 5, state=State.SAVED, tracks=tracks)
    file = io.StringIO()
    console = Console(file=file, width=80, force_terminal=True, color_system=None)
    print_result(Board([entry]), console, Path("out"))
    lines = [line.rstrip() for line in file.getvalue().splitlines()]
    assert len(lines) == 4
    assert all(len(line) <= 80 for line in lines)
    assert lines[1].endswith("…aaaa.wav")


@pytest.mark.parametrize(
    ("seconds", "text"), [(None, ""), (3.14, "3.1 s"), (125, "2:05"), (7322, "2:02:02")]
)
def test_durations_stay_short(seconds: float | None, text: str) -> None:
    """Seconds, then minutes, then hours."""
    assert duration(seconds) == text
