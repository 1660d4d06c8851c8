"""What an account allows: exact windows, places first come first served, shared by sessions."""

import asyncio
import random
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from suno_async import (
    AccountLimits,
    InvalidRequest,
    RateLimited,
    SessionClosed,
    SunoSession,
    SystemClock,
    VirtualClock,
)
from suno_async.limits import Places, SubmissionWindow
from suno_async.owner import Owner
from suno_async.sandbox import Call, Delay, EnvelopeError, TaskScript

from .waiting import HANGS_AFTER_S, processor_time, until
from .world import World, song, virtual_world


async def passes(count: int = 3) -> None:
    """Let the event loop go round."""
    for _ in range(count):
        await asyncio.sleep(0)


# --- places ---------------------------------------------------------------------------------------


async def test_places_are_given_in_the_order_of_asking() -> None:
    """First come, first served."""
    places, owner = Places(2), Owner(SystemClock())
    got: list[int] = []

    async def take(who: int) -> None:
        await places.take(owner)
        got.append(who)

    taking = [asyncio.create_task(take(who)) for who in range(6)]
    await passes()
    assert (got, places.free, places.waiting) == ([0, 1], 0, 4)
    places.give()
    places.give(2)
    await passes()
    assert got == [0, 1, 2, 3, 4]
    places.give()
    await asyncio.gather(*taking)
    assert got == list(range(6))


@settings(max_examples=60)
@given(st.integers(1, 4), st.integers(0, 2**32))
def test_invariant_8_no_place_is_lost_or_doubled(count: int, seed: int) -> None:
    """Whoever is cancelled once or twice, in whatever moment, all places are there in the end."""
    asyncio.run(_storm(count, random.Random(seed)))


async def _storm(count: int, rng: random.Random) -> None:
    places, owner = Places(count), Owner(SystemClock())
    inside, order = 0, list[int]()

    async def visit(who: int) -> None:
        nonlocal inside
        await places.take(owner)
        inside += 1
        assert inside <= count
        order.append(who)
        try:
            await passes(rng.randrange(4))
        finally:
            inside -= 1
            places.give()

    visits = list[asyncio.Task[None]]()
    for who in range(40):
        visits.append(asyncio.create_task(visit(who)))
        await passes(rng.randrange(3))
        for _ in range(rng.randrange(3)):
            rng.choice(visits).cancel()
    await asyncio.gather(*visits, return_exceptions=True)
    assert (places.free, places.waiting, inside) == (count, 0, 0)
    assert count > 1 or order == sorted(order)  # with several, who has one may be slow to run


async def test_a_place_that_comes_with_a_cancellation_goes_to_the_next() -> None:
    """Given and not wanted in one pass of the loop: the next in the queue has it."""
    places, owner = Places(1), Owner(SystemClock())
    await places.take(owner)
    first, second = (asyncio.create_task(places.take(owner)) for _ in range(2))
    await passes()
    places.give()
    first.cancel()
    await passes()
    assert first.cancelled()
    assert second.done()
    assert places.free == 0


async def test_a_place_that_comes_while_the_owner_closes_is_not_lost() -> None:
    """Whoever is told that the session is closed has no place."""
    places, owner = Places(1), Owner(SystemClock())
    await places.take(owner)
    waiting = [asyncio.create_task(places.take(owner)) for _ in range(3)]
    await passes()
    owner.close()
    places.give()
    ended = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(one) for one in ended] == [SessionClosed] * 3
    assert (places.free, places.waiting) == (1, 0)


@pytest.mark.parametrize("how", ["cancel", "close"])
async def test_invariant_8_leaving_a_long_queue_is_linear(how: str) -> None:
    """Four times as many who wait are gone in four times the time, not in sixteen times."""

    async def leave(number: int) -> None:
        places, owner = Places(1), Owner(SystemClock())
        await places.take(owner)
        waiting = [asyncio.create_task(places.take(owner)) for _ in range(number)]
        await until(lambda: places.waiting == number)
        with processor_time() as took_s:
            if how == "close":
                owner.close()
            else:
                for task in reversed(waiting):
                    task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)
        took.append(took_s())
        places.give()
        assert (places.free, places.waiting) == (1, 0)

    took: list[float] = []
    for number in (5_000, 20_000):
        await leave(number)
    assert took[1] < 12 * took[0]


