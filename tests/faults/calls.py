"""The calls: what each does, and what it must come to when nothing is wrong."""

import errno
import math
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeAlias

from attrs import frozen

from suno_async import SubmissionUncertain, SunoError, TaskDetails, from_json, to_json
from tests.world import song

from .ground import LONG_STEM, SHORT_STEM, STEM, Ground

Act: TypeAlias = Callable[[Ground], Awaitable[None]]


async def _submit(ground: Ground) -> None:
    title = f"song {len(ground.titles)}"
    ground.titles.append(title)
    task = await ground.suno.submit(song(title=title))
    assert task.task_id.strip()


async def _look(ground: Ground) -> None:
    _check(await ground.suno.details(ground.task_id))


async def _watch(ground: Ground) -> None:
    details = await ground.suno.task(ground.task_id).result()
    assert len(details.tracks) == 2
    _check(details)


def _check(details: TaskDetails) -> None:
    """See that details are what their types say: they survive being stored."""
    again = from_json(to_json(details), TaskDetails)
    assert again == details
    assert isinstance(details.status, str)
    for track in details.tracks:
        assert track.duration is None or math.isfinite(track.duration)
        assert track.title is None or isinstance(track.title, str)


async def _upload(ground: Ground) -> None:
    stem = ground.folder.parent / "stem.mp3"
    if not stem.exists():
        stem.write_bytes(LONG_STEM if ground.is_deaf else SHORT_STEM)
    url = await ground.suno.upload(stem)
    assert isinstance(url, str)
    assert url


async def _download(ground: Ground) -> None:
    path = await ground.suno.download(ground.track, ground.folder)
    assert path.read_bytes() == STEM
    if ground.way < ground.ways:
        path.unlink()


async def _credits(ground: Ground) -> None:
    assert math.isfinite(await ground.suno.credits())


async def _right_credits(ground: Ground) -> None:
    assert await ground.suno.credits() == ground.sandbox.credits


@frozen
class Call:
    """A call.

    Attributes:
        name: Its name in the table.
        act: Makes it.
        again: Makes it in an undisturbed way, with all that comes before it.
    """

    name: str
    act: Act
    again: Act


async def _submit_and_watch(ground: Ground) -> None:
    await _submit(ground)
    ground.task_id = list(ground.sandbox.tasks)[-1]
    await _watch(ground)


CALLS = {
    call.name: call
    for call in (
        Call("submit", _submit, _submit_and_watch),
        Call("look", _look, _look),
        Call("watch", _watch, _submit_and_watch),
        Call("upload", _upload, _upload),
        Call("download", _download, _download),
        Call("credits", _credits, _right_credits),
    )
}


def named(error: BaseException) -> str:
    """Name what a call raised as the table does."""
    if isinstance(error, SubmissionUncertain):
        return f"uncertain {type(error.__cause__).__name__}"
    if isinstance(error, OSError) and not isinstance(error, SunoError):
        return "OSError" if error.errno == errno.ENOSPC else repr(error)
    return type(error).__name__


def files_in(folder: Path) -> list[str]:
    """Tell the endings of what is in a folder."""
    return sorted(path.suffix for path in folder.iterdir())
