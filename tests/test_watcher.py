"""Watching: what goes wrong never ends it, fourteen days do, and it stays polite throughout."""

import asyncio
import logging
from collections.abc import Awaitable
from datetime import timedelta
from typing import Any

import pytest

from suno_async import (
    AuthenticationError,
    FixedInterval,
    GenerationFailed,
    Growing,
    InstrumentalTask,
    SessionClosed,
    SunoError,
    TaskExpired,
    TaskNotFound,
    TaskStatus,
    UnexpectedError,
)
from suno_async.sandbox import (
    Call,
    Delay,
    Dialect,
    DropAfter,
    DropBefore,
    EnvelopeError,
    Fault,
    Html200,
    HttpError,
    NullRecord,
    Redirect,
    Stale,
    TaskScript,
    Truncated,
)

from .following import STAGES, STUCK, busiest, collect, names, poll_times, submitted
from .world import World, song, virtual_world

EVERY_3_S = FixedInterval(timedelta(seconds=3))
AS_OFTEN_AS_MAY_BE = FixedInterval(timedelta(0))
DAY_S = 86_400.0

PASSING: dict[str, Fault] = {
    "dropped before": DropBefore(),
    "reset before": DropBefore(reset=True),
    "dropped after": DropAfter(),
    "reset after": DropAfter(reset=True),
    "too often": EnvelopeError(429),
    "too often, as text": EnvelopeError("429"),
    "too often, with Retry-After": EnvelopeError(429, retry_after="20"),
    "too often, by the gateway": HttpError(429, html=False),
    "too often, upstream": EnvelopeError(430),
    "too often, as 405": EnvelopeError(405),
    "upstream time-out": EnvelopeError(408),
    "maintenance": EnvelopeError(455),
    "own 500": EnvelopeError(500),
    "own 500 as HTTP": EnvelopeError(500, http_status=500),
    "own 505": EnvelopeError(505),
    "bad gateway": HttpError(502),
    "unavailable": HttpError(503, html=False),
    "gateway time-out": HttpError(504),
    "gateway's 408": HttpError(408),
    "half of the JSON": Truncated(),
    "half of the body": Truncated(cut=True),
    "a page": Html200(),
    "a redirect": Redirect("http://127.0.0.1:1/"),
    "stale": Stale(),
    "no record, 422": NullRecord("422"),
    "no record, 404": NullRecord("404"),
    "no record, empty": NullRecord("empty"),
}


# --- what never ends a watch ----------------------------------------------------------------------


@pytest.mark.parametrize("fault", PASSING.values(), ids=PASSING.keys())
async def test_a_passing_failure_never_ends_a_watch(world: World, fault: Any) -> None:
    """Invariant 2: six failures in a row, from the second poll on, and every stage still comes."""
    async with world.session(cadence=EVERY_3_S) as suno:
        task = await suno.submit(song())
        await world.run(task.details())
        world.sandbox.inject(Call.DETAILS, fault, times=6)
        assert names(await world.run(collect(task))) == STAGES
    assert len(world.sandbox.ledger) == 1


@pytest.mark.parametrize("seed", range(4))
async def test_a_storm_of_failures_never_ends_a_watch(seed: int) -> None:
    """Invariant 2: with every second poll failing in some way, ten tasks all come to their end."""
    async with virtual_world(seed=seed, skip_rate=0.3, dialect="mixed") as world:
        for fault in PASSING.values():
            world.sandbox.inject(Call.DETAILS, fault, times=None, rate=0.02)
        async with world.session(cadence=EVERY_3_S) as suno:
            tasks = [await suno.submit(song()) for _ in range(10)]
            ends = await world.run(asyncio.gather(*map(collect, tasks)))
    assert [names(end) for end in ends] == [STAGES] * 10


