"""A heap of things to do at their times, which shares them fairly when there are too many.

Entries wait until they are due, in real time. Those that are due are taken in the order of their
*tags*: the due times on a stretched clock, which runs at real speed while nothing is overdue, and
else moves on to the tag of what is taken (start-time fair queueing). So when there is less
capacity than demand, everybody's gaps stretch alike: who asked for a short gap is taken more often
than who asked for a long one, and nobody starves. It knows no clock: the time is an argument.

What is replaced or removed stays in the heaps until its time, or until it is the greater part.
"""

import heapq
import itertools
from typing import Generic, Protocol, TypeVar


class Entry(Protocol):
    """What an agenda keeps on its entries.

    Attributes:
        ticket: The number of the valid heap entry; 0 when it is not in the agenda.
        due_s: When it is due.
    """

    ticket: int
    due_s: float


E = TypeVar("E", bound=Entry)

# so many dead heap entries are not worth sweeping out
_FEW = 64


class Agenda(Generic[E]):
    """Entries in the order in which they are to be taken.

    Args:
        now_s: The time, in seconds on a monotonic clock.
    """

    def __init__(self, now_s: float) -> None:
        self._waiting: list[tuple[float, int, float, E]] = []
        self._due: list[tuple[float, int, E]] = []
        self._tickets = itertools.count(1)
        self._stretched_s = 0.0
        self._at_s = now_s
        self._dead = 0

    def __len__(self) -> int:
        return len(self._waiting) + len(self._due)

    def put(self, entry: E, gap_s: float, now_s: float, least_turn_s: float = 0.0) -> None:
        """Have an entry due in `gap_s` seconds; it replaces an earlier time of the same entry.

        Args:
            entry: The entry.
            gap_s: In how many seconds it is due.
            now_s: The time.
            least_turn_s: When there is too much to do, its turn comes as if its gap were so long.
        """
        self._stretch(now_s)
        if entry.ticket:
            self.remove(entry)
        entry.ticket = ticket = next(self._tickets)
        entry.due_s = due_s = now_s + gap_s
        tag_s = self._stretched_s + max(least_turn_s, gap_s)
        heapq.heappush(self._waiting, (due_s, ticket, tag_s, entry))

    def put_sooner(self, entry: E, gap_s: float, now_s: float, least_turn_s: float = 0.0) -> None:
        """Have an entry due in `gap_s` seconds, unless it is due sooner already."""
        # in real time: the stretched clock may be far ahead of what it was when the entry was put
        if not entry.ticket or entry.due_s > now_s + gap_s:
            self.put(entry, gap_s, now_s, least_turn_s)

    def remove(self, entry: E) -> None:
        """Take an entry out; harmless when it is not in."""
        if entry.ticket:
            entry.ticket = 0
            self._bury()

    def _bury(self) -> None:
        """Count an entry that is in a heap and will not be taken; sweep when they are the most."""
        self._dead += 1
        if self._dead > _FEW and 2 * self._dead > len(self):
            self._waiting = [each for each in self._waiting if each[3].ticket == each[1]]
            self._due = [each for each in self._due if each[2].ticket == each[1]]
            heapq.heapify(self._waiting)
            heapq.heapify(self._due)
            self._dead = 0

    def take(self, now_s: float) -> E | None:
        """Take the entry out whose turn it is, or None when none is due."""
        self._stretch(now_s)
        while self._due:
            tag_s, ticket, entry = heapq.heappop(self._due)
            if entry.ticket == ticket:
                entry.ticket = 0
                if tag_s > self._stretched_s:
                    self._stretched_s = tag_s
                return entry
            self._dead -= 1
        return None

    def next_due_s(self, now_s: float) -> float | None:
        """Tell when an entry is due, on the caller's clock; None without entries."""
        self._stretch(now_s)
        while self._due and self._due[0][2].ticket != self._due[0][1]:
            heapq.heappop(self._due)
            self._dead -= 1
        if self._due:
            return now_s
        while self._waiting and self._waiting[0][3].ticket != self._waiting[0][1]:
            heapq.heappop(self._waiting)
            self._dead -= 1
        return self._waiting[0][0] if self._waiting else None

    def clear(self) -> None:
        """Forget all entries."""
        for _, _, _, entry in self._waiting:
            entry.ticket = 0
        for _, _, entry in self._due:
            entry.ticket = 0
        self._waiting.clear()
        self._due.clear()
        self._dead = 0

    def _stretch(self, now_s: float) -> None:
        """Bring the stretched clock up to now, and let in what has become due."""
        if not self._due:
            self._stretched_s += now_s - self._at_s
        self._at_s = now_s
        waiting = self._waiting
        while waiting and waiting[0][0] <= now_s:
            _, ticket, tag_s, entry = heapq.heappop(waiting)
            if entry.ticket == ticket:
                heapq.heappush(self._due, (tag_s, ticket, entry))
            else:
                self._dead -= 1
