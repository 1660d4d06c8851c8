"""What a person sees of a run in a pipe, a file or on a simple terminal."""

import io
import re

from suno_async import Stage
from suno_async.cli.board import Board, State
from suno_async.cli.counts import Counts
from suno_async.cli.display import shown
from suno_async.cli.output import Output
from suno_async.cli.wording import stopping

from .songs import HOSTILE, TASK_ID, board_of, save, submit


def plain(file: io.StringIO) -> list[str]:
    """List the lines, without their times."""
    return [re.sub(r"^ *\d+\.\d s  ", "", line) for line in file.getvalue().splitlines()]


def test_each_event_has_a_line_with_its_row() -> None:
    """From the submission to the end, with the row's number and the task's id."""
    board, file = board_of("One", "Two"), io.StringIO()
    one, two = board.entries
    with shown(board, Output(file), "Heading") as display:
        submit(board, one)
        submit(board, one, Stage.TEXT)
        board.move(one, State.SAVING)
        board.stopping = True
        display.stopping()
        save(board, one, "a.wav", "b.wav")
        board.doubt(two, "the connection broke")
    assert plain(file) == [
        "Heading",
        f"1 One: submitted as task {TASK_ID}",
        "1 One: text is there",
        "1 One: downloading",
        stopping(Counts(in_flight=1)),
        "1 One: complete",
        "1 One: saved 2 files",
        "2 Two: uncertain: the connection broke",
    ]


def test_what_comes_at_once_is_told_in_order() -> None:
    """A task that is known together with a stage has both lines, its id with them."""
    board, file = board_of("One"), io.StringIO()
    with shown(board, Output(file), "Heading"):
        submit(board, board.entries[0], Stage.FIRST)
        board.fail(board.entries[0], "no audio")
    assert plain(file)[1:] == [
        f"1 One: submitted as task {TASK_ID}",
        "1 One: first track is there",
        "1 One: failed: no audio",
    ]


def test_what_happened_before_is_not_told_again() -> None:
    """Rows that failed before anything was submitted were told by then."""
    board, file = board_of("One", "Two"), io.StringIO()
    board.fail(board.entries[0], "bad")
    with shown(board, Output(file), "Heading"):
        board.changed(board.entries[0])
    assert plain(file) == ["Heading"]


def test_numbers_stand_in_a_column() -> None:
    """The ninth row's line begins where the tenth's does; the folder's numbers are kept."""
    board, file = board_of(*"abcdefghij"), io.StringIO()
    board.entries[9].number = 12
    with shown(board, Output(file), "Heading"):
        submit(board, board.entries[8])
        submit(board, board.entries[9])
    assert [line.split(":")[0] for line in plain(file)[1:]] == [" 9 i", "12 j"]


def test_no_name_breaks_a_line() -> None:
    """Whatever is in a title or a message, an event has one line of printable characters."""
    board, file = Board(board_of(*HOSTILE).entries), io.StringIO()
    with shown(board, Output(file), HOSTILE[5]):
        for entry in board.entries:
            board.fail(entry, entry.title)
    lines = file.getvalue().removesuffix("\n").split("\n")
    assert len(lines) == len(HOSTILE) + 1
    assert all(line.isprintable() for line in lines)
