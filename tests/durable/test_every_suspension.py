"""Every public coroutine of `durable`, cancelled at each of its suspension points in turn."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from suno_async.durable import Abandon, Adopt, DurableSuno, Job, JobState, JobUndecidable
from suno_async.sandbox import Call, Delay, Sandbox
from tests.following import running
from tests.leaving.interrupting import IS_LONG, Interruption, at_every_suspension
from tests.waiting import until
from tests.world import song

from .test_leaving import nothing_left
from .using import becomes, listed

Work = Callable[[DurableSuno, Job], Coroutine[Any, Any, Any]]


@pytest.fixture
async def desk(sqlite: str) -> AsyncIterator[DurableSuno]:
    """An object that submits and reads, beside a job that has ended and one that waits."""
    async with DurableSuno(sqlite, worker=False) as entered:
        await entered.submit("ended", song())
        await entered.cancel("ended")
        yield entered


async def _decide(durable: DurableSuno, _: Job) -> None:
    await durable.decide("ended", Adopt("a-task"))


async def _abandon(durable: DurableSuno, _: Job) -> None:
    with pytest.raises(JobUndecidable):
        await durable.decide("waiting", Abandon())


WORK: dict[str, Work] = {
    "submit": lambda durable, _: durable.submit("new", song()),
    "submit many": lambda durable, _: durable.submit_many((f"{n}", song()) for n in range(250)),
    "recover": lambda durable, _: durable.recover(),
    "job": lambda durable, _: durable.job("ended"),
    "jobs": lambda durable, _: listed(durable.jobs()),
    "outcomes": lambda durable, _: listed(durable.outcomes("ended")),
    "follow": lambda durable, _: listed(durable.follow("ended")),
    "uncertain": lambda durable, _: durable.uncertain(),
    "stats": lambda durable, _: durable.stats(),
    "decide": _decide,
    "abandon": _abandon,
    "cancel": lambda durable, _: durable.cancel("waiting"),
    "prune": lambda durable, _: durable.prune(1e-6),
    "refresh": lambda _, job: job.refresh(),
    "events": lambda _, job: _refused(listed(job.events())),
    "result": lambda _, job: _refused(job.result(5)),
}


async def _refused(work: Coroutine[Any, Any, Any]) -> None:
    with pytest.raises(Exception, match="cancelled"):
        await work


@pytest.mark.parametrize("name", WORK)
async def test_a_call_is_cancelled_at_every_suspension(desk: DurableSuno, name: str) -> None:
    """The next call works, jobs are whole or not there, and nothing runs on."""
    await asyncio.to_thread(lambda: None)  # the loop's own executor
    job = await desk.job("ended")
    await desk.jobs("x").aclose()

    async def attempt(interruption: Interruption) -> None:
        await desk.submit("ended", song())
        await desk.submit("waiting", song())
        if name != "decide":
            await desk.cancel("ended")
        before = running()
        await interruption.run(WORK[name](desk, job))
        assert running() == before
        for each in await listed(desk.jobs()):
            assert each.state in {JobState.WAITING, JobState.CANCELLED, JobState.RUNNING}
        if name == "submit many":
            assert await desk.submit_many((f"{n}", song()) for n in range(250)) == 250
            assert len(await listed(desk.jobs())) == 252

    assert await at_every_suspension(attempt) >= 1


async def test_entering_is_cancelled_at_every_suspension(sqlite: str, service: Sandbox) -> None:
    """As a worker: neither tasks, threads, descriptors nor the file's lock are left."""
    await asyncio.to_thread(lambda: None)

    async def attempt(interruption: Interruption) -> None:
        durable = DurableSuno(sqlite, service.session())

        async def enter() -> None:
            await durable.__aenter__()

        await interruption.run(enter())
        if interruption.error is None:
            await durable.__aexit__(None, None, None)

    async with nothing_left():
        assert await at_every_suspension(attempt) >= 3


@pytest.mark.skipif(not IS_LONG, reason="each leaving waits for what was sent: a minute in all")
async def test_leaving_is_cancelled_at_every_suspension(
    tmp_path: Path, sqlite: str, service: Sandbox
) -> None:
    """While a job is being sent: it ends, and the next worker knows what it was."""
    await asyncio.to_thread(lambda: None)
    path = tmp_path / "prepared.db"
    shutil.copyfile(sqlite.removeprefix("sqlite:///"), path)

    async def attempt(interruption: Interruption) -> None:
        copied = tmp_path / f"{id(interruption)}.db"
        shutil.copyfile(path, copied)
        durable = DurableSuno(f"sqlite:///{copied}", service.session())
        await durable.__aenter__()
        service.inject(Call.SUBMIT, Delay(60, processed=True))
        paid = len(service.ledger)
        await durable.submit("a", song())
        await until(lambda: len(service.ledger) > paid)

        async def leave() -> None:
            await durable.__aexit__(None, None, None)

        await interruption.run(leave())
        service.clear_faults()
        async with DurableSuno(f"sqlite:///{copied}", service.session()) as again:
            await becomes(await again.job("a"), JobState.UNCERTAIN)
        assert len(service.ledger) == paid + 1

    async with nothing_left():
        assert await at_every_suspension(attempt) >= 1
