"""Until when a submission may be handed to a connection."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from math import inf

from suno_async.clock import Clock, Timer
from suno_async.errors import NotSubmitted


class Deadline:
    """The last moment at which a submission may be sent; counted from when it is made.

    Args:
        clock: Where time comes from.
        within_s: The seconds until then; infinite for none.

    Attributes:
        refusal: Why the attempt before took nothing; None before there was one.
    """

    def __init__(self, clock: Clock, within_s: float = inf) -> None:
        self.refusal: Exception | None = None
        self._clock = clock
        self._at_s = clock.monotonic() + within_s

    def has_passed(self) -> bool:
        """Tell whether it is too late."""
        return self._at_s < inf and self._clock.monotonic() >= self._at_s

    def error(self) -> NotSubmitted:
        """Make the error of a submission that is given up, caused by the last refusal."""
        error = NotSubmitted("late")
        error.__cause__ = self.refusal
        return error

    def set_timer(self, callback: Callable[[], object]) -> Timer | None:
        """Run `callback` when it is too late; None when that is never."""
        return self._clock.call_at(self._at_s, callback) if self._at_s < inf else None

    @asynccontextmanager
    async def bounding(self) -> AsyncGenerator[None, None]:
        """End a block that waits when it is too late.

        Raises:
            NotSubmitted: It is too late.
        """
        if self._at_s == inf:
            yield
            return
        if self.has_passed():
            raise self.error()
        limit = asyncio.timeout(None)
        try:
            async with limit:
                now = asyncio.get_running_loop().time
                timer = self._clock.call_at(self._at_s, lambda: limit.reschedule(now()))
                try:
                    yield
                finally:
                    timer.cancel()
        except TimeoutError:
            if not limit.expired():
                raise
            raise self.error() from self.refusal
