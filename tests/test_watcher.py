"""Watching: what goes wrong never ends it, fourteen days do, and it stays polite throughout."""

import asyncio
import logging
import math
from collections.abc import AsyncIterable
from datetime import timedelta
from typing import Any

import aiohttp
import pytest

from suno_async import (
    ApiError,
    AuthenticationError,
    ContentRejected,
    FixedInterval,
    GenerationFailed,
    Growing,
    InsufficientCredits,
    Outcome,
    SessionClosed,
    SourceUnavailable,
    SunoError,
    TaskExpired,
    TaskNotFound,
    TaskStatus,
    UnexpectedError,
)
from suno_async.errors import AudioMissing
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

from .following import (
    STAGES,
    STUCK,
    busiest,
    collect,
    for_a_while,
    look_for_ever,
    names,
    poll_times,
    record,
    submitted,
    two_tracks,
)
from .world import World, close_hidden, read_request, song, tcp_service, virtual_world

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


@pytest.mark.parametrize("retry_after", ["2592000", "1893456000"], ids=["a month", "the year 2030"])
async def test_a_pause_beyond_patience_blinds_no_watch(world: World, retry_after: str) -> None:
    """Invariants 2 and 4: one such answer neither hides a result nor lets a task never expire."""
    async with world.session(cadence=FixedInterval(timedelta(hours=6))) as suno:
        tasks = [await submitted(suno, world.sandbox, script) for script in (STUCK, TaskScript())]
        world.sandbox.inject(Call.DETAILS, EnvelopeError(429, retry_after=retry_after))
        stuck, running = (asyncio.create_task(task.result()) for task in tasks)
        await world.pass_time(86_400)
        assert len(running.result().tracks) == 2
        await world.pass_time(13 * 86_400 + 700)
        with pytest.raises(TaskExpired):
            await stuck


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


class Odd(FixedInterval):
    """A cadence that does something odd for the tasks of one model."""

    def __init__(self, answer: Any) -> None:
        super().__init__(3)
        object.__setattr__(self, "answer", answer)

    def gap_s(self, *args: Any, model: str, **kwargs: Any) -> float:
        """Answer oddly for V5."""
        if model != "V5":
            return 3.0
        answer = self.answer  # type: ignore[attr-defined]  # FixedInterval has slots
        if isinstance(answer, Exception):
            raise answer
        return float(answer) if isinstance(answer, float) else answer


@pytest.mark.parametrize(
    "answer",
    [ZeroDivisionError("a bug"), math.nan, math.inf, -math.inf, -5.0, 0.0, 1e300, None, "soon"],
    ids=repr,
)
async def test_a_cadence_may_do_anything(world: World, answer: Any) -> None:
    """Invariant 8: its tasks are watched all the same, politely, and so are all others."""
    async with world.session(cadence=Odd(answer)) as suno:
        odd = await suno.submit(song(model="V5"))
        others = [await suno.submit(song()) for _ in range(3)]
        ends = await world.run(asyncio.gather(*map(collect, [odd, *others])))
    assert [names(end) for end in ends] == [STAGES] * 4
    assert busiest(poll_times(world.sandbox, odd.task_id), 1.0) <= 3
    ages_s = [(end[-1].observed_at - odd.submitted_at).total_seconds() for end in ends[1:]]
    assert max(ages_s) <= 134


