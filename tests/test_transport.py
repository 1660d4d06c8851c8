"""One call: where the key goes, how failures are told, and which connections are used."""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from suno_async import (
    ApiError,
    AuthenticationError,
    ConnectionFailed,
    ProtocolError,
    SubmissionUncertain,
    SunoError,
    SunoSession,
)
from suno_async.sandbox import Call, DropBefore, EnvelopeError, HttpError, Redirect, Sandbox

from .waiting import until
from .world import EAGER, World, raw_service, read_request, session_for, song, tcp_service

KEY = "sk-Geheim/7+x"
ONCE: dict[str, Any] = {"retry": EAGER, "timeout": 1}

CALLS: dict[str, Callable[[SunoSession], Awaitable[object]]] = {
    "submit": lambda suno: suno.submit(song()),
    "details": lambda suno: suno.details("t1"),
    "credits": lambda suno: suno.credits(),
    "upload": lambda suno: suno.upload(b"RIFF"),
}


def http_answer(body: bytes, status: str = "200 OK", *headers: str) -> bytes:
    """Write an HTTP answer by hand."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def chain(error: BaseException | None) -> Iterator[BaseException]:
    """Walk through an exception and everything behind it."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def shown(error: BaseException) -> str:
    """Write down everything that an exception and its chain show."""
    return "\n".join(f"{link!r}\n{link}\n{link.args}" for link in chain(error))


# --- Invariant 7: the key stays home --------------------------------------------------------------


async def test_invariant_7_every_call_of_the_api_carries_the_key(sandbox: Sandbox) -> None:
    """The API's own host gets the key with every call."""
    async with session_for(sandbox) as suno:
        await suno.upload(b"RIFF")
        task = await suno.submit(song())
        await suno.details(task.task_id)
        await suno.credits()
    assert [seen.authorized for seen in sandbox.requests] == [True] * 4


async def test_invariant_7_media_hosts_do_not_get_the_key(sandbox: Sandbox, tmp_path: Path) -> None:
    """Invariant 7: a download is asked for without the key, even from the API's own host."""
    async with session_for(sandbox) as suno:
        details = await (await suno.submit(song())).details()
        await suno.download(details.tracks[0], tmp_path)
    media = [seen for seen in sandbox.requests if seen.path.startswith("/cdn/")]
    assert media
    assert not any(seen.authorized for seen in media)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("name", CALLS)
async def test_invariant_7_no_redirect_is_followed(
    sandbox: Sandbox, name: str, status: int
) -> None:
    """Invariant 7: an answer that points to another host is never followed, with or without key."""
    async with Sandbox() as elsewhere:
        for call in Call:
            sandbox.inject(call, Redirect(elsewhere.base_url + "/x", status), times=None)
        async with session_for(sandbox, **ONCE) as suno:
            calling = asyncio.ensure_future(CALLS[name](suno))
            await until(lambda: sandbox.requests)
            await asyncio.wait({calling}, timeout=0.02)
            calling.cancel()
        assert sandbox.requests
        assert elsewhere.requests == []


def json_escaped(key: str) -> str:
    """Write the key as some services escape it: slashes and everything else that may be."""
    return "".join(f"\\u{ord(ch):04X}" if ch.isalpha() else ch for ch in key).replace("/", "\\/")


