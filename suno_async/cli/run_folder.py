"""A run's folder: one command works in it at a time, on its rows, its jobs and its stems."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from suno_async import SunoSession
from suno_async.cli.failures import Complaint
from suno_async.cli.numbering import RunRow
from suno_async.cli.orders import Orders
from suno_async.cli.run_db import RunDb
from suno_async.cli.saved_before import COVERS
from suno_async.cli.stem_folder import FOLDER as STEMS
from suno_async.cli.stem_folder import StemFolder
from suno_async.cli.whole import sweep
from suno_async.durable import STEM_URL, Abandon, Adopt, DurableSuno, Job, Resubmit

_LOCK = ".run.lock"


class RunFolder:
    """What a run keeps in its folder.

    Args:
        out: The folder.
    """

    def __init__(self, out: Path) -> None:
        self.out = out
        self.db: RunDb = RunDb(out)
        self.stems: StemFolder = StemFolder(out)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep other commands out of the folder within the block.

        What a command that was killed has left half written is removed.

        Raises:
            Complaint: Another one works there, or the folder cannot be written to.
        """
        lock = FileLock(self.out / _LOCK, timeout=0, thread_local=False)
        try:
            self.out.mkdir(parents=True, exist_ok=True)
            lock.acquire()
        except Timeout as error:
            raise Complaint(f"another suno-async works in {self.out}: let it end") from error
        except OSError as error:
            raise Complaint(f"cannot write into {self.out}: {error.strerror}") from error
        try:
            for folder in (self.out, self.out / COVERS, self.out / STEMS):
                sweep(folder)
            yield
        finally:
            lock.release()

    async def jobs(self, *, recover: bool = True) -> dict[str, Job]:
        """Read the jobs, by their keys.

        Args:
            recover: Whether those that a killed run was sending become uncertain before.

        Raises:
            DatabaseFailed: They cannot be read.
        """
        if not self.db.path.exists():
            return {}
        async with DurableSuno(self.db.url) as desk:
            if recover:
                await desk.recover()
            return {job.key: job async for job in desk.jobs()}

    def put_stems(self, rows: Sequence[RunRow]) -> dict[str, Path]:
        """Put the stems of rows into the folder; tell where they are then, by the rows' keys."""
        self.stems.put(row.stem for row in rows if row.stem is not None)
        places: dict[str, Path] = {}
        for row in rows:
            if row.stem is not None:
                inside = self.stems.path(row.stem)
                path = self.out / inside if inside is not None else row.stem.path
                places[row.key] = path.absolute()
        return places

    async def carry_out(
        self, orders: Orders, stems: Mapping[str, Path], session: SunoSession
    ) -> None:
        """Record what is to be done, before anything is sent.

        Args:
            orders: What is to be done.
            stems: Where the stems are, by the rows' keys.
            session: Will send it.

        Raises:
            DatabaseFailed: It cannot be recorded.
        """
        async with DurableSuno(self.db.url, session, worker=False) as desk:
            for row in (*orders.cancel, *orders.moved):
                await desk.cancel(row.key)
            for row in orders.abandon:
                await desk.decide(row.key, Abandon())
            for row, task_id in orders.adopt:
                await desk.decide(row.key, Adopt(task_id))
            for row in (*orders.again, *orders.moved):
                await desk.decide(row.key, Resubmit(stems.get(row.key)))
            await desk.submit_many(
                (row.key, row.song.request(STEM_URL if row.stem else None), stems.get(row.key))
                for row in orders.new
            )
