"""Invariant 8: leaving the session ends everything that it started, within a second."""

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from suno_async import (
    FixedInterval,
    InstrumentalTask,
    Outcome,
    SessionClosed,
    SubmissionUncertain,
    SunoError,
    SunoSession,
    Track,
)
from suno_async.sandbox import Call, Delay, EnvelopeError, Sandbox, TaskScript, Throttle

from .following import STUCK, collect, nothing_left, running, submitted
from .media.hosts import sizes_of_parts
from .waiting import in_time, until
from .world import session_for, song

Work: TypeAlias = Callable[[SunoSession, Sandbox, Path], Awaitable[Any]]
QUICK = FixedInterval(timedelta(0))


class Oops(Exception):
    """What a caller's block raises."""


# --- what can be under way ------------------------------------------------------------------------


async def _task(suno: SunoSession, sandbox: Sandbox) -> InstrumentalTask:
    return await submitted(suno, sandbox, STUCK)


async def in_submit(suno: SunoSession, sandbox: Sandbox, _: Path) -> None:
    """Wait for an answer to a submission that takes for ever."""
    sandbox.inject(Call.SUBMIT, Delay(60))
    await suno.submit(song())


async def in_a_pause(suno: SunoSession, sandbox: Sandbox, _: Path) -> None:
    """Wait for a submission's next try."""
    sandbox.inject(Call.SUBMIT, EnvelopeError(429, retry_after="60"))
    await suno.submit(song())


async def in_events(suno: SunoSession, sandbox: Sandbox, _: Path) -> None:
    """Wait for an event."""
    await collect(await _task(suno, sandbox))


async def in_result(suno: SunoSession, sandbox: Sandbox, _: Path) -> None:
    """Wait for a result, with a time-out."""
    await (await _task(suno, sandbox)).result(3600)


async def in_a_poll(suno: SunoSession, sandbox: Sandbox, _: Path) -> None:
    """Wait for a result while a poll is under way."""
    task = await _task(suno, sandbox)
    sandbox.inject(Call.DETAILS, Delay(60), times=None)
    await task.result()


async def in_details(suno: SunoSession, sandbox: Sandbox, _: Path) -> None:
    """Wait for an answer to a look."""
    task = await _task(suno, sandbox)
    sandbox.inject(Call.DETAILS, Delay(60), times=None)
    await task.details()


async def in_generate(suno: SunoSession, sandbox: Sandbox, _: Path) -> None:
    """Wait for a task that was submitted just now."""
    sandbox.script(STUCK)
    await suno.generate(song())


async def in_a_queue(suno: SunoSession, sandbox: Sandbox, _: Path) -> None:
    """Wait for room in flight that a batch takes whose consumer is away."""
    sandbox.script(*[STUCK] * 4)
    async with aclosing(suno.generate_many([song()] * 4)) as batch:
        first = asyncio.ensure_future(anext(batch))
        # on a busy machine the session may be left before
        await until(lambda: first.done() or len(sandbox.ledger) == 2)
        try:
            await suno.generate(song())
        finally:
            first.cancel()
            await asyncio.wait({first})


async def in_generate_many(suno: SunoSession, sandbox: Sandbox, _: Path) -> None:
    """Take the outcomes of an endless batch; what is left of it ends in an error each."""
    sandbox.script(*[STUCK] * 50)
    outcomes: list[Outcome] = []
    try:
        async for outcome in suno.generate_many(iter(song, None)):
            outcomes.append(outcome)  # noqa: PERF401 - it never ends by itself
    finally:
        assert all(isinstance(outcome.error, SessionClosed) for outcome in outcomes)


async def in_an_iterable(suno: SunoSession, _: Sandbox, __: Path) -> None:
    """Wait for an async iterable that gives nothing."""

    async def silent() -> AsyncIterator[Any]:
        await asyncio.sleep(3600)
        yield song()

    async for _outcome in suno.generate_many(silent()):
        raise AssertionError


async def in_download(suno: SunoSession, sandbox: Sandbox, tmp_path: Path) -> None:
    """Wait for audio that trickles in."""
    sandbox.script(TaskScript(stages=[("SUCCESS", 0)]))
    (track, _) = (await (await suno.submit(song())).details()).tracks
    sandbox.inject(Call.MEDIA, Throttle(chunk_bytes=100, pause_s=0.01), times=None)
    await suno.download(track, tmp_path)


