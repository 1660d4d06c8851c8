"""What an account allows: submissions at a time and in a window, polls a second."""

import asyncio
from collections import OrderedDict, deque
from datetime import timedelta
from math import inf

from suno_async.clock import Clock, SystemClock, Timer, duration
from suno_async.errors import InvalidRequest, SunoError
from suno_async.owner import Owner

_LENGTH = "must be a timedelta or a number of seconds"

# timers may fire a little early, a window must not
_TIMER_GRAIN_S = 0.002


class Places:
    """So many places, first come, first served; leaving the queue takes no longer in a long one.

    Args:
        count: How many.
    """

    def __init__(self, count: int) -> None:
        self.free: int = count
        self._queue: OrderedDict[asyncio.Future[None], None] = OrderedDict()

    @property
    def waiting(self) -> int:
        """How many wait for a place."""
        return len(self._queue)

    async def take(self, owner: Owner) -> None:
        """Wait for a place and take it.

        Raises:
            SessionClosed: The owner was closed; no place was taken.
        """
        if self.free > 0:
            self.free -= 1
            return
        given: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue[given] = None
        try:
            await owner.until(given)
        except BaseException:
            if given in self._queue:
                del self._queue[given]
            elif _was_given(given):  # in the very moment in which it was not wanted any more
                self.give()
            raise

    def give(self, count: int = 1) -> None:
        """Give places back."""
        self.free += count
        while self.free > 0 and self._queue:
            given, _ = self._queue.popitem(last=False)
            if not given.done():
                self.free -= 1
                given.set_result(None)


def _was_given(given: "asyncio.Future[None]") -> bool:
    return given.done() and not given.cancelled() and given.exception() is None


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
        self._limit = limit
        self._places = Places(limit)
        self._window_s = window_s
        self._clock = clock
        self._returning: deque[float] = deque()
        self._timer: Timer | None = None
        self._waiting = 0

    async def enter(self, owner: Owner) -> None:
        """Wait for a place; first come, first served.

        Raises:
            SessionClosed: The owner was closed; no place was taken.
        """
        self._take_back()
        self._waiting += 1
        self._set_timer()
        try:
            await self._places.take(owner)
        finally:
            self._waiting -= 1
            self._set_timer()

    def leave(self, *, arrived: bool) -> None:
        """Give the place back: after a window, or at once when nothing reached the service."""
        if arrived:
            back_s = self._clock.monotonic() + self._window_s + _TIMER_GRAIN_S
            self._returning.append(back_s)
        else:
            self._places.give()
        self._set_timer()

    def begin_again(self) -> None:
        """Go on in another event loop: nobody waits, and what was under way has arrived."""
        under_way = self._limit - self._places.free - len(self._returning)
        back_s = self._clock.monotonic() + self._window_s + _TIMER_GRAIN_S
        self._returning.extend([back_s] * under_way)
        self._places = Places(self._limit - len(self._returning))
        self._timer, self._waiting = None, 0

    @property
    def free(self) -> int:
        """How many could be sent at once."""
        self._take_back()
        return self._places.free

    @property
    def waiting(self) -> int:
        """How many wait for a place."""
        return self._waiting

    def _take_back(self) -> None:
        now_s = self._clock.monotonic()
        while self._returning and self._returning[0] <= now_s:
            self._returning.popleft()
            self._places.give()

    def _set_timer(self) -> None:
        """Have one timer while somebody waits, and none otherwise."""
        wanted = self._waiting > 0 and bool(self._returning)
        if wanted and self._timer is None:
            self._timer = self._clock.call_at(self._returning[0], self._on_timer)
        elif not wanted and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _on_timer(self) -> None:
        self._timer = None
        self._take_back()
        self._set_timer()


