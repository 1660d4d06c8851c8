"""One authenticated JSON call over aiohttp."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from math import inf
from types import TracebackType
from typing import Any, Self, TypeVar

import aiohttp
from attrs import evolve

from suno_async.body import OneTimeBody
from suno_async.clock import Clock
from suno_async.direct import DirectGets, Received, is_possible
from suno_async.errors import (
    AuthenticationError,
    ConnectionFailed,
    SunoError,
    UnexpectedError,
    described,
    said,
)
from suno_async.host import Host
from suno_async.key import Asked, Masked, Scrubber, take_frames_off
from suno_async.key_source import KeySource
from suno_async.network import Network
from suno_async.owner import is_being_cancelled
from suno_async.proxy import failure_of_proxy
from suno_async.reading import (
    Heard,
    check_size,
    decoded,
    first_json,
    remember_in,
    whole,
    withheld,
)
from suno_async.retry import read_retry_after
from suno_async.timeouts import ReadFirst, StallLimit
from suno_async.wire import Answer, find_task_id, read_envelope

T = TypeVar("T")

_log = logging.getLogger(__name__)

# the longest time for DNS, TCP and TLS together
CONNECT_S = 10.0

# what one header line may hold; aiohttp's own limit of 8 KB has hidden the answers of paid calls
LARGEST_HEADER_BYTES = 256 * 1024

_JSON = {"Content-Type": "application/json"}

# spec: the key is missing or not valid
UNAUTHORIZED = 401

_PARSING: dict[str, Any] = {"max_field_size": LARGEST_HEADER_BYTES}

# how many headers there may be, for an aiohttp that limits that too (3.14)
_LIMITS_HEADERS = "max_headers" in (aiohttp.ClientSession.__init__.__kwdefaults__ or {})
_MOST_HEADERS: dict[str, Any] = {"max_headers": 10_000} if _LIMITS_HEADERS else {}

# Raised while a connection is being made, and only then.
_NEVER_SENT = (
    aiohttp.ClientConnectorError,
    aiohttp.ConnectionTimeoutError,
    aiohttp.ClientHttpProxyError,
    aiohttp.InvalidURL,
)

# how the network fails
NETWORK = (aiohttp.ClientError, TimeoutError, OSError)


class Transport:
    """Carries calls to the API's host and to that of uploads, and the key with them.

    Nobody else gets it. Redirects are not followed. A submission opens a connection of its own,
    through a proxy too, so that it never rides on a kept-alive one that the other side may just be
    closing; with a caller's own `client_session` that cannot be promised.

    Args:
        api_key: The key, sent as bearer token, or what is to be asked for it.
        base_url: The API's scheme, host and path prefix, without a slash at the end.
        upload_base_url: The same of the service that takes uploads.
        timeout_s: The longest time of one call, connecting included.
        clock: Where time comes from.
        network: How connections are made.
        client_session: The caller's own; it is used for everything and never closed.

    Attributes:
        scrub: Takes the key out of a text that is going to be shown.
    """

    def __init__(
        self,
        *,
        api_key: Masked | Asked,
        base_url: str,
        upload_base_url: str,
        timeout_s: float,
        clock: Clock,
        network: Network,
        client_session: aiohttp.ClientSession | None = None,
    ) -> None:
        self.scrub: Scrubber = Scrubber(*network.proxies.secrets)
        self._keys = KeySource(api_key, self.scrub, clock, timeout_s)
        self._network = network
        self._api = Host(base_url, network)
        self._uploads = Host(upload_base_url, network)
        self._direct_key: Masked | None = None
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
            connector = self._network.connector()
            self._kept_alive = self._own(connector)
            if is_possible() and self._api.is_direct:
                self._direct = DirectGets(connector, self._api.url, self._timeout, _PARSING)
            fresh = self._network.connector(force_close=True)
            remember_in(fresh)
            self._fresh = self._own(fresh)
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
        self._keys.close()
        # the sockets are closed before anything is awaited: a cancellation here leaves none open
        closing = [connector.close() for connector in self._connectors]
        for closed in closing:
            await closed
        for session in self._ours:
            await session.close()
        await self._keys.aclose()
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

    async def key(self) -> Masked:
        """Give the key to send.

        Raises:
            ConnectionFailed: It was asked for, and none came.
            InvalidRequest: What came cannot be a key.
        """
        return await self._keys.current()

    async def has_another_key(self, refused: Masked) -> bool:
        """Tell whether there is another key than one that the service refused; it is asked for."""
        return await self._keys.renewed(refused)

    async def with_new_key(self, call: Callable[[], Awaitable[T]]) -> T:
        """Make a call that costs nothing; once again if its key is refused and there is another.

        Raises:
            SunoError: What the call raises.
        """
        key = await self.key()
        try:
            return await call()
        except AuthenticationError as error:
            if error.code != UNAUTHORIZED or not await self.has_another_key(key):
                raise
        return await call()

    async def get(self, path: str, within_s: float | None = None) -> Answer:
        """Ask for something.

        When the key is refused, another is asked for; the call is not repeated, since a task must
        not be looked at twice in the same moment.

        Args:
            path: Encoded already.
            within_s: The longest time of the call, where that is less than usual.

        Raises:
            ConnectionFailed: No whole answer came.
            ProtocolError: The answer is too large.
        """
        session = self._open(self._kept_alive)
        timeout = self._shorter(within_s)
        key = self._keys.known or await self.key()
        if self._direct is not None:
            if key is not self._direct_key:
                self._direct.headers = self._api.headers(key)
                self._direct_key = key
            asked = self._direct.get(self._api.prefix + path, timeout.total or self._timeout_s)
        else:
            asking = self._ask(session, "GET", self._api, path, None, key, timeout)
            asked = _bounded(asking, timeout.total)
        answer = await self._answered("GET", path, asked)
        if self._keys.can_change and _refuses_key(answer):
            await self._keys.renewed(key, timeout.total or inf)
        return answer

    def _shorter(self, within_s: float | None) -> aiohttp.ClientTimeout:
        usual = self._timeout
        if within_s is None or usual.total is None or within_s >= usual.total:
            return usual
        if within_s not in self._shorter_timeouts:
            self._shorter_timeouts[within_s] = evolve(usual, total=within_s)
        return self._shorter_timeouts[within_s]

    def stall_limit(self) -> StallLimit:
        """Make what limits the turns of the service for uploads."""
        return StallLimit(self._timeout_s)

    async def upload(self, path: str, form: aiohttp.FormData, limit: StallLimit) -> Answer:
        """Send a form that holds a file to the service for uploads; it may last while bytes flow.

        Args:
            path: Encoded already.
            form: The form, whose file tells the limit whose turn it is.
            limit: Limits how long the service may take over some bytes, and over its answer.

        Raises:
            ConnectionFailed: No whole answer came.
            ProtocolError: The answer is too large.
        """
        session = self._open(self._kept_alive)
        key = await self.key()
        asked = self._ask(session, "POST", self._uploads, path, form, key, self._upload_timeout)
        answer = await self._answered("POST", path, _limited(asked, limit))
        if self._keys.can_change and _refuses_key(answer):
            await self._keys.renewed(key)
        return answer

    async def _ask(
        self,
        session: aiohttp.ClientSession,
        method: str,
        host: Host,
        path: str,
        data: aiohttp.FormData | None,
        key: Masked,
        timeout: aiohttp.ClientTimeout,
    ) -> Received:
        async with session.request(
            method,
            host.url_of(path),
            data=data,
            headers=host.headers(key),
            timeout=timeout,
            allow_redirects=False,
            raise_for_status=False,
            auto_decompress=False,
            **host.way,
            **_PARSING,
        ) as response:
            return Received(response.status, response.headers, await whole(response))

    async def _answered(self, method: str, path: str, asked: Awaitable[Received]) -> Answer:
        """Wait for an answer, and make our own of it, or of what came instead."""
        began_s = time.perf_counter()
        cause: Exception
        try:
            answer = self._answer(*await asked)
        except asyncio.CancelledError as error:
            if is_being_cancelled():
                raise
            cause = _claimed(error)
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

    async def post_once(self, path: str, body: OneTimeBody, key: Masked) -> Answer:
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
                ReadFirst(self._timeout_s),
                session.request(
                    "POST",
                    self._api.url_of(path),
                    data=body,
                    headers=self._api.headers(key, **_JSON),
                    timeout=self._connect_timeout,
                    allow_redirects=False,
                    raise_for_status=False,
                    auto_decompress=False,
                    max_line_size=LARGEST_HEADER_BYTES,
                    max_field_size=LARGEST_HEADER_BYTES,
                    **self._api.way,
                    **_MOST_HEADERS,
                ) as response,
            ):
                await self._read_into(response, partial)
        except asyncio.CancelledError as error:
            if not _is_enough(partial):
                if is_being_cancelled():
                    raise
                cause = _claimed(error)
        except Exception as error:  # noqa: BLE001 - a caller's client session may raise anything
            cause = error
        if not _is_enough(partial):
            partial += self._heard_by(body)
        if cause is None or _is_enough(partial):
            self._note("POST", path, began_s, partial[-1])
            return partial[-1]
        self._note("POST", path, began_s, cause)
        failure = self._failure(cause, request_sent=body.sent)
        del cause  # it may show the key, and loggers show locals
        raise failure

    def _heard_by(self, body: OneTimeBody) -> list[Answer]:
        """Look for an answer in what came over a body's connection, if it says something."""
        connection, body.connection = body.connection, None
        if not isinstance(connection, Heard):
            return []
        found = first_json(bytes(connection.heard))
        answers = [self._answer(found[0], {}, found[1])] if found is not None else []
        return answers if _is_enough(answers) else []

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
        take_frames_off(cause, NETWORK)
        if isinstance(cause, SunoError):
            return cause
        if isinstance(cause, NETWORK):
            reason = self.scrub(connection_failed(cause).reason)
            failure = ConnectionFailed(reason, request_sent)
        else:
            failure = UnexpectedError(self.scrub(described(cause)))
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
            code, end = None, self.scrub(described(ending))
        seconds = time.perf_counter() - began_s
        _log.debug("%s %s: %s, %.3f s", method, path, end, seconds, extra={"code": code})


