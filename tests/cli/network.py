"""A line to the service over TCP on this machine, which can be cut."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from attrs import define, field

_SUBMISSION = b"POST /api/v1/generate/add-instrumental"
_CHUNK_BYTES = 262_144


@define(eq=False)
class Line:
    """Forwards connections to a service, and what the service says of its own address too.

    Attributes:
        target: The service's port.
        port: Where the line begins.
        cuts: How often it was cut.
        swallowed: How many submissions went through whose answers did not.
        submissions: How many submissions have begun to pass.
    """

    target: int
    port: int = 0
    cuts: int = 0
    swallowed: int = 0
    submissions: int = 0
    _swallow_s: float | None = None
    _server: asyncio.Server | None = None
    _mending: "asyncio.Task[None] | None" = None
    _ends: set[asyncio.StreamWriter] = field(factory=set[asyncio.StreamWriter])
    _tasks: set["asyncio.Task[None]"] = field(factory=set["asyncio.Task[None]"])

    @property
    def base_url(self) -> str:
        """Where the service is found at the near end."""
        return f"http://127.0.0.1:{self.port}"

    async def listen(self) -> None:
        """Take connections."""
        self._server = await asyncio.start_server(
            self._serve, "127.0.0.1", self.port, reuse_port=True
        )

    def cut(self, seconds: float) -> None:
        """End all connections, and refuse new ones for a while."""
        self.cuts += 1
        self._close()
        if self._mending is not None:
            self._mending.cancel()
        self._mending = asyncio.create_task(self._mend(seconds))

    def cut_at_next_answer(self, seconds: float) -> None:
        """Cut the line once the service has answered a submission, before the answer is seen."""
        self._swallow_s = seconds

    async def _mend(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        await self.listen()

    def _close(self) -> None:
        if self._server is not None:
            self._server.close()
        for end in list(self._ends):
            end.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        ends = [writer]
        self._ends.add(writer)
        try:
            far, forth = await asyncio.open_connection("127.0.0.1", self.target)
            ends.append(forth)
            self._ends.add(forth)
            await self._forward(reader, writer, far, forth)
        except OSError:
            pass
        finally:
            self._tasks.discard(task)
            self._ends.difference_update(ends)
            for end in ends:
                end.transport.abort()

    async def _forward(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        far: asyncio.StreamReader,
        forth: asyncio.StreamWriter,
    ) -> None:
        first = await reader.read(_CHUNK_BYTES)
        forth.write(first)
        # submissions come on connections of their own
        submission = first.startswith(_SUBMISSION)
        self.submissions += submission
        out = asyncio.create_task(_pump(reader, forth))
        try:
            while data := await far.read(_CHUNK_BYTES):
                if submission and self._swallow_s is not None:
                    seconds, self._swallow_s = self._swallow_s, None
                    self.swallowed += 1
                    self.cut(seconds)
                    return
                writer.write(self._renamed(data))
                await writer.drain()
        finally:
            out.cancel()
            await asyncio.wait({out})

    def _renamed(self, data: bytes) -> bytes:
        """Lead what is downloaded over the line as well; ports have five digits here."""
        return data.replace(b"127.0.0.1:%d/" % self.target, b"127.0.0.1:%d/" % self.port)

    async def aclose(self) -> None:
        """End all connections."""
        if self._mending is not None:
            self._mending.cancel()
            await asyncio.wait({self._mending})
        while True:
            self._close()
            if not self._tasks:
                return
            await asyncio.wait(set(self._tasks), timeout=0.1)


async def _pump(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    try:
        while data := await source.read(_CHUNK_BYTES):
            target.write(data)
            await target.drain()
    except OSError:
        return


@asynccontextmanager
async def line_to(base_url: str) -> AsyncIterator[Line]:
    """Lay a line to a service on this machine."""
    # keeps the port while nobody listens
    with socket.socket() as place:
        place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        place.bind(("127.0.0.1", 0))
        line = Line(int(base_url.rpartition(":")[2]), place.getsockname()[1])
        await line.listen()
        try:
            yield line
        finally:
            await line.aclose()
