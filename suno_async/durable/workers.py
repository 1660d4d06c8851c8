"""Which workers are alive: each renews a lease, and whoever finds one run out takes over."""

import sqlalchemy as sa

from suno_async.durable.database import Database
from suno_async.durable.dispatch import SUBMIT, WATCH, Dispatch, workflow_name
from suno_async.durable.rows import change, locked_row
from suno_async.durable.sends import FleetLimits, give_up
from suno_async.durable.tables import jobs, workers
from suno_async.durable.values import JobState

# a worker that has not been heard of for so long is taken for dead
LEASE_S = 5.0
# what a job in such a state needs in order to go on
_NEEDS = {JobState.WAITING: SUBMIT, JobState.RUNNING: WATCH}


class Workers:
    """Keeps a worker's lease, and takes over from dead workers.

    Args:
        database: Where.
        dispatch: Hands what dead workers ran to living ones.
        worker: This worker's name, which no other has or had.
        limits: The account's, as it thinks.
        reconcile_s: How long a callback is waited for that proves what a dead worker has sent.
    """

    def __init__(
        self,
        database: Database,
        dispatch: Dispatch,
        worker: str,
        limits: FleetLimits,
        reconcile_s: float,
    ) -> None:
        self._database = database
        self._dispatch = dispatch
        self._worker = worker
        self._limits = limits
        self._reconcile_s = reconcile_s
        self._orphans: set[str] = set()
        self._strays: set[str] = set()

    async def beat(self) -> tuple[bool, int]:
        """Renew the lease; tell whether it had not run out, and how many workers are alive.

        One whose lease another took away has lost its jobs to others.
        """

        def beat(connection: sa.Connection) -> tuple[bool, int]:
            now_s = self._database.now_s(connection)
            renewed = connection.execute(
                workers.update().where(workers.c.worker == self._worker).values(beat_s=now_s)
            )
            kept = renewed.rowcount == 1
            if not kept:
                connection.execute(
                    workers.insert().values(
                        worker=self._worker, beat_s=now_s, per_window=self._limits.per_window
                    )
                )
            alive = sa.select(sa.func.count()).where(workers.c.beat_s > now_s - LEASE_S)
            return kept, connection.execute(alive.select_from(workers)).scalar_one()

        return await self._database.run(beat)

    async def take_over(self, *, at_once: bool = False) -> int:
        """Hand on the jobs of dead workers; tell how many workflows these ran.

        Args:
            at_once: Whether no other worker can be alive, as on SQLite, whose file one has alone.
        """
        handed = 0
        while (found := await self._take_over_one(at_once=at_once)) is not None:
            handed += found
        return handed

    async def _take_over_one(self, *, at_once: bool) -> int | None:
        def dead(connection: sa.Connection) -> str | None:
            before_s = self._database.now_s(connection) - (0.0 if at_once else LEASE_S)
            query = sa.select(workers.c.worker).where(
                workers.c.worker != self._worker, workers.c.beat_s <= before_s
            )
            query = query.limit(1).with_for_update(skip_locked=True)
            found: str | None = connection.execute(query).scalar()
            return found

        def bury(connection: sa.Connection, worker: str) -> None:
            window_s = self._limits.window_s
            give_up(self._database, connection, worker, window_s, self._reconcile_s)
            connection.execute(workers.delete().where(workers.c.worker == worker))

        def take_over(connection: sa.Connection) -> int | None:
            """Do it while the row is locked: one that fails midway leaves it to the next."""
            if (worker := dead(connection)) is None:
                return None
            handed = self._dispatch.take_over(connection, worker)
            bury(connection, worker)
            return handed

        if not self._database.is_sqlite:
            return await self._database.run(take_over)
        # there a second connection would wait for the first; but this worker is the only one
        worker = await self._database.read(dead)
        if worker is None:
            return None
        running = await self._database.read(self._dispatch.running)
        names = [each.name for each in running if each.worker == worker]
        handed = await self._database.call(lambda: self._dispatch.resume(names))
        await self._database.run(lambda connection: bury(connection, worker))
        return handed

    async def resume_orphans(self, here: frozenset[str]) -> int:
        """Resume what DBOS takes for running although nobody runs it; tell how much it was.

        That is what a worker claimed and lost before it began, when the database was away, and
        what one claimed after it was taken for dead. It has to be seen twice in a row.

        Args:
            here: The names of what runs in this process.
        """
        running = await self._database.read(self._dispatch.running)
        known = await self._database.read(
            lambda connection: set(connection.execute(sa.select(workers.c.worker)).scalars())
        )
        seen = {
            each.name
            for each in running
            if (each.name not in here if each.worker == self._worker else each.worker not in known)
        }
        orphans, self._orphans = sorted(seen & self._orphans), seen - self._orphans
        if orphans:
            await self._database.call(lambda: self._dispatch.resume(orphans))
        return len(orphans)

    async def dispatch_strays(self) -> int:
        """Dispatch the jobs that are to go on and have no workflow; tell how many there were.

        There should be none. It has to be seen twice in a row: what is enqueued with a job's
        change is there at once, but these are two readings.
        """
        seen = await self._database.read(self._without_workflow)
        again, self._strays = seen & self._strays, seen
        if again:
            await self._database.run(lambda connection: self._dispatch_again(connection, again))
        return len(again)

    def _without_workflow(self, connection: sa.Connection) -> set[str]:
        wanted = sa.select(jobs.c.key, jobs.c.state, jobs.c.attempt)
        found = connection.execute(wanted.where(jobs.c.state.in_(list(_NEEDS)))).all()
        known = self._dispatch.open_names(connection)
        return {
            row.key
            for row in found
            if workflow_name(_NEEDS[JobState(row.state)], row.key, row.attempt) not in known
        }

    def _dispatch_again(self, connection: sa.Connection, keys: set[str]) -> None:
        for key in sorted(keys):
            row = locked_row(connection, key)
            if row is not None and row.state in _NEEDS:
                change(connection, key, attempt=row.attempt + 1)
                workflow = _NEEDS[JobState(row.state)]
                self._dispatch.enqueue(connection, workflow, key, row.attempt + 1)

    async def leave(self) -> None:
        """Give the lease up: what is left is for others, at once."""

        def leave(connection: sa.Connection) -> None:
            connection.execute(
                workers.update().where(workers.c.worker == self._worker).values(beat_s=0.0)
            )

        await self._database.run(leave, for_s=1.0)
