"""A worker in a process of its own: `python -m benchmarks.durable_worker SETTINGS`.

The settings are JSON, as `Fleet` in `durable_fleet` writes them. It prints a line when it works,
one with its figures for every line that it reads, and leaves in order when its standard input ends.
"""

import asyncio
import json
import logging
import os
import sys
import time
from pathlib import Path
from typing import Any

from suno_async import CallbackReceiver, FixedInterval, SunoSession
from suno_async.durable import DurableSuno


def session_of(settings: dict[str, Any], receiver: CallbackReceiver | None) -> SunoSession:
    """Make the session of a worker with such settings."""
    count, window_s = settings["window"]
    return SunoSession(
        settings["api_key"],
        base_url=settings["base_url"],
        receiver=receiver,
        submissions_per_window=(count, window_s),
        max_concurrent_submissions=settings["sending"],
        max_in_flight=settings["in_flight"],
        cadence=FixedInterval(settings["interval_s"]),
    )


def receiver_of(settings: dict[str, Any]) -> CallbackReceiver | None:
    """Make the receiver of a process with such settings; the one in the parent serves."""
    if settings["public_url"] is None:
        return None
    return CallbackReceiver(settings["public_url"], secret=settings["secret"])


def figures(imported_bytes: int) -> dict[str, float]:
    """Tell what this process has taken: CPU, and memory beyond its imports."""
    return {"cpu_s": time.process_time(), "bytes": resident_bytes() - imported_bytes}


def resident_bytes() -> int:
    """Tell how much memory this process has."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


async def work(settings: dict[str, Any]) -> None:
    """Work until the standard input ends."""
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    imported_bytes = resident_bytes()

    def on_input() -> None:
        if os.read(0, 4096):
            print(json.dumps(figures(imported_bytes)), flush=True)
        else:
            ended.set()

    loop.add_reader(sys.stdin, on_input)
    receiver = receiver_of(settings)
    reconcile_s = settings["reconcile_s"]
    async with DurableSuno(
        settings["url"],
        session_of(settings, receiver),
        receiver=receiver,
        reconcile_for=reconcile_s,
        name=settings["name"],
    ):
        print("working", flush=True)
        await ended.wait()


def main() -> None:
    """Read the settings, and work."""
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s %(message)s", level="WARNING")
    asyncio.run(work(json.loads(sys.argv[1])))


if __name__ == "__main__":
    main()
