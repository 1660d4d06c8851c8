"""Calls over a session's own connections: read as a caller's client session would read them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import aiohttp
import pytest

from suno_async import (
    AuthenticationError,
    ConnectionFailed,
    ProtocolError,
    RateLimited,
    RetryPolicy,
    SunoSession,
)

from .waiting import until
from .world import EAGER, raw_service, read_request, tcp_service

ONCE = RetryPolicy(attempts=1)
GOOD = b'{"code":200,"data":5}'
HEAD = b"HTTP/1.1 200 OK\r\n"
WHOLE = HEAD + b"Content-Length: 21\r\n\r\n" + GOOD

ROUTES = pytest.mark.parametrize("route", ["direct", "of the caller", "unknown aiohttp"])


@asynccontextmanager
async def session_at(
    base_url: str, route: str, monkeypatch: pytest.MonkeyPatch, **settings: Any
) -> AsyncIterator[SunoSession]:
    """Open a session whose calls go one way or another."""
    settings = {"retry": ONCE, "timeout": 5, **settings}
    if route == "of the caller":
        settings["client_session"] = aiohttp.ClientSession()
    if route == "unknown aiohttp":
        monkeypatch.setattr(aiohttp, "__version__", "3.99.0b1")
    try:
        async with SunoSession("key-to-hide", base_url=base_url, **settings) as suno:
            yield suno
    finally:
        if route == "of the caller":
            await settings["client_session"].close()


READABLE = {
    "announced length": WHOLE,
    "chunks": HEAD + b"Transfer-Encoding: chunked\r\n\r\n15\r\n" + GOOD + b"\r\n0\r\n\r\n",
    "until the end": HEAD + b"\r\n" + GOOD,
    "HTTP/1.0": b"HTTP/1.0 200 OK\r\n\r\n" + GOOD,
    "interim answers": b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nX: y\r\n\r\n" + WHOLE,
    "a long header": HEAD + b"X: " + b"x" * 100_000 + b"\r\n" + WHOLE[len(HEAD) :],
    "a long body": HEAD + b"Content-Length: 2000000\r\n\r\n" + GOOD.ljust(2_000_000),
}


@ROUTES
@pytest.mark.parametrize("answer", READABLE.values(), ids=READABLE)
async def test_every_frame_of_http_is_read(
    route: str, answer: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A body is read whole, whichever way its end is told."""
    async with (
        raw_service(answer) as service,
        session_at(service.base_url, route, monkeypatch) as suno,
    ):
        assert await suno.credits() == 5


BROKEN: dict[str, tuple[bytes, type[Exception]]] = {
    "nothing": (b"", ConnectionFailed),
    "half a head": (HEAD + b"Content-Le", ConnectionFailed),
    "half a body": (WHOLE[:-1], ConnectionFailed),
    "half of the chunks": (HEAD + b"Transfer-Encoding: chunked\r\n\r\n15\r\n{", ConnectionFailed),
    "no HTTP": (b"SSH-2.0-OpenSSH_9.6\r\n\r\n", ConnectionFailed),
    "two lengths": (HEAD + b"Content-Length: 1\r\nContent-Length: 21\r\n\r\n", ConnectionFailed),
    "a header without end": (HEAD + b"X: " + b"x" * 600_000, ConnectionFailed),
    "too much, announced": (HEAD + b"Content-Length: 9000000\r\n\r\n{", ProtocolError),
    "too much": (HEAD + b"\r\n" + b" " * 9_000_000, ProtocolError),
    "no body": (b"HTTP/1.1 204 No Content\r\n\r\n", ProtocolError),
    "another protocol": (
        b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n",
        ProtocolError,
    ),
    "a refusal": (
        b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 21\r\n\r\n" + GOOD.replace(b"200", b"401"),
        AuthenticationError,
    ),
}


@ROUTES
@pytest.mark.parametrize(("answer", "error"), BROKEN.values(), ids=BROKEN)
async def test_what_is_no_whole_answer_is_an_error(
    route: str, answer: bytes, error: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Frames that break off, or hold too much, are told as what they are."""
    async with (
        raw_service(answer) as service,
        session_at(service.base_url, route, monkeypatch) as suno,
    ):
        with pytest.raises(error):
            await suno.credits()
        # aiohttp's own sessions repeat what breaks off, a caller's among them
        assert service.requests == 1 or route == "of the caller"


@ROUTES
async def test_retry_after_is_read(route: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Headers of an answer are read whatever their case."""
    body = GOOD.replace(b"200", b"429")
    answer = b"HTTP/1.1 429 Too Many\r\nretry-after: 700\r\nContent-Length: 21\r\n\r\n" + body
    async with (
        raw_service(answer) as service,
        session_at(service.base_url, route, monkeypatch) as suno,
    ):
        with pytest.raises(RateLimited) as told:
            await suno.credits()
    assert told.value.retry_after == timedelta(seconds=700)


SLOW = {
    "no answer": b"",
    "half a head": HEAD,
    "half a body": HEAD + b"Content-Length: 21\r\n\r\n{",
    "a body until the end": HEAD + b"\r\n" + GOOD,
}


@ROUTES
@pytest.mark.parametrize("begun", SLOW.values(), ids=SLOW)
async def test_what_takes_too_long_is_given_up(
    route: str, begun: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The time of a call is limited as a whole, and what came until then is no answer."""
    served: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(begun)
        served.append(await reader.read())  # until the client hangs up

    async with (
        tcp_service(serve) as service,
        session_at(service.base_url, route, monkeypatch, timeout=0.2) as suno,
    ):
        with pytest.raises(ConnectionFailed, match="timed out"):
            await suno.credits()
        await until(lambda: served)
    assert served == [b""]


async def test_time_outs_are_each_calls_own() -> None:
    """One call that hangs takes nothing from the others, before it and after it."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        service.requests += 1
        hangs = service.requests == 1
        while True:
            await read_request(reader)
            if not hangs:
                writer.write(WHOLE)

    async with (
        tcp_service(serve) as service,
        SunoSession("key", base_url=service.base_url, retry=ONCE, timeout=0.5) as suno,
    ):
        hanging = asyncio.create_task(suno.credits())
        await until(lambda: service.requests)
        while not hanging.done():
            assert await suno.credits() == 5
            await asyncio.sleep(0.01)
        with pytest.raises(ConnectionFailed, match="timed out"):
            await hanging
        assert await suno.credits() == 5


async def test_a_connection_is_used_again_unless_it_was_ended() -> None:
    """Calls follow each other on one connection; one that the host ended is replaced."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(3):
            await read_request(reader)
            writer.write(WHOLE)

    async with (
        tcp_service(serve) as service,
        SunoSession("key", base_url=service.base_url, retry=EAGER, timeout=5) as suno,
    ):
        assert [await suno.credits() for _ in range(7)] == [5] * 7
        assert service.opened == 3


async def test_a_cancelled_call_leaves_no_connection_to_be_used_again() -> None:
    """The answer to a call that nobody waits for is never taken for the next one's."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        service.requests += 1
        if service.requests == 1:
            await reader.read()
        writer.write(WHOLE)

    async with (
        tcp_service(serve) as service,
        SunoSession("key", base_url=service.base_url, retry=ONCE, timeout=5) as suno,
    ):
        cancelled = asyncio.create_task(suno.credits())
        await until(lambda: service.requests)
        cancelled.cancel()
        with pytest.raises(asyncio.CancelledError):
            await cancelled
        assert await suno.credits() == 5
        assert service.opened == 2
