"""What the caller holds: wires the rest together."""

import asyncio
import logging
import os
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Iterable
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Self, cast
from urllib.parse import urlsplit

import aiohttp

from suno_async.batch import Batch, OnProgress, Requests
from suno_async.cadence import Cadence, HazardPaced
from suno_async.callbacks import CallbackReceiver, Expectation
from suno_async.clock import Clock, SystemClock, duration
from suno_async.errors import InvalidRequest, SessionClosed, SubmissionUncertain
from suno_async.media import Media, Stem
from suno_async.models import (
    AddInstrumentalRequest,
    Model,
    Outcome,
    TaskDetails,
    Track,
    check_url,
)
from suno_async.owner import Owner
from suno_async.retry import RetryPolicy, SharedPause, persist
from suno_async.submission import Submitter
from suno_async.task import InstrumentalTask, read_timeout
from suno_async.transport import Transport
from suno_async.watcher import Watch, Watcher
from suno_async.wire import read_credits

_log = logging.getLogger(__name__)

# spec: the server
BASE_URL = "https://api.apikley.ru"

# seen: what callers who only poll send; it is the specification's own example
PLACEHOLDER_CALLBACK_URL = "https://example.com/callback"

# spec: the name in the authorisation's description
API_KEY_VARIABLE = "APIKLEY_API_KEY"

# docs: the balance
CREDITS_PATH = "/api/v1/chat/credit"


