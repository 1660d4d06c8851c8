"""What comes of an HTTP answer: bounded, unpacked, and what a broken frame holds back."""

import asyncio
import zlib
from types import TracebackType
from typing import Self, cast

import aiohttp

from suno_async.errors import ProtocolError

# A longer answer is no answer of the service.
LARGEST_ANSWER_BYTES = 8 * 1024 * 1024

# and a longer file is none of a track, unless the caller says so
LARGEST_FILE_BYTES = 1024**3

# how packed bytes begin, and no JSON
_GZIP = b"\x1f\x8b"


async def whole(response: aiohttp.ClientResponse) -> bytes:
    """Read a body, unless it is too large."""
    length = response.content_length
    if length is not None:
        check_size(length, response.status)
        return await response.read()
    received = bytearray()
    async for chunk in response.content.iter_any():
        received += chunk
        check_size(len(received), response.status)
    return bytes(received)


def check_size(size_bytes: int, http_status: int) -> None:
    """Refuse more than an answer of the service can have.

    Raises:
        ProtocolError: It is more.
    """
    if size_bytes > LARGEST_ANSWER_BYTES:
        reason = f"the answer is larger than {LARGEST_ANSWER_BYTES // 1024**2} MiB"
        raise ProtocolError(reason, http_status)


def withheld(content: aiohttp.StreamReader) -> bytes:
    """Take what aiohttp keeps back of a body because of the error that ended it."""
    if content.exception() is None:
        return b""
    content.set_exception(cast("BaseException", None))
    return content.read_nowait()


def decoded(body: bytes, encoding: str) -> bytes:
    """Undo an encoding that was not asked for; what the header says of it may be untrue."""
    if body.startswith(_GZIP):
        return _inflated(body, zlib.MAX_WBITS | 16) or body
    if "deflate" in encoding.lower():
        # with zlib's frame, or without (seen of old web servers)
        return _inflated(body, zlib.MAX_WBITS) or _inflated(body, -zlib.MAX_WBITS) or body
    return body


def _inflated(body: bytes, wbits: int) -> bytes:
    """Inflate as much as there is; nothing when it is not packed so."""
    inflater = zlib.decompressobj(wbits)
    try:
        inflated = inflater.decompress(body, LARGEST_ANSWER_BYTES)
    except zlib.error:
        return b""
    # without a frame much inflates to nonsense, but not to its end
    return inflated if wbits > 0 or inflater.eof else b""


class StallLimit:
    """Raises TimeoutError in its block when the other side takes too long over its turn.

    Bytes that drip do not prolong a turn, as they do a time-out of a socket's silence.

    Args:
        seconds: How long a turn may take.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._limit = asyncio.timeout(None)
        self._entered = False

    async def __aenter__(self) -> Self:
        await self._limit.__aenter__()
        self._entered = True
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._entered = False
        await self._limit.__aexit__(kind, error, trace)

    def begin(self) -> None:
        """Take note that it is the other side's turn from now on."""
        self._set(asyncio.get_running_loop().time() + self._seconds)

    def end(self) -> None:
        """Take note that it is our turn, which may take as long as it likes."""
        self._set(None)

    def _set(self, due_s: float | None) -> None:
        # a body may still be written when its answer has come already
        if self._entered and not self._limit.expired():
            self._limit.reschedule(due_s)
