"""When to look: bounds that always hold, and a hazard that is learned."""

import json
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from suno_async import FixedInterval, Growing, HazardPaced, InvalidRequest, Stage
from suno_async.cadence import EVERY_STAGE, LEAST_GAP_S, ONLY_COMPLETE, bounds_s

FOURTEEN_DAYS_S = 14 * 86400.0

stages = st.sampled_from(Stage)
ages_s = st.floats(0, FOURTEEN_DAYS_S)
weights = st.tuples(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1))
MINIMISE = st.sampled_from(["mean", "tail"])
lessons = st.lists(st.tuples(stages, ages_s, ages_s, ages_s), max_size=30)


def taught(cadence: HazardPaced, passages: list[tuple[Stage, float, float, float]]) -> HazardPaced:
    """Let a cadence learn from passages at any times, in any order."""
    for stage, entered_s, first_s, second_s in passages:
        before_s, after_s = sorted((first_s, second_s))
        cadence.learn(stage, entered_s, before_s, after_s, model="V5")
    return cadence


@given(lessons, stages, ages_s, ages_s, weights, st.floats(1e-6, 1e6), MINIMISE)
def test_a_gap_is_always_within_its_bounds(
    passages: list[tuple[Stage, float, float, float]],
    awaited: Stage,
    entered_s: float,
    age_s: float,
    wishes: tuple[float, float, float],
    price_s: float,
    minimise: Any,
) -> None:
    """For any age up to 14 days, any learned state, any weights, any price, and either aim."""
    cadence = taught(HazardPaced(price_s, minimise=minimise), passages)
    gap_s = cadence.gap_s(awaited, entered_s, age_s, model="V5", weights=wishes)
    least_s, most_s = bounds_s(age_s)
    assert LEAST_GAP_S <= least_s <= gap_s <= most_s


@given(lessons, stages, ages_s, ages_s)
def test_what_was_learned_survives_being_stored(
    passages: list[tuple[Stage, float, float, float]],
    awaited: Stage,
    entered_s: float,
    age_s: float,
) -> None:
    """Through JSON, into the next session's cadence, which then decides alike."""
    cadence = taught(HazardPaced(), passages)
    stored = json.dumps(cadence.learned())
    restored = HazardPaced(learned=json.loads(stored))
    assert len(stored) < 10_000
    gaps_s = [
        c.gap_s(awaited, entered_s, age_s, model="V5", weights=EVERY_STAGE)
        for c in (cadence, restored)
    ]
    assert gaps_s[0] == pytest.approx(gaps_s[1], rel=1e-3)


def looks_between(cadence: HazardPaced, begin_s: float, end_s: float) -> int:
    """Count the looks at a task that waits for its text."""
    at_s, looks = 0.0, 0
    while at_s < end_s:
        at_s += cadence.gap_s(Stage.TEXT, 0.0, at_s, model="V5", weights=EVERY_STAGE)
        looks += begin_s <= at_s < end_s
    return looks


def test_it_looks_where_stages_end() -> None:
    """After tasks whose text came at 40 s, it looks around 40 s and hardly at 10 s."""
    cadence = HazardPaced()
    for _ in range(200):
        cadence.learn(Stage.TEXT, 0.0, 39.0, 41.0, model="V5")
    assert looks_between(cadence, 36, 44) > 3 * looks_between(cadence, 0, 30)


def test_models_are_learned_apart() -> None:
    """What one model teaches does not change when another model's tasks are looked at."""
    cadence = HazardPaced()
    before_s = cadence.gap_s(Stage.TEXT, 0.0, 10.0, model="V4_5PLUS", weights=EVERY_STAGE)
    for _ in range(50):
        cadence.learn(Stage.TEXT, 0.0, 10.0, 11.0, model="V5")
    after_s = cadence.gap_s(Stage.TEXT, 0.0, 10.0, model="V4_5PLUS", weights=EVERY_STAGE)
    assert after_s == before_s
    assert cadence.gap_s(Stage.TEXT, 0.0, 10.0, model="V5", weights=EVERY_STAGE) < before_s


def test_who_waits_for_the_end_alone_is_looked_after_less_at_first() -> None:
    """The weights decide how much the text is worth."""
    cadence = HazardPaced()
    eager_s = cadence.gap_s(Stage.TEXT, 0.0, 15.0, model="V5", weights=EVERY_STAGE)
    patient_s = cadence.gap_s(Stage.TEXT, 0.0, 15.0, model="V5", weights=ONLY_COMPLETE)
    assert patient_s > 2 * eager_s


