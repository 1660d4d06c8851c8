"""Jobs whose answer was lost: what is known, what may be decided, what callbacks prove."""

import logging
from collections.abc import AsyncIterator
from itertools import count

import pytest
import pytest_asyncio

from suno_async import CallbackReceiver, InvalidRequest, SubmissionUncertain
from suno_async.cadence import FixedInterval
from suno_async.durable import (
    Abandon,
    Adopt,
    Decision,
    DurableSuno,
    Job,
    JobState,
    JobUndecidable,
    Resubmit,
)
from suno_async.sandbox import Call, CallbackScript, Delay, DropAfter, EnvelopeError, TaskScript
from tests.callbacks.hosting import free_port
from tests.following import STAGES, STUCK, names

from .using import SECRET, Office, becomes, eventually, keys, listed, office

pytestmark = pytest.mark.asyncio(loop_scope="module")

_numbers = count(1)

# complete at once, and nobody is told
SILENT = TaskScript(
    stages=(("TEXT_SUCCESS", 0), ("FIRST_SUCCESS", 0), ("SUCCESS", 0)),
    callbacks=CallbackScript(send=False),
)
DECISIONS: list[Decision] = [Resubmit(), Adopt("some-task"), Abandon()]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def room(shared_database: str) -> AsyncIterator[Office]:
    """A worker that looks at tasks once an hour, and a reader that gets its callbacks."""
    port = free_port()
    receiver = CallbackReceiver(f"http://127.0.0.1:{port}/suno", secret=SECRET)
    hourly = {"cadence": FixedInterval(3600)}
    async with (
        office(shared_database, receiver, **hourly) as entered,
        receiver.serve("127.0.0.1", port),
    ):
        yield entered


@pytest.fixture
async def key(room: Office) -> AsyncIterator[str]:
    """A key of this test alone; its faults end with it."""
    yield f"doubt-{next(_numbers)}"
    room.sandbox.clear_faults()


async def lost(room: Office, key: str, script: TaskScript = SILENT) -> tuple[Job, str]:
    """Submit a job whose answer is lost; give it and the task that it has made.

    One that succeeds goes before: after five lost answers in a row a worker holds back.
    """
    if next(_numbers) % 3 == 0:
        await (await room.submit(f"{key}/before")).result()
    room.sandbox.inject(Call.SUBMIT, DropAfter())
    job = await room.submit(key, script, title=key)
    await becomes(job, JobState.UNCERTAIN, JobState.RUNNING, JobState.COMPLETE)
    (task_id,) = room.charges(key)
    return job, task_id


async def test_an_answer_that_is_lost(room: Office, key: str) -> None:
    """The job is uncertain, listed as such, and not sent again."""
    job, _ = await lost(room, key)
    assert (job.state, job.task_id, job.submitted_at) == (JobState.UNCERTAIN, None, None)
    error = job.outcome.error
    assert isinstance(error, SubmissionUncertain)
    assert error.title == key
    assert error.sent_at is not None
    assert [each.key for each in await room.reader.uncertain(key)] == [key]
    assert await keys(room.reader.jobs(key, JobState.UNCERTAIN)) == [key]
    assert (await room.reader.stats()).jobs[JobState.UNCERTAIN] >= 1
    await room.reader.decide(key, Abandon())
    assert len(room.charges(key)) == 1


async def test_resubmitted(room: Office, key: str, caplog: pytest.LogCaptureFixture) -> None:
    """It is paid for again; a callback of the first task is told of and changes nothing."""
    job, first = await lost(room, key)
    url = room.sandbox.tasks[first].request["callBackUrl"]
    decided = await room.reader.decide(key, Resubmit())
    assert decided.state in {JobState.WAITING, JobState.SENDING, JobState.RUNNING}
    assert names(await listed(job.events())) == STAGES
    assert room.charges(key) == [first, job.task_id]
    with caplog.at_level(logging.WARNING, "suno_async.durable"):
        assert await room.sandbox.call_back(first, "complete", str(url)) == 200
    assert f"job '{key}' has made another task: {first}" in caplog.text
    assert (await job.refresh()).state is JobState.COMPLETE
    assert room.charges(key) == [first, job.task_id]


async def test_adopted(room: Office, key: str, caplog: pytest.LogCaptureFixture) -> None:
    """Its task is watched as if the answer had come; another one that calls back is told of."""
    job, task_id = await lost(room, key)
    await room.reader.decide(key, Adopt(task_id))
    assert len((await job.result(20)).tracks) == 2
    assert (job.task_id, room.charges(key)) == (task_id, [task_id])
    assert names(await listed(job.events())) == STAGES
    await room.reader.decide(key, Adopt(task_id))  # again, it is harmless
    assert await room.sandbox.call_back(task_id) == 200
    other, _ = await lost(room, f"{key}/other")
    await room.reader.decide(other.key, Abandon())
    url = str(room.sandbox.tasks[task_id].request["callBackUrl"])
    with caplog.at_level(logging.WARNING, "suno_async.durable"):
        (stranger,) = room.charges(other.key)
        assert await room.sandbox.call_back(stranger, url=url) == 200
    assert f"job '{key}' has made another task: {stranger}" in caplog.text
    assert (await job.refresh()).task_id == task_id


async def test_abandoned(room: Office, key: str) -> None:
    """It has ended with its error; a late callback finds its task all the same."""
    job, task_id = await lost(room, key)
    decided = await room.reader.decide(key, Abandon())
    assert decided.state is JobState.ABANDONED
    with pytest.raises(SubmissionUncertain):
        await job.result(20)
    assert not await room.reader.uncertain(key)
    assert (await room.reader.decide(key, Abandon())).state is JobState.ABANDONED
    assert await room.sandbox.call_back(task_id) == 200
    assert names(await listed(job.events())) == STAGES
    assert (job.task_id, room.charges(key)) == (task_id, [task_id])


