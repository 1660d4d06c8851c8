"""Audio that is not there yet is waited for; audio that is dead is fetched from its source."""

import asyncio
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from aiohttp import web

from suno_async import ApiError, ConnectionFailed, NotFound, SunoError, Track, VirtualClock
from suno_async.media import Media

from .hosts import BODY, everything_in, media_for, media_host, track_at


async def _run(clock: VirtualClock, download: "asyncio.Task[Path]") -> Path:
    """Let time jump whenever the download waits for it."""
    while not download.done():
        await asyncio.sleep(0.001)
        deadline_s = clock.next_deadline_s()
        if deadline_s is not None:
            clock.advance(max(deadline_s - clock.monotonic(), 0))
    return await download


def _young(
    media: Media, clock: VirtualClock, track: Track, way: str
) -> "Callable[[Path], asyncio.Task[Path]]":
    def begin(folder: Path) -> "asyncio.Task[Path]":
        if way == "told":
            media.complete([track])
            return asyncio.create_task(media.download(track, folder))
        return asyncio.create_task(media.download(track, folder, completed_at=clock.now()))

    return begin


@pytest.mark.parametrize("way", ["told", "given"])
@pytest.mark.parametrize("status", [403, 404, 200])
async def test_audio_that_is_young_is_waited_for(tmp_path: Path, status: int, way: str) -> None:
    """403, 404 and an empty 200 are asked again in the ten minutes after the task is complete."""
    clock = VirtualClock()
    asked = 0

    async def serve(_: web.Request) -> web.StreamResponse:
        nonlocal asked
        asked += 1
        return web.Response(body=BODY) if asked > 8 else web.Response(status=status)

    async with media_host(serve) as url, media_for(clock=clock) as media:
        path = await _run(clock, _young(media, clock, track_at(url), way)(tmp_path))
    assert path.read_bytes() == BODY
    assert asked == 9
    assert 0 < clock.monotonic() < 600


@pytest.mark.parametrize(
    ("status", "error"), [(403, ApiError), (404, NotFound), (200, ConnectionFailed)]
)
async def test_youth_ends(tmp_path: Path, status: int, error: type[SunoError]) -> None:
    """After ten minutes it is told, and by then it was asked for politely."""
    clock = VirtualClock()
    asked = 0

    async def serve(_: web.Request) -> web.StreamResponse:
        nonlocal asked
        asked += 1
        return web.Response(status=status)

    async with media_host(serve) as url, media_for(clock=clock) as media:
        with pytest.raises(error):
            await _run(clock, _young(media, clock, track_at(url), "told")(tmp_path))
    assert clock.monotonic() == pytest.approx(600)
    assert 20 < asked < 120
    assert everything_in(tmp_path) == []


@pytest.mark.parametrize("status", [403, 404])
async def test_audio_that_is_old_is_not_waited_for(tmp_path: Path, status: int) -> None:
    """Ten minutes later, or when nobody knows, such an answer is believed at once."""
    clock = VirtualClock()
    asked = 0

    async def serve(_: web.Request) -> web.StreamResponse:
        nonlocal asked
        asked += 1
        return web.Response(status=status)

    async with media_host(serve) as url, media_for(clock=clock) as media:
        track = track_at(url)
        with pytest.raises(ApiError):
            await media.download(track, tmp_path)
        media.complete([track])
        clock.advance(601)
        with pytest.raises(ApiError):
            await media.download(track, tmp_path)
        past = clock.now() - timedelta(minutes=11)
        with pytest.raises(ApiError):
            await media.download(track, tmp_path, completed_at=past)
    assert asked == 3


@pytest.mark.parametrize("status", [410, 441])
async def test_what_has_expired_is_not_young(tmp_path: Path, status: int) -> None:
    """410 and 441 say that it was there: they are believed at once."""
    asked = 0

    async def serve(_: web.Request) -> web.StreamResponse:
        nonlocal asked
        asked += 1
        return web.Response(status=status)

    async with media_host(serve) as url, media_for() as media:
        media.complete([track_at(url)])
        with pytest.raises(NotFound):
            await media.download(track_at(url), tmp_path)
    assert asked == 1


async def test_what_is_remembered_of_tracks_is_bounded() -> None:
    """The session that sees a million tracks remembers the last ten thousand."""
    async with media_for() as media:
        for number in range(10_500):
            media.complete([track_at(f"http://127.0.0.1/{number}")])
        young = media._arrivals._young
        assert len(young) == 10_000
        assert "http://127.0.0.1/10499" in young


