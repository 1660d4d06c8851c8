"""Invariants 2 and 8: hooks of a caller's client session that never come back."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import aiohttp
import pytest

from suno_async import ConnectionFailed, FixedInterval, RetryPolicy, SunoSession
from suno_async.sandbox import Sandbox
from tests.following import STAGES, collect, names
from tests.waiting import until
from tests.world import EAGER, close_hidden, session_for, song

SHORT_S = 0.15
ONCE = RetryPolicy(attempts=1)


@asynccontextmanager
async def waiting_at(signal: str, well: asyncio.Event) -> AsyncIterator[aiohttp.ClientSession]:
    """Open a client session that waits at a signal, or in a middleware, until all is well."""

    async def wait(_: object, __: object, told: object) -> None:
        try:
            await well.wait()
        except BaseException:
            close_hidden(told)
            raise

    async def pass_on(
        request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        await well.wait()
        return await handler(request)

    trace = aiohttp.TraceConfig()
    if signal != "a middleware":
        getattr(trace, signal).append(wait)
    middlewares = [pass_on] if signal == "a middleware" else []
    async with aiohttp.ClientSession(trace_configs=[trace], middlewares=middlewares) as client:
        yield client


signals = pytest.mark.parametrize(
    "signal", ["on_request_start", "on_request_end", "on_response_chunk_received", "a middleware"]
)


async def made(sandbox: Sandbox) -> str:
    """Have a task made by a session of its own."""
    async with session_for(sandbox) as suno:
        return (await suno.submit(song())).task_id


@signals
async def test_invariant_8_a_call_takes_no_longer_than_the_time_out(
    sandbox: Sandbox, signal: str
) -> None:
    """Whatever a hook waits for; when it comes back, the calls go well."""
    task_id, well = await made(sandbox), asyncio.Event()
    async with (
        waiting_at(signal, well) as client,
        session_for(sandbox, client_session=client, timeout=SHORT_S, retry=ONCE) as suno,
    ):
        calls: list[Callable[[SunoSession], Awaitable[object]]] = [
            lambda suno: suno.credits(),
            lambda suno: suno.details(task_id),
            lambda suno: suno.upload(b"RIFF"),
        ]
        ends = await asyncio.wait_for(
            asyncio.gather(*(call(suno) for call in calls), return_exceptions=True), 5
        )
        assert [type(end) for end in ends] == [ConnectionFailed] * len(calls)
        well.set()
        async with session_for(sandbox, client_session=client) as another:
            await asyncio.gather(*(call(another) for call in calls))


@signals
async def test_invariant_2_a_look_that_never_comes_back_loses_no_task(
    sandbox: Sandbox, signal: str
) -> None:
    """A watch goes on, slower, until the hook is well again."""
    task_id, well = await made(sandbox), asyncio.Event()
    usual = {"timeout": SHORT_S, "retry": EAGER, "cadence": FixedInterval(0)}
    async with (
        waiting_at(signal, well) as client,
        session_for(sandbox, client_session=client, **usual) as suno,
    ):
        reading = asyncio.create_task(collect(suno.task(task_id)))
        await until(lambda: suno.stats().polls > 1)
        well.set()
        assert names(await asyncio.wait_for(reading, 5)) == STAGES
