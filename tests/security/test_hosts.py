"""Who is talked to: the hosts that were named, over TLS that is verified, and nobody else."""

import asyncio
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import trustme
from aiohttp import web

from suno_async import ConnectionFailed, InvalidRequest, RetryPolicy, SunoError, SunoSession
from suno_async.sandbox import Call, Redirect, Reply, Sandbox
from tests.media.hosts import BODY, everything_in, media_for, media_host, track_at
from tests.network.hosts import QUICK, Authority, tls_front
from tests.network.test_tls import CALLS
from tests.network.test_tls import Call as MakesCall
from tests.waiting import until
from tests.world import session_for, song, tcp_service

ONCE: dict[str, Any] = {**QUICK, "retry": RetryPolicy(attempts=1)}


# --- who answers ----------------------------------------------------------------------------------


def expired(authority: Authority) -> ssl.SSLContext:
    """A certificate that was good until yesterday, of a CA that is trusted."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    yesterday = datetime.now(UTC) - timedelta(days=1)
    names = "localhost", "127.0.0.1"
    leaf = authority.ca.issue_cert(
        *names, not_before=yesterday - timedelta(days=9), not_after=yesterday
    )
    leaf.configure_cert(context)
    return context


def early(authority: Authority) -> ssl.SSLContext:
    """A certificate that will be good tomorrow."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    names = "localhost", "127.0.0.1"
    leaf = authority.ca.issue_cert(
        *names, not_before=tomorrow, not_after=tomorrow + timedelta(days=9)
    )
    leaf.configure_cert(context)
    return context


def self_signed(_: Authority) -> ssl.SSLContext:
    """A certificate that nobody else has signed: that of a CA, which anybody can make."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    own = trustme.CA()
    with own.cert_pem.tempfile() as cert, own.private_key_pem.tempfile() as key:
        context.load_cert_chain(cert, key)
    return context


WRONG = {"expired": expired, "not yet good": early, "self-signed": self_signed}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
async def test_a_certificate_that_is_not_good_is_refused(
    wrong: Any, call: MakesCall, sandbox: Sandbox, tmp_path: Path
) -> None:
    """For the API, for uploads and for downloads: nothing is sent."""
    authority = Authority()
    async with (
        tls_front(sandbox.base_url, wrong(authority)) as front,
        session_for(
            sandbox, base_url=front.base_url, ssl=authority.client_context(), **ONCE
        ) as suno,
    ):
        with pytest.raises(ConnectionFailed, match=r"(?i)certificate.verify.failed") as caught:
            await call(suno, front.base_url, tmp_path)
    assert not caught.value.request_sent
    assert not sandbox.requests
    assert everything_in(tmp_path) == []


# --- who gets the key -----------------------------------------------------------------------------

LURES = [
    "https://api.apikley.ru@evil.test",
    "https://evil.test\\@api.apikley.ru",
    "https://api.apikley.ru\r\nHost: evil.test",
    "https://evil.test?https://api.apikley.ru",
    "https://evil.test#@api.apikley.ru",
    "//evil.test",
    "ftp://api.apikley.ru",
    "file:///etc/passwd",
    "https://",
    "https://a b",
    "https://api.apikley.ru\u2044@x",
]


@pytest.mark.parametrize("url", LURES)
def test_an_address_means_one_host(url: str) -> None:
    """What could be read as another host is refused."""
    with pytest.raises(InvalidRequest):
        SunoSession("a-key", base_url=url)
    with pytest.raises(InvalidRequest):
        SunoSession("a-key", upload_base_url=url)


@pytest.mark.parametrize("status", [302, 307, 308])
@pytest.mark.parametrize("call", list(CALLS)[:4])
async def test_no_redirect_leaves_https_or_the_port(
    call: str, status: int, sandbox: Sandbox, tmp_path: Path
) -> None:
    """The same name at another port, or without TLS, is somebody else: nothing goes there."""
    authority = Authority()
    async with (
        Sandbox() as elsewhere,
        tls_front(sandbox.base_url, authority.server_context()) as front,
        session_for(
            sandbox, base_url=front.base_url, ssl=authority.client_context(), **ONCE
        ) as suno,
    ):
        for where in Call:
            sandbox.inject(where, Redirect(f"{elsewhere.base_url}/x", status), times=None)
        calling = asyncio.ensure_future(CALLS[call](suno, front.base_url, tmp_path))
        await until(lambda: sandbox.requests)
        await asyncio.wait({calling}, timeout=0.02)
        calling.cancel()
        await asyncio.wait({calling})
    assert elsewhere.requests == []


async def test_what_the_service_names_does_not_get_the_key(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    """Its URLs of audio, covers and uploads may be at the API's own host, with a user even."""
    heads: list[dict[str, str]] = []

    async def serve(request: web.Request) -> web.StreamResponse:
        heads.append(dict(request.headers))
        return web.Response(body=BODY)

    async with media_host(serve) as url, session_for(sandbox, **QUICK) as suno:
        sandbox.inject(
            Call.UPLOAD, Reply(200, {"code": 200, "data": {"downloadUrl": f"{url}/upload"}})
        )
        assert await suno.upload(b"RIFF") == f"{url}/upload"
        await suno.submit(song(upload_url=f"{url}/upload"))
        lures = (url, f"{url}?key=1", url.replace("http://", "http://user:word@"))
        for number, lure in enumerate(lures):
            track = track_at(lure, id=str(number), image_url=lure, source_audio_url=lure)
            await suno.download(track, tmp_path)
    ours = [head for head in heads if head["User-Agent"] == "suno-async"]
    assert len(ours) == 3
    for head in ours:
        assert sandbox.api_key not in str(head)
        assert "Bearer" not in str(head)


