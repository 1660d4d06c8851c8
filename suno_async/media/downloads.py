"""Download tracks and their covers under names of their own, each once."""

import asyncio
import math
import os
from collections.abc import Collection, Sequence
from datetime import datetime
from pathlib import Path
from typing import cast
from weakref import WeakValueDictionary

from attrs import evolve, frozen

from suno_async.arrivals import YOUNG, Arrivals, cover_urls
from suno_async.clock import Clock
from suno_async.errors import InvalidRequest, NotFound
from suno_async.media.client import MediaClient
from suno_async.media.disk import Disk, Lane
from suno_async.media.formats import AUDIO, IMAGE
from suno_async.media.marks import mark_of
from suno_async.media.names import Names, hint_of, key_of, names_of, path_of
from suno_async.media.partfile import PartFile
from suno_async.media.transfer import Bounds, OnProgress, Transfer
from suno_async.models import Track, check_url
from suno_async.observe import Downloaded, Downloading, Observers

# how often to see whether another process is done with the same download
LOCK_GAP_S = 0.2
# how often an observer hears of a file that grows
TELLING_GAP_S = 0.5


@frozen
class Wanted:
    """A file that is to be there.

    Attributes:
        urls: Where it is, the preferred place first.
        folder: Where it goes.
        key: Tells it from every other file, also in another process.
        names: What it may be called.
        young_until_s: Until when its hosts may not know it yet (monotonic).
    """

    urls: tuple[str, ...]
    folder: Path
    key: str
    names: Names
    young_until_s: float


class Downloads:
    """Downloads files; the same one only once at a time.

    Args:
        client: Asks the hosts.
        disk: Where files are worked with.
        clock: Where time comes from.
        bounds: How far to go for one file.
        arrivals: Knows what has just become complete.
        observers: Are told.
    """

    def __init__(
        self,
        *,
        client: MediaClient,
        disk: Disk,
        clock: Clock,
        bounds: Bounds,
        arrivals: Arrivals,
        observers: Observers,
    ) -> None:
        self._client = client
        self._disk = disk
        self._clock = clock
        self._bounds = bounds
        self._observers = observers
        self._locks: WeakValueDictionary[Path, asyncio.Lock] = WeakValueDictionary()
        self._reserved: set[Path] = set()
        self._arrivals = arrivals

    async def audio(
        self,
        track: Track,
        folder: str | os.PathLike[str],
        *,
        name: str | None = None,
        position: int | None = None,
        completed_at: datetime | None = None,
    ) -> Path:
        """Download a track's audio.

        Args:
            track: The track.
            folder: Where it goes.
            name: What the caller calls it.
            position: Which of its task's tracks it is, from 1.
            completed_at: When its task became complete (aware); None takes what `complete` was
                told, and without that it is no matter of minutes.
        """
        urls = track.audio_urls
        if not urls:
            raise InvalidRequest("track.audio_url", None, "must be ready before it is downloaded")
        urls = _usable(urls, "track.audio_url")
        if name is not None and (not isinstance(cast("object", name), str) or not name.strip()):
            raise InvalidRequest("name", name, "must be text that is not blank")
        wanted = Wanted(
            urls=urls,
            folder=path_of("folder", folder),
            key=key_of(AUDIO, track, urls[0], name),
            names=names_of(track, urls[0], name, position),
            young_until_s=self._young_until_s(urls, completed_at),
        )
        return await self._get(wanted)

    async def cover(
        self, track: Track, beside: Path, *, completed_at: datetime | None = None
    ) -> Path:
        """Download a track's cover beside its audio, under the same name."""
        urls = _usable(cover_urls(track), "track.image_url")
        key = key_of(IMAGE, track, urls[0], beside.stem)
        wanted = Wanted(
            urls=urls,
            folder=beside.parent,
            key=key,
            names=Names(
                (beside.stem, f"{beside.stem} {key[:16]}"), IMAGE, "", hint_of(urls[0], IMAGE)
            ),
            young_until_s=self._young_until_s(urls, completed_at),
        )
        return await self._get(wanted)

    def _young_until_s(self, urls: Collection[str], completed_at: datetime | None) -> float:
        if completed_at is None:
            return self._arrivals.young_until_s(urls)
        left = completed_at + YOUNG - self._clock.now()
        return self._clock.monotonic() + left.total_seconds()

    async def _get(self, wanted: Wanted) -> Path:
        lock = self._locks.setdefault(wanted.folder.absolute() / wanted.key, asyncio.Lock())
        async with lock:
            found, names = await self._look(wanted)
            if found is not None:
                return found
            try:
                return await self._fetch(wanted, names)
            finally:
                self._reserved.discard(_reservation(wanted, names))

    async def _look(self, wanted: Wanted) -> tuple[Path | None, Names]:
        """Find the file if it is there already; else reserve the first name that is free.

        Names are given out in the order in which they were asked for.
        """
        async with self._locks.setdefault(wanted.folder.absolute(), asyncio.Lock()):
            found, names = await self._disk.run(_look, wanted, frozenset(self._reserved))
            if found is None:
                self._reserved.add(_reservation(wanted, names))
            return found, names

    async def _fetch(self, wanted: Wanted, names: Names) -> Path:
        """Fetch a file, unless another process that fetches it as well is faster."""
        lane = Lane(self._disk)
        part = PartFile(wanted.folder, wanted.key)
        try:
            while not await lane.run(part.open):
                await self._clock.sleep(LOCK_GAP_S)
            found, _ = await lane.run(_look, wanted, frozenset[Path]())
            return found or await self._fetch_part(wanted, names, part, lane)
        except NotFound:
            part.discard()
            raise
        finally:
            await lane.end(part.close)

    async def _fetch_part(self, wanted: Wanted, names: Names, part: PartFile, lane: Lane) -> Path:
        began_s = self._clock.monotonic()
        transfer = Transfer(
            self._client,
            self._clock,
            self._bounds,
            part,
            lane,
            names.kind,
            self._progress(wanted.urls[0], wanted.folder / names.files(b"")[0]),
        )
        head = await transfer.fetch(wanted.urls, wanted.young_until_s)
        path = await lane.run(part.name, names.files(head))
        if self._observers:
            seconds = self._clock.monotonic() - began_s
            self._observers.tell(Downloaded(wanted.urls[0], path, part.size, seconds))
        return path

    def _progress(self, url: str, path: Path) -> OnProgress:
        told_s = -math.inf

        def progress(received_bytes: int, total_bytes: int | None) -> None:
            nonlocal told_s
            now_s = self._clock.monotonic()
            if self._observers and now_s - told_s >= TELLING_GAP_S:
                told_s = now_s
                self._observers.tell(Downloading(url, path, received_bytes, total_bytes))

        return progress


