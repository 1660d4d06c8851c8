"""Opens what a path names without waiting for it: a named pipe has perhaps no writer."""

import os
from io import BufferedReader
from pathlib import Path

_NON_BLOCKING = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


def open_at_once(path: Path) -> BufferedReader:
    """Open a path for reading, whatever it is; the caller looks at what it has opened.

    Raises:
        OSError: It cannot be opened.
        ValueError: It is no path.
    """
    return os.fdopen(os.open(path, os.O_RDONLY | _NON_BLOCKING), "rb")