ECHOES = {
    "envelope": http_answer(b'{"code":401,"msg":"bad key ' + KEY.encode() + b'"}'),
    "php": http_answer(b'{"code":401,"msg":"bad ' + KEY.replace("/", "\\/").encode() + b'"}'),
    "escaped": http_answer(b'{"code":401,"msg":"bad ' + json_escaped(KEY).encode() + b'"}'),
    "page": http_answer(b"<h1>Bearer " + KEY.encode() + b"</h1>", "502 Bad"),
    "page 401": http_answer(b"<h1>Bearer " + KEY.encode() + b"</h1>", "401 No"),
    "reason": http_answer(b"", f"401 {KEY}"),
    "header": http_answer(b"", "302 Found", f"Location: http://127.0.0.1:1/{KEY}"),
    "bad header": http_answer(b"", "200 OK", f"Bad header {KEY}: x"),
    "bad header value": http_answer(b"", "200 OK", f"X: \x00{KEY}"),
    "bad status": b"HTTP/1.1 " + KEY.encode() + b" OK\r\n\r\n",
    "half": b"HTTP/1.1 200 OK\r\nX-Echo: Bearer " + KEY.encode() + b"\r\nContent-Le",
    "cut": b"HTTP/1.1 200 OK\r\nX-Echo: " + KEY.encode() + b"\r\nContent-Length: 99\r\n\r\n{",
    "half a body": b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n" + KEY.encode(),
    "retry": http_answer(b"", "429 Slow", f"Retry-After: {KEY}"),
}


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("echo", ECHOES)
async def test_invariant_7_an_echoed_key_is_shown_nowhere(
    echo: str, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Invariant 7: neither exceptions, nor what they are chained to, nor logs show the key."""
    caplog.set_level(logging.DEBUG)
    async with raw_service(ECHOES[echo]) as service:
        async with SunoSession(KEY, base_url=service.base_url, **ONCE) as suno:
            calling = asyncio.ensure_future(CALLS[name](suno))
            await until(lambda: service.requests)
            await asyncio.wait({calling}, timeout=0.05)
        (error,) = await asyncio.gather(calling, return_exceptions=True)
    assert isinstance(error, SunoError)
    assert KEY not in shown(error)
    assert KEY not in caplog.text


async def test_what_the_service_says_of_a_task_is_not_rewritten() -> None:
    """Bodies come as they are: also an answer that echoes the key in some field."""
    data = {"taskId": "t1", "status": "PENDING", "param": {"auth": KEY}}
    body = json.dumps({"code": 200, "data": data}).replace("/", "\\/").encode()
    async with (
        raw_service(http_answer(body)) as service,
        SunoSession(KEY, base_url=service.base_url) as suno,
    ):
        details = await suno.details("t1")
    assert details.raw["param"] == {"auth": KEY}
    assert KEY not in repr(details)


async def test_invariant_7_no_repr_shows_the_key(sandbox: Sandbox) -> None:
    """Invariant 7: neither the session nor what it gives out shows the key."""
    async with session_for(sandbox) as suno:
        task = await suno.submit(song())
        shown_reprs = f"{suno!r} {suno} {task!r} {task} {await task.details()!r}"
    assert sandbox.api_key not in shown_reprs


async def test_invariant_7_logs_of_a_busy_session_do_not_show_the_key(
    sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    """Invariant 7: even at DEBUG no logger of the library, of aiohttp or asyncio has the key."""
    caplog.set_level(logging.DEBUG)
    sandbox.inject(Call.SUBMIT, EnvelopeError(429))
    async with session_for(sandbox, retry=EAGER) as suno:
        await suno.submit(song())
        sandbox.inject(Call.SUBMIT, DropBefore())
        with pytest.raises(SubmissionUncertain):
            await suno.submit(song())
    assert caplog.records
    assert sandbox.api_key not in caplog.text


# --- failures -------------------------------------------------------------------------------------


async def test_a_failure_of_the_network_is_told_with_its_cause(sandbox: Sandbox) -> None:
    """The exception of aiohttp is behind ours when it shows nothing secret."""
    await sandbox.stop()
    async with session_for(sandbox, **ONCE) as suno:
        with pytest.raises(ConnectionFailed) as raised:
            await suno.credits()
    assert isinstance(raised.value.__cause__, aiohttp.ClientConnectorError)
    assert "no connection to the service" in str(raised.value)


async def test_a_wrong_key_is_told_at_once(sandbox: Sandbox) -> None:
    """401 is not tried again."""
    async with session_for(sandbox, api_key="wrong", **ONCE) as suno:
        with pytest.raises(AuthenticationError):
            await suno.credits()
    assert len(sandbox.requests) == 1


@pytest.mark.parametrize(
    "fault",
    [DropBefore(), DropBefore(reset=True), HttpError(502), EnvelopeError(500), EnvelopeError(429)],
    ids=str,
)
async def test_what_costs_nothing_is_tried_again(
    sandbox: Sandbox, fault: DropBefore | HttpError | EnvelopeError
) -> None:
    """A question for the balance survives passing failures."""
    sandbox.inject(Call.CREDITS, fault, times=2)
    async with session_for(sandbox, **ONCE) as suno:
        assert await suno.credits() == sandbox.credits


async def test_what_goes_on_failing_is_told_in_the_end(sandbox: Sandbox) -> None:
    """After `attempts` tries the last failure is raised."""
    sandbox.inject(Call.CREDITS, HttpError(503), times=None)
    async with session_for(sandbox, **ONCE) as suno:
        with pytest.raises(ProtocolError) as raised:
            await suno.credits()
    assert len(sandbox.requests) == EAGER.attempts
    assert raised.value.http_status == 503


@pytest.mark.parametrize(
    "fault",
    [HttpError(503, headers={"Retry-After": "40"}), EnvelopeError(455, retry_after="40")],
    ids=str,
)
async def test_invariant_5_calls_that_cost_nothing_obey_retry_after(
    world: World, fault: HttpError | EnvelopeError
) -> None:
    """Invariant 5: the second try comes after the time that was asked for."""
    world.sandbox.inject(Call.CREDITS, fault)
    async with world.session() as suno:
        await world.run(suno.credits())
    first, second = world.sandbox.requests
    assert 40 <= second.at - first.at <= 72


async def test_a_base_url_may_have_a_path(sandbox: Sandbox) -> None:
    """Every call goes below the base URL, and a slash at its end does not double."""
    async with session_for(sandbox, base_url=f"{sandbox.base_url}/proxy/", **ONCE) as suno:
        with pytest.raises(ApiError):
            await suno.credits()
    assert sandbox.requests[0].path == "/proxy/api/v1/chat/credit"


async def test_invariant_8_leaving_leaves_no_connection_behind() -> None:
    """Invariant 8: leaving the session ends the connections that were kept alive."""
    answer = http_answer(b'{"code":200,"data":5}').replace(b"close", b"keep-alive")

    async def keep_alive(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await read_request(reader)
            writer.write(answer)

    async with tcp_service(keep_alive) as service:
        async with SunoSession("key", base_url=service.base_url) as suno:
            await asyncio.gather(*(suno.credits() for _ in range(3)))
            assert await suno.credits() == 5
            assert (service.opened, service.ended) == (3, 0)
        await until(lambda: service.ended == 3)


async def test_a_slow_host_does_not_hold_a_call_for_ever() -> None:
    """A host that trickles its answer is given up on after the session's time-out."""

    async def trickle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        while True:
            writer.write(b" ")
            await writer.drain()
            await asyncio.sleep(0.01)

    timeout = timedelta(seconds=0.1)
    async with (
        tcp_service(trickle) as service,
        SunoSession("key", base_url=service.base_url, timeout=timeout) as suno,
    ):
        with pytest.raises(SubmissionUncertain):
            await suno.submit(song())
