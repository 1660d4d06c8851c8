"""A batch of jobs under all that can happen to workers and databases, and what must hold after."""

import asyncio
import contextlib
import random
import socket
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from math import inf
from pathlib import Path
from typing import Any

from attrs import define, field

from benchmarks.durable_fleet import Fleet, fleet_of
from benchmarks.durable_worker import receiver_of
from suno_async import AddInstrumentalRequest, Stage
from suno_async.durable import DurableSuno, Job, JobState
from suno_async.sandbox import Call, DropAfter, Sandbox

SECRET = "the same in every process"  # noqa: S105 - of a trial
_STAGES = [Stage.TEXT, Stage.FIRST, Stage.COMPLETE]
_OVER = {JobState.COMPLETE, JobState.FAILED, JobState.UNCERTAIN}


@define(eq=False)
class Trial:
    """What a batch is put through.

    Attributes:
        url: The database, as the workers know it.
        jobs: How many.
        workers: How many work on them.
        window: The account's: submissions in how many seconds.
        time_scale: Of the sandbox's tasks.
        receiver: Whether callbacks are received, in this process.
        lost: The share of submissions whose answer is lost.
        within_s: How long it may take.
        idle_s: How long orphaned jobs may lie idle; None where the machine may be busy.
        reader_url: The database, as this process knows it.
        whole: Whether to wait for the end of what it is put through.
    """

    url: str
    log: Path
    jobs: int = 60
    workers: int = 3
    window: tuple[int, float] | None = (20, 2.0)
    time_scale: float = 0.02
    receiver: bool = False
    lost: float = 0.0
    within_s: float = 60.0
    idle_s: float | None = None
    in_flight: int = 100
    interval_s: float = 0.5
    followed: int = 20
    reader_url: str | None = None
    whole: bool = False


@define(eq=False)
class Findings:
    """What was seen of a batch.

    Attributes:
        problems: What must not be.
        figures: What was measured.
    """

    problems: list[str] = field(factory=list[str])
    figures: dict[str, Any] = field(factory=dict[str, Any])


Torment = Callable[[Fleet], Coroutine[Any, Any, object]]


def request_of(key: str) -> AddInstrumentalRequest:
    """Make a request whose title is its job's key."""
    return AddInstrumentalRequest(
        upload_url="https://example.com/stem.wav", title=key, tags="piano", negative_tags="drums"
    )


