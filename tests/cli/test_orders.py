"""What is to be done with the rows of a run before it goes on."""

from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

from suno_async.cli.decisions import Decisions, read_adoptions
from suno_async.cli.failures import Complaint
from suno_async.cli.numbering import RunRow
from suno_async.cli.orders import KnownJob, Orders, make_orders
from suno_async.durable import JobState

STATES = (*JobState, None)


def row(number: int = 1, *, asked: bool = True) -> RunRow:
    """A usable row."""
    return RunRow(number, f"key-{number}", f"Song {number}", asked=asked)


def orders(
    state: JobState | None, *, paid: bool = False, asked: bool = True, **decided: Any
) -> Orders:
    """Give the orders for one row whose job is in a state."""
    job = {} if state is None else {"key-1": KnownJob(state, "task" if paid else None)}
    return make_orders([row(asked=asked)], job, evolve(Decisions(), **decided), {})


def done(given: Orders) -> set[str]:
    """Name what is done with the row."""
    names = ("new", "waiting", "moved", "again", "cancel", "adopt", "abandon", "uncertain")
    return {name for name in names if getattr(given, name)}


@pytest.mark.parametrize(
    ("state", "paid", "what"),
    [
        (None, False, {"new"}),
        (JobState.WAITING, False, {"waiting"}),
        (JobState.SENDING, False, set()),
        (JobState.UNCERTAIN, False, {"uncertain"}),
        (JobState.RUNNING, True, set()),
        (JobState.COMPLETE, True, set()),
        (JobState.FAILED, True, set()),
        (JobState.FAILED, False, {"again"}),
        (JobState.CANCELLED, False, {"again"}),
        (JobState.ABANDONED, False, set()),
    ],
)
def test_what_goes_on_by_itself(state: JobState | None, paid: bool, what: set[str]) -> None:
    """Invariant 1: sent again is only what nothing was paid for, for certain."""
    given = orders(state, paid=paid)
    assert done(given) == what
    assert bool(given.paying) is bool(what & {"new", "waiting", "again"})


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("paid", [False, True])
@pytest.mark.parametrize("decided", ["retry_uncertain", "retry_failed", "abandon"])
def test_decisions_reach_their_own_states_alone(
    state: JobState | None, paid: bool, decided: str
) -> None:
    """Each decision is for one kind of row; all others stay as they are without it."""
    doubtful = state in {JobState.UNCERTAIN, JobState.ABANDONED}
    reached = {
        "retry_uncertain": doubtful,
        "retry_failed": state is JobState.FAILED and paid,
        "abandon": state is JobState.UNCERTAIN,
    }
    given = orders(state, paid=paid, **{decided: True})
    if reached[decided]:
        assert done(given) == ({"abandon"} if decided == "abandon" else {"again"})
    else:
        assert given == orders(state, paid=paid)


@pytest.mark.parametrize("state", STATES)
def test_what_is_not_asked_for_is_never_paid_for(state: JobState | None) -> None:
    """It may be watched, or decided about; but not sent, whatever is decided."""
    given = orders(state, asked=False, retry_uncertain=True, retry_failed=True)
    assert given.paying == ()
    assert bool(given.cancel) is (state is JobState.WAITING)


def test_a_stem_that_has_moved_is_told_to_jobs_that_wait() -> None:
    """The folder may have been moved; what was sent needs its stem no more."""
    here, there = Path("/here/a.wav"), Path("/there/a.wav")
    for state, moved in ((JobState.WAITING, True), (JobState.RUNNING, False)):
        job = {"key-1": KnownJob(state, stem=here)}
        assert bool(make_orders([row()], job, Decisions(), {"key-1": there}).moved) is moved
        assert not make_orders([row()], job, Decisions(), {"key-1": here}).moved


def test_a_row_gets_its_task() -> None:
    """By its number; it is neither sent again then nor left uncertain."""
    jobs = {"key-1": KnownJob(JobState.UNCERTAIN), "key-2": KnownJob(JobState.UNCERTAIN)}
    decisions = Decisions(retry_uncertain=True, adopt={2: "abc"})
    given = make_orders([row(1), row(2)], jobs, decisions, {})
    assert given.adopt == ((row(2), "abc"),)
    assert given.again == (row(1),)
    abandoned = make_orders([row(1), row(2)], jobs, evolve(decisions, abandon=True), {})
    assert abandoned == given


@pytest.mark.parametrize(
    ("adopt", "said"),
    [
        ({3: "abc"}, "--adopt 3=abc: there is no row 3 that was submitted"),
        ({1: "abc"}, "--adopt 1=abc: row 1 is running, and needs no other task"),
        ({2: "known"}, "--adopt 2=known: another row has this task"),
        ({2: "abc", 4: "abc"}, "--adopt 4=abc: another row has this task"),
    ],
)
def test_a_task_that_cannot_be_a_rows(adopt: dict[int, str], said: str) -> None:
    """It is refused before anything is done."""
    jobs = {
        "key-1": KnownJob(JobState.RUNNING, "known"),
        "key-2": KnownJob(JobState.UNCERTAIN),
        "key-4": KnownJob(JobState.UNCERTAIN),
    }
    rows = [row(1), row(2), RunRow(3, "", "bad"), row(4)]
    with pytest.raises(Complaint) as refused:
        make_orders(rows, jobs, Decisions(adopt=adopt), {})
    assert str(refused.value) == said


def test_a_task_that_is_the_rows_already_changes_nothing() -> None:
    """The same command may be given twice."""
    jobs = {"key-1": KnownJob(JobState.RUNNING, "abc")}
    assert done(make_orders([row()], jobs, Decisions(adopt={1: "abc"}), {})) == set()


def test_adoptions_are_read() -> None:
    """`ROW=TASK_ID`, and nothing else."""
    assert read_adoptions(["7=abc", " 8 = d=e "]) == {7: "abc", 8: "d=e"}
    assert read_adoptions([]) == {}
    for text in ("7", "=abc", "7=", "x=abc", "-1=abc", "7.0=abc", "²=abc"):
        with pytest.raises(Complaint, match="--adopt must be ROW=TASK_ID"):
            read_adoptions([text])
    with pytest.raises(Complaint, match="gives two tasks to row 7"):
        read_adoptions(["7=abc", "7=def"])
