"""What is asked for the key may raise, hang, or give anything: decided for each."""

import asyncio
import functools
import logging
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Any

import pytest

from suno_async import (
    AuthenticationError,
    ConnectionFailed,
    InvalidRequest,
    NotSubmitted,
    SessionClosed,
    SunoSession,
)
from suno_async.sandbox import Call, EnvelopeError, Sandbox
from tests.test_key import frames_of
from tests.waiting import HANGS_AFTER_S, until
from tests.world import song

from .vault import CALLS, NEW, OLD, ONCE, Vault, asking


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    """A sandbox that takes the new key alone."""
    async with Sandbox(api_key=NEW, time_scale=0, submissions_per_window=None) as entered:
        yield entered


def _raise() -> str:
    secret = NEW
    raise LookupError(f"the vault is sealed, {len(secret)}")


async def _raise_later() -> str:
    return _raise()


def _exit() -> str:
    raise SystemExit(1)


def _stop() -> str:
    raise StopIteration


async def _cancel() -> str:
    raise asyncio.CancelledError


async def _time_out() -> str:
    raise TimeoutError("the vault is slow")


RAISING: dict[str, tuple[Any, str]] = {
    "raises": (_raise, "api_key raised LookupError: the vault is sealed"),
    "raises later": (_raise_later, "api_key raised LookupError: the vault is sealed"),
    "exits": (_exit, "api_key raised RuntimeError"),
    "stops": (_stop, "api_key raised"),
    "is cancelled": (_cancel, "api_key raised CancelledError"),
    "times out": (_time_out, "api_key raised TimeoutError: the vault is slow"),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
@pytest.mark.parametrize("name", RAISING)
async def test_it_raises_before_there_is_a_key(
    name: str,
    call: Callable[[SunoSession], Awaitable[object]],
    sandbox: Sandbox,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Nothing is sent; it is a failure that may pass, and its frames are not shown."""
    ask, reason = RAISING[name]
    caplog.set_level(logging.DEBUG)
    async with asking(sandbox, ask, **ONCE) as suno:
        with pytest.raises(ConnectionFailed, match=reason) as caught:
            await call(suno)
    assert not caught.value.request_sent
    assert "Geheim" not in frames_of(caught.value) + caplog.text
    assert isinstance(caught.value.__cause__, BaseException)
    assert caught.value.__cause__.__traceback__ is None
    assert not sandbox.requests


async def test_it_raises_for_a_while(sandbox: Sandbox) -> None:
    """Each call tries as often as the policy says."""
    answers: list[str] = []

    def ask() -> str:
        answers.append("")
        return _raise() if len(answers) < 3 else NEW

    async with asking(sandbox, ask) as suno:
        await suno.submit(song())
    assert len(answers) == 3


@pytest.mark.parametrize("given", [None, "", " ", 3, b"sk-Geheim", "sk Geheim", "sk-Gehe\u0456m"])
async def test_it_gives_what_is_no_key(given: Any, sandbox: Sandbox) -> None:
    """Nothing is sent, what it gave is not shown, and the environment's key is not taken."""
    for ask in (lambda: given, functools.partial(asyncio.sleep, 0, given)):
        async with asking(sandbox, ask, **ONCE) as suno:
            with pytest.raises(InvalidRequest, match="api_key was asked for the key") as caught:
                await suno.submit(song())
            assert "Gehe" not in frames_of(caught.value)
    assert not sandbox.requests


@pytest.mark.parametrize(
    "bad", [_raise, _cancel, lambda: None], ids=["raises", "cancels", "no key"]
)
async def test_it_fails_when_the_key_is_refused(
    bad: Any, sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    """The refusal stands, the log says why, and the key that was there is used on."""
    vault = Vault(NEW)
    sandbox.inject(Call.CREDITS, EnvelopeError(401, "no"))

    async def ask() -> object:
        if vault.asked:
            given = bad()
            return await given if asyncio.iscoroutine(given) else given
        return vault.plain()

    async with asking(sandbox, ask) as suno:
        with pytest.raises(AuthenticationError):
            await suno.credits()
        assert await suno.credits() == sandbox.credits
    assert "there is no other" in caplog.text
    assert "Geheim" not in caplog.text


async def test_a_plain_function_that_blocks_blocks_nothing(sandbox: Sandbox) -> None:
    """It has a thread of its own; whoever waits gives up in time, and leaving does not wait."""
    freed = threading.Event()

    def ask() -> str:
        freed.wait(2 * HANGS_AFTER_S)
        return NEW

    try:
        async with (
            asyncio.timeout(HANGS_AFTER_S),
            asking(sandbox, ask, **ONCE, timeout=0.2) as suno,
        ):
            with pytest.raises(ConnectionFailed, match=r"api_key did not answer within 0\.2 s"):
                await suno.credits()
            waiting = asyncio.create_task(suno.submit(song()))
            await until(lambda: suno.stats().sending)
        with pytest.raises(SessionClosed):
            await waiting
    finally:
        freed.set()
    assert not sandbox.requests


async def test_a_coroutine_that_hangs_is_cancelled_and_asked_again(sandbox: Sandbox) -> None:
    """A vault that hung once is no reason to never work again."""
    calls: list[str] = []

    async def ask() -> str:
        calls.append("began")
        if len(calls) == 1:
            try:
                await asyncio.Event().wait()
            finally:
                calls.append("cancelled")
        return NEW

    async with asking(sandbox, ask, timeout=1) as suno:
        assert await suno.credits() == sandbox.credits
    assert calls == ["began", "cancelled", "began"]


async def test_who_is_cancelled_while_waiting_disturbs_nobody(sandbox: Sandbox) -> None:
    """The others get the key; the cancelled submission was never sent."""
    go = asyncio.Event()
    vault = Vault(NEW)

    async def ask() -> str:
        await go.wait()
        return vault.plain()

    async with asking(sandbox, ask) as suno:
        first = asyncio.create_task(suno.submit(song(title="first")))
        second = asyncio.create_task(suno.submit(song(title="second")))
        await until(lambda: suno.stats().sending == 2)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        go.set()
        await second
    assert vault.asked == 1
    assert len(sandbox.submissions) == 1


async def test_send_within_counts_while_the_key_is_asked_for(sandbox: Sandbox) -> None:
    """It is too late at the moment of sending, not at that of asking."""

    async def ask() -> str:
        await asyncio.Event().wait()
        return NEW

    async with asking(sandbox, ask) as suno:
        with pytest.raises(NotSubmitted):
            await suno.submit(song(), send_within=0.1)
    assert not sandbox.requests


async def test_leaving_ends_the_asking(sandbox: Sandbox) -> None:
    """Whoever waits for it is told that the session was left."""
    began, ended = asyncio.Event(), asyncio.Event()

    async def ask() -> str:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        return NEW

    async with asking(sandbox, ask) as suno:
        waiting = asyncio.create_task(suno.credits())
        await began.wait()
    assert ended.is_set()
    with pytest.raises(SessionClosed):
        await waiting


async def test_leaving_while_a_refused_submission_waits_for_another_key(sandbox: Sandbox) -> None:
    """It is not made again, although what is asked never ends; nothing was charged."""
    vault = Vault(OLD)
    hangs, freed = asyncio.Event(), asyncio.Event()

    async def ask() -> str:
        if not vault.asked:
            return vault.plain()
        hangs.set()
        while not freed.is_set():
            with suppress(asyncio.CancelledError):  # as careless callers do
                await freed.wait()
        return NEW

    async with asyncio.timeout(HANGS_AFTER_S), asking(sandbox, ask) as suno:
        submitting = asyncio.create_task(suno.submit(song()))
        await hangs.wait()
    with pytest.raises(SessionClosed):
        await submitting
    freed.set()
    assert len(sandbox.requests) == 1