def free_port() -> int:
    """Find a port that nobody listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


async def run(trial: Trial, torment: Torment) -> Findings:
    """Run a batch while it is tormented; check all that must hold when it has ended."""
    async with Sandbox(time_scale=trial.time_scale, submissions_per_window=trial.window) as sandbox:
        if trial.lost:
            sandbox.inject(Call.SUBMIT, DropAfter(), times=None, rate=trial.lost)
        settings = settings_of(trial, sandbox)
        url = trial.reader_url or trial.url
        async with (
            reader(settings, url) as durable,
            fleet_of(trial.workers, settings, url, trial.log) as fleet,
        ):
            return await _run(trial, torment, sandbox, durable, fleet)


def settings_of(trial: Trial, sandbox: Sandbox) -> dict[str, Any]:
    """Give what the workers are told."""
    return {
        "url": trial.url,
        "base_url": sandbox.base_url,
        "api_key": sandbox.api_key,
        "window": trial.window or (10_000, 1.0),
        "sending": 8,
        "in_flight": trial.in_flight,
        "interval_s": trial.interval_s,
        "public_url": f"http://127.0.0.1:{free_port()}/suno" if trial.receiver else None,
        "secret": SECRET,
        "reconcile_s": 15.0,
    }


@contextlib.asynccontextmanager
async def reader(settings: dict[str, Any], url: str) -> AsyncIterator[DurableSuno]:
    """Submit and read in this process, and receive the callbacks."""
    receiver = receiver_of(settings)
    async with contextlib.AsyncExitStack() as stack:
        if receiver is not None:
            port = int(receiver.public_url.split(":")[2].split("/")[0])
            await stack.enter_async_context(receiver.serve("127.0.0.1", port))
        yield await stack.enter_async_context(
            DurableSuno(url, worker=False, receiver=receiver, reconcile_for=15.0)
        )


async def _run(
    trial: Trial, torment: Torment, sandbox: Sandbox, durable: DurableSuno, fleet: Fleet
) -> Findings:
    findings = Findings()
    keys = [f"song/{number:04}" for number in range(trial.jobs)]
    began_s = time.monotonic()
    await durable.submit_many((key, request_of(key)) for key in keys)
    followed = {
        key: asyncio.create_task(_follow(await durable.job(key))) for key in keys[: trial.followed]
    }
    tormenting = asyncio.create_task(torment(fleet))
    try:
        if not await all_over(durable, trial, findings):
            stuck = [job.key async for job in durable.jobs() if job.state not in _OVER]
            findings.problems += map(str, await fleet.workflows_of(stuck[:10]))
        findings.figures["seconds"] = round(time.monotonic() - began_s, 1)
        if trial.whole:
            await asyncio.wait({tormenting}, timeout=trial.within_s)
    finally:
        tormenting.cancel()
        await asyncio.wait({tormenting})
        if not tormenting.cancelled() and tormenting.exception() is not None:
            findings.problems.append(f"the torment broke: {tormenting.exception()!r}")
    await _check_fleet(fleet, trial, findings)
    jobs = [job async for job in durable.jobs()]
    await _check_readers(followed, jobs, findings)
    check_service(sandbox, trial, findings)
    check_jobs(sandbox, jobs, keys, trial, findings)
    return findings


async def _follow(job: Job) -> list[Stage]:
    seen: list[Stage] = []
    with contextlib.suppress(Exception):  # an uncertain job's; the job itself is looked at
        seen.extend([event.stage async for event in job.events()])
    return seen


async def all_over(durable: DurableSuno, trial: Trial, findings: Findings) -> bool:
    """Wait until every job has ended, or is uncertain for good; tell whether they have."""
    deadline_s = time.monotonic() + trial.within_s
    while time.monotonic() < deadline_s:
        stats = await durable.stats()
        over = sum(number for state, number in stats.jobs.items() if state in _OVER)
        waits = trial.receiver and stats.jobs.get(JobState.UNCERTAIN, 0)
        if over == trial.jobs and not waits:
            return True
        if over == trial.jobs and not [
            job async for job in durable.jobs(state=JobState.UNCERTAIN) if not await _settled(job)
        ]:
            return True
        await asyncio.sleep(0.25)
    findings.problems.append(f"not all jobs ended: {await durable.stats()}")
    return False


async def _settled(job: Job) -> bool:
    return await job._is_settled(job._record)


async def _check_fleet(fleet: Fleet, trial: Trial, findings: Findings) -> None:
    for process in fleet.processes:
        if process.stopped:
            fleet.kill(process)
    if not fleet.processes:
        fleet.start()
    await fleet.settled()
    left = await fleet.open_workflows()
    for _ in range(80):
        if not left:
            break
        await asyncio.sleep(0.25)
        left = await fleet.open_workflows()
    else:
        findings.problems.append(f"{left} workflows are left open")
    idle = [each.seconds for each in fleet.taken_over if each.workflows]
    longest_s = trial.idle_s or inf
    if late := [
        each
        for each in fleet.taken_over
        if (inf if each.seconds is None else each.seconds) > longest_s
    ]:
        findings.problems.append(f"orphaned jobs lay idle too long: {late}")
    findings.figures |= {
        "killed": fleet.killed,
        "stopped": fleet.stopped,
        "orphaned": sum(each.workflows for each in fleet.taken_over),
        "idle_s": sorted(seconds for seconds in idle if seconds is not None),
    }


async def _check_readers(
    followed: dict[str, "asyncio.Task[list[Stage]]"], jobs: Sequence[Job], findings: Findings
) -> None:
    complete = {job.key for job in jobs if job.state is JobState.COMPLETE}
    _, pending = await asyncio.wait(followed.values(), timeout=20)
    for task in pending:
        task.cancel()
    if pending:
        findings.problems.append(f"{len(pending)} readers were told of no end")
    for key, task in followed.items():
        if task not in pending and key in complete and task.result() != _STAGES:
            findings.problems.append(f"the reader of {key} saw {task.result()}")


def check_service(sandbox: Sandbox, trial: Trial, findings: Findings) -> None:
    """Check what the service saw: its window, its charges."""
    titles = {task_id: str(task.request["title"]) for task_id, task in sandbox.tasks.items()}
    charges = Counter(titles[each.task_id] for each in sandbox.ledger if each.kind == "charge")
    twice = {title: number for title, number in charges.items() if number > 1}
    if twice:
        findings.problems.append(f"paid for twice: {twice}")
    codes = Counter(str(each.code) for each in sandbox.submissions)
    if codes.get("429"):
        findings.problems.append(f"{codes['429']} submissions were refused with 429")
    arrivals = [each.at for each in sandbox.submissions]
    if trial.window is not None:
        most = fullest(arrivals, trial.window[1])
        findings.figures["fullest_window"] = most
        if most > trial.window[0]:
            findings.problems.append(f"a window held {most} submissions")
        findings.figures["window_used"] = used(arrivals, trial.window)
    findings.figures |= {"arrivals": len(arrivals), "codes": dict(codes)}


def check_jobs(
    sandbox: Sandbox, jobs: Sequence[Job], keys: Sequence[str], trial: Trial, findings: Findings
) -> None:
    """Check that no job is lost, and that each has its events once and in order."""
    if [job.key for job in jobs] != list(keys):
        findings.problems.append("jobs are missing, doubled or out of order")
    tasks = {str(task.request["title"]): task_id for task_id, task in sandbox.tasks.items()}
    for job in jobs:
        stages = [event.stage for event in job._record.events]
        if job.state is JobState.COMPLETE and stages != _STAGES:
            findings.problems.append(f"{job.key} has the events {stages}")
        if job.task_id is not None and tasks.get(job.key) != job.task_id:
            findings.problems.append(f"{job.key} has task {job.task_id}, not {tasks.get(job.key)}")
        if job.state is JobState.FAILED:
            findings.problems.append(f"{job.key} failed: {job.outcome.error!r}")
        if trial.receiver and job.state is JobState.UNCERTAIN and job.key in tasks:
            findings.problems.append(f"{job.key} was not reconciled with {tasks[job.key]}")
    findings.figures["states"] = dict(Counter(str(job.state) for job in jobs))


def fullest(arrivals: Sequence[float], window_s: float) -> int:
    """Tell how many submissions the fullest window held."""
    most = first = 0
    ordered = sorted(arrivals)
    for last, at in enumerate(ordered):
        while at - ordered[first] >= window_s:
            first += 1
        most = max(most, last - first + 1)
    return most


def used(arrivals: Sequence[float], window: tuple[int, float]) -> float | None:
    """Tell how much of the account's window was used, from the first to the last submission."""
    count, window_s = window
    whole = (max(arrivals) - min(arrivals)) // window_s * window_s if len(arrivals) > 1 else 0.0
    if not whole:
        return None
    inside = sum(at < min(arrivals) + whole for at in arrivals)
    return round(inside / (whole / window_s * count), 3)


def seeded(seed: int) -> random.Random:
    """Make the source of a trial's random moments."""
    return random.Random(f"chaos/{seed}")
