"""What is known of every song of a run: how far it is, what it left on disk, what went wrong."""

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

from attrs import define, field

from suno_async import AddInstrumentalRequest, Observation, Stage
from suno_async.observe import Accepted, Found, Uncertain


class State(StrEnum):
    """Where a song stands."""

    WAITING = "waiting"
    UPLOADING = "uploading the stem"
    RUNNING = "submitted"
    SAVING = "downloading"
    SAVED = "saved"
    FAILED = "failed"


@define(eq=False)
class Entry:
    """One song of a run.

    Attributes:
        title: What it is called on the screen.
        source: Where it was asked for, such as `songs.csv:7`; empty for options.
        state: Where it stands.
        task_id: Its task, once known.
        stage: The stage that its task has reached.
        files: Its tracks on disk.
        problem: What went wrong, as a sentence.
        doubt: Why nobody knows whether it was paid for; None when it is known.
        told: Whether the problem has been printed already.
        retrievable: Whether its task, if it has one, may still give what is not on disk.
    """

    title: str
    source: str = ""
    state: State = State.WAITING
    task_id: str | None = None
    stage: Stage | None = None
    files: list[Path] = field(factory=list[Path])
    problem: str | None = None
    doubt: str | None = None
    told: bool = False
    retrievable: bool = True
    _began_s: float | None = None
    _ended_s: float | None = None

    @property
    def seconds(self) -> float | None:
        """How long it has taken since its submission, or None before that."""
        if self._began_s is None:
            return None
        return (self._ended_s or time.monotonic()) - self._began_s

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen to it in this run."""
        return self.state in {State.SAVED, State.FAILED}

    @property
    def left_behind(self) -> bool:
        """Whether its task goes on, or has results that are not on disk."""
        return self.task_id is not None and self.state is not State.SAVED and self.retrievable

    def begin(self, task_id: str) -> None:
        """Note that its task exists."""
        self.task_id = task_id
        self._began_s = time.monotonic()

    def end(self, state: State) -> None:
        """Note how it ended, and when."""
        self.state = state
        self._ended_s = time.monotonic()


@define(eq=False)
class Board:
    """All songs of a run, in the order in which they were asked for.

    Attributes:
        entries: The songs.
        changed: Called with each entry that changes.
        first_submitted_at: When the oldest task of the run was submitted (aware, UTC).
    """

    entries: list[Entry] = field(factory=list[Entry])
    changed: Callable[[Entry], None] = field(default=lambda _: None)
    first_submitted_at: datetime | None = None
    _requests: dict[int, tuple[AddInstrumentalRequest, Entry]] = field(
        factory=dict[int, tuple[AddInstrumentalRequest, Entry]]
    )

    def move(self, entry: Entry, state: State) -> None:
        """Note where a song stands now."""
        if state is not entry.state:
            entry.state = state
            self.changed(entry)

    def reach(self, entry: Entry, task_id: str | None, stage: Stage | None) -> None:
        """Note what the service says of a song: its task, and the stage it has reached."""
        news = False
        if task_id is not None and entry.task_id is None:
            entry.begin(task_id)
            self.first_submitted_at = self.first_submitted_at or datetime.now(UTC)
            entry.state, news = State.RUNNING, True
        if stage is not None and stage is not entry.stage:
            entry.stage, news = stage, True
        if news:
            self.changed(entry)

    def request(self, entry: Entry, request: AddInstrumentalRequest) -> None:
        """Note what is going to be submitted for a song."""
        self._requests[id(request)] = (request, entry)

    def observe(self, observation: Observation) -> None:
        """Note what becomes of submissions, also while the run is stopped and nobody waits."""
        match observation:
            case Accepted(task_id, request, submitted_at) | Found(task_id, request, submitted_at):
                self.first_submitted_at = self.first_submitted_at or submitted_at
                entry = self._entry(request)
                entry.doubt = None
                self.reach(entry, task_id, None)
            case Uncertain(request, error):
                self._entry(request).doubt = str(error)
            case _:
                pass

    def _entry(self, request: AddInstrumentalRequest) -> Entry:
        _, entry = self._requests.get(id(request), (None, None))
        if entry is None:
            entry = Entry(request.title)
            self.entries.append(entry)
            self.request(entry, request)
        return entry

    def save(self, entry: Entry) -> None:
        """Note that all of a song's tracks are on disk."""
        entry.end(State.SAVED)
        self.changed(entry)

    def fail(self, entry: Entry, problem: str, *, retrievable: bool = True) -> None:
        """Note that a song ended without all of its tracks on disk."""
        entry.problem = problem
        entry.retrievable = retrievable
        entry.end(State.FAILED)
        self.changed(entry)

    def failed(self) -> list[Entry]:
        """List the songs that ended with a problem."""
        return [entry for entry in self.entries if entry.state is State.FAILED]

    def left_behind(self) -> Iterator[Entry]:
        """List the songs whose tasks go on, or whose results are not on disk."""
        return (entry for entry in self.entries if entry.left_behind)
