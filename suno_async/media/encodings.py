"""Undo what a host did to a body on its way, within bounds."""

import zlib
from collections.abc import Iterator
from typing import Protocol

from suno_async.errors import ConnectionFailed, ProtocolError
from suno_async.media.failures import Fatal

CHUNK_BYTES = 256 * 1024
# Beyond the first bytes, a body that grows by more than this holds no music but nothing at all.
_MOST_GROWTH = 200
_FREE_BYTES = 16 * 1024 * 1024


class Decoder(Protocol):
    """Turns the body as it comes into the file as it is."""

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """Yield what a chunk holds, in pieces that fit into memory."""
        ...

    def finish(self) -> None:
        """Check that the body ended where it had to."""
        ...


class Plain:
    """A body that is the file."""

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """Yield the chunk."""
        yield chunk

    def finish(self) -> None:
        """Accept any end: the transfer checks the length."""


class Deflated:
    """A body in gzip or deflate."""

    def __init__(self) -> None:
        self._inflater = _inflater()
        self._taken = 0
        self._given = 0

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """Yield what a chunk holds.

        Raises:
            ProtocolError: It is not in this encoding.
            Fatal: It holds so much that it cannot be music.
        """
        self._taken += len(chunk)
        while chunk:
            if self._inflater.eof:  # gzip may come in several members
                self._inflater = _inflater()
            try:
                piece = self._inflater.decompress(chunk, CHUNK_BYTES)
            except zlib.error as error:
                raise ProtocolError(f"a body whose encoding is broken: {error}", 200) from error
            self._given += len(piece)
            if self._given > max(_FREE_BYTES, _MOST_GROWTH * self._taken):
                raise Fatal(ProtocolError(f"{self._taken} bytes grow beyond {self._given}", 200))
            if piece:
                yield piece
            chunk = self._inflater.unconsumed_tail or self._inflater.unused_data

    def finish(self) -> None:
        """Check that the body is whole.

        Raises:
            ConnectionFailed: It ends in the middle.
        """
        if not self._inflater.eof:
            raise ConnectionFailed("the download ended in the middle of its encoding")


def _inflater() -> "zlib._Decompress":
    return zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)  # finds out whether it is gzip or zlib


def decoder(content_encoding: str, *, recognised: bool) -> Decoder:
    """Choose how to read a body.

    Args:
        content_encoding: What the host says that it did, in lower case; "" for nothing.
        recognised: Whether the body as it comes begins like what it should be: then the host
            did nothing, whatever it says.

    Raises:
        Fatal: The encoding is unknown.
    """
    if recognised or not content_encoding:
        return Plain()
    if content_encoding in {"gzip", "x-gzip", "deflate"}:
        return Deflated()
    shown = ascii(content_encoding[:40])
    raise Fatal(ProtocolError(f"a body in the encoding {shown}, which was not asked for", 200))
