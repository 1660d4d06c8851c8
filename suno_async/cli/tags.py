# mutagen's functions have no annotations
# mypy: disable-error-code="no-untyped-call"
"""Tags in downloaded audio: what it is called, its styles, its cover, and where it comes from.

They are written by mutagen, where it is installed.
"""

import shutil
import zlib
from base64 import b64encode
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

from attrs import frozen

from suno_async.cli.whole import replacing
from suno_async.media.formats import HEAD_BYTES, audio_ending, image_ending
from suno_async.media.marks import keep_mark

TASK_ID = "SUNO_TASK_ID"
ROW = "SUNO_ROW"
_FREE_FORM = "----:com.apple.iTunes:"
_FRONT_COVER = 3
# what FLAC's blocks have room for, with some to spare
_MOST_COVER_BYTES = 12 << 20
_IMAGES = {".jpeg": "image/jpeg", ".png": "image/png"}


@frozen
class _Cover:
    data: bytes
    mime: str


@frozen
class _Tags:
    title: str
    genre: str
    task_id: str
    row: str
    cover: _Cover | None

    @property
    def own(self) -> dict[str, str]:
        """What no format has a field for."""
        return {name: text for name, text in ((TASK_ID, self.task_id), (ROW, self.row)) if text}


def tag_file(
    path: Path, *, title: str, genre: str, cover: Path | None, task_id: str, row: str
) -> bool:
    """Write tags into an audio file; what is in it otherwise stays.

    A copy is tagged and takes the file's place: whatever interrupts this, the file is whole.
    A download finds it afterwards as before, and doing it again changes nothing more. It reads
    and writes files: on an event loop, call it in a thread.

    Args:
        path: The audio. MP3, WAV, FLAC, Ogg and M4A have tags, told by how the file begins.
        title: The song's title; an empty text leaves a field as it is, here and below.
        genre: Its styles.
        cover: An image, JPEG or PNG; another, or one that cannot be read, is left out.
        task_id: The service's task.
        row: The manifest's row, as it is to be read.

    Returns:
        Whether the file has the tags now; a file of another format, or one that is broken, is
        left as it was.

    Raises:
        OSError: The file cannot be read, or no copy can be written beside it.
    """
    write = _WRITERS.get(audio_ending(_head(path)) or "")
    if write is None or path.is_symlink():
        return False
    tags = _Tags(
        title=_clean(title),
        genre=_clean(genre),
        task_id=_clean(task_id),
        row=_clean(row),
        cover=_load_cover(cover) if cover is not None else None,
    )
    with suppress(_NotTagged):
        with replacing(path) as copy:
            shutil.copyfile(path, copy)
            shutil.copymode(path, copy)
            _write(write, copy, tags)
            keep_mark(path, copy)
        return True
    return False


def is_tagged(path: Path, task_id: str) -> bool:
    """Tell whether a file bears the tags of a task; one that cannot be read does not."""
    from mutagen import File

    _leave_packed()
    try:
        audio = File(path)
    except Exception:  # noqa: BLE001 - a broken file surprises mutagen in many ways
        return False
    tags = audio.tags if audio is not None else None
    for name in (f"TXXX:{TASK_ID}", TASK_ID, f"{_FREE_FORM}{TASK_ID}"):
        if tags is not None and name in tags:
            found = tags[name][0] if not hasattr(tags[name], "text") else tags[name].text[0]
            return (found.decode() if isinstance(found, bytes) else str(found)) == task_id
    return False


class _Packed:
    """Stands for zlib in mutagen, which would unpack a frame of some kilobytes to gigabytes."""

    error = zlib.error

    @staticmethod
    def decompress(_: bytes) -> bytes:
        """Unpack nothing: mutagen keeps the frame as it is."""
        raise NotImplementedError


@cache
def _leave_packed() -> None:
    frames: Any = import_module("mutagen.id3._frames")
    frames.zlib = _Packed


class _NotTagged(Exception):
    """The copy is given up."""


def _write(write: Callable[[Path, _Tags], None], copy: Path, tags: _Tags) -> None:
    _leave_packed()
    kind = audio_ending(_head(copy))
    try:
        write(copy, tags)
    except Exception as error:  # a broken file surprises mutagen in many ways
        raise _NotTagged from error
    if audio_ending(_head(copy)) not in {kind, ".mp3"}:
        raise _NotTagged


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(HEAD_BYTES)


