"""Invariants 1 and 8: when batches stop, what they pull, and how their sources end."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator
from contextlib import AsyncExitStack, aclosing, suppress
from datetime import timedelta
from typing import Any

import pytest

from suno_async import (
    AddInstrumentalRequest,
    FixedInterval,
    InsufficientCredits,
    InvalidRequest,
    NotSubmitted,
    Outcome,
    SessionClosed,
    SubmissionUncertain,
    SunoSession,
    UnexpectedError,
)
from suno_async.sandbox import Call, DropAfter, EnvelopeError, Sandbox
from tests.following import STUCK, nothing_left, running
from tests.waiting import HANGS_AFTER_S, in_time, processor_time, until
from tests.world import EAGER, session_for, song

from .passes import passes

Source = AsyncGenerator[AddInstrumentalRequest, None]


def quick(sandbox: Sandbox, **settings: Any) -> SunoSession:
    """Make a session without a window in its way, that asks at once."""
    usual = {
        "retry": EAGER,
        "submissions_per_window": (1000, 0.001),
        "cadence": FixedInterval(timedelta(0)),
    }
    return session_for(sandbox, **{**usual, **settings})


async def outcomes(suno: SunoSession, requests: Any, **options: Any) -> list[Outcome]:
    """Take all outcomes of a batch, in the order of their requests."""
    ended = [outcome async for outcome in suno.generate_many(requests, **options)]
    return sorted(ended, key=lambda outcome: outcome.position)


# --- when it stops --------------------------------------------------------------------------------


@pytest.mark.parametrize(("limit", "sent"), [({}, 5), ({"stop_after_uncertain": 1}, 1)])
async def test_uncertain_submissions_in_a_row_stop_a_batch(
    sandbox: Sandbox, limit: dict[str, int], sent: int
) -> None:
    """The rest is not submitted, and says why: five in a row, unless told otherwise."""
    sandbox.inject(Call.SUBMIT, DropAfter(), times=None)
    async with quick(sandbox, max_concurrent_submissions=1) as suno:
        ended = await outcomes(suno, [song()] * 12, **limit)
    assert len(sandbox.submissions) == sent
    assert [type(each.error) for each in ended[:sent]] == [SubmissionUncertain] * sent
    for each in ended[sent:]:
        assert isinstance(each.error, NotSubmitted)
        assert each.error.reason == "uncertainty"
        assert isinstance(each.error.__cause__, SubmissionUncertain | Exception)
        assert each.task_id is None


async def test_none_never_stops(sandbox: Sandbox) -> None:
    """`stop_after_uncertain=None` sends all of them."""
    sandbox.inject(Call.SUBMIT, DropAfter(), times=None)
    async with quick(sandbox) as suno:
        ended = await outcomes(suno, [song()] * 12, stop_after_uncertain=None)
    assert [type(each.error) for each in ended] == [SubmissionUncertain] * 12


async def test_one_that_is_accepted_begins_the_count_again(sandbox: Sandbox) -> None:
    """Two lost, one taken, two lost: with three in a row, nothing stops."""
    async with quick(sandbox, max_concurrent_submissions=1) as suno:

        def source() -> Generator[AddInstrumentalRequest, None, None]:
            for number in range(9):
                if number % 3 != 2:
                    sandbox.inject(Call.SUBMIT, DropAfter())
                yield song()

        ended = await outcomes(suno, source(), stop_after_uncertain=3, max_in_flight=1)
    assert len(sandbox.submissions) == 9
    assert sum(each.ok for each in ended) == 3


@pytest.mark.parametrize("limit", [0, -1, True, 1.5, "5"])
async def test_a_limit_below_one_is_refused(sandbox: Sandbox, limit: Any) -> None:
    """At the call, by name."""
    async with quick(sandbox) as suno:
        with pytest.raises(InvalidRequest, match="stop_after_uncertain"):
            suno.generate_many([song()], stop_after_uncertain=limit)


async def test_without_credits_a_batch_says_so(sandbox: Sandbox) -> None:
    """The refused one has its error, the rest was not submitted because of it."""
    async with quick(sandbox, max_concurrent_submissions=1) as suno:
        sandbox.inject(Call.SUBMIT, EnvelopeError(402))
        ended = await outcomes(suno, [song()] * 4)
    assert isinstance(ended[0].error, InsufficientCredits)
    for each in ended[1:]:
        assert isinstance(each.error, NotSubmitted)
        assert each.error.reason == "credits"
        assert isinstance(each.error.__cause__, InsufficientCredits)
    assert len(sandbox.submissions) == 1


# --- what is pulled -------------------------------------------------------------------------------


class Idle:
    """A queue that gives nothing until it is told to; it knows how it ended."""

    def __init__(self) -> None:
        self.free = asyncio.Event()
        self.closed = False

    async def requests(self) -> Source:
        """Wait, then give one."""
        try:
            await self.free.wait()
            yield song()
        finally:
            self.closed = True


async def test_two_idle_batches_do_not_block_generate(sandbox: Sandbox) -> None:
    """Room is taken once a request is there."""
    queues = [Idle(), Idle()]
    async with quick(sandbox, max_in_flight=2) as suno:
        batches = [asyncio.create_task(outcomes(suno, queue.requests())) for queue in queues]
        await passes(5)
        assert suno.stats().in_flight == 0
        assert (await in_time(suno.generate(song()))).tracks
        for queue in queues:
            queue.free.set()
        for ended in await asyncio.gather(*batches):
            assert [each.ok for each in ended] == [True]
    assert all(queue.closed for queue in queues)


async def test_a_source_may_generate(sandbox: Sandbox) -> None:
    """Even when there is room for one only."""

    async def source() -> Source:
        for _ in range(3):
            details = await suno.generate(song())
            yield song(title=details.task_id[:8])

    async with quick(sandbox, max_in_flight=1) as suno:
        async with asyncio.timeout(HANGS_AFTER_S):
            assert all(each.ok for each in await outcomes(suno, source()))
    assert len(sandbox.ledger) == 6


async def test_one_request_is_pulled_ahead_at_the_most(sandbox: Sandbox) -> None:
    """While room is taken elsewhere too."""
    sandbox.script(STUCK, STUCK)
    pulled: list[int] = []

    def source() -> Generator[AddInstrumentalRequest, None, None]:
        for number in range(100):
            pulled.append(number)
            yield song()

    async with quick(sandbox, max_in_flight=2) as suno:
        elsewhere = asyncio.create_task(suno.generate(song()))
        await until(lambda: len(sandbox.ledger) == 1)
        consuming = asyncio.create_task(outcomes(suno, source()))
        await until(lambda: len(sandbox.ledger) == 2)
        await passes(20)
        assert len(pulled) == 2
        for task in (elsewhere, consuming):
            task.cancel()
        await asyncio.wait({elsewhere, consuming})
        assert suno.stats().in_flight == 0


# --- how sources end ------------------------------------------------------------------------------


async def test_a_source_that_raises_cancelled_is_no_closed_session(sandbox: Sandbox) -> None:
    """The consumer hears that the source raised it, after the outcomes; the session goes on."""

    async def source() -> Source:
        yield song()
        raise asyncio.CancelledError

    async with quick(sandbox) as suno:
        batch = suno.generate_many(source())
        assert (await anext(batch)).ok
        with pytest.raises(UnexpectedError, match="CancelledError: the source of requests"):
            await anext(batch)
        assert await suno.submit(song())


class Watched:
    """Sources that know whether they were closed."""

    def __init__(self) -> None:
        self.closed = 0

    def plain(self) -> Generator[AddInstrumentalRequest, None, None]:
        """Give requests for ever."""
        try:
            while True:
                yield song()
        finally:
            self.closed += 1

    async def asynchronous(self) -> Source:
        """Give requests for ever."""
        try:
            while True:
                yield song()
        finally:
            await asyncio.sleep(0)
            self.closed += 1


WAYS = ["break", "aclose", "cancelled", "cancelled twice", "left"]


@pytest.mark.parametrize("form", [Watched.plain, Watched.asynchronous])
@pytest.mark.parametrize("way", WAYS)
async def test_a_source_is_closed_with_its_batch(
    sandbox: Sandbox, form: Callable[[Watched], Any], way: str
) -> None:
    """It is suspended at its `yield`, since there is no room; its batch leaves nothing."""
    sandbox.script(*[STUCK] * 2, *([] if way in {"break", "aclose"} else [STUCK] * 2))
    watched = Watched()
    async with nothing_left():
        async with quick(sandbox, max_in_flight=3) as suno:
            before = running()
            if way in {"break", "aclose"}:
                async with aclosing(suno.generate_many(form(watched))) as batch:
                    async for _ in batch:
                        if way == "break":
                            break
                        await batch.aclose()
            else:
                consuming = asyncio.create_task(outcomes(suno, form(watched)))
                await until(lambda: len(sandbox.ledger) == 3)
                await passes(3)
                if way != "left":
                    consuming.cancel()
                    await passes(1)
                if way == "cancelled twice":
                    consuming.cancel()
                if way != "left":
                    await asyncio.wait({consuming})
                    await passes(3)
            if way != "left":
                assert watched.closed == 1
                assert running() <= before
                stats = suno.stats()
                assert (stats.in_flight, stats.sending, stats.watched) == (0, 0, 0)
        if way == "left":
            with pytest.raises(SessionClosed):
                await in_time(consuming)
        assert watched.closed == 1


@pytest.mark.parametrize("then", ["yields", "hangs", "finishes slowly"])
@pytest.mark.parametrize("how", ["left", "cancelled"])
async def test_a_source_that_swallows_its_cancellation_keeps_nobody(
    sandbox: Sandbox, then: str, how: str
) -> None:
    """Neither the session, nor the consumer, nor room; nothing more is submitted."""
    free = asyncio.Event()

    async def source() -> Source:
        try:
            await free.wait()
        except asyncio.CancelledError:
            if then == "finishes slowly":
                await free.wait()
                raise
            while then == "hangs" and not free.is_set():
                with suppress(asyncio.CancelledError):
                    await free.wait()
        yield song()
        yield song()

    try:
        async with asyncio.timeout(HANGS_AFTER_S), quick(sandbox, max_in_flight=1) as suno:
            consuming = asyncio.create_task(outcomes(suno, source()))
            await passes(5)
            if how == "cancelled":
                consuming.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await in_time(consuming)
                assert suno.stats().in_flight == 0
                assert (await in_time(suno.generate(song()))).tracks
        if how == "left":
            with pytest.raises(SessionClosed):
                await in_time(consuming)
    finally:
        free.set()
        await passes(5)
    assert len(sandbox.submissions) == (how == "cancelled")


async def test_a_slow_source_does_not_make_leaving_slow(sandbox: Sandbox) -> None:
    """What it does in its `finally` is given a moment."""

    async def source() -> AsyncIterator[AddInstrumentalRequest]:
        try:
            await asyncio.sleep(3600)
            yield song()
        finally:
            await asyncio.sleep(3600)

    async with asyncio.timeout(HANGS_AFTER_S), quick(sandbox) as suno:
        consuming = asyncio.create_task(outcomes(suno, source()))
        await passes(5)
    with pytest.raises(SessionClosed):
        await in_time(consuming)


# --- many that wait -------------------------------------------------------------------------------


async def leaving_s(sandbox: Sandbox, waiting: int) -> float:
    """Measure how long leaving takes while so many calls wait."""
    sandbox.script(*[STUCK] * 4)
    async with AsyncExitStack() as stack:
        suno = quick(
            sandbox, max_in_flight=2, max_concurrent_submissions=2, submissions_per_window=(1, 3600)
        )
        await stack.enter_async_context(suno)
        calls = [
            asyncio.create_task((suno.generate if number % 2 else suno.submit)(song()))
            for number in range(waiting)
        ]
        await passes(5)
        with processor_time() as took_s:
            await stack.aclose()
            await asyncio.wait(calls)
    kinds = {type(call.exception()) for call in calls}
    assert kinds <= {SessionClosed, SubmissionUncertain, type(None)}
    return took_s()


async def test_leaving_twenty_thousand_waiting_calls_is_linear(sandbox: Sandbox) -> None:
    """Invariant 8: it takes four times as long as leaving five thousand, not sixteen times."""
    few, many = await leaving_s(sandbox, 5_000), await leaving_s(sandbox, 20_000)
    assert many < 12 * few  # 16 times when each looks for itself in a list
