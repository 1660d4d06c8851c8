"""What comes of an HTTP answer: bounded, unpacked, and what a broken frame holds back."""

import asyncio
import json
import re
import zlib
from functools import partial
from typing import cast

import aiohttp
from aiohttp.client_proto import ResponseHandler

from suno_async.errors import ProtocolError

# A longer answer is no answer of the service.
LARGEST_ANSWER_BYTES = 8 * 1024 * 1024

# and a longer file is none of a track, unless the caller says so
LARGEST_FILE_BYTES = 1024**3

_STATUS = re.compile(rb"HTTP/1\.\d (\d{3})")
_CHUNKED = re.compile(rb"(?i)\r\ntransfer-encoding: *chunked")
_CHUNK = re.compile(rb"([0-9a-fA-F]{1,8})[^\r\n]{0,100}\r\n")
_JSON = json.JSONDecoder()

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


class Heard(ResponseHandler):
    """A connection that remembers what came over it, whatever aiohttp's parser makes of that.

    Attributes:
        heard: What came, up to the size of the largest answer.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop=loop)
        self.heard: bytearray = bytearray()

    def data_received(self, data: bytes) -> None:
        """Remember what came, and let it be parsed."""
        if len(self.heard) < LARGEST_ANSWER_BYTES:
            self.heard += data
        super().data_received(data)


def remember_in(connector: aiohttp.TCPConnector) -> None:
    """Have all connections of a connector remember what comes over them."""
    # no documented part of aiohttp; where it has no effect, what the parser refuses is lost
    factory = partial(Heard, loop=asyncio.get_running_loop())
    connector._factory = cast("partial[ResponseHandler]", factory)


def first_json(heard: bytes) -> tuple[int, bytes] | None:
    """Find the status of an answer as it came, and the first JSON in it, whatever is behind that.

    aiohttp keeps nothing of an answer in whose packet something follows that is no HTTP.
    """
    head, _, body = heard.partition(b"\r\n\r\n")
    found = _STATUS.match(head)
    if found is None:
        return None
    if found[1].startswith(b"1"):  # the answer itself is still to come
        return first_json(body)
    if _CHUNKED.search(head):
        body = _dechunked(body)
    text = body.decode(errors="replace").lstrip()
    try:
        _, end = _JSON.raw_decode(text)
    except (ValueError, RecursionError):
        return None
    return int(found[1]), text[:end].encode()


def _dechunked(body: bytes) -> bytes:
    """Put chunks together, as many as there are."""
    whole = bytearray()
    while found := _CHUNK.match(body):
        size = int(found[1], 16)
        whole += body[found.end() : found.end() + size]
        body = body[found.end() + size + 2 :]
    return bytes(whole)
