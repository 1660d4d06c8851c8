"""What would end a watch, and is believed only when it has persisted.

Instants are seconds on a monotonic clock.
"""

from enum import Enum

from attrs import define

# a doubt must have been seen so often, in looks of its own
DOUBTFUL_LOOKS = 3

# so many are told apart by their codes
_MOST_KEYS = 8


class Doubt(Enum):
    """What would end a watch, and is not believed yet."""

    REFUSED = "the look is refused"
    NO_RECORD = "the service has no record of the task"
    ANOTHER_TASK = "the record is another task's"
    NO_AUDIO = "it is called complete, and audio is missing"
    FAILED = "it has failed under a status that lingers"
    FINISHED = "two tracks are finished under a status that lingers"


# how long a doubt must have lasted, in seconds
LASTING_S: dict[Doubt, float] = {
    Doubt.REFUSED: 60.0,
    Doubt.NO_RECORD: 60.0,
    Doubt.ANOTHER_TASK: 60.0,
    Doubt.NO_AUDIO: 600.0,
    Doubt.FAILED: 60.0,
    Doubt.FINISHED: 0.0,
}
# the longest gap between two looks while it lasts, so that it is settled also for a task of days
_GAP_S: dict[Doubt, float] = {
    Doubt.REFUSED: 20.0,
    Doubt.NO_RECORD: 20.0,
    Doubt.ANOTHER_TASK: 20.0,
    Doubt.NO_AUDIO: 10.0,
    Doubt.FAILED: 20.0,
    Doubt.FINISHED: 2.0,
}


@define
class _Standing:
    """How long a doubt has stood, and how many looks gave rise to it."""

    since_s: float
    looks: int = 0


class Doubts:
    """The doubts about one task, each since its first look, with no good answer between."""

    __slots__ = ("_standing",)

    def __init__(self) -> None:
        self._standing: dict[tuple[Doubt, int | None], _Standing] = {}

    def __len__(self) -> int:
        return len(self._standing)

    def persists(self, doubt: Doubt, now_s: float, code: int | None = None) -> bool:
        """Note a doubt once more, and tell whether it is to be believed.

        Args:
            doubt: The doubt.
            now_s: When the answer came.
            code: Which refusal it is: each has to persist by itself.
        """
        key = doubt, code
        if key not in self._standing and len(self._standing) >= _MOST_KEYS:
            key = doubt, None
        standing = self._standing.setdefault(key, _Standing(now_s))
        standing.looks += 1
        return standing.looks >= DOUBTFUL_LOOKS and now_s - standing.since_s >= LASTING_S[doubt]

    def keep(self, doubt: Doubt | None) -> None:
        """Drop all but one: the task's own record leaves no doubt but that of the record."""
        for key in [key for key in self._standing if key[0] is not doubt]:
            del self._standing[key]

    def gap_s(self) -> float:
        """Tell the longest gap until the next look that settles them."""
        return min(_GAP_S[doubt] for doubt, _ in self._standing)
