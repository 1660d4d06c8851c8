"""What the caller holds: submit jobs, follow them, decide about them, and work on them."""

import asyncio
import logging
import os
import socket
from collections.abc import AsyncGenerator, Iterable
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Self, cast
from uuid import uuid4

from suno_async.callbacks import CallbackReceiver
from suno_async.durable.database import Database, read_url, shown
from suno_async.durable.dispatch import SUBMIT, WATCH, Dispatch
from suno_async.durable.engine import Engine
from suno_async.durable.errors import JobNotFound
from suno_async.durable.fleet import Fleet
from suno_async.durable.job import Job
from suno_async.durable.notices import LOOK_AGAIN_S, Notices
from suno_async.durable.owner import FileOwner
from suno_async.durable.sends import FleetLimits, Sends
from suno_async.durable.store import Store, Wanted
from suno_async.durable.submitting import Submitting
from suno_async.durable.values import (
    ENDED,
    Abandon,
    Adopt,
    Decision,
    DurableStats,
    JobState,
    Resubmit,
)
from suno_async.durable.watching import Watching
from suno_async.durable.workers import Workers
from suno_async.errors import InvalidRequest, SessionClosed
from suno_async.limits import checked_seconds
from suno_async.models import AddInstrumentalRequest, CallbackNotice, Outcome
from suno_async.session import SunoSession

_log = logging.getLogger("suno_async.durable")

_PATIENCE_S = 60.0
_ENTERING_S = 10.0
# how long leaving waits for answers to paid calls, before and after their session is left
_LAST_ANSWERS_S = 2.0
_LONGEST_KEY = 200
_COALESCE_S = 0.05


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
            _check_receiver(receiver)
        self._session = session if works else None
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
        async with AsyncExitStack() as stack:
            await self._enter(stack)
            self._leaving = stack.pop_all()
        self._open = True
        return self

    async def _enter(self, stack: AsyncExitStack) -> None:
        database = Database(self._url)
        stack.push_async_callback(database.aclose)
        if self._session is not None and database.is_sqlite:
            owner = FileOwner(database)
            owner.take()
            stack.callback(owner.give)
        await database.prepare()
        dispatch = await database.call(lambda: Dispatch(self._url), for_s=_ENTERING_S)
        stack.callback(dispatch.close)
        self._store = Store(database, dispatch, _PATIENCE_S)
        limits = _fleet_limits(self._session)
        self._sends = Sends(database, dispatch, self._worker, limits, self._reconcile_s)
        self._notices = Notices(database, self._hint)
        self._watching: Watching | None = None
        if self._session is not None:
            workers = Workers(database, dispatch, self._worker, limits, self._reconcile_s)
            await self._work(stack, self._session, workers, alone=database.is_sqlite)
        self._notices.start(always=self._session is not None)
        stack.push_async_callback(self._notices.aclose)
        if self._receiver is not None:
            self._receiver.add_unplaced(self._called_back)
            stack.callback(self._receiver.remove_unplaced, self._called_back)

    async def _work(
        self, stack: AsyncExitStack, session: SunoSession, workers: Workers, *, alone: bool
    ) -> None:
        around = (session, self._store, self._sends, self._receiver)
        limits = session.limits
        own = not session.is_open
        if own:
            await session.__aenter__()
        submitting = Submitting(*around)
        self._watching = watching = Watching(*around)
        runs = {SUBMIT: submitting.run, WATCH: watching.run}
        engine = Engine(self._url, self._worker, runs, limits.max_concurrent_submissions)
        fleet = Fleet(workers, limits, lambda: engine.running, engine.interrupt)

        async def leave() -> None:
            """End in an order in which nothing that was paid for goes unrecorded."""
            async with AsyncExitStack() as last:
                last.push_async_callback(fleet.aclose)
                last.push_async_callback(engine.aclose)
                last.push_async_callback(watching.aclose)
                last.callback(submitting.detach)
                last.push_async_callback(submitting.ended, _LAST_ANSWERS_S)
                if own:
                    last.push_async_callback(session.__aexit__, None, None, None)
                last.push_async_callback(submitting.ended, _LAST_ANSWERS_S)
                submitting.close()
                engine.close()

        stack.push_async_callback(leave)
        await fleet.join(alone=alone)
        await engine.start()
        fleet.start()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if not self._open:
            return
        self._open = False
        # in a task of its own, which is waited for: a cancellation skips nothing
        closing = asyncio.create_task(self._leaving.aclose())
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

    def _check_open(self) -> None:
        if not self._open:
            raise SessionClosed

    # --- callbacks --------------------------------------------------------------------------------

    async def _called_back(self, notice: CallbackNotice) -> None:
        await self._sends.called_back(notice)

    def _hint(self) -> None:
        if self._watching is not None:
            self._watching.hint()

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
        wanted = _wanted(key, request, stem, save_to, covers)
        await self._store.submit([wanted])
        return await self.job(key)

    async def submit_many(
        self,
        pairs: Iterable[tuple[str, AddInstrumentalRequest]],
        *,
        save_to: str | os.PathLike[str] | None = None,
        covers: bool = False,
    ) -> int:
        """Record many jobs, in order, as `submit` does; tell how many pairs there were.

        They are recorded some hundreds at a time: an error leaves earlier ones recorded, and the
        same call again records the rest.

        Raises:
            InvalidRequest: A key or request breaks its rule; nothing was recorded.
            JobConflict: A key belongs to a job that asks for something else.
            DatabaseFailed: They could not be recorded.
            SessionClosed: This object is not open.
        """
        self._check_open()
        wanted = [_wanted(key, request, None, save_to, covers) for key, request in pairs]
        await self._store.submit(wanted)
        return len(wanted)

    # --- reading ----------------------------------------------------------------------------------

    async def job(self, key: str) -> Job:
        """Get a job, from any process.

        Raises:
            JobNotFound: There is none under that key.
            DatabaseFailed: The database is away.
            SessionClosed: This object is not open.
        """
        self._check_open()
        return Job(await self._store.record(_checked_key(key)), self._store, self._notices)

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
        prefix, states = _checked_prefix(prefix), _states(state)
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
        prefix = _checked_prefix(prefix)
        given: set[str] = set()
        with self._notices.watching() as changed:
            while True:
                changed.clear()
                open_until = 0.0
                now_s = await self._store.now_s()
                standing = await self._store.standing(prefix)
                for key, state, settled_s in standing:
                    waits = state is JobState.UNCERTAIN and (settled_s or 0.0) > now_s
                    if waits or (state not in ENDED and state is not JobState.UNCERTAIN):
                        open_until = LOOK_AGAIN_S
                    elif key not in given:
                        given.add(key)
                        try:
                            outcome = (await self.job(key)).outcome
                        except JobNotFound:  # it was pruned meanwhile
                            continue
                        yield key, outcome
                if not open_until:
                    return
                await _wait(changed, open_until)
                await asyncio.sleep(_COALESCE_S)  # what changes at the same time is read once

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
        if not isinstance(cast("object", decision), Resubmit | Adopt | Abandon):
            raise InvalidRequest("decision", decision, "must be a Resubmit, Adopt or Abandon")
        if isinstance(decision, Adopt) and not decision.task_id.strip():
            raise InvalidRequest("task_id", decision.task_id, "must be text that is not blank")
        await self._store.decide(_checked_key(key), decision)
        return await self.job(key)

    async def cancel(self, key: str) -> bool:
        """Cancel a job of which nothing was sent.

        Returns:
            Whether it is cancelled; False when it was sent, or has ended.

        Raises:
            JobNotFound: There is none under that key.
        """
        self._check_open()
        return await self._store.cancel(_checked_key(key))

    async def prune(self, older_than: timedelta | float) -> int:
        """Delete jobs that ended so long ago (a number is seconds); tell how many."""
        self._check_open()
        return await self._store.prune(checked_seconds("older_than", older_than))


