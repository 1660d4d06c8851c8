"""The file host: audio that is rendered when it is first asked for, streams, covers, ranges."""

import asyncio
import gzip
import hashlib
import itertools
import math
import re
import zlib
from collections import OrderedDict
from collections.abc import Iterator
from typing import TypeAlias

from aiohttp import web
from attrs import frozen

from suno_async.sandbox.activity import Activity
from suno_async.sandbox.audio import Arrangement, accompany
from suno_async.sandbox.media_faults import Served
from suno_async.sandbox.wav import Stem

_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})", re.ASCII)
_CHUNK_BYTES = 65_536
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
    request: web.BaseRequest, file: File, how: Served, activity: Activity
) -> web.StreamResponse:
    """Answer a GET or HEAD of a file, whole or one range of it."""
    data = gzip.compress(file.data, 1, mtime=0) if how.gzip and not how.endless else file.data
    size = len(data)
    headers = _headers(file, how)
    span = _span(request, headers.get("ETag", ""), size) if how.ranges else None
    if span is None and how.unasked_bytes is not None:
        span = 0, min(how.unasked_bytes, size)
    status, first, end = 200, 0, size
    if span is not None:
        status, (first, end) = 206, span
        if first >= end:
            headers["Content-Range"] = f"bytes */{size}"
            return web.Response(status=416, headers=headers)
        headers["Content-Range"] = f"bytes {first}-{end - 1}/{size}"
    headers.update(how.headers)
    body = data if end - first == size else data[first:end]
    if request.method == "HEAD":
        headers["Content-Length"] = str(len(body))
        return web.Response(status=status, headers=headers)
    if not how.length or how.endless or how.chunk_bytes or how.cut_after_bytes is not None:
        response = web.StreamResponse(status=status, headers=headers)
        return await _stream(request, response, body, how, activity)
    return web.Response(body=body, status=status, headers=headers)


def _headers(file: File, how: Served) -> dict[str, str]:
    headers = {"Content-Type": file.mime_type}
    if how.ranges:
        headers["Accept-Ranges"] = "bytes"
    if how.etag != "none":
        headers["ETag"] = file.etag if how.etag == "strong" else f"W/{file.etag}"
    if how.gzip:
        headers["Content-Encoding"] = "gzip"
    return headers


def _span(request: web.BaseRequest, etag: str, size: int) -> tuple[int, int] | None:
    """Work out the range asked for; an empty one can not be satisfied, None is everything."""
    match = _RANGE.fullmatch(request.headers.get("Range", "").strip())
    if match is None or not _unchanged(request, etag):
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


def _unchanged(request: web.BaseRequest, etag: str) -> bool:
    """Tell whether `If-Range` allows a range; a weak tag never does (RFC 9110)."""
    condition = request.headers.get("If-Range")
    return condition is None or (condition == etag and not etag.startswith("W/"))


async def _stream(
    request: web.BaseRequest,
    response: web.StreamResponse,
    body: bytes,
    how: Served,
    activity: Activity,
) -> web.StreamResponse:
    if how.length and not how.endless:
        response.content_length = len(body)
    if how.cut_after_bytes is not None:
        response.force_close()
    await response.prepare(request)
    left = math.inf if how.cut_after_bytes is None else how.cut_after_bytes
    for at, part in enumerate(_parts(body, how)):
        if left <= 0:
            break
        if at:
            await activity.sleep(how.pause_s)
        sent = part if len(part) <= left else part[: int(left)]
        left -= len(sent)
        await response.write(sent)
    if how.cut_after_bytes is not None and request.transport is not None:
        request.transport.close()
    return response


def _parts(body: bytes, how: Served) -> Iterator[bytes]:
    size = how.chunk_bytes or _CHUNK_BYTES
    pack = zlib.compressobj(wbits=31) if how.gzip and how.endless else None
    plain = (body[at : at + size] for at in range(0, len(body), size))
    zeros = itertools.repeat(bytes(_CHUNK_BYTES)) if how.endless else ()
    for part in itertools.chain(plain, zeros):
        sent = part if pack is None else pack.compress(part)
        if sent:
            yield sent
