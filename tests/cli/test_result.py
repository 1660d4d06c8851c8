"""The table at the end of a run."""

import io
import os
from pathlib import Path

import pytest

from suno_async.cli.board import Board, Entry, SavedTrack, State
from suno_async.cli.output import Output
from suno_async.cli.result import print_result

from .screens import Screenful, screenful
from .songs import HOSTILE, board_of, save, submit


def result(board: Board, columns: int = 80) -> list[str]:
    """Print the result on a terminal; return what is seen, which is never too wide."""
    with screenful(columns, 60) as seen:
        print_result(board, Output(seen.stream), Path("out"))
        return ended(seen)


def ended(seen: Screenful) -> list[str]:
    """List what was printed."""
    seen.close()
    return seen.picture.everything


def test_the_result_keeps_whole_names_outside_a_terminal() -> None:
    """In a pipe, file names are not cut: another program may read them."""
    entry = Entry("One" * 50, state=State.SAVED, tracks=[SavedTrack(Path("f" * 120 + ".wav"))])
    file = io.StringIO()
    print_result(Board([entry]), Output(file), Path("out"))
    assert "f" * 120 + ".wav" in file.getvalue()
    assert "1 file in out: 1 saved" in file.getvalue()


def test_the_result_is_a_table() -> None:
    """Number, title, stage, seconds and files of each song, then the sum and the credits."""
    board = board_of("One", "Two", "Three", "Four")
    one, two, three, _ = board.entries
    one.number = 7
    save(board, one, "07 One - A.mp3", "07 One - B.mp3")
    submit(board, two)
    board.fail(two, "no audio")
    board.doubt(three, "the connection broke")
    board.balance_before, board.balance_after = 100, 90
    assert result(board) == [
        "#  title  stage reached  seconds  file",
        "7  One    complete           0.0  07 One - A.mp3",
        "                                  07 One - B.mp3",
        "2  Two    none yet           0.0",
        "3  Three  uncertain",
        "4  Four   not submitted",
        "2 files in out: 1 saved, 1 failed, 1 uncertain, 1 waiting",
        "credits: 100 before, 90 after",
    ]


def test_the_result_has_short_lines_on_a_terminal() -> None:
    """At 80 columns long titles and file names are cut, each in its line."""
    names = (f"{'long title ' * 5}{letter * 32}.wav" for letter in "ab")
    tracks = [SavedTrack(Path(name)) for name in names]
    lines = result(Board([Entry("long title " * 5, state=State.SAVED, tracks=tracks)]))
    assert len(lines) == 4
    assert lines[1].startswith("1  long title long title l…  not submitted")
    assert lines[1].endswith("…aaaa.wav")
    assert lines[2].endswith("…bbbb.wav")


@pytest.mark.parametrize("columns", [20, 40, 80, 120])
def test_no_name_breaks_the_table(columns: int) -> None:
    """Wide, combining, reordering and controlling characters leave each line whole."""
    board = board_of(*HOSTILE)
    for entry in board.entries:
        name = os.fsencode(entry.title.encode(errors="replace")).decode().replace("/", " ")
        save(board, entry, f"{name} - A.mp3")
    with screenful(columns, 60) as seen:
        print_result(board, Output(seen.stream), Path("out"))
        lines = ended(seen)
    # the sum below the table may be longer than a very narrow terminal
    assert seen.picture.too_long <= (1 if columns < 40 else 0)
    assert len(lines) - seen.picture.too_long == len(HOSTILE) + 2


def test_a_run_without_songs_has_a_result() -> None:
    """Nothing was asked for: that is said."""
    assert result(Board()) == ["0 files in out:"]