# --- the window -----------------------------------------------------------------------------------


async def test_a_place_comes_back_a_window_after_the_answer() -> None:
    """The service saw the submission before its answer came, so no window holds more."""
    clock = VirtualClock()
    window, owner = SubmissionWindow(2, 10.0, clock), Owner(clock)
    await window.enter(owner)
    await window.enter(owner)
    assert window.free == 0
    clock.advance(5)
    window.leave(arrived=True)
    clock.advance(9.99)
    assert window.free == 0
    clock.advance(0.1)
    assert window.free == 1
    window.leave(arrived=False)
    assert window.free == 2


async def test_who_waits_for_the_window_is_let_in_by_a_timer() -> None:
    """There is one timer while somebody waits, and none when nobody does."""
    clock = VirtualClock()
    window, owner = SubmissionWindow(1, 10.0, clock), Owner(clock)
    await window.enter(owner)
    window.leave(arrived=True)
    assert clock.next_deadline_s() is None
    waiting = [asyncio.create_task(window.enter(owner)) for _ in range(2)]
    await passes()
    assert window.waiting == 2
    assert clock.next_deadline_s() == pytest.approx(10, abs=0.01)
    waiting[0].cancel()
    await clock.run(waiting[1])
    assert waiting[0].cancelled()
    assert window.waiting == 0
    assert clock.next_deadline_s() is None


# --- an account -----------------------------------------------------------------------------------

BAD: list[dict[str, Any]] = (
    [{"max_concurrent_submissions": value} for value in (0, -1, 1.5, True, "3", None)]
    + [{"polls_per_second": value} for value in (0, -1, 0.0, float("nan"), True, "3")]
    + [
        {"submissions_per_window": value}
        for value in (
            None,
            20,
            (20,),
            (20, 10, 1),
            (0, 10),
            (-1, 10),
            (True, 10),
            (1.5, 10),
            ("20", 10),
            (20, 0),
            (20, -1),
            (20, "10"),
            (20, float("nan")),
            (20, float("inf")),
            (20, timedelta(0)),
            (20, None),
        )
    ]
)


@pytest.mark.parametrize("given_limits", BAD, ids=str)
def test_bad_limits_are_refused(given_limits: dict[str, Any]) -> None:
    """`InvalidRequest` names the argument."""
    (name,) = given_limits
    with pytest.raises(InvalidRequest) as raised:
        AccountLimits(**given_limits)
    assert raised.value.field == name


@pytest.mark.parametrize(
    "own",
    [
        {"max_concurrent_submissions": 8},
        {"submissions_per_window": (20, 10)},
        {"polls_per_second": 1.0},
    ],
    ids=str,
)
def test_shared_limits_and_own_ones_are_refused_together(own: dict[str, Any]) -> None:
    """Which of the two would hold?"""
    with pytest.raises(InvalidRequest) as raised:
        SunoSession("key", limits=AccountLimits(), **own)
    assert raised.value.field == "limits"
    assert next(iter(own)) in str(raised.value)


@pytest.mark.parametrize("limits", [3, "many", (20, 10), AccountLimits])
def test_what_are_no_limits_are_refused(limits: Any) -> None:
    """Only an `AccountLimits` can be shared."""
    with pytest.raises(InvalidRequest):
        SunoSession("key", limits=limits)


def arrivals(world: World) -> list[float]:
    """List when submissions arrived."""
    return [submission.at for submission in world.sandbox.submissions]


async def test_invariant_5_the_window_is_exact_across_sessions() -> None:
    """Two sessions that share limits never hold more in a window than the account has."""
    limits = AccountLimits(submissions_per_window=(4, 10))
    async with (
        virtual_world(submissions_per_window=(4, 10.0)) as world,
        world.session(limits=limits) as one,
        world.session(limits=limits) as other,
    ):
        calls = [suno.submit(song()) for _ in range(10) for suno in (one, other)]
        await world.run(asyncio.gather(*calls))
        at = arrivals(world)
    assert len(at) == 20  # the sandbox itself refused none
    assert all(later - earlier >= 10 for earlier, later in zip(at, at[4:], strict=False))
    assert at[-1] < 41


