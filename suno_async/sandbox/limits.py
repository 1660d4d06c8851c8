"""Counting what may happen: in a window of time, and at the same time."""

import heapq
from collections import deque

# Of two instants exactly one window apart the difference may come out a little less in binary.
_ROUNDING_S = 1e-9


class SlidingWindow:
    """Admit at most so many events in any window of so many seconds, exactly.

    Args:
        limit: How many events a window may hold.
        window_s: The length of the window in seconds.
    """

    __slots__ = ("_admitted_s", "_limit", "_window_s")

    def __init__(self, limit: int, window_s: float) -> None:
        self._limit = limit
        self._window_s = window_s
        self._admitted_s: deque[float] = deque()

    def admit(self, now_s: float) -> bool:
        """Count an event if it fits; one that is turned away leaves no trace."""
        while self._admitted_s and now_s - self._admitted_s[0] >= self._window_s - _ROUNDING_S:
            self._admitted_s.popleft()
        if len(self._admitted_s) >= self._limit:
            return False
        self._admitted_s.append(now_s)
        return True


class RunningCount:
    """Count tasks that have not ended, knowing beforehand when each will."""

    def __init__(self) -> None:
        self._ends_s: list[float] = []

    def add(self, ends_s: float) -> None:
        """Count a task until some monotonic time."""
        heapq.heappush(self._ends_s, ends_s)

    def at(self, now_s: float) -> int:
        """Tell how many run; time must not go back between calls."""
        while self._ends_s and self._ends_s[0] <= now_s:
            heapq.heappop(self._ends_s)
        return len(self._ends_s)
