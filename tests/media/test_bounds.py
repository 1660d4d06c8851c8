"""Size, time and requests are bounded; what cannot be resumed is not left on disk."""

import asyncio
import zlib
from collections.abc import AsyncIterator
from datetime import timedelta
from itertools import count
from pathlib import Path

import pytest
from aiohttp import web

from suno_async import (
    ConnectionFailed,
    NotFound,
    ProtocolError,
    RateLimited,
    RetryPolicy,
    ServerError,
    SunoError,
    VirtualClock,
)
from tests.waiting import HANGS_AFTER_S
from tests.world import EAGER

from .hosts import BODY, everything_in, media_for, media_host, partly, track_at


async def _stream(
    request: web.Request, chunks: AsyncIterator[bytes], **headers: str
) -> web.StreamResponse:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    response = web.StreamResponse(headers=named)
    await response.prepare(request)
    async for chunk in chunks:
        await response.write(chunk)
    return response


async def _endless() -> AsyncIterator[bytes]:
    yield b"ID3\x04"
    while True:
        yield BODY


async def test_an_endless_body_is_cut_off(tmp_path: Path) -> None:
    """A body of unknown length ends at `max_bytes`, is not asked for again, and leaves nothing."""
    asked = 0

    async def serve(request: web.Request) -> web.StreamResponse:
        nonlocal asked
        asked += 1
        return await _stream(request, _endless(), ETag='"1"')

    async with media_host(serve) as url, media_for(max_bytes=3_000_000) as media:
        with pytest.raises(ProtocolError, match="larger than 3000000 bytes"):
            await media.download(track_at(url), tmp_path)
    assert asked == 1
    assert everything_in(tmp_path) == []


@pytest.mark.parametrize(("size", "fits"), [(len(BODY), True), (len(BODY) - 1, False)])
async def test_a_file_that_is_too_large_is_not_begun(tmp_path: Path, size: int, fits: bool) -> None:
    """A length beyond `max_bytes` is refused before a byte is written; just that much fits."""

    async def serve(_: web.Request) -> web.StreamResponse:
        return web.Response(body=BODY)

    async with media_host(serve) as url, media_for(max_bytes=size) as media:
        if fits:
            assert (await media.download(track_at(url), tmp_path)).read_bytes() == BODY
            return
        with pytest.raises(ProtocolError, match="larger than"):
            await media.download(track_at(url), tmp_path)
    assert everything_in(tmp_path) == []


@pytest.mark.parametrize("max_bytes", [1_000_000, 1024**3])
async def test_what_grows_out_of_all_proportion_is_cut_off(tmp_path: Path, max_bytes: int) -> None:
    """Little that says to be much, by its encoding, ends at `max_bytes` or earlier."""
    packer = zlib.compressobj(wbits=31)
    zeros = bytes(1024 * 1024)
    packed = packer.compress(b"ID3\x04") + b"".join(packer.compress(zeros) for _ in range(64))
    packed += packer.flush()

    async def serve(_: web.Request) -> web.StreamResponse:
        return web.Response(body=packed, headers={"Content-Encoding": "gzip"})

    async with media_host(serve) as url, media_for(max_bytes=max_bytes) as media:
        with pytest.raises(ProtocolError, match=r"larger than|grow beyond"):
            await media.download(track_at(url), tmp_path)
    assert everything_in(tmp_path) == []


async def test_next_to_nothing_is_no_progress(tmp_path: Path) -> None:
    """A host that sends a byte now and then, never silent for long, is given up."""
    asked = 0

    async def trickle() -> AsyncIterator[bytes]:
        yield BODY[:64]
        while True:
            await asyncio.sleep(0.02)
            yield b"x"

    async def serve(request: web.Request) -> web.StreamResponse:
        nonlocal asked
        asked += 1
        return await _stream(request, trickle())

    policy = RetryPolicy(attempts=2, base=EAGER.base, cap=EAGER.cap)
    async with media_host(serve) as url, media_for(timeout_s=0.5, policy=policy) as media:
        async with asyncio.timeout(HANGS_AFTER_S):
            with pytest.raises(ConnectionFailed):
                await media.download(track_at(url), tmp_path)
    assert asked == 2
    assert everything_in(tmp_path) == []


@pytest.mark.parametrize("etag", [None, '"1"'])
async def test_a_byte_more_each_time_is_no_progress(tmp_path: Path, etag: str | None) -> None:
    """A host that breaks off after 100, 101, 102 … bytes is given up, with ranges and without."""
    sizes = count(100)
    headers = {"ETag": etag} if etag else {}

    async def serve(request: web.Request) -> web.StreamResponse:
        size = next(sizes)
        begin = int(request.headers.get("Range", "bytes=0-")[6:-1])
        response = web.StreamResponse(status=206 if begin else 200, headers=headers)
        if begin:
            response.headers["Content-Range"] = f"bytes {begin}-{len(BODY) - 1}/{len(BODY)}"
        response.content_length = len(BODY) - begin
        await response.prepare(request)
        await response.write(BODY[begin : begin + (1 if begin else size)])
        assert request.transport is not None
        request.transport.close()
        return response

    async with media_host(serve) as url, media_for() as media:
        with pytest.raises(ConnectionFailed):
            await media.download(track_at(url), tmp_path)
    assert next(sizes) - 100 == EAGER.attempts
    kept = [name.rpartition(".")[2] for name in everything_in(tmp_path)]
    assert kept == (["part", "tag"] if etag else [])


