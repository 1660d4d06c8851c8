"""Worker processes that are killed, stopped and continued while they work on jobs."""

import asyncio
import contextlib
import itertools
import json
import random
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from attrs import define, field, frozen

from suno_async.durable.tables import SCHEMA

_STATUS = sa.table(
    "workflow_status", sa.column("workflow_uuid"), sa.column("status"), sa.column("executor_id")
)
_OPEN = ("PENDING", "ENQUEUED")


@define(eq=False)
class Process:
    """A worker's process.

    Attributes:
        name: Of the worker, the first part of its name in the database.
        popen: The process.
        working: Whether it has begun to work.
        stopped: Whether it is stopped with SIGSTOP.
    """

    name: str
    popen: "subprocess.Popen[bytes]"
    working: bool = False
    stopped: bool = False

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self.popen.send_signal(number)
        self.stopped = number == signal.SIGSTOP

    async def ready(self) -> None:
        """Wait until it works."""
        assert self.popen.stdout is not None
        line = await asyncio.to_thread(self.popen.stdout.readline)
        if not line:
            raise RuntimeError(f"worker {self.name} did not start")
        self.working = True

    async def figures(self) -> dict[str, float]:
        """Ask it what it has taken up to now: `cpu_s`, and `bytes` beyond its imports."""
        assert self.popen.stdin is not None
        assert self.popen.stdout is not None
        self.popen.stdin.write(b"?\n")
        self.popen.stdin.flush()
        line = await asyncio.to_thread(self.popen.stdout.readline)
        told: dict[str, float] = json.loads(line)
        return told


@frozen
class TakenOver:
    """How long the work of a worker that was killed or stopped lay idle.

    Attributes:
        how: `killed` or `stopped`.
        workflows: How many workflows it ran.
        seconds: Until all of them went on elsewhere, or had ended; None if they never did.
    """

    how: str
    workflows: int
    seconds: float | None


@define(eq=False)
class Fleet:
    """Workers on one database.

    Attributes:
        settings: What every worker is told; see `durable_worker`.
        url: The database, as this process knows it.
        log: Where they write what they have to say.
        processes: Those that live.
        taken_over: What became of the work of those that did not.
    """

    settings: dict[str, Any]
    url: str
    log: Path
    processes: list[Process] = field(factory=list[Process])
    taken_over: list[TakenOver] = field(factory=list[TakenOver])
    killed: int = 0
    stopped: int = 0
    _numbers: "itertools.count[int]" = field(factory=lambda: itertools.count(1))
    _watching: set["asyncio.Task[None]"] = field(factory=set)

    def start(self) -> Process:
        """Start a worker; it needs a second or two until it works."""
        name = f"w{next(self._numbers)}x"
        with self.log.open("ab") as log:
            popen = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "benchmarks.durable_worker",
                    json.dumps({**self.settings, "name": name}),
                ],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
            )
        process = Process(name, popen)
        self.processes.append(process)
        return process

    def kill(self, process: Process) -> None:
        """Kill a worker, and watch what becomes of its work."""
        process.send(signal.SIGKILL)
        process.popen.wait()
        self._close(process)
        self.killed += 1
        self._watch("killed", process)

    async def stop(self, process: Process, seconds: float, lease_s: float = 8.0) -> None:
        """Stop a worker for some seconds, and then let it go on."""
        process.send(signal.SIGSTOP)
        self.stopped += 1
        if seconds > lease_s:
            self._watch("stopped", process)
        await asyncio.sleep(seconds)
        if process in self.processes:
            process.send(signal.SIGCONT)

    def _close(self, process: Process) -> None:
        self.processes.remove(process)
        for pipe in (process.popen.stdin, process.popen.stdout):
            if pipe is not None:
                pipe.close()

    async def leave(self, process: Process) -> None:
        """Let a worker leave in order."""
        assert process.popen.stdin is not None
        process.popen.stdin.close()
        await asyncio.to_thread(process.popen.wait, 30)
        self._close(process)

    async def aclose(self) -> None:
        """Kill all that live."""
        for process in list(self.processes):
            process.popen.kill()
            process.popen.wait()
            self._close(process)
        for task in self._watching:
            task.cancel()
        if self._watching:
            await asyncio.wait(self._watching)

    # --- what becomes of their work ---------------------------------------------------------------

    def _watch(self, how: str, process: Process) -> None:
        task = asyncio.create_task(self._follow(how, process.name))
        self._watching.add(task)
        task.add_done_callback(self._watching.discard)

    async def _follow(self, how: str, name: str, within_s: float = 40.0) -> None:
        began_s = time.monotonic()
        ids = await self._query(
            sa.select(_STATUS.c.workflow_uuid).where(
                _STATUS.c.executor_id.startswith(f"{name}-"), _STATUS.c.status == "PENDING"
            )
        )
        idle = sa.select(sa.func.count()).where(
            _STATUS.c.workflow_uuid.in_([row[0] for row in ids]),
            sa.or_(
                # what waits for the account's window lies in its queue
                sa.and_(_STATUS.c.status == "ENQUEUED", _STATUS.c.workflow_uuid.contains("watch")),
                sa.and_(
                    _STATUS.c.status == "PENDING", _STATUS.c.executor_id.startswith(f"{name}-")
                ),
            ),
        )
        while ids and (await self._query(idle))[0][0]:
            if time.monotonic() - began_s > within_s:
                self.taken_over.append(TakenOver(how, len(ids), None))
                return
            await asyncio.sleep(0.2)
        seconds = time.monotonic() - began_s if ids else 0.0
        self.taken_over.append(TakenOver(how, len(ids), round(seconds, 2)))

    async def settled(self) -> None:
        """Wait until it is known of all work what became of it."""
        while self._watching:
            await asyncio.wait(set(self._watching))

    async def workflows_of(self, keys: Sequence[str]) -> list[Any]:
        """Tell how the workflows of some jobs stand: name, status and worker of each."""
        about = sa.or_(*(_STATUS.c.workflow_uuid.endswith(f"/{key}") for key in keys))
        return await self._query(sa.select(_STATUS).where(about))

    async def open_workflows(self) -> int:
        """Tell how many workflows have not ended."""
        query = sa.select(sa.func.count()).where(_STATUS.c.status.in_(_OPEN))
        number: int = (await self._query(query))[0][0]
        return number

    async def _query(self, query: "sa.Select[Any]") -> list[Any]:
        return await asyncio.to_thread(rows, self.url, query)