def _usable(urls: Sequence[str], name: str) -> tuple[str, ...]:
    """Leave out what is no URL.

    Raises:
        InvalidRequest: Nothing is left.
    """
    usable: list[str] = []
    wrong: list[InvalidRequest] = []
    for url in urls:
        try:
            check_url(name, url)
        except InvalidRequest as error:
            wrong.append(error)
        else:
            usable.append(url)
    if not usable:
        raise wrong[0]
    return tuple(usable)


def has_cover(track: Track) -> bool:
    """Tell whether a track has a cover image."""
    return bool(cover_urls(track))


def _reservation(wanted: Wanted, names: Names) -> Path:
    return wanted.folder.absolute() / names.stems[0]


def _look(wanted: Wanted, reserved: frozenset[Path]) -> tuple[Path | None, Names]:
    """Find a file by its mark, or by the name that no other has; else leave out taken names."""
    names, folder = wanted.names, wanted.folder
    for stem in names.stems:
        # a file of the first version bears no mark, but the name that no other track's has
        own = {wanted.key, ""} if stem == names.stems[-1] else {wanted.key}
        for ending in names.endings():
            path = folder / f"{stem}{ending}"
            if mark_of(path) in own:
                return path, names
    free = [stem for stem in names.stems[:-1] if _is_free(folder, stem, names, reserved)]
    return None, evolve(names, stems=(*free, names.stems[-1]))


def _is_free(folder: Path, stem: str, names: Names, reserved: frozenset[Path]) -> bool:
    if folder.absolute() / stem in reserved:
        return False
    return not any(os.path.lexists(folder / f"{stem}{ending}") for ending in names.endings())
