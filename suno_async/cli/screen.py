"""A run on a terminal while it goes on: drawn again and again over what was drawn before."""

import os
import sys
import threading
import time
from typing import TextIO, cast

from suno_async.cli.board import Board, Entry
from suno_async.cli.estimate import Capacity
from suno_async.cli.frame import draw
from suno_async.cli.output import Interposed, Output, wait_for

_GAP_S = 0.125
# drawing a long run on a slow machine leaves it time for the run
_MOST_OF_THE_TIME = 0.1
_USUAL_SIZE = os.terminal_size((80, 24))

# what is too wide by the terminal's own measure of a character is cut off, not wrapped; within each
# write, so that whatever ends the process leaves a terminal that wraps
_NO_WRAP, _WRAP = "\x1b[?7l", "\x1b[?7h"
_ERASE_LINE, _ERASE_BELOW, _ERASE_ALL = "\x1b[2K", "\x1b[J", "\x1b[H\x1b[2J"


class Screen:
    """Draws a run in a thread of its own: a terminal that takes nothing holds up no event loop.

    Each time it asks for the terminal's size. What is written to stderr meanwhile, if that is a
    terminal, is put above what is drawn.

    Args:
        board: The songs.
        output: The terminal.
        capacity: How fast the run may submit and look.
    """

    def __init__(self, board: Board, output: Output, capacity: Capacity) -> None:
        self._board = board
        self._output = output
        self._capacity = capacity
        self._console = output.console()
        self._heading = ""
        self._size = _USUAL_SIZE
        self._drawn_lines = 0
        self._above: list[str] = []
        self._stderr: tuple[TextIO, Interposed] | None = None
        self._wake = threading.Event()
        self._ended = False
        # a daemon: whoever interrupts the last wait wants the process to end
        self._thread = threading.Thread(target=self._run, name="suno-async screen", daemon=True)

    def start(self, heading: str) -> None:
        """Begin to draw."""
        self._heading = heading
        # there is none in a process that was started without
        stderr = cast("TextIO | None", sys.stderr)
        if stderr is not None and Output(stderr).isatty():
            self._stderr = stderr, Interposed(stderr, self._above.append)
            sys.stderr = cast("TextIO", self._stderr[1])
        self._thread.start()

    def changed(self, entry: Entry) -> None:
        """Do nothing: it is seen when it is drawn next."""

    def stopping(self) -> None:
        """Draw at once that the run stops."""
        self._wake.set()

    def end(self) -> None:
        """Take away what was drawn: the result follows."""
        self._ended = True
        self._wake.set()
        try:
            wait_for(self._thread, self._output)
        finally:
            if self._stderr is not None:
                sys.stderr, interposed = self._stderr
                interposed.finish()
            self._output.write(self._over(erase=True) + self._taken())

    def _run(self) -> None:
        while not self._ended:
            began_s = time.monotonic()
            self._draw()
            took_s = time.monotonic() - began_s
            self._wake.wait(max(_GAP_S, took_s / _MOST_OF_THE_TIME))
            self._wake.clear()

    def _draw(self) -> None:
        size = self._output.size() or _USUAL_SIZE
        narrower = size.columns < self._size.columns and self._drawn_lines > 0
        self._size = size
        self._console.size = (size.columns, size.lines)
        # a terminal that has become narrower may have broken the lines: nobody knows into how many
        above = self._taken()
        over = _ERASE_ALL if narrower else self._over(erase=bool(above))
        lines = draw(self._board, self._console, self._heading, self._capacity)
        self._drawn_lines = len(lines)
        drawn = "".join(f"{_ERASE_LINE}{line}\r\n" for line in lines)
        self._output.write(f"{over}{above}{_NO_WRAP}{drawn}{_ERASE_BELOW}{_WRAP}")

    def _over(self, *, erase: bool) -> str:
        """Go back to where drawing began; erasing what is drawn over anyway would flicker."""
        up = f"\x1b[{self._drawn_lines}A" if self._drawn_lines else ""
        return f"\r{up}{_ERASE_BELOW if erase else ''}"

    def _taken(self) -> str:
        """Take what is to be put above."""
        lines = []
        while self._above:
            lines.append(f"{self._above.pop(0)}\r\n")
        return "".join(lines)
