"""A task as its caller holds it: events in order, the result, time-outs, and how it fails."""

import asyncio
import logging
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from suno_async import (
    AuthenticationError,
    ConnectionFailed,
    ContentRejected,
    FixedInterval,
    GenerationFailed,
    InvalidRequest,
    ProtocolError,
    SessionClosed,
    Stage,
    StageEvent,
    SunoError,
    TaskError,
    TaskExpired,
    TaskNotFound,
    TaskStatus,
    WatchTimeout,
)
from suno_async.sandbox import Call, DropBefore, EnvelopeError, Html200, NullRecord, TaskScript

from .following import STAGES, STUCK, collect, names, submitted
from .world import World, song, virtual_world

EVERY_3_S = FixedInterval(timedelta(seconds=3))


# --- events ---------------------------------------------------------------------------------------


async def test_each_stage_comes_once_in_order(world: World) -> None:
    """Invariant 3: text, first, complete, each once, with what the service said at that stage."""
    async with world.session(cadence=EVERY_3_S) as suno:
        task = await suno.submit(song())
        events = await world.run(collect(task))
    assert names(events) == STAGES
    assert [event.details.status for event in events] == [
        "TEXT_SUCCESS",
        "FIRST_SUCCESS",
        "SUCCESS",
    ]
    assert [event.inferred for event in events] == [False] * 3
    assert {event.task_id for event in events} == {task.task_id}
    assert [sum(t.audio_url is not None for t in event.tracks) for event in events] == [0, 1, 2]


async def test_events_tell_when_they_were_seen(world: World) -> None:
    """An event's time is aware UTC and no earlier than the stage, no later than the next look."""
    async with world.session(cadence=EVERY_3_S) as suno:
        task = await suno.submit(song())
        events = await world.run(collect(task))
    ages = [(event.observed_at - task.submitted_at).total_seconds() for event in events]
    assert all(event.observed_at.tzinfo is UTC for event in events)
    assert all(
        reached <= seen <= reached + 3.1 for reached, seen in zip((22, 65, 130), ages, strict=True)
    )


@pytest.mark.parametrize(
    ("stages", "inferred"),
    [
        ([("SUCCESS", 60)], [True, True, False]),
        ([("TEXT_SUCCESS", 20), ("SUCCESS", 60)], [False, True, False]),
        ([("FIRST_SUCCESS", 20), ("SUCCESS", 60)], [True, False, False]),
    ],
)
async def test_a_stage_that_was_jumped_over_is_inferred(
    world: World, stages: list[tuple[str, float]], inferred: list[bool]
) -> None:
    """Invariant 3: a stage that was never seen by itself comes all the same, marked as inferred."""
    async with world.session(cadence=EVERY_3_S) as suno:
        task = await submitted(suno, world.sandbox, TaskScript(stages=stages))
        events = await world.run(collect(task))
    assert names(events) == STAGES
    assert [event.inferred for event in events] == inferred


async def test_a_slow_poller_sees_all_stages_at_once(world: World) -> None:
    """Invariant 3: stages that pass between two polls are inferred from the one that is seen."""
    async with world.session(cadence=FixedInterval(timedelta(minutes=10))) as suno:
        task = await suno.submit(song())
        events = await world.run(collect(task))
    assert names(events) == STAGES
    assert [event.inferred for event in events] == [True, True, False]


async def test_a_late_reader_begins_with_the_known_stages(world: World) -> None:
    """Invariant 3: who comes late gets the stages that are known, then the others."""
    async with world.session(cadence=EVERY_3_S) as suno:
        task = await suno.submit(song())
        early = asyncio.create_task(collect(task))
        await world.pass_time(70)
        late = await world.run(collect(task))
        assert late == await early


async def test_a_reader_after_the_end_costs_no_poll(world: World) -> None:
    """Invariant 3: a complete task gives all its stages again, without asking again."""
    async with world.session(cadence=EVERY_3_S) as suno:
        task = await suno.submit(song())
        first = await world.run(collect(task))
        polls = len(world.sandbox.polls)
        assert await collect(task) == first
        assert (await task.result()) == first[-1].details
        assert len(world.sandbox.polls) == polls


