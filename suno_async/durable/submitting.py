"""Submits the jobs that wait: uploads their stems, claims their paid calls, sends them once."""

import asyncio
import logging
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar
from weakref import WeakValueDictionary

from attrs import evolve

from suno_async.callbacks import CallbackReceiver
from suno_async.durable.errors import DatabaseFailed
from suno_async.durable.records import JobRecord
from suno_async.durable.sends import SEND_WITHIN_S, Claim, NotYet, Sends, new_token
from suno_async.durable.store import Store
from suno_async.durable.values import JobState
from suno_async.errors import (
    ApiError,
    ConnectionFailed,
    InvalidRequest,
    Maintenance,
    NotSubmitted,
    ProtocolError,
    RateLimited,
    ServerError,
    SessionClosed,
    SourceUnavailable,
    SubmissionUncertain,
    SunoError,
    described,
    one_line,
)
from suno_async.models import AddInstrumentalRequest
from suno_async.observe import Accepted, Found, Observation
from suno_async.session import SunoSession

T = TypeVar("T")

_log = logging.getLogger("suno_async.durable")

# docs: the service deletes uploads after 3 days; upstream: after 24 hours
_UPLOAD_LASTS_S = 20 * 3600.0
_UPLOAD_TRIES = 8
# between two tries of what was certainly not taken
_FIRST_WAIT_S = 1.0
_LONGEST_WAIT_S = 60.0
# how long one worker's claims are kept from the database while the limits are used up
_LONGEST_LOOK_S = 1.0

_PASSING = (ConnectionFailed, ServerError, ProtocolError)


