"""Names are for people: readable, stable from run to run, and never another track's."""

import asyncio
import os
import shutil
import sys
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from suno_async import (
    InvalidRequest,
    NotFound,
    Outcome,
    Stage,
    StageEvent,
    SunoSession,
    TaskDetails,
    TaskStatus,
    Track,
)
from suno_async.media import file_name
from suno_async.media.names import safe_text
from suno_async.observe import Downloaded, Downloading, Observation, Observers
from suno_async.sandbox import Sandbox
from tests.world import song

from .hosts import BODY, everything_in, media_for, media_host, track_at

COVER = b"\xff\xd8\xff\xe0" + bytes(100)


async def _serve(request: web.Request) -> web.StreamResponse:
    """Serve what says what it is: the same bytes for the same URL."""
    if request.path.endswith((".jpg", ".jpeg")):
        return web.Response(body=COVER)
    return web.Response(body=BODY[:100] + request.path_qs.encode())


def _details(url: str, *ids: str, title: str = "Harbour") -> TaskDetails:
    tracks = tuple(
        track_at(f"{url}?{name}", id=name, title=title, image_url=f"{url[:-6]}/{name}.jpg")
        for name in ids
    )
    return TaskDetails(task_id="t", status=TaskStatus.SUCCESS, tracks=tracks)


async def test_a_tasks_tracks_are_numbered(tmp_path: Path) -> None:
    """`download_all` names them in the task's order, whichever is done first."""
    async with media_host(_serve) as url, media_for() as media:
        paths = await media.download_all(_details(url, "idididid1", "idididid2"), tmp_path)
    assert [path.name for path in paths] == ["Harbour 1.mp3", "Harbour 2.mp3"]
    assert [path.read_bytes()[-1:] for path in paths] == [b"1", b"2"]
    assert everything_in(tmp_path) == ["Harbour 1.mp3", "Harbour 2.mp3"]


async def test_ids_are_in_names_only_where_names_collide(tmp_path: Path) -> None:
    """A second task of the same title gets ids; running again gives the same files, unasked."""
    asked: Counter[str] = Counter()

    async def serve(request: web.Request) -> web.StreamResponse:
        asked[request.path_qs] += 1
        return await _serve(request)

    async with media_host(serve) as url:
        tasks = [_details(url, "aaaaaaaa", "bbbbbbbb"), _details(url, "cccccccc", "dddddddd")]
        runs = []
        for _ in range(2):
            async with media_for() as media:
                runs.append([await media.download_all(task, tmp_path) for task in tasks])
                runs[-1].append([await media.download(t, tmp_path) for t in tasks[1].tracks])
    assert runs[0] == runs[1]
    assert runs[0][1] == runs[0][2]
    names = ["Harbour 1.mp3", "Harbour 2.mp3", "Harbour cccccccc.mp3", "Harbour dddddddd.mp3"]
    assert everything_in(tmp_path) == names
    assert set(asked.values()) == {1}


async def test_tracks_alone_take_the_next_number(tmp_path: Path) -> None:
    """Downloaded one by one or all at once, they are numbered in the order of the calls."""
    async with media_host(_serve) as url, media_for() as media:
        one, two = _details(url, "aaaaaaaa", "bbbbbbbb").tracks
        together = await asyncio.gather(
            media.download(one, tmp_path / "a"), media.download(two, tmp_path / "a")
        )
        singly = [await media.download(track, tmp_path / "b") for track in (two, one)]
    assert [path.name for path in together] == ["Harbour 1.mp3", "Harbour 2.mp3"]
    assert [path.name for path in singly] == ["Harbour 1.mp3", "Harbour 2.mp3"]
    assert together[0].read_bytes() == singly[1].read_bytes()


async def test_a_failed_download_gives_its_number_back(tmp_path: Path) -> None:
    """A track that never came takes no number from the next."""

    async def serve(request: web.Request) -> web.StreamResponse:
        return web.Response(status=404) if "aaaaaaaa" in request.path_qs else await _serve(request)

    async with media_host(serve) as url, media_for() as media:
        one, two = _details(url, "aaaaaaaa", "bbbbbbbb").tracks
        with pytest.raises(NotFound):
            await media.download(one, tmp_path)
        assert (await media.download(two, tmp_path)).name == "Harbour 1.mp3"
    assert everything_in(tmp_path) == ["Harbour 1.mp3"]


