"""Two processes of one web service under load: each request's trace has its own submission."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from suno_async.sandbox import Sandbox
from tests.callbacks.hosting import free_port
from tests.waiting import until

ROOT = Path(__file__).parents[2]
REQUESTS = 200
AT_A_TIME = 50


@asynccontextmanager
async def two_workers(sandbox: Sandbox, spans: Path) -> AsyncIterator[str]:
    """Serve with two worker processes; give the URL."""
    port = free_port()
    own = {
        "APIKLEY_API_KEY": sandbox.api_key,
        "APIKLEY_BASE_URL": sandbox.base_url,
        "SPANS": str(spans),
    }
    options = ("--workers", "2", "--port", str(port), "--log-level", "warning")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "uvicorn", "tests.telemetry.two_workers:app", *options),
        cwd=ROOT,
        env={**os.environ, **own},
    )
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        await process.wait()


async def answers(url: str) -> bool:
    """Tell whether the service takes requests."""
    try:
        async with aiohttp.ClientSession() as client, client.get(f"{url}/openapi.json") as answer:
            return answer.status == 200
    except aiohttp.ClientError:
        return False


def spans_in(folder: Path) -> list[dict[str, Any]]:
    """Read the spans of all processes."""
    files = sorted(folder.glob("*.jsonl"))
    return [json.loads(line) for path in files for line in path.read_text().splitlines()]


async def test_traces_belong_to_their_requests_in_two_workers(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    """200 requests, 50 at a time: each submission is in its request's trace, each watch linked."""
    slots = asyncio.Semaphore(AT_A_TIME)

    async def ask(client: aiohttp.ClientSession, url: str, title: str) -> dict[str, Any]:
        async with slots, client.post(f"{url}/songs/{title}") as answer:
            assert answer.status == 200, await answer.text()
            told: dict[str, Any] = await answer.json()
            return told

    async with two_workers(sandbox, tmp_path) as url:
        async with asyncio.timeout(60):
            while not await answers(url):  # noqa: ASYNC110 - another process begins to listen
                await asyncio.sleep(0.1)
        # a connection for each request: both processes take from one listening socket
        connector = aiohttp.TCPConnector(force_close=True, limit=0)
        async with aiohttp.ClientSession(connector=connector) as client:
            titles = [f"song-{number}" for number in range(REQUESTS)]
            told = await asyncio.gather(*(ask(client, url, title) for title in titles))
        await until(lambda: len(spans_in(tmp_path)) >= 3 * REQUESTS)
    assert len({one["worker"] for one in told}) == 2
    assert len(sandbox.ledger) == REQUESTS
    spans = spans_in(tmp_path)
    by_task: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for span in spans:
        if span["task_id"] is not None:
            by_task.setdefault((span["name"], span["task_id"]), []).append(span)
    requests = {span["name"]: span for span in spans if span["name"].startswith("POST ")}
    for title, one in zip(titles, told, strict=True):
        task_id = one["task_id"]
        request = requests[f"POST /songs/{title}"]
        (submit,) = by_task["submit add-instrumental", task_id]
        (watch,) = by_task["watch add-instrumental", task_id]
        assert (submit["parent"], submit["trace"]) == (request["id"], request["trace"])
        assert watch["links"] == [submit["id"]]
        assert watch["events"] == 3
        assert sandbox.tasks[task_id].request["title"] == title
