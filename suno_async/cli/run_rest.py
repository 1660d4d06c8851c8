"""What a run has not finished, in words, and the commands that go on with it."""

import shlex
from collections.abc import Sequence
from pathlib import Path

from attrs import frozen

from suno_async.cli.board import Board, Entry, State

_NAMED = 10


@frozen
class RunRest:
    """How a run goes on.

    Args:
        out: Its folder.
        base_url: The service, when the folder's word is not enough for it to get the key.
    """

    out: Path
    base_url: str | None = None

    def __call__(self, board: Board) -> Sequence[str]:
        """Say what is not finished, and which rows have to be decided about."""
        words = ["suno-async", "resume", str(self.out)]
        if self.base_url is not None:
            words += ["--base-url", self.base_url]
        resume = shlex.join(words)
        lines: list[str] = []
        left = sum(_goes_on(entry) for entry in board.entries)
        if left and board.began:
            songs = "1 song is" if left == 1 else f"{left} songs are"
            lines += [f"{songs} not finished. Go on with:", f"  {resume}"]
        if rows := [entry.number for entry in board.entries if entry.state is State.UNCERTAIN]:
            listed = ", ".join(map(str, rows[:_NAMED])) + (", …" if rows[_NAMED:] else "")
            doubtful = f"Nobody knows whether these rows were paid for: {listed}."
            lines += [
                f"{doubtful} Look at the account's history, and decide:",
                f"  {resume} --adopt {rows[0]}=TASK_ID    its task is there",
                f"  {resume} --retry-uncertain    submit again: paid twice if it is there",
                f"  {resume} --abandon    look no further",
            ]
        return lines


def _goes_on(entry: Entry) -> bool:
    """Tell whether the same command would bring a song further."""
    if entry.state is State.FAILED:
        return entry.song is not None and (entry.retrievable or entry.task_id is None)
    return entry.state not in {State.SAVED, State.UNCERTAIN}
