"""Helpers for tests that follow tasks: what was seen, how often was asked, what was left behind."""

import asyncio
import json
import os
from bisect import bisect_left
from collections.abc import AsyncIterator, Awaitable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

from suno_async import InstrumentalTask, StageEvent, SunoSession
from suno_async.sandbox import Sandbox, TaskScript

from .waiting import until
from .world import World, song

T = TypeVar("T")

STAGES = ["text", "first", "complete"]
# a task that never gets anywhere
STUCK = TaskScript(stages=())


async def collect(task: InstrumentalTask, into: list[StageEvent] | None = None) -> list[StageEvent]:
    """Read a task's events to the end; what came before an error is in `into`."""
    events: list[StageEvent] = [] if into is None else into
    async for event in task.events():
        events.append(event)  # noqa: PERF401 - what came before an error is wanted too
    return events


def names(events: Iterable[StageEvent]) -> list[str]:
    """Name the stages of events."""
    return [str(event.stage) for event in events]


async def submitted(suno: SunoSession, sandbox: Sandbox, script: TaskScript) -> InstrumentalTask:
    """Submit a task that follows a script."""
    sandbox.script(script)
    return await suno.submit(song())


def poll_times(sandbox: Sandbox, task_id: str | None = None) -> list[float]:
    """Tell when record-info was asked, for one task or for all."""
    return [poll.at for poll in sandbox.polls if task_id in (None, poll.task_id)]


def busiest(times: list[float], window_s: float) -> int:
    """Tell how many of the times (sorted) the fullest half-open window of some length holds."""
    ends = (bisect_left(times, at + window_s - 1e-9) for at in times)
    return max((end - begin for begin, end in enumerate(ends)), default=0)


def open_files() -> dict[int, str]:
    """List the open descriptors of this process: files, sockets, pipes."""
    found: dict[int, str] = {}
    for entry in os.scandir("/proc/self/fd"):
        try:
            target = str(Path(entry.path).readlink())
        except FileNotFoundError:  # the one that lists the folder
            continue
        found[int(entry.name)] = target
    return found


def running() -> set[asyncio.Task[Any]]:
    """List the asyncio tasks, without those of the sandbox, which serve, render and deliver."""
    return {task for task in asyncio.all_tasks() if not _of_the_service(task)}


def _of_the_service(task: asyncio.Task[Any]) -> bool:
    work = task.get_coro()
    code = getattr(work, "cr_code", None)
    file = getattr(code, "co_filename", "")
    if getattr(code, "co_name", "") == "write_bytes":  # of aiohttp's, for either side
        frame = getattr(work, "cr_frame", None)
        return frame is None or not _to_the_service(frame.f_locals["self"].url.path)
    return "/suno_async/sandbox/" in file or file.endswith("/aiohttp/web_protocol.py")


def _to_the_service(path: str) -> bool:
    """Tell whether a request goes to the API, and not from the sandbox to a receiver."""
    return path.startswith(("/api/", "/file-upload/"))


@asynccontextmanager
async def nothing_left() -> AsyncIterator[None]:
    """See that no asyncio task is left at once, and no descriptor that was not there before.

    The sandbox lives in the same process: its own ends of connections may close a moment later.
    """
    tasks, files = running(), open_files()
    yield
    assert running() <= tasks
    await until(lambda: len(open_files()) <= len(files))


def resident_bytes() -> int:
    """Tell how much memory this process occupies."""
    pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def record(task_id: str, status: str | None, **fields: object) -> bytes:
    """Write the answer of record-info, as the service would."""
    data = {"taskId": task_id, "status": status, **fields}
    return json.dumps({"code": 200, "msg": "success", "data": data}).encode()


def two_tracks() -> dict[str, object]:
    """Write two finished tracks."""
    track = {"title": "Harbour", "audioUrl": "https://cdn.example/a.mp3"}
    return {"sunoData": [{"id": name, **track} for name in ("a1", "a2")]}


async def look_for_ever(task: InstrumentalTask) -> None:
    """Look at a task, as often as the library lets."""
    while True:
        await task.details()


async def for_a_while(world: World, *work: Awaitable[Any]) -> None:
    """Let work go on for 20 s of virtual time, then stop it."""
    running = [asyncio.ensure_future(each) for each in work]
    await world.pass_time(20)
    for each in running:
        assert not each.done()
        each.cancel()
    await asyncio.gather(*running, return_exceptions=True)
