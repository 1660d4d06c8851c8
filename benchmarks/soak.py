"""A long mix of everything under faults, kills and stops: what is lost, paid twice or left behind.

Against a sandbox in a process of its own that puts a fault into five of a hundred calls of each
kind: two callers of the core (batches, submissions, events, downloads, cancellations, sessions left
in the middle), two workers of `durable` on PostgreSQL, and the command making albums. One caller,
one worker and the command are killed and stopped at random moments, the others stopped. In the end
everything works again and is brought to its end; what is uncertain is decided as a person would who
sees the account's history: a task that is there is adopted, the rest submitted again, declared.
"""

import argparse
import asyncio
import itertools
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Iterator
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any

from attrs import define, field

from benchmarks import report
from benchmarks.durable_checks import request_of
from benchmarks.durable_fleet import Fleet, Process, fleet_of
from benchmarks.durable_outage import restartable
from benchmarks.soak_command import Albums, tasks_of
from benchmarks.soak_figures import Samples, judge, leaks, plot, read_journals
from suno_async.durable import Adopt, DurableSuno, JobState, JobUndecidable, Resubmit
from suno_async.sandbox import Sandbox
from tests.durable.databases import new_database

RATE = 0.05
_SCALE = 0.02
_SAMPLE_S = 1.0
_STRIKE_S = (2.0, 8.0)
_STOPS_S = (0.5, 12.0)
# after the end of the strikes, all has to come to its end within
_PATIENCE_S = 300.0
_JOBS_AT_A_TIME = 4
_OVER = {JobState.COMPLETE, JobState.FAILED, JobState.CANCELLED, JobState.ABANDONED}
_KEY = Sandbox().api_key


@define(eq=False)
class Service:
    """The sandbox's process, and the line to it.

    Attributes:
        popen: The process.
        base_url: Where it answers.
        port: Where it is asked about.
    """

    popen: "subprocess.Popen[str]"
    base_url: str
    port: int

    async def ask(self, word: str = "account") -> dict[str, Any]:
        """Ask it; see `soak_service`."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, limit=1 << 28)
        writer.write(f"{word}\n".encode())
        try:
            told: dict[str, Any] = json.loads(await reader.readline())
        finally:
            writer.close()
        return told


def start_service(seed: int, rate: float) -> Service:
    """Start the sandbox's process."""
    settings = {"seed": seed, "rate": rate, "time_scale": _SCALE}
    popen = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.soak_service", json.dumps(settings)],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert popen.stdout is not None
    base_url, port = popen.stdout.readline().split()
    return Service(popen, base_url, int(port))