async def _bounded(asked: Awaitable[T], seconds: float | None) -> T:
    """Bound what aiohttp does not: hooks of a caller's client session that never come back."""
    async with asyncio.timeout(seconds):
        return await asked


async def _limited(asked: Awaitable[T], limit: StallLimit) -> T:
    async with limit:
        limit.begin()  # until the body is asked for, which may never be: there may be hooks before
        return await asked


def _claimed(cancelled: asyncio.CancelledError) -> Exception:
    """Make an error of a cancellation that is none."""
    error = UnexpectedError("CancelledError: something that was handed in raised it")
    error.__cause__ = cancelled
    return error


def _is_enough(partial: list[Answer]) -> bool:
    """Tell whether what came of an answer says something: it is whole JSON of a known kind."""
    return bool(partial) and (
        find_task_id(partial[-1]) is not None or read_envelope(partial[-1]).code is not None
    )


def _refuses_key(answer: Answer) -> bool:
    """Tell whether an answer says that the key is not valid; others are not taken apart for it."""
    if answer.http_status == UNAUTHORIZED:
        return True
    return b"401" in answer.body and read_envelope(answer).code == UNAUTHORIZED


def connection_failed(error: Exception) -> ConnectionFailed:
    """Translate a failure of the network, and tell whether anything can have been sent."""
    if (by_proxy := failure_of_proxy(error)) is not None:
        reason = by_proxy
    elif isinstance(error, aiohttp.ClientResponseError):
        reason = f"HTTP {error.status}: {error.message}"
    else:
        reason = said(error) or ("timed out" if isinstance(error, TimeoutError) else repr(error))
    return ConnectionFailed(reason, not isinstance(error, _NEVER_SENT))
