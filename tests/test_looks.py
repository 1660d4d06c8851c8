"""Looks: whoever wants one has a turn, none overlaps, and what hangs or jumps harms no other."""

import asyncio
import gc
from collections.abc import Awaitable
from contextlib import suppress
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import pytest

from suno_async import (
    AccountLimits,
    AuthenticationError,
    FixedInterval,
    GenerationFailed,
    InstrumentalTask,
    Observation,
    RateLimited,
    RetryPolicy,
    SessionClosed,
    SunoSession,
    TaskExpired,
    TaskNotFound,
)
from suno_async.observe import Ended, Polled, StageReached
from suno_async.sandbox import Call, EnvelopeError, TaskScript

from .following import (
    STAGES,
    STUCK,
    busiest,
    collect,
    for_a_while,
    look_for_ever,
    names,
    poll_times,
    record,
    submitted,
    two_tracks,
)
from .waiting import HANGS_AFTER_S
from .world import World, read_request, song, tcp_service, virtual_world

EVERY_3_S = FixedInterval(timedelta(seconds=3))
AS_OFTEN_AS_MAY_BE = FixedInterval(timedelta(0))


def http(body: bytes) -> bytes:
    """Write an HTTP answer."""
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


# --- everybody has a turn -------------------------------------------------------------------------


async def test_a_look_has_its_turn_under_a_full_budget() -> None:
    """Invariant 5: of 50 watched tasks at one poll a second, a look at once waits for seconds."""
    async with (
        virtual_world(submissions_per_window=None) as world,
        world.session(
            cadence=EVERY_3_S, polls_per_second=1, submissions_per_window=(99, 1)
        ) as suno,
    ):
        tasks = [await submitted(suno, world.sandbox, STUCK) for _ in range(50)]
        waiting = [asyncio.create_task(task.result()) for task in tasks]
        await world.pass_time(100)
        began_s = world.clock.monotonic()
        await world.run(tasks[7].details())
        assert world.clock.monotonic() - began_s <= 20
        assert busiest(poll_times(world.sandbox), 10.0) <= 10
        for wait in waiting:
            wait.cancel()


async def test_looks_do_not_starve_the_watched() -> None:
    """Invariant 5: loops of looks at once get their share of a small budget, and no more."""
    async with (
        virtual_world(submissions_per_window=None) as world,
        world.session(
            cadence=EVERY_3_S, polls_per_second=2, submissions_per_window=(99, 1)
        ) as suno,
    ):
        watched = [await submitted(suno, world.sandbox, STUCK) for _ in range(5)]
        looked = [await submitted(suno, world.sandbox, STUCK) for _ in range(20)]
        work = [asyncio.ensure_future(collect(task)) for task in watched]
        loops = [asyncio.ensure_future(look_for_ever(task)) for task in looked]
        await world.pass_time(300)
        for each in (*work, *loops):
            each.cancel()
    assert min(world.sandbox.poll_count(task.task_id) for task in watched) >= 2


async def test_an_old_and_a_new_handle_have_one_pace(world: World) -> None:
    """Invariant 5: also when the watch of the old one has ended, and the new one is watched."""
    async with world.session(cadence=AS_OFTEN_AS_MAY_BE) as suno:
        old = suno.task("gone", world.clock.now())
        with pytest.raises(TaskNotFound):
            await world.run(old.result())
        new = suno.task("gone", world.clock.now())

        async def looking(task: InstrumentalTask) -> None:
            while True:
                with suppress(TaskNotFound):
                    await task.details()

        await for_a_while(world, new.result(), looking(old), looking(new))
    assert busiest(poll_times(world.sandbox), 1.0) <= 3


async def test_looks_at_a_task_never_overlap(world: World) -> None:
    """Invariant 5: a slow look is waited for by the next one, whoever asks."""
    under_way, most = 0, 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal under_way, most
        while True:
            await read_request(reader)
            under_way += 1
            most = max(most, under_way)
            await asyncio.sleep(0.01)
            under_way -= 1
            writer.write(http(record("t1", "PENDING")))
            await writer.drain()

    async with (
        tcp_service(serve) as service,
        world.session(base_url=service.base_url, cadence=AS_OFTEN_AS_MAY_BE) as suno,
    ):
        task = suno.task("t1", world.clock.now())
        work: list[Awaitable[Any]] = [task.result(), *(look_for_ever(task) for _ in range(5))]
        running = [asyncio.ensure_future(each) for each in work]
        for _ in range(100):
            world.clock.advance(0.2)
            await asyncio.sleep(0.003)
        for each in running:
            each.cancel()
        await asyncio.gather(*running, return_exceptions=True)
    assert most == 1


