"""What is between a session and the service: a proxy of our own, TLS with a CA of our own."""

import asyncio
import re
import ssl
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import trustme
from attrs import define, field

from tests.line import relay
from tests.world import EAGER, RawService, tcp_service

# a session's settings under which it repeats at once, with no window in the way
QUICK: dict[str, Any] = {"retry": EAGER, "submissions_per_window": (1000, 0.001)}


@define
class Authority:
    """A CA that nobody else knows."""

    ca: trustme.CA = field(factory=trustme.CA)

    def server_context(self, *names: str) -> ssl.SSLContext:
        """Make what a server of these names shows to its clients."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.ca.issue_cert(*(names or ("localhost", "127.0.0.1", "::1"))).configure_cert(context)
        return context

    def client_context(self) -> ssl.SSLContext:
        """Make what trusts this CA, and no other."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self.ca.configure_trust(context)
        return context


@asynccontextmanager
async def tls_front(
    base_url: str, context: ssl.SSLContext, host: str = "127.0.0.1"
) -> AsyncIterator[RawService]:
    """Serve over TLS what an address serves without."""
    behind = urlsplit(base_url)
    assert behind.hostname is not None
    assert behind.port is not None
    to = behind.hostname, behind.port

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await relay(reader, writer, *to)

    async with tcp_service(serve, host=host, tls=context) as service:
        yield service


@define
class Proxy:
    """An HTTP proxy that tunnels, and passes on what is not to be tunnelled.

    Attributes:
        user: The user and the password that it wants, if any.
        refusal: What it answers to everything instead, such as `502 Bad Gateway`.
        names: Which address it takes a name for.
        hangs_up: Whether it hangs up as soon as a tunnel is used.
        service: Where it is.
        heads: The heads of the requests that it got.
    """

    user: str | None = None
    refusal: str | None = None
    names: dict[str, str] = field(factory=dict[str, str])
    hangs_up: bool = False
    service: RawService = field(factory=RawService)
    heads: list[str] = field(factory=list[str])
    writers: list[asyncio.StreamWriter] = field(factory=list[asyncio.StreamWriter])

    @property
    def url(self) -> str:
        """Its URL, without the user."""
        return self.service.base_url

    @property
    def url_with_user(self) -> str:
        """Its URL with the user and the password that it wants."""
        scheme, _, place = self.url.partition("://")
        return f"{scheme}://{self.user}@{place}"

    @property
    def methods(self) -> list[str]:
        """What it was asked to do."""
        return [head.split(" ", 1)[0] for head in self.heads]

    def cut(self) -> None:
        """Die: end all connections at once."""
        for writer in self.writers:
            writer.transport.abort()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        self.heads.append(head)
        self.writers.append(writer)
        refusal = self.refusal
        if self.user is not None and b64encode(self.user.encode()).decode() not in head:
            refusal = "407 who is this"
        if refusal is not None:
            writer.write(f"HTTP/1.1 {refusal}\r\nContent-Length: 0\r\n\r\n".encode())
            await writer.drain()
            return
        method, target, _ = head.split(" ", 2)
        if method == "CONNECT":
            await self._tunnel(reader, writer, target)
        else:
            await self._pass_on(reader, writer, head, target)

    async def _tunnel(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, target: str
    ) -> None:
        host, _, port = target.rpartition(":")
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        if self.hangs_up:
            await reader.read(1)
            writer.transport.abort()
            return
        host = host.strip("[]")
        await relay(reader, writer, self.names.get(host, host), int(port))

    async def _pass_on(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, head: str, target: str
    ) -> None:
        """Pass one request on, and hang up after its answer."""
        to = urlsplit(target)
        host = to.hostname or ""
        path = target.split(to.netloc, 1)[1] or "/"
        head = head.replace(target, path, 1)
        head = re.sub(r"(?im)^proxy-.*\r\n", "", head)
        head = head.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n")
        await relay(reader, writer, self.names.get(host, host), to.port or 80, first=head.encode())


@asynccontextmanager
async def proxy_server(tls: ssl.SSLContext | None = None, **settings: Any) -> AsyncIterator[Proxy]:
    """Run a proxy."""
    proxy = Proxy(**settings)
    async with tcp_service(proxy.serve, tls=tls) as service:
        proxy.service = service
        yield proxy