@pytest.mark.parametrize("status", [429, 503])
async def test_a_day_is_longer_than_the_patience(tmp_path: Path, status: int) -> None:
    """`Retry-After` beyond the policy's patience is an error at once, which carries it."""
    asked = 0

    async def serve(_: web.Request) -> web.StreamResponse:
        nonlocal asked
        asked += 1
        return web.Response(status=status, headers={"Retry-After": "86400"})

    async with media_host(serve) as url, media_for() as media:
        with pytest.raises(SunoError) as caught:
            await media.download(track_at(url), tmp_path)
    assert asked == 1
    assert isinstance(caught.value, RateLimited | ServerError)
    assert caught.value.retry_after == timedelta(days=1)
    assert everything_in(tmp_path) == []


async def test_wishes_to_wait_add_up(tmp_path: Path) -> None:
    """A host that asks for four minutes again and again gets two of them within ten."""
    clock = VirtualClock()
    asked = 0

    async def serve(_: web.Request) -> web.StreamResponse:
        nonlocal asked
        asked += 1
        return web.Response(status=429, headers={"Retry-After": "240"})

    async def pass_time(download: "asyncio.Task[Path]") -> None:
        while not download.done():
            await asyncio.sleep(0.001)
            if clock.next_deadline_s() is not None:
                clock.advance(10)

    async with media_host(serve) as url, media_for(clock=clock, policy=RetryPolicy()) as media:
        download = asyncio.create_task(media.download(track_at(url), tmp_path))
        await pass_time(download)
        with pytest.raises(RateLimited):
            await download
    assert asked == 3
    assert 480 <= clock.monotonic() <= 600


async def test_an_unasked_part_is_not_the_whole(tmp_path: Path) -> None:
    """A 206 that nobody asked for, of unknown length, never becomes a file."""

    async def serve(_: web.Request) -> web.StreamResponse:
        headers = {"Content-Range": "bytes 0-49/*", "ETag": '"1"'}
        return web.Response(body=BODY[:50], status=206, headers=headers)

    async with media_host(serve) as url, media_for() as media:
        with pytest.raises(SunoError):
            await media.download(track_at(url), tmp_path)
    assert everything_in(tmp_path) == []


async def test_short_ranges_add_up(tmp_path: Path) -> None:
    """A host that gives a limited piece at a time is asked until the file is whole."""

    async def serve(request: web.Request) -> web.StreamResponse:
        if "Range" not in request.headers:
            return await _begin(request)
        begin = int(request.headers["Range"][6:-1])
        end = min(begin + 200_000, len(BODY))
        headers = {"Content-Range": f"bytes {begin}-{end - 1}/{len(BODY)}", "ETag": '"1"'}
        return web.Response(body=BODY[begin:end], status=206, headers=headers)

    async def _begin(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"ETag": '"1"'})
        response.content_length = len(BODY)
        await response.prepare(request)
        await response.write(BODY[:100_000])
        assert request.transport is not None
        request.transport.close()
        return response

    async with media_host(serve) as url, media_for() as media:
        assert (await media.download(track_at(url), tmp_path)).read_bytes() == BODY


async def test_what_cannot_be_resumed_is_not_left(tmp_path: Path) -> None:
    """Without a validator, a part is of no use to anybody and is removed."""

    async def serve(request: web.Request) -> web.StreamResponse:
        return await partly(request, BODY[:20], {})

    async with media_host(serve) as url, media_for() as media:
        with pytest.raises(ConnectionFailed):
            await media.download(track_at(url), tmp_path)
    assert everything_in(tmp_path) == []


@pytest.mark.parametrize("status", [404, 410, 441])
async def test_a_part_of_what_is_gone_is_not_left(tmp_path: Path, status: int) -> None:
    """A part that could be resumed is of no use when the host has lost the file."""
    asked = 0

    async def serve(request: web.Request) -> web.StreamResponse:
        nonlocal asked
        asked += 1
        if asked > 1:
            return web.Response(status=status)
        return await partly(request, BODY[:20], {"ETag": '"1"'})

    async with media_host(serve) as url, media_for() as media:
        with pytest.raises(NotFound):
            await media.download(track_at(url), tmp_path)
    assert asked == 2
    assert everything_in(tmp_path) == []
