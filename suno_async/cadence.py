"""When to look at a task next.

A cadence is told how far a task has come and answers with the seconds until the next look. It
does no input or output and knows no clock.
"""

from datetime import timedelta
from typing import Protocol

from attrs import field, frozen

from suno_async.clock import duration
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
