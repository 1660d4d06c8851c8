"""What observers are told: everything, in order, frozen; whatever they do disturbs nothing."""

import asyncio
import functools
import gc
import logging
from collections.abc import Callable
from typing import Any

import pytest
from attrs import evolve, fields
from attrs.exceptions import FrozenInstanceError

from suno_async import (
    FixedInterval,
    InvalidRequest,
    RateLimited,
    SubmissionUncertain,
    SunoSession,
    ValidationFailed,
)
from suno_async.observe import (
    Accepted,
    Ended,
    Found,
    Observation,
    Observers,
    Paused,
    Refused,
    Sent,
    StageReached,
    Uncertain,
)
from suno_async.sandbox import Call, Delay, DropAfter, EnvelopeError, Fault, HttpError, Sandbox

from .submission.surroundings import receiving
from .waiting import until
from .world import EAGER, World, session_for, song

A, B = Sent(song(title="a"), 1), Sent(song(title="b"), 1)


# --- telling --------------------------------------------------------------------------------------


def test_all_are_told_of_one_thing_before_the_next() -> None:
    """Each observer sees the same order, and the order in which they were given holds."""
    told: list[tuple[int, Observation]] = []

    def note(who: int, one: Observation) -> None:
        told.append((who, one))

    observers = Observers([functools.partial(note, who) for who in range(3)])
    observers.tell(A)
    observers.tell(B)
    assert told == [(who, one) for one in (A, B) for who in range(3)]


def test_what_an_observer_causes_is_told_afterwards() -> None:
    """What happens while one is told comes behind what it was told of, for all of them."""
    first: list[Observation] = []
    second: list[Observation] = []

    def causing(one: Observation) -> None:
        first.append(one)
        if one is A:
            observers.tell(B)

    observers = Observers([causing, second.append])
    observers.tell(A)
    assert first == second == [A, B]