class SunoSession:
    """A session with the service, to be entered with `async with`.

    Everything that it starts ends when it is left, within a second. Tasks go on at the service:
    they can be re-attached with `task`.

    Args:
        api_key: The key; None takes the environment variable `APIKLEY_API_KEY`.
        base_url: Where the API is.
        callback_url: What requests without one of their own name as callback URL.
        receiver: Receives callbacks, mounted in your web service or serving by itself. Each
            request is then sent with a callback URL of its own (unless it names one), callbacks
            wake the watch of their task, and uncertain submissions are reconciled.
        reconcile_for: How long to wait for a callback that proves an uncertain submission
            (a number is seconds).
        max_concurrent_submissions: How many submissions may be on their way at a time; 1 or more.
        submissions_per_window: How many submissions in how long a window (a number is seconds);
            upstream documents 20 in 10 s, and Apikley's own limits may differ.
        max_in_flight: How many tasks `generate` and `generate_many` keep running at a time;
            upstream documents about 100.
        polls_per_second: The most polls per second for all tasks together; None for no limit.
            No task is ever asked more than 3 times a second (docs).
        cadence: Decides when a task is looked at; `HazardPaced` unless given.
        timeout: The longest time of one call (a number is seconds); for uploads and downloads the
            longest silence.
        retry: How stubborn to be after failures.
        client_session: Your own `aiohttp.ClientSession`: used for everything, so that tracing,
            proxies and connectors work, and never closed. It may reuse kept-alive connections
            for submissions too, which makes uncertain ones likelier: give it a connector with
            `force_close=True` if that matters.
        clock: Where time comes from.

    Raises:
        InvalidRequest: An argument breaks its rule, or there is no key.
    """

    def __init__(
        self,
        api_key: str | None = None,
        *,
        base_url: str = BASE_URL,
        callback_url: str = PLACEHOLDER_CALLBACK_URL,
        receiver: CallbackReceiver | None = None,
        reconcile_for: timedelta | float = timedelta(minutes=5),
        max_concurrent_submissions: int = 8,
        submissions_per_window: tuple[int, timedelta | float] = (20, timedelta(seconds=10)),
        max_in_flight: int = 100,
        polls_per_second: float | None = None,
        cadence: Cadence | None = None,
        timeout: timedelta | float = timedelta(seconds=60),
        retry: RetryPolicy | None = None,
        client_session: aiohttp.ClientSession | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._key = _checked_key(api_key)
        _check_base_url(base_url)
        check_url("callback_url", callback_url)
        _check_count("max_concurrent_submissions", max_concurrent_submissions)
        _check_count("max_in_flight", max_in_flight)
        if polls_per_second is not None:
            _check_rate("polls_per_second", polls_per_second)
        self._base_url = base_url.rstrip("/")
        self._callback_url = callback_url
        self._receiver = receiver
        self._reconcile_for = timedelta(seconds=_checked_seconds("reconcile_for", reconcile_for))
        self._slots = max_concurrent_submissions
        self._window = _checked_window(submissions_per_window)
        self._max_in_flight = max_in_flight
        self._polls_per_second = polls_per_second
        self._cadence = cadence or HazardPaced()
        self._timeout_s = _checked_seconds("timeout", timeout)
        self._policy = retry or RetryPolicy()
        self._client_session = client_session
        self._clock = clock or SystemClock()
        self._exit: AsyncExitStack | None = None
        self._entered = False

    def __repr__(self) -> str:
        return f"<SunoSession at {self._base_url}>"

    async def __aenter__(self) -> Self:
        if self._entered:
            raise SessionClosed
        self._entered = True
        self._transport = Transport(
            api_key=self._key,
            base_url=self._base_url,
            timeout_s=self._timeout_s,
            clock=self._clock,
            client_session=self._client_session,
        )
        self._owner = Owner()
        self._pause = SharedPause(self._clock, self._policy)
        self._submitter = Submitter(
            transport=self._transport,
            pause=self._pause,
            policy=self._policy,
            clock=self._clock,
            owner=self._owner,
            slots=self._slots,
            window=self._window,
        )
        self._watcher = Watcher(
            transport=self._transport,
            cadence=self._cadence,
            pause=self._pause,
            policy=self._policy,
            clock=self._clock,
            owner=self._owner,
            polls_per_second=self._polls_per_second,
        )
        self._media = Media(
            transport=self._transport,
            pause=self._pause,
            policy=self._policy,
            clock=self._clock,
            timeout_s=self._timeout_s,
        )
        self._room = asyncio.Semaphore(self._max_in_flight)
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self._transport)
            stack.push_async_callback(self._watcher.aclose)
            stack.push_async_callback(self._submitter.aclose)
            stack.push_async_callback(self._send_waiting_home)
            stack.push_async_callback(self._owner.aclose)
            self._exit = stack.pop_all()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        stack, self._exit = self._exit, None
        if stack is not None:
            await stack.aclose()

    async def _send_waiting_home(self) -> None:
        """Let in whoever waits for room in flight: they find the session closed."""
        while self._room.locked():
            self._room.release()
            await asyncio.sleep(0)

    def _check_open(self) -> None:
        if self._exit is None:
            raise SessionClosed

    # --- one task ---------------------------------------------------------------------------------

    async def submit(self, request: AddInstrumentalRequest) -> InstrumentalTask:
        """Ask the service to generate two accompaniments; return as soon as it has a task id.

        Waits first for one of the session's submission slots, then for the account's rate limit.
        Cancelling the call keeps it from being sent; once it is sent, it is finished all the same
        and the task id is logged.

        Raises:
            InsufficientCredits: The account cannot pay; nothing was charged.
            SubmissionUncertain: It was sent, and no answer says what became of it, nor, with a
                receiver, a callback within `reconcile_for`. The task may exist and may have been
                charged: it is never sent twice by itself.
            RateLimited: The service went on saying that it is called too often, longer than the
                retry policy is patient; nothing was charged.
            ConnectionFailed: No connection could be made; nothing was sent.
            ServerError: The service answered that it failed; whether it charged is its own matter.
            ApiError: The service refused for another reason; nothing was charged.
            SessionClosed: The session is not open.
        """
        self._check_open()
        return self._task(await self._owner.run(self._submit(request)))

    async def _submit(
        self, request: AddInstrumentalRequest, permit: Callable[[], None] = lambda: None
    ) -> Watch:
        if not isinstance(cast("object", request), AddInstrumentalRequest):
            raise InvalidRequest("request", request, "must be an AddInstrumentalRequest")
        if self._receiver is None or request.callback_url is not None:
            return self._new(
                await self._submitter.submit(request, self._callback_url, permit), request
            )
        expectation = self._receiver.expect()
        try:
            watch = await self._submit_expecting(expectation, request, permit)
        except BaseException:
            self._receiver.forget(expectation)  # whoever keeps the error keeps it alive
            raise
        self._watcher.follow(watch, expectation)
        return watch

    async def _submit_expecting(
        self, expectation: Expectation, request: AddInstrumentalRequest, permit: Callable[[], None]
    ) -> Watch:
        try:
            task_id = await self._submitter.submit(request, expectation.url, permit)
        except SubmissionUncertain as error:
            task_id = await self._reconcile(expectation, error)
            return self._new(task_id, request, error.sent_at)
        return self._new(task_id, request)

    def _new(
        self, task_id: str, request: AddInstrumentalRequest, since: datetime | None = None
    ) -> Watch:
        model = request.model or Model.V4_5PLUS
        return self._watcher.watch(task_id, since or self._clock.now(), model=model, fresh=True)

    async def _reconcile(self, expectation: Expectation, error: SubmissionUncertain) -> str:
        """Wait for a callback to the submission's own URL: it proves that the task exists."""
        if self._owner.closed:
            raise error
        began_s = self._clock.monotonic()
        deadline_s = began_s + self._reconcile_for.total_seconds()
        timer = self._clock.call_at(deadline_s, expectation.arrived.set)
        try:
            await expectation.arrived.wait()
        except asyncio.CancelledError:
            if self._owner.closed:
                error.waited = timedelta(seconds=self._clock.monotonic() - began_s)
                raise error from error.__cause__
            raise
        finally:
            timer.cancel()
        if expectation.notice is None:
            error.waited = self._reconcile_for
            raise error from error.__cause__
        task_id = expectation.notice.task_id
        _log.info("a callback proved the submission of %r: task %s", error.title, task_id)
        return task_id

    def _task(self, watch: Watch) -> InstrumentalTask:
        return InstrumentalTask(watch, self._watcher, self._clock)

    async def generate(
        self, request: AddInstrumentalRequest, *, timeout: timedelta | float | None = None
    ) -> TaskDetails:
        """Submit a request and wait until its task is complete.

        Args:
            request: What to ask for.
            timeout: The longest wait after the submission; a number is seconds.

        Returns:
            The final details, normally with two tracks.

        Raises:
            SunoError: What `submit` and `InstrumentalTask.result` raise.
        """
        self._check_open()
        limit = read_timeout(timeout)
        async with self._room:
            task = await self.submit(request)
            return await task.result(limit)

    def task(self, task_id: str, submitted_at: datetime | None = None) -> InstrumentalTask:
        """Re-attach to a task that was submitted earlier, by any process with the same account.

        Nothing is sent before its events, result or details are asked for.

        Args:
            task_id: The service's name for it.
            submitted_at: When it was submitted (aware). Without it, 14 days from now are assumed
                to be left, and an id that the service does not know is believed to be unknown
                after a minute.

        Raises:
            InvalidRequest: The id is blank, or the time has no zone.
            SessionClosed: The session is not open.
        """
        self._check_open()
        if not isinstance(cast("object", task_id), str) or not task_id.strip():
            raise InvalidRequest("task_id", task_id, "must be text that is not blank")
        if submitted_at is not None and submitted_at.tzinfo is None:
            raise InvalidRequest("submitted_at", submitted_at, "must have a time zone")
        since = submitted_at.astimezone(UTC) if submitted_at is not None else None
        return self._task(self._watcher.watch(task_id, since))

    async def details(self, task_id: str) -> TaskDetails:
        """Look at a task now, within the service's limit of 3 looks a second.

        Raises:
            TaskNotFound: The service does not know the task.
            SunoError: What `InstrumentalTask.details` raises.
        """
        return await self.task(task_id).details()

    # --- many tasks -------------------------------------------------------------------------------

    def generate_many(
        self,
        requests: Requests,
        *,
        max_in_flight: int | None = None,
        on_progress: OnProgress | None = None,
    ) -> AsyncGenerator[Outcome, None]:
        """Submit many requests and yield each one's outcome as it ends.

        One failure never stops the others. When the account runs out of credits, nothing more is
        submitted, and the rest of the requests ends with `NotSubmitted`, as fast as the outcomes
        are taken. Leaving the loop early stops pulling and submitting; tasks that exist go on at
        the service, and their ids are logged. Use `contextlib.aclosing` to stop at a certain point.

        Args:
            requests: Any iterable or async iterable, an endless one too: a request is pulled only
                when there is room in flight for it.
            max_in_flight: How many requests may be under way at a time, and how many pulled whose
                outcomes have not been taken; None takes the session's `max_in_flight`, and shares
                what may be under way with the session's other calls.
            on_progress: Called with a `BatchProgress` when a task got its id, reached a stage or
                ended; between the outcomes, where the loop runs.

        Yields:
            One `Outcome` for each request, in the order in which they end.

        Raises:
            InvalidRequest: `max_in_flight` is below 1, or `requests` cannot be iterated over.
            SessionClosed: The session is not open, or was left before all requests were pulled.
            Exception: What the iterable itself raises, after the outcomes of what was pulled; what
                `on_progress` raises, at once, as if the loop were left.
        """
        self._check_open()
        if not isinstance(cast("object", requests), Iterable | AsyncIterable):
            raise InvalidRequest("requests", requests, "must be an iterable or async iterable")
        if max_in_flight is not None:
            _check_count("max_in_flight", max_in_flight)
        room = asyncio.Semaphore(max_in_flight) if max_in_flight is not None else self._room
        return Batch(
            requests,
            submit=self._submit,
            watcher=self._watcher,
            owner=self._owner,
            room=room,
            backlog=max_in_flight or self._max_in_flight,
            on_progress=on_progress,
        ).outcomes()

    # --- the account and the audio ----------------------------------------------------------------

    async def credits(self) -> float:
        """Ask for the account's balance.

        Raises:
            ApiError: The service refused, or went on failing.
            ConnectionFailed: No answer came.
            ProtocolError: No readable answer came.
        """
        self._check_open()
        return await self._owner.run(
            persist(self._ask_credits, policy=self._policy, clock=self._clock, pause=self._pause)
        )

    async def _ask_credits(self) -> float:
        return read_credits(await self._transport.get(CREDITS_PATH))

    async def upload(self, stem: Stem) -> str:
        """Upload a vocal stem or melody and return the URL to submit; it costs nothing.

        The service deletes uploads after 3 days (docs).

        Args:
            stem: The path of a file, the bytes themselves, or an async iterable of bytes. The first
                two are sent again when the network fails; a stream can be sent only once.

        Returns:
            The `upload_url` of an `AddInstrumentalRequest`.

        Raises:
            InvalidRequest: The stem is empty, or is neither of these; nothing was sent.
            OSError: The file cannot be read.
            Exception: What the async iterable itself raises.
            ApiError: The service refused, or went on failing.
            ConnectionFailed: No answer came.
        """
        self._check_open()
        return await self._owner.run(self._media.upload(stem))

    async def download(self, track: Track, folder: str | os.PathLike[str]) -> Path:
        """Download a track's audio; the file appears under its name only when it is whole.

        An interrupted download is resumed, within a call and by the next one. A file that is there
        already is not fetched again, nor one that another call or process is fetching: it is waited
        for. The key is not sent to the host that serves the audio.

        Args:
            track: A track whose `audio_url` is there.
            folder: Where the file goes; made when it does not exist.

        Returns:
            The path of the file, named after the track's title and id.

        Raises:
            InvalidRequest: The track has no audio yet.
            NotFound: The audio is not there (any more): the service keeps it for 14 days.
            ApiError: The host refused for another reason, or went on failing.
            ConnectionFailed: The network went on failing.
            ProtocolError: What came is not audio.
            OSError: The file cannot be written; what has come stays, to be resumed.
        """
        self._check_open()
        return await self._owner.run(self._media.download(track, folder))


