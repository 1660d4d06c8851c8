"""Read a body: in time, decoded, and with a look at how it begins."""

from collections.abc import Iterator
from typing import Protocol

from suno_async.clock import Clock
from suno_async.errors import ConnectionFailed
from suno_async.media.encodings import Decoder
from suno_async.media.formats import HEAD_BYTES

# What counts as progress: fewer new bytes than these in a request, or in the time of the longest
# silence, are as good as none.
LEAST_PROGRESS_BYTES = 16 * 1024


class Readable(Protocol):
    """Something that gives bytes until it ends."""

    async def read(self) -> bytes:
        """Give what comes next; nothing at the end."""
        ...


class Timed:
    """Gives up a host that sends next to nothing in a long time.

    Only the waiting for the host counts, not that for the disk.
    """

    def __init__(self, source: Readable, clock: Clock, silence_s: float) -> None:
        self._source = source
        self._clock = clock
        self._silence_s = silence_s
        self._waited_s = 0.0
        self._came = 0

    async def read(self) -> bytes:
        """Give what comes next.

        Raises:
            ConnectionFailed: It is too little.
        """
        began_s = self._clock.monotonic()
        chunk = await self._source.read()
        self._waited_s += self._clock.monotonic() - began_s
        self._came += len(chunk)
        if self._came >= LEAST_PROGRESS_BYTES:
            self._waited_s, self._came = 0.0, 0
        elif chunk and self._waited_s > self._silence_s:
            raise ConnectionFailed(f"only {self._came} bytes came in {self._waited_s:.1f} s")
        return chunk


class Peeked:
    """Lets the beginning be looked at before it is read."""

    def __init__(self, source: Readable) -> None:
        self._source = source
        self._kept = b""

    async def head(self) -> bytes:
        """Show enough of the beginning to tell what it is, if there is so much."""
        while len(self._kept) < HEAD_BYTES:
            chunk = await self._source.read()
            if not chunk:
                break
            self._kept += chunk
        return self._kept[:HEAD_BYTES]

    async def read(self) -> bytes:
        """Give what comes next."""
        kept, self._kept = self._kept, b""
        return kept or await self._source.read()


class Decoded:
    """Gives what a body holds."""

    def __init__(self, source: Readable, decoding: Decoder) -> None:
        self._source = source
        self._decoding = decoding
        self._pieces: Iterator[bytes] = iter(())

    async def read(self) -> bytes:
        """Give what comes next."""
        while True:
            piece = next(self._pieces, b"")
            if piece:
                return piece
            chunk = await self._source.read()
            if not chunk:
                self._decoding.finish()
                return b""
            self._pieces = self._decoding.feed(chunk)
