"""Audio in and out: upload a stem, download the tracks as whole files."""

import asyncio
import hashlib
import os
import re
import stat
import sys
from collections.abc import AsyncIterable, AsyncIterator, Callable
from contextlib import ExitStack
from pathlib import Path, PurePosixPath
from typing import BinaryIO, ParamSpec, TypeVar, cast
from urllib.parse import urlsplit
from uuid import uuid4
from weakref import WeakValueDictionary

import aiohttp

from suno_async.clock import Clock
from suno_async.errors import (
    ConnectionFailed,
    InvalidRequest,
    NotFound,
    ProtocolError,
    RateLimited,
    SunoError,
    api_error,
)
from suno_async.models import Track, check_url
from suno_async.retry import RetryPolicy, SharedPause, persist, read_retry_after
from suno_async.transport import CONNECT_S, Transport, connection_failed
from suno_async.verdict import is_transient
from suno_async.wire import read_upload_url

P = ParamSpec("P")
T = TypeVar("T")

Stem = str | os.PathLike[str] | bytes | AsyncIterable[bytes]

# docs: upload of a file as multipart/form-data
UPLOAD_PATH = "/file-upload/api/file-stream-upload"
UPLOAD_FOLDER = "suno-async"

CHUNK_BYTES = 256 * 1024
LONGEST_TITLE_BYTES = 120
LONGEST_ID_BYTES = 64
# how often to see whether another process is done with the same download
LOCK_GAP_S = 0.2
# how long a thread's work may still take when its caller is cancelled
LAST_WAIT_S = 0.5

