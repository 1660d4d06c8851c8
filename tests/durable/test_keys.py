"""Submitting jobs: each key once, from any process, in order, and found again by its prefix."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from itertools import count
from typing import Any

import pytest
import pytest_asyncio

from suno_async import AddInstrumentalRequest, InvalidRequest, SessionClosed
from suno_async.durable import (
    Abandon,
    Adopt,
    Decision,
    DurableSuno,
    JobCancelled,
    JobConflict,
    JobNotFound,
    JobState,
    JobUndecidable,
    Resubmit,
)
from tests.world import song

from .using import keys, listed, result_of, rows

pytestmark = pytest.mark.asyncio(loop_scope="module")

_numbers = count(1)

KEYS = ["a/b/c", "100%", "under_score", "it's", 'say "x"', "naïve", "曲/😀", "a\\b", "x" * 200, "?"]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def desk(shared_database: str) -> AsyncIterator[DurableSuno]:
    """Submits and reads; nobody works."""
    async with DurableSuno(shared_database, worker=False) as durable:
        yield durable


@pytest.fixture
def prefix() -> str:
    """A prefix of this test alone."""
    return f"{next(_numbers)}:"


async def test_a_key_is_submitted_once(desk: DurableSuno, prefix: str) -> None:
    """The same request under the same key is the same job."""
    first = await desk.submit(f"{prefix}a", song())
    again = await desk.submit(f"{prefix}a", song())
    assert repr(first) == repr(again) == f"<Job '{prefix}a', waiting>"
    assert first.outcome.position == again.outcome.position
    assert await keys(desk.jobs(prefix)) == [f"{prefix}a"]


async def test_twenty_callers_at_once_make_one_job(
    desk: DurableSuno, prefix: str, shared_database: str
) -> None:
    """All of them get the job, and it is queued once."""
    made = await asyncio.gather(*(desk.submit(f"{prefix}a", song()) for _ in range(20)))
    assert len({job.outcome.position for job in made}) == 1
    assert len(await keys(desk.jobs(prefix))) == 1
    query = "SELECT count(*) FROM {schema}workflow_status WHERE workflow_uuid LIKE :named"
    assert rows(shared_database, query, named=f"%{prefix}a") == [(1,)]


async def test_two_batches_in_opposite_order_make_each_job_once(
    desk: DurableSuno, prefix: str
) -> None:
    """Batches that overlap neither fail each other nor hang."""
    pairs = [(f"{prefix}{number}", song(title=f"No. {number}")) for number in range(40)]
    batches = (pairs, list(reversed(pairs)), pairs[::2], pairs)
    counts = await asyncio.gather(*(desk.submit_many(batch) for batch in batches))
    assert counts == [40, 40, 20, 40]
    assert len(await keys(desk.jobs(prefix))) == 40


async def test_another_process_submits_the_same_job(
    desk: DurableSuno, prefix: str, shared_database: str
) -> None:
    """A key is one job's, whichever process asks; what differs is shown."""
    await desk.submit(f"{prefix}a", song())
    program = """
        async def main(url, prefix):
            async with DurableSuno(url, worker=False) as durable:
                same = await durable.submit(prefix + "a", song())
                new = await durable.submit(prefix + "b", song())
                try:
                    await durable.submit(prefix + "a", song(title="Another"))
                except JobConflict as error:
                    print(json.dumps([same.outcome.position, new.state, str(error)]))

        asyncio.run(main(*sys.argv[1:]))
    """
    position, state, conflict = await result_of(program, shared_database, prefix)
    assert position == (await desk.job(f"{prefix}a")).outcome.position
    assert state == "waiting"
    assert '"title": "Another"' in conflict
    assert await keys(desk.jobs(prefix)) == [f"{prefix}a", f"{prefix}b"]


async def test_a_conflict_shows_both_requests(desk: DurableSuno, prefix: str) -> None:
    """Whoever reuses a key sees what it stands for, and nothing is changed."""
    await desk.submit(f"{prefix}a", song(title="Tide"), save_to="/music")
    for given in (
        {"request": song(title="Ebb"), "save_to": "/music"},
        {"request": song(title="Tide")},
    ):
        with pytest.raises(JobConflict) as caught:
            await desk.submit(f"{prefix}a", **given)
    with pytest.raises(JobConflict) as caught:
        await desk.submit(f"{prefix}a", song(title="Ebb"), stem="/tmp/stem.wav")
    conflict = caught.value
    assert conflict.key == f"{prefix}a"
    assert '"title": "Tide"' in conflict.stored
    assert '"save_to": "/music"' in conflict.stored
    assert '"title": "Ebb"' in conflict.given
    assert '"stem": "/tmp/stem.wav"' in conflict.given
    assert conflict.stored in str(conflict)
    assert conflict.given in str(conflict)
    assert (await desk.job(f"{prefix}a")).request == song(title="Tide")


