"""Batches: any iterable, outcomes as they finish, and one failure that never stops the others."""

import asyncio
import gc
import itertools
import logging
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import aclosing
from datetime import timedelta
from typing import Any

import pytest
from aiohttp import web

from suno_async import (
    AddInstrumentalRequest,
    AuthenticationError,
    BatchProgress,
    ContentRejected,
    FixedInterval,
    GenerationFailed,
    InsufficientCredits,
    InvalidRequest,
    NotSubmitted,
    Outcome,
    RetryPolicy,
    SourceUnavailable,
    SubmissionUncertain,
    SunoSession,
    UnexpectedError,
    ValidationFailed,
)
from suno_async.errors import AudioMissing
from suno_async.sandbox import (
    Call,
    DropAfter,
    EnvelopeError,
    HttpError,
    Sandbox,
    TaskScript,
    Timings,
)

from .following import busiest, nothing_left, open_files, poll_times, resident_bytes, running
from .waiting import until
from .world import EAGER, World, session_for, song, virtual_world

EVERY_3_S = FixedInterval(timedelta(seconds=3))


# --- helpers --------------------------------------------------------------------------------------


class Pulled:
    """An endless iterable that counts what was pulled from it."""

    def __init__(self, limit: int | None = None) -> None:
        self.count = 0
        self._limit = limit

    def __iter__(self) -> Iterator[AddInstrumentalRequest]:
        while self._limit is None or self.count < self._limit:
            self.count += 1
            yield song(title=f"song {self.count - 1}")


class PulledAsync(Pulled):
    """The same, as an async iterable only."""

    __iter__ = None  # type: ignore[assignment]

    async def __aiter__(self) -> AsyncIterator[AddInstrumentalRequest]:
        for request in Pulled.__iter__(self):
            await asyncio.sleep(0)
            yield request


def songs(count: int) -> list[AddInstrumentalRequest]:
    """Make so many requests with titles of their own."""
    return [song(title=f"song {number}") for number in range(count)]


async def outcomes(suno: SunoSession, requests: Any, **options: Any) -> list[Outcome]:
    """Take all outcomes of a batch."""
    return [outcome async for outcome in suno.generate_many(requests, **options)]


def by_position(ended: Iterable[Outcome]) -> list[Outcome]:
    """Sort outcomes by their requests."""
    return sorted(ended, key=lambda outcome: outcome.position)


# --- what goes in, what comes out -----------------------------------------------------------------


@pytest.mark.parametrize(
    "form",
    [list, tuple, iter, lambda requests: (r for r in requests), lambda _: PulledAsync(7)],
    ids=["list", "tuple", "iterator", "generator", "async iterable"],
)
async def test_any_iterable_will_do(
    world: World, form: Callable[[list[AddInstrumentalRequest]], Any]
) -> None:
    """Each request of any kind of iterable becomes one outcome with both tracks."""
    async with world.session(cadence=EVERY_3_S) as suno:
        ended = await world.run(outcomes(suno, form(songs(7))))
    assert [outcome.position for outcome in by_position(ended)] == list(range(7))
    assert all(outcome.ok and len(outcome.tracks) == 2 for outcome in ended)
    assert len(world.sandbox.ledger) == 7


async def test_nothing_to_do_is_done(world: World) -> None:
    """An empty batch yields nothing and sends nothing."""
    async with world.session() as suno:
        assert await outcomes(suno, []) == []
    assert world.sandbox.requests == []


@pytest.mark.parametrize("requests", [None, 7, song()])
async def test_what_cannot_be_iterated_is_refused(world: World, requests: Any) -> None:
    """What is no iterable is refused at the call, by name."""
    async with world.session() as suno:
        with pytest.raises(InvalidRequest, match="requests must be an iterable"):
            suno.generate_many(requests)


async def test_outcomes_come_as_they_finish(world: World) -> None:
    """The first to finish is the first to come, with its own position, request and task id."""
    ends_s = [300, 100, 200]
    world.sandbox.script(*(TaskScript(stages=[("SUCCESS", end)]) for end in ends_s))
    requests = songs(3)
    async with world.session(cadence=EVERY_3_S, max_concurrent_submissions=1) as suno:
        ended = await world.run(outcomes(suno, requests))
    assert [outcome.position for outcome in ended] == [1, 2, 0]
    for outcome in ended:
        assert outcome.request is requests[outcome.position]
        task = world.sandbox.tasks[str(outcome.task_id)]
        assert task.request["title"] == outcome.request.title
        assert outcome.details is not None
        assert outcome.details.task_id == outcome.task_id


