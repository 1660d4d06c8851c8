"""What tests of jobs share: workers beside a sandbox, other processes, and a look at the tables."""

import asyncio
import json
import sys
import textwrap
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sa
from attrs import frozen

from suno_async import CallbackReceiver
from suno_async.durable import DurableSuno, Job, JobState
from suno_async.sandbox import Sandbox, TaskScript
from tests.world import song

T = TypeVar("T")

SECRET = "a secret of the service"

ROOT = Path(__file__).parents[2]

# what a program of a test begins with
_BEGINNING = """
import asyncio, json, sys
from suno_async import *
from suno_async.durable import *
from tests.world import song
"""


@frozen
class Office:
    """A worker and a sandbox, and an object that only submits and reads beside them.

    Attributes:
        url: The database.
        sandbox: What the worker talks to.
        worker: Works.
        reader: Reads, as another process would.
        seen: What the worker's session told its observer.
    """

    url: str
    sandbox: Sandbox
    worker: DurableSuno
    reader: DurableSuno
    seen: list[object]

    async def submit(self, key: str, *scripts: TaskScript, **changes: Any) -> Job:
        """Submit a job whose task follows a script."""
        self.sandbox.script(*scripts)
        return await self.reader.submit(key, song(**changes))

    def charges(self, title: str) -> list[str]:
        """Tell which tasks were paid for under a title."""
        tasks = self.sandbox.tasks
        paid = [each.task_id for each in self.sandbox.ledger if each.kind == "charge"]
        return [task_id for task_id in paid if tasks[task_id].request["title"] == title]


@asynccontextmanager
async def working(url: str, sandbox: Sandbox, **settings: Any) -> AsyncIterator[DurableSuno]:
    """Run a worker at the pace of a sandbox."""
    async with DurableSuno(url, sandbox.session(), **settings) as worker:
        yield worker


@asynccontextmanager
async def office(
    url: str, receiver: CallbackReceiver | None = None, **settings: Any
) -> AsyncIterator[Office]:
    """Run a sandbox whose tasks take a quarter of a second, a worker, and a reader.

    Args:
        url: The database.
        receiver: The reader's; the worker has one that is like it, and that nobody reaches.
        settings: Of the worker's session.
    """
    seen: list[object] = []
    private = CallbackReceiver(receiver.public_url, secret=SECRET) if receiver is not None else None
    async with Sandbox(time_scale=0.002, submissions_per_window=None) as sandbox:
        session = sandbox.session(observers=[seen.append], receiver=private, **settings)
        async with (
            DurableSuno(url, session) as worker,
            DurableSuno(url, worker=False, receiver=receiver) as reader,
        ):
            yield Office(url, sandbox, worker, reader, seen)


async def becomes(job: Job, *states: JobState) -> Job:
    """Wait until a job is in one of some states."""

    async def is_there() -> bool:
        return (await job.refresh()).state in states

    await eventually(is_there)
    return job


async def eventually(holds: Callable[[], Awaitable[object]]) -> None:
    """Wait for something that has to be asked for."""
    async with asyncio.timeout(20):
        while not await holds():  # noqa: ASYNC110 - another process may have to do it
            await asyncio.sleep(0.02)


async def listed(items: AsyncIterable[T]) -> list[T]:
    """Read an asynchronous iterable to its end."""
    return [item async for item in items]


async def keys(jobs: AsyncIterable[Job]) -> list[str]:
    """Name jobs."""
    return [job.key async for job in jobs]


# --- other processes ------------------------------------------------------------------------------


@asynccontextmanager
async def program(code: str, *arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run a program in another process; it is killed at the end if it still lives."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        _BEGINNING + textwrap.dedent(code),
        *arguments,
        cwd=ROOT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def said(process: asyncio.subprocess.Process) -> Any:
    """Read the next line of a program, as JSON."""
    assert process.stdout is not None
    async with asyncio.timeout(40):
        line = await process.stdout.readline()
        if not line:
            assert process.stderr is not None
            raise AssertionError((await process.stderr.read()).decode())
    return json.loads(line)


async def result_of(code: str, *arguments: str) -> Any:
    """Run a program in another process; give what it prints, as JSON. It writes no errors."""
    async with program(code, *arguments) as process, asyncio.timeout(60):
        out, errors = await process.communicate()
        assert errors.decode() == ""
        assert process.returncode == 0
        return json.loads(out)


# --- tables ---------------------------------------------------------------------------------------


def rows(url: str, query: str, **values: Any) -> list[Any]:
    """Ask the database itself; `{schema}` stands before the name of a table."""
    read = sa.make_url(url)
    postgres = read.get_backend_name() == "postgresql"
    schema = "suno_async." if postgres else ""
    if postgres:
        read = read.set(drivername="postgresql+psycopg")
    engine = sa.create_engine(read)
    try:
        with engine.begin() as connection:
            found = connection.execute(sa.text(query.format(schema=schema)), values)
            return list(found) if found.returns_rows else []
    finally:
        engine.dispose()


def tables(url: str) -> dict[str, list[dict[str, Any]]]:
    """Read every row of every table."""
    read = sa.make_url(url)
    schema = None
    if read.get_backend_name() == "postgresql":
        read, schema = read.set(drivername="postgresql+psycopg"), "suno_async"
    engine = sa.create_engine(read)
    try:
        metadata = sa.MetaData()
        metadata.reflect(engine, schema=schema)
        with engine.connect() as connection:
            return {
                table.name: [dict(row._mapping) for row in connection.execute(sa.select(table))]
                for table in metadata.sorted_tables
            }
    finally:
        engine.dispose()
