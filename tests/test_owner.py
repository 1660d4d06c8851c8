"""The owner: what it starts ends with it."""

import asyncio
from contextlib import suppress

import pytest

from suno_async import SessionClosed, SystemClock
from suno_async.owner import Owner

from .waiting import HANGS_AFTER_S


async def forever() -> None:
    """Wait until cancelled."""
    await asyncio.Event().wait()


async def seven() -> int:
    """Give way, and return."""
    await asyncio.sleep(0)
    return 7


async def test_invariant_8_what_is_left_is_cancelled_and_awaited() -> None:
    """Invariant 8: after closing, everything that was started has ended."""
    owner = Owner(SystemClock())
    tasks = [owner.spawn(forever()) for _ in range(3)]
    done = owner.spawn(seven())
    assert await done == 7
    await owner.aclose()
    assert all(task.cancelled() for task in tasks)


async def test_closing_twice_cancels_once() -> None:
    """What takes a moment to end, after it was cancelled, is not cut off by a second closing."""
    ended: list[str] = []

    async def tidy() -> None:
        try:
            await forever()
        finally:
            await asyncio.sleep(0.01)
            ended.append("in order")

    owner = Owner(SystemClock())
    owner.spawn(tidy())
    await asyncio.sleep(0)
    owner.close()
    await asyncio.sleep(0)
    await owner.aclose()
    assert ended == ["in order"]


async def test_a_closed_owner_starts_nothing() -> None:
    """Late work is refused, and its coroutine is closed."""
    owner = Owner(SystemClock())
    await owner.aclose()
    with pytest.raises(SessionClosed):
        owner.spawn(seven())
    with pytest.raises(SessionClosed):
        await owner.run(seven())


async def test_a_caller_is_told_that_the_owner_was_closed() -> None:
    """Who waits for the result of owned work gets `SessionClosed`, not a cancellation."""
    owner = Owner(SystemClock())
    waiting = asyncio.ensure_future(owner.run(forever()))
    await asyncio.sleep(0)
    await owner.aclose()
    with pytest.raises(SessionClosed):
        await waiting


@pytest.mark.parametrize("closing", [False, True])
async def test_nobody_waits_for_what_swallows_its_cancellation(*, closing: bool) -> None:
    """Invariant 8: who waits for it goes home when it is closed or cancelled, in under a second."""
    free = asyncio.Event()

    async def stubborn() -> None:
        while not free.is_set():
            with suppress(asyncio.CancelledError):
                await free.wait()

    owner = Owner(SystemClock())
    waiting = asyncio.ensure_future(owner.run(stubborn()))
    await asyncio.sleep(0)
    try:
        if not closing:
            waiting.cancel()
        async with asyncio.timeout(HANGS_AFTER_S):
            await asyncio.gather(*([owner.aclose()] if closing else []), asyncio.wait({waiting}))
        with pytest.raises(SessionClosed if closing else asyncio.CancelledError):
            await waiting
    finally:
        free.set()
        await owner.aclose()


@pytest.mark.parametrize("closing", [False, True])
async def test_a_caller_who_is_cancelled_is_cancelled(*, closing: bool) -> None:
    """`CancelledError` always passes, also when the owner is closed at the same time."""
    owner = Owner(SystemClock())
    waiting = asyncio.ensure_future(owner.run(forever()))
    await asyncio.sleep(0)
    waiting.cancel()
    if closing:
        await owner.aclose()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await owner.aclose()


async def test_the_callers_result_and_error_pass_through() -> None:
    """Owned work returns and raises as if it were awaited directly."""

    async def fail() -> None:
        raise LookupError("x")

    owner = Owner(SystemClock())
    assert await owner.run(seven()) == 7
    with pytest.raises(LookupError):
        await owner.run(fail())
    await owner.aclose()
