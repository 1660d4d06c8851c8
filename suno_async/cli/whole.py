"""Files that a reader never sees half written, whatever ends the writer."""

import os
import secrets
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_ENDING = ".part"
# a writer that has been silent for so long was killed
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

    When the block raises, nothing is replaced and nothing is left. What writers that were killed
    left behind is removed some time later.

    Raises:
        OSError: It cannot be written; what was there before is unchanged.
    """
    # a name of its own length: the file's may be as long as names can be
    stem = f".{zlib.crc32(os.fsencode(path.name)):08x}-"
    temporary = path.with_name(f"{stem}{secrets.token_hex(4)}{_ENDING}")
    temporary.touch(exist_ok=False)
    try:
        yield temporary
        with temporary.open("rb+") as written:
            os.fsync(written.fileno())
        temporary.replace(path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise
    _sweep(path.parent, stem)


def _sweep(folder: Path, stem: str) -> None:
    for left in folder.glob(f"{stem}*{_ENDING}"):
        with suppress(OSError):
            if time.time() - left.stat().st_mtime > _ABANDONED_S:
                left.unlink()
