"""Jobs that outlive the process, under all that can happen to workers and databases.

Whether no job is paid for twice and none is lost, and what that costs. Each part has processes and
databases of its own; the whole takes some half an hour.
"""

import argparse
import asyncio
import json
import tempfile
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any

from benchmarks import report
from benchmarks.durable_checks import Findings, Trial, run, seeded
from benchmarks.durable_disk import run_full, small_disk
from benchmarks.durable_fleet import Fleet, restarts, torment
from benchmarks.durable_outage import Outages, line_to, over, restartable
from benchmarks.durable_waiting import latency, of, throughput, waiting
from tests.durable.databases import new_database

_WINDOW = (20, 10.0)
_SCALE = 0.05


def _told(findings: Findings, **more: Any) -> dict[str, Any]:
    return {"problems": findings.problems, **findings.figures, **more}


async def _fleet(folder: Path, seed: int, **settings: Any) -> dict[str, Any]:
    """Three workers, one killed or stopped every three seconds."""
    with restartable() as server, new_database(server.url) as url:
        trial = Trial(
            url,
            folder / "workers.log",
            jobs=300,
            window=_WINDOW,
            time_scale=_SCALE,
            idle_s=10.0,
            within_s=400,
            **settings,
        )
        return _told(await run(trial, lambda fleet: torment(fleet, seeded(seed), 3.0, (2, 12))))


async def killed(folder: Path) -> dict[str, Any]:
    """Kill and stop the workers of 300 jobs on PostgreSQL."""
    return await _fleet(folder, 11)


async def lost_answers(folder: Path) -> dict[str, Any]:
    """Do the same with callbacks, while a twentieth of all submissions lose their answer."""
    return await _fleet(folder, 12, receiver=True, lost=0.05)


async def sqlite(folder: Path) -> dict[str, Any]:
    """Kill the worker of 300 jobs on SQLite ten times."""
    trial = Trial(
        f"sqlite:///{folder / 'jobs.db'}",
        folder / "workers.log",
        jobs=300,
        workers=1,
        window=_WINDOW,
        time_scale=_SCALE,
        within_s=500,
        whole=True,
    )
    return _told(await run(trial, lambda fleet: restarts(fleet, seeded(13), 10, (2.0, 12.0))))


async def outages(folder: Path) -> dict[str, Any]:
    """Restart PostgreSQL in the middle of a batch, and cut its line for 20 s, twice."""
    with restartable() as server, new_database(server.url) as url:
        async with line_to(server.socket) as line:
            trial = Trial(
                over(line, url),
                folder / "workers.log",
                jobs=200,
                window=_WINDOW,
                time_scale=_SCALE,
                within_s=400,
                reader_url=url,
                whole=True,
            )
            outage = Outages(server, line, every_s=10.0, cut_s=20.0)
            findings = await run(trial, outage)
            return _told(findings, goes_on_s=outage.figures)


async def disk(folder: Path) -> dict[str, Any]:
    """Fill the disk under SQLite in the middle of a batch."""
    with small_disk(folder / "small", megabytes=24):
        url = f"sqlite:///{folder / 'small' / 'jobs.db'}"
        trial = Trial(url, folder / "workers.log", jobs=60, window=(5, 1.0))
        return _told(await run_full(trial, folder / "small", full_s=5.0))


async def one_of_three_dies(folder: Path) -> dict[str, Any]:
    """Tell how much of the account's window one worker uses, and three of which one dies."""

    async def kill_one(fleet: Fleet) -> None:
        await asyncio.sleep(15.0)
        fleet.kill(fleet.processes[0])

    async def leave_alone(_: Fleet) -> None:
        return

    figures: dict[str, Any] = {}
    with restartable() as server:
        for workers, what in ((1, leave_alone), (3, leave_alone), (3, kill_one)):
            with new_database(server.url) as url:
                trial = Trial(
                    url,
                    folder / "workers.log",
                    jobs=120,
                    workers=workers,
                    window=_WINDOW,
                    time_scale=_SCALE,
                    within_s=200,
                )
                name = f"{workers} workers{', one dies' if what is kill_one else ''}"
                figures[name] = _told(await run(trial, what))
    return figures


async def _both(
    folder: Path, measure: Callable[[str, Path], Awaitable[dict[str, Any]]]
) -> dict[str, Any]:
    log = folder / "workers.log"
    with restartable() as server, new_database(server.url) as url:
        figures = {"postgresql": await measure(url, log)}
    figures["sqlite"] = await measure(f"sqlite:///{folder / 'jobs.db'}", log)
    return figures


async def cost(folder: Path) -> dict[str, Any]:
    """Measure 2,000 jobs that wait, in one worker."""

    async def measure(url: str, log: Path) -> dict[str, Any]:
        trial = Trial(url, log, jobs=2000, window=None, interval_s=3600.0)
        return await waiting(trial, measured_s=20.0)

    return await _both(folder, measure)


async def long_waits(folder: Path) -> dict[str, Any]:
    """Measure what as many polls as fourteen days take, some 950 a job, leave in the database."""

    async def measure(url: str, log: Path) -> dict[str, Any]:
        trial = Trial(url, log, jobs=10, window=None, interval_s=0.34)
        return await waiting(trial, measured_s=340.0)

    with restartable() as server, new_database(server.url) as url:
        sqlite = f"sqlite:///{folder / 'jobs.db'}"
        both = (measure(url, folder / "one.log"), measure(sqlite, folder / "other.log"))
        return dict(zip(("postgresql", "sqlite"), await asyncio.gather(*both), strict=True))


async def readers(folder: Path) -> dict[str, Any]:
    """Measure how soon an event is seen in another process."""

    async def measure(url: str, _: Path) -> dict[str, Any]:
        return of(await latency(url, 50))

    return await _both(folder, measure)


async def speed(folder: Path) -> dict[str, Any]:
    """Measure how many jobs one worker works off in a second, and what that takes."""

    async def measure(url: str, log: Path) -> dict[str, Any]:
        return await throughput(Trial(url, log, jobs=400, workers=1, window=None))

    return await _both(folder, measure)


PARTS: dict[str, Callable[[Path], Coroutine[Any, Any, dict[str, Any]]]] = {
    "killed": killed,
    "lost_answers": lost_answers,
    "sqlite": sqlite,
    "outages": outages,
    "disk": disk,
    "one_of_three_dies": one_of_three_dies,
    "cost": cost,
    "long_waits": long_waits,
    "readers": readers,
    "speed": speed,
}


def main(argv: list[str]) -> None:
    """Run the parts that are named, or all; print, and write their figures beside the others'."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks durable", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART")
    names = parser.parse_args(argv).parts or list(PARTS)
    saved = report.RESULTS / "durable.json"
    figures: dict[str, Any] = json.loads(saved.read_text()) if saved.exists() else {}
    figures.pop("machine", None)
    for name in names:
        with tempfile.TemporaryDirectory(prefix="durable-", ignore_cleanup_errors=True) as folder:
            figures[name] = asyncio.run(PARTS[name](Path(folder)))
        rows = list(figures[name].items())
        report.table(f"{name}: {PARTS[name].__doc__}", ("figure", "measured"), rows)
        report.save("durable", figures)
