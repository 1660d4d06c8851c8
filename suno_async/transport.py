"""One authenticated JSON call over aiohttp."""

from types import TracebackType
from typing import Self

import aiohttp
from multidict import CIMultiDict
from yarl import URL

from suno_async.clock import Clock
from suno_async.errors import ConnectionFailed
from suno_async.retry import read_retry_after
from suno_async.wire import Answer

# the longest time for DNS, TCP and TLS together: what fails here has certainly sent nothing
CONNECT_S = 10.0

# Raised while a connection is being made, and only then.
_NEVER_SENT = (
    aiohttp.ClientConnectorError,
    aiohttp.ConnectionTimeoutError,
    aiohttp.ClientHttpProxyError,
    aiohttp.InvalidURL,
)


class Transport:
    """Carries calls to the API's own host, and the key with them, to nobody else.

    Redirects are not followed. A submission opens a connection of its own, so that it never rides
    on a kept-alive one that the other side may just be closing; with a caller's own
    `client_session` that cannot be promised.

    Args:
        api_key: The key, sent as bearer token.
        base_url: The API's scheme, host and path prefix, without a slash at the end.
        timeout_s: The longest time of one call, connecting included.
        clock: Where time comes from.
        client_session: The caller's own; it is used for everything and never closed.
    """

    def __init__(
        self,
        *,
        api_key: str,
        base_url: str,
        timeout_s: float,
        clock: Clock,
        client_session: aiohttp.ClientSession | None = None,
    ) -> None:
        self._key = api_key.encode()
        # in the form that aiohttp would otherwise make of them for every call
        self._headers = CIMultiDict(Authorization=f"Bearer {api_key}", Accept="application/json")
        self._base_url = URL(base_url, encoded=True)
        self._clock = clock
        self._theirs = client_session
        self._ours: list[aiohttp.ClientSession] = []
        connect_s = min(CONNECT_S, timeout_s / 2)
        self._timeout = aiohttp.ClientTimeout(
            total=timeout_s, connect=connect_s, sock_connect=connect_s
        )
        self._upload_timeout = aiohttp.ClientTimeout(
            total=None, connect=connect_s, sock_connect=connect_s, sock_read=timeout_s
        )

    async def __aenter__(self) -> Self:
        if self._theirs is not None:
            self._kept_alive = self._fresh = self._theirs
        else:
            self._kept_alive = self._own(aiohttp.TCPConnector(limit=0))
            self._fresh = self._own(aiohttp.TCPConnector(limit=0, force_close=True))
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for session in self._ours:
            await session.close()

    def _own(self, connector: aiohttp.TCPConnector) -> aiohttp.ClientSession:
        session = aiohttp.ClientSession(
            connector=connector, cookie_jar=aiohttp.DummyCookieJar(), timeout=self._timeout
        )
        self._ours.append(session)
        return session

    @property
    def anonymous(self) -> aiohttp.ClientSession:
        """A client session without the key, for media on other hosts."""
        return self._kept_alive

    async def get(self, path: str) -> Answer:
        """Ask for something; `path` is encoded already.

        Raises:
            ConnectionFailed: No whole answer came.
        """
        return await self._call(self._kept_alive, "GET", path, None, self._headers, self._timeout)

    async def post_once(self, path: str, body: bytes) -> Answer:
        """Send a JSON body over a connection of its own.

        Raises:
            ConnectionFailed: No whole answer came; `request_sent` tells whether the service may
                have seen the request.
        """
        headers = self._headers.copy()
        headers["Content-Type"] = "application/json"
        return await self._call(self._fresh, "POST", path, body, headers, self._timeout)

    async def upload(self, path: str, form: aiohttp.FormData) -> Answer:
        """Send a form that holds a file; it takes as long as bytes flow.

        Raises:
            ConnectionFailed: No whole answer came.
        """
        return await self._call(
            self._kept_alive, "POST", path, form, self._headers, self._upload_timeout
        )

    async def _call(
        self,
        session: aiohttp.ClientSession,
        method: str,
        path: str,
        data: bytes | aiohttp.FormData | None,
        headers: CIMultiDict[str],
        timeout: aiohttp.ClientTimeout,
    ) -> Answer:
        url = self._url(path)
        if session.closed:
            raise ConnectionFailed("the client session is closed", request_sent=False)
        try:
            async with session.request(
                method, url, data=data, headers=headers, timeout=timeout, allow_redirects=False
            ) as response:
                body = await response.read()
                retry_after = response.headers.get("Retry-After")
                status = response.status
        except aiohttp.ClientResponseError as error:
            # its repr shows the request's headers, the key among them: it must not be chained
            failure = ConnectionFailed(
                f"HTTP {error.status}: {error.message}", not isinstance(error, _NEVER_SENT)
            )
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise connection_failed(error) from error
        else:
            if self._key in body:
                body = body.replace(self._key, b"(key)")
            if retry_after is None:
                return Answer(status, body)
            return Answer(status, body, read_retry_after(retry_after, self._clock.now()))
        raise failure

    def _url(self, path: str) -> URL:
        """Put a URL together: a new one for every task, it costs less than to take one apart."""
        plain, _, query = path.partition("?")
        base = self._base_url
        return URL.build(
            scheme=base.scheme,
            authority=base.raw_authority,
            path=base.raw_path.rstrip("/") + plain,
            query_string=query,
            encoded=True,
        )


def connection_failed(error: Exception) -> ConnectionFailed:
    """Translate a failure of the network, and tell whether anything can have been sent."""
    reason = str(error) or ("timed out" if isinstance(error, TimeoutError) else repr(error))
    return ConnectionFailed(reason, not isinstance(error, _NEVER_SENT))
