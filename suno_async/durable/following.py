"""Jobs as they change, whoever works on them."""

import asyncio
from collections.abc import AsyncGenerator

from suno_async.durable.errors import JobNotFound
from suno_async.durable.notices import LOOK_AGAIN_S, Notices
from suno_async.durable.records import JobRecord
from suno_async.durable.store import Store

# what changes at the same time is read once
_COALESCE_S = 0.05


async def following(
    store: Store, notices: Notices, prefix: str
) -> AsyncGenerator[tuple[JobRecord, bool], None]:
    """Yield each job as it stands, and again when it has changed, until nothing more comes.

    Yields:
        The job, and whether it is settled: nothing more will come of it by itself.
    """
    seen: dict[str, tuple[int, bool]] = {}
    with notices.watching() as changed:
        while True:
            changed.clear()
            goes_on = news = False
            now_s = await store.now_s()
            for standing in await store.standing(prefix):
                settled = standing.is_settled(now_s)
                if seen.get(standing.key) != (standing.change, settled):
                    try:
                        record = await store.record(standing.key)
                    except JobNotFound:  # it was pruned meanwhile
                        continue
                    # it may have changed once more since
                    settled = record.is_settled(now_s)
                    seen[standing.key] = record.change, settled
                    news = True
                    yield record, settled
                goes_on = goes_on or not settled
            if news and not goes_on:
                continue  # whoever was told may have submitted more
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
