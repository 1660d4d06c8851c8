"""Audio in and out: stems go up whole or not at all, tracks come down whole or not at all."""

import asyncio
import fcntl
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from attrs import evolve

from suno_async import (
    ApiError,
    AuthenticationError,
    ConnectionFailed,
    InvalidRequest,
    NotFound,
    ProtocolError,
    RateLimited,
    ServerError,
    SunoSession,
    Track,
)
from suno_async.sandbox import (
    Call,
    CutAfter,
    Delay,
    DropAfter,
    DropBefore,
    EnvelopeError,
    Html200,
    HttpError,
    IgnoreRange,
    Redirect,
    Sandbox,
    Throttle,
    Truncated,
)

from .world import EAGER, session_for, song, until

BODY = bytes(range(256)) * 4096  # 1 MiB
ROOT = os.geteuid() == 0


# --- helpers --------------------------------------------------------------------------------------


async def finished(suno: SunoSession) -> tuple[Track, Track]:
    """Have a task made; return its tracks."""
    task = await suno.submit(song())
    one, two = (await task.details()).tracks
    return one, two


async def audio_of(sandbox: Sandbox, suno: SunoSession, track: Track, tmp_path: Path) -> bytes:
    """Fetch what a track's file must hold."""
    path = await suno.download(track, tmp_path / "reference")
    return path.read_bytes()


def everything_in(folder: Path) -> list[str]:
    """List the names in a folder, hidden ones too."""
    return sorted(path.name for path in folder.iterdir())


async def partly(request: web.Request, part: bytes, headers: dict[str, str]) -> web.StreamResponse:
    """Promise ten bytes, send these, and end the connection."""
    response = web.StreamResponse(headers=headers)
    response.content_length = 10
    await response.prepare(request)
    await response.write(part)
    if request.transport is not None:
        request.transport.close()
    return response


Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def media_host(handler: Handler) -> AsyncIterator[str]:
    """Run a media host of its own kind; yields the URL of a track on it."""
    app = web.Application()
    app.router.add_get("/{name:.*}", handler)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.05)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    try:
        yield f"http://{host}:{port}/a.mp3"
    finally:
        await runner.cleanup()


# --- upload ---------------------------------------------------------------------------------------


async def _stream(*chunks: bytes) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


async def _stored(sandbox: Sandbox, url: str) -> bytes:
    data = await sandbox._read_own(url.removeprefix(sandbox.base_url))
    assert data is not None
    return data


@pytest.mark.parametrize("form", ["path", "text", "bytes", "bytearray", "memoryview", "stream"])
async def test_a_stem_goes_up_as_it_is(
    sandbox: Sandbox, suno: SunoSession, tmp_path: Path, form: str
) -> None:
    """Whatever form a stem has, its URL gives back the same bytes."""
    path = tmp_path / "stem.wav"
    path.write_bytes(BODY)
    stems: dict[str, Any] = {
        "path": path,
        "text": str(path),
        "bytes": BODY,
        "bytearray": bytearray(BODY),
        "memoryview": memoryview(BODY),
        "stream": _stream(b"", BODY[:100], BODY[100:]),
    }
    url = await suno.upload(stems[form])
    assert await _stored(sandbox, url) == BODY


async def test_uploads_never_overwrite_each_other(suno: SunoSession, tmp_path: Path) -> None:
    """The same stem uploaded twice has two URLs, and no name of the caller's is in them."""
    path = tmp_path / "../secret name.wav"
    path.write_bytes(BODY)
    one, two = await asyncio.gather(suno.upload(path), suno.upload(path))
    assert one != two
    assert "secret" not in one


@pytest.mark.parametrize(
    ("begins", "ending"),
    [
        (b"RIFF", ".wav"),
        (b"ID3\x04", ".mp3"),
        (b"\xff\xfb\x90", ".mp3"),
        (b"fLaC", ".flac"),
        (b"OggS", ".ogg"),
        (b"\0\0\0\x20ftypM4A ", ".m4a"),
        (b"?", ".wav"),
    ],
)
async def test_the_format_of_bytes_is_told_by_their_beginning(
    suno: SunoSession, begins: bytes, ending: str
) -> None:
    """Bytes without a file name get the ending of the format that they begin with."""
    assert (await suno.upload(begins)).endswith(ending)
    assert (await suno.upload(_stream(begins))).endswith(ending)