async def test_many_readers_share_one_readers_polls(world: World) -> None:
    """Invariant 3: ten readers of a task cost no more polls than one."""
    async with world.session(cadence=EVERY_3_S) as suno:
        alone = await suno.submit(song())
        await world.run(collect(alone))
        shared = await suno.submit(song())
        readers = [collect(shared) for _ in range(5)]
        waiters = [shared.result() for _ in range(5)]
        await world.run(asyncio.gather(*readers, *waiters))
    assert world.sandbox.poll_count(shared.task_id) == world.sandbox.poll_count(alone.task_id)


async def test_the_same_task_attached_twice_is_watched_once(world: World) -> None:
    """Invariant 3: readers of one id share polls, however often it was re-attached."""
    async with world.session(cadence=EVERY_3_S) as suno:
        task = await suno.submit(song())
        again = suno.task(task.task_id, submitted_at=task.submitted_at)
        one, two = await world.run(asyncio.gather(collect(task), collect(again)))
    assert one == two
    times = [poll.at for poll in world.sandbox.polls]
    assert len(times) == len(set(times))


async def test_a_reader_that_leaves_disturbs_no_other(world: World) -> None:
    """Invariant 8: cancelling one reader, or breaking out of its loop, leaves the others alone."""
    async with world.session(cadence=EVERY_3_S) as suno:
        task = await suno.submit(song())
        stays = asyncio.create_task(collect(task))
        goes = asyncio.create_task(task.result())
        async with aclosing(task.events()) as breaks:
            assert (await world.run(anext(breaks))).stage is Stage.TEXT
        goes.cancel()
        with pytest.raises(asyncio.CancelledError):
            await goes
        assert names(await world.run(stays)) == STAGES


async def test_without_readers_nothing_is_asked(world: World) -> None:
    """A task that nobody follows is not polled, and one that is followed again is."""
    async with world.session(cadence=EVERY_3_S) as suno:
        task = await suno.submit(song())
        await world.pass_time(60)
        assert world.sandbox.polls == []
        async with aclosing(task.events()) as events:
            await world.run(anext(events))
        polls = len(world.sandbox.polls)
        await world.pass_time(600)
        assert len(world.sandbox.polls) == polls
        assert names(await world.run(collect(task))) == STAGES


async def test_a_reader_may_be_slow(world: World) -> None:
    """Stages that come while a reader is busy are kept for it."""
    async with world.session(cadence=EVERY_3_S) as suno:
        task = await suno.submit(song())
        seen = []
        async with aclosing(task.events()) as events:
            seen.append(await world.run(anext(events)))
            await world.pass_time(3600)
            seen += [event async for event in events]
    assert names(seen) == STAGES


STATUSES = [str(status) for status in TaskStatus] + ["QUEUED", "NEW_IN_V9", ""]
FAULTS = [
    None,
    NullRecord("422"),
    NullRecord("empty"),
    EnvelopeError(500),
    EnvelopeError("429"),
    DropBefore(),
    Html200(),
]
answers = st.lists(
    st.tuples(st.sampled_from(STATUSES), st.integers(0, 2), st.sampled_from(FAULTS)), max_size=8
)


@given(answers)
def test_whatever_the_answers_each_stage_comes_once(
    sequence: list[tuple[str, int, Any]],
) -> None:
    """Invariant 3: any sequence of answers yields stages once and in order, then ends properly."""
    sequence = [*sequence, ("SUCCESS", 2, None)]

    async def follow() -> tuple[list[StageEvent], SunoError | None]:
        async with virtual_world() as world, world.session(cadence=EVERY_3_S) as suno:
            steps = [(status, 5.0 * at, done) for at, (status, done, _) in enumerate(sequence)]
            task = await submitted(suno, world.sandbox, TaskScript(stages=steps))
            for _, _, fault in sequence:
                if fault is not None:
                    world.sandbox.inject(Call.DETAILS, fault)
            events: list[StageEvent] = []
            try:
                await world.run(collect(task, events))
            except SunoError as error:
                return events, error
            return events, None

    events, error = asyncio.run(follow())
    assert names(events) == STAGES[: len(events)]
    assert len({event.task_id for event in events}) <= 1
    if error is None:
        assert names(events) == STAGES
    else:
        assert isinstance(error, GenerationFailed)
        assert error.task_id