async def test_slots_are_shared(world: World) -> None:
    """No more submissions are on their way than the account's slots, whoever sends them."""
    world.sandbox.inject(Call.SUBMIT, Delay(1), times=None)
    limits = AccountLimits(max_concurrent_submissions=2)
    async with world.session(limits=limits) as one, world.session(limits=limits) as other:
        calls = [suno.submit(song()) for _ in range(3) for suno in (one, other)]
        await world.run(asyncio.gather(*calls))
    assert [round(at) for at in arrivals(world)] == [0, 0, 1, 1, 2, 2]


async def test_polls_are_shared(world: World) -> None:
    """Looks of both sessions are spaced as the account allows."""
    limits = AccountLimits(polls_per_second=0.5)
    async with world.session(limits=limits) as one, world.session(limits=limits) as other:
        tasks = [await world.run(suno.submit(song())) for suno in (one, other)]
        await world.run(asyncio.gather(*(task.result() for task in tasks)))
        polled = [poll.at for poll in world.sandbox.polls]
    assert all(later - earlier >= 1.99 for earlier, later in pairwise(polled))


async def test_the_rate_of_polls_can_be_set_while_tasks_are_watched(world: World) -> None:
    """It holds from the next poll on: slower, without a limit, and slower again."""
    limits = AccountLimits()
    spacings = {100: 4.0, 200: None, 300: 10.0}
    async with world.session(limits=limits) as suno:
        for _ in range(10):
            world.sandbox.script(TaskScript(stages=()))
            await world.run(suno.submit(song()))
        ids = [charge.task_id for charge in world.sandbox.ledger]
        reading = [asyncio.create_task(suno.task(task_id).result()) for task_id in ids]
        for at, spacing in spacings.items():
            await world.pass_time(at - world.clock.monotonic())
            limits.polls_per_second = spacing and 1 / spacing
        await world.pass_time(100)
        for task in reading:
            task.cancel()
        await asyncio.gather(*reading, return_exceptions=True)
    polled = [poll.at for poll in world.sandbox.polls]

    def gaps(begin: float, end: float) -> list[float]:
        return [later - at for at, later in pairwise(polled) if begin <= at and later <= end]

    # the one that was waited for when the rate was set may come as before
    assert min(gaps(110, 200)) >= 3.99
    assert min(gaps(210, 300)) < 3
    assert min(gaps(320, 400)) >= 9.99
    assert len(gaps(320, 400)) >= 6


def test_limits_can_be_read() -> None:
    """As they were given, or by default."""
    limits = AccountLimits()
    assert limits.submissions_per_window == (20, timedelta(seconds=10))
    assert limits.max_concurrent_submissions == 8
    assert limits.polls_per_second is None
    limits = AccountLimits((3, 0.1), 2, 1.5)
    assert limits.submissions_per_window == (3, timedelta(seconds=0.1))
    assert (limits.max_concurrent_submissions, limits.polls_per_second) == (2, 1.5)
    assert "3 submissions in 0.1 s, 2 at a time, 1.5 polls" in repr(limits)


@pytest.mark.parametrize("rate", [0, -1, True, "5", float("nan")])
def test_a_bad_rate_of_polls_is_refused_later_too(rate: Any) -> None:
    """And the one that was set holds."""
    limits = AccountLimits(polls_per_second=2)
    with pytest.raises(InvalidRequest) as raised:
        limits.polls_per_second = rate
    assert raised.value.field == "polls_per_second"
    assert limits.polls_per_second == 2
    limits.polls_per_second = None
    assert limits.polls_per_second is None


async def test_a_pause_is_shared(world: World) -> None:
    """What one session is told holds the other back."""
    world.sandbox.inject(Call.SUBMIT, EnvelopeError(429, retry_after="60"))
    limits = AccountLimits()
    async with world.session(limits=limits) as one, world.session(limits=limits) as other:
        first = asyncio.ensure_future(one.submit(song()))
        await until(lambda: other.stats().pause_left_s)
        await world.run(asyncio.gather(first, other.submit(song())))
    assert all(at >= 60 for at in arrivals(world)[1:])


