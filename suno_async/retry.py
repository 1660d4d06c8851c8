"""After a failed call: repeat, wait how long, or give up.

The decisions are functions of the error alone. `backoff` makes the waits (exponential, with full
jitter); they are slept on the library's own clock, where its decorators would use asyncio's.
"""

import math
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from enum import Enum
from itertools import islice
from typing import TypeVar

import backoff
from attrs import field, frozen, validators

from suno_async.clock import Clock
from suno_async.errors import (
    ApiError,
    AuthenticationError,
    ConnectionFailed,
    Maintenance,
    NotFound,
    ProtocolError,
    RateLimited,
    ServerError,
    SunoError,
    ValidationFailed,
)

T = TypeVar("T")

# a Retry-After beyond this is taken for a mistake and cut
LONGEST_PAUSE = timedelta(days=1)


@frozen
class RetryPolicy:
    """How stubborn calls are.

    Args:
        attempts: How often a call is tried in all when the network fails; 1 or more.
        patience: How long a call goes on trying when the service says that it took nothing
            (called too often, maintenance).
        base: The ceiling of the first wait; each wait is drawn evenly from zero to its ceiling
            (full jitter), and the ceiling doubles.
        cap: The highest ceiling.
        repeat_server_errors: Whether a submission that was answered with the service's own 500 is
            sent again. The service may have charged for it: only turn it on when you know better.
    """

    attempts: int = field(default=5, validator=validators.ge(1))
    patience: timedelta = timedelta(minutes=10)
    base: timedelta = timedelta(seconds=0.5)
    cap: timedelta = timedelta(seconds=30)
    repeat_server_errors: bool = False

    def wait_s(self, failures: int) -> float:
        """Draw the seconds to wait after so many failures in a row, from 1."""
        return next(islice(self.waits_s(), min(failures, 32) - 1, None))

    def waits_s(self) -> Iterator[float]:
        """Yield the seconds to wait after the first failure, the second, and so on, endlessly."""
        ceilings = backoff.expo(
            factor=self.base.total_seconds(), max_value=self.cap.total_seconds()
        )
        return (backoff.full_jitter(ceiling) for ceiling in ceilings if ceiling is not None)


class Verdict(Enum):
    """What a failed call means."""

    REPEAT = "the service took nothing: send it again"
    REFUSED = "the service said no: tell the caller"
    UNCERTAIN = "nobody knows what became of it: never send it again"


def judge_submission(error: SunoError, policy: RetryPolicy) -> Verdict:
    """Decide what a failed submission means; only what certainly created no task is repeated."""
    if isinstance(error, ConnectionFailed):
        return Verdict.UNCERTAIN if error.request_sent else Verdict.REPEAT
    if isinstance(error, RateLimited | Maintenance):
        return Verdict.REPEAT
    if isinstance(error, ProtocolError):
        return Verdict.UNCERTAIN
    if isinstance(error, ServerError) and policy.repeat_server_errors:
        return Verdict.REPEAT
    return Verdict.REFUSED


class Sight(Enum):
    """What a failed look at a task means."""

    TRANSIENT = "it says nothing about the task: look again later"
    NO_RECORD = "the service has no record of the task"
    FATAL = "looking again will not help"


def judge_look(error: SunoError) -> Sight:
    """Decide what a failed look at a task means.

    Only the service itself, in an envelope, can say that there is no record; a gateway's 404 is
    noise. 404 and 422 both say it (seen).
    """
    if not isinstance(error, ApiError):
        return Sight.TRANSIENT
    if isinstance(error, AuthenticationError):
        return Sight.FATAL
    if isinstance(error, RateLimited | Maintenance | ServerError) or error.code == 408:
        return Sight.TRANSIENT
    if isinstance(error, NotFound | ValidationFailed) and error.code in {404, 422}:
        return Sight.NO_RECORD
    return Sight.FATAL


def is_transient(error: SunoError) -> bool:
    """Tell whether a call that costs nothing may be tried again after this error."""
    return judge_look(error) is Sight.TRANSIENT


def read_retry_after(header: str | None, now: datetime) -> timedelta | None:
    """Read `Retry-After`: seconds or an HTTP date; None when it is absent or makes no sense."""
    if header is None:
        return None
    try:
        seconds = float(header)
    except ValueError:
        try:
            moment = parsedate_to_datetime(header)
        except (ValueError, OverflowError):
            return None
        aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        seconds = max((aware - now).total_seconds(), 0.0)
    if not math.isfinite(seconds) or seconds < 0:
        return None
    return timedelta(seconds=min(seconds, LONGEST_PAUSE.total_seconds()))


def asked_wait(error: SunoError) -> timedelta | None:
    """Tell how long the service asked to wait, None when it did not."""
    if isinstance(error, RateLimited | Maintenance | ServerError | ProtocolError):
        return error.retry_after
    return None


async def persist(
    call: Callable[[], Awaitable[T]],
    *,
    policy: RetryPolicy,
    clock: Clock,
    pause: "SharedPause | None" = None,
) -> T:
    """Make a call that costs nothing, again and again while it fails for passing reasons.

    Args:
        call: The call.
        policy: How often, and how long to wait in between.
        clock: Where the waits are slept.
        pause: The session's pause: waited for, and begun when the service is called too often.

    Raises:
        SunoError: The last failure.
    """
    failures = 0
    while True:
        if pause is not None:
            await pause.wait()
        try:
            return await call()
        except SunoError as error:
            failures += 1
            if pause is not None:
                pause.note(error)
            if not is_transient(error) or failures >= policy.attempts:
                raise
        await clock.sleep(policy.wait_s(failures))


class SharedPause:
    """The whole session's pause after the service said that it is called too often.

    Args:
        clock: Where time comes from.
        policy: How long to pause when the service does not say.
    """

    def __init__(self, clock: Clock, policy: RetryPolicy) -> None:
        self._clock = clock
        self._policy = policy
        self._waits = policy.waits_s()
        self.until_s: float = -math.inf

    def note(self, error: SunoError) -> None:
        """Pause if a call was made too often, or was told how long to wait."""
        asked = asked_wait(error)
        if asked is not None or isinstance(error, RateLimited):
            self.begin(asked)

    def begin(self, asked: timedelta | None) -> None:
        """Pause for as long as the service asked, or a growing, jittered while.

        Without a wish of the service, calls that were under way when the pause began and are
        refused as well say nothing new.
        """
        if asked is None and self.left_s > 0:
            return
        wait_s = next(self._waits)
        if asked is not None:
            wait_s = asked.total_seconds() + min(wait_s, 1.0)
        self.until_s = max(self.until_s, self._clock.monotonic() + wait_s)

    def reset(self) -> None:
        """Begin with short pauses again: the service answers."""
        self._waits = self._policy.waits_s()

    @property
    def left_s(self) -> float:
        """The seconds until the pause ends; zero when there is none."""
        return max(self.until_s - self._clock.monotonic(), 0.0)

    async def wait(self) -> None:
        """Wait until there is no pause; it may be prolonged meanwhile."""
        while (left_s := self.left_s) > 0:
            await self._clock.sleep(left_s)
