"""Everything that the library starts or waits for has an owner, and ends with it."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from suno_async.clock import Clock
from suno_async.errors import SessionClosed, UnexpectedError

T = TypeVar("T")

# how long leaving waits for tasks that have been cancelled: what a caller handed in may take its
# time, and a second is promised
LAST_WAIT_S = 0.3


class Owner:
    """Starts asyncio tasks and lends futures, and ends them when it is closed.

    Args:
        clock: Where time comes from.

    Attributes:
        closed: Whether it was closed.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._tasks: set[asyncio.Task[Any]] = set()
        self._ending: set[asyncio.Task[Any]] = set()
        self._given_up: dict[asyncio.Task[Any], Callable[[], object]] = {}
        self._awaited: set[asyncio.Future[Any]] = set()
        self.closed: bool = False

    def check_open(self) -> None:
        """Raise SessionClosed if it was closed."""
        if self.closed:
            raise SessionClosed

    def accompany(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Run a coroutine that ends by itself when the owner is closed, and is waited for then.

        Raises:
            SessionClosed: The owner is closed.
        """
        task = self.spawn(work)
        self._tasks.discard(task)
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)
        return task

    def spawn(
        self, work: Coroutine[Any, Any, T], given_up: Callable[[], object] | None = None
    ) -> asyncio.Task[T]:
        """Run a coroutine beside the caller; it is cancelled when the owner is closed.

        Args:
            work: The coroutine.
            given_up: Called when it goes on although it was cancelled, and the owner waits for it
                no more: what callers hand in may swallow a cancellation.

        Raises:
            SessionClosed: The owner is closed.
        """
        if self.closed:
            work.close()
            raise SessionClosed
        task = asyncio.create_task(work)
        self._tasks.add(task)
        if given_up is not None:
            self._given_up[task] = given_up
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        self._given_up.pop(task, None)
        if not task.cancelled():
            task.exception()  # whoever awaits it gets it; nobody else needs to hear of it

    async def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Await a coroutine on behalf of a caller who may outlive the owner.

        Raises:
            SessionClosed: The owner was closed before the work was done.
            UnexpectedError: The work says that it was cancelled, and nobody did.
        """
        ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        task = self.spawn(work, lambda: _wake(ended))
        task.add_done_callback(lambda _: _wake(ended))
        try:
            await ended
        except asyncio.CancelledError:
            task.cancel()
            await asyncio.wait({task}, timeout=LAST_WAIT_S)
            raise
        return self.result(task)

    def result(self, task: asyncio.Task[T]) -> T:
        """Give the result of a task that is done, or was given up; see `run`."""
        if not task.done():
            raise SessionClosed
        if not task.cancelled():
            return task.result()
        if self.closed:
            raise SessionClosed
        raise UnexpectedError("CancelledError: something that was handed in cancelled its caller")

    async def until(self, future: "asyncio.Future[T]") -> T:
        """Await a future, which fails when the owner is closed.

        Raises:
            SessionClosed: The owner was closed first.
        """
        self.check_open()
        self._awaited.add(future)
        try:
            return await future
        finally:
            self._awaited.discard(future)

    async def sleep(self, seconds: float) -> None:
        """Wait; zero or less gives way to the event loop once.

        Raises:
            SessionClosed: The owner was closed meanwhile.
        """
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        timer = self._clock.call_at(self._clock.monotonic() + seconds, lambda: _wake(woken))
        try:
            await self.until(woken)
        finally:
            timer.cancel()

    def close(self) -> None:
        """Let nothing begin any more, fail what is awaited, and cancel what runs, once."""
        if self.closed:  # a second cancellation would cut off how what runs ends
            return
        self.closed = True
        for future in self._awaited:
            if not future.done():
                future.set_exception(SessionClosed())
        for task in self._tasks:
            task.cancel()

    async def aclose(self) -> None:
        """Close, and wait for a moment until everything has ended."""
        self.close()
        if left := self._tasks | self._ending:
            await asyncio.wait(left, timeout=LAST_WAIT_S)
        for task in self._tasks | self._ending:
            task.cancel()
        for given_up in self._given_up.values():
            given_up()


def is_being_cancelled() -> bool:
    """Tell whether somebody cancels this task, and not just something in it says so."""
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0


def _wake(future: "asyncio.Future[None]") -> None:
    if not future.done():
        future.set_result(None)
