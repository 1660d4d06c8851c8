"""Audio in and out: upload a stem, download the tracks as whole files."""

import asyncio
import hashlib
import os
import re
from collections.abc import AsyncIterable, AsyncIterator
from pathlib import Path, PurePosixPath
from typing import BinaryIO
from urllib.parse import urlsplit
from uuid import uuid4
from weakref import WeakValueDictionary

import aiohttp
from attrs import frozen

from suno_async.clock import Clock
from suno_async.errors import ConnectionFailed, InvalidRequest, ProtocolError, SunoError, api_error
from suno_async.models import Track, check_url
from suno_async.retry import RetryPolicy, SharedPause, is_transient, persist, read_retry_after
from suno_async.transport import CONNECT_S, Transport, connection_failed
from suno_async.wire import read_upload_url

Stem = str | os.PathLike[str] | bytes | AsyncIterable[bytes]

# docs: upload of a file as multipart/form-data
UPLOAD_PATH = "/file-upload/api/file-stream-upload"
UPLOAD_FOLDER = "suno-async"

CHUNK_BYTES = 256 * 1024
LONGEST_STEM_NAME_BYTES = 120
_UNSAFE = re.compile(r"[\x00-\x1f\x7f/\\:*?\"<>|\u2028\u2029\ud800-\udfff]+")
_EXTENSION = re.compile(r"\.[A-Za-z0-9]{1,5}")
_EXTENSION_OF_TYPE = {
    "audio/mpeg": ".mp3",
    "audio/wav": ".wav",
    "audio/x-wav": ".wav",
    "audio/mp4": ".m4a",
    "audio/ogg": ".ogg",
    "audio/flac": ".flac",
}


class Media:
    """Moves audio between this machine, the service, and the hosts that serve its results.

    Args:
        transport: Carries uploads, and lends its client session, without the key, to downloads.
        pause: The session's pause after a 429, for uploads.
        policy: How stubborn to be.
        clock: Where time comes from.
        timeout_s: The longest silence during a transfer.
    """

    def __init__(
        self,
        *,
        transport: Transport,
        pause: SharedPause,
        policy: RetryPolicy,
        clock: Clock,
        timeout_s: float,
    ) -> None:
        self._transport = transport
        self._pause = pause
        self._policy = policy
        self._clock = clock
        self._timeout = aiohttp.ClientTimeout(
            total=None, connect=None, sock_connect=CONNECT_S, sock_read=timeout_s
        )
        self._locks: WeakValueDictionary[Path, asyncio.Lock] = WeakValueDictionary()

    # --- upload -----------------------------------------------------------------------------------

    async def upload(self, stem: Stem) -> str:
        """Upload a stem; return the URL to submit. See `SunoSession.upload`."""
        if isinstance(stem, AsyncIterable):
            return await self._upload_once(_not_empty(stem), ".wav")
        if not isinstance(stem, bytes):
            return await self._upload_file(Path(stem))
        if not stem:
            raise InvalidRequest("stem", stem, "must not be empty")
        return await self._upload_often(stem)

    async def _upload_file(self, path: Path) -> str:
        def check() -> None:
            with path.open("rb") as file:
                if not file.read(1):
                    raise InvalidRequest("stem", str(path), "must be a file that is not empty")

        await asyncio.to_thread(check)
        return await self._upload_often(path)

    async def _upload_often(self, stem: bytes | Path) -> str:
        """Upload what can be read again, repeating it when the network fails: it costs nothing."""

        async def upload() -> str:
            if isinstance(stem, bytes):
                return await self._upload_once(stem, ".wav")
            with await asyncio.to_thread(stem.open, "rb") as file:
                return await self._upload_once(file, stem.suffix)

        return await persist(upload, policy=self._policy, clock=self._clock, pause=self._pause)

    async def _upload_once(
        self, content: bytes | BinaryIO | AsyncIterator[bytes], extension: str
    ) -> str:
        name = f"{uuid4().hex}{extension if _EXTENSION.fullmatch(extension) else ''}"
        form = aiohttp.FormData()
        form.add_field("uploadPath", UPLOAD_FOLDER)
        # docs: an existing name is overwritten, so every upload has its own
        form.add_field("fileName", name)
        form.add_field("file", content, filename=name, content_type="application/octet-stream")
        return read_upload_url(await self._transport.upload(UPLOAD_PATH, form))

    # --- download ---------------------------------------------------------------------------------

    async def download(self, track: Track, folder: str | os.PathLike[str]) -> Path:
        """Download a track's audio into a folder. See `SunoSession.download`."""
        if track.audio_url is None:
            raise InvalidRequest("track.audio_url", None, "must be ready before it is downloaded")
        check_url("track.audio_url", track.audio_url)
        target = Path(folder) / file_name(track)
        lock = self._locks.setdefault(target.absolute(), asyncio.Lock())
        async with lock:
            if not await asyncio.to_thread(target.is_file):
                await asyncio.to_thread(target.parent.mkdir, parents=True, exist_ok=True)
                await self._fetch(track.audio_url, _PartFile(target))
        return target

    async def _fetch(self, url: str, part: "_PartFile") -> None:
        """Fetch until the file is whole; every byte that came buys another try."""
        failures = 0
        while True:
            had = await asyncio.to_thread(part.size)
            try:
                return await self._fetch_rest(url, part)
            except SunoError as error:
                gained = await asyncio.to_thread(part.size) > had
                failures = 1 if gained else failures + 1
                if not is_transient(error) or failures >= self._policy.attempts:
                    raise
            await self._clock.sleep(self._policy.wait_s(failures))

    async def _fetch_rest(self, url: str, part: "_PartFile") -> None:
        offset, validator = await asyncio.to_thread(part.resume_point)
        headers = {"Accept-Encoding": "identity"}
        if offset:
            headers |= {"Range": f"bytes={offset}-", "If-Range": validator}
        try:
            async with self._transport.anonymous.get(
                url, headers=headers, timeout=self._timeout
            ) as response:
                if response.status == 416 and offset:
                    await asyncio.to_thread(part.restart, "")
                    raise ConnectionFailed("the file on the server has changed")
                length = self._expected_bytes(response, offset)
                await self._write_rest(response, part)
        except (aiohttp.ClientError, TimeoutError) as error:
            raise connection_failed(error) from error
        await asyncio.to_thread(part.finish, length)

    def _expected_bytes(self, response: aiohttp.ClientResponse, offset: int) -> int | None:
        """Check that this is audio; return the whole file's length if the server tells it."""
        status = response.status
        if status not in {200, 206}:
            retry_after = read_retry_after(response.headers.get("Retry-After"), self._clock.now())
            host = response.url.host
            text = f"{host} does not give the audio (HTTP {status})"
            raise api_error(status, text, status, retry_after)
        if response.content_type.startswith("text/"):
            reason = f"{response.url.host} sent {response.content_type} in place of audio"
            raise ProtocolError(reason, status)
        if status == 206:
            found = re.fullmatch(
                r"bytes (\d+)-\d+/(\d+)", response.headers.get("Content-Range", "")
            )
            if found is None or int(found[1]) != offset:
                raise ProtocolError("the server resumed at another place", status)
            return int(found[2])
        return response.content_length

    @staticmethod
    async def _write_rest(response: aiohttp.ClientResponse, part: "_PartFile") -> None:
        if response.status == 200:
            validator = response.headers.get("ETag") or response.headers.get("Last-Modified") or ""
            # a weak tag does not promise the same bytes
            await asyncio.to_thread(part.restart, "" if validator.startswith("W/") else validator)
        with await asyncio.to_thread(part.open) as file:
            async for chunk in response.content.iter_chunked(CHUNK_BYTES):
                await asyncio.to_thread(file.write, chunk)