@pytest.mark.parametrize(
    ("name", "names"),
    [
        ("take", ["take.mp3", "take bbbbbbbb.mp3"]),
        ("take.mp3", ["take.mp3", "take bbbbbbbb.mp3"]),
        ("take.WAV", ["take.WAV", "take bbbbbbbb.WAV"]),
        ("v1.2", ["v1.2.mp3", "v1.2 bbbbbbbb.mp3"]),
        ("AC/DC: -x", ["AC_DC_ -x.mp3", "AC_DC_ -x bbbbbbbb.mp3"]),
        ("../../etc/x", ["_.._etc_x.mp3", "_.._etc_x bbbbbbbb.mp3"]),
        (".mp3", ["mp3.mp3", "mp3 bbbbbbbb.mp3"]),
        ("CON", ["_CON.mp3", "_CON bbbbbbbb.mp3"]),
        ("x" * 5000, [f"{'x' * 120}.mp3", f"{'x' * 120} bbbbbbbb.mp3"]),
    ],
)
async def test_a_callers_name_is_taken(tmp_path: Path, name: str, names: list[str]) -> None:
    """The file is called what the caller says, made harmless; another track's is left alone."""
    async with media_host(_serve) as url, media_for() as media:
        tracks = _details(url, "aaaaaaaa", "bbbbbbbb").tracks
        paths = [await media.download(track, tmp_path, name=name) for track in tracks]
        again = [await media.download(track, tmp_path, name=name) for track in tracks]
    assert [path.name for path in paths] == names
    assert again == paths
    assert paths[0].read_bytes() != paths[1].read_bytes()


@pytest.mark.parametrize("name", ["", "  ", 7, b"x", Path("x")])
async def test_a_name_must_be_one(suno: SunoSession, tmp_path: Path, name: Any) -> None:
    """What is no text is refused by name."""
    with pytest.raises(InvalidRequest, match="name must be text"):
        await suno.download(track_at("http://127.0.0.1/a"), tmp_path, name=name)


async def test_two_names_are_two_files(tmp_path: Path) -> None:
    """A track that is asked for under another name is there under both."""
    async with media_host(_serve) as url, media_for() as media:
        track = track_at(url)
        paths = [await media.download(track, tmp_path, name=name) for name in (None, "a", "b")]
    assert everything_in(tmp_path) == ["a.mp3", "b.mp3", "t 1.mp3"]
    assert len(set(paths)) == 3


async def test_tracks_without_ids_are_told_apart_by_the_whole_url(tmp_path: Path) -> None:
    """`/get?id=1` and `/get?id=2` are two files, also when run again."""
    async with media_host(_serve) as url, media_for() as media:
        tracks = [track_at(f"{url}?id={n}", id=None) for n in (1, 2, 3)]
        paths = [await media.download(track, tmp_path) for track in tracks]
        assert [await media.download(track, tmp_path) for track in tracks] == paths
    assert [path.read_bytes()[-1:] for path in paths] == [b"1", b"2", b"3"]


async def test_short_ids_are_no_numbers(tmp_path: Path) -> None:
    """Tracks whose ids are "1" and "2" never get the files that are another's number."""
    async with media_host(_serve) as url, media_for() as media:
        tracks = [track_at(f"{url}?{n}", id=str(n)) for n in (3, 2, 1, 4)]
        paths = [await media.download(track, tmp_path) for track in tracks]
        assert [await media.download(track, tmp_path) for track in tracks] == paths
    assert [path.read_bytes()[-1:] for path in paths] == [b"3", b"2", b"1", b"4"]


async def test_a_file_of_the_first_version_is_found(tmp_path: Path) -> None:
    """What was saved under title and id is that track's, and is not fetched again."""
    track = track_at("http://127.0.0.1:1/a.wav", id="aaaaaaaa")
    old = tmp_path / file_name(track)
    old.write_bytes(b"RIFF")
    assert old.name == "t aaaaaaaa.wav"
    async with media_for() as media:
        assert await media.download(track, tmp_path) == old


@pytest.mark.skipif(sys.platform != "linux", reason="Linux has extended attributes")
async def test_a_file_that_cannot_bear_a_mark_has_it_beside(tmp_path: Path) -> None:
    """Where files have no attributes, a hidden file says whose they are; a copy keeps both."""
    async with media_host(_serve) as url, media_for() as media:
        tracks = _details(url, "aaaaaaaa", "bbbbbbbb").tracks
        here, there = tmp_path / "here", tmp_path / "there"
        for track in tracks:
            await media.download(track, here)
        there.mkdir()
        for path in here.iterdir():
            key = os.getxattr(path, "user.suno-async.key")
            shutil.copyfile(path, there / path.name)  # without its attributes
            (there / f".{path.name}.key").write_bytes(key)
        paths = [await media.download(track, there) for track in tracks]
    assert [path.name for path in paths] == ["Harbour 1.mp3", "Harbour 2.mp3"]
    assert len(everything_in(there)) == 4


async def test_covers_come_on_request(tmp_path: Path) -> None:
    """Each cover is beside its audio, under its name, and the paths come after the audio's."""
    async with media_host(_serve) as url, media_for() as media:
        details = _details(url, "aaaaaaaa", "bbbbbbbb")
        paths = await media.download_all(details, tmp_path, covers=True)
        assert await media.download_all(details, tmp_path, covers=True) == paths
    names = ["Harbour 1.mp3", "Harbour 2.mp3", "Harbour 1.jpeg", "Harbour 2.jpeg"]
    assert [path.name for path in paths] == names
    assert paths[2].read_bytes() == COVER
    assert everything_in(tmp_path) == sorted(names)


