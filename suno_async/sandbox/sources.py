"""Fetching what a URL names: from the sandbox itself or from this machine, never from elsewhere."""

import hashlib
import ipaddress
import weakref
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

import aiohttp

from suno_async.sandbox.validation import Refusal
from suno_async.sandbox.wav import NotAudioError, Stem, read_layout, silence

# docs: uploads by URL are fetched within 30 s, and 100 MB are advised
_FETCH_TIMEOUT_S = 30.0
_FETCH_LIMIT_BYTES = 100 * 1024 * 1024


def is_loopback(url: str) -> bool:
    """Tell whether a URL's host is this machine."""
    try:
        host = urlsplit(url).hostname or ""
        if host == "localhost":
            return True
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class SourceReader:
    """Read files by URL.

    Args:
        read_own: Returns the file behind path and query of the sandbox itself, or None.
    """

    def __init__(self, read_own: Callable[[str], Awaitable[bytes | None]]) -> None:
        self._read_own = read_own
        self.port = 0
        self.session: aiohttp.ClientSession | None = None

    async def read(self, url: str) -> bytes:
        """Fetch a file from this machine.

        Raises:
            Refusal: 451 when the host is elsewhere or gives no file.
        """
        if not is_loopback(url):
            raise Refusal(451, f"could not fetch {url}: the sandbox contacts this machine only")
        data = await self._own_or_other(url)
        if data is None:
            raise Refusal(451, f"could not fetch {url}: verify its access restrictions")
        return data

    async def _own_or_other(self, url: str) -> bytes | None:
        try:
            parts = urlsplit(url)
            own = parts.port == self.port
        except ValueError as error:
            raise Refusal(422, f"could not fetch {url}: {error}") from error
        if not own:
            return await self._fetch(url)
        return await self._read_own(parts.path + (f"?{parts.query}" if parts.query else ""))

    async def _fetch(self, url: str) -> bytes | None:
        if self.session is None:
            raise RuntimeError("the sandbox is not running")
        timeout = aiohttp.ClientTimeout(total=_FETCH_TIMEOUT_S)
        try:
            # A redirect could lead away from this machine.
            async with self.session.get(url, allow_redirects=False, timeout=timeout) as response:
                if response.status != 200:
                    return None
                data = bytearray()
                async for chunk in response.content.iter_chunked(65_536):
                    data += chunk
                    if len(data) > _FETCH_LIMIT_BYTES:
                        return None
                return bytes(data)
        except (aiohttp.ClientError, TimeoutError, ValueError):
            return None


class StemReader:
    """Turn upload URLs into stems; equal files are kept once.

    Args:
        sources: Fetches files.
        default_stem_s: Length in seconds of stems on hosts that are not contacted.
    """

    def __init__(self, sources: SourceReader, default_stem_s: float) -> None:
        self._sources = sources
        self._silence = silence(default_stem_s)
        self._known: weakref.WeakValueDictionary[str, Stem] = weakref.WeakValueDictionary()

    async def read(self, url: str) -> Stem:
        """Fetch a stem and look at its header.

        Raises:
            Refusal: 451 when this machine has no such file.
        """
        if not is_loopback(url):
            return self._silence
        return self._look_at(await self._sources.read(url))

    def _look_at(self, data: bytes) -> Stem:
        digest = hashlib.sha256(data).hexdigest()
        stem = self._known.get(digest)
        if stem is None:
            stem = self._known[digest] = _stem(data, digest)
        return stem


def _stem(data: bytes, digest: str) -> Stem:
    try:
        layout = read_layout(data)
    except NotAudioError as error:
        return Stem(1, 0, None, str(error), digest)
    return Stem(layout.sample_rate, layout.frames, data, None, digest)
