"""Observers are told of a submission or a task in the context in which it was asked for."""

import asyncio
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any

import pytest

from suno_async import FixedInterval, SunoSession
from suno_async.observe import (
    Accepted,
    Ended,
    Found,
    Left,
    Observation,
    Observers,
    Polled,
    Refused,
    Sent,
    StageReached,
    Uncertain,
    Watched,
)
from suno_async.sandbox import Call, Delay, DropAfter, EnvelopeError, Sandbox, TaskScript
from tests.callbacks.hosting import by_itself, callback, post
from tests.waiting import until
from tests.world import EAGER, session_for, song

caller: ContextVar[str] = ContextVar("caller", default="nobody")


class Told:
    """Which observations were told in whose context."""

    def __init__(self) -> None:
        self.all: list[tuple[str, Observation]] = []

    def __call__(self, one: Observation) -> None:
        """Take note."""
        self.all.append((caller.get(), one))

    def where(self, *kinds: Any) -> set[tuple[str, str]]:
        """Tell which of these kinds were told where."""
        return {(type(one).__name__, who) for who, one in self.all if type(one) in kinds}


@pytest.fixture
def told() -> Told:
    """An observer."""
    return Told()


@pytest.fixture(autouse=True)
def _test_is_caller() -> Iterator[None]:
    """What the test itself does is nobody's whom it calls for."""
    token = caller.set("test")
    yield
    caller.reset(token)


def observed(sandbox: Sandbox, told: Told, **settings: Any) -> SunoSession:
    """Make a session that is observed."""
    usual: dict[str, Any] = {
        "retry": EAGER,
        "cadence": FixedInterval(0.01),
        "submissions_per_window": (1000, 0.001),
    }
    return session_for(sandbox, observers=[told], **{**usual, **settings})


async def generating(name: str, suno: SunoSession) -> None:
    """Generate in the context of a name."""
    caller.set(name)
    await suno.generate(song(title=name))


async def test_all_of_a_task_is_told_where_it_was_submitted(sandbox: Sandbox, told: Told) -> None:
    """Whoever else submits at the time, and whoever polls."""
    sandbox.inject(Call.SUBMIT, EnvelopeError(429), times=2)
    names = {f"caller-{number}" for number in range(5)}
    async with observed(sandbox, told, max_concurrent_submissions=2) as suno:
        await asyncio.gather(*(asyncio.create_task(generating(name, suno)) for name in names))
    owner = {one.task_id: one.request.title for _, one in told.all if isinstance(one, Accepted)}
    assert set(owner.values()) == names
    for who, one in told.all:
        if isinstance(one, Sent | Refused | Accepted):
            assert who == one.request.title
        elif isinstance(one, StageReached):
            assert who == owner[one.event.task_id]
        elif isinstance(one, Watched | Polled | Ended):
            assert who == owner[one.task_id]


async def test_leaving_tells_the_ends_where_they_belong(sandbox: Sandbox, told: Told) -> None:
    """And not where the session was left."""
    sandbox.script(TaskScript(stages=()), TaskScript(stages=()))
    sandbox.inject(Call.SUBMIT, EnvelopeError(429))
    async with observed(sandbox, told) as suno:
        calls = [asyncio.create_task(generating(name, suno)) for name in ("one", "other")]
        await until(lambda: suno.stats().watched == 2)
    await asyncio.gather(*calls, return_exceptions=True)
    assert told.where(Ended) == {("Ended", "one"), ("Ended", "other")}


async def test_a_submission_that_is_cut_off_is_told_where_it_belongs(
    sandbox: Sandbox, told: Told
) -> None:
    """The session was left in the test's own context."""
    async with observed(sandbox, told) as suno:
        sandbox.inject(Call.SUBMIT, Delay(60))
        call = asyncio.create_task(generating("one", suno))
        await until(lambda: suno.stats().sent)
    await asyncio.gather(call, return_exceptions=True)
    assert told.where(Sent, Uncertain) == {("Sent", "one"), ("Uncertain", "one")}


async def test_who_reads_a_task_again_is_told_as_its_reader(sandbox: Sandbox, told: Told) -> None:
    """A re-attached task belongs to its first reader, a submitted one to its submitter."""

    async def reading(suno: SunoSession, task_id: str, name: str) -> None:
        caller.set(name)
        task = suno.task(task_id)
        await asyncio.gather(task.result(timeout=0.02), return_exceptions=True)

    sandbox.script(TaskScript(stages=()))
    async with observed(sandbox, Told()) as suno:
        made = await suno.submit(song())
    async with observed(sandbox, told) as suno:
        await asyncio.create_task(reading(suno, made.task_id, "reader"))
    assert told.where(Watched, Left) == {("Watched", "reader"), ("Left", "reader")}


@pytest.mark.parametrize("patience_s", [60, 0.01], ids=["in time", "late"])
async def test_what_a_callback_proves_is_told_where_it_belongs(
    told: Told, patience_s: float
) -> None:
    """Not in the context of the web request that brought the callback."""
    async with (
        Sandbox(time_scale=0, submissions_per_window=None, callbacks=False) as sandbox,
        by_itself() as receiver,
        observed(sandbox, told, receiver=receiver, reconcile_for=patience_s) as suno,
    ):
        sandbox.inject(Call.SUBMIT, DropAfter())
        call = asyncio.create_task(generating("lost", suno))
        await until(lambda: suno.stats().uncertain)
        await asyncio.wait({call}, timeout=0.1)
        url = str((sandbox.submissions[0].body or {})["callBackUrl"])
        await post(url, callback("text", sandbox.ledger[0].task_id))
        await until(lambda: suno.stats().found)
    await asyncio.gather(call, return_exceptions=True)
    assert told.where(Uncertain, Found) == {("Uncertain", "lost"), ("Found", "lost")}


def test_what_an_observer_causes_is_told_in_its_context() -> None:
    """It is told afterwards, but where it happened."""
    told = Told()

    def causing(one: Observation) -> None:
        if one is FIRST:
            token = caller.set("cause")
            observers.tell(SECOND)
            caller.reset(token)

    observers = Observers([causing, told])
    observers.tell(FIRST)
    assert told.all == [("test", FIRST), ("cause", SECOND)]


async def test_ages_and_waits_are_told(sandbox: Sandbox, told: Told) -> None:
    """How long before something was sent, and how long ago that is."""
    async with observed(sandbox, told) as suno:
        await suno.generate(song())
    for _, one in told.all:
        if isinstance(one, Sent):
            assert min(one.slot_s, one.window_s, one.pause_s) >= 0
        elif isinstance(one, Accepted | StageReached | Ended):
            assert one.seconds is not None
            assert one.seconds >= 0


FIRST, SECOND = Polled("one", 0.0), Polled("other", 0.0)
