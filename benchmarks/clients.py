"""The clients that `cost` compares: each polls waiting tasks until it is told to stop.

Connections are kept alive, and the key is in a header. A busy client keeps as many polls under way
as the watcher's own limit is, and that of aiohttp's connections. One at leisure polls many tasks at
the shortest interval that the service allows, evenly spread, and is idle most of the time. This
module must be imported after the decision whether orjson can be.
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from importlib import import_module
from time import monotonic
from typing import Any

import aiohttp

from benchmarks.record_server import TASK_ID
from suno_async import InstrumentalTask, SunoSession, SystemClock
from suno_async.cadence import LEAST_GAP_S, HazardPaced

# busy: so many polls under way, of so many tasks that there is always one that is due
IN_FLIGHT = 100
WATCHED_BUSY = 300
# kinder to clients of other kinds, whose pools slow down with the number of polls under way
IN_FLIGHT_OF_OTHERS = 10
# at leisure: so many tasks, each polled at the least gap
WATCHED_AT_LEISURE = 600
# so old that the default cadence is in a hurry
AGE = timedelta(minutes=1)
KEY = "benchmark-key"
_HEADERS = {"Authorization": f"Bearer {KEY}"}
_PATH = "/api/v1/generate/record-info"


class Client(ABC):
    """Something that polls.

    Args:
        busy: Whether it polls as fast as it can.
    """

    def __init__(self, busy: bool) -> None:
        self.busy = busy
        # until every poll is under way, or every task was seen once
        self._run_up_s = 0.05 if busy else 1.5 * LEAST_GAP_S

    async def __aenter__(self) -> "Client":
        self._stack = AsyncExitStack()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    @asynccontextmanager
    async def polling(self) -> AsyncIterator[None]:
        """Poll inside the block."""
        tasks = [asyncio.create_task(work) for work in self.work()]
        await asyncio.sleep(self._run_up_s)
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
        busy: Whether it polls as fast as it can.
        opened: Opens the library, and gives what one poll is.
        in_flight: How many polls a busy client keeps under way.
    """

    def __init__(
        self,
        busy: bool,
        opened: AbstractAsyncContextManager[Callable[[], Any]],
        in_flight: int = IN_FLIGHT,
    ) -> None:
        super().__init__(busy)
        self._opened = opened
        self._in_flight = in_flight

    async def __aenter__(self) -> "LoopingClient":
        await super().__aenter__()
        self._poll = await self._stack.enter_async_context(self._opened)
        return self

    def work(self) -> Iterable[Coroutine[Any, Any, object]]:
        """Give a loop for each poll that is to be under way, or for each task."""
        if self.busy:
            return (self._loop() for _ in range(self._in_flight))
        return (self._loop_at_leisure(i) for i in range(WATCHED_AT_LEISURE))

    async def _loop(self) -> None:
        while True:
            await self._poll()

    async def _loop_at_leisure(self, number: int) -> None:
        await asyncio.sleep(LEAST_GAP_S * number / WATCHED_AT_LEISURE)
        while True:
            await self._poll()
            await asyncio.sleep(LEAST_GAP_S)


@asynccontextmanager
async def plain_aiohttp(base_url: str) -> AsyncIterator[Callable[[], Any]]:
    """Use aiohttp as its documentation begins."""
    url, params = base_url + _PATH, {"taskId": TASK_ID}
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
    url, params = base_url + _PATH, {"taskId": TASK_ID}
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
            data = await asyncio.to_thread(client.get_task_info, TASK_ID)
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

    def monotonic(self) -> float:
        """Tell the machine's monotonic time, in milliseconds."""
        return monotonic() * 1000.0

    def call_at(self, deadline_s: float, callback: Callable[[], object]) -> asyncio.TimerHandle:
        """Set a timer of the running event loop."""
        delay_s = max(deadline_s / 1000.0 - monotonic(), 0.0)
        return asyncio.get_running_loop().call_later(delay_s, callback)


class SunoAsync(Client):
    """This library as it is: a session whose tasks are watched by readers of their results.

    Its cadence is the default one with so low a price that it always wants the least gap.
    """

    def __init__(self, busy: bool, base_url: str) -> None:
        super().__init__(busy)
        self._base_url = base_url
        self._rounds = 0

    async def __aenter__(self) -> "SunoAsync":
        await super().__aenter__()
        session = SunoSession(
            KEY,
            base_url=self._base_url,
            clock=FastClock() if self.busy else SystemClock(),
            cadence=HazardPaced(1e-6),
        )
        self._session = await self._stack.enter_async_context(session)
        return self

    def work(self) -> Iterable[Coroutine[Any, Any, object]]:
        """Give readers of new tasks' results, which do not come."""
        self._rounds += 1
        since = datetime.now(UTC) - AGE
        watched = WATCHED_BUSY if self.busy else WATCHED_AT_LEISURE
        return (
            self._read(self._session.task(f"{self._rounds:016x}{i:016x}", since), i)
            for i in range(watched)
        )

    async def _read(self, task: InstrumentalTask, number: int) -> None:
        await asyncio.sleep(0 if self.busy else LEAST_GAP_S * number / WATCHED_AT_LEISURE)
        await task.result()


def clients(base_url: str, busy: bool) -> dict[str, Callable[[], Client]]:
    """Give all clients by name; some need a package that may be missing."""
    same, changing = base_url + "/same", base_url + "/changing"
    few = IN_FLIGHT_OF_OTHERS
    return {
        "aiohttp": lambda: LoopingClient(busy, plain_aiohttp(same)),
        "control": lambda: LoopingClient(busy, plain_aiohttp(same)),
        "unchanged": lambda: SunoAsync(busy, same),
        "changed": lambda: SunoAsync(busy, changing),
        "httpx": lambda: LoopingClient(busy, plain_httpx(same), few),
        "fal-client": lambda: LoopingClient(busy, fal_client(base_url + "/queue"), few),
        "suno-easy": lambda: LoopingClient(busy, suno_easy(same), few),
    }
