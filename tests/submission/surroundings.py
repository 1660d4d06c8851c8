"""In whose hands a submission may be: our own session, or a caller's with settings of its own."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from suno_async import CallbackReceiver, SunoSession
from suno_async.sandbox import Sandbox
from tests.callbacks.hosting import free_port
from tests.world import EAGER, session_for

Make = Callable[[], aiohttp.ClientSession]


@asynccontextmanager
async def client(make: Make | None) -> AsyncIterator[aiohttp.ClientSession | None]:
    """Open a caller's client session; None stands for the library's own."""
    if make is None:
        yield None
        return
    async with make() as session:
        yield session


@asynccontextmanager
async def receiving() -> AsyncIterator[CallbackReceiver]:
    """Have a receiver that serves by itself."""
    port = free_port()
    receiver = CallbackReceiver(f"http://127.0.0.1:{port}/suno")
    async with receiver.serve("127.0.0.1", port):
        yield receiver


def session(sandbox: Sandbox, **settings: Any) -> SunoSession:
    """Make a session (still to be entered) that repeats at once, with no window in the way."""
    usual: dict[str, Any] = {
        "retry": EAGER,
        "submissions_per_window": (1000, 0.001),
        "max_concurrent_submissions": 50,
    }
    return session_for(sandbox, **{**usual, **settings})


async def _refuse_failures(response: aiohttp.ClientResponse) -> None:
    response.raise_for_status()


def _cookies() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        cookies={"session": "s3cret"}, cookie_jar=aiohttp.CookieJar(unsafe=True)
    )


def _headers() -> aiohttp.ClientSession:
    mine = {
        "Authorization": "Bearer somebody-elses",
        "Accept-Encoding": "gzip, deflate",
        "Content-Type": "text/plain",
        "User-Agent": "mine/1.0",
        "X-Mine": "yes",
    }
    return aiohttp.ClientSession(headers=mine)


def _watching() -> aiohttp.ClientSession:
    """Make one with a trace hook at every signal, and a middleware, that change nothing."""

    async def see(*_: object) -> None:
        await asyncio.sleep(0)

    async def pass_on(
        request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        return await handler(request)

    trace = aiohttp.TraceConfig()
    for signal in SIGNALS:
        getattr(trace, signal).append(see)
    return aiohttp.ClientSession(trace_configs=[trace], middlewares=[pass_on])


SIGNALS = sorted(name for name in dir(aiohttp.TraceConfig) if name.startswith("on_"))

# settings that change no verdict
HARMLESS: dict[str, Make | None] = {
    "own": None,
    "plain": aiohttp.ClientSession,
    "raise_for_status": lambda: aiohttp.ClientSession(raise_for_status=True),
    "raise_for_status, a function": lambda: aiohttp.ClientSession(
        raise_for_status=_refuse_failures
    ),
    "auto_decompress=False": lambda: aiohttp.ClientSession(auto_decompress=False),
    "cookies": _cookies,
    "default headers": _headers,
    "hooks and middlewares that watch": _watching,
    "connections of its own": lambda: aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(force_close=True, limit=1)
    ),
    "short time-outs": lambda: aiohttp.ClientSession(
        timeout=aiohttp.ClientTimeout(total=0.001, sock_read=0.001)
    ),
    "a small buffer": lambda: aiohttp.ClientSession(
        read_bufsize=16, max_line_size=64, max_field_size=64
    ),
    "base_url": lambda: aiohttp.ClientSession(base_url="http://elsewhere.test/api/"),
    "HTTP/1.0": lambda: aiohttp.ClientSession(version=aiohttp.HttpVersion10),
}


@pytest.fixture
def netrc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the machine have a password for the sandbox's host."""
    path = tmp_path / "netrc"
    path.write_text("machine 127.0.0.1 login me password s3cret\n")
    monkeypatch.setenv("NETRC", str(path))