# --- failures -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "code", "kind", "refunded"),
    [
        ("CREATE_TASK_FAILED", 500, GenerationFailed, False),
        ("GENERATE_AUDIO_FAILED", 501, GenerationFailed, False),
        ("GENERATE_AUDIO_FAILED", 408, GenerationFailed, False),
        ("GENERATE_AUDIO_FAILED", 531, GenerationFailed, True),
        ("GENERATE_AUDIO_FAILED", "531", GenerationFailed, True),
        ("GENERATE_AUDIO_FAILED", "E_NEW", GenerationFailed, False),
        ("GENERATE_AUDIO_FAILED", 413, ContentRejected, False),
        ("GENERATE_AUDIO_FAILED", "400", ContentRejected, False),
        ("SENSITIVE_WORD_ERROR", None, ContentRejected, False),
    ],
)
async def test_every_failure_has_its_error(
    world: World, status: str, code: object, kind: type[GenerationFailed], *, refunded: bool
) -> None:
    """Invariant 3: each way to fail is its own error, with id, code, text, and refund if so."""
    script = TaskScript(stages=[(status, 30)], error_code=code, error_message="because")
    async with world.session(cadence=EVERY_3_S) as suno:
        task = await submitted(suno, world.sandbox, script)
        with pytest.raises(GenerationFailed, match=task.task_id) as caught:
            await world.run(task.result())
    error = caught.value
    assert type(error) is kind
    assert (error.task_id, error.status, error.error_message) == (task.task_id, status, "because")
    assert error.refunded is refunded
    assert ("refund" in [charge.kind for charge in world.sandbox.ledger]) is refunded


async def test_a_failure_comes_after_what_was_reached(world: World) -> None:
    """Invariant 3: the stages before a failure are yielded, then it is raised."""
    script = TaskScript(stages=[("TEXT_SUCCESS", 20), ("GENERATE_AUDIO_FAILED", 60)])
    async with world.session(cadence=EVERY_3_S) as suno:
        task = await submitted(suno, world.sandbox, script)
        seen: list[StageEvent] = []
        with pytest.raises(GenerationFailed):
            await world.run(collect(task, seen))
    assert names(seen) == ["text"]


async def test_a_failure_with_a_finished_track_yields_it_first(world: World) -> None:
    """Invariant 2: audio that a failed task did finish is not kept from the caller."""
    script = TaskScript(stages=[("GENERATE_AUDIO_FAILED", 60, 1)])
    async with world.session(cadence=EVERY_3_S) as suno:
        task = await submitted(suno, world.sandbox, script)
        seen: list[StageEvent] = []
        with pytest.raises(GenerationFailed):
            await world.run(collect(task, seen))
    assert names(seen) == ["text", "first"]
    assert seen[-1].tracks[0].audio_url


async def test_each_reader_gets_an_error_of_its_own(world: World) -> None:
    """Several readers raise equal errors, not the same object with a traceback that grows."""
    script = TaskScript(stages=[("GENERATE_AUDIO_FAILED", 60)])
    async with world.session(cadence=EVERY_3_S) as suno:
        task = await submitted(suno, world.sandbox, script)
        errors = await world.run(
            asyncio.gather(task.result(), task.result(), collect(task), return_exceptions=True)
        )
    assert all(isinstance(error, GenerationFailed) for error in errors)
    assert len({id(error) for error in errors}) == 3
    assert len({str(error) for error in errors}) == 1


# --- the result and its time-out ------------------------------------------------------------------


