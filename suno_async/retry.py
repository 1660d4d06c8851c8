"""After a failed call: repeat, wait how long, or give up.

The decisions are functions of the error alone. `backoff` makes the waits (exponential, with full
jitter); they are slept on the library's own clock, where its decorators would use asyncio's.
"""

import math
from collections.abc import Awaitable, Callable, Iterator
from copy import copy
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from itertools import islice
from typing import TypeVar

import backoff
from attrs import field, frozen, validators

from suno_async.clock import Clock
from suno_async.errors import (
    ApiError,
    Maintenance,
    ProtocolError,
    RateLimited,
    ServerError,
    SunoError,
)
from suno_async.limits import AccountLimits
from suno_async.observe import Observers, Paused
from suno_async.verdict import is_transient

T = TypeVar("T")

# a Retry-After beyond this is no length of time that anybody means
LONGEST_PAUSE_S = 100 * 365 * 86_400.0

# more seconds than this are a point in time (seen): the Unix time of 2001
_POINT_IN_TIME_S = 1e9

# what answers in place of the service is believed for so long (a page of a gateway or a proxy)
LONGEST_GATEWAY_PAUSE = timedelta(minutes=1)


@frozen
class RetryPolicy:
    """How stubborn calls are.

    Args:
        attempts: How often a call is tried in all when the network fails; 1 or more.
        patience: How long a call goes on trying when the service says that it took nothing
            (called too often, maintenance); looks at watched tasks pause no longer at a time.
        base: The ceiling of the first wait; each wait is drawn evenly from zero to its ceiling
            (full jitter), and the ceiling doubles.
        cap: The highest ceiling.
        repeat_server_errors: Whether a submission that was answered with the service's own 500 (in
            its envelope, with HTTP 200 or 500) is sent again. Tasks that were made and charged
            behind such an answer have been reported: only turn it on when you know better.
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


def read_retry_after(header: str | None, now: datetime) -> timedelta | None:
    """Read `Retry-After`: seconds, an HTTP date, or a Unix time; None when it makes no sense."""
    if header is None:
        return None
    seconds = _seconds_until(header, now)
    if seconds is None or not 0 <= seconds <= LONGEST_PAUSE_S:
        return None
    return timedelta(seconds=seconds)


def _seconds_until(header: str, now: datetime) -> float | None:
    try:
        number = float(header)
    except ValueError:
        try:
            moment = parsedate_to_datetime(header)
        except (ValueError, OverflowError):
            return None
        aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return max((aware - now).total_seconds(), 0.0)
    if number > _POINT_IN_TIME_S:
        return max(number - now.timestamp(), 0.0)
    return number


def asked_wait(error: SunoError) -> timedelta | None:
    """Tell how long an answer asked to wait, None when it did not.

    What answers in place of the service does not speak for it: it is believed for a minute.
    """
    if not isinstance(error, RateLimited | Maintenance | ServerError | ProtocolError):
        return None
    asked = error.retry_after
    if asked is not None and (isinstance(error, ProtocolError) or error.gateway):
        return min(asked, LONGEST_GATEWAY_PAUSE)
    return asked


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
        pause: The account's pause: waited for, and begun when the service is called too often.

    Raises:
        RateLimited: The account pauses for longer than the policy is patient.
        SunoError: The last failure.
    """
    failures = 0
    deadline_s = clock.monotonic() + policy.patience.total_seconds()
    while True:
        if pause is not None:
            await pause.wait(deadline_s)
        try:
            result = await call()
        except SunoError as error:
            failures += 1
            if pause is not None:
                pause.note(error)
            if not is_transient(error) or failures >= policy.attempts:
                raise
        else:
            if pause is not None:
                pause.reset()
            return result
        await clock.sleep(policy.wait_s(failures))


class SharedPause:
    """The account's pause after the service said that it is called too often.

    Args:
        clock: Where time comes from.
        policy: How long to pause when the service does not say.
        limits: Where the pause is kept, for all sessions that share the account's limits.
        sleep: How to wait.
        observers: Told of every pause.
    """

    def __init__(
        self,
        clock: Clock,
        policy: RetryPolicy,
        limits: AccountLimits,
        sleep: Callable[[float], Awaitable[None]],
        observers: Observers,
    ) -> None:
        self._clock = clock
        self._policy = policy
        self._limits = limits
        self._sleep = sleep
        self._observers = observers
        self._failures = 0

    @property
    def until_s(self) -> float:
        """When the pause ends, on the monotonic clock."""
        return self._limits.paused_until_s

    @property
    def looks_until_s(self) -> float:
        """When looks at watched tasks go on, on the monotonic clock.

        As with a call, patience bounds the pause. Nobody could be told that it is longer, and a
        single answer must not end all watches: nor may a task that expires meanwhile be forgotten.
        """
        patience_s = self._policy.patience.total_seconds()
        return min(self._limits.paused_until_s, self._limits.paused_at_s + patience_s)

    def note(self, error: SunoError) -> None:
        """Pause if a call was made too often, or was told how long to wait."""
        asked = asked_wait(error)
        if asked is not None or isinstance(error, RateLimited):
            self._begin(asked, error)

    def _begin(self, asked: timedelta | None, error: SunoError) -> None:
        """Pause for as long as the service asked, or a growing, jittered while.

        Without a wish of the service, calls that were under way when the pause began and are
        refused as well say nothing new.
        """
        if asked is None and self.left_s > 0:
            return
        self._failures += 1
        wait_s = self._policy.wait_s(self._failures)
        if asked is not None:
            wait_s = asked.total_seconds() + min(wait_s, 1.0)
        self._limits.paused_at_s = self._clock.monotonic()
        until_s = self._limits.paused_at_s + wait_s
        if until_s > self._limits.paused_until_s:
            self._limits.paused_until_s, self._limits.paused_by = until_s, error
            if self._observers:
                self._observers.tell(Paused(wait_s, error))

    def reset(self) -> None:
        """Begin with short pauses again: the service answers."""
        self._failures = 0

    @property
    def left_s(self) -> float:
        """The seconds until the pause ends; zero when there is none."""
        return max(self.until_s - self._clock.monotonic(), 0.0)

    async def wait(self, deadline_s: float = math.inf) -> None:
        """Wait until there is no pause; it may be prolonged meanwhile.

        Args:
            deadline_s: How long the caller is patient, on the monotonic clock.

        Raises:
            RateLimited: The pause is longer than that; `retry_after` tells how long.
        """
        while (left_s := self.left_s) > 0:
            if self.until_s > deadline_s:
                raise self._too_long(left_s)
            await self._sleep(left_s)

    def _too_long(self, left_s: float) -> RateLimited:
        by = self._limits.paused_by
        code = by.code if isinstance(by, ApiError) else 429
        status = by.http_status if isinstance(by, ApiError | ProtocolError) else None
        error = RateLimited(
            code, "the account's calls pause", status, retry_after=timedelta(seconds=left_s)
        )
        error.__cause__ = copy(by)
        return error
