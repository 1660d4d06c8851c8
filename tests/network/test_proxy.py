"""Through a proxy: everything goes that way, what is paid for is safe, passwords stay secret."""

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest

from suno_async import (
    ConnectionFailed,
    InvalidRequest,
    RetryPolicy,
    SubmissionUncertain,
    SunoSession,
    Track,
)
from suno_async.sandbox import Call, Delay, Sandbox, sing
from tests.test_key import frames_of
from tests.waiting import until
from tests.world import session_for, song

from .hosts import QUICK, Authority, Proxy, proxy_server, tls_front

ONCE: dict[str, Any] = {**QUICK, "retry": RetryPolicy(attempts=1)}
USER, PASSWORD = "operator", "Geheim:pass-word"
# as a URL has it
LOGIN = f"{USER}:{PASSWORD}"


@pytest.fixture
def authority() -> Authority:
    """A CA that nobody else knows."""
    return Authority()


@asynccontextmanager
async def behind(
    through: Proxy, sandbox: Sandbox, authority: Authority, **settings: Any
) -> AsyncIterator[SunoSession]:
    """Open a session whose API is served over TLS, and reached through a proxy only."""
    usual = {"proxy": through.url, "ssl": authority.client_context(), **QUICK}
    async with (
        tls_front(sandbox.base_url, authority.server_context("api.test")) as front,
        session_for(
            sandbox,
            base_url=front.base_url.replace("127.0.0.1", "api.test"),
            **{**usual, **settings},
        ) as suno,
    ):
        through.names["api.test"] = "127.0.0.1"
        yield suno


async def _tracks_at(suno: SunoSession, base_url: str, **fields: Any) -> list[Track]:
    """Have a task made, and find its tracks at another address."""
    details = await suno.details((await suno.submit(song(**fields))).task_id)
    urls = [urlsplit(track.audio_url or "") for track in details.tracks]
    to = urlsplit(base_url)
    return [
        Track(
            id=str(number),
            title="t",
            audio_url=url._replace(scheme=to.scheme, netloc=to.netloc).geturl(),
        )
        for number, url in enumerate(urls)
    ]


async def test_everything_goes_through_the_proxy(
    sandbox: Sandbox, authority: Authority, tmp_path: Path
) -> None:
    """Upload, submission, looks and downloads; what is https is tunnelled, so it stays private."""
    async with proxy_server() as proxy, behind(proxy, sandbox, authority) as suno:
        url = await suno.upload(sing(0.2))
        tracks = await _tracks_at(suno, suno._base_url, upload_url=url)
        paths = await suno.download_all(tracks, tmp_path)
    assert [path.suffix for path in paths] == [".wav", ".wav"]
    assert {"CONNECT"} == set(proxy.methods)
    assert not any("Authorization" in head for head in proxy.heads)


async def test_invariant_1_every_submission_has_a_tunnel_of_its_own(
    sandbox: Sandbox, authority: Authority
) -> None:
    """Invariant 1: through a proxy too, none rides on a connection that was idle."""
    async with proxy_server() as proxy, behind(proxy, sandbox, authority) as suno:
        await suno.credits()
        for _ in range(3):
            await suno.submit(song())
        ports = [submission.peer_port for submission in sandbox.submissions]
        assert len(set(ports)) == 3
        assert proxy.methods == ["CONNECT"] * 4
        await suno.credits()
    assert proxy.methods == ["CONNECT"] * 4  # a poll's connection is kept alive, as without one


@pytest.mark.parametrize("with_user", [True, False])
async def test_a_plain_address_is_asked_for_through_the_proxy(
    sandbox: Sandbox, *, with_user: bool
) -> None:
    """What is http is passed on, with the user and password in each request."""
    async with proxy_server(user=LOGIN if with_user else None) as proxy:
        url = proxy.url_with_user if with_user else proxy.url
        async with session_for(sandbox, proxy=url, **QUICK) as suno:
            assert await suno.credits() == sandbox.credits
            await suno.submit(song())
    assert proxy.methods == ["GET", "POST"]


