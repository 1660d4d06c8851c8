"""What can go wrong with jobs, beside what can go wrong with their tasks."""

from datetime import timedelta

from attrs import define

from suno_async.errors import SunoError


@define(slots=False)
class JobConflict(SunoError):
    """A key is used already, by a job that asks for something else; nothing was changed.

    Attributes:
        key: The key.
        stored: What the job under that key asks for, as JSON.
        given: What was to be submitted, as JSON.
    """

    key: str
    stored: str
    given: str

    def _sentence(self) -> str:
        return (
            f"the key {self.key!r} belongs to a job that asks for something else: "
            f"it has {self.stored}, and {self.given} was given"
        )


@define(slots=False)
class JobNotFound(SunoError):
    """There is no job under this key.

    Attributes:
        key: The key.
    """

    key: str

    def _sentence(self) -> str:
        return f"there is no job {self.key!r}"


@define(slots=False)
class JobUndecidable(SunoError):
    """A decision does not fit the state of its job; nothing was changed.

    Attributes:
        key: The key.
        state: The job's state.
        decision: What was to be done.
    """

    key: str
    state: str
    decision: str

    def _sentence(self) -> str:
        return (
            f"{self.decision} does not fit job {self.key!r}, which is {self.state}: "
            "decisions are for jobs that are uncertain or abandoned, and to submit or adopt also "
            "for those that failed or were cancelled"
        )


@define(slots=False)
class JobCancelled(SunoError):
    """The job was cancelled before anything was sent for it; nothing was charged.

    Attributes:
        key: The key.
    """

    key: str

    def _sentence(self) -> str:
        return f"job {self.key!r} was cancelled before it was sent; nothing was charged for it"


@define(slots=False)
class JobTimeout(SunoError, TimeoutError):
    """The caller's own time-out ended; the job goes on.

    Attributes:
        key: The key.
        state: The job's state.
        timeout: How long was waited.
    """

    key: str
    state: str
    timeout: timedelta

    def _sentence(self) -> str:
        waited = f"{self.timeout.total_seconds():g} s"
        return f"job {self.key!r} is {self.state} after {waited}; it goes on"


@define(slots=False)
class DatabaseFailed(SunoError):
    """The database that keeps the jobs cannot be used; what it holds is not touched.

    Attributes:
        reason: What it says.
    """

    reason: str

    def _sentence(self) -> str:
        return f"the jobs' database failed: {self.reason}"


@define(slots=False)
class WorkerRefused(SunoError, RuntimeError):
    """No worker can be started here.

    Attributes:
        reason: Why, and what to do.
    """

    reason: str

    def _sentence(self) -> str:
        return self.reason
