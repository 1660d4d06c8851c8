"""What callbacks are worth, and what a storm of bad ones costs.

The delay runs from the moment in which the service reached a stage to the moment in which a reader
of `events()` had it. Sandbox, receiver, session and readers share one process and one event loop,
on the machine's clock: the delays hold the costs of all of them.

At the service's own pace this takes some six minutes; faster (`--pace 0.1`) the polls without
callbacks come too rarely for their tasks. The storm posts to the receiver from another process
while tasks are watched.
"""

import argparse
import asyncio
import json
import logging
import random
import resource
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from statistics import median, quantiles
from typing import Any

from benchmarks import report
from suno_async import (
    AddInstrumentalRequest,
    CallbackReceiver,
    InstrumentalTask,
    SunoSession,
    VirtualClock,
)
from suno_async.sandbox import Call, CallbackScript, DropAfter, Sandbox, TaskScript, Timings

TASKS = 100
WATCHED = 1000
STORM = 10_000
PACE = 1.0
CONNECTIONS = 8
REQUEST = AddInstrumentalRequest(
    upload_url="https://example.com/stem.wav",
    title="Relaxing Piano",
    tags="relaxing, piano",
    negative_tags="heavy metal",
)


@asynccontextmanager
async def receiving() -> AsyncIterator[CallbackReceiver]:
    """Have a receiver that serves by itself."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    receiver = CallbackReceiver(f"http://127.0.0.1:{port}/suno")
    async with receiver.serve("127.0.0.1", port):
        yield receiver


# --- from stage to event --------------------------------------------------------------------------


def delays(with_callbacks: bool, tasks: int, pace: float) -> dict[str, Any]:
    """Follow tasks in this process; tell delays in seconds of the service's own pace, and polls."""
    return asyncio.run(_delays(with_callbacks, tasks, pace))


async def _delays(with_callbacks: bool, tasks: int, pace: float) -> dict[str, Any]:
    async with (
        Sandbox(
            time_scale=pace,
            submissions_per_window=None,
            timings=Timings(),
            callbacks=with_callbacks,
        ) as sandbox,
        receiving() as receiver,
        SunoSession(
            sandbox.api_key,
            base_url=sandbox.base_url,
            receiver=receiver if with_callbacks else None,
            submissions_per_window=(100_000, 1),
        ) as session,
    ):
        gaps: list[float] = []

        async def follow() -> None:
            await asyncio.sleep(random.random() * 2)
            task = await session.submit(REQUEST)
            course = sandbox.tasks[task.task_id]
            async for event in task.events():
                reached_s = course.moment(event.stage.position + 1).after_s
                gaps.append(sandbox.clock.monotonic() - course.submitted_s - reached_s)

        await asyncio.gather(*(follow() for _ in range(tasks)))
        cuts = quantiles(gaps, n=100)
        return {
            "median_s": median(gaps),
            "p95_s": cuts[94],
            "p99_s": cuts[98],
            "polls_per_task": len(sandbox.polls) / tasks,
        }


# --- callbacks that stop --------------------------------------------------------------------------


