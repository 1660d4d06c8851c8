"""Watches the tasks of jobs: records their stages, saves their audio, records how they ended."""

import asyncio
import errno
import logging
from collections.abc import Sequence
from pathlib import Path

from suno_async.callbacks import CallbackReceiver
from suno_async.durable.errors import DatabaseFailed
from suno_async.durable.records import JobRecord
from suno_async.durable.sends import Sends
from suno_async.durable.store import Store
from suno_async.durable.values import JobState
from suno_async.errors import (
    ApiError,
    AudioMissing,
    GenerationFailed,
    InvalidRequest,
    RateLimited,
    ServerError,
    SessionClosed,
    SunoError,
    TaskError,
)
from suno_async.expectations import Expectation
from suno_async.models import Stage, StageEvent, TaskDetails, Track
from suno_async.session import SunoSession

_log = logging.getLogger("suno_async.durable")

# between two watches of a task of which the service refuses to tell
_REFUSED_WAIT_S = 60.0
_FIRST_SAVING_WAIT_S = 2.0
_LONGEST_SAVING_WAIT_S = 300.0
_SAVING_TRIES = 8

# folders that are none, or not ours: time alone mends nothing
_FOR_GOOD = {
    errno.EACCES,
    errno.EPERM,
    errno.EROFS,
    errno.EEXIST,
    errno.ENOTDIR,
    errno.EISDIR,
    errno.ENAMETOOLONG,
    errno.ELOOP,
}


class Watching:
    """Watches the tasks of jobs.

    Args:
        session: Looks at them; open for as long as this works.
        store: Keeps the jobs.
        sends: Has the callbacks that came to other processes.
        receiver: Gets those that come here; None without one.
    """

    def __init__(
        self,
        session: SunoSession,
        store: Store,
        sends: Sends,
        receiver: CallbackReceiver | None,
    ) -> None:
        self._session = session
        self._store = store
        self._sends = sends
        self._receiver = receiver
        self._followed: dict[str, Expectation] = {}
        self._hinting: asyncio.Task[None] | None = None
        self._hinted = False

    # --- one job ----------------------------------------------------------------------------------

    async def run(self, key: str) -> None:
        """Run a job until its task has ended and its audio is saved."""
        while True:
            record = await self._store.record(key)
            if record.state is not JobState.RUNNING or record.task_id is None:
                return
            try:
                await self._follow(record, record.task_id)
            except SessionClosed:
                raise asyncio.CancelledError from None
            except SunoError as error:  # of the service, which does not tell; the task lives
                _log.warning("job %r goes on, although: %s", key, error)
            else:
                return
            await asyncio.sleep(_REFUSED_WAIT_S)

    async def _follow(self, record: JobRecord, task_id: str) -> None:
        expectation = self._expect(record.token)
        last: StageEvent | None = None
        try:
            task = self._session.task(task_id, record.submitted_at, expectation=expectation)
            async for event in task.events():
                if event.stage is Stage.COMPLETE and record.save_to is None:
                    last = event  # whoever is told of it finds the job complete
                elif event.stage.position >= len(record.events):
                    await self._store.reached(record.key, event)
            details = await task.result()
        except TaskError as error:
            await self._end(record, task_id, error=error)
        else:
            await self._end(record, task_id, details=details, last=last)
        finally:
            if record.token is not None:
                self._followed.pop(record.token, None)

    async def _end(
        self,
        record: JobRecord,
        task_id: str,
        *,
        details: TaskDetails | None = None,
        error: TaskError | None = None,
        last: StageEvent | None = None,
    ) -> None:
        if isinstance(error, AudioMissing):
            details = error.details
        tracks = details.finished if details is not None else ()
        if isinstance(error, GenerationFailed):
            tracks = error.tracks
        files, files_error = await self._save(record, tracks)
        await self._store.end(
            record.key,
            task_id,
            details=details,
            error=error,
            last=last,
            files=files,
            files_error=files_error,
        )

    # --- its audio --------------------------------------------------------------------------------

    async def _save(
        self, record: JobRecord, tracks: Sequence[Track]
    ) -> tuple[list[Path], str | None]:
        """Save the audio, if that is wanted; give what is saved, and why something is not."""
        if record.save_to is None or not tracks:
            return [], None
        wait_s = _FIRST_SAVING_WAIT_S
        for tried in range(1, _SAVING_TRIES + 1):
            try:
                return await self._save_all(record, tracks, record.save_to), None
            except SessionClosed:
                raise
            except (SunoError, OSError) as error:
                _log.warning("job %r: its audio is not saved: %s", record.key, error)
                if tried == _SAVING_TRIES or not _passes(error):
                    return await self._saved(tracks, record.save_to), str(error)
            await asyncio.sleep(wait_s)
            wait_s = min(2 * wait_s, _LONGEST_SAVING_WAIT_S)
        raise AssertionError

    async def _save_all(
        self, record: JobRecord, tracks: Sequence[Track], folder: Path
    ) -> list[Path]:
        return await self._session.download_all(tracks, folder, covers=record.covers)

    async def _saved(self, tracks: Sequence[Track], folder: Path) -> list[Path]:
        """Give the files of the tracks that can be saved."""
        files: list[Path] = []
        for track in tracks:
            try:
                files.append(await self._session.download(track, folder))
            except SessionClosed:
                raise
            except (SunoError, OSError) as error:
                _log.info("not saved: %s", error)
        return files

    # --- callbacks --------------------------------------------------------------------------------

    def _expect(self, token: str | None) -> Expectation | None:
        """Have the callbacks to a job's URL wake its watch here."""
        if self._receiver is None or token is None:
            return None
        try:
            expectation = self._receiver.expect(token=token)
        except InvalidRequest:  # the request named a URL of its own, or the secret has changed
            return None
        self._followed[token] = expectation
        return expectation

    def hint(self) -> None:
        """Take the callbacks that came to other processes."""
        self._hinted = True
        if self._followed and (self._hinting is None or self._hinting.done()):
            self._hinting = asyncio.create_task(self._take_hints())

    async def _take_hints(self) -> None:
        assert self._receiver is not None  # noqa: S101 - nothing is followed without one
        while self._hinted:
            self._hinted = False
            try:
                notices = await self._sends.take_hints(frozenset(self._followed))
            except DatabaseFailed as error:
                _log.info("callbacks are not taken: %s", error)
                return
            for notice in notices:
                self._receiver.deliver(notice)

    async def aclose(self) -> None:
        """Take no more callbacks."""
        if self._hinting is not None:
            self._hinting.cancel()
            await asyncio.wait({self._hinting})


def _passes(error: SunoError | OSError) -> bool:
    """Tell whether the same may be saved some minutes later."""
    if isinstance(error, OSError):
        return error.errno not in _FOR_GOOD
    if isinstance(error, ApiError):  # a young file's absence was waited for by the session
        return isinstance(error, RateLimited | ServerError)
    return not isinstance(error, InvalidRequest)