HOSTILE_IDS = [
    "t1 HTTP/1.1\r\nHost: evil.test\r\n\r\n",
    "../../../v1/other",
    "t1&taskId=t2",
    "t1#x",
    "//evil.test/x",
    "@evil.test",
    "%2e%2e%2f",
    "\x00",
    "é\u2028",
    "t" * 5000,
]


@pytest.mark.parametrize("task_id", HOSTILE_IDS, ids=lambda task_id: ascii(task_id[:20]))
async def test_a_task_id_is_no_part_of_the_request(task_id: str, sandbox: Sandbox) -> None:
    """Whatever it is, one request is made, to this path, about this id."""
    heads: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        heads.append(await reader.read(1))
        writer.close()

    async with (
        tcp_service(serve) as service,
        SunoSession("a-key", base_url=service.base_url, timeout=0.2, **ONCE) as suno,
    ):
        with pytest.raises(ConnectionFailed):
            await suno.details(task_id)
    head, behind = heads
    line = head.split(b"\r\n", 1)[0].decode()
    assert line.startswith("GET /api/v1/generate/record-info?taskId=")
    assert line.count(" ") == 2
    assert line.endswith(" HTTP/1.1")
    assert "&" not in line
    assert "#" not in line
    assert (head.lower().count(b"host:"), behind) == (1, b"")
    async with session_for(sandbox, **QUICK) as suno:
        sandbox.inject(Call.DETAILS, Reply(200, {"code": 200, "data": {"status": "PENDING"}}))
        assert (await suno.details(task_id)).task_id == task_id


# --- where media come from ------------------------------------------------------------------------

SCHEMES = [
    "file:///etc/passwd",
    "FILE:/etc/passwd",
    "ftp://127.0.0.1/a.mp3",
    "gopher://127.0.0.1:25/_HELO",
    "data:audio/mpeg;base64,SUQz",
    "javascript:alert(1)",
    "jar:http://127.0.0.1!/a",
    "unix:/run/docker.sock",
    "http+unix://run/docker.sock",
    "//127.0.0.1/a.mp3",
    "\\\\host\\share\\a.mp3",
    "/etc/passwd",
    "h\ttp://127.0.0.1/a",
]


@pytest.mark.parametrize("url", SCHEMES)
async def test_media_come_over_http_alone(url: str, tmp_path: Path) -> None:
    """Another scheme is refused, in a URL and in a redirect; no file of this machine is read."""
    async with media_for() as media:
        with pytest.raises(InvalidRequest, match="audio_url"):
            await media.download(track_at(url), tmp_path)

    async def serve(_: web.Request) -> web.StreamResponse:
        return web.Response(status=302, headers={"Location": url})

    async with media_host(serve) as there, media_for(policy=RetryPolicy(attempts=1)) as media:
        with pytest.raises(SunoError):
            await media.download(track_at(there), tmp_path)
    assert everything_in(tmp_path) == []
