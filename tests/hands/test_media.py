"""Invariants 8 and 9: streams, folders, observers and hooks that do anything around audio."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from suno_async import InvalidRequest, SunoError, SunoSession, Track, UnexpectedError
from suno_async.sandbox import Sandbox
from tests.following import running
from tests.media.hosts import everything_in, finished
from tests.waiting import in_time
from tests.world import EAGER, session_for

from .behaviours import ANYTHING, CANCELLING, FAILING, NONSENSE, Odd, Unspeakable
from .test_watching import HOOKS

CHUNK = b"RIFF" + bytes(70_000)


class Stream:
    """A stream of a stem's bytes that misbehaves at a chunk.

    Args:
        odd: Misbehaves.
    """

    def __init__(self, odd: Odd) -> None:
        self._odd = odd
        self.ended = False

    async def chunks(self) -> AsyncIterator[Any]:
        """Give three chunks."""
        try:
            for _ in range(3):
                await asyncio.sleep(0)
                given = self._odd(CHUNK)
                task = asyncio.current_task()
                yield CHUNK if task is not None and task.cancelling() else given
        finally:
            self.ended = True


# what an upload ends with when its stream misbehaves
UPLOADS_END: dict[str, type[Exception]] = {
    "raises": LookupError,
    "raises what cannot be written": Unspeakable,
    "says that it was cancelled": UnexpectedError,
    "says that the time is up": TimeoutError,
    "stops an iteration": RuntimeError,  # what Python makes of it in a generator
    "cancels its caller": UnexpectedError,
    **dict.fromkeys(NONSENSE, InvalidRequest),
}


@pytest.mark.parametrize("behaviour", ANYTHING)
@pytest.mark.parametrize("at", [1, 3])
async def test_invariant_8_a_stream_misbehaves(
    sandbox: Sandbox, suno: SunoSession, at: int, behaviour: str
) -> None:
    """The upload fails soon with what it raised, the stream is ended, and the session goes on."""
    misbehave = ANYTHING[behaviour] if behaviour in UPLOADS_END else lambda: CHUNK
    stream = Stream(Odd(misbehave, at, at))
    if behaviour in CANCELLING and at > 1:  # aiohttp's own task: it may be done with the body
        with suppress(SunoError):
            await asyncio.wait_for(suno.upload(stream.chunks()), 3)
    elif (error := UPLOADS_END.get(behaviour)) is None:
        assert await suno.upload(stream.chunks())
    else:
        with pytest.raises(error):
            await asyncio.wait_for(suno.upload(stream.chunks()), 3)
    assert stream.ended
    assert await suno.credits() == sandbox.credits


async def test_a_stream_that_is_not_read_to_its_end_is_ended(sandbox: Sandbox) -> None:
    """Invariant 8: as a batch closes its source."""
    stream = Stream(Odd(object, 0, 0))
    async with session_for(sandbox) as suno:
        calling = asyncio.create_task(suno.upload(stream.chunks()))
        for _ in range(4):
            await asyncio.sleep(0)
        calling.cancel()
        await asyncio.wait({calling})
        await asyncio.sleep(0)
        assert stream.ended


@pytest.mark.parametrize("at", [1, 2])
async def test_invariant_8_a_stream_that_never_comes_holds_nobody(
    sandbox: Sandbox, at: int
) -> None:
    """Leaving takes no second, and leaves nothing."""
    before = running()

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(at - 1):
            yield CHUNK
        await asyncio.Event().wait()

    async with session_for(sandbox) as suno:
        calling = asyncio.create_task(suno.upload(chunks()))
        await asyncio.sleep(0.02)
        await in_time(suno.__aexit__(None, None, None))
    with pytest.raises(SunoError):
        await calling
    await asyncio.sleep(0)
    assert running() <= before


# --- folders and names ----------------------------------------------------------------------------


class OddPath(os.PathLike[str]):
    """A path that misbehaves."""

    def __init__(self, odd: Odd) -> None:
        self._odd = odd

    def __fspath__(self) -> str:
        answered: str = self._odd()
        return answered


@pytest.mark.parametrize("folder", [None, 5, b"bytes", OddPath(Odd(object)), "a\0b", "\ud800"])
async def test_invariant_9_what_is_no_folder_is_refused(
    sandbox: Sandbox, suno: SunoSession, tmp_path: Path, folder: Any
) -> None:
    """With an error of ours or of the file system's, of that download alone."""
    track, other = await finished(sandbox)
    calls: list[Callable[[Track], Awaitable[object]]] = [
        lambda track: suno.download(track, folder),
        lambda track: suno.download_all([track], folder),
        lambda track: suno.download_cover(track, folder),
        lambda _: suno.upload(folder if folder != b"bytes" else OddPath(Odd(object))),
    ]
    for call in calls:
        with pytest.raises((SunoError, OSError)):
            await call(track)
    assert (await suno.download(other, tmp_path)).exists()


@pytest.mark.parametrize("name", ["a\0b", "\ud800", "..", "/", "a" * 5000, "\x1b[2J"])
async def test_invariant_9_any_name_is_a_file_in_the_folder(
    sandbox: Sandbox, suno: SunoSession, tmp_path: Path, name: str
) -> None:
    """Whatever text a caller calls it."""
    track, _ = await finished(sandbox)
    path = await suno.download(track, tmp_path, name=name)
    assert everything_in(tmp_path) == [path.name]


# --- observers and hooks --------------------------------------------------------------------------


@pytest.mark.parametrize("behaviour", ANYTHING)
async def test_invariant_8_an_observer_may_do_anything_around_audio(
    sandbox: Sandbox, tmp_path: Path, behaviour: str
) -> None:
    """Files are whole, or the next call finds them so."""
    tracks = await finished(sandbox)
    odd = Odd(ANYTHING[behaviour])
    async with session_for(sandbox, retry=EAGER) as suno:
        suno.add_observer(lambda _: odd())
        if behaviour in CANCELLING:
            with pytest.raises(UnexpectedError):
                await suno.download_all(tracks, tmp_path)
            with pytest.raises(UnexpectedError):
                await suno.upload(CHUNK)
            odd.last = 0
        paths = await suno.download_all(tracks, tmp_path)
        assert await suno.upload(CHUNK)
    assert sorted(path.name for path in paths) == [
        name for name in everything_in(tmp_path) if not name.startswith(".")
    ]


@pytest.mark.parametrize("behaviour", FAILING)
@pytest.mark.parametrize("hook", HOOKS)
async def test_invariant_8_a_hook_may_do_anything_around_audio_and_money(
    sandbox: Sandbox, tmp_path: Path, hook: str, behaviour: str
) -> None:
    """Each call ends soon with an error of ours; when the hook is well again, all go well."""
    track, _ = await finished(sandbox)
    odd = Odd(ANYTHING[behaviour])
    client = HOOKS[hook](odd)["client_session"]
    async with client, session_for(sandbox, retry=EAGER, client_session=client) as suno:
        calls: list[Callable[[], Awaitable[object]]] = [
            suno.credits,
            lambda: suno.upload(CHUNK),
            lambda: suno.upload(Stream(Odd(object, 0, 0)).chunks()),
            lambda: suno.download(track, tmp_path),
            lambda: suno.download_all([track], tmp_path),
        ]
        for call in calls:
            with pytest.raises(SunoError):
                await asyncio.wait_for(call(), 3)
        odd.last = 0
        for call in calls:
            assert await call()