async def in_upload(suno: SunoSession, sandbox: Sandbox, tmp_path: Path) -> None:
    """Wait for the answer to an upload of a file."""
    path = tmp_path / "stem.wav"
    path.write_bytes(b"audio" * 1_000_000)
    sandbox.inject(Call.UPLOAD, Delay(60))
    await suno.upload(path)


async def in_an_upload_stream(suno: SunoSession, _: Sandbox, __: Path) -> None:
    """Wait for a stem that is sung at this moment."""

    async def singing() -> AsyncIterator[bytes]:
        while True:
            yield b"la" * 100
            await asyncio.sleep(0.01)

    await suno.upload(singing())


async def in_credits(suno: SunoSession, sandbox: Sandbox, _: Path) -> None:
    """Wait for the balance."""
    sandbox.inject(Call.CREDITS, Delay(60))
    await suno.credits()


WORK: list[Work] = [
    in_submit,
    in_a_pause,
    in_events,
    in_result,
    in_a_poll,
    in_details,
    in_generate,
    in_a_queue,
    in_generate_many,
    in_an_iterable,
    in_download,
    in_upload,
    in_an_upload_stream,
    in_credits,
]
anything = pytest.mark.parametrize("work", WORK, ids=[work.__name__ for work in WORK])


@pytest.fixture
def busy(sandbox: Sandbox) -> SunoSession:
    """A session (to be entered) with room for two."""
    return session_for(sandbox, max_in_flight=2, cadence=QUICK, timeout=30)


# the last call that each makes before it waits
_LAST_CALL: dict[Work, str] = {
    in_submit: "/api/v1/generate/add-instrumental",
    in_a_pause: "/api/v1/generate/add-instrumental",
    in_events: "record-info",
    in_result: "record-info",
    in_a_poll: "record-info",
    in_details: "record-info",
    in_generate: "record-info",
    in_a_queue: "record-info",
    in_generate_many: "record-info",
    in_download: "/cdn/",
    in_upload: "file-stream-upload",
    in_an_upload_stream: "file-stream-upload",
    in_credits: "credit",
}


async def _under_way(work: Work, sandbox: Sandbox, suno: SunoSession) -> None:
    """Let work begin, and get to where it waits, however slow the machine is."""
    last_call = _LAST_CALL.get(work)
    if last_call is not None:
        await until(lambda: any(last_call in seen.path for seen in sandbox.requests))
    if work is in_a_pause:
        await until(lambda: suno.stats().pause_left_s > 0)
    seen = -1
    while seen != len(sandbox.requests) and seen <= 10:
        seen = len(sandbox.requests)
        await asyncio.sleep(0.02)


def _told_to(work: Work) -> type[SunoError]:
    """Tell what a caller gets when the session is left: what was sent may be charged."""
    return SubmissionUncertain if work is in_submit else SessionClosed


# --- leaving --------------------------------------------------------------------------------------


@anything
async def test_leaving_ends_what_others_wait_for(
    sandbox: Sandbox, busy: SunoSession, tmp_path: Path, work: Work
) -> None:
    """Invariant 8: who waits elsewhere is told so within a second, and nothing is left."""
    async with nothing_left():
        async with busy as suno:
            waiting = asyncio.ensure_future(work(suno, sandbox, tmp_path))
            await _under_way(work, sandbox, suno)
            assert not waiting.done()
            began = asyncio.get_running_loop().time()
        assert asyncio.get_running_loop().time() - began < 1
        with pytest.raises(_told_to(work)):
            await in_time(waiting)
        sandbox.clear_faults()
        await sandbox.drop_connections()


@anything
async def test_an_exception_leaves_nothing(
    sandbox: Sandbox, busy: SunoSession, tmp_path: Path, work: Work
) -> None:
    """Invariant 8: a block that raises while others wait ends as if it were left."""
    async with nothing_left():
        with suppress(Oops):
            async with busy as suno:
                waiting = asyncio.ensure_future(work(suno, sandbox, tmp_path))
                await _under_way(work, sandbox, suno)
                raise Oops
        with pytest.raises(_told_to(work)):
            await in_time(waiting)
        await sandbox.drop_connections()


@anything
async def test_cancellation_in_the_middle_leaves_nothing(
    sandbox: Sandbox, busy: SunoSession, tmp_path: Path, work: Work
) -> None:
    """Invariant 8: cancelled in the middle of any call, the session is left within a second."""

    async def inside() -> None:
        async with busy as suno:
            await work(suno, sandbox, tmp_path)

    async with nothing_left():
        caller = asyncio.ensure_future(inside())
        await _under_way(work, sandbox, busy)
        caller.cancel()
        with pytest.raises(asyncio.CancelledError):
            await in_time(caller)
        await sandbox.drop_connections()