class Submitting:
    """Submits jobs.

    Args:
        session: Sends them; open for as long as this works.
        store: Keeps the jobs.
        sends: Gives out the right to send.
        receiver: Makes callback URLs that any process knows; None without one.
    """

    def __init__(
        self,
        session: SunoSession,
        store: Store,
        sends: Sends,
        receiver: CallbackReceiver | None,
    ) -> None:
        self._session = session
        self._store = store
        self._sends = sends
        self._receiver = receiver
        self._turn = asyncio.Lock()
        self._paying: set[asyncio.Task[Any]] = set()
        # by the identity of the requests that are being sent here, which live as long
        self._named: dict[int, tuple[str, float] | None] = {}
        self._unrecorded: dict[str, tuple[str, str]] = {}
        self._unfetched: set[str] = set()
        self._stopped = self._closed = False
        self._uploading: WeakValueDictionary[Path, asyncio.Lock] = WeakValueDictionary()
        session.add_observer(self._observe)

    def stop(self) -> None:
        """Begin no paid call any more; jobs that were to be sent wait until their workflow ends."""
        self._stopped = True

    def close(self) -> None:
        """Begin no paid call any more, and have the workflows of jobs that wait cut off."""
        self._stopped = self._closed = True

    async def ended(self, within_s: float) -> None:
        """Wait until the paid calls that are under way have ended and are recorded."""
        if self._paying:
            await asyncio.wait(self._paying, timeout=within_s)

    def detach(self) -> None:
        """Leave the session as it was; tell of the tasks that could not be recorded."""
        self._session.remove_observer(self._observe)
        for key, task_id in self._unrecorded.values():
            _log.warning(
                "job %r has made task %s, which could not be recorded: adopt it",
                key,
                one_line(task_id),
                extra={"task_id": task_id},
            )

    # --- one job ----------------------------------------------------------------------------------

    async def run(self, key: str) -> None:
        """Run a job until it is accepted, refused or uncertain, or nothing more is to be sent."""
        again_s = _FIRST_WAIT_S
        try:
            while True:
                record = await self._store.record(key)
                if self._closed:  # its workflow must not end, for the job goes on later
                    raise asyncio.CancelledError
                if self._stopped:
                    await asyncio.sleep(_LONGEST_LOOK_S)
                    continue
                if record.state is JobState.SENDING:
                    # by an earlier execution, here or elsewhere, which may yet give it back
                    await asyncio.sleep(_LONGEST_LOOK_S)
                    continue
                if record.state is not JobState.WAITING:
                    return
                if not await self._tried(record):
                    return
                await asyncio.sleep(again_s)
                again_s = min(2 * again_s, _LONGEST_WAIT_S)
        finally:
            self._unfetched.discard(key)

    async def _tried(self, record: JobRecord) -> bool:
        """Try to send it; tell whether it is to be tried again."""
        try:
            request = await self._prepared(record)
        except SessionClosed:
            raise asyncio.CancelledError from None
        except DatabaseFailed:
            raise
        except SunoError as error:
            if _is_away(error):
                _log.info("job %r: its stem is not uploaded yet: %s", record.key, error)
                return True
            failure = error
        except OSError as error:
            rule = f"must be a file that the worker can read ({error.strerror})"
            failure = InvalidRequest("stem", str(record.stem), rule)
        else:
            return await self._sent(record.key, request)
        await self._store.fail_unsent(record.key, failure)
        return False

    async def _prepared(self, record: JobRecord) -> AddInstrumentalRequest:
        """Give the request, with the URL of its stem."""
        if record.stem is None:
            return record.request
        return evolve(record.request, upload_url=await self._uploaded(record, record.stem))

    async def _uploaded(self, record: JobRecord, stem: Path) -> str:
        """Upload a stem unless it is there; jobs with the same one do so one after the other."""
        async with self._uploading.setdefault(stem, asyncio.Lock()):
            oldest_s = await self._store.now_s() - _UPLOAD_LASTS_S
            if record.uploaded_url is not None and (record.uploaded_s or 0.0) > oldest_s:
                return record.uploaded_url
            known = await self._known_upload(stem, oldest_s)
            url, at_s = (await self._upload(stem), None) if known is None else known
            await self._store.uploaded(record.key, url, at_s)
            return url

    async def _known_upload(self, stem: Path, oldest_s: float) -> tuple[str, float] | None:
        """Give where another job has uploaded the same file, unless it was changed since."""
        try:
            found = await asyncio.to_thread(stem.stat)
        except OSError:
            return None
        return await self._store.upload_of(stem, max(oldest_s, found.st_mtime, found.st_ctime))

    async def _upload(self, stem: Path) -> str:
        wait_s = _FIRST_WAIT_S
        for _ in range(_UPLOAD_TRIES - 1):
            try:
                return await self._session.upload(stem)
            except _PASSING as error:
                if _is_away(error):
                    raise
            await asyncio.sleep(wait_s)
            wait_s = min(2 * wait_s, _LONGEST_WAIT_S)
        return await self._session.upload(stem)

    # --- its paid call ----------------------------------------------------------------------------

    async def _sent(self, key: str, request: AddInstrumentalRequest) -> bool:
        """Send it when the limits allow; tell whether it is to be tried again."""
        token, request = self._with_token(request)
        while True:
            async with self._turn:  # one of this worker's jobs asks at a time
                if self._stopped:
                    return True
                wait_s = max(self._session.stats().pause_left_s, 0.0)
                if not wait_s:
                    claimed = await self._unbroken(self._claim(key, token, request))
                    if not isinstance(claimed, NotYet):
                        break
                    wait_s = claimed.wait_s
                await asyncio.sleep(min(wait_s, _LONGEST_LOOK_S))
        return False if claimed is None else await asyncio.shield(claimed)

    def _with_token(self, request: AddInstrumentalRequest) -> tuple[str, AddInstrumentalRequest]:
        """Draw a token for an execution, never for a job.

        One that is begun again has another token, and finds the first in the job's row.
        """
        if self._receiver is None or request.callback_url is not None:
            return new_token(), evolve(request)
        expectation = self._receiver.expect()
        return expectation.token, evolve(request, callback_url=expectation.url)

    async def _claim(
        self, key: str, token: str, request: AddInstrumentalRequest
    ) -> "NotYet | asyncio.Task[bool] | None":
        """Claim and begin to send, in one go that nothing comes between."""
        began_s = time.monotonic()
        claim = await self._sends.claim(key, token)
        if claim is None or isinstance(claim, NotYet):
            return claim
        return self._start(self._send(claim, request, began_s))

    async def _send(self, claim: Claim, request: AddInstrumentalRequest, began_s: float) -> bool:
        """Send, and record what became of it; tell whether it may be sent again."""
        left_s = began_s + SEND_WITHIN_S - time.monotonic()
        if self._stopped or left_s <= 0:
            await self._sends.give_back(claim)
            return True
        failure: Exception | None = None
        self._named[id(request)] = None
        try:
            await self._session.submit(request, send_within=left_s)
        except Exception as error:  # noqa: BLE001 - what was paid for is recorded whatever it is
            failure = error
        finally:
            named = self._named.pop(id(request))
        if named is not None:
            await self._accept(claim, *named)
            return False
        return await self._settle(claim, request, failure)

    async def _accept(self, claim: Claim, task_id: str, submitted_s: float) -> None:
        self._unrecorded[claim.token] = (claim.key, task_id)
        await self._sends.accepted(claim.token, task_id, submitted_s)
        del self._unrecorded[claim.token]

    async def _settle(
        self, claim: Claim, request: AddInstrumentalRequest, failure: Exception | None
    ) -> bool:
        """Record what a failure proves: what is in no list of the certain is uncertain."""
        match failure:
            case NotSubmitted() | SessionClosed() | RateLimited() | Maintenance():
                await self._sends.give_back(claim)
                return True
            case ConnectionFailed(request_sent=False):
                await self._sends.give_back(claim)
                return True
            case SourceUnavailable() if await self._is_uploaded_again(claim.key):
                await self._sends.give_back(claim)
                return True
            case InvalidRequest() | ApiError():
                await self._sends.refused(claim, failure)
            case SubmissionUncertain():
                await self._sends.uncertain(claim, failure)
            case _:
                surprise = failure or LookupError("no observer was told of its task")
                error = SubmissionUncertain(request.title, described(surprise))
                error.__cause__ = failure
                await self._sends.uncertain(claim, error)
        return False

    async def _is_uploaded_again(self, key: str) -> bool:
        """Tell whether a stem that the service could not fetch gets another upload, the last."""
        record = await self._store.record(key)
        if record.stem is None or key in self._unfetched:
            return False
        self._unfetched.add(key)
        if record.uploaded_url is not None:
            await self._store.forget_upload(record.uploaded_url)
        return True

    def _observe(self, observation: Observation) -> None:
        """Take note of a task at once, whatever is raised where its id is waited for.

        The session may be used beside: of other requests nothing is kept, whose identity another
        one could have later.
        """
        if not isinstance(observation, Accepted | Found):
            return
        which = id(observation.request)
        if which in self._named and self._named[which] is None:
            self._named[which] = (observation.task_id, observation.submitted_at.timestamp())

    # --- what is not to be cut off ----------------------------------------------------------------

    def _start(self, work: Coroutine[Any, Any, T]) -> "asyncio.Task[T]":
        task = asyncio.create_task(work)
        self._paying.add(task)
        task.add_done_callback(self._paying.discard)
        return task

    async def _unbroken(self, work: Coroutine[Any, Any, T]) -> T:
        """Await some work that goes on to its end, whatever becomes of who waits for it."""
        return await asyncio.shield(self._start(work))


def _is_away(error: SunoError) -> bool:
    """Tell whether the service takes nothing for now: then jobs wait, however long that is."""
    if isinstance(error, ConnectionFailed):
        return not error.request_sent
    return isinstance(error, RateLimited | Maintenance)
