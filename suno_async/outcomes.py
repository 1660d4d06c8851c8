"""What becomes of the requests of a batch: outcomes, and the progress on the way."""

from datetime import datetime

from attrs import field, fields, frozen

from suno_async.errors import SunoError
from suno_async.models import AddInstrumentalRequest, Stage, TaskDetails, Track
from suno_async.value import Readable, Value


class _Said:
    """An error as a value: what it says counts, while errors are told apart by identity."""

    def __init__(self, error: SunoError | None) -> None:
        self._error = error

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, _Said) or type(self._error) is not type(other._error):
            return False
        names = [a.name for a in fields(type(self._error))] if self._error is not None else []
        return all(getattr(self._error, name) == getattr(other._error, name) for name in names)

    def __hash__(self) -> int:
        return hash(type(self._error))  # what it says may have none


@frozen(repr=False)
class Outcome(Readable):
    """How one request of a batch ended.

    Attributes:
        position: Its place in the batch, from 0.
        request: What was asked.
        task_id: The task; None when none was created.
        details: The final answer; None when there was none.
        error: Why there are no tracks; None when all went well.
    """

    position: int
    request: AddInstrumentalRequest
    task_id: str | None = None
    details: TaskDetails | None = None
    error: SunoError | None = field(default=None, eq=_Said)

    @property
    def ok(self) -> bool:
        """Whether the task is complete."""
        return self.error is None

    @property
    def tracks(self) -> tuple[Track, ...]:
        """The tracks of the final answer: two, normally; none without one."""
        return self.details.tracks if self.details is not None else ()


@frozen
class BatchProgress(Value):
    """What has just happened in a batch, and how it stands now.

    Attributes:
        position: The place in the batch of the request that something happened to, from 0.
        request: What was asked.
        task_id: Its task, once known.
        submitted_at: When it was submitted (aware, UTC); None without a task.
        stage: The stage that it has reached, or None.
        total: How many requests there are; None when the batch does not know.
        submitted: How many have a task id.
        running: How many of these are not finished.
        succeeded: How many are complete.
        failed: How many ended with an error, the ones that were not submitted included.
    """

    position: int
    request: AddInstrumentalRequest
    task_id: str | None
    submitted_at: datetime | None
    stage: Stage | None
    total: int | None
    submitted: int
    running: int
    succeeded: int
    failed: int
