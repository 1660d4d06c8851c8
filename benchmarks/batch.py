"""Throughput of generate_many against a sandbox without limits, in a process of its own.

The baseline is a loop over plain aiohttp, as one writes it by hand: submit, then poll at a fixed
interval until the task is complete. Both run in one process, by turns, on the same work: as many
tasks, as many in flight, as many submissions at a time, and the same interval.
"""

import argparse
import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from statistics import median
from typing import Any

import aiohttp
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

from benchmarks import report
from benchmarks.sandbox_server import KEY, STAGES_S
from suno_async import AddInstrumentalRequest, FixedInterval, SunoSession
from suno_async.observe import Accepted
from suno_async.telemetry import Telemetry

TASKS = 1000
IN_FLIGHT = 500
SUBMISSIONS = 8
INTERVAL_S = 0.5
REQUEST = AddInstrumentalRequest(
    upload_url="https://example.com/stem.wav",
    title="Relaxing Piano",
    tags="relaxing, piano",
    negative_tags="heavy metal",
)


async def generate_many(
    base_url: str, tasks: int, observers: Sequence[Callable[[Any], object]] = ()
) -> None:
    """Use the library."""
    async with SunoSession(
        KEY,
        base_url=base_url,
        max_concurrent_submissions=SUBMISSIONS,
        submissions_per_window=(1_000_000, 1),
        max_in_flight=IN_FLIGHT,
        cadence=FixedInterval(timedelta(seconds=INTERVAL_S)),
        observers=observers,
    ) as session:
        async for outcome in session.generate_many([REQUEST] * tasks):
            assert len(outcome.tracks) == 2


async def observed(base_url: str, tasks: int) -> None:
    """Use the library, with one observer that counts what it is told by kind."""
    told: Counter[type] = Counter()

    def count(observation: Any) -> None:
        told[type(observation)] += 1

    await generate_many(base_url, tasks, [count])
    assert told[Accepted] == tasks


async def exported(base_url: str, tasks: int) -> None:
    """Use the library with `Telemetry` on the SDK, whose exporters throw everything away."""
    tracers = TracerProvider(shutdown_on_exit=False)
    tracers.add_span_processor(BatchSpanProcessor(_Nowhere()))
    meters = MeterProvider([InMemoryMetricReader()], shutdown_on_exit=False)
    await generate_many(base_url, tasks, [Telemetry(tracers, meters)])
    tracers.shutdown()
    meters.shutdown()


class _Nowhere(SpanExporter):
    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        return SpanExportResult.SUCCESS


async def by_hand(base_url: str, tasks: int) -> None:
    """Use plain aiohttp."""
    slots, room = asyncio.Semaphore(SUBMISSIONS), asyncio.Semaphore(IN_FLIGHT)
    body = {
        "uploadUrl": "https://example.com/stem.wav",
        "title": "Relaxing Piano",
        "tags": "relaxing, piano",
        "negativeTags": "heavy metal",
        "callBackUrl": "https://example.com/callback",
    }

    async def one(session: aiohttp.ClientSession) -> None:
        async with room:
            async with slots, session.post("/api/v1/generate/add-instrumental", json=body) as sent:
                task_id = (await sent.json())["data"]["taskId"]
            while True:
                await asyncio.sleep(INTERVAL_S)
                params = {"taskId": task_id}
                async with session.get("/api/v1/generate/record-info", params=params) as seen:
                    record = (await seen.json())["data"]
                if record["status"] == "SUCCESS":
                    assert len(record["response"]["sunoData"]) == 2
                    return

    headers = {"Authorization": f"Bearer {KEY}"}
    async with aiohttp.ClientSession(base_url, headers=headers) as session:
        await asyncio.gather(*(one(session) for _ in range(tasks)))


WAYS: dict[str, Callable[[str, int], Awaitable[None]]] = {
    "by hand": by_hand,
    "control": by_hand,
    "generate_many": generate_many,
    "one observer": observed,
    "OpenTelemetry": exported,
}


def measure(address: str, tasks: int, rounds: int) -> dict[str, list[dict[str, float]]]:
    """Run the ways by turns in this process."""
    base_url, meter = address.split()
    return asyncio.run(_measure(base_url, meter, tasks, rounds))


async def _measure(
    base_url: str, meter: str, tasks: int, rounds: int
) -> dict[str, list[dict[str, float]]]:
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in WAYS}
    for _ in range(rounds):
        for name, way in WAYS.items():
            server_s = await _server_cpu_s(meter)
            wall_s, cpu_s = time.perf_counter(), time.process_time()
            await way(base_url, tasks)
            cpu_s, wall_s = time.process_time() - cpu_s, time.perf_counter() - wall_s
            server_s = await _server_cpu_s(meter) - server_s
            runs[name].append({"wall_s": wall_s, "client_s": cpu_s, "server_s": server_s})
    return runs


async def _server_cpu_s(meter: str) -> float:
    reader, writer = await asyncio.open_connection("127.0.0.1", int(meter))
    writer.write(b"\n")
    seconds = float(await reader.readline())
    writer.close()
    return seconds


def main(argv: list[str]) -> None:
    """Measure by turns; print, and write the figures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks batch", description=__doc__)
    parser.add_argument("--tasks", type=int, default=TASKS)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args(argv)
    with report.server_process("benchmarks.sandbox_server") as address:
        runs = report.in_fresh_process(measure, address, options.tasks, options.rounds)
    figures = {name: _medians(name, runs, options.tasks) for name in WAYS}
    report.table(
        f"{options.tasks} tasks of {STAGES_S[-1]} s, {IN_FLIGHT} in flight, polled every"
        f" {INTERVAL_S} s",
        ("way", "outcomes/s", "client CPU ms each", "server CPU ms each", "÷ by hand", "CPU ÷"),
        [
            (
                name,
                f"{figure['outcomes_per_s']:.0f}",
                f"{figure['client_ms']:.2f}",
                f"{figure['server_ms']:.2f}",
                f"{figure['throughput_ratio']:.2f}",
                f"{figure['client_ratio']:.2f}",
            )
            for name, figure in figures.items()
        ],
    )
    report.save("batch", {"tasks": options.tasks, "rounds": options.rounds, "ways": figures})


def _medians(name: str, runs: dict[str, list[dict[str, float]]], tasks: int) -> dict[str, Any]:
    own, base = runs[name], runs["by hand"]
    pairs = list(zip(own, base, strict=True))
    return {
        "outcomes_per_s": tasks / median(run["wall_s"] for run in own),
        "client_ms": median(run["client_s"] for run in own) / tasks * 1000,
        "server_ms": median(run["server_s"] for run in own) / tasks * 1000,
        "throughput_ratio": median(b["wall_s"] / run["wall_s"] for run, b in pairs),
        "client_ratio": median(run["client_s"] / b["client_s"] for run, b in pairs),
    }
