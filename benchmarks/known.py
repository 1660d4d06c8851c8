"""A cadence that knows the true hazard: the yardstick for one that has to learn it."""

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate, pairwise
from math import sqrt

from benchmarks.simulation import Life
from suno_async.cadence import Weights, bounds_s
from suno_async.models import Stage

_EDGES = (0.0, *(0.05 * 1.06**i for i in range(300)))


class KnownHazard:
    """Paces by the hazard of a great many tasks of which every end is known exactly.

    Args:
        lives: Tasks of the same kind as those that will be watched; 20,000 or more.
        price_s: What a look is worth, in seconds of delay.
        scaled: Whether later stages run on the clock of the library's cadence (multiples of the
            time that the task took to reach them) or in plain seconds.
    """

    def __init__(self, lives: Sequence[Life], price_s: float, *, scaled: bool) -> None:
        self._price_s = price_s
        self._scaled = scaled
        self._urges = [self._urge(lives, position) for position in range(3)]

    def _unit_s(self, position: int, entered_s: float) -> float:
        return max(entered_s, 1.0) if position and self._scaled else 1.0

    def _urge(self, lives: Sequence[Life], position: int) -> list[float]:
        ages: list[float] = []
        for life in lives:
            entered_s = life.ends_s[position - 1] if position else 0.0
            unit_s = self._unit_s(position, entered_s)
            ages.append((life.ends_s[position] - entered_s) / unit_s)
        ages.sort()
        totals = [0.0, *accumulate(ages)]
        roots: list[float] = []
        for a, b in pairwise(_EDGES):
            low, high = bisect_right(ages, a), bisect_right(ages, b)
            inside = totals[high] - totals[low] - (high - low) * a
            exposure = inside + (len(ages) - high) * (b - a)
            roots.append(sqrt((high - low + 1e-9) / (exposure + 1e-9)) * (b - a))
        return [0.0, *accumulate(roots)]

    def gap_s(
        self, awaited: Stage, entered_s: float, age_s: float, *, model: str, weights: Weights
    ) -> float:
        """Answer with the best gap, within the library's own bounds."""
        position = awaited.position
        unit_s = self._unit_s(position, entered_s)
        urge = self._urges[position]
        age = max(age_s - entered_s, 0.0) / unit_s
        i = min(bisect_right(_EDGES, age), len(_EDGES) - 1) - 1
        slope = (urge[i + 1] - urge[i]) / (_EDGES[i + 1] - _EDGES[i])
        more = sqrt(2 * self._price_s / weights[position] / unit_s)
        wanted = urge[i] + slope * (age - _EDGES[i]) + more
        i = min(bisect_right(urge, wanted), len(_EDGES) - 1) - 1
        slope = (urge[i + 1] - urge[i]) / (_EDGES[i + 1] - _EDGES[i])
        least_s, most_s = bounds_s(age_s)
        gap_s = (_EDGES[i] + (wanted - urge[i]) / slope - age) * unit_s
        return min(max(gap_s, least_s), most_s)

    def learn(
        self, ended: Stage, entered_s: float, before_s: float, after_s: float, *, model: str
    ) -> None:
        """Know everything already."""
