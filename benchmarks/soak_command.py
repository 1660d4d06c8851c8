"""The command of a soak: one album after the other, killed and stopped, resumed, and decided about.

A person who sees the account's history decides about uncertain rows: a task that is there is
adopted, and what is not there is submitted again, which is declared.
"""

import asyncio
import json
import os
import random
import signal
import sys
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from attrs import define, field

from benchmarks.durable_fleet import rows
from suno_async.durable.tables import jobs
from tests.cli.albums import table

Account = Callable[[], Awaitable[dict[str, Any]]]

_ROWS = 6
_CALL = "from suno_async.cli import main; main()"
_LIMIT_S = 240.0
_MOST_RUNS = 12


@define(eq=False)
class Albums:
    """Makes albums with the command.

    Attributes:
        folder: Where they are.
        base_url: The service.
        api_key: Its key.
        account: Asks what was charged.
        rng: Chooses the moments.
        resubmitted: How often each title was declared to be submitted again.
        problems: What must not be.
    """

    folder: Path
    base_url: str
    api_key: str
    account: Account
    rng: random.Random
    resubmitted: Counter[str] = field(factory=Counter[str])
    problems: list[str] = field(factory=list[str])
    killed: int = 0
    stopped: int = 0
    runs: int = 0
    albums: int = 0
    files: int = 0
    process: asyncio.subprocess.Process | None = None

    async def run(self, ended: asyncio.Event) -> None:
        """Make albums until it is to end; the last one is finished."""
        while not ended.is_set():
            self.albums += 1
            await self._album(self.folder / f"album {self.albums}", ended)

    def _write_manifest(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        lines = ["title,tags,negative_tags,upload_url"]
        lines += [
            f"command {self.albums}-{row},piano,drums,https://example.com/stem.wav"
            for row in range(1, _ROWS + 1)
        ]
        (folder / "songs.csv").write_text("\n".join(lines) + "\n")

    async def _album(self, folder: Path, ended: asyncio.Event) -> None:
        self._write_manifest(folder)
        for _ in range(_MOST_RUNS):
            words = ["generate", "--manifest", "songs.csv", "--out", "out", "--yes"]
            status = await self._struck(folder, words, ended)
            if status in {0, 1} and await self._decided(folder):
                break
        else:
            self.problems.append(f"{folder.name} was not done after {_MOST_RUNS} runs")
        self.files += len(list((folder / "out").glob("*.wav")))

    async def _struck(self, folder: Path, words: list[str], ended: asyncio.Event) -> int:
        """Run the command; kill or stop it at some moment, unless all is to end."""
        self.runs += 1
        with (folder / "said.txt").open("ab") as said:
            self.process = process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-c", _CALL, *words),
                *("--base-url", self.base_url, "--interval", "0.34"),
                cwd=folder,
                env={
                    **os.environ,
                    "APIKLEY_API_KEY": self.api_key,
                    "PYTHONPATH": str(Path(__file__).parent.parent),
                    "XDG_CONFIG_HOME": str(folder),
                },
                stdin=asyncio.subprocess.DEVNULL,
                stdout=said,
                stderr=said,
            )
        waiting = asyncio.ensure_future(process.wait())
        try:
            if self.rng.random() < 0.7 and not ended.is_set():
                await asyncio.wait({waiting}, timeout=self.rng.uniform(0.5, 7.0))
                if not waiting.done():
                    await self._strike(process, waiting)
            async with asyncio.timeout(_LIMIT_S):
                return await waiting
        except TimeoutError:
            self.problems.append(f"the command hung in {folder.name}")
            process.kill()
            return await process.wait()

    async def _strike(
        self, process: asyncio.subprocess.Process, waiting: "asyncio.Future[int]"
    ) -> None:
        with suppress(ProcessLookupError):  # it has just ended by itself
            if self.rng.random() < 0.6:
                process.kill()
                self.killed += 1
                return
            process.send_signal(signal.SIGSTOP)
            self.stopped += 1
            await asyncio.wait({waiting}, timeout=self.rng.uniform(0.5, 6.0))
            process.send_signal(signal.SIGCONT)

    async def _decided(self, folder: Path) -> bool:
        """Decide about uncertain rows; tell whether there were none, and nothing is left to do."""
        if not (folder / "out" / "tracks.csv").exists():
            return False
        listed = table(folder / "out")
        uncertain = [row for row in listed if row["state"] == "uncertain"]
        if not uncertain:
            return all(row["state"] in {"saved", "failed"} for row in listed)
        account = await self.account()
        known = known_tasks(folder / "out")
        adopted, again = list[str](), list[str]()
        for row in uncertain:
            charged = [
                task_id
                for task_id, title in account["charges"].items()
                if title == row["title"] and task_id not in known
            ]
            if charged:
                adopted.append(f"--adopt={row['row']}={charged[0]}")
            else:
                again.append(row["title"])
        # adopted first: what is submitted again is what is uncertain then
        words = adopted or ["--retry-uncertain"]
        if not adopted:
            self.resubmitted.update(again)
        await self._undisturbed(folder, ["resume", "out", *words])
        return False

    async def _undisturbed(self, folder: Path, words: list[str]) -> None:
        now = asyncio.Event()
        now.set()
        await self._struck(folder, words, now)

    def known(self) -> set[str]:
        """Name the tasks that the folders know."""
        return {task for out in self.folder.glob("*/out") for task in known_tasks(out)}


def known_tasks(out: Path) -> set[str]:
    """Name the tasks that a run's folder knows."""
    database = out / "run.db"
    if not database.exists():
        return set()
    return tasks_of(f"sqlite:///{database}")


def tasks_of(url: str) -> set[str]:
    """Name the tasks that a database of jobs knows."""
    found: set[str] = set()
    for task_id, others in rows(url, sa.select(jobs.c.task_id, jobs.c.other_tasks)):
        found |= {task_id} if task_id else set()
        found |= set(json.loads(others or "[]"))
    return found
