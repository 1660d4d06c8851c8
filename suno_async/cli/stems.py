"""Stems on disk: checked, measured and told apart by their content before anything is paid."""

import errno
import hashlib
import os
import re
import stat
from pathlib import Path

from attrs import frozen

from suno_async import InvalidRequest
from suno_async.cli.at_once import open_at_once
from suno_async.media.formats import AUDIO, HEAD_BYTES, audio_ending, image_ending

# documents, archives and programs, by how they begin
_NOT_AUDIO = (b"%PDF", b"PK\x03\x04", b"\x1f\x8b", b"7z\xbc\xaf", b"Rar!", b"\x7fELF", b"SQLite")
# as a path, a URL has lost its second slash
_URL = re.compile(r"https?:/", re.IGNORECASE)
_KINDS = (
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


@frozen
class Stem:
    """A stem that can be uploaded.

    Attributes:
        path: Where it is.
        size_bytes: How long it is.
        digest: The SHA-256 of its content, in hexadecimal: equal content is uploaded once.
    """

    path: Path
    size_bytes: int
    digest: str


def stem_path(value: object, folder: Path) -> Path:
    """Find the file that a stem names.

    Args:
        value: A path; `~` is the home folder.
        folder: What a relative path starts from.

    Raises:
        InvalidRequest: It names none.
    """
    if not isinstance(value, str | Path) or not str(value).strip() or "\0" in str(value):
        raise InvalidRequest("stem", value, "must be the path of a file")
    if _URL.match(str(value)):
        raise InvalidRequest("stem", value, "must be the path of a file; a URL is an upload_url")
    try:
        os.fsencode(value)
        return folder / Path(value).expanduser()
    except UnicodeEncodeError as error:
        raise InvalidRequest("stem", value, "must be a path that a file can have") from error
    except RuntimeError as error:
        raise InvalidRequest("stem", value, "must not start from an unknown user's home") from error


def check_stem(path: Path) -> Stem:
    """Read a stem; refuse what is no regular, readable file that may be audio.

    A named pipe or a device is refused without waiting for it.

    Raises:
        InvalidRequest: It is not.
    """
    try:
        _check_kind(path, path.stat())
        with open_at_once(path) as file:
            found = os.fstat(file.fileno())
            _check_kind(path, found)
            _check_audio(path, file.read(HEAD_BYTES))
            file.seek(0)
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except (OSError, ValueError) as error:
        if isinstance(error, InvalidRequest):
            raise
        reason = getattr(error, "strerror", None) or str(error)
        rule = f"must be a readable file ({reason})"
        raise InvalidRequest("stem", str(path), rule) from error
    return Stem(path, found.st_size, digest)


def _check_kind(path: Path, found: os.stat_result) -> None:
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if not stat.S_ISREG(found.st_mode):
        kind = next((word for is_kind, word in _KINDS if is_kind(found.st_mode)), "something else")
        raise InvalidRequest("stem", str(path), f"must be a regular file, and this is {kind}")


def _check_audio(path: Path, head: bytes) -> None:
    """Refuse what begins like something else; a format of audio that is not known here passes."""
    if not head:
        raise InvalidRequest("stem", str(path), "must not be an empty file")
    if audio_ending(head) is not None:
        return
    other = image_ending(head) is not None or head.startswith(_NOT_AUDIO)
    if other or not AUDIO.accepts(head, ""):
        raise InvalidRequest("stem", str(path), "must be audio, by how the file begins")