@pytest.mark.parametrize(("name", "ending"), [("a.MP3", ".MP3"), ("a.x y", ""), ("a", "")])
async def test_a_file_keeps_its_plain_ending(
    suno: SunoSession, tmp_path: Path, name: str, ending: str
) -> None:
    """A file's ending is sent when it is a plain one, and nothing else of its name."""
    path = tmp_path / name
    path.write_bytes(BODY)
    assert Path(await suno.upload(path)).suffix == ending


@pytest.mark.parametrize("stem", [b"", bytearray(), 7, None, ["a"]])
async def test_a_stem_must_be_one(sandbox: Sandbox, suno: SunoSession, stem: Any) -> None:
    """What is empty or no stem is refused before anything is sent."""
    with pytest.raises(InvalidRequest, match="stem must"):
        await suno.upload(stem)
    assert sandbox.requests == []


async def test_an_empty_file_is_refused(
    sandbox: Sandbox, suno: SunoSession, tmp_path: Path
) -> None:
    """An empty file is refused by name before anything is sent."""
    path = tmp_path / "empty.wav"
    path.touch()
    with pytest.raises(InvalidRequest, match=r"empty\.wav"):
        await suno.upload(path)
    assert sandbox.requests == []


@pytest.mark.parametrize("chunks", [(), (b"", b"")])
async def test_an_empty_stream_is_refused(
    sandbox: Sandbox, suno: SunoSession, chunks: tuple[bytes, ...]
) -> None:
    """A stream without a byte is refused before anything is sent."""
    with pytest.raises(InvalidRequest, match="stem must not be empty"):
        await suno.upload(_stream(*chunks))
    assert sandbox.requests == []


async def test_what_is_no_file_is_refused(suno: SunoSession, tmp_path: Path) -> None:
    """A folder or a pipe is refused at once; a pipe would block for ever."""
    os.mkfifo(tmp_path / "pipe")
    for stem in (tmp_path, tmp_path / "pipe"):
        with pytest.raises(InvalidRequest, match="must be a file"):
            await suno.upload(stem)


async def test_a_missing_file_is_named(suno: SunoSession, tmp_path: Path) -> None:
    """A stem that is not there is Python's own error, with its name."""
    with pytest.raises(FileNotFoundError, match=r"nowhere\.wav"):
        await suno.upload(tmp_path / "nowhere.wav")


@pytest.mark.skipif(ROOT, reason="root reads everything")
async def test_an_unreadable_file_is_named(suno: SunoSession, tmp_path: Path) -> None:
    """A stem that may not be read is Python's own error, with its name."""
    path = tmp_path / "locked.wav"
    path.write_bytes(BODY)
    path.chmod(0)
    with pytest.raises(PermissionError, match=r"locked\.wav"):
        await suno.upload(path)


@pytest.mark.parametrize(
    "fault",
    [
        DropBefore(),
        DropAfter(reset=True),
        EnvelopeError(429),
        EnvelopeError(455),
        EnvelopeError(500),
        HttpError(502),
        Truncated(),
        Html200(),
    ],
)
async def test_an_upload_is_repeated(
    sandbox: Sandbox, suno: SunoSession, tmp_path: Path, fault: Any
) -> None:
    """A failed upload costs nothing and is sent again, whole."""
    path = tmp_path / "stem.wav"
    path.write_bytes(BODY)
    sandbox.inject(Call.UPLOAD, fault, times=2)
    assert await _stored(sandbox, await suno.upload(path)) == BODY


async def test_a_stream_is_sent_once(sandbox: Sandbox, suno: SunoSession) -> None:
    """A stream cannot be read again: a network failure is told, not repeated."""
    sandbox.inject(Call.UPLOAD, DropAfter())
    with pytest.raises(ConnectionFailed):
        await suno.upload(_stream(BODY))
    assert len(sandbox.requests) == 1