async def test_a_cadence_that_cannot_learn_is_warned_of_once(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """Invariants 2 and 8: what a task reached is delivered, whatever the cadence makes of it."""

    class Broken(FixedInterval):
        def learn(self, *args: Any, **kwargs: Any) -> None:
            raise ZeroDivisionError("a bug")

    async with world.session(cadence=Broken(3)) as suno:
        assert names(await world.run(collect(await suno.submit(song())))) == STAGES
    assert ["a bug" in record.getMessage() for record in caplog.records] == [True]


async def test_a_surprise_reaches_the_readers_when_it_persists(world: World) -> None:
    """What nobody foresaw ends the watch with an error that names the task, never with a hang."""
    broken = False

    async def hook(_: object, __: object, told: object) -> None:
        if broken:
            close_hidden(told)
            raise ZeroDivisionError("a bug")

    tracing = aiohttp.TraceConfig()
    tracing.on_request_end.append(hook)
    async with (
        aiohttp.ClientSession(trace_configs=[tracing]) as theirs,
        world.session(cadence=EVERY_3_S, client_session=theirs) as suno,
    ):
        task = await submitted(suno, world.sandbox, STUCK)
        broken = True
        with pytest.raises(UnexpectedError, match="a bug") as caught:
            await world.run(task.result())
    assert any(task.task_id in note for note in caught.value.__notes__)
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
    assert world.clock.monotonic() >= 60


# --- CALLBACK_EXCEPTION ---------------------------------------------------------------------------


async def test_callback_exception_with_audio_is_success(world: World) -> None:
    """Invariant 2: CALLBACK_EXCEPTION with finished audio is a complete task."""
    script = TaskScript(stages=[("TEXT_SUCCESS", 20), ("CALLBACK_EXCEPTION", 60, 2)])
    async with world.session(cadence=EVERY_3_S) as suno:
        events = await world.run(collect(await submitted(suno, world.sandbox, script)))
    assert names(events) == STAGES
    assert events[-1].details.status == TaskStatus.CALLBACK_EXCEPTION
    assert all(track.audio_url for track in events[-1].tracks)


@pytest.mark.parametrize("status", ["CALLBACK_EXCEPTION", "SUCCESS"])
@pytest.mark.parametrize("finished", [0, 1])
async def test_audio_that_is_missing_may_still_come(
    world: World, finished: int, status: str
) -> None:
    """Invariant 3: without all the audio nothing is complete: it is waited for."""
    script = TaskScript(stages=[(status, 60, finished), (status, 600, 2)])
    async with world.session(cadence=EVERY_3_S) as suno:
        events = await world.run(collect(await submitted(suno, world.sandbox, script)))
    assert names(events) == STAGES
    assert [bool(track.audio_url) for track in events[-1].tracks] == [True, True]
    assert world.clock.monotonic() >= 600


@pytest.mark.parametrize("status", ["CALLBACK_EXCEPTION", "SUCCESS"])
async def test_a_task_without_audio_is_not_ok(world: World, status: str) -> None:
    """Invariant 3: after ten minutes of looks it ends as AudioMissing, in a batch too."""
    script = TaskScript(stages=[("TEXT_SUCCESS", 20), (status, 60, 0)])
    async with world.session(cadence=EVERY_3_S) as suno:
        task = await submitted(suno, world.sandbox, script)
        seen: list[Any] = []
        with pytest.raises(AudioMissing) as caught:
            await world.run(collect(task, seen))
        assert timedelta(minutes=10) < world.clock.now() - task.submitted_at < timedelta(minutes=13)
        world.sandbox.script(script)
        outcomes = await world.run(_all(suno.generate_many([song()])))
    assert caught.value.task_id == task.task_id
    assert caught.value.details is not None
    assert caught.value.details.status == status
    assert names(seen) == ["text"]
    assert [outcome.ok for outcome in outcomes] == [False]


async def _all(outcomes: AsyncIterable[Outcome]) -> list[Outcome]:
    return [outcome async for outcome in outcomes]


@pytest.mark.parametrize("status", ["CALLBACK_EXCEPTION", "SUCCESS"])
async def test_what_has_audio_is_delivered_in_the_end(world: World, status: str) -> None:
    """Invariant 3: one of two tracks never gets its audio: the other one is the result."""
    script = TaskScript(stages=[(status, 60, 1)])
    async with world.session(cadence=EVERY_3_S) as suno:
        task = await submitted(suno, world.sandbox, script)
        details = await world.run(task.result())
        events = await collect(task)
    assert timedelta(minutes=10) < world.clock.now() - task.submitted_at < timedelta(minutes=13)
    assert [bool(track.audio_url) for track in details.tracks] == [True]
    assert events[-1].tracks == details.tracks


async def test_audio_that_was_given_up_is_found_by_a_look(world: World) -> None:
    """Invariant 2: when the second track comes after all, the result has it from then on."""
    script = TaskScript(stages=[("SUCCESS", 60, 1), ("SUCCESS", 2000, 2)])
    async with world.session(cadence=EVERY_3_S) as suno:
        task = await submitted(suno, world.sandbox, script)
        assert len((await world.run(task.result())).tracks) == 1
        await world.pass_time(2000)
        looked = await world.run(task.details())
        assert len(looked.tracks) == 2
        assert await task.result() == looked


# --- what single answers say, and what persists ---------------------------------------------------


STRAY: dict[str, Fault] = {
    "401": EnvelopeError(401),
    "401 of a gateway": HttpError(401),
    "402": EnvelopeError(402),
    "403": EnvelopeError(403),
    "403 of a gateway": HttpError(403),
    "404 of a gateway": HttpError(404),
    "409": EnvelopeError(409),
    "429 that speaks of credits": EnvelopeError(429, "Your balance is not enough"),
    "451": EnvelopeError(451),
    "777": EnvelopeError(777),
    "code 0": EnvelopeError(0),
    "recordInfo is null": NullRecord("422"),
    "no record, 404": NullRecord("404"),
    "no record, empty": NullRecord("empty"),
}


@pytest.mark.parametrize("fault", STRAY.values(), ids=STRAY.keys())
async def test_a_stray_answer_ends_nothing(world: World, fault: Any) -> None:
    """Invariant 2: not a watch of a task of days, and no look at once: it is asked again."""
    async with world.session(cadence=EVERY_3_S) as suno:
        task_id = (await suno.submit(song())).task_id
    async with world.session(cadence=EVERY_3_S) as suno:
        task = suno.task(task_id, world.clock.now() - timedelta(days=2))
        world.sandbox.inject(Call.DETAILS, fault, times=2)
        assert names(await world.run(collect(task))) == STAGES
        world.sandbox.inject(Call.DETAILS, fault, times=2)
        assert (await world.run(suno.task(task_id).details())).status == "SUCCESS"


PERSISTENT: dict[str, tuple[Fault, type[SunoError]]] = {
    "401": (EnvelopeError(401), AuthenticationError),
    "402": (EnvelopeError(402), InsufficientCredits),
    "403": (EnvelopeError(403), ApiError),
    "451": (EnvelopeError(451), SourceUnavailable),
    "777": (EnvelopeError(777), ApiError),
    "recordInfo is null": (NullRecord("422"), TaskNotFound),
    "no record, empty": (NullRecord("empty"), TaskNotFound),
}


@pytest.mark.parametrize(("fault", "kind"), PERSISTENT.values(), ids=PERSISTENT.keys())
@pytest.mark.parametrize("cadence", [EVERY_3_S, FixedInterval(timedelta(hours=6)), None])
async def test_what_persists_ends_a_watch(
    world: World, fault: Any, kind: type[SunoError], cadence: Any
) -> None:
    """Invariant 2: for a minute and three looks, which come soon also where looks are rare."""
    async with world.session(cadence=cadence) as suno:
        task = suno.task("t1", world.clock.now() - timedelta(days=2))
        world.sandbox.inject(Call.DETAILS, fault, times=None)
        with pytest.raises(kind, match="t1") as caught:
            await world.run(task.result())
        assert getattr(caught.value, "task_id", None) == "t1"
    times = poll_times(world.sandbox)
    assert 60 <= times[-1] - times[0] <= 82
    assert len(times) >= 3


async def test_a_good_answer_settles_a_doubt(world: World) -> None:
    """Invariant 2: refusals that a good answer comes between never add up."""
    async with world.session(cadence=EVERY_3_S) as suno:
        task = await submitted(suno, world.sandbox, TaskScript(stages=[("SUCCESS", 600)]))
        watching = asyncio.create_task(collect(task))
        for _ in range(10):
            world.sandbox.inject(Call.DETAILS, EnvelopeError(401), times=16)
            await world.pass_time(55)
            world.sandbox.clear_faults()
            await world.pass_time(4)
        assert names(await world.run(watching)) == STAGES


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        ("PENDING", 413, ContentRejected),
        ("TEXT_SUCCESS", "531", GenerationFailed),
        ("MIXING", 531, GenerationFailed),
        (None, 501, GenerationFailed),
        ("FAILED", None, GenerationFailed),
        ("GENERATING", 400, ContentRejected),
    ],
)
async def test_a_failure_may_hide_under_a_status_that_lingers(
    world: World, status: Any, code: Any, kind: type[GenerationFailed]
) -> None:
    """Invariant 2: its code counts once it has persisted, and not before."""
    extra = {"status": status, "errorCode": code, "errorMessage": "because"}
    async with world.session(cadence=EVERY_3_S) as suno:
        task = await submitted(suno, world.sandbox, TaskScript(stages=(), extra=extra))
        with pytest.raises(kind, match=task.task_id) as caught:
            await world.run(task.result())
    assert caught.value.error_message == "because"
    assert caught.value.refunded is (str(code) == "531")
    assert len(world.sandbox.polls) >= 3
    assert world.clock.monotonic() >= 60


