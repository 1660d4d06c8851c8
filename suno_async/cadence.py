"""When to look at a task next.

A cadence is told how far a task has come and answers with the seconds until the next look. It
does no input or output and knows no clock.
"""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from datetime import timedelta
from itertools import accumulate, pairwise
from math import erfc, log, sqrt
from typing import Any, Literal, Protocol, cast

from attrs import field, frozen

from suno_async.clock import duration
from suno_async.errors import InvalidRequest
from suno_async.models import Stage

# docs: at most 3 queries per second per task
LEAST_GAP_S = 0.34

Weights = tuple[float, float, float]
EVERY_STAGE: Weights = (1 / 3, 1 / 3, 1 / 3)
ONLY_COMPLETE: Weights = (0.02, 0.08, 0.9)


class Cadence(Protocol):
    """Decides when a task is looked at again, and may learn from when its stages came."""

    def gap_s(
        self, awaited: Stage, entered_s: float, age_s: float, *, model: str, weights: Weights
    ) -> float:
        """Tell how many seconds to wait until the next look; at least `LEAST_GAP_S`.

        Args:
            awaited: The stage that comes next.
            entered_s: When the stage before it was reached, in seconds since the submission.
            age_s: The present, in seconds since the submission.
            model: The task's model.
            weights: How much the caller waits for `text`, `first` and `complete`.
        """
        ...

    def learn(
        self, ended: Stage, entered_s: float, before_s: float, after_s: float, *, model: str
    ) -> None:
        """Take note that a stage was reached between two looks.

        Args:
            ended: The stage that was reached.
            entered_s: When the stage before it was reached, in seconds since the submission.
            before_s: The last look that did not show it.
            after_s: The first look that did.
            model: The task's model.
        """
        ...


@frozen
class FixedInterval:
    """Look every so often.

    Args:
        interval: The time between looks (a number is seconds); below 0.34 s it is 0.34 s.
    """

    interval: timedelta = field(default=timedelta(seconds=3), converter=duration)

    def gap_s(
        self, awaited: Stage, entered_s: float, age_s: float, *, model: str, weights: Weights
    ) -> float:
        """Answer with the interval."""
        return max(self.interval.total_seconds(), LEAST_GAP_S)

    def learn(
        self, ended: Stage, entered_s: float, before_s: float, after_s: float, *, model: str
    ) -> None:
        """Learn nothing."""


@frozen
class Growing:
    """Look every so often for some minutes, and ever more rarely after that.

    Args:
        interval: The time between looks at first (a number is seconds).
        steady: How long it stays so.
        share: After that the gap grows with the time beyond `steady`, by this share of it.
        ceiling: The longest gap.
    """

    interval: timedelta = field(default=timedelta(seconds=3), converter=duration)
    steady: timedelta = field(default=timedelta(minutes=5), converter=duration)
    share: float = 0.05
    ceiling: timedelta = field(default=timedelta(minutes=30), converter=duration)

    def gap_s(
        self, awaited: Stage, entered_s: float, age_s: float, *, model: str, weights: Weights
    ) -> float:
        """Answer with the interval, or a share of the task's age once that is more."""
        late_s = max(age_s - self.steady.total_seconds(), 0.0)
        ceiling_s = max(self.ceiling, self.interval).total_seconds()
        gap_s = min(self.interval.total_seconds() + self.share * late_s, ceiling_s)
        return max(gap_s, LEAST_GAP_S)

    def learn(
        self, ended: Stage, entered_s: float, before_s: float, after_s: float, *, model: str
    ) -> None:
        """Learn nothing."""


# Ages are sorted into bins: 0 to 0.05, and then each a quarter longer than the one before.
_EDGES = (0.0, *(0.05 * 1.25**i for i in range(80)))
_WIDTHS = tuple(b - a for a, b in pairwise(_EDGES))
_LAST = len(_WIDTHS)

# a learned table forgets: what an older task taught counts this much less with every new one
_MEMORY = 0.985


def _prior(typical: float, tasks: float = 3.0) -> tuple[list[float], list[float]]:
    """Pretend to have seen a few tasks: most of about the typical age, a tenth much slower."""

    def alive(age: float) -> float:
        z = log(max(age, 1e-9) / typical) / sqrt(2)
        usual, slow = erfc(z / 0.5), erfc((z - log(3.0) / sqrt(2)) / 1.5)
        return (0.9 * usual + 0.1 * slow) / 2

    share = [alive(edge) for edge in _EDGES]
    ends = [tasks * (a - b) + 1e-12 for a, b in pairwise(share)]
    exposure = [
        tasks * (a + b) / 2 * width + 1e-12
        for (a, b), width in zip(pairwise(share), _WIDTHS, strict=True)
    ]
    return ends, exposure


