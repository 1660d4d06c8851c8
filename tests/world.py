"""What nearly every test needs: a request, a sandbox, a session for it, and time that jumps.

Sandbox and session share one `VirtualClock`, so days pass in milliseconds: what takes virtual time
is awaited through `World.run`, which lets time jump to the next timer whenever no call is under
way. Calls themselves go over real sockets and take real time, in which the clock stands still.
"""

import asyncio
import re
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from datetime import datetime, timedelta
from typing import Any, TypeAlias, TypeVar

import aiohttp
from attrs import define, frozen

from suno_async import AddInstrumentalRequest, RetryPolicy, SunoSession, VirtualClock
from suno_async.sandbox import Sandbox, Timings

T = TypeVar("T")

# A session on the machine's clock that repeats at once; tests on a virtual clock take the default.
EAGER = RetryPolicy(base=timedelta(milliseconds=1), cap=timedelta(milliseconds=2))


def song(**changes: Any) -> AddInstrumentalRequest:
    """Make a request that the service takes, with some fields changed."""
    fields: dict[str, Any] = {
        "upload_url": "https://example.com/stem.wav",
        "title": "Relaxing Piano",
        "tags": "relaxing, piano",
        "negative_tags": "heavy metal",
    }
    return AddInstrumentalRequest(**{**fields, **changes})


def session_for(sandbox: Sandbox, **settings: Any) -> SunoSession:
    """Make a session (still to be entered) that talks to a sandbox, with its key and its clock."""
    usual: dict[str, Any] = {
        "api_key": sandbox.api_key,
        "base_url": sandbox.base_url,
        "clock": sandbox.clock,
        "timeout": 5,
    }
    return SunoSession(**{**usual, **settings})


@frozen
class World:
    """A sandbox and the virtual clock that it shares with its sessions."""

    sandbox: Sandbox
    clock: VirtualClock

    def session(self, **settings: Any) -> SunoSession:
        """Make a session (still to be entered) for the sandbox, on the virtual clock."""
        return session_for(self.sandbox, **settings)

    async def run(self, awaitable: Awaitable[T]) -> T:
        """Await something while time jumps from timer to timer, never during a call.

        Between the sending of bytes and their arrival neither side counts as busy; in one process
        that takes up to 17 rounds of the event loop, and time jumps after three times as many.
        """
        return await self.clock.run(awaitable, idle=self.sandbox.idle, settle_passes=50)

    async def pass_time(self, seconds: float) -> None:
        """Let virtual time pass, with everything that happens in it."""
        await self.run(self.clock.sleep(seconds))


class SetClock(VirtualClock):
    """A virtual clock whose wall time somebody has set; the monotonic time goes on as it did."""

    _set_by = timedelta(0)

    def now(self) -> datetime:
        """Tell the wall-clock time."""
        return super().now() + self._set_by

    def jump(self, by: timedelta) -> None:
        """Set the wall clock."""
        self._set_by += by


@asynccontextmanager
async def virtual_world(**settings: Any) -> AsyncIterator[World]:
    """Run a sandbox on a virtual clock; its tasks reach their stages at exactly 22, 65, 130 s."""
    clock = VirtualClock()
    usual: dict[str, Any] = {"clock": clock, "timings": Timings(sigma=0.0)}
    async with Sandbox(**{**usual, **settings}) as sandbox:
        yield World(sandbox, clock)


def close_hidden(told: object) -> None:
    """Close the response that a trace hook hides by failing at the end of its request.

    aiohttp 3.14.0 leaves it open, and complains in whichever test is running when it is collected.
    """
    if isinstance(told, aiohttp.TraceRequestEndParams):
        told.response.close()


@define
class RawService:
    """A host that does with its connections what a test wants."""

    base_url: str = ""
    opened: int = 0
    ended: int = 0
    requests: int = 0


Connection: TypeAlias = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def tcp_service(
    serve: Connection, host: str = "127.0.0.1", tls: ssl.SSLContext | None = None
) -> AsyncIterator[RawService]:
    """Run a host that serves every connection with a coroutine, and then ends it."""
    service = RawService()
    serving: set[asyncio.Task[None]] = set()

    async def follow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with suppress(OSError, asyncio.IncompleteReadError):  # the client went away
                await serve(reader, writer)
        finally:
            service.ended += 1
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        service.opened += 1
        serving.add(asyncio.create_task(follow(reader, writer)))

    server = await asyncio.start_server(accept, host, 0, ssl=tls)
    scheme, place = "http" if tls is None else "https", f"[{host}]" if ":" in host else host
    service.base_url = f"{scheme}://{place}:{server.sockets[0].getsockname()[1]}"
    try:
        yield service
    finally:
        for _ in range(10):  # connections that are just being made
            await asyncio.sleep(0)
        server.close()
        for task in serving:
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)


async def read_request(reader: asyncio.StreamReader) -> None:
    """Read one HTTP request with its body."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = re.search(rb"content-length: *(\d+)", head.lower())
    await reader.readexactly(int(length[1]) if length else 0)


@asynccontextmanager
async def raw_service(answer: bytes) -> AsyncIterator[RawService]:
    """Run a host that answers every request with these bytes, whatever they are, and hangs up."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        service.requests += 1
        writer.write(answer)
        await writer.drain()

    async with tcp_service(serve) as service:
        yield service