async def test_a_stream_that_breaks_raises_its_own_error(suno: SunoSession) -> None:
    """What the caller's stream raises reaches the caller, and is no network failure."""

    async def broken() -> AsyncIterator[bytes]:
        yield BODY
        raise ZeroDivisionError("the microphone fell down")

    with pytest.raises(ZeroDivisionError, match="microphone"):
        await suno.upload(broken())


async def test_a_refused_upload_is_told(sandbox: Sandbox, suno: SunoSession) -> None:
    """What the service refuses for good is raised at once."""
    sandbox.inject(Call.UPLOAD, EnvelopeError(401), times=None)
    with pytest.raises(AuthenticationError):
        await suno.upload(BODY)
    assert len(sandbox.requests) == 1


async def test_a_service_that_goes_on_failing_is_told(sandbox: Sandbox, suno: SunoSession) -> None:
    """An upload gives up after the policy's attempts, with the last failure."""
    sandbox.inject(Call.UPLOAD, EnvelopeError(500, "disk on fire"), times=None)
    with pytest.raises(ServerError, match="disk on fire"):
        await suno.upload(BODY)
    assert len(sandbox.requests) == EAGER.attempts


async def test_an_uploaded_stem_can_be_accompanied(suno: SunoSession, sandbox: Sandbox) -> None:
    """The URL of an upload is one that a request takes."""
    url = await suno.upload(BODY)
    task = await suno.submit(song(upload_url=url))
    assert sandbox.tasks[task.task_id].request["uploadUrl"] == url


# --- download -------------------------------------------------------------------------------------


async def test_both_tracks_come_down(suno: SunoSession, tmp_path: Path) -> None:
    """A task's tracks have the same title and become two different files, and nothing else."""
    tracks = await finished(suno)
    paths = [await suno.download(track, tmp_path / "deep" / "er") for track in tracks]
    assert [path.name for path in paths] == [f"Relaxing Piano {t.id}.wav" for t in tracks]
    assert everything_in(tmp_path / "deep" / "er") == sorted(path.name for path in paths)
    assert paths[0].read_bytes() != paths[1].read_bytes()
    assert all(path.read_bytes().startswith(b"RIFF") for path in paths)


async def test_the_key_stays_home(sandbox: Sandbox, suno: SunoSession, tmp_path: Path) -> None:
    """Invariant 7: media hosts get no Authorization header, not even after a redirect."""
    track, other = await finished(suno)
    sandbox.inject(Call.MEDIA, Redirect(str(other.audio_url)))
    await suno.download(track, tmp_path)
    media = [seen for seen in sandbox.requests if seen.path.startswith("/cdn/")]
    assert len(media) == 2
    assert not any(seen.authorized for seen in media)


async def test_a_file_that_is_there_is_not_fetched_again(
    sandbox: Sandbox, suno: SunoSession, tmp_path: Path
) -> None:
    """A second download of a track asks nobody."""
    track, _ = await finished(suno)
    path = await suno.download(track, tmp_path)
    asked = len(sandbox.requests)
    assert await suno.download(track, tmp_path) == path
    assert len(sandbox.requests) == asked


async def test_two_downloads_of_a_track_fetch_it_once(
    sandbox: Sandbox, suno: SunoSession, tmp_path: Path
) -> None:
    """Downloads of the same track at the same time share one transfer."""
    track, _ = await finished(suno)
    asked = len(sandbox.requests)
    paths = await asyncio.gather(*(suno.download(track, tmp_path) for _ in range(5)))
    assert len(set(paths)) == 1
    assert len(sandbox.requests) == asked + 1


async def test_two_sessions_never_write_one_file_together(
    sandbox: Sandbox, suno: SunoSession, tmp_path: Path
) -> None:
    """Invariant 9: another session (or process) waits for the one that fetches, then has it."""
    track, _ = await finished(suno)
    sandbox.inject(Call.MEDIA, Throttle(chunk_bytes=65_536, pause_s=0.01))
    asked = len(sandbox.requests)
    async with session_for(sandbox, retry=EAGER) as other:
        paths = await asyncio.gather(
            suno.download(track, tmp_path), other.download(track, tmp_path)
        )
    assert paths[0] == paths[1]
    assert len(sandbox.requests) == asked + 1
    assert everything_in(tmp_path) == [paths[0].name]