async def test_everything_that_has_tracks_can_be_downloaded(tmp_path: Path) -> None:
    """Details, an outcome, an event, and tracks by themselves."""
    async with media_host(_serve) as url, media_for() as media:
        details = _details(url, "aaaaaaaa", "bbbbbbbb")
        forms: list[Any] = [
            details,
            Outcome(position=0, request=song(), task_id="t", details=details),
            StageEvent(
                stage=Stage.COMPLETE,
                task_id="t",
                tracks=details.tracks,
                details=details,
                observed_at=datetime.now(UTC),
            ),
            details.tracks,
            iter(details.tracks),
        ]
        results = [await media.download_all(form, tmp_path) for form in forms]
    assert len({tuple(paths) for paths in results}) == 1


@pytest.mark.parametrize("given_tracks", [None, 7, "ab", [1], [], [Track(id="1")]])
async def test_what_has_no_audio_is_refused(
    suno: SunoSession, tmp_path: Path, given_tracks: Any
) -> None:
    """No tracks, none with audio, or something else: refused by name."""
    with pytest.raises(InvalidRequest, match="tracks must"):
        await suno.download_all(given_tracks, tmp_path)


@pytest.mark.parametrize("concurrency", [0, -1, True, 1.5, None])
async def test_concurrency_is_a_count(suno: SunoSession, tmp_path: Path, concurrency: Any) -> None:
    """Anything else is refused by name."""
    with pytest.raises(InvalidRequest, match="concurrency must"):
        await suno.download_all([track_at("http://127.0.0.1/a")], tmp_path, concurrency=concurrency)


async def test_a_track_without_audio_is_left_out(tmp_path: Path) -> None:
    """The others keep their numbers."""
    async with media_host(_serve) as url, media_for() as media:
        tracks = [Track(id="aaaaaaaa", title="Harbour"), *_details(url, "bbbbbbbb").tracks]
        (path,) = await media.download_all(tracks, tmp_path)
    assert path.name == "Harbour 2.mp3"


async def test_one_that_fails_stops_no_other(tmp_path: Path) -> None:
    """The rest is saved before the error is raised; it is the first's, with the others noted."""

    async def serve(request: web.Request) -> web.StreamResponse:
        if "bad" in request.path_qs:
            return web.Response(status=410 if "bad1" in request.path_qs else 404)
        await asyncio.sleep(0.05)
        return await _serve(request)

    async with media_host(serve) as url, media_for() as media:
        details = _details(url, "aaaaaaaa", "bad1bad1", "bad2bad2", "bbbbbbbb")
        with pytest.raises(NotFound) as caught:
            await media.download_all(details, tmp_path)
    assert caught.value.code == 410
    assert "HTTP 404" in caught.value.__notes__[0]
    assert everything_in(tmp_path) == ["Harbour 1.mp3", "Harbour 4.mp3"]


@pytest.mark.parametrize("concurrency", [1, 3])
async def test_no_more_than_so_many_at_a_time(tmp_path: Path, concurrency: int) -> None:
    """`concurrency` bounds the requests that are under way."""
    busy, most = 0, 0

    async def serve(request: web.Request) -> web.StreamResponse:
        nonlocal busy, most
        busy += 1
        most = max(most, busy)
        await asyncio.sleep(0.02)
        busy -= 1
        return await _serve(request)

    async with media_host(serve) as url, media_for() as media:
        details = _details(url, *(f"idididid{n}" for n in range(8)))
        await media.download_all(details, tmp_path, concurrency=concurrency)
    assert 1 <= most <= concurrency


async def test_observers_hear_of_bytes(sandbox: Sandbox, suno: SunoSession, tmp_path: Path) -> None:
    """A download tells how far it is, twice a second at most, and how it ended."""
    told: list[Observation] = []

    async def serve(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        response.content_length = len(BODY)
        await response.prepare(request)
        for begin in range(0, len(BODY), 100_000):
            await response.write(BODY[begin : begin + 100_000])
        return response

    async with media_host(serve) as url, media_for(observers=Observers([told.append])) as media:
        path = await media.download(track_at(url), tmp_path)
        await media.download(track_at(url), tmp_path)
    *growing, ended = told
    assert 1 <= len(growing) < 10
    for one in growing:
        assert isinstance(one, Downloading)
        assert (one.url, one.path, one.total_bytes) == (url, path, len(BODY))
        assert 0 < one.received_bytes <= len(BODY)
    assert isinstance(ended, Downloaded)
    assert (ended.url, ended.path, ended.size_bytes) == (url, path, len(BODY))
    assert ended.seconds > 0


TEXT = st.text(st.characters(codec=None), max_size=300)


@given(TEXT)
def test_any_text_becomes_harmless(text: str) -> None:
    """Whatever a title is: a plain name, short enough, the same again when made harmless again."""
    safe = safe_text(text)
    assert len(safe.encode()) <= 120
    assert not safe.startswith((".", " ", "-", "~"))
    assert not safe.endswith((".", " "))
    assert not set(safe) & set('/\\:*?"<>|\0\n\u202e\u200e\u200f\ufeff')
    assert safe_text(safe) == safe