async def test_a_proxy_that_wants_a_user(sandbox: Sandbox, authority: Authority) -> None:
    """User and password go to the proxy, and not to the service."""
    async with (
        proxy_server(user=LOGIN) as proxy,
        behind(proxy, sandbox, authority, proxy=proxy.url_with_user) as suno,
    ):
        await suno.submit(song())
        await suno.credits()
    assert proxy.methods == ["CONNECT", "CONNECT"]
    assert all("Proxy-Authorization: Basic " in head for head in proxy.heads)


async def test_a_proxy_that_is_reached_over_tls(sandbox: Sandbox, authority: Authority) -> None:
    """Of the same CA; then there is TLS within TLS."""
    async with (
        proxy_server(authority.server_context()) as proxy,
        behind(proxy, sandbox, authority) as suno,
    ):
        await suno.submit(song())
        assert await suno.credits() == sandbox.credits
    assert proxy.methods == ["CONNECT", "CONNECT"]


CALLS: dict[str, Callable[[SunoSession, Path], Awaitable[object]]] = {
    "submit": lambda suno, _: suno.submit(song()),
    "credits": lambda suno, _: suno.credits(),
    "details": lambda suno, _: suno.details("t1"),
    "upload": lambda suno, _: suno.upload(b"RIFF"),
    "download": lambda suno, path: suno.download(
        Track(id="1", title="t", audio_url="https://cdn.test/a.mp3"), path
    ),
}


