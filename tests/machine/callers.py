"""What callers of a session do, and what they got of it."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from typing import Any, TypeAlias

from attrs import Factory, define

from suno_async import (
    AddInstrumentalRequest,
    InstrumentalTask,
    Outcome,
    StageEvent,
    SunoSession,
    TaskDetails,
)

from .clocks import NEVER, Moment


class HookFailed(Exception):
    """What an `on_submitted` raises at times."""


@define(eq=False)
class Caller:
    """One caller: what it asked for, and what it got.

    Attributes:
        session: Which session it uses, by number.
        what: What it does.
        titles: The requests that it makes.
        task_id: The task that it reads.
        timeout_s: Its own time-out.
        cancelled: Whether it was cancelled.
        checked: Whether what it got was checked.
        got: The id of what it submitted, or the details that it waited for.
        events: The events that it read.
        outcomes: The outcomes that it took.
        left: Whether it left its batch before the end.
        error: What was raised.
        began: When it began.
        ended_at: When it ended.
    """

    session: int
    what: str
    titles: list[str] = Factory(list)
    task_id: str | None = None
    timeout_s: float | None = None
    cancelled: bool = False
    checked: bool = False
    got: str | TaskDetails | None = None
    events: list[StageEvent] = Factory(list)
    outcomes: list[Outcome] = Factory(list)
    left: bool = False
    error: BaseException | None = None
    began: Moment = NEVER
    ended_at: Moment = NEVER
    running: "asyncio.Task[None] | None" = None

    def begin(self, work: Awaitable[Any], now: Callable[[], Moment]) -> None:
        """Do it in a task of its own."""
        self.began = now()
        self.running = asyncio.get_running_loop().create_task(self._noted(work, now))

    async def _noted(self, work: Awaitable[Any], now: Callable[[], Moment]) -> None:
        try:
            await work
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - it is checked
            self.error = error
        self.ended_at = now()

    @property
    def waited_s(self) -> float:
        """For how long it waited, until it ended."""
        return self.ended_at.own_s - self.began.own_s

    @property
    def ended(self) -> bool:
        """Whether it has come back."""
        return self.running is None or self.running.done()

    def cancel(self) -> None:
        """Cancel it; before its first step, it ends without having noted anything."""
        if self.running is not None:
            self.cancelled |= self.running.cancel()


Work: TypeAlias = Callable[[Caller, SunoSession], Awaitable[None]]


def submitting(request: AddInstrumentalRequest, handles: dict[str, InstrumentalTask]) -> Work:
    """Submit a request; keep the task."""

    async def submit(caller: Caller, suno: SunoSession) -> None:
        task = await suno.submit(request)
        caller.got = task.task_id
        handles[task.task_id] = task

    return submit


def generating(request: AddInstrumentalRequest) -> Work:
    """Submit a request and wait for its result."""

    async def generate(caller: Caller, suno: SunoSession) -> None:
        caller.got = await suno.generate(request, timeout=caller.timeout_s)

    return generate


def consuming(requests: list[AddInstrumentalRequest], most: int, **settings: Any) -> Work:
    """Take the outcomes of a batch, or the first of them."""

    async def consume(caller: Caller, suno: SunoSession) -> None:
        async with aclosing(suno.generate_many(iter(requests), **settings)) as outcomes:
            async for outcome in outcomes:
                caller.outcomes.append(outcome)
                if len(caller.outcomes) == most:
                    caller.left = True
                    break

    return consume


def reading(task: InstrumentalTask) -> Work:
    """Read a task's events."""

    async def read(caller: Caller, _: SunoSession) -> None:
        async for event in task.events():
            caller.events.append(event)

    return read


def awaiting(task: InstrumentalTask) -> Work:
    """Wait for a task's result."""

    async def wait(caller: Caller, _: SunoSession) -> None:
        caller.got = await task.result(caller.timeout_s)

    return wait


def looking(task: InstrumentalTask) -> Work:
    """Look at a task."""

    async def look(caller: Caller, _: SunoSession) -> None:
        caller.got = await task.details()

    return look


async def asking(caller: Caller, suno: SunoSession) -> None:
    """Ask for the balance."""
    del caller
    assert await suno.credits() >= 0
