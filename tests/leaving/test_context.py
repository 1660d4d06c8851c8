"""Work for a task runs in the context variables of its submission."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any

import aiohttp

from suno_async import AddInstrumentalRequest, FixedInterval, SunoSession
from suno_async.sandbox import Call, DropAfter, EnvelopeError, Sandbox
from tests.callbacks.hosting import by_itself, callback, post
from tests.waiting import until
from tests.world import EAGER, session_for, song

trace_id: ContextVar[str] = ContextVar("trace_id", default="nobody's")


class Seen:
    """In which contexts calls were made, and `on_submitted` was called."""

    def __init__(self) -> None:
        self.posts: list[str] = []
        self.bodies: list[str] = []
        self.hooks: dict[str, str] = {}

    async def on_submitted(self, _: str, request: AddInstrumentalRequest, __: datetime) -> None:
        """Take note, before and after giving way."""
        before = trace_id.get()
        await asyncio.sleep(0)
        assert trace_id.get() == before
        self.hooks[request.title] = before

    def trace(self) -> aiohttp.TraceConfig:
        """Make trace hooks as those of OpenTelemetry are."""
        config = aiohttp.TraceConfig()

        async def start(_: Any, __: SimpleNamespace, params: Any) -> None:
            if params.method == "POST":
                self.posts.append(trace_id.get())

        async def body(_: Any, __: SimpleNamespace, params: Any) -> None:
            if params.method == "POST":
                self.bodies.append(trace_id.get())

        config.on_request_start.append(start)
        config.on_request_chunk_sent.append(body)
        return config


@asynccontextmanager
async def traced(
    sandbox: Sandbox, seen: Seen, **settings: Any
) -> AsyncGenerator[SunoSession, None]:
    """Have a session on a caller's client session that traces."""
    async with (
        aiohttp.ClientSession(trace_configs=[seen.trace()]) as client,
        session_for(
            sandbox,
            client_session=client,
            on_submitted=seen.on_submitted,
            retry=EAGER,
            cadence=FixedInterval(timedelta(0)),
            submissions_per_window=(1000, 0.001),
            **settings,
        ) as suno,
    ):
        yield suno


async def in_context(name: str, suno: SunoSession) -> None:
    """Submit in the context of a name."""
    trace_id.set(name)
    await suno.submit(song(title=name))


async def test_a_submission_is_made_in_its_callers_context(sandbox: Sandbox) -> None:
    """Its calls, repeated ones too, and `on_submitted`; whoever else submits at the time."""
    seen = Seen()
    sandbox.inject(Call.SUBMIT, EnvelopeError(429), times=2)
    async with traced(sandbox, seen, max_concurrent_submissions=1) as suno:
        names = [f"caller-{number}" for number in range(5)]
        await asyncio.gather(*(asyncio.create_task(in_context(name, suno)) for name in names))
    assert set(seen.posts) == set(seen.bodies) == set(names)
    assert len(seen.posts) == 7
    assert seen.hooks == {name: name for name in names}


async def test_a_cancelled_caller_leaves_its_context(sandbox: Sandbox) -> None:
    """What goes on without it is still its work."""
    seen = Seen()
    async with traced(sandbox, seen) as suno:
        call = asyncio.create_task(in_context("gone", suno))
        await until(lambda: sandbox.ledger)
        call.cancel()
        await asyncio.wait({call})
        await until(lambda: seen.hooks)
    assert seen.hooks == {"gone": "gone"}


async def test_a_batch_submits_in_its_consumers_context(sandbox: Sandbox) -> None:
    """That of the first `anext`."""
    seen = Seen()

    async def consume(name: str, suno: SunoSession) -> None:
        trace_id.set(name)
        requests = [song(title=f"{name} {number}") for number in range(3)]
        assert len([each async for each in suno.generate_many(requests)]) == 3

    async with traced(sandbox, seen) as suno:
        await asyncio.gather(*(asyncio.create_task(consume(name, suno)) for name in "ab"))
    assert sorted(seen.posts) == sorted(seen.bodies) == list("aaabbb")
    assert all(title.startswith(name) for title, name in seen.hooks.items())
    assert len(seen.hooks) == 6


async def test_a_source_may_give_each_request_its_context(sandbox: Sandbox) -> None:
    """What it sets before it yields a request holds for that request."""
    seen = Seen()

    async def source() -> AsyncIterator[AddInstrumentalRequest]:
        for name in ("one", "two", "three"):
            trace_id.set(name)
            yield song(title=name)

    async with traced(sandbox, seen) as suno:
        assert len([each async for each in suno.generate_many(source())]) == 3
    assert seen.hooks == {name: name for name in ("one", "two", "three")}


async def test_what_is_found_late_is_announced_in_its_context() -> None:
    """Not in that of the web handler that took the callback."""
    seen = Seen()
    async with (
        Sandbox(time_scale=0, submissions_per_window=None, callbacks=False) as sandbox,
        by_itself() as receiver,
        traced(sandbox, seen, receiver=receiver) as suno,
    ):
        sandbox.inject(Call.SUBMIT, DropAfter())
        call = asyncio.create_task(in_context("lost", suno))
        await until(lambda: suno.stats().uncertain)
        call.cancel()
        await asyncio.wait({call})
        trace_id.set("the test's")
        url = str((sandbox.submissions[0].body or {})["callBackUrl"])
        await post(url, callback("text", sandbox.ledger[0].task_id))
        await until(lambda: seen.hooks)
    assert seen.hooks == {"lost": "lost"}
