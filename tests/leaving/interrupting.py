"""Cancels a call at each of its suspension points in turn, also at those of what it started.

An event loop's tasks are made by a factory that counts: whenever a coroutine of the library, or
the call itself, gives way to the event loop, that is one more suspension. At the one whose turn it
is, the call is cancelled.
"""

import asyncio
import itertools
import os
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Literal, TypeAlias

from suno_async import SunoError
from tests.waiting import HANGS_AFTER_S

# At once; in the moment in which what is waited for is there; or at once and again at the next.
Way: TypeAlias = Literal["at once", "with the result", "twice"]
WAYS: tuple[Way, ...] = ("at once", "with the result", "twice")

IS_LONG = "SUNO_TEST_LONG" in os.environ
# more suspensions than any call has
ENDLESS = 2_000


class Interruption:
    """One call that is cancelled at a certain suspension.

    Args:
        at: At which, from 1.
        way: How.

    Attributes:
        came: Whether the call got so far.
        error: What was raised.
        result: What came of it, if it ended all the same.
    """

    def __init__(self, at: int, way: Way) -> None:
        self.came: bool = False
        self.error: BaseException | None = None
        self.result: Any = None
        self._at = at
        self._way = way
        self._count = 0
        self._call: asyncio.Task[Any] | None = None

    async def run(self, work: Coroutine[Any, Any, Any]) -> None:
        """Make the call; wait until it and what it started have ended."""
        with counting(self._note):
            self._call = asyncio.get_running_loop().create_task(_Counted(work, self._note))
            _, hanging = await asyncio.wait({self._call}, timeout=HANGS_AFTER_S)
        assert not hanging, f"it hangs, cancelled {self._way} at suspension {self._at}"
        try:
            self.result = self._call.result()
        except (SunoError, asyncio.CancelledError) as error:
            self.error = error

    def _note(self, waited: object) -> None:
        """Take note of a suspension."""
        if self._call is None or self._call.done():
            return
        self._count += 1
        again = self._way == "twice" and self._count == self._at + 1
        if self._count != self._at and not again:
            return
        self.came = True
        if self._way == "with the result" and isinstance(waited, asyncio.Future):
            waited.add_done_callback(lambda _: self._cancel())
        else:
            self._cancel()

    def _cancel(self) -> None:
        if self._call is not None:
            self._call.cancel()


class _Counted(Coroutine[Any, Any, Any]):
    """A coroutine that tells whenever it gives way."""

    def __init__(self, work: Coroutine[Any, Any, Any], note: Callable[[object], None]) -> None:
        self._work = work
        self._note = note

    def send(self, value: Any) -> Any:
        """Go on until it gives way."""
        return self._noted(self._work.send(value))

    def throw(self, *error: Any) -> Any:
        """Go on with an exception until it gives way."""
        return self._noted(self._work.throw(*error))

    def _noted(self, waited: Any) -> Any:
        self._note(waited)
        return waited

    def close(self) -> None:
        """End it."""
        self._work.close()

    def __await__(self) -> Any:
        return self._work.__await__()


@contextmanager
def counting(note: Callable[[object], None]) -> Iterator[None]:
    """Have every task that the library starts counted."""
    loop = asyncio.get_running_loop()
    usual = loop.get_task_factory()

    def make(loop: asyncio.AbstractEventLoop, work: Any, **settings: Any) -> "asyncio.Task[Any]":
        counted = _Counted(work, note) if _is_of_the_library(work) else work
        return asyncio.Task(counted, loop=loop, **settings)

    loop.set_task_factory(make)
    try:
        yield
    finally:
        loop.set_task_factory(usual)


def _is_of_the_library(work: object) -> bool:
    file = getattr(getattr(work, "cr_code", None), "co_filename", "")
    return "/suno_async/" in file and "/suno_async/sandbox/" not in file


async def at_every_suspension(
    attempt: Callable[[Interruption], Awaitable[None]], ways: tuple[Way, ...] = WAYS
) -> int:
    """Have a call made and cancelled at its first suspension, its second, and so on.

    In the suite each suspension is met in one of the ways, in a long run in all of them.

    Args:
        attempt: Makes it, on a ground of its own, and looks at what is left.
        ways: How it is cancelled.

    Returns:
        How many suspensions it has.
    """
    for at in itertools.count(1):
        assert at < ENDLESS
        came = False
        for way in ways if IS_LONG else (ways[at % len(ways)],):
            interruption = Interruption(at, way)
            await attempt(interruption)
            came |= interruption.came
        if not came:
            return at - 1
    raise AssertionError


async def ends(task: "asyncio.Task[Any]") -> None:
    """Wait for something that was cut off, whatever it raises."""
    async with asyncio.timeout(HANGS_AFTER_S):
        with suppress(SunoError, asyncio.CancelledError):
            await asyncio.wait({task})
