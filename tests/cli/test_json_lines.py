"""What a program sees of a run."""

import io
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from suno_async import Stage
from suno_async.cli.board import Board, Entry, SavedTrack, State
from suno_async.cli.display import shown
from suno_async.cli.output import Output

from .songs import HOSTILE, TASK_ID, board_of, save, submit


def records(file: io.StringIO, *, timed: bool = False) -> list[dict[str, Any]]:
    """Read what was written; without `timed`, leave out what depends on the clock."""
    found = [json.loads(line) for line in file.getvalue().splitlines()]
    return found if timed else [drop(record, "seconds") for record in found]


def drop(record: dict[str, Any], name: str) -> dict[str, Any]:
    """Leave out a key."""
    return {key: value for key, value in record.items() if key != name}


def counts(**given: int) -> dict[str, int]:
    """Make the counts of a run."""
    return dict.fromkeys(("saved", "failed", "uncertain", "in_flight", "waiting"), 0) | given


def test_each_event_is_an_object() -> None:
    """These keys and values are promised: programs read them."""
    board, file = board_of("One", "Two", "Three"), io.StringIO()
    one, two, three = board.entries
    two.source, three.number = "songs.csv:3", 17
    board.balance_before = 100.0
    with shown(board, Output(file), "Heading", as_json=True) as display:
        submit(board, one, Stage.TEXT)
        board.stopping = True
        display.stopping()
        board.move(one, State.SAVING)
        save(board, one, "a.wav", "b.wav")
        board.fail(two, "out of credits")
        board.doubt(three, "the connection broke")
        board.balance_after = 87.5
    a_task = {"row": 1, "title": "One", "task_id": TASK_ID}
    assert records(file) == [
        {"event": "start", "heading": "Heading", "rows": 3, "counts": counts(waiting=3)},
        {"event": "submitted", **a_task},
        {"event": "stage", **a_task, "stage": "text"},
        {"event": "stopping", "counts": counts(in_flight=1, waiting=2)},
        {"event": "saving", **a_task},
        {"event": "stage", **a_task, "stage": "complete"},
        {"event": "saved", **a_task, "files": [str(Path("out/a.wav")), str(Path("out/b.wav"))]},
        {
            "event": "failed",
            "row": 2,
            "title": "Two",
            "source": "songs.csv:3",
            "files": [],
            "reason": "out of credits",
        },
        {"event": "uncertain", "row": 17, "title": "Three", "reason": "the connection broke"},
        {
            "event": "end",
            "counts": counts(saved=1, failed=1, uncertain=1),
            "credits": {"before": 100.0, "after": 87.5},
        },
    ]
    timed = {record["event"] for record in records(file, timed=True) if "seconds" in record}
    assert timed == {"stage", "saving", "saved", "end"}


def test_what_happened_before_comes_after_the_start() -> None:
    """A program learns of each row how it ended, also of one that was bad or saved before."""
    tracks = [SavedTrack(Path("a.mp3"))]
    saved = Entry("One", state=State.SAVED, number=3, task_id=TASK_ID, tracks=tracks)
    board, file = Board([saved, Entry("Two", state=State.FAILED, problem="bad")]), io.StringIO()
    with shown(board, Output(file), "Heading", as_json=True):
        pass
    assert [record["event"] for record in records(file)] == [
        "start",
        "submitted",
        "saved",
        "failed",
        "end",
    ]


def test_the_end_is_told_however_it_ends() -> None:
    """Also after an error within the run the last line is an `end`."""
    board, file = board_of("One"), io.StringIO()
    with pytest.raises(OSError), shown(board, Output(file), "Heading", as_json=True):
        raise OSError
    assert records(file)[-1] == {"event": "end", "counts": counts(waiting=1)}


@given(st.sampled_from(HOSTILE) | st.text())
def test_whatever_a_title_is_a_line_is_ascii(title: str) -> None:
    """One object a line, of characters that nothing interprets, and the same text when read."""
    board, file = board_of(title), io.StringIO()
    with shown(board, Output(file), "Heading", as_json=True):
        board.fail(board.entries[0], title)
    lines = file.getvalue().removesuffix("\n").split("\n")
    assert len(lines) == 3
    assert all(line.isascii() and line.isprintable() for line in lines)
    read = title.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    assert json.loads(lines[1])["title"] == json.loads(lines[1])["reason"] == read


def test_numbers_that_json_lacks_are_left_out() -> None:
    """A balance that is no number is not known."""
    board, file = board_of("One"), io.StringIO()
    board.balance_before, board.balance_after = float("nan"), float("inf")
    with shown(board, Output(file), "Heading", as_json=True):
        pass
    assert "credits" not in records(file)[-1]
