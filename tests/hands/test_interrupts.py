"""Invariants 1 and 2: what ends the program in a caller's function loses nothing that was paid."""

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from suno_async import AddInstrumentalRequest, FixedInterval
from suno_async.observe import Accepted, Observation, Uncertain
from suno_async.sandbox import Sandbox
from tests.world import session_for, song

from .behaviours import Odd
from .test_submitting import HANDS

# (aiohttp calls the hook in the middle in a task of its own, whose end it awaits once more)
WHO = [*(hand for hand in HANDS if hand != "a trace hook in the middle"), "a source", "on_progress"]


def interrupt() -> None:
    """End the program, as Ctrl-C does."""
    raise KeyboardInterrupt


async def program(hand: str, odd: Odd, told: list[Observation], sandbox: Sandbox) -> None:
    """Generate three, with something handed in that ends it all."""

    def requests() -> Iterator[AddInstrumentalRequest]:
        for number in range(3):
            yield song(title=f"song {number}")
            if hand == "a source":
                odd()

    settings: dict[str, Any] = HANDS[hand](odd) if hand in HANDS else {}
    settings["observers"] = [told.append, *settings.get("observers", ())]
    usual = {"cadence": FixedInterval(timedelta(0)), "submissions_per_window": (1000, 0.001)}
    progress = (lambda _: odd()) if hand == "on_progress" else None
    async with sandbox, session_for(sandbox, **{**usual, **settings}) as suno:
        try:
            async for _ in suno.generate_many(requests(), on_progress=progress):
                pass
            await asyncio.sleep(1)  # an observer's interrupt comes behind what it was told
        finally:
            if (client := settings.get("client_session")) is not None:
                await client.close()


@pytest.mark.parametrize("at", [1, 3])
@pytest.mark.parametrize("hand", WHO)
def test_invariants_1_2_an_interrupt_loses_no_id(hand: str, at: int) -> None:
    """The program ends with it; every charge is told of, with its id or as uncertain."""
    told: list[Observation] = []
    sandbox = Sandbox(time_scale=0, submissions_per_window=None)
    odd = Odd(interrupt, at, at)
    if hand == "what keeps the key":
        odd = Odd(interrupt, 1, 1)
    with pytest.raises(KeyboardInterrupt):
        asyncio.run(program(hand, odd, told, sandbox))
    known = {each.task_id for each in told if isinstance(each, Accepted)}
    uncertain = [each.request.title for each in told if isinstance(each, Uncertain)]
    for charge in sandbox.ledger:
        title = sandbox.tasks[charge.task_id].request["title"]
        assert charge.task_id in known or title in uncertain
    titles = [sandbox.tasks[charge.task_id].request["title"] for charge in sandbox.ledger]
    assert len(titles) == len(set(titles))
