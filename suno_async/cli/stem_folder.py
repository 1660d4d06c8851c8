"""The stems of a run beside its tracks, so that a page of them needs nothing from elsewhere."""

import logging
import os
import shutil
from collections.abc import Iterable
from pathlib import Path

from suno_async.cli.stems import Stem
from suno_async.cli.whole import replacing
from suno_async.media.names import safe_text

FOLDER = "stems"
# two contents do not share so many digits
_DIGEST_LENGTH = 16
_LONGEST_ENDING = 8
_log = logging.getLogger(__name__)


class StemFolder:
    """Puts stems into a run's folder, each content once, whatever its files are called.

    Args:
        out: The run's folder.
    """

    def __init__(self, out: Path) -> None:
        self._out = out
        # by digest; empty for one that could not be put there
        self._paths: dict[str, str] = {}

    def put(self, stems: Iterable[Stem]) -> None:
        """Make sure that stems are there; one that cannot be put there is not tried again.

        A stem on the same file system is linked, so that it takes no room; else it is copied.
        """
        for stem in stems:
            if stem.digest not in self._paths:
                path = f"{FOLDER}/{_name(stem)}"
                try:
                    _place(stem, self._out / path)
                except OSError as error:
                    _log.info("no copy of %s: %s", stem.path, error)
                    path = ""
                self._paths[stem.digest] = path

    def path(self, stem: Stem) -> str | None:
        """Tell where a stem is, relative to the run's folder; None when it is not there."""
        return self._paths.get(stem.digest) or None


def _name(stem: Stem) -> str:
    ending = safe_text(stem.path.suffix)
    ending = f".{ending}" if 0 < len(ending) <= _LONGEST_ENDING else ""
    return f"{safe_text(stem.path.stem) or 'stem'} {stem.digest[:_DIGEST_LENGTH]}{ending}"


def _place(stem: Stem, target: Path) -> None:
    if target.is_file() and target.stat().st_size == stem.size_bytes:
        return
    target.parent.mkdir(exist_ok=True)
    target.unlink(missing_ok=True)
    try:
        # a link to a symbolic link would not be one to the file
        os.link(stem.path.resolve(), target)
    except OSError:
        with replacing(target) as temporary:
            shutil.copyfile(stem.path, temporary)
