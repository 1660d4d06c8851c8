"""The agenda: order, replacement, and a clock that stretches when there is too much to do."""

from dataclasses import dataclass, field
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from suno_async.agenda import Agenda

GAPS = st.floats(1e-5, 14 * 86400.0) | st.integers(0, 100).map(float)
STARTS = st.floats(0, 1e9)


@dataclass(eq=False)
class Item:
    """An entry with a name."""

    name: int = 0
    ticket: int = 0
    due_s: float = 0.0
    taken_s: list[float] = field(default_factory=list)


def drain(agenda: Agenda[Item], now_s: float) -> tuple[list[Item], float]:
    """Take everything at its time, jumping to it; return it in order, and the time at the end."""
    taken = []
    while True:
        while (item := agenda.take(now_s)) is not None:
            item.taken_s.append(now_s)
            taken.append(item)
        due_s = agenda.next_due_s(now_s)
        if due_s is None:
            return taken, now_s
        assert due_s > now_s, "a timer for no time at all would find nothing due again"
        now_s = due_s


@given(STARTS, st.lists(GAPS, max_size=30))
def test_entries_come_in_the_order_in_which_they_are_due(
    start_s: float, gaps_s: list[float]
) -> None:
    """Everything comes, sorted by gap, equal ones as they were put, none early and none late."""
    agenda: Agenda[Item] = Agenda(start_s)
    items = [Item(name) for name in range(len(gaps_s))]
    for item, gap_s in zip(items, gaps_s, strict=True):
        agenda.put(item, gap_s, start_s)
    taken, _ = drain(agenda, start_s)
    assert [item.name for item in taken] == sorted(range(len(items)), key=lambda n: gaps_s[n])
    for item, gap_s in zip(items, gaps_s, strict=True):
        assert item.taken_s[0] == start_s + gap_s


@given(GAPS, GAPS)
def test_an_entry_that_is_put_again_is_due_at_its_new_time(first_s: float, second_s: float) -> None:
    """The new time replaces the old one, sooner or later, and it comes once."""
    agenda: Agenda[Item] = Agenda(0.0)
    item = Item()
    agenda.put(item, first_s, 0.0)
    agenda.put(item, second_s, 0.0)
    taken, now_s = drain(agenda, 0.0)
    assert taken == [item]
    assert now_s == second_s


@given(GAPS, GAPS)
def test_an_entry_can_be_put_sooner_but_not_later(first_s: float, second_s: float) -> None:
    """`put_sooner` takes the earlier of the two times."""
    agenda: Agenda[Item] = Agenda(0.0)
    item = Item()
    agenda.put_sooner(item, first_s, 0.0)
    agenda.put_sooner(item, second_s, 0.0)
    taken, now_s = drain(agenda, 0.0)
    assert taken == [item]
    assert now_s == min(first_s, second_s)


def test_an_entry_that_was_removed_does_not_come() -> None:
    """It may be removed twice, and put again."""
    agenda: Agenda[Item] = Agenda(0.0)
    item = Item()
    agenda.put(item, 1, 0.0)
    agenda.remove(item)
    agenda.remove(item)
    assert agenda.next_due_s(5.0) is None
    agenda.put(item, 1, 5.0)
    assert agenda.next_due_s(5.0) == 6
    assert agenda.take(6.0) is item


def test_what_was_forgotten_can_be_put_again() -> None:
    """After `clear` nothing is due, and an entry is not taken for one that is still in."""
    agenda: Agenda[Item] = Agenda(0.0)
    item = Item()
    agenda.put(item, 1, 0.0)
    agenda.clear()
    assert agenda.take(9.0) is None
    agenda.put_sooner(item, 5, 9.0)
    assert agenda.next_due_s(9.0) == 14


def test_an_empty_agenda_is_never_due() -> None:
    """There is nothing to set a timer for."""
    agenda: Agenda[Item] = Agenda(3.0)
    assert agenda.take(4.0) is None
    assert agenda.next_due_s(4.0) is None


