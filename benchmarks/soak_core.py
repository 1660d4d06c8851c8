"""A caller of the core in a process of its own: `python -m benchmarks.soak_core SETTINGS` (JSON).

One session after the other, each for some seconds: batches, submissions, events, downloads,
uploads, cancellations, and leaving in the middle of all. What is known of money goes to a journal
that a kill leaves behind: what was sent, as it goes out, and what became of it. It ends when its
standard input does.
"""

import asyncio
import gc
import json
import logging
import os
import random
import shutil
import sys
import time
from contextlib import AsyncExitStack, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

from benchmarks.callbacks import receiving
from benchmarks.durable_worker import resident_bytes
from suno_async import AddInstrumentalRequest, FixedInterval, SunoError, SunoSession, TaskDetails
from suno_async.observe import Accepted, Found, Observation, Refused, Sent, Uncertain
from suno_async.sandbox import sing

CALLERS = 4
_LIVES_S = (4.0, 10.0)


def descriptors() -> int:
    """Count the open descriptors of this process."""
    return len(list(Path("/proc/self/fd").iterdir()))


class Journal:
    """Writes a line for whatever becomes of a paid call, at once.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)

    def note(self, what: str, **about: Any) -> None:
        """Write a line."""
        os.write(self._descriptor, json.dumps({"what": what, **about}).encode() + b"\n")

    def observe(self, told: Observation) -> None:
        """Write down what a session tells of a paid call."""
        match told:
            case Sent():
                self.note("sent", title=told.request.title)
            case Accepted() | Found():
                self.note("task", title=told.request.title, task_id=told.task_id)
            case Refused():
                self.note("refused", title=told.request.title)
            case Uncertain():
                self.note("uncertain", title=told.request.title)


class Caller:
    """Uses sessions of the core.

    Args:
        settings: `base_url`, `api_key`, `name`, `seed`, `journal`, `folder`.
    """

    def __init__(self, settings: dict[str, Any]) -> None:
        self._settings = settings
        self._name: str = settings["name"]
        self._random = random.Random(settings["seed"])
        self._journal = Journal(Path(settings["journal"]))
        self._folder = Path(settings["folder"])
        self._number = 0
        self._open = False
        self.ended: asyncio.Event = asyncio.Event()

    async def run(self) -> None:
        """Use one session after the other until it is to end."""
        while not self.ended.is_set():
            await self._session()
            gc.collect()
            await asyncio.sleep(0)
            left = asyncio.all_tasks() - {asyncio.current_task()}
            self._journal.note(
                "left",
                tasks=len(left),
                descriptors=descriptors(),
                bytes=resident_bytes(),
            )
            shutil.rmtree(self._folder, ignore_errors=True)

    async def _session(self) -> None:
        deadline_s = time.monotonic() + self._random.uniform(*_LIVES_S)
        async with AsyncExitStack() as stack:
            settings: dict[str, Any] = {}
            if self._random.random() < 0.5:
                settings["receiver"] = await stack.enter_async_context(receiving())
                settings["reconcile_for"] = 3
            suno = SunoSession(
                self._settings["api_key"],
                base_url=self._settings["base_url"],
                submissions_per_window=(8, 3.0),
                max_in_flight=self._random.choice([2, 10, 50]),
                cadence=FixedInterval(0.34),
                timeout=5,
                observers=[self._journal.observe],
                **settings,
            )
            callers: list[asyncio.Task[None]] = []
            async with suno:
                self._open = True
                callers += [asyncio.create_task(self._call(suno)) for _ in range(CALLERS)]
                while time.monotonic() < deadline_s and not self.ended.is_set():
                    await asyncio.sleep(self._random.uniform(0, 0.5))
                    if self._random.random() < 0.1:
                        callers.append(asyncio.create_task(self._call(suno)))
                        self._random.choice(callers).cancel()
                self._open = False
            # what it was left under ends by itself
            await asyncio.wait(callers)
            for caller in callers:
                if not caller.cancelled() and caller.exception() is not None:
                    self._journal.note("broke", error=repr(caller.exception()))

    async def _call(self, suno: SunoSession) -> None:
        """Use a session until it is left."""
        kinds = [self._submit, self._generate, self._batch, self._upload]
        while self._open:
            with suppress(SunoError, OSError):
                await self._random.choice(kinds)(suno)
            await asyncio.sleep(self._random.uniform(0, 0.2))

    async def _submit(self, suno: SunoSession) -> None:
        task = await suno.submit(self._request())
        async for _ in task.events():
            if self._random.random() < 0.2:
                break

    async def _generate(self, suno: SunoSession) -> None:
        details = await suno.generate(self._request(), timeout=timedelta(seconds=20))
        await self._download(suno, details)

    async def _batch(self, suno: SunoSession) -> None:
        requests = [self._request() for _ in range(self._random.randint(1, 8))]
        async for outcome in suno.generate_many(requests):
            if outcome.details is not None and self._random.random() < 0.3:
                await self._download(suno, outcome.details)
            if self._random.random() < 0.05:
                break

    async def _upload(self, suno: SunoSession) -> None:
        await suno.upload(sing(0.2))
        await suno.credits()

    async def _download(self, suno: SunoSession, details: TaskDetails) -> None:
        covers = self._random.random() < 0.3
        paths = await suno.download_all(details, self._folder, covers=covers)
        self._journal.note("saved", files=len(paths))

    def _request(self) -> AddInstrumentalRequest:
        self._number += 1
        return AddInstrumentalRequest(
            upload_url="https://example.com/stem.wav",
            title=f"core {self._name} {self._number}",
            tags="piano",
            negative_tags="drums",
        )


async def main(settings: dict[str, Any]) -> None:
    """Work until the standard input ends."""
    caller = Caller(settings)
    loop = asyncio.get_running_loop()
    loop.add_reader(sys.stdin, caller.ended.set)
    print("working", flush=True)
    await caller.run()
    loop.remove_reader(sys.stdin)


if __name__ == "__main__":
    logging.basicConfig(level=logging.ERROR)
    asyncio.run(main(json.loads(sys.argv[1])))
