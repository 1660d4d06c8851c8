"""How long a run will still take, learned from the songs of it that have ended. Pure."""

import math
from collections.abc import Collection, Sequence

from attrs import frozen

from suno_async.cadence import LEAST_GAP_S
from suno_async.cli.board import Entry, State

# before that many have ended, those that have are only the fastest
_FEWEST_ENDED = 3
# spec: a task's results are kept for 14 days, and then it is over
_LONGEST_S = 14 * 86_400.0
# what a look shows is known a moment after it: so long, or so much of the time between looks
_ANSWER_S = 1.0
_ANSWER_SHARE = 0.1


@frozen
class Capacity:
    """How fast a run may submit and look: the session's own limits.

    Args:
        in_flight: How many tasks run at a time.
        submissions: How many are submitted within a window.
        window_s: How long a window is.
        interval_s: The seconds between looks at a task, if they are long and always the same.
    """

    in_flight: int = 100
    submissions: int = 20
    window_s: float = 10.0
    interval_s: float | None = None


_USUAL = Capacity()


@frozen
class Running:
    """A song that runs.

    Args:
        age_s: How long, in seconds.
        looked_s: What its age was when its task was looked at the last time; None is just now.
        next_look_s: The seconds until that happens again: it ends no sooner.
    """

    age_s: float
    looked_s: float | None = None
    next_look_s: float = 0.0

    def is_overdue(self, longest_s: float) -> bool:
        """Tell whether it is known to take longer than that."""
        return (self.age_s if self.looked_s is None else self.looked_s) > longest_s

    def left_s(self, length_s: float) -> float:
        """Tell how long it goes on if it takes as long as that."""
        return max(length_s - self.age_s, self.next_look_s)


def time_left_s(
    ended_s: Collection[float],
    running: Collection[Running],
    waiting: int,
    capacity: Capacity = _USUAL,
) -> float | None:
    """Estimate how long it takes until all songs of a run have ended.

    A place becomes free as the mean song ends; the last song may take as long as the longest did.

    Args:
        ended_s: How long each song took that has ended well in this run, in seconds.
        running: The songs that have not ended.
        waiting: How many are still to be submitted.
        capacity: How fast they may be.

    Returns:
        Seconds, finite and not negative; None when it cannot be known: too few have ended, or most
        of those that run have taken longer than any that ended.
    """
    ended = sorted(value for value in ended_s if _is_duration(value))
    running = [song for song in running if _is_duration(song.age_s)]
    waiting = max(waiting, 0)
    left = len(running) + waiting
    if not left:
        return 0.0
    if len(ended) < min(_FEWEST_ENDED, max(left, 1)):
        return None
    longest = ended[-1]
    if 2 * sum(song.is_overdue(longest) for song in running) > len(running):
        return None
    until_running_end = max((song.left_s(longest) for song in running), default=0.0)
    if not waiting:
        return until_running_end
    typical = min(math.fsum(ended) / len(ended), longest)
    free_in_s = sorted(song.left_s(typical) for song in running)
    last_start = _last_start_s(typical, free_in_s, waiting, capacity)
    return max(until_running_end, last_start + longest)


def _last_start_s(
    typical_s: float, free_in_s: Sequence[float], waiting: int, capacity: Capacity
) -> float:
    """Estimate when the last waiting song is submitted: it needs a place, and a window."""
    places = max(capacity.in_flight, len(free_in_s), 1)
    free_in_s = [0.0] * (places - len(free_in_s)) + [*free_in_s]
    rounds, place = divmod(waiting - 1, places)
    # none waits for a place as long as another is taken and becomes free meanwhile
    free_s = min(free_in_s[place], free_in_s[0] + typical_s)
    windows = (waiting - 1) // max(capacity.submissions, 1)
    return max(rounds * typical_s + free_s, windows * max(capacity.window_s, 0.0))


def _is_duration(value: float) -> bool:
    return 0 <= value <= _LONGEST_S  # which nan is not


def left_s(entries: Collection[Entry], capacity: Capacity, *, stopping: bool) -> float | None:
    """Estimate how long a run takes until all of its songs have ended.

    Args:
        entries: The songs.
        capacity: How fast they may be submitted.
        stopping: Whether none is submitted any more.

    Returns:
        Seconds, or None when it cannot be known.
    """
    ended: list[float] = []
    running: list[Running] = []
    waiting = 0
    for entry in entries:
        seconds = entry.seconds
        if entry.ended:
            # one that failed says nothing about those that will not, nor what another day was like
            if entry.state is State.SAVED and not entry.earlier and seconds is not None:
                ended.append(seconds)
        elif entry.state in {State.RUNNING, State.SAVING}:
            running.append(_running(entry, capacity.interval_s))
        else:
            waiting += 1
    return time_left_s(ended, running, 0 if stopping else waiting, capacity)


def _running(entry: Entry, interval_s: float | None) -> Running:
    """Tell when a song was looked at: as this run began with it, and at each interval since."""
    age_s = entry.seconds or 0.0
    if entry.state is State.SAVING or interval_s is None:
        return Running(age_s)
    if not LEAST_GAP_S <= interval_s <= _LONGEST_S:  # which is refused before anything is looked at
        return Running(age_s)
    followed_s = entry.followed_s or 0.0
    answer_s = min(_ANSWER_S, _ANSWER_SHARE * interval_s)
    looks = max(followed_s - answer_s, 0.0) // interval_s
    looked_s = age_s - followed_s + looks * interval_s
    return Running(age_s, looked_s, max((looks + 1) * interval_s - followed_s, 0.0))
