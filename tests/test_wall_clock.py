"""Whoever sets the machine's wall clock changes no wait, no age, and no end."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest

from suno_async import (
    FixedInterval,
    SubmissionUncertain,
    SunoSession,
    TaskExpired,
    TaskNotFound,
    WatchTimeout,
)
from suno_async.observe import Paused
from suno_async.sandbox import Call, Delay, DropAfter, EnvelopeError, Sandbox, Timings

from .callbacks.hosting import by_itself
from .following import STAGES, STUCK, collect, names
from .waiting import until
from .world import SetClock, World, session_for, song

EVERY_3_S = FixedInterval(timedelta(seconds=3))

set_by_hours = pytest.mark.parametrize("hours", [-5, 1])


@asynccontextmanager
async def set_world(**settings: Any) -> AsyncIterator[tuple[World, SunoSession, SetClock]]:
    """Run a sandbox, and a session for it, on a clock that can be set."""
    clock = SetClock()
    async with (
        Sandbox(clock=clock, timings=Timings(sigma=0.0)) as sandbox,
        session_for(sandbox, **{"cadence": EVERY_3_S, **settings}) as suno,
    ):
        yield World(sandbox, clock), suno, clock


@pytest.mark.parametrize("days", [-4000, -1, 2 / 1440, 13, 15, 4000])
async def test_a_moved_wall_clock_ends_no_watch(days: float) -> None:
    """Invariant 4: 14 days are those of the monotonic clock."""
    clock = SetClock()
    async with (
        Sandbox(clock=clock, timings=Timings(sigma=0.0), record_lag_s=30) as sandbox,
        session_for(sandbox, cadence=EVERY_3_S) as suno,
    ):
        world = World(sandbox, clock)
        task = await suno.submit(song())
        watching = asyncio.create_task(collect(task))
        await world.pass_time(10)
        clock.jump(timedelta(days=days))
        assert names(await world.run(watching)) == STAGES
        assert (await world.run(task.details())).status == "SUCCESS"


@pytest.mark.parametrize("hours", [-5, 1])
async def test_a_wall_clock_that_is_set_during_a_submission_makes_no_task_older(
    hours: float,
) -> None:
    """Invariant 4: its age is counted from its sending, on the monotonic clock."""
    clock = SetClock()
    async with (
        Sandbox(clock=clock, record_lag_s=30) as sandbox,
        session_for(sandbox, cadence=FixedInterval(timedelta(hours=6))) as suno,
    ):
        world = World(sandbox, clock)
        sandbox.script(STUCK)
        sandbox.inject(Call.SUBMIT, Delay(3.0, processed=True))
        submitting = asyncio.create_task(suno.submit(song()))
        await world.pass_time(2)
        clock.jump(timedelta(hours=hours))
        task = await world.run(submitting)
        assert (await world.run(task.details())).status == "PENDING"
        with pytest.raises(TaskExpired):
            await world.run(task.result())
        assert clock.monotonic() == pytest.approx(timedelta(days=14).total_seconds(), abs=1)


@set_by_hours
async def test_a_wait_for_a_result_ends_when_its_seconds_are_over(hours: float) -> None:
    """`timeout` is a length of time."""
    async with set_world() as (world, suno, clock):
        world.sandbox.script(STUCK)
        task = await suno.submit(song())
        waiting = asyncio.create_task(task.result(timeout=100))
        await world.pass_time(50)
        clock.jump(timedelta(hours=hours))
        with pytest.raises(WatchTimeout):
            await world.run(waiting)
        assert clock.monotonic() == pytest.approx(100, abs=1)


@set_by_hours
async def test_invariant_2_a_missing_record_must_last_as_long_as_ever(hours: float) -> None:
    """A minute and three looks: an hour more on the wall makes nothing certain."""
    async with set_world() as (world, suno, clock):
        reading = asyncio.create_task(collect(suno.task("unknown")))
        await world.pass_time(10)
        clock.jump(timedelta(hours=hours))
        with pytest.raises(TaskNotFound):
            await world.run(reading)
        assert 60 <= clock.monotonic() <= 70


@set_by_hours
async def test_invariant_5_a_pause_lasts_as_long_as_was_asked(hours: float) -> None:
    """`Retry-After` in seconds is a length of time."""
    told: list[object] = []
    async with set_world(observers=[told.append]) as (world, suno, clock):
        fault = EnvelopeError(429, "slow down", retry_after="30")
        world.sandbox.inject(Call.SUBMIT, fault)
        submitting = asyncio.create_task(suno.submit(song()))
        await until(lambda: any(isinstance(each, Paused) for each in told))
        clock.jump(timedelta(hours=hours))
        await world.run(submitting)
        assert 30 <= clock.monotonic() <= 31


@set_by_hours
async def test_a_submission_is_reconciled_for_as_long_as_was_said(hours: float) -> None:
    """No sooner is it given up, and no later."""
    async with (
        by_itself() as receiver,
        set_world(receiver=receiver, reconcile_for=100) as (world, suno, clock),
    ):
        world.sandbox.script(STUCK)
        world.sandbox.inject(Call.SUBMIT, DropAfter())
        submitting = asyncio.create_task(suno.submit(song()))
        await world.pass_time(50)
        clock.jump(timedelta(hours=hours))
        with pytest.raises(SubmissionUncertain) as caught:
            await world.run(submitting)
        assert caught.value.waited == timedelta(seconds=100)
        assert clock.monotonic() == pytest.approx(100, abs=1)


@set_by_hours
async def test_invariant_5_a_window_lasts_as_long_as_ever(hours: float) -> None:
    """The place of a submission comes back after the window's seconds."""
    async with set_world(submissions_per_window=(1, 60)) as (world, suno, clock):
        await suno.submit(song())
        submitting = asyncio.create_task(suno.submit(song()))
        await world.pass_time(10)
        clock.jump(timedelta(hours=hours))
        await world.run(submitting)
        assert clock.monotonic() == pytest.approx(60, abs=1)
