"""What is to be done with the rows of a run before it goes on: what is new, again, or decided."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from attrs import frozen

from suno_async.cli.decisions import Decisions
from suno_async.cli.failures import Complaint
from suno_async.cli.numbering import RunRow
from suno_async.durable import JobState

_DOUBTFUL = (JobState.UNCERTAIN, JobState.ABANDONED)
# a job in one of these has no task that goes on, nor one that is complete
_ADOPTING = (*_DOUBTFUL, JobState.FAILED, JobState.CANCELLED)


@frozen
class KnownJob:
    """What the folder's jobs tell of a row.

    Attributes:
        state: How it stands.
        task_id: Its task, once known.
        stem: The file that it uploads; None without one.
    """

    state: JobState
    task_id: str | None = None
    stem: Path | None = None


@frozen
class Orders:
    """What is to be done.

    Attributes:
        new: Rows that have no job yet.
        waiting: Rows whose jobs were never sent; these go on by themselves.
        moved: Those of them whose stem is somewhere else now.
        again: Rows that are sent again: nothing was paid for them, or somebody has decided so.
        cancel: Rows that wait and are not asked for any more.
        adopt: Rows, each with the task that is theirs.
        abandon: Uncertain rows that nobody looks further after.
        uncertain: Those that stay uncertain.
    """

    new: tuple[RunRow, ...] = ()
    waiting: tuple[RunRow, ...] = ()
    moved: tuple[RunRow, ...] = ()
    again: tuple[RunRow, ...] = ()
    cancel: tuple[RunRow, ...] = ()
    adopt: tuple[tuple[RunRow, str], ...] = ()
    abandon: tuple[RunRow, ...] = ()
    uncertain: tuple[RunRow, ...] = ()

    @property
    def paying(self) -> tuple[RunRow, ...]:
        """The rows that are going to be submitted, and paid for, in the order of their numbers."""
        rows = (*self.new, *self.waiting, *self.again)
        return tuple(sorted(rows, key=lambda row: row.number))


def make_orders(
    rows: Sequence[RunRow],
    jobs: Mapping[str, KnownJob],
    decisions: Decisions,
    stems: Mapping[str, Path],
) -> Orders:
    """Decide what is to be done with each row.

    Args:
        rows: All rows of the run.
        jobs: What their jobs tell, by key.
        decisions: What a person decides.
        stems: Where the rows' stems are now, by key.

    Raises:
        Complaint: A decision fits no row.
    """
    usable = [(row, jobs.get(row.key)) for row in rows if row.key]
    asked = [(row, job) for row, job in usable if row.asked]
    adopted = _adopted(rows, jobs, decisions.adopt)
    left = [(row, job) for row, job in usable if job and row.number not in decisions.adopt]
    uncertain = tuple(row for row, job in left if job.state is JobState.UNCERTAIN)
    waiting = [(row, job) for row, job in asked if job and job.state is JobState.WAITING]
    again = [row for row, job in left if row.asked and _is_sent_again(job, decisions)]
    stay = () if decisions.retry_uncertain or decisions.abandon else uncertain
    return Orders(
        new=tuple(row for row, job in asked if job is None),
        waiting=tuple(row for row, _ in waiting),
        moved=tuple(row for row, job in waiting if _has_moved(row, job, stems)),
        again=tuple(again),
        cancel=tuple(row for row, job in left if not row.asked and job.state is JobState.WAITING),
        adopt=adopted,
        abandon=tuple(row for row in uncertain if row not in again) if decisions.abandon else (),
        uncertain=tuple(row for row in uncertain if row in stay),
    )


def _is_sent_again(job: KnownJob, decisions: Decisions) -> bool:
    """Tell whether a row is sent again: by itself only when nothing was paid for it."""
    match job.state:
        case JobState.CANCELLED:
            return True
        case JobState.FAILED:
            return job.task_id is None or decisions.retry_failed
        case JobState.UNCERTAIN | JobState.ABANDONED:
            return decisions.retry_uncertain
        case _:
            return False


def _has_moved(row: RunRow, job: KnownJob, stems: Mapping[str, Path]) -> bool:
    now = stems.get(row.key)
    return job.stem is not None and now is not None and now != job.stem


def _adopted(
    rows: Sequence[RunRow], jobs: Mapping[str, KnownJob], adopt: Mapping[int, str]
) -> tuple[tuple[RunRow, str], ...]:
    numbered = {row.number: row for row in rows}
    owners = {job.task_id: key for key, job in jobs.items() if job.task_id is not None}
    adopted: list[tuple[RunRow, str]] = []
    for number, task_id in adopt.items():
        row = numbered.get(number)
        job = jobs.get(row.key) if row is not None else None
        given = f"--adopt {number}={task_id}"
        if row is None or job is None:
            raise Complaint(f"{given}: there is no row {number} that was submitted")
        if job.task_id == task_id:
            continue
        if job.state not in _ADOPTING:
            raise Complaint(f"{given}: row {number} is {job.state}, and needs no other task")
        if task_id in owners:
            raise Complaint(f"{given}: another row has this task")
        owners[task_id] = row.key
        adopted.append((row, task_id))
    return tuple(adopted)
