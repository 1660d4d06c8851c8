"""Upload a stem."""

import os
import stat
from collections.abc import AsyncIterable
from pathlib import Path
from typing import TypeAlias, cast
from uuid import uuid4

import aiohttp

from suno_async.clock import Clock
from suno_async.errors import InvalidRequest, SunoError
from suno_async.media.disk import Disk, Lane
from suno_async.media.formats import HEAD_BYTES, audio_ending
from suno_async.media.names import path_of, plain_ending
from suno_async.media.stems import Pieces, StemBody, StemFile, at_once
from suno_async.media.streams import StemStream
from suno_async.observe import Observers, Uploaded, Uploading
from suno_async.retry import RetryPolicy, SharedPause, persist
from suno_async.transport import Transport
from suno_async.wire import read_upload_url

Stem: TypeAlias = str | os.PathLike[str] | bytes | AsyncIterable[bytes]

# docs: upload of a file as multipart/form-data
UPLOAD_PATH = "/api/file-stream-upload"
UPLOAD_FOLDER = "suno-async"


class Uploads:
    """Uploads stems.

    Args:
        transport: Carries them.
        disk: Reads the files.
        pause: The session's pause after a 429.
        policy: How stubborn to be.
        clock: Where time comes from.
        observers: Are told.
    """

    def __init__(
        self,
        *,
        transport: Transport,
        disk: Disk,
        pause: SharedPause,
        policy: RetryPolicy,
        clock: Clock,
        observers: Observers,
    ) -> None:
        self._transport = transport
        self._disk = disk
        self._pause = pause
        self._policy = policy
        self._clock = clock
        self._observers = observers

    async def upload(self, stem: Stem) -> str:
        """Upload a stem; return the URL to submit. See `SunoSession.upload`."""
        began_s = self._clock.monotonic()
        path = path_of("stem", stem) if isinstance(stem, str | os.PathLike) else None
        if self._observers:
            self._observers.tell(Uploading(path))
        url, size_bytes = await self._upload(stem)
        if self._observers:
            seconds = self._clock.monotonic() - began_s
            self._observers.tell(Uploaded(url, size_bytes, seconds, path))
        return url

    async def _upload(self, stem: Stem) -> tuple[str, int | None]:
        if isinstance(stem, AsyncIterable):
            return await self._upload_stream(stem), None
        if isinstance(stem, bytes | bytearray | memoryview):
            if not stem:
                raise InvalidRequest("stem", stem, "must not be empty")
            return await self._upload_often(bytes(stem)), len(bytes(stem))
        if isinstance(cast("object", stem), str | os.PathLike):
            path = path_of("stem", stem)
            size_bytes = await self._disk.run(_checked_size, path)
            return await self._upload_often(path), size_bytes
        raise InvalidRequest("stem", stem, "must be a path, bytes, or an async iterable of bytes")

    async def _upload_often(self, stem: bytes | Path) -> str:
        """Upload what can be read again, repeating it when the network fails: it costs nothing."""

        async def upload() -> str:
            if isinstance(stem, bytes):
                return await self._upload_once(at_once(stem), len(stem), _ending_of(stem))
            file = StemFile(stem)
            lane = Lane(self._disk)
            try:
                size_bytes = await lane.run(file.open)
                pieces = file.pieces(size_bytes, lane)
                return await self._upload_once(pieces, size_bytes, stem.suffix)
            finally:
                await lane.end(file.close)

        async def upload_with_new_key() -> str:
            return await self._transport.with_new_key(upload)

        return await persist(
            upload_with_new_key, policy=self._policy, clock=self._clock, pause=self._pause
        )

    async def _upload_stream(self, stem: AsyncIterable[bytes]) -> str:
        stream = StemStream(stem)
        try:
            if not await stream.begin():
                raise InvalidRequest("stem", "an empty stream", "must not be empty")
            return await self._upload_once(stream, None, _ending_of(stream.head))
        except SunoError:
            if stream.broke is not None:  # it was the caller's stream and not the network
                raise stream.broke from None
            raise
        finally:
            await stream.aclose()

    async def _upload_once(self, pieces: Pieces, size_bytes: int | None, ending: str) -> str:
        limit = self._transport.stall_limit()
        body = StemBody(pieces, size_bytes, limit)
        name = f"{uuid4().hex}{plain_ending(ending and f'/a{ending}')}"
        form = aiohttp.FormData()
        form.add_field("uploadPath", UPLOAD_FOLDER)
        # docs: an existing name is overwritten, so every upload has its own
        form.add_field("fileName", name)
        form.add_field("file", body, filename=name, content_type="application/octet-stream")
        return read_upload_url(await self._transport.upload(UPLOAD_PATH, form, limit))


def _checked_size(path: Path) -> int:
    """Refuse what is not a readable file with something in it; a pipe would block for ever."""
    found = path.stat()
    if not stat.S_ISREG(found.st_mode):
        raise InvalidRequest("stem", str(path), "must be a file")
    with path.open("rb") as file:
        if not file.read(1):
            raise InvalidRequest("stem", str(path), "must be a file that is not empty")
    return found.st_size


def _ending_of(audio: bytes) -> str:
    """Name the format of audio by how it begins; WAV when it cannot be told."""
    return audio_ending(audio[:HEAD_BYTES]) or ".wav"
