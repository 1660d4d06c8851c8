"""What a page shows: plain values, made by whoever knows the run."""

from datetime import datetime
from enum import StrEnum

from attrs import field, frozen


class RowStatus(StrEnum):
    """Where a row stands."""

    WAITING = "waiting"
    RUNNING = "running"
    COMPLETE = "complete"
    FAILED = "failed"
    UNCERTAIN = "uncertain"

    @property
    def finished(self) -> bool:
        """Whether nothing more comes by itself."""
        return self not in {RowStatus.WAITING, RowStatus.RUNNING}


@frozen
class StageTime:
    """When a row's task reached a stage.

    Attributes:
        stage: Its name.
        after_s: Seconds since the task was submitted.
    """

    stage: str
    after_s: float


@frozen
class StemView:
    """What a row's tracks accompany.

    Attributes:
        source: A path relative to the page's folder, with `/` between its parts; or an http(s)
            URL, which is shown as a link and not loaded.
        duration_s: Length in seconds; None when it is not known.
        waveform: Peaks from 0 to 255 at equal distances; None when nobody has looked yet, empty
            when there are none to be had.
    """

    source: str
    duration_s: float | None = None
    waveform: tuple[int, ...] | None = field(default=None, repr=False)


@frozen
class TrackView:
    """One of a row's results.

    Attributes:
        letter: What it is called within its row: A, B.
        file: Its audio: a path below the page's folder, with `/` between its parts.
        cover: Its image: the same kind of path.
        duration_s: Length in seconds; None when it is not known.
        title: What the service calls it.
        tags: Its styles, as the service lists them.
        model_name: The model, as the service calls it.
        waveform: Peaks from 0 to 255 at equal distances; None when nobody has looked yet, empty
            when there are none to be had.
    """

    letter: str
    file: str
    cover: str | None = None
    duration_s: float | None = None
    title: str = ""
    tags: str = ""
    model_name: str = ""
    waveform: tuple[int, ...] | None = field(default=None, repr=False)


@frozen
class RowView:
    """One row of the manifest, and what became of it.

    Attributes:
        position: Its number within the run, from 1.
        title: What was asked for.
        status: Where it stands.
        line: Its line in the manifest; None when there is no manifest.
        tags: Styles to include.
        negative_tags: Styles to exclude.
        model: The model that was asked for.
        task_id: The service's task, once there is one.
        stages: The stages that were reached, in order.
        reason: Why it failed or is uncertain, as a sentence for a person.
        stem: What is accompanied.
        tracks: The results that are on disk.
        extra: Further columns of the manifest, by name.
    """

    position: int
    title: str
    status: RowStatus
    line: int | None = None
    tags: str = ""
    negative_tags: str = ""
    model: str = ""
    task_id: str | None = None
    stages: tuple[StageTime, ...] = ()
    reason: str = ""
    stem: StemView | None = None
    tracks: tuple[TrackView, ...] = ()
    extra: tuple[tuple[str, str], ...] = ()


@frozen
class Run:
    """A run, as it stands when its page is made.

    Attributes:
        title: The heading of the page.
        rows: All rows, in the order of the manifest.
        made_at: When this was so; aware.
        key: Names the run, so that its marks are not another run's; without one the page's
            address does, and marks do not move with the folder.
        going_on: Whether a process is at work on it, so that reloading the page brings news.
    """

    title: str
    rows: tuple[RowView, ...]
    made_at: datetime
    key: str = ""
    going_on: bool = True

    @property
    def finished(self) -> int:
        """How many rows have ended, well or not."""
        return sum(row.status.finished for row in self.rows)

    @property
    def brings_news(self) -> bool:
        """Whether a later page of this run may say more."""
        return self.going_on and self.finished < len(self.rows)
