"""Invariant 5: however many workers there are, no window holds more paid calls than it may."""

import time

from suno_async import SunoSession
from suno_async.durable import DurableSuno
from suno_async.durable.sends import Claim, NotYet, new_token
from tests.world import song


async def test_invariant_5_the_window_is_exact_across_processes(sqlite: str) -> None:
    """Upstream's 20 in 10 s: the next claim waits until the first place is free again.

    What a worker's own session allows is not asked here: each of several has a window of its own.
    """
    async with DurableSuno(sqlite, SunoSession("key"), worker=False) as durable:
        await durable.submit_many((f"job/{number:02}", song()) for number in range(21))
        for number in range(20):
            claim = await durable._sends.claim(f"job/{number:02}", new_token())
            assert isinstance(claim, Claim)
            await durable._sends.accepted(claim.token, f"task {number}", time.time())
        late = await durable._sends.claim("job/20", new_token())
        assert isinstance(late, NotYet)
        assert 0 < late.wait_s < 60
