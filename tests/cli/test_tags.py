"""Tags in downloaded audio."""

import hashlib
import shutil
import subprocess
import sys
from base64 import b64decode
from pathlib import Path

import pytest

from suno_async.cli.tags import tag_file
from suno_async.media.marks import mark_of, set_mark, write_mark
from suno_async.sandbox import sing
from suno_async.sandbox.cover import paint

mutagen = pytest.importorskip("mutagen")

AUDIO = Path(__file__).parent.parent / "page" / "audio"
KINDS = ("mp3", "wav", "flac", "ogg", "opus", "m4a")
HOSTILE = 'Синий "порт" </title>\u202e ☃\ud800\0' + "x" * 10_000
SHOWN = HOSTILE.replace("\0", "").replace("\ud800", "?")


@pytest.fixture
def cover(tmp_path: Path) -> Path:
    """A cover on disk."""
    path = tmp_path / "cover.png"
    path.write_bytes(paint("cover"))
    return path


def audio_file(folder: Path, kind: str) -> Path:
    """Put one second of audio into a folder."""
    path = folder / f"01 Blue harbour - A.{kind}"
    if kind == "wav":
        path.write_bytes(sing(1))
    else:
        shutil.copyfile(AUDIO / f"second.{kind}", path)
    return path


def tag(path: Path, cover: Path | None, title: str = HOSTILE) -> bool:
    """Write tags as the command does."""
    return tag_file(path, title=title, genre="pop, piano", cover=cover, task_id="5c79be8e", row="7")


def read(path: Path) -> dict[str, str]:
    """Read the tags back, whatever they are called in this format."""
    tags = mutagen.File(path).tags
    names = {
        "title": ("TIT2", "title", "\xa9nam"),
        "genre": ("TCON", "genre", "\xa9gen"),
        "task": ("TXXX:SUNO_TASK_ID", "suno_task_id", "----:com.apple.iTunes:SUNO_TASK_ID"),
        "row": ("TXXX:SUNO_ROW", "suno_row", "----:com.apple.iTunes:SUNO_ROW"),
    }
    found = {
        name: next(tags[key] for key in keys if key in tags.keys())  # noqa: SIM118
        for name, keys in names.items()
    }
    return {name: _text(value) for name, value in found.items()}


def _text(value: object) -> str:
    if isinstance(value, list):
        value = value[0]
    return bytes(value).decode() if isinstance(value, bytes) else str(value)


def picture(path: Path) -> bytes:
    """Read the cover back."""
    file = mutagen.File(path)
    if hasattr(file, "pictures"):
        return bytes(file.pictures[0].data)
    if "covr" in file.tags:
        return bytes(file.tags["covr"][0])
    if "metadata_block_picture" in file.tags:
        block = b64decode(file.tags["metadata_block_picture"][0])
        return bytes(mutagen.flac.Picture(block).data)
    return bytes(file.tags.getall("APIC")[0].data)


@pytest.mark.parametrize("kind", KINDS)
def test_tags_can_be_read_back(tmp_path: Path, cover: Path, kind: str) -> None:
    """Title, styles, cover, task and row are in the file; it is as long as before."""
    path = audio_file(tmp_path, kind)
    before_s = mutagen.File(path).info.length

    assert tag(path, cover)

    assert read(path) == {"title": SHOWN, "genre": "pop, piano", "task": "5c79be8e", "row": "7"}
    assert picture(path) == cover.read_bytes()
    assert mutagen.File(path).info.length == pytest.approx(before_s, abs=0.001)


@pytest.mark.parametrize("kind", ["wav", "flac", "ogg", "mp3"])
def test_the_sound_is_untouched(tmp_path: Path, cover: Path, kind: str) -> None:
    """What is decoded of the file is the same before and after."""
    miniaudio = pytest.importorskip("miniaudio")
    path = audio_file(tmp_path, kind)
    before = miniaudio.decode(path.read_bytes()).samples

    assert tag(path, cover)

    assert miniaudio.decode(path.read_bytes()).samples == before


@pytest.mark.parametrize("kind", KINDS)
def test_tagging_again_changes_nothing_more(tmp_path: Path, cover: Path, kind: str) -> None:
    """A run that goes on may tag a file once more."""
    path = audio_file(tmp_path, kind)
    assert tag(path, cover)
    once = (read(path), path.stat().st_size)

    assert tag(path, cover)

    assert (read(path), path.stat().st_size) == once


def test_an_id3_tag_is_of_version_2_4(tmp_path: Path) -> None:
    """Players read UTF-8 out of it."""
    path = audio_file(tmp_path, "mp3")
    assert tag(path, None, "Синий")
    assert path.read_bytes()[:5] == b"ID3\x04\x00"