@pytest.mark.parametrize("code", [0, "0", "", None])
async def test_a_code_that_says_nothing_ends_nothing(world: World, code: Any) -> None:
    """Invariant 2: 0 and empty text are no failures."""
    script = TaskScript(stages=[("SUCCESS", 300)], extra={"errorCode": code, "errorMessage": ""})
    async with world.session(cadence=EVERY_3_S) as suno:
        assert (
            names(await world.run(collect(await submitted(suno, world.sandbox, script)))) == STAGES
        )


@pytest.mark.parametrize("status", ["PENDING", None, "MIXING", "GENERATING", "TEXT_SUCCESS"])
async def test_two_finished_tracks_are_complete_under_any_status(
    world: World, status: str | None
) -> None:
    """Invariant 2: after three looks, since it was paid for and nothing else may come."""
    extra = {"status": status, "response": two_tracks()}
    async with world.session(cadence=EVERY_3_S) as suno:
        task = await submitted(suno, world.sandbox, TaskScript(stages=(), extra=extra))
        events = await world.run(collect(task))
    assert names(events) == STAGES
    assert len(events[-1].tracks) == 2
    assert len(world.sandbox.polls) == 3


async def test_a_failed_task_gives_what_it_had_finished(world: World) -> None:
    """Invariant 2: a track that was finished before is in the error, if the failure shows none."""
    script = TaskScript(stages=[("FIRST_SUCCESS", 30), ("GENERATE_AUDIO_FAILED", 60, 0)])
    async with world.session(cadence=EVERY_3_S) as suno:
        task = await submitted(suno, world.sandbox, script)
        with pytest.raises(GenerationFailed) as caught:
            await world.run(task.result())
    assert [bool(track.audio_url) for track in caught.value.tracks] == [True]


