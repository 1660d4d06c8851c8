"""How a board's songs look on a page."""

from pathlib import Path

import pytest

from suno_async import Stage, Track
from suno_async.cli.board import Board, Entry, SavedTrack, State
from suno_async.cli.board_view import view
from suno_async.cli.page import RowStatus, RowView
from suno_async.cli.songs import make_song

URL = "https://stems.example/voice.wav"
ASKED = {"title": "One", "tags": "piano", "negative_tags": "", "upload_url": URL, "model": "V5"}


def row(board: Board) -> RowView:
    """Show the only song of a board."""
    (shown,) = view(board, Path("out"), lambda _: None, title="t").rows
    return shown


@pytest.mark.parametrize(
    ("state", "status"),
    [
        (State.WAITING, RowStatus.WAITING),
        (State.RUNNING, RowStatus.RUNNING),
        (State.SAVING, RowStatus.RUNNING),
        (State.SAVED, RowStatus.COMPLETE),
        (State.FAILED, RowStatus.FAILED),
        (State.UNCERTAIN, RowStatus.UNCERTAIN),
    ],
)
def test_every_state_has_a_status(state: State, status: RowStatus) -> None:
    """A song counts as running as long as something comes."""
    assert row(Board([Entry("One", state=state)])).status is status


def test_a_song_is_shown_with_all_that_is_known_of_it() -> None:
    """What was asked for, the stages and when, the files by their paths within the folder."""
    board = Board([Entry("One", "songs.csv:7", song=make_song(ASKED, Path()), line=7)])
    (entry,) = board.entries
    board.begin(entry, "task", 30.0)
    board.reach(entry, Stage.TEXT, 5.5)
    board.reach(entry, Stage.COMPLETE)
    saved = SavedTrack(Path("out/One 2.wav"), Track(duration=3.5, model_name="chirp"), "B")
    board.add_track(entry, saved)
    board.add_cover(saved, Path("out/covers/One 2.png"))
    shown = row(board)
    assert (shown.position, shown.line, shown.task_id) == (1, 7, "task")
    assert (shown.tags, shown.negative_tags, shown.model) == ("piano", "", "V5")
    assert [stage.stage for stage in shown.stages] == ["text", "complete"]
    assert shown.stages[0].after_s == 5.5
    assert shown.stages[1].after_s >= 30.0
    assert shown.stem is not None
    assert shown.stem.source == URL
    (track,) = shown.tracks
    assert (track.file, track.cover) == ("One 2.wav", "covers/One 2.png")
    assert (track.letter, track.duration_s, track.model_name) == ("B", 3.5, "chirp")


def test_a_doubt_is_shown() -> None:
    """Nobody knows whether it was paid for: the page says so, and why."""
    board = Board([Entry("One", number=7)])
    before = board.version
    board.doubt(board.entries[0], "no answer came")
    shown = row(board)
    assert (shown.position, shown.status) == (7, RowStatus.UNCERTAIN)
    assert shown.reason == "no answer came"
    assert board.version > before
