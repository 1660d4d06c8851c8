"""GETs to one host over aiohttp's own connections and parser, and nothing else of aiohttp's.

A waiting task's polls are the same request to the same host again and again. What `ClientSession`
makes anew for each (header lists, URLs, cookies, a timer, the objects of a request and a response)
is more than half of their CPU. Names, TLS, the pool of kept-alive connections and the parser are
aiohttp's here too.
"""

import asyncio
from collections.abc import Mapping
from math import inf
from typing import Any, NamedTuple

import aiohttp
from aiohttp.http import HttpProcessingError
from yarl import URL

from suno_async.key import Masked
from suno_async.reading import check_size

# What is used here is no documented part of aiohttp: it was read, and is tested, in these versions.
_KNOWN = range(12, 15)


class Received(NamedTuple):
    """An HTTP answer as it came."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def is_possible() -> bool:
    """Tell whether the installed aiohttp is known well enough."""
    major, minor, *_ = aiohttp.__version__.split(".")
    return major == "3" and minor.isdigit() and int(minor) in _KNOWN


class DirectGets:
    """Asks one host. Redirects are not followed, and nothing is repeated.

    Args:
        connector: Makes and keeps the connections.
        base_url: Scheme and host, without a user.
        timeout: How long a connection may take.
        parsing: What aiohttp's parser is told.
    """

    def __init__(
        self,
        connector: aiohttp.TCPConnector,
        base_url: URL,
        timeout: aiohttp.ClientTimeout,
        parsing: dict[str, Any],
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._connector = connector
        self._origin = base_url.origin()
        self.headers = {}
        self._timeout = timeout
        self._parsing = parsing
        self._deadlines = _Deadlines(self._loop)

    @property
    def headers(self) -> Mapping[str, str]:
        """What every request carries from now on."""
        return self._request.headers

    @headers.setter
    def headers(self, headers: Mapping[str, str]) -> None:
        # one for all: it tells the connector where to, and has the headers as aiohttp makes them
        self._request = aiohttp.ClientRequest("GET", self._origin, headers=headers, loop=self._loop)
        self._behind_path = _behind_path(self._request.headers)

    def close(self) -> None:
        """Watch no deadline any more."""
        self._deadlines.close()

    async def get(self, path: str, within_s: float) -> Received:
        """Ask for something.

        Args:
            path: With its query, encoded already.
            within_s: The longest time, connecting included.

        Raises:
            ProtocolError: The answer is too large.
            aiohttp.ClientError: What `ClientSession` would raise.
            OSError: The same.
            TimeoutError: The time was up.
        """
        deadline_s = self._loop.time() + within_s
        try:
            connection = await self._connector.connect(self._request, [], self._timeout)
        except TimeoutError as error:
            about = f"Connection timeout to host {self._request.url}"
            raise aiohttp.ConnectionTimeoutError(about) from error
        self._deadlines.add(connection, deadline_s)
        try:
            received = await self._exchange(connection, path)
        except BaseException as error:
            connection.close()
            if not self._deadlines.met(connection) and isinstance(error, Exception):
                raise TimeoutError from error
            raise
        connection.release()
        if not self._deadlines.met(connection):
            raise TimeoutError  # the end of the connection may be the end of a body
        return received

    async def _exchange(self, connection: aiohttp.connector.Connection, path: str) -> Received:
        protocol, transport = connection.protocol, connection.transport
        if protocol is None or transport is None or transport.is_closing():
            raise aiohttp.ClientConnectionResetError("Cannot write to closing transport")
        protocol.set_response_params(read_until_eof=True, auto_decompress=False, **self._parsing)
        transport.write(f"GET {path}{self._behind_path}".encode())
        try:
            message, content = await protocol.read()
            while 100 <= message.code < 200 and message.code != 101:
                message, content = await protocol.read()
        except HttpProcessingError as error:
            raise aiohttp.ClientResponseError(
                self._request.request_info,
                (),
                status=error.code,
                message=error.message,
                headers=error.headers,
            ) from error
        body = await content.readany()
        if not content.at_eof():
            body = await _rest(body, content, message.code, message.headers)
        return Received(message.code, message.headers, body)


def _behind_path(headers: Mapping[str, str]) -> Masked:
    """Write all of a request that is the same each time; the key is in it."""
    return Masked("".join((" HTTP/1.1\r\n", *map(_line, headers.items()), "\r\n")))


def _line(field: tuple[str, str]) -> Masked:
    return Masked(f"{field[0]}: {field[1]!s}\r\n")


async def _rest(
    begun: bytes, content: aiohttp.StreamReader, status: int, headers: Mapping[str, str]
) -> bytes:
    """Read what did not come at once, unless it is too much."""
    check_size(int(headers.get("Content-Length", "0")), status)  # the parser read it too
    received = bytearray(begun)
    while not content.at_eof():
        received += await content.readany()
        check_size(len(received), status)
    return bytes(received)


class _Deadlines:
    """Aborts connections whose answers do not come in time, with one timer for all."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._pending: dict[aiohttp.connector.Connection, float] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._timer_s = inf

    def add(self, connection: aiohttp.connector.Connection, deadline_s: float) -> None:
        self._pending[connection] = deadline_s
        if deadline_s < self._timer_s:
            self._set_timer(deadline_s)

    def met(self, connection: aiohttp.connector.Connection) -> bool:
        """Tell whether the exchange ended before its deadline; it is not watched any more."""
        return self._pending.pop(connection, None) is not None

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._timer_s = None, inf

    def _set_timer(self, due_s: float) -> None:
        self.close()
        self._timer_s = due_s
        self._timer = self._loop.call_at(due_s, self._abort_the_late)

    def _abort_the_late(self) -> None:
        self._timer, self._timer_s = None, inf
        now_s = self._loop.time()
        late = [each for each, deadline_s in self._pending.items() if deadline_s <= now_s]
        for connection in late:
            del self._pending[connection]
            # what waits for the answer is told of the end of the connection
            if (transport := connection.transport) is not None:
                transport.abort()
        if self._pending:
            self._set_timer(min(self._pending.values()))