def test_what_is_removed_while_it_is_overdue_does_not_come() -> None:
    """It has become due, waits its turn, and is called off."""
    agenda: Agenda[Item] = Agenda(0.0)
    gone, kept = Item(1), Item(2)
    agenda.put(gone, 1, 0.0)
    agenda.put(kept, 2, 0.0)
    assert agenda.next_due_s(3.0) == 3.0
    agenda.remove(gone)
    assert agenda.next_due_s(3.0) == 3.0
    assert agenda.take(3.0) is kept
    assert agenda.next_due_s(3.0) is None


def test_who_wants_a_turn_more_often_goes_first_when_all_are_late() -> None:
    """Of two that are overdue, the shorter gap comes first, though it was due later."""
    agenda: Agenda[Item] = Agenda(0.0)
    late, rare, frequent = Item(0), Item(1), Item(2)
    agenda.put(late, 0, 0.0)
    agenda.next_due_s(0.0)
    agenda.put(rare, 10, 0.0)
    agenda.put(frequent, 1, 9.5)
    assert [agenda.take(20.0) for _ in range(3)] == [late, frequent, rare]


@given(
    st.lists(st.floats(0.5, 50), min_size=1, max_size=20),
    st.lists(st.floats(0.01, 5), min_size=1, max_size=60),
)
def test_nothing_comes_before_its_time(gaps_s: list[float], steps_s: list[float]) -> None:
    """With one turn per step, between two turns of an entry lies at least its gap."""
    agenda: Agenda[Item] = Agenda(0.0)
    items = [Item(name) for name in range(len(gaps_s))]
    for item in items:
        agenda.put(item, gaps_s[item.name], 0.0)
    now_s = 0.0
    for step_s in steps_s:
        now_s += step_s
        taken = agenda.take(now_s)
        if taken is not None:
            taken.taken_s.append(now_s)
            agenda.put(taken, gaps_s[taken.name], now_s)
    for item in items:
        turns_s = [0.0, *item.taken_s]
        gaps = [later - earlier for earlier, later in pairwise(turns_s)]
        assert all(gap >= gaps_s[item.name] - 1e-9 for gap in gaps)


@given(st.lists(st.floats(0.5, 50), min_size=2, max_size=12))
def test_nobody_starves(gaps_s: list[float]) -> None:
    """With too few turns everybody keeps a share that goes with how often it wants a turn."""
    agenda: Agenda[Item] = Agenda(0.0)
    items = [Item(name) for name in range(len(gaps_s))]
    for item in items:
        agenda.put(item, gaps_s[item.name], 0.0)
    # a turn takes twice as long as everybody's wishes together leave room for
    turn_s = 2 / sum(1 / gap_s for gap_s in gaps_s)
    now_s = 0.0
    for _ in range(2000):
        now_s += turn_s
        taken = agenda.take(now_s)
        if taken is not None:
            taken.taken_s.append(now_s)
            agenda.put(taken, gaps_s[taken.name], now_s)
    shares = [len(item.taken_s) * gaps_s[item.name] for item in items]
    assert min(shares) > 0.5 * max(shares)


@given(st.integers(1, 200), st.floats(0.01, 1000))
def test_what_is_wanted_sooner_is_due_then_however_far_the_stretched_clock_is(
    others: int, gap_s: float
) -> None:
    """Looks at once move the stretched clock ahead of real time; nobody else's hurry is lost."""
    agenda: Agenda[Item] = Agenda(0.0)
    waiting = Item()
    agenda.put(waiting, gap_s, 0.0)
    for number in range(others):
        agenda.put(Item(number), 0.0, 0.0, 0.34)
        assert agenda.take(0.0) is not None
    agenda.put_sooner(waiting, 0.0, 0.0, 0.34)
    assert agenda.take(0.0) is waiting
