"""The traps of running on DBOS, each with a test that names it."""

import asyncio
import base64
import contextlib
import inspect
import pickle
import sqlite3
import subprocess
import sys
import threading
from datetime import timedelta
from typing import Any

import pytest

import suno_async.durable
from suno_async import InvalidRequest, TaskExpired
from suno_async.durable import (
    DatabaseFailed,
    DurableSuno,
    JobCancelled,
    JobConflict,
    JobNotFound,
    JobState,
    JobTimeout,
    JobUndecidable,
    WorkerRefused,
)
from suno_async.sandbox import Call, HttpError, Sandbox
from tests.following import STUCK
from tests.world import song

from .using import ROOT, becomes, eventually, program, result_of, rows, said, tables, working


async def test_trap_workflows_run_on_the_callers_loop(database: str, service: Sandbox) -> None:
    """Launched here, so the session's own objects work: its observers are told on this loop."""
    here = asyncio.get_running_loop()
    seen: list[tuple[asyncio.AbstractEventLoop, threading.Thread]] = []

    def observe(_: object) -> None:
        seen.append((asyncio.get_running_loop(), threading.current_thread()))

    async with service.session(observers=[observe]) as suno, DurableSuno(database, suno) as durable:
        await (await durable.submit("a", song())).result(20)
    assert {loop for loop, _ in seen} == {here}
    assert {thread for _, thread in seen} == {threading.current_thread()}


async def test_trap_the_loops_executor_works_after_leaving(database: str, service: Sandbox) -> None:
    """DBOS puts its own in the place of the loop's; afterwards there is one that works."""
    async with working(database, service):
        assert await asyncio.to_thread(lambda: 1) == 1
    for _ in range(2):
        assert await asyncio.to_thread(lambda: 2) == 2
    loop = asyncio.get_running_loop()
    assert await loop.run_in_executor(None, lambda: 3) == 3
    assert await loop.getaddrinfo("localhost", 80)


async def test_trap_running_jobs_are_left_pending_and_go_on(
    database: str, service: Sandbox
) -> None:
    """Leaving records no end: the same task is watched by whoever comes next."""
    async with working(database, service) as durable:
        service.script(STUCK)
        job = await durable.submit("a", song())
        await eventually(_grown(service, 1))
        assert (await job.refresh()).state is JobState.RUNNING
    states = dict(rows(database, "SELECT name, status FROM {schema}workflow_status"))
    assert states == {"suno_async.submit": "SUCCESS", "suno_async.watch": "PENDING"}
    polls = len(service.polls)
    async with working(database, service) as durable:
        again = await durable.job("a")
        assert (again.state, again.task_id) == (JobState.RUNNING, service.ledger[0].task_id)
        await eventually(_grown(service, polls))
    assert len(service.ledger) == 1


def _grown(service: Sandbox, polls: int) -> Any:
    async def has_grown() -> bool:
        return len(service.polls) > polls

    return has_grown


async def test_an_expired_task(database: str, service: Sandbox) -> None:
    """A job that is found again after more than 14 days has expired, as a task has."""
    async with working(database, service) as durable:
        service.script(STUCK)
        job = await durable.submit("old", song())
        await becomes(job, JobState.RUNNING)
    rows(database, "UPDATE {schema}suno_jobs SET submitted_s = submitted_s - 1209700")
    async with working(database, service) as durable:
        with pytest.raises(TaskExpired, match="expired on") as caught:
            await (await durable.job("old")).result(20)
    assert caught.value.task_id == job.task_id


async def test_trap_one_worker_a_process(database: str, postgres: str, service: Sandbox) -> None:
    """A second one is refused, as DBOS would silently give the first; the first works on."""
    async with working(database, service) as durable:
        second = DurableSuno(postgres, service.session())
        with pytest.raises(WorkerRefused, match=r"has a worker already|another worker owns"):
            await second.__aenter__()
        assert len((await (await durable.submit("a", song())).result(20)).tracks) == 2
        assert (await durable.stats()).workers == 1
    async with working(postgres, service) as third:
        assert (await third.stats()).workers == 1


@pytest.mark.skipif(
    sys.version_info >= (3, 12) and sqlite3.sqlite_version_info < (3, 42),
    reason="a DBOS that is not ours cannot work there: it asks SQLite for what it does not know",
)
async def test_trap_a_host_with_a_dbos_of_its_own(sqlite: str, service: Sandbox) -> None:
    """It keeps it: a worker is refused, the host's workflow runs, and reading works beside it."""
    code = """
        from dbos import DBOS

        @DBOS.workflow()
        async def double(number: int) -> int:
            return 2 * number

        async def main(url, host, base, key):
            DBOS(config={"name": "host", "system_database_url": host, "log_level": "ERROR"})
            DBOS.launch()
            session = SunoSession(key, base_url=base)
            try:
                async with DurableSuno(url, session):
                    raise AssertionError
            except WorkerRefused as error:
                refused = str(error)
            async with DurableSuno(url, worker=False) as durable:
                job = await durable.submit("a", song())
            doubled = await double(21)
            handle = await DBOS.start_workflow_async(double, 4)
            started = await handle.get_result()
            loop = asyncio.get_running_loop()
            thread = await asyncio.to_thread(lambda: 1)
            DBOS.destroy()
            print(json.dumps([refused, job.state, doubled, started, thread]))

        asyncio.run(main(*sys.argv[1:]))
    """
    host = sqlite.replace("jobs.db", "host.db")
    async with program(code, sqlite, host, service.base_url, service.api_key) as process:
        refused, state, *numbers = await said(process)
    assert "launched a DBOS of its own" in refused
    assert "worker=False" in refused
    assert (state, numbers) == ("waiting", [42, 8, 1])
    async with working(sqlite, service) as durable:
        assert len((await (await durable.job("a")).result(20)).tracks) == 2
        assert (await durable.stats()).workers == 1


