"""A key that is asked for: first when it is needed, and again when the service refuses it."""

import asyncio
import functools
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from suno_async import (
    AuthenticationError,
    InvalidRequest,
    SubmissionUncertain,
    SunoError,
    SunoSession,
)
from suno_async.observe import Observation, Refused
from suno_async.sandbox import Call, DropBefore, EnvelopeError, HttpError, Sandbox
from tests.test_key import frames_of
from tests.world import song, virtual_world

from .vault import CALLS, NEW, OLD, ONCE, Vault, asking

FORMS: dict[str, Callable[[Vault], Any]] = {
    "plain": lambda vault: vault.plain,
    "awaited": lambda vault: vault.later,
    "object": lambda vault: vault,
    "partial": lambda vault: functools.partial(Vault.later, vault),
    "lambda": lambda vault: lambda: vault.later(),
    "with a new line": lambda vault: lambda: f"{vault.plain()}\n",
}


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    """A sandbox that takes the new key alone."""
    async with Sandbox(api_key=NEW, time_scale=0, submissions_per_window=None) as entered:
        yield entered


@pytest.mark.parametrize("form", FORMS)
async def test_it_is_asked_when_the_first_call_needs_it(form: str, sandbox: Sandbox) -> None:
    """Once for all calls, and not before."""
    vault = Vault(NEW)
    async with asking(sandbox, FORMS[form](vault)) as suno:
        assert vault.asked == 0
        await asyncio.gather(*(call(suno) for call in CALLS.values()), suno.credits())
        await suno.credits()
    assert vault.asked == 1


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
@pytest.mark.parametrize("form", FORMS)
async def test_a_refused_key_is_replaced(
    form: str, call: Callable[[SunoSession], Awaitable[object]], sandbox: Sandbox
) -> None:
    """The call is made again with the new one, and its caller notices nothing."""
    vault = Vault(OLD, NEW)
    async with asking(sandbox, FORMS[form](vault)) as suno:
        await call(suno)
    assert vault.asked == 2
    assert len(sandbox.requests) == 2


async def test_calls_that_are_refused_at_the_same_time_ask_once(sandbox: Sandbox) -> None:
    """Fifty of them, each made again once."""
    vault = Vault(OLD, NEW)
    async with asking(sandbox, vault.later, max_concurrent_submissions=50) as suno:
        await asyncio.gather(*(suno.submit(song(title=f"{n}")) for n in range(50)))
    assert vault.asked == 2
    assert len(sandbox.ledger) == 50
    assert len(sandbox.requests) <= 100


async def test_invariant_1_a_submission_is_made_again_once(sandbox: Sandbox) -> None:
    """Invariant 1: a refused key proves that nothing was charged, but each refusal is told."""
    told: list[Observation] = []
    vault = Vault(OLD, "sk-another", "sk-and-another", NEW)
    async with asking(sandbox, vault.plain, observers=[told.append]) as suno:
        with pytest.raises(AuthenticationError):
            await suno.submit(song())
    assert vault.asked == 2
    assert len(sandbox.requests) == 2
    refused = [one for one in told if isinstance(one, Refused)]
    assert [one.retry_in_s for one in refused] == [0.0, None]


@pytest.mark.parametrize("fault", [EnvelopeError(401, "no"), HttpError(401)], ids=str)
async def test_invariant_1_a_key_that_did_not_change_is_not_sent_again(
    fault: EnvelopeError | HttpError, sandbox: Sandbox
) -> None:
    """Invariant 1: whoever answers 401 with the right key is believed, as with a fixed key."""
    vault = Vault(NEW)
    sandbox.inject(Call.SUBMIT, fault)
    async with asking(sandbox, vault.plain) as suno:
        with pytest.raises(AuthenticationError):
            await suno.submit(song())
        await suno.submit(song())
    assert len(sandbox.ledger) == 1
    assert vault.asked == 2


@pytest.mark.parametrize("code", [402, 403, 422, 500])
async def test_other_refusals_ask_for_no_key(code: int, sandbox: Sandbox) -> None:
    """They are not about it."""
    vault = Vault(NEW)
    sandbox.inject(Call.SUBMIT, EnvelopeError(code, "no"))
    async with asking(sandbox, vault.plain, **ONCE) as suno:
        with pytest.raises(SunoError) as caught:
            await suno.submit(song())
    assert str(code) in repr(caught.value)
    assert vault.asked == 1
    assert len(sandbox.submissions) == 1


async def test_an_uncertain_submission_is_not_sent_again_with_another_key(
    sandbox: Sandbox,
) -> None:
    """The answer is lost, and the key was the old one."""
    vault = Vault(NEW, "sk-another")
    sandbox.inject(Call.SUBMIT, DropBefore())
    async with asking(sandbox, vault.plain) as suno:
        with pytest.raises(SubmissionUncertain):
            await suno.submit(song())
    assert vault.asked == 1
    assert len(sandbox.submissions) == 1


async def test_a_watch_goes_on_with_the_new_key() -> None:
    """A refused look asks for a key; the next look, at its own time, has it (invariant 5)."""
    vault = Vault(OLD, NEW)
    async with virtual_world(api_key=NEW) as world:
        async with world.session() as mine:
            task = await mine.submit(song())
        async with world.session(api_key=vault.later) as suno:
            details = await world.run(suno.task(task.task_id, task.submitted_at).result())
    assert details.tracks
    assert vault.asked == 2
    looks = [seen for seen in world.sandbox.requests if "record-info" in seen.path]
    assert looks[1].at - looks[0].at >= 1 / 3


async def test_who_keeps_the_key_is_left_alone_after_an_answer_that_changes_nothing() -> None:
    """For ten seconds, however often the service refuses it."""
    vault = Vault(OLD)
    async with virtual_world(api_key=NEW) as world, world.session(api_key=vault.later) as suno:
        for _ in range(5):
            with pytest.raises(AuthenticationError):
                await suno.credits()
        assert vault.asked == 2
        await world.pass_time(10)
        with pytest.raises(AuthenticationError):
            await suno.credits()
        assert vault.asked == 3


# --- secrecy --------------------------------------------------------------------------------------


async def test_invariant_7_no_key_is_shown(
    sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    """Invariant 7: neither the old one nor the new one, also when the service echoes them."""
    caplog.set_level(logging.DEBUG)
    vault = Vault(OLD, NEW)
    async with asking(sandbox, functools.partial(Vault.later, vault), **ONCE) as suno:
        await suno.credits()
        sandbox.inject(Call.CREDITS, EnvelopeError(402, f"{OLD} and {NEW} have no credits"))
        with pytest.raises(Exception, match=r"\(key\) and \(key\) have no credits") as caught:
            await suno.credits()
        assert "Geheim" not in repr(suno) + repr(vars(suno)) + frames_of(caught.value)
    assert "the API key was refused, and there is a new one" in caplog.text
    assert "Geheim" not in caplog.text


def test_invariant_7_a_function_made_of_the_key_is_not_shown() -> None:
    """Invariant 7: its own `repr` would show it, in the frame of a constructor that fails."""
    ask = functools.partial(str, "sk-Geheim")
    with pytest.raises(InvalidRequest) as caught:
        SunoSession(ask, timeout=0)
    assert "Geheim" not in frames_of(caught.value)
    assert "Geheim" not in repr(vars(SunoSession(ask)))
