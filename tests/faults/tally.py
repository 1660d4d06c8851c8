"""What is counted of cells, and what must not be left when one is over."""

import asyncio
import gc
import weakref
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from attrs import Factory, define

from suno_async import SunoSession
from tests.following import open_files, resident_bytes, running
from tests.waiting import until

MOST_GROWTH_BYTES = 128 * 1024**2


@define
class Tally:
    """What came of a cell, or of many.

    Attributes:
        cells: How many were tried.
        injected: How many connections met a fault, or were refused.
        submissions: How many submissions the service saw.
        charges: How many of them it charged for.
        lost: How many charges nobody was told of.
        doubled: How many requests were charged twice.
        leaked: How many tasks, descriptors, sessions, files and connections were left.
        wrong: What was not as expected.
    """

    cells: int = 0
    injected: int = 0
    submissions: int = 0
    charges: int = 0
    lost: int = 0
    doubled: int = 0
    leaked: int = 0
    wrong: list[str] = Factory(list)

    def add(self, other: "Tally") -> None:
        """Count another's as well."""
        self.cells += other.cells
        self.injected += other.injected
        self.submissions += other.submissions
        self.charges += other.charges
        self.lost += other.lost
        self.doubled += other.doubled
        self.leaked += other.leaked
        self.wrong += other.wrong

    def expect(self, holds: object, wrong: str) -> None:
        """Take note of what is not as expected."""
        if not holds:
            self.wrong.append(wrong)


@asynccontextmanager
async def nothing_left_of(tally: Tally) -> AsyncIterator[list["weakref.ref[SunoSession]"]]:
    """See what the block leaves: tasks, descriptors, memory, and sessions that are named to it."""
    tasks, descriptors, before = running(), _descriptors(), resident_bytes()
    noise: list[dict[str, Any]] = []
    sessions: list[weakref.ref[SunoSession]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: noise.append(context))
    yield sessions
    grown = resident_bytes() - before
    await asyncio.sleep(0)
    gc.collect()
    await asyncio.sleep(0)
    left = running() - tasks
    kept = [session for session in sessions if session() is not None]
    with suppress(TimeoutError):
        await until(lambda: _descriptors() <= descriptors)
    more = max(_descriptors() - descriptors, 0)
    tally.leaked += len(left) + len(kept) + more
    tally.expect(grown < MOST_GROWTH_BYTES, f"memory grew by {grown} bytes")
    tally.expect(not left, f"tasks are left: {left}")
    tally.expect(not kept, "the session is never freed")
    tally.expect(not more, f"{more} descriptors are left: {open_files()}")
    tally.expect(not noise, f"the event loop was told: {noise}")


def _descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())
