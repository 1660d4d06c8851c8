"""How long a run will still take."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from suno_async.cli.board import Entry, State
from suno_async.cli.estimate import Capacity, left_s, time_left_s

ANY = st.floats(allow_nan=True, allow_infinity=True)
SECONDS = st.floats(0, 1e6)
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
    assert time_left_s(ended_s, running_s, waiting, Capacity(in_flight=10)) == left


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
    running_s=st.lists(ANY, max_size=20),
    waiting=st.integers(-5, 10_000),
    capacity=CAPACITIES,
)
def test_it_is_never_nonsense(
    ended_s: list[float], running_s: list[float], waiting: int, capacity: Capacity
) -> None:
    """Whatever it is given, it is unknown, or finite and not negative."""
    left = time_left_s(ended_s, running_s, waiting, capacity)
    assert left is None or (math.isfinite(left) and left >= 0)


@given(
    ended_s=st.lists(SECONDS, min_size=3, max_size=20),
    running_s=st.lists(SECONDS, max_size=20),
    waiting=st.integers(0, 1000),
    capacity=CAPACITIES,
)
def test_more_songs_take_no_less_time(
    ended_s: list[float], running_s: list[float], waiting: int, capacity: Capacity
) -> None:
    """One more that waits never shortens it."""
    left = time_left_s(ended_s, running_s, waiting, capacity)
    more = time_left_s(ended_s, running_s, waiting + 1, capacity)
    assert (left is None) == (more is None) or not (running_s or waiting)
    assert left is None or more is None or more >= left


@given(
    ended_s=st.lists(SECONDS, max_size=20),
    running_s=st.lists(SECONDS, max_size=20),
    waiting=st.integers(0, 1000),
    order=st.randoms(use_true_random=False),
)
def test_the_order_does_not_matter(
    ended_s: list[float], running_s: list[float], waiting: int, order: random.Random
) -> None:
    """Songs end in any order."""
    left = time_left_s(ended_s, running_s, waiting)
    order.shuffle(ended_s)
    order.shuffle(running_s)
    assert time_left_s(ended_s, running_s, waiting) == left


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
