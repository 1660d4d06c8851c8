"""One worker among others: keeps its lease, takes over from dead ones, shares the polls."""

import asyncio
import logging
import time
from collections.abc import Callable
from math import inf

from suno_async.durable.errors import DatabaseFailed
from suno_async.durable.workers import LEASE_S, Workers
from suno_async.limits import AccountLimits

_log = logging.getLogger("suno_async.durable")

_BEAT_EVERY_S = 1.0
# after so long without the database a worker cannot tell who else was: the others' leases may have
# run out for the same reason, and each of them tries again within some seconds
_AWAY_S = LEASE_S / 2
_SETTLING_S = 4.0
_SEARCH_EVERY_S = 2.0
_SWEEP_EVERY_S = 15.0
_LAST_BEAT_S = 1.0


class Fleet:
    """Keeps a worker in the fleet.

    Args:
        workers: Who is alive.
        limits: The account's, of which polls are divided among the workers.
        running: Tells the names of the workflows that run in this process.
        on_lost: Called when others have taken this worker for dead, and have its jobs.
    """

    def __init__(
        self,
        workers: Workers,
        limits: AccountLimits,
        running: Callable[[], frozenset[str]],
        on_lost: Callable[[], object],
    ) -> None:
        self._workers = workers
        self._limits = limits
        self._polls_per_second = limits.polls_per_second
        self._running = running
        self._on_lost = on_lost
        self._renewing: asyncio.Task[tuple[bool, int]] | None = None
        self._beating: asyncio.Task[None] | None = None

    async def join(self, *, alone: bool) -> None:
        """Become one of the workers, and take over what dead ones have left.

        Args:
            alone: Whether no other can be alive, as on SQLite.
        """
        await self._renew()
        await self._workers.take_over(at_once=alone)

    def start(self) -> None:
        """Begin to renew the lease."""
        self._beating = asyncio.create_task(self._beat())

    async def _beat(self) -> None:
        self._last_s = self._searched_s = self._swept_s = time.monotonic()
        self._heard_since_s = -inf
        while True:
            await asyncio.sleep(_BEAT_EVERY_S)
            try:
                await self._beat_once()
                await self._look_around(time.monotonic())
            except DatabaseFailed as error:
                _log.warning("%s", error)
            except Exception:  # noqa: BLE001 - a worker that stops here is taken for dead
                _log.exception("the fleet is looked at again in %g s", _BEAT_EVERY_S)

    async def _beat_once(self) -> None:
        kept, alive = await self._renew()
        now_s = time.monotonic()
        if now_s - self._last_s > _AWAY_S or not kept:
            _log.info("the jobs' database was not heard of for %.1f s", now_s - self._last_s)
            self._heard_since_s = now_s
        self._last_s = now_s
        if not kept:
            _log.warning("this worker was taken for dead: others go on with its jobs")
            self._on_lost()
        self._share(alive)

    async def _look_around(self, now_s: float) -> None:
        """See what dead workers have left, and what nobody runs."""
        if now_s - self._heard_since_s < _SETTLING_S:
            return
        if found := await self._workers.take_over():
            _log.warning("took over %d jobs of a dead worker", found)
        if now_s - self._searched_s >= _SEARCH_EVERY_S:
            self._searched_s = now_s
            if found := await self._workers.resume_orphans(self._running()):
                _log.warning("resumed %d jobs that nobody ran", found)
        if now_s - self._swept_s >= _SWEEP_EVERY_S:
            self._swept_s = now_s
            if found := await self._workers.dispatch_strays():
                _log.warning("dispatched %d jobs that nobody was to run", found)

    async def _renew(self) -> tuple[bool, int]:
        self._renewing = asyncio.create_task(self._workers.beat())
        return await asyncio.shield(self._renewing)

    def _share(self, alive: int) -> None:
        if self._polls_per_second is not None:
            self._limits.polls_per_second = self._polls_per_second / max(alive, 1)

    async def aclose(self) -> None:
        """Leave the fleet: what is left goes to others at once."""
        if self._renewing is None:
            return
        if self._beating is not None:
            self._beating.cancel()
            await asyncio.wait({self._beating})
        # one that is under way in a thread would renew what is given up
        if not (await asyncio.wait({self._renewing}, timeout=_LAST_BEAT_S))[0]:
            self._renewing.cancel()
        await asyncio.gather(self._renewing, return_exceptions=True)
        self._limits.polls_per_second = self._polls_per_second
        try:
            await self._workers.leave()
        except DatabaseFailed as error:
            _log.info("the lease runs out by itself: %s", error)
