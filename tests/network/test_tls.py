"""Certificates are verified: those of a CA of one's own are trusted when it is named."""

import socket
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from suno_async import ConnectionFailed, InvalidRequest, RetryPolicy, SunoSession, Track
from suno_async.sandbox import Sandbox
from tests.world import session_for, song

from .hosts import QUICK, Authority, tls_front

ONCE: dict[str, Any] = {**QUICK, "retry": RetryPolicy(attempts=1)}


@pytest.fixture(scope="module")
def authority() -> Authority:
    """A CA that nobody else knows."""
    return Authority()


@pytest.fixture(scope="module")
def ca_file(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its certificate in a file."""
    path = tmp_path_factory.mktemp("ca") / "ca.pem"
    authority.ca.cert_pem.write_to_path(str(path))
    return path


Call = Callable[[SunoSession, str, Path], Awaitable[object]]
CALLS: dict[str, Call] = {
    "submit": lambda suno, _url, _path: suno.submit(song()),
    "credits": lambda suno, _url, _path: suno.credits(),
    "details": lambda suno, _url, _path: suno.details("t1"),
    "upload": lambda suno, _url, _path: suno.upload(b"RIFF"),
    "download": lambda suno, url, path: suno.download(
        Track(id="1", title="t", audio_url=f"{url}/cdn/a.mp3"), path
    ),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
async def test_a_certificate_of_another_ca_is_refused(
    call: Call, sandbox: Sandbox, authority: Authority, tmp_path: Path
) -> None:
    """Nothing is sent, the key least of all, and the error says why."""
    async with (
        tls_front(sandbox.base_url, authority.server_context()) as front,
        session_for(sandbox, base_url=front.base_url, **ONCE) as suno,
    ):
        with pytest.raises(ConnectionFailed, match=r"(?i)certificate.verify.failed") as caught:
            await call(suno, front.base_url, tmp_path)
    assert not caught.value.request_sent
    assert not sandbox.requests


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
async def test_a_certificate_for_another_name_is_refused(
    call: Call, sandbox: Sandbox, authority: Authority, tmp_path: Path
) -> None:
    """Of the right CA, but not of this host."""
    async with (
        tls_front(sandbox.base_url, authority.server_context("other.test")) as front,
        session_for(
            sandbox, base_url=front.base_url, ssl=authority.client_context(), **ONCE
        ) as suno,
    ):
        with pytest.raises(ConnectionFailed, match=r"not valid for '127\.0\.0\.1'"):
            await call(suno, front.base_url, tmp_path)
    assert not sandbox.requests


@pytest.mark.parametrize("form", ["context", "path", "text"])
async def test_a_ca_of_ones_own(
    form: str, sandbox: Sandbox, authority: Authority, ca_file: Path, tmp_path: Path
) -> None:
    """It is good for all that a session does."""
    given = {"context": authority.client_context(), "path": ca_file, "text": str(ca_file)}[form]
    async with (
        tls_front(sandbox.base_url, authority.server_context()) as front,
        session_for(sandbox, base_url=front.base_url, ssl=given, **QUICK) as suno,
    ):
        await suno.upload(b"RIFF")
        assert await suno.credits() == sandbox.credits
        details = await suno.details((await suno.submit(song())).task_id)
        url = (details.tracks[0].audio_url or "").replace(sandbox.base_url, front.base_url)
        assert url.startswith("https:")
        await suno.download(Track(id="1", title="t", audio_url=url), tmp_path)


async def test_invariant_1_every_submission_has_a_connection_of_its_own(
    sandbox: Sandbox, authority: Authority
) -> None:
    """Invariant 1: over TLS with a CA of one's own too."""
    async with (
        tls_front(sandbox.base_url, authority.server_context()) as front,
        session_for(
            sandbox, base_url=front.base_url, ssl=authority.client_context(), **QUICK
        ) as suno,
    ):
        await suno.credits()
        await suno.submit(song())
        await suno.submit(song())
        await suno.credits()
        assert front.opened == 3


def test_the_systems_own_cas_stay_trusted(ca_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hosts of media have public certificates."""
    system = Authority()
    known = ca_file.with_name("system.pem")
    system.ca.cert_pem.write_to_path(str(known))
    monkeypatch.setenv("SSL_CERT_FILE", str(known))
    context = SunoSession("a-key", ssl=ca_file)._network.trusted
    assert context is not None
    assert len(context.get_ca_certs()) >= 2


async def test_ipv6(sandbox: Sandbox, authority: Authority) -> None:
    """At the loopback address of IPv6, written out and over TLS."""
    if not _has_ipv6():
        pytest.skip("this machine has no IPv6 loopback address")
    async with (
        tls_front(sandbox.base_url, authority.server_context("::1"), host="::1") as front,
        session_for(
            sandbox,
            base_url=front.base_url,
            ssl=authority.client_context(),
            connector_options={"family": socket.AF_INET6},
            **QUICK,
        ) as suno,
    ):
        assert "[::1]" in front.base_url
        await suno.submit(song())
        assert await suno.credits() == sandbox.credits


def _has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


def _lenient(check_hostname: bool, verify_mode: ssl.VerifyMode) -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = check_hostname
    context.verify_mode = verify_mode
    return context


UNSAFE: dict[str, Callable[[], object]] = {
    "no": lambda: False,
    "yes": lambda: True,
    "no verification": lambda: _lenient(False, ssl.CERT_NONE),
    "no host names": lambda: _lenient(False, ssl.CERT_REQUIRED),
    "a server's": lambda: ssl.create_default_context(ssl.Purpose.CLIENT_AUTH),
    "a file that is not there": lambda: "nowhere.pem",
    "a file without certificates": lambda: __file__,
    "a folder": lambda: Path(__file__).parent,
    "a number": lambda: 3,
}


@pytest.mark.parametrize("make", UNSAFE.values(), ids=UNSAFE)
def test_what_verifies_nothing_is_refused(make: Callable[[], object]) -> None:
    """Whoever answers would get the key."""
    with pytest.raises(InvalidRequest, match="ssl must"):
        SunoSession("a-key", ssl=make())  # type: ignore[arg-type]  # what types do not allow