# --- one failure never stops the others -----------------------------------------------------------


async def test_one_failure_of_each_kind_stops_no_other(world: World) -> None:
    """Refusals, failures, uncertain submissions and nonsense each end alone."""
    faults: list[Any] = [
        EnvelopeError(451),
        EnvelopeError(422, "too long"),
        EnvelopeError(500),
        DropAfter(),
        HttpError(504, processed=True),
    ]
    kinds = [
        SourceUnavailable,
        ValidationFailed,
        SubmissionUncertain,
        SubmissionUncertain,
        SubmissionUncertain,
        GenerationFailed,
        ContentRejected,
        type(None),
        InvalidRequest,
        InvalidRequest,
        type(None),
    ]
    for fault in faults:
        world.sandbox.inject(Call.SUBMIT, fault)
    good = TaskScript(stages=[("SUCCESS", 60)])
    world.sandbox.script(
        good,
        good,
        TaskScript(stages=[("GENERATE_AUDIO_FAILED", 60)]),
        TaskScript(stages=[("SENSITIVE_WORD_ERROR", 60)]),
        good,
        good,
    )
    requests = [*songs(8), "no request", None, song()]
    async with world.session(cadence=EVERY_3_S, max_concurrent_submissions=1) as suno:
        ended = by_position(await world.run(outcomes(suno, requests)))
    assert [type(outcome.error) for outcome in ended] == kinds
    assert [outcome.ok for outcome in ended] == [kind is type(None) for kind in kinds]
    paid = [outcome.position for outcome in ended if outcome.task_id]
    assert paid == [5, 6, 7, 10]


async def test_a_failed_task_keeps_what_it_had(world: World) -> None:
    """The outcome of a failed task has its id, its last details and the track it finished."""
    script = TaskScript(stages=[("FIRST_SUCCESS", 20), ("GENERATE_AUDIO_FAILED", 60)])
    world.sandbox.script(script)
    async with world.session(cadence=EVERY_3_S) as suno:
        (outcome,) = await world.run(outcomes(suno, songs(1)))
    assert not outcome.ok
    assert outcome.tracks[0].audio_url
    assert outcome.details is not None
    assert outcome.details.status == "GENERATE_AUDIO_FAILED"


async def test_a_watch_without_verdict_keeps_the_last_details(world: World) -> None:
    """An outcome whose watch ended without final details has those of its last stage."""
    world.sandbox.script(TaskScript(stages=[("TEXT_SUCCESS", 20)]))
    async with world.session(cadence=EVERY_3_S) as suno:
        waiting = asyncio.create_task(outcomes(suno, songs(1)))
        await world.pass_time(30)
        world.sandbox.inject(Call.DETAILS, EnvelopeError(401), times=None)
        (outcome,) = await world.run(waiting)
    assert isinstance(outcome.error, AuthenticationError)
    assert outcome.details is not None
    assert outcome.details.status == "TEXT_SUCCESS"


async def test_a_task_without_audio_is_not_ok(world: World) -> None:
    """Invariant 3: called complete for ten minutes, and no track has its audio."""
    world.sandbox.script(TaskScript(stages=[("TEXT_SUCCESS", 20), ("CALLBACK_EXCEPTION", 30)]))
    async with world.session(cadence=EVERY_3_S) as suno:
        (outcome,) = await world.run(outcomes(suno, songs(1)))
    assert isinstance(outcome.error, AudioMissing)
    assert outcome.details is not None
    assert outcome.details.status == "CALLBACK_EXCEPTION"


async def test_a_surprise_ends_one_request_only(world: World) -> None:
    """What nobody foresaw in one submission is that request's outcome, with its cause."""

    class Odd(AddInstrumentalRequest):
        @property
        def title(self) -> str:
            raise ZeroDivisionError("a bug")

    odd = object.__new__(Odd)
    async with world.session(cadence=EVERY_3_S) as suno:
        ended = by_position(await world.run(outcomes(suno, [odd, song()])))
    assert isinstance(ended[0].error, UnexpectedError)
    assert ended[0].error.__cause__ is not None
    assert ended[1].ok


