"""Re-attach to tasks that were submitted earlier, and save their tracks."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

from suno_async import SunoError, SunoSession, Track
from suno_async.cli.board import Board, Entry, State
from suno_async.cli.estimate import Capacity
from suno_async.cli.failures import FetchRest, ending_clearly
from suno_async.cli.moment import read_moment
from suno_async.cli.run import Run
from suno_async.cli.run_db import RunDb
from suno_async.cli.saving import Saving
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
    board, rest = Board(), FetchRest(out, service.base_url)
    capacity = Capacity(interval_s=service.interval_s)
    run = Run("Fetching accompaniments", out, board, capacity=capacity)

    async def work() -> None:
        async with service.session(board) as session, asyncio.TaskGroup() as group:
            db = RunDb(out)
            saving = Saving(session, board, out, saved=db if db.path.is_file() else None)
            saving.fetch_deleted()
            for entry in board.entries:
                group.create_task(_fetch(session, saving, board, entry))

    with ending_clearly(board, rest):
        board.first_submitted_at = read_moment(submitted_at)
        for task_id in dict.fromkeys(task_ids):
            entry = Entry(task_id, state=State.RUNNING)
            entry.begin(task_id)
            board.entries.append(entry)
        run.perform(work)


async def _fetch(session: SunoSession, saving: Saving, board: Board, entry: Entry) -> None:
    tracks: tuple[Track, ...] = ()
    try:
        task = session.task(entry.task_id or "", submitted_at=board.first_submitted_at)
        async for event in task.events():
            board.reach(entry, event.stage)
            tracks = event.tracks
    except SunoError as error:
        await saving.save_finished(entry, error)
    else:
        entry.title = next((track.title for track in tracks if track.title), entry.title)
        await saving.save(entry, tracks)
