"""What the caller holds: submit jobs, follow them, decide about them, and work on them."""

import asyncio
import os
import socket
from collections.abc import AsyncGenerator, Iterable
from contextlib import AsyncExitStack, aclosing
from datetime import timedelta
from types import TracebackType
from typing import Self
from uuid import uuid4

from suno_async.callbacks import CallbackReceiver
from suno_async.durable.arguments import (
    check_decision,
    check_receiver,
    checked_key,
    checked_prefix,
    checked_states,
    wanted_job,
)
from suno_async.durable.database import ENTERING_S, Database, read_url, shown
from suno_async.durable.dispatch import Dispatch
from suno_async.durable.following import following
from suno_async.durable.job import Job
from suno_async.durable.notices import Notices
from suno_async.durable.owner import FileOwner
from suno_async.durable.records import JobRecord
from suno_async.durable.sends import Sends
from suno_async.durable.store import Store
from suno_async.durable.values import Decision, DurableStats, JobState
from suno_async.durable.worker import Worker, fleet_limits
from suno_async.durable.workers import Workers
from suno_async.errors import InvalidRequest, SessionClosed
from suno_async.limits import checked_seconds
from suno_async.models import AddInstrumentalRequest, CallbackNotice
from suno_async.outcomes import Outcome
from suno_async.session import SunoSession

_PATIENCE_S = 60.0