# --- running out of credits -----------------------------------------------------------------------


@pytest.mark.parametrize("form", [songs, Pulled, PulledAsync])
async def test_without_credits_the_rest_is_not_submitted(form: Callable[[int], Any]) -> None:
    """The first refusal for want of credits stops all further submissions, and each is told."""
    async with (
        virtual_world(credits=30, price=10) as world,
        world.session(cadence=EVERY_3_S, max_concurrent_submissions=1) as suno,
    ):
        ended = by_position(await world.run(outcomes(suno, form(12), max_in_flight=2)))
    assert [outcome.ok for outcome in ended] == [*[True] * 3, *[False] * 9]
    assert type(ended[3].error) is InsufficientCredits
    # one more may be on its way when the first is refused
    assert {type(outcome.error) for outcome in ended[5:]} == {NotSubmitted}
    assert 4 <= len(world.sandbox.submissions) <= 5
    assert len(world.sandbox.ledger) == 3


@pytest.mark.parametrize("form", [Pulled, PulledAsync])
async def test_an_endless_batch_without_credits_can_be_left(form: Callable[[], Any]) -> None:
    """An endless batch that ran out of credits goes on with NotSubmitted until it is left."""
    requests = form()

    async def until_enough(suno: SunoSession) -> None:
        refused = 0
        async with aclosing(suno.generate_many(requests, max_in_flight=3)) as batch:
            async for outcome in batch:
                refused += isinstance(outcome.error, NotSubmitted)
                if refused == 50:
                    return

    async with (
        virtual_world(credits=10, price=10) as world,
        world.session(cadence=EVERY_3_S, max_concurrent_submissions=1) as suno,
    ):
        await world.run(until_enough(suno))
    assert 2 <= len(world.sandbox.submissions) <= 3
    assert requests.count < 60


# --- how much is pulled ---------------------------------------------------------------------------


@pytest.mark.parametrize("form", [Pulled, PulledAsync])
async def test_only_what_fits_is_pulled(world: World, form: Callable[[], Any]) -> None:
    """From an endless iterable no more is pulled than fits in flight."""
    requests = form()
    async with world.session(cadence=EVERY_3_S) as suno:
        async with aclosing(suno.generate_many(requests, max_in_flight=4)) as batch:
            for taken in range(1, 10):
                await world.run(anext(batch))
                assert taken <= requests.count <= taken + 4
        pulled = requests.count
        await world.pass_time(600)
        assert requests.count == pulled


async def test_a_slow_consumer_piles_nothing_up(world: World) -> None:
    """Outcomes that are not taken keep further requests from being pulled."""
    requests = Pulled()
    async with (
        world.session(cadence=EVERY_3_S) as suno,
        aclosing(suno.generate_many(requests, max_in_flight=4)) as batch,
    ):
        await world.run(anext(batch))
        await world.pass_time(86_400)
        assert requests.count <= 6


async def test_no_more_than_fits_runs_at_a_time(world: World) -> None:
    """At the service there are never more tasks unfinished than may be in flight."""
    async with world.session(cadence=EVERY_3_S, max_in_flight=3) as suno:
        await world.run(outcomes(suno, songs(12)))
    _see_that_at_most(3, world.sandbox)


async def test_two_batches_share_what_may_be_in_flight(world: World) -> None:
    """The session's max_in_flight holds for two batches and single calls together."""
    async with world.session(cadence=EVERY_3_S, max_in_flight=3) as suno:
        one, two, _ = await world.run(
            asyncio.gather(
                outcomes(suno, songs(6)), outcomes(suno, songs(6)), suno.generate(song())
            )
        )
    assert [len(one), len(two)] == [6, 6]
    _see_that_at_most(3, world.sandbox)


def _see_that_at_most(count: int, sandbox: Sandbox) -> None:
    tasks = sandbox.tasks.values()
    begins = [task.submitted_s for task in tasks]
    for at in begins:
        running = [t for t in tasks if t.submitted_s <= at < t.submitted_s + t.ends_after_s]
        assert len(running) <= count