async def test_an_unreachable_service_never_ends_a_watch(world: World) -> None:
    """Invariant 2: a service that is gone for a while is found again."""
    async with world.session(cadence=EVERY_3_S) as suno:
        task = await suno.submit(song())
        watching = asyncio.create_task(collect(task))
        await world.pass_time(10)
        await world.sandbox.stop()
        await world.pass_time(3600)
        assert not watching.done()
        await world.sandbox.start()
        assert names(await world.run(watching)) == STAGES


async def test_an_answer_that_never_comes_never_ends_a_watch(world: World) -> None:
    """Invariant 2: a poll that times out is one that failed."""
    world.sandbox.inject(Call.DETAILS, Delay(10 * DAY_S))
    async with world.session(cadence=EVERY_3_S, timeout=0.05) as suno:
        task = await suno.submit(song())
        watching = asyncio.create_task(task.result())
        while len(world.sandbox.polls) < 2:
            world.clock.advance(1)
            await asyncio.sleep(0.005)
        assert (await world.run(watching)).status == "SUCCESS"


async def test_failures_slow_a_watch_down(world: World) -> None:
    """Invariant 2: a watch that goes on through failures asks ever more rarely."""
    async with world.session(cadence=EVERY_3_S) as suno:
        task = await submitted(suno, world.sandbox, STUCK)
        world.sandbox.inject(Call.DETAILS, HttpError(502), times=None)
        watching = asyncio.create_task(task.result())
        await world.pass_time(3600)
        watching.cancel()
    assert 3600 / 30 < len(world.sandbox.polls) < 3600 / 5


