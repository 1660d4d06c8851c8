"""Entering and leaving, also midway and cut off: nothing is left running, and all goes on later."""

import asyncio
import gc
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa

from suno_async import SessionClosed
from suno_async.durable import DatabaseFailed, DurableSuno, JobState, WorkerRefused
from suno_async.durable.database import Database, read_url
from suno_async.sandbox import Call, Delay, Sandbox
from tests.following import STUCK, open_files, running
from tests.waiting import HANGS_AFTER_S, until
from tests.world import song

from .using import becomes, working


def our_threads() -> set[str]:
    """Name the threads that are not the tests' own."""
    return {
        thread.name
        for thread in threading.enumerate()
        if thread is not threading.main_thread() and not thread.name.startswith("asyncio")
    }


@asynccontextmanager
async def nothing_left() -> AsyncIterator[None]:
    """See that neither tasks, threads nor descriptors are left; the service's may take a moment."""
    tasks, threads, files = running(), our_threads(), open_files()
    yield
    assert running() <= tasks
    await until(lambda: our_threads() <= threads)
    await until(lambda: len(open_files()) <= len(files))


async def test_leaving_leaves_nothing(database: str, service: Sandbox) -> None:
    """Neither tasks nor threads nor descriptors, with jobs waiting, running and ended."""
    await asyncio.to_thread(lambda: None)  # the loop's own executor
    async with nothing_left():
        async with asyncio.timeout(HANGS_AFTER_S), working(database, service) as durable:
            await (await durable.submit("ended", song())).result(HANGS_AFTER_S)
            service.script(STUCK)
            await becomes(await durable.submit("running", song()), JobState.RUNNING)
            service.inject(Call.SUBMIT, Delay(2 * HANGS_AFTER_S), times=None)
            await durable.submit_many((f"{number}", song()) for number in range(20))
        service.clear_faults()


async def test_no_more_is_submitted(database: str, service: Sandbox) -> None:
    """What is paid for is watched to its end; the rest waits for the next worker."""
    session = service.session(submissions_per_window=(3, 600))
    async with DurableSuno(database, session) as durable:
        await durable.submit_many((f"{number}", song()) for number in range(3))
        await until(lambda: len(service.ledger) == 3)
        await durable.submit_many((f"{number}", song()) for number in range(3, 8))
        durable.stop_submitting()
        for number in range(3):
            await (await durable.job(f"{number}")).result(20)
        assert (await durable.stats()).jobs == {JobState.COMPLETE: 3, JobState.WAITING: 5}
    assert len(service.ledger) == 3
    with pytest.raises(SessionClosed):
        durable.stop_submitting()
    async with nothing_left(), DurableSuno(database, worker=False) as desk:
        desk.stop_submitting()  # it sends nothing anyway


async def test_one_after_the_other(database: str, service: Sandbox) -> None:
    """Several in one process, each after the last; jobs go on with the next."""
    async with nothing_left():
        for number in range(3):
            async with working(database, service) as durable:
                if number:
                    await (await durable.job(f"{number - 1}")).result(20)
                await durable.submit(f"{number}", song())
                assert (await durable.stats()).workers == 1
    assert len(service.ledger) <= 3


async def test_on_another_loop(sqlite: str) -> None:
    """Each may have an event loop of its own."""

    async def once(key: str) -> int:
        async with (
            Sandbox(time_scale=0, submissions_per_window=None) as sandbox,
            working(sqlite, sandbox) as durable,
        ):
            return len((await (await durable.submit(key, song())).result(20)).tracks)

    for key in ("a", "b"):
        assert await asyncio.to_thread(lambda key=key: asyncio.run(once(key))) == 2  # type: ignore[misc]


async def raise_in_the_body(url: str, service: Sandbox) -> None:
    """Fail while a worker works."""
    async with working(url, service) as durable:
        await durable.submit("a", song())
        raise LookupError("of the body")


async def test_an_exception_in_the_body(database: str, service: Sandbox) -> None:
    """It passes, and nothing is left."""
    async with nothing_left():
        with pytest.raises(LookupError, match="of the body"):
            await raise_in_the_body(database, service)


@pytest.mark.parametrize("times", [1, 2])
async def test_leaving_is_cancelled(database: str, service: Sandbox, times: int) -> None:
    """Once or twice: it ends all the same, and then says that it was cancelled."""
    async with nothing_left():
        durable = DurableSuno(database, service.session())
        await durable.__aenter__()
        service.script(STUCK)
        await becomes(await durable.submit("a", song()), JobState.RUNNING)
        leaving = asyncio.create_task(durable.__aexit__(None, None, None))
        for _ in range(times):
            await asyncio.sleep(0.001)
            leaving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaving
        with pytest.raises(SessionClosed):
            await durable.stats()
    async with working(database, service) as again:
        assert (await again.job("a")).state is JobState.RUNNING


