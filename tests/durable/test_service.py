"""The README's web service: run as it stands there, in processes that are killed and restarted."""

import asyncio
import random
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from suno_async.durable import DurableSuno, Resubmit
from suno_async.sandbox import Sandbox, TaskScript, Timings

from .service.clients import Client
from .service.processes import ServiceProcess, balancer, environment, serving, write_example

STAGES = ["text", "first", "complete"]


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    """What clients send their requests with."""
    connector = aiohttp.TCPConnector(limit=0, force_close=True)
    async with aiohttp.ClientSession(connector=connector) as http:
        yield http


def asked(key: str) -> dict[str, str]:
    """Write an order."""
    url = "https://example.com/stem.wav"
    return {"key": key, "upload_url": url, "title": key, "tags": "relaxing, piano"}


async def resubmit_unsent(durable: DurableSuno, sandbox: Sandbox) -> None:
    """Decide what only the account's history tells: uncertain jobs without a task are unsent.

    A process that is killed between its claim and its request leaves one. What it has sent has
    arrived some seconds later.
    """
    while True:
        doubtful = await durable.uncertain()
        await asyncio.sleep(6 if doubtful else 0.5)
        known = {task.request["title"] for task in sandbox.tasks.values()}
        for job in doubtful:
            if job.request.title not in known:
                await durable.decide(job.key, Resubmit())


async def test_a_process_is_killed_and_every_track_comes(
    postgres: str, tmp_path: Path, http: aiohttp.ClientSession
) -> None:
    """Each is paid for once, and each client sees each stage once, wherever it reconnects."""
    dice = random.Random(9)
    keys = [f"album/{number}" for number in range(12)]
    write_example(tmp_path)
    async with Sandbox(time_scale=0.03, timings=Timings(sigma=0.2)) as sandbox:
        ports: list[int] = []
        async with balancer(ports) as front:
            variables = environment(sandbox, postgres, front.base_url)
            first, second = (ServiceProcess(tmp_path, variables) for _ in range(2))
            ports += [first.port, second.port]
            client = Client(http, [first.url, second.url])

            async def one(key: str, after_s: float) -> list[str]:
                await asyncio.sleep(after_s)
                status, told = await Client(http, [front.base_url]).order(**asked(key))
                assert status == 202, told
                events = await client.follow(key)
                assert [sent.id for sent in events] == [sent.event for sent in events]
                assert all(track["audio_url"] for track in events[-1].data)
                return [sent.event for sent in events]

            async def kill() -> None:
                await asyncio.sleep(dice.uniform(1.0, 1.5))
                await first.end(signal.SIGKILL)
                await asyncio.sleep(dice.uniform(0.2, 0.5))
                await first.start()

            async with (
                serving(first, second),
                DurableSuno(postgres) as durable,
                asyncio.timeout(120),
            ):
                deciding = asyncio.create_task(resubmit_unsent(durable, sandbox))
                try:
                    followed = (one(key, dice.uniform(0, 2)) for key in keys)
                    seen = await asyncio.gather(*followed, kill())
                finally:
                    deciding.cancel()
                answers = [await client.show(key) for key in keys]

        assert seen[:-1] == [STAGES] * len(keys)
        for here, there in answers:
            assert here == there
            assert here[1]["state"] == "complete"
            assert len(here[1]["tracks"]) == 2
            assert here[1]["error"] is None
        assert len(sandbox.ledger) == len(sandbox.tasks) == len(keys)
        assert {task.request["title"] for task in sandbox.tasks.values()} == set(keys)
        assert any(delivery.delivered for delivery in sandbox.deliveries)


async def test_one_process_with_a_file(
    sqlite: str, tmp_path: Path, http: aiohttp.ClientSession
) -> None:
    """What goes wrong is an event, and a status: of tasks, of keys, and of requests."""
    write_example(tmp_path)
    failing = TaskScript(stages=(("GENERATE_AUDIO_FAILED", 20),))
    async with Sandbox(time_scale=0.01) as sandbox:
        sandbox.script(failing)
        process = ServiceProcess(tmp_path, {})
        process.variables = environment(sandbox, sqlite, process.url)
        client = Client(http, [process.url])
        async with serving(process), asyncio.timeout(120):
            status, told = await client.order(**asked("one"))
            assert (status, told["error"]) == (202, None)
            events = await client.follow("one")
            assert [sent.event for sent in events] == ["error"]
            ((_, shown),) = await client.show("one")
            assert shown["state"] == "failed"
            assert shown["error"] == events[-1].data
            assert (await client.order(**asked("one")))[1] == shown
            other = {**asked("one"), "title": "another"}
            assert (await client.order(**other))[0] == 409
            assert (await client.order(**{**asked("two"), "title": " "}))[0] == 422
            assert (await client.show("three"))[0][0] == 404
            await process.end(signal.SIGTERM)
        assert len(sandbox.ledger) == 1
        assert process.log == ""
