"""All jobs together: as they change, as they end, counts, and the deletion of what is old."""

from collections.abc import AsyncIterator
from itertools import count

import pytest
import pytest_asyncio

from suno_async import InvalidRequest, Outcome, Stage, SubmissionUncertain
from suno_async.durable import Abandon, Job, JobNotFound, JobState
from suno_async.sandbox import Call, DropAfter, EnvelopeError
from tests.following import STUCK
from tests.world import song

from .using import Office, becomes, keys, office, tables

pytestmark = pytest.mark.asyncio(loop_scope="module")

_numbers = count(1)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def room(shared_database: str) -> AsyncIterator[Office]:
    """A worker, its sandbox with an account of its own, and a reader."""
    async with office(shared_database, submissions_per_window=(50, 60)) as entered:
        yield entered


@pytest.fixture
def prefix() -> str:
    """A prefix of this test alone."""
    return f"album-{next(_numbers)}/"


async def test_outcomes_as_they_end(room: Office, prefix: str) -> None:
    """First those that had ended, then the others, each once; also what is added meanwhile."""
    for number in range(2):
        await (await room.submit(f"{prefix}{number}")).result(20)
    room.sandbox.inject(Call.SUBMIT, EnvelopeError(400, "no"))
    await becomes(await room.submit(f"{prefix}refused"), JobState.FAILED)
    room.sandbox.inject(Call.SUBMIT, DropAfter())
    await becomes(await room.submit(f"{prefix}uncertain"), JobState.UNCERTAIN)
    running = await room.submit(f"{prefix}running", STUCK)
    await becomes(running, JobState.RUNNING)
    await room.reader.submit(f"other-{prefix}", song())

    got: dict[str, Outcome] = {}
    async for key, outcome in room.reader.outcomes(prefix):
        assert key not in got
        got[key] = outcome
        if len(got) == 4:
            assert set(got) == {f"{prefix}{it}" for it in ("0", "1", "refused", "uncertain")}
            await room.submit(f"{prefix}added")
        if key == f"{prefix}added":
            break
    assert len(got) == 5
    assert [got[f"{prefix}{number}"].ok for number in range(2)] == [True, True]
    assert len(got[f"{prefix}added"].tracks) == 2
    assert not got[f"{prefix}refused"].ok
    assert isinstance(got[f"{prefix}uncertain"].error, SubmissionUncertain)
    numbers = [got[f"{prefix}{it}"].position for it in ("0", "1", "refused", "uncertain", "added")]
    assert numbers == sorted(numbers)
    assert (await room.reader.job(f"{prefix}1")).outcome == got[f"{prefix}1"]


async def test_outcomes_end_when_all_have_ended(room: Office, prefix: str) -> None:
    """Abandoned and cancelled ones too; of nothing there is none."""
    assert [each async for each in room.reader.outcomes(prefix)] == []
    room.sandbox.inject(Call.SUBMIT, DropAfter())
    job = await room.submit(f"{prefix}a")
    await becomes(job, JobState.UNCERTAIN)
    await room.reader.decide(job.key, Abandon())
    added = await room.reader.submit_many((f"{prefix}{number}", song()) for number in range(5))
    assert added == 5
    got = {key: outcome async for key, outcome in room.reader.outcomes(prefix)}
    assert len(got) == 6
    assert [got[f"{prefix}{number}"].ok for number in range(5)] == [True] * 5
    assert isinstance(got[f"{prefix}a"].error, SubmissionUncertain)


async def test_jobs_as_they_change(room: Office, prefix: str) -> None:
    """As they stand, then each again whenever it has changed, the last time as it ended."""
    ended = await room.submit(f"{prefix}ended")
    await ended.result(20)
    seen: dict[str, list[Job]] = {}
    async for job in room.reader.follow(prefix):
        if not seen:
            await room.submit(f"{prefix}added")
        seen.setdefault(job.key, []).append(job)
    assert [job.state for job in seen[ended.key]] == [JobState.COMPLETE]
    added = seen[f"{prefix}added"]
    assert added[-1].state is JobState.COMPLETE
    standings = [(job.state, job.task_id, job.stages) for job in added]
    assert len(set(standings)) == len(standings)  # none is told again as it was
    assert [event.stage for event in added[-1].stages] == list(Stage)


async def test_a_job_that_changes_while_another_is_told_is_told_once(
    room: Office, prefix: str
) -> None:
    """What it has become meanwhile is not told again as a change."""
    jobs = [await room.submit(f"{prefix}{number}") for number in range(2)]
    told: list[tuple[str, JobState]] = []
    async for job in room.reader.follow(prefix):
        if not told:
            for each in jobs:
                await each.result(20)
        told.append((job.key, job.state))
    assert len(set(told)) == len(told)
    assert {key for key, state in told if state is JobState.COMPLETE} == {it.key for it in jobs}


async def test_what_is_pruned_is_gone(room: Office, prefix: str) -> None:
    """With all that DBOS keeps of it; what goes on stays, and the key is free."""
    running = await room.submit(f"{prefix}running", STUCK)
    await becomes(running, JobState.RUNNING)
    ended = await room.submit(f"{prefix}ended")
    await ended.result(20)
    assert await room.reader.prune(3600) == 0
    for bad in (0, -1, "1", None):
        with pytest.raises(InvalidRequest, match="older_than must be"):
            await room.reader.prune(bad)  # type: ignore[arg-type] # wrong, for once
    assert await room.reader.prune(0.01) >= 1
    with pytest.raises(JobNotFound):
        await room.reader.job(ended.key)
    with pytest.raises(JobNotFound):
        await ended.result()
    for name, content in tables(room.url).items():
        assert not [row for row in content if ended.key in str(row.values())], name
    assert await keys(room.reader.jobs(prefix)) == [running.key]
    again = await room.submit(ended.key, title="Another")
    assert len((await again.result(20)).tracks) == 2


async def test_stats(room: Office, prefix: str) -> None:
    """Jobs by state, living workers, and what is left of the account's window."""
    before = await room.reader.stats()
    assert before.workers == 1
    assert before.window_left is not None
    job = await room.submit(f"{prefix}a")
    await job.result(20)
    after = await room.reader.stats()
    assert after.jobs.get(JobState.COMPLETE, 0) == before.jobs.get(JobState.COMPLETE, 0) + 1
    assert after.window_left == before.window_left - 1
    assert await room.worker.stats() == after
