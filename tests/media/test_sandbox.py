"""Against the sandbox's own host of media: signed URLs, sources, and every fault it knows."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from attrs import evolve

from suno_async import InvalidRequest, NotFound, ProtocolError, SunoError, SunoSession, Track
from suno_async.sandbox import (
    Call,
    CutAfter,
    Dialect,
    DropAfter,
    Fault,
    Html200,
    HttpError,
    IgnoreRange,
    NeedsCookie,
    Sandbox,
    Served,
    Throttle,
    Unavailable,
)
from tests.world import EAGER, session_for

from .hosts import everything_in, finished

DIALECT = Dialect(signed_urls=True, source_urls=True)


@pytest.fixture
async def signed() -> AsyncIterator[Sandbox]:
    """A sandbox whose files have signed URLs and a second one at their source."""
    async with Sandbox(time_scale=0, submissions_per_window=None, dialect=DIALECT) as sandbox:
        yield sandbox


@pytest.fixture
async def session(signed: Sandbox) -> AsyncIterator[SunoSession]:
    """A session for it that takes no file over 10 MB."""
    async with session_for(signed, retry=EAGER, max_download_bytes=10_000_000) as suno:
        yield suno


def _whole(path: Path, track: Track) -> bool:
    """Tell whether a file is the whole WAV of a track of the sandbox: 22,050 samples a second."""
    data = path.read_bytes()
    size = int.from_bytes(data[4:8], "little") + 8
    assert track.duration is not None
    return size == len(data) == 44 + 2 * round(track.duration * 22_050)


PASSING: list[Fault] = [
    CutAfter(100_000),
    DropAfter(),
    Html200(),
    HttpError(429),
    HttpError(502),
    IgnoreRange(),
    NeedsCookie(),
    Throttle(chunk_bytes=100_000, pause_s=0.001),
    Unavailable(agent="Python"),
    Unavailable(agent="aiohttp"),
    Served(headers={"Content-Type": "text/plain"}),
    Served(headers={"Content-Type": "binary/octet-stream"}),
    Served(headers={"Content-Encoding": "br"}),
    Served(length=False),
    Served(length=False, etag="none", ranges=False),
    Served(etag="weak", cut_after_bytes=100_000),
    Served(gzip=True),
    Served(gzip=True, length=False, cut_after_bytes=20_000),
    Served(unasked_bytes=50),
    Served(unasked_bytes=200_000, etag="none"),
]


@pytest.mark.parametrize("fault", PASSING, ids=map(repr, PASSING))
async def test_whatever_a_host_does_for_a_while_the_file_is_whole(
    signed: Sandbox, session: SunoSession, tmp_path: Path, fault: Fault
) -> None:
    """Invariant 9: twice with a fault and then without: the file is whole, and alone."""
    track, _ = await finished(signed)
    assert track.audio_url is not None
    assert "%2F" in track.audio_url
    signed.inject(Call.MEDIA, fault, times=2)
    path = await session.download(track, tmp_path)
    assert _whole(path, track)
    assert everything_in(tmp_path) == [path.name]


HOPELESS: list[tuple[Fault, type[SunoError]]] = [
    (Unavailable(403), SunoError),
    (Unavailable(410), NotFound),
    (Unavailable(441), NotFound),
    (Unavailable(200), SunoError),
    (Served(endless=True), ProtocolError),
    (Served(endless=True, gzip=True), ProtocolError),
    (Served(unasked_bytes=50, etag="none"), SunoError),
]


@pytest.mark.parametrize(("fault", "error"), HOPELESS, ids=map(repr, HOPELESS))
async def test_what_never_works_is_told(
    signed: Sandbox,
    session: SunoSession,
    tmp_path: Path,
    fault: Fault,
    error: type[SunoError],
) -> None:
    """Invariant 9: for ever and without a source: an error that says so, and nothing on disk."""
    track = evolve((await finished(signed))[0], source_audio_url=None)
    signed.inject(Call.MEDIA, fault, times=None)
    with pytest.raises(error):
        await session.download(track, tmp_path)
    assert everything_in(tmp_path) == []


@pytest.mark.parametrize("fault", [fault for fault, _ in HOPELESS], ids=repr)
async def test_a_dead_url_falls_back_to_its_source(
    signed: Sandbox, session: SunoSession, tmp_path: Path, fault: Fault
) -> None:
    """Whatever is wrong with `audio_url`, the original host has the file."""
    track, _ = await finished(signed)
    signed.inject(Call.MEDIA, fault, times=None)
    assert _whole(await session.download(track, tmp_path), track)


async def test_everything_of_a_task_comes_down(
    signed: Sandbox, session: SunoSession, tmp_path: Path
) -> None:
    """Audio and covers of a task, under readable names."""
    tracks = await finished(signed)
    paths = await session.download_all(tracks, tmp_path, covers=True)
    title = "Relaxing Piano"
    assert [path.name for path in paths[:2]] == [f"{title} 1.wav", f"{title} 2.wav"]
    assert [path.name for path in paths[2:]] == [f"{title} 1.png", f"{title} 2.png"]
    assert all(map(_whole, paths, tracks))
    assert everything_in(tmp_path) == sorted(path.name for path in paths)


async def test_a_cover_comes_down_by_itself(
    signed: Sandbox, session: SunoSession, tmp_path: Path
) -> None:
    """It gets the folder and the name that it is given, and is fetched once."""
    track, _ = await finished(signed)
    beside = tmp_path / "covers" / "One.mp3"
    first = await session.download_cover(track, beside)
    assert first == tmp_path / "covers" / "One.png"
    assert first.read_bytes().startswith(b"\x89PNG")
    asked = len(signed.requests)
    assert await session.download_cover(track, beside) == first
    assert len(signed.requests) == asked
    with pytest.raises(InvalidRequest, match="image_url"):
        await session.download_cover(evolve(track, image_url=None, source_image_url=None), beside)