async def test_abandoned_and_submitted_again(room: Office, key: str) -> None:
    """Whoever has given up may change his mind."""
    job, first = await lost(room, key)
    await room.reader.decide(key, Abandon())
    await room.reader.decide(key, Resubmit())
    await job.result(20)
    assert room.charges(key) == [first, job.task_id]


async def test_a_callback_to_another_process_proves_it(room: Office, key: str) -> None:
    """The reader gets it; the worker, which nobody can reach, watches the task."""
    job, task_id = await lost(room, key, TaskScript())
    assert len((await job.result(20)).tracks) == 2
    assert (job.task_id, room.charges(key)) == (task_id, [task_id])
    assert job.submitted_at is not None


async def test_a_callback_to_another_process_wakes_a_watch(room: Office, key: str) -> None:
    """The worker looks once an hour by itself: what is sooner came of the callbacks."""
    job = await room.submit(key)
    assert names(await listed(job.events())) == STAGES
    assert len((await job.result(20)).tracks) == 2


async def test_two_ids_at_one_url(room: Office, key: str, caplog: pytest.LogCaptureFixture) -> None:
    """The first one is the job's; the second is told of, and disturbs nothing."""
    job, task_id = await lost(room, key)
    other, stranger = await lost(room, f"{key}/other")
    url = str(room.sandbox.tasks[task_id].request["callBackUrl"])
    assert await room.sandbox.call_back(task_id) == 200
    assert (await job.refresh()).task_id == task_id
    with caplog.at_level(logging.WARNING, "suno_async.durable"):
        for _ in range(2):
            assert await room.sandbox.call_back(stranger, url=url) == 200
    told = [each for each in caplog.messages if "another task" in each]
    assert told == [f"job '{key}' has made another task: {stranger}"]
    assert (await job.refresh()).task_id == task_id
    assert await room.sandbox.call_back(stranger) == 200
    assert (await other.refresh()).task_id == stranger
    for each in (job, other):
        assert len((await each.result(20)).tracks) == 2


async def test_a_job_that_goes_on_is_not_decided(room: Office, key: str) -> None:
    """Running and complete ones; it says how they stand, and nothing is changed."""
    job = await room.submit(key, STUCK, title=key)
    await becomes(job, JobState.RUNNING)
    done = await room.submit(f"{key}/done", title=key)
    await done.result(20)
    for each in (job, done):
        for decision in DECISIONS:
            with pytest.raises(JobUndecidable, match=f"which is {each.state}") as caught:
                await room.reader.decide(each.key, decision)
            assert caught.value.decision == type(decision).__name__
        assert await room.reader.cancel(each.key) is False
        state = each.state
        assert (await each.refresh()).state is state
    assert len(room.charges(key)) == 2


async def test_a_job_on_its_way_is_neither_cancelled_nor_decided(room: Office, key: str) -> None:
    """While nobody knows what becomes of it, the answer is waited for."""
    room.sandbox.inject(Call.SUBMIT, Delay(60))
    job = await room.submit(key, title=key)
    await becomes(job, JobState.SENDING)
    assert await room.reader.cancel(key) is False
    for decision in DECISIONS:
        with pytest.raises(JobUndecidable, match="which is sending"):
            await room.reader.decide(key, decision)
    await eventually_dropped(room, job)
    await room.reader.decide(key, Abandon())


async def eventually_dropped(room: Office, job: Job) -> None:
    """End the connections until a job's is among them."""

    async def is_uncertain() -> bool:
        await room.sandbox.drop_connections()
        return (await job.refresh()).state is JobState.UNCERTAIN

    await eventually(is_uncertain)


async def test_a_job_that_failed_may_be_submitted_again(room: Office, key: str) -> None:
    """There is nothing to abandon; the second attempt counts."""
    room.sandbox.inject(Call.SUBMIT, EnvelopeError(402, "no credits"))
    job = await room.submit(key, title=key)
    await becomes(job, JobState.FAILED)
    with pytest.raises(JobUndecidable, match=r"Abandon does not fit job .* which is failed"):
        await room.reader.decide(key, Abandon())
    assert await room.reader.cancel(key) is False
    await room.reader.decide(key, Resubmit())
    assert len((await job.result(20)).tracks) == 2
    assert room.charges(key) == [job.task_id]
    assert job.outcome.error is None


async def test_what_is_no_decision(room: Office) -> None:
    """It is refused before anything is looked at."""
    for bad in ("Abandon", None, Resubmit, 7):
        with pytest.raises(InvalidRequest, match="decision must be a Resubmit, Adopt or Abandon"):
            await room.reader.decide("x", bad)  # type: ignore[arg-type] # wrong, for once
    for blank in ("", "  "):
        with pytest.raises(InvalidRequest, match="task_id must be text that is not blank"):
            await room.reader.decide("x", Adopt(blank))


async def test_a_receiver_needs_a_secret(room: Office) -> None:
    """Without one, other processes would not know its URLs."""
    receiver = CallbackReceiver("http://127.0.0.1:9/suno")
    with pytest.raises(InvalidRequest, match="receiver must have a secret"):
        DurableSuno(room.url, worker=False, receiver=receiver)
    with pytest.raises(InvalidRequest, match="receiver must have a secret"):
        DurableSuno(room.url, room.sandbox.session(receiver=receiver))
