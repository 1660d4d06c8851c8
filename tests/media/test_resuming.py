"""Interrupted downloads go on where they stopped, or begin anew when that cannot be trusted."""

import asyncio
from pathlib import Path

import pytest
from aiohttp import web

from suno_async import (
    ApiError,
    ConnectionFailed,
    SunoSession,
    Track,
)
from suno_async.sandbox import (
    Call,
    CutAfter,
    HttpError,
    IgnoreRange,
    Sandbox,
)
from tests.waiting import until
from tests.world import EAGER, session_for

from .hosts import (
    BODY,
    TINY,
    audio_of,
    everything_in,
    finished,
    keep,
    media_host,
    part_of,
    partly,
)


async def test_an_interrupted_transfer_is_resumed(
    sandbox: Sandbox, suno: SunoSession, tmp_path: Path
) -> None:
    """Invariant 9: within a call, a cut transfer goes on where it stopped, as often as it takes."""
    track, _ = await finished(sandbox)
    whole = await audio_of(sandbox, suno, track, tmp_path)
    piece = len(whole) // 10
    sandbox.inject(Call.MEDIA, CutAfter(piece), times=9)
    asked = len(sandbox.requests)
    path = await suno.download(track, tmp_path)
    assert path.read_bytes() == whole
    assert len(sandbox.requests) - asked == 10 > EAGER.attempts


async def test_the_next_session_resumes(
    sandbox: Sandbox, suno: SunoSession, tmp_path: Path
) -> None:
    """Invariant 9: what came before a session was left is not fetched again by the next."""
    ranges: list[str | None] = []

    async def serve(request: web.Request) -> web.StreamResponse:
        ranges.append(request.headers.get("Range"))
        begin = int((ranges[-1] or "bytes=0-")[6:-1])
        response = web.StreamResponse(status=206 if begin else 200, headers={"ETag": '"1"'})
        if begin:
            assert request.headers["If-Range"] == '"1"'
            response.headers["Content-Range"] = f"bytes {begin}-{len(BODY) - 1}/{len(BODY)}"
        response.content_length = len(BODY) - begin
        await response.prepare(request)
        await response.write(BODY[begin : begin + 500_000])
        if not begin:
            await asyncio.sleep(5)
        await response.write(BODY[begin + 500_000 :])
        return response

    async with media_host(serve) as url:
        track = Track(id="1", title="t", audio_url=url)
        async with session_for(sandbox) as first:
            download = asyncio.create_task(first.download(track, tmp_path))
            part = part_of(tmp_path, track)
            await until(lambda: part.exists() and part.stat().st_size == 500_000)
            download.cancel()
        assert everything_in(tmp_path) == [part.name, part.with_suffix(".tag").name]
        path = await suno.download(track, tmp_path)
    assert path.read_bytes() == BODY
    assert ranges == [None, "bytes=500000-"]
    assert everything_in(tmp_path) == ["t 1.mp3"]


async def test_a_changed_file_is_fetched_anew(
    sandbox: Sandbox, suno: SunoSession, tmp_path: Path
) -> None:
    """Invariant 9: parts of two different files are never put together."""
    track, _ = await finished(sandbox)
    whole = await audio_of(sandbox, suno, track, tmp_path)
    keep(tmp_path, track, b"other", '"old"')
    assert (await suno.download(track, tmp_path)).read_bytes() == whole


async def test_a_part_of_unknown_origin_is_not_used(
    sandbox: Sandbox, suno: SunoSession, tmp_path: Path
) -> None:
    """Invariant 9: a part without a readable validator is thrown away."""
    track, _ = await finished(sandbox)
    tag_path = part_of(tmp_path, track).with_suffix(".tag")
    evil = b'{"validator": "a\\r\\nX-Evil: 1", "source": "a"}'
    for tag in (b"\xff\xfe", b"", b"[]", b"1", b"[" * 4096, b'{"validator": 1}', evil):
        part_of(tmp_path, track).write_bytes(b"junk")
        tag_path.write_bytes(tag)
        path = await suno.download(track, tmp_path)
        assert path.read_bytes().startswith(b"RIFF")
        path.unlink()


async def test_a_host_without_ranges_starts_over(
    sandbox: Sandbox, suno: SunoSession, tmp_path: Path
) -> None:
    """Invariant 9: a host that ignores ranges gives the whole file again, and it is whole."""
    track, _ = await finished(sandbox)
    whole = await audio_of(sandbox, suno, track, tmp_path)
    sandbox.inject(Call.MEDIA, CutAfter(1000))
    sandbox.inject(Call.MEDIA, IgnoreRange())
    assert (await suno.download(track, tmp_path)).read_bytes() == whole


async def test_a_host_that_never_gets_further_is_given_up(
    sandbox: Sandbox, suno: SunoSession, tmp_path: Path
) -> None:
    """A transfer that breaks without a new byte is tried as often as the policy says."""
    track, _ = await finished(sandbox)
    sandbox.inject(Call.MEDIA, CutAfter(0), times=None)
    asked = len(sandbox.requests)
    with pytest.raises(ConnectionFailed):
        await suno.download(track, tmp_path)
    assert len(sandbox.requests) - asked == EAGER.attempts
    assert everything_in(tmp_path) == []


