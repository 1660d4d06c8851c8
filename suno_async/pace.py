"""When a watch is looked at next: what the cadence says, callbacks, doubts and the end of its life.

It does no input or output; instants are seconds on a monotonic clock.
"""

import asyncio
import logging
from collections.abc import Callable

from suno_async.cadence import LEAST_GAP_S, Cadence, Growing
from suno_async.errors import described
from suno_async.models import RETENTION, Stage
from suno_async.progress import RETENTION_S, Passage
from suno_async.trust import CallbackTrust
from suno_async.watch import Watch

_log = logging.getLogger("suno_async.watcher")

# a task is looked at once more this long before it expires, and after that whenever half of what
# is left has passed, so that a late result is not missed
LAST_LOOK_S = 600.0

# up to this age its end need not be thought of
FAR_FROM_END_S = RETENTION.total_seconds() / 2

# older tasks are rare stragglers: no look at them is spared
MOST_SPARED_AGE_S = 600.0

_STAGES = tuple(Stage)

# what a cadence may raise: tasks are watched whatever it is
_ANYTHING = (Exception, asyncio.CancelledError)

# in place of a cadence that fails
_SUBSTITUTE = Growing()


class Pace:
    """Decides when watches are looked at.

    Args:
        cadence: The caller's: it may raise anything, and answer anything.
        on_mistrust: Called when callbacks have just lost the trust that looks were spared for.

    Attributes:
        trust: How far callbacks are relied on.
    """

    def __init__(self, cadence: Cadence, on_mistrust: Callable[[], None]) -> None:
        self.trust: CallbackTrust = CallbackTrust()
        self._cadence = cadence
        self._on_mistrust = on_mistrust
        self._failed = False

    def gap_s(self, watch: Watch, at_s: float, *, slack: bool = True) -> float:
        """Tell how long to wait after a look, and do not sleep over the end of the task's life.

        Args:
            watch: The watch.
            at_s: When the look was.
            slack: Whether to wait for callbacks.
        """
        zero_s = watch.zero_s
        age_s = at_s - zero_s
        if age_s < 0.0:
            age_s = 0.0
        gap_s = self._wish_s(watch, watch.entered_s - zero_s, age_s)
        if watch.hints is not None and slack and not watch.is_ahead:
            gap_s += self.trust.slack_s()
        if watch.doubts is not None or watch.hints is not None:
            close_s = watch.close_gap_s()
            gap_s = gap_s if close_s is None else min(gap_s, close_s)
        if age_s + gap_s < FAR_FROM_END_S:
            return gap_s
        left_s = watch.expires_s - at_s
        latest_s = left_s - LAST_LOOK_S if left_s > LAST_LOOK_S else left_s / 2
        return min(gap_s, max(latest_s, LEAST_GAP_S))

    def _wish_s(self, watch: Watch, entered_s: float, age_s: float) -> float:
        """Ask the cadence, which is the caller's."""
        awaited, entered_s = _STAGES[len(watch.events)], max(entered_s, 0.0)
        try:
            # what compares like a number may still not add up with one
            gap_s = float(
                self._cadence.gap_s(
                    awaited, entered_s, age_s, model=watch.model, weights=watch.weights
                )
            )
            if LEAST_GAP_S <= gap_s <= RETENTION_S:
                return gap_s
            if gap_s < LEAST_GAP_S:
                return LEAST_GAP_S
            problem = f"it answered {gap_s!r} seconds"
        except _ANYTHING as error:
            problem = described(error)
        self._warn(problem)
        return _SUBSTITUTE.gap_s(
            awaited, entered_s, age_s, model=watch.model, weights=watch.weights
        )

    def _warn(self, problem: str) -> None:
        if not self._failed:
            self._failed = True
            _log.warning("the cadence fails, tasks are watched without it: %s", problem)

    def first_gap_s(self, watch: Watch, now_s: float, *, slack: bool = True) -> float:
        """Tell how long to wait until the first look for a reader."""
        if watch.hints is not None and watch.hints.new:
            return 0.0  # a callback came before the reader
        looked_s = watch.looked_s
        if looked_s is None:
            if not watch.fresh:
                return 0.0
            looked_s = watch.zero_s
        return max(self.gap_s(watch, looked_s, slack=slack) - (now_s - looked_s), 0.0)

    def spared_s(self, watch: Watch, now_s: float) -> float:
        """Tell for how long a look that is due is spared, since a callback would have come."""
        hints = watch.hints
        if hints is None or hints.new or watch.is_ahead or watch.looks or watch.doubts is not None:
            return 0.0
        if watch.looked_s is None and not watch.fresh:
            return 0.0  # what was called back before it was re-attached was told to others
        if now_s - watch.zero_s > MOST_SPARED_AGE_S:
            return 0.0
        looked_s = watch.zero_s if watch.looked_s is None else watch.looked_s
        until_s = self.trust.spared_until_s(
            watch.model, watch.reached, watch.zero_s, looked_s, now_s
        )
        return until_s - now_s

    def learn(self, watch: Watch, passages: tuple[Passage, ...], now_s: float) -> None:
        """Learn from the stages that a look showed."""
        was_firm = self.trust.is_firm
        # what was reached before the task was re-attached was announced to others
        is_first = not watch.fresh and bool(passages) and not passages[0].before_s
        for passage in passages:
            if watch.hints is not None and not passage.announced and not is_first:
                self.trust.learn(announced=False, now_s=now_s)
            if watch.fresh:
                self._teach(watch, passage)
        if was_firm and not self.trust.is_firm:
            self._on_mistrust()

    def _teach(self, watch: Watch, passage: Passage) -> None:
        try:
            self._cadence.learn(
                passage.stage,
                passage.entered_s,
                passage.before_s,
                passage.after_s,
                model=watch.model,
            )
        except _ANYTHING as error:
            self._warn(described(error))
