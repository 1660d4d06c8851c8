"""A run on a terminal while it goes on."""

import sys
from functools import partial

import pytest

from suno_async import Stage
from suno_async.cli.board import Board
from suno_async.cli.display import shown
from suno_async.cli.failures import complain
from suno_async.cli.output import Output

from .screens import screenful
from .songs import HOSTILE, board_of, submit


def has(text: str, lines: list[str]) -> bool:
    """Tell whether a line with this text is seen."""
    return any(text in line for line in lines)


@pytest.mark.parametrize("columns", [80, 120])
def test_a_run_is_drawn_over_and_over_and_leaves_nothing(columns: int) -> None:
    """What was there before stays, what is drawn changes in its place, and then it is gone."""
    board = board_of(*HOSTILE)
    with screenful(columns, 24) as seen:
        output = Output(seen.stream)
        output.write("$ suno-async\r\n")
        with shown(board, output, "Heading"):
            seen.until(lambda lines: has("11 waiting for the window", lines))
            submit(board, board.entries[0], Stage.TEXT)
            lines = seen.until(lambda lines: has("1 in flight", lines))
        assert lines[:2] == ["$ suno-async", "Heading"]
        assert len(lines) == len(HOSTILE) + 4
        assert has("text is there", lines)
        seen.close()
        assert seen.picture.everything == ["$ suno-async"]
        assert seen.picture.too_long == 0


def is_drawn(lines: list[str], columns: int) -> bool:
    """Tell whether all is drawn, with a bar as wide as that."""
    *_, bar, counts = ["", "", *lines]
    return (
        len(bar) == columns and bar.endswith("░ 0 of 30") and counts == "30 waiting for the window"
    )


def test_it_follows_the_size_of_the_terminal() -> None:
    """After a resize all is drawn anew for that size, and nothing of the old remains."""
    board = board_of(*(f"Song {number}" for number in range(30)))
    with screenful(120, 40) as seen, shown(board, Output(seen.stream), "Heading"):
        for columns, songs, height in [(120, 30, 40), (80, 15, 20), (60, 5, 10), (132, 30, 50)]:
            seen.resize(columns, height)
            lines = seen.until(partial(is_drawn, columns=columns))
            assert sum("Heading" in line for line in lines) == 1
            assert sum("Song" in line for line in lines) == songs
            assert sum("waiting for the window" in line for line in lines) == 1


@pytest.mark.parametrize(("columns", "lines"), [(20, 5), (10, 3), (1, 4), (5, 50), (200, 2)])
def test_a_terminal_may_be_tiny(columns: int, lines: int) -> None:
    """Something is drawn, and all is well."""
    board = board_of(*HOSTILE)
    board.stopping, board.balance_before = True, 10
    with screenful(columns, lines) as seen:
        with shown(board, Output(seen.stream), "Heading"):
            seen.until(bool)
        seen.close()
        assert seen.picture.text == []


def test_a_stop_is_drawn() -> None:
    """Whoever presses Ctrl-C sees what goes on and how to leave at once."""
    board = board_of("One", "Two")
    with screenful(120, 24) as seen, shown(board, Output(seen.stream), "Heading") as display:
        submit(board, board.entries[0])
        board.stopping = True
        display.stopping()
        seen.until(lambda lines: has("1 task that is paid for is still watched; Ctrl-C", lines))


def test_sentences_stay_above_what_is_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is said on stderr meanwhile is not drawn over, nor cut; and stderr is given back."""
    board = Board(board_of("One").entries)
    with screenful(80, 24) as seen, screenful(80, 24) as errors:
        monkeypatch.setattr(sys, "stderr", errors.stream)
        with shown(board, Output(seen.stream), "Heading"):
            seen.until(lambda lines: has("waiting", lines))
            complain("x" * 100)
            lines = seen.until(lambda lines: len(lines) == 6 and has("waiting for", lines))
            assert lines[:3] == ["x" * 80, "x" * 20, "Heading"]
            sys.stderr.write("no end of the line")
        assert sys.stderr is errors.stream
        seen.close()
        assert seen.picture.everything == ["x" * 80, "x" * 20, "no end of the line"]
        errors.close()
        assert errors.picture.everything == []


def test_errors_in_a_file_are_left_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """With stderr somewhere else, what is said there is not on the screen."""
    with screenful(80, 24) as seen, open("/dev/null", "w") as file:  # noqa: PTH123 - has no size
        monkeypatch.setattr(sys, "stderr", file)
        with shown(board_of("One"), Output(seen.stream), "Heading"):
            assert sys.stderr is file
