"""What a session holds of audio: uploads, downloads, and what they share."""

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterable
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Self, TypeAlias, TypeVar, cast

import aiohttp
from aiohttp.abc import AbstractResolver

from suno_async.arrivals import Arrivals
from suno_async.clock import Clock
from suno_async.errors import InvalidRequest, described
from suno_async.media.addresses import Addresses
from suno_async.media.client import MediaClient
from suno_async.media.disk import Disk
from suno_async.media.downloads import Downloads, has_cover
from suno_async.media.names import path_of
from suno_async.media.transfer import Bounds
from suno_async.media.uploads import Stem, Uploads
from suno_async.models import StageEvent, TaskDetails, Track
from suno_async.network import Network
from suno_async.observe import Observers
from suno_async.outcomes import Outcome
from suno_async.reading import LARGEST_FILE_BYTES
from suno_async.retry import RetryPolicy, SharedPause
from suno_async.transport import Transport

T = TypeVar("T")

CONCURRENT_DOWNLOADS = 8

Tracks: TypeAlias = TaskDetails | Outcome | StageEvent | Iterable[Track]


class Media:
    """Moves audio between this machine, the service, and the hosts that serve its results.

    It is entered with `async with`, and when it is left, it waits for no disk.

    Args:
        transport: Carries uploads.
        base_url: Where the API is: media may come from its own kind of address, and else from
            public ones only.
        pause: The session's pause after a 429, for uploads.
        policy: How stubborn to be.
        clock: Where time comes from.
        timeout_s: The longest silence during a transfer.
        network: How connections are made; the usual way unless given.
        client_session: The caller's own, for downloads; None makes one that connects only to
            addresses that are allowed.
        observers: Are told of uploads and downloads.
        max_bytes: The size of the largest file that is downloaded.
        user_agent: How to introduce ourselves to the hosts of media.
        resolver: Looks names up for our own client session.
        disk: Where files are worked with; it is closed with this.
        arrivals: Knows what has just become complete.
    """

    def __init__(
        self,
        *,
        transport: Transport,
        base_url: str,
        pause: SharedPause,
        policy: RetryPolicy,
        clock: Clock,
        timeout_s: float,
        network: Network | None = None,
        client_session: aiohttp.ClientSession | None = None,
        observers: Observers | None = None,
        max_bytes: int = LARGEST_FILE_BYTES,
        user_agent: str | None = None,
        resolver: AbstractResolver | None = None,
        disk: Disk | None = None,
        arrivals: Arrivals | None = None,
    ) -> None:
        told = observers if observers is not None else Observers()
        self._disk = disk or Disk()
        self._arrivals = arrivals or Arrivals(clock)
        self._client = MediaClient(
            addresses=Addresses(base_url),
            timeout_s=timeout_s,
            user_agent=user_agent,
            network=network,
            client_session=client_session,
            resolver=resolver,
        )
        self._uploads = Uploads(
            transport=transport,
            disk=self._disk,
            pause=pause,
            policy=policy,
            clock=clock,
            observers=told,
        )
        self._downloads = Downloads(
            client=self._client,
            disk=self._disk,
            clock=clock,
            bounds=Bounds(policy, max_bytes, timeout_s),
            arrivals=self._arrivals,
            observers=told,
        )

    async def __aenter__(self) -> Self:
        await self._client.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the client session of its own and let the threads end; again, it does nothing."""
        self._disk.close()
        await self._client.aclose()

    async def upload(self, stem: Stem) -> str:
        """Upload a stem; return the URL to submit. See `SunoSession.upload`."""
        return await self._uploads.upload(stem)

    def complete(self, tracks: Iterable[Track]) -> None:
        """Note that tracks have just become complete: their hosts may not know them yet."""
        self._arrivals.note(tracks)

    async def download(
        self,
        track: Track,
        folder: str | os.PathLike[str],
        *,
        name: str | None = None,
        completed_at: datetime | None = None,
    ) -> Path:
        """Download a track's audio into a folder. See `SunoSession.download`."""
        return await self._downloads.audio(track, folder, name=name, completed_at=completed_at)

    async def download_cover(self, track: Track, beside: str | os.PathLike[str]) -> Path:
        """Download a track's cover image. See `SunoSession.download_cover`."""
        if not has_cover(track):
            raise InvalidRequest("track.image_url", None, "must be there to be downloaded")
        return await self._downloads.cover(track, path_of("beside", beside))

    async def download_all(
        self,
        tracks: Tracks,
        folder: str | os.PathLike[str],
        *,
        covers: bool = False,
        concurrency: int = CONCURRENT_DOWNLOADS,
    ) -> list[Path]:
        """Download all audio of a task. See `SunoSession.download_all`."""
        if isinstance(concurrency, bool) or not isinstance(cast("object", concurrency), int):
            raise InvalidRequest("concurrency", concurrency, "must be a whole number, 1 or more")
        if concurrency < 1:
            raise InvalidRequest("concurrency", concurrency, "must be a whole number, 1 or more")
        completed_at = tracks.observed_at if isinstance(tracks, StageEvent) else None
        numbered = [
            (position, track)
            for position, track in enumerate(_listed(tracks), 1)
            if track.has_audio
        ]
        if not numbered:
            raise InvalidRequest("tracks", tracks, "must have a track with audio")

        async def audio(position: int, track: Track) -> Path:
            return await self._downloads.audio(
                track, folder, position=position, completed_at=completed_at
            )

        async def cover(track: Track, path: Path) -> Path:
            return await self._downloads.cover(track, path, completed_at=completed_at)

        slots = asyncio.Semaphore(concurrency)
        paths = await _all(slots, [(audio, one) for one in numbered])
        if not covers:
            return paths
        beside = [
            (cover, (track, path))
            for (_, track), path in zip(numbered, paths, strict=True)
            if has_cover(track)
        ]
        return paths + await _all(slots, beside)


def _listed(tracks: Tracks) -> tuple[Track, ...]:
    if isinstance(tracks, TaskDetails | Outcome | StageEvent):
        return tracks.tracks
    rule = "must be a task's details, an outcome, an event, or tracks"
    if not isinstance(cast("object", tracks), Iterable):
        raise InvalidRequest("tracks", tracks, rule)
    listed = tuple(tracks)
    if not all(isinstance(cast("object", track), Track) for track in listed):
        raise InvalidRequest("tracks", tracks, rule)
    return listed


async def _all(
    slots: asyncio.Semaphore,
    calls: Iterable[tuple[Callable[..., Awaitable[T]], tuple[object, ...]]],
) -> list[T]:
    """Make calls at the same time, so many as there are slots; one that fails stops no other.

    Raises:
        Exception: What the first of those that failed raised, the others in its notes.
    """

    async def one(call: Callable[..., Awaitable[T]], arguments: tuple[object, ...]) -> T:
        async with slots:
            return await call(*arguments)

    ended = await asyncio.gather(*(one(*call) for call in calls), return_exceptions=True)
    failed = [end for end in ended if isinstance(end, BaseException)]
    if failed:
        for other in failed[1:]:
            failed[0].add_note(f"and another failed: {described(other)}")
        raise failed[0]
    return [end for end in ended if not isinstance(end, BaseException)]