async def test_a_look_is_not_held_by_a_pause_beyond_patience(world: World) -> None:
    """Invariant 5: `Retry-After` is obeyed as far as patience goes, and then the call says so."""
    async with world.session(retry=RetryPolicy(patience=timedelta(minutes=1))) as suno:
        task = await submitted(suno, world.sandbox, STUCK)
        world.sandbox.inject(Call.DETAILS, EnvelopeError(429, retry_after="7200"))
        with pytest.raises(RateLimited) as caught:
            await world.run(task.details())
    assert caught.value.retry_after is not None
    assert caught.value.retry_after > timedelta(minutes=59)
    assert world.clock.monotonic() <= 60


async def test_a_look_that_is_cancelled_is_not_made(world: World) -> None:
    """Invariant 8: it leaves nothing in the agenda, and disturbs no other."""
    async with world.session(polls_per_second=0.1) as suno:
        task = await submitted(suno, world.sandbox, STUCK)
        await world.run(task.details())
        looks = [asyncio.create_task(task.details()) for _ in range(3)]
        await world.pass_time(1)
        for look in looks[:2]:
            look.cancel()
        assert (await world.run(looks[2])).status == "PENDING"
        looks = [asyncio.create_task(task.details())]
        await world.pass_time(1)
        looks[0].cancel()
        await world.pass_time(60)
    assert len(world.sandbox.polls) == 2


async def test_two_sessions_share_a_budget_fairly() -> None:
    """Invariant 5: with common limits, both get their half."""
    limits = AccountLimits((99, 1), polls_per_second=2)
    async with (
        virtual_world(submissions_per_window=None) as world,
        world.session(cadence=EVERY_3_S, limits=limits) as one,
        world.session(cadence=EVERY_3_S, limits=limits) as two,
    ):
        tasks = {
            suno: [await submitted(suno, world.sandbox, STUCK) for _ in range(10)]
            for suno in (one, two)
        }
        waiting = [asyncio.create_task(task.result()) for each in tasks.values() for task in each]
        await world.pass_time(200)
        for wait in waiting:
            wait.cancel()
    counts = [
        sum(world.sandbox.poll_count(task.task_id) for task in each) for each in tasks.values()
    ]
    assert sum(counts) >= 350
    assert min(counts) >= 0.8 * max(counts)
    assert busiest(poll_times(world.sandbox), 10.0) <= 20


# --- what hangs, what jumps, what ends ------------------------------------------------------------


async def test_polls_that_hang_delay_no_other_task() -> None:
    """Four hundred tasks whose polls hang leave pollers for the healthy ones."""
    asked = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            if b"taskId=hung" in head:
                asked += 1
                await asyncio.sleep(2 * HANGS_AFTER_S)
            writer.write(http(record("healthy", "SUCCESS", response=two_tracks())))
            await writer.drain()

    async with tcp_service(serve) as service, SunoSession("key", base_url=service.base_url) as suno:
        hung = [suno.task(f"hung-{number}") for number in range(400)]
        waiting = [asyncio.create_task(task.result()) for task in hung]
        await asyncio.sleep(0)  # all of them want their turn before the healthy one
        async with asyncio.timeout(HANGS_AFTER_S):
            assert (await suno.task("healthy").result()).status == "SUCCESS"
        assert asked >= 300
        for wait in waiting:
            wait.cancel()


async def test_a_poller_that_is_cancelled_from_outside_loses_no_task(world: World) -> None:
    """Invariant 8: also before its first step; the task goes on being watched."""
    async with world.session(cadence=EVERY_3_S) as suno:
        reading = asyncio.create_task(collect(await suno.submit(song())))
        for _ in range(12):
            await world.pass_time(3)
            world.clock.advance(3)  # a poll is due: its poller has not made a step
            for poller in list(suno._watcher._pollers._pollers):
                poller.cancel()
        assert names(await world.run(reading)) == STAGES


@pytest.mark.parametrize("year", [1, 1900, 2300, 9999])
async def test_a_strange_date_breaks_nothing_beside_it(world: World, year: int) -> None:
    """Invariant 8: an `OverflowError` in a timer would stop every task."""
    async with world.session(cadence=EVERY_3_S) as suno:
        strange = suno.task("strange", datetime(year, 12, 31, tzinfo=UTC))
        waiting = asyncio.create_task(collect(strange))
        task = await suno.submit(song())
        assert names(await world.run(collect(task))) == STAGES
        assert strange.expires_at.year >= year
        assert "strange" in repr(strange)
        with pytest.raises((TaskExpired, TaskNotFound)):
            await world.run(waiting)


async def test_redating_a_doubtful_watch_does_not_end_it(world: World) -> None:
    """Invariant 2: a doubt has its own beginning, whatever the date of the task."""
    script = TaskScript(stages=[("SUCCESS", 60, 0), ("SUCCESS", 200, 2)])
    async with world.session(cadence=EVERY_3_S) as suno:
        task_id = (await submitted(suno, world.sandbox, script)).task_id
    async with world.session(cadence=EVERY_3_S) as suno:
        watching = asyncio.create_task(collect(suno.task(task_id)))
        await world.pass_time(100)
        suno.task(task_id, world.clock.now() - timedelta(hours=2))
        assert names(await world.run(watching)) == STAGES