@pytest.mark.parametrize("status", ["SUCCESS", "GENERATE_AUDIO_FAILED"])
async def test_the_record_of_another_task_is_never_believed(world: World, status: str) -> None:
    """Invariant 2: neither its tracks nor its refund: a look at it says nothing."""
    asked: list[float] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await read_request(reader)
            asked.append(world.clock.monotonic())
            body = record("another", status, response=two_tracks(), errorCode=531)
            if len(asked) == 3:
                body = record("t1", "TEXT_SUCCESS")
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
            await writer.drain()

    async with (
        tcp_service(serve) as service,
        world.session(base_url=service.base_url, cadence=EVERY_3_S) as suno,
    ):
        task = suno.task("t1", world.clock.now())
        seen: list[Any] = []
        watching = asyncio.create_task(collect(task, seen))
        while not watching.done():
            world.clock.advance(1)
            await asyncio.sleep(0.002)
        with pytest.raises(TaskNotFound, match="t1"):
            await watching
    assert names(seen) == ["text"]
    assert asked[-1] - asked[2] >= 60


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


async def test_an_unknown_task_with_a_date_is_reported_after_a_minute(world: World) -> None:
    """An id that was submitted long ago is unknown when no record of it comes for a minute."""
    async with world.session(cadence=EVERY_3_S) as suno:
        task = suno.task("no-such-task", world.clock.now() - timedelta(hours=1))
        with pytest.raises(TaskNotFound):
            await world.run(task.result())
    assert 60 <= world.clock.monotonic() < 64


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
    """A 401 that persists ends a watch, with the task id; attached again, it is asked again."""
    async with world.session(cadence=EVERY_3_S) as suno:
        task = await submitted(suno, world.sandbox, TaskScript(stages=[("SUCCESS", 300)]))
        world.sandbox.inject(Call.DETAILS, EnvelopeError(401, "bad key"), times=None)
        with pytest.raises(AuthenticationError, match=f"bad key .*{task.task_id}") as caught:
            await world.run(task.result())
        assert caught.value.task_id == task.task_id
        assert 60 <= world.clock.monotonic() <= 66
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


async def test_one_impatient_reader_stays_polite(world: World) -> None:
    """Invariant 5: no cadence makes a task be asked more than 3 times a second."""
    async with world.session(cadence=AS_OFTEN_AS_MAY_BE) as suno:
        task = await submitted(suno, world.sandbox, STUCK)
        await for_a_while(world, task.result())
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

        loops = [look_for_ever(task), look_for_ever(task), details_for_ever(), attach_for_ever()]
        await for_a_while(world, task.result(), collect(task), collect(task), *loops)
    assert len(world.sandbox.polls) > 40
    assert busiest(poll_times(world.sandbox), 1.0) <= 3


async def test_looks_that_forget_the_task_stay_polite(world: World) -> None:
    """Invariant 5: the limit holds although nothing but the session remembers the task."""
    async with world.session() as suno:
        task_id = (await submitted(suno, world.sandbox, STUCK)).task_id

        async def details_for_ever() -> None:
            while True:
                await suno.details(task_id)

        await for_a_while(world, details_for_ever(), details_for_ever())
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

        await for_a_while(world, attach_for_ever(), attach_for_ever())
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
        work = [*(task.result() for task in tasks), *map(look_for_ever, tasks[:3])]
        await for_a_while(world, *work)
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