class AccountLimits:
    """What the account allows; the sessions of one process that use one key may share it.

    Upstream documents 20 submissions in 10 s; Apikley's own limits may differ. A pause that the
    service asks for is shared too.

    Args:
        submissions_per_window: How many submissions in how long a window (a number is seconds).
        max_concurrent_submissions: How many submissions may be on their way at a time; 1 or more.
        polls_per_second: The most polls per second for all tasks together; None for no limit.

    Raises:
        InvalidRequest: A limit breaks its rule.
    """

    def __init__(
        self,
        submissions_per_window: tuple[int, timedelta | float] = (20, timedelta(seconds=10)),
        max_concurrent_submissions: int = 8,
        polls_per_second: float | None = None,
    ) -> None:
        check_count("max_concurrent_submissions", max_concurrent_submissions)
        self._per_window = _checked_window(submissions_per_window)
        self._slot_count = max_concurrent_submissions
        self.slots: Places = Places(max_concurrent_submissions)
        # between two polls, and the first instant at which the next may be sent
        self.poll_spacing_s: float = 0.0
        self.next_poll_s: float = -inf
        self.polls_per_second = polls_per_second
        # the pause that the service asked for, when it did so last, and the answer that asked
        self.paused_until_s: float = -inf
        self.paused_at_s: float = -inf
        self.paused_by: SunoError | None = None
        self._sessions = 0
        self._clock: Clock | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def __repr__(self) -> str:
        count, window_s = self._per_window
        return (
            f"<AccountLimits: {count} submissions in {window_s:g} s, {self._slot_count} at a time, "
            f"{self._polls_per_second} polls a second>"
        )

    @property
    def submissions_per_window(self) -> tuple[int, timedelta]:
        """How many submissions in how long a window."""
        count, window_s = self._per_window
        return count, timedelta(seconds=window_s)

    @property
    def max_concurrent_submissions(self) -> int:
        """How many submissions may be on their way at a time."""
        return self._slot_count

    @property
    def polls_per_second(self) -> float | None:
        """The most polls per second for all tasks together; None for no limit.

        It can be set at any time, and holds from the next poll on: processes that share an account
        divide it among themselves.

        Raises:
            InvalidRequest: It is set to what is not a number more than zero, or None.
        """
        return self._polls_per_second

    @polls_per_second.setter
    def polls_per_second(self, rate: float | None) -> None:
        if rate is not None:
            _check_rate("polls_per_second", rate)
        self._polls_per_second = rate
        self.poll_spacing_s = 0.0 if rate is None else 1 / rate

    def attach(self, clock: Clock) -> None:
        """Let a session that is being entered use the limits.

        Raises:
            InvalidRequest: They are in use on another clock, or in another event loop.
        """
        loop = asyncio.get_running_loop()
        in_use = self._sessions > 0 and self._loop is not None and not self._loop.is_closed()
        if in_use and self._loop is not loop:
            raise InvalidRequest("limits", self, "must be shared within one event loop")
        if not self._goes_on(clock):
            if in_use:
                raise InvalidRequest("limits", self, "must be shared by sessions of one clock")
            self._begin(clock)
        if not in_use:
            self._sessions = 0
        if self._loop is not loop:
            self._leave_the_old_loop()
        self._loop = loop
        self._sessions += 1

    def _goes_on(self, clock: Clock) -> bool:
        """Tell whether the instants that are kept mean the same on this clock."""
        known = self._clock
        return clock == known or (type(clock) is SystemClock and type(known) is SystemClock)

    def _leave_the_old_loop(self) -> None:
        """Forget who waits in a loop that may have ended under them, and has their places."""
        self.slots = Places(self._slot_count)
        self.window.begin_again()

    def _begin(self, clock: Clock) -> None:
        self._clock = clock
        self.window: SubmissionWindow = SubmissionWindow(*self._per_window, clock)
        self.next_poll_s = self.paused_until_s = self.paused_at_s = -inf

    def detach(self) -> None:
        """Take note that a session was left."""
        self._sessions -= 1


def check_count(name: str, value: object) -> None:
    """Refuse what is no whole number from 1.

    Raises:
        InvalidRequest: It is not; `name` says which argument.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise InvalidRequest(name, value, "must be a whole number, 1 or more")


def checked_seconds(name: str, value: timedelta | float) -> float:
    """Read a length of time; a number is seconds.

    Raises:
        InvalidRequest: It is none, or not more than zero; `name` says which argument.
    """
    rule = f"{_LENGTH}, more than zero"
    seconds = read_seconds(name, value, rule)
    if seconds <= 0:
        raise InvalidRequest(name, value, rule)
    return seconds


def read_seconds(name: str, value: timedelta | float, rule: str = _LENGTH) -> float:
    """Read a length of time, which may have run out; a number is seconds.

    Raises:
        InvalidRequest: It is none; `name` says which argument.
    """
    try:
        return duration(value).total_seconds()
    except (TypeError, ValueError, OverflowError) as error:
        raise InvalidRequest(name, value, rule) from error


def _check_rate(name: str, value: object) -> None:
    # isinstance lets True pass, the comparison refuses NaN
    if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
        raise InvalidRequest(name, value, "must be a number more than zero")


def _checked_window(value: tuple[int, timedelta | float]) -> tuple[int, float]:
    name = "submissions_per_window"
    try:
        count, window = value
    except (TypeError, ValueError) as error:
        raise InvalidRequest(name, value, "must be a count and a length of time") from error
    check_count(name, count)
    return count, checked_seconds(name, window)
