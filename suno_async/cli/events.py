"""What happens to songs, one thing at a time: each is told once, also when several come at once."""

from collections.abc import Iterator
from enum import StrEnum

from attrs import define, frozen

from suno_async import Stage
from suno_async.cli.board import Board, Entry, State


class Kind(StrEnum):
    """What happened to a song."""

    SUBMITTED = "submitted"
    STAGE = "stage"
    SAVING = "saving"
    SAVED = "saved"
    FAILED = "failed"
    UNCERTAIN = "uncertain"


@frozen
class Event:
    """Something that happened to a song.

    Attributes:
        kind: What.
        row: The song's number: within the run's folder if it has one, else within the run, from 1.
        entry: The song.
        seconds: When, since its submission; None before that.
        stage: The stage that was reached.
    """

    kind: Kind
    row: int
    entry: Entry
    seconds: float | None = None
    stage: Stage | None = None


@define
class _Told:
    """What was told of a song."""

    submitted: bool = False
    stages: int = 0
    state: State = State.WAITING


_KINDS = {
    State.SAVING: Kind.SAVING,
    State.SAVED: Kind.SAVED,
    State.FAILED: Kind.FAILED,
    State.UNCERTAIN: Kind.UNCERTAIN,
}


class Events:
    """Turns changes of a board into events.

    Args:
        board: The songs.
    """

    def __init__(self, board: Board) -> None:
        self._board = board
        self._told: dict[int, _Told] = {}
        self._rows: dict[int, int] = {}

    def so_far(self) -> Iterator[Event]:
        """Tell what has happened to all songs before anybody listened."""
        for entry in list(self._board.entries):
            yield from self.of(entry)

    def of(self, entry: Entry) -> Iterator[Event]:
        """Tell what has happened to a song and was not told yet, in order."""
        told = self._told.setdefault(id(entry), _Told())
        row = self._row(entry)
        if entry.task_id is not None and not told.submitted:
            told.submitted = True
            yield Event(Kind.SUBMITTED, row, entry)
        for stage, seconds in entry.stages[told.stages :]:
            told.stages += 1
            yield Event(Kind.STAGE, row, entry, seconds, stage)
        if entry.state is not told.state:
            told.state = entry.state
            if entry.state in _KINDS:
                yield Event(_KINDS[entry.state], row, entry, entry.seconds)

    def _row(self, entry: Entry) -> int:
        if entry.number:
            return entry.number
        if id(entry) not in self._rows:
            self._rows = {id(known): row for row, known in enumerate(self._board.entries, 1)}
        return self._rows.get(id(entry), 0)
