"""A heap of things to do at their times, on a clock that stretches when there is too much to do.

The stretched clock runs at real speed while nothing is overdue and stands still while due entries
have to wait. So when there is less capacity than demand, everybody's gaps stretch alike, nobody
starves, and nothing is made up for later (start-time fair queueing). It knows no clock: the time
is an argument.
"""

import heapq
import itertools
from typing import Generic, Protocol, TypeVar


class Entry(Protocol):
    """What an agenda keeps on its entries.

    Attributes:
        ticket: The number of the valid heap entry; 0 when it is not in the agenda.
        due_s: When it is due, on the stretched clock.
    """

    ticket: int
    due_s: float


E = TypeVar("E", bound=Entry)

# The stretched clock is a sum and differs from the real one by rounding. A remainder below this
# is rounded up to it, or a timer set for it would find the real clock where it was.
_GRAIN_S = 1e-6


class Agenda(Generic[E]):
    """Entries in the order in which they are due.

    Args:
        now_s: The time, in seconds on a monotonic clock.
    """

    def __init__(self, now_s: float) -> None:
        self._heap: list[tuple[float, int, E]] = []
        self._tickets = itertools.count(1)
        self._stretched_s = 0.0
        self._at_s = now_s
        self._overdue = False

    def put(self, entry: E, gap_s: float, now_s: float) -> None:
        """Have an entry due in `gap_s` seconds; it replaces an earlier time of the same entry."""
        self._stretch(now_s)
        entry.ticket = next(self._tickets)
        entry.due_s = self._stretched_s + _coarse(gap_s)
        heapq.heappush(self._heap, (entry.due_s, entry.ticket, entry))

    def put_sooner(self, entry: E, gap_s: float, now_s: float) -> None:
        """Have an entry due in `gap_s` seconds, unless it is due sooner already."""
        self._stretch(now_s)
        if not entry.ticket or entry.due_s > self._stretched_s + gap_s:
            self.put(entry, gap_s, now_s)

    @staticmethod
    def remove(entry: E) -> None:
        """Take an entry out; harmless when it is not in."""
        entry.ticket = 0

    def take(self, now_s: float) -> E | None:
        """Take the first entry that is due out, or None when none is."""
        self._stretch(now_s)
        head_s = self._head_s()
        if head_s is None or head_s > self._stretched_s:
            return None
        _, _, entry = heapq.heappop(self._heap)
        entry.ticket = 0
        return entry

    def rest(self, now_s: float) -> float | None:
        """Take no more for now; return the seconds until an entry is due, None without entries.

        What is due and was not taken is overdue: the clock stands still until it is.
        """
        self._stretch(now_s)
        head_s = self._head_s()
        self._overdue = head_s is not None and head_s <= self._stretched_s
        return None if head_s is None else _coarse(head_s - self._stretched_s)

    def clear(self) -> None:
        """Forget all entries."""
        for _, _, entry in self._heap:
            entry.ticket = 0
        self._heap.clear()

    def _stretch(self, now_s: float) -> None:
        if not self._overdue:
            self._stretched_s += now_s - self._at_s
        self._at_s = now_s

    def _head_s(self) -> float | None:
        heap = self._heap
        while heap and heap[0][2].ticket != heap[0][1]:
            heapq.heappop(heap)
        return heap[0][0] if heap else None


def _coarse(seconds: float) -> float:
    return max(seconds, _GRAIN_S) if seconds > 0 else 0.0
