"""Something that a caller does, interrupted at a certain pass of the event loop; what it leaves.

All runs share a sandbox, and a receiver. Each has a session of its own, and titles of its own, so
that every charge can be laid at the door of one request.
"""

import asyncio
import gc
import itertools
import logging
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from datetime import datetime, timedelta
from typing import Any

from attrs import Factory, define

from suno_async import (
    AddInstrumentalRequest,
    CallbackReceiver,
    FixedInterval,
    SessionClosed,
    SubmissionUncertain,
    SunoError,
    SunoSession,
)
from suno_async.observe import Accepted, Found, Observation, Uncertain
from suno_async.sandbox import Sandbox
from tests.callbacks.hosting import by_itself
from tests.following import running
from tests.waiting import HANGS_AFTER_S
from tests.world import EAGER, session_for, song

PASSES = 60

_titles = itertools.count()


async def passes(count: int) -> None:
    """Let the event loop go round so often."""
    for _ in range(count):
        await asyncio.sleep(0)


@define(eq=False)
class Seen:
    """One run: its session, and everything by which a charge can be known.

    Attributes:
        suno: The session, to be entered.
        sandbox: The service.
        title: What the titles of its requests begin with.
        hook_passes: How many passes `on_submitted` takes; None when there is none.
        told: What the observers were told.
        hooked: The ids that `on_submitted` has dealt with.
        returned: The ids that came as results.
        errors: What was raised, or given as an outcome's error.
    """

    suno: SunoSession
    sandbox: Sandbox
    title: str
    hook_passes: int | None
    told: list[Observation] = Factory(list)
    hooked: list[str] = Factory(list)
    returned: set[str] = Factory(set)
    errors: list[BaseException] = Factory(list)
    requests: int = 0

    def request(self) -> AddInstrumentalRequest:
        """Make a request that no other run makes."""
        self.requests += 1
        return song(title=f"{self.title} {self.requests}")

    def ids(self, *kinds: type[Accepted | Found]) -> set[str]:
        """Tell of which tasks the observers know."""
        return {each.task_id for each in self.told if isinstance(each, kinds)}

    @property
    def uncertain(self) -> set[str]:
        """The titles of what observers were told to be uncertain."""
        return {each.request.title for each in self.told if isinstance(each, Uncertain)}

    @property
    def charged(self) -> dict[str, str]:
        """The tasks that were charged for the run, and their titles."""
        tasks = self.sandbox.tasks
        titles = {
            charge.task_id: str(tasks[charge.task_id].request["title"])
            for charge in self.sandbox.ledger
            if charge.kind == "charge"
        }
        return {task: title for task, title in titles.items() if title.startswith(f"{self.title} ")}

    def check_charges(self) -> None:
        """See that each request was charged once at most, and that every charge is known."""
        charged = self.charged
        assert max(Counter(charged.values()).values(), default=0) <= 1, "paid twice"
        by_observer = self.ids(Accepted, Found)
        for task_id, title in charged.items():
            assert task_id in by_observer or title in self.uncertain, f"{title} is lost"
        by_error = {getattr(error, "task_id", None) for error in self.errors} - {None}
        assert self.returned | by_error <= set(charged)
        if self.hook_passes is not None:
            assert sorted(self.hooked) == sorted(self.ids(Accepted)), "on_submitted was not told"

    def check_errors(self, *allowed: type[BaseException]) -> None:
        """See that errors tell the truth about what was sent."""
        titles = set(self.charged.values())
        for error in self.errors:
            assert isinstance(error, allowed), repr(error)
            if isinstance(error, SessionClosed) and error.task_id is None:
                assert self.requests > 1 or not titles, f"{titles} was sent, and not closed"
            if isinstance(error, SubmissionUncertain):
                assert error.title in self.uncertain
                assert error.__cause__ is not None

    def check_nothing_is_held(self) -> None:
        """See that all accounts are settled."""
        stats = self.suno.stats()
        assert (stats.in_flight, stats.waiting, stats.sending, stats.watched) == (0, 0, 0, 0)
        limits = self.suno._limits
        assert limits.slots.free == 8
        assert limits.slots.waiting == 0


@define(eq=False)
class Ground:
    """What all runs share."""

    sandbox: Sandbox
    receiver: CallbackReceiver
    noise: list[dict[str, Any]]

    def prepare(self, *, receiver: bool, hook_passes: int | None, **settings: Any) -> Seen:
        """Make the session of a run, which tells everything."""
        told: list[Observation] = []
        hooked: list[str] = []

        async def on_submitted(task_id: str, _: AddInstrumentalRequest, __: datetime) -> None:
            await passes(hook_passes or 0)
            hooked.append(task_id)

        usual: dict[str, Any] = {
            "retry": EAGER,
            "cadence": FixedInterval(timedelta(0)),
            "submissions_per_window": (1000, 0.001),
            "observers": [told.append],
        }
        if receiver:
            usual |= {"receiver": self.receiver, "reconcile_for": 0.2}
        if hook_passes is not None:
            usual["on_submitted"] = on_submitted
        suno = session_for(self.sandbox, **{**usual, **settings})
        return Seen(
            suno, self.sandbox, f"run-{next(_titles)}", hook_passes, told=told, hooked=hooked
        )


@asynccontextmanager
async def ground() -> AsyncIterator[Ground]:
    """Have a sandbox whose tasks are complete at once; see that no run leaves anything."""
    loop = asyncio.get_running_loop()
    noise: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda _, context: noise.append(context))
    logging.getLogger("suno_async").setLevel(logging.ERROR)
    try:
        async with (
            Sandbox(time_scale=0, submissions_per_window=None) as sandbox,
            by_itself() as receiver,
        ):
            before = running()
            yield Ground(sandbox, receiver, noise)
            await passes(3)
            left = running() - before - {asyncio.current_task()}
            assert not left, left
            gc.collect()  # what nobody awaited, and whose exception nobody retrieved, speaks up now
            await passes(1)
            assert noise == [], noise[0]
    finally:
        logging.getLogger("suno_async").setLevel(logging.NOTSET)


# --- what a caller does ---------------------------------------------------------------------------

Work = Callable[[Seen], Awaitable[None]]


async def submitting(seen: Seen) -> None:
    """Submit one request."""
    seen.returned.add((await seen.suno.submit(seen.request())).task_id)


async def generating(seen: Seen) -> None:
    """Generate one."""
    seen.returned.add((await seen.suno.generate(seen.request())).task_id)


async def consuming(seen: Seen) -> None:
    """Take the outcomes of a batch that has room for two."""
    requests = [seen.request() for _ in range(4)]
    async for outcome in seen.suno.generate_many(iter(requests), max_in_flight=2):
        if outcome.task_id is not None:
            seen.returned.add(outcome.task_id)
        if outcome.error is not None:
            seen.errors.append(outcome.error)


WORK: list[Work] = [submitting, generating, consuming]


async def noted(seen: Seen, work: Work) -> None:
    """Do it, and keep what it raises."""
    try:
        await work(seen)
    except (SunoError, asyncio.CancelledError) as error:
        seen.errors.append(error)
        raise


async def cancelled(task: "asyncio.Task[Any]", at: int, again_after: int | None) -> None:
    """Cancel a task after so many passes, perhaps twice, and wait for it."""
    await passes(at)
    task.cancel()
    if again_after is not None:
        await passes(again_after)
        task.cancel()
    with suppress(asyncio.CancelledError, SunoError):
        async with asyncio.timeout(HANGS_AFTER_S):
            await asyncio.wait({task})
    assert task.done(), "it hangs"
    with suppress(asyncio.CancelledError, SunoError):
        task.result()