def test_a_stuck_task_costs_less_than_a_thousand_looks() -> None:
    """Over its 14 days."""
    at_s, looks = 0.0, 0
    while at_s < FOURTEEN_DAYS_S:
        at_s += HazardPaced().gap_s(Stage.TEXT, 0.0, at_s, model="V5", weights=EVERY_STAGE)
        looks += 1
    assert looks < 1000


@pytest.mark.parametrize(
    ("minimise", "cheap_s", "ratio"), [("mean", 0.01, 4), ("tail", 0.02, 2), ("tail", 0.0025, 4)]
)
def test_a_lower_price_makes_more_looks(minimise: Any, cheap_s: float, ratio: float) -> None:
    """With the inverse root of the price: square for the mean, cube for the tail."""
    cheap = HazardPaced(cheap_s, minimise=minimise)
    dear = HazardPaced(timedelta(seconds=0.16), minimise=minimise)
    looks = [looks_between(cadence, 0, 100) for cadence in (cheap, dear)]
    assert looks[0] / looks[1] == pytest.approx(ratio, rel=0.25)


def test_the_tail_is_what_is_minimised() -> None:
    """The default paces by the cube root: fewer looks where ends are likeliest, more elsewhere."""
    tail, mean = HazardPaced(), HazardPaced(minimise="mean")
    for cadence in (tail, mean):
        for _ in range(200):
            cadence.learn(Stage.TEXT, 0.0, 39.0, 41.0, model="V5")
    around = [looks_between(cadence, 38, 42) for cadence in (tail, mean)]
    before = [looks_between(cadence, 0, 30) for cadence in (tail, mean)]
    assert around[0] < around[1]
    assert before[0] >= before[1]


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({"price": 0}, "price"),
        ({"price": timedelta(seconds=-1)}, "price"),
        ({"price": float("nan")}, "price"),
        ({"price": float("inf")}, "price"),
        ({"price": "cheap"}, "price"),
        ({"ceiling": 0}, "ceiling"),
        ({"ceiling": float("nan")}, "ceiling"),
        ({"minimise": "p99"}, "minimise"),
        ({"learned": [1]}, "learned"),
        ({"learned": {"V5": [{"ends": [1e300], "exposure": [1.0]}] * 3}}, "learned"),
        ({"learned": {"V5": [{"ends": [float("nan")], "exposure": []}] * 3}}, "learned"),
        ({"learned": {"V5": []}}, "learned"),
        ({"learned": {"V5": [{"ends": [1.0]}] * 3}}, "learned"),
        ({"learned": {"V5": [{"ends": [-1.0], "exposure": []}] * 3}}, "learned"),
        ({"learned": {"V5": [{"ends": [0.0] * 81, "exposure": []}] * 3}}, "learned"),
        ({"learned": {"V5": [{"ends": ["x"], "exposure": []}] * 3}}, "learned"),
    ],
)
def test_bad_settings_are_named(arguments: dict[str, Any], field: str) -> None:
    """The error says which argument breaks which rule."""
    with pytest.raises(InvalidRequest) as caught:
        HazardPaced(**arguments)
    assert caught.value.field == field


@given(ages_s, ages_s, stages)
def test_a_fixed_interval_is_fixed(entered_s: float, age_s: float, awaited: Stage) -> None:
    """Whatever the task does; and never more often than the service allows."""
    for cadence, gap_s in ((FixedInterval(7), 7.0), (FixedInterval(0), LEAST_GAP_S)):
        assert cadence.gap_s(awaited, entered_s, age_s, model="", weights=EVERY_STAGE) == gap_s


@given(ages_s, ages_s, stages)
def test_a_growing_interval_grows_within_its_ceiling(
    first_s: float, second_s: float, awaited: Stage
) -> None:
    """Steady at first, then longer with the task's age, up to the ceiling."""
    cadence = Growing(3, steady=timedelta(minutes=5), share=0.1, ceiling=60)
    young_s, old_s = (
        cadence.gap_s(awaited, 0.0, age_s, model="", weights=EVERY_STAGE)
        for age_s in sorted((first_s, second_s))
    )
    assert 3.0 <= young_s <= old_s <= 60.0
    assert cadence.gap_s(awaited, 0.0, 300.0, model="", weights=EVERY_STAGE) == 3.0
