"""What is known of jobs: submitting, reading, deciding; every method is one transaction."""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from attrs import frozen

from suno_async.durable.database import SUBMISSIONS, Database
from suno_async.durable.dispatch import SUBMIT, WATCH, Dispatch
from suno_async.durable.errors import JobConflict, JobNotFound, JobUndecidable
from suno_async.durable.records import (
    JobRecord,
    Standing,
    read_events,
    read_record,
    write_error,
    write_events,
    write_paths,
)
from suno_async.durable.rows import announce, change, locked_row, next_change, with_task
from suno_async.durable.tables import hints, jobs, sends, workers
from suno_async.durable.values import ENDED, Abandon, Adopt, Decision, DurableStats, JobState
from suno_async.durable.workers import LEASE_S
from suno_async.errors import SunoError
from suno_async.models import AddInstrumentalRequest, StageEvent, TaskDetails
from suno_async.storage import to_json

_DOUBTFUL = (JobState.UNCERTAIN, JobState.ABANDONED)
# a job in one of these does not go on by itself
_DECIDABLE = (*_DOUBTFUL, JobState.CANCELLED, JobState.FAILED)
# more jobs are submitted in several transactions
_CHUNK = 200


@frozen
class Wanted:
    """A job as it is submitted.

    Attributes:
        key: The caller's name for it.
        request: What is asked.
        stem: The file to upload before, or None.
        save_to: Where its audio goes, or None.
        covers: Whether the covers go there too.
    """

    key: str
    request: AddInstrumentalRequest
    stem: Path | None = None
    save_to: Path | None = None
    covers: bool = False


