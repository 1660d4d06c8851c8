"""Every block of Python in the README is run as it stands there, beside a sandbox.

A block may wait at its top level. What it takes for granted (a database, an application, a name
from an earlier block) is put in place by the surroundings below, which are looked up by words of
the block: a new block needs none if it stands by itself.
"""

# ruff: noqa: ASYNC240 - the files are small, and nothing runs beside

import ast
import asyncio
import os
import re
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta
from functools import partial
from inspect import CO_COROUTINE
from pathlib import Path
from typing import Any, TypeAlias

import aiohttp
import pytest
import trustme
from aiohttp import web
from fastapi import FastAPI
from prometheus_client import REGISTRY

import suno_async
from suno_async import CallbackReceiver, FixedInterval, durable, observe
from suno_async.durable import DurableSuno
from suno_async.sandbox import Sandbox, sing
from tests.callbacks.hosting import listener, uvicorn_server
from tests.durable.using import working
from tests.values.examples import AT, NOTICE, REQUEST
from tests.world import song

pytest_plugins = ["pytester"]

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"(?ms)^```python\n(.*?)^```", README)
# files of a user's project: the first line is the name
FILES = {found[1]: block for block in BLOCKS if (found := re.match(r"# (\w+\.py)\n", block))}
ALONE = [block for block in BLOCKS if block not in FILES.values()]
Names: TypeAlias = dict[str, Any]

# what this machine has in place of what a reader has
_LOCAL = {
    '"0.0.0.0", 8080': '"127.0.0.1", 0',
    '"local_addr": ("10.0.0.7", 0)': '"local_addr": ("127.0.0.1", 0)',
    "/etc/ssl/company-ca.pem": "company-ca.pem",
    "/run/secrets/apikley": "apikley",
}