@frozen
class _PartFile:
    """A download that is not whole yet, beside its target and under another name.

    A small file next to it holds the server's validator, without which it cannot be resumed.
    """

    target: Path

    @property
    def path(self) -> Path:
        return self.target.with_name(f".{self.target.name}.part")

    @property
    def _validator(self) -> Path:
        return self.target.with_name(f".{self.target.name}.tag")

    def size(self) -> int:
        return self.path.stat().st_size if self.path.is_file() else 0

    def resume_point(self) -> tuple[int, str]:
        """Tell how many bytes are there and what they are a part of; (0, "") to begin anew."""
        try:
            validator = self._validator.read_text(encoding="utf-8")
        except (FileNotFoundError, UnicodeDecodeError):
            return 0, ""
        return (self.size(), validator) if validator else (0, "")

    def restart(self, validator: str) -> None:
        """Forget what is there; what comes now belongs to `validator`."""
        self.path.write_bytes(b"")
        self._validator.write_text(validator, encoding="utf-8")

    def open(self) -> BinaryIO:
        return self.path.open("ab", buffering=0)

    def finish(self, length: int | None) -> None:
        """Give the file its name, once it is on the disk as a whole."""
        size = self.size()
        if size == 0 or (length is not None and size != length):
            self.restart("")
            raise ConnectionFailed(f"the download ended with {size} of {length or 'some'} bytes")
        with self.path.open("rb") as file:
            os.fsync(file.fileno())
        self.path.replace(self.target)
        self._validator.unlink(missing_ok=True)
        _sync_folder(self.target.parent)


def _sync_folder(folder: Path) -> None:
    """Have the new name survive a power cut, where folders can be synced."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def file_name(track: Track) -> str:
    """Name a track's file after its title and its id, whatever the service put into them."""
    address = urlsplit(track.audio_url or "")
    extension = PurePosixPath(address.path).suffix
    extension = extension if _EXTENSION.fullmatch(extension) else ".mp3"
    title = _safe(track.title or "track")
    # without an id, the URL tells one track from the other
    identity = _safe(track.id or "") or hashlib.sha256(address.path.encode()).hexdigest()[:16]
    if len(identity.encode()) > 64:
        identity = hashlib.sha256(identity.encode()).hexdigest()[:32]
    return f"{title} {identity}{extension}"


def _safe(text: str) -> str:
    """Keep what every file system takes, without hidden names, in few enough bytes."""
    cleaned = _UNSAFE.sub("_", text).strip(" .")
    return cleaned.encode()[:LONGEST_STEM_NAME_BYTES].decode(errors="ignore").strip(" .")


async def _not_empty(stem: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
    size = 0
    async for chunk in stem:
        size += len(chunk)
        yield chunk
    if not size:
        raise InvalidRequest("stem", "an empty stream", "must not be empty")
