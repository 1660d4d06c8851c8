"""What callers see of jobs, and what they decide about them."""

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path

from attrs import field, frozen

from suno_async.value import Value


class JobState(StrEnum):
    """How a job stands.

    `waiting`: nothing has been sent. `sending`: its paid call is on its way. `uncertain`: it was
    sent, and nobody knows what became of it; with a receiver, a callback may still prove it.
    `running`: its task is known and goes on. `complete`, `failed`: they ended. `cancelled`: it was
    called off before anything was sent. `abandoned`: somebody decided to look no further after an
    uncertain submission; a callback may find it all the same.
    """

    WAITING = "waiting"
    SENDING = "sending"
    UNCERTAIN = "uncertain"
    RUNNING = "running"
    COMPLETE = "complete"
    FAILED = "failed"
    CANCELLED = "cancelled"
    ABANDONED = "abandoned"


ENDED: frozenset[JobState] = frozenset(
    {JobState.COMPLETE, JobState.FAILED, JobState.CANCELLED, JobState.ABANDONED}
)


@frozen
class Resubmit(Value):
    """Submit the job again. If the uncertain submission made a task, it is paid for twice.

    Attributes:
        stem: A file to upload in place of the job's own, such as the same one in another folder.
    """

    stem: Path | None = None


@frozen
class Adopt(Value):
    """Take a task of the account for the job's own, and watch it.

    Attributes:
        task_id: The service's name for it, as the account's history shows it.
    """

    task_id: str


@frozen
class Abandon(Value):
    """Look no further."""


Decision = Resubmit | Adopt | Abandon


@frozen
class DurableStats(Value):
    """How the jobs of a database stand.

    Attributes:
        jobs: How many there are in each state that occurs.
        window_left: How many submissions could be sent at once; None where no worker has limits.
        workers: How many workers have been heard of within the last seconds.
    """

    jobs: Mapping[JobState, int] = field(factory=dict[JobState, int])
    window_left: int | None = None
    workers: int = 0


# for requests whose stem is uploaded by their job: no URL is known before
STEM_URL = "https://stem.invalid/"
