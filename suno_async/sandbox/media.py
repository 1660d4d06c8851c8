"""The file host: audio that is rendered when it is first asked for, streams, covers, ranges."""

import asyncio
import hashlib
import re
from collections import OrderedDict
from typing import TypeAlias

from aiohttp import web
from attrs import frozen

from suno_async.sandbox.activity import Activity
from suno_async.sandbox.audio import Arrangement, accompany
from suno_async.sandbox.exchange import send_part
from suno_async.sandbox.faults import CutAfter, Fault, IgnoreRange, Throttle
from suno_async.sandbox.wav import Stem

_RANGE = re.compile(r"bytes=(\d*)-(\d*)")
_CACHE_BYTES = 64 * 1024 * 1024

_Key: TypeAlias = tuple[str, int, int, Arrangement]


@frozen
class File:
    """A file as it is served."""

    data: bytes
    mime_type: str
    etag: str

    @classmethod
    def of(cls, data: bytes, mime_type: str) -> "File":
        """Name the content by its digest."""
        digest = hashlib.sha1(data, usedforsecurity=False).hexdigest()
        return cls(data, mime_type, f'"{digest}"')


class Studio:
    """Render accompaniments in a thread, each once; the latest are kept.

    Equal stems under equal arrangements are one file, however many tasks ask for it.
    """

    def __init__(self) -> None:
        self._kept: OrderedDict[_Key, File] = OrderedDict()
        self._kept_bytes = 0
        self._rendering: dict[_Key, asyncio.Task[File]] = {}

    async def audio(self, stem: Stem, arrangement: Arrangement) -> File:
        """Return the accompaniment of a stem."""
        key = (stem.digest, stem.sample_rate, stem.frames, arrangement)
        kept = self._kept.get(key)
        if kept is not None:
            self._kept.move_to_end(key)
            return kept
        rendering = self._rendering.get(key)
        if rendering is None:
            rendering = asyncio.create_task(self._render(key, stem, arrangement))
            self._rendering[key] = rendering
            rendering.add_done_callback(lambda _: self._rendering.pop(key, None))
        # One reader that goes away must not take the file from the others.
        return await asyncio.shield(rendering)

    async def _render(self, key: _Key, stem: Stem, arrangement: Arrangement) -> File:
        data = await asyncio.to_thread(accompany, stem, arrangement)
        file = File.of(data, "audio/wav")
        self._kept[key] = file
        self._kept_bytes += len(data)
        while self._kept_bytes > _CACHE_BYTES and len(self._kept) > 1:
            _, dropped = self._kept.popitem(last=False)
            self._kept_bytes -= len(dropped.data)
        return file

    async def close(self) -> None:
        """Wait for what is being rendered."""
        if self._rendering:
            await asyncio.wait(list(self._rendering.values()))


async def serve(
    request: web.BaseRequest, file: File, fault: Fault | None, activity: Activity
) -> web.StreamResponse:
    """Answer a GET or HEAD of a file, whole or one range of it."""
    size = len(file.data)
    headers = {"ETag": file.etag, "Accept-Ranges": "bytes", "Content-Type": file.mime_type}
    if isinstance(fault, IgnoreRange):
        del headers["Accept-Ranges"]
        span: tuple[int, int] | None = None
    else:
        span = _span(request, file.etag, size)
    status, first, end = 200, 0, size
    if span is not None:
        status, (first, end) = 206, span
        if first >= end:
            headers["Content-Range"] = f"bytes */{size}"
            return web.Response(status=416, headers=headers)
        headers["Content-Range"] = f"bytes {first}-{end - 1}/{size}"
    body = file.data if end - first == size else file.data[first:end]
    if request.method == "HEAD":
        headers["Content-Length"] = str(len(body))
        return web.Response(status=status, headers=headers)
    if isinstance(fault, CutAfter):
        part = body[: fault.size_bytes]
        return await send_part(request, part, len(body), status=status, headers=headers)
    if isinstance(fault, Throttle):
        return await _drip(request, body, fault, activity, status=status, headers=headers)
    return web.Response(body=body, status=status, headers=headers)


def _span(request: web.BaseRequest, etag: str, size: int) -> tuple[int, int] | None:
    """Work out the range asked for; an empty one can not be satisfied, None is everything."""
    match = _RANGE.fullmatch(request.headers.get("Range", "").strip())
    if match is None or request.headers.get("If-Range", etag) != etag:
        return None
    first_text, last_text = match.groups()
    if first_text:
        first = int(first_text)
        end = min(int(last_text) + 1, size) if last_text else size
        if last_text and int(last_text) < first:
            return None
        return (first, end) if first < size else (size, size)
    if last_text:
        return max(size - int(last_text), 0), size
    return None


async def _drip(
    request: web.BaseRequest,
    body: bytes,
    fault: Throttle,
    activity: Activity,
    *,
    status: int,
    headers: dict[str, str],
) -> web.StreamResponse:
    response = web.StreamResponse(status=status, headers=headers)
    response.content_length = len(body)
    await response.prepare(request)
    for at in range(0, len(body), fault.chunk_bytes):
        if at:
            await activity.sleep(fault.pause_s)
        await response.write(body[at : at + fault.chunk_bytes])
    return response
