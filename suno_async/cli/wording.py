"""What is said of a song, a duration and the account, in a few words for a person."""

import math
import re

from suno_async import Stage
from suno_async.cli.board import Board, Entry, State
from suno_async.cli.counts import Counts
from suno_async.cli.failures import printable

STAGES = {
    Stage.TEXT: "text is there",
    Stage.FIRST: "first track is there",
    Stage.COMPLETE: "complete",
}
# as words of rich
STYLES = {
    State.WAITING: "dim",
    State.RUNNING: "",
    State.SAVING: "cyan",
    State.SAVED: "green",
    State.FAILED: "red",
    State.UNCERTAIN: "yellow",
}
_TENTHS_BELOW_S = 100
_SELECTORS = re.compile("[\ufe00-\ufe0f\U0001f3fb-\U0001f3ff\U000e0100-\U000e01ef]")


def describe(entry: Entry) -> str:
    """Say where a song stands; what is from outside is not made printable."""
    match entry.state:
        case State.FAILED:
            return f"failed: {entry.problem or 'nobody knows why'}"
        case State.UNCERTAIN:
            return f"uncertain: {entry.doubt or 'perhaps it was paid for'}"
        case State.SAVED:
            saved = "saved 1 file" if len(entry.files) == 1 else f"saved {len(entry.files)} files"
            return f"{saved}, {entry.deleted} deleted since" if entry.deleted else saved
        case State.WAITING if entry.uploading:
            return "uploading its stem"
        case State.RUNNING if entry.stage is not None:
            return STAGES[entry.stage]
    return entry.state.value


def in_columns(text: str) -> str:
    """Make text from outside printable, and as wide on one terminal as on any other.

    What chooses the looks of the character before it, such as the tone of a skin, is left out: some
    terminals give it columns of its own.
    """
    return _SELECTORS.sub("", printable(text))


def duration(seconds: float | None) -> str:
    """Write a duration as briefly as it can be read."""
    if seconds is None:
        return ""
    if seconds < _TENTHS_BELOW_S:
        return f"{seconds:.1f} s"
    return _clock(round(seconds))


def time_left(seconds: float) -> str:
    """Write a time that was estimated: no more exact than it is known."""
    whole = max(math.ceil(seconds), 1)
    return f"about {f'{whole} s' if whole < _TENTHS_BELOW_S else _clock(whole)} left"


def _clock(seconds: int) -> str:
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def stopping(counts: Counts) -> str:
    """Say what goes on after somebody asked the run to stop, and how to leave at once."""
    match counts.in_flight:
        case 0:
            watched = "no task is running"
        case 1:
            watched = "1 task that is paid for is still watched"
        case more:
            watched = f"{more} tasks that are paid for are still watched"
    return f"stopping: nothing more is submitted; {watched}; Ctrl-C again leaves at once"


def credits(board: Board) -> str | None:
    """Say what the account had and has; None when that is not known."""
    if board.balance_before is None:
        return None
    before = f"credits: {board.balance_before:.12g} before"
    if board.balance_after is None:
        return before
    return f"{before}, {board.balance_after:.12g} after"
