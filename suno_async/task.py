"""One paid task: follow its stages, or wait for its result."""

import asyncio
from collections.abc import AsyncGenerator
from copy import copy
from datetime import datetime, timedelta

from suno_async.cadence import EVERY_STAGE, ONLY_COMPLETE, Weights
from suno_async.clock import Clock, duration
from suno_async.errors import InvalidRequest, SunoError, WatchTimeout
from suno_async.models import StageEvent, TaskDetails
from suno_async.watcher import Watch, Watcher


class _Waiter:
    """A reader that is awaited."""

    def __init__(self, weights: Weights) -> None:
        self.weights = weights
        self._changed = asyncio.Event()

    def notify(self, watch: Watch | None = None) -> None:
        self._changed.set()

    async def changed(self) -> None:
        await self._changed.wait()
        self._changed.clear()


def read_timeout(timeout: timedelta | float | None) -> timedelta | None:
    """Read a time-out; a number is seconds, None is none.

    Raises:
        InvalidRequest: It is no length of time.
    """
    try:
        return None if timeout is None else duration(timeout)
    except (TypeError, ValueError, OverflowError) as error:
        rule = "must be a timedelta, a number of seconds, or None"
        raise InvalidRequest("timeout", timeout, rule) from error


class InstrumentalTask:
    """A task that the service runs, as its caller holds it.

    Any number of readers may follow it at a time; they share its polls. Made by
    `SunoSession.submit` and `SunoSession.task`.
    """

    def __init__(self, watch: Watch, watcher: Watcher, clock: Clock) -> None:
        self._watch = watch
        self._watcher = watcher
        self._clock = clock

    def __repr__(self) -> str:
        stage = self._watch.events[-1].stage if self._watch.events else "no stage"
        return f"<InstrumentalTask {self.task_id} ({stage}), expires {self.expires_at:%Y-%m-%d}>"

    @property
    def task_id(self) -> str:
        """The service's name for the task; with it, it can be re-attached."""
        return self._watch.task_id

    @property
    def submitted_at(self) -> datetime:
        """When it was submitted (aware, UTC)."""
        return self._watch.submitted_at

    @property
    def expires_at(self) -> datetime:
        """When the service deletes it: 14 days after the submission (spec)."""
        return self._watch.expires_at

    async def events(self) -> AsyncGenerator[StageEvent, None]:
        """Yield `text`, `first` and `complete` as they are reached: each once, in this order.

        A late reader begins with the stages that are known already. A stage that was jumped over
        comes with `inferred=True`. `complete` means audio; after it the iterator ends. Failures of
        single polls only slow it down, and what single answers say of an end must persist.

        Raises:
            GenerationFailed: The service gave up, after the stages that were reached; the error
                has the tracks that were finished.
            AudioMissing: For ten minutes the service called the task complete, and no track had
                its audio.
            TaskExpired: The 14 days are over.
            TaskNotFound: The service has not known the task for a minute.
            ApiError: The service has refused to tell for a minute, as with a key that is not valid
                any more; the error carries the task id.
            UnexpectedError: A hook of your own client session has failed for a minute.
            SessionClosed: The session was left.
        """
        waiter = _Waiter(EVERY_STAGE)
        given = 0
        with self._watcher.reading(self._watch, waiter):
            while True:
                while given < self._watch.reached:
                    yield self._watch.events[given]
                    given += 1
                if self._watch.done:
                    break
                await waiter.changed()
        self._raise_ending()

    async def result(self, timeout: timedelta | float | None = None) -> TaskDetails:
        """Wait until the task is complete.

        Args:
            timeout: The longest wait; a number is seconds, None waits until the task expires.

        Returns:
            The final details, normally with two tracks; each of them has its audio.

        Raises:
            InvalidRequest: The time-out is no length of time.
            WatchTimeout: The time-out ended; the task goes on.
            GenerationFailed: The service gave up; the error has the tracks that were finished.
            AudioMissing: For ten minutes the service called the task complete, and no track had
                its audio.
            TaskExpired: The 14 days are over.
            TaskNotFound: The service has not known the task for a minute.
            ApiError: The service has refused to tell for a minute, as with a key that is not valid
                any more; the error carries the task id.
            UnexpectedError: A hook of your own client session has failed for a minute.
            SessionClosed: The session was left.
        """
        waiter = _Waiter(ONLY_COMPLETE)
        limit = read_timeout(timeout)
        with self._watcher.reading(self._watch, waiter):
            if limit is None:
                await self._finish(waiter)
            else:
                await self._finish_within(waiter, limit)
        self._raise_ending()
        assert self._watch.details is not None  # noqa: S101 - a watch without error has them
        return self._watch.details

    async def _finish(self, waiter: _Waiter) -> None:
        while not self._watch.done:
            await waiter.changed()

    async def _finish_within(self, waiter: _Waiter, limit: timedelta) -> None:
        deadline_s = self._clock.monotonic() + limit.total_seconds()
        timer = self._clock.call_at(deadline_s, waiter.notify)
        try:
            while not self._watch.done:
                if self._clock.monotonic() >= deadline_s:
                    raise WatchTimeout(self.task_id, limit)
                await waiter.changed()
        finally:
            timer.cancel()

    def _raise_ending(self) -> None:
        """Raise the watch's error: a copy, since several readers may raise it at a time."""
        ending: SunoError | None = self._watch.ending
        if ending is not None:
            raise copy(ending) from ending.__cause__

    async def details(self) -> TaskDetails:
        """Look at the task now, within the service's limit of 3 looks a second.

        It takes its turn among all polls. What a single answer cannot prove is asked three times.

        Returns:
            What the service says; `PENDING` in the first minute while there is no record yet.

        Raises:
            TaskExpired: The 14 days are over.
            TaskNotFound: The service does not know the task.
            ApiError: The service refused, or went on failing.
            ConnectionFailed: No answer came.
        """
        return await self._watcher.look(self._watch)
