"""Where the command writes: a stream that may vanish, be full or be slow, which ends no run."""

import os
import queue
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import IO, Any, Self, TextIO, cast

from rich.console import Console

# between tries when somebody has made the stream non-blocking and its reader is slow
_RETRY_S = 0.02


class Output:
    """A stream of text that can be written to whatever becomes of it: writing never raises.

    A reader that has closed the pipe, a terminal that is gone, a disk that is full: after the first
    failure nothing more is written, and what others still write to the same descriptor, Python's
    last flush included, goes to the null device. It can be used as a file by rich.

    Args:
        stream: Usually `sys.stdout` or `sys.stderr`; None when the process has none, which is no
            failure: what is written is dropped then.
    """

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream
        self._descriptor = _descriptor(stream)
        self._guard = threading.RLock()
        self._gone = False
        self._to_tell: list[Callable[[], None]] = []

    @property
    def gone(self) -> bool:
        """Whether writing has failed."""
        return self._gone

    @property
    def encoding(self) -> str:
        """How text is encoded."""
        return getattr(self._stream, "encoding", None) or "utf-8"

    def when_gone(self, callback: Callable[[], None]) -> None:
        """Have something called, once, when writing fails; at once if it has failed already.

        It is called in whatever thread was writing: to reach an event loop, hand over something
        that uses `call_soon_threadsafe`.
        """
        with self._guard:
            if not self._gone:
                self._to_tell.append(callback)
                return
        callback()

    def isatty(self) -> bool:
        """Tell whether it is a terminal that is still there."""
        with suppress(OSError, ValueError):
            return self._stream is not None and not self._gone and self._stream.isatty()
        return False

    def size(self) -> os.terminal_size | None:
        """Tell how many columns and lines the terminal has just now; None if it is not known."""
        if self._descriptor is None or self._gone:
            return None
        with suppress(OSError, ValueError):
            size = os.get_terminal_size(self._descriptor)
            return size if size.columns > 0 and size.lines > 0 else None
        return None

    def console(self) -> Console:
        """Make a console that writes here."""
        return Console(file=cast("IO[str]", self))

    def write(self, text: str) -> int:
        """Write text at once, if there is still somebody to read it."""
        # before the lock: a thread that was given up holds it
        if self._stream is None or self._gone:
            return len(text)
        with self._guard:
            if self._gone:
                return len(text)
            try:
                self._put(self._stream, text)
            except (OSError, ValueError):  # a ValueError: the stream was closed
                self._lose(self._stream)
        # not under the lock: what is called may wait for what another thread writes
        if self._gone:
            self._tell()
        return len(text)

    def give_up(self) -> None:
        """Write nothing more, also where a reader that takes nothing holds up another thread."""
        self._gone = True

    def flush(self) -> None:
        """Do nothing: all is written at once."""

    def line(self, text: str) -> None:
        """Write a line."""
        self.write(f"{text}\n")

    def _put(self, stream: TextIO, text: str) -> None:
        stream.flush()
        data = text.encode(self.encoding, "replace")
        if self._descriptor is None:
            stream.write(data.decode(self.encoding))
            stream.flush()
        else:
            _write_all(self._descriptor, data)

    def _lose(self, stream: TextIO) -> None:
        self._gone = True
        with suppress(OSError, ValueError):
            null = os.open(os.devnull, os.O_WRONLY)
            try:
                os.dup2(null, stream.fileno())
            finally:
                os.close(null)

    def _tell(self) -> None:
        with self._guard:
            callbacks, self._to_tell = self._to_tell, []
        for callback in callbacks:
            callback()


def _descriptor(stream: TextIO | None) -> int | None:
    """Find what to write to without Python's buffer: one thread in it blocks the process's end."""
    if stream is None or os.name == "nt":  # a Windows console takes text, not bytes
        return None
    with suppress(OSError, ValueError, AttributeError):
        return stream.fileno()
    return None


def _write_all(descriptor: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        try:
            rest = rest[os.write(descriptor, rest) :]
        except BlockingIOError:
            time.sleep(_RETRY_S)


def say(text: str) -> None:
    """Print a sentence on stdout, if there is somebody to read it."""
    Output(sys.stdout).line(text)


def wait_for(thread: threading.Thread, output: Output) -> None:
    """Wait until a thread has written all; whoever interrupts that wants no more to be written."""
    try:
        thread.join()
    except BaseException:
        output.give_up()
        raise


class Background:
    """Writes to an output in a thread of its own, in order: a slow reader holds up no event loop.

    Leaving it waits until all is written.

    Args:
        output: Where to write.
    """

    def __init__(self, output: Output) -> None:
        self._output = output
        self._waiting: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        # a daemon: whoever interrupts the last wait wants the process to end
        self._thread = threading.Thread(target=self._run, name="suno-async output", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._waiting.put(None)
        wait_for(self._thread, self._output)

    def line(self, text: str) -> None:
        """Write a line as soon as all before it is written."""
        self._waiting.put(f"{text}\n")

    def _run(self) -> None:
        while (text := self._waiting.get()) is not None:
            self._output.write(text)


class Interposed:
    """Stands for a stream while it shares its terminal with something that is drawn.

    Whole lines are handed over; all else is the stream's own.

    Args:
        stream: What it stands for.
        take: Takes each line, without its end.
    """

    def __init__(self, stream: TextIO, take: Callable[[str], None]) -> None:
        self._stream = stream
        self._take = take
        self._begun = ""

    def write(self, text: str) -> int:
        """Take text; its lines are passed on when they are whole."""
        *lines, self._begun = (self._begun + text).split("\n")
        for line in lines:
            self._take(line)
        return len(text)

    def flush(self) -> None:
        """Do nothing: whole lines are passed on already."""

    def finish(self) -> None:
        """Pass on a line that was never ended."""
        if self._begun:
            self._take(self._begun)
            self._begun = ""

    def fileno(self) -> int:
        """Have no descriptor: whoever wrote to it would write into what is drawn.

        Raises:
            OSError: Always.
        """
        raise OSError("what is written here goes through what is drawn")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
