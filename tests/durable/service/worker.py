"""A worker in a process of its own, to be killed: `python -m tests.durable.service.worker`."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from suno_async import FixedInterval, SunoSession
from suno_async.durable import DurableSuno
from suno_async.sandbox import Sandbox

ROOT = Path(__file__).parents[3]


async def work(database: str, base_url: str, api_key: str) -> None:
    """Work until the process is killed."""
    session = SunoSession(api_key, base_url=base_url, cadence=FixedInterval(0.4))
    async with DurableSuno(database, session):
        await asyncio.Event().wait()


@asynccontextmanager
async def killed_worker(database: str, sandbox: Sandbox) -> AsyncIterator[None]:
    """Run a worker; whatever it does when the block is left, SIGKILL ends it."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", __name__, database, sandbox.base_url, sandbox.api_key), cwd=ROOT
    )
    try:
        yield
    finally:
        process.send_signal(signal.SIGKILL)
        await process.wait()


if __name__ == "__main__":
    asyncio.run(work(*sys.argv[1:]))
