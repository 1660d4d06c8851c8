"""Ctrl-C while the command starts: nothing has begun yet, so it ends at once and says nothing."""

# what is imported here is loaded before any signal is taken
import os
import signal
from types import TracebackType

INTERRUPTED = 128 + signal.SIGINT


class Starting:
    """Within the block, which only loads modules, Ctrl-C ends the process at once.

    An exception, which is what Ctrl-C is otherwise, would be printed with the lines that were being
    loaded, or get lost in the callback of a lock: the import system has one for each module. As
    everywhere, a signal that is ignored, as with `nohup`, stays ignored.
    """

    def __init__(self) -> None:
        self._before: object = None

    def __enter__(self) -> None:
        self._before = signal.getsignal(signal.SIGINT)
        if self._before is signal.default_int_handler:
            signal.signal(signal.SIGINT, _leave)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._before is signal.default_int_handler:
            signal.signal(signal.SIGINT, signal.default_int_handler)


def _leave(number: int, frame: object) -> None:
    os._exit(INTERRUPTED)
