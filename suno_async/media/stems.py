"""A stem as the body of an upload: read in threads of our own, and sent in small pieces."""

import asyncio
import os
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from io import FileIO
from pathlib import Path
from typing import TypeAlias

import aiohttp
from aiohttp.abc import AbstractStreamWriter

from suno_async.media.disk import Lane
from suno_async.media.encodings import CHUNK_BYTES
from suno_async.media.streams import StemStream
from suno_async.timeouts import StallLimit

# what is closed when an upload ends in the middle
Pieces: TypeAlias = AsyncGenerator[bytes, None] | StemStream

# A host that takes fewer bytes in the time of the longest silence is given up.
PIECE_BYTES = 64 * 1024


class StemFile:
    """A file to be read in a lane."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: FileIO | None = None

    def open(self) -> int:
        """Open it; return its size in bytes."""
        self._file = FileIO(self._path)
        return os.fstat(self._file.fileno()).st_size

    async def pieces(self, size_bytes: int, lane: Lane) -> AsyncGenerator[bytes, None]:
        """Yield as much of the file as was promised."""
        left = size_bytes
        while left > 0:
            chunk = await lane.run(self._read, min(CHUNK_BYTES, left))
            left -= len(chunk)
            yield chunk

    def _read(self, size: int) -> bytes:
        """Read some of it.

        Raises:
            OSError: There is no more, although there was when it was opened.
        """
        chunk = self._file.read(size) if self._file is not None else b""
        if not chunk:
            raise OSError(f"{self._path} became shorter while it was uploaded")
        return chunk

    def close(self) -> None:
        """Close it if it is open."""
        if self._file is not None:
            self._file.close()


async def at_once(stem: bytes) -> AsyncGenerator[bytes, None]:
    """Yield a stem that is there already."""
    yield stem


class StemBody(aiohttp.Payload):
    """A stem on its way, which tells whose turn it is: the host's to take it, or ours to give it.

    aiohttp's own bodies wait for ever for a host that takes nothing; and it would read files in
    the threads that look names up.

    Args:
        pieces: The stem, in pieces of any size.
        size_bytes: How much it is; None when that is not known.
        limit: Limits the host's turns.
    """

    def __init__(self, pieces: Pieces, size_bytes: int | None, limit: StallLimit) -> None:
        super().__init__(pieces, content_type="application/octet-stream")
        self._size = size_bytes
        self._limit = limit

    async def write(self, writer: AbstractStreamWriter) -> None:
        """Write the stem; the answer to it is the host's turn too."""
        transport: asyncio.Transport | None = getattr(writer, "transport", None)
        try:
            await self._hand_out(writer)
        except BaseException:
            # closed in good order it would stay open until the host has taken what is on its way
            if transport is not None:
                transport.abort()
            raise
        self._limit.begin()

    async def _hand_out(self, writer: AbstractStreamWriter) -> None:
        self._limit.end()
        async with aclosing(self._value) as chunks:
            async for chunk in chunks:
                for piece in _split(chunk):
                    self._limit.begin()
                    await writer.write(piece)
                self._limit.end()

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        """Refuse to be text."""
        raise TypeError("a stem is no text")


def _split(chunk: bytes) -> Iterator[bytes]:
    for begin in range(0, len(chunk), PIECE_BYTES):
        yield chunk[begin : begin + PIECE_BYTES]
