"""Tracks come down whole or not at all."""

import asyncio
import fcntl
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from attrs import evolve

from suno_async import (
    ConnectionFailed,
    InvalidRequest,
    NotFound,
    ProtocolError,
    RateLimited,
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
    Redirect,
    Sandbox,
    Throttle,
)
from tests.waiting import until
from tests.world import EAGER, session_for

from .hosts import (
    BODY,
    audio_of,
    everything_in,
    finished,
    media_host,
    part_of,
    sizes_of_parts,
)


async def test_both_tracks_come_down(sandbox: Sandbox, suno: SunoSession, tmp_path: Path) -> None:
    """A task's tracks have the same title and become two different files, and nothing else."""
    tracks = await finished(sandbox)
    paths = [await suno.download(track, tmp_path / "deep" / "er") for track in tracks]
    assert [path.name for path in paths] == ["Relaxing Piano 1.wav", "Relaxing Piano 2.wav"]
    assert everything_in(tmp_path / "deep" / "er") == sorted(path.name for path in paths)
    assert paths[0].read_bytes() != paths[1].read_bytes()
    assert all(path.read_bytes().startswith(b"RIFF") for path in paths)


async def test_the_key_stays_home(sandbox: Sandbox, suno: SunoSession, tmp_path: Path) -> None:
    """Invariant 7: media hosts get no Authorization header, not even after a redirect."""
    track, other = await finished(sandbox)
    sandbox.inject(Call.MEDIA, Redirect(str(other.audio_url)))
    await suno.download(track, tmp_path)
    media = [seen for seen in sandbox.requests if seen.path.startswith("/cdn/")]
    assert len(media) == 2
    assert not any(seen.authorized for seen in media)


async def test_invariant_7_nothing_that_a_media_host_is_sent_holds_the_key(
    sandbox: Sandbox, suno: SunoSession, tmp_path: Path
) -> None:
    """No header, and no part of the URL, whatever it is called."""
    sent: list[str] = []

    async def serve(request: web.Request) -> web.StreamResponse:
        sent.append(f"{request.raw_path} {request.raw_headers!r} {await request.read()!r}")
        return web.Response(body=BODY)

    async with media_host(serve) as url:
        await suno.credits()  # which needs the key
        await suno.download(Track(id="1", title="t", audio_url=url), tmp_path)
    assert len(sent) == 1
    assert sandbox.api_key not in sent[0]


async def test_a_file_that_is_there_is_not_fetched_again(
    sandbox: Sandbox, suno: SunoSession, tmp_path: Path
) -> None:
    """A second download of a track asks nobody."""
    track, _ = await finished(sandbox)
    path = await suno.download(track, tmp_path)
    asked = len(sandbox.requests)
    assert await suno.download(track, tmp_path) == path
    assert len(sandbox.requests) == asked


async def test_two_downloads_of_a_track_fetch_it_once(
    sandbox: Sandbox, suno: SunoSession, tmp_path: Path
) -> None:
    """Downloads of the same track at the same time share one transfer."""
    track, _ = await finished(sandbox)
    asked = len(sandbox.requests)
    paths = await asyncio.gather(*(suno.download(track, tmp_path) for _ in range(5)))
    assert len(set(paths)) == 1
    assert len(sandbox.requests) == asked + 1


