"""Being asked to stop: once, what is paid for is still brought to its end; twice, at once."""

import asyncio
import os
import signal
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress

from attrs import define, field

_NAMES = ("SIGINT", "SIGTERM", "SIGHUP")
# of the reader of what is printed, who has gone
PIPE: int = getattr(signal, "SIGPIPE", 13)
# a closed terminal is told by the kernel, by its shell, and by what is written to it
_OF_READERS = (PIPE, getattr(signal, "SIGHUP", PIPE))
_SAME_S = 2.0


@define(slots=False)
class Interrupted(Exception):
    """The command was asked to stop.

    Attributes:
        number: The signal's.
        at_once: Whether it was asked a second time.
    """

    number: int
    at_once: bool = False

    @property
    def status(self) -> int:
        """The status that it ends with."""
        return 128 + self.number


@define
class Interruption:
    """Takes the signals that ask a command to stop.

    Args:
        stop: Called at the first one; None for a command that stops at once.
        leave: Called at the second one, before the work is cut off.
    """

    stop: Callable[[], None] | None = None
    leave: Callable[[], None] = field(default=lambda: None)
    _number: int = 0
    _at_once: bool = False
    _last_s: float = 0.0
    _working: "asyncio.Future[None] | None" = None

    async def guard(self, work: Callable[[], Awaitable[None]]) -> None:
        """Do the work; end it as signals ask.

        A signal that was ignored as the command began, as with `nohup`, stays ignored.

        Raises:
            Interrupted: A signal came, whether the work has ended by itself or was cut off.
        """
        self._working = asyncio.ensure_future(work())
        with self._signals():
            try:
                await asyncio.shield(self._working)
            except asyncio.CancelledError:
                self._working.cancel()
                await asyncio.wait({self._working})
                if not self._number:
                    raise
        if self._number:
            raise Interrupted(self._number, self._at_once)

    def take(self, number: int) -> None:
        """Take a signal: the first stops the work, the second cuts it off, a third the process."""
        now_s = time.monotonic()
        if self._number and number in _OF_READERS and now_s - self._last_s < _SAME_S:
            return
        self._last_s = now_s
        if not self._number and self.stop is not None:
            self._number = number
            self.stop()
        elif not self._at_once:
            self._number = self._number or number
            self._at_once = True
            self.leave()
            if self._working is not None:
                self._working.cancel()
        elif number not in _OF_READERS:
            os._exit(128 + number)

    @contextmanager
    def _signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        numbers = [getattr(signal, name) for name in _NAMES if hasattr(signal, name)]
        taken = [it for it in numbers if signal.getsignal(it) is not signal.SIG_IGN]
        before = {number: signal.getsignal(number) for number in taken}
        for number in taken:
            try:
                loop.add_signal_handler(number, self.take, number)
            except NotImplementedError:  # Windows
                signal.signal(number, self._take_elsewhere(loop))
        try:
            yield
        finally:
            for number, handler in before.items():
                with suppress(NotImplementedError):
                    loop.remove_signal_handler(number)
                signal.signal(number, handler)

    def _take_elsewhere(self, loop: asyncio.AbstractEventLoop) -> Callable[[int, object], None]:
        def take(number: int, _: object) -> None:
            loop.call_soon_threadsafe(self.take, number)

        return take
