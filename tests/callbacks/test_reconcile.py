"""A submission whose answer was lost reconciles itself: a callback proves the task, or nothing."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta

import pytest

from suno_async import (
    CallbackNotice,
    GenerationFailed,
    NotSubmitted,
    Outcome,
    SessionClosed,
    SubmissionUncertain,
    SunoSession,
)
from suno_async.observe import Found, Observation
from suno_async.sandbox import (
    Call,
    CallbackScript,
    DropAfter,
    DropBefore,
    Fault,
    Html200,
    HttpError,
    Sandbox,
    TaskScript,
    Truncated,
)
from tests.following import collect, names, nothing_left
from tests.waiting import HANGS_AFTER_S, in_time, until
from tests.world import World, session_for, song, virtual_world

from .hosting import TAKEN, by_itself, callback, post

QUIET = TaskScript(callbacks=CallbackScript(send=False))
WAITED = timedelta(minutes=5)


@asynccontextmanager
async def reconciling(**settings: object) -> AsyncIterator[tuple[World, SunoSession]]:
    """Enter a virtual world, and a session with a receiver."""
    async with (
        virtual_world(**{"submissions_per_window": None, **settings}) as world,
        by_itself(clock=world.clock) as receiver,
        world.session(receiver=receiver, submissions_per_window=(1000, 0.001)) as suno,
    ):
        yield world, suno


async def batch(suno: SunoSession, count: int) -> list[Outcome]:
    """Run a batch with room for all of it, which no loss stops."""
    many = suno.generate_many([song()] * count, max_in_flight=count, stop_after_uncertain=None)
    return [outcome async for outcome in many]


def uncertain(outcomes: list[Outcome]) -> list[SubmissionUncertain]:
    """Pick the outcomes of which nobody knows."""
    return [each.error for each in outcomes if isinstance(each.error, SubmissionUncertain)]


async def test_two_hundred_lost_answers_are_two_hundred_tasks() -> None:
    """Callbacks prove them all: adopted, charged once, sent once, complete; in real time."""
    async with (
        Sandbox(time_scale=0.005, submissions_per_window=None) as sandbox,
        by_itself() as receiver,
        session_for(sandbox, receiver=receiver, submissions_per_window=(1000, 0.001)) as suno,
    ):
        sandbox.inject(Call.SUBMIT, DropAfter(), times=200)
        outcomes = await batch(suno, 200)
        assert all(outcome.ok for outcome in outcomes)
        assert {outcome.task_id for outcome in outcomes} == set(sandbox.tasks)
        assert (len(sandbox.tasks), len(sandbox.ledger), len(sandbox.submissions)) == (200,) * 3
        assert [charge.kind for charge in sandbox.ledger] == ["charge"] * 200


async def test_lost_answers_that_callbacks_prove_stop_no_batch() -> None:
    """A batch that stops after five in a row waits for what may still be proved, and goes on."""
    async with (
        Sandbox(time_scale=0.005, submissions_per_window=None) as sandbox,
        by_itself() as receiver,
        session_for(sandbox, receiver=receiver, submissions_per_window=(1000, 0.001)) as suno,
    ):
        sandbox.inject(Call.SUBMIT, DropAfter(), times=40)
        outcomes = [each async for each in suno.generate_many([song()] * 40, max_in_flight=40)]
        assert all(outcome.ok for outcome in outcomes)
        assert len(sandbox.ledger) == len(sandbox.submissions) == 40


async def test_lost_answers_that_nothing_proves_stop_a_batch() -> None:
    """No more are bought while they are waited for, and none afterwards."""
    async with reconciling(callbacks=False) as (world, suno):
        world.sandbox.inject(Call.SUBMIT, DropAfter(), times=40)

        async def run() -> list[Outcome]:
            return [each async for each in suno.generate_many([song()] * 40, max_in_flight=40)]

        outcomes = await world.run(run())
        sent = len(uncertain(outcomes))
        assert 5 <= sent <= 5 + 8  # those that were on their way at a time
        assert len(world.sandbox.submissions) == sent
        unsent = [each.error for each in outcomes if isinstance(each.error, NotSubmitted)]
        assert len(unsent) == 40 - sent
        assert {each.reason for each in unsent} == {"uncertainty"}


async def test_two_hundred_lost_answers_without_callbacks() -> None:
    """Five minutes later nothing is proved: 200 times uncertain, and none sent twice."""
    async with reconciling(callbacks=False) as (world, suno):
        world.sandbox.inject(Call.SUBMIT, DropAfter(), times=200)
        outcomes = await world.run(batch(suno, 200))
        errors = uncertain(outcomes)
        assert len(errors) == 200
        assert {error.waited for error in errors} == {WAITED}
        assert (len(world.sandbox.ledger), len(world.sandbox.submissions)) == (200, 200)
        assert "within 300 s" in str(errors[0])


async def test_two_hundred_lost_answers_without_a_receiver() -> None:
    """It is said at once; nothing was waited for, and none sent twice."""
    async with (
        virtual_world(submissions_per_window=None) as world,
        world.session(submissions_per_window=(1000, 0.001)) as suno,
    ):
        world.sandbox.inject(Call.SUBMIT, DropAfter(), times=200)
        outcomes = await world.run(batch(suno, 200))
        errors = uncertain(outcomes)
        assert len(errors) == 200
        assert {error.waited for error in errors} == {None}
        assert (len(world.sandbox.ledger), len(world.sandbox.submissions)) == (200, 200)
        assert world.clock.monotonic() < 1


@pytest.mark.parametrize(
    "fault",
    [
        DropAfter(),
        DropAfter(reset=True),
        HttpError(502, processed=True),
        Html200(processed=True),
        Truncated(),
        Truncated(cut=True),
    ],
)
async def test_every_kind_of_lost_answer_is_reconciled(fault: Fault) -> None:
    """The call returns the task as if nothing had happened, since when it was sent."""
    async with reconciling() as (world, suno):
        await world.pass_time(100)
        world.sandbox.inject(Call.SUBMIT, fault)
        sent_at = world.clock.now()
        task = await world.run(suno.submit(song()))
        assert task.task_id in world.sandbox.tasks
        assert task.submitted_at == sent_at
        assert world.clock.monotonic() == pytest.approx(122, abs=0.01)
        events = await world.run(collect(task))
        assert names(events) == ["text", "first", "complete"]
        seen = [(event.observed_at - sent_at).total_seconds() for event in events]
        assert seen == pytest.approx([22, 65, 130], abs=0.35)
        assert len(world.sandbox.submissions) == len(world.sandbox.ledger) == 1


async def test_what_was_never_created_stays_uncertain() -> None:
    """No callback comes for a request that the service did not see; it is not sent again."""
    async with reconciling() as (world, suno):
        world.sandbox.inject(Call.SUBMIT, DropBefore())
        with pytest.raises(SubmissionUncertain) as caught:
            await world.run(suno.submit(song()))
        assert caught.value.waited == WAITED
        assert caught.value.sent_at is not None
        assert caught.value.__cause__ is not None
        assert (len(world.sandbox.submissions), len(world.sandbox.ledger)) == (1, 0)


async def test_how_long_is_waited_can_be_set() -> None:
    """`reconcile_for` is kept to the second."""
    async with (
        virtual_world(callbacks=False) as world,
        by_itself() as receiver,
        world.session(receiver=receiver, reconcile_for=7) as suno,
    ):
        world.sandbox.inject(Call.SUBMIT, DropAfter())
        with pytest.raises(SubmissionUncertain) as caught:
            await world.run(suno.submit(song()))
        assert caught.value.waited == timedelta(seconds=7)
        assert world.clock.monotonic() == pytest.approx(7, abs=0.01)


async def test_a_failed_task_is_adopted_too() -> None:
    """An error callback proves the task as well; its failure comes from record-info."""
    async with reconciling() as (world, suno):
        world.sandbox.inject(Call.SUBMIT, DropAfter())
        world.sandbox.script(TaskScript(stages=[("GENERATE_AUDIO_FAILED", 9)], error_code=531))
        with pytest.raises(GenerationFailed) as caught:
            await world.run(suno.generate(song()))
        assert caught.value.refunded
        assert caught.value.task_id in world.sandbox.tasks


async def test_another_submissions_callback_proves_nothing() -> None:
    """Each token belongs to one submission."""
    async with reconciling() as (world, suno):
        sandbox = world.sandbox
        sandbox.script(TaskScript(stages=[("TEXT_SUCCESS", 5)]), QUIET)
        task = await suno.submit(song())
        sandbox.inject(Call.SUBMIT, DropAfter())
        waiting = asyncio.create_task(suno.submit(song()))
        await world.pass_time(20)
        assert len(sandbox.deliveries) == 1
        assert not waiting.done()
        assert task.task_id
        with pytest.raises(SubmissionUncertain):
            await world.run(waiting)


async def test_a_callback_after_the_wait_is_not_lost() -> None:
    """Invariant 2: it is told, it completes the error, and no other process is asked to take it."""
    elsewhere: list[CallbackNotice] = []
    told: list[Observation] = []
    settings = {"secret": "a secret of letters", "on_unplaced": elsewhere.append}
    async with virtual_world() as world, by_itself(clock=world.clock, **settings) as receiver:
        settings = {"receiver": receiver, "reconcile_for": 7, "observers": [told.append]}
        async with world.session(**settings) as suno:
            world.sandbox.inject(Call.SUBMIT, DropAfter())
            with pytest.raises(SubmissionUncertain) as caught:
                await world.run(suno.submit(song()))
            assert caught.value.task_id is None
            await world.pass_time(130)
        found = [each for each in told if isinstance(each, Found)]
        assert [each.task_id for each in found] == [caught.value.task_id] == [*world.sandbox.tasks]
        assert elsewhere == []


async def test_a_batch_goes_on_meanwhile() -> None:
    """Other requests are submitted and end while one waits for its proof."""
    async with reconciling() as (world, suno):
        world.sandbox.inject(Call.SUBMIT, DropAfter())
        world.sandbox.script(QUIET)
        outcomes: list[Outcome] = []

        async def run() -> None:
            many = suno.generate_many([song()] * 9, max_in_flight=3)
            outcomes.extend([outcome async for outcome in many])

        await world.run(run())
        assert sum(outcome.ok for outcome in outcomes) == 8
        (failed,) = (outcome for outcome in outcomes if not outcome.ok)
        assert isinstance(failed.error, SubmissionUncertain)
        assert outcomes.index(failed) >= 4  # two rounds of two, in five minutes


def counted(caplog: pytest.LogCaptureFixture) -> int:
    """Count the submissions that the session knows to be uncertain."""
    return caplog.text.count("may have been charged")


async def lost(
    sandbox: Sandbox, suno: SunoSession, caplog: pytest.LogCaptureFixture
) -> "asyncio.Task[object]":
    """Submit something whose answer is lost, and let it wait for its proof."""
    before = counted(caplog)
    sandbox.inject(Call.SUBMIT, DropAfter())
    sandbox.script(QUIET)
    waiting: asyncio.Task[object] = asyncio.create_task(suno.submit(song()))
    await until(lambda: counted(caplog) > before)
    return waiting


async def test_leaving_the_session_says_that_it_is_uncertain(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Not only that the session is closed: the request may have been charged. Nothing is left."""
    async with Sandbox(submissions_per_window=None) as sandbox, by_itself() as receiver:
        async with nothing_left():
            async with (
                asyncio.timeout(HANGS_AFTER_S),
                session_for(sandbox, receiver=receiver) as suno,
            ):
                waiting = await lost(sandbox, suno, caplog)
            with pytest.raises(SubmissionUncertain) as caught:
                await in_time(waiting)
            assert caught.value.waited is not None
            assert caught.value.waited < WAITED
        with pytest.raises(SessionClosed):
            await suno.submit(song())


