"""What the caller holds: wires the rest together."""

import asyncio
import os
from collections.abc import AsyncGenerator, AsyncIterable, Iterable, Mapping
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from math import inf
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self, cast

import aiohttp

from suno_async.base_url import read_base_url, read_upload_base_url
from suno_async.batch import Batch, OnProgress, Requests
from suno_async.cadence import Cadence, HazardPaced
from suno_async.clock import Clock, SystemClock, steadied
from suno_async.errors import InvalidRequest, SessionClosed
from suno_async.expectations import Expectation
from suno_async.key import AskForKey, Masked, mask, read_key
from suno_async.limits import AccountLimits, Places, check_count, checked_seconds, read_seconds
from suno_async.models import AddInstrumentalRequest, Model, StageEvent, TaskDetails, Track
from suno_async.network import Trusted, read_network
from suno_async.observe import Balance, Counts, Observer, Observers, SessionStats, is_plain_function
from suno_async.outcomes import Outcome
from suno_async.owner import Owner
from suno_async.reading import LARGEST_FILE_BYTES
from suno_async.retry import RetryPolicy, SharedPause, persist
from suno_async.submission import (
    AlwaysOpen,
    Deadline,
    Gate,
    OnSubmitted,
    Reports,
    Submitter,
    Surroundings,
)
from suno_async.task import InstrumentalTask, read_timeout
from suno_async.transfers import Transfers, check_user_agent
from suno_async.transport import Transport
from suno_async.uri import uri_of
from suno_async.watcher import Watch, Watcher
from suno_async.wire import read_credits

if TYPE_CHECKING:  # loaded when they are first used
    from suno_async.callbacks import CallbackReceiver
    from suno_async.media import Stem

# seen: what callers who only poll send; it is the specification's own example
PLACEHOLDER_CALLBACK_URL = "https://example.com/callback"

# docs: the balance
CREDITS_PATH = "/api/v1/chat/credit"


