"""The file host: real audio, ranges, covers, and no key."""

import zlib
from struct import unpack

import pytest

from suno_async.sandbox import sing
from suno_async.sandbox.wav import decode

from .caller import Caller


async def _audio_urls(caller: Caller, stem: bytes) -> list[str]:
    task_id = await caller.submit(uploadUrl=await caller.upload(stem))
    caller.clock.advance(130)
    return [str(track["audioUrl"]) for track in await caller.tracks(task_id)]


async def test_the_two_tracks_differ_and_fit_the_stem(caller: Caller) -> None:
    """Both are as long as the stem at its rate, and they are different music."""
    stem = sing(1.234, sample_rate=16_000)
    urls = await _audio_urls(caller, stem)
    first, second = [(await caller.fetch(url))[1] for url in urls]
    assert first != second
    for data in (first, second):
        pcm = decode(data)
        assert (pcm.sample_rate, pcm.channels, pcm.frames) == (16_000, 1, round(1.234 * 16_000))


async def test_duration_is_the_true_length(caller: Caller) -> None:
    """`duration` is the number of frames over the sample rate."""
    task_id = await caller.submit(uploadUrl=await caller.upload(sing(1.5)))
    caller.clock.advance(130)
    assert [track["duration"] for track in await caller.tracks(task_id)] == [1.5, 1.5]


async def test_audio_is_served_with_everything_a_download_needs(caller: Caller) -> None:
    """Length, entity tag, ranges and type are there; asked again it is the same file."""
    url = (await _audio_urls(caller, sing(0.5)))[0]
    status, body, headers = await caller.fetch(url)
    assert status == 200
    assert int(headers["Content-Length"]) == len(body) == 44 + 2 * 11_025
    assert headers["Accept-Ranges"] == "bytes"
    assert headers["Content-Type"] == "audio/wav"
    assert (await caller.fetch(url))[2]["ETag"] == headers["ETag"]


@pytest.mark.parametrize(
    ("asked", "first", "last"),
    [
        ("bytes=0-9", 0, 9),
        ("bytes=100-", 100, None),
        ("bytes=-7", -7, None),
        ("bytes=5-9999999", 5, None),
    ],
)
async def test_a_range_is_served(caller: Caller, asked: str, first: int, last: int | None) -> None:
    """A range is a 206 with exactly those bytes and says which they are."""
    url = (await _audio_urls(caller, sing(0.5)))[0]
    whole = (await caller.fetch(url))[1]
    status, body, headers = await caller.fetch(url, Range=asked)
    assert status == 206
    assert body == whole[first : None if last is None else last + 1]
    start = first % len(whole)
    assert headers["Content-Range"] == f"bytes {start}-{start + len(body) - 1}/{len(whole)}"


@pytest.mark.parametrize("asked", ["bytes=22094-", "bytes=99999999-", "bytes=-0"])
async def test_a_range_beyond_the_end_is_a_416(caller: Caller, asked: str) -> None:
    """A range without any byte of the file names its length."""
    url = (await _audio_urls(caller, sing(0.5)))[0]
    status, body, headers = await caller.fetch(url, Range=asked)
    assert (status, body, headers["Content-Range"]) == (416, b"", "bytes */22094")


@pytest.mark.parametrize("asked", ["bytes=9-1", "lines=1-2", "bytes=1-2,5-6", "bytes=-"])
async def test_a_range_that_makes_no_sense_is_ignored(caller: Caller, asked: str) -> None:
    """The whole file is served in place of a range that is not understood."""
    url = (await _audio_urls(caller, sing(0.5)))[0]
    status, body, _ = await caller.fetch(url, Range=asked)
    assert (status, len(body)) == (200, 22_094)


async def test_if_range_guards_against_another_file(caller: Caller) -> None:
    """With the right tag the rest is served, with another one everything."""
    url = (await _audio_urls(caller, sing(0.5)))[0]
    tag = (await caller.fetch(url))[2]["ETag"]
    asked = {"Range": "bytes=10-"}
    assert (await caller.fetch(url, **asked, **{"If-Range": tag}))[0] == 206
    assert (await caller.fetch(url, **asked, **{"If-Range": '"other"'}))[0] == 200


async def test_head_tells_the_length(caller: Caller) -> None:
    """HEAD has the headers of GET and no body."""
    url = (await _audio_urls(caller, sing(0.5)))[0]
    async with caller.http.head(url) as response:
        assert (response.status, response.headers["Content-Length"]) == (200, "22094")


async def test_audio_is_not_there_before_its_stage(caller: Caller) -> None:
    """The stream comes with the text; the file of the second track is last."""
    task_id = await caller.submit()
    caller.clock.advance(22)
    first, second = (track["streamAudioUrl"] for track in await caller.tracks(task_id))
    files = [url.replace("/stream", "") for url in (first, second)]
    assert (await caller.fetch(first))[0] == 200
    assert [(await caller.fetch(url))[0] for url in files] == [404, 404]
    caller.clock.advance(43)
    assert [(await caller.fetch(url))[0] for url in files] == [200, 404]


async def test_covers_are_images_of_their_own(caller: Caller) -> None:
    """Each track has another PNG, whose pixels can be unpacked."""
    task_id = await caller.submit()
    caller.clock.advance(130)
    covers = [(await caller.fetch(t["imageUrl"])) for t in await caller.tracks(task_id)]
    assert covers[0][1] != covers[1][1]
    data = covers[0][1]
    assert covers[0][2]["Content-Type"] == "image/png"
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = unpack(">II", data[16:24])
    size = unpack(">I", data[33:37])[0]
    assert len(zlib.decompress(data[41 : 41 + size])) == height * (1 + 3 * width)


async def test_a_finished_track_can_be_a_stem(caller: Caller) -> None:
    """The sandbox's own audio URLs are fetchable sources like any other."""
    url = (await _audio_urls(caller, sing(0.5)))[0]
    task_id = await caller.submit(uploadUrl=url)
    assert caller.sandbox.tasks[task_id].stem.duration_s == 0.5


async def test_a_stem_that_is_no_audio_fails_the_task(caller: Caller) -> None:
    """The task is created and paid, and fails with a message that says why."""
    task_id = await caller.submit(uploadUrl=await caller.upload(b"ID3\x04not a wav", "a.mp3"))
    caller.clock.advance(22)
    data = await caller.details(task_id)
    assert (data["status"], data["errorCode"]) == ("GENERATE_AUDIO_FAILED", 500)
    assert "not a WAV file" in data["errorMessage"]
    assert len(caller.sandbox.ledger) == 1


async def test_the_log_shows_who_sent_the_key(caller: Caller) -> None:
    """Calls of the API are seen with the key, downloads without."""
    url = (await _audio_urls(caller, sing(0.5)))[0]
    await caller.fetch(url)
    seen = caller.sandbox.requests
    assert all(request.authorized for request in seen[:-1])
    assert (seen[-1].method, seen[-1].authorized) == ("GET", False)
    assert seen[-1].path in url


async def test_unknown_files_are_404(caller: Caller) -> None:
    """Neither a track nor an upload nor a path that climbs is found."""
    for path in ("/cdn/none.wav", "/cdn/none.png", "/files/a/b.wav", "/files/..%2fx", "/"):
        assert (await caller.fetch(caller.sandbox.base_url + path))[0] == 404