def _clean(text: str) -> str:
    # ID3 separates values by NUL; no format has lone surrogates
    return text.replace("\0", "").encode("utf-8", "replace").decode()


def _load_cover(path: Path) -> _Cover | None:
    try:
        with path.open("rb") as file:
            data = file.read(_MOST_COVER_BYTES + 1)
    except OSError:
        return None
    mime = _IMAGES.get(image_ending(data[:HEAD_BYTES]) or "")
    if mime is None or len(data) > _MOST_COVER_BYTES:
        return None
    return _Cover(data, mime)


def _into_mp3(path: Path, tags: _Tags) -> None:
    from mutagen.id3 import ID3, ID3NoHeaderError

    try:
        id3 = ID3(path)
    except ID3NoHeaderError:
        id3 = ID3()
    _fill_id3(id3, tags)
    id3.save(path, v2_version=4)


def _into_wav(path: Path, tags: _Tags) -> None:
    from mutagen.wave import WAVE

    audio = WAVE(path)
    if audio.tags is None:
        audio.add_tags()
    _fill_id3(audio.tags, tags)
    audio.save(v2_version=4)


def _fill_id3(id3: Any, tags: _Tags) -> None:
    from mutagen.id3 import APIC, TCON, TIT2, TXXX

    utf8 = 3
    if tags.title:
        id3.setall("TIT2", [TIT2(encoding=utf8, text=[tags.title])])
    if tags.genre:
        id3.setall("TCON", [TCON(encoding=utf8, text=[tags.genre])])
    for name, text in tags.own.items():
        id3.setall(f"TXXX:{name}", [TXXX(encoding=utf8, desc=name, text=[text])])
    if tags.cover is not None:
        picture = APIC(
            encoding=utf8,
            mime=tags.cover.mime,
            type=_FRONT_COVER,
            desc="",
            data=tags.cover.data,
        )
        id3.setall("APIC", [picture])


def _into_flac(path: Path, tags: _Tags) -> None:
    from mutagen.flac import FLAC

    audio = FLAC(path)
    if audio.tags is None:
        audio.add_tags()
    _fill_comments(audio, tags)
    if tags.cover is not None:
        audio.clear_pictures()
        audio.add_picture(_picture(tags.cover))
    audio.save()


def _into_ogg(path: Path, tags: _Tags) -> None:
    from mutagen import File
    from mutagen.oggflac import OggFLAC
    from mutagen.oggopus import OggOpus
    from mutagen.oggvorbis import OggVorbis

    audio = File(path, options=[OggVorbis, OggOpus, OggFLAC])
    if audio is None:
        raise _NotTagged
    _fill_comments(audio, tags)
    if tags.cover is not None:
        block = b64encode(_picture(tags.cover).write()).decode()
        audio["metadata_block_picture"] = [block]
    audio.save()


def _fill_comments(audio: Any, tags: _Tags) -> None:
    for name, text in {"title": tags.title, "genre": tags.genre, **tags.own}.items():
        if text:
            audio[name] = [text]


def _picture(cover: _Cover) -> Any:
    from mutagen.flac import Picture

    picture = Picture()
    picture.type, picture.mime, picture.data = _FRONT_COVER, cover.mime, cover.data
    return picture


def _into_m4a(path: Path, tags: _Tags) -> None:
    from mutagen.mp4 import MP4, MP4Cover, MP4FreeForm

    audio = MP4(path)
    if audio.tags is None:
        audio.add_tags()
    for atom, text in (("\xa9nam", tags.title), ("\xa9gen", tags.genre)):
        if text:
            audio[atom] = [text]
    for name, text in tags.own.items():
        audio[f"{_FREE_FORM}{name}"] = [MP4FreeForm(text.encode())]
    if tags.cover is not None:
        png = tags.cover.mime == "image/png"
        kind = MP4Cover.FORMAT_PNG if png else MP4Cover.FORMAT_JPEG
        audio["covr"] = [MP4Cover(tags.cover.data, imageformat=kind)]
    audio.save()


_WRITERS: Mapping[str, Callable[[Path, _Tags], None]] = {
    ".mp3": _into_mp3,
    ".wav": _into_wav,
    ".flac": _into_flac,
    ".ogg": _into_ogg,
    ".m4a": _into_m4a,
}