async def test_failures_are_told_once_in_the_log(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """A service in trouble is one warning and one all-clear, not a line for each poll."""
    caplog.set_level(logging.INFO, "suno_async.watcher")
    world.sandbox.inject(Call.DETAILS, HttpError(502), times=5)
    async with world.session(cadence=EVERY_3_S) as suno:
        await world.run((await suno.submit(song())).result())
    assert [record.levelno for record in caplog.records] == [logging.WARNING, logging.INFO]


@pytest.mark.parametrize("retry_after", ["120", "Thu, 01 Jan 2026 00:02:00 GMT"])
async def test_a_429_slows_all_watches(world: World, retry_after: str) -> None:
    """Invariant 5: after a 429 with Retry-After nobody in the session is asked until it is over."""
    async with world.session(cadence=EVERY_3_S) as suno:
        tasks = [await submitted(suno, world.sandbox, STUCK) for _ in range(5)]
        world.sandbox.inject(Call.DETAILS, EnvelopeError(429, retry_after=retry_after))
        waiting = [asyncio.create_task(task.result()) for task in tasks]
        await world.pass_time(600)
        for wait in waiting:
            wait.cancel()
    refused = world.sandbox.polls[0].at
    later = [at for at in poll_times(world.sandbox) if at > refused]
    assert min(later) >= 119


async def test_an_old_answer_takes_nothing_back(world: World) -> None:
    """Invariants 2 and 3: a replica that lags neither repeats a stage nor takes one back."""
    async with world.session(cadence=EVERY_3_S) as suno:
        task = await suno.submit(song())
        world.sandbox.inject(Call.DETAILS, Stale(), times=None, rate=0.5)
        assert names(await world.run(collect(task))) == STAGES


async def test_a_record_that_was_lost_is_waited_for(world: World) -> None:
    """Invariant 2: once a record was seen, its absence is a lagging replica, however long."""
    async with world.session(cadence=EVERY_3_S) as suno:
        task = await submitted(suno, world.sandbox, TaskScript(stages=[("SUCCESS", 7200)]))
        watching = asyncio.create_task(task.result())
        await world.pass_time(10)
        world.sandbox.inject(Call.DETAILS, NullRecord(), times=None)
        await world.pass_time(7200)
        assert not watching.done()
        world.sandbox.clear_faults()
        assert (await world.run(watching)).status == "SUCCESS"


# --- what is new to us ----------------------------------------------------------------------------


async def test_unknown_values_and_fields_never_end_a_watch(world: World) -> None:
    """Invariant 2: statuses and fields that nobody has heard of are passed over."""
    script = TaskScript(
        stages=[("QUEUED_V9", 5), ("TEXT_SUCCESS", 20), ("MIXING", 40), ("SUCCESS", 60)],
        extra={"type": 7, "operationType": {"a": 1}, "brandNew": [1, {"deep": None}]},
        track_extra={"modelName": ["chirp-v9"], "duration": "soon", "createTime": "yesterday"},
    )
    async with world.session(cadence=EVERY_3_S) as suno:
        events = await world.run(collect(await submitted(suno, world.sandbox, script)))
    assert names(events) == STAGES
    assert events[-1].details.raw["brandNew"] == [1, {"deep": None}]
    assert len(events[-1].tracks) == 2


async def test_finished_audio_under_an_unknown_status_is_complete(world: World) -> None:
    """Invariant 2: two tracks with audio are a complete task, whatever its status is called."""
    async with world.session(cadence=EVERY_3_S) as suno:
        task = await submitted(suno, world.sandbox, TaskScript(stages=[("PUBLISHED", 30, 2)]))
        events = await world.run(collect(task))
    assert names(events) == STAGES
    assert events[-1].details.status == "PUBLISHED"


async def test_a_surprise_reaches_the_readers(world: World) -> None:
    """What nobody foresaw ends the watch with an error that names the task, never with a hang."""

    class Broken(FixedInterval):
        def learn(self, *args: Any, **kwargs: Any) -> None:
            raise ZeroDivisionError("a bug")

    async with world.session(cadence=Broken(3)) as suno:
        task = await suno.submit(song())
        with pytest.raises(UnexpectedError, match=f"a bug .*{task.task_id}") as caught:
            await world.run(task.result())
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


# --- CALLBACK_EXCEPTION ---------------------------------------------------------------------------


async def test_callback_exception_with_audio_is_success(world: World) -> None:
    """Invariant 2: CALLBACK_EXCEPTION with finished audio is a complete task."""
    script = TaskScript(stages=[("TEXT_SUCCESS", 20), ("CALLBACK_EXCEPTION", 60, 2)])
    async with world.session(cadence=EVERY_3_S) as suno:
        events = await world.run(collect(await submitted(suno, world.sandbox, script)))
    assert names(events) == STAGES
    assert events[-1].details.status == TaskStatus.CALLBACK_EXCEPTION
    assert all(track.audio_url for track in events[-1].tracks)


@pytest.mark.parametrize("finished", [0, 1])
async def test_callback_exception_without_audio_may_still_finish(
    world: World, finished: int
) -> None:
    """Invariant 2: CALLBACK_EXCEPTION while audio is missing is no verdict: it is waited for."""
    script = TaskScript(stages=[("CALLBACK_EXCEPTION", 60, finished), ("SUCCESS", 3000)])
    async with world.session(cadence=EVERY_3_S) as suno:
        events = await world.run(collect(await submitted(suno, world.sandbox, script)))
    assert names(events) == STAGES
    assert events[-1].details.status == "SUCCESS"


async def test_callback_exception_without_audio_fails_after_an_hour(world: World) -> None:
    """CALLBACK_EXCEPTION that never gets audio ends as a failed generation, after an hour."""
    script = TaskScript(stages=[("TEXT_SUCCESS", 20), ("CALLBACK_EXCEPTION", 60)])
    async with world.session(cadence=EVERY_3_S) as suno:
        task = await submitted(suno, world.sandbox, script)
        seen: list[Any] = []
        with pytest.raises(GenerationFailed, match="CALLBACK_EXCEPTION") as caught:
            await world.run(collect(task, seen))
        age = world.clock.now() - task.submitted_at
    assert caught.value.task_id == task.task_id
    assert names(seen) == ["text"]
    assert timedelta(hours=1) < age < timedelta(hours=1, minutes=3)


# --- the first minute -----------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["422", "404", "empty"])
async def test_a_record_may_lag_behind_for_a_minute(form: Any) -> None:
    """Invariant 2: a new task whose record is not there yet is pending."""
    dialect = Dialect(missing_record=form)
    lagging = virtual_world(record_lag_s=55, dialect=dialect)
    async with lagging as world, world.session(cadence=EVERY_3_S) as suno:
        assert names(await world.run(collect(await suno.submit(song())))) == STAGES
    assert world.sandbox.polls[0].at < 55


async def test_an_unknown_task_is_reported_after_a_minute(world: World) -> None:
    """An id without record ends with TaskNotFound, a minute after it was attached."""
    async with world.session(cadence=EVERY_3_S) as suno:
        task = suno.task("no-such-task")
        with pytest.raises(TaskNotFound, match="no-such-task"):
            await world.run(task.result())
    assert 60 <= world.clock.monotonic() < 64


async def test_an_unknown_task_with_a_date_is_reported_at_once(world: World) -> None:
    """An id that was submitted long ago and has no record is unknown at the first look."""
    async with world.session(cadence=EVERY_3_S) as suno:
        task = suno.task("no-such-task", world.clock.now() - timedelta(hours=1))
        with pytest.raises(TaskNotFound):
            await world.run(task.result())
    assert len(world.sandbox.polls) == 1


async def test_a_gateways_404_is_not_believed(world: World) -> None:
    """Invariant 2: only the service's own envelope can say that there is no record."""
    async with world.session(cadence=EVERY_3_S) as suno:
        submitted_at = world.clock.now()
        task_id = (await suno.submit(song())).task_id
    await world.pass_time(3600)
    async with world.session(cadence=EVERY_3_S) as suno:
        world.sandbox.inject(Call.DETAILS, HttpError(404), times=3)
        assert (await world.run(suno.task(task_id, submitted_at).result())).status == "SUCCESS"


async def test_a_task_that_was_not_found_can_be_attached_again(world: World) -> None:
    """Invariant 2: TaskNotFound does not stick: attached again, the task is asked for again."""
    async with virtual_world(record_lag_s=90) as world, world.session(cadence=EVERY_3_S) as suno:
        task = await suno.submit(song())
        with pytest.raises(TaskNotFound):
            await world.run(task.result())
        await world.pass_time(60)
        again = suno.task(task.task_id, task.submitted_at)
        assert (await world.run(again.result())).status == "SUCCESS"


# --- a key that is refused ------------------------------------------------------------------------


async def test_a_refused_key_ends_a_watch(world: World) -> None:
    """A 401 ends a watch at once, with the task id: looking again would not help."""
    async with world.session(cadence=EVERY_3_S) as suno:
        task = await suno.submit(song())
        world.sandbox.inject(Call.DETAILS, EnvelopeError(401, "bad key"), times=None)
        with pytest.raises(AuthenticationError, match=f"bad key .*{task.task_id}") as caught:
            await world.run(task.result())
        assert caught.value.task_id == task.task_id
        assert len(world.sandbox.polls) == 1
        world.sandbox.clear_faults()
        again = suno.task(task.task_id, task.submitted_at)
        assert (await world.run(again.result())).status == "SUCCESS"


# --- fourteen days --------------------------------------------------------------------------------


async def test_a_stuck_task_expires_after_fourteen_days(world: World) -> None:
    """Invariant 4: a watch ends after 14 days with TaskExpired, on any clock."""
    async with world.session() as suno:
        task = await submitted(suno, world.sandbox, STUCK)
        with pytest.raises(TaskExpired, match=task.task_id) as caught:
            await world.run(task.result())
        assert caught.value.expired_at == task.expires_at
        assert timedelta(0) <= world.clock.now() - task.expires_at < timedelta(seconds=1)


async def test_an_attached_task_expires_by_its_own_date(world: World) -> None:
    """Invariant 4: a task attached from a stored id and time has 14 days from that time."""
    async with world.session() as suno:
        stored = await submitted(suno, world.sandbox, STUCK)
        task_id, submitted_at = stored.task_id, stored.submitted_at
    await world.pass_time(10 * DAY_S)
    async with world.session() as suno:
        task = suno.task(task_id, submitted_at)
        assert task.expires_at == submitted_at + timedelta(days=14)
        with pytest.raises(TaskExpired):
            await world.run(task.result())
    assert world.clock.monotonic() == pytest.approx(14 * DAY_S, abs=2)


async def test_an_attached_task_without_date_has_fourteen_days(world: World) -> None:
    """Invariant 4: without a stored time, 14 days from the attaching are assumed to be left."""
    async with world.session() as suno:
        task_id = (await submitted(suno, world.sandbox, STUCK)).task_id
    async with world.session() as suno:
        task = suno.task(task_id)
        assert task.expires_at == world.clock.now() + timedelta(days=14)


async def test_a_date_given_later_counts(world: World) -> None:
    """Invariant 4: a stored time is taken even if the task was looked at without one before."""
    async with world.session() as suno:
        task = await suno.submit(song())
    await world.pass_time(5 * DAY_S)
    async with world.session() as suno:
        await world.run(suno.details(task.task_id))
        assert suno.task(task.task_id, task.submitted_at).expires_at == task.expires_at


async def test_an_expired_task_is_not_asked_for(world: World) -> None:
    """Invariant 4: what is older than 14 days is expired at once, without a poll."""
    async with world.session() as suno:
        task = suno.task("old", world.clock.now() - timedelta(days=14))
        for wait in (task.result(), collect(task)):
            with pytest.raises(TaskExpired):
                await world.run(wait)
    assert world.sandbox.polls == []


@pytest.mark.parametrize("minutes", [30, 9, 5, 2, 1])
@pytest.mark.parametrize("cadence", [Growing(), FixedInterval(timedelta(days=1)), None])
async def test_a_late_completion_is_still_caught(
    world: World, minutes: float, cadence: Any
) -> None:
    """Invariant 4: a task that completes minutes before it expires is not missed."""
    done_s = 14 * DAY_S - minutes * 60
    async with world.session(cadence=cadence) as suno:
        task = await submitted(suno, world.sandbox, TaskScript(stages=[("SUCCESS", done_s)]))
        assert (await world.run(task.result())).status == "SUCCESS"
        assert world.clock.now() < task.expires_at


async def test_a_stuck_task_is_asked_ever_more_rarely(world: World) -> None:
    """Invariant 4: fourteen days of watching cost a few thousand polls at most."""
    async with world.session() as suno:
        task = await submitted(suno, world.sandbox, STUCK)
        with pytest.raises(TaskExpired):
            await world.run(task.result())
    assert len(world.sandbox.polls) < 3000


# --- politeness -----------------------------------------------------------------------------------


async def _look_for_ever(task: InstrumentalTask) -> None:
    while True:
        await task.details()


async def _for_a_while(world: World, *work: Awaitable[Any]) -> None:
    """Let work go on for 20 s of virtual time, then stop it."""
    running = [asyncio.ensure_future(each) for each in work]
    await world.pass_time(20)
    for each in running:
        assert not each.done()
        each.cancel()
    await asyncio.gather(*running, return_exceptions=True)


async def test_one_impatient_reader_stays_polite(world: World) -> None:
    """Invariant 5: no cadence makes a task be asked more than 3 times a second."""
    async with world.session(cadence=AS_OFTEN_AS_MAY_BE) as suno:
        task = await submitted(suno, world.sandbox, STUCK)
        await _for_a_while(world, task.result())
    assert len(world.sandbox.polls) > 40
    assert busiest(poll_times(world.sandbox), 1.0) <= 3


async def test_everybody_together_stays_polite(world: World) -> None:
    """Invariant 5: readers, results and loops of looks at a task make 3 polls a second at most."""
    async with world.session(cadence=AS_OFTEN_AS_MAY_BE) as suno:
        task = await submitted(suno, world.sandbox, STUCK)

        async def details_for_ever() -> None:
            while True:
                await suno.details(task.task_id)

        async def attach_for_ever() -> None:
            while True:
                await suno.task(task.task_id, task.submitted_at).details()

        loops = [_look_for_ever(task), _look_for_ever(task), details_for_ever(), attach_for_ever()]
        await _for_a_while(world, task.result(), collect(task), collect(task), *loops)
    assert len(world.sandbox.polls) > 40
    assert busiest(poll_times(world.sandbox), 1.0) <= 3


async def test_looks_that_forget_the_task_stay_polite(world: World) -> None:
    """Invariant 5: the limit holds although nothing but the session remembers the task."""
    async with world.session() as suno:
        task_id = (await submitted(suno, world.sandbox, STUCK)).task_id

        async def details_for_ever() -> None:
            while True:
                await suno.details(task_id)

        await _for_a_while(world, details_for_ever(), details_for_ever())
    assert busiest(poll_times(world.sandbox), 1.0) <= 3


@pytest.mark.parametrize("fault", [EnvelopeError(401), NullRecord(), DropBefore(), HttpError(502)])
async def test_failing_looks_stay_polite(world: World, fault: Any) -> None:
    """Invariant 5: attaching again after every error does not get around the limit."""
    async with world.session(cadence=AS_OFTEN_AS_MAY_BE) as suno:
        stored = await submitted(suno, world.sandbox, STUCK)
        await world.pass_time(120)
        world.sandbox.inject(Call.DETAILS, fault, times=None)

        async def attach_for_ever() -> None:
            while True:
                try:
                    await suno.task(stored.task_id, stored.submitted_at).result()
                except SunoError as error:
                    assert not isinstance(error, SessionClosed)  # noqa: PT017

        await _for_a_while(world, attach_for_ever(), attach_for_ever())
    assert busiest(poll_times(world.sandbox), 1.0) <= 3


@pytest.mark.parametrize("budget", [1, 5, 12.5])
async def test_the_budget_holds_in_any_window(world: World, budget: float) -> None:
    """Invariant 5: polls_per_second is never exceeded, in no window, by whatever asks."""
    async with (
        virtual_world(submissions_per_window=None) as world,
        world.session(
            cadence=AS_OFTEN_AS_MAY_BE, polls_per_second=budget, submissions_per_window=(99, 1)
        ) as suno,
    ):
        tasks = [await submitted(suno, world.sandbox, STUCK) for _ in range(20)]
        work = [*(task.result() for task in tasks), *map(_look_for_ever, tasks[:3])]
        await _for_a_while(world, *work)
    times = poll_times(world.sandbox)
    assert len(times) >= 20 * budget * 0.9
    for window_s in (1 / budget, 2 / budget, 1.0, 10.0):
        assert busiest(times, window_s) <= -(-budget * window_s // 1)


async def test_a_small_budget_starves_nobody(world: World) -> None:
    """Invariant 5: with fewer polls than wishes, every task is looked at about as often."""
    async with world.session(cadence=EVERY_3_S, polls_per_second=1) as suno:
        tasks = [await submitted(suno, world.sandbox, STUCK) for _ in range(10)]
        waiting = [asyncio.create_task(task.result()) for task in tasks]
        await world.pass_time(200)
        for wait in waiting:
            wait.cancel()
    counts = [world.sandbox.poll_count(task.task_id) for task in tasks]
    assert min(counts) >= 0.8 * max(counts) > 0


async def test_more_tasks_than_pollers_are_all_watched() -> None:
    """Two hundred tasks share the pollers, and all of them come to their end."""
    async with (
        virtual_world(submissions_per_window=None) as world,
        world.session(cadence=EVERY_3_S, submissions_per_window=(999, 1)) as suno,
    ):
        tasks = [await suno.submit(song()) for _ in range(200)]
        ends = await world.run(asyncio.gather(*(task.result() for task in tasks)))
    assert {end.status for end in ends} == {TaskStatus.SUCCESS}
