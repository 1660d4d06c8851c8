"""Time: the machine's, and the one that tests tell to pass."""

import asyncio
import time
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from suno_async import SystemClock, VirtualClock
from suno_async.clock import duration

from .waiting import HANGS_AFTER_S, in_time

FORTNIGHT_S = 14 * 86400.0


@pytest.mark.parametrize(
    ("value", "length"),
    [(2, timedelta(seconds=2)), (0.5, timedelta(seconds=0.5)), (timedelta(1), timedelta(days=1))],
)
def test_a_number_is_seconds(value: timedelta | float, length: timedelta) -> None:
    """Lengths of time are taken as they are, numbers as seconds."""
    assert duration(value) == length


def test_the_system_clock_tells_the_machines_time() -> None:
    """Its wall clock is aware and in UTC, its monotonic clock is Python's."""
    clock = SystemClock()
    assert abs(clock.now() - datetime.now(UTC)) < timedelta(seconds=1)
    assert clock.now().tzinfo is UTC
    assert abs(clock.monotonic() - time.monotonic()) < 1


async def test_the_system_clock_runs_timers() -> None:
    """A timer in the past runs at once, one that was called off never."""
    clock, ran = SystemClock(), asyncio.Event()
    called_off = clock.call_at(clock.monotonic() + 0.001, lambda: pytest.fail("was called off"))
    called_off.cancel()
    clock.call_at(clock.monotonic() - 5, ran.set)
    async with asyncio.timeout(HANGS_AFTER_S):
        await ran.wait()
        await clock.sleep(0.002)


async def test_invariant_4_the_system_clock_takes_a_timer_of_14_days() -> None:
    """Invariant 4: a timer that far away can be set and called off."""
    clock = SystemClock()
    clock.call_at(clock.monotonic() + FORTNIGHT_S, lambda: None).cancel()


def test_a_virtual_clock_stands_still() -> None:
    """Without being told, no virtual time passes."""
    clock = VirtualClock(datetime(2030, 1, 1, tzinfo=UTC))
    assert (clock.now(), clock.monotonic()) == (datetime(2030, 1, 1, tzinfo=UTC), 0)


@given(st.lists(st.floats(0, FORTNIGHT_S), max_size=20), st.floats(0, FORTNIGHT_S))
def test_timers_run_in_the_order_in_which_they_are_due(due_s: list[float], span_s: float) -> None:
    """Advancing runs what is due, in order, each at its own time, equal ones as they were set."""
    clock = VirtualClock()
    ran: list[tuple[float, int]] = []
    for order, at_s in enumerate(due_s):

        def note(at_s: float = at_s, order: int = order) -> None:
            assert clock.monotonic() == at_s
            ran.append((at_s, order))

        clock.call_at(at_s, note)
    clock.advance(span_s)
    expected = sorted((at_s, order) for order, at_s in enumerate(due_s) if at_s <= span_s)
    assert ran == expected
    assert clock.monotonic() == span_s


def test_a_timer_may_set_another() -> None:
    """A timer that is set on the way runs within the same advance when it is due in it."""
    clock, ran = VirtualClock(), list[float]()

    def again() -> None:
        ran.append(clock.monotonic())
        clock.call_at(clock.monotonic() + 1, again)

    again()
    clock.advance(3.5)
    assert ran == [0, 1, 2, 3]
    assert clock.next_deadline_s() == 4


def test_a_timer_in_the_past_runs_without_going_back() -> None:
    """Time never goes back for a timer that was set too late."""
    clock, ran = VirtualClock(), list[float]()
    clock.advance(10)
    clock.call_at(3, lambda: ran.append(clock.monotonic()))
    clock.advance(0)
    assert ran == [10]


def test_a_timer_that_was_called_off_is_not_due() -> None:
    """It neither runs nor counts as the next one."""
    clock = VirtualClock()
    clock.call_at(1, lambda: pytest.fail("was called off")).cancel()
    assert clock.next_deadline_s() is None
    clock.advance(2)


async def test_invariant_4_fourteen_days_pass_in_milliseconds() -> None:
    """Invariant 4: a sleep of 14 days ends when the virtual time has come, not earlier."""
    clock = VirtualClock()
    await in_time(clock.run(clock.sleep(FORTNIGHT_S)))
    assert clock.monotonic() == FORTNIGHT_S
    assert clock.now() == VirtualClock().now() + timedelta(days=14)


async def test_a_sleep_that_is_cancelled_leaves_no_timer() -> None:
    """A sleeper who is woken early is forgotten."""
    clock = VirtualClock()
    sleeping = asyncio.ensure_future(clock.sleep(5))
    await asyncio.sleep(0)
    assert clock.next_deadline_s() == 5
    sleeping.cancel()
    await asyncio.wait({sleeping})
    assert clock.next_deadline_s() is None


@pytest.mark.parametrize("seconds", [0, -1])
async def test_a_sleep_of_nothing_gives_way_once(seconds: float) -> None:
    """Zero and less let others run and take no virtual time."""
    clock, order = VirtualClock(), list[str]()
    other = asyncio.ensure_future(_note(order, "other"))
    await clock.sleep(seconds)
    order.append("sleeper")
    await other
    assert order == ["other", "sleeper"]


async def _note(order: list[str], name: str) -> None:
    order.append(name)


async def test_time_does_not_jump_over_input_and_output() -> None:
    """While something is under way, virtual time stands still."""
    clock, busy = VirtualClock(), True

    async def work() -> float:
        nonlocal busy
        await asyncio.sleep(0.005)
        done_at_s = clock.monotonic()
        busy = False
        await clock.sleep(100)
        return done_at_s

    clock.call_at(50, lambda: None)
    assert await clock.run(work(), idle=lambda: not busy) == 0
    assert clock.monotonic() == 100


async def test_a_run_waits_for_what_no_timer_announces() -> None:
    """Without timers a run waits in real time, for threads and sockets."""
    assert await VirtualClock().run(asyncio.to_thread(lambda: 7)) == 7


async def test_a_run_raises_what_its_work_raises() -> None:
    """The error of the work is the error of the run."""

    async def fail() -> None:
        raise LookupError("x")

    with pytest.raises(LookupError):
        await VirtualClock().run(fail())


async def test_a_run_that_is_cancelled_ends_its_work() -> None:
    """Who cancels a run leaves nothing running."""
    clock, ended = VirtualClock(), asyncio.Event()

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    running = asyncio.ensure_future(clock.run(work()))
    await asyncio.sleep(0.002)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    async with asyncio.timeout(HANGS_AFTER_S):
        await ended.wait()
