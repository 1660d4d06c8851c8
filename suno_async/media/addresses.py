"""Which addresses media may come from: public ones, and the API's own kind."""

import asyncio
import socket
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from typing import cast

from aiohttp import DefaultResolver
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from suno_async.errors import ConnectionFailed
from suno_async.media.failures import Fatal

PUBLIC = "public"
# behind a proxy there may be nobody who looks names up
LOOK_UP_S = 5.0
# RFC 6052, RFC 4291, RFC 2765: IPv6 addresses that lead to the IPv4 address in their last 32 bits
_EMBEDDED = tuple(map(IPv6Network, ("64:ff9b::/96", "::/96", "::ffff:0:0:0/96")))
# IANA: what is given out so far; the rest is no public host's, such as the old site-local fec0::/10
# and 64:ff9b:1::/48, behind which anything of a local network can be (RFC 8215)
_GIVEN_OUT = IPv6Network("2000::/3")
# what Python, at least an older one, calls global: RFC 6890, RFC 7526, RFC 9637, and the address at
# which Azure's machines find their own host
_NOT_GLOBAL = tuple(
    map(ip_network, ("192.0.0.0/24", "192.88.99.0/24", "168.63.129.16/32", "3fff::/20"))
)


def kind_of(address: IPv4Address | IPv6Address) -> str:
    """Name the kind of an address; an IPv4 address inside an IPv6 one counts as what it is."""
    if str(address).partition("%")[0] not in {"::", "::1"}:
        address = _inner(address)
    for kind in ("unspecified", "loopback", "link_local", "multicast"):
        if getattr(address, f"is_{kind}"):
            return kind.replace("_", "-")
    return PUBLIC if _is_public(address) else "private"


def _is_public(address: IPv4Address | IPv6Address) -> bool:
    if any(address in network for network in _NOT_GLOBAL):
        return False
    given_out = isinstance(address, IPv4Address) or address in _GIVEN_OUT
    return given_out and address.is_global and not address.is_reserved


def _inner(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    if isinstance(address, IPv4Address):
        return address
    if any(address in network for network in _EMBEDDED):
        return IPv4Address(int(address) & 0xFFFFFFFF)
    if address.teredo is not None:
        return address.teredo[1]
    return address.ipv4_mapped or address.sixtofour or address


def _literal(host: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None


class Addresses:
    """Decides which hosts may be asked for media.

    What the service answers decides which URLs are asked for, so it must not reach what only this
    machine can reach. If the API itself is at a loopback, private or link-local address, others of
    the same kind are its neighbours and allowed.

    Args:
        base_url: Where the API is; its name is looked up when an address is in doubt.
    """

    def __init__(self, base_url: str) -> None:
        self._api_host = URL(base_url, encoded=True).host or ""
        self._api_kinds: frozenset[str] | None = None

    async def check_host(self, host: str) -> None:
        """Refuse a host that is written as an address that is not allowed.

        Raises:
            Fatal: It is refused, or is no proper name: forms such as `127.1` mean different
                addresses to different readers.
        """
        address = _literal(host)
        if address is not None:
            await self._check(host, address)
        elif "%" in host or ":" in host or host.replace(".", "").isdigit():
            raise refused(host, "is not a name and not a proper address")

    async def check_name(self, host: str, port: int) -> None:
        """Look a name up and refuse it if it leads to an address that is not allowed.

        Whoever looks it up later may see something else. A name that cannot be looked up here is
        let through: a proxy may know it.

        Raises:
            Fatal: It is refused.
        """
        if _literal(host) is None:
            for address in await _look_up(host, port):
                await self._check(host, address)

    async def allows(self, address: IPv4Address | IPv6Address) -> bool:
        """Tell whether media may come from an address."""
        kind = kind_of(address)
        return kind == PUBLIC or kind in await self._own_kinds()

    async def _check(self, host: str, address: IPv4Address | IPv6Address) -> None:
        if not await self.allows(address):
            raise refused(host, f"is at {address}, which is not a public address")

    async def _own_kinds(self) -> frozenset[str]:
        if self._api_kinds is None:
            literal = _literal(self._api_host)
            own = [literal] if literal is not None else await _look_up(self._api_host, 0)
            self._api_kinds = frozenset(map(kind_of, own))
        return self._api_kinds


async def _look_up(host: str, port: int) -> list[IPv4Address | IPv6Address]:
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(LOOK_UP_S):  # a TimeoutError is an OSError
            found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, ValueError):
        return []
    return [ip_address(cast("str", address[0])) for *_, address in found]


def refused(host: str, why: str) -> Fatal:
    """Make the error that stands for a host that is not asked."""
    return Fatal(ConnectionFailed(f"media are not fetched from {host}: it {why}", False))


class PublicResolver(AbstractResolver):
    """Looks names up for a connector and leaves out the addresses that are not allowed.

    The connector connects to what it is given here, so nothing can change between check and use.

    Args:
        addresses: Which ones are allowed.
        resolver: Looks names up.
        theirs: The caller's own resolver, which is never closed.
    """

    def __init__(
        self,
        addresses: Addresses,
        resolver: AbstractResolver | None = None,
        theirs: AbstractResolver | None = None,
    ) -> None:
        self._addresses = addresses
        self._resolver = resolver or DefaultResolver()
        self._theirs = theirs

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Look a name up.

        Raises:
            Fatal: It leads to no address that is allowed.
        """
        found = await self._resolver.resolve(host, port, family)
        allowed = [one for one in found if await self._addresses.allows(ip_address(one["host"]))]
        if found and not allowed:
            raise refused(host, f"is at {found[0]['host']}, which is not a public address")
        return allowed

    async def close(self) -> None:
        """Close what looks the names up, if it is our own."""
        if self._resolver is not self._theirs:
            await self._resolver.close()
