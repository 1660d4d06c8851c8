"""One authenticated JSON call over aiohttp."""

import re
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

# what is shown in place of the key when somebody echoes it
_KEY_SHOWN = "(key)"

# how JSON may escape what a key is made of; one search costs less than two of `in`
_ESCAPES = re.compile(rb"\\(?:u00|/)")


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
        self._key = api_key
        self._key_bytes = api_key.encode()
        self._escaped_key = re.compile(b"".join(map(_json_forms, api_key)))
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
        # aiohttp would repeat a GET by itself when a kept-alive connection breaks: a second look at
        # a task in the same moment, which nobody counts
        session._retry_connection = False
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
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            failure, cause = connection_failed(error), error
        else:
            body = self._without_key(body)
            if retry_after is None:
                return Answer(status, body)
            return Answer(status, body, read_retry_after(retry_after, self._clock.now()))
        # Raised out here, the failure has no context but the cause that it is given.
        if self._shows_key(cause):
            failure.reason = failure.reason.replace(self._key, _KEY_SHOWN)
            raise ConnectionFailed(failure.reason, failure.request_sent)
        raise failure from cause

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

    def _without_key(self, body: bytes) -> bytes:
        """Blot the key out of an answer that echoes it, escaped as JSON or not."""
        if self._key_bytes in body:
            body = body.replace(self._key_bytes, _KEY_SHOWN.encode())
        if _ESCAPES.search(body):
            body = self._escaped_key.sub(_KEY_SHOWN.encode(), body)
        return body

    def _shows_key(self, error: BaseException | None) -> bool:
        """Tell whether an error, or one behind it, shows request headers or echoes the key."""
        while error is not None:
            if isinstance(error, aiohttp.ClientResponseError):
                return True  # its repr shows the request's headers, the key among them
            if self._key in f"{error!r} {error}":
                return True
            error = error.__cause__ or error.__context__
        return False


def connection_failed(error: Exception) -> ConnectionFailed:
    """Translate a failure of the network, and tell whether anything can have been sent."""
    if isinstance(error, aiohttp.ClientResponseError):
        reason = f"HTTP {error.status}: {error.message}"
    else:
        reason = str(error) or ("timed out" if isinstance(error, TimeoutError) else repr(error))
    return ConnectionFailed(reason, not isinstance(error, _NEVER_SENT))


def _json_forms(character: str) -> bytes:
    """Write a pattern for the ways in which JSON may write an ASCII character."""
    plain = re.escape(character.encode())
    return b"(?:%b|\\\\%b|\\\\u(?i:%04x))" % (plain, plain, ord(character))
