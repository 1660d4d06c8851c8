"""Waiting in real time: for what sockets and processes bring about, and for what must not hang.

How long something may take is no matter of a test: a machine with other things to do stalls for
seconds. A test tells what ends from what hangs, and what is linear from what is not, by processor
time; `benchmarks` measures.
"""

import asyncio
import gc
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")

HANGS_AFTER_S = 30.0


async def until(holds: Callable[[], object]) -> None:
    """Wait for something that sockets bring about."""
    async with asyncio.timeout(HANGS_AFTER_S):
        while not holds():  # noqa: ASYNC110 - sockets set no event
            await asyncio.sleep(0.001)


async def in_time(work: Awaitable[T]) -> T:
    """Await something that would hang if it were wrong."""
    async with asyncio.timeout(HANGS_AFTER_S):
        return await work


@contextmanager
def processor_time() -> Iterator[Callable[[], float]]:
    """Measure the processor time of a block, in seconds; the collector's would be anybody's."""
    ended_s: list[float] = []
    gc.disable()
    began_s = time.process_time()
    try:
        yield lambda: ended_s[0] - began_s
    finally:
        ended_s.append(time.process_time())
        gc.enable()
