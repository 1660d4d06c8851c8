"""Invariants 1 and 2: who is told what, when a session is left or a caller goes away."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any

import aiohttp
import pytest

from suno_async import (
    AccountLimits,
    AddInstrumentalRequest,
    FixedInterval,
    Outcome,
    SessionClosed,
    SubmissionUncertain,
    SunoSession,
    UnexpectedError,
)
from suno_async.observe import Accepted, Observation, Sent, Uncertain
from suno_async.sandbox import Call, Delay, Sandbox
from tests.waiting import HANGS_AFTER_S, in_time, until
from tests.world import EAGER, session_for, song

from .passes import passes

LATE = Delay(60, processed=True)
AT_ONCE = FixedInterval(timedelta(0))


@pytest.fixture
def told() -> list[Observation]:
    """What the observers of a test are told."""
    return []


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    """A sandbox on the machine's clock, whose answers that never come are not waited for."""
    async with Sandbox(time_scale=0, submissions_per_window=None) as entered:
        yield entered
        entered.clear_faults()
        await entered.drop_connections()


def quick(sandbox: Sandbox, **settings: Any) -> SunoSession:
    """Make a session without a window in its way."""
    usual = {"retry": EAGER, "submissions_per_window": (1000, 0.001), "cadence": AT_ONCE}
    return session_for(sandbox, **{**usual, **settings})


def of_kind(told: list[Observation], kind: Any) -> list[Any]:
    """Pick what is of a kind."""
    return [each for each in told if isinstance(each, kind)]


async def swallowing(free: asyncio.Event, cancellations: int) -> None:
    """Wait, and swallow so many cancellations."""
    for left in range(cancellations, -1, -1):
        try:
            await free.wait()
        except asyncio.CancelledError:
            if not left:
                raise
        else:
            return


# --- sent, and not sent ---------------------------------------------------------------------------


async def test_what_was_sent_is_uncertain_and_what_was_not_is_closed(
    sandbox: Sandbox, told: list[Observation]
) -> None:
    """One is on its way when the session is left, two wait for its slot."""
    sandbox.inject(Call.SUBMIT, LATE)
    async with quick(sandbox, max_concurrent_submissions=1, observers=[told.append]) as suno:
        calls = [asyncio.create_task(suno.submit(song(title=f"{n}"))) for n in range(3)]
        await until(lambda: sandbox.ledger)
    errors = await in_time(asyncio.gather(*calls, return_exceptions=True))
    assert [type(error) for error in errors] == [SubmissionUncertain, SessionClosed, SessionClosed]
    (uncertain,) = of_kind(told, Uncertain)
    assert uncertain.error is errors[0]
    assert len(sandbox.submissions) == 1


async def test_a_batch_tells_the_two_apart(sandbox: Sandbox, told: list[Observation]) -> None:
    """The outcomes of what was sent say uncertain, the others say closed."""
    sandbox.inject(Call.SUBMIT, LATE, times=None)
    ended: list[Outcome] = []

    async def consume(suno: SunoSession) -> None:
        async for outcome in suno.generate_many([song()] * 9, max_in_flight=5):
            ended.append(outcome)  # noqa: PERF401 - what came before the error is wanted

    async with quick(sandbox, max_concurrent_submissions=2, observers=[told.append]) as suno:
        consuming = asyncio.create_task(consume(suno))
        await until(lambda: len(sandbox.ledger) == 2)
    with pytest.raises(SessionClosed):
        await in_time(consuming)
    kinds = {outcome.position: type(outcome.error) for outcome in ended}
    assert kinds == {
        0: SubmissionUncertain,
        1: SubmissionUncertain,
        2: SessionClosed,
        3: SessionClosed,
        4: SessionClosed,
    }
    assert len(of_kind(told, Uncertain)) == len(of_kind(told, Sent)) == 2


@pytest.mark.parametrize("answers_in_s", [0.1, 0.25])
async def test_an_answer_that_comes_while_the_session_is_left_is_the_callers(
    sandbox: Sandbox, answers_in_s: float
) -> None:
    """Its `submit` returns the task, although nothing more can be asked of it here."""
    sandbox.inject(Call.SUBMIT, Delay(answers_in_s, processed=True))
    async with quick(sandbox) as suno:
        call = asyncio.create_task(suno.submit(song()))
        await until(lambda: sandbox.ledger)
    task = await in_time(call)
    assert task.task_id == sandbox.ledger[0].task_id
    with pytest.raises(SessionClosed):
        await task.details()


