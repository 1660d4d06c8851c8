"""What is known of every song of a run: how far it is, what it left on disk, what went wrong."""

import time
from collections.abc import Callable, Mapping
from datetime import datetime
from enum import StrEnum
from pathlib import Path

from attrs import define, field

from suno_async import Stage, Track
from suno_async.cli.songs import Song


class State(StrEnum):
    """Where a song stands."""

    WAITING = "waiting"
    RUNNING = "submitted"
    SAVING = "downloading"
    SAVED = "saved"
    FAILED = "failed"
    UNCERTAIN = "uncertain"


@define(eq=False)
class SavedTrack:
    """A track on disk.

    Attributes:
        path: Its audio.
        track: What the service says of it.
        letter: What it is called within its song: A, B.
        cover: Its image on disk.
    """

    path: Path
    track: Track = field(factory=Track)
    letter: str = "A"
    cover: Path | None = None


@define(eq=False)
class Entry:
    """One song of a run.

    Attributes:
        title: What it is called on the screen.
        number: Its number within the run's folder, from 1, which never changes; 0 without one.
        earlier: Whether it had ended before this run began.
        uploading: Whether it waits for an upload of its stem that is under way.
        deleted: How many of its files an earlier run has saved, and somebody has deleted.
        source: Where it was asked for, such as `songs.csv:7`; empty for options.
        state: Where it stands.
        song: What was asked for; None when that is not known.
        line: Its line in the manifest; None when there is none.
        extra: Its values in columns of the manifest that are no fields.
        task_id: Its task, once known.
        stage: The stage that its task has reached.
        stages: The stages that it was seen to reach, each with the seconds since its submission.
        tracks: Its tracks on disk.
        problem: What went wrong, as a sentence.
        doubt: Why nobody knows whether it was paid for; None when it is known.
        told: Whether the problem has been printed already.
        retrievable: Whether its task, if it has one, may still give what is not on disk.
    """

    title: str
    source: str = ""
    state: State = State.WAITING
    song: Song | None = None
    line: int | None = None
    extra: Mapping[str, str] = field(factory=dict[str, str])
    task_id: str | None = None
    stage: Stage | None = None
    stages: list[tuple[Stage, float]] = field(factory=list[tuple[Stage, float]])
    tracks: list[SavedTrack] = field(factory=list[SavedTrack])
    problem: str | None = None
    doubt: str | None = None
    told: bool = False
    retrievable: bool = True
    number: int = 0
    earlier: bool = False
    deleted: int = 0
    uploading: bool = False
    _began_s: float | None = None
    _ended_s: float | None = None
    _followed_s: float | None = None

    @property
    def files(self) -> list[Path]:
        """Its audio on disk."""
        return [track.path for track in self.tracks]

    @property
    def seconds(self) -> float | None:
        """How long it has taken since its submission, or None before that."""
        if self._began_s is None:
            return None
        return (self._ended_s or time.monotonic()) - self._began_s

    @property
    def followed_s(self) -> float | None:
        """How long this run has looked at its task, in seconds, or None before that."""
        return time.monotonic() - self._followed_s if self._followed_s is not None else None

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen to it in this run."""
        return self.state in {State.SAVED, State.FAILED, State.UNCERTAIN}

    @property
    def left_behind(self) -> bool:
        """Whether its task goes on, or has results that are not on disk."""
        return self.task_id is not None and self.state is not State.SAVED and self.retrievable

    def begin(self, task_id: str, ago_s: float = 0.0) -> None:
        """Note that its task exists, and for how long."""
        self.task_id = task_id
        self._followed_s = time.monotonic()
        self._began_s = self._followed_s - ago_s

    def reach(self, stage: Stage, after_s: float | None = None) -> None:
        """Note that its task has reached a stage, some seconds after its submission."""
        self.stage = stage
        self.stages.append((stage, after_s if after_s is not None else self.seconds or 0.0))

    def end(self, state: State) -> None:
        """Note how it ended, and when: of an earlier run, that is when its last stage came."""
        self.state = state
        self._ended_s = time.monotonic()
        if self.earlier and self._began_s is not None and self.stages:
            self._ended_s = self._began_s + self.stages[-1][1]


@define(eq=False)
class Board:
    """All songs of a run, in the order in which they were asked for.

    Attributes:
        entries: The songs.
        changed: Called with each entry whose state or stage changes.
        version: Grows with everything that is noted.
        first_submitted_at: When the oldest task of the run was submitted (aware, UTC).
        balance_before: The account's credits as the run began; None when they are not known.
        balance_after: The same as it ended.
        began: Whether all that is to be done is recorded, so that it can go on later.
        stopping: Whether nothing more is submitted, since somebody asked the run to stop.
    """

    entries: list[Entry] = field(factory=list[Entry])
    changed: Callable[[Entry], None] = field(default=lambda _: None)
    version: int = 0
    first_submitted_at: datetime | None = None
    balance_before: float | None = None
    balance_after: float | None = None
    began: bool = False
    stopping: bool = False

    def move(self, entry: Entry, state: State) -> None:
        """Note where a song stands now."""
        if state is not entry.state:
            entry.state = state
            self._note(entry)

    def begin(self, entry: Entry, task_id: str, ago_s: float = 0.0) -> None:
        """Note that a song's task exists, and for how long; what is known of it stays."""
        if entry.task_id != task_id:
            entry.begin(task_id, ago_s)
            entry.state = State.RUNNING
            self._note(entry)

    def reach(self, entry: Entry, stage: Stage, after_s: float | None = None) -> None:
        """Note that a song's task has reached a stage, some seconds after its submission."""
        if stage not in dict(entry.stages):
            entry.reach(stage, after_s)
            self._note(entry)

    def add_track(self, entry: Entry, track: SavedTrack) -> None:
        """Note that one of a song's tracks is on disk."""
        entry.tracks.append(track)
        self.version += 1

    def add_cover(self, track: SavedTrack, cover: Path) -> None:
        """Note that the cover of a track is on disk."""
        track.cover = cover
        self.version += 1

    def _note(self, entry: Entry) -> None:
        self.version += 1
        self.changed(entry)

    def save(self, entry: Entry) -> None:
        """Note that all of a song's tracks are on disk."""
        self._end(entry, State.SAVED)

    def fail(self, entry: Entry, problem: str, *, retrievable: bool = True) -> None:
        """Note that a song ended without all of its tracks on disk."""
        entry.problem = problem
        entry.retrievable = retrievable
        self._end(entry, State.FAILED)

    def stop(self) -> None:
        """Note that nothing more is submitted."""
        self.stopping = True
        self.version += 1

    def doubt(self, entry: Entry, problem: str) -> None:
        """Note that nobody knows whether a song was paid for."""
        entry.doubt = problem
        self._end(entry, State.UNCERTAIN)

    def _end(self, entry: Entry, state: State) -> None:
        """Note how a song ended; that an earlier run knew it already is no news."""
        known = entry.earlier and entry.state is state
        entry.end(state)
        self.version += 1
        if not known:
            self.changed(entry)
