"""The clients that `cost` compares: each polls waiting tasks until it is told to stop.

All of them keep `IN_FLIGHT` polls under way, over connections that are kept alive, with the key in
a header. That many is the watcher's own limit, and that of aiohttp's connections. This module must
be imported after the decision whether orjson can be.
"""

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from importlib import import_module
from typing import Any

import aiohttp

from suno_async import SunoSession, SystemClock
from suno_async.cadence import HazardPaced

IN_FLIGHT = 100
# so many that, after the least gap, there is always one that is due
WATCHED = 300
# and so old that the default cadence is in a hurry
AGE = timedelta(minutes=1)
KEY = "benchmark-key"
_HEADERS = {"Authorization": f"Bearer {KEY}"}
_PATH = "/api/v1/generate/record-info"

# until every poll is under way
_RUN_UP_S = 0.05


class Client(ABC):
    """Something that polls."""

    async def __aenter__(self) -> "Client":
        self._stack = AsyncExitStack()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    @asynccontextmanager
    async def polling(self) -> AsyncIterator[None]:
        """Poll as fast as is possible inside the block."""
        tasks = [asyncio.create_task(work) for work in self.work()]
        await asyncio.sleep(_RUN_UP_S)
        yield
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    @abstractmethod
    def work(self) -> Iterable[Coroutine[Any, Any, object]]:
        """Give the coroutines that poll until they are cancelled."""


class LoopingClient(Client):
    """A client that needs somebody to call it again and again.

    Args:
        opened: Opens the library, and gives what one poll is.
    """

    def __init__(self, opened: AbstractAsyncContextManager[Callable[[], Any]]) -> None:
        self._opened = opened

    async def __aenter__(self) -> "LoopingClient":
        await super().__aenter__()
        self._poll = await self._stack.enter_async_context(self._opened)
        return self

    def work(self) -> Iterable[Coroutine[Any, Any, object]]:
        """Give a loop for each poll that is to be under way."""
        return (self._loop() for _ in range(IN_FLIGHT))

    async def _loop(self) -> None:
        while True:
            await self._poll()


@asynccontextmanager
async def plain_aiohttp(base_url: str) -> AsyncIterator[Callable[[], Any]]:
    """Use aiohttp as its documentation begins."""
    url, params = base_url + _PATH, {"taskId": "5c79be8e5c79be8e5c79be8e5c79be8e"}
    async with aiohttp.ClientSession(headers=_HEADERS) as session:

        async def poll() -> None:
            async with session.get(url, params=params) as response:
                record = await response.json()
            assert record["data"]["status"] == "TEXT_SUCCESS"

        yield poll


@asynccontextmanager
async def plain_httpx(base_url: str) -> AsyncIterator[Callable[[], Any]]:
    """Use httpx as its documentation begins."""
    httpx: Any = import_module("httpx")
    url, params = base_url + _PATH, {"taskId": "5c79be8e5c79be8e5c79be8e5c79be8e"}
    async with httpx.AsyncClient(headers=_HEADERS, trust_env=False) as client:

        async def poll() -> None:
            record = (await client.get(url, params=params)).json()
            assert record["data"]["status"] == "TEXT_SUCCESS"

        yield poll


@asynccontextmanager
async def suno_easy(base_url: str) -> AsyncIterator[Callable[[], Any]]:
    """Call `get_task_info`, what its `wait_task` repeats, in threads: it has no asyncio."""
    client = import_module("suno_easy").SunoClient(KEY)
    client.BASE_URL = base_url
    with client.session:

        async def poll() -> None:
            data = await asyncio.to_thread(client.get_task_info, "5c79be8e5c79be8e5c79be8e5c79be8e")
            assert data["status"] == "TEXT_SUCCESS"

        yield poll


@asynccontextmanager
async def fal_client(base_url: str) -> AsyncIterator[Callable[[], Any]]:
    """Call `status` of a request's handle, what its `iter_events` repeats."""
    fal: Any = import_module("fal_client")
    client = await fal.AsyncClient(KEY)._client
    handle = fal.AsyncRequestHandle("5c79be8e", base_url, base_url, base_url, client)

    async def poll() -> None:
        assert isinstance(await handle.status(with_logs=True), fal.InProgress)

    async with client:
        yield poll


class FastClock(SystemClock):
    """The machine's clock, a thousand times as fast: tasks are due as soon as they were polled."""

    pace = 1000.0

    def monotonic(self) -> float:
        """Tell the machine's monotonic time, in milliseconds."""
        return time.monotonic() * self.pace

    def call_at(self, deadline_s: float, callback: Callable[[], object]) -> asyncio.TimerHandle:
        """Set a timer of the running event loop."""
        delay_s = max(deadline_s / self.pace - time.monotonic(), 0.0)
        return asyncio.get_running_loop().call_later(delay_s, callback)


class SunoAsync(Client):
    """This library as it is: a session whose tasks are watched by readers of their results.

    Its cadence is the default one with so low a price that it always wants the least gap.
    """

    def __init__(self, base_url: str) -> None:
        self._base_url = base_url
        self._rounds = 0

    async def __aenter__(self) -> "SunoAsync":
        await super().__aenter__()
        session = SunoSession(
            KEY, base_url=self._base_url, clock=FastClock(), cadence=HazardPaced(1e-6)
        )
        self._session = await self._stack.enter_async_context(session)
        return self

    def work(self) -> Iterable[Coroutine[Any, Any, object]]:
        """Give readers of new tasks' results, which do not come."""
        self._rounds += 1
        since = datetime.now(UTC) - AGE
        return (self._session.task(f"{self._rounds}-{i}", since).result() for i in range(WATCHED))


def clients(base_url: str) -> dict[str, Callable[[], Client]]:
    """Give all clients by name; some need a package that may be missing."""
    return {
        "aiohttp": lambda: LoopingClient(plain_aiohttp(base_url + "/same")),
        "control": lambda: LoopingClient(plain_aiohttp(base_url + "/same")),
        "unchanged": lambda: SunoAsync(base_url + "/same"),
        "changed": lambda: SunoAsync(base_url + "/changing"),
        "httpx": lambda: LoopingClient(plain_httpx(base_url + "/same")),
        "fal-client": lambda: LoopingClient(fal_client(base_url + "/queue")),
        "suno-easy": lambda: LoopingClient(suno_easy(base_url + "/same")),
    }
