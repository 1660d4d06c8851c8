"""Whether anything is under way that virtual time must not overtake."""

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

    def begin(self) -> None:
        """Count a piece of work until `end`."""
        self._under_way += 1

    def end(self) -> None:
        """Stop counting a piece of work."""
        self._under_way -= 1

    async def sleep(self, seconds: float) -> None:
        """Wait on the clock in the midst of work, without counting as work meanwhile."""
        self.end()
        try:
            await self._clock.sleep(seconds)
        finally:
            self.begin()
