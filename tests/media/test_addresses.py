"""Invariant 9: what the service answers never makes this machine ask a private address."""

import asyncio
import socket
from ipaddress import ip_address
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult

from suno_async import ConnectionFailed, SunoSession
from suno_async.media.addresses import Addresses, PublicResolver, kind_of
from tests.world import tcp_service

from .hosts import BODY, everything_in, media_for, media_host, track_at

PUBLIC_API = "https://1.1.1.1"

KINDS = {
    "public": ["1.1.1.1", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"],
    "loopback": [
        "127.0.0.1",
        "127.255.255.254",
        "::1",
        "::ffff:127.0.0.1",
        "::127.0.0.1",
        "64:ff9b::7f00:1",
        "2002:7f00:1::",
        "::ffff:0:127.0.0.1",
    ],
    "private": [
        "10.0.0.1",
        "172.16.0.1",
        "192.168.1.1",
        "100.64.0.1",
        "198.18.0.1",
        "192.0.2.1",
        "240.0.0.1",
        "255.255.255.255",
        "fc00::1",
        "2001:db8::1",
        "::ffff:10.0.0.1",
        "2002:a00:1::",
        "fec0::1",
        "fd00:ec2::254",
        "192.0.0.192",
        "192.88.99.1",
        "168.63.129.16",
        "::ffff:168.63.129.16",
        "100.100.100.200",
        "64:ff9b:1::7f00:1",
        "64:ff9b:1:7f00:0:100:808:808",
        "3fff::1",
        "5f00::1",
        "4000::1",
    ],
    "link-local": ["169.254.169.254", "fe80::1", "fe80::1%eth0", "::ffff:169.254.169.254"],
    "multicast": ["224.0.0.1", "239.1.1.1", "ff02::1"],
    "unspecified": ["0.0.0.0", "::", "::ffff:0.0.0.0"],
}


class Zone(AbstractResolver):
    """Names that lead where a test wants."""

    def __init__(self, **names: list[str]) -> None:
        self._names = names

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Look a name up."""
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
            for address in self._names[host.partition(".")[0]]
        ]

    async def close(self) -> None:
        """Nothing is open."""


@pytest.mark.parametrize(
    ("kind", "text"), [(kind, text) for kind, texts in KINDS.items() for text in texts]
)
def test_an_address_has_a_kind(kind: str, text: str) -> None:
    """An IPv4 address counts as what it is, in whatever IPv6 address it hides."""
    assert kind_of(ip_address(text)) == kind


async def _asked(port_of: str, tmp_path: Path, host: str, *, theirs: bool = False) -> str:
    """Try to download from a host at the port of another; return the error."""
    port = port_of.rpartition(":")[2].partition("/")[0]
    async with aiohttp.ClientSession() as client:
        session = client if theirs else None
        async with media_for(base_url=PUBLIC_API, client_session=session) as media:
            with pytest.raises(ConnectionFailed) as caught:
                await media.download(track_at(f"http://{host}:{port}/a.mp3"), tmp_path)
    assert not caught.value.request_sent
    assert everything_in(tmp_path) == []
    return str(caught.value)


@pytest.mark.parametrize("theirs", [False, True], ids=["own session", "caller's session"])
@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "localhost",
        "LOCALHOST",
        "localhost.",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[::127.0.0.1]",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0x7f.1",
        "017700000001",
        "127.0.0.1.",
        "\uff11\uff12\uff17.0.0.1",
        "0.0.0.0",
        "0",
        "user:secret@127.0.0.1",
        "1.1.1.1\\@127.0.0.1",
    ],
)
async def test_this_machine_is_not_asked(tmp_path: Path, host: str, theirs: bool) -> None:
    """However this machine is written, no connection is made to it."""

    async def serve(_: asyncio.StreamReader, __: asyncio.StreamWriter) -> None:
        """Say nothing: that a connection was made is counted."""

    async with tcp_service(serve) as service:
        await _asked(service.base_url, tmp_path, host, theirs=theirs)
        assert service.opened == 0


async def test_a_name_that_leads_to_a_private_address_is_refused(tmp_path: Path) -> None:
    """The address that the connector is given is the one that was checked."""

    async def serve(_: asyncio.StreamReader, __: asyncio.StreamWriter) -> None:
        """Say nothing."""

    async with tcp_service(serve) as service:
        port = service.base_url.rpartition(":")[2]
        zone = Zone(cdn=["127.0.0.1"], mixed=["10.0.0.1", "::1"])
        async with media_for(base_url=PUBLIC_API, resolver=zone) as media:
            for name in ("cdn", "mixed"):
                with pytest.raises(ConnectionFailed, match="not a public address"):
                    await media.download(track_at(f"http://{name}.example:{port}/a"), tmp_path)
        assert service.opened == 0


async def test_a_connector_is_given_the_allowed_addresses_only() -> None:
    """What it is not given it cannot connect to."""
    zone = Zone(cdn=["10.0.0.1", "1.1.1.1", "::1", "fd00::1", "2606:4700::1111"])
    resolver = PublicResolver(Addresses(PUBLIC_API), zone)
    found = await resolver.resolve("cdn.example", 443)
    assert [one["host"] for one in found] == ["1.1.1.1", "2606:4700::1111"]
    await resolver.close()


async def test_only_the_allowed_addresses_of_a_name_are_used(tmp_path: Path) -> None:
    """A name with a private and an allowed address is asked at the allowed one."""

    async def serve(_: web.Request) -> web.StreamResponse:
        return web.Response(body=BODY)

    async with media_host(serve) as url:
        zone = Zone(cdn=["10.255.255.1", "127.0.0.1"])
        there = url.replace("127.0.0.1", "cdn.example")
        async with media_for(resolver=zone) as media:
            path = await media.download(track_at(there), tmp_path)
    assert path.read_bytes() == BODY


@pytest.mark.parametrize("place", ["10.0.0.1", "169.254.169.254", "[fe80::1]", "224.0.0.1", "0"])
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_to_a_private_address_is_refused(
    suno: SunoSession, tmp_path: Path, place: str, status: int
) -> None:
    """An API on this machine allows this machine, and no other network."""

    async def serve(_: web.Request) -> web.StreamResponse:
        return web.Response(status=status, headers={"Location": f"http://{place}/latest"})

    async with media_host(serve) as url:
        with pytest.raises(ConnectionFailed, match="media are not fetched from"):
            await suno.download(track_at(url), tmp_path)
    assert everything_in(tmp_path) == []


@pytest.mark.parametrize("base_url", ["http://127.0.0.1:1", "http://localhost:1", "http://[::1]"])
async def test_an_api_on_this_machine_has_its_media_there(tmp_path: Path, base_url: str) -> None:
    """Whoever runs the API locally can download from it, under whatever name it has."""

    async def serve(_: web.Request) -> web.StreamResponse:
        return web.Response(body=BODY)

    async with media_host(serve) as url, media_for(base_url=base_url) as media:
        for number, host in enumerate(("127.0.0.1", "localhost")):
            track = track_at(url.replace("127.0.0.1", host), id=str(number))
            assert (await media.download(track, tmp_path)).read_bytes() == BODY
