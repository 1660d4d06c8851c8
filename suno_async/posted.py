"""One request to a callback receiver, whatever server took it, and what it is answered."""

import zlib
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing

from attrs import frozen

from suno_async.wire import dumps

# seen: senders call JSON these, or nothing at all
_JSON_TYPES = frozenset({"application/json", "text/json", "text/plain", ""})
_ENCODINGS = frozenset({"identity", "gzip", "x-gzip", "deflate", ""})
# RFC 1952, RFC 1950: how packed bytes begin, and JSON never does
_PACKED = (b"\x1f\x8b", b"\x78")
_GZIP_OR_ZLIB = 32 + zlib.MAX_WBITS


class TooLarge(Exception):
    """The body is larger than a receiver takes, as it came or unpacked."""


class CutShort(Exception):
    """The body ended before its end."""


@frozen
class Posted:
    """A request to the receiver.

    Attributes:
        method: The method, in capitals.
        token: The end of its path.
        headers: Its headers; the names in lower case.
        body: Its body, piece by piece.
    """

    method: str
    token: str
    headers: Mapping[str, str]
    body: AsyncGenerator[bytes, None]

    @property
    def may_be_json(self) -> bool:
        """Whether neither its content type nor its encoding says that it is something else."""
        content_type = self.headers.get("content-type", "").partition(";")[0].strip().lower()
        encoding = self.headers.get("content-encoding", "").strip().lower()
        is_json = content_type in _JSON_TYPES or content_type.endswith("+json")
        return is_json and encoding in _ENCODINGS

    async def read(self, largest_bytes: int) -> bytes:
        """Read the body, and unpack it.

        Raises:
            TooLarge: It has more than `largest_bytes`, as it came or unpacked.
            CutShort: It ended too early.
        """
        return _unpacked(await self._read(largest_bytes), largest_bytes)

    async def _read(self, largest_bytes: int) -> bytes:
        declared = self.headers.get("content-length", "")
        if declared.isascii() and declared.isdigit() and _exceeds(declared, largest_bytes):
            raise TooLarge
        body = bytearray()
        async with aclosing(self.body) as chunks:
            async for chunk in chunks:
                body += chunk
                if len(body) > largest_bytes:
                    raise TooLarge
        return bytes(body)


@frozen
class Reply:
    """What a request is answered.

    Attributes:
        status: The HTTP status.
        body: The body: JSON.
    """

    status: int
    body: bytes

    @property
    def headers(self) -> dict[str, str]:
        """The headers, without the length."""
        allowed = {"allow": "GET, HEAD, POST"} if self.status == 405 else {}
        return {"content-type": "application/json", **allowed}

    @property
    def hangs_up(self) -> bool:
        """Whether the rest of the body is not worth waiting for."""
        return self.status in {408, 413}


def reply(status: int, message: str) -> Reply:
    """Write an answer as the service writes its own."""
    return Reply(status, dumps({"code": status, "msg": message}))


def _exceeds(declared: str, largest_bytes: int) -> bool:
    return len(declared) > 20 or int(declared) > largest_bytes


def _unpacked(body: bytes, largest_bytes: int) -> bytes:
    """Unpack a body that is packed, no further than it may be large.

    What its header says is not asked: a server in front may have unpacked it already.
    """
    if not body.startswith(_PACKED):
        return body
    unpacking = zlib.decompressobj(_GZIP_OR_ZLIB)
    try:
        unpacked = unpacking.decompress(body, largest_bytes + 1)
    except zlib.error as error:
        raise CutShort from error
    if len(unpacked) > largest_bytes:
        raise TooLarge
    if not unpacking.eof:
        raise CutShort
    return unpacked
