"""Ask the hosts of media, byte for byte, without the key, and follow where they point."""

import re
from collections.abc import Mapping
from http.cookies import SimpleCookie
from types import SimpleNamespace, TracebackType
from typing import Any, Self, cast
from urllib.parse import quote, urljoin

import aiohttp
from aiohttp.abc import AbstractResolver
from yarl import URL

from suno_async.errors import ConnectionFailed, ProtocolError, SunoError
from suno_async.key import take_frames_off
from suno_async.media.addresses import Addresses, PublicResolver
from suno_async.media.answers import Head
from suno_async.media.encodings import CHUNK_BYTES
from suno_async.media.failures import Fatal, translated
from suno_async.network import Network
from suno_async.timeouts import StallLimit
from suno_async.transport import NETWORK

# seen: hosts refuse Python's usual one
USER_AGENT = "suno-async"
MOST_REDIRECTS = 10
CONNECT_S = 10.0
MOST_CONNECTIONS = 100
# how many times the longest silence a request may take that may have to wait for a connection
_WAITING = 10

_URL = re.compile(r"(https?)://([^/?#]*)([^#]*)", re.IGNORECASE | re.DOTALL)
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*:", re.IGNORECASE)
# what is never encoded, since it is what it is: everything that a request line can carry
_AS_IT_IS = "".join(map(chr, range(0x21, 0x7F)))


class MediaClient:
    """Asks for media, to be entered with `async with`.

    Without a caller's own client session, it connects only to addresses that are allowed, whatever
    names and redirects lead to. With one, and for URLs that a proxy is asked for, names are looked
    up here before they are asked, which does not bind the caller's connector or the proxy: what
    these connect to is theirs to decide.

    Args:
        addresses: Which hosts may be asked.
        timeout_s: The longest silence.
        user_agent: How to introduce ourselves; None takes a caller's session's own, or ours.
        network: How connections are made; the usual way unless given.
        client_session: The caller's own; never closed.
        resolver: Looks names up for our own connector, and is closed with it; None takes the
            network's.
    """

    def __init__(
        self,
        *,
        addresses: Addresses,
        timeout_s: float,
        user_agent: str | None = None,
        network: Network | None = None,
        client_session: aiohttp.ClientSession | None = None,
        resolver: AbstractResolver | None = None,
    ) -> None:
        self._addresses = addresses
        self._user_agent = user_agent
        self._network = network or Network()
        self._theirs = client_session
        self._inner_resolver = resolver
        self._ours: list[aiohttp.ClientSession] = []
        self._connectors: list[aiohttp.TCPConnector] = []
        self._timeout_s = timeout_s
        self._timeout = aiohttp.ClientTimeout(
            total=None, connect=None, sock_connect=min(CONNECT_S, timeout_s), sock_read=timeout_s
        )

    async def __aenter__(self) -> Self:
        if self._theirs is not None:
            self._session = self._theirs
            return self
        network = self._network
        self._resolver = PublicResolver(
            self._addresses, self._inner_resolver or network.resolver, network.resolver
        )
        self._session = self._own(
            network.connector(limit=MOST_CONNECTIONS, resolver=self._resolver)
        )
        if network.proxies:  # the proxy itself may be at any address
            self._proxied = self._own(network.connector(limit=MOST_CONNECTIONS))
        return self

    def _own(self, connector: aiohttp.TCPConnector) -> aiohttp.ClientSession:
        session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            trace_configs=[_limiting_heads()],
        )
        # aiohttp would repeat a request by itself when a kept-alive connection breaks, uncounted
        session._retry_connection = False
        self._connectors.append(connector)
        self._ours.append(session)
        return session

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the client session if it is our own; again, it does nothing."""
        if self._theirs is not None:
            return
        # the sockets are closed before anything is awaited: a cancellation here leaves none open
        closing = [connector.close() for connector in self._connectors]
        for closed in closing:
            await closed
        for session in self._ours:
            await session.close()
        await self._resolver.close()

    async def ask(self, url: str, headers: Mapping[str, str]) -> "Answer":
        """Ask for a URL, and for those that it leads to, each exactly as it is written.

        Returns:
            The first answer that is no redirect; to be entered with `async with`.

        Raises:
            ConnectionFailed: No answer came.
            Fatal: No host may be or can be asked, or the redirects lead nowhere.
        """
        try:
            return await self._follow(url, headers)
        except (Fatal, SunoError):
            raise
        except Exception as error:  # noqa: BLE001 - a caller's session has hooks, which raise anything
            cause = error
        # Raised out here, the failure has no context but the cause that it is given.
        take_frames_off(cause, NETWORK)
        failure = translated(cause)
        if not isinstance(cause, aiohttp.ClientHttpProxyError):  # its words may echo a password
            failure.__cause__ = cause
        del cause  # loggers show locals
        raise failure

    async def _follow(self, url: str, headers: Mapping[str, str]) -> "Answer":
        cookies = aiohttp.CookieJar(unsafe=True, quote_cookie=False)
        asked = _exact(url)
        for _ in range(MOST_REDIRECTS + 1):
            response = await self._send(asked, headers, cookies)
            location = response.headers.get("Location")
            if response.status not in {301, 302, 303, 307, 308} or not location:
                return Answer(response)
            cookies.update_cookies(response.cookies, asked)
            response.release()
            url = joined(url, location)
            asked = _exact(url)
        raise Fatal(ProtocolError(f"{asked.host} redirects more than {MOST_REDIRECTS} times", 302))

    async def _send(
        self, url: URL, headers: Mapping[str, str], cookies: aiohttp.CookieJar
    ) -> aiohttp.ClientResponse:
        host = url.host or ""
        await self._addresses.check_host(host)
        session, proxy = self._session, self._network.proxy_for(url)
        if self._theirs is not None or proxy is not None:
            await self._addresses.check_name(host, url.port or 0)
        way: dict[str, Any] = {}
        of_proxy: dict[str, str] = {}
        if proxy is not None:
            session, way, of_proxy = self._proxied, proxy.arguments(url), proxy.headers(url)
        async with self._head_limit() as limit:
            if self._theirs is None:
                way = {**way, "trace_request_ctx": limit}
            else:
                limit.begin()
            return await session.get(
                url,
                headers={
                    **headers,
                    **self._introduction(),
                    **_cookie_header(cookies, url),
                    **of_proxy,
                },
                timeout=self._timeout,
                allow_redirects=False,
                raise_for_status=False,
                auto_decompress=False,
                **way,
            )

    def _head_limit(self) -> StallLimit:
        """Make what limits how long a host may take over the head of an answer.

        Of a caller's own session it is not known when it has a connection: others may have to end
        before there is one.
        """
        return StallLimit(self._timeout_s * (1 if self._theirs is None else _WAITING))

    def _introduction(self) -> dict[str, str]:
        if self._user_agent is None and "User-Agent" in self._session.headers:
            return {}
        return {"User-Agent": self._user_agent or USER_AGENT}


def _limiting_heads() -> aiohttp.TraceConfig:
    """Have a request's limit begin when the request has gone out."""
    tracing = aiohttp.TraceConfig()

    async def begin(
        _: aiohttp.ClientSession,
        context: SimpleNamespace,
        __: aiohttp.TraceRequestHeadersSentParams,
    ) -> None:
        context.trace_request_ctx.begin()

    tracing.on_request_headers_sent.append(begin)
    return tracing