# By stage, on the stage's own clock: seconds for `text`, multiples of the time that it took to
# get there for `first` and `complete`.
_PRIORS = tuple(_prior(typical) for typical in (25.0, 1.6, 0.9))


class _Hazard:
    """How likely a stage is to end at an age, given that it has not ended yet.

    Per bin of ages: how many stages ended in it, and how long stages were in it altogether. The
    quotient is the hazard.

    Args:
        prior: What to pretend to have seen.
        exponent: To which power the hazard paces.
    """

    def __init__(self, prior: tuple[list[float], list[float]], exponent: float) -> None:
        self.prior = prior
        self.exponent = exponent
        self.ends = [0.0] * len(_WIDTHS)
        self.exposure = [0.0] * len(_WIDTHS)
        self._urge: list[float] | None = None

    def urge(self) -> list[float]:
        """The integral of the hazard's root up to each edge."""
        if self._urge is None:
            roots = (
                ((end + ends) / (exposed + exposure)) ** self.exponent * width
                for end, ends, exposed, exposure, width in zip(
                    self.prior[0], self.ends, self.prior[1], self.exposure, _WIDTHS, strict=True
                )
            )
            self._urge = list(accumulate(roots, initial=0.0))
        return self._urge

    def age_after(self, age: float, more: float) -> float:
        """Tell the age by which the urge has grown by so much since `age`."""
        urge = self.urge()
        i = bisect_right(_EDGES, age, 0, _LAST) - 1
        wanted = urge[i] + (urge[i + 1] - urge[i]) / _WIDTHS[i] * (age - _EDGES[i]) + more
        i = bisect_right(urge, wanted, i, _LAST) - 1
        return _EDGES[i] + (wanted - urge[i]) * _WIDTHS[i] / (urge[i + 1] - urge[i])

    def learn(self, low: float, high: float) -> None:
        """Take in a stage that was seen going on at `low` and ended at `high`.

        Where in between it ended is not known: one end is spread evenly.
        """
        done = 0.0
        for i, (a, b) in enumerate(pairwise(_EDGES)):
            inside = max(min(b, high) - max(a, low), 0.0)
            share = inside / (high - low)
            before = max(min(b, low) - a, 0.0)
            self.ends[i] = self.ends[i] * _MEMORY + share
            self.exposure[i] = self.exposure[i] * _MEMORY + before + inside * (1 - done - share / 2)
            done += share
        self._urge = None


# by what is minimised: the power of the hazard that paces, and the price of about 30 looks a task
_EXPONENTS = {"mean": (1 / 2, 0.05), "tail": (1 / 3, 0.15)}

_LEARNED_RULE = "must be what learned() returned"
# what no table of durations comes near
_MOST_LEARNED = 1e9