@pytest.mark.parametrize("passes", [0, 1, 5, 30, 100])
async def test_entering_is_cancelled(database: str, service: Sandbox, passes: int) -> None:
    """At any point: nothing is left, and another one enters."""
    async with nothing_left():
        entering = asyncio.create_task(DurableSuno(database, service.session()).__aenter__())
        for _ in range(passes):
            await asyncio.sleep(0)
        if not entering.done():
            await asyncio.sleep(passes / 1000)
        entered = entering.done()
        entering.cancel()
        await asyncio.gather(entering, return_exceptions=True)
        if entered:
            await entering.result().__aexit__(None, None, None)
    async with working(database, service) as durable:
        assert (await durable.stats()).workers == 1


async def test_what_was_entered_before_stays(database: str, service: Sandbox) -> None:
    """A session that was open stays so, and is left as it was."""
    async with service.session() as suno:
        async with DurableSuno(database, suno) as durable:
            await (await durable.submit("a", song())).result(20)
        assert suno.is_open
        assert len((await suno.generate(song())).tracks) == 2


async def test_a_session_that_was_left(sqlite: str, service: Sandbox) -> None:
    """It cannot be entered again; entering says so, and leaves nothing."""
    session = service.session()
    async with session:
        pass
    async with nothing_left():
        with pytest.raises(SessionClosed):
            await DurableSuno(sqlite, session).__aenter__()


async def test_a_worker_that_is_refused_leaves_nothing(database: str, service: Sandbox) -> None:
    """Neither its session nor its place in the fleet; the other one works on."""
    async with working(database, service) as durable:
        session = service.session()
        with pytest.raises(WorkerRefused):
            await DurableSuno(database, session).__aenter__()
        assert not session.is_open
        assert (await durable.stats()).workers == 1
        await (await durable.submit("a", song())).result(20)


@pytest.mark.parametrize("worker", [True, False])
async def test_a_file_that_cannot_be(tmp_path: Path, service: Sandbox, worker: bool) -> None:
    """No folder, a folder in its place, a file that is no database: it is said at once."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "text").write_text("this is no database" * 100)
    async with nothing_left():
        for name in ("nowhere/jobs.db", "folder", "text", "text/jobs.db"):
            url = f"sqlite:///{tmp_path / name}"
            session = service.session() if worker else None
            with pytest.raises(DatabaseFailed, match="the jobs' database failed"):
                async with asyncio.timeout(HANGS_AFTER_S):
                    await DurableSuno(url, session).__aenter__()
    assert not (tmp_path / "nowhere").exists()


async def test_a_server_that_cannot_be_reached(postgres: str, service: Sandbox) -> None:
    """Entering gives up after some seconds, and tells no password."""
    unknown = postgres.replace("/suno_test_", "/suno_unknown_", 1)
    urls = ("postgresql://user:hunter2@127.0.0.1:1/db", unknown)

    async def enter(url: str) -> str:
        with pytest.raises(DatabaseFailed) as caught:
            await DurableSuno(url, service.session()).__aenter__()
        return str(caught.value)

    async with nothing_left(), asyncio.timeout(HANGS_AFTER_S):
        told = await asyncio.gather(*map(enter, urls))
    assert "hunter2" not in "".join(told)
    assert "refused" in told[0]
    assert "does not exist" in told[1]


async def test_what_is_given_back_late_is_closed(postgres: str) -> None:
    """A thread may hold its connection for longer than leaving waits, on a busy machine."""
    database = Database(read_url(postgres))
    began, pids = threading.Event(), list[int]()

    def hold(connection: sa.Connection) -> None:
        pids.append(connection.execute(sa.text("SELECT pg_backend_pid()")).scalar_one())
        began.set()
        connection.execute(sa.text("SELECT pg_sleep(7)"))

    holding = asyncio.create_task(database.run(hold))
    await until(began.is_set)
    await database.aclose()
    assert not holding.done()
    await holding
    gc.collect()  # one that was left open would say so
    alive = sa.text("SELECT count(*) FROM pg_stat_activity WHERE pid = :pid")
    other = Database(read_url(postgres))
    async with asyncio.timeout(HANGS_AFTER_S):
        while await other.read(lambda it: it.execute(alive, {"pid": pids[0]}).scalar_one()):  # noqa: ASYNC110 - the server tells nobody
            await asyncio.sleep(0.05)
    await other.aclose()
