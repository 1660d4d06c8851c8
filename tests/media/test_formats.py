"""What a file is, its first bytes decide."""

from pathlib import Path

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from suno_async import ProtocolError, SunoSession
from suno_async.media.formats import AUDIO, IMAGE, audio_ending, image_ending

from .hosts import everything_in, media_host, track_at

AUDIO_HEADS = {
    b"ID3\x04": ".mp3",
    b"\xff\xfb\x90\x64": ".mp3",
    b"\xff\xf3\x40\xc0": ".mp3",
    b"\xff\xfa\x90\x00": ".mp3",
    b"\xff\xe3\x18\xc4": ".mp3",
    b"RIFF\x24\0\0\0WAVEfmt ": ".wav",
    b"RF64\xff\xff\xff\xffWAVE": ".wav",
    b"fLaC\0\0\0\x22": ".flac",
    b"OggS\0\x02": ".ogg",
    b"\0\0\0\x20ftypM4A ": ".m4a",
    b"\0\0\0\x18ftypmp42": ".m4a",
    b"\xff\xf1\x50\x80": ".aac",
    b"\xff\xf9\x50\x80": ".aac",
}
IMAGE_HEADS = {
    b"\xff\xd8\xff\xe0": ".jpeg",
    b"\x89PNG\r\n\x1a\n": ".png",
    b"GIF89a": ".gif",
    b"RIFF\x24\0\0\0WEBPVP8 ": ".webp",
    b"\0\0\0\x20ftypavif": ".avif",
}
TEXT = [b"<!DOCTYPE html>", b'{"code": 404}', b"Access denied   ", b"GIF89a", b"\r\n<\xc3\xbc>"]
NEITHER = [
    *TEXT,
    b"",
    b"\xef\xbb\xbf<?xml version",
    b"\xff\xfb\xf0\x64",
    b"\xff\xff\xff\xff",
    b"\xff\xeb\x90\x64",
]


@pytest.mark.parametrize(("head", "ending"), AUDIO_HEADS.items())
async def test_audio_is_what_begins_like_it(
    suno: SunoSession, tmp_path: Path, head: bytes, ending: str
) -> None:
    """Audio that a host calls text, or an image, gets the ending of its format all the same."""
    body = head + b"\0" * 100

    async def serve(request: web.Request) -> web.StreamResponse:
        return web.Response(body=body, headers={"Content-Type": request.query["type"]})

    async with media_host(serve) as url:
        for kind in ("text/plain", "binary/octet-stream", "image/png", "application/json", "junk"):
            track = track_at(f"{url}?type={kind}", id=kind)
            path = await suno.download(track, tmp_path / kind.replace("/", "-"))
            assert (path.name, path.read_bytes()) == (f"t 1{ending}", body)


@pytest.mark.parametrize("kind", ["image/png", "text/html", "application/pdf", "video/mp4", "junk"])
async def test_what_nobody_knows_and_nobody_calls_audio_is_refused(
    suno: SunoSession, tmp_path: Path, kind: str
) -> None:
    """A format that is new has to be called audio."""

    async def serve(request: web.Request) -> web.StreamResponse:
        return web.Response(body=b"\x01new\0" * 20, headers={"Content-Type": kind})

    async with media_host(serve) as url:
        with pytest.raises(ProtocolError, match=f"sent {kind} in place of audio"):
            await suno.download(track_at(url), tmp_path)


@pytest.mark.parametrize("head", TEXT)
@pytest.mark.parametrize("kind", ["audio/mpeg", "application/octet-stream"])
async def test_pages_called_audio_are_refused(
    suno: SunoSession, tmp_path: Path, head: bytes, kind: str
) -> None:
    """A page, an envelope or plain text never becomes a file, whatever it is called."""

    async def serve(_: web.Request) -> web.StreamResponse:
        return web.Response(body=head + b" " * 100, headers={"Content-Type": kind})

    async with media_host(serve) as url:
        with pytest.raises(ProtocolError, match="in place of audio"):
            await suno.download(track_at(url), tmp_path)
    assert everything_in(tmp_path) == []


@pytest.mark.parametrize(
    ("kind", "taken"),
    [
        ("audio/x-new", True),
        ("application/octet-stream", True),
        ("binary/octet-stream; a=b", True),
        ("", True),
        ("text/plain", False),
        ("text/html", False),
        ("image/png", False),
        ("application/json", False),
        ("application/zip", False),
    ],
)
def test_a_format_that_is_new_is_taken_when_it_is_called_audio(kind: str, taken: bool) -> None:
    """Paid audio is not lost because its format is in no table here."""
    assert AUDIO.accepts(b"\x1aE\xdf\xa3" + bytes(12), kind) is taken


@pytest.mark.parametrize("head", [*NEITHER, *IMAGE_HEADS])
def test_what_is_no_audio_has_no_ending(head: bytes) -> None:
    """Text, images, and frames with forbidden values are no audio."""
    assert audio_ending(head) is None


@pytest.mark.parametrize(("head", "ending"), IMAGE_HEADS.items())
def test_images_are_told_apart(head: bytes, ending: str) -> None:
    """Covers get the ending of their format."""
    assert image_ending(head) == ending
    assert IMAGE.accepts(head, "text/plain")


@given(st.binary(max_size=32))
def test_nothing_is_both(head: bytes) -> None:
    """No beginning is audio and an image at once, and every ending is a known one."""
    audio, image = audio_ending(head), image_ending(head)
    assert audio is None or image is None
    assert audio is None or audio in AUDIO.endings
    assert image is None or image in IMAGE.endings