async def test_a_part_that_was_whole_needs_no_byte(
    sandbox: Sandbox, suno: SunoSession, tmp_path: Path
) -> None:
    """Invariant 9: a process that died before the rename left a whole part: 416 says so."""
    track, _ = await finished(sandbox)
    whole = await audio_of(sandbox, suno, track, tmp_path)
    async with session_for(sandbox, retry=EAGER) as other:
        sandbox.inject(Call.MEDIA, CutAfter(len(whole) - 1))
        sandbox.inject(Call.MEDIA, HttpError(403))
        with pytest.raises(ApiError):
            await other.download(track, tmp_path)
    part_of(tmp_path, track).write_bytes(whole)
    asked = len(sandbox.requests)
    assert (await suno.download(track, tmp_path)).read_bytes() == whole
    assert len(sandbox.requests) == asked + 1


async def test_a_part_that_is_too_long_is_thrown_away(
    sandbox: Sandbox, suno: SunoSession, tmp_path: Path
) -> None:
    """Invariant 9: a part with more bytes than the file is not believed."""
    track, _ = await finished(sandbox)
    whole = await audio_of(sandbox, suno, track, tmp_path)
    sandbox.inject(Call.MEDIA, CutAfter(100))
    sandbox.inject(Call.MEDIA, HttpError(403))
    with pytest.raises(ApiError):
        await suno.download(track, tmp_path)
    part_of(tmp_path, track).write_bytes(whole + b"more")
    assert (await suno.download(track, tmp_path)).read_bytes() == whole


@pytest.mark.parametrize(
    "content_range",
    [
        "",
        "bytes 0-39/40",
        "bytes 21-39/40",
        "bytes */40",
        f"bytes 20-39/{'9' * 5000}",
        f"bytes {'0' * 5000}20-39/40",
    ],
)
async def test_a_host_that_resumes_elsewhere_starts_over(
    suno: SunoSession, tmp_path: Path, content_range: str
) -> None:
    """Invariant 9: a partial answer that does not fit is refused, and the file fetched anew."""
    asked: list[str | None] = []

    async def serve(request: web.Request) -> web.StreamResponse:
        asked.append(request.headers.get("Range"))
        if "Range" in request.headers:
            headers = {"Content-Range": content_range, "ETag": '"1"'}
            return web.Response(body=TINY[20:], status=206, headers=headers)
        whole = len(asked) > 1
        return await partly(request, TINY if whole else TINY[:20], {"ETag": '"1"'})

    async with media_host(serve) as url:
        path = await suno.download(Track(id="1", title="t", audio_url=url), tmp_path)
    assert path.read_bytes() == TINY
    assert asked == [None, "bytes=20-", None]


async def test_a_partial_answer_of_another_file_is_refused(
    suno: SunoSession, tmp_path: Path
) -> None:
    """Invariant 9: a host that ignores If-Range is seen through by its ETag."""
    versions = iter([b"ID3" + version * 37 for version in (b"a", b"b", b"b")])

    async def serve(request: web.Request) -> web.StreamResponse:
        body = next(versions)
        headers = {"ETag": f'"{body[-1:].decode()}"'}
        if "Range" in request.headers:
            headers["Content-Range"] = "bytes 20-39/40"
            return web.Response(body=body[20:], status=206, headers=headers)
        return await partly(request, body[:20] if body[-1:] == b"a" else body, headers)

    async with media_host(serve) as url:
        path = await suno.download(Track(id="1", title="t", audio_url=url), tmp_path)
    assert path.read_bytes() == b"ID3" + b"b" * 37


async def test_a_partial_answer_need_not_know_the_length(suno: SunoSession, tmp_path: Path) -> None:
    """A host that resumes at the right place without telling the length is believed."""
    asked = 0

    async def serve(request: web.Request) -> web.StreamResponse:
        nonlocal asked
        asked += 1
        if "Range" in request.headers:
            headers = {"Content-Range": "bytes 20-39/*", "Last-Modified": "yesterday"}
            return web.Response(body=TINY[20:], status=206, headers=headers)
        return await partly(request, TINY[:20], {"Last-Modified": "yesterday"})

    async with media_host(serve) as url:
        path = await suno.download(Track(id="1", title="t", audio_url=url), tmp_path)
    assert path.read_bytes() == TINY
    assert asked == 2


@pytest.mark.parametrize("etag", ['W/"1"', None, '"ü"', f'"{"x" * 1100}"'])
async def test_without_a_strong_validator_nothing_is_resumed(
    suno: SunoSession, tmp_path: Path, etag: str | None
) -> None:
    """Invariant 9: a weak tag does not promise the same bytes, so the file is fetched anew."""
    ranges: list[str | None] = []

    async def serve(request: web.Request) -> web.StreamResponse:
        ranges.append(request.headers.get("Range"))
        part = TINY if len(ranges) > 1 else TINY[:20]
        return await partly(request, part, {"ETag": etag} if etag else {})

    async with media_host(serve) as url:
        path = await suno.download(Track(id="1", title="t", audio_url=url), tmp_path)
    assert path.read_bytes() == TINY
    assert ranges == [None, None]


async def test_a_body_of_unknown_length_is_taken(suno: SunoSession, tmp_path: Path) -> None:
    """A host that streams without a length is read to its end."""

    async def serve(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for _ in range(4):
            await response.write(BODY)
        return response

    async with media_host(serve) as url:
        path = await suno.download(Track(id="1", title="t", audio_url=url), tmp_path)
    assert path.read_bytes() == BODY * 4
