"""What a thousand to a hundred thousand watched tasks cost while nothing is polled.

Nothing is sent: submissions are answered on the spot, and the cadence looks once an hour. So the
figures are those of waiting alone: memory, idle CPU, time to start and to stop. Each count has a
process of its own, and memory is measured twice: as the process grows, and as Python allocates.
"""

import argparse
import asyncio
import gc
import itertools
import os
import time
import tracemalloc
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from benchmarks import report
from suno_async import AddInstrumentalRequest, FixedInterval, SessionClosed, SunoSession
from suno_async.submission import Deadline, Gate, Submitted

COUNTS = (1_000, 10_000, 100_000)
IDLE_S = 5.0

REQUEST = AddInstrumentalRequest(
    upload_url="https://example.com/stem.wav",
    title="Relaxing Piano",
    tags="relaxing, piano",
    negative_tags="heavy metal",
)

# how many submissions are begun before the event loop goes round
_AT_A_TIME = 50
# until what was begun has come to rest
_SETTLING_S = 0.1


class InstantSubmitter:
    """Takes the place of the session's own, and answers every submission with an id at once.

    Args:
        count: With so many, all are submitted.
    """

    def __init__(self, count: int) -> None:
        self._ids = itertools.count(1)
        self._left = count
        self.all_submitted = asyncio.Event()

    waiting = sending = 0

    async def submit(
        self, request: AddInstrumentalRequest, gate: Gate, deadline: Deadline
    ) -> Submitted:
        """Make up an id as long as the service's."""
        self._left -= 1
        if not self._left:
            self.all_submitted.set()
        return Submitted(f"{next(self._ids):032x}", datetime.now(UTC), time.monotonic(), None)

    def close(self) -> None:
        """Let nothing begin any more."""

    async def aclose(self) -> None:
        """Nothing is under way."""


async def _requests(count: int) -> AsyncIterator[AddInstrumentalRequest]:
    for number in range(count):
        if number % _AT_A_TIME == 0:
            await asyncio.sleep(0)
        yield REQUEST


async def _batch(session: SunoSession, count: int) -> None:
    """Wait for all outcomes of one batch; they come when the session is left.

    With room for one more, the batch has noticed by then that there are no more requests.
    """
    ended = 0
    async for outcome in session.generate_many(_requests(count), max_in_flight=count + 1):
        assert isinstance(outcome.error, SessionClosed)
        ended += 1
    assert ended == count


async def _readers(session: SunoSession, count: int) -> None:
    """Wait for each result in a coroutine of its own."""
    waiting = [asyncio.create_task(session.generate(request)) async for request in _requests(count)]
    errors = await asyncio.gather(*waiting, return_exceptions=True)
    assert all(isinstance(error, SessionClosed) for error in errors)


WAYS = {"generate_many": _batch, "result() each": _readers}


def measure(way: str, count: int, traced: bool) -> dict[str, float]:
    """Watch so many tasks in this process, and say what it took."""
    return asyncio.run(_measure(way, count, traced))


async def _measure(way: str, count: int, traced: bool) -> dict[str, float]:
    session = SunoSession("key", cadence=FixedInterval(timedelta(hours=1)), max_in_flight=count)
    async with session:
        submitter = InstantSubmitter(count)
        # submitting for real would take hours under the rate window; what waits is measured here
        session._submitter = submitter  # type: ignore[assignment]
        memory = _memory(traced)
        began_s = time.perf_counter()
        caller = asyncio.create_task(WAYS[way](session, count))
        await submitter.all_submitted.wait()
        figures = {"start_s": time.perf_counter() - began_s}
        await asyncio.sleep(_SETTLING_S)
        gc.collect()
        figures["bytes"] = memory() / count
        if not traced:
            figures["idle"] = await _idle_share()
        began_s = time.perf_counter()
    figures["stop_s"] = time.perf_counter() - began_s
    await caller
    figures["told_s"] = time.perf_counter() - began_s
    return figures


def _memory(traced: bool) -> Callable[[], int]:
    """Begin to measure; what is returned tells by how many bytes memory has grown."""
    gc.collect()
    if traced:
        tracemalloc.start()
        return lambda: tracemalloc.get_traced_memory()[0]
    before = _resident_bytes()
    return lambda: _resident_bytes() - before


def _resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


async def _idle_share() -> float:
    """Tell the share of a core that is used while everybody waits."""
    await asyncio.sleep(0.5)
    wall_s, cpu_s = time.perf_counter(), time.process_time()
    await asyncio.sleep(IDLE_S)
    return (time.process_time() - cpu_s) / (time.perf_counter() - wall_s)


def main(argv: list[str]) -> None:
    """Measure every count, in both ways of waiting; print, and write the figures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks in_flight", description=__doc__)
    parser.add_argument("--counts", type=int, nargs="+", default=COUNTS)
    options = parser.parse_args(argv)
    figures = [
        {
            "way": way,
            "count": count,
            **report.in_fresh_process(measure, way, count, False),
            "traced_bytes": report.in_fresh_process(measure, way, count, True)["bytes"],
        }
        for way in WAYS
        for count in options.counts
    ]
    report.table(
        "tasks that wait; aims at 100,000: 1 KB a task, idle 1 %, stop 1 s",
        ("way", "tasks", "B/task resident", "B/task traced", "start s", "idle", "stop s", "told s"),
        [_row(figure) for figure in figures],
    )
    report.save("in_flight", {"idle_measured_s": IDLE_S, "figures": figures})


def _row(figure: dict[str, Any]) -> tuple[str, ...]:
    return (
        figure["way"],
        f"{figure['count']:,}",
        f"{figure['bytes']:,.0f}",
        f"{figure['traced_bytes']:,.0f}",
        f"{figure['start_s']:.2f}",
        f"{figure['idle']:.2%}",
        f"{figure['stop_s']:.2f}",
        f"{figure['told_s']:.2f}",
    )
