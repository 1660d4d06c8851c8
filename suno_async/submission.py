"""The paid call: slots, rate window, what may be repeated, and what is uncertain."""

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime
from functools import partial

from suno_async.clock import Clock, Timer
from suno_async.errors import (
    ConnectionFailed,
    Maintenance,
    RateLimited,
    SubmissionUncertain,
    SunoError,
)
from suno_async.models import AddInstrumentalRequest
from suno_async.owner import Owner
from suno_async.retry import RetryPolicy, SharedPause, Verdict, judge_submission
from suno_async.transport import Transport
from suno_async.wire import read_task_id, request_body

_log = logging.getLogger(__name__)

# spec: the submission
PATH = "/api/v1/generate/add-instrumental"

# how long a submission that is under way may still take when the session is left: for those who
# wait for it, and then for those that nobody waits for
LAST_WAIT_S = 0.4

# timers may fire a little early, a window must not
_TIMER_GRAIN_S = 0.002


class SubmissionWindow:
    """Lets a number of submissions through in any window of time, exactly.

    A place is taken before a submission is sent and comes back a whole window after its answer
    arrived. The service saw it somewhere in between, so no window on the service's side can hold
    more either, however long requests travel.

    Args:
        limit: How many submissions a window may hold.
        window_s: Its length in seconds.
        clock: Where time comes from.
    """

    def __init__(self, limit: int, window_s: float, clock: Clock) -> None:
        self._places = asyncio.Semaphore(limit)
        self._window_s = window_s
        self._clock = clock
        self._timers: set[Timer] = set()

    async def enter(self) -> None:
        """Wait for a place; first come, first served."""
        await self._places.acquire()

    def leave(self, *, arrived: bool) -> None:
        """Give the place back: after a window, or at once when nothing reached the service."""
        if not arrived:
            self._places.release()
            return

        def release() -> None:
            self._timers.discard(timer)
            self._places.release()

        deadline_s = self._clock.monotonic() + self._window_s + _TIMER_GRAIN_S
        timer = self._clock.call_at(deadline_s, release)
        self._timers.add(timer)

    def close(self) -> None:
        """Call off what is still timed."""
        for timer in self._timers:
            timer.cancel()


