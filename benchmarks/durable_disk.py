"""A disk that is full, under a file of SQLite."""

import asyncio
import contextlib
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import sqlalchemy as sa

from benchmarks.durable_checks import (
    Findings,
    Trial,
    all_over,
    check_jobs,
    check_service,
    reader,
    request_of,
    settings_of,
)
from benchmarks.durable_fleet import fleet_of, rows
from suno_async.durable import DatabaseFailed, DurableSuno
from suno_async.durable.tables import sends
from suno_async.sandbox import Sandbox


@contextlib.contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[None]:
    """Mount a disk of that size.

    Raises:
        PermissionError: Only root may, and not everywhere.
    """
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder)]
    try:
        done = subprocess.run(mount, capture_output=True, check=False)
    except FileNotFoundError as error:
        raise PermissionError(str(error)) from error
    if done.returncode:
        raise PermissionError(done.stderr.decode().strip())
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)  # noqa: S607 - as mount above


def fill(folder: Path) -> Path:
    """Fill a disk to its last byte; give the file that does."""
    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        for size in (65536, 512, 1):
            with contextlib.suppress(OSError):
                while file.write(os.urandom(size)):
                    pass
    return ballast


async def run_full(trial: Trial, folder: Path, full_s: float) -> Findings:
    """Fill the disk in the middle of a batch, make room after some seconds; check what must hold.

    Args:
        trial: Its database is in the folder.
        folder: A small disk.
        full_s: How long it is full.
    """
    findings = Findings()
    keys = [f"song/{number:04}" for number in range(trial.jobs)]
    async with Sandbox(time_scale=trial.time_scale, submissions_per_window=trial.window) as sandbox:
        settings = settings_of(trial, sandbox)
        async with (
            reader(settings, trial.url) as durable,
            fleet_of(1, settings, trial.url, trial.log) as fleet,
        ):
            await durable.submit_many((key, request_of(key)) for key in keys)
            while len(sandbox.submissions) < trial.jobs // 4:  # noqa: ASYNC110 - sockets set no event
                await asyncio.sleep(0.05)
            ballast = fill(folder)
            await _while_full(durable, sandbox, trial, full_s, findings)
            ballast.unlink()
            began_s = time.monotonic()
            sent = len(sandbox.submissions)
            async with asyncio.timeout(30):
                while len(sandbox.submissions) == sent:  # noqa: ASYNC110 - sockets set no event
                    await asyncio.sleep(0.05)
            findings.figures["goes_on_s"] = round(time.monotonic() - began_s, 2)
            await all_over(durable, trial, findings)
            jobs = [job async for job in durable.jobs()]
            findings.figures["left_open"] = await fleet.open_workflows()
    check_service(sandbox, trial, findings)
    check_jobs(sandbox, jobs, keys, trial, findings)
    return findings


async def _while_full(
    durable: DurableSuno, sandbox: Sandbox, trial: Trial, full_s: float, findings: Findings
) -> None:
    began_s = time.monotonic()
    try:
        await durable.submit("one more", request_of("one more"))
        findings.problems.append("submit() did not tell of the full disk")
    except DatabaseFailed as error:
        findings.figures["submit_says"] = str(error)
        findings.figures["submit_after_s"] = round(time.monotonic() - began_s, 2)
        if "full" not in str(error):
            findings.problems.append(f"submit() says: {error}")
    await asyncio.sleep(1.0)
    before = len(sandbox.ledger)
    await asyncio.sleep(full_s)
    if len(sandbox.ledger) != before:
        findings.problems.append("something was paid for while the disk was full")
    recorded = {row[0] for row in await asyncio.to_thread(rows, trial.url, sa.select(sends.c.key))}
    paid = {str(task.request["title"]) for task in sandbox.tasks.values()}
    if paid - recorded:
        findings.problems.append(f"paid for without a record: {sorted(paid - recorded)}")
