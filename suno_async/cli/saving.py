"""From tracks to files: audio, covers and tags, as far as they are not on disk yet."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from string import ascii_uppercase
from typing import Any

from suno_async import GenerationFailed, SunoError, SunoSession, Track
from suno_async.cli.board import Board, Entry, SavedTrack, State
from suno_async.cli.failures import may_still_give, sentence
from suno_async.cli.run_db import RunDb
from suno_async.cli.saved_before import COVERS
from suno_async.cli.tags import is_tagged, tag_file

_CONCURRENT_DOWNLOADS = 8
# nobody waits for an image as long as for audio, nor for a host that gives none
_LONGEST_FOR_COVER_S = 30.0
_MOST_COVERS_FAILED = 8
_log = logging.getLogger(__name__)


class Saving:
    """Saves the tracks of songs, at the same time; what is on disk is not fetched again.

    Args:
        session: An entered session.
        board: Where to note what happens.
        out: The folder of the tracks.
        name: Names the file of a song's track, given its letter; None leaves it to the library.
        saved: Remembers what was saved once, and is not fetched again by itself when somebody has
            deleted it; None fetches it.
    """

    def __init__(
        self,
        session: SunoSession,
        board: Board,
        out: Path,
        name: Callable[[Entry, str], str] | None = None,
        saved: RunDb | None = None,
    ) -> None:
        self._session = session
        self._board = board
        self._out = out
        self._name = name
        self._db = saved
        self._saved = saved.saved() if saved is not None else dict[tuple[str, str], str]()
        self._slots = asyncio.Semaphore(_CONCURRENT_DOWNLOADS)
        self._cover_slots = asyncio.Semaphore(_CONCURRENT_DOWNLOADS)
        # in a row
        self._covers_failed = 0
        self._tags = find_spec("mutagen") is not None

    def fetch_deleted(self) -> None:
        """Fetch again what somebody has deleted."""
        there = {which: name for which, name in self._saved.items() if (self._out / name).is_file()}
        self._saved = there

    async def save(self, entry: Entry, tracks: Sequence[Track]) -> None:
        """Save the tracks of a task that is complete."""
        self._begin(entry)
        problems = await self._download(entry, tracks)
        if problems:
            self._board.fail(entry, f"the download failed: {problems[0]}")
        elif not tracks:
            self._board.fail(entry, "the task is complete but lists no tracks")
        else:
            self._board.save(entry)
        await self._furnish(entry)

    async def save_finished(self, entry: Entry, error: SunoError) -> None:
        """Save what was finished of a task that then failed: it is paid for as well."""
        tracks = error.tracks if isinstance(error, GenerationFailed) else ()
        problem, more = sentence(error), may_still_give(error)
        if tracks:
            self._begin(entry)
            problems = await self._download(entry, tracks)
            saved = len(tracks) - len(problems)
            problem += f"; {saved} finished before that and saved" if saved else ""
            more = more or bool(problems)
        self._board.fail(entry, problem, retrievable=more)
        await self._furnish(entry)

    def _begin(self, entry: Entry) -> None:
        if not (entry.earlier and entry.ended):
            self._board.move(entry, State.SAVING)

    async def _download(self, entry: Entry, tracks: Sequence[Track]) -> list[str]:
        """Download tracks; return what went wrong with which of them."""
        problems: list[str] = []
        for number, track in enumerate(tracks):
            letter = ascii_uppercase[number % len(ascii_uppercase)]
            try:
                async with self._slots:
                    path = await self._fetch(entry, track, letter)
            except (SunoError, OSError) as error:
                problems.append(sentence(error))
            else:
                if path is not None:
                    self._board.add_track(entry, SavedTrack(path, track, letter))
        return problems

    async def _fetch(self, entry: Entry, track: Track, letter: str) -> Path | None:
        """Give a track's file, which is downloaded unless it was; None when it was deleted."""
        which = (entry.task_id or "", letter)
        if which in self._saved:
            path = self._out / self._saved[which]
            if path.is_file():
                return path
            entry.deleted += 1
            return None
        name = self._name(entry, letter) if self._name is not None else None
        return await self._session.download(track, self._out, name=name)

    async def _furnish(self, entry: Entry) -> None:
        """Give the audio that is on disk its covers and tags; that one fails spoils nothing."""
        for saved in entry.tracks:
            has_cover = saved.track.image_url or saved.track.source_image_url
            if has_cover and self._covers_failed < _MOST_COVERS_FAILED:
                await self._cover(saved)
            if self._tags:
                await self._tag(entry, saved)
            if self._db is not None and entry.task_id is not None:
                noted = (entry.task_id, saved.letter, saved.path.name)
                await asyncio.to_thread(self._db.note_saved, *noted)

    async def _cover(self, saved: SavedTrack) -> None:
        beside = self._out / COVERS / saved.path.name
        try:
            async with self._cover_slots, asyncio.timeout(_LONGEST_FOR_COVER_S):
                cover = await self._session.download_cover(saved.track, beside)
        except (SunoError, OSError) as error:  # a TimeoutError is an OSError
            self._covers_failed += 1
            _log.info("no cover for %s: %s", saved.path, sentence(error))
        else:
            self._covers_failed = 0
            self._board.add_cover(saved, cover)

    async def _tag(self, entry: Entry, saved: SavedTrack) -> None:
        asked = entry.song.fields if entry.song is not None else {}
        tags = {
            "title": str(asked.get("title") or saved.track.title or ""),
            "genre": str(asked.get("tags") or saved.track.tags or ""),
            "cover": saved.cover,
            "task_id": entry.task_id or "",
            "row": entry.source,
        }
        try:
            await asyncio.to_thread(_tag_once, saved.path, tags)
        except OSError as error:
            _log.info("no tags in %s: %s", saved.path, sentence(error))


def _tag_once(path: Path, tags: dict[str, Any]) -> None:
    """Tag a file, unless an earlier run has: it is copied for that."""
    if not is_tagged(path, tags["task_id"]):
        tag_file(path, **tags)
