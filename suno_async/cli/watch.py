"""Follow tasks that were submitted earlier, and print the stages that they reach."""

import asyncio
import json
import math
import shlex
from collections.abc import Sequence
from datetime import UTC, datetime

import typer
from attrs import define, field, frozen

from suno_async import StageEvent, SunoError, SunoSession, Track
from suno_async.cli.board import Board
from suno_async.cli.calls import carry_out
from suno_async.cli.failures import Complaint, complain, printable, sentence
from suno_async.cli.moment import read_moment
from suno_async.cli.service import Service


@frozen
class Watching:
    """What to follow, and for how long.

    Args:
        task_ids: The tasks; one that is named twice is followed once.
        submitted_at: When the oldest was submitted, in ISO 8601; without a zone it is UTC.
        timeout_s: The longest time in seconds; None waits until the service deletes them.
        as_json: Whether to print a JSON object for each stage in place of a line of text.
    """

    task_ids: Sequence[str]
    submitted_at: str | None = None
    timeout_s: float | None = None
    as_json: bool = False


def watch(watching: Watching, service: Service) -> None:
    """Print each stage of the tasks as it is reached; nothing is saved, and it costs nothing.

    Args:
        watching: The tasks.
        service: Who made them.

    Raises:
        SystemExit: A task failed, or not all ended in time.
    """
    followed = _Followed(list(dict.fromkeys(watching.task_ids)), watching.as_json)

    def go_on() -> str | None:
        return _go_on(followed.open, watching.submitted_at, service.base_url)

    async def work() -> bool:
        submitted_at = read_moment(watching.submitted_at)
        if watching.timeout_s is not None and math.isnan(watching.timeout_s):
            raise Complaint("--timeout must be a number of seconds")
        async with service.session(Board()) as session:
            if not await _follow_all(followed, session, submitted_at, watching.timeout_s):
                complain(f"suno-async: not all ended within {watching.timeout_s:g} s")
                complain(go_on() or "")
        return not followed.failed and not followed.open

    carry_out(work, go_on)


async def _follow_all(
    followed: "_Followed",
    session: SunoSession,
    submitted_at: datetime | None,
    timeout_s: float | None,
) -> bool:
    """Follow all tasks at the same time; tell whether they ended in time."""
    try:
        async with asyncio.timeout(timeout_s), asyncio.TaskGroup() as group:
            for task_id in tuple(followed.open):
                group.create_task(followed.follow(session, task_id, submitted_at))
    except TimeoutError:
        return False
    return True


def _go_on(task_ids: Sequence[str], submitted_at: str | None, base_url: str | None) -> str | None:
    """Write the command that follows what has not ended yet."""
    if not task_ids:
        return None
    words = ["suno-async", "watch"]
    if base_url is not None:
        words += ["--base-url", base_url]
    if submitted_at is not None:
        words += ["--submitted-at", submitted_at]
    count = len(task_ids)
    tasks = "1 task goes" if count == 1 else f"{count} tasks go"
    if any(task_id.startswith("-") for task_id in task_ids):
        words.append("--")
    command = shlex.join([*words, *task_ids])
    return f"{tasks} on at the service. Go on watching with:\n  {printable(command)}"


@define(eq=False)
class _Followed:
    """The tasks that have not ended yet, and what is printed of all."""

    open: list[str]
    _as_json: bool
    failed: bool = field(default=False, init=False)

    async def follow(
        self, session: SunoSession, task_id: str, submitted_at: datetime | None
    ) -> None:
        """Print the stages of a task until it ends."""
        try:
            async for event in session.task(task_id, submitted_at).events():
                self._tell(event)
        except SunoError as error:
            self._tell_failure(task_id, error)
        self.open.remove(task_id)

    def _tell(self, event: StageEvent) -> None:
        if self._as_json:
            typer.echo(json.dumps(_event(event)))
            return
        urls = [url for track in event.tracks if (url := track.audio_url or track.stream_audio_url)]
        typer.echo(printable(" ".join([event.task_id, event.stage.value, *urls])))

    def _tell_failure(self, task_id: str, error: SunoError) -> None:
        self.failed = True
        problem = sentence(error)
        text = problem if task_id in problem else f"task {task_id}: {problem}"
        complain(printable(f"suno-async: {text}"))
        if self._as_json:
            failure = {"event": "failed", "task_id": task_id}
            typer.echo(json.dumps({**failure, "error": type(error).__name__, "message": problem}))


def _event(event: StageEvent) -> dict[str, object]:
    return {
        "event": "stage",
        "task_id": event.task_id,
        "stage": event.stage.value,
        "observed_at": event.observed_at.astimezone(UTC).isoformat(),
        "inferred": event.inferred,
        "tracks": [_track(track) for track in event.tracks],
    }


def _track(track: Track) -> dict[str, object]:
    return {
        "id": track.id,
        "title": track.title,
        "duration": track.duration,
        "audio_url": track.audio_url,
        "stream_audio_url": track.stream_audio_url,
        "image_url": track.image_url,
    }
