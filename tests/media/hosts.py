"""Media hosts of a test's own, and what the tests of downloads share."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar

import pytest
from aiohttp import web
from attrs import define

from suno_async import SunoSession, SystemClock, Track
from suno_async.media import Media
from suno_async.media.disk import Disk
from suno_async.media.formats import AUDIO
from suno_async.media.names import key_of
from suno_async.sandbox import Sandbox
from tests.world import EAGER, session_for, song

T = TypeVar("T")


BODY = b"ID3\x04" + bytes(range(4, 256)) + bytes(range(256)) * 4095  # 1 MiB
TINY = BODY[:40]
ROOT = os.geteuid() == 0


async def finished(sandbox: Sandbox) -> tuple[Track, Track]:
    """Have a task made, by a session of its own; return its tracks.

    Whoever downloads them did not see the task become complete, and so waits for nothing.
    """
    async with session_for(sandbox, submissions_per_window=(1000, 0.001)) as suno:
        one, two = (await (await suno.submit(song())).details()).tracks
    return one, two


async def audio_of(sandbox: Sandbox, suno: SunoSession, track: Track, tmp_path: Path) -> bytes:
    """Fetch what a track's file must hold."""
    path = await suno.download(track, tmp_path / "reference")
    return path.read_bytes()


def part_of(folder: Path, track: Track) -> Path:
    """Tell where what has come of a track is kept until it is whole."""
    return folder / f".{key_of(AUDIO, track, str(track.audio_url), None)}.part"


def keep(folder: Path, track: Track, part: bytes, validator: str) -> None:
    """Leave a part and its tag behind, as an interrupted download does."""
    path = part_of(folder, track)
    path.write_bytes(part)
    source = sha256(str(track.audio_url).partition("?")[0].encode()).hexdigest()[:16]
    path.with_suffix(".tag").write_text(json.dumps({"validator": validator, "source": source}))


def everything_in(folder: Path) -> list[str]:
    """List the names in a folder, hidden ones too."""
    return sorted(path.name for path in folder.iterdir())


def sizes_of_parts(folder: Path) -> list[int]:
    """Tell how much has come of each download; one that was just given its name has no part."""
    sizes = []
    for path in folder.glob(".*.part"):
        with suppress(FileNotFoundError):
            sizes.append(path.stat().st_size)
    return sizes


async def partly(request: web.Request, part: bytes, headers: dict[str, str]) -> web.StreamResponse:
    """Promise as many bytes as `TINY` has, send these, and end the connection."""
    response = web.StreamResponse(headers=headers)
    response.content_length = len(TINY)
    await response.prepare(request)
    await response.write(part)
    if request.transport is not None:
        request.transport.close()
    return response


Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def media_host(handler: Handler) -> AsyncIterator[str]:
    """Run a media host of its own kind; yields the URL of a track on it."""
    app = web.Application()
    app.router.add_get("/{name:.*}", handler)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.05)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    try:
        yield f"http://{host}:{port}/a.mp3"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def media_for(**settings: Any) -> AsyncIterator[Media]:
    """Run what a session has of media by itself, for an API on this machine; for downloads only."""
    clock = settings.pop("clock", SystemClock())
    policy = settings.pop("policy", EAGER)
    usual: dict[str, Any] = {
        "transport": None,
        "base_url": "http://127.0.0.1",
        "pause": None,
        "policy": policy,
        "clock": clock,
        "timeout_s": 5.0,
    }
    async with Media(**{**usual, **settings}) as media:
        yield media


def track_at(url: str, **fields: Any) -> Track:
    """Make a track whose audio is at a URL."""
    return Track(**{"id": "1", "title": "t", "audio_url": url, **fields})


class HungDisk(Disk):
    """A disk on which some work hangs until it is let go.

    Attributes:
        hangs: The name of the part file's method that hangs.
    """

    def __init__(self, hangs: str) -> None:
        super().__init__()
        self.hangs = hangs
        self._hanging: list[object] = []
        self._gate = threading.Event()

    def perform(self, work: Callable[[], T]) -> T:
        """Do some work, after a while."""
        if isinstance(work, partial) and work.func.__name__ == self.hangs:
            self._hanging.append(work)
            self._gate.wait(30)
        return work()

    @property
    def hanging(self) -> int:
        """How many threads hang, or have hung."""
        return len(self._hanging)

    def let_go(self) -> None:
        """Let everything go on that hangs."""
        self._gate.set()


@define
class SmallDisk:
    """A file system of its own.

    Attributes:
        folder: Where it is mounted.
    """

    folder: Path

    def grow(self) -> None:
        """Have room for 4 MiB."""
        assert not _command("mount", "-o", "remount,size=4m", str(self.folder))


@contextmanager
def small_disk(folder: Path, kind: str = "tmpfs") -> Iterator[SmallDisk]:
    """Mount a file system that holds 600 KiB, or skip the test where that cannot be done.

    Args:
        folder: Where.
        kind: `tmpfs`, or `ramfs`, which has no limit, and no extended attributes either.
    """
    folder.mkdir()
    if not ROOT or sys.platform != "linux":
        pytest.skip("only root on Linux can mount a small disk")
    if problem := _command("mount", "-t", kind, "-o", "size=600k", "none", str(folder)):
        pytest.skip(f"no small disk can be mounted here: {problem}")
    try:
        yield SmallDisk(folder)
    finally:
        assert not _command("umount", str(folder))


def _command(*words: str) -> str:
    ended = subprocess.run(words, capture_output=True, text=True, check=False)  # noqa: S603
    return ended.stderr if ended.returncode else ""