async def test_a_consumer_may_generate_in_its_loop(world: World) -> None:
    """A loop that generates one more for each outcome gets room, even with room for one only."""

    async def again() -> int:
        count = 0
        async for outcome in suno.generate_many(songs(4)):
            await suno.generate(outcome.request)
            count += 1
        return count

    async with world.session(cadence=EVERY_3_S, max_in_flight=1) as suno:
        assert await world.run(again()) == 4
    assert len(world.sandbox.ledger) == 8


@pytest.mark.parametrize("room", [0, -1, 1.5, True, "3"])
async def test_room_must_be_a_number(world: World, room: Any) -> None:
    """max_in_flight is a whole number of at least one."""
    async with world.session() as suno:
        with pytest.raises(InvalidRequest, match="max_in_flight must be a whole number"):
            suno.generate_many([], max_in_flight=room)


# --- an iterable that fails -----------------------------------------------------------------------


async def test_an_iterable_that_raises_is_heard_at_the_end(world: World) -> None:
    """What the iterable raises comes after the outcomes of what it gave."""

    def broken() -> Iterator[AddInstrumentalRequest]:
        yield from songs(2)
        raise ZeroDivisionError("row 3")

    ended: list[Outcome] = []

    async def take() -> None:
        async for outcome in suno.generate_many(broken()):
            ended.append(outcome)  # noqa: PERF401 - what came before the error is wanted

    async with world.session(cadence=EVERY_3_S) as suno:
        with pytest.raises(ZeroDivisionError, match="row 3"):
            await world.run(take())
        assert [outcome.ok for outcome in ended] == [True, True]
        assert (await world.run(suno.generate(song()))).tracks


async def test_an_async_iterable_that_raises_is_heard_at_the_end(world: World) -> None:
    """The same holds for an async iterable."""

    async def broken() -> AsyncIterator[AddInstrumentalRequest]:
        yield song()
        raise ZeroDivisionError("row 2")

    ended: list[Outcome] = []

    async def take() -> None:
        async for outcome in suno.generate_many(broken()):
            ended.append(outcome)  # noqa: PERF401 - what came before the error is wanted

    async with world.session(cadence=EVERY_3_S) as suno:
        with pytest.raises(ZeroDivisionError, match="row 2"):
            await world.run(take())
    assert [outcome.ok for outcome in ended] == [True]


# --- progress -------------------------------------------------------------------------------------


async def test_progress_tells_everything_once_in_order(world: World) -> None:
    """For each request: its id, its stages, its end; the numbers always add up."""
    told: list[BatchProgress] = []
    world.sandbox.script(
        TaskScript(), TaskScript(stages=[("TEXT_SUCCESS", 20), ("GENERATE_AUDIO_FAILED", 30)])
    )
    requests = [*songs(2), "no request"]
    async with world.session(cadence=EVERY_3_S, max_concurrent_submissions=1) as suno:
        await world.run(outcomes(suno, requests, on_progress=told.append))
    stages = {
        position: [t.stage and str(t.stage) for t in told if t.position == position]
        for position in range(3)
    }
    assert stages == {
        0: [None, "text", "first", "complete", None],
        1: [None, "text", None],
        2: [None],
    }
    for progress in told:
        assert progress.total == 3
        assert progress.running == progress.submitted - progress.succeeded - (
            progress.failed - (1 if _invalid_is_counted(told, progress) else 0)
        )
    last = told[-1]
    assert (last.submitted, last.running, last.succeeded, last.failed) == (2, 0, 1, 2)
    assert [t.task_id for t in told if t.position == 2] == [None]
    assert all(t.request == requests[t.position] for t in told)
    began = {t.task_id: t.submitted_at for t in told if t.task_id is not None}
    assert all(t.submitted_at == began.get(t.task_id or "") for t in told)
    assert None not in began.values()


def _invalid_is_counted(told: list[BatchProgress], progress: BatchProgress) -> bool:
    return any(t.position == 2 for t in told[: told.index(progress) + 1])


