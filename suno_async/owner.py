"""Every asyncio task that the library starts has an owner, and ends with it."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from suno_async.errors import SessionClosed

T = TypeVar("T")


class Owner:
    """Starts asyncio tasks, and cancels and awaits those that are left when it is closed.

    Attributes:
        closed: Whether it was closed.
    """

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()
        self.closed: bool = False

    def spawn(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Run a coroutine beside the caller."""
        if self.closed:
            work.close()
            raise SessionClosed
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Await a coroutine on behalf of a caller who may outlive the owner.

        Raises:
            SessionClosed: The owner was closed before the work was done.
        """
        task = self.spawn(work)
        try:
            return await task
        except asyncio.CancelledError:
            caller = asyncio.current_task()
            if self.closed and caller is not None and not caller.cancelling():
                raise SessionClosed from None
            raise

    async def aclose(self) -> None:
        """Cancel what is left and wait until it has ended."""
        self.closed = True
        left = list(self._tasks)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
