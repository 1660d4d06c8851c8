"""How long a run will still take."""

import math
import random
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from suno_async.cli.board import Entry, State
from suno_async.cli.estimate import Capacity, Running, left_s, time_left_s

ANY = st.floats(allow_nan=True, allow_infinity=True)
SECONDS = st.floats(0, 1e6)
RUNNING = st.builds(Running, SECONDS, st.none() | SECONDS, SECONDS)
CAPACITIES = st.builds(
    Capacity,
    in_flight=st.integers(-1, 200),
    submissions=st.integers(-1, 50),
    window_s=st.floats(-1, 1e4),
)


@pytest.mark.parametrize(
    ("ended_s", "running_s", "waiting", "left"),
    [
        pytest.param([], [10.0] * 5, 0, None, id="none-ended"),
        pytest.param([100.0] * 2, [10.0] * 5, 0, None, id="too-few-ended"),
        pytest.param([100.0], [60.0], 0, 40.0, id="the-last-one"),
        pytest.param([100.0] * 3, [], 0, 0.0, id="nothing-left"),
        pytest.param([80.0, 100.0, 120.0], [60.0, 90.0], 0, 60.0, id="the-youngest-ends-last"),
        pytest.param([100.0] * 3, [101.0] * 2, 0, None, id="all-overdue"),
        pytest.param([100.0] * 3, [150.0, 40.0], 0, 60.0, id="half-overdue"),
        pytest.param([80.0, 100.0, 120.0], [], 1, 120.0, id="one-to-submit"),
        pytest.param([100.0] * 3, [], 10, 100.0, id="one-round"),
        pytest.param([100.0] * 3, [], 11, 200.0, id="two-rounds"),
        pytest.param([100.0] * 3, [30.0] * 10, 10, 170.0, id="after-those-that-run"),
        pytest.param([100.0] * 3, [90.0] + [30.0] * 9, 1, 110.0, id="in-the-first-free-place"),
    ],
)
def test_the_time_left_is_learned(
    ended_s: list[float], running_s: list[float], waiting: int, left: float | None
) -> None:
    """Ten run at a time, each as long as those before it."""
    running = [Running(age_s) for age_s in running_s]
    assert time_left_s(ended_s, running, waiting, Capacity(in_flight=10)) == left


@pytest.mark.parametrize(
    ("waiting", "left"),
    [
        pytest.param(20, 5.0, id="one-window"),
        pytest.param(21, 15.0, id="two-windows"),
        pytest.param(101, 55.0, id="six-windows"),
    ],
)
def test_the_window_counts(waiting: int, left: float) -> None:
    """Where songs are quick, it is the window of 20 in 10 s that they wait for."""
    assert time_left_s([5.0] * 3, [], waiting, Capacity(in_flight=1000)) == left


@given(
    ended_s=st.lists(ANY, max_size=20),
    running=st.lists(st.builds(Running, ANY), max_size=20),
    waiting=st.integers(-5, 10_000),
    capacity=CAPACITIES,
)
def test_it_is_never_nonsense(
    ended_s: list[float], running: list[Running], waiting: int, capacity: Capacity
) -> None:
    """Whatever it is given, it is unknown, or finite and not negative."""
    left = time_left_s(ended_s, running, waiting, capacity)
    assert left is None or (math.isfinite(left) and left >= 0)


@given(
    ended_s=st.lists(SECONDS, min_size=3, max_size=20),
    running=st.lists(RUNNING, max_size=20),
    waiting=st.integers(0, 1000),
    capacity=CAPACITIES,
)
def test_more_songs_take_no_less_time(
    ended_s: list[float], running: list[Running], waiting: int, capacity: Capacity
) -> None:
    """One more that waits never shortens it."""
    left = time_left_s(ended_s, running, waiting, capacity)
    more = time_left_s(ended_s, running, waiting + 1, capacity)
    assert (left is None) == (more is None) or not (running or waiting)
    assert left is None or more is None or more >= left