@pytest.mark.parametrize("dead", ["404", "410", "500", "page", "gone", "silly", "none"])
async def test_a_dead_url_falls_back_to_its_source(tmp_path: Path, dead: str) -> None:
    """`audio_url` is preferred; whatever is wrong with it, `source_audio_url` is asked then."""
    asked: Counter[str] = Counter()

    async def serve(request: web.Request) -> web.StreamResponse:
        asked[request.path] += 1
        if request.path == "/source.mp3":
            return web.Response(body=BODY)
        if dead == "page":
            return web.Response(text="<html>")
        return web.Response(status=int(dead))

    async with media_host(serve) as url, media_for() as media:
        broken = {
            "gone": "http://127.0.0.1:1/a.mp3",
            "silly": "http://cdn..example.com/a.mp3",
            "none": None,
        }
        source = url.replace("/a.mp3", "/source.mp3")
        track = Track(id="1", title="t", audio_url=broken.get(dead, url), source_audio_url=source)
        path = await media.download(track, tmp_path)
    assert path.read_bytes() == BODY
    assert asked["/source.mp3"] == 1
    assert everything_in(tmp_path) == [path.name]


async def test_a_living_url_is_preferred(tmp_path: Path) -> None:
    """As long as `audio_url` lives, its source is not asked."""
    asked: list[str] = []

    async def serve(request: web.Request) -> web.StreamResponse:
        asked.append(request.path)
        return web.Response(body=BODY)

    async with media_host(serve) as url, media_for() as media:
        source = url.replace("/a.mp3", "/source.mp3")
        await media.download(
            Track(id="1", title="t", audio_url=url, source_audio_url=source), tmp_path
        )
    assert asked == ["/a.mp3"]


async def test_two_dead_urls_tell_of_the_first(tmp_path: Path) -> None:
    """When the source is dead too, the error is that of `audio_url`."""

    async def serve(request: web.Request) -> web.StreamResponse:
        return web.Response(status=404 if request.path == "/a.mp3" else 410)

    async with media_host(serve) as url, media_for() as media:
        source = url.replace("/a.mp3", "/source.mp3")
        track = Track(id="1", title="t", audio_url=url, source_audio_url=source)
        with pytest.raises(NotFound) as caught:
            await media.download(track, tmp_path)
    assert caught.value.code == 404


async def test_a_young_url_beside_a_living_source_costs_no_wait(tmp_path: Path) -> None:
    """Before anything is waited for, the source is asked."""
    clock = VirtualClock()

    async def serve(request: web.Request) -> web.StreamResponse:
        if request.path == "/source.mp3":
            return web.Response(body=BODY)
        return web.Response(status=404)

    async with media_host(serve) as url, media_for(clock=clock) as media:
        source = url.replace("/a.mp3", "/source.mp3")
        track = Track(id="1", title="t", audio_url=url, source_audio_url=source)
        media.complete([track])
        await media.download(track, tmp_path)
    assert clock.monotonic() == 0


async def test_parts_of_two_places_are_never_put_together(tmp_path: Path) -> None:
    """What came from `audio_url` is not gone on with from its source, whatever both call it."""
    other = b"ID3\x03" + BODY[4:][::-1]

    async def serve(request: web.Request) -> web.StreamResponse:
        body = other if request.path == "/source.mp3" else BODY
        begin = int(request.headers.get("Range", "bytes=0-")[6:-1])
        if request.path == "/a.mp3" and begin:
            return web.Response(status=404)
        headers = {"ETag": '"same"'}
        if begin:
            headers["Content-Range"] = f"bytes {begin}-{len(body) - 1}/{len(body)}"
        response = web.StreamResponse(status=206 if begin else 200, headers=headers)
        response.content_length = len(body) - begin
        await response.prepare(request)
        await response.write(body[begin : 500_000 if request.path == "/a.mp3" else None])
        if request.path == "/a.mp3" and request.transport is not None:
            request.transport.close()
        return response

    async with media_host(serve) as url, media_for() as media:
        source = url.replace("/a.mp3", "/source.mp3")
        track = Track(id="1", title="t", audio_url=url, source_audio_url=source)
        path = await media.download(track, tmp_path)
    assert path.read_bytes() == other
