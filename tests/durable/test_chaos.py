"""No job is paid for twice and none is lost, whatever becomes of workers and databases.

Short versions, with seeded moments, of what `python -m benchmarks durable` runs at full length.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from benchmarks import durable_disk, durable_outage
from benchmarks.durable_checks import Findings, Trial, run, seeded
from benchmarks.durable_fleet import restarts, torment
from benchmarks.durable_waiting import latency

from .databases import new_database


@pytest.fixture
def trial(tmp_path: Path) -> Any:
    """What makes a trial of a database; its workers' log is kept among the test's files."""
    return partial(Trial, log=tmp_path / "workers.log", within_s=120)


def _shown(findings: Findings) -> str:
    return "\n".join([*findings.problems, str(findings.figures)])


async def test_workers_that_are_killed_and_stopped_pay_nothing_twice(
    postgres: str, trial: Any
) -> None:
    """Three workers on PostgreSQL, one killed or stopped every two seconds; answers are lost."""
    findings = await run(
        trial(postgres, jobs=24, window=(8, 2.0), receiver=True, lost=0.05),
        lambda fleet: torment(fleet, seeded(2), every_s=2.0, stops_s=(1, 7)),
    )
    assert not findings.problems, _shown(findings)


async def test_a_worker_on_sqlite_that_is_killed_again_and_again_pays_nothing_twice(
    sqlite: str, trial: Any
) -> None:
    """One worker on SQLite, killed twice and started again."""
    findings = await run(
        trial(sqlite, jobs=20, workers=1, window=(20, 2.0), followed=5, whole=True),
        lambda fleet: restarts(fleet, seeded(3), times=2, lives_s=(0.3, 1.0)),
    )
    assert not findings.problems, _shown(findings)


@pytest.fixture(scope="module")
def own_server() -> Iterator[durable_outage.Server]:
    """A server of PostgreSQL that may be restarted."""
    with durable_outage.restartable() as server:
        yield server


@pytest.fixture
async def line(own_server: durable_outage.Server) -> AsyncIterator[durable_outage.Line]:
    """A line to it that may be cut."""
    async with durable_outage.line_to(own_server.socket) as line:
        yield line


async def test_a_database_that_is_away_costs_nothing_and_loses_nothing(
    own_server: durable_outage.Server, line: durable_outage.Line, trial: Any
) -> None:
    """PostgreSQL is restarted, its line is silent, then broken, in the middle of a batch."""
    with new_database(own_server.url) as url:
        outages = durable_outage.Outages(own_server, line, every_s=0.5, cut_s=1.5, within_s=5)
        findings = await run(
            trial(
                durable_outage.over(line, url),
                reader_url=url,
                jobs=40,
                whole=True,
                workers=2,
                window=(20, 2.0),
                followed=5,
            ),
            outages,
        )
        assert not findings.problems, _shown(findings)
        assert {"restart", "silent", "broken"} == set(outages.figures)


async def test_a_full_disk_is_told_and_nothing_is_sent_that_cannot_be_recorded(
    tmp_path: Path, trial: Any
) -> None:
    """SQLite on a small disk that is full in the middle of a batch, and has room again."""
    folder = tmp_path / "disk"
    try:
        with durable_disk.small_disk(folder, megabytes=24):
            job_trial = trial(f"sqlite:///{folder / 'jobs.db'}", jobs=24, window=(8, 1.0))
            findings = await durable_disk.run_full(job_trial, folder, full_s=1.5)
    except PermissionError as error:
        pytest.skip(f"NOT TESTED, no disk can be mounted here: {error}")
    assert not findings.problems, _shown(findings)


async def test_events_are_seen_in_another_process(database: str) -> None:
    """A reader elsewhere is told of each event once it is recorded, and soon."""
    seconds = await asyncio.wait_for(latency(database, count=5), 30)
    assert len(seconds) == 5
