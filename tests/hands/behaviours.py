"""What something that a caller has handed in may do when it is called."""

import asyncio
import math
import time
from collections.abc import Callable
from typing import Any

from attrs import define


class Unspeakable(Exception):
    """An exception that cannot be written."""

    def __str__(self) -> str:
        raise LookupError("no words")

    __repr__ = __str__


def _raising(make: Callable[[], BaseException]) -> Callable[[], object]:
    def misbehave() -> object:
        raise make()

    return misbehave


def _cancelling() -> None:
    task = asyncio.current_task()
    assert task is not None
    task.cancel()


RAISING: dict[str, Callable[[], object]] = {
    "raises": _raising(lambda: LookupError("a bug")),
    "raises what cannot be written": _raising(Unspeakable),
    "says that it was cancelled": _raising(asyncio.CancelledError),
    "says that the time is up": _raising(TimeoutError),
    "stops an iteration": _raising(StopIteration),
}
CANCELLING: dict[str, Callable[[], object]] = {"cancels its caller": _cancelling}
BLOCKING: dict[str, Callable[[], object]] = {"blocks": lambda: time.sleep(0.01)}
NONSENSE: dict[str, Callable[[], object]] = {
    "answers nothing": lambda: None,
    "answers something": object,
    "answers nan": lambda: math.nan,
}
FAILING = {**RAISING, **CANCELLING}
ANYTHING = {**RAISING, **CANCELLING, **BLOCKING, **NONSENSE}


@define
class Odd:
    """Misbehaves at some calls.

    Attributes:
        misbehave: How.
        first: The first call at which it does, from 1.
        last: The last one.
        calls: How often it was called.
    """

    misbehave: Callable[[], object]
    first: int = 1
    last: int = 1_000_000
    calls: int = 0

    def __call__(self, usual: Any = None) -> Any:
        """Take one call: misbehave, or answer as usual."""
        self.calls += 1
        return self.misbehave() if self.first <= self.calls <= self.last else usual