async def test_progress_comes_before_its_outcome(world: World) -> None:
    """When an outcome is yielded, its end has been told."""
    told: list[BatchProgress] = []
    async with world.session(cadence=EVERY_3_S) as suno:
        batch = suno.generate_many(Pulled(3), on_progress=told.append)

        async def take() -> None:
            count = 0
            async for outcome in batch:
                count += 1
                assert (told[-1].position, told[-1].stage) == (outcome.position, None)
                assert told[-1].succeeded == count
                assert told[-1].total is None

        await world.run(take())


async def test_progress_that_raises_ends_the_batch(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """What on_progress raises reaches the caller, and the ids that were paid for are logged."""
    caplog.set_level(logging.INFO, "suno_async")

    def broken(progress: BatchProgress) -> None:
        if progress.stage:
            raise ZeroDivisionError("a bug in the display")

    async with world.session(cadence=EVERY_3_S) as suno:
        with pytest.raises(ZeroDivisionError, match="display"):
            await world.run(outcomes(suno, songs(3), on_progress=broken))
    for charge in world.sandbox.ledger:
        assert f"task {charge.task_id} goes on" in caplog.text


# --- leaving early --------------------------------------------------------------------------------


async def test_leaving_early_stops_submitting(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """Invariant 8: a loop that is left submits no more, asks no more, and logs what goes on."""
    caplog.set_level(logging.INFO, "suno_async")
    async with world.session(cadence=EVERY_3_S) as suno:
        tasks = running()
        async with aclosing(suno.generate_many(Pulled(), max_in_flight=5)) as batch:
            await world.run(anext(batch))
        assert running() == tasks
        charges, polls = len(world.sandbox.ledger), len(world.sandbox.polls)
        await world.pass_time(600)
        assert (len(world.sandbox.ledger), len(world.sandbox.polls)) == (charges, polls)
        left = [line for line in caplog.messages if "goes on" in line]
        assert len(left) >= charges - 2
        # its room is free again
        assert len(await world.run(outcomes(suno, songs(5), max_in_flight=5))) == 5


async def test_a_batch_that_is_left_gives_the_sessions_room_back(world: World) -> None:
    """Invariant 8: what it had of the session's own room is free for `generate` at once."""
    async with world.session(cadence=EVERY_3_S, max_in_flight=2) as suno:
        async with aclosing(suno.generate_many(Pulled())) as batch:
            await world.run(anext(batch))
        assert suno.stats().in_flight == 0
        assert (await asyncio.wait_for(world.run(suno.generate(song())), 5)).tracks


async def test_a_break_without_closing_ends_the_batch_too(world: World) -> None:
    """Invariant 8: a plain break is enough: the generator is closed when it is forgotten."""
    async with world.session(cadence=EVERY_3_S, max_in_flight=2) as suno:

        async def first() -> Outcome:
            async for outcome in suno.generate_many(Pulled()):
                return outcome
            raise AssertionError

        await world.run(first())
        gc.collect()
        assert len(await world.run(outcomes(suno, songs(4)))) == 4


async def test_a_cancelled_consumer_ends_its_batch_alone(world: World) -> None:
    """Invariant 8: cancelling the consumer of one batch disturbs no other."""
    async with world.session(cadence=EVERY_3_S, max_in_flight=4) as suno:
        goes = asyncio.create_task(outcomes(suno, Pulled(), max_in_flight=2))
        stays = asyncio.create_task(outcomes(suno, songs(8)))
        await world.pass_time(140)
        goes.cancel()
        assert all(outcome.ok for outcome in await world.run(stays))
        with pytest.raises(asyncio.CancelledError):
            await goes


async def test_a_batch_that_is_cancelled_while_it_submits_pays_for_nothing_unseen(
    sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    """Invariant 2: what was on its way when a batch was cancelled is finished and logged."""
    caplog.set_level(logging.INFO, "suno_async")
    async with session_for(sandbox, retry=EAGER) as suno:
        consumer = asyncio.create_task(outcomes(suno, Pulled(), max_in_flight=8))
        await until(lambda: sandbox.submissions)
        consumer.cancel()
        await asyncio.wait({consumer})
    for charge in sandbox.ledger:
        assert charge.task_id in caplog.text


# --- the same id twice ----------------------------------------------------------------------------


async def test_two_requests_may_end_as_one_task() -> None:
    """If the service answers two submissions with one id, both requests have their outcome."""
    pending = {"code": 200, "data": {"taskId": "same", "status": "PENDING"}}
    track = {"id": "1", "audioUrl": "https://example.com/1.mp3"}
    done = {
        "code": 200,
        "data": {"taskId": "same", "status": "SUCCESS", "response": {"sunoData": [track]}},
    }
    answers = itertools.chain([pending, pending], itertools.repeat(done))

    async def submit(_: web.Request) -> web.StreamResponse:
        return web.json_response({"code": 200, "data": {"taskId": "same"}})

    async def details(_: web.Request) -> web.StreamResponse:
        return web.json_response(next(answers))

    app = web.Application()
    app.router.add_post("/api/v1/generate/add-instrumental", submit)
    app.router.add_get("/api/v1/generate/record-info", details)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.05)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    try:
        async with SunoSession(
            "key", base_url=f"http://{host}:{port}", cadence=FixedInterval(timedelta(0))
        ) as suno:
            ended = await outcomes(suno, songs(3))
    finally:
        await runner.cleanup()
    assert [outcome.task_id for outcome in ended] == ["same"] * 3
    assert all(outcome.ok for outcome in ended)
    assert sorted(outcome.position for outcome in ended) == [0, 1, 2]


# --- five hundred ---------------------------------------------------------------------------------


async def test_five_hundred_tasks() -> None:
    """All outcomes, 500 charges, no task or socket left, bounded memory, and nobody is hurried."""
    settings: dict[str, Any] = {
        "submissions_per_window": None,
        "time_scale": 0.004,
        "timings": Timings(),
        "skip_rate": 0.2,
        "dialect": "mixed",
    }
    async with Sandbox(**settings) as sandbox:
        before = len(open_files())
        resident = [resident_bytes()]
        async with (
            nothing_left(),
            session_for(
                sandbox,
                submissions_per_window=(1000, 0.5),
                max_concurrent_submissions=32,
                cadence=FixedInterval(timedelta(seconds=0.4)),
                timeout=30,
            ) as suno,
        ):
            ended = await outcomes(
                suno, songs(500), on_progress=lambda _: resident.append(resident_bytes())
            )
        assert len(open_files()) <= before
    assert sorted(outcome.position for outcome in ended) == list(range(500))
    assert all(outcome.ok and len(outcome.tracks) == 2 for outcome in ended)
    assert len(sandbox.ledger) == len({outcome.task_id for outcome in ended}) == 500
    assert max(resident) - resident[0] < 100e6
    for outcome in ended:
        assert busiest(poll_times(sandbox, outcome.task_id), 1.0) <= 3


async def test_a_large_batch_in_bad_weather() -> None:
    """Invariants 1 and 2: with faults everywhere, what was charged is what the outcomes know."""
    async with virtual_world(submissions_per_window=None, failure_rate=0.1, seed=3) as world:
        weather: list[tuple[Call, Any, float]] = [
            (Call.SUBMIT, EnvelopeError(429), 0.05),
            (Call.SUBMIT, DropAfter(), 0.05),
            (Call.SUBMIT, EnvelopeError(455), 0.05),
            (Call.DETAILS, HttpError(502), 0.05),
            (Call.DETAILS, DropAfter(), 0.05),
        ]
        for call, fault, rate in weather:
            world.sandbox.inject(call, fault, times=None, rate=rate)
        async with world.session(
            cadence=EVERY_3_S, retry=RetryPolicy(patience=timedelta(hours=3))
        ) as suno:
            ended = await world.run(outcomes(suno, songs(150)))
    assert len(ended) == 150
    known = {outcome.task_id for outcome in ended if outcome.task_id}
    uncertain = [o for o in ended if isinstance(o.error, SubmissionUncertain)]
    charged = [charge.task_id for charge in world.sandbox.ledger if charge.kind == "charge"]
    assert known <= set(charged)
    assert len(charged) == len(known) + len(uncertain)
    kinds = {type(outcome.error) for outcome in ended}
    assert kinds <= {type(None), SubmissionUncertain, GenerationFailed, ContentRejected}
