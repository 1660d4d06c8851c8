"""Time comes from one place, so that a test can let fourteen days pass in milliseconds."""

import asyncio
import heapq
import itertools
import logging
import math
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol, TypeVar, cast

from suno_async.errors import described

T = TypeVar("T")

_log = logging.getLogger(__name__)

# what a caller's clock may raise
_ANYTHING = (Exception, asyncio.CancelledError)


def duration(value: timedelta | float) -> timedelta:
    """Take a length of time as it is; a number is seconds."""
    return value if isinstance(value, timedelta) else timedelta(seconds=value)


class Timer(Protocol):
    """A callback that is due at some time and can be called off."""

    def cancel(self) -> None:
        """Call it off; harmless when it has already run."""
        ...


class Clock(Protocol):
    """What the library asks of time."""

    def now(self) -> datetime:
        """Tell the wall-clock time: aware, in UTC."""
        ...

    def monotonic(self) -> float:
        """Tell the time in seconds on a clock that never goes back."""
        ...

    def call_at(self, deadline_s: float, callback: Callable[[], object]) -> Timer:
        """Run `callback` once `monotonic()` has reached `deadline_s`."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait; zero or less gives way to the event loop once."""
        ...


class SystemClock:
    """The machine's clock and the running event loop's timers."""

    def now(self) -> datetime:
        """Tell the machine's time in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Tell the machine's monotonic time in seconds."""
        return time.monotonic()

    def call_at(self, deadline_s: float, callback: Callable[[], object]) -> Timer:
        """Set a timer of the running event loop."""
        delay_s = max(deadline_s - time.monotonic(), 0.0)
        return asyncio.get_running_loop().call_later(delay_s, callback)

    async def sleep(self, seconds: float) -> None:
        """Sleep on the running event loop."""
        await asyncio.sleep(seconds)


class _SteadyTimer:
    """Runs its callback once at the most, however often it is told to."""

    __slots__ = ("_callback", "timers")

    def __init__(self, callback: Callable[[], object]) -> None:
        self._callback: Callable[[], object] | None = callback
        self.timers: list[Any] = []

    def run(self) -> None:
        callback, self._callback = self._callback, None
        if callback is not None:
            callback()

    def cancel(self) -> None:
        self._callback = None
        for timer in self.timers:
            with suppress(*_ANYTHING):
                timer.cancel()


class SteadyClock:
    """A caller's clock, which may raise and answer anything: then time goes on as the machine's.

    Args:
        clock: The caller's.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._warned = False
        self._known_now, self._known_s = datetime.now(UTC), -math.inf
        self._now_at_s = self._known_at_s = time.monotonic()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SteadyClock) and other._clock is self._clock

    def __hash__(self) -> int:
        return id(self._clock)

    def _warn(self, error: BaseException | None, method: str, answer: object = None) -> None:
        if not self._warned:
            self._warned = True
            wrong = described(error) if error is not None else f"a {type(answer).__name__}"
            _log.warning("the clock fails, time goes on without it: %s: %s", method, wrong)

    def now(self) -> datetime:
        """Tell its wall-clock time, if it is one."""
        try:
            now = self._clock.now()
            if isinstance(cast("object", now), datetime) and now.tzinfo is not None:
                self._known_now, self._now_at_s = now.astimezone(UTC), time.monotonic()
                return self._known_now
            self._warn(None, "now", now)
        except _ANYTHING as error:
            self._warn(error, "now")
        return self._known_now + timedelta(seconds=time.monotonic() - self._now_at_s)

    def monotonic(self) -> float:
        """Tell its time in seconds, if it is one and does not go back."""
        try:
            now_s = float(self._clock.monotonic())
            if self._known_s <= now_s < math.inf:
                self._known_s, self._known_at_s = now_s, time.monotonic()
                return now_s
            self._warn(None, "monotonic", now_s)
        except _ANYTHING as error:
            self._warn(error, "monotonic")
        machine_s = time.monotonic()
        if self._known_s == -math.inf:
            self._known_s = machine_s
        self._known_s += machine_s - self._known_at_s
        self._known_at_s = machine_s
        return self._known_s

    def call_at(self, deadline_s: float, callback: Callable[[], object]) -> Timer:
        """Run `callback` once at the most, by the event loop's timer if it sets none."""
        timer = _SteadyTimer(callback)
        try:
            timer.timers.append(self._clock.call_at(deadline_s, timer.run))
        except _ANYTHING as error:
            self._warn(error, "call_at")
            delay_s = max(deadline_s - self.monotonic(), 0.0)
            timer.timers.append(asyncio.get_running_loop().call_later(delay_s, timer.run))
        return timer

    async def sleep(self, seconds: float) -> None:
        """Wait on it; on the event loop if it does not wait."""
        try:
            await self._clock.sleep(seconds)
        except _ANYTHING as error:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            self._warn(error, "sleep")
            await asyncio.sleep(seconds)


