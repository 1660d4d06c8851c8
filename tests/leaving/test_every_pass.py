"""Invariants 1, 2, 8: interrupted in any pass of the loop, nothing is lost, doubled or left."""

import asyncio
import sys
from collections.abc import AsyncIterator

import pytest

from suno_async import SessionClosed, SubmissionUncertain
from suno_async.sandbox import Call, Delay, DropAfter
from tests.following import running
from tests.waiting import HANGS_AFTER_S

from .passes import (
    PASSES,
    WORK,
    Ground,
    Seen,
    Work,
    cancelled,
    consuming,
    generating,
    ground,
    noted,
    passes,
    submitting,
)

each_work = pytest.mark.parametrize("work", WORK, ids=[work.__name__ for work in WORK])
with_hook = pytest.mark.parametrize("hook_passes", [None, 4], ids=["no hook", "slow hook"])
in_both_settings = pytest.mark.parametrize(
    ("receiver", "hook_passes"), [(False, 4), (True, None)], ids=["slow hook", "receiver"]
)

# each has done all that it can do without waiting some passes before these
PASSES_OF: dict[Work, int] = {submitting: 30, generating: PASSES, consuming: PASSES}

# once, and twice with so many passes between: all of them come to each pass in its turn
AGAIN = [None, 0, 1, 2, 3]


@pytest.fixture
async def here() -> AsyncIterator[Ground]:
    """What all runs of a test share."""
    async with ground() as shared:
        yield shared


async def settled(seen: Seen) -> None:
    """Wait until what goes on without its caller has ended."""
    async with asyncio.timeout(HANGS_AFTER_S):
        while seen.suno.stats().sending:  # noqa: ASYNC110 - sockets set no event
            await asyncio.sleep(0.001)


@each_work
@in_both_settings
@pytest.mark.parametrize("again", [0, 1], ids=["once", "twice"])
async def test_a_caller_is_cancelled_in_any_pass(
    here: Ground, work: Work, *, receiver: bool, hook_passes: int | None, again: int
) -> None:
    """The session goes on; every charge is told to the observers and to `on_submitted`."""
    for at in range(PASSES_OF[work]):
        seen = here.prepare(receiver=receiver, hook_passes=hook_passes)
        async with seen.suno:
            task = asyncio.create_task(noted(seen, work))
            await cancelled(task, at, AGAIN[again and 1 + at % 4])
            await settled(seen)
            await passes(2)
            seen.check_nothing_is_held()
            seen.check_charges()
            seen.check_errors(asyncio.CancelledError)


@each_work
@in_both_settings
async def test_the_session_is_left_in_any_pass(
    here: Ground, work: Work, *, receiver: bool, hook_passes: int | None
) -> None:
    """Who waits is told what was sent and what was not."""
    for at in range(PASSES_OF[work]):
        seen = here.prepare(receiver=receiver, hook_passes=hook_passes)
        async with asyncio.timeout(HANGS_AFTER_S):
            async with seen.suno:
                task = asyncio.create_task(noted(seen, work))
                await passes(at)
            await asyncio.wait({task})
        if not task.cancelled():
            task.exception()
        seen.check_nothing_is_held()
        seen.check_charges()
        seen.check_errors(SessionClosed, SubmissionUncertain)