def _checked_key(api_key: str | None) -> str:
    key = os.environ.get(API_KEY_VARIABLE) if api_key is None else api_key
    if key is not None and not isinstance(cast("object", key), str):
        raise InvalidRequest("api_key", "(hidden)", "must be text")
    if not key or not key.strip():
        rule = f"must be given, or be in the environment variable {API_KEY_VARIABLE}"
        raise InvalidRequest("api_key", None, rule)
    if not key.isascii() or not key.isprintable() or " " in key:
        raise InvalidRequest("api_key", "(hidden)", "must be printable ASCII without white space")
    return key


def _check_base_url(value: str) -> None:
    check_url("base_url", value)
    parts = urlsplit(value)
    if parts.query or parts.fragment or "@" in parts.netloc:
        rule = "must be a URL without user, password, query and fragment"
        raise InvalidRequest("base_url", "(hidden)", rule)


def _check_count(name: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise InvalidRequest(name, value, "must be a whole number, 1 or more")


def _check_rate(name: str, value: object) -> None:
    # isinstance lets True pass, the comparison refuses NaN
    if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
        raise InvalidRequest(name, value, "must be a number more than zero")


def _checked_seconds(name: str, value: timedelta | float) -> float:
    rule = "must be a timedelta or a number of seconds, more than zero"
    try:
        seconds = duration(value).total_seconds()
    except (TypeError, ValueError, OverflowError) as error:
        raise InvalidRequest(name, value, rule) from error
    if seconds <= 0:
        raise InvalidRequest(name, value, rule)
    return seconds


def _checked_window(value: tuple[int, timedelta | float]) -> tuple[int, float]:
    name = "submissions_per_window"
    try:
        count, window = value
    except (TypeError, ValueError) as error:
        raise InvalidRequest(name, value, "must be a count and a length of time") from error
    _check_count(name, count)
    return count, _checked_seconds(name, window)
