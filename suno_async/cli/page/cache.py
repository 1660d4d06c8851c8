"""Waveforms that were computed before, kept with the run, so that only new files are decoded."""

import json
from base64 import b64decode, b64encode
from binascii import Error as NotBase64
from contextlib import suppress
from pathlib import Path
from typing import Any

from suno_async.cli.page.waveform import Waveform, measure
from suno_async.cli.whole import write_whole

FILE = ".waveforms.json"
_VERSION = 1
# what is larger was not written here
_MOST_BYTES = 64 << 20

# size and time of change, in nanoseconds: a file with others is another file
_Stamp = tuple[int, int]


class Waveforms:
    """Looks at audio files, at each only once as long as it does not change.

    Args:
        folder: Where paths start, and where the results are kept between processes.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known = _load(folder / FILE)
        self._used: dict[str, tuple[_Stamp, Waveform]] = {}
        self._saved = dict(self._known)

    def of(self, path: str) -> Waveform:
        """Return the waveform of a file, by its path relative to the folder."""
        file = self._folder / path
        try:
            found = file.stat()
        except (OSError, ValueError):
            return Waveform()
        stamp = (found.st_size, found.st_mtime_ns)
        known = self._known.get(path)
        if known is None or known[0] != stamp:
            known = (stamp, measure(file))
            self._known[path] = known
        self._used[path] = known
        return known[1]

    def save(self) -> None:
        """Keep what was used since the last call; that this fails costs only time later."""
        self._known, self._used = self._used, {}
        if self._known == self._saved:
            return
        self._saved = dict(self._known)
        files = {path: _written(stamp, seen) for path, (stamp, seen) in self._known.items()}
        text = json.dumps({"version": _VERSION, "files": files})
        with suppress(OSError):
            write_whole(self._folder / FILE, text.encode())


def _written(stamp: _Stamp, waveform: Waveform) -> list[Any]:
    return [*stamp, waveform.duration_s, b64encode(bytes(waveform.peaks)).decode()]


def _load(file: Path) -> dict[str, tuple[_Stamp, Waveform]]:
    try:
        if file.stat().st_size > _MOST_BYTES:
            return {}
        kept = json.loads(file.read_bytes())
        if kept["version"] != _VERSION:
            return {}
        return {path: _read(*values) for path, values in kept["files"].items()}
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError, NotBase64):
        return {}


def _read(size: int, changed: int, duration_s: float | None, peaks: str) -> tuple[_Stamp, Waveform]:
    seconds = None if duration_s is None else float(duration_s)
    return (int(size), int(changed)), Waveform(tuple(b64decode(peaks, validate=True)), seconds)
