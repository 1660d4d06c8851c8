"""Invariants 1, 2 and 8: sources of requests and progress callbacks that do anything."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from suno_async import InvalidRequest, Outcome, SunoError, SunoSession
from suno_async.sandbox import Sandbox
from tests.leaving.passes import Ground, Seen, ground
from tests.waiting import HANGS_AFTER_S
from tests.world import session_for, song

from .behaviours import ANYTHING, FAILING, NONSENSE, Odd
from .test_submitting import ended, faults, handed_in

ITEMS = 4


class Source:
    """An iterator over some requests, one of whose methods misbehaves.

    Args:
        seen: Makes the requests.
        odd: Misbehaves.
        method: The method.
    """

    def __init__(self, seen: Seen, odd: Odd, method: str) -> None:
        self._seen = seen
        self._odd = odd
        self._method = method
        self._left = ITEMS
        self.closed = False

    def _called(self, method: str, usual: Any = None) -> Any:
        return self._odd(usual) if method == self._method else usual

    def __iter__(self) -> Iterator[Any]:
        answered: Iterator[Any] = self._called("iter", self)
        return answered

    def __next__(self) -> Any:
        if not self._left:
            raise StopIteration
        self._left -= 1
        return self._called("next", self._seen.request())

    def close(self) -> None:
        """Be closed."""
        self.closed = True
        self._called("close")


class AsyncSource:
    """The same, asynchronous."""

    def __init__(self, seen: Seen, odd: Odd, method: str) -> None:
        self._inner = Source(seen, odd, method)

    def __aiter__(self) -> Any:
        return self._inner._called("iter", self)

    async def __anext__(self) -> Any:
        await asyncio.sleep(0)
        try:
            return next(self._inner)
        except StopIteration:
            if self._inner._left:  # not the end: it misbehaves
                raise
            raise StopAsyncIteration from None

    async def aclose(self) -> None:
        """Be closed."""
        await asyncio.sleep(0)
        self._inner.close()

    @property
    def closed(self) -> bool:
        """Whether it was closed."""
        return self._inner.closed


SOURCES: list[type[Any]] = [Source, AsyncSource]


async def taken(seen: Seen, requests: Any, **more: Any) -> list[Outcome]:
    """Take the outcomes of a batch; its error is noted."""
    outcomes: list[Outcome] = []

    async def take(seen: Seen) -> None:
        async for outcome in seen.suno.generate_many(requests, max_in_flight=2, **more):
            outcomes.append(outcome)
            if outcome.task_id is not None:
                seen.returned.add(outcome.task_id)

    await ended(seen, take)
    return outcomes


async def pulled_from(earth: Ground, kind: type[Any], method: str, name: str, at: int) -> None:
    """Take the outcomes of a source that misbehaves once, and then those of another batch."""
    odd = Odd(ANYTHING[name], at, at)
    async with handed_in(earth, lambda _: {}, odd) as seen:
        source = kind(seen, odd, method)
        outcomes = await taken(seen, source)
        if method == "next":
            pulled = at - 1 if name in FAILING else ITEMS - 1
            assert sum(outcome.ok for outcome in outcomes) >= pulled
        assert source.closed or method == "iter"
        await ended(seen, one_more)


@pytest.mark.parametrize("method", ["iter", "next", "close"])
@pytest.mark.parametrize("kind", SOURCES)
async def test_invariants_1_2_8_a_source_misbehaves(kind: type[Any], method: str) -> None:
    """What was pulled has its outcome, the batch ends, and so does its source."""
    async with ground() as earth:
        runs = {
            f"{name}, call {at}": pulled_from(earth, kind, method, name, at)
            for name in ANYTHING
            for at in ((1, 2, ITEMS) if method == "next" else (1,))
        }
        assert await faults(runs) == {}


async def one_more(seen: Seen) -> None:
    """Take the outcome of a batch of one."""
    async for outcome in seen.suno.generate_many([seen.request()]):
        assert outcome.ok


async def refused_alone(earth: Ground, kind: type[Any], name: str) -> None:
    """Take the outcomes of a source that gives something else once."""
    odd = Odd(NONSENSE[name], 2, 2)
    async with handed_in(earth, lambda _: {}, odd) as seen:
        outcomes = await taken(seen, kind(seen, odd, "next"))
        assert len(outcomes) == ITEMS
        refused = [outcome for outcome in outcomes if not outcome.ok]
        assert [type(outcome.error) for outcome in refused] == [InvalidRequest]


async def test_what_is_no_request_is_refused_alone() -> None:
    """Its outcome says so, and all others are generated."""
    async with ground() as earth:
        runs = {
            f"{kind.__name__} {name}": refused_alone(earth, kind, name)
            for kind in SOURCES
            for name in NONSENSE
        }
        assert await faults(runs) == {}


@pytest.mark.parametrize("kind", SOURCES)
async def test_a_source_that_never_gives_anything_holds_nobody(kind: type[Any]) -> None:
    """Leaving takes no second, and says that the session is closed."""
    async with ground() as earth:

        async def never(seen: Seen) -> None:
            async for _ in seen.suno.generate_many(Never()):
                raise AssertionError

        async with handed_in(earth, lambda _: {}, Odd(object)) as seen:
            waiting = asyncio.create_task(never(seen))
            await asyncio.sleep(0.01)
        await asyncio.wait({waiting}, timeout=HANGS_AFTER_S)
        assert isinstance(waiting.exception(), SunoError)


class Never:
    """A source that is never ready."""

    def __aiter__(self) -> "Never":
        return self

    async def __anext__(self) -> Any:
        await asyncio.Event().wait()


# --- on_progress ----------------------------------------------------------------------------------


async def told_of_progress(earth: Ground, name: str, at: int) -> None:
    """Take the outcomes of a batch that tells of its progress, and then those of another."""
    odd = Odd(ANYTHING[name], at, at)
    async with handed_in(earth, lambda _: {}, odd) as seen:
        requests = [seen.request() for _ in range(ITEMS)]
        outcomes = await taken(seen, requests, on_progress=lambda _: odd())
        assert odd.calls >= at
        if name not in FAILING:
            assert [outcome.ok for outcome in outcomes] == [True] * ITEMS
        await ended(seen, one_more)


async def test_invariants_1_2_8_a_progress_callback_misbehaves() -> None:
    """What it raises ends the batch; whatever else it does changes nothing."""
    async with ground() as earth:
        runs = {
            f"{name}, call {at}": told_of_progress(earth, name, at)
            for name in ANYTHING
            for at in (1, 2, 5)
        }
        assert await faults(runs) == {}


async def _later(_: object) -> None:
    raise AssertionError("nobody awaits it")


class _Later:
    async def __call__(self, _: object) -> None:
        raise AssertionError("nobody awaits it")


@pytest.mark.parametrize(
    "wrong", [_later, _Later(), 5, "print"], ids=["async", "object", "5", "print"]
)
async def test_what_cannot_be_told_of_progress_is_refused(
    sandbox: Sandbox, suno: SunoSession, wrong: Any
) -> None:
    """Before anything is pulled or sent: it would end the batch when the first task is paid."""
    pulled: list[object] = []
    with pytest.raises(InvalidRequest, match="on_progress must be a plain function"):
        suno.generate_many(map(pulled.append, [song()]), on_progress=wrong)  # type: ignore[arg-type]
    assert pulled == sandbox.submissions == []


async def test_a_lambda_that_gives_a_coroutine_is_told_of(sandbox: Sandbox) -> None:
    """It ends the batch as anything that `on_progress` raises does, and nothing is left of it."""
    async with session_for(sandbox) as suno:
        batch = suno.generate_many([song()], on_progress=lambda told: _later(told))
        with pytest.raises(TypeError, match="on_progress is a plain function"):
            await anext(batch)