class HazardPaced:
    """Look often when the stage is likely to end just now, and rarely otherwise: the default.

    The likelihood to end now is called the hazard. A task that has just begun cannot be done yet;
    around the usual time it is done any moment; one that is long overdue may take for ever. The
    schedule that is cheapest for the mean *squared* delay, in which the long waits count most,
    looks at a pace that goes with the hazard's cube root; the one for the mean delay goes with the
    square root (Keller 1974). The next look is due when the integral of that root since the last
    one has reached what a look costs.

    The hazard begins as a guess and is learned from the session's own tasks, for each model and
    stage. Later stages are measured in multiples of the time that the task took to reach them: a
    task that was slow so far goes on slowly. At equal mean delay it needs a little more than half
    the looks of a fixed interval.

    Args:
        price: What one look is worth: so much delay (a number is seconds; more than zero). The
            number of looks goes with its inverse root; the default makes about 30 a task. None
            takes it: 0.15 s, or 0.05 s with `minimise="mean"`.
        ceiling: The longest gap in a task's first minutes; later it is 5 % of the task's age if
            that is more. Only a high price comes near it.
        learned: What an earlier session's `learned()` returned.
        minimise: `tail` paces by the cube root and keeps the longest waits short; `mean` by the
            square root: 4 % less of delay on average, and a 99th percentile a quarter higher.

    Raises:
        InvalidRequest: `price` or `ceiling` is not more than zero, `learned` is not such a value,
            or `minimise` is neither word.
    """

    def __init__(
        self,
        price: timedelta | float | None = None,
        ceiling: timedelta | float = timedelta(seconds=20),
        learned: Mapping[str, Any] | None = None,
        *,
        minimise: Literal["mean", "tail"] = "tail",
    ) -> None:
        if minimise not in _EXPONENTS:
            raise InvalidRequest("minimise", minimise, "must be 'mean' or 'tail'")
        self._exponent, usual_s = _EXPONENTS[minimise]
        price_s = _seconds("price", usual_s if price is None else price)
        self.price: timedelta = timedelta(seconds=price_s)
        self._ceiling_s = _seconds("ceiling", ceiling)
        self._cost = (2 * price_s) ** self._exponent
        self._hazards: dict[str, tuple[_Hazard, ...]] = {}
        if learned is not None and not isinstance(cast("object", learned), Mapping):
            raise InvalidRequest("learned", learned, _LEARNED_RULE)
        for model, stages in (learned or {}).items():
            self._restore(model, stages)

    def gap_s(
        self, awaited: Stage, entered_s: float, age_s: float, *, model: str, weights: Weights
    ) -> float:
        """Answer with the time until a look is worth its price, within the bounds."""
        least_s, most_s = bounds_s(age_s, self._ceiling_s)
        position = _POSITIONS[awaited]
        weight = weights[position]
        if weight <= 0:
            return most_s
        unit_s = entered_s if position and entered_s > 1.0 else 1.0
        age = (age_s - entered_s) / unit_s if age_s > entered_s else 0.0
        more = self._cost * weight**-self._exponent * unit_s ** (self._exponent - 1)
        gap_s = (self._hazard(model, position).age_after(age, more) - age) * unit_s
        if gap_s > most_s:
            return most_s
        return max(gap_s, least_s)

    def learn(
        self, ended: Stage, entered_s: float, before_s: float, after_s: float, *, model: str
    ) -> None:
        """Learn that the stage ended between the two looks."""
        position = ended.position
        unit_s = _unit_s(position, entered_s)
        low = max(before_s - entered_s, 0.0) / unit_s
        high = max((after_s - entered_s) / unit_s, 1e-3, low + 1e-6)
        self._hazard(model, position).learn(low, high)

    def learned(self) -> dict[str, Any]:
        """Give what was learned as a small JSON value, for the next session's `HazardPaced`."""
        return {
            model: [
                {"ends": _trimmed(hazard.ends), "exposure": _trimmed(hazard.exposure)}
                for hazard in hazards
            ]
            for model, hazards in self._hazards.items()
        }

    def _restore(self, model: str, stages: Sequence[Mapping[str, Sequence[float]]]) -> None:
        hazards = [self._hazard(model, position) for position in range(len(_PRIORS))]
        try:
            for hazard, stage in zip(hazards, stages, strict=True):
                hazard.ends = _filled(stage["ends"])
                hazard.exposure = _filled(stage["exposure"])
        except (KeyError, TypeError, ValueError) as error:
            raise InvalidRequest("learned", stages, _LEARNED_RULE) from error

    def _hazard(self, model: str, position: int) -> _Hazard:
        hazards = self._hazards.get(model)
        if hazards is None:
            hazards = self._hazards[model] = tuple(
                _Hazard(prior, self._exponent) for prior in _PRIORS
            )
        return hazards[position]


def bounds_s(age_s: float, ceiling_s: float = 20.0) -> tuple[float, float]:
    """Tell the least and the greatest gap at a task's age.

    In ordinary times 0.34 s and the ceiling. After ten minutes a task is a rare straggler: its
    looks thin out with its age, so that one which is stuck for 14 days costs less than a thousand.
    """
    if age_s <= 600.0:
        most_s = 0.05 * age_s
        return LEAST_GAP_S, max(ceiling_s, LEAST_GAP_S) if most_s < ceiling_s else most_s
    least_s = max(LEAST_GAP_S, 0.01 * (age_s - 600.0))
    return least_s, max(ceiling_s, 0.05 * age_s, least_s)


def _seconds(name: str, value: timedelta | float) -> float:
    rule = "must be a timedelta or a number of seconds, more than zero"
    try:
        seconds = duration(value).total_seconds()
    except (TypeError, ValueError, OverflowError) as error:
        raise InvalidRequest(name, value, rule) from error
    if seconds <= 0:
        raise InvalidRequest(name, value, rule)
    return seconds


_POSITIONS = {stage: stage.position for stage in Stage}


def _unit_s(position: int, entered_s: float) -> float:
    return max(entered_s, 1.0) if position else 1.0


def _filled(values: Sequence[float]) -> list[float]:
    if len(values) > len(_WIDTHS) or not all(0 <= value <= _MOST_LEARNED for value in values):
        raise ValueError("must be at most as many numbers as there are bins")
    return [*map(float, values), *[0.0] * (len(_WIDTHS) - len(values))]


def _trimmed(values: list[float]) -> list[float]:
    """Leave out the zeros at the end, and digits that say nothing."""
    last = max((i for i, value in enumerate(values) if value > 1e-6), default=-1)
    return [float(f"{value:.6g}") for value in values[: last + 1]]
