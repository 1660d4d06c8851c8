"""The tasks that one submission is known to have made, and who is told of them."""

import asyncio
from collections.abc import Callable
from contextvars import copy_context
from datetime import datetime
from inspect import isawaitable
from typing import Any

from suno_async.errors import SubmissionUncertain, UnexpectedError
from suno_async.models import AddInstrumentalRequest
from suno_async.submission.surroundings import Gate, Surroundings
from suno_async.verdict import Verdict

# how many tasks one submission's callbacks may name
_MOST_TASKS = 8


class KnownTasks:
    """Knows which tasks a submission made, normally one, and tells of each once.

    Args:
        request: What was asked.
        gate: Who may want to stop.
        around: What a paid call needs of its session.

    Attributes:
        awaited: Whether the submission's caller still waits.
        taken: The task that the caller gets, once it is known.
        attempt: How often it was tried, the present attempt included.
        sent_at: When the body was handed out last (aware, UTC); None before that.
        sent_s: The same on the monotonic clock.
        error: What the caller gets while nobody knows; late tasks are noted in it.
    """

    def __init__(self, request: AddInstrumentalRequest, gate: Gate, around: Surroundings) -> None:
        self.awaited: bool = True
        self.taken: str | None = None
        self.attempt: int = 0
        self.sent_at: datetime | None = None
        self.sent_s: float | None = None
        self.error: SubmissionUncertain | None = None
        self._request = request
        self._gate = gate
        self._around = around
        self._context = copy_context()
        self._told: set[str] = set()
        self._named: list[str] = []

    # --- callbacks --------------------------------------------------------------------------------

    def name(self, task_id: str) -> bool:
        """Take note of a task that a callback named; tell whether it is news."""
        if task_id in self._told or task_id in self._named:
            return False
        if len(self._named) >= _MOST_TASKS:  # somebody knows the URL, and makes them up
            return False
        self._named.append(task_id)
        return True

    @property
    def named(self) -> str | None:
        """The first task that a callback named, or None."""
        return self._named[0] if self._named else None

    @property
    def untold(self) -> list[str]:
        """The tasks that callbacks named and nobody was told of."""
        return [task_id for task_id in self._named if task_id not in self._told]

    # --- telling ----------------------------------------------------------------------------------

    def take(self, task_id: str, *, by_callback: bool) -> None:
        """Let the caller have a task, and tell of it."""
        self.taken = task_id
        self._tell(task_id, by_callback=by_callback, awaited=self.awaited)

    def find(self, task_id: str) -> None:
        """Tell of a task that nobody waits for any more, or that is a submission's second one."""
        if self.error is not None and self.error.task_id is None:
            self.error.task_id = task_id
        self._tell(task_id, by_callback=True, awaited=False)
        owner = self._around.owner
        if self._around.on_submitted is not None and not owner.closed:
            self._context.run(owner.accompany, self._announce_late(task_id))

    def _tell(self, task_id: str, *, by_callback: bool, awaited: bool) -> None:
        self._told.add(task_id)
        about = (self._request, task_id, self._since(), self.attempt, self.since_sent_s)
        self.report(self._around.reports.task, *about, awaited=awaited, by_callback=by_callback)
        if by_callback:
            self._gate.note(Verdict.ACCEPTED, None)

    def report(self, tell: Callable[..., None], *about: Any, **more: Any) -> None:
        """Tell something of the submission in its own context, whoever finds it out."""
        self._context.copy().run(tell, *about, **more)

    @property
    def since_sent_s(self) -> float | None:
        """How long ago the body was handed out last; None before that."""
        return None if self.sent_s is None else self._around.clock.monotonic() - self.sent_s

    def _since(self) -> datetime:
        return self.sent_at or self._around.clock.now()

    async def announce(self, task_id: str) -> Exception | None:
        """Await the caller's hook; return what it raises, the task lives whatever that is."""
        error = await self._call_hook(task_id)
        if error is not None and not self.awaited:
            self._around.reports.hook_failed(task_id, error)
        return error

    async def _announce_late(self, task_id: str) -> None:
        if (error := await self._call_hook(task_id)) is not None:
            self._around.reports.hook_failed(task_id, error)

    async def _call_hook(self, task_id: str) -> Exception | None:
        hook = self._around.on_submitted
        if hook is None:
            return None
        try:
            done = hook(task_id, self._request, self._since())
            if isawaitable(done):
                await done
        except asyncio.CancelledError as error:
            if self._around.owner.closed:
                self._around.reports.hook_cut_off(task_id)
                return None
            raised: Exception = UnexpectedError("CancelledError: on_submitted raised it")
            raised.__cause__ = error
        except Exception as error:  # noqa: BLE001 - the caller of submit gets it
            raised = error
        else:
            return None
        raised.add_note(f"task {task_id} was submitted, and goes on")
        return raised
