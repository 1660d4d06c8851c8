"""Invariants 2 and 8: what is handed in does anything while a task is watched, or looked at."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import aiohttp
import pytest

from suno_async import FixedInterval, SunoError, SunoSession, UnexpectedError
from suno_async.observe import Polled, StageReached
from tests.following import STAGES, busiest, collect, names, poll_times
from tests.world import EAGER, World, song

from .behaviours import ANYTHING, CANCELLING, FAILING, RAISING, Odd
from .test_submitting import between, tracing

EVERY_3_S = FixedInterval(3)
HOOKS = {
    "a trace hook at the end": tracing("on_request_end"),
    "a middleware before": between(before=True),
}
hooks = pytest.mark.parametrize("hook", HOOKS)


@asynccontextmanager
async def hooked(world: World, hook: str, odd: Odd, **more: Any) -> AsyncIterator[SunoSession]:
    """Enter a session of a client session with a hook that misbehaves."""
    client: aiohttp.ClientSession = HOOKS[hook](odd)["client_session"]
    usual = {"cadence": EVERY_3_S, "client_session": client}
    async with client, world.session(**{**usual, **more}) as suno:
        yield suno


async def made(world: World) -> str:
    """Have a task made by a session of its own."""
    async with world.session() as suno:
        return (await suno.submit(song())).task_id


def soon(awaitable: Awaitable[Any]) -> Awaitable[Any]:
    """Wait no longer than a few seconds of real time."""
    return asyncio.wait_for(awaitable, 5)


@pytest.mark.parametrize("behaviour", FAILING)
@hooks
async def test_invariant_8_a_look_ends_whatever_a_hook_does(
    world: World, hook: str, behaviour: str
) -> None:
    """Each time: after some tries there is an error of ours, and none of the hook's own."""
    task_id = await made(world)
    odd = Odd(ANYTHING[behaviour])
    async with hooked(world, hook, odd, retry=EAGER) as suno:
        task = suno.task(task_id)
        try:
            await soon(world.run(task.details()))
        except SunoError:
            pass
        else:  # the whole answer was there already
            assert behaviour in CANCELLING
        odd.last = 0
        assert (await world.run(task.details())).task_id == task_id


@pytest.mark.parametrize("behaviour", FAILING)
@hooks
async def test_invariant_2_a_hook_that_fails_for_a_while_loses_no_task(
    world: World, hook: str, behaviour: str
) -> None:
    """Some looks in the middle fail: every stage comes, and the task is asked politely."""
    task_id = await made(world)
    odd = Odd(ANYTHING[behaviour], 3, 5)
    async with hooked(world, hook, odd) as suno:
        task = suno.task(task_id, world.clock.now())
        events = await soon(world.run(collect(task)))
    assert names(events) == STAGES
    assert busiest(poll_times(world.sandbox, task_id), 1.0) <= 3


@pytest.mark.parametrize("behaviour", sorted(RAISING.keys() - {"says that the time is up"}))
@hooks
async def test_invariant_2_what_a_hook_raises_ends_a_watch_when_it_persists(
    world: World, hook: str, behaviour: str
) -> None:
    """Not before a minute has passed; one that stands for the network never ends it."""
    task_id = await made(world)
    began_s = world.clock.monotonic()
    async with hooked(world, hook, Odd(ANYTHING[behaviour])) as suno:
        with pytest.raises(UnexpectedError) as caught:
            await soon(world.run(suno.task(task_id, world.clock.now()).result()))
    assert task_id in "".join(caught.value.__notes__)
    assert world.clock.monotonic() - began_s >= 60


async def test_invariant_5_a_hook_that_cancels_each_look_is_asked_ever_more_rarely(
    world: World,
) -> None:
    """The watch goes on, as it does while the network is away."""
    task_id = await made(world)
    odd = Odd(ANYTHING["cancels its caller"])
    async with hooked(world, "a middleware before", odd) as suno:
        reading = asyncio.create_task(suno.task(task_id, world.clock.now()).result())
        await world.pass_time(600)
        assert not reading.done()
        assert odd.calls < 120
        odd.last = 0
        assert (await world.run(reading)).task_id == task_id


# --- cadences -------------------------------------------------------------------------------------


class Paced(FixedInterval):
    """A cadence whose methods misbehave."""

    def __init__(self, gap: Callable[..., Any], learn: Callable[..., Any]) -> None:
        super().__init__(3)
        object.__setattr__(self, "gap", gap)
        object.__setattr__(self, "teach", learn)

    def gap_s(self, *_: Any, **__: Any) -> float:
        """Misbehave."""
        answered: float = self.gap(3.0)  # type: ignore[attr-defined]  # FixedInterval has slots
        return answered

    def learn(self, *_: Any, **__: Any) -> None:
        """Misbehave."""
        self.teach()  # type: ignore[attr-defined]  # FixedInterval has slots


# besides what `tests.test_watcher` tries
PACES: dict[str, Callable[[], object]] = {
    "raises what cannot be written": ANYTHING["raises what cannot be written"],
    "says that it was cancelled": ANYTHING["says that it was cancelled"],
    "answers a decimal": lambda: Decimal("3.5"),
    "answers a huge number": lambda: 10**400,
    "answers something": object,
}


@pytest.mark.parametrize("behaviour", PACES)
@pytest.mark.parametrize("method", ["gap_s", "learn"])
@pytest.mark.parametrize("first", [1, 3])
async def test_invariant_8_a_cadence_may_do_anything(
    world: World, first: int, method: str, behaviour: str
) -> None:
    """From its first or a later call on: each stage comes, once, and nobody is kept as a reader."""
    odd = Odd(PACES[behaviour], first)
    right = Odd(object, 0, 0)
    cadence = Paced(odd, right) if method == "gap_s" else Paced(right, odd)
    async with world.session(cadence=cadence) as suno:
        task = await suno.submit(song())
        events = await soon(world.run(collect(task)))
        assert suno.stats().watched == 0
    assert names(events) == STAGES
    assert busiest(poll_times(world.sandbox, task.task_id), 1.0) <= 3


# --- observers ------------------------------------------------------------------------------------


@pytest.mark.parametrize("behaviour", ANYTHING)
@pytest.mark.parametrize("kind", [Polled, StageReached])
async def test_invariant_8_an_observer_may_do_anything_at_a_look(
    world: World, kind: type[Any], behaviour: str
) -> None:
    """Each stage comes, also to a second reader."""
    misbehave = ANYTHING[behaviour]

    def observe(told: object) -> None:
        if isinstance(told, kind):
            misbehave()

    async with world.session(cadence=EVERY_3_S, observers=[observe]) as suno:
        task = await suno.submit(song())
        both = asyncio.gather(collect(task), collect(task))
        ends = await soon(world.run(both))
    assert [names(end) for end in ends] == [STAGES] * 2