class Store:
    """Keeps the jobs.

    Args:
        database: Where.
        dispatch: Hands them to workers.
        patience_s: How long callers wait for a database that is away.
    """

    def __init__(self, database: Database, dispatch: Dispatch, patience_s: float) -> None:
        self._database = database
        self._dispatch = dispatch
        self._patience_s = patience_s

    # --- submitting -------------------------------------------------------------------------------

    async def submit(self, wanted: Sequence[Wanted]) -> None:
        """Add the jobs that are new.

        Raises:
            JobConflict: A key is used for something else; of its chunk, nothing was added.
            DatabaseFailed: They could not be recorded.
        """
        for start in range(0, len(wanted), _CHUNK):
            chunk = wanted[start : start + _CHUNK]
            work = partial(self._submit, chunk)
            await self._database.run(work, for_s=self._patience_s)

    def _submit(self, chunk: Sequence[Wanted], connection: sa.Connection) -> None:
        # so that two never add the same key, and numbers are in the order in which they appear
        self._database.take_turn(connection, SUBMISSIONS)
        columns = (jobs.c.key, jobs.c.request, jobs.c.stem, jobs.c.save_to, jobs.c.covers)
        keys = [each.key for each in chunk]
        found = connection.execute(sa.select(*columns).where(jobs.c.key.in_(keys)))
        known = {row.key: dict(row._mapping) for row in found}
        for each in chunk:
            asked = {
                "key": each.key,
                "request": to_json(each.request),
                "stem": str(each.stem) if each.stem is not None else None,
                "save_to": str(each.save_to) if each.save_to is not None else None,
                "covers": each.covers,
            }
            if each.key in known:
                if known[each.key] != asked:
                    raise JobConflict(each.key, _shown(known[each.key]), _shown(asked))
                continue
            known[each.key] = asked
            self._add(connection, asked)

    def _add(self, connection: sa.Connection, asked: dict[str, Any]) -> None:
        values = {
            **asked,
            "state": JobState.WAITING,
            "attempt": 1,
            "events": "[]",
            "changed": next_change(connection),
        }
        connection.execute(jobs.insert().values(**values))
        self._dispatch.enqueue(connection, SUBMIT, asked["key"], 1)
        announce(connection, job=asked["key"])

    # --- reading ----------------------------------------------------------------------------------

    async def record(self, key: str) -> JobRecord:
        """Read a job.

        Raises:
            JobNotFound: There is none under that key.
        """

        def read(connection: sa.Connection) -> JobRecord:
            row = connection.execute(sa.select(jobs).where(jobs.c.key == key)).one_or_none()
            if row is None:
                raise JobNotFound(key)
            return read_record(row)

        return await self._database.read(read, for_s=self._patience_s)

    async def records(
        self,
        *,
        prefix: str = "",
        states: Iterable[JobState] | None = None,
        after: int = 0,
        limit: int = 1000,
    ) -> list[JobRecord]:
        """Read jobs in the order in which they were submitted, behind a number."""
        query = sa.select(jobs).where(jobs.c.number > after, _under(prefix))
        if states is not None:
            query = query.where(jobs.c.state.in_(list(states)))
        query = query.order_by(jobs.c.number).limit(limit)

        def read(connection: sa.Connection) -> list[JobRecord]:
            return [read_record(row) for row in connection.execute(query)]

        return await self._database.read(read, for_s=self._patience_s)

    async def standing(self, prefix: str) -> list[Standing]:
        """Tell how the jobs under a prefix stand, in the order in which they settled."""
        columns = (jobs.c.key, jobs.c.state, jobs.c.settled_s, jobs.c.changed)
        query = sa.select(*columns).where(_under(prefix))

        def read(connection: sa.Connection) -> list[Standing]:
            rows = connection.execute(query.order_by(jobs.c.settled_s, jobs.c.number))
            return [
                Standing(row.key, JobState(row.state), row.settled_s, row.changed) for row in rows
            ]

        return await self._database.read(read, for_s=self._patience_s)

    async def now_s(self) -> float:
        """Tell the time that all workers share."""
        return await self._database.read(self._database.now_s, for_s=self._patience_s)

    # --- what a worker finds out ------------------------------------------------------------------

    async def upload_of(self, stem: Path, since_s: float) -> tuple[str, float] | None:
        """Give where and when a stem was uploaded last, for any job, unless that is longer ago."""
        query = (
            sa.select(jobs.c.uploaded_url, jobs.c.uploaded_s)
            .where(jobs.c.stem == str(stem), jobs.c.uploaded_url.is_not(None))
            .where(jobs.c.uploaded_s > since_s)
            .order_by(jobs.c.uploaded_s.desc())
            .limit(1)
        )

        def read(connection: sa.Connection) -> tuple[str, float] | None:
            found = connection.execute(query).one_or_none()
            return (found.uploaded_url, found.uploaded_s) if found is not None else None

        return await self._database.read(read)

    async def uploaded(self, key: str, url: str, at_s: float | None = None) -> None:
        """Note where a job's stem is, and since when; None for now."""

        def note(connection: sa.Connection) -> None:
            since_s = self._database.now_s(connection) if at_s is None else at_s
            change(connection, key, uploaded_url=url, uploaded_s=since_s)

        await self._database.run(note)

    async def forget_upload(self, url: str) -> None:
        """Forget an upload that the service cannot fetch, for whichever jobs it was."""
        dead = jobs.update().where(jobs.c.uploaded_url == url).values(uploaded_url=None)
        await self._database.run(lambda connection: connection.execute(dead))

    async def fail_unsent(self, key: str, error: SunoError) -> None:
        """Note why a job cannot be sent."""

        def note(connection: sa.Connection) -> None:
            row = locked_row(connection, key)
            if row is not None and row.state == JobState.WAITING:
                ended = {"state": JobState.FAILED, "settled_s": self._database.now_s(connection)}
                change(connection, key, **ended, **write_error(error))

        await self._database.run(note)

    async def reached(self, key: str, event: StageEvent) -> None:
        """Note a stage, unless it or a later one is noted."""

        def note(connection: sa.Connection) -> None:
            row = locked_row(connection, key)
            if row is None or row.state != JobState.RUNNING or row.task_id != event.task_id:
                return
            if (events := _with_event(row, event)) != row.events:
                change(connection, key, events=events)

        await self._database.run(note)

    async def end(
        self,
        key: str,
        task_id: str,
        *,
        details: TaskDetails | None = None,
        error: SunoError | None = None,
        last: StageEvent | None = None,
        files: Iterable[Path] = (),
        files_error: str | None = None,
    ) -> None:
        """Note how a job's task ended, and the last stage if that is not noted yet."""

        def note(connection: sa.Connection) -> None:
            row = locked_row(connection, key)
            if row is None or row.state != JobState.RUNNING or row.task_id != task_id:
                return
            change(
                connection,
                key,
                state=JobState.COMPLETE if error is None else JobState.FAILED,
                events=_with_event(row, last),
                details=to_json(details) if details is not None else None,
                files=write_paths(files),
                files_error=files_error,
                settled_s=self._database.now_s(connection),
                **write_error(error),
            )
            connection.execute(hints.delete().where(hints.c.token == row.token))

        await self._database.run(note)

    # --- what the caller decides ------------------------------------------------------------------

    async def cancel(self, key: str) -> bool:
        """Cancel a job of which nothing was sent; tell whether it was one."""

        def cancel(connection: sa.Connection) -> bool:
            row = self._existing(connection, key)
            if row.state != JobState.WAITING:
                return bool(row.state == JobState.CANCELLED)
            now_s = self._database.now_s(connection)
            change(connection, key, state=JobState.CANCELLED, settled_s=now_s)
            return True

        return await self._database.run(cancel, for_s=self._patience_s)

    async def decide(self, key: str, decision: Decision) -> None:
        """Decide what becomes of a job that does not go on by itself.

        Raises:
            JobNotFound: There is none under that key.
            JobUndecidable: It is in no state for that.
        """

        def decide(connection: sa.Connection) -> None:
            row = self._existing(connection, key)
            if isinstance(decision, Adopt) and row.task_id == decision.task_id:
                return
            if row.state not in (_DOUBTFUL if isinstance(decision, Abandon) else _DECIDABLE):
                raise JobUndecidable(key, row.state, type(decision).__name__)
            if isinstance(decision, Abandon):
                self._abandon(connection, row)
            elif isinstance(decision, Adopt):
                self._begin_again(connection, row, JobState.RUNNING, decision.task_id)
            else:
                self._begin_again(connection, row, JobState.WAITING, None)
                if decision.stem is not None:
                    change(connection, key, stem=str(decision.stem), uploaded_url=None)

        await self._database.run(decide, for_s=self._patience_s)

    def _abandon(self, connection: sa.Connection, row: sa.Row[Any]) -> None:
        if row.state == JobState.UNCERTAIN:
            now_s = self._database.now_s(connection)
            change(connection, row.key, state=JobState.ABANDONED, settled_s=now_s)

    def _begin_again(
        self, connection: sa.Connection, row: sa.Row[Any], state: JobState, task_id: str | None
    ) -> None:
        attempt = row.attempt + 1
        adopted = task_id is not None
        change(
            connection,
            row.key,
            state=state,
            attempt=attempt,
            # a callback to the URL of a send that is given up tells of a task besides
            token=row.token if adopted else None,
            task_id=task_id,
            submitted_s=row.submitted_s or self._database.now_s(connection) if adopted else None,
            other_tasks=with_task(row, row.task_id),
            events="[]",
            details=None,
            files=None,
            files_error=None,
            settled_s=None,
            **write_error(None),
        )
        self._dispatch.enqueue(connection, WATCH if adopted else SUBMIT, row.key, attempt)

    @staticmethod
    def _existing(connection: sa.Connection, key: str) -> sa.Row[Any]:
        row = locked_row(connection, key)
        if row is None:
            raise JobNotFound(key)
        return row

    # --- housekeeping -----------------------------------------------------------------------------

    async def prune(self, older_than_s: float) -> int:
        """Delete jobs that ended that long ago; tell how many."""
        before_s = await self.now_s() - older_than_s
        old = sa.and_(jobs.c.state.in_(list(ENDED)), jobs.c.settled_s < before_s)
        query = sa.select(jobs.c.key, jobs.c.attempt).where(old).limit(_CHUNK)

        def find(connection: sa.Connection) -> list[tuple[str, int]]:
            return [(row.key, row.attempt) for row in connection.execute(query)]

        def delete(keys: list[str], connection: sa.Connection) -> int:
            there = sa.select(jobs.c.key).where(old, jobs.c.key.in_(keys)).with_for_update()
            gone = list(connection.execute(there).scalars())
            connection.execute(jobs.delete().where(jobs.c.key.in_(gone)))
            connection.execute(sends.delete().where(sends.c.key.in_(gone)))
            return len(gone)

        pruned = 0
        while found := await self._database.read(find, for_s=self._patience_s):
            # first, since a job that is submitted later under the same key has the same workflows
            await self._database.call(partial(self._dispatch.forget, found))
            work = partial(delete, [key for key, _ in found])
            pruned += await self._database.run(work, for_s=self._patience_s)
        return pruned

    async def stats(self) -> DurableStats:
        """Tell how the jobs stand."""

        def read(connection: sa.Connection) -> DurableStats:
            count = sa.func.count()
            rows = connection.execute(sa.select(jobs.c.state, count).group_by(jobs.c.state))
            counted = Counter({JobState(state): number for state, number in rows})
            now_s = self._database.now_s(connection)
            alive = (
                connection.execute(
                    sa.select(workers.c.per_window).where(workers.c.beat_s > now_s - LEASE_S)
                )
                .scalars()
                .all()
            )
            taken = sa.or_(sends.c.free_s.is_(None), sends.c.free_s > now_s)
            sent = connection.execute(sa.select(count).select_from(sends).where(taken)).scalar()
            left = max(min(alive) - (sent or 0), 0) if alive else None
            return DurableStats(dict(counted), left, len(alive))

        return await self._database.read(read, for_s=self._patience_s)


def _with_event(row: sa.Row[Any], event: StageEvent | None) -> str:
    """Give the column of a job's stages with one more, unless it or a later one is there."""
    written: str = row.events
    if event is None:
        return written
    known = read_events(written)
    return write_events([*known, event]) if len(known) == event.stage.position else written


def _under(prefix: str) -> sa.ColumnElement[bool]:
    """Tell which keys begin so; SQLite's LIKE would take upper and lower case for the same."""
    return sa.func.substr(jobs.c.key, 1, len(prefix)) == prefix


def _shown(asked: dict[str, Any]) -> str:
    """Give what a job asks for as JSON, without what is not there."""
    there = {name: value for name, value in asked.items() if name != "key" and value}
    there["request"] = json.loads(asked["request"])
    return json.dumps(there, ensure_ascii=False)