async def test_leaving_the_session_ends_a_batch_that_waits(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Its outcomes say uncertain as well."""
    outcomes: list[Outcome] = []

    async def batch(suno: SunoSession) -> None:
        with suppress(SessionClosed):  # there might have been more requests
            async for outcome in suno.generate_many([song()] * 3, max_in_flight=3):
                outcomes.append(outcome)  # noqa: PERF401 - what came before the error is wanted

    async with Sandbox(submissions_per_window=None) as sandbox, by_itself() as receiver:
        sandbox.inject(Call.SUBMIT, DropAfter(), times=3)
        sandbox.script(*[QUIET] * 3)
        async with session_for(sandbox, receiver=receiver) as suno:
            waiting = asyncio.create_task(batch(suno))
            await until(lambda: counted(caplog) == 3)
        await in_time(waiting)
    assert len(uncertain(outcomes)) == 3


async def test_cancelling_the_caller_ends_its_wait_alone(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Another submission that waits goes on waiting; both are proved, one of them in the log."""
    async with (
        Sandbox(submissions_per_window=None) as sandbox,
        by_itself() as receiver,
        session_for(sandbox, receiver=receiver) as suno,
    ):
        cancelled, waiting = await lost(sandbox, suno, caplog), await lost(sandbox, suno, caplog)
        cancelled.cancel()
        with pytest.raises(asyncio.CancelledError):
            await cancelled
        urls = [str((sent.body or {})["callBackUrl"]) for sent in sandbox.submissions]
        first, second = list(sandbox.tasks)
        assert await post(urls[0], callback("text", first)) == TAKEN
        assert f"task {first}, for which nobody waits" in caplog.text
        assert await post(urls[1], callback("text", second)) == TAKEN
        assert second in repr(await in_time(waiting))
