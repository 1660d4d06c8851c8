"""The connector's options, the host of uploads, and another event loop."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from suno_async import InvalidRequest, SunoSession, Track
from suno_async.network import OPTIONS
from suno_async.sandbox import Sandbox, sing
from tests.world import session_for, song

from .hosts import QUICK, Authority, proxy_server, tls_front


class Names(AbstractResolver):
    """Takes every name for this machine.

    Attributes:
        asked: The names that it was asked for.
        closed: Whether it was closed.
    """

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.closed: bool = False

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Look a name up."""
        self.asked.append(host)
        return [
            ResolveResult(
                hostname=host,
                host="127.0.0.1",
                port=port,
                family=socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
        ]

    async def close(self) -> None:
        """Close it."""
        self.closed = True


async def test_a_resolver_of_the_callers(sandbox: Sandbox, tmp_path: Path) -> None:
    """It looks names up for everything, and stays the caller's to close."""
    names = Names()
    port = URL(sandbox.base_url).port
    async with session_for(
        sandbox,
        base_url=f"http://127.0.0.1:{port}",
        upload_base_url=f"http://uploads.test:{port}/file-upload",
        connector_options={"resolver": names, "use_dns_cache": False},
        **QUICK,
    ) as suno:
        await suno.upload(b"RIFF")
        details = await suno.details((await suno.submit(song())).task_id)
        url = (details.tracks[0].audio_url or "").replace("127.0.0.1", "cdn.test")
        await suno.download(Track(id="1", title="t", audio_url=url), tmp_path)
    assert set(names.asked) == {"uploads.test", "cdn.test"}
    assert not names.closed


async def test_invariant_9_a_resolver_of_the_callers_binds_downloads(tmp_path: Path) -> None:
    """Invariant 9: an address that is not public is refused, whoever found it."""
    async with SunoSession(
        "a-key", base_url="https://8.8.8.8", connector_options={"resolver": Names()}, **QUICK
    ) as suno:
        with pytest.raises(Exception, match="not a public address"):
            await suno.download(Track(id="1", title="t", audio_url="http://cdn.test/"), tmp_path)


async def test_an_address_of_ones_own_to_come_from(sandbox: Sandbox, tmp_path: Path) -> None:
    """All connections come from there."""
    options = {"local_addr": ("127.0.0.1", 0), "keepalive_timeout": 5, "happy_eyeballs_delay": None}
    async with session_for(sandbox, connector_options=options, **QUICK) as suno:
        await suno.upload(b"RIFF")
        details = await suno.details((await suno.submit(song())).task_id)
        await suno.download_all(details, tmp_path)


WRONG: dict[str, Any] = {
    "limit": 1,
    "limit_per_host": 1,
    "force_close": False,
    "ssl": False,
    "verify_ssl": False,
    "family": socket.AF_UNIX,
    "happy_eyeballs_delay": "1",
    "keepalive_timeout": float("nan"),
    "local_addr": ("127.0.0.1", 8000),
    "resolver": "8.8.8.8",
    "socket_factory": 3,
    "ttl_dns_cache": -1,
    "use_dns_cache": 1,
}


@pytest.mark.parametrize("name", WRONG)
def test_an_option_that_is_not_the_callers_to_set_is_refused(name: str) -> None:
    """There is a closed list, and each has its rule."""
    with pytest.raises(InvalidRequest, match=rf"connector_options.*{name}"):
        SunoSession("a-key", connector_options={name: WRONG[name]})


@pytest.mark.parametrize(
    "options",
    [
        3,
        [("family", socket.AF_INET)],
        {3: 4},
        {"local_addr": "127.0.0.1"},
        {"local_addr": ("localhost", 0)},
        {"local_addr": (1, 0)},
        {"happy_eyeballs_delay": True},
    ],
    ids=str,
)
def test_other_options_that_break_their_rule(options: Any) -> None:
    """Of another type, or no address."""
    with pytest.raises(InvalidRequest, match="connector_options"):
        SunoSession("a-key", connector_options=options)


# --- uploads elsewhere ----------------------------------------------------------------------------


async def test_invariant_7_the_key_goes_to_a_host_of_uploads_that_is_named(
    sandbox: Sandbox,
) -> None:
    """Invariant 7: it is the caller who says so; nothing else goes there."""
    async with (
        Sandbox(api_key=sandbox.api_key) as elsewhere,
        session_for(sandbox, upload_base_url=f"{elsewhere.base_url}/file-upload/", **QUICK) as suno,
    ):
        await suno.upload(sing(0.1))
        await suno.submit(song())
        await suno.credits()
    assert [seen.path for seen in elsewhere.requests] == ["/file-upload/api/file-stream-upload"]
    assert all(seen.authorized for seen in elsewhere.requests)
    assert not any("upload" in seen.path for seen in sandbox.requests)


@pytest.mark.parametrize(
    "url", ["http://files.test", "nowhere", "https://a:b@files.test", "https://files.test/?a=1"]
)
def test_a_host_of_uploads_that_breaks_the_rule(url: str) -> None:
    """Http where the API is https would show the key to anybody on the way."""
    with pytest.raises(InvalidRequest, match="upload_base_url must be"):
        SunoSession("a-key", base_url="https://api.test", upload_base_url=url)


# --- another event loop ---------------------------------------------------------------------------


@asynccontextmanager
async def _over_tls(way: str) -> AsyncIterator[tuple[Sandbox, SunoSession]]:
    """Open a session that speaks TLS, through a proxy or not."""
    authority = Authority()
    async with (
        Sandbox(time_scale=0, submissions_per_window=None) as sandbox,
        tls_front(sandbox.base_url, authority.server_context()) as front,
        proxy_server() as proxy,
        session_for(
            sandbox,
            base_url=front.base_url,
            ssl=authority.client_context(),
            proxy=proxy.url if way == "proxy" else False,
            **QUICK,
        ) as suno,
    ):
        yield sandbox, suno


@pytest.mark.parametrize("way", ["proxy", "no proxy"])
def test_the_main_path_under_uvloop(way: str, tmp_path: Path) -> None:
    """Upload, submission, looks, a batch and downloads, over TLS."""
    uvloop = pytest.importorskip(
        "uvloop", reason="uvloop is not installed: nothing is tested on it"
    )

    async def main() -> None:
        async with _over_tls(way) as (sandbox, suno):
            url = await suno.upload(sing(0.1))
            task = await suno.submit(song(upload_url=url))
            assert await suno.credits() == sandbox.credits
            details = await task.details()
            if way == "no proxy":
                assert len(await suno.download_all(details, tmp_path)) == 2
            await asyncio.gather(*(suno.submit(song(title=f"{n}")) for n in range(5)))
            assert len({entry.peer_port for entry in sandbox.submissions}) == 6

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())


def test_the_options_are_those_of_aiohttp() -> None:
    """The installed one knows each of the list."""
    assert aiohttp.TCPConnector.__init__.__kwdefaults__ is not None
    assert set(OPTIONS) <= set(aiohttp.TCPConnector.__init__.__kwdefaults__)