def stopping(learning: int, tasks: int) -> dict[str, dict[str, float]]:
    """Let callbacks stop after some tasks, in virtual time; tell how late the next tasks are."""
    return {
        "callbacks stop": asyncio.run(_stopping(learning, tasks, True)),
        "callbacks stop, one task at a time": asyncio.run(_stopping(learning, -tasks // 5, True)),
        "the same tasks without a receiver": asyncio.run(_stopping(learning, tasks, False)),
    }


async def _stopping(learning: int, tasks: int, called: bool) -> dict[str, float]:
    clock = VirtualClock()
    async with (
        Sandbox(clock=clock, submissions_per_window=None, timings=Timings(), seed=1) as sandbox,
        receiving() as receiver,
        SunoSession(
            sandbox.api_key,
            base_url=sandbox.base_url,
            receiver=receiver if called else None,
            submissions_per_window=(100_000, 1),
            clock=clock,
        ) as session,
    ):

        async def follow(quiet: bool) -> list[float]:
            if quiet:
                sandbox.script(TaskScript(callbacks=CallbackScript(send=False)))
            task = await session.submit(REQUEST)
            course = sandbox.tasks[task.task_id]
            return [
                (event.observed_at - task.submitted_at).total_seconds()
                - course.moment(event.stage.position + 1).after_s
                async for event in task.events()
            ]

        async def all_of_them() -> list[float]:
            await asyncio.gather(*(follow(quiet=False) for _ in range(learning)))
            if tasks < 0:
                return [late async for late in one_by_one()]
            told = await asyncio.gather(*(follow(quiet=True) for _ in range(tasks)))
            return [late_s for each in told for late_s in each]

        async def one_by_one() -> AsyncIterator[float]:
            """Earn the trust again between two tasks without callbacks."""
            for _ in range(-tasks):
                for late_s in await follow(quiet=True):
                    yield late_s
                await asyncio.gather(*(follow(quiet=False) for _ in range(learning // 4)))

        late_s = await clock.run(all_of_them(), idle=sandbox.idle, settle_passes=50)
        cuts = quantiles(late_s, n=100)
        return {
            "median_s": median(late_s),
            "p95_s": cuts[94],
            "p99_s": cuts[98],
            "most_s": max(late_s),
        }


# --- a storm --------------------------------------------------------------------------------------


def storm(watched: int, count: int) -> dict[str, Any]:
    """Watch tasks in this process while another posts; tell how fast the answers were."""
    return asyncio.run(_storm(watched, count))


async def _storm(watched: int, count: int) -> dict[str, Any]:
    async with (
        Sandbox(submissions_per_window=None) as sandbox,
        receiving() as receiver,
        SunoSession(
            sandbox.api_key,
            base_url=sandbox.base_url,
            receiver=receiver,
            submissions_per_window=(100_000, 1),
            max_concurrent_submissions=50,
        ) as session,
    ):
        sandbox.script(*(TaskScript(stages=()) for _ in range(watched)))
        tasks = await asyncio.gather(*(session.submit(REQUEST) for _ in range(watched)))
        reading = [asyncio.create_task(_read(task)) for task in tasks]
        targets = [
            (str((sent.body or {})["callBackUrl"]), sent.task_id) for sent in sandbox.submissions
        ]
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        began_s = time.perf_counter()
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "benchmarks.callbacks"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        orders = {"targets": targets, "base": receiver.public_url, "count": count}
        told, _ = await process.communicate(json.dumps(orders).encode())
        took_s = time.perf_counter() - began_s
        polls = sandbox.polls
        figures: dict[str, Any] = json.loads(told)
        figures["answers_per_s"] = count / figures.pop("blown_s")
        figures["polls_per_task_and_s"] = len(polls) / watched / took_s
        figures["grown_mb"] = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
        figures["woken_wrongly"] = sum(each.done() for each in reading)
    await asyncio.gather(*reading, return_exceptions=True)
    return figures


async def _read(task: InstrumentalTask) -> None:
    async for _ in task.events():
        pass


def _blow() -> None:
    """Be the other process: post as ordered, and tell how long each answer took."""
    print(json.dumps(asyncio.run(_post_all(json.load(sys.stdin)))))


async def _post_all(orders: dict[str, Any]) -> dict[str, Any]:
    chance, took_s, began_s = random.Random(0), list[float](), time.perf_counter()
    statuses: dict[str, int] = {}
    host, port = orders["base"].split("/")[2].split(":")

    async def one_connection(left: int) -> None:
        while left > 0:
            reader, writer = await asyncio.open_connection(host, int(port))
            open_ = True
            while left > 0 and open_:
                request, open_ = _bad_request(chance, orders["base"], orders["targets"])
                asked_s = time.perf_counter()
                writer.write(request)
                answer = (await reader.readuntil(b"\r\n\r\n")).lower()
                length = int(answer.split(b"content-length:")[1].split(b"\r\n")[0])
                await reader.readexactly(length)
                took_s.append(time.perf_counter() - asked_s)
                status = answer.split()[1].decode()
                statuses[status] = statuses.get(status, 0) + 1
                left -= 1
            writer.close()

    await asyncio.gather(
        *(one_connection(orders["count"] // CONNECTIONS) for _ in range(CONNECTIONS))
    )
    cuts = quantiles(took_s, n=100)
    return {
        "median_ms": median(took_s) * 1000,
        "p99_ms": cuts[98] * 1000,
        "max_ms": max(took_s) * 1000,
        "statuses": statuses,
        "blown_s": time.perf_counter() - began_s,
    }


def _bad_request(
    chance: random.Random, base: str, targets: list[tuple[str, str]]
) -> tuple[bytes, bool]:
    """Make up a request, and tell whether its connection stays open."""
    url, task_id = chance.choice(targets)
    kind = chance.choice(["guessed"] * 4 + ["forged"] * 4 + ["malformed", "oversized"])
    if kind == "guessed":
        url = f"{base}/{chance.getrandbits(144):036x}"
    stage = chance.choice(["text", "first", "complete", "error", "NEW"])
    data = {"callbackType": stage, "task_id": task_id, "data": []}
    body = json.dumps({"code": 200, "msg": "ok", "data": data}).encode()
    if kind == "malformed":
        body = body[: len(body) // 2]
    length = 5_000_000 if kind == "oversized" else len(body)
    path = "/" + url.split("/", 3)[3]
    head = f"POST {path} HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n"
    return (
        f"{head}Content-Length: {length}\r\n\r\n".encode() + (b"" if length > 1e6 else body),
        kind != "oversized",
    )


# --- lost answers ---------------------------------------------------------------------------------


def lost_answers(count: int) -> dict[str, Any]:
    """Lose the answers of submissions; tell what became of them."""
    return asyncio.run(_lost_answers(count))


async def _lost_answers(count: int) -> dict[str, Any]:
    logging.getLogger("suno_async").setLevel(logging.ERROR)  # each is warned of
    async with (
        Sandbox(time_scale=0.01, submissions_per_window=None) as sandbox,
        receiving() as receiver,
        SunoSession(
            sandbox.api_key,
            base_url=sandbox.base_url,
            receiver=receiver,
            submissions_per_window=(100_000, 1),
        ) as session,
    ):
        sandbox.inject(Call.SUBMIT, DropAfter(), times=count)
        ended = [o.ok async for o in session.generate_many([REQUEST] * count, max_in_flight=count)]
        return {
            "adopted": sum(ended),
            "charges": len(sandbox.ledger),
            "posts": len(sandbox.submissions),
        }


def main(argv: list[str]) -> None:
    """Measure; print, and write the figures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks callbacks", description=__doc__)
    parser.add_argument("--tasks", type=int, default=TASKS)
    parser.add_argument("--pace", type=float, default=PACE, help="1.0 is the service's own")
    parser.add_argument("--watched", type=int, default=WATCHED)
    parser.add_argument("--storm", type=int, default=STORM)
    options = parser.parse_args(argv)
    with ThreadPoolExecutor() as beside:  # both mostly wait
        began = {
            name: beside.submit(
                report.in_fresh_process, delays, having, options.tasks, options.pace
            )
            for name, having in (("with callbacks", True), ("without", False))
        }
    ways = {name: way.result() for name, way in began.items()}
    report.table(
        f"from stage to event, {options.tasks} tasks at {options.pace:g} of the service's pace;"
        " aims: median 50 ms, 4 polls a task",
        ("way", "median ms", "p95 ms", "p99 ms", "polls/task"),
        [
            (
                name,
                *(f"{figure[cut] * 1000:.1f}" for cut in ("median_s", "p95_s", "p99_s")),
                f"{figure['polls_per_task']:.2f}",
            )
            for name, figure in ways.items()
        ],
    )
    stopped = report.in_fresh_process(stopping, 40, options.tasks)
    report.table(
        "callbacks stop after 40 tasks, in virtual time: seconds from stage to event; aim: no task"
        " is later by more than one ceiling interval, 20 s",
        ("way", "median", "p95", "p99", "latest"),
        [(name, *(f"{value:.1f}" for value in each.values())) for name, each in stopped.items()],
    )
    stormy = report.in_fresh_process(storm, options.watched, options.storm)
    report.table(
        f"{options.storm} bad callbacks while {options.watched} tasks are watched; aim: p99 50 ms",
        ("median ms", "p99 ms", "max ms", "answers/s", "polls/task/s", "MB grown", "wrong events"),
        [
            (
                f"{stormy['median_ms']:.1f}",
                f"{stormy['p99_ms']:.1f}",
                f"{stormy['max_ms']:.1f}",
                f"{stormy['answers_per_s']:.0f}",
                f"{stormy['polls_per_task_and_s']:.2f}",
                f"{stormy['grown_mb']:.1f}",
                stormy["woken_wrongly"],
            )
        ],
    )
    lost = report.in_fresh_process(lost_answers, 200)
    report.table("200 lost answers; aim: 200 of each", tuple(lost), [tuple(lost.values())])
    report.save(
        "callbacks", {"ways": ways, "stopped": stopped, "storm": stormy, "lost_answers": lost}
    )


if __name__ == "__main__":
    _blow()