# what file systems refuse, what breaks lines, and what turns the direction of writing
_UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f/\\:*?\"<>|\u2028-\u202e\u2066-\u2069\ud800-\udfff]+")
# Windows keeps these names for devices, whatever follows their first dot
_RESERVED = re.compile(r"(?:CON|PRN|AUX|NUL|COM[0-9¹²³]|LPT[0-9¹²³]) *(?:\.|$)", re.IGNORECASE)
_EXTENSION = re.compile(r"\.[A-Za-z0-9]{1,5}")
_NO_AUDIO = re.compile(r"(?:text|image|font)/.*|.*[/+](?:json|xml)")
_MAGIC = {
    b"ID3": ".mp3",
    b"\xff\xfb": ".mp3",
    b"\xff\xf3": ".mp3",
    b"fLaC": ".flac",
    b"OggS": ".ogg",
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
            return await self._upload_stream(stem)
        if isinstance(stem, bytes | bytearray | memoryview):
            if not stem:
                raise InvalidRequest("stem", stem, "must not be empty")
            return await self._upload_often(bytes(stem))
        if isinstance(cast("object", stem), str | os.PathLike):
            path = Path(stem)
            await _in_thread(_check_stem, path)
            return await self._upload_often(path)
        raise InvalidRequest("stem", stem, "must be a path, bytes, or an async iterable of bytes")

    async def _upload_often(self, stem: bytes | Path) -> str:
        """Upload what can be read again, repeating it when the network fails: it costs nothing."""

        async def upload() -> str:
            if isinstance(stem, bytes):
                return await self._upload_once(stem, _extension_of(stem))
            with ExitStack() as files:
                file = await _in_thread(_open_stem, stem, files)
                return await self._upload_once(file, stem.suffix)

        return await persist(upload, policy=self._policy, clock=self._clock, pause=self._pause)

    async def _upload_stream(self, stem: AsyncIterable[bytes]) -> str:
        chunks = aiter(stem)
        async for first in chunks:
            if first:
                break
        else:
            raise InvalidRequest("stem", "an empty stream", "must not be empty")
        broke: list[Exception] = []

        async def relay() -> AsyncIterator[bytes]:
            try:
                yield first
                async for chunk in chunks:
                    yield chunk
            except Exception as error:
                broke.append(error)
                raise

        try:
            return await self._upload_once(relay(), _extension_of(first))
        except SunoError:
            if broke:  # it was the caller's stream and not the network
                raise broke[0] from None
            raise

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
            if not await _in_thread(target.is_file):
                await _in_thread(_make_folder, target.parent)
                await self._fetch(track.audio_url, target)
        return target

    async def _fetch(self, url: str, target: Path) -> None:
        """Fetch a file, unless another process that fetches it as well is faster."""
        part = _PartFile(target)
        try:
            while not await _in_thread(part.open):
                await self._clock.sleep(LOCK_GAP_S)
            if not await _in_thread(target.is_file):
                await self._fetch_part(url, part)
        finally:
            part.close()

    async def _fetch_part(self, url: str, part: "_PartFile") -> None:
        """Fetch until the file is whole; every byte that came buys another try."""
        failures = 0
        while True:
            had = part.size()
            try:
                return await self._fetch_rest(url, part)
            except SunoError as error:
                failures = 1 if part.size() > had else failures + 1
                if not is_transient(error) or failures >= self._policy.attempts:
                    raise
                wait_s = self._policy.wait_s(failures)
                if isinstance(error, RateLimited) and error.retry_after is not None:
                    wait_s += error.retry_after.total_seconds()
            await self._clock.sleep(wait_s)

    async def _fetch_rest(self, url: str, part: "_PartFile") -> None:
        offset, validator = await _in_thread(part.resume_point)
        headers = {"Accept-Encoding": "identity"}
        if offset:
            headers |= {"Range": f"bytes={offset}-", "If-Range": validator}
        try:
            async with self._transport.anonymous.get(
                url, headers=headers, timeout=self._timeout, raise_for_status=False
            ) as response:
                length = self._expected_bytes(response, offset, validator)
                if length == 0 or response.status == 200:
                    await _in_thread(part.restart, _validator(response))
                if length == 0:
                    raise ConnectionFailed("the server has another file now, or none to resume")
                if response.status != 416:
                    await self._write(response.content, part)
        except (aiohttp.ClientError, TimeoutError) as error:
            raise connection_failed(error) from error
        await _in_thread(part.finish, length)

    @staticmethod
    async def _write(content: aiohttp.StreamReader, part: "_PartFile") -> None:
        try:
            async for chunk in content.iter_chunked(CHUNK_BYTES):
                await _in_thread(part.write, chunk)
        except aiohttp.ClientPayloadError:
            # aiohttp withholds what came before the connection broke while its error is set
            content.set_exception(cast("BaseException", None))
            await _in_thread(part.write, content.read_nowait())
            raise

    def _expected_bytes(
        self, response: aiohttp.ClientResponse, offset: int, validator: str
    ) -> int | None:
        """Check that this is the audio.

        Returns:
            The whole file's length, None if the server does not tell it, 0 if what is there
            already does not belong to what the server has.
        """
        status = response.status
        content_range = response.headers.get("Content-Range", "")
        if status == 416 and offset:
            return offset if content_range == f"bytes */{offset}" else 0
        if status not in {200, 206}:
            raise self._refusal(response)
        if _NO_AUDIO.fullmatch(response.content_type):
            reason = f"{response.url.host} sent {response.content_type} in place of audio"
            raise ProtocolError(reason, status)
        if status == 200:
            return response.content_length or None
        found = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", content_range)
        if not found or int(found[1]) != offset or _validator(response) not in {"", validator}:
            return 0
        return None if found[2] == "*" else int(found[2])

    def _refusal(self, response: aiohttp.ClientResponse) -> SunoError:
        status = response.status
        text = f"{response.url.host} does not give the audio (HTTP {status})"
        if status == 410:
            return NotFound(status, text, status)
        retry_after = read_retry_after(response.headers.get("Retry-After"), self._clock.now())
        return api_error(status, text, status, retry_after)


def _validator(response: aiohttp.ClientResponse) -> str:
    """Take what names the file's content; a weak tag does not promise the same bytes."""
    validator = response.headers.get("ETag") or response.headers.get("Last-Modified") or ""
    return "" if validator.startswith("W/") else validator


class _PartFile:
    """A download that is not whole yet, beside its target and under another name.

    While it is open it is locked, so that no two processes write it at a time. A small file next
    to it holds the server's validator, without which it cannot be resumed.
    """

    def __init__(self, target: Path) -> None:
        self._target = target
        self._path = target.with_name(f".{target.name}.part")
        self._tag = target.with_name(f".{target.name}.tag")
        self._file: BinaryIO | None = None

    def open(self) -> bool:
        """Take the file for this download alone; False while another process has it."""
        with ExitStack() as files:
            file = files.enter_context(self._path.open("ab", buffering=0))
            if not _lock(file) or not _is_at(file, self._path):
                return False
            files.pop_all()
            self._file = file
        return True

    def close(self) -> None:
        """Leave it for the next download; an empty one is removed."""
        if self._file is None or self._file.closed:
            return
        with self._file:
            if not self.size() and _is_at(self._file, self._path):
                self._path.unlink(missing_ok=True)
                self._tag.unlink(missing_ok=True)

    @property
    def _opened(self) -> BinaryIO:
        assert self._file is not None  # noqa: S101 - whoever uses it has opened it
        return self._file

    def size(self) -> int:
        return os.fstat(self._opened.fileno()).st_size

    def resume_point(self) -> tuple[int, str]:
        """Tell how many bytes are there and what they are a part of; (0, "") to begin anew."""
        try:
            validator = self._tag.read_text(encoding="utf-8")
        except (FileNotFoundError, UnicodeDecodeError):
            return 0, ""
        # it becomes a header, so it must be what a header can hold
        return (self.size(), validator) if validator.isprintable() and validator else (0, "")

    def restart(self, validator: str) -> None:
        """Forget what is there; what comes now belongs to `validator`."""
        self._opened.truncate(0)
        self._tag.write_text(validator, encoding="utf-8")

    def write(self, chunk: bytes) -> None:
        rest = memoryview(chunk)
        while rest:  # a nearly full disk takes less than it is given
            rest = rest[self._opened.write(rest) :]

    def finish(self, length: int | None) -> None:
        """Give the file its name, once it is on the disk as a whole."""
        size = self.size()
        if size == 0 or (length is not None and size != length):
            self.restart("")
            raise ConnectionFailed(f"the download ended with {size} of {length or 'some'} bytes")
        os.fsync(self._opened.fileno())
        if sys.platform == "win32":
            self._opened.close()
        self._path.replace(self._target)
        self._tag.unlink(missing_ok=True)
        _sync_folder(self._target.parent)


if sys.platform == "win32":

    def _lock(file: BinaryIO) -> bool:
        """Windows renames no open file, so that a lock could not be held until the end."""
        return True

    def _sync_folder(folder: Path) -> None:
        """Windows syncs no folders."""

else:
    import fcntl

    def _lock(file: BinaryIO) -> bool:
        """Lock a file until it is closed; False when somebody else has it locked."""
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:  # not every file system has locks
            return not isinstance(error, BlockingIOError)
        return True

    def _sync_folder(folder: Path) -> None:
        """Have the new name survive a power cut."""
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _is_at(file: BinaryIO, path: Path) -> bool:
    """Tell whether an open file still has this name."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def _make_folder(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)


def _open_stem(path: Path, files: ExitStack) -> BinaryIO:
    return files.enter_context(path.open("rb"))


def _check_stem(path: Path) -> None:
    """Refuse what is not a readable file with something in it; a pipe would block for ever."""
    if not stat.S_ISREG(path.stat().st_mode):
        raise InvalidRequest("stem", str(path), "must be a file")
    with path.open("rb") as file:
        if not file.read(1):
            raise InvalidRequest("stem", str(path), "must be a file that is not empty")


def _extension_of(audio: bytes) -> str:
    """Name the format of audio by how it begins; WAV when it cannot be told."""
    if audio[4:8] == b"ftyp":
        return ".m4a"
    return next((name for magic, name in _MAGIC.items() if audio.startswith(magic)), ".wav")


def file_name(track: Track) -> str:
    """Name a track's file after its title and its id, whatever the service put into them."""
    address = urlsplit(track.audio_url or "")
    extension = PurePosixPath(address.path).suffix
    extension = extension if _EXTENSION.fullmatch(extension) else ".mp3"
    title = _safe(track.title or "") or "track"
    if _RESERVED.match(title):
        title = f"_{title}"
    return f"{title} {_identity(track.id, address.path)}{extension}"


def _identity(track_id: str | None, path: str) -> str:
    """Take the id if it can be in a name as it is; two ids must never come out as one."""
    if not track_id:  # the URL tells one track from the other
        return hashlib.sha256(path.encode()).hexdigest()[:16]
    if track_id == _safe(track_id) and len(track_id.encode()) <= LONGEST_ID_BYTES:
        return track_id
    return hashlib.sha256(track_id.encode(errors="surrogatepass")).hexdigest()[:32]


def _safe(text: str) -> str:
    """Keep what every file system takes, without hidden names, in few enough bytes."""
    cleaned = _UNSAFE.sub("_", text).strip(" .")
    return cleaned.encode()[:LONGEST_TITLE_BYTES].decode(errors="ignore").strip(" .")


async def _in_thread(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Work with files in a thread; whoever is cancelled meanwhile waits for it, for a moment.

    Otherwise a thread could go on with a file that its owner has closed. A disk that hangs, or a
    pool without a free thread, must not keep the session from being left.
    """
    running = asyncio.ensure_future(asyncio.to_thread(work, *args, **kwargs))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.wait({running}, timeout=LAST_WAIT_S)
        raise
