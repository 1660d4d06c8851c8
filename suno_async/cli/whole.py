"""Files that a reader never sees half written, whatever ends the writer."""

import os
import re
import secrets
import sys
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_ENDING = ".part"
_NAME = re.compile(rf"\.[0-9a-f]{{8}}-[0-9a-f]{{8}}{re.escape(_ENDING)}")
# where nothing can be locked, a writer that has been silent for so long was killed
_ABANDONED_S = 600


def write_whole(path: Path, data: bytes) -> None:
    """Write a file, whole or not at all.

    Raises:
        OSError: It cannot be written; what was there before is unchanged.
    """
    with replacing(path) as temporary:
        temporary.write_bytes(data)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Hand out an empty file beside another; when the block ends, it takes the other's place.

    When the block raises, nothing is replaced and nothing is left. What a writer that was killed
    has left behind is removed by the next one of the same file, and by `sweep`.

    Raises:
        OSError: It cannot be written; what was there before is unchanged.
    """
    # a name of its own length: the file's may be as long as names can be
    stem = f".{zlib.crc32(os.fsencode(path.name)):08x}-"
    temporary, lock = _create(path.parent, stem)
    try:
        yield temporary
        with temporary.open("rb+") as written:
            os.fsync(written.fileno())
        temporary.replace(path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise
    finally:
        if lock is not None:
            os.close(lock)
    _sweep(path.parent, f"{stem}*{_ENDING}")


def sweep(folder: Path) -> None:
    """Remove what writers that were killed have left in a folder, of whatever files."""
    _sweep(folder, f".*{_ENDING}")


def _sweep(folder: Path, pattern: str) -> None:
    for left in folder.glob(pattern):
        if _NAME.fullmatch(left.name):
            with suppress(OSError):
                _remove_abandoned(left)


def _is_old(path: Path) -> bool:
    return time.time() - path.stat().st_mtime > _ABANDONED_S


if sys.platform == "win32":  # which replaces no open file

    def _create(folder: Path, stem: str) -> tuple[Path, None]:
        temporary = folder / f"{stem}{secrets.token_hex(4)}{_ENDING}"
        temporary.touch(exist_ok=False)
        return temporary, None

    def _remove_abandoned(path: Path) -> None:
        if _is_old(path):
            path.unlink()

else:
    import fcntl

    def _create(folder: Path, stem: str) -> tuple[Path, int]:
        """Make an empty file, and lock it for as long as it is written."""
        while True:
            temporary = folder / f"{stem}{secrets.token_hex(4)}{_ENDING}"
            lock = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
            with suppress(OSError):  # not every file system has locks
                fcntl.flock(lock, fcntl.LOCK_EX)
            if temporary.exists():
                return temporary, lock
            os.close(lock)  # another process has swept it before it was locked

    def _remove_abandoned(path: Path) -> None:
        found = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_NOFOLLOW)
        try:
            if _is_left(found, path):
                path.unlink()  # before the lock is given back: its writer may be about to take it
        finally:
            os.close(found)

    def _is_left(found: int, path: Path) -> bool:
        try:
            fcntl.flock(found, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:
            return _is_old(path)
        return True