async def run(block: str, names: Names) -> None:
    """Run a block, waiting where it waits."""
    addresses = {name: here for name, here in names.items() if name.startswith("https://")}
    for there, here in {**_LOCAL, **addresses}.items():
        block = block.replace(there, here)
    code = compile(block, "README.md", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    if "asyncio.run(" in block:  # it makes a loop of its own
        await asyncio.to_thread(exec, code, names)
    elif code.co_flags & CO_COROUTINE:
        await eval(code, names)  # noqa: S307 - our own README
    else:
        exec(code, names)  # noqa: S102 - our own README


# --- what blocks take for granted, and what is looked at afterwards -------------------------------


class _Database:
    """A database of a service, which keeps what it is told."""

    def __init__(self) -> None:
        self.kept: list[tuple[object, ...]] = []

    async def execute(self, query: str, *values: object) -> None:
        assert query.count("$") == len(values)
        self.kept.append(values)


class _Redis:
    """A message bus, which keeps what is published."""

    def __init__(self) -> None:
        self.published: list[tuple[str, str]] = []

    async def publish(self, channel: str, message: str) -> None:
        self.published.append((channel, message))


class _AnyApplication:
    """Stands for one of FastAPI and for one of aiohttp."""

    def __init__(self) -> None:
        self.mount = FastAPI().mount
        self.add_routes = web.Application().add_routes


@asynccontextmanager
async def alone(_: Sandbox) -> AsyncIterator[Names]:
    """Give a block nothing."""
    yield {}


@asynccontextmanager
async def for_the_main_job(sandbox: Sandbox) -> AsyncIterator[Names]:
    """Give it a stem; its session looks as often as the sandbox's own, not as a service's."""
    Path("vocals.wav").write_bytes(sing(2))
    fast = partial(suno_async.SunoSession, cadence=FixedInterval(0.01))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(suno_async, "SunoSession", fast)
        yield {}
    assert len(sandbox.ledger) == 4
    assert len(list(Path("music").glob("Relaxing Piano *"))) == 2


@asynccontextmanager
async def for_observers(_: Sandbox) -> AsyncIterator[Names]:
    """Give it a database."""
    database = _Database()
    names: Names = {**vars(suno_async), "database": database}
    names |= {name: getattr(suno_async, name) for name in suno_async.__all__}
    yield names
    await names["store"]("t1", REQUEST, AT)
    assert database.kept == [("t1", suno_async.to_json(REQUEST), AT)]


@asynccontextmanager
async def for_recipes(_: Sandbox) -> AsyncIterator[Names]:
    """Give it an observation afterwards, and take its metrics away."""
    names: Names = {}
    yield names
    try:
        names["to_structlog"](observe.Accepted("t1", REQUEST, AT))
        names["to_prometheus"](observe.Accepted("t1", REQUEST, AT))
        assert REGISTRY.get_sample_value("suno_submissions_total", {"verdict": "accepted"}) == 1
    finally:
        for collector in ("submissions", "delays"):
            REGISTRY.unregister(names[collector])


@asynccontextmanager
async def for_receivers(_: Sandbox) -> AsyncIterator[Names]:
    """Give it applications."""
    names: Names = {"app": _AnyApplication()}
    yield names | {name: getattr(suno_async, name) for name in suno_async.__all__}


@asynccontextmanager
async def for_several_processes(_: Sandbox) -> AsyncIterator[Names]:
    """Give it a message bus, and a message of another process."""
    redis = _Redis()
    names: Names = {name: getattr(suno_async, name) for name in suno_async.__all__}
    names |= {"redis": redis, "url": "https://h/suno", "SECRET": "a secret of all processes"}
    names |= {"message": suno_async.to_json(NOTICE)}
    yield names
    await names["hand_over"](NOTICE)
    assert redis.published == [("suno", suno_async.to_json(NOTICE))]


@asynccontextmanager
async def for_fastapi(sandbox: Sandbox) -> AsyncIterator[Names]:
    """Serve it afterwards, and order a song of it as a browser does."""
    names: Names = {"__name__": "service"}
    with listener() as opened:
        url = f"http://127.0.0.1:{opened.getsockname()[1]}"
        names["https://my.service"] = url
        yield names
        async with uvicorn_server(names["app"], opened), aiohttp.ClientSession(url) as client:
            async with client.post("/tracks", json=suno_async.to_dict(song())) as answer:
                task_id = await answer.json()
            async with client.get(f"/tracks/{task_id}/events") as answer:
                told = await answer.text()
            async with client.get(f"/tracks/{task_id}") as answer:
                details = suno_async.from_json(await answer.text(), suno_async.TaskDetails)
            async with client.post("/tracks", json={}) as answer:
                assert answer.status == 422
    assert re.findall(r"(?m)^event: (\w+)", told) == ["text", "first", "complete"]
    assert details.stage is suno_async.Stage.COMPLETE
    assert [charge.task_id for charge in sandbox.ledger] == [task_id]


@asynccontextmanager
async def for_the_service(sandbox: Sandbox) -> AsyncIterator[Names]:
    """Give it its variables; `tests/durable/test_service.py` runs it in two processes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PUBLIC_URL", "https://h/suno")
        patch.setenv("CALLBACK_SECRET", "a secret that all processes have")
        patch.setenv("APIKLEY_URL", sandbox.base_url)
        patch.setenv("DATABASE_URL", "sqlite:///suno.db")
        yield {"__name__": "service"}


@asynccontextmanager
async def for_workers(_: Sandbox) -> AsyncIterator[Names]:
    """Give it a database and a receiver; then it works until it is stopped."""
    names: Names = {"asyncio": asyncio, "DATABASE_URL": "sqlite:///suno.db"}
    names |= {"DurableSuno": DurableSuno, "SunoSession": suno_async.SunoSession}
    names["receiver"] = CallbackReceiver("https://h/suno", secret="a secret of all processes")
    yield names
    working_on = asyncio.create_task(names["work"]())
    reader = DurableSuno(names["DATABASE_URL"], receiver=names["receiver"])
    async with asyncio.timeout(20), reader:
        while (await reader.stats()).workers == 0:  # noqa: ASYNC110 - it is another process's state
            await asyncio.sleep(0.02)
    working_on.cancel()
    with pytest.raises(asyncio.CancelledError):
        await working_on


@asynccontextmanager
async def for_jobs(sandbox: Sandbox) -> AsyncIterator[Names]:
    """Give it a worker, a stem, and requests."""
    Path("vocals.wav").write_bytes(sing(2))
    names: Names = {name: getattr(durable, name) for name in durable.__all__}
    async with working("sqlite:///suno.db", sandbox) as worker:
        requests = [song(title=f"Song {n}") for n in range(2, 10)]
        yield names | {
            "durable": worker,
            "request": song(),
            "requests": requests,
            "task_id": "t1",
            "timedelta": timedelta,
        }
    assert len(sandbox.ledger) == 9
    assert len(list(Path("music").iterdir())) >= 2


@asynccontextmanager
async def for_networks(_: Sandbox) -> AsyncIterator[Names]:
    """Give it a CA and a key in files."""
    trustme.CA().cert_pem.write_to_path("company-ca.pem")
    Path("apikley").write_text("a key")
    names: Names = {"SunoSession": suno_async.SunoSession}
    yield names
    assert not names["suno"].is_open


Surroundings: TypeAlias = Callable[[Sandbox], AbstractAsyncContextManager[Names]]
SURROUNDINGS: dict[str, Surroundings] = {
    "asyncio.run(main())": for_the_main_job,
    "on_submitted=store": for_observers,
    "def to_prometheus": for_recipes,
    "receiver.serve(": for_receivers,
    "def hand_over": for_several_processes,
    "await suno.submit(body)": for_fastapi,
    "durable = DurableSuno(os.environ": for_the_service,
    "def work()": for_workers,
    "durable.submit_many(": for_jobs,
    "company-ca.pem": for_networks,
}


def _surroundings(block: str) -> Surroundings:
    return next((made for words, made in SURROUNDINGS.items() if words in block), alone)


@pytest.mark.parametrize("block", ALONE, ids=lambda block: block.strip().splitlines()[0][:40])
async def test_a_block_of_the_readme_runs(
    block: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beside a sandbox to which the environment leads, in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    async with Sandbox(time_scale=0, submissions_per_window=None) as sandbox:
        monkeypatch.setenv("APIKLEY_API_KEY", sandbox.api_key)
        monkeypatch.setenv("APIKLEY_BASE_URL", sandbox.base_url)
        async with _surroundings(block)(sandbox) as names:
            await run(block, names)


@pytest.mark.parametrize("words", SURROUNDINGS)
def test_no_surroundings_are_left_over(words: str) -> None:
    """What is put in place is for one block that is there."""
    assert sum(words in block for block in ALONE) == 1


def test_the_recipe_for_tests_passes(pytester: pytest.Pytester) -> None:
    """The service and the tests that the README has are files that pass."""
    for name, text in FILES.items():
        pytester.makepyfile(**{name.removesuffix(".py"): text})
    plugins = ("-p", "pytest_asyncio.plugin", "-p", "suno_async.pytest_plugin")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
        patch.setenv("PYTHONPATH", os.pathsep.join((str(ROOT), str(pytester.path))))
        options = ("-o", "asyncio_default_fixture_loop_scope=function", "--asyncio-mode=auto")
        pytester.runpytest_subprocess(*plugins, *options).assert_outcomes(passed=3)