async def test_the_result_is_the_final_answer(world: World) -> None:
    """`result` returns the details with both tracks and their audio."""
    async with world.session() as suno:
        task = await suno.submit(song())
        details = await world.run(task.result())
    assert (details.task_id, details.status) == (task.task_id, TaskStatus.SUCCESS)
    assert [bool(track.audio_url) for track in details.tracks] == [True, True]


@pytest.mark.parametrize("timeout", [timedelta(seconds=100), 100, 100.0])
async def test_a_time_out_ends_the_wait_and_not_the_task(
    world: World, timeout: timedelta | float
) -> None:
    """The caller's own time-out runs on the injected clock, and waiting again finds the result."""
    async with world.session(cadence=EVERY_3_S) as suno:
        task = await suno.submit(song())
        with pytest.raises(WatchTimeout, match=task.task_id) as caught:
            await world.run(task.result(timeout))
        assert caught.value.task_id == task.task_id
        assert caught.value.timeout == timedelta(seconds=100)
        assert isinstance(caught.value, TimeoutError)
        assert world.clock.now() - task.submitted_at == timedelta(seconds=100)
        again = suno.task(task.task_id, submitted_at=task.submitted_at)
        assert (await world.run(again.result(60))).status == "SUCCESS"


async def test_a_result_in_time_needs_no_time_out(world: World) -> None:
    """A time-out that is not reached leaves no timer behind."""
    async with world.session(cadence=EVERY_3_S) as suno:
        task = await suno.submit(song())
        await world.run(task.result(timedelta(days=365)))
    deadline_s = world.clock.next_deadline_s()
    assert deadline_s is None or deadline_s < 86_400


@pytest.mark.parametrize("timeout", [0, -5])
async def test_no_time_is_over_at_once(world: World, timeout: float) -> None:
    """A time-out of nothing raises at once for a task that runs."""
    async with world.session() as suno:
        task = await suno.submit(song())
        with pytest.raises(WatchTimeout):
            await world.run(task.result(timeout))


@pytest.mark.parametrize("timeout", [float("nan"), float("inf"), "60"])
async def test_a_time_out_must_be_one(world: World, timeout: Any) -> None:
    """A time-out that is no length of time is refused, naming the rule."""
    async with world.session() as suno:
        task = await suno.submit(song())
        with pytest.raises(InvalidRequest, match="timeout must be a timedelta, a number"):
            await task.result(timeout)


# --- who it is ------------------------------------------------------------------------------------


async def test_the_task_knows_its_id_and_dates(world: World) -> None:
    """Invariants 2 and 4: id and dates are in the object: aware, UTC, 14 days apart."""
    async with world.session() as suno:
        task = await suno.submit(song())
    assert task.task_id == world.sandbox.ledger[0].task_id
    assert task.submitted_at == world.clock.now()
    assert task.expires_at - task.submitted_at == timedelta(days=14)
    assert task.expires_at.tzinfo is UTC
    assert task.task_id in repr(task)
    assert "no stage" in repr(task)


async def test_the_repr_tells_the_stage(world: World) -> None:
    """A task's repr says how far it has come."""
    async with world.session() as suno:
        task = await suno.submit(song())
        await world.run(task.result())
        assert "complete" in repr(task)


