"""A terminal in this process, to be drawn on."""

import os
import pty
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TextIO

from attrs import define, field

from .terminal import Picture, set_size

_LIMIT_S = 30.0


@define(eq=False)
class Screenful:
    """A pseudo-terminal, and what is seen on it.

    Attributes:
        picture: What is seen.
        stream: What to draw on.
    """

    picture: Picture
    stream: TextIO
    _master: int
    _news: threading.Condition = field(factory=threading.Condition)
    _reading: threading.Thread = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._reading = threading.Thread(target=self._read)
        self._reading.start()

    def until(self, seen: Callable[[list[str]], bool]) -> list[str]:
        """Wait until it shows something; return its lines."""
        with self._news:
            assert self._news.wait_for(lambda: seen(self.picture.text), _LIMIT_S)
            return self.picture.text

    def resize(self, columns: int, lines: int) -> None:
        """Make it larger or smaller."""
        with self._news:
            set_size(self._master, columns, lines)
            self.picture.resize(columns, lines)

    def close(self) -> None:
        """Close what is drawn on, and wait until all is seen."""
        self.stream.close()
        self._reading.join()

    def _read(self) -> None:
        with suppress(OSError):  # EIO: what is drawn on is closed
            while data := os.read(self._master, 65_536):
                with self._news:
                    self.picture.feed(data)
                    self._news.notify_all()


@contextmanager
def screenful(columns: int, lines: int) -> Iterator[Screenful]:
    """Open a terminal of some size."""
    master, slave = pty.openpty()
    set_size(master, columns, lines)
    seen = Screenful(Picture(columns, lines), os.fdopen(slave, "w", encoding="utf-8"), master)
    try:
        yield seen
    finally:
        seen.close()
        os.close(master)