@pytest.mark.parametrize(
    "key",
    [
        "",
        " a",
        "a ",
        "\ta",
        "a\nb",
        "a\0b",
        "\x1b[2J",
        "x" * 201,
        "\ud800",
        "\u2028",
        7,
        None,
        b"a",
    ],
)
async def test_a_key_that_breaks_the_rule_is_refused(desk: DurableSuno, key: Any) -> None:
    """It names the rule, wherever a key is given, and nothing is recorded."""
    before = await desk.stats()
    with pytest.raises(InvalidRequest, match="key must be 1 to 200 printable characters"):
        await desk.submit(key, song())
    with pytest.raises(InvalidRequest, match="key must be"):
        await desk.submit_many([("fine", song()), (key, song())])
    for ask in (desk.job, desk.cancel):
        with pytest.raises(InvalidRequest, match="key must be"):
            await ask(key)
    assert await desk.stats() == before


@pytest.mark.parametrize("key", KEYS)
async def test_a_key_may_hold_anything_printable(desk: DurableSuno, prefix: str, key: str) -> None:
    """Slashes, percent signs, quotes and letters of the world are read back as they were."""
    key = f"{prefix}{key}"[-200:]
    job = await desk.submit(key, song())
    assert job.key == key
    assert (await desk.job(key)).outcome.position == job.outcome.position
    assert key in await keys(desk.jobs(key[:3]))
    assert await keys(desk.jobs(key)) == [key]


async def test_a_request_must_be_one(desk: DurableSuno, prefix: str) -> None:
    """And a path a path."""
    with pytest.raises(InvalidRequest, match="request must be an AddInstrumentalRequest"):
        await desk.submit(f"{prefix}a", {"title": "x"})  # type: ignore[arg-type] # wrong, for once
    for bad in ("a\0b", "\ud800", 7):
        with pytest.raises(InvalidRequest, match="stem must be a path"):
            await desk.submit(f"{prefix}a", song(), bad)  # type: ignore[arg-type] # the same
        with pytest.raises(InvalidRequest, match="save_to must be a path"):
            await desk.submit(f"{prefix}a", song(), save_to=bad)  # type: ignore[arg-type] # again


async def test_many_keep_their_order(desk: DurableSuno, prefix: str) -> None:
    """450 pairs take several transactions; jobs come back in the order of the pairs."""
    pairs = [(f"{prefix}{number * 7 % 450}", song(title=f"{number}")) for number in range(450)]
    assert await desk.submit_many(iter(pairs)) == 450
    jobs = await listed(desk.jobs(prefix))
    assert [job.key for job in jobs] == [key for key, _ in pairs]
    assert [job.request for job in jobs] == [request for _, request in pairs]
    assert await desk.submit_many([]) == 0


async def test_a_key_twice_among_many(desk: DurableSuno, prefix: str) -> None:
    """The same pair twice is one job; with another request it is a conflict."""
    pairs = [(f"{prefix}a", song()), (f"{prefix}b", song()), (f"{prefix}a", song())]
    assert await desk.submit_many(pairs) == 3
    assert await keys(desk.jobs(prefix)) == [f"{prefix}a", f"{prefix}b"]
    with pytest.raises(JobConflict):
        await desk.submit_many([(f"{prefix}c", song()), (f"{prefix}c", song(title="Other"))])
    assert await keys(desk.jobs(f"{prefix}c")) == []


async def test_an_error_in_the_middle_of_many(desk: DurableSuno, prefix: str) -> None:
    """What breaks a rule records nothing; a conflict leaves the chunks before it recorded."""
    pairs: list[tuple[str, AddInstrumentalRequest]] = [
        (f"{prefix}{number}", song()) for number in range(230)
    ]

    def broken() -> Iterator[tuple[str, AddInstrumentalRequest]]:
        yield from pairs[:210]
        raise LookupError("the list ended")

    with pytest.raises(LookupError, match="the list ended"):
        await desk.submit_many(broken())
    with pytest.raises(InvalidRequest):
        await desk.submit_many([*pairs[:210], ("", song()), *pairs[210:]])
    assert await keys(desk.jobs(prefix)) == []
    await desk.submit(f"{prefix}220", song(title="Another"))
    with pytest.raises(JobConflict, match=f"'{prefix}220'"):
        await desk.submit_many(pairs)
    there = await keys(desk.jobs(prefix))
    assert there == [f"{prefix}220", *(key for key, _ in pairs[:200])]
    assert await desk.submit_many([*pairs[:220], *pairs[221:]]) == 229
    assert len(await keys(desk.jobs(prefix))) == 230