@define(eq=False)
class Soak:
    """One soak.

    Attributes:
        seed: What it is made of.
        folder: For what is written.
        service: The sandbox.
        fleet: The workers.
        desk: Submits jobs and decides about them.
        albums: The command.
    """

    seed: int
    folder: Path
    service: Service
    fleet: Fleet
    desk: DurableSuno
    albums: Albums
    ended: asyncio.Event = field(factory=asyncio.Event)
    samples: Samples = field(factory=Samples)
    strikes_s: list[float] = field(factory=list[float])
    resubmitted: Counter[str] = field(factory=Counter[str])
    problems: list[str] = field(factory=list[str])
    callers: dict[str, Process] = field(factory=dict[str, Process])
    killed: Counter[str] = field(factory=Counter[str])
    stopped: Counter[str] = field(factory=Counter[str])
    jobs: int = 0
    _numbers: Iterator[int] = field(factory=lambda: itertools.count(1))
    _random: random.Random = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._random = random.Random(self.seed)

    async def run(self, seconds: float) -> None:
        """Do everything at the same time, for so long; then bring all to its end."""
        for which in ("steady", "struck"):
            await self._start_caller(which)
        steady, struck = self.fleet.processes
        async with asyncio.TaskGroup() as group:
            sampling = group.create_task(self._sample())
            making = group.create_task(self.albums.run(self.ended))
            working = [
                group.create_task(work)
                for work in (
                    self._order(),
                    self._strike_callers(),
                    self._strike_workers(steady, struck),
                )
            ]
            await asyncio.sleep(seconds)
            self.ended.set()
            await asyncio.wait(working, timeout=2 * _STOPS_S[1])
            await self.service.ask("faultless")
            await self._within("the callers did not end", self._end_callers())
            await self._within("the command did not end", making)
            await self._within("jobs did not end", self._settle())
            sampling.cancel()
            for task in (*working, making):
                task.cancel()

    async def _within(self, problem: str, work: Awaitable[object]) -> None:
        try:
            async with asyncio.timeout(_PATIENCE_S):
                await work
        except TimeoutError:
            self.problems.append(problem)

    # --- callers of the core ----------------------------------------------------------------------

    async def _start_caller(self, which: str) -> None:
        self.callers[which] = process = self._new_caller(which)
        await process.ready()

    def _new_caller(self, which: str) -> Process:
        name = f"{which}-{next(self._numbers)}"
        settings = {
            "base_url": self.service.base_url,
            "api_key": _KEY,
            "name": name,
            "seed": self._random.randrange(1 << 30),
            "journal": str(self.folder / f"{name}.jsonl"),
            "folder": str(self.folder / f"{name}-files"),
        }
        with (self.folder / "callers.log").open("ab") as log:
            popen = subprocess.Popen(
                [sys.executable, "-m", "benchmarks.soak_core", json.dumps(settings)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
            )
        return Process(name, popen)

    async def _strike_callers(self) -> None:
        while not await self._is_over(self._random.uniform(*_STRIKE_S)):
            which = self._random.choice(("steady", "struck", "struck"))
            process = self.callers[which]
            self._note_strike()
            if which == "struck" and self._random.random() < 0.6:
                process.popen.kill()
                _reap(process)
                self.killed["core"] += 1
                await self._start_caller(which)
            else:
                process.send(signal.SIGSTOP)
                self.stopped["core"] += 1
                await self._is_over(self._random.uniform(*_STOPS_S))
                process.send(signal.SIGCONT)

    async def _end_callers(self) -> None:
        for process in self.callers.values():
            assert process.popen.stdin is not None
            process.popen.stdin.close()
            if await asyncio.to_thread(process.popen.wait, 60):
                self.problems.append(f"{process.name} ended with {process.popen.returncode}")

    # --- workers and their jobs -------------------------------------------------------------------

    async def _order(self) -> None:
        """Submit jobs, and decide about those that are uncertain."""
        while not await self._is_over(self._random.uniform(1.0, 3.0)):
            for _ in range(self._random.randint(1, _JOBS_AT_A_TIME)):
                self.jobs += 1
                key = f"job {self.jobs}"
                await self.desk.submit(key, request_of(key))
            if self._random.random() < 0.2:
                await self._decide()

    async def _strike_workers(self, steady: Process, struck: Process) -> None:
        while not await self._is_over(self._random.uniform(*_STRIKE_S)):
            self._note_strike()
            if self._random.random() < 0.5:
                self.fleet.kill(struck)
                self.killed["durable"] += 1
                struck = self.fleet.start()
                await struck.ready()
            else:
                stopped = self._random.choice((steady, struck))
                self.stopped["durable"] += 1
                await self.fleet.stop(stopped, self._random.uniform(*_STOPS_S))

    async def _decide(self) -> None:
        """Decide about uncertain jobs, as a person would who sees the account's history."""
        uncertain = await self.desk.uncertain()
        if not uncertain:
            return
        account, known = await self.service.ask(), await self._known()
        for job in uncertain:  # one may have been proved, or decided about, meanwhile
            found = [
                task_id
                for task_id, title in account["charges"].items()
                if title == job.key and task_id not in known
            ]
            with suppress(JobUndecidable):
                await self.desk.decide(job.key, Adopt(found[0]) if found else Resubmit())
                self.resubmitted[job.key] += not found

    async def _known(self) -> set[str]:
        return await asyncio.to_thread(tasks_of, self.fleet.url)

    async def _settle(self) -> None:
        """Wait until all jobs have ended; decide about those that nobody is sure of."""
        while True:
            await self._decide()
            counted = (await self.desk.stats()).jobs
            if not set(counted) - _OVER:
                return
            await asyncio.sleep(0.5)

    # --- what is seen -----------------------------------------------------------------------------

    def _note_strike(self) -> None:
        self.strikes_s.append(round(time.monotonic() - self.samples.began_s, 1))

    async def _is_over(self, within_s: float) -> bool:
        with suppress(TimeoutError):
            await asyncio.wait_for(self.ended.wait(), within_s)
        return self.ended.is_set()

    async def _sample(self) -> None:
        while True:
            for which, process in self.callers.items():
                self.samples.take(f"core, {which}", process.popen.pid)
            for which, process in zip(("steady", "struck"), self.fleet.processes, strict=False):
                self.samples.take(f"durable, {which}", process.popen.pid)
            if (command := self.albums.process) is not None and command.returncode is None:
                self.samples.take("command", command.pid)
            await asyncio.sleep(_SAMPLE_S)

    async def figures(self) -> dict[str, Any]:
        """Judge it."""
        account = await self.service.ask()
        journals = read_journals(self.folder.glob("*.jsonl"))
        known = journals.tasks | await self._known() | self.albums.known()
        resubmitted = self.resubmitted + self.albums.resubmitted
        money = judge(account["charges"], frozenset(known), journals.uncertain, resubmitted)
        steady = {name: self.samples.growth(name) for name in self.samples.of if "steady" in name}
        for what, which in (("lost", money.lost), ("doubled", money.doubled)):
            self.problems += [f"{what}: {one}" for one in which]
        return {
            "requests": account["requests"],
            "faults": sum(account["faults"].values()),
            "faults_by_call": account["faults"],
            "submissions": account["submissions"],
            "charges": money.charges,
            "lost": len(money.lost),
            "doubled": len(money.doubled),
            "recorded_as_uncertain_alone": money.unproved,
            "declared_resubmissions": resubmitted.total(),
            **leaks(journals.left),
            "jobs": self.jobs,
            "albums": self.albums.albums,
            "runs_of_the_command": self.albums.runs,
            "files": journals.files + self.albums.files,
            "killed": {**self.killed, "command": self.albums.killed},
            "stopped": {**self.stopped, "command": self.albums.stopped},
            "memory": steady,
            "surprises": len(journals.broke),
            "problems": [*self.problems, *self.albums.problems, *journals.broke],
        }


def _flat(figures: dict[str, Any], about: str = "") -> Iterator[tuple[str, object]]:
    for name, value in figures.items():
        if isinstance(value, dict) and name != "memory_over_time":
            yield from _flat(value, f"{about}{name}: ")
        elif not isinstance(value, dict | list):
            yield f"{about}{name}", value


def _reap(process: Process) -> None:
    process.popen.wait()
    for pipe in (process.popen.stdin, process.popen.stdout):
        if pipe is not None:
            pipe.close()


async def soak(seed: int, seconds: float, rate: float, folder: Path) -> dict[str, Any]:
    """Run one soak; draw its memory, and give its figures."""
    service = start_service(seed, rate)
    try:
        async with AsyncExitStack() as stack:
            server = stack.enter_context(restartable())
            url = stack.enter_context(new_database(server.url))
            settings = {
                "url": url,
                "base_url": service.base_url,
                "api_key": _KEY,
                "window": (12, 3.0),
                "sending": 4,
                "in_flight": 50,
                "interval_s": 0.34,
                "public_url": None,
                "secret": "",
                "reconcile_s": 5.0,
            }
            desk = await stack.enter_async_context(DurableSuno(url, worker=False))
            fleet = await stack.enter_async_context(
                fleet_of(2, settings, url, folder / "workers.log")
            )
            rng = random.Random(seed + 1)
            albums = Albums(folder / "albums", service.base_url, _KEY, service.ask, rng)
            one = Soak(seed, folder, service, fleet, desk, albums)
            try:
                await one.run(seconds)
                figures = await one.figures()
            finally:
                for process in one.callers.values():
                    process.popen.kill()
                    _reap(process)
        plot(one.samples, one.strikes_s)
        return {**figures, "memory_over_time": one.samples.thinned()}
    finally:
        service.popen.kill()
        service.popen.wait()


def main(argv: list[str]) -> None:
    """Run it, print what became of it, store it, and fail if anything is wrong."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks soak", description=__doc__)
    parser.add_argument("--hours", type=float, default=0.17)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rate", type=float, default=RATE, help="the share of calls with a fault")
    options = parser.parse_args(argv)
    began_s = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="soak-", ignore_cleanup_errors=True) as folder:
        work = soak(options.seed, options.hours * 3600, options.rate, Path(folder))
        figures = {**vars(options), **asyncio.run(work)}
    figures["seconds"] = round(time.monotonic() - began_s, 1)
    report.table("soak", ("", "count"), list(_flat(figures)))
    for problem in figures["problems"]:
        print(problem)
    report.save("soak", figures)
    sys.exit(bool(figures["problems"]))