def steadied(clock: Clock) -> Clock:
    """Make a clock on which everything can rely; the library's own ones are."""
    return clock if type(clock) in {SystemClock, VirtualClock, SteadyClock} else SteadyClock(clock)


class _VirtualTimer:
    __slots__ = ("callback",)

    def __init__(self, callback: Callable[[], object]) -> None:
        self.callback: Callable[[], object] | None = callback

    def cancel(self) -> None:
        self.callback = None


class VirtualClock:
    """A clock that stands still until it is told to go on: for tests and simulations.

    Args:
        start: The wall-clock time at which it begins (aware).
    """

    def __init__(self, start: datetime = datetime(2026, 1, 1, tzinfo=UTC)) -> None:
        self._start = start
        self._elapsed_s = 0.0
        self._order = itertools.count()
        self._timers: list[tuple[float, int, _VirtualTimer]] = []

    def now(self) -> datetime:
        """Tell the virtual wall-clock time."""
        return self._start + timedelta(seconds=self._elapsed_s)

    def monotonic(self) -> float:
        """Tell the virtual seconds since the start."""
        return self._elapsed_s

    def call_at(self, deadline_s: float, callback: Callable[[], object]) -> Timer:
        """Run `callback` when virtual time is moved to `deadline_s` or beyond."""
        timer = _VirtualTimer(callback)
        heapq.heappush(self._timers, (deadline_s, next(self._order), timer))
        return timer

    async def sleep(self, seconds: float) -> None:
        """Wait until virtual time has been moved on by `seconds`."""
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        woken = asyncio.Event()
        timer = self.call_at(self._elapsed_s + seconds, woken.set)
        try:
            await woken.wait()
        finally:
            timer.cancel()

    def next_deadline_s(self) -> float | None:
        """Tell when the next timer is due, or None when nothing waits."""
        while self._timers and self._timers[0][2].callback is None:
            heapq.heappop(self._timers)
        return self._timers[0][0] if self._timers else None

    def advance(self, seconds: float) -> None:
        """Move time on by `seconds`; timers on the way run in the order in which they are due."""
        target_s = self._elapsed_s + seconds
        while (due_s := self.next_deadline_s()) is not None and due_s <= target_s:
            self._elapsed_s = max(self._elapsed_s, due_s)
            _, _, timer = heapq.heappop(self._timers)
            callback, timer.callback = timer.callback, None
            if callback is not None:
                callback()
        self._elapsed_s = max(self._elapsed_s, target_s)

    async def run(
        self,
        awaitable: Awaitable[T],
        *,
        idle: Callable[[], bool] = lambda: True,
        settle_passes: int = 25,
    ) -> T:
        """Await something while time jumps from timer to timer whenever nothing else moves.

        Args:
            awaitable: What to wait for.
            idle: Tells whether no real input or output is under way (sockets, threads), which
                virtual time must not overtake.
            settle_passes: How often the event loop goes round before time jumps.

        Returns:
            What the awaitable returned.
        """
        task = asyncio.ensure_future(awaitable)
        try:
            while not task.done():
                await self._settle(idle, settle_passes)
                due_s = self.next_deadline_s()
                if task.done():
                    break
                if due_s is None:
                    await asyncio.wait({task}, timeout=0.01)
                else:
                    self.advance(max(due_s - self._elapsed_s, 0.0))
        finally:
            task.cancel()
        return await task

    @staticmethod
    async def _settle(idle: Callable[[], bool], passes: int) -> None:
        quiet = 0
        while quiet < passes:
            if idle():
                quiet += 1
                await asyncio.sleep(0)
            else:
                quiet = 0
                await asyncio.sleep(0.0005)