async def test_a_time_out_round_submit_loses_no_id(
    sandbox: Sandbox, told: list[Observation], caplog: pytest.LogCaptureFixture
) -> None:
    """It is told to observers and to `on_submitted`, and logged at WARNING with its id."""
    hooked: list[str] = []

    async def on_submitted(task_id: str, _: AddInstrumentalRequest, at: datetime) -> None:
        await asyncio.sleep(0.01)
        assert at.tzinfo is not None
        hooked.append(task_id)

    sandbox.inject(Call.SUBMIT, Delay(0.2, processed=True))
    async with quick(sandbox, observers=[told.append], on_submitted=on_submitted) as suno:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await suno.submit(song())
        await until(lambda: hooked)
    (charge,) = sandbox.ledger
    (accepted,) = of_kind(told, Accepted)
    assert accepted.task_id == charge.task_id
    assert not accepted.awaited
    assert hooked == [charge.task_id]
    warned = [each for each in caplog.records if charge.task_id in each.getMessage()]
    assert [each.levelno for each in warned] == [logging.WARNING]
    assert vars(warned[0])["task_id"] == charge.task_id


@pytest.mark.parametrize("leave", [False, True], ids=["cancelled", "left"])
async def test_what_was_not_sent_yet_is_kept_back(
    sandbox: Sandbox, told: list[Observation], *, leave: bool
) -> None:
    """While its connection is being made: nothing goes out any more, and nothing is uncertain."""
    free, reached = asyncio.Event(), asyncio.Event()

    async def slow(*_: object) -> None:
        reached.set()
        await swallowing(free, 1)  # not even when it is told to stop

    trace = aiohttp.TraceConfig()
    trace.on_connection_create_start.append(slow)
    async with aiohttp.ClientSession(trace_configs=[trace]) as client:
        async with quick(sandbox, client_session=client, observers=[told.append]) as suno:
            call = asyncio.create_task(suno.submit(song()))
            await reached.wait()
            if not leave:
                call.cancel()
                await in_time(asyncio.wait({call}))
                free.set()
                await asyncio.sleep(0.05)
        free.set()
        await in_time(asyncio.wait({call}))
        await asyncio.sleep(0.05)
    assert sandbox.submissions == of_kind(told, Sent | Uncertain) == []
    assert call.cancelled() or isinstance(call.exception(), SessionClosed)


# --- on_submitted ---------------------------------------------------------------------------------

Hook = Callable[[str, AddInstrumentalRequest, datetime], Awaitable[object] | None]


class Refused(Exception):
    """What a hook raises."""


async def raises(task_id: str, _: AddInstrumentalRequest, __: datetime) -> None:
    """Fail."""
    raise Refused(f"no room for {task_id}")


async def raises_cancelled(_: str, __: AddInstrumentalRequest, ___: datetime) -> None:
    """Say that it was cancelled, which nobody did."""
    raise asyncio.CancelledError


def raises_at_once(task_id: str, _: AddInstrumentalRequest, __: datetime) -> None:
    """Fail, as a plain function."""
    raise Refused(f"no room for {task_id}")


FAILING: list[tuple[Hook, type[Exception]]] = [
    (raises, Refused),
    (raises_at_once, Refused),
    (raises_cancelled, UnexpectedError),
]
failing = pytest.mark.parametrize(("hook", "kind"), FAILING)


@failing
async def test_what_a_hook_raises_reaches_the_caller(
    sandbox: Sandbox, hook: Hook, kind: type[Exception]
) -> None:
    """With the task id noted; the task lives, and the room is free again."""
    async with quick(sandbox, on_submitted=hook, max_in_flight=1) as suno:
        for call in (suno.submit, suno.generate):
            with pytest.raises(kind) as caught:
                await call(song())
            task_id = sandbox.ledger[-1].task_id
            assert any(task_id in note for note in caught.value.__notes__)
            assert (await suno.details(task_id)).task_id == task_id
        assert suno.stats().in_flight == suno.stats().sending == 0


@failing
async def test_what_a_hook_raises_is_in_the_outcome(
    sandbox: Sandbox, hook: Hook, kind: type[Exception]
) -> None:
    """An outcome with the task id and the error; the others of the batch go on."""
    async with quick(sandbox, on_submitted=hook) as suno:
        ended = [each async for each in suno.generate_many([song()] * 3)]
        assert suno.stats().in_flight == 0
    charged = {charge.task_id for charge in sandbox.ledger}
    assert {outcome.task_id for outcome in ended} == charged
    for outcome in ended:
        assert outcome.error is not None
        assert isinstance(outcome.error, kind) or isinstance(outcome.error.__cause__, kind)


