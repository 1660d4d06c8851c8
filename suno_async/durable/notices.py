"""Tells whoever waits for a job that it has changed, in whichever process that was."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import psycopg
import sqlalchemy as sa

from suno_async.durable.database import Database, connection_options
from suno_async.durable.errors import DatabaseFailed
from suno_async.durable.rows import CHANNEL
from suno_async.durable.tables import hints, jobs

_log = logging.getLogger("suno_async.durable")

# how often SQLite's file is asked for changes, while somebody waits
_LOOK_EVERY_S = 0.1
# how long a connection to PostgreSQL that broke is left alone
_RECONNECT_S = 0.5
# whoever waits looks by himself as well: a notice may be lost with its connection
LOOK_AGAIN_S = 5.0


class Notices:
    """Wakes whoever waits for a job.

    Args:
        database: Where the jobs are.
        on_hint: Called when a callback came to another process.
    """

    def __init__(self, database: Database, on_hint: Callable[[], object]) -> None:
        self._database = database
        self._on_hint = on_hint
        self._waiting: dict[str, set[asyncio.Event]] = {}
        self._all: set[asyncio.Event] = set()
        self._wanted = asyncio.Event()
        self._listening: asyncio.Task[None] | None = None

    def start(self, *, always: bool) -> None:
        """Begin to listen.

        Args:
            always: Whether to listen although nobody waits, as workers do for callbacks.
        """
        if always:
            self._wanted.set()
        self._always = always
        listen = self._look if self._database.is_sqlite else self._listen
        self._listening = asyncio.create_task(listen())

    async def aclose(self) -> None:
        """Stop listening."""
        if self._listening is not None:
            self._listening.cancel()
            await asyncio.wait({self._listening})

    @contextmanager
    def watching(self, key: str | None = None) -> Iterator[asyncio.Event]:
        """Give an event that is set when a job, or any job, has changed."""
        changed = asyncio.Event()
        waiting = self._all if key is None else self._waiting.setdefault(key, set())
        waiting.add(changed)
        self._wanted.set()
        try:
            yield changed
        finally:
            waiting.discard(changed)
            if key is not None and not waiting:
                self._waiting.pop(key, None)
            if not self._waiting and not self._all and not self._always:
                self._wanted.clear()

    def wake(self, key: str | None = None) -> None:
        """Wake whoever waits for a job, or everybody."""
        if key is None:
            woken = [each for waiting in self._waiting.values() for each in waiting]
        else:
            woken = list(self._waiting.get(key, ()))
        for changed in (*woken, *self._all):
            changed.set()

    # --- PostgreSQL tells -------------------------------------------------------------------------

    async def _listen(self) -> None:
        while True:
            await self._wanted.wait()
            try:
                async with self._connected() as connection:
                    self.wake()  # whatever was told while nobody listened
                    self._on_hint()
                    async for notice in connection.notifies():
                        self._take(notice.payload)
                        if not self._wanted.is_set():
                            break
            except psycopg.Error as error:
                _log.info("no notices from the jobs' database: %s", error)
                await asyncio.sleep(_RECONNECT_S)

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator["psycopg.AsyncConnection[Any]"]:
        url = self._database.url.set(drivername="postgresql")
        options = connection_options()
        connection = await psycopg.AsyncConnection.connect(
            url.render_as_string(hide_password=False), autocommit=True, **options
        )
        try:
            await connection.execute(f"LISTEN {CHANNEL}")
            yield connection
        finally:
            await connection.close()

    def _take(self, payload: str) -> None:
        told = json.loads(payload)
        if "job" in told:
            self.wake(told["job"])
        if "hint" in told:
            self._on_hint()

    # --- SQLite is looked at ----------------------------------------------------------------------

    async def _look(self) -> None:
        version, seen = -1, -1
        while True:
            try:
                latest = await self._database.version()
                if seen < 0:
                    seen = await self._last_change()
                elif latest != version:
                    seen = await self._look_since(seen)
                version = latest
            except DatabaseFailed as error:
                _log.info("no notices from the jobs' database: %s", error)
                await asyncio.sleep(_RECONNECT_S)
            await self._wanted.wait()
            await asyncio.sleep(_LOOK_EVERY_S)

    async def _last_change(self) -> int:
        query = sa.select(sa.func.max(jobs.c.changed))
        return await self._database.read(lambda c: c.execute(query).scalar() or 0)

    async def _look_since(self, seen: int) -> int:
        def look(connection: sa.Connection) -> tuple[list[tuple[str, int]], bool]:
            query = sa.select(jobs.c.key, jobs.c.changed).where(jobs.c.changed > seen)
            changed = [(row.key, row.changed) for row in connection.execute(query)]
            hinted = connection.execute(sa.select(sa.exists(sa.select(hints.c.id)))).scalar()
            return changed, bool(hinted)

        changed, hinted = await self._database.read(look)
        for key, _ in changed:
            self.wake(key)
        if hinted:
            self._on_hint()
        return max((number for _, number in changed), default=seen)
