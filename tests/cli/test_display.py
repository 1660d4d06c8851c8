"""What is on the screen at one moment."""

import io
import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from suno_async import Stage
from suno_async.cli.board import Board, Entry, State
from suno_async.cli.counts import Counts
from suno_async.cli.estimate import Capacity
from suno_async.cli.frame import draw
from suno_async.cli.wording import duration, stopping, time_left

from .songs import HOSTILE, board_of, save, submit
from .terminal import Picture


def console_of(columns: int, lines: int) -> Console:
    """Make a console for a terminal of some size."""
    return Console(
        file=io.StringIO(), width=columns, height=lines, force_terminal=True, color_system=None
    )


def shown(
    board: Board, lines: int = 24, columns: int = 80, capacity: Capacity | None = None
) -> list[str]:
    """Draw a run on a terminal of some size; return its lines."""
    console = console_of(columns, lines)
    drawn = draw(board, console, "Heading", capacity or Capacity())
    assert len(drawn) < lines
    return [line.rstrip() for line in drawn]


def test_long_titles_and_problems_stay_on_their_line() -> None:
    """At 80 columns each song has one line, with what matters of title, state and seconds."""
    entry = Entry("A very long title that goes on and on " * 3)
    board = Board([entry, Entry("Short")])
    submit(board, entry, Stage.FIRST)
    board.fail(entry, "a problem that needs many words to be told " * 5)
    lines = shown(board)
    assert len(lines) == 5
    assert all(len(line) <= 80 for line in lines)
    assert "A very long title" in lines[1]
    assert "●●○ failed: a problem" in lines[1]
    assert lines[1].endswith(" s")
    assert lines[-2].endswith(" 1 of 2")
    assert lines[-1] == "1 failed, 1 waiting for the window"


def test_more_songs_than_lines_show_those_that_move() -> None:
    """When not all fit, those that run are seen, and the others are counted."""
    board = board_of(*(f"Song {number}" for number in range(50)))
    submit(board, board.entries[44], Stage.TEXT)
    lines = shown(board, lines=14)
    assert len(lines) == 13
    assert any("45 Song 44" in line and "text is there" in line for line in lines)
    assert lines[-3] == "  and 41 more"
    assert lines[-1] == "1 in flight, 49 waiting for the window"


def test_numbers_are_those_of_the_folder() -> None:
    """A song that has a number within its folder keeps it, wherever it stands."""
    assert shown(Board([Entry("One", number=17)]))[1].startswith("17 One")


def test_the_bar_shows_each_share() -> None:
    """Saved, failed, uncertain, in flight and waiting songs have their parts of the bar."""
    board = board_of(*"abcdefgh")
    entries = board.entries
    save(board, entries[0], "a.wav")
    save(board, entries[1], "b.wav")
    board.fail(entries[2], "why")
    board.doubt(entries[3], "who knows")
    submit(board, entries[4])
    lines = shown(board)
    bar = lines[-2].split(" ")[0]
    assert [bar.count(part) for part in "█▓▚▒░"] == [18, 9, 9, 9, 28]
    assert lines[-1] == "2 saved, 1 failed, 1 uncertain, 1 in flight, 3 waiting for the window"


def test_a_terminal_without_unicode_gets_a_bar_too() -> None:
    """Where the characters of the bar cannot be encoded, plain ones stand for them."""
    board = board_of("a", "b")
    submit(board, board.entries[0], Stage.TEXT)
    file = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    console = Console(file=file, width=40, height=24, force_terminal=True, color_system=None)
    lines = draw(board, console, "Heading", Capacity())
    assert "#.." in lines[1]
    assert lines[-2] == f"{'-' * 16}{'.' * 17} 0 of 2"
    assert "\n".join(lines).isascii()


def test_those_that_wait_say_what_for() -> None:
    """With all places taken, the window is not what is waited for; and who stops waits no more."""
    board = board_of("a", "b", "c")
    submit(board, board.entries[0])
    full = Capacity(in_flight=1)
    assert shown(board, capacity=full)[-1] == "1 in flight, 2 waiting for others to end"
    board.stopping = True
    assert shown(board, capacity=full)[-3] == "1 in flight, 2 not submitted"


