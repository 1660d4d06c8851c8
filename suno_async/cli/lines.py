"""A run line by line: what a person sees of it in a pipe, a file or on a simple terminal."""

import time

from suno_async.cli.board import Board, Entry
from suno_async.cli.counts import count
from suno_async.cli.events import Event, Events, Kind
from suno_async.cli.failures import printable
from suno_async.cli.output import Background
from suno_async.cli.wording import STAGES, describe, duration, stopping


class Lines:
    """Writes a line whenever something happens.

    Args:
        board: The songs.
        output: Where to write.
    """

    def __init__(self, board: Board, output: Background) -> None:
        self._board = board
        self._output = output
        self._events = Events(board)
        self._digits = len(str(len(board.entries)))
        self._began_s = time.monotonic()

    def start(self, heading: str) -> None:
        """Write the heading; what happened before is not told again."""
        self._output.line(printable(heading))
        for _ in self._events.so_far():
            pass

    def changed(self, entry: Entry) -> None:
        """Write what has happened to a song."""
        for event in self._events.of(entry):
            title = printable(f"{event.row:>{self._digits}} {event.entry.title}")
            self._write(f"{title}: {printable(_words(event))}")

    def stopping(self) -> None:
        """Write that the run stops, and what goes on."""
        self._write(stopping(count(self._board.entries)))

    def end(self) -> None:
        """Write nothing: the result follows."""

    def _write(self, text: str) -> None:
        self._output.line(f"{duration(time.monotonic() - self._began_s):>8}  {text}")


def _words(event: Event) -> str:
    if event.kind is Kind.SUBMITTED:
        return f"submitted as task {event.entry.task_id}"
    if event.stage is not None:
        return STAGES[event.stage]
    return describe(event.entry)
