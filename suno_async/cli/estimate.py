"""How long a run will still take, learned from the songs of it that have ended. Pure."""

import math
from collections.abc import Collection, Sequence

from attrs import frozen

from suno_async.cli.board import Entry, State

# before that many have ended, those that have are only the fastest
_FEWEST_ENDED = 3
# spec: a task's results are kept for 14 days, and then it is over
_LONGEST_S = 14 * 86_400.0


@frozen
class Capacity:
    """How fast a run may submit: the session's own limits.

    Args:
        in_flight: How many tasks run at a time.
        submissions: How many are submitted within a window.
        window_s: How long a window is.
    """

    in_flight: int = 100
    submissions: int = 20
    window_s: float = 10.0


_USUAL = Capacity()


def time_left_s(
    ended_s: Collection[float],
    running_s: Sequence[float],
    waiting: int,
    capacity: Capacity = _USUAL,
) -> float | None:
    """Estimate how long it takes until all songs of a run have ended.

    A place becomes free as the mean song ends; the last song may take as long as the longest did.

    Args:
        ended_s: How long each song took that has ended well in this run, in seconds.
        running_s: How long each song has been running that has not.
        waiting: How many are still to be submitted.
        capacity: How fast they may be.

    Returns:
        Seconds, finite and not negative; None when it cannot be known: too few have ended, or most
        of those that run have taken longer than any that ended.
    """
    ended = sorted(value for value in ended_s if _is_duration(value))
    running = sorted(value for value in running_s if _is_duration(value))
    waiting = max(waiting, 0)
    left = len(running) + waiting
    if not left:
        return 0.0
    if len(ended) < min(_FEWEST_ENDED, max(left, 1)):
        return None
    longest = ended[-1]
    overdue = sum(value > longest for value in running)
    if 2 * overdue > len(running):
        return None
    until_running_end = max(longest - running[0], 0.0) if running else 0.0
    if not waiting:
        return until_running_end
    typical = min(math.fsum(ended) / len(ended), longest)
    last_start = _last_start_s(typical, running, waiting, capacity)
    return max(until_running_end, last_start + longest)


def _last_start_s(
    typical_s: float, running_s: Sequence[float], waiting: int, capacity: Capacity
) -> float:
    """Estimate when the last waiting song is submitted: it needs a place, and a window."""
    places = max(capacity.in_flight, len(running_s), 1)
    # the longest running one ends first
    free_in_s = [0.0] * (places - len(running_s))
    free_in_s += [max(typical_s - value, 0.0) for value in reversed(running_s)]
    rounds, place = divmod(waiting - 1, places)
    windows = (waiting - 1) // max(capacity.submissions, 1)
    return max(rounds * typical_s + free_in_s[place], windows * max(capacity.window_s, 0.0))


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
    running: list[float] = []
    waiting = 0
    for entry in entries:
        seconds = entry.seconds
        if entry.ended:
            # one that failed says nothing about those that will not, nor what another day was like
            if entry.state is State.SAVED and not entry.earlier and seconds is not None:
                ended.append(seconds)
        elif entry.state in {State.RUNNING, State.SAVING}:
            running.append(seconds or 0.0)
        else:
            waiting += 1
    return time_left_s(ended, running, 0 if stopping else waiting, capacity)
