"""The bytes of a manifest, and the text that they are."""

import codecs
import errno
import os
import stat
from pathlib import Path

from suno_async.cli.at_once import open_at_once
from suno_async.cli.failures import Complaint, sentence

MAX_BYTES = 64 * 1024 * 1024
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


def read_content(path: Path) -> bytes:
    """Read a whole manifest; a named pipe or a device is refused without waiting for it.

    Raises:
        Complaint: It is no regular file, cannot be read, or is too large.
    """
    try:
        _check_kind(path, path.stat())
        with open_at_once(path) as file:
            _check_kind(path, os.fstat(file.fileno()))
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise Complaint(f"cannot read the manifest: {sentence(error)}") from error
    except ValueError as error:
        raise Complaint(f"cannot read the manifest: {path!s}: {error}") from error
    if len(content) > MAX_BYTES:
        raise Complaint(f"{path}: a manifest has at most {MAX_BYTES // 1024**2} MB")
    return content


def _check_kind(path: Path, found: os.stat_result) -> None:
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(found.st_mode):
        raise Complaint(f"cannot read the manifest: {path} is no regular file")


def decoded(name: str, content: bytes, encoding: str | None = None) -> str:
    """Decode a manifest: UTF-8 or, with a byte order mark, UTF-16.

    Args:
        name: The file, for complaints.
        content: Its bytes.
        encoding: Its encoding when it is another one, such as `cp1252`.

    Raises:
        Complaint: It is not in that encoding; the first line and byte that are not are named.
    """
    mark, told = next((pair for pair in _MARKS if content.startswith(pair[0])), (b"", "utf-8"))
    codec = encoding or told
    begin = 0 if encoding else len(mark)
    try:
        text = content[begin:].decode(codec)
    except UnicodeDecodeError as error:
        at = begin + error.start
        line = content[begin:at].decode(codec, "ignore").count("\n") + 1
        what = f"byte {at + 1:,} (0x{content[at]:02X}) is no {codec.upper()}"
        raise Complaint(f"{name}:{line}: {what}: {_advice(encoding)}") from error
    except (LookupError, ValueError) as error:
        raise Complaint(f"{name}: {encoding} is no encoding of text that is known") from error
    text = text.removeprefix("\ufeff")
    if (nul := text.find("\0")) >= 0:
        line = text.count("\n", 0, nul) + 1
        why = "a NUL is no text: save it as UTF-8, or as UTF-16 with a byte order mark"
        raise Complaint(f"{name}:{line}: {why}")
    return text


def _advice(encoding: str | None) -> str:
    if encoding is not None:
        return "save it as UTF-8"
    return "save it as UTF-8, or name its encoding, such as --encoding cp1252"