async def test_a_pause_outlives_its_session(world: World) -> None:
    """A session that is entered during an account's pause obeys it."""
    world.sandbox.inject(Call.SUBMIT, EnvelopeError(429, retry_after="3600"))
    limits = AccountLimits()
    for _ in range(2):
        async with world.session(limits=limits) as suno:
            with pytest.raises(RateLimited):
                await world.run(suno.submit(song()))
    assert len(world.sandbox.submissions) == 1


async def test_after_one_session_was_left_the_other_goes_on(world: World) -> None:
    """Whoever waited in the one has no place, and those of the other get theirs."""
    limits = AccountLimits(submissions_per_window=(1, 10), max_concurrent_submissions=3)
    async with world.session(limits=limits) as other:
        async with world.session(limits=limits) as one:
            await world.run(one.submit(song()))
            left = [asyncio.create_task(one.submit(song())) for _ in range(3)]
            await passes(5)
            going = [asyncio.create_task(other.submit(song())) for _ in range(3)]
            await passes(5)
        ended = await asyncio.gather(*left, return_exceptions=True)
        assert [type(one) for one in ended] == [SessionClosed] * 3
        await world.run(asyncio.gather(*going))
        assert limits.slots.free == 3
    at = arrivals(world)
    assert len(at) == 4
    assert all(later - earlier >= 10 for earlier, later in pairwise(at))


async def test_the_window_outlives_its_session(world: World) -> None:
    """A session after another one does not begin with a full window."""
    limits = AccountLimits(submissions_per_window=(1, 10))
    for _ in range(3):
        async with world.session(limits=limits) as suno:
            await world.run(suno.submit(song()))
    assert all(later - earlier >= 10 for earlier, later in pairwise(arrivals(world)))


async def test_limits_of_two_clocks_are_refused() -> None:
    """Instants of one clock mean nothing on another."""
    limits = AccountLimits()
    async with SunoSession("key", limits=limits, clock=VirtualClock()):
        with pytest.raises(InvalidRequest) as raised:
            await SunoSession("key", limits=limits, clock=SystemClock()).__aenter__()
    assert "one clock" in str(raised.value)


async def test_limits_in_use_in_another_loop_are_refused() -> None:
    """They are plain values of one event loop, and no lock guards them."""
    limits = AccountLimits()

    async def enter() -> str:
        with pytest.raises(InvalidRequest) as raised:
            await SunoSession("key", limits=limits).__aenter__()
        return str(raised.value)

    async with SunoSession("key", limits=limits):
        assert "one event loop" in await asyncio.to_thread(asyncio.run, enter())


def test_limits_go_on_in_the_next_loop() -> None:
    """One loop after the other may use them, and what was sent still counts."""
    limits = AccountLimits(submissions_per_window=(3, 1000))

    async def submit() -> int:
        async with virtual_world() as world:
            settings = {"clock": SystemClock(), "limits": limits}
            async with world.session(**settings) as suno:
                await suno.submit(song())
                return suno.stats().window_left

    assert [asyncio.run(submit()) for _ in range(3)] == [2, 1, 0]


def test_limits_survive_a_loop_that_was_closed_under_them() -> None:
    """A loop that died with waiting calls leaves no place taken, and nothing that hangs."""
    limits = AccountLimits(submissions_per_window=(1, 0.05), max_concurrent_submissions=1)

    async def begin() -> list[asyncio.Task[Any]]:
        owner = Owner(SystemClock())
        limits.attach(SystemClock())
        await limits.slots.take(owner)
        await limits.window.enter(owner)
        limits.window.leave(arrived=True)
        waits = (limits.slots.take(owner), limits.window.enter(owner))
        waiting = [asyncio.create_task(wait) for wait in waits]
        await passes()
        return waiting

    async def go_on() -> None:
        owner = Owner(SystemClock())
        limits.attach(SystemClock())
        async with asyncio.timeout(HANGS_AFTER_S):
            await limits.slots.take(owner)
            await limits.window.enter(owner)
        limits.slots.give()
        assert limits.slots.free == 1

    first = asyncio.new_event_loop()
    waiting = first.run_until_complete(begin())
    first.close()
    asyncio.run(go_on())
    for task in waiting:  # nobody can run them any more
        task._log_destroy_pending = False  # type: ignore[attr-defined]  # asyncio's own switch
        task.get_coro().close()