async def test_trap_the_application_version_is_pinned(database: str, service: Sandbox) -> None:
    """So that recovery skips no job after an update of whatever the process runs besides."""
    async with working(database, service) as durable:
        await (await durable.submit("a", song())).result(20)
    found = rows(database, "SELECT DISTINCT application_version FROM {schema}workflow_status")
    assert [tuple(row) for row in found] == [("suno-async-1",)]


def _is_pickled(value: object) -> bool:
    """Tell whether something is a pickle, as it is or in base 64."""
    text = value.encode() if isinstance(value, str) else value
    if not isinstance(text, bytes | memoryview) or not text:
        return False
    candidates = [bytes(text)]
    with contextlib.suppress(ValueError):
        candidates.append(base64.b64decode(bytes(text), validate=True))
    return any(each.startswith(b"\x80") and each.endswith(b".") for each in candidates)


async def test_trap_nothing_is_pickled(database: str, service: Sandbox) -> None:
    """Whoever may write to the database may not run code here: all of it is text or JSON."""
    assert _is_pickled(base64.b64encode(pickle.dumps("x")).decode())
    assert _is_pickled(pickle.dumps({"a": 1}))
    service.inject(Call.SUBMIT, HttpError(502))
    async with working(database, service) as durable:
        await becomes(await durable.submit("lost", song()), JobState.UNCERTAIN)
        await (await durable.submit("a", song())).result(20)
    found = tables(database)
    assert found["workflow_status"]
    for name, content in found.items():
        for row in content:
            for column, value in row.items():
                assert not _is_pickled(value), (name, column)
                assert "pickle" not in str(value), (name, column)
    formats = {row["serialization"] for row in found["workflow_status"]}
    assert formats == {"portable_json"}