async def test_the_id_is_in_the_log(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """Invariant 2: as soon as it is known, the task id is in the log at INFO."""
    caplog.set_level(logging.INFO, "suno_async")
    async with world.session() as suno:
        task = await suno.submit(song())
    lines = [record for record in caplog.records if task.task_id in record.getMessage()]
    assert lines
    assert lines[0].levelno == logging.INFO


async def test_every_error_about_a_task_names_it(world: World) -> None:
    """Invariant 2: the id is in every exception about a task, of whatever kind."""
    long_ago = datetime(2025, 1, 1, tzinfo=UTC)
    async with world.session(cadence=EVERY_3_S) as suno:
        failing = await submitted(
            suno, world.sandbox, TaskScript(stages=[("CREATE_TASK_FAILED", 1)])
        )
        stuck = await submitted(suno, world.sandbox, STUCK)
        cases = [
            (failing, failing.result()),
            (stuck, stuck.result(1)),
            (unknown := suno.task("unknown", world.clock.now()), unknown.result()),
            (expired := suno.task("expired", long_ago), expired.result()),
        ]
        for task, wait in cases:
            with pytest.raises(TaskError) as caught:
                await world.run(wait)
            assert caught.value.task_id == task.task_id
            assert task.task_id in str(caught.value)


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (DropBefore(), ConnectionFailed),
        (Html200(), ProtocolError),
        (EnvelopeError(500), SunoError),
        (EnvelopeError(401), AuthenticationError),
    ],
)
async def test_a_look_that_fails_names_the_task(
    world: World, fault: Any, kind: type[SunoError]
) -> None:
    """Invariant 2: an error of `details` tells which task it was about, in text or in a note."""
    async with world.session() as suno:
        task = await suno.submit(song())
        world.sandbox.inject(Call.DETAILS, fault, times=None)
        with pytest.raises(kind) as caught:
            await world.run(task.details())
    notes: list[str] = getattr(caught.value, "__notes__", [])
    assert any(task.task_id in text for text in (str(caught.value), *notes))


# --- a look at once -------------------------------------------------------------------------------


async def test_a_look_tells_how_the_task_stands(world: World) -> None:
    """`details` asks now, and what it shows is told to the readers too."""
    async with world.session(cadence=FixedInterval(timedelta(hours=1))) as suno:
        task = await suno.submit(song())
        events = task.events()
        first = asyncio.ensure_future(anext(events))
        await world.pass_time(30)
        assert not first.done()
        assert (await world.run(task.details())).status == "TEXT_SUCCESS"
        assert (await first).stage is Stage.TEXT
        await events.aclose()


async def test_a_look_goes_on_through_passing_failures(world: World) -> None:
    """Invariant 2: `details` repeats what fails for passing reasons."""
    async with world.session() as suno:
        task = await suno.submit(song())
        for fault in (DropBefore(), EnvelopeError(455), EnvelopeError(500), Html200()):
            world.sandbox.inject(Call.DETAILS, fault)
        assert (await world.run(task.details())).task_id == task.task_id


@pytest.mark.parametrize("form", ["422", "404", "empty"])
async def test_a_new_task_without_record_is_pending(world: World, form: Any) -> None:
    """In its first minute a task without record is PENDING."""
    async with world.session() as suno:
        task = await suno.submit(song())
        world.sandbox.inject(Call.DETAILS, NullRecord(form), times=None)
        details = await world.run(task.details())
        assert (details.task_id, details.status) == (task.task_id, "PENDING")
        await world.pass_time(61)
        with pytest.raises(TaskNotFound, match=task.task_id):
            await world.run(task.details())


async def test_a_look_at_a_lagging_replica_keeps_what_is_known(world: World) -> None:
    """Invariant 2: when a replica has lost the record, `details` answers with the last."""
    async with world.session() as suno:
        task = await suno.submit(song())
        known = await world.run(task.result())
        world.sandbox.inject(Call.DETAILS, NullRecord(), times=None)
        assert await world.run(task.details()) == known


async def test_a_look_at_an_unknown_task_says_so(world: World) -> None:
    """An id without a date that the service does not know is unknown at once."""
    async with world.session() as suno:
        with pytest.raises(TaskNotFound, match="no-such-task"):
            await world.run(suno.details("no-such-task"))


async def test_a_look_at_an_expired_task_asks_nothing(world: World) -> None:
    """Invariant 4: a task older than 14 days is expired without asking."""
    async with world.session() as suno:
        task = suno.task("old", world.clock.now() - timedelta(days=15))
        with pytest.raises(TaskExpired):
            await task.details()
    assert world.sandbox.polls == []


async def test_a_known_result_outlives_the_session(world: World) -> None:
    """Invariant 2: what a complete task gave can be read after the session was left."""
    async with world.session() as suno:
        task = await suno.submit(song())
        details = await world.run(task.result())
        other = await suno.submit(song())
    assert await task.result() == details
    assert names(await collect(task)) == STAGES
    with pytest.raises(SessionClosed, match=other.task_id):
        await other.result()