class Submitter:
    """Sends submissions so that each is paid for once.

    Args:
        transport: Carries the call.
        pause: The session's pause after a 429.
        policy: How stubborn to be.
        clock: Where time comes from.
        owner: Tells that the session is being left; what comes then in a moment is still given.
        slots: How many submissions may be on their way at a time.
        window: How many submissions in how many seconds.
    """

    def __init__(
        self,
        *,
        transport: Transport,
        pause: SharedPause,
        policy: RetryPolicy,
        clock: Clock,
        owner: Owner,
        slots: int,
        window: tuple[int, float],
    ) -> None:
        self._transport = transport
        self._pause = pause
        self._policy = policy
        self._clock = clock
        self._owner = owner
        self._slots = asyncio.Semaphore(slots)
        self._window = SubmissionWindow(*window, clock)
        self._sending: set[asyncio.Task[str]] = set()

    async def submit(
        self,
        request: AddInstrumentalRequest,
        callback_url: str,
        permit: Callable[[], None] = lambda: None,
    ) -> str:
        """Submit a request; return the task id.

        Args:
            request: What to ask for.
            callback_url: Where the service reports, unless the request names its own.
            permit: Called right before each sending; what it raises keeps it from being sent.

        Raises:
            SubmissionUncertain: It was sent, and nobody knows what became of it.
            ApiError: The service refused, or went on taking nothing for as long as is patient.
            ConnectionFailed: No connection could be made; nothing was sent.
        """
        body = request_body(request, callback_url)
        waits_s = self._policy.waits_s()
        refused_s: float | None = None
        attempts = 0
        while True:
            try:
                return await self._send(request, body, permit)
            except SunoError as error:
                if (
                    self._owner.closed
                    or judge_submission(error, self._policy) is not Verdict.REPEAT
                ):
                    raise
                attempts += 1
                wait_s = max(next(waits_s), self._pause.left_s)
                now_s = self._clock.monotonic()
                refused_s = now_s if refused_s is None else refused_s
                waited_s = now_s - refused_s + wait_s
                if not self._may_repeat(error, attempts, waited_s):
                    raise
                _log.info("not taken, %r again in %.1f s: %s", request.title, wait_s, error)
            await self._clock.sleep(wait_s)

    def _may_repeat(self, error: SunoError, attempts: int, waited_s: float) -> bool:
        if isinstance(error, RateLimited | Maintenance):
            return waited_s <= self._policy.patience.total_seconds()
        return attempts < self._policy.attempts

    async def _send(
        self, request: AddInstrumentalRequest, body: bytes, permit: Callable[[], None]
    ) -> str:
        await self._turn(permit)
        # From here on the request may cost money: it is no longer tied to its caller's life.
        sending = asyncio.create_task(self._post(request, body))
        self._sending.add(sending)
        sending.add_done_callback(self._sending.discard)
        try:
            return await asyncio.shield(sending)
        except asyncio.CancelledError:
            if self._owner.closed and await _ends(sending):
                return sending.result()
            _log.warning("nobody waits any more for the submission of %r", request.title)
            sending.add_done_callback(partial(_note_refusal, request.title))
            raise

    async def _turn(self, permit: Callable[[], None]) -> None:
        await self._slots.acquire()
        try:
            await self._window.enter()
            try:
                await self._pause.wait()
                permit()
            except BaseException:
                self._window.leave(arrived=False)
                raise
        except BaseException:
            self._slots.release()
            raise

    async def _post(self, request: AddInstrumentalRequest, body: bytes) -> str:
        sent_at = self._clock.now()
        arrived = True
        try:
            task_id = read_task_id(await self._transport.post_once(PATH, body))
        except SunoError as error:
            arrived = not isinstance(error, ConnectionFailed) or error.request_sent
            self._pause.note(error)
            if judge_submission(error, self._policy) is not Verdict.UNCERTAIN:
                raise
            raise self._uncertain(request, str(error), sent_at) from error
        except asyncio.CancelledError:
            self._uncertain(request, "the session was left before the answer came", sent_at)
            raise
        except Exception as error:  # a bug here, in aiohttp or in a caller's tracing
            reason = f"{type(error).__name__}: {error}"
            raise self._uncertain(request, reason, sent_at) from error
        finally:
            self._window.leave(arrived=arrived)
            self._slots.release()
        self._pause.reset()
        _log.info("submitted %r: task %s", request.title, task_id)
        return task_id

    @staticmethod
    def _uncertain(
        request: AddInstrumentalRequest, reason: str, sent_at: datetime
    ) -> SubmissionUncertain:
        error = SubmissionUncertain(request.title, reason, sent_at)
        _log.warning("%s", error)
        return error

    async def aclose(self) -> None:
        """Let what is being sent get its answer for a moment, then cut it off."""
        if self._sending:
            await asyncio.wait(self._sending, timeout=LAST_WAIT_S)
        cut_off = list(self._sending)
        for sending in cut_off:
            sending.cancel()
        await asyncio.gather(*cut_off, return_exceptions=True)
        self._window.close()


async def _ends(sending: "asyncio.Task[str]") -> bool:
    """Give a submission that is under way a moment to end; tell whether it did."""
    await asyncio.wait({sending}, timeout=LAST_WAIT_S)
    return sending.done() and not sending.cancelled()


def _note_refusal(title: str, sending: asyncio.Task[str]) -> None:
    """Log the end that nobody waited for; what is uncertain has been logged already."""
    error = None if sending.cancelled() else sending.exception()
    if error is not None and not isinstance(error, SubmissionUncertain):
        _log.warning("the submission of %r was not taken: %s", title, error)