@given(
    ended_s=st.lists(SECONDS, max_size=20),
    running=st.lists(RUNNING, max_size=20),
    waiting=st.integers(0, 1000),
    order=st.randoms(use_true_random=False),
)
def test_the_order_does_not_matter(
    ended_s: list[float], running: list[Running], waiting: int, order: random.Random
) -> None:
    """Songs end in any order."""
    left = time_left_s(ended_s, running, waiting)
    order.shuffle(ended_s)
    order.shuffle(running)
    assert time_left_s(ended_s, running, waiting) == left


@pytest.mark.parametrize(
    ("running", "left"),
    [
        pytest.param(Running(50.0, 0.0, 10.0), 72.0, id="a-look-comes-before"),
        pytest.param(Running(121.0, 120.0, 59.0), 59.0, id="not-yet-at-the-last-look"),
        pytest.param(Running(179.0, 120.0, 1.0), 1.0, id="not-looked-at-since"),
        pytest.param(Running(181.0, 180.0, 59.0), None, id="overdue-at-the-last-look"),
    ],
)
def test_it_ends_no_sooner_than_it_is_looked_at(running: Running, left: float | None) -> None:
    """Three were seen to end after 120 s, and took 2 s more; the last is looked at like them."""
    assert time_left_s([122.0] * 3, [running], 0) == left


@pytest.mark.parametrize(
    ("interval_s", "state", "least_s"),
    [
        pytest.param(None, State.RUNNING, 100.0, id="the-library-decides"),
        pytest.param(60.0, State.RUNNING, 100.0, id="often-enough"),
        pytest.param(120.0, State.RUNNING, 110.0, id="each-two-minutes"),
        pytest.param(3600.0, State.RUNNING, 3590.0, id="each-hour"),
        pytest.param(3600.0, State.SAVING, 100.0, id="it-is-being-saved"),
        *(
            pytest.param(it, State.RUNNING, 100.0, id=f"no-interval-{it}")
            for it in (math.nan, math.inf, -math.inf, 0.0, -1.0, 1e-320)
        ),
    ],
)
def test_looks_are_counted_from_when_the_run_began_with_a_task(
    interval_s: float | None, state: State, least_s: float
) -> None:
    """A task of an earlier run is looked at as it is found again, and then at each interval."""
    saved = [Entry("s", state=State.SAVED, began_s=1.0, ended_s=401.0) for _ in range(3)]
    then_s = time.monotonic()
    entry = Entry("r", state=state, began_s=then_s - 300.0, followed_s=then_s - 10.0)
    left = left_s([*saved, entry], Capacity(interval_s=interval_s), stopping=False)
    assert left is not None
    assert least_s - (time.monotonic() - then_s) <= left <= least_s


def test_only_this_run_is_learned_from() -> None:
    """Neither what was saved by an earlier run nor what failed is an example."""
    earlier = [
        Entry("saved before", state=State.SAVED, earlier=True, began_s=1.0, ended_s=2.0)
        for _ in range(5)
    ]
    failed = [Entry("f", state=State.FAILED, began_s=1.0, ended_s=2.0) for _ in range(5)]
    waiting = [Entry("w"), Entry("u")]
    assert left_s([*earlier, *failed, *waiting], Capacity(), stopping=False) is None
    saved = [Entry("s", state=State.SAVED, began_s=1.0, ended_s=101.0) for _ in range(3)]
    assert left_s([*earlier, *saved, *waiting], Capacity(), stopping=False) == 100.0


def test_a_run_that_stops_waits_for_those_that_run_alone() -> None:
    """What is not submitted any more takes no time."""
    saved = [Entry("s", state=State.SAVED, began_s=1.0, ended_s=101.0) for _ in range(3)]
    assert left_s([*saved, Entry("w")], Capacity(), stopping=True) == 0.0
