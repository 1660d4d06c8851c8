"""Files that a reader never sees half written."""

import os
import secrets
import time
from contextlib import suppress
from pathlib import Path

_ENDING = ".part"
# a writer that has been silent for so long was killed
_ABANDONED_S = 600


def write_whole(path: Path, data: bytes) -> None:
    """Write a file under another name beside it, then put it in its place.

    Raises:
        OSError: It cannot be written; what was there before is unchanged.
    """
    temporary = path.with_name(f".{path.name.lstrip('.')}.{secrets.token_hex(4)}{_ENDING}")
    try:
        with temporary.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise
    _sweep(path)


def _sweep(path: Path) -> None:
    """Remove what writers of this file left behind that were killed."""
    for left in path.parent.glob(f".{path.name.lstrip('.')}.*{_ENDING}"):
        with suppress(OSError):
            if time.time() - left.stat().st_mtime > _ABANDONED_S:
                left.unlink()