class DurableSuno:
    """Jobs in a database, to be entered with `async with`.

    With a session it is a worker: it submits and watches the jobs that any process has submitted.
    Without one, or with `worker=False`, it submits and reads only, for web processes beside worker
    processes. On PostgreSQL any number of workers share one account's limits; on SQLite one worker
    owns the file. Jobs of workers that die are taken over within some seconds.

    No job is paid for twice: its paid call is claimed in the database before it is sent, and a
    claim whose outcome nobody saw makes the job uncertain. With a receiver, a callback to any
    process proves it; otherwise `decide` does.

    Args:
        url: `sqlite:///path/to/file`, or `postgresql://user:password@host/database`, where it has
            a schema of its own, `suno_async`.
        session: Submits and watches. It is entered and left with this object, unless it is open
            already. Its `AccountLimits` and `max_in_flight` hold for all workers together: give
            each the same ones. Its polls per second are divided among the workers.
        worker: Whether to work on jobs here; None for yes with a session.
        receiver: Gets callbacks for any job in any process; None takes the session's. It needs a
            `secret`, the same in every process.
        reconcile_for: How long to wait for a callback that proves an uncertain submission (a
            number is seconds).
        name: Of this worker, for logs; host and process unless given.

    Raises:
        InvalidRequest: An argument breaks its rule.
    """

    def __init__(
        self,
        url: str,
        session: SunoSession | None = None,
        worker: bool | None = None,
        *,
        receiver: CallbackReceiver | None = None,
        reconcile_for: timedelta | float = timedelta(minutes=5),
        name: str | None = None,
    ) -> None:
        self._url = read_url(url)
        works = session is not None if worker is None else worker
        if works and session is None:
            raise InvalidRequest("session", None, "must be there for a worker")
        if receiver is None and session is not None:
            receiver = session.receiver
        if receiver is not None:
            check_receiver(receiver)
        self._session = session if works else None
        self._limits = fleet_limits(session)
        self._receiver = receiver
        reconcile_s = checked_seconds("reconcile_for", reconcile_for)
        self._reconcile_s = reconcile_s if receiver is not None else 0.0  # nobody would tell
        # no other process has it, nor had it: a worker that comes back is a new one
        host = name or f"{socket.gethostname()}-{os.getpid()}"
        self._worker = f"{host}-{uuid4().hex[:8]}"
        self._entered = self._open = False

    def __repr__(self) -> str:
        return f"<DurableSuno at {shown(self._url)}>"

    # --- its life ---------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        if self._entered:
            raise SessionClosed
        self._entered = True
        self._leaving = AsyncExitStack()
        try:
            await self._enter(self._leaving)
        except BaseException:
            await _close(self._leaving)
            raise
        self._open = True
        return self

    async def _enter(self, stack: AsyncExitStack) -> None:
        database = Database(self._url)
        stack.push_async_callback(database.aclose)
        self._owner = FileOwner(database) if database.is_sqlite else None
        if self._session is not None and self._owner is not None:
            self._owner.take()
            stack.callback(self._owner.give)
        await database.prepare()
        dispatch = await database.call(lambda: Dispatch(self._url), for_s=ENTERING_S)
        stack.callback(dispatch.close)
        self._store = Store(database, dispatch, _PATIENCE_S)
        about = (self._worker, self._limits, self._reconcile_s)
        self._sends = Sends(database, dispatch, *about)
        self._workers = Workers(database, dispatch, *about)
        self._notices = Notices(database, self._hint)
        self._working: Worker | None = None
        if self._session is not None:
            self._working = Worker(
                self._url,
                self._worker,
                self._session,
                store=self._store,
                sends=self._sends,
                workers=self._workers,
                receiver=self._receiver,
            )
            stack.push_async_callback(self._working.aclose)
            await self._working.start(alone=database.is_sqlite)
        self._notices.start(always=self._session is not None)
        stack.push_async_callback(self._notices.aclose)
        if self._receiver is not None:
            self._receiver.add_unplaced(self._called_back)
            stack.callback(self._receiver.remove_unplaced, self._called_back)

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._open:
            self._open = False
            await _close(self._leaving)

    def _check_open(self) -> None:
        if not self._open:
            raise SessionClosed

    # --- callbacks --------------------------------------------------------------------------------

    async def _called_back(self, notice: CallbackNotice) -> None:
        await self._sends.called_back(notice)

    def _hint(self) -> None:
        if self._working is not None:
            self._working.hint()

    # --- submitting -------------------------------------------------------------------------------

    async def submit(
        self,
        key: str,
        request: AddInstrumentalRequest,
        stem: str | os.PathLike[str] | None = None,
        *,
        save_to: str | os.PathLike[str] | None = None,
        covers: bool = False,
    ) -> Job:
        """Record a job, which some worker submits; with a known key, return the job that has it.

        Args:
            key: Your own name for it, up to 200 printable characters. Slashes make prefixes:
                `album/3`.
            request: What to ask for.
            stem: A file that the worker uploads first, again when the upload has expired; its URL
                then replaces the request's `upload_url`, which may be `STEM_URL`.
            save_to: A folder in which the worker saves the audio, whole and once, before the job
                is complete.
            covers: Whether to save the cover images there too.

        Raises:
            InvalidRequest: An argument breaks its rule.
            JobConflict: The key belongs to a job that asks for something else.
            DatabaseFailed: It could not be recorded; nothing will be sent.
            SessionClosed: This object is not open.
        """
        self._check_open()
        wanted = wanted_job(key, request, stem, save_to, covers)
        await self._store.submit([wanted])
        return await self.job(key)

    async def submit_many(
        self,
        pairs: Iterable[
            tuple[str, AddInstrumentalRequest]
            | tuple[str, AddInstrumentalRequest, str | os.PathLike[str] | None]
        ],
        *,
        save_to: str | os.PathLike[str] | None = None,
        covers: bool = False,
    ) -> int:
        """Record many jobs, in order, as `submit` does; tell how many pairs there were.

        They are recorded some hundreds at a time: an error leaves earlier ones recorded, and the
        same call again records the rest.

        Args:
            pairs: A key and a request each, and as a third value, if there is one, a stem.
            save_to: As in `submit`, for all.
            covers: As in `submit`, for all.

        Raises:
            InvalidRequest: A key or request breaks its rule; nothing was recorded.
            JobConflict: A key belongs to a job that asks for something else.
            DatabaseFailed: They could not be recorded.
            SessionClosed: This object is not open.
        """
        self._check_open()
        wanted = [
            wanted_job(key, request, stem[0] if stem else None, save_to, covers)
            for key, request, *stem in pairs
        ]
        await self._store.submit(wanted)
        return len(wanted)

    async def recover(self) -> None:
        """Settle at once what dead workers had begun to send, as the next worker would.

        Then their jobs can be decided about before a worker is there that would go on with others.

        Raises:
            WorkerRefused: The file's worker is alive.
            DatabaseFailed: The database is away.
            SessionClosed: This object is not open.
        """
        self._check_open()
        if self._owner is None or self._working is not None:
            await self._workers.take_over()
            return
        self._owner.take()
        try:
            await self._workers.take_over(at_once=True)
        finally:
            self._owner.give()

    def stop_submitting(self) -> None:
        """Begin no paid call here any more, until this object is left.

        What is on its way is recorded, and what was paid for is watched on. Jobs that wait are
        submitted when a worker is there again.
        """
        self._check_open()
        if self._working is not None:
            self._working.stop_submitting()

    # --- reading ----------------------------------------------------------------------------------

    async def job(self, key: str) -> Job:
        """Get a job, from any process.

        Raises:
            JobNotFound: There is none under that key.
            DatabaseFailed: The database is away.
            SessionClosed: This object is not open.
        """
        self._check_open()
        return Job(await self._store.record(checked_key(key)), self._store, self._notices)

    async def jobs(
        self, prefix: str = "", state: JobState | Iterable[JobState] | None = None
    ) -> AsyncGenerator[Job, None]:
        """Yield jobs in the order in which they were submitted.

        Args:
            prefix: What their keys begin with.
            state: A state, or several; None for all.

        Raises:
            InvalidRequest: The prefix is no text that a key could begin with, or it is no state.
            DatabaseFailed: The database is away.
            SessionClosed: This object is not open.
        """
        self._check_open()
        prefix, states = checked_prefix(prefix), checked_states(state)
        last = 0
        while found := await self._store.records(prefix=prefix, states=states, after=last):
            for record in found:
                yield Job(record, self._store, self._notices)
            last = found[-1].number

    async def outcomes(self, prefix: str = "") -> AsyncGenerator[tuple[str, Outcome], None]:
        """Yield each job's key and outcome as it ends; first those that have ended already.

        An uncertain job is one that has ended, when no callback is waited for any more. Jobs that
        are submitted meanwhile count too; it ends when all have ended.

        Args:
            prefix: What their keys begin with.

        Yields:
            The key, and an `Outcome` whose `position` is the job's number in the database.
        """
        self._check_open()
        given: set[str] = set()
        async with aclosing(self._following(prefix)) as found:
            async for record, settled in found:
                if settled and record.key not in given:
                    given.add(record.key)
                    yield record.key, record.outcome

    async def follow(self, prefix: str = "") -> AsyncGenerator[Job, None]:
        """Yield each job as it stands, and again whenever it has changed.

        Changes that come at the same time are seen as one. Jobs that are submitted meanwhile count
        too; it ends when all have ended, as `outcomes` does.

        Args:
            prefix: What their keys begin with.

        Raises:
            InvalidRequest: The prefix is no text that a key could begin with.
            DatabaseFailed: The database is away.
            SessionClosed: This object is not open.
        """
        self._check_open()
        async with aclosing(self._following(prefix)) as found:
            async for record, _ in found:
                yield Job(record, self._store, self._notices)

    def _following(self, prefix: str) -> AsyncGenerator[tuple[JobRecord, bool], None]:
        return following(self._store, self._notices, checked_prefix(prefix))

    async def uncertain(self, prefix: str = "") -> list[Job]:
        """Give the jobs that were sent without anybody knowing what became of them, in order."""
        return [job async for job in self.jobs(prefix, JobState.UNCERTAIN)]

    async def stats(self) -> DurableStats:
        """Tell how the jobs stand."""
        self._check_open()
        return await self._store.stats()

    # --- deciding ---------------------------------------------------------------------------------

    async def decide(self, key: str, decision: Decision) -> Job:
        """Decide what becomes of a job that does not go on by itself; return it.

        `Resubmit` pays again for what is uncertain, abandoned, cancelled or failed; `Adopt` takes
        a task of the account for its own; `Abandon` looks no further after an uncertain one.

        Raises:
            JobUndecidable: The job goes on, or is complete.
            JobNotFound: There is none under that key.
            InvalidRequest: It is no decision, or its task id is blank.
        """
        self._check_open()
        check_decision(decision)
        await self._store.decide(checked_key(key), decision)
        return await self.job(key)

    async def cancel(self, key: str) -> bool:
        """Cancel a job of which nothing was sent.

        Returns:
            Whether it is cancelled; False when it was sent, or has ended.

        Raises:
            JobNotFound: There is none under that key.
        """
        self._check_open()
        return await self._store.cancel(checked_key(key))

    async def prune(self, older_than: timedelta | float) -> int:
        """Delete jobs that ended longer ago than this (a number is seconds); tell how many.

        Raises:
            InvalidRequest: It is no length of time, or not more than zero.
            DatabaseFailed: The database is away.
            SessionClosed: This object is not open.
        """
        self._check_open()
        return await self._store.prune(checked_seconds("older_than", older_than))


async def _close(leaving: AsyncExitStack) -> None:
    """Close in a task of its own, which is waited for: a cancellation skips nothing."""
    closing = asyncio.create_task(leaving.aclose())
    cancelled: asyncio.CancelledError | None = None
    while not closing.done():
        try:
            await asyncio.wait({closing})
        except asyncio.CancelledError as again:
            cancelled = again
    failure = closing.exception()
    if cancelled is not None:
        raise cancelled from failure
    if failure is not None:
        raise failure
