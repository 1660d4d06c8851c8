"""Following jobs: the same stages, results and errors as the core's, for every reader anywhere."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from itertools import count
from typing import Any

import pytest
import pytest_asyncio
from attrs import evolve

from suno_async import (
    AuthenticationError,
    ContentRejected,
    GenerationFailed,
    InsufficientCredits,
    InvalidRequest,
    StageEvent,
    SubmissionUncertain,
    SunoError,
    ValidationFailed,
    to_json,
)
from suno_async.durable import Job, JobState, JobTimeout, Resubmit
from suno_async.observe import StageReached
from suno_async.sandbox import Call, EnvelopeError, HttpError, TaskScript
from tests.following import STAGES, STUCK, names
from tests.world import song

from .using import Office, becomes, listed, office, program, said

pytestmark = pytest.mark.asyncio(loop_scope="module")

_numbers = count(1)

FAILURES = {
    GenerationFailed: TaskScript(
        stages=(("TEXT_SUCCESS", 20), ("FIRST_SUCCESS", 40, 1), ("GENERATE_AUDIO_FAILED", 60, 1)),
        error_code=531,
        error_message="no more capacity",
    ),
    ContentRejected: TaskScript(
        stages=(("SENSITIVE_WORD_ERROR", 20),), error_code=400, error_message="bad word"
    ),
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def room(shared_database: str) -> AsyncIterator[Office]:
    """A worker, its sandbox, and a reader, for all tests."""
    async with office(shared_database) as entered:
        yield entered


@pytest.fixture
def key() -> str:
    """A key of this test alone."""
    return f"followed/{next(_numbers)}"


async def collect(job: Job, into: list[StageEvent]) -> None:
    """Read a job's events, also those before an error."""
    async for event in job.events():
        into.append(event)  # noqa: PERF401 - they are wanted although it raises


async def errors_of(job: Job) -> tuple[list[StageEvent], SunoError, SunoError]:
    """Read a job that fails to its end, in both ways."""
    events: list[StageEvent] = []
    with pytest.raises(SunoError) as by_events:
        await collect(job, events)
    with pytest.raises(SunoError) as by_result:
        await job.result()
    return events, by_events.value, by_result.value


async def test_stages_are_those_of_the_core(room: Office, key: str) -> None:
    """What a session tells its observers comes out, without the service's raw answers."""
    job = await room.submit(key)
    events = await listed(job.events())
    assert names(events) == STAGES
    reached = [each.event for each in room.seen if isinstance(each, StageReached)]
    told = [event for event in reached if event.task_id == job.task_id]
    assert events == [evolve(event, details=evolve(event.details, raw={})) for event in told]
    assert [event.tracks for event in events] == [event.tracks for event in told]


async def test_a_result_is_that_of_the_core(room: Office, key: str) -> None:
    """The final details, whole; with them all that is known of the job."""
    job = await room.submit(key)
    details = await job.result(timedelta(seconds=20))
    async with room.sandbox.session() as suno:
        assert job.task_id is not None
        assert details == await suno.task(job.task_id, job.submitted_at).result()
    assert len(details.tracks) == 2
    assert details.raw
    assert job.state is JobState.COMPLETE
    assert job.outcome.ok
    assert job.outcome.details == details
    task = room.sandbox.tasks[job.task_id]
    assert job.submitted_at is not None
    assert abs(job.submitted_at - task.submitted_at) < timedelta(seconds=5)
    assert repr(job) == f"<Job '{key}', complete, task {job.task_id}>"


async def test_readers_early_late_and_together(room: Office, key: str) -> None:
    """Each gets every stage from the beginning, whenever it begins, also of one same job."""
    job = await room.submit(key)
    other = await room.worker.job(key)
    early = [asyncio.create_task(listed(each.events())) for each in (job, job, other)]
    results = [asyncio.create_task(each.result()) for each in (job, other)]
    read = await asyncio.gather(*early)
    late = await listed((await room.reader.job(key)).events())
    again = await listed(job.events())
    assert names(late) == STAGES
    assert all(each == late for each in (*read, again))
    first, second = await asyncio.gather(*results)
    assert first == second == await job.result()


async def test_a_reader_that_is_left_disturbs_nobody(room: Office, key: str) -> None:
    """Whoever breaks off or is cancelled may begin again."""
    job = await room.submit(key)
    waiting = asyncio.create_task(job.result())
    async for event in job.events():
        assert event.stage == "text"
        break
    cancelled = asyncio.create_task(listed(job.events()))
    await asyncio.sleep(0)
    cancelled.cancel()
    await asyncio.wait({cancelled})
    assert cancelled.cancelled()
    assert len((await waiting).tracks) == 2
    assert names(await listed(job.events())) == STAGES


@pytest.mark.parametrize("kind", FAILURES)
async def test_a_failure_is_that_of_the_core(
    room: Office, key: str, kind: type[GenerationFailed]
) -> None:
    """With its fields and its finished tracks, after the stages that were reached."""
    job = await room.submit(key, FAILURES[kind])
    events, by_events, by_result = await errors_of(job)
    async with room.sandbox.session() as suno:
        assert job.task_id is not None
        with pytest.raises(kind) as core:
            await suno.task(job.task_id, job.submitted_at).result()
    assert type(by_events) is type(by_result) is kind
    assert to_json(by_events) == to_json(by_result) == to_json(core.value)
    assert str(by_events) == str(core.value)
    assert isinstance(by_events, GenerationFailed)
    assert by_events.tracks == core.value.tracks
    assert names(events) == (STAGES[:2] if kind is GenerationFailed else [])
    assert job.state is JobState.FAILED