def test_the_time_left_is_beside_the_bar() -> None:
    """Once enough songs have ended, it is said how long the others will take."""
    now_s = time.monotonic()
    saved = [Entry("saved", state=State.SAVED, began_s=1.0, ended_s=131.0) for _ in range(3)]
    running = [Entry("running", state=State.RUNNING, began_s=now_s - 65.0) for _ in range(3)]
    assert shown(Board([*saved[:2], *running]))[-2].endswith(" 2 of 5")
    line = shown(Board([*saved, *running]))[-2]
    assert re.search(r" 3 of 6, about 6[45] s left$", line)


def test_credits_are_shown_once_known() -> None:
    """The balance before the run, and the one after it."""
    board = board_of("a")
    assert "credits" not in "".join(shown(board))
    board.balance_before = 1_000_000.0
    assert shown(board)[-1] == "credits: 1000000 before"
    board.balance_after = 999_987.5
    assert shown(board)[-1] == "credits: 1000000 before, 999987.5 after"


@pytest.mark.parametrize("columns", [80, 120])
def test_a_run_that_stops_says_what_goes_on(columns: int) -> None:
    """Nothing of the sentence is cut, at any usual width."""
    board = board_of("a", "b", "c")
    submit(board, board.entries[0])
    submit(board, board.entries[1])
    board.stopping = True
    assert " ".join(shown(board, columns=columns)).endswith(
        "stopping: nothing more is submitted; 2 tasks that are paid for are still watched; "
        "Ctrl-C again leaves at once"
    )


@pytest.mark.parametrize(
    ("running", "said"),
    [
        (0, "no task is running"),
        (1, "1 task that is paid for is still watched"),
        (2, "2 tasks that are paid for are still watched"),
    ],
)
def test_the_sentence_of_a_stop_counts(running: int, said: str) -> None:
    """None, one, many."""
    assert f"; {said}; " in stopping(Counts(in_flight=running, waiting=3))


def test_names_from_outside_cannot_move_the_cursor() -> None:
    """Control characters in titles and messages are not sent to the terminal."""
    entry = Entry("\x1b[2Jgone\nnext line")
    board = Board([entry])
    board.fail(entry, "so\x07 what")
    lines = shown(board)
    assert len(lines) == 4
    assert not {"\x1b", "\x07"} & set("".join(lines))


@pytest.mark.parametrize("columns", [80, 120])
@pytest.mark.parametrize("state", list(State), ids=lambda state: state.name)
def test_no_name_breaks_the_layout(columns: int, state: State) -> None:
    """Wide, combining, reordering and controlling characters leave each column where it is."""
    board = Board([Entry(title, state=state, problem=title, doubt=title) for title in HOSTILE])
    picture = Picture(columns, 24)
    for line in draw(board, console_of(columns, 24), HOSTILE[5], Capacity()):
        picture.feed(f"{line}\r\n".encode())
    assert picture.too_long == 0
    assert len(picture.text) == len(HOSTILE) + 3


@given(
    columns=st.integers(1, 60),
    lines=st.integers(1, 16),
    titles=st.lists(st.text(), max_size=8),
    stopping=st.booleans(),
)
def test_no_terminal_is_too_small(
    columns: int, lines: int, titles: list[str], stopping: bool
) -> None:
    """Whatever its size, something is drawn, and not more than fits above the cursor."""
    board = board_of(*titles)
    for entry in board.entries[:4]:
        submit(board, entry)
    board.stopping = stopping
    board.balance_before = 12.0
    drawn = draw(board, console_of(columns, lines), "Heading", Capacity())
    assert 1 <= len(drawn) <= max(lines - 1, 1)


def test_a_tiny_terminal_keeps_the_sum() -> None:
    """At 20 columns and 5 lines the bar, the counts and a song are seen."""
    board = board_of("One", "Two", "Three")
    submit(board, board.entries[1])
    lines = shown(board, lines=5, columns=20)
    assert len(lines) == 4
    assert "Two" in lines[1] or "and 2 more" in lines[1]
    assert lines[-2].endswith("0 of 3")
    assert lines[-1].startswith("1 in flight")


@pytest.mark.parametrize(
    ("seconds", "text"), [(None, ""), (3.14, "3.1 s"), (125, "2:05"), (7322, "2:02:02")]
)
def test_durations_stay_short(seconds: float | None, text: str) -> None:
    """Seconds, then minutes, then hours."""
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "1 s"), (42.3, "43 s"), (125, "2:05"), (7321.5, "2:02:02")]
)
def test_a_time_left_has_no_tenths(seconds: float, text: str) -> None:
    """It is not known that well."""
    assert time_left(seconds) == f"about {text} left"
