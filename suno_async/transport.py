"""One authenticated JSON call over aiohttp."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Mapping
from types import TracebackType
from typing import Any, Self

import aiohttp
from attrs import evolve
from multidict import CIMultiDict
from yarl import URL

from suno_async.body import OneTimeBody
from suno_async.clock import Clock
from suno_async.direct import DirectGets, Received, is_possible
from suno_async.errors import ConnectionFailed, SunoError, UnexpectedError
from suno_async.key import Masked, Scrubber
from suno_async.reading import check_size, decoded, whole, withheld
from suno_async.retry import read_retry_after
from suno_async.wire import Answer, find_task_id, read_envelope

_log = logging.getLogger(__name__)

# the longest time for DNS, TCP and TLS together
CONNECT_S = 10.0

# what one header line may hold; aiohttp's own limit of 8 KB has hidden the answers of paid calls
LARGEST_HEADER_BYTES = 256 * 1024

_PARSING: dict[str, Any] = {"max_field_size": LARGEST_HEADER_BYTES}

# how many headers there may be, for an aiohttp that limits that too (3.14)
_LIMITS_HEADERS = "max_headers" in (aiohttp.ClientSession.__init__.__kwdefaults__ or {})
_MOST_HEADERS: dict[str, Any] = {"max_headers": 10_000} if _LIMITS_HEADERS else {}

# How often the event loop goes round after a time-out before it is believed: what lies in the
# socket already is read first, also after a standstill of the whole process.
LAST_PASSES = 20

# Raised while a connection is being made, and only then.
_NEVER_SENT = (
    aiohttp.ClientConnectorError,
    aiohttp.ConnectionTimeoutError,
    aiohttp.ClientHttpProxyError,
    aiohttp.InvalidURL,
)

_NETWORK = (aiohttp.ClientError, TimeoutError, OSError)


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

    Attributes:
        scrub: Takes the key out of a text that is going to be shown.
    """

    def __init__(
        self,
        *,
        api_key: Masked,
        base_url: str,
        timeout_s: float,
        clock: Clock,
        client_session: aiohttp.ClientSession | None = None,
    ) -> None:
        self.scrub: Scrubber = Scrubber(api_key)
        # in the form that aiohttp would otherwise make of them for every call
        self._headers = CIMultiDict(
            {
                "Authorization": Masked(f"Bearer {api_key!s}"),
                "Accept": "application/json",
                # an encoding that lies, or breaks, has hidden the answers of paid calls
                "Accept-Encoding": "identity",
                "Cache-Control": "no-cache",
            }
        )
        self._post_headers = self._headers.copy()
        self._post_headers["Content-Type"] = "application/json"
        self._base_url = URL(base_url, encoded=True)
        self._prefix = self._base_url.raw_path.rstrip("/")
        self._clock = clock
        self._theirs = client_session
        self._direct: DirectGets | None = None
        self._ours: list[aiohttp.ClientSession] = []
        self._connectors: list[aiohttp.TCPConnector] = []
        self._timeout_s = timeout_s
        connect_s = min(CONNECT_S, timeout_s / 2)
        self._timeout = aiohttp.ClientTimeout(
            total=timeout_s, connect=connect_s, sock_connect=connect_s
        )
        self._shorter_timeouts: dict[float, aiohttp.ClientTimeout] = {}
        self._connect_timeout = aiohttp.ClientTimeout(
            total=None, connect=connect_s, sock_connect=connect_s
        )
        self._upload_timeout = aiohttp.ClientTimeout(
            total=None, connect=connect_s, sock_connect=connect_s, sock_read=timeout_s
        )

    async def __aenter__(self) -> Self:
        if self._theirs is not None:
            self._kept_alive = self._fresh = self._theirs
        else:
            connector = aiohttp.TCPConnector(limit=0)
            self._kept_alive = self._own(connector)
            if is_possible():
                self._direct = DirectGets(
                    connector, self._base_url, self._headers, self._timeout, _PARSING
                )
            self._fresh = self._own(aiohttp.TCPConnector(limit=0, force_close=True))
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the client sessions of its own; again, it does nothing."""
        if self._direct is not None:
            self._direct.close()
        # the sockets are closed before anything is awaited: a cancellation here leaves none open
        closing = [connector.close() for connector in self._connectors]
        for closed in closing:
            await closed
        for session in self._ours:
            await session.close()
        # a writer of aiohttp's that was just begun, or cancelled, has not run to its end yet
        for _ in range(2):
            await asyncio.sleep(0)

    def _own(self, connector: aiohttp.TCPConnector) -> aiohttp.ClientSession:
        self._connectors.append(connector)
        session = aiohttp.ClientSession(
            connector=connector, cookie_jar=aiohttp.DummyCookieJar(), timeout=self._timeout
        )
        # aiohttp would repeat a GET by itself when a kept-alive connection breaks: a second look at
        # a task in the same moment, which nobody counts
        session._retry_connection = False
        self._ours.append(session)
        return session

    async def get(self, path: str, within_s: float | None = None) -> Answer:
        """Ask for something.

        Args:
            path: Encoded already.
            within_s: The longest time of the call, where that is less than usual.

        Raises:
            ConnectionFailed: No whole answer came.
            ProtocolError: The answer is too large.
        """
        session = self._open(self._kept_alive)
        timeout = self._shorter(within_s)
        if self._direct is not None:
            asked = self._direct.get(self._prefix + path, timeout.total or self._timeout_s)
        else:
            asked = self._ask(session, "GET", path, None, timeout)
        return await self._answered("GET", path, asked)

    def _shorter(self, within_s: float | None) -> aiohttp.ClientTimeout:
        usual = self._timeout
        if within_s is None or usual.total is None or within_s >= usual.total:
            return usual
        if within_s not in self._shorter_timeouts:
            self._shorter_timeouts[within_s] = evolve(usual, total=within_s)
        return self._shorter_timeouts[within_s]

    async def upload(self, path: str, form: aiohttp.FormData) -> Answer:
        """Send a form that holds a file; it takes as long as bytes flow.

        Raises:
            ConnectionFailed: No whole answer came.
            ProtocolError: The answer is too large.
        """
        session = self._open(self._kept_alive)
        asked = self._ask(session, "POST", path, form, self._upload_timeout)
        return await self._answered("POST", path, asked)

    async def _ask(
        self,
        session: aiohttp.ClientSession,
        method: str,
        path: str,
        data: aiohttp.FormData | None,
        timeout: aiohttp.ClientTimeout,
    ) -> Received:
        async with session.request(
            method,
            self._url(path),
            data=data,
            headers=self._headers,
            timeout=timeout,
            allow_redirects=False,
            raise_for_status=False,
            auto_decompress=False,
            **_PARSING,
        ) as response:
            return Received(response.status, response.headers, await whole(response))

    async def _answered(self, method: str, path: str, asked: Awaitable[Received]) -> Answer:
        """Wait for an answer, and make our own of it, or of what came instead."""
        began_s = time.perf_counter()
        try:
            answer = self._answer(*await asked)
        except Exception as error:  # noqa: BLE001 - a caller's client session may raise anything
            cause = error
        else:
            self._note(method, path, began_s, answer)
            return answer
        # Raised out here, the failure has no context but the cause that it is given.
        self._note(method, path, began_s, cause)
        failure = self._failure(cause, request_sent=not isinstance(cause, _NEVER_SENT))
        del cause  # it may show the key, and loggers show locals
        raise failure

    async def post_once(self, path: str, body: OneTimeBody) -> Answer:
        """Send a body that can be sent once, over a connection of its own.

        A whole JSON answer counts although its frame is broken. The body tells whether the service
        may have seen the request, whatever is raised.

        Raises:
            ConnectionFailed: No whole answer came.
            ProtocolError: The answer is too large.
            UnexpectedError: Something failed that is not the network: a bug, or what a caller's
                client session brings along.
        """
        began_s = time.perf_counter()
        session = self._open(self._fresh)
        partial: list[Answer] = []
        cause: Exception | None = None
        try:
            async with (
                _WhatCameIsRead(self._timeout_s),
                session.request(
                    "POST",
                    self._url(path),
                    data=body,
                    headers=self._post_headers,
                    timeout=self._connect_timeout,
                    allow_redirects=False,
                    raise_for_status=False,
                    auto_decompress=False,
                    max_line_size=LARGEST_HEADER_BYTES,
                    max_field_size=LARGEST_HEADER_BYTES,
                    **_MOST_HEADERS,
                ) as response,
            ):
                await self._read_into(response, partial)
        except asyncio.CancelledError as error:
            if not _is_enough(partial):
                if _is_being_cancelled():
                    raise
                cause = UnexpectedError("CancelledError: something that was handed in raised it")
                cause.__cause__ = error
        except Exception as error:  # noqa: BLE001 - a caller's client session may raise anything
            cause = error
        if cause is None or _is_enough(partial):
            self._note("POST", path, began_s, partial[-1])
            return partial[-1]
        self._note("POST", path, began_s, cause)
        failure = self._failure(cause, request_sent=body.sent)
        del cause  # it may show the key, and loggers show locals
        raise failure

    async def _read_into(self, response: aiohttp.ClientResponse, partial: list[Answer]) -> None:
        """Read an answer piece by piece, so that what came before its end is not lost."""
        received = bytearray()
        try:
            async for chunk in response.content.iter_any():
                received += chunk
                check_size(len(received), response.status)
        finally:
            received += withheld(response.content)
            partial.append(self._answer(response.status, response.headers, bytes(received)))

    def _open(self, session: aiohttp.ClientSession) -> aiohttp.ClientSession:
        if session.closed:
            raise ConnectionFailed("the client session is closed", request_sent=False)
        return session

    def _answer(self, status: int, headers: Mapping[str, str], body: bytes) -> Answer:
        body = decoded(body, headers.get("Content-Encoding", ""))
        retry_after = headers.get("Retry-After")
        if retry_after is None:
            return Answer(status, body, None, self.scrub)
        asked = read_retry_after(retry_after, self._clock.now())
        return Answer(status, body, asked, self.scrub)

    def _failure(self, cause: Exception, *, request_sent: bool) -> SunoError:
        """Describe what went wrong without showing the key, in the exceptions behind it either."""
        failure: SunoError
        _strip(cause)
        if isinstance(cause, SunoError):
            return cause
        if isinstance(cause, _NETWORK):
            reason = self.scrub(connection_failed(cause).reason)
            failure = ConnectionFailed(reason, request_sent)
        else:
            failure = UnexpectedError(self.scrub(f"{type(cause).__name__}: {cause}"))
        # a response error carries the request's headers, the key among them
        hidden = isinstance(cause, aiohttp.ClientResponseError) or self.scrub.shown_by(cause)
        failure.__cause__ = None if hidden else cause
        return failure

    def _note(self, method: str, path: str, began_s: float, ending: Answer | Exception) -> None:
        """Log a call in one line."""
        if not _log.isEnabledFor(logging.DEBUG):
            return
        if isinstance(ending, Answer):
            code: int | None = read_envelope(ending).code
            end = f"HTTP {ending.http_status}, code {code}"
        else:
            code, end = None, self.scrub(f"{type(ending).__name__}: {ending}")
        seconds = time.perf_counter() - began_s
        _log.debug("%s %s: %s, %.3f s", method, path, end, seconds, extra={"code": code})

    def _url(self, path: str) -> URL:
        """Put a URL together: a new one for every task, it costs less than to take one apart."""
        plain, _, query = path.partition("?")
        base = self._base_url
        return URL.build(
            scheme=base.scheme,
            authority=base.raw_authority,
            path=self._prefix + plain,
            query_string=query,
            encoded=True,
        )


class _WhatCameIsRead:
    """Raises TimeoutError when a block takes too long, and what has come was read before.

    A time-out that is due at the same time as an answer would win otherwise: after the process
    stood still, both are.

    Args:
        timeout_s: How long it may take.
    """

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._loop = asyncio.get_running_loop()
        self._limit = asyncio.timeout(None)
        self._timer: asyncio.Handle | None = None

    async def __aenter__(self) -> None:
        await self._limit.__aenter__()
        self._timer = self._loop.call_later(self._timeout_s, self._due, LAST_PASSES)

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._timer is not None:
            self._timer.cancel()
        await self._limit.__aexit__(kind, error, trace)

    def _due(self, passes_left: int) -> None:
        if passes_left:
            self._timer = self._loop.call_soon(self._due, passes_left - 1)
        else:
            self._limit.reschedule(self._loop.time())


def _strip(error: BaseException) -> None:
    """Take the frames off failures of the network: their locals are the bytes on the way."""
    behind: BaseException | None = error
    seen: set[int] = set()
    while behind is not None and id(behind) not in seen:
        seen.add(id(behind))
        if isinstance(behind, _NETWORK):
            behind.__traceback__ = None
        behind = behind.__cause__ or behind.__context__


def _is_being_cancelled() -> bool:
    """Tell whether somebody cancels this task, and not just something in it says so."""
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0


def _is_enough(partial: list[Answer]) -> bool:
    """Tell whether what came of an answer says something: it is whole JSON of a known kind."""
    return bool(partial) and (
        find_task_id(partial[-1]) is not None or read_envelope(partial[-1]).code is not None
    )


def connection_failed(error: Exception) -> ConnectionFailed:
    """Translate a failure of the network, and tell whether anything can have been sent."""
    if isinstance(error, aiohttp.ClientResponseError):
        reason = f"HTTP {error.status}: {error.message}"
    else:
        reason = str(error) or ("timed out" if isinstance(error, TimeoutError) else repr(error))
    return ConnectionFailed(reason, not isinstance(error, _NEVER_SENT))
