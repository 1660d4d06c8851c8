"""Sessions at the sandbox's own pace."""

import asyncio
from datetime import timedelta
from itertools import pairwise

from suno_async import FixedInterval, Outcome, SunoSession
from suno_async.sandbox import Sandbox, Timings
from tests.waiting import HANGS_AFTER_S
from tests.world import song, virtual_world


async def test_a_session_is_as_fast_as_its_sandbox() -> None:
    """At a hundredth of the time, a song takes a good second: the tasks' own time and a look."""
    async with virtual_world(time_scale=0.01) as world, world.sandbox.session() as suno:
        details = await world.run(suno.generate(song()))
    assert len(details.tracks) == 2
    assert 1.3 <= world.clock.monotonic() <= 1.3 + 0.34 + 0.01
    assert [charge.task_id for charge in world.sandbox.ledger] == [details.task_id]


async def test_no_task_is_asked_too_often() -> None:
    """However fast the sandbox is, three looks a second are the most, and none is refused."""
    async with virtual_world(time_scale=0.01) as world, world.sandbox.session() as suno:
        task = await world.run(suno.submit(song()))
        await world.run(task.result())
        looks = [poll.at for poll in world.sandbox.polls]
    assert all(after - before >= 0.33 for before, after in pairwise(looks))


async def test_a_session_keeps_to_the_limits_of_its_sandbox() -> None:
    """Submissions are as many as the sandbox takes in a window, and no more tasks run at a time."""
    async with virtual_world(
        time_scale=0.01, submissions_per_window=(2, 1.0), max_running=3
    ) as world:
        async with world.sandbox.session() as suno:
            outcomes = await world.run(_outcomes(suno))
        codes = [submission.code for submission in world.sandbox.submissions]
    assert all(outcome.ok for outcome in outcomes)
    assert codes == [200] * 6


async def _outcomes(suno: SunoSession) -> list[Outcome]:
    return [outcome async for outcome in suno.generate_many([song() for _ in range(6)])]


async def test_settings_win() -> None:
    """What is given is not chosen."""
    async with virtual_world(time_scale=0.01) as world:
        cadence = FixedInterval(timedelta(seconds=5))
        async with world.sandbox.session(cadence=cadence) as suno:
            await world.run(suno.generate(song()))
    assert world.clock.monotonic() >= 5


async def test_at_the_services_own_pace_the_usual_cadence_is_taken() -> None:
    """A task of two minutes costs some tens of looks, as it does at the service."""
    async with virtual_world() as world, world.sandbox.session() as suno:
        await world.run(suno.generate(song()))
    assert 5 <= len(world.sandbox.polls) <= 60


async def test_a_song_takes_two_seconds_on_the_machines_clock() -> None:
    """Without a virtual clock it is the same; the bound leaves room for a slow machine."""
    async with (
        asyncio.timeout(HANGS_AFTER_S),
        Sandbox(time_scale=0.01, timings=Timings(sigma=0)) as sandbox,
        sandbox.session() as suno,
    ):
        await suno.generate(song())