class SunoSession:
    """A session with the service, to be entered with `async with`.

    Everything that it starts ends when it is left, within a second. Tasks go on at the service:
    they can be re-attached with `task`.

    Args:
        api_key: The key; None takes the environment variable `APIKLEY_API_KEY`. Or a function that
            returns it, plain (it is called in a thread of its own, where it may block) or awaited:
            it is asked when the first call needs the key, and again when the service refuses the
            key (401), once for all calls that are refused. Free calls, and submissions, which a 401
            proves not to have been charged, are then sent again once, if the key has changed. While
            it raises, returns no key, or takes longer than `timeout`, calls fail before anything is
            sent (`ConnectionFailed`, `InvalidRequest`); once there was a key, that one is used
            on. After an answer that changes nothing it is left alone for 10 seconds.
        base_url: Where the API is; None takes the environment variable `APIKLEY_BASE_URL`, or
            else `https://api.apikley.ru`.
        upload_base_url: Where uploads go, for providers who take them at another host: what is
            before `/api/file-stream-upload`. By naming it you have the key sent there too; it
            goes nowhere else. None takes `base_url` with `/file-upload`.
        callback_url: What requests without one of their own name as callback URL.
        receiver: Receives callbacks, mounted in your web service or serving by itself. Each
            request is then sent with a callback URL of its own (unless it names one), callbacks
            wake the watch of their task, and uncertain submissions are reconciled.
        reconcile_for: How long to wait for a callback that proves an uncertain submission
            (a number is seconds).
        limits: What the account allows, to be shared with other sessions of this process that use
            the same key; None makes one of the three arguments after it.
        max_concurrent_submissions: How many submissions may be on their way at a time; 1 or more,
            8 unless given.
        submissions_per_window: How many submissions in how long a window (a number is seconds);
            upstream documents 20 in 10 s, which is taken unless given; Apikley's own limits may
            differ.
        polls_per_second: The most polls per second for all tasks together; None for no limit.
            No task is ever asked more than 3 times a second (docs).
        max_in_flight: How many tasks `generate` and `generate_many` keep running at a time;
            upstream documents about 100.
        cadence: Decides when a task is looked at; `HazardPaced` unless given.
        timeout: The longest time of one call (a number is seconds); for uploads and downloads the
            longest silence.
        retry: How stubborn to be after failures.
        client_session: Your own `aiohttp.ClientSession`: used for everything, so that tracing
            and connectors work, and never closed. Proxies and certificates are then its own
            matter: `proxy`, `ssl` and `connector_options` are refused beside it. It may reuse
            kept-alive connections for submissions too, which makes uncertain ones likelier: give it
            a connector with `force_close=True` if that matters. Whatever its hooks and middlewares
            do, a submission goes out once at the most.
        proxy: The URL of an http or https proxy for everything (uploads and downloads too), with
            user and password if it wants them (Basic). None takes those of the environment:
            `HTTPS_PROXY` and `HTTP_PROXY`, in small letters too, except for hosts that `NO_PROXY`
            lists (names with their subdomains, addresses, networks) and those of this machine; no
            netrc is read. False takes none. It is read when the session is made. What it tunnels
            (https) is still encrypted to the service itself, and every submission has a tunnel of
            its own.
        ssl: An `ssl.SSLContext`, which must verify certificates and host names, or the path of a
            file (PEM) with CA certificates that are trusted beside the system's.
        connector_options: More of how connections are made, for aiohttp's `TCPConnector`: `family`,
            `happy_eyeballs_delay`, `keepalive_timeout`, `local_addr`, `resolver` (stays yours to
            close), `socket_factory`, `ttl_dns_cache`, `use_dns_cache`. How many there are follows
            from `max_concurrent_submissions` and the like.
        max_download_bytes: The size of the largest file that is downloaded; 1 GiB unless given.
        user_agent: How to introduce ourselves to the hosts of media, some of which refuse Python's
            usual ways; `suno-async`, or your `client_session`'s own, unless given.
        observers: Plain functions that are told of everything that happens, one frozen value of
            `suno_async.observe` at a time, in order, never awaited; one that raises is logged.
        on_submitted: Awaited with `(task_id, request, submitted_at)` as soon as a task is known,
            before `submit` returns, also when its caller was cancelled or the session is being left
            (for as long as leaving may take): for services that store ids first. What it raises
            reaches the caller of `submit` with the task id noted; the task lives.
        clock: Where time comes from.

    Raises:
        InvalidRequest: An argument breaks its rule, or there is no key.
    """

    # of one whose arguments were refused: loggers that show locals write it too
    _base_url: str = "no address"

    def __init__(
        self,
        api_key: "str | AskForKey | None" = None,
        *,
        base_url: str | None = None,
        upload_base_url: str | None = None,
        callback_url: str = PLACEHOLDER_CALLBACK_URL,
        receiver: "CallbackReceiver | None" = None,
        reconcile_for: timedelta | float = timedelta(minutes=5),
        limits: AccountLimits | None = None,
        max_concurrent_submissions: int | None = None,
        submissions_per_window: tuple[int, timedelta | float] | None = None,
        polls_per_second: float | None = None,
        max_in_flight: int = 100,
        cadence: Cadence | None = None,
        timeout: timedelta | float = timedelta(seconds=60),
        retry: RetryPolicy | None = None,
        client_session: aiohttp.ClientSession | None = None,
        proxy: str | Literal[False] | None = None,
        ssl: Trusted | None = None,
        connector_options: Mapping[str, Any] | None = None,
        max_download_bytes: int = LARGEST_FILE_BYTES,
        user_agent: str | None = None,
        observers: "Iterable[Observer]" = (),
        on_submitted: "OnSubmitted | None" = None,
        clock: Clock | None = None,
    ) -> None:
        # at once, so that no frame of the library has the key among its locals
        api_key = masked = mask(api_key)  # type: ignore[assignment]  # it is not used any more
        proxy = Masked(proxy) if isinstance(proxy, str) else proxy
        self._key = read_key(masked)
        self._base_url = read_base_url(base_url)
        self._upload_base_url = read_upload_base_url(upload_base_url, self._base_url)
        self._network = read_network(
            proxy=proxy,
            ssl=ssl,
            connector_options=connector_options,
            client_session=client_session,
        )
        self._callback_url = uri_of("callback_url", callback_url)
        check_count("max_in_flight", max_in_flight)
        self._limits = _checked_limits(
            limits,
            submissions_per_window=submissions_per_window,
            max_concurrent_submissions=max_concurrent_submissions,
            polls_per_second=polls_per_second,
        )
        if on_submitted is not None and not callable(on_submitted):
            rule = "must be a function of a task id, a request and a time"
            raise InvalidRequest("on_submitted", on_submitted, rule)
        self._receiver = receiver
        self._reconcile_for = timedelta(seconds=checked_seconds("reconcile_for", reconcile_for))
        self._max_in_flight = max_in_flight
        self._cadence = cadence or HazardPaced()
        self._timeout_s = checked_seconds("timeout", timeout)
        self._policy = retry or RetryPolicy()
        self._client_session = client_session
        check_count("max_download_bytes", max_download_bytes)
        check_user_agent(user_agent)
        self._max_download_bytes = max_download_bytes
        self._user_agent = user_agent
        self._observers = Observers(observers)
        self._counts = Counts()
        self._on_submitted = on_submitted
        self._clock = steadied(clock or SystemClock())
        self._entered = False
        self._open = False

    def __repr__(self) -> str:
        return f"<SunoSession at {self._base_url}>"

    @property
    def limits(self) -> AccountLimits:
        """What the account allows: to be shared with other sessions, or to be read."""
        return self._limits

    @property
    def max_in_flight(self) -> int:
        """How many tasks `generate` and `generate_many` keep running at a time."""
        return self._max_in_flight

    @property
    def receiver(self) -> "CallbackReceiver | None":
        """What receives callbacks, or None."""
        return self._receiver

    # --- its life ---------------------------------------------------------------------------------

    @property
    def is_open(self) -> bool:
        """Whether it was entered, and not left yet."""
        return self._open

    async def __aenter__(self) -> Self:
        if self._entered:
            raise SessionClosed
        self._limits.attach(self._clock)
        self._entered = self._open = True
        self._owner = Owner(self._clock)
        self._transport = Transport(
            api_key=self._key,
            base_url=self._base_url,
            upload_base_url=self._upload_base_url,
            timeout_s=self._timeout_s,
            clock=self._clock,
            network=self._network,
            client_session=self._client_session,
        )
        self._pause = SharedPause(
            self._clock, self._policy, self._limits, self._owner.sleep, self._observers
        )
        self._submitter = self._make_submitter()
        self._transfers = Transfers(
            transport=self._transport,
            base_url=self._base_url,
            pause=self._pause,
            policy=self._policy,
            clock=self._clock,
            timeout_s=self._timeout_s,
            network=self._network,
            client_session=self._client_session,
            observers=self._observers,
            max_bytes=self._max_download_bytes,
            user_agent=self._user_agent,
        )
        self._watcher = Watcher(
            transport=self._transport,
            cadence=self._cadence,
            pause=self._pause,
            policy=self._policy,
            clock=self._clock,
            owner=self._owner,
            limits=self._limits,
            observers=self._observers,
            counts=self._counts,
            on_complete=self._transfers.arrivals.note,
        )
        self._room = Places(self._max_in_flight)
        await self._transport.__aenter__()
        return self

    def _make_submitter(self) -> Submitter:
        around = Surroundings(
            transport=self._transport,
            pause=self._pause,
            policy=self._policy,
            clock=self._clock,
            owner=self._owner,
            reports=Reports(self._observers, self._counts),
            receiver=self._receiver,
            reconcile_for=self._reconcile_for,
            on_submitted=self._on_submitted,
        )
        return Submitter(around, self._limits, self._callback_url)

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if not self._open:
            return
        self._open = False
        # In a task of its own, which is waited for: a cancellation, or a second one, skips nothing.
        self._owner.close()
        self._submitter.close()
        closing = asyncio.create_task(self._aclose())
        cancelled: asyncio.CancelledError | None = None
        while not closing.done():
            try:
                await asyncio.wait({closing})
            except asyncio.CancelledError as again:
                cancelled = again
        if closing.cancelled():  # the event loop is ending
            await self._transport.aclose()
            await self._transfers.aclose()
        if cancelled is not None:
            raise cancelled
        closing.result()

    async def _aclose(self) -> None:
        """End everything, in less than a second; each step is taken whatever the others do."""
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self._transport.aclose)
            stack.push_async_callback(self._transfers.aclose)
            stack.callback(self._limits.detach)
            stack.push_async_callback(self._watcher.aclose)
            stack.push_async_callback(self._owner.aclose)
            stack.push_async_callback(self._submitter.aclose)

    def _check_open(self) -> None:
        if not self._open:
            raise SessionClosed

    def stats(self) -> SessionStats:
        """Tell how the session stands, and what it has done since it was entered.

        Raises:
            SessionClosed: The session was never entered.
        """
        if not self._entered:
            raise SessionClosed
        counts = self._counts
        return SessionStats(
            in_flight=self._max_in_flight - self._room.free,
            waiting=self._submitter.waiting,
            sending=self._submitter.sending,
            watched=self._watcher.watched,
            window_left=self._limits.window.free,
            pause_left_s=self._pause.left_s,
            sent=counts.sent,
            accepted=counts.accepted,
            uncertain=counts.uncertain,
            found=counts.found,
            retries=counts.retries,
            polls=counts.polls,
            refusals=dict(counts.refusals),
        )

    def add_observer(self, observer: "Observer") -> None:
        """Tell one more observer of everything that happens from now on, after all others.

        It can be added at any time; one that is there already is not added again.

        Raises:
            InvalidRequest: It is no plain function of one argument.
        """
        self._observers.add(observer)

    def remove_observer(self, observer: "Observer") -> None:
        """Tell an observer no more, one of the session's own too; an unknown one does nothing."""
        self._observers.remove(observer)

    # --- one task ---------------------------------------------------------------------------------

    async def submit(
        self, request: AddInstrumentalRequest, *, send_within: timedelta | float | None = None
    ) -> InstrumentalTask:
        """Ask the service to generate two accompaniments; return as soon as it has a task id.

        Waits first for one of the account's submission slots, then for a place in its window.
        Cancelling the call keeps it from being sent; once it is sent, it is finished all the same:
        observers and `on_submitted` are told its task id, and the log has it at WARNING.

        Args:
            request: What to ask for.
            send_within: How long after this call it may still be sent (a number is seconds; zero
                or less is too late already); None for as long as is patient. It holds at the very
                moment at which the request would be handed to a connection: a process that was
                stopped meanwhile sends nothing when it goes on. It is measured on the session's
                monotonic clock, which on most systems stands still while the machine is suspended.

        Raises:
            NotSubmitted: It could not be sent within `send_within` (its `reason` is `late`), and
                certainly was not; the `__cause__` is the last refusal, if there was one.
            InsufficientCredits: The account cannot pay; nothing was charged.
            SubmissionUncertain: It was sent, and no answer says what became of it, nor, with a
                receiver, a callback within `reconcile_for`; or the session was left before one
                came. The task may exist and may have been charged: it is never sent twice by
                itself. Its `__cause__` tells what came in place of an answer.
            RateLimited: The service went on saying that it is called too often, longer than the
                retry policy is patient; nothing was charged.
            ConnectionFailed: No connection could be made; nothing was sent.
            ApiError: The service refused for another reason; nothing was charged.
            SessionClosed: The session is not open, or was left before the request was sent.
            Exception: What `on_submitted` raised, with the task id in its notes.
        """
        within_s = inf if send_within is None else read_seconds("send_within", send_within)
        watch, hook_error = await self._submit(request, AlwaysOpen(), within_s)
        if hook_error is not None:
            raise hook_error
        return self._task(watch)

    async def _submit(
        self, request: AddInstrumentalRequest, gate: Gate, within_s: float = inf
    ) -> tuple[Watch, Exception | None]:
        self._check_open()
        if not isinstance(cast("object", request), AddInstrumentalRequest):
            raise InvalidRequest("request", request, "must be an AddInstrumentalRequest")
        deadline = Deadline(self._clock, within_s)
        submitted = await self._submitter.submit(request, gate, deadline)
        model = request.model or Model.V4_5PLUS
        watch = self._watcher.watch(
            submitted.task_id,
            submitted.submitted_at,
            model=model,
            fresh=True,
            sent_s=submitted.sent_s,
        )
        if submitted.expectation is not None:
            self._watcher.follow(watch, submitted.expectation)
        return watch, submitted.hook_error

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
        await self._room.take(self._owner)
        try:
            task = await self.submit(request)
            return await task.result(limit)
        finally:
            self._room.give()

    def task(
        self,
        task_id: str,
        submitted_at: datetime | None = None,
        *,
        expectation: Expectation | None = None,
    ) -> InstrumentalTask:
        """Re-attach to a task that was submitted earlier, by any process with the same account.

        Nothing is sent before its events, result or details are asked for.

        Args:
            task_id: The service's name for it.
            submitted_at: When it was submitted (aware). Without it, 14 days from now are assumed
                to be left, and an id that the service does not know is believed to be unknown
                after a minute.
            expectation: The task's callback URL, from `CallbackReceiver.expect` with the token of
                its submission: callbacks wake the watch, as they do after `submit`.

        Raises:
            InvalidRequest: The id is blank, the time has no zone, or the expectation is none.
            SessionClosed: The session is not open.
        """
        self._check_open()
        if not isinstance(cast("object", task_id), str) or not task_id.strip():
            raise InvalidRequest("task_id", task_id, "must be text that is not blank")
        if submitted_at is not None and submitted_at.tzinfo is None:
            raise InvalidRequest("submitted_at", submitted_at, "must have a time zone")
        if not isinstance(cast("object", expectation), Expectation | None):
            raise InvalidRequest("expectation", expectation, "must be a receiver's Expectation")
        watch = self._watcher.watch(task_id, _in_utc(submitted_at))
        if expectation is not None:
            self._watcher.follow(watch, expectation)
        return self._task(watch)

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
        stop_after_uncertain: int | None = 5,
        on_progress: OnProgress | None = None,
    ) -> AsyncGenerator[Outcome, None]:
        """Submit many requests and yield each one's outcome as it ends.

        One failure never stops the others. When the account runs out of credits, or too many
        submissions in a row are uncertain, nothing more is submitted, and the rest of the requests
        ends with `NotSubmitted`, as fast as the outcomes are taken. Leaving the loop early stops
        pulling and submitting; tasks that exist go on at the service, and their ids are logged. Use
        `contextlib.aclosing` to stop at a certain point.

        Args:
            requests: Any iterable or async iterable, an endless one too: at most one request is
                pulled before there is room in flight for it. It is closed with the batch.
            max_in_flight: How many requests may be under way at a time, and how many pulled whose
                outcomes have not been taken; None takes the session's `max_in_flight`, and shares
                what may be under way with the session's other calls.
            stop_after_uncertain: After how many uncertain submissions in a row to submit no more,
                so that a broken network does not buy a thousand unknown tasks; those that are on
                their way then are not counted. None for never.
            on_progress: Called with a `BatchProgress` when a task got its id, reached a stage or
                ended; between the outcomes, where the loop runs.

        Yields:
            One `Outcome` for each request, in the order in which they end.

        Raises:
            InvalidRequest: `max_in_flight` or `stop_after_uncertain` is below 1, `requests` cannot
                be iterated over, or `on_progress` is no plain function.
            SessionClosed: The session is not open, or was left before all requests were pulled.
            Exception: What the iterable itself raises, after the outcomes of what was pulled; what
                `on_progress` raises, at once, as if the loop were left.
        """
        self._check_open()
        if not isinstance(cast("object", requests), Iterable | AsyncIterable):
            raise InvalidRequest("requests", requests, "must be an iterable or async iterable")
        if max_in_flight is not None:
            check_count("max_in_flight", max_in_flight)
        if stop_after_uncertain is not None:
            check_count("stop_after_uncertain", stop_after_uncertain)
        if on_progress is not None and not is_plain_function(on_progress):
            rule = "must be a plain function of one argument"
            raise InvalidRequest("on_progress", on_progress, rule)
        room = Places(max_in_flight) if max_in_flight is not None else self._room
        return Batch(
            requests,
            submit=self._submit,
            watcher=self._watcher,
            owner=self._owner,
            room=room,
            backlog=max_in_flight or self._max_in_flight,
            stop_after_uncertain=stop_after_uncertain,
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
        left = await self._owner.run(
            persist(self._ask_credits, policy=self._policy, clock=self._clock, pause=self._pause)
        )
        if self._observers:
            self._observers.tell(Balance(left))
        return left

    async def _ask_credits(self) -> float:
        async def ask() -> float:
            return read_credits(await self._transport.get(CREDITS_PATH))

        return await self._transport.with_new_key(ask)

    async def upload(self, stem: "Stem") -> str:
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
        media = await self._transfers.media()
        return await self._owner.run(media.upload(stem))

    async def download(
        self, track: Track, folder: str | os.PathLike[str], *, name: str | None = None
    ) -> Path:
        """Download a track's audio; the file appears under its name only when it is whole.

        An interrupted download is resumed, within a call and by the next one. A file that is there
        already is not fetched again, nor one that another call or process is fetching: it is waited
        for. A file bears a mark of its track, so that it is found again under whichever name it
        got: an extended attribute, or a hidden file beside it where the file system has none.

        The URL is asked for exactly as it is, without the key, and redirects are followed to
        public addresses only (and to those of the API's own kind). Through a proxy, and with your
        own `client_session`, names are looked up before they are asked for, and those that cannot
        be looked up here are asked for too; what the proxy or the connector then connects to is
        not known.

        Args:
            track: A track whose `audio_url` is there; if that is dead, its `source_audio_url`
                is taken.
            folder: Where the file goes; made when it does not exist.
            name: What to call the file, with or without the ending of an audio format; what file
                systems refuse is replaced. None takes the title and the first free number:
                `Title 1.mp3`, `Title 2.mp3`.

        Returns:
            The path of the file. When another file has the name, the track's id is added to it;
            nothing is ever overwritten. The ending tells what the file is, whatever its URL says.

        Raises:
            InvalidRequest: The track has no audio yet, or the name is blank.
            NotFound: The audio is not there (any more): the service keeps it for 14 days. In the
                first ten minutes after the session saw the task become complete, it is waited for.
            ApiError: The host refused for another reason, or went on failing.
            RateLimited: The host asks for more patience than the retry policy has.
            ConnectionFailed: The network went on failing, the host sent next to nothing for as
                long as `timeout`, or is at an address that is not public.
            ProtocolError: What came is not audio, or is larger than `max_download_bytes`.
            OSError: The file cannot be written; what has come stays if it can be resumed.
        """
        self._check_open()
        media = await self._transfers.media()
        return await self._owner.run(media.download(track, folder, name=name))

    async def download_cover(self, track: Track, beside: str | os.PathLike[str]) -> Path:
        """Download a track's cover image, as `download` does its audio.

        Args:
            track: A track with an `image_url` or a `source_image_url`.
            beside: The path of a file, such as the track's audio: the cover gets its folder and its
                name, with the ending of its own format. The file need not be there.

        Returns:
            The path of the image.

        Raises:
            InvalidRequest: The track has no cover.
            SunoError: What `download` raises.
            OSError: The file cannot be written.
        """
        self._check_open()
        media = await self._transfers.media()
        return await self._owner.run(media.download_cover(track, beside))

    async def download_all(
        self,
        tracks: TaskDetails | Outcome | StageEvent | Iterable[Track],
        folder: str | os.PathLike[str],
        *,
        covers: bool = False,
        concurrency: int = 8,
    ) -> list[Path]:
        """Download all audio of a task, as `download` does: `Title 1.mp3`, `Title 2.mp3`.

        One download that fails stops no other; called again, only what is missing is fetched.

        Args:
            tracks: A task's details, an outcome, an event, or tracks by themselves. Tracks without
                audio are left out.
            folder: Where the files go; made when it does not exist.
            covers: Whether to download the cover images too, each beside its audio and under the
                same name.
            concurrency: How many files are downloaded at a time; 1 or more.

        Returns:
            The paths of the audio in the tracks' order, and after them those of the covers.

        Raises:
            InvalidRequest: No track has audio, or an argument breaks its rule.
            SunoError: What `download` raises, after all others have ended; if several failed, the
                first in the tracks' order, the others in its notes.
            OSError: A file cannot be written.
        """
        self._check_open()
        media = await self._transfers.media()
        return await self._owner.run(
            media.download_all(tracks, folder, covers=covers, concurrency=concurrency)
        )


def _in_utc(submitted_at: datetime | None) -> datetime | None:
    if submitted_at is None:
        return None
    try:
        return submitted_at.astimezone(UTC)
    except OverflowError as error:
        rule = "must be a time that UTC has"
        raise InvalidRequest("submitted_at", submitted_at, rule) from error


def _checked_limits(limits: AccountLimits | None, **own: Any) -> AccountLimits:
    """Take the shared limits, or make some of the session's own arguments."""
    given = {name: value for name, value in own.items() if value is not None}
    if limits is None:
        return AccountLimits(**given)
    if not isinstance(cast("object", limits), AccountLimits):
        raise InvalidRequest("limits", limits, "must be an AccountLimits")
    if given:
        rule = f"must not be given beside {', '.join(given)}"
        raise InvalidRequest("limits", limits, rule)
    return limits
