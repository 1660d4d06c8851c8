"""How far callbacks are relied on: for how long a look is put off, and when it is spared.

Instants are seconds on a monotonic clock.
"""

from math import inf

# how long a look is put off for a callback that may come: while callbacks are unproved, and at the
# most, which is one ceiling interval
CALLBACK_SLACK_S = 15.0
MOST_SLACK_S = 20.0

# a callback can be lost by itself: so long after its last look a task is looked at in any case
MOST_SPARED_S = 90.0
# tasks that were submitted within so long of each other are alike
ALIKE_S = 3.0

_MEMORY = 0.97


class CallbackTrust:
    """Learns whether stages are announced by callbacks.

    At first a look is put off by not quite a ceiling interval, so that a callback may spare it.
    Every stage that was announced makes it a little later, every one that was not makes it sooner,
    each in a row twice as much: without callbacks the looks are soon where they would be anyway.

    Where callbacks come as a rule, a look that is due is spared as long as there is fresh proof
    that they still do: a callback to any task, or a look in vain at a task like it. So when they
    stop, silence is noticed within seconds, and no task is later than by one ceiling interval.
    """

    def __init__(self) -> None:
        self._announced = self._missed = 1.0
        self._missed_in_row = 0
        self._proved_s = -inf
        self._probed: dict[tuple[str, int], tuple[float, float]] = {}

    def learn(self, *, announced: bool, now_s: float) -> None:
        """Take note that a stage was announced, or had to be found by a look."""
        self._announced = self._announced * _MEMORY + announced
        self._missed = self._missed * _MEMORY + (not announced)
        if announced:
            self._missed_in_row, self._proved_s = 0, now_s
        else:
            self._missed_in_row += 1

    @property
    def is_firm(self) -> bool:
        """Whether callbacks come as a rule, and the last stage was announced."""
        return not self._missed_in_row and self._announced >= 2 * self._missed

    def slack_s(self) -> float:
        """Tell for how many seconds a look may be put off."""
        slack_s = min(CALLBACK_SLACK_S * self._announced / self._missed, MOST_SLACK_S)
        return slack_s * 0.5**self._missed_in_row

    def spared_until_s(
        self, model: str, reached: int, zero_s: float, looked_s: float, now_s: float
    ) -> float:
        """Tell until when a look that is due now is spared; the present, or before, when it is not.

        Args:
            model: The task's model.
            reached: How many stages it has reached.
            zero_s: When it was submitted.
            looked_s: When it was last looked at.
            now_s: The present.
        """
        if not self.is_firm or now_s - looked_s > MOST_SPARED_S:
            return now_s
        proved_s = self._proved_s
        other_zero_s, probed_s = self._probed.get((model, reached), (-inf, -inf))
        if abs(zero_s - other_zero_s) <= ALIKE_S:
            proved_s = max(proved_s, probed_s)
        if proved_s + MOST_SLACK_S <= now_s:
            self._probed[model, reached] = zero_s, now_s
        return proved_s + MOST_SLACK_S