async def test_a_prefix_is_taken_literally(desk: DurableSuno, prefix: str) -> None:
    """Percent signs, underscores, slashes and case mean themselves."""
    names = ["50%/a", "50x/a", "a_b", "axb", "A_b", "a/b", "a\\b", "ä/1", "Ä/1"]
    await desk.submit_many((f"{prefix}{name}", song()) for name in names)
    for wanted, found in {
        "50%": ["50%/a"],
        "a_": ["a_b"],
        "a": ["a_b", "axb", "a/b", "a\\b"],
        "A": ["A_b"],
        "a/": ["a/b"],
        "a\\": ["a\\b"],
        "ä": ["ä/1"],
        "%": [],
        "": names,
    }.items():
        assert await keys(desk.jobs(f"{prefix}{wanted}")) == [f"{prefix}{name}" for name in found]
    assert await keys(desk.jobs("_" + prefix)) == []
    for bad in ("a\0", "\ud800", None, 7):
        with pytest.raises(InvalidRequest, match="prefix must be"):
            await keys(desk.jobs(bad))  # type: ignore[arg-type] # wrong, for once


async def test_jobs_by_their_state(desk: DurableSuno, prefix: str) -> None:
    """One state or several, also by their names; an unknown one is refused."""
    await desk.submit_many((f"{prefix}{number}", song()) for number in range(3))
    assert await desk.cancel(f"{prefix}1")
    assert await keys(desk.jobs(prefix, JobState.CANCELLED)) == [f"{prefix}1"]
    assert await keys(desk.jobs(prefix, "waiting")) == [f"{prefix}0", f"{prefix}2"]  # type: ignore[arg-type] # a name does
    both = await keys(desk.jobs(prefix, [JobState.WAITING, JobState.CANCELLED]))
    assert both == [f"{prefix}{number}" for number in range(3)]
    assert await keys(desk.jobs(prefix, state=())) == []
    for bad in ("finished", ["waiting", 7], 7):
        with pytest.raises(InvalidRequest, match="state must be a JobState, or several"):
            await keys(desk.jobs(prefix, bad))  # type: ignore[arg-type] # wrong, for once


async def test_a_job_says_what_is_known(desk: DurableSuno, prefix: str) -> None:
    """Its attributes before anything was sent."""
    asked = song(title="Tide", style_weight=0.65)
    job = await desk.submit(f"{prefix}a", asked)
    assert (job.key, job.request, job.state) == (f"{prefix}a", asked, JobState.WAITING)
    assert (job.task_id, job.submitted_at, job.files, job.files_error) == (None, None, (), None)
    assert job.outcome.request == asked
    assert (job.outcome.task_id, job.outcome.details, job.outcome.error) == (None, None, None)
    assert await job.refresh() is job


async def test_an_unknown_key(desk: DurableSuno, prefix: str) -> None:
    """It is named."""
    for ask in (desk.job, desk.cancel):
        with pytest.raises(JobNotFound, match=f"there is no job '{prefix}nothing'"):
            await ask(f"{prefix}nothing")
    assert await keys(desk.jobs(f"{prefix}nothing")) == []


async def test_nothing_works_before_and_after(desk: DurableSuno, shared_database: str) -> None:
    """An object that is not open says so, and is entered once."""
    durable = DurableSuno(shared_database, worker=False)
    with pytest.raises(SessionClosed):
        await durable.submit("a", song())
    async with durable:
        with pytest.raises(SessionClosed):
            await durable.__aenter__()
        assert (await durable.stats()).workers == 0
        jobs = durable.jobs()
    with pytest.raises(SessionClosed):
        await durable.job("a")
    with pytest.raises(SessionClosed):
        await keys(jobs)
    with pytest.raises(SessionClosed):
        await durable.__aenter__()
    assert await durable.__aexit__(None, None, None) is None  # type: ignore[func-returns-value] # that it is harmless


async def test_cancelling_what_waits(desk: DurableSuno, prefix: str) -> None:
    """It has ended, says so, and may be submitted or adopted all the same."""
    job = await desk.submit(f"{prefix}a", song())
    assert await desk.cancel(job.key) is True
    assert await desk.cancel(job.key) is True
    with pytest.raises(JobCancelled, match="was cancelled before it was sent"):
        await job.result()
    with pytest.raises(JobCancelled):
        await listed(job.events())
    assert (await desk.submit(job.key, song())).state is JobState.CANCELLED
    with pytest.raises(JobUndecidable, match=r"Abandon does not fit job .* which is cancelled"):
        await desk.decide(job.key, Abandon())
    assert (await desk.decide(job.key, Resubmit())).state is JobState.WAITING
    assert await desk.cancel(job.key) is True
    adopted = await desk.decide(job.key, Adopt("some-task"))
    assert (adopted.state, adopted.task_id) == (JobState.RUNNING, "some-task")


@pytest.mark.parametrize("decision", [Resubmit(), Adopt("some-task"), Abandon()])
async def test_what_waits_is_not_decided(
    desk: DurableSuno, prefix: str, decision: Decision
) -> None:
    """It goes on by itself."""
    job = await desk.submit(f"{prefix}a", song())
    with pytest.raises(JobUndecidable, match="which is waiting"):
        await desk.decide(job.key, decision)
    assert (await job.refresh()).state is JobState.WAITING
    with pytest.raises(JobNotFound):
        await desk.decide(f"{prefix}b", decision)
