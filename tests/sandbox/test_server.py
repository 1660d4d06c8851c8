"""The sandbox as a process of its own."""

import asyncio
import re
import signal
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from suno_async.sandbox import Sandbox
from tests.waiting import HANGS_AFTER_S

from .caller import SUBMIT, song

ROOT = Path(__file__).parent.parent.parent


@asynccontextmanager
async def serving(*arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run `python -m suno_async.sandbox`; whatever happens, it ends."""
    hidden = "import sys; sys.modules['typer'] = sys.modules['rich'] = None; "
    code = hidden + "import runpy; runpy.run_module('suno_async.sandbox', run_name='__main__')"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, *arguments, cwd=ROOT, stdout=PIPE, stderr=PIPE
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_it_serves_until_it_is_told_to_stop(number: signal.Signals) -> None:
    """It needs no extra, tells its address, charges, and ends in peace."""
    async with asyncio.timeout(HANGS_AFTER_S), serving("--port", "0", "--price", "7") as process:
        assert process.stdout is not None
        first = (await process.stdout.readline()).decode()
        address = re.search(r"http://\S+", first)
        assert address is not None, await process.communicate()
        async with (
            aiohttp.ClientSession() as http,
            http.post(
                address[0] + SUBMIT,
                json=song(),
                headers={"Authorization": "Bearer sandbox-key"},
            ) as response,
        ):
            assert (await response.json())["code"] == 200
        process.send_signal(number)
        rest, errors = await process.communicate()
    assert rest == b"stopped; 1 tasks, 7 credits charged\n"
    assert (errors, process.returncode) == (b"", 0)


async def test_a_taken_port_is_said_in_a_line() -> None:
    """The exit status is 1, without a traceback."""
    async with Sandbox() as sandbox, asyncio.timeout(HANGS_AFTER_S):
        port = sandbox.base_url.rpartition(":")[2]
        async with serving("--port", port) as process:
            out, errors = await process.communicate()
    assert (out, process.returncode) == (b"", 1)
    assert f"can not listen on 127.0.0.1:{port}: ".encode() in errors
    assert errors.count(b"\n") == 1


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("--failure-rate", "7", "must be at least 0 and at most 1"),
        ("--time-scale", "nan", "must be at least 0"),
        ("--port", "99999", "must be at least 0 and at most 65535"),
        ("--credits", "many", "invalid float value: 'many'"),
    ],
)
async def test_an_option_out_of_bounds_is_wrong_usage(option: str, value: str, said: str) -> None:
    """Nothing is served; the option is named."""
    async with asyncio.timeout(HANGS_AFTER_S), serving(option, value) as process:
        out, errors = await process.communicate()
    assert (out, process.returncode) == (b"", 2)
    assert errors.decode().endswith(f"error: argument {option}: {said}\n")