# --- in whose context, and who is told ------------------------------------------------------------

WHO: ContextVar[str] = ContextVar("who", default="nobody")


async def test_work_for_a_task_runs_in_the_context_of_its_submission(world: World) -> None:
    """Invariant 8: or of its first reader, and never of whoever set the timer that led to it."""
    seen: set[tuple[str, str]] = set()

    async def hook(_: object, __: object, params: aiohttp.TraceRequestStartParams) -> None:
        if "taskId" in params.url.query:
            seen.add((params.url.query["taskId"], WHO.get()))

    tracing = aiohttp.TraceConfig()
    tracing.on_request_start.append(hook)

    async def own(name: str) -> str:
        WHO.set(name)
        task = await suno.submit(song())
        WHO.set("somebody else")
        await collect(task)
        return task.task_id

    async def attached(task_id: str) -> None:
        task = suno.task(task_id)
        WHO.set("first reader")
        with suppress(TaskNotFound):
            await task.result()

    async with (
        aiohttp.ClientSession(trace_configs=[tracing]) as theirs,
        world.session(cadence=EVERY_3_S, client_session=theirs) as suno,
    ):
        owned = asyncio.gather(*(own(name) for name in "abc"))
        ids, _ = await world.run(asyncio.gather(owned, attached("t9")))
    assert seen == {*zip(ids, "abc", strict=True), ("t9", "first reader")}


async def test_what_a_hook_sets_stays_in_its_poll(world: World) -> None:
    """Invariant 8: each poller has a copy of the task's context."""
    seen: list[str] = []

    async def hook(*_: object) -> None:
        seen.append(WHO.get())
        WHO.set("a hook")

    tracing = aiohttp.TraceConfig()
    tracing.on_request_start.append(hook)
    async with (
        aiohttp.ClientSession(trace_configs=[tracing]) as theirs,
        world.session(cadence=EVERY_3_S, client_session=theirs) as suno,
    ):
        await world.run(suno.generate(song()))
    assert set(seen[1:]) == {"nobody"}


async def test_observers_are_told_of_every_look_stage_and_end(world: World) -> None:
    """Each once and in order; `details` too, and an end by leaving."""
    told: list[Observation] = []
    async with world.session(cadence=EVERY_3_S, observers=[told.append]) as suno:
        task = await suno.submit(song())
        world.sandbox.inject(Call.DETAILS, EnvelopeError(401))
        events = await world.run(collect(task))
        await world.run(task.details())
        script = TaskScript(stages=[("CREATE_TASK_FAILED", 1)])
        failing = await submitted(suno, world.sandbox, script)
        with pytest.raises(GenerationFailed):
            await world.run(failing.result())
        left = await submitted(suno, world.sandbox, STUCK)
        leaving = asyncio.create_task(left.result())
        await world.pass_time(1)
        stats = suno.stats()
        assert (stats.watched, stats.polls) == (1, len(world.sandbox.polls))
        assert stats.refusals == {401: 1}
    with pytest.raises(SessionClosed):
        await leaving
    assert [each.event for each in told if isinstance(each, StageReached)] == events
    ends = [each for each in told if isinstance(each, Ended)]
    assert [(end.task_id, type(end.error)) for end in ends] == [
        (task.task_id, type(None)),
        (failing.task_id, GenerationFailed),
        (left.task_id, SessionClosed),
    ]
    assert ends[0].details == events[-1].details
    polled = [each for each in told if isinstance(each, Polled)]
    assert len(polled) == len(world.sandbox.polls)
    assert [type(each.error) for each in polled if each.error] == [AuthenticationError]
    assert told.index(polled[0]) < told.index(StageReached(events[0])) < told.index(ends[0])


async def test_nothing_grows_with_polls_readers_or_ended_tasks(world: World) -> None:
    """Invariant 8: after thousands of each, the watcher holds what it held before."""
    async with world.session(cadence=AS_OFTEN_AS_MAY_BE) as suno:
        task = await submitted(suno, world.sandbox, STUCK)
        await for_a_while(world, task.result(), look_for_ever(task))
        before = held(suno)
        await for_a_while(world, task.result(), look_for_ever(task))
        for _ in range(500):
            reading = asyncio.create_task(task.result())
            await asyncio.sleep(0)
            reading.cancel()
            await asyncio.sleep(0)
        for number in range(100):
            with suppress(TaskNotFound):
                await world.run(suno.details(f"gone-{number}"))
        gc.collect()
        assert held(suno) <= before + 100  # what is dead is swept out by the hundred


def held(suno: SunoSession) -> int:
    """Count what the watcher reaches: heaps and tables."""
    return len(suno._watcher._pollers) + len(suno._watcher._watches)
