"""Invariants 1, 2 and 8: whatever is handed in does at a call, during every kind of submission."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any

import aiohttp
import pytest

from suno_async import AddInstrumentalRequest, FixedInterval, SubmissionUncertain
from suno_async.errors import described
from tests.leaving.passes import (
    WORK,
    Ground,
    Seen,
    Work,
    ground,
    passes,
    submitting,
)
from tests.waiting import HANGS_AFTER_S
from tests.world import close_hidden

from .behaviours import ANYTHING, FAILING, Odd

Settings = dict[str, Any]
# makes settings of a session from what misbehaves
Hand = Callable[[Odd], Settings]


def observing(odd: Odd) -> Settings:
    """Observe."""
    return {"observers": [lambda _: odd()]}


def storing_at_once(odd: Odd) -> Settings:
    """Store each id in a plain function."""
    return {"on_submitted": lambda *_: odd()}


def storing(odd: Odd) -> Settings:
    """Store each id in a coroutine function."""

    async def store(_: str, __: AddInstrumentalRequest, ___: datetime) -> object:
        await passes(1)
        odd()
        await passes(1)
        return odd

    return {"on_submitted": store}


def pacing(odd: Odd) -> Settings:
    """Say when to look."""

    class Paced(FixedInterval):
        def gap_s(self, *_: Any, **__: Any) -> float:
            gap_s: float = odd(0.0)
            return gap_s

        def learn(self, *_: Any, **__: Any) -> None:
            odd()

    return {"cadence": Paced(timedelta(0))}


def keeping_the_key(odd: Odd) -> Settings:
    """Give the key when it is asked for; each call asks anew until there is one."""

    async def ask() -> Any:
        await passes(1)
        return odd("sandbox-key")

    return {"api_key": ask}


def tracing(signal: str) -> Hand:
    """Trace requests at a signal of aiohttp's."""

    def hand(odd: Odd) -> Settings:
        async def trace(_: object, __: object, told: object) -> None:
            await passes(1)
            try:
                odd()
            except BaseException:
                close_hidden(told)
                raise

        config = aiohttp.TraceConfig()
        getattr(config, signal).append(trace)
        return {"client_session": aiohttp.ClientSession(trace_configs=[config])}

    return hand


def between(*, before: bool) -> Hand:
    """Be a middleware that misbehaves before or after the request."""

    def hand(odd: Odd) -> Settings:
        async def middle(
            request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
        ) -> aiohttp.ClientResponse:
            if before:
                odd()
            response = await handler(request)
            if not before:
                odd()
            return response

        return {"client_session": aiohttp.ClientSession(middlewares=[middle])}

    return hand


HANDS: dict[str, Hand] = {
    "what keeps the key": keeping_the_key,
    "an observer": observing,
    "on_submitted": storing_at_once,
    "on_submitted, awaited": storing,
    "a cadence": pacing,
    "a trace hook at the start": tracing("on_request_start"),
    "a trace hook in the middle": tracing("on_request_chunk_sent"),
    "a trace hook at the end": tracing("on_request_end"),
    "a middleware before": between(before=True),
    "a middleware after": between(before=False),
}


@asynccontextmanager
async def handed_in(earth: Ground, hand: Hand, odd: Odd, **more: Any) -> AsyncIterator[Seen]:
    """Enter a session that has something misbehaving in it; see what is left of it."""
    settings = hand(odd)
    observers = settings.pop("observers", ())
    seen = earth.prepare(hook_passes=None, **{"receiver": False, **settings, **more})
    for observer in observers:
        seen.suno.add_observer(observer)
    try:
        async with seen.suno:
            yield seen
    finally:
        if (client := settings.get("client_session")) is not None:
            await client.close()
    seen.check_charges()
    seen.check_nothing_is_held()


async def ended(seen: Seen, work: Work) -> None:
    """Do something to its end, whatever that is; a caller may be cancelled by its hands."""
    working = asyncio.ensure_future(work(seen))
    done, _ = await asyncio.wait({working}, timeout=HANGS_AFTER_S)
    assert done, f"{work.__name__} hangs"
    if not working.cancelled() and (error := working.exception()) is not None:
        assert isinstance(error, Exception)
        seen.errors.append(error)


async def faults(runs: Mapping[str, Coroutine[Any, Any, None]]) -> dict[str, str]:
    """Do all runs at a time; tell what went wrong in which."""
    ends = await asyncio.gather(*runs.values(), return_exceptions=True)
    named = zip(runs, ends, strict=True)
    return {name: described(end) for name, end in named if end is not None}


async def once(earth: Ground, hand: Hand, work: Work, odd: Odd) -> None:
    """Misbehave once; what is submitted after it goes on."""
    async with handed_in(earth, hand, odd) as seen:
        await ended(seen, work)
        before = len(seen.errors)
        if odd.calls >= odd.first:
            await ended(seen, submitting)
            assert seen.errors[before:] == []


async def always(earth: Ground, hand: Hand, work: Work, odd: Odd, *, receiver: bool) -> None:
    """Misbehave at every call; a watch that always fails is left before its minute is over."""
    async with handed_in(earth, hand, odd, receiver=receiver) as seen:
        working = asyncio.create_task(ended(seen, work))
        await asyncio.wait({working}, timeout=1)
        odd.last = 0  # who leaves would be cancelled too
    await working


@pytest.mark.parametrize("hand", HANDS)
async def test_invariants_1_2_8_a_hand_that_misbehaves_once(hand: str) -> None:
    """At its first call, or a later one: all is known, and what is submitted after it goes on."""
    async with ground() as earth:
        runs = {
            f"{name}, {work.__name__}, call {at}": once(earth, HANDS[hand], work, Odd(what, at, at))
            for name, what in ANYTHING.items()
            for work in WORK
            for at in (1, 3)
            if not is_aiohttps(hand, name)
        }
        assert await faults(runs) == {}


@pytest.mark.parametrize("hand", HANDS)
async def test_invariants_1_2_8_a_hand_that_always_misbehaves(hand: str) -> None:
    """Nothing waits for ever, with a receiver neither; each charge is known."""
    async with ground() as earth:
        runs = {
            f"{name}, {work.__name__}, {receiver=}": always(
                earth, HANDS[hand], work, Odd(what), receiver=receiver
            )
            for name, what in FAILING.items()
            for work in WORK
            for receiver in (False, True)
            if not is_aiohttps(hand, name)
        }
        assert await faults(runs) == {}


async def test_what_a_hook_cancels_is_not_called_left() -> None:
    """It is uncertain, and its reason does not speak of leaving a session that is open."""

    async def cancel(_: object, __: object, told: object) -> None:
        FAILING["cancels its caller"]()
        try:
            await passes(1)
        finally:
            close_hidden(told)

    trace = aiohttp.TraceConfig()
    trace.on_request_end.append(cancel)
    client = aiohttp.ClientSession(trace_configs=[trace])
    async with ground() as earth:
        async with handed_in(earth, lambda _: {"client_session": client}, Odd(object)) as seen:
            await ended(seen, submitting)
        (error,) = seen.errors
        assert isinstance(error, SubmissionUncertain)
        assert "cancelled from outside" in str(error)


def is_aiohttps(hand: str, behaviour: str) -> bool:
    """Tell whether aiohttp itself stumbles over what a hook raises, in a task of its own."""
    return hand == "a trace hook in the middle" and behaviour == "raises what cannot be written"
