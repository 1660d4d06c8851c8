"""Re-attach to tasks that were submitted earlier, and save their tracks."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from suno_async.cli.board import Entry, State
from suno_async.cli.delivery import Delivery
from suno_async.cli.failures import Again, Complaint, ending_clearly
from suno_async.cli.run import Run
from suno_async.cli.service import Service


def fetch(task_ids: Sequence[str], out: Path, service: Service, submitted_at: str | None) -> None:
    """Wait for tasks and save their tracks.

    Args:
        task_ids: The tasks; one that is named twice is fetched once.
        out: The folder of the tracks.
        service: Who made them.
        submitted_at: When the oldest was submitted, in ISO 8601; without a zone it is UTC.

    Raises:
        SystemExit: Something failed.
    """
    run = Run("Fetching accompaniments", out, Again(out, service.base_url))

    async def work() -> None:
        async with service.session(run.board) as session:
            await Delivery(session, run.board, out).fetch(run.board.entries)

    with ending_clearly(run.board, run.again):
        run.board.first_submitted_at = _moment(submitted_at)
        for task_id in dict.fromkeys(task_ids):
            entry = Entry(task_id, state=State.RUNNING)
            entry.begin(task_id)
            run.board.entries.append(entry)
        run.perform(work)


def _moment(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        rule = "must be a time such as 2026-01-31T12:00:00Z"
        raise Complaint(f"--submitted-at {rule}, not {text!r}") from error
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