@pytest.mark.parametrize("plain", [False, True])
async def test_a_hook_has_the_id_before_its_caller(sandbox: Sandbox, *, plain: bool) -> None:
    """Whether it is a plain function or a coroutine function."""
    stored: list[str] = []

    async def slowly(task_id: str, _: AddInstrumentalRequest, __: datetime) -> None:
        await asyncio.sleep(0.02)
        stored.append(task_id)

    def at_once(task_id: str, _: AddInstrumentalRequest, __: datetime) -> None:
        stored.append(task_id)

    async with quick(sandbox, on_submitted=at_once if plain else slowly) as suno:
        assert stored == [(await suno.submit(song())).task_id]
        async for outcome in suno.generate_many([song()] * 2):
            assert outcome.task_id in stored


@pytest.mark.parametrize("awaited", [True, False])
async def test_a_slow_hook_has_its_grace_when_the_session_is_left(
    sandbox: Sandbox, *, awaited: bool
) -> None:
    """Also when its caller was cancelled before."""
    stored: list[str] = []
    begun = asyncio.Event()

    async def slowly(task_id: str, _: AddInstrumentalRequest, __: datetime) -> None:
        begun.set()
        await asyncio.sleep(0.15)
        stored.append(task_id)

    async with quick(sandbox, on_submitted=slowly) as suno:
        call = asyncio.create_task(suno.submit(song()))
        await begun.wait()
        if not awaited:
            call.cancel()
            await asyncio.wait({call})
    assert stored == [sandbox.ledger[0].task_id]
    assert call.cancelled() or (await call).task_id == stored[0]


@pytest.mark.parametrize("stubborn", [False, True])
async def test_a_hook_that_hangs_does_not_keep_the_session(
    sandbox: Sandbox, caplog: pytest.LogCaptureFixture, *, stubborn: bool
) -> None:
    """It is cut off, also one that swallows its cancellation; the caller has its task."""
    free = asyncio.Event()

    async def hangs(_: str, __: AddInstrumentalRequest, ___: datetime) -> None:
        await swallowing(free, 3 if stubborn else 0)

    limits = AccountLimits((1000, 0.001), 1)
    usual = {"retry": EAGER, "limits": limits, "on_submitted": hangs}
    async with asyncio.timeout(HANGS_AFTER_S), session_for(sandbox, **usual) as suno:
        calls = [asyncio.create_task(suno.submit(song())), asyncio.create_task(noted(suno))]
        await until(lambda: caplog_has(sandbox, 2))
    for call in calls:
        assert (await in_time(call)).task_id in {each.task_id for each in sandbox.ledger}
    assert limits.slots.free == 1
    if not stubborn:
        assert caplog.text.count("on_submitted was cut off for task") == 2
    free.set()
    await passes(5)


async def noted(suno: SunoSession) -> Any:
    """Generate within a batch, and give the outcome."""
    async for outcome in suno.generate_many([song()]):
        return outcome
    raise AssertionError


def caplog_has(sandbox: Sandbox, count: int) -> bool:
    """Tell whether so many were charged."""
    return len(sandbox.ledger) == count


# --- what callers bring along ---------------------------------------------------------------------


async def test_a_trace_hook_that_swallows_its_cancellation_keeps_no_slot(sandbox: Sandbox) -> None:
    """Leaving cuts it off within a second; a session that shares the limits has its slot."""
    free = asyncio.Event()
    reached = asyncio.Event()

    async def hangs(*_: object) -> None:
        reached.set()
        await swallowing(free, 3)

    trace = aiohttp.TraceConfig()
    trace.on_request_end.append(hangs)
    limits = AccountLimits((1000, 0.001), 1)
    try:
        async with aiohttp.ClientSession(trace_configs=[trace]) as client:
            settings: dict[str, Any] = {"client_session": client, "limits": limits}
            async with asyncio.timeout(HANGS_AFTER_S), session_for(sandbox, **settings) as suno:
                call = asyncio.create_task(suno.submit(song()))
                await reached.wait()
            with pytest.raises(SubmissionUncertain):
                await in_time(call)
            async with session_for(sandbox, limits=limits) as again:
                assert (await in_time(again.submit(song()))).task_id
            free.set()
            await passes(5)
        assert limits.slots.free == 1
    finally:
        free.set()
    assert len(sandbox.ledger) == 2
