"""A line to a service over TCP on this machine, which can be cut, and can do as it is told.

What it is told is a strike: a coroutine that has one connection in hand, with the client at the
near end and the service at the far one. It can pass the request on or not, and say to the client
whatever it wants, as slowly as it wants.
"""

import asyncio
import re
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TypeAlias

from attrs import define, field

_SUBMISSION = b"POST /api/v1/generate/add-instrumental"
_CHUNK_BYTES = 262_144
_LENGTH = re.compile(rb"(?im)^content-length: *(\d+)")


async def relay(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    host: str,
    port: int,
    first: bytes = b"",
) -> None:
    """Pass bytes on in both directions until both sides have ended."""
    there, to_there = await asyncio.open_connection(host, port)
    to_there.write(first)
    try:
        await asyncio.gather(_pump(reader, to_there), _pump(there, writer))
    finally:
        to_there.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Pass bytes on in one direction; when the sender hangs up, so does the line."""
    with suppress(OSError):
        while chunk := await reader.read(_CHUNK_BYTES):
            writer.write(chunk)
            await writer.drain()
    with suppress(OSError):
        writer.close()


async def end_at_once(writer: asyncio.StreamWriter) -> None:
    """End a connection; how it ended is seen, so that nobody says that it was not."""
    writer.transport.abort()
    with suppress(OSError):
        await writer.wait_closed()


@define(eq=False)
class Exchange:
    """One connection that meets a strike.

    Attributes:
        line: The line that it goes over.
        reader: What the client says.
        writer: What the client hears.
    """

    line: "Line"
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    _head: bytes = b""

    async def head(self) -> bytes:
        """Read the head of the request."""
        if not self._head:
            self._head = await self.reader.readuntil(b"\r\n\r\n")
        return self._head

    async def request(self, share: float = 1.0) -> bytes:
        """Read the request, or its head and a share of its body."""
        head = await self.head()
        found = _LENGTH.search(head)
        return head + await self.reader.readexactly(int(int(found[1]) * share) if found else 0)

    async def ask(self) -> tuple[bytes, bytes]:
        """Have the service answer the request; return the head and the body of its answer."""
        request = await self.request()
        far, forth = await asyncio.open_connection("127.0.0.1", self.line.target)
        try:
            forth.write(request)
            head = await far.readuntil(b"\r\n\r\n")
            found = _LENGTH.search(head)
            body = await (far.readexactly(int(found[1])) if found else far.read())
        finally:
            await end_at_once(forth)
        return head, self.line.renamed(body)

    async def say(self, *parts: bytes) -> None:
        """Say something to the client, and see it off."""
        self.writer.transport.set_write_buffer_limits(0)
        for part in parts:
            self.writer.write(part)
            await self.writer.drain()
            self.line.said_bytes += len(part)

    async def gone(self) -> None:
        """Wait until the client has hung up."""
        while await self.reader.read(_CHUNK_BYTES):
            pass

    async def idle(self) -> None:
        """Wait until the client has hung up, for no answer and no request."""
        self.line.busy -= 1
        self.line.idling += 1
        try:
            await self.gone()
        finally:
            self.line.busy += 1
            self.line.idling -= 1

    def reset(self) -> None:
        """End the connection with a reset (RST)."""
        near: socket.socket = self.writer.get_extra_info("socket")
        near.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


Strike: TypeAlias = Callable[[Exchange], Awaitable[None]]


@define(eq=False)
class Line:
    """Forwards connections to a service, and what the service says of its own address too.

    Attributes:
        target: The service's port.
        port: Where the line begins.
        cuts: How often it was cut.
        swallowed: How many submissions went through whose answers did not.
        submissions: How many submissions have begun to pass.
        strike: What each new connection meets; None for nothing.
        struck: How many connections have met one.
        said_bytes: How much was said to clients by strikes.
        busy: How many connections are being struck.
    idling: How many were struck, and wait for the client to hang up.
    """

    target: int
    port: int = 0
    cuts: int = 0
    swallowed: int = 0
    submissions: int = 0
    strike: Strike | None = None
    struck: int = 0
    said_bytes: int = 0
    busy: int = 0
    idling: int = 0
    _swallow_s: float | None = None
    _server: asyncio.Server | None = None
    _mending: "asyncio.Task[None] | None" = None
    _near: set[asyncio.StreamWriter] = field(factory=set[asyncio.StreamWriter])
    _ends: set[asyncio.StreamWriter] = field(factory=set[asyncio.StreamWriter])
    _tasks: set["asyncio.Task[None]"] = field(factory=set["asyncio.Task[None]"])

    @property
    def base_url(self) -> str:
        """Where the service is found at the near end."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def connections(self) -> int:
        """How many connections clients have open."""
        return len(self._near)

    @property
    def sockets(self) -> int:
        """How many sockets clients have open (Linux); the line may not know yet that one is closed.

        What is on its way to somebody who does not read it lives on in the system, without a file.
        """
        port, rows = f"{self.port:04X}", Path("/proc/net/tcp").read_text("ascii").splitlines()[1:]
        found = [row.split() for row in rows]
        return sum(row[2].endswith(f":{port}") and row[9] != "0" for row in found)

    async def listen(self, tls: ssl.SSLContext | None = None) -> None:
        """Take connections."""
        self._server = await asyncio.start_server(
            self._serve, "127.0.0.1", self.port, reuse_port=True, ssl=tls
        )

    def refuse(self) -> None:
        """End all connections, and refuse new ones until it listens again."""
        self._close()

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
        self._near.add(writer)
        self._ends.add(writer)
        try:
            if self.strike is not None:
                await self._struck(self.strike, Exchange(self, reader, writer))
            else:
                await self._forward(reader, writer)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            self._tasks.discard(task)
            self._near.discard(writer)
            self._ends.discard(writer)
            await end_at_once(writer)

    async def _struck(self, strike: Strike, exchange: Exchange) -> None:
        self.struck += 1
        self.busy += 1
        try:
            await strike(exchange)
        finally:
            self.busy -= 1

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far, forth = await asyncio.open_connection("127.0.0.1", self.target)
        self._ends.add(forth)
        out: asyncio.Task[None] | None = None
        try:
            first = await reader.read(_CHUNK_BYTES)
            forth.write(first)
            # submissions come on connections of their own
            submission = first.startswith(_SUBMISSION)
            self.submissions += submission
            out = asyncio.create_task(_pump(reader, forth))
            await self._answer(far, writer, submission=submission)
        finally:
            self._ends.discard(forth)
            if out is not None:
                out.cancel()
                await asyncio.wait({out})
            await end_at_once(forth)

    async def _answer(
        self, far: asyncio.StreamReader, writer: asyncio.StreamWriter, *, submission: bool
    ) -> None:
        while data := await far.read(_CHUNK_BYTES):
            if submission and self._swallow_s is not None:
                seconds, self._swallow_s = self._swallow_s, None
                self.swallowed += 1
                self.cut(seconds)
                return
            writer.write(self.renamed(data))
            await writer.drain()

    def renamed(self, data: bytes) -> bytes:
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
