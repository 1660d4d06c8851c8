"""The callers' machine and its clocks: right or wrong, running or standing still.

The service's time is the true one. The callers' wall clock may be set, their monotonic clock may
stand still while their machine is suspended, or jump. The event loop's time goes on with their
monotonic clock, as on any machine, so that the time-outs of calls run out in virtual time too.
"""

import asyncio
import heapq
import itertools
import math
from collections.abc import Callable
from contextvars import Context
from datetime import UTC, datetime, timedelta
from typing import TypeVarTuple, Unpack

from attrs import frozen

from suno_async import VirtualClock

Ts = TypeVarTuple("Ts")

# real time goes on during a call; timers that are due sooner than this are about that
_REAL_S = 0.05
# what sums of seconds are rounded by
_GRAIN_S = 1e-6


class MachineLoop(asyncio.SelectorEventLoop):
    """An event loop whose time is the machine's and what virtual time has passed."""

    def __init__(self) -> None:
        super().__init__()
        self.passed_s: Callable[[], float] = float
        self._order = itertools.count()
        self._timers: list[tuple[float, int, asyncio.TimerHandle]] = []

    def time(self) -> float:
        """Tell the time in seconds."""
        return super().time() + self.passed_s()

    def call_at(
        self,
        when: float,
        callback: Callable[[Unpack[Ts]], object],
        *args: *Ts,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        """Set a timer, and remember it if virtual time is to stop there."""
        timer = super().call_at(when, callback, *args, context=context)
        # aiohttp clears up every other second, for days; nothing hangs on the moment
        is_housekeeping = getattr(callback, "__module__", "").startswith("aiohttp.")
        if not is_housekeeping and when - self.time() > _REAL_S:
            heapq.heappush(self._timers, (when, next(self._order), timer))
        return timer

    def next_timer_s(self) -> float | None:
        """Tell in how many seconds the next timer is due, of those that are not due already."""
        now_s = self.time()
        while self._timers and (self._timers[0][2].cancelled() or self._timers[0][0] <= now_s):
            heapq.heappop(self._timers)
        return self._timers[0][0] - now_s if self._timers else None


class TrueClock(VirtualClock):
    """The service's clock, which stops at the timers of the event loop too.

    Args:
        loop: The event loop.
    """

    def __init__(self, loop: MachineLoop) -> None:
        super().__init__()
        self._loop = loop
        self._moves = False
        self._stop = self.call_at(0.0, _nothing)

    def next_deadline_s(self) -> float | None:
        """Tell when the next timer is due, or None when nothing waits."""
        if not self._moves:
            self._stop.cancel()
            if (in_s := self._loop.next_timer_s()) is not None:
                self._stop = self.call_at(self.monotonic() + in_s, _nothing)
        return super().next_deadline_s()

    def advance(self, seconds: float) -> None:
        """Move time on, in which the event loop does not go round."""
        self._moves = True
        try:
            super().advance(seconds)
        finally:
            self._moves = False


def _nothing() -> None:
    pass


@frozen
class Moment:
    """One moment on all clocks.

    Attributes:
        true_s: The service's seconds.
        own_s: The seconds of the callers' monotonic clock.
        wall: The callers' wall clock.
    """

    true_s: float
    own_s: float
    wall: datetime


NEVER = Moment(-math.inf, -math.inf, datetime.min.replace(tzinfo=UTC))


class _Timer:
    __slots__ = ("callback", "clock", "deadline_s", "timer")

    def __init__(
        self, clock: "CallersClock", deadline_s: float, callback: Callable[[], object]
    ) -> None:
        self.clock = clock
        self.deadline_s = deadline_s
        self.callback: Callable[[], object] | None = callback
        self.set()

    def set(self) -> None:
        self.timer = self.clock.true.call_at(self.deadline_s + self.clock.lag_s, self._due)

    def _due(self) -> None:
        if self.callback is not None and self.clock.reaches(self):
            callback, self.callback = self.callback, None
            callback()

    def cancel(self) -> None:
        self.callback = None
        self.timer.cancel()


class CallersClock:
    """The clock of the callers' machine.

    Args:
        true: The service's.

    Attributes:
        wrong: What its wall clock is wrong by.
        lag_s: For how long its monotonic clock stood still.
    """

    def __init__(self, true: VirtualClock) -> None:
        self.true = true
        self.wrong = timedelta(0)
        self.lag_s = 0.0
        self._stands_at_s: float | None = None
        self._late: list[_Timer] = []
        self._latest_s = 0.0

    def now(self) -> datetime:
        """Tell its wall-clock time."""
        return self.true.now() + self.wrong

    def monotonic(self) -> float:
        """Tell its seconds."""
        if self._stands_at_s is not None:
            return self._stands_at_s
        self._latest_s = max(self._latest_s, self.true.monotonic() - self.lag_s)
        return self._latest_s

    def moment(self) -> Moment:
        """Tell what time it is."""
        return Moment(self.true.monotonic(), self.monotonic(), self.now())

    def call_at(self, deadline_s: float, callback: Callable[[], object]) -> _Timer:
        """Run `callback` when its time has come to `deadline_s`."""
        return _Timer(self, deadline_s, callback)

    async def sleep(self, seconds: float) -> None:
        """Wait until it has gone on by `seconds`."""
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        woken = asyncio.Event()
        timer = self.call_at(self.monotonic() + seconds, woken.set)
        try:
            await woken.wait()
        finally:
            timer.cancel()

    def reaches(self, timer: _Timer) -> bool:
        """Tell whether a timer is due, or set it again: the clock stood still meanwhile."""
        if self._stands_at_s is not None:
            self._late.append(timer)
            return False
        if self.monotonic() + _GRAIN_S < timer.deadline_s:
            timer.set()
            return False
        self._latest_s = max(self._latest_s, timer.deadline_s)
        return True

    # --- what befalls it --------------------------------------------------------------------------

    def suspend(self, seconds: float) -> None:
        """Let time pass in which the machine does nothing and its monotonic clock stands still."""
        self._stands_at_s = self.monotonic()
        self.true.advance(seconds)
        self.lag_s += seconds
        self._stands_at_s = None
        late, self._late = self._late, []
        for timer in late:
            timer.set()

    def jump(self, seconds: float) -> None:
        """Let time pass in which the machine does nothing, and both its clocks go on."""
        self.true.advance(seconds)
