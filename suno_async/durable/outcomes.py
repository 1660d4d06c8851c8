"""Outcomes of jobs as they end, whoever works on them."""

import asyncio
from collections.abc import AsyncGenerator

from suno_async.durable.errors import JobNotFound
from suno_async.durable.notices import LOOK_AGAIN_S, Notices
from suno_async.durable.store import Store
from suno_async.durable.values import ENDED, JobState
from suno_async.models import Outcome

# what changes at the same time is read once
_COALESCE_S = 0.05


async def outcomes_of(
    store: Store, notices: Notices, prefix: str
) -> AsyncGenerator[tuple[str, Outcome], None]:
    """Yield each job's key and outcome as it ends; first those that have ended already."""
    given: set[str] = set()
    with notices.watching() as changed:
        while True:
            changed.clear()
            goes_on = False
            now_s = await store.now_s()
            for key, state, settled_s in await store.standing(prefix):
                waits = state is JobState.UNCERTAIN and (settled_s or 0.0) > now_s
                if waits or (state not in ENDED and state is not JobState.UNCERTAIN):
                    goes_on = True
                elif key not in given:
                    given.add(key)
                    try:
                        record = await store.record(key)
                    except JobNotFound:  # it was pruned meanwhile
                        continue
                    yield key, record.outcome
            if not goes_on:
                return
            await _wait(changed, LOOK_AGAIN_S)
            await asyncio.sleep(_COALESCE_S)


async def _wait(changed: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await changed.wait()
    except TimeoutError:
        pass