@in_both_settings
@pytest.mark.parametrize("begun", [0, 2, 6, 12, 25])
async def test_leaving_is_cancelled_in_any_pass(
    here: Ground, *, receiver: bool, hook_passes: int | None, begun: int
) -> None:
    """While a submission is anywhere on its way; once and twice."""

    async def inside(seen: Seen, others: list["asyncio.Task[None]"]) -> None:
        async with seen.suno:
            others.append(asyncio.create_task(noted(seen, submitting)))
            await passes(begun)

    for at in range(0, PASSES, 2):
        here.sandbox.inject(Call.SUBMIT, Delay(0.005, processed=at % 3 == 0))
        seen = here.prepare(receiver=receiver, hook_passes=hook_passes)
        others: list[asyncio.Task[None]] = []
        before = running()
        leaving = asyncio.create_task(inside(seen, others))
        await cancelled(leaving, begun + 2 + at, AGAIN[at // 2 % 5])
        assert running() <= {*before, *others}, "it went on behind its caller's back"
        async with asyncio.timeout(HANGS_AFTER_S):
            await asyncio.wait(others)
        here.sandbox.clear_faults()
        others[0].exception()
        seen.check_nothing_is_held()
        seen.check_charges()
        seen.check_errors(SessionClosed, SubmissionUncertain)


@with_hook
@pytest.mark.parametrize("leave", [False, True], ids=["cancelled", "left"])
async def test_a_lost_answer_is_interrupted_in_any_pass(
    here: Ground, *, hook_passes: int | None, leave: bool
) -> None:
    """While it is reconciled too: a callback tells the id in time, or it is uncertain."""
    for at in range(0, PASSES, 2):
        here.sandbox.inject(Call.SUBMIT, DropAfter())
        seen = here.prepare(receiver=True, hook_passes=hook_passes)
        async with seen.suno:
            task = asyncio.create_task(noted(seen, submitting))
            if leave:
                await passes(at)
            else:
                await cancelled(task, at, AGAIN[at // 2 % 5])
                await settled(seen)
                await passes(6)
        here.sandbox.clear_faults()
        async with asyncio.timeout(HANGS_AFTER_S):
            await asyncio.wait({task})
        if not task.cancelled():
            task.exception()
        seen.check_nothing_is_held()
        seen.check_errors(SessionClosed, SubmissionUncertain, asyncio.CancelledError)
        seen.hook_passes = None  # what is found late is told to it, too, unless the session is left
        seen.check_charges()


@pytest.mark.parametrize("work", WORK[1:], ids=[work.__name__ for work in WORK[1:]])
@pytest.mark.parametrize("leave", [False, True], ids=["cancelled", "left"])
async def test_the_end_is_interrupted_in_any_pass(here: Ground, work: Work, *, leave: bool) -> None:
    """While a look shows that the task is complete, and while its result is handed over."""

    async def one(at: int) -> None:
        seen = here.prepare(receiver=False, hook_passes=4)
        async with seen.suno:
            task = asyncio.create_task(noted(seen, work))
            async with asyncio.timeout(HANGS_AFTER_S):
                while not seen.suno.stats().polls:  # noqa: ASYNC110 - sockets set no event
                    await asyncio.sleep(0)
            if leave:
                await passes(at)
            else:
                await cancelled(task, at, AGAIN[at % 5])
                await settled(seen)
                seen.check_nothing_is_held()
        async with asyncio.timeout(HANGS_AFTER_S):
            await asyncio.wait({task})
        if not task.cancelled():
            task.exception()
        seen.check_nothing_is_held()
        seen.check_charges()
        seen.check_errors(SessionClosed, asyncio.CancelledError)

    await asyncio.gather(*(one(at) for at in range(25)))


@pytest.mark.skipif(sys.version_info < (3, 12), reason="tasks begin later there")
@each_work
@pytest.mark.parametrize("leave", [False, True], ids=["cancelled", "left"])
async def test_tasks_that_begin_at_once_are_interrupted_in_any_pass(
    work: Work, *, leave: bool
) -> None:
    """With the eager task factory, which a caller may have set."""
    asyncio.get_running_loop().set_task_factory(getattr(asyncio, "eager_task_factory"))  # noqa: B009
    async with ground() as here:
        for at in range(25):
            seen = here.prepare(receiver=at % 2 == 0, hook_passes=4)
            async with seen.suno:
                task = asyncio.create_task(noted(seen, work))
                if leave:
                    await passes(at)
                else:
                    await cancelled(task, at, AGAIN[at % 5])
                    await settled(seen)
                    await passes(2)
            async with asyncio.timeout(HANGS_AFTER_S):
                await asyncio.wait({task})
            if not task.cancelled():
                task.exception()
            seen.check_nothing_is_held()
            seen.check_charges()
            seen.check_errors(SessionClosed, SubmissionUncertain, asyncio.CancelledError)
