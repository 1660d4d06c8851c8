"""Time-outs that count what a socket's silence does not: turns, and what has come meanwhile."""

import asyncio
from types import TracebackType
from typing import Self

# How often the event loop goes round after a time-out before it is believed: what lies in the
# socket already is read first, also after a standstill of the whole process.
LAST_PASSES = 20


class ReadFirst:
    """Raises TimeoutError when a block takes too long, and what has come was read before.

    A time-out that is due at the same time as an answer would win otherwise: after the process
    stood still, both are.

    Args:
        timeout_s: How long it may take.
    """

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._loop = asyncio.get_running_loop()
        self._limit = asyncio.timeout(None)
        self._timer: asyncio.Handle | None = None

    async def __aenter__(self) -> None:
        await self._limit.__aenter__()
        self._timer = self._loop.call_later(self._timeout_s, self._due, LAST_PASSES)

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._timer is not None:
            self._timer.cancel()
        await self._limit.__aexit__(kind, error, trace)

    def _due(self, passes_left: int) -> None:
        if passes_left:
            self._timer = self._loop.call_soon(self._due, passes_left - 1)
        else:
            self._limit.reschedule(self._loop.time())


class StallLimit:
    """Raises TimeoutError in its block when the other side takes too long over its turn.

    Bytes that drip do not prolong a turn, as they do a time-out of a socket's silence.

    Args:
        seconds: How long a turn may take.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._limit = asyncio.timeout(None)
        self._entered = False

    async def __aenter__(self) -> Self:
        await self._limit.__aenter__()
        self._entered = True
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._entered = False
        await self._limit.__aexit__(kind, error, trace)

    def begin(self) -> None:
        """Take note that it is the other side's turn from now on."""
        self._set(asyncio.get_running_loop().time() + self._seconds)

    def end(self) -> None:
        """Take note that it is our turn, which may take as long as it likes."""
        self._set(None)

    def _set(self, due_s: float | None) -> None:
        # a body may still be written when its answer has come already
        if self._entered and not self._limit.expired():
            self._limit.reschedule(due_s)
