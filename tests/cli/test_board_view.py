"""How a board's songs look on a page."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from suno_async import AddInstrumentalRequest, Stage, SubmissionUncertain, Track
from suno_async.cli.board import Board, Entry, SavedTrack, State
from suno_async.cli.board_view import view
from suno_async.cli.page import RowStatus, RowView
from suno_async.cli.songs import make_song
from suno_async.observe import Accepted, Uncertain

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
        (State.UPLOADING, RowStatus.WAITING),
        (State.RUNNING, RowStatus.RUNNING),
        (State.SAVING, RowStatus.RUNNING),
        (State.SAVED, RowStatus.COMPLETE),
        (State.FAILED, RowStatus.FAILED),
    ],
)
def test_every_state_has_a_status(state: State, status: RowStatus) -> None:
    """A song counts as running as long as something comes."""
    assert row(Board([Entry("One", state=state)])).status is status


def test_a_song_is_shown_with_all_that_is_known_of_it() -> None:
    """What was asked for, the stages and when, the files by their paths within the folder."""
    board = Board([Entry("One", "songs.csv:7", song=make_song(ASKED, Path()), line=7)])
    (entry,) = board.entries
    board.reach(entry, "task", Stage.TEXT)
    board.reach(entry, "task", Stage.COMPLETE)
    saved = SavedTrack(Path("out/One 2.wav"), Track(duration=3.5, model_name="chirp"), "B")
    board.add_track(entry, saved)
    board.add_cover(saved, Path("out/covers/One 2.png"))
    shown = row(board)
    assert (shown.position, shown.line, shown.task_id) == (1, 7, "task")
    assert (shown.tags, shown.negative_tags, shown.model) == ("piano", "", "V5")
    assert [stage.stage for stage in shown.stages] == ["text", "complete"]
    assert shown.stem is not None
    assert shown.stem.source == URL
    (track,) = shown.tracks
    assert (track.file, track.cover) == ("One 2.wav", "covers/One 2.png")
    assert (track.letter, track.duration_s, track.model_name) == ("B", 3.5, "chirp")


def test_a_doubt_is_shown_until_it_is_resolved() -> None:
    """Nobody knows whether it was paid for; when a task proves it, it runs like any other."""
    request = AddInstrumentalRequest(URL, title="One", tags="piano", negative_tags="")
    board = Board([Entry("One")])
    board.request(board.entries[0], request)
    error = SubmissionUncertain("One", "no answer came")
    board.observe(Uncertain(request, error))
    before = board.version
    assert (row(board).status, row(board).reason) == (RowStatus.UNCERTAIN, str(error))
    board.observe(Accepted("task", request, datetime.now(UTC)))
    assert (row(board).status, row(board).reason) == (RowStatus.RUNNING, "")
    assert board.version > before