@pytest.mark.parametrize("refusal", ["407 Geheim:pass-word", "502 Geheim:pass-word", "599 x"])
@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
async def test_a_proxy_that_refuses(
    call: Callable[[SunoSession, Path], Awaitable[object]],
    refusal: str,
    sandbox: Sandbox,
    authority: Authority,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It says so; nothing was sent, and its password is shown nowhere."""
    caplog.set_level(logging.DEBUG)
    async with (
        proxy_server(user=LOGIN, refusal=refusal) as proxy,
        behind(proxy, sandbox, authority, proxy=proxy.url_with_user, **ONCE) as suno,
    ):
        with pytest.raises(ConnectionFailed, match=f"the proxy answered {refusal[:3]}") as caught:
            await call(suno, tmp_path)
        assert "Geheim" not in repr(suno) + repr(suno._network)
    assert not caught.value.request_sent
    assert "Geheim" not in frames_of(caught.value) + caplog.text
    assert "T3BlcmF0b3I6" not in frames_of(caught.value)
    assert not sandbox.submissions


async def test_a_submission_is_repeated_while_the_proxy_makes_no_connection(
    sandbox: Sandbox, authority: Authority
) -> None:
    """A refused tunnel proves that nothing was sent."""
    async with (
        proxy_server(refusal="502 Bad Gateway") as proxy,
        behind(proxy, sandbox, authority, retry=RetryPolicy(attempts=500)) as suno,
    ):
        submitting = asyncio.create_task(suno.submit(song()))
        await until(lambda: len(proxy.heads) >= 2)
        proxy.refusal = None
        await submitting
    assert len(sandbox.submissions) == 1


async def test_a_proxy_that_dies_before_the_request_was_sent(
    sandbox: Sandbox, authority: Authority
) -> None:
    """While the tunnel's TLS begins: no byte of the body was handed out."""
    async with (
        proxy_server(hangs_up=True) as proxy,
        behind(proxy, sandbox, authority, **ONCE) as suno,
    ):
        with pytest.raises(ConnectionFailed) as caught:
            await suno.submit(song())
    assert not caught.value.request_sent
    assert not sandbox.submissions


async def test_a_proxy_that_dies_after_the_request_was_sent(
    sandbox: Sandbox, authority: Authority
) -> None:
    """In mid-tunnel nobody knows what became of it: it is uncertain, and never sent again."""
    sandbox.inject(Call.SUBMIT, Delay(5))
    async with proxy_server() as proxy, behind(proxy, sandbox, authority) as suno:
        submitting = asyncio.create_task(suno.submit(song()))
        await until(lambda: sandbox.submissions)
        proxy.cut()
        with pytest.raises(SubmissionUncertain):
            await submitting
    assert len(sandbox.submissions) == 1


def _closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def test_a_proxy_that_is_not_there(sandbox: Sandbox) -> None:
    """Nothing is sent, and there is no way around it; its password is not shown."""
    url = f"http://{USER}:Geheim-word@127.0.0.1:{_closed_port()}"
    async with session_for(sandbox, proxy=url, **ONCE) as suno:
        with pytest.raises(ConnectionFailed, match="the proxy cannot be reached") as caught:
            await suno.submit(song())
        assert not caught.value.request_sent
        assert "Geheim" not in frames_of(caught.value)
    assert not sandbox.requests


# --- what is fetched through it -------------------------------------------------------------------


@pytest.mark.parametrize(
    "url", ["http://10.0.0.1/a", "https://[fe80::1]/a", "http://169.254.169.254/a"]
)
async def test_invariant_9_addresses_that_are_not_public_are_refused_here(
    url: str, tmp_path: Path
) -> None:
    """Invariant 9: an address that is written out is refused before the proxy is asked."""
    async with (
        proxy_server() as proxy,
        SunoSession("a-key", base_url="https://8.8.8.8", proxy=proxy.url, **ONCE) as suno,
    ):
        with pytest.raises(ConnectionFailed, match="not a public address"):
            await suno.download(Track(id="1", title="t", audio_url=url), tmp_path)
    assert not proxy.heads


async def test_invariant_9_a_name_of_such_an_address_is_refused_here(tmp_path: Path) -> None:
    """Invariant 9: what is known here to lead to this machine is not asked of the proxy."""
    track = Track(id="1", title="t", audio_url="http://localhost/a.mp3")
    async with (
        proxy_server() as proxy,
        SunoSession("a-key", base_url="https://8.8.8.8", proxy=proxy.url, **ONCE) as suno,
    ):
        with pytest.raises(ConnectionFailed, match="not a public address"):
            await suno.download(track, tmp_path)
    assert not proxy.heads


async def test_a_name_that_only_the_proxy_knows_is_asked_for(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    """Who is behind a proxy may have nobody else who looks names up."""
    async with (
        proxy_server(names={"cdn.invalid": "127.0.0.1"}) as proxy,
        session_for(sandbox, proxy=proxy.url, **QUICK) as suno,
    ):
        port = urlsplit(sandbox.base_url).port
        track, _ = await _tracks_at(suno, f"http://cdn.invalid:{port}")
        path = await suno.download(track, tmp_path)
        assert path.stat().st_size > 1000
    assert any(head.startswith("GET http://cdn.invalid:") for head in proxy.heads)


# --- arguments ------------------------------------------------------------------------------------

NO_PROXIES = [
    "",
    "http://",
    "socks5://Geheim@127.0.0.1:1",
    "http://a:Geheim@b/path",
    "http://a%3Ab:Geheim@c",
    "http://a:Geheim@b:99999",
    "ftp://a:Geheim@b",
    True,
    3,
]


@pytest.mark.parametrize("proxy", NO_PROXIES)
def test_what_is_no_proxy_is_refused_and_not_shown(proxy: Any) -> None:
    """Its URL may hold a password."""
    with pytest.raises(InvalidRequest, match="proxy must be the URL of an http") as caught:
        SunoSession("a-key", proxy=proxy)
    assert "Geheim" not in frames_of(caught.value)


def test_a_bad_argument_beside_a_proxy_shows_no_password() -> None:
    """In no frame."""
    with pytest.raises(InvalidRequest) as caught:
        SunoSession("a-key", proxy="http://a:Geheim@b", timeout=0)
    assert "Geheim" not in frames_of(caught.value)


@pytest.mark.parametrize(
    "given",
    [{"proxy": "http://a:Geheim@b"}, {"proxy": False}, {"ssl": "x"}, {"connector_options": {}}],
    ids=str,
)
async def test_a_client_session_has_ways_of_its_own(given: dict[str, Any]) -> None:
    """What would not be heeded is refused."""
    async with aiohttp.ClientSession() as http:
        with pytest.raises(InvalidRequest, match="beside client_session") as caught:
            SunoSession("a-key", client_session=http, **given)
    assert "Geheim" not in frames_of(caught.value)
