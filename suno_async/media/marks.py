"""Remember which file is whose: in the file's own attributes, or in a small hidden file beside it.

The mark goes where the file goes, so a file is found again by another process and after a restart.
"""

import os
import sys
from contextlib import suppress
from pathlib import Path

_ATTRIBUTE = "user.suno-async.key"


def set_mark(descriptor: int, key: str) -> bool:
    """Mark an open file; False where files have no such attributes."""
    if sys.platform != "linux":
        return False
    try:
        os.setxattr(descriptor, _ATTRIBUTE, key.encode())
    except OSError:
        return False
    return True


def write_mark(path: Path, key: str) -> None:
    """Write the mark beside a file that cannot bear it itself."""
    write_new(_beside(path), key.encode())


def mark_of(path: Path) -> str | None:
    """Tell which key a file bears: "" for none, None if there is no file of this name."""
    if not path.is_file():
        return None
    mark = b""
    if sys.platform == "linux":
        with suppress(OSError):
            mark = os.getxattr(path, _ATTRIBUTE)
    return (mark or read_small(_beside(path))).decode(errors="replace")


def keep_mark(path: Path, copy: Path) -> None:
    """Have a copy that is about to take a file's name be found as that file.

    Raises:
        OSError: Neither the copy nor a file beside it can bear the mark.
    """
    key = mark_of(path)
    if not key:
        return
    with copy.open("rb+") as file:
        marked = set_mark(file.fileno(), key)
    if not marked:
        write_mark(path, key)


def _beside(path: Path) -> Path:
    return path.with_name(f".{path.name}.key")


def write_new(path: Path, data: bytes) -> None:
    """Write a small file; whatever had its name before is left alone and loses the name."""
    path.unlink(missing_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | no_follow()
    with os.fdopen(os.open(path, flags, 0o666), "wb") as file:
        file.write(data)


def read_small(path: Path) -> bytes:
    """Read a small file without following a link; empty when it cannot be read."""
    try:
        descriptor = os.open(path, os.O_RDONLY | no_follow())
    except OSError:
        return b""
    with os.fdopen(descriptor, "rb") as file, suppress(OSError):
        return file.read(4096)
    return b""


def no_follow() -> int:
    """Flags with which neither a link is followed nor a pipe waited for, where there are any."""
    nonblocking: int = getattr(os, "O_NONBLOCK", 0)
    return nonblocking | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
