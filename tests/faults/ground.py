"""A service, a line to it, and a session whose calls meet what happens on the line."""

import asyncio
import os
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Awaitable
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import aiohttp
from attrs import Factory, define

from suno_async import (
    Clock,
    FixedInterval,
    RetryPolicy,
    SunoSession,
    Track,
    VirtualClock,
)
from suno_async.observe import Accepted, Found, Observation, Polled, Uncertain
from suno_async.sandbox import Sandbox
from tests.line import Line, line_to
from tests.media.hosts import SmallDisk
from tests.network.hosts import Authority
from tests.world import RawService, session_for, song, tcp_service

from .surroundings import Names, Skew, SkewedClock, SkewedVirtualClock

T = TypeVar("T")

THEIRS = "THEIRS" in os.environ
NAME = "service.test"
STEM = b"ID3\x04" + bytes(range(256)) * 3072
SHORT_STEM = STEM[: 80 * 1024]
# more than the sockets between two processes hold
LONG_STEM = STEM * 21
# long enough for calls among many on a machine that has other things to do
TIMEOUT_S = 4.0
MOST_BYTES = 4 * 1024**2
OURS, STRANGERS = Authority(), Authority()
NO_TRACK = Track("")
QUICK = RetryPolicy(
    attempts=3,
    patience=timedelta(milliseconds=50),
    base=timedelta(milliseconds=1),
    cap=timedelta(milliseconds=2),
)


@define(eq=False)
class Ground:
    """All that a call stands on, and what has been seen of it.

    Attributes:
        call: The name of the call.
        sandbox: The service.
        line: Between the session and the service.
        elsewhere: Another host.
        heads: What the other host was asked.
        suno: The session, which is open.
        clock: The session's clock.
        folder: Where files go.
        task_id: A task that is complete.
        track: A track whose audio the service has, over the line.
        told: What observers were told.
        names: The session's resolver.
        skew: How far the session's clock was put on.
        tls: With what the line listens; None for plain TCP.
        needs_listening: Whether the line has to listen again as it should.
        way: In how many ways an answer was wrong so far.
        ways: In how many it can be.
        titles: The titles of all that was submitted.
        missed_twice: Set when two looks have failed.
        misses: How many looks have failed.
        is_deaf: Whether the service reads nothing, so that stems must be long.
        disk: A disk with little room, where files go.
        calling: The call that is under way.
        stack: What a fault holds until it is lifted.
    """

    call: str
    sandbox: Sandbox
    line: Line
    elsewhere: RawService
    heads: list[bytes]
    clock: Clock
    folder: Path
    names: Names
    skew: Skew
    suno: SunoSession = None  # type: ignore[assignment]  # it is made of the others
    task_id: str = ""
    track: Track = NO_TRACK
    told: list[Observation] = Factory(list)
    tls: ssl.SSLContext | None = None
    strangers_tls: ssl.SSLContext | None = None
    needs_listening: bool = False
    way: int = 0
    ways: int = 0
    titles: list[str] = Factory(list)
    missed_twice: asyncio.Event = Factory(asyncio.Event)
    misses: int = 0
    is_deaf: bool = False
    disk: SmallDisk | None = None
    calling: "asyncio.Task[Any] | None" = None
    stack: ExitStack = Factory(ExitStack)

    def observe(self, seen: Observation) -> None:
        """Remember what happens."""
        self.told.append(seen)
        if isinstance(seen, Polled) and seen.error is not None:
            self.misses += 1
            if self.misses == 2:
                self.missed_twice.set()

    async def run(self, work: Awaitable[T]) -> T:
        """Await something, in virtual time where the session has it."""
        if not isinstance(self.clock, VirtualClock):
            return await work
        return await self.clock.run(work, idle=self._is_idle, settle_passes=50)

    def _is_idle(self) -> bool:
        return self.line.busy == 0 and self.sandbox.idle()

    def cancel(self) -> None:
        """Cancel the call that is under way."""
        assert self.calling is not None
        self.calling.cancel()

    # --- what it cost -----------------------------------------------------------------------------

    @property
    def charges(self) -> Counter[str]:
        """How often each title was charged, of what the session submitted."""
        tasks = self.sandbox.tasks
        charged = (tasks[one.task_id].request["title"] for one in self.sandbox.ledger)
        return Counter(str(title) for title in charged if title in self.titles)

    @property
    def lost(self) -> list[str]:
        """The titles that were charged, and of which nobody was told."""
        known = {one.request.title for one in self.told if isinstance(one, _KNOWN)}
        return [title for title in self.charges if title not in known]

    @property
    def doubled(self) -> list[str]:
        """The titles that were charged more than once."""
        return [title for title, times in self.charges.items() if times > 1]