@pytest.mark.parametrize(
    "data",
    [b"", b"\xff\xf1\x50\x80" + bytes(400), b"no audio at all", b"RIFF\x04\0\0\0WAVE", b"fLaC"],
    ids=["empty", "AAC without a container", "text", "a cut WAV", "a cut FLAC"],
)
def test_what_cannot_have_tags_is_left_alone(tmp_path: Path, cover: Path, data: bytes) -> None:
    """The file is the same, and nothing lies beside it."""
    path = tmp_path / "track.bin"
    path.write_bytes(data)

    assert not tag(path, cover)

    assert path.read_bytes() == data
    assert sorted(file.name for file in tmp_path.iterdir()) == ["cover.png", "track.bin"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_broken_file_stays_or_is_tagged_whole(tmp_path: Path, cover: Path, kind: str) -> None:
    """Whatever was cut off or damaged, no error comes and nothing is left beside the file."""
    whole = audio_file(tmp_path, kind).read_bytes()
    path = tmp_path / f"broken.{kind}"
    for size in range(0, len(whole), max(len(whole) // 40, 1)):
        damaged = bytearray(whole[:size])
        damaged[size // 2 : size // 2 + 8] = b"\xff" * min(8, size - size // 2)
        path.write_bytes(damaged)
        if not tag(path, cover):
            assert path.read_bytes() == damaged
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("image", [b"<svg onload=alert(1)>", b"", None])
def test_a_cover_that_is_none_is_left_out(tmp_path: Path, image: bytes | None) -> None:
    """The other tags are written all the same."""
    path, cover = audio_file(tmp_path, "mp3"), tmp_path / "cover.png"
    if image is not None:
        cover.write_bytes(image)

    assert tag(path, cover, "Blue harbour")

    assert read(path)["title"] == "Blue harbour"
    assert not mutagen.File(path).tags.getall("APIC")


def test_a_link_is_not_replaced(tmp_path: Path) -> None:
    """What it points to is somebody else's file."""
    target = audio_file(tmp_path, "mp3")
    before = target.read_bytes()
    link = tmp_path / "link.mp3"
    link.symlink_to(target)

    assert not tag(link, None)

    assert link.is_symlink()
    assert target.read_bytes() == before


def test_permissions_stay(tmp_path: Path) -> None:
    """A file that others may read can be read by them afterwards."""
    path = audio_file(tmp_path, "flac")
    path.chmod(0o640)
    assert tag(path, None)
    assert path.stat().st_mode & 0o777 == 0o640


TRACED = """
import os, sys
from pathlib import Path
from suno_async.cli import tags

steps, last = 0, int(sys.argv[2])
def trace(frame, event, arg):
    global steps
    steps += 1
    if steps == last:
        os.kill(os.getpid(), 9)
    return trace
sys.settrace(trace)
tags.tag_file(Path(sys.argv[1]), title="t", genre="g", cover=None, task_id="i", row="1")
sys.settrace(None)
print(steps)
"""


def test_a_killed_process_leaves_a_whole_file(tmp_path: Path) -> None:
    """Killed anywhere, the file is as it was or has its tags, and can be tagged later."""
    path = audio_file(tmp_path, "flac")
    before = hashlib.sha256(path.read_bytes()).digest()

    def traced(last: int) -> str:
        shutil.copyfile(AUDIO / "second.flac", path)
        command = [sys.executable, "-c", TRACED, str(path), str(last)]
        done = subprocess.run(command, check=False, stdout=subprocess.PIPE, text=True)  # noqa: S603
        return done.stdout

    steps = int(traced(0))
    for last in range(steps // 6, steps, steps // 6):
        assert not traced(last)
        untouched = hashlib.sha256(path.read_bytes()).digest() == before
        assert untouched or read(path)["title"] == "t"
    assert tag(path, None, "later")
    assert read(path)["title"] == "later"


def test_a_tagged_file_keeps_its_mark(tmp_path: Path, cover: Path) -> None:
    """A download looks for it under its key, whether the file bears it or one beside it."""
    for number, attribute in enumerate((True, False)):
        folder = tmp_path / str(number)
        folder.mkdir()
        path = audio_file(folder, "mp3")
        if attribute:
            with path.open("rb+") as file:
                assert set_mark(file.fileno(), "key") or pytest.skip("no extended attributes here")
        else:
            write_mark(path, "key")
        assert tag(path, cover)
        assert mark_of(path) == "key"
