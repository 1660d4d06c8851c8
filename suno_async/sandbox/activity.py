"""Whether anything is under way that virtual time must not overtake."""

from collections.abc import Iterator
from contextlib import contextmanager

from suno_async.clock import Clock


class Activity:
    """Count what is being done; work that sleeps on the clock does not count.

    Args:
        clock: What sleeping work waits for.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._under_way = 0

    @property
    def idle(self) -> bool:
        """Whether nothing is being done, or only waiting for the clock."""
        return self._under_way == 0

    @contextmanager
    def working(self) -> Iterator[None]:
        """Count as work what is done inside."""
        self._under_way += 1
        try:
            yield
        finally:
            self._under_way -= 1

    async def sleep(self, seconds: float) -> None:
        """Wait on the clock in the midst of work, without counting as work meanwhile."""
        self._under_way -= 1
        try:
            await self._clock.sleep(seconds)
        finally:
            self._under_way += 1
