"""Names for files: readable, harmless on every system, and never another track's.

`pathvalidate` was looked at for this (3.3.1): it keeps marks that turn the direction of writing,
lone surrogates, and names that commands take for options, so these rules would stay; and it cuts
by itself, after which two ids could be one. What would be left for it is one pattern below.
"""

import hashlib
import os
import re
import unicodedata
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from attrs import frozen

from suno_async.errors import InvalidRequest
from suno_async.media.formats import AUDIO, Kind
from suno_async.models import Track

LONGEST_TITLE_BYTES = 120
LONGEST_ID_BYTES = 64
# a shorter id could be taken for one of the numbers that names end with
SHORTEST_ID = 8

# what file systems refuse and what breaks lines
_UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f/\\:*?\"<>|\u2028\u2029\ud800-\udfff]+")
# what is not seen, and turns the direction of writing or hides a difference
_UNSEEN = re.compile(r"[\u061c\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff]+")
# Windows keeps these names for devices, whatever follows their first dot
_RESERVED = re.compile(r"(?:CON|PRN|AUX|NUL|COM[0-9¹²³]|LPT[0-9¹²³]) *(?:\.|$)", re.IGNORECASE)
_PLAIN_ENDING = re.compile(r"\.[A-Za-z0-9]{1,5}")


@frozen
class Names:
    """The names that a file may get, the best one first; the last is this track's alone.

    Attributes:
        stems: The names without their endings.
        kind: What the file is.
        ending: An ending that the caller chose, or "" for that of the file's format.
        hint: The ending in the file's URL, for a format that is not recognised.
    """

    stems: tuple[str, ...]
    kind: Kind
    ending: str = ""
    hint: str = ""

    def files(self, head: bytes) -> tuple[str, ...]:
        """Name the file that begins like this."""
        ending = self.ending or self.kind.ending(head) or self.hint or self.kind.default
        return tuple(f"{stem}{ending}" for stem in self.stems)

    def endings(self) -> tuple[str, ...]:
        """Tell which endings the file can have got."""
        if self.ending:
            return (self.ending,)
        return tuple(sorted(self.kind.endings | {self.hint or self.kind.default}))


def names_of(track: Track, url: str, name: str | None, position: int | None) -> Names:
    """Name a track's file after what the caller says, or after its title.

    Args:
        track: The track.
        url: Where its audio is.
        name: The caller's wish; it may bring one of the endings of audio.
        position: Which of its task's tracks it is, from 1; None when that is not known: then it
            takes the first free number.
    """
    identity = _id_in_name(track.id, url)
    hint = hint_of(url, AUDIO)
    if name is not None:
        stem, ending = _split(name, AUDIO)
        safe = _stem(stem)
        return Names((safe, f"{safe} {identity}"), AUDIO, ending, hint)
    title = _stem(track.title or "")
    numbers = range(1, 3) if position is None else (position,)
    numbered = [f"{title} {number}" for number in numbers]
    return Names((*numbered, f"{title} {identity}"), AUDIO, hint=hint)


def path_of(field: str, given: str | os.PathLike[str]) -> Path:
    """Read a path that a caller names.

    Raises:
        InvalidRequest: No file system could have it.
    """
    try:
        path = Path(given)
        os.fsencode(path)
    except (TypeError, ValueError) as error:
        raise InvalidRequest(field, given, "must be a path") from error
    if "\0" in str(path):
        raise InvalidRequest(field, given, "must be a path")
    return path


def file_name(track: Track) -> str:
    """Name a track's file after its title and its id: the name that no other track's file has."""
    url = track.audio_url or ""
    return f"{_stem(track.title or '')} {_id_in_name(track.id, url)}{hint_of(url, AUDIO) or '.mp3'}"


def key_of(kind: Kind, track: Track, url: str, name: str | None) -> str:
    """Tell one file from every other: by its track's id, or by the whole URL without one."""
    whose = ("id", track.id) if track.id else ("url", url)
    parts = (kind.word, *whose, "" if name is None else f"name {name}")
    text = "\0".join(parts)
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:32]


def hint_of(url: str, kind: Kind) -> str:
    """Take the ending of a URL's path if it is one of this kind, else ""."""
    ending = plain_ending(url)
    return ending if ending.lower() in kind.endings else ""


def plain_ending(url: str) -> str:
    """Take the ending of a URL's path if it is a plain one, else ""."""
    ending = PurePosixPath(urlsplit(url).path).suffix
    return ending if _PLAIN_ENDING.fullmatch(ending) else ""


def _split(name: str, kind: Kind) -> tuple[str, str]:
    stem, dot, ending = name.rpartition(".")
    found = f"{dot}{ending}"
    return (stem, found) if stem and found.lower() in kind.endings else (name, "")


def _stem(title: str) -> str:
    safe = safe_text(title) or "track"
    return f"_{safe}" if _RESERVED.match(safe) else safe


def _id_in_name(track_id: str | None, url: str) -> str:
    """Take the id if it can be in a name as it is; two ids must never come out as one."""
    if not track_id:  # the URL tells one track from the other, its query too
        return hashlib.sha256(url.encode(errors="surrogatepass")).hexdigest()[:16]
    if (
        track_id == safe_text(track_id)
        and SHORTEST_ID <= len(track_id.encode()) <= LONGEST_ID_BYTES
    ):
        return track_id
    return hashlib.sha256(track_id.encode(errors="surrogatepass")).hexdigest()[:32]


def safe_text(text: str) -> str:
    """Keep what every file system takes, without hidden names, in few enough bytes."""
    cleaned = unicodedata.normalize("NFC", _UNSEEN.sub("", _UNSAFE.sub("_", text)))
    cleaned = cleaned.lstrip(" .-~").rstrip(" .")
    return cleaned.encode()[:LONGEST_TITLE_BYTES].decode(errors="ignore").strip(" .")
