"""What earlier runs have saved of a song, as the folder has it now."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from string import ascii_uppercase

from suno_async import Track
from suno_async.cli.board import Entry, SavedTrack
from suno_async.media.formats import IMAGE

COVERS = "covers"


def take_saved(
    entry: Entry, tracks: Sequence[Track], out: Path, saved: Mapping[tuple[str, str], str]
) -> bool:
    """Note the files of a song whose tracks were all saved; tell whether they were.

    Args:
        entry: The song, whose task is known.
        tracks: All that its task has made.
        out: The folder of the tracks.
        saved: The files of tracks that were saved, by task and letter.
    """
    letters = [ascii_uppercase[number % len(ascii_uppercase)] for number in range(len(tracks))]
    names = [saved.get((entry.task_id or "", letter)) for letter in letters]
    if not names or None in names:
        return False
    for track, letter, name in zip(tracks, letters, names, strict=True):
        path = out / str(name)
        if path.is_file():
            entry.tracks.append(SavedTrack(path, track, letter, _cover(path, out)))
        else:
            entry.deleted += 1
    return True


def _cover(path: Path, out: Path) -> Path | None:
    """Find the cover of a file: it has its name, with the ending of its own format."""
    names = (out / COVERS / f"{path.stem}{ending}" for ending in sorted(IMAGE.endings))
    return next((name for name in names if name.is_file()), None)