ERRORS = [
    JobConflict("a", '{"title": "x"}', "{}"),
    JobNotFound("a"),
    JobUndecidable("a", "running", "Abandon"),
    JobCancelled("a"),
    JobTimeout("a", "running", timedelta(seconds=1)),
    DatabaseFailed("gone"),
    WorkerRefused("no"),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_trap_exceptions_survive_a_round_trip(error: Exception) -> None:
    """Pickled, as other libraries do it, they are what they were."""
    again = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own
    assert (type(again), str(again), vars(again)) == (type(error), str(error), vars(error))


async def test_trap_a_poll_leaves_nothing_in_the_database(database: str, service: Sandbox) -> None:
    """Between two stages a job is looked at any number of times: no row comes of it."""
    async with working(database, service) as durable:
        service.script(STUCK)
        job = await durable.submit("a", song())
        await becomes(job, JobState.RUNNING)

        def size() -> dict[str, Any]:
            found = tables(database)
            found.pop("suno_workers")  # its one row tells who is alive
            return {name: [str(row) for row in content] for name, content in found.items()}

        polls = len(service.polls)
        await eventually(_grown(service, polls + 1))
        before = size()
        polls = len(service.polls)
        await eventually(_grown(service, polls + 6))
        assert size() == before
        assert not before["operation_outputs"]


async def test_trap_sqlite_writes_ahead_and_syncs(sqlite: str, tmp_path: Any) -> None:
    """WAL is set in the file itself, also in a new one; commits are on the disk."""
    for url in (sqlite, f"sqlite:///{tmp_path / 'new.db'}"):
        async with DurableSuno(url, worker=False) as durable:
            await durable.submit("a", song())
            database = durable._sends._database
            modes = await database.run(
                lambda connection: [
                    connection.exec_driver_sql(f"PRAGMA {name}").scalar()
                    for name in ("journal_mode", "synchronous")
                ]
            )
            assert modes == ["wal", 2]
        assert rows(url, "PRAGMA journal_mode") == [("wal",)]


async def test_trap_stderr_stays_empty(sqlite: str, service: Sandbox) -> None:
    """DBOS logs to stderr by itself; its records go to the program's own handlers alone."""
    code = """
        import logging

        class Kept(logging.Handler):
            def emit(self, record):
                kept.append(record.name)

        kept = []

        async def main(url, base, key):
            session = SunoSession(key, base_url=base, cadence=FixedInterval(0.5))
            async with DurableSuno(url, session) as durable:
                job = await durable.submit("a", song())
                await job.result(30)
                await durable.submit("b", song())
                await asyncio.sleep(0.5)
            logging.getLogger("dbos").warning("nobody listens")
            logging.getLogger().addHandler(Kept())
            logging.getLogger("dbos").warning("the program listens")
            print(json.dumps(kept))

        asyncio.run(main(*sys.argv[1:]))
    """
    assert await result_of(code, sqlite, service.base_url, service.api_key) == ["dbos"]


async def test_trap_one_worker_a_file(sqlite: str, service: Sandbox) -> None:
    """One of another process is refused and told which file; once it is killed, it is free."""
    code = """
        async def main(url, base, key):
            async with DurableSuno(url, SunoSession(key, base_url=base)):
                print(json.dumps("working"), flush=True)
                await asyncio.sleep(60)

        asyncio.run(main(*sys.argv[1:]))
    """
    path = sqlite.removeprefix("sqlite:///")
    async with program(code, sqlite, service.base_url, service.api_key) as process:
        assert await said(process) == "working"
        with pytest.raises(WorkerRefused, match=rf"another worker owns {path}: .*worker=False"):
            await DurableSuno(sqlite, service.session()).__aenter__()
        async with DurableSuno(sqlite, worker=False) as reader:
            await reader.submit("a", song())
        process.kill()
        await process.wait()
        async with working(sqlite, service) as durable:
            assert len((await (await durable.job("a")).result(20)).tracks) == 2


def run(code: str) -> str:
    """Run a program; give what it prints."""
    done = subprocess.run(  # noqa: S603 - our own interpreter
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
    return done.stdout


def test_a_missing_extra_is_named() -> None:
    """Whichever of its packages is not there, the message says what to install."""
    told = run("""
import sys
for name in ("dbos", "filelock", "psycopg", "sqlalchemy"):
    sys.modules[name] = None
    try:
        import suno_async.durable
    except ImportError as error:
        print(error.name, "|", error)
    del sys.modules[name]
    sys.modules.pop("suno_async.durable", None)
""").splitlines()
    assert told == [
        f"{name} | suno_async.durable needs {name}: pip install 'suno-async[durable]'"
        for name in ("dbos", "filelock", "psycopg", "sqlalchemy")
    ]


def test_the_core_loads_none_of_it() -> None:
    """Neither the bare import nor any public name of the core."""
    names = run("import sys, suno_async\nfrom suno_async import *\nprint(*sys.modules)").split()
    loaded = {name.partition(".")[0] for name in names}
    assert not loaded & {"dbos", "sqlalchemy", "psycopg", "filelock"}
    assert not [name for name in names if name.startswith("suno_async.durable")]


def test_no_type_of_dbos_is_on_the_surface() -> None:
    """Public names, their arguments and results speak the library's words alone."""
    for name in suno_async.durable.__all__:
        public = getattr(suno_async.durable, name)
        members = [public]
        if inspect.isclass(public):
            members += [value for key, value in vars(public).items() if not key.startswith("_")]
        for member in members:
            function = getattr(member, "fget", member)
            shown = str(getattr(function, "__annotations__", {}))
            if callable(function) and not inspect.isclass(function):
                shown += str(inspect.signature(function))
            assert not [word for word in ("dbos", "sqlalchemy", "psycopg") if word in shown], name


@pytest.mark.parametrize(
    "url",
    [
        "",
        "suno.db",
        "sqlite://",
        "sqlite:///:memory:",
        "sqlite:///file:x.db?uri=true",
        "mysql://user:hunter2@host/db",
        "postgresql://",
        "postgresql://user:hunter2@host",
        "postgresql://user:p@hunter2@host/db",
        "postgresql://user:p@ss:hunter2@host/db",
        "postgresql://user:hunter2@host:port/db",
        None,
        7,
    ],
)
def test_a_url_that_is_none(url: Any) -> None:
    """It is refused before anything happens, and never shown: it may hold a password."""
    with pytest.raises(InvalidRequest, match="url must ") as caught:
        DurableSuno(url, worker=False)
    error: BaseException | None = caught.value
    while error is not None:
        assert "hunter2" not in f"{error} {error!r}"
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("sqlite:///music/suno.db", "sqlite:///music/suno.db"),
        ("postgresql://u:hunter2@host:5433/db", "postgresql://host:5433/db"),
        ("postgres://u:hunter2@host/db", "postgresql://host/db"),
        ("postgresql+psycopg://host/db?password=hunter2", "postgresql://host/db"),
    ],
)
def test_a_url_is_shown_without_its_secrets(url: str, shown: str) -> None:
    """Where the jobs are, and nothing with which one gets there."""
    assert repr(DurableSuno(url, worker=False)) == f"<DurableSuno at {shown}>"


def test_a_worker_needs_a_session() -> None:
    """It is refused at once."""
    with pytest.raises(InvalidRequest, match="session must be there for a worker"):
        DurableSuno("sqlite:///x.db", worker=True)
    with pytest.raises(InvalidRequest, match="reconcile_for must be"):
        DurableSuno("sqlite:///x.db", worker=False, reconcile_for=-1)
