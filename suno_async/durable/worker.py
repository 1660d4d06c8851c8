"""A worker: a session with what submits and watches jobs through it, and its place in the fleet."""

from contextlib import AsyncExitStack

import sqlalchemy as sa

from suno_async.callbacks import CallbackReceiver
from suno_async.durable.dispatch import SUBMIT, WATCH
from suno_async.durable.engine import Engine
from suno_async.durable.fleet import Fleet
from suno_async.durable.sends import FleetLimits, Sends
from suno_async.durable.store import Store
from suno_async.durable.submitting import Submitting
from suno_async.durable.watching import Watching
from suno_async.durable.workers import Workers
from suno_async.session import SunoSession

# how long leaving waits for answers to paid calls, before and after their session is left
_LAST_ANSWERS_S = 2.0


class Worker:
    """Works on jobs.

    Args:
        url: Where the database is.
        name: Of this worker, which no other has or had.
        session: Submits and watches; it is entered and left here, unless it is open already.
        store: Keeps the jobs.
        sends: Gives out the right to send.
        workers: Who is alive.
        receiver: Gets callbacks; None without one.
    """

    def __init__(
        self,
        url: sa.URL,
        name: str,
        session: SunoSession,
        *,
        store: Store,
        sends: Sends,
        workers: Workers,
        receiver: CallbackReceiver | None,
    ) -> None:
        limits = session.limits
        self._session = session
        self._submitting = Submitting(session, store, sends, receiver)
        self._watching = Watching(session, store, sends, receiver)
        runs = {SUBMIT: self._submitting.run, WATCH: self._watching.run}
        self._engine = Engine(url, name, runs, limits.max_concurrent_submissions)
        self._fleet = Fleet(workers, limits, lambda: self._engine.running, self._engine.interrupt)
        self._owns_session = False

    async def start(self, *, alone: bool) -> None:
        """Begin to work; whatever comes of it, `aclose` has to follow.

        Args:
            alone: Whether no other worker can be alive, as on SQLite.
        """
        if not self._session.is_open:
            await self._session.__aenter__()
            self._owns_session = True
        await self._fleet.join(alone=alone)
        await self._engine.start()
        self._fleet.start()

    def stop_submitting(self) -> None:
        """Begin no paid call any more; what was paid for is watched on."""
        self._submitting.stop()

    def hint(self) -> None:
        """Take the callbacks that came to other processes."""
        self._watching.hint()

    async def aclose(self) -> None:
        """End in an order in which nothing that was paid for goes unrecorded."""
        async with AsyncExitStack() as last:
            last.push_async_callback(self._fleet.aclose)
            last.push_async_callback(self._engine.aclose)
            last.push_async_callback(self._watching.aclose)
            last.callback(self._submitting.detach)
            last.push_async_callback(self._submitting.ended, _LAST_ANSWERS_S)
            if self._owns_session:
                last.push_async_callback(self._session.__aexit__, None, None, None)
            last.push_async_callback(self._submitting.ended, _LAST_ANSWERS_S)
            self._submitting.close()
            self._engine.close()


def fleet_limits(session: SunoSession | None) -> FleetLimits:
    """Tell what a session's account allows to all workers together."""
    if session is None:  # it sends nothing
        return FleetLimits(1, 10.0, 1, 1)
    limits = session.limits
    count, window = limits.submissions_per_window
    return FleetLimits(
        per_window=count,
        window_s=window.total_seconds(),
        sending=limits.max_concurrent_submissions,
        in_flight=session.max_in_flight,
    )