async def test_two_sessions_never_write_one_file_together(
    sandbox: Sandbox, suno: SunoSession, tmp_path: Path
) -> None:
    """Invariant 9: another session (or process) waits for the one that fetches, then has it."""
    track, _ = await finished(sandbox)
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
    track, _ = await finished(sandbox)
    part = part_of(tmp_path, track)
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
    track, _ = await finished(sandbox)
    whole = len(await audio_of(sandbox, suno, track, tmp_path))
    sandbox.inject(Call.MEDIA, Throttle(chunk_bytes=whole // 8 + 1, pause_s=0.01))
    folder = tmp_path / "slow"
    download = asyncio.create_task(suno.download(track, folder))
    seen: set[int] = set()
    while not download.done():
        for path in folder.glob("*.wav") if folder.is_dir() else ():
            assert path.stat().st_size == whole
        seen |= set(sizes_of_parts(folder))
        await asyncio.sleep(0.001)
    assert (await download).stat().st_size == whole
    assert len([size for size in seen if 0 < size < whole]) >= 2


@pytest.mark.parametrize("status", [404, 410, 441])
async def test_audio_that_is_gone_is_told_at_once(
    sandbox: Sandbox, suno: SunoSession, tmp_path: Path, status: int
) -> None:
    """404, 410 and 441 are NotFound, without another try and without a file."""
    track, _ = await finished(sandbox)
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
    track, _ = await finished(sandbox)
    sandbox.inject(Call.MEDIA, fault, times=3)
    assert (await suno.download(track, tmp_path)).read_bytes().startswith(b"RIFF")


async def test_a_host_that_asks_for_patience_gets_it(
    sandbox: Sandbox, suno: SunoSession, tmp_path: Path
) -> None:
    """Invariant 5: Retry-After of a media host is obeyed."""
    track, _ = await finished(sandbox)
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
    track, _ = await finished(sandbox)
    sandbox.inject(Call.MEDIA, answer, times=None)
    with pytest.raises(ProtocolError, match="in place of audio"):
        await suno.download(track, tmp_path)
    assert everything_in(tmp_path) == []


async def test_a_page_does_not_cost_what_has_come(
    sandbox: Sandbox, suno: SunoSession, tmp_path: Path
) -> None:
    """Invariant 9: bytes that came are kept when a page comes in between."""
    track, _ = await finished(sandbox)
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


async def test_a_folder_that_cannot_be_is_told(
    sandbox: Sandbox, suno: SunoSession, tmp_path: Path
) -> None:
    """A folder that is a file is Python's own error."""
    (tmp_path / "file").touch()
    track, _ = await finished(sandbox)
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
        track, _ = await finished(sandbox)
        sandbox.inject(Call.MEDIA, HttpError(404))
        with pytest.raises(NotFound):
            await suno.download(track, tmp_path)


FULL_DISK = """
import asyncio, resource, sys
from pathlib import Path
from suno_async import SunoSession, Track

async def main(url, folder, room):
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(room), int(room)))
    async with SunoSession("key", base_url=url.rpartition("/")[0]) as suno:
        try:
            await suno.download(Track(id="1", title="t", audio_url=url), folder)
        except OSError as error:
            print(type(error).__name__, error.errno)

asyncio.run(main(*sys.argv[1:]))
"""


async def with_room_for(room: int, url: str, folder: Path) -> list[str]:
    """Download where no file can be longer; return what is raised."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-W", "error", "-c", FULL_DISK, url, str(folder), str(room)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    return output.decode().split()


async def test_a_disk_that_is_full_at_the_last_byte_is_told(tmp_path: Path) -> None:
    """Invariant 9: it takes a part of the last piece without complaint; no file appears."""

    async def serve(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        response.enable_chunked_encoding()
        await response.prepare(request)
        await response.write(BODY)
        return response

    async with media_host(serve) as url:
        assert await with_room_for(len(BODY) - 1, url, tmp_path) == ["OSError", "27"]
    assert everything_in(tmp_path) == []


async def test_a_full_disk_loses_nothing(suno: SunoSession, tmp_path: Path) -> None:
    """Invariant 9: a full disk is Python's own error, no file appears, and what came is kept."""

    async def serve(request: web.Request) -> web.StreamResponse:
        begin = int(request.headers.get("Range", "bytes=0-")[6:-1])
        headers = {"ETag": '"1"', "Content-Range": f"bytes {begin}-{len(BODY) - 1}/{len(BODY)}"}
        return web.Response(body=BODY[begin:], status=206 if begin else 200, headers=headers)

    async with media_host(serve) as url:
        assert await with_room_for(700_001, url, tmp_path) == ["OSError", "27"]
        track = Track(id="1", title="t", audio_url=url)
        part = part_of(tmp_path, track)
        assert everything_in(tmp_path) == [part.name, part.with_suffix(".tag").name]
        assert part.stat().st_size == 700_001
        path = await suno.download(track, tmp_path)
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
    "\u200fright \u200eleft\u061c\ufeff",
    "\u200f.hidden",
    " -\u200e-rf",
    "\ud800",
    "a/b",
    "%2e%2e%2f",
    "~root",
    "-rf",
    "$(reboot)",
]
RESERVED = {"CON", "PRN", "AUX", "NUL", "COM1", "LPT9"}


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
async def test_a_name_stays_in_its_folder(
    sandbox: Sandbox, suno: SunoSession, tmp_path: Path, text: str
) -> None:
    """Invariant 9: whatever title and id are, the file is in the folder, under a harmless name."""
    track, _ = await finished(sandbox)
    for changed in (evolve(track, title=text), evolve(track, id=text)):
        path = await suno.download(changed, tmp_path / "out")
        name = path.name
        assert path.parent == tmp_path / "out"
        assert everything_in(tmp_path) == ["out"]
        assert name in everything_in(tmp_path / "out")
        assert len(f".{name}.part".encode()) <= 255
        assert not name.startswith((".", " ", "-", "~"))
        assert not name.endswith((".", " "))
        assert not set(name) & set('/\\:*?"<>|\0\n\u202e\u200e\u200f\u061c\ufeff')
        assert name.split(".")[0].strip().upper() not in RESERVED


@pytest.mark.parametrize(
    ("one", "two"), [("a/b", "a:b"), ("x", "x."), ("y" * 100, "y" * 101), ("a ", "a"), ("", None)]
)
async def test_two_ids_are_two_files(
    sandbox: Sandbox, suno: SunoSession, tmp_path: Path, one: str, two: str | None
) -> None:
    """Invariant 9: ids that differ only in unsafe characters never share a file."""
    first, second = await finished(sandbox)
    paths = {
        await suno.download(evolve(first, id=one), tmp_path),
        await suno.download(evolve(second, id=two), tmp_path),
    }
    assert len(paths) == 2


async def test_a_cancelled_download_leaves_the_others_alone(
    sandbox: Sandbox, suno: SunoSession, tmp_path: Path
) -> None:
    """Invariant 8: who waits for the same track goes on when the one that fetches is cancelled."""
    track, _ = await finished(sandbox)
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
        track, _ = await finished(sandbox)
        sandbox.inject(Call.MEDIA, Delay(timedelta(hours=1).total_seconds()))
        assert (await suno.download(track, tmp_path)).is_file()


async def test_a_rate_limited_host_is_given_up_in_the_end(
    sandbox: Sandbox, suno: SunoSession, tmp_path: Path
) -> None:
    """A media host that always says 429 is an error that says so."""
    track, _ = await finished(sandbox)
    sandbox.inject(Call.MEDIA, HttpError(429), times=None)
    with pytest.raises(RateLimited):
        await suno.download(track, tmp_path)