def _check_receiver(receiver: CallbackReceiver) -> None:
    try:
        receiver.expect(token=receiver.expect().token)
    except InvalidRequest as error:
        rule = "must have a secret, so that every process knows its URLs"
        raise InvalidRequest("receiver", receiver, rule) from error


def _fleet_limits(session: SunoSession | None) -> FleetLimits:
    if session is None:  # it sends nothing
        return FleetLimits(1, 10.0, 1, 1)
    limits = session.limits
    count, window = limits.submissions_per_window
    return FleetLimits(
        per_window=count,
        window_s=window.total_seconds(),
        sending=limits.max_concurrent_submissions,
        in_flight=session.max_in_flight,
    )


def _checked_key(key: str) -> str:
    rule = f"must be 1 to {_LONGEST_KEY} printable characters"
    if not isinstance(cast("object", key), str) or not 0 < len(key) <= _LONGEST_KEY:
        raise InvalidRequest("key", key, rule)
    if not key.isprintable() or key != key.strip():
        raise InvalidRequest("key", key, f"{rule}, without space at its ends")
    return key


def _wanted(
    key: str,
    request: AddInstrumentalRequest,
    stem: str | os.PathLike[str] | None,
    save_to: str | os.PathLike[str] | None,
    covers: bool,
) -> Wanted:
    if not isinstance(cast("object", request), AddInstrumentalRequest):
        raise InvalidRequest("request", request, "must be an AddInstrumentalRequest")
    paths = (_absolute("stem", stem), _absolute("save_to", save_to))
    return Wanted(_checked_key(key), request, *paths, bool(covers))


def _absolute(name: str, path: str | os.PathLike[str] | None) -> Path | None:
    if path is None:
        return None
    try:
        absolute = Path(path).expanduser().absolute()
        str(absolute).encode()
    except (TypeError, ValueError, RuntimeError) as error:
        raise InvalidRequest(name, path, "must be a path") from error
    if "\0" in str(absolute):
        raise InvalidRequest(name, path, "must be a path")
    return absolute


def _checked_prefix(prefix: str) -> str:
    if not isinstance(cast("object", prefix), str) or not prefix.isprintable():
        raise InvalidRequest("prefix", prefix, "must be printable text, such as a key begins with")
    return prefix


def _states(state: JobState | Iterable[JobState] | None) -> tuple[JobState, ...] | None:
    if state is None:
        return None
    try:
        return tuple(map(JobState, (state,) if isinstance(state, str) else state))
    except (TypeError, ValueError) as error:
        rule = f"must be a JobState, or several: {', '.join(JobState)}"
        raise InvalidRequest("state", state, rule) from error


async def _wait(changed: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await changed.wait()
    except TimeoutError:
        pass
