"""What jobs cost: while they wait, while they are worked off, and in the database."""

import asyncio
import json
import random
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

import sqlalchemy as sa

from benchmarks.durable_checks import Trial, reader, request_of, settings_of
from benchmarks.durable_fleet import Process, fleet_of, rows
from suno_async import Stage, StageEvent, TaskDetails
from suno_async.durable import Adopt, DurableSuno, JobState
from suno_async.durable.tables import SCHEMA
from suno_async.sandbox import Sandbox, Timings

_LONG = Timings(1e7, 2e7, 3e7, sigma=0.0)


async def waiting(trial: Trial, measured_s: float) -> dict[str, Any]:
    """Measure one worker while all its tasks go on at the service for ever."""
    async with Sandbox(
        submissions_per_window=None, timings=_LONG, polls_per_second=None
    ) as sandbox:
        settings = {**settings_of(trial, sandbox), "in_flight": trial.jobs + 1}
        async with (
            reader(settings, trial.url) as durable,
            fleet_of(1, settings, trial.url, trial.log) as fleet,
        ):
            process = fleet.processes[0]
            before_bytes = database_bytes(trial.url)
            idle = await _share(process, measured_s / 2)
            began_s = time.monotonic()
            keys = [f"song/{number:05}" for number in range(trial.jobs)]
            await durable.submit_many((key, request_of(key)) for key in keys)
            await _until(durable, JobState.RUNNING, trial.jobs)
            started_s = time.monotonic() - began_s
            await asyncio.sleep(3)
            polls, waiting_bytes = len(sandbox.polls), database_bytes(trial.url)
            share = await _share(process, measured_s)
            after_bytes = database_bytes(trial.url)
            return {
                "jobs": trial.jobs,
                "submitted_per_s": round(trial.jobs / started_s, 1),
                "megabytes": round((await process.figures())["bytes"] / 2**20, 1),
                "cpu_idle": idle,
                "cpu_waiting": share,
                "polls_per_job": round((len(sandbox.polls) - polls) / trial.jobs, 1),
                "database_bytes_per_job": round((waiting_bytes - before_bytes) / trial.jobs),
                "grown_bytes_per_job": round((after_bytes - waiting_bytes) / trial.jobs),
            }


async def throughput(trial: Trial) -> dict[str, Any]:
    """Measure how fast one worker works jobs off whose tasks end at once."""
    async with Sandbox(submissions_per_window=None, time_scale=0, polls_per_second=None) as sandbox:
        settings = settings_of(trial, sandbox)
        async with (
            reader(settings, trial.url) as durable,
            fleet_of(trial.workers, settings, trial.url, trial.log) as fleet,
        ):
            before_bytes = database_bytes(trial.url)
            before_s = (await fleet.processes[0].figures())["cpu_s"]
            keys = [f"song/{number:05}" for number in range(trial.jobs)]
            began_s = time.monotonic()
            await durable.submit_many((key, request_of(key)) for key in keys)
            recorded_s = time.monotonic() - began_s
            await _until(durable, JobState.COMPLETE, trial.jobs)
            worked_s = time.monotonic() - began_s
            figures = await fleet.processes[0].figures()
            grown_bytes = database_bytes(trial.url) - before_bytes
            return {
                "workers": trial.workers,
                "recorded_per_s": round(trial.jobs / recorded_s, 1),
                "jobs_per_s": round(trial.jobs / worked_s, 1),
                "megabytes": round(figures["bytes"] / 2**20, 1),
                "cpu_ms_per_job": round((figures["cpu_s"] - before_s) * 1000 / trial.jobs, 1),
                "database_bytes_per_job": round(grown_bytes / trial.jobs),
            }


async def _until(durable: DurableSuno, state: JobState, count: int, within_s: float = 900) -> None:
    async with asyncio.timeout(within_s):
        while (await durable.stats()).jobs.get(state, 0) < count:  # noqa: ASYNC110 - a process's
            await asyncio.sleep(0.1)


async def _share(process: Process, seconds: float) -> float:
    """Tell the share of a core that a worker uses."""
    before_s, began_s = (await process.figures())["cpu_s"], time.monotonic()
    await asyncio.sleep(seconds)
    used_s = (await process.figures())["cpu_s"] - before_s
    return round(used_s / (time.monotonic() - began_s), 4)


def database_bytes(url: str) -> int:
    """Tell how large the jobs' tables are, with indexes and all that DBOS keeps."""
    read = sa.make_url(url)
    if read.get_backend_name() == "sqlite":
        path = str(read.database)
        return sum(
            Path(path + end).stat().st_size for end in ("", "-wal") if Path(path + end).exists()
        )
    size = sa.func.pg_total_relation_size(sa.column("oid"))
    query = sa.select(sa.func.sum(size)).select_from(sa.table("pg_class", sa.column("oid")))
    query = query.where(
        sa.column("relkind") == "r",
        sa.column("relnamespace") == sa.text(f"'{SCHEMA}'::regnamespace"),
    )
    return int(rows(url, query)[0][0])


# --- a reader in another process --------------------------------------------------------------


async def latency(url: str, count: int, seed: int = 1) -> list[float]:
    """Tell how long after it was recorded each event was seen in another process, in seconds."""
    rng = random.Random(seed)
    keys = [f"song/{number:03}" for number in range(count)]
    async with DurableSuno(url, worker=False) as durable:
        for key in keys:
            await durable.submit(key, request_of(key))
            await durable.cancel(key)
            await durable.decide(key, Adopt(f"task-{key}"))
        arguments = [sys.executable, "-m", "benchmarks.durable_waiting", json.dumps([url, keys])]
        with subprocess.Popen(arguments, stdout=subprocess.PIPE) as process:  # noqa: ASYNC220 - nothing else runs
            try:
                assert process.stdout is not None
                await asyncio.to_thread(process.stdout.readline)
                recorded = {}
                for key in keys:
                    await asyncio.sleep(rng.uniform(0.05, 0.25))
                    await durable._store.reached(key, _event(f"task-{key}"))
                    recorded[key] = time.time()
                lines = [await asyncio.to_thread(process.stdout.readline) for _ in keys]
            finally:
                process.kill()
    seen = dict(json.loads(line) for line in lines)
    return [max(seen[key] - recorded[key], 0.0) for key in keys]


def _event(task_id: str) -> StageEvent:
    from datetime import UTC, datetime

    details = TaskDetails(task_id, "TEXT_SUCCESS")
    return StageEvent(Stage.TEXT, task_id, (), details, datetime.now(UTC))


def of(seconds: Sequence[float]) -> dict[str, float]:
    """Give the figures of some durations."""
    return {
        "events": len(seconds),
        "p50_s": round(median(seconds), 3),
        "max_s": round(max(seconds), 3),
    }


async def _read(url: str, keys: Sequence[str]) -> None:
    async with DurableSuno(url, worker=False) as durable, asyncio.TaskGroup() as readers:
        for key in keys:
            readers.create_task(_read_one(durable, key))
        await asyncio.sleep(2.0)
        print("reading", flush=True)


async def _read_one(durable: DurableSuno, key: str) -> None:
    async for _ in (await durable.job(key)).events():
        print(json.dumps([key, time.time()]), flush=True)


if __name__ == "__main__":
    asyncio.run(_read(*json.loads(sys.argv[1])))