_KNOWN = Accepted | Found | Uncertain


async def _ask_for_a_task_and_a_track(ground: Ground, at: str) -> None:
    """Have a complete task, and a file to download; the session takes no part in it."""
    async with session_for(ground.sandbox) as other:
        if ground.call in {"look", "watch"}:
            ground.task_id = (await other.submit(song())).task_id
        if ground.call == "download":
            url = await other.upload(STEM)
            url = url.replace(ground.sandbox.base_url, at)
            ground.track = Track(id="a-track", title="Harbour", audio_url=url)


@asynccontextmanager
async def ground_for(
    call: str, folder: Path, *, scheme: str, named: bool, slow: bool, settings: dict[str, Any]
) -> AsyncIterator[Ground]:
    """Prepare everything for one call.

    Args:
        call: Its name.
        folder: Where files go.
        scheme: How the service is reached.
        named: Whether it is reached by its name.
        slow: Whether real time must pass.
        settings: Of the session, over the usual ones.
    """
    heads: list[bytes] = []

    async def note(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()

    skew, names = Skew(), Names()
    virtual = call in {"look", "watch"} and not slow
    clock: Clock = SkewedVirtualClock(skew) if virtual else SkewedClock(skew)
    async with AsyncExitStack() as stack:
        service = Sandbox(
            time_scale=0, submissions_per_window=None, polls_per_second=None, callbacks=False
        )
        sandbox = await stack.enter_async_context(service)
        line = await stack.enter_async_context(line_to(sandbox.base_url))
        elsewhere = await stack.enter_async_context(tcp_service(note))
        ground = Ground(call, sandbox, line, elsewhere, heads, clock, folder, names, skew)
        host = f"{NAME if named and call != 'download' else '127.0.0.1'}:{line.port}"
        usual: dict[str, Any] = {
            "base_url": f"{scheme}://{host}",
            "clock": clock,
            "timeout": 30,
            "retry": QUICK,
            "cadence": FixedInterval(timedelta(seconds=30 if virtual else 0)),
            "submissions_per_window": (1000, 0.001),
            "max_download_bytes": MOST_BYTES,
            "observers": [ground.observe],
        }
        if named:
            usual["connector_options"] = {"resolver": names, "use_dns_cache": False}
        if scheme == "https":
            ground.tls = OURS.server_context()
            ground.strangers_tls = STRANGERS.server_context()
            usual["ssl"] = OURS.client_context()
            line.refuse()
            await line.listen(ground.tls)
        media_host = f"{NAME if named else '127.0.0.1'}:{line.port}"
        await _ask_for_a_task_and_a_track(ground, f"{scheme}://{media_host}")
        if THEIRS:
            connector = aiohttp.TCPConnector(
                resolver=names, use_dns_cache=False, ssl=usual.pop("ssl", True)
            )
            usual.pop("connector_options", None)
            usual["client_session"] = await stack.enter_async_context(
                aiohttp.ClientSession(connector=connector)
            )
        ground.suno = session_for(sandbox, **{**usual, **settings})
        async with ground.suno:
            yield ground