async def test_a_lock_that_is_given_up_is_taken_over(
    sandbox: Sandbox, suno: SunoSession, tmp_path: Path
) -> None:
    """Invariant 9: when another process gives up, its download is gone on with."""
    track, _ = await finished(suno)
    part = tmp_path / f".Relaxing Piano {track.id}.wav.part"
    with part.open("ab") as theirs:
        fcntl.flock(theirs, fcntl.LOCK_EX)
        asked = len(sandbox.requests)
        download = asyncio.create_task(suno.download(track, tmp_path))
        await asyncio.sleep(0.05)
        assert len(sandbox.requests) == asked
    assert (await download).read_bytes().startswith(b"RIFF")


async def test_a_file_appears_only_when_it_is_whole(
    sandbox: Sandbox, suno: SunoSession, tmp_path: Path
) -> None:
    """Invariant 9: while bytes trickle in, there is a hidden part and no file of the final name."""
    track, _ = await finished(suno)
    whole = len(await audio_of(sandbox, suno, track, tmp_path))
    sandbox.inject(Call.MEDIA, Throttle(chunk_bytes=whole // 8 + 1, pause_s=0.01))
    folder = tmp_path / "slow"
    download = asyncio.create_task(suno.download(track, folder))
    seen: set[int] = set()
    while not download.done():
        for path in folder.glob("*.wav") if folder.is_dir() else ():
            assert path.stat().st_size == whole
        seen |= {path.stat().st_size for path in folder.glob(".*.part")}
        await asyncio.sleep(0.001)
    assert (await download).stat().st_size == whole
    assert len([size for size in seen if 0 < size < whole]) >= 2


async def test_an_interrupted_transfer_is_resumed(
    sandbox: Sandbox, suno: SunoSession, tmp_path: Path
) -> None:
    """Invariant 9: within a call, a cut transfer goes on where it stopped, as often as it takes."""
    track, _ = await finished(suno)
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
            part = tmp_path / ".t 1.mp3.part"
            await until(lambda: part.exists() and part.stat().st_size == 500_000)
            download.cancel()
        assert everything_in(tmp_path) == [".t 1.mp3.part", ".t 1.mp3.tag"]
        path = await suno.download(track, tmp_path)
    assert path.read_bytes() == BODY
    assert ranges == [None, "bytes=500000-"]
    assert everything_in(tmp_path) == ["t 1.mp3"]


async def test_a_changed_file_is_fetched_anew(
    sandbox: Sandbox, suno: SunoSession, tmp_path: Path
) -> None:
    """Invariant 9: parts of two different files are never put together."""
    track, _ = await finished(suno)
    whole = await audio_of(sandbox, suno, track, tmp_path)
    (tmp_path / f".Relaxing Piano {track.id}.wav.part").write_bytes(b"other")
    (tmp_path / f".Relaxing Piano {track.id}.wav.tag").write_text('"old"')
    assert (await suno.download(track, tmp_path)).read_bytes() == whole


async def test_a_part_of_unknown_origin_is_not_used(suno: SunoSession, tmp_path: Path) -> None:
    """Invariant 9: a part without a readable validator is thrown away."""
    track, _ = await finished(suno)
    name = f".Relaxing Piano {track.id}.wav"
    (tmp_path / f"{name}.part").write_bytes(b"junk")
    for tag in (b"\xff\xfe", b"", b'"a"\r\nX-Evil: 1'):
        (tmp_path / f"{name}.tag").write_bytes(tag)
        path = await suno.download(track, tmp_path)
        assert path.read_bytes().startswith(b"RIFF")
        path.unlink()


async def test_a_host_without_ranges_starts_over(
    sandbox: Sandbox, suno: SunoSession, tmp_path: Path
) -> None:
    """Invariant 9: a host that ignores ranges gives the whole file again, and it is whole."""
    track, _ = await finished(suno)
    whole = await audio_of(sandbox, suno, track, tmp_path)
    sandbox.inject(Call.MEDIA, CutAfter(1000))
    sandbox.inject(Call.MEDIA, IgnoreRange())
    assert (await suno.download(track, tmp_path)).read_bytes() == whole


async def test_a_host_that_never_gets_further_is_given_up(
    sandbox: Sandbox, suno: SunoSession, tmp_path: Path
) -> None:
    """A transfer that breaks without a new byte is tried as often as the policy says."""
    track, _ = await finished(suno)
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
    track, _ = await finished(suno)
    whole = await audio_of(sandbox, suno, track, tmp_path)
    name = f".Relaxing Piano {track.id}.wav"
    async with session_for(sandbox, retry=EAGER) as other:
        sandbox.inject(Call.MEDIA, CutAfter(len(whole) - 1))
        sandbox.inject(Call.MEDIA, HttpError(403))
        with pytest.raises(ApiError):
            await other.download(track, tmp_path)
    (tmp_path / f"{name}.part").write_bytes(whole)
    sandbox.inject(Call.MEDIA, Delay(0))
    asked = len(sandbox.requests)
    assert (await suno.download(track, tmp_path)).read_bytes() == whole
    assert len(sandbox.requests) == asked + 1


async def test_a_part_that_is_too_long_is_thrown_away(
    sandbox: Sandbox, suno: SunoSession, tmp_path: Path
) -> None:
    """Invariant 9: a part with more bytes than the file is not believed."""
    track, _ = await finished(suno)
    whole = await audio_of(sandbox, suno, track, tmp_path)
    sandbox.inject(Call.MEDIA, CutAfter(10))
    sandbox.inject(Call.MEDIA, HttpError(403))
    with pytest.raises(ApiError):
        await suno.download(track, tmp_path)
    (tmp_path / f".Relaxing Piano {track.id}.wav.part").write_bytes(whole + b"more")
    assert (await suno.download(track, tmp_path)).read_bytes() == whole


@pytest.mark.parametrize(
    "content_range", ["", "bytes 0-9/10", "bytes 5-9/10", "bytes */10", "bytes 4-9/11"]
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
            return web.Response(body=b"456789", status=206, headers=headers)
        whole = len(asked) > 1
        return await partly(request, b"0123456789" if whole else b"0123", {"ETag": '"1"'})

    async with media_host(serve) as url:
        path = await suno.download(Track(id="1", title="t", audio_url=url), tmp_path)
    assert path.read_bytes() == b"0123456789"
    assert asked == [None, "bytes=4-", None]


async def test_a_partial_answer_of_another_file_is_refused(
    suno: SunoSession, tmp_path: Path
) -> None:
    """Invariant 9: a host that ignores If-Range is seen through by its ETag."""
    versions = iter([b"aaaaaaaaaa", b"bbbbbbbbbb", b"bbbbbbbbbb"])

    async def serve(request: web.Request) -> web.StreamResponse:
        body = next(versions)
        headers = {"ETag": f'"{body[:1].decode()}"'}
        if "Range" in request.headers:
            headers["Content-Range"] = "bytes 4-9/10"
            return web.Response(body=body[4:], status=206, headers=headers)
        return await partly(request, body[:4] if body[:1] == b"a" else body, headers)

    async with media_host(serve) as url:
        path = await suno.download(Track(id="1", title="t", audio_url=url), tmp_path)
    assert path.read_bytes() == b"bbbbbbbbbb"


async def test_a_partial_answer_need_not_know_the_length(suno: SunoSession, tmp_path: Path) -> None:
    """A host that resumes at the right place without telling the length is believed."""
    asked = 0

    async def serve(request: web.Request) -> web.StreamResponse:
        nonlocal asked
        asked += 1
        if "Range" in request.headers:
            headers = {"Content-Range": "bytes 4-9/*", "Last-Modified": "yesterday"}
            return web.Response(body=b"456789", status=206, headers=headers)
        return await partly(request, b"0123", {"Last-Modified": "yesterday"})

    async with media_host(serve) as url:
        path = await suno.download(Track(id="1", title="t", audio_url=url), tmp_path)
    assert path.read_bytes() == b"0123456789"
    assert asked == 2


@pytest.mark.parametrize("etag", ['W/"1"', None])
async def test_without_a_strong_validator_nothing_is_resumed(
    suno: SunoSession, tmp_path: Path, etag: str | None
) -> None:
    """Invariant 9: a weak tag does not promise the same bytes, so the file is fetched anew."""
    ranges: list[str | None] = []

    async def serve(request: web.Request) -> web.StreamResponse:
        ranges.append(request.headers.get("Range"))
        part = b"0123456789" if len(ranges) > 1 else b"0123"
        return await partly(request, part, {"ETag": etag} if etag else {})

    async with media_host(serve) as url:
        path = await suno.download(Track(id="1", title="t", audio_url=url), tmp_path)
    assert path.read_bytes() == b"0123456789"
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


@pytest.mark.parametrize("status", [404, 410])
async def test_audio_that_is_gone_is_told_at_once(
    sandbox: Sandbox, suno: SunoSession, tmp_path: Path, status: int
) -> None:
    """404 and 410 are NotFound, without another try and without a file."""
    track, _ = await finished(suno)
    sandbox.inject(Call.MEDIA, HttpError(status), times=None)
    asked = len(sandbox.requests)
    with pytest.raises(NotFound, match=f"127.0.0.1 does not give the audio .HTTP {status}"):
        await suno.download(track, tmp_path)
    assert len(sandbox.requests) == asked + 1
    assert everything_in(tmp_path) == []


@pytest.mark.parametrize(
    "fault",
    [DropBefore(), DropAfter(reset=True), HttpError(500), HttpError(503), HttpError(429)],
)
async def test_a_failing_host_is_asked_again(
    sandbox: Sandbox, suno: SunoSession, tmp_path: Path, fault: Any
) -> None:
    """Passing failures of the media host are repeated."""
    track, _ = await finished(suno)
    sandbox.inject(Call.MEDIA, fault, times=3)
    assert (await suno.download(track, tmp_path)).read_bytes().startswith(b"RIFF")


async def test_a_host_that_asks_for_patience_gets_it(
    sandbox: Sandbox, suno: SunoSession, tmp_path: Path
) -> None:
    """Invariant 5: Retry-After of a media host is obeyed."""
    track, _ = await finished(suno)
    sandbox.inject(Call.MEDIA, HttpError(429, headers={"Retry-After": "0.2"}))
    await suno.download(track, tmp_path)
    *_, refused, served = (seen.at for seen in sandbox.requests)
    assert served - refused >= 0.2


@pytest.mark.parametrize(
    "answer", [Html200(), EnvelopeError(404), EnvelopeError(200)], ids=["page", "json", "json 200"]
)
async def test_what_is_not_audio_is_refused(
    sandbox: Sandbox, suno: SunoSession, tmp_path: Path, answer: Any
) -> None:
    """Invariant 9: a page or an envelope in place of audio never becomes a file."""
    track, _ = await finished(suno)
    sandbox.inject(Call.MEDIA, answer, times=None)
    with pytest.raises(ProtocolError, match="in place of audio"):
        await suno.download(track, tmp_path)
    assert everything_in(tmp_path) == []


async def test_a_page_does_not_cost_what_has_come(
    sandbox: Sandbox, suno: SunoSession, tmp_path: Path
) -> None:
    """Invariant 9: bytes that came are kept when a page comes in between."""
    track, _ = await finished(suno)
    whole = await audio_of(sandbox, suno, track, tmp_path)
    sandbox.inject(Call.MEDIA, CutAfter(1000))
    sandbox.inject(Call.MEDIA, Html200(), times=2)
    assert (await suno.download(track, tmp_path)).read_bytes() == whole


@pytest.mark.parametrize("headers", [{}, {"Content-Length": "0"}])
async def test_zero_bytes_are_no_audio(
    suno: SunoSession, tmp_path: Path, headers: dict[str, str]
) -> None:
    """Invariant 9: an empty answer never becomes a file."""

    async def serve(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers=headers)
        await response.prepare(request)
        return response

    async with media_host(serve) as url:
        with pytest.raises(ConnectionFailed, match="0 of some bytes"):
            await suno.download(Track(id="1", title="t", audio_url=url), tmp_path)
    assert everything_in(tmp_path) == []


async def test_an_unreachable_host_is_told(
    suno: SunoSession, tmp_path: Path, unused_tcp_port: int
) -> None:
    """A media host that nobody answers at is a failed connection."""
    track = Track(id="1", title="t", audio_url=f"http://127.0.0.1:{unused_tcp_port}/a.mp3")
    with pytest.raises(ConnectionFailed):
        await suno.download(track, tmp_path)
    assert everything_in(tmp_path) == []


@pytest.mark.parametrize(
    "url", [None, "", "ftp://host/a.mp3", "/a.mp3", "http:///a.mp3", "http://["]
)
async def test_a_track_must_have_its_audio(
    suno: SunoSession, tmp_path: Path, url: str | None
) -> None:
    """A track without audio yet, or with something that is no URL, is refused by name."""
    with pytest.raises(InvalidRequest, match=r"track\.audio_url must be"):
        await suno.download(Track(id="1", title="t", audio_url=url), tmp_path)


async def test_a_folder_that_cannot_be_is_told(suno: SunoSession, tmp_path: Path) -> None:
    """A folder that is a file is Python's own error."""
    (tmp_path / "file").touch()
    track, _ = await finished(suno)
    with pytest.raises(OSError, match="file"):
        await suno.download(track, tmp_path / "file")


async def test_a_client_that_raises_for_status_changes_nothing(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    """With a caller's own strict client session, 404 is NotFound all the same."""
    async with (
        aiohttp.ClientSession(raise_for_status=True) as theirs,
        session_for(sandbox, client_session=theirs) as suno,
    ):
        track, _ = await finished(suno)
        sandbox.inject(Call.MEDIA, HttpError(404))
        with pytest.raises(NotFound):
            await suno.download(track, tmp_path)


FULL_DISK = """
import asyncio, resource, sys
from pathlib import Path
from suno_async import SunoSession, Track

async def main(url, folder):
    resource.setrlimit(resource.RLIMIT_FSIZE, (700_001, 700_001))
    async with SunoSession("key") as suno:
        try:
            await suno.download(Track(id="1", title="t", audio_url=url), folder)
        except OSError as error:
            print(type(error).__name__, error.errno)

asyncio.run(main(*sys.argv[1:]))
"""


async def test_a_full_disk_loses_nothing(suno: SunoSession, tmp_path: Path) -> None:
    """Invariant 9: a full disk is Python's own error, no file appears, and what came is kept."""

    async def serve(request: web.Request) -> web.StreamResponse:
        begin = int(request.headers.get("Range", "bytes=0-")[6:-1])
        headers = {"ETag": '"1"', "Content-Range": f"bytes {begin}-{len(BODY) - 1}/{len(BODY)}"}
        return web.Response(body=BODY[begin:], status=206 if begin else 200, headers=headers)

    async with media_host(serve) as url:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-W", "error", "-c", FULL_DISK, url, str(tmp_path)),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output, _ = await process.communicate()
        assert output.decode().split() == ["OSError", "27"]
        assert everything_in(tmp_path) == [".t 1.mp3.part", ".t 1.mp3.tag"]
        assert (tmp_path / ".t 1.mp3.part").stat().st_size == 700_001
        path = await suno.download(Track(id="1", title="t", audio_url=url), tmp_path)
    assert path.read_bytes() == BODY


HOSTILE = [
    "../../etc/passwd",
    "/etc/passwd",
    "..",
    ".",
    "...",
    "",
    " ",
    ".hidden",
    "C:\\Windows\\system32",
    "\\\\server\\share",
    "a\0b",
    "a\nb",
    "nul.txt",
    "CON",
    "com1.mp3",
    "lpt9 .x",
    "trailing. . .",
    "x" * 5000,
    "ü" * 5000,
    "🎵" * 200,
    "e\u0301clair",
    "\u202egpj.exe",
    "\ud800",
    "a/b",
    "%2e%2e%2f",
    "~root",
    "-rf",
    "$(reboot)",
]
RESERVED = {"CON", "PRN", "AUX", "NUL", "COM1", "LPT9"}


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
async def test_a_name_stays_in_its_folder(suno: SunoSession, tmp_path: Path, text: str) -> None:
    """Invariant 9: whatever title and id are, the file is in the folder, under a harmless name."""
    track, _ = await finished(suno)
    for changed in (evolve(track, title=text), evolve(track, id=text)):
        path = await suno.download(changed, tmp_path / "out")
        name = path.name
        assert path.parent == tmp_path / "out"
        assert everything_in(tmp_path) == ["out"]
        assert name in everything_in(tmp_path / "out")
        assert len(f".{name}.part".encode()) <= 255
        assert not name.startswith((".", " ", "-rf/"))
        assert not name.endswith((".", " "))
        assert not set(name) & set('/\\:*?"<>|\0\n\u202e')
        assert name.split(".")[0].strip().upper() not in RESERVED


@pytest.mark.parametrize(
    ("one", "two"), [("a/b", "a:b"), ("x", "x."), ("y" * 100, "y" * 101), ("a ", "a"), ("", None)]
)
async def test_two_ids_are_two_files(
    suno: SunoSession, tmp_path: Path, one: str, two: str | None
) -> None:
    """Invariant 9: ids that differ only in unsafe characters never share a file."""
    first, second = await finished(suno)
    paths = {
        await suno.download(evolve(first, id=one), tmp_path),
        await suno.download(evolve(second, id=two), tmp_path),
    }
    assert len(paths) == 2


@pytest.mark.parametrize(("path", "ending"), [("a.wav", ".wav"), ("a", ".mp3"), ("a.x-y", ".mp3")])
async def test_the_ending_is_the_urls(
    suno: SunoSession, tmp_path: Path, path: str, ending: str
) -> None:
    """A file has the ending of its URL when that is a plain one, else .mp3."""

    async def serve(_: web.Request) -> web.StreamResponse:
        return web.Response(body=b"audio")

    async with media_host(serve) as url:
        track = Track(id="1", audio_url=url.replace("a.mp3", f"{path}?sig=x.exe"))
        assert (await suno.download(track, tmp_path)).name == f"track 1{ending}"


async def test_a_cancelled_download_leaves_the_others_alone(
    sandbox: Sandbox, suno: SunoSession, tmp_path: Path
) -> None:
    """Invariant 8: who waits for the same track goes on when the one that fetches is cancelled."""
    track, _ = await finished(suno)
    sandbox.inject(Call.MEDIA, Throttle(chunk_bytes=65_536, pause_s=0.02))
    asked = len(sandbox.requests)
    goes = asyncio.create_task(suno.download(track, tmp_path))
    await until(lambda: len(sandbox.requests) > asked)
    stays = asyncio.create_task(suno.download(track, tmp_path))
    await asyncio.sleep(0.01)
    goes.cancel()
    assert (await stays).read_bytes().startswith(b"RIFF")
    with pytest.raises(asyncio.CancelledError):
        await goes


async def test_the_longest_silence_is_bounded(sandbox: Sandbox, tmp_path: Path) -> None:
    """A media host that falls silent is given up and asked again."""
    async with session_for(sandbox, retry=EAGER, timeout=0.2) as suno:
        track, _ = await finished(suno)
        sandbox.inject(Call.MEDIA, Delay(timedelta(hours=1).total_seconds()))
        assert (await suno.download(track, tmp_path)).is_file()


async def test_a_rate_limited_host_is_given_up_in_the_end(
    sandbox: Sandbox, suno: SunoSession, tmp_path: Path
) -> None:
    """A media host that always says 429 is an error that says so."""
    track, _ = await finished(suno)
    sandbox.inject(Call.MEDIA, HttpError(429), times=None)
    with pytest.raises(RateLimited):
        await suno.download(track, tmp_path)