def rows(url: str, query: "sa.Select[Any]") -> list[Any]:
    """Ask the database, over a connection of its own."""
    read = sa.make_url(url)
    if read.get_backend_name() == "sqlite":
        engine = sa.create_engine(read, poolclass=sa.NullPool)
    else:
        engine = sa.create_engine(
            read.set(drivername="postgresql+psycopg"),
            poolclass=sa.NullPool,
            connect_args={"options": f"-c search_path={SCHEMA}"},
        )
    try:
        with engine.connect() as connection:
            return list(connection.execute(query))
    finally:
        engine.dispose()


@contextlib.asynccontextmanager
async def fleet_of(
    count: int, settings: dict[str, Any], url: str, log: Path
) -> AsyncIterator[Fleet]:
    """Run so many workers; what lives at the end is killed."""
    fleet = Fleet(settings, url, log)
    try:
        await asyncio.gather(*(fleet.start().ready() for _ in range(count)))
        yield fleet
    finally:
        await fleet.aclose()


async def torment(
    fleet: Fleet, rng: random.Random, every_s: float, stops_s: tuple[float, float]
) -> None:
    """Kill or stop one worker every so many seconds, at random moments, until cancelled.

    One other at least goes on: on a busy machine, a new one takes longer to start than that.
    """
    async with asyncio.TaskGroup() as under_way:
        while True:
            moment_s = rng.uniform(0, every_s)
            await asyncio.sleep(moment_s)
            working = [each for each in fleet.processes if each.working]
            process = rng.choice(working)
            if any(not each.stopped for each in working if each is not process):
                if process.stopped or rng.random() < 0.6:
                    fleet.kill(process)
                    under_way.create_task(fleet.start().ready())
                else:
                    under_way.create_task(fleet.stop(process, rng.uniform(*stops_s)))
            await asyncio.sleep(every_s - moment_s)


async def restarts(
    fleet: Fleet, rng: random.Random, times: int, lives_s: tuple[float, float]
) -> None:
    """Kill the only worker so often, each time after a life of some seconds, and start another."""
    for _ in range(times):
        await asyncio.sleep(rng.uniform(*lives_s))
        fleet.kill(fleet.processes[0])
        await fleet.start().ready()