class Answer:
    """A host's answer, whose body can be read once."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response
        self._broke: ConnectionFailed | Fatal | None = None
        self.head: Head = Head(
            response.status, response.headers, ascii(response.url.host or "")[1:-1]
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._response.release()

    async def read(self) -> bytes:
        """Give what comes next of the body; nothing at its end.

        Raises:
            ConnectionFailed: It broke off; what came before was given.
        """
        if self._broke is not None:
            raise self._broke
        content = self._response.content
        try:
            return await content.read(CHUNK_BYTES)
        except Exception as error:  # noqa: BLE001 - a caller's hooks raise anything; raised below
            self._broke = translated(error)
            self._broke.__cause__ = error
        # aiohttp withholds what came before the connection broke while its error is set
        content.set_exception(cast("BaseException", None))
        if rest := content.read_nowait():
            return rest
        raise self._broke


def _exact(text: str) -> URL:
    """Make a URL that is asked for as it is written, but for what no request line can carry.

    Raises:
        ValueError: It is not an http or https URL with a host.
    """
    found = _URL.match(text)
    if found is None or not found[2]:
        raise ValueError(f"{text[:200]!a} is not an http or https URL with a host")
    scheme, authority = found[1].lower(), found[2]
    if not authority.isascii():
        authority = URL.build(scheme=scheme, authority=authority).raw_authority
    target = found[3] if found[3].startswith("/") else f"/{found[3]}"
    target = quote(target.encode("utf-8", "surrogateescape"), safe=_AS_IT_IS)
    url = URL(f"{scheme}://{authority}{target}", encoded=True)
    if url.raw_path_qs != target:  # an empty query would be left out
        url = URL.build(scheme=scheme, authority=authority, path=target, encoded=True)
    return url


def joined(base: str, location: str) -> str:
    """Work out where a redirect leads, without writing it in another way.

    Raises:
        Fatal: It leads from https to http.
    """
    found = _URL.match(base)
    assert found is not None  # noqa: S101 - it has been asked for
    scheme, authority = found[1], found[2]
    if _SCHEME.match(location):
        url = location
    elif location.startswith("//"):
        url = f"{scheme}:{location}"
    elif location.startswith("/"):
        url = f"{scheme}://{authority}{location}"
    else:
        url = urljoin(base, location)
    if scheme.lower() == "https" and url[:5].lower() == "http:":
        raise Fatal(ConnectionFailed(f"{authority} redirects from https to http", False))
    return url


def _cookie_header(cookies: aiohttp.CookieJar, url: URL) -> dict[str, str]:
    found: SimpleCookie = SimpleCookie(cookies.filter_cookies(url))
    line = "; ".join(f"{name}={morsel.coded_value}" for name, morsel in found.items())
    return {"Cookie": line} if line else {}
