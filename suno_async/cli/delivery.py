"""From songs to files: upload the stems, submit, watch, and save each track as it is there."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import aclosing
from importlib.util import find_spec
from pathlib import Path
from string import ascii_uppercase

from suno_async import (
    AddInstrumentalRequest,
    BatchProgress,
    GenerationFailed,
    Outcome,
    SunoError,
    SunoSession,
    Track,
)
from suno_async.cli.board import Board, Entry, SavedTrack, State
from suno_async.cli.failures import may_still_give, sentence
from suno_async.cli.songs import Song
from suno_async.cli.tags import tag_file

_CONCURRENT_DOWNLOADS = 8
_COVERS = "covers"
# nobody waits for an image as long as for audio, nor for a host that gives none
_LONGEST_FOR_COVER_S = 30.0
_MOST_COVERS_FAILED = 8
_log = logging.getLogger(__name__)


class Delivery:
    """Brings the songs of a run to disk, all at the same time.

    Args:
        session: An entered session.
        board: Where to note what happens.
        out: The folder of the tracks.
    """

    def __init__(self, session: SunoSession, board: Board, out: Path) -> None:
        self._session = session
        self._board = board
        self._out = out
        self._slots = asyncio.Semaphore(_CONCURRENT_DOWNLOADS)
        self._cover_slots = asyncio.Semaphore(_CONCURRENT_DOWNLOADS)
        # in a row
        self._covers_failed = 0
        # the extra `tags`
        self._tags = find_spec("mutagen") is not None
        # by the digest of a stem: equal content is uploaded once, whatever the files are called
        self._uploads: dict[str, str | SunoError | OSError] = {}
        self._requested: list[Entry] = []

    async def generate(
        self, songs: Sequence[tuple[Entry, Song]], max_in_flight: int | None = None
    ) -> None:
        """Submit all songs and save their tracks; one that fails stops no other."""
        outcomes = self._session.generate_many(
            self._requests(songs), max_in_flight=max_in_flight, on_progress=self._progress
        )
        async with asyncio.TaskGroup() as downloads, aclosing(outcomes):
            async for outcome in outcomes:
                entry = self._requested[outcome.position]
                self._reach(entry, outcome)
                if outcome.error is None:
                    downloads.create_task(self._save(entry, outcome.tracks))
                else:
                    downloads.create_task(self._save_finished(entry, outcome.error))

    async def fetch(self, entries: Iterable[Entry]) -> None:
        """Wait for tasks that were submitted earlier and save their tracks."""
        async with asyncio.TaskGroup() as group:
            for entry in entries:
                group.create_task(self._fetch(entry))

    async def _requests(
        self, songs: Sequence[tuple[Entry, Song]]
    ) -> AsyncIterator[AddInstrumentalRequest]:
        for entry, song in songs:
            try:
                request = await self._request(entry, song)
            except (SunoError, OSError) as error:
                self._board.fail(entry, sentence(error))
                continue
            self._requested.append(entry)
            self._board.request(entry, request)
            yield request

    async def _request(self, entry: Entry, song: Song) -> AddInstrumentalRequest:
        if song.stem is None:
            return song.request()
        digest = song.stem.digest
        if digest not in self._uploads:
            self._board.move(entry, State.UPLOADING)
            self._uploads[digest] = await self._upload(song.stem.path)
            self._board.move(entry, State.WAITING)
        url = self._uploads[digest]
        if isinstance(url, Exception):
            raise url
        return song.request(url)

    async def _upload(self, path: Path) -> str | SunoError | OSError:
        try:
            return await self._session.upload(path)
        except (SunoError, OSError) as error:
            return error

    def _progress(self, progress: BatchProgress) -> None:
        entry = self._requested[progress.position]
        self._board.reach(entry, progress.task_id, progress.stage)

    def _reach(self, entry: Entry, outcome: Outcome) -> None:
        stage = outcome.details.stage if outcome.details is not None else None
        self._board.reach(entry, outcome.task_id, stage)

    async def _fetch(self, entry: Entry) -> None:
        task_id = entry.task_id or ""
        tracks: tuple[Track, ...] = ()
        try:
            task = self._session.task(task_id, submitted_at=self._board.first_submitted_at)
            async for event in task.events():
                self._board.reach(entry, task_id, event.stage)
                tracks = event.tracks
        except SunoError as error:
            await self._save_finished(entry, error)
        else:
            entry.title = next((track.title for track in tracks if track.title), entry.title)
            await self._save(entry, tracks)

    async def _save(self, entry: Entry, tracks: Sequence[Track]) -> None:
        self._board.move(entry, State.SAVING)
        problems = await self._download(entry, tracks)
        if problems:
            self._board.fail(entry, f"the download failed: {problems[0]}")
        elif not tracks:
            self._board.fail(entry, "the task is complete but lists no tracks")
        else:
            self._board.save(entry)
        await self._furnish(entry)

    async def _save_finished(self, entry: Entry, error: SunoError) -> None:
        """Save what was finished of a task that then failed: it is paid for as well."""
        tracks = error.tracks if isinstance(error, GenerationFailed) else ()
        problem, more = sentence(error), may_still_give(error)
        if tracks:
            self._board.move(entry, State.SAVING)
            problems = await self._download(entry, tracks)
            saved = len(tracks) - len(problems)
            problem += f"; {saved} finished before that and saved" if saved else ""
            more = more or bool(problems)
        self._board.fail(entry, problem, retrievable=more)
        await self._furnish(entry)

    async def _download(self, entry: Entry, tracks: Sequence[Track]) -> list[str]:
        """Download tracks; return what went wrong with which of them."""
        problems: list[str] = []
        for number, track in enumerate(tracks):
            try:
                async with self._slots:
                    path = await self._session.download(track, self._out)
            except (SunoError, OSError) as error:
                problems.append(sentence(error))
            else:
                letter = ascii_uppercase[number % len(ascii_uppercase)]
                self._board.add_track(entry, SavedTrack(path, track, letter))
        return problems

    async def _furnish(self, entry: Entry) -> None:
        """Give the audio that is on disk its covers and tags; that one fails spoils nothing."""
        for saved in entry.tracks:
            has_cover = saved.track.image_url or saved.track.source_image_url
            if has_cover and self._covers_failed < _MOST_COVERS_FAILED:
                await self._cover(saved)
            if self._tags:
                await self._tag(entry, saved)

    async def _cover(self, saved: SavedTrack) -> None:
        beside = self._out / _COVERS / saved.path.name
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
        try:
            await asyncio.to_thread(
                tag_file,
                saved.path,
                title=str(asked.get("title") or saved.track.title or ""),
                genre=str(asked.get("tags") or saved.track.tags or ""),
                cover=saved.cover,
                task_id=entry.task_id or "",
                row=entry.source,
            )
        except OSError as error:
            _log.info("no tags in %s: %s", saved.path, sentence(error))