@pytest.mark.parametrize(
    "raised", [LookupError("a bug"), asyncio.CancelledError(), GeneratorExit(), StopIteration()]
)
def test_one_that_raises_is_logged_and_disturbs_nothing(
    raised: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    """Those behind it are told, and so is it, next time."""
    told: list[Observation] = []
    asked: list[Observation] = []

    def fail(one: Observation) -> None:
        asked.append(one)
        raise raised

    observers = Observers([fail, told.append])
    observers.tell(A)
    observers.tell(B)
    assert told == asked == [A, B]
    assert caplog.text.count("an observer failed at Sent") == 2


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
def test_one_that_ends_the_program_ends_it_behind_what_is_told(kind: type[BaseException]) -> None:
    """It is told to its end, by all, and then the event loop ends."""
    told: list[Observation] = []

    def end(_: Observation) -> None:
        raise kind

    async def tell() -> None:
        observers = Observers([end, told.append])
        observers.tell(A)
        told.append(B)
        await asyncio.sleep(1)

    loop = asyncio.new_event_loop()
    telling = loop.create_task(tell())
    with pytest.raises(kind):
        loop.run_until_complete(telling)
    telling.cancel()
    loop.run_until_complete(asyncio.wait([telling]))
    loop.close()
    assert told == [A, B]


async def _coroutine_function(_: Observation) -> None:
    """Do nothing."""


class _AsyncCall:
    """An object whose call would have to be awaited."""

    async def __call__(self, _: Observation) -> None:
        """Do nothing."""


class _Plain:
    """An object that can be called."""

    def __init__(self) -> None:
        self.told: list[Observation] = []

    def __call__(self, one: Observation) -> None:
        """Take note."""
        self.told.append(one)


BAD: list[Any] = [
    None,
    3,
    [None],
    ["print"],
    [print, 3],
    [_coroutine_function],
    [_AsyncCall()],
    [functools.partial(_coroutine_function)],
    print,
]


@pytest.mark.parametrize("observers", BAD, ids=range(len(BAD)))
def test_what_cannot_observe_is_refused(observers: Any) -> None:
    """Neither what cannot be called, nor what would have to be awaited, nor one without a list."""
    with pytest.raises(InvalidRequest) as raised:
        SunoSession("key", observers=observers)
    assert raised.value.field == "observers"


@pytest.mark.parametrize("hook", [3, "print", [print]])
def test_an_on_submitted_that_cannot_be_called_is_refused(hook: Any) -> None:
    """It is a function, plain or of coroutines."""
    with pytest.raises(InvalidRequest) as raised:
        SunoSession("key", on_submitted=hook)
    assert raised.value.field == "on_submitted"


@pytest.mark.parametrize("observer", [None, 3, _coroutine_function, _AsyncCall()], ids=range(4))
def test_what_cannot_observe_is_not_added(observer: Any) -> None:
    """The rule is the same later on."""
    suno = SunoSession("key")
    with pytest.raises(InvalidRequest) as raised:
        suno.add_observer(observer)
    assert raised.value.field == "observers"


def test_observers_come_and_go() -> None:
    """In the order in which they were added, each once, also while one thing is told."""
    told: list[tuple[str, Observation]] = []

    def late(one: Observation) -> None:
        told.append(("late", one))

    def first(one: Observation) -> None:
        told.append(("first", one))
        observers.add(late)
        observers.remove(first)

    observers = Observers()
    assert not observers
    observers.add(first)
    observers.add(first)
    observers.remove(late)  # unknown: nothing happens
    assert observers
    for one in (A, B):
        observers.tell(one)
    assert told == [("first", A), ("late", B)]
    observers.remove(late)
    assert not observers


def test_any_callable_object_can_observe() -> None:
    """Not functions alone; and an iterable is read once."""
    plain = _Plain()
    observers = Observers(iter([plain]))
    observers.tell(A)
    observers.tell(B)
    assert plain.told == [A, B]
    assert observers
    assert not Observers()


def test_a_lambda_that_gives_a_coroutine_is_told_of(caplog: pytest.LogCaptureFixture) -> None:
    """Nothing awaits the coroutine: it is closed, and the log says why nothing happened."""
    told: list[Observation] = []
    observers = Observers([lambda one: _coroutine_function(one), told.append])
    observers.tell(A)
    gc.collect()  # "never awaited" would be an error here
    assert told == [A]
    assert "never awaited" in caplog.text


# --- what a session tells -------------------------------------------------------------------------


async def told_by(
    sandbox: Sandbox, faults: list[Any], count: int = 1, **settings: Any
) -> tuple[list[Observation], list[object]]:
    """Submit one after the other into faults; return what was told, and what came of it."""
    told: list[Observation] = []
    for fault in faults:
        sandbox.inject(Call.SUBMIT, fault)
    ended: list[object] = []
    async with session_for(sandbox, retry=EAGER, observers=[told.append], **settings) as suno:
        for _ in range(count):
            ended += await asyncio.gather(suno.submit(song()), return_exceptions=True)
    return told, ended


async def test_an_accepted_submission_is_told_with_its_id(sandbox: Sandbox) -> None:
    """Sent, then accepted, with the request and the time of sending."""
    told, _ = await told_by(sandbox, [])
    (charge,) = sandbox.ledger
    assert told[0] == Sent(song(), 1)
    assert isinstance(told[1], Accepted)
    assert told[1] == Accepted(charge.task_id, song(), told[1].submitted_at, awaited=True)
    assert told[1].submitted_at.tzinfo is not None
    assert len(told) == 2


async def test_a_limit_is_told_with_its_repetition(sandbox: Sandbox) -> None:
    """Refused for now, the pause, and the second attempt."""
    told, _ = await told_by(sandbox, [EnvelopeError(429)])
    assert [type(one) for one in told] == [Sent, Paused, Refused, Sent, Accepted]
    assert isinstance(told[2], Refused)
    assert isinstance(told[2].error, RateLimited)
    assert told[2].verdict == "took nothing"
    assert told[2].retry_in_s is not None
    assert told[3] == Sent(song(), 2)


async def test_a_refusal_is_told(sandbox: Sandbox) -> None:
    """With the very error that its caller gets."""
    told, (error,) = await told_by(sandbox, [EnvelopeError(422)])
    assert told == [Sent(song(), 1), Refused(song(), error, "refused", None)]  # type: ignore[arg-type]  # an error
    assert isinstance(error, ValidationFailed)


async def test_an_uncertain_submission_is_told(sandbox: Sandbox) -> None:
    """With the very error that its caller gets."""
    told, (error,) = await told_by(sandbox, [DropAfter()])
    assert told == [Sent(song(), 1), Uncertain(song(), error)]  # type: ignore[arg-type]  # an error
    assert isinstance(error, SubmissionUncertain)


async def test_what_a_callback_proves_is_told_as_found(sandbox: Sandbox) -> None:
    """Uncertain first, then found, while its caller waits."""
    async with receiving() as receiver:
        told, _ = await told_by(sandbox, [DropAfter()], receiver=receiver)
    (charge,) = sandbox.ledger
    assert [type(one) for one in told] == [Sent, Uncertain, Found]
    assert isinstance(told[2], Found)
    assert (told[2].task_id, told[2].awaited) == (charge.task_id, True)


async def test_what_never_reached_the_service_is_told_as_not_sent(sandbox: Sandbox) -> None:
    """Each attempt, and no sending."""
    await sandbox.stop()
    told, _ = await told_by(sandbox, [])
    assert {type(one) for one in told} == {Refused}
    assert {one.verdict for one in told if isinstance(one, Refused)} == {"not sent"}
    assert len(told) == EAGER.attempts


async def test_a_task_that_nobody_waits_for_is_told_so(sandbox: Sandbox) -> None:
    """Its caller was cancelled: observers are told its id all the same."""
    told: list[Observation] = []
    sandbox.inject(Call.SUBMIT, Delay(0.05, processed=True))
    async with session_for(sandbox, observers=[told.append]) as suno:
        submitting = asyncio.ensure_future(suno.submit(song()))
        await until(lambda: sandbox.ledger)
        submitting.cancel()
        await until(lambda: len(told) == 2)
    (charge,) = sandbox.ledger
    assert isinstance(told[1], Accepted)
    assert (told[1].task_id, told[1].awaited) == (charge.task_id, False)


async def test_what_is_told_is_frozen(sandbox: Sandbox) -> None:
    """No observer can change what the next one sees."""
    told, _ = await told_by(sandbox, [EnvelopeError(429), DropAfter()], count=2)
    for one in told:
        name = fields(type(one))[0].name
        with pytest.raises(FrozenInstanceError):
            setattr(one, name, None)
        assert evolve(one) == one


@pytest.mark.parametrize("raised", [LookupError("a bug"), asyncio.CancelledError()], ids=repr)
async def test_invariant_1_an_observer_that_raises_changes_no_verdict(
    sandbox: Sandbox, raised: BaseException
) -> None:
    """Neither what is sent, nor how often, nor what its caller gets."""

    def fail(_: Observation) -> None:
        raise raised

    sandbox.inject(Call.SUBMIT, EnvelopeError(429))
    sandbox.inject(Call.SUBMIT, DropAfter())
    async with session_for(sandbox, retry=EAGER, observers=[fail]) as suno:
        with pytest.raises(SubmissionUncertain):
            await suno.submit(song())
        task = await suno.submit(song())
    assert [charge.task_id for charge in sandbox.ledger][-1] == task.task_id
    assert (len(sandbox.submissions), len(sandbox.ledger)) == (3, 2)


async def test_an_observer_can_be_added_to_a_session_that_is_under_way(sandbox: Sandbox) -> None:
    """It is told of what submissions and watches do from then on, until it is removed."""
    told: list[Observation] = []
    async with session_for(sandbox, cadence=FixedInterval(0.4)) as suno:
        await suno.submit(song())
        suno.add_observer(told.append)
        task = await suno.submit(song())
        await task.result()
        kinds = {type(one) for one in told}
        suno.remove_observer(told.append)
        count = len(told)
        await suno.submit(song())
        assert len(told) == count
    assert {Sent, Accepted, StageReached, Ended} <= kinds
    assert sum(type(one) is Sent for one in told) == 1


async def test_an_observer_may_call_back_into_the_session(sandbox: Sandbox) -> None:
    """It may ask for figures, and begin another submission."""
    begun: list[asyncio.Task[Any]] = []
    sent: list[int] = []

    def more(one: Observation) -> None:
        sent.append(suno.stats().sent)
        if isinstance(one, Accepted) and not begun:
            begun.append(asyncio.ensure_future(suno.submit(song(title="another"))))

    async with session_for(sandbox, observers=[more]) as suno:
        await suno.submit(song())
        await begun[0]
    assert len(sandbox.ledger) == 2
    assert sent == [1, 1, 2, 2]


# --- figures --------------------------------------------------------------------------------------


async def test_the_counters_count_everything(sandbox: Sandbox) -> None:
    """Sent, accepted, uncertain, retries, and refusals by code."""
    faults: list[Fault] = [EnvelopeError(429), EnvelopeError(422), DropAfter(), HttpError(405)]
    for fault in faults:
        sandbox.inject(Call.SUBMIT, fault)
    async with session_for(sandbox, retry=EAGER) as suno:
        for _ in range(5):
            await asyncio.gather(suno.submit(song()), return_exceptions=True)
        stats = suno.stats()
    assert (stats.sent, stats.accepted, stats.uncertain, stats.found) == (6, 2, 1, 0)
    assert (stats.retries, stats.polls) == (1, 0)
    assert stats.refusals == {429: 1, 422: 1, 405: 1}
    assert (stats.waiting, stats.sending, stats.in_flight, stats.watched) == (0, 0, 0, 0)
    assert suno.stats() == stats  # also when it was left


async def test_the_gauges_show_the_present(world: World) -> None:
    """Waiting, sending, places left in the window, and the pause that is left."""
    world.sandbox.inject(Call.SUBMIT, Delay(1), times=None)
    settings: dict[str, Any] = {"submissions_per_window": (3, 10), "max_concurrent_submissions": 2}
    async with world.session(**settings) as suno:
        assert suno.stats().window_left == 3
        calls = [asyncio.ensure_future(suno.submit(song())) for _ in range(5)]
        await until(lambda: len(world.sandbox.submissions) == 2)
        stats = suno.stats()
        assert (stats.waiting, stats.sending, stats.window_left) == (3, 2, 1)
        await world.run(asyncio.gather(*calls))
        world.sandbox.inject(Call.CREDITS, EnvelopeError(429, retry_after="60"))
        asking = asyncio.ensure_future(suno.credits())
        await until(lambda: suno.stats().pause_left_s)
        assert 60 <= suno.stats().pause_left_s <= 61
        await world.run(asking)
        assert suno.stats().pause_left_s == 0


async def test_figures_are_of_a_moment(sandbox: Sandbox) -> None:
    """What was told does not change with what happens afterwards."""
    async with session_for(sandbox) as suno:
        before = suno.stats()
        sandbox.inject(Call.SUBMIT, EnvelopeError(422))
        await asyncio.gather(suno.submit(song()), return_exceptions=True)
        assert (before.sent, before.refusals) == (0, {})
        assert suno.stats().refusals == {422: 1}


# --- the log --------------------------------------------------------------------------------------


def about(record: logging.LogRecord) -> dict[str, object]:
    """Take what a record carries beside its text."""
    names = ("task_id", "code", "attempt")
    return {name: getattr(record, name) for name in names if hasattr(record, name)}


async def test_records_carry_what_they_are_about(
    sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    """Task id, code and attempt are in `extra`, to be searched for without reading texts."""
    caplog.set_level(logging.INFO, "suno_async")
    await told_by(sandbox, [EnvelopeError(429), EnvelopeError(500)], count=2)
    (charge,) = sandbox.ledger
    assert [about(record) for record in caplog.records] == [
        {"code": 429, "attempt": 1},
        {"code": 500, "attempt": 2},
        {"task_id": charge.task_id, "attempt": 1},
    ]


async def test_each_call_is_one_line_at_debug(
    sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    """Method, path, status, code and seconds; failures of the network as well."""
    caplog.set_level(logging.DEBUG, "suno_async.transport")
    sandbox.inject(Call.SUBMIT, EnvelopeError(429))
    async with session_for(sandbox, retry=EAGER) as suno:
        task = await suno.submit(song())
        await suno.credits()
        await suno.details(task.task_id)
        await sandbox.stop()
        await asyncio.gather(suno.submit(song()), return_exceptions=True)
    lines = [record.getMessage() for record in caplog.records]
    beginnings = [line.partition(":")[0].split("?")[0].split("/")[0] for line in lines]
    assert beginnings == ["POST ", "POST ", "GET ", "GET ", *["POST "] * EAGER.attempts]
    assert "HTTP 200, code 429" in lines[0]
    assert [about(record)["code"] for record in caplog.records[:4]] == [429, 200, 200, 200]
    assert "ClientConnectorError" in lines[-1]


@pytest.mark.parametrize("make", [list, lambda: [lambda _: None]], ids=["off", "on"])
async def test_the_log_is_the_same_with_observers(
    sandbox: Sandbox, caplog: pytest.LogCaptureFixture, make: Callable[[], list[Any]]
) -> None:
    """Observers are no other place for the log's lines, nor the log one for theirs."""
    caplog.set_level(logging.INFO, "suno_async")
    async with session_for(sandbox, observers=make()) as suno:
        task = await suno.submit(song())
    assert [about(record)["task_id"] for record in caplog.records] == [task.task_id]
