"""A job as its row has it, and back."""

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from attrs import evolve, frozen

from suno_async.durable.errors import JobCancelled
from suno_async.durable.values import ENDED, JobState
from suno_async.errors import SunoError
from suno_async.models import AddInstrumentalRequest, StageEvent, TaskDetails
from suno_async.outcomes import Outcome
from suno_async.storage import from_json, to_json


@frozen
class JobRecord:
    """All that is known of a job.

    Attributes:
        number: Its place in the order of submission.
        key: The caller's name for it.
        request: What is asked.
        stem: The file to upload before, or None.
        save_to: Where its audio goes, or None.
        covers: Whether the covers go there too.
        state: How it stands.
        attempt: How often it was to be sent, from 1.
        token: Of the send that counts; None before the first.
        task_id: Its task, once known.
        submitted_at: When that was sent (aware, UTC).
        uploaded_url: Where its stem was uploaded.
        uploaded_s: When that was.
        events: The stages that were reached, in order.
        details: The final answer.
        files: What was saved.
        files_error: Why something could not be saved.
        error: Why it did not become complete.
        settled_s: When an uncertain one stops waiting for a callback, or an ended one ended.
        change: Another number after every change of the job.
    """

    number: int
    key: str
    request: AddInstrumentalRequest
    stem: Path | None
    save_to: Path | None
    covers: bool
    state: JobState
    attempt: int
    token: str | None
    task_id: str | None
    submitted_at: datetime | None
    uploaded_url: str | None
    uploaded_s: float | None
    events: tuple[StageEvent, ...]
    details: TaskDetails | None
    files: tuple[Path, ...]
    files_error: str | None
    error: SunoError | None
    settled_s: float | None
    change: int

    @property
    def outcome(self) -> Outcome:
        """How it ended, or stands: without details and error, it goes on."""
        return Outcome(self.number, self.request, self.task_id, self.details, self.error)

    def is_settled(self, now_s: float) -> bool:
        """Tell whether nothing more will come by itself."""
        return is_settled(self.state, self.settled_s, now_s)


@frozen
class Standing:
    """How a job stands.

    Attributes:
        key: The caller's name for it.
        state: Its state.
        settled_s: When an uncertain one stops waiting for a callback, or an ended one ended.
        change: Another number after every change of the job.
    """

    key: str
    state: JobState
    settled_s: float | None
    change: int

    def is_settled(self, now_s: float) -> bool:
        """Tell whether nothing more will come by itself."""
        return is_settled(self.state, self.settled_s, now_s)


def is_settled(state: JobState, settled_s: float | None, now_s: float) -> bool:
    """Tell whether nothing more will come of a job by itself."""
    if state is JobState.UNCERTAIN:
        return settled_s is not None and settled_s <= now_s
    return state in ENDED


def read_record(row: sa.Row[Any]) -> JobRecord:
    """Make a record of a row of the jobs' table."""
    return JobRecord(
        number=row.number,
        key=row.key,
        request=from_json(row.request, AddInstrumentalRequest),
        stem=_path(row.stem),
        save_to=_path(row.save_to),
        covers=row.covers,
        state=JobState(row.state),
        attempt=row.attempt,
        token=row.token,
        task_id=row.task_id,
        submitted_at=_time(row.submitted_s),
        uploaded_url=row.uploaded_url,
        uploaded_s=row.uploaded_s,
        events=read_events(row.events),
        details=from_json(row.details, TaskDetails) if row.details else None,
        files=tuple(Path(each) for each in json.loads(row.files or "[]")),
        files_error=row.files_error,
        error=_error(row),
        settled_s=row.settled_s,
        change=row.changed,
    )


def read_events(text: str) -> tuple[StageEvent, ...]:
    """Read what `write_events` wrote."""
    return from_json(text, tuple[StageEvent, ...])


def write_events(events: Iterable[StageEvent]) -> str:
    """Write events without the service's raw answers: the last one is kept with the details."""
    return to_json(tuple(evolve(event, details=evolve(event.details, raw={})) for event in events))


def write_error(error: SunoError | None) -> dict[str, str | None]:
    """Give the columns of an error and of its cause."""
    cause = error.__cause__ if error is not None else None
    return {
        "error": to_json(error) if error is not None else None,
        "error_cause": to_json(cause) if isinstance(cause, SunoError) else None,
    }


def write_paths(paths: Iterable[Path]) -> str:
    """Write a list of paths."""
    return json.dumps([str(path) for path in paths])


def _path(text: str | None) -> Path | None:
    return Path(text) if text is not None else None


def _time(seconds: float | None) -> datetime | None:
    return datetime.fromtimestamp(seconds, UTC) if seconds is not None else None


def _error(row: sa.Row[Any]) -> SunoError | None:
    if row.state == JobState.CANCELLED:
        return JobCancelled(row.key)
    if not row.error:
        return None
    error = from_json(row.error, SunoError)
    if row.error_cause:
        error.__cause__ = from_json(row.error_cause, SunoError)
    return error
