"""Invariants 1, 2 and 8: a caller's clock fails at any of its calls."""

import asyncio
import math
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from suno_async import SystemClock
from tests.leaving.passes import Ground, Work, consuming, ground, submitting

from .behaviours import RAISING, Odd
from .test_submitting import Settings, always, ended, faults, handed_in

MOST_CALLS = 60
METHODS = ("now", "monotonic", "call_at")


class OddClock(SystemClock):
    """The machine's clock, which misbehaves when one of its methods is called.

    Args:
        odd: Misbehaves.
        method: The method.
    """

    def __init__(self, odd: Odd, method: str) -> None:
        right = getattr(self, method)

        def wrong(*arguments: Any) -> Any:
            usual = right(*arguments)
            try:
                return odd(usual)
            except BaseException:
                if isinstance(usual, asyncio.TimerHandle):
                    usual.cancel()
                raise

        setattr(self, method, wrong)


def ticking(method: str) -> Callable[[Odd], Settings]:
    """Hand in a clock."""
    return lambda odd: {"clock": OddClock(odd, method)}


CLOCKS: list[tuple[str, str, Callable[[], object]]] = [
    *((method, "raises", RAISING["raises what cannot be written"]) for method in METHODS),
    ("monotonic", "is cancelled", RAISING["says that it was cancelled"]),
    ("monotonic", "answers nan", lambda: math.nan),
    ("now", "answers the past", lambda: datetime(1970, 1, 1, tzinfo=UTC)),
]


async def calls_of(earth: Ground, method: str, work: Work) -> int:
    """Count how often a clock is called."""
    odd = Odd(object, 0, 0)
    async with handed_in(earth, ticking(method), odd) as seen:
        await ended(seen, work)
    return odd.calls


@pytest.mark.parametrize(("method", "name", "misbehave"), CLOCKS)
async def test_invariants_1_2_8_a_clock_fails_at_any_call(
    method: str, name: str, misbehave: Callable[[], object]
) -> None:
    """Nobody waits for ever, and what was paid is known."""
    async with ground() as earth:
        runs = {
            f"{name}, {work.__name__}, call {at}": always(
                earth, ticking(method), work, Odd(misbehave, at, at), receiver=False
            )
            for work in (submitting, consuming)
            for at in range(1, min(await calls_of(earth, method, work), MOST_CALLS) + 1)
        }
        assert await faults(runs) == {}