@pytest.mark.parametrize(
    ("code", "kind"),
    [(400, ValidationFailed), (401, AuthenticationError), (402, InsufficientCredits)],
)
async def test_a_refused_submission(
    room: Office, key: str, code: int, kind: type[SunoError]
) -> None:
    """It raises what `submit` raises, and nothing is charged."""
    charged = len(room.sandbox.ledger)
    room.sandbox.inject(Call.SUBMIT, EnvelopeError(code, "no, thank you"))
    job = await room.submit(key)
    events, by_events, by_result = await errors_of(job)
    room.sandbox.inject(Call.SUBMIT, EnvelopeError(code, "no, thank you"))
    async with room.sandbox.session() as suno:
        with pytest.raises(kind) as core:
            await suno.submit(song())
    assert events == []
    assert type(by_events) is type(by_result) is kind
    assert to_json(by_events) == to_json(by_result) == to_json(core.value)
    assert (job.state, job.task_id) == (JobState.FAILED, None)
    assert len(room.sandbox.ledger) == charged


async def test_an_uncertain_submission_keeps_its_cause(room: Office, key: str) -> None:
    """The error and why it was raised, as the core has them, but for when it was sent."""
    room.sandbox.inject(Call.SUBMIT, HttpError(502, html=True))
    job = await room.submit(key)
    events, by_events, by_result = await errors_of(job)
    room.sandbox.inject(Call.SUBMIT, HttpError(502, html=True))
    async with room.sandbox.session() as suno:
        with pytest.raises(SubmissionUncertain) as core:
            await suno.submit(song())
    assert events == []
    for error in (by_events, by_result):
        assert isinstance(error, SubmissionUncertain)
        assert evolved(error) == evolved(core.value)
        assert isinstance(error.__cause__, SunoError)
        assert isinstance(core.value.__cause__, SunoError)
        assert to_json(error.__cause__) == to_json(core.value.__cause__)
    await room.reader.decide(key, Resubmit())
    assert names(await listed(job.events())) == STAGES


def evolved(error: SubmissionUncertain) -> tuple[Any, ...]:
    """Give what two uncertain submissions have in common."""
    assert error.sent_at is not None
    return (error.title, error.reason, error.waited, error.task_id)


async def test_errors_are_raised_anew(room: Office, key: str) -> None:
    """A stored error is another exception each time, and none grows a longer traceback."""
    room.sandbox.inject(Call.SUBMIT, EnvelopeError(400, "no"))
    job = await room.submit(key)
    kept: list[BaseException] = []
    depths: set[int] = set()
    for _ in range(3):
        with pytest.raises(ValidationFailed) as caught:
            await job.result()
        kept.append(caught.value)
        depths.add(len(caught.traceback))
    assert len({id(error) for error in kept}) == 3
    assert len(depths) == 1
    together = await asyncio.gather(*(job.result() for _ in range(5)), return_exceptions=True)
    assert len({id(error) for error in together}) == 5


async def test_a_time_out(room: Office, key: str) -> None:
    """It ends the wait and not the job; a length that is none is refused."""
    job = await room.submit(key, STUCK)
    await becomes(job, JobState.RUNNING)
    for timeout in (0.05, 0, -1, timedelta(milliseconds=1)):
        with pytest.raises(JobTimeout, match="it goes on") as caught:
            await job.result(timeout)
        assert isinstance(caught.value, TimeoutError)
        assert (caught.value.key, caught.value.state) == (key, "running")
    assert caught.value.timeout == timedelta(milliseconds=1)
    for bad in ("1", float("nan"), float("inf"), [1]):
        with pytest.raises(InvalidRequest, match="timeout must be a timedelta"):
            await job.result(bad)  # type: ignore[arg-type] # wrong, for once
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await job.result()


async def test_no_wait_for_what_has_ended(room: Office, key: str) -> None:
    """A time-out of nothing is enough then."""
    job = await room.submit(key)
    await job.result(20)
    assert len((await (await room.reader.job(key)).result(0)).tracks) == 2


READER = """
    async def main(url):
        async with DurableSuno(url, worker=False) as durable:
            print(json.dumps("ready"), flush=True)
            for line in sys.stdin:
                job, events, error = await durable.job(json.loads(line)), [], None
                try:
                    async for event in job.events():
                        events.append(to_json(event))
                    details = to_json(await job.result(20))
                except SunoError as raised:
                    error, details = to_json(raised), None
                print(json.dumps([events, details, error, job.state, job.task_id]), flush=True)

    asyncio.run(main(sys.argv[1]))
"""


async def test_another_process_reads_the_same(room: Office, key: str) -> None:
    """One that neither submitted nor works: running jobs, ended ones, and failed ones."""
    ended = await room.submit(f"{key}/ended")
    await ended.result()
    failed = await room.submit(f"{key}/failed", FAILURES[GenerationFailed])
    await becomes(failed, JobState.FAILED)
    async with program(READER, room.url) as reader:
        assert await said(reader) == "ready"
        assert reader.stdin is not None
        running = await room.submit(f"{key}/running")
        for job in (running, ended, failed):
            reader.stdin.write(f'"{job.key}"\n'.encode())
            events, details, error, state, task_id = await said(reader)
            if job is failed:
                own, by_events, _ = await errors_of(job)
                assert (error, details) == (to_json(by_events), None)
            else:
                own = await listed(job.events())
                assert (error, details) == (None, to_json(await job.result()))
            assert events == [to_json(event) for event in own]
            assert (state, task_id) == (job.state, job.task_id)
        reader.stdin.close()
        assert await reader.wait() == 0
