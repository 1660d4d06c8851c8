"""Threads of our own for work with files, so that a disk that hangs holds up nothing else.

asyncio's default threads also look names up: if files used them, as many hung files as there are
threads would stop every call. These are daemons, so that a disk that never comes back does not
keep the process from ending either.
"""

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from queue import SimpleQueue
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

MOST_THREADS = 64
# how long whoever gives up waits for the thread that is still at work for it
LAST_WAIT_S = 0.5


class Disk:
    """Runs work with files in daemon threads, which are started when they are needed."""

    def __init__(self) -> None:
        self._jobs: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._guard = threading.Lock()
        self._threads = 0
        self._free = 0  # threads that wait, less the jobs that wait
        self._closed = False

    async def run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run some work in any thread. Who is cancelled does not wait for it."""
        return await Lane(self).run(work, *args, **kwargs)

    def perform(self, work: Callable[[], T]) -> T:
        """Do some work in the thread that it has got: here a test's disk can take its time."""
        return work()

    def put(self, job: Callable[[], None]) -> None:
        """Have a job run in some thread; jobs begin in the order in which they are put."""
        with self._guard:
            if self._closed:
                _start(job)
                return
            self._free -= 1
            if self._free < 0 and self._threads < MOST_THREADS:
                self._free += 1
                self._threads += 1
                _start(self._work)
            self._jobs.put(job)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            job()
            with self._guard:
                self._free += 1

    def close(self) -> None:
        """Let every thread end when it has done what was put so far; waits for none."""
        with self._guard:
            if self._closed:
                return
            self._closed = True
            for _ in range(self._threads):
                self._jobs.put(None)


def _start(work: Callable[[], None]) -> None:
    threading.Thread(target=work, name="suno-async disk", daemon=True).start()


class Lane:
    """Runs the work with one file: one thing after the other, whoever waits for it or not."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        self._guard = threading.Lock()
        self._jobs: deque[Callable[[], None]] = deque()
        self._busy = False

    async def run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run some work after what was put before it; return or raise what it does."""
        return await self._put(partial(work, *args, **kwargs))

    async def end(self, work: Callable[[], object]) -> None:
        """Run some last work and none of what has not begun; wait for it, but not for long."""
        with self._guard:
            self._jobs.clear()
        last = self._put(work)
        # it may come to its end when nobody asks any more
        last.add_done_callback(lambda done: done.cancelled() or done.exception())
        await asyncio.wait({last}, timeout=LAST_WAIT_S)

    def _put(self, work: Callable[[], T]) -> "asyncio.Future[T]":
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        with self._guard:
            self._jobs.append(partial(_perform, self._disk, loop, future, work))
            begins, self._busy = not self._busy, True
        if begins:
            self._disk.put(self._drain)
        return future

    def _drain(self) -> None:
        while True:
            with self._guard:
                if not self._jobs:
                    self._busy = False
                    return
                job = self._jobs.popleft()
            job()


def _perform(
    disk: Disk,
    loop: asyncio.AbstractEventLoop,
    future: "asyncio.Future[T]",
    work: Callable[[], T],
) -> None:
    settle: Callable[[], None]
    try:
        settle = partial(future.set_result, disk.perform(work))
    except BaseException as error:  # noqa: BLE001 - it is raised where the work is awaited
        settle = partial(future.set_exception, error)
    with suppress(RuntimeError):  # the loop is closed: nobody waits any more
        loop.call_soon_threadsafe(_unless_cancelled, future, settle)


def _unless_cancelled(future: "asyncio.Future[Any]", settle: Callable[[], None]) -> None:
    if not future.done():
        settle()
