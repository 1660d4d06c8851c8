"""A stem that a caller hands out bit by bit."""

import asyncio
from collections.abc import AsyncIterable
from contextlib import suppress

from suno_async.errors import InvalidRequest, UnexpectedError
from suno_async.media.disk import LAST_WAIT_S
from suno_async.owner import is_being_cancelled


class StemStream:
    """A caller's stream, which may raise and give anything.

    Args:
        stem: The stream.

    Attributes:
        head: How it begins.
        broke: What it raised, or what is wrong with what it gave.
    """

    def __init__(self, stem: AsyncIterable[bytes]) -> None:
        self._chunks = aiter(stem)
        self._idle = asyncio.Event()
        self._idle.set()
        self.head: bytes = b""
        self._is_begun = False
        self.broke: Exception | None = None

    async def begin(self) -> bool:
        """Wait for the first bytes; tell whether there are any."""
        async for chunk in self:
            self.head = chunk
            if chunk:
                self._is_begun = True
                break
        return self._is_begun

    # no generator: aiohttp leaves off in the middle, and nobody would close it
    def __aiter__(self) -> "StemStream":
        return self

    async def __anext__(self) -> bytes:
        if self._is_begun:
            self._is_begun = False
            return self.head
        self._idle.clear()
        try:
            return _checked_chunk(await anext(self._chunks))
        except StopAsyncIteration:
            raise
        except asyncio.CancelledError as error:
            if is_being_cancelled():
                raise
            self.broke = UnexpectedError("CancelledError: the stream raised it")
            self.broke.__cause__ = error
        except Exception as error:  # noqa: BLE001 - raised where the upload was asked for
            self.broke = error
        finally:
            self._idle.set()
        # aiohttp, which may be the one to get it, could not write anything
        raise UnexpectedError("the stream broke")

    async def aclose(self) -> None:
        """Close it, as soon as nobody waits for what it gives."""
        with suppress(TimeoutError):
            async with asyncio.timeout(LAST_WAIT_S):
                await self._idle.wait()
                if close := getattr(self._chunks, "aclose", None):
                    await close()


def _checked_chunk(chunk: object) -> bytes:
    if not isinstance(chunk, bytes | bytearray | memoryview):
        raise InvalidRequest("stem", chunk, "must give bytes")
    return bytes(chunk)
