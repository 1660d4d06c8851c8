"""One job, as its caller holds it in any process: follow its stages, or wait for its result."""

import asyncio
from collections.abc import AsyncGenerator
from copy import copy
from datetime import datetime, timedelta
from pathlib import Path

from suno_async.clock import duration
from suno_async.durable.errors import JobTimeout
from suno_async.durable.notices import LOOK_AGAIN_S, Notices
from suno_async.durable.records import JobRecord
from suno_async.durable.store import Store
from suno_async.durable.values import JobState
from suno_async.errors import InvalidRequest
from suno_async.models import AddInstrumentalRequest, StageEvent, TaskDetails
from suno_async.outcomes import Outcome


class Job:
    """A request with a key that outlives the process.

    Its attributes are as they were when it was read; `refresh` reads it again. Made by
    `DurableSuno`.
    """

    def __init__(self, record: JobRecord, store: Store, notices: Notices) -> None:
        self._record = record
        self._store = store
        self._notices = notices

    def __repr__(self) -> str:
        task = f", task {self.task_id}" if self.task_id else ""
        return f"<Job {self.key!r}, {self.state}{task}>"

    @property
    def key(self) -> str:
        """The caller's name for it."""
        return self._record.key

    @property
    def request(self) -> AddInstrumentalRequest:
        """What is asked."""
        return self._record.request

    @property
    def state(self) -> JobState:
        """How it stood when it was read."""
        return self._record.state

    @property
    def task_id(self) -> str | None:
        """The service's name for its task; None while none is known."""
        return self._record.task_id

    @property
    def submitted_at(self) -> datetime | None:
        """When the task was submitted (aware, UTC); None before."""
        return self._record.submitted_at

    @property
    def stages(self) -> tuple[StageEvent, ...]:
        """The stages that were reached, in order; `events` waits for the others."""
        return self._record.events

    @property
    def stem(self) -> Path | None:
        """The file that is uploaded first; None when the request's own URL is taken."""
        return self._record.stem

    @property
    def files(self) -> tuple[Path, ...]:
        """What was saved, with `save_to`: the audio in the tracks' order, then the covers."""
        return self._record.files

    @property
    def files_error(self) -> str | None:
        """Why something could not be saved; None when all was."""
        return self._record.files_error

    @property
    def outcome(self) -> Outcome:
        """How it ended, or stood when it was read: without details and error, it goes on."""
        return self._record.outcome

    async def refresh(self) -> "Job":
        """Read it again; return it.

        Raises:
            JobNotFound: It was pruned.
            DatabaseFailed: The database is away.
        """
        self._record = await self._store.record(self.key)
        return self

    async def events(self) -> AsyncGenerator[StageEvent, None]:
        """Yield `text`, `first` and `complete` as they are reached: each once, in this order.

        From the beginning, whichever process follows the task, also when it has ended. The
        service's raw answers are not kept in them.

        Raises:
            SunoError: What `InstrumentalTask.events` raises, after the stages that were reached;
                or why there is no task: what `SunoSession.submit` raises, or `JobCancelled`.
            JobNotFound: It was pruned.
            DatabaseFailed: The database is away.
        """
        given = 0
        with self._notices.watching(self.key) as changed:
            while True:
                changed.clear()
                record = (await self.refresh())._record
                for event in record.events[given:]:
                    given += 1
                    yield event
                if await self._is_settled(record):
                    break
                await self._wait(changed, None)
        _raise_ending(record)

    async def result(self, timeout: timedelta | float | None = None) -> TaskDetails:
        """Wait until the task is complete, and with `save_to` its audio saved.

        Args:
            timeout: The longest wait; a number is seconds, None waits until the job ends.

        Returns:
            The final details, normally with two tracks; each of them has its audio.

        Raises:
            JobTimeout: The time-out ended; the job goes on.
            SunoError: What `events` raises.
        """
        deadline_s = _deadline_s(timeout)
        with self._notices.watching(self.key) as changed:
            while True:
                changed.clear()
                record = (await self.refresh())._record
                if await self._is_settled(record):
                    break
                if not await self._wait(changed, deadline_s):
                    assert timeout is not None  # noqa: S101 - there is no deadline without one
                    raise JobTimeout(self.key, self.state, duration(timeout))
        _raise_ending(record)
        assert record.details is not None  # noqa: S101 - a job without error has them
        return record.details

    async def _is_settled(self, record: JobRecord) -> bool:
        """Tell whether nothing more comes by itself; an uncertain one waits for a callback."""
        if record.state is not JobState.UNCERTAIN:
            return record.is_settled(0.0)
        return record.is_settled(await self._store.now_s())

    async def _wait(self, changed: asyncio.Event, deadline_s: float | None) -> bool:
        """Wait for a change, but not for long; tell whether there is time left."""
        now_s = asyncio.get_running_loop().time()
        left_s = LOOK_AGAIN_S if deadline_s is None else min(deadline_s - now_s, LOOK_AGAIN_S)
        if left_s <= 0:
            return False
        try:
            async with asyncio.timeout(left_s):
                await changed.wait()
        except TimeoutError:
            pass
        return True


def _raise_ending(record: JobRecord) -> None:
    """Raise a copy: several readers of one job raise at a time, each with its own traceback."""
    if record.error is None:
        return
    error = copy(record.error)
    error.__cause__ = record.error.__cause__
    raise error


def _deadline_s(timeout: timedelta | float | None) -> float | None:
    if timeout is None:
        return None
    try:
        return asyncio.get_running_loop().time() + duration(timeout).total_seconds()
    except (TypeError, ValueError, OverflowError) as error:
        rule = "must be a timedelta, a number of seconds, or None"
        raise InvalidRequest("timeout", timeout, rule) from error