@anything
async def test_cancelling_one_call_keeps_the_session(
    sandbox: Sandbox, busy: SunoSession, tmp_path: Path, work: Work
) -> None:
    """Invariant 8: cancelling one call ends it within a second and leaves the session as it was."""
    async with nothing_left():
        async with busy as suno:
            before = running()
            waiting = asyncio.ensure_future(work(suno, sandbox, tmp_path))
            await _under_way(work, sandbox, suno)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await in_time(waiting)
            sandbox.clear_faults()
            # a look that is under way is its task's, whoever asked for it
            its_own = {in_a_poll, in_events, in_result, in_generate, in_a_queue, in_details}
            if work not in {in_submit, *its_own}:
                assert running() <= before
            if work is not in_a_pause:  # which is the session's
                assert await suno.upload(b"audio")
        await sandbox.drop_connections()


@pytest.mark.parametrize("work", [in_events, in_result, in_a_poll, in_details, in_generate])
async def test_who_waits_for_a_task_is_told_its_id(
    sandbox: Sandbox, busy: SunoSession, tmp_path: Path, work: Work
) -> None:
    """Invariant 2: SessionClosed names the task that goes on, and it can be attached again."""
    async with busy as suno:
        waiting = asyncio.ensure_future(work(suno, sandbox, tmp_path))
        await _under_way(work, sandbox, suno)
    with pytest.raises(SessionClosed) as caught:
        await waiting
    sandbox.clear_faults()
    assert caught.value.task_id == sandbox.ledger[0].task_id
    async with session_for(sandbox) as again:
        assert (await again.details(str(caught.value.task_id))).status == "PENDING"


async def test_a_batch_tells_what_it_had_when_the_session_is_left(
    sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    """Invariant 2: a batch read after the session was left gives every paid id, then ends."""
    caplog.set_level(logging.INFO, "suno_async")
    sandbox.script(*[STUCK] * 3)
    async with session_for(sandbox, cadence=QUICK) as suno:
        batch = suno.generate_many(iter(song, None), max_in_flight=3)
        first = asyncio.ensure_future(anext(batch))
        await until(lambda: caplog.text.count("submitted ") == 3)
    ended = [await first, await anext(batch), await anext(batch)]
    with pytest.raises(SessionClosed):
        await anext(batch)
    assert {outcome.task_id for outcome in ended} >= {c.task_id for c in sandbox.ledger}
    assert all(isinstance(outcome.error, SessionClosed) for outcome in ended)


async def test_a_download_that_was_cut_off_can_be_resumed(
    sandbox: Sandbox, busy: SunoSession, tmp_path: Path
) -> None:
    """Invariants 8 and 9: leaving keeps the part for the next session and the file closed."""
    async with busy as suno:
        waiting = asyncio.ensure_future(in_download(suno, sandbox, tmp_path))
        await until(lambda: any(sizes_of_parts(tmp_path)))
    with pytest.raises(SessionClosed):
        await waiting
    (had,) = sizes_of_parts(tmp_path)
    sandbox.clear_faults()
    task = next(iter(sandbox.tasks))
    async with session_for(sandbox) as again:
        track: Track = (await again.details(task)).tracks[0]
        path = await again.download(track, tmp_path)
    assert path.stat().st_size > had > 0
    assert os.listdir(tmp_path) == [path.name]  # noqa: PTH208


async def test_a_hundred_readers_end_with_the_session(sandbox: Sandbox) -> None:
    """Invariant 8: a hundred tasks with readers are ended within a second, all with their ids."""
    sandbox.script(*[STUCK] * 100)
    async with nothing_left():
        async with session_for(
            sandbox, submissions_per_window=(200, 0.1), max_concurrent_submissions=20
        ) as suno:
            tasks = await asyncio.gather(*(suno.submit(song()) for _ in range(100)))
            readers = [asyncio.ensure_future(collect(task)) for task in tasks]
            await asyncio.sleep(0)
            began = asyncio.get_running_loop().time()
        assert asyncio.get_running_loop().time() - began < 1
        ended = await asyncio.gather(*readers, return_exceptions=True)
    ids = [error.task_id for error in ended if isinstance(error, SessionClosed)]
    assert ids == [task.task_id for task in tasks]
