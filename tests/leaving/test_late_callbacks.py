"""Invariant 2: a callback to a submission's own URL is never too late, whoever is gone."""

import asyncio
import gc
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest
from attrs import Factory, define

from suno_async import (
    CallbackReceiver,
    InsufficientCredits,
    RateLimited,
    RetryPolicy,
    SessionClosed,
    SubmissionUncertain,
    SunoSession,
)
from suno_async.callbacks import MOST_KEPT
from suno_async.observe import Accepted, Found, Observation
from suno_async.sandbox import Call, Delay, DropAfter, EnvelopeError, Sandbox
from tests.callbacks.hosting import TAKEN, by_itself, callback, post
from tests.waiting import in_time, until
from tests.world import EAGER, session_for, song, virtual_world

from .passes import passes


@define(eq=False)
class Here:
    """A sandbox that calls nobody back by itself, and a receiver."""

    sandbox: Sandbox
    receiver: CallbackReceiver
    told: list[Observation] = Factory(list)

    def session(self, **settings: Any) -> SunoSession:
        """Make a session (still to be entered) with the receiver."""
        usual: dict[str, Any] = {
            "retry": EAGER,
            "receiver": self.receiver,
            "observers": [self.told.append],
            "submissions_per_window": (1000, 0.001),
        }
        return session_for(self.sandbox, **{**usual, **settings})

    def url(self, number: int = -1) -> str:
        """Tell the callback URL of a submission."""
        return str((self.sandbox.submissions[number].body or {})["callBackUrl"])

    @property
    def task_id(self) -> str:
        """The newest task at the service."""
        return self.sandbox.ledger[-1].task_id

    def found(self) -> list[str]:
        """Tell which tasks observers know from callbacks."""
        return [each.task_id for each in self.told if isinstance(each, Found)]


@pytest.fixture
async def here() -> AsyncIterator[Here]:
    """A sandbox that calls nobody back by itself, a receiver, and what observers are told."""
    async with receiving() as made:
        yield made


@asynccontextmanager
async def receiving(**settings: Any) -> AsyncIterator[Here]:
    """Have the same, the receiver with settings."""
    usual: dict[str, Any] = {"time_scale": 0, "submissions_per_window": None, "callbacks": False}
    async with Sandbox(**usual) as sandbox, by_itself(**settings) as receiver:
        yield Here(sandbox, receiver)
        sandbox.clear_faults()
        await sandbox.drop_connections()


def warned_of(caplog: pytest.LogCaptureFixture, task_id: str) -> bool:
    """Tell whether a line at WARNING or above names a task, in its text and as a field."""
    return any(
        each.levelno >= logging.WARNING
        and task_id in each.getMessage()
        and vars(each).get("task_id") == task_id
        for each in caplog.records
    )


# --- nobody waits any more ------------------------------------------------------------------------


async def test_after_the_wait(here: Here, caplog: pytest.LogCaptureFixture) -> None:
    """After `reconcile_for`: taken, told, logged, and in the error that its caller holds."""
    here.sandbox.inject(Call.SUBMIT, DropAfter())
    async with here.session(reconcile_for=0.01) as suno:
        with pytest.raises(SubmissionUncertain) as caught:
            await suno.submit(song())
        assert caught.value.task_id is None
        assert await post(here.url(), callback("text", here.task_id)) == TAKEN
    assert caught.value.task_id == here.task_id
    assert here.task_id in str(caught.value)
    assert here.found() == [here.task_id]
    assert warned_of(caplog, here.task_id)


async def test_after_the_session_was_left(here: Here, caplog: pytest.LogCaptureFixture) -> None:
    """The submission was cut off before its answer; nothing holds it but its URL."""
    here.sandbox.inject(Call.SUBMIT, Delay(60, processed=True))
    async with here.session() as suno:
        call = asyncio.create_task(suno.submit(song()))
        await until(lambda: here.sandbox.ledger)
    with pytest.raises(SubmissionUncertain) as caught:
        await in_time(call)
    del suno, call
    gc.collect()
    assert await post(here.url(), callback("first", here.task_id)) == TAKEN
    assert here.found() == [here.task_id] == [caught.value.task_id]
    assert warned_of(caplog, here.task_id)


async def test_before_the_session_was_left(here: Here) -> None:
    """It came while the answer was still awaited: the caller has its task."""
    here.sandbox.inject(Call.SUBMIT, Delay(60, processed=True))
    async with here.session() as suno:
        call = asyncio.create_task(suno.submit(song()))
        await until(lambda: here.sandbox.ledger)
        assert await post(here.url(), callback("text", here.task_id)) == TAKEN
    assert (await in_time(call)).task_id == here.task_id
    assert here.found() == [here.task_id]


async def test_what_is_found_right_before_leaving_is_stored(here: Here) -> None:
    """`on_submitted` has its grace for it as for any other id."""
    stored: list[str] = []

    async def slowly(task_id: str, *_: object) -> None:
        await asyncio.sleep(0.1)
        stored.append(task_id)

    here.sandbox.inject(Call.SUBMIT, DropAfter())
    async with here.session(on_submitted=slowly, reconcile_for=0.01) as suno:
        with pytest.raises(SubmissionUncertain):
            await suno.submit(song())
        await post(here.url(), callback("text", here.task_id))
    assert stored == [here.task_id]


@pytest.mark.parametrize("lost", [False, True], ids=["answer awaited", "answer lost"])
async def test_for_a_cancelled_submit(
    here: Here, caplog: pytest.LogCaptureFixture, *, lost: bool
) -> None:
    """The caller is gone: taken, told and logged all the same."""
    hooked: list[str] = []
    here.sandbox.inject(Call.SUBMIT, DropAfter() if lost else Delay(60, processed=True))
    hook: Any = lambda task_id, *_: hooked.append(task_id)  # noqa: E731
    async with here.session(on_submitted=hook) as suno:
        call = asyncio.create_task(suno.submit(song()))
        await until(lambda: here.sandbox.ledger)
        call.cancel()
        await asyncio.wait({call})
        assert await post(here.url(), callback("text", here.task_id)) == TAKEN
        if lost:
            await until(lambda: hooked)
    assert here.found() == [here.task_id] == hooked
    assert warned_of(caplog, here.task_id)


async def test_a_batch_whose_submission_is_found_late(here: Here) -> None:
    """An outcome's error has the id afterwards."""
    here.sandbox.inject(Call.SUBMIT, DropAfter())
    async with here.session(reconcile_for=0.01) as suno:
        (outcome,) = [each async for each in suno.generate_many([song()])]
        assert outcome.task_id is None
        await post(here.url(), callback("text", here.task_id))
    assert isinstance(outcome.error, SubmissionUncertain)
    assert outcome.error.task_id == here.task_id


async def test_what_was_refused_has_no_url(here: Here) -> None:
    """A submission that certainly made no task, and one that never was sent: 404."""
    here.sandbox.inject(Call.SUBMIT, EnvelopeError(402))
    async with here.session() as suno:
        with pytest.raises(InsufficientCredits):
            await suno.submit(song())
        assert (await post(here.url(), callback()))[0] == 404
    assert here.found() == []
    assert repr(here.receiver).endswith(", 0 tokens>")


# --- several ids ----------------------------------------------------------------------------------


async def test_two_ids_to_one_url(here: Here) -> None:
    """Both are told; the caller has the first, which its answer named."""
    async with here.session() as suno:
        task = await suno.submit(song())
        for task_id in (task.task_id, "another", "another"):
            assert await post(here.url(), callback("text", task_id)) == TAKEN
    assert [each.task_id for each in here.told if isinstance(each, Accepted)] == [task.task_id]
    assert here.found() == ["another"]


async def test_two_ids_while_the_answer_is_lost(here: Here) -> None:
    """The first proves the submission; the other one is told too."""
    here.sandbox.inject(Call.SUBMIT, Delay(60, processed=True))
    async with here.session() as suno:
        call = asyncio.create_task(suno.submit(song()))
        await until(lambda: here.sandbox.ledger)
        for task_id in (here.task_id, "another"):
            await post(here.url(), callback("text", task_id))
        await here.sandbox.drop_connections()
        assert (await in_time(call)).task_id == here.task_id
    assert sorted(here.found()) == sorted([here.task_id, "another"])


async def test_a_url_that_tells_ever_new_ids_is_believed_a_few_times(here: Here) -> None:
    """Who knows one URL can neither fill the memory nor call `on_submitted` for ever."""
    hooked: list[str] = []
    hook: Any = lambda task_id, *_: hooked.append(task_id)  # noqa: E731
    async with here.session(on_submitted=hook) as suno:
        await suno.submit(song())
        for number in range(50):
            assert await post(here.url(), callback("text", f"forged-{number}")) == TAKEN
        await passes(3)
    assert len(here.found()) == 8
    assert len(hooked) == 9


# --- while it is tried again ----------------------------------------------------------------------

PATIENT = RetryPolicy(
    base=timedelta(milliseconds=200), cap=timedelta(milliseconds=200), patience=timedelta(seconds=9)
)


async def waiting_for_its_next_try(here: Here, suno: SunoSession) -> "asyncio.Task[Any]":
    """Submit what is told to come again."""
    here.sandbox.inject(Call.SUBMIT, EnvelopeError(429))
    call = asyncio.create_task(suno.submit(song()))
    await until(lambda: suno.stats().retries)
    return call


async def test_a_callback_while_a_429_is_waited_out(here: Here) -> None:
    """It was taken after all: not sent again."""
    async with here.session(retry=PATIENT) as suno:
        call = await waiting_for_its_next_try(here, suno)
        assert await post(here.url(), callback("text", "made-behind-a-429")) == TAKEN
        assert (await in_time(call)).task_id == "made-behind-a-429"
    assert len(here.sandbox.submissions) == 1
    assert here.found() == ["made-behind-a-429"]


async def test_a_callback_is_asked_before_the_session_says_that_it_is_closed(here: Here) -> None:
    """It came while a 429 was waited out, in a session that is left before the next try."""
    hooked: list[str] = []
    hook: Any = lambda task_id, *_: hooked.append(task_id)  # noqa: E731
    async with here.session(retry=PATIENT, on_submitted=hook) as suno:
        call = await waiting_for_its_next_try(here, suno)
        await post(here.url(), callback("text", "made-behind-a-429"))
    assert (await in_time(call)).task_id == "made-behind-a-429"
    assert here.found() == hooked == ["made-behind-a-429"]


async def test_a_callback_is_asked_before_a_pause_is_too_long() -> None:
    """It came during a pause that was prolonged beyond the caller's patience."""
    async with (
        virtual_world(callbacks=False) as world,
        by_itself(clock=world.clock) as receiver,
        world.session(receiver=receiver) as suno,
    ):
        sandbox = world.sandbox
        sandbox.inject(Call.SUBMIT, EnvelopeError(429, retry_after="10"))
        call = asyncio.create_task(suno.submit(song()))
        await until(lambda: suno.stats().pause_left_s)
        url = str((sandbox.submissions[0].body or {})["callBackUrl"])
        assert await post(url, callback("text", "made-behind-a-429")) == TAKEN
        suno._pause.note(RateLimited(429, "later", 200, retry_after=timedelta(days=1)))
        assert (await world.run(call)).task_id == "made-behind-a-429"
    assert len(sandbox.submissions) == 1


async def test_a_callback_for_a_caller_who_left_while_a_429_was_waited_out(
    here: Here, caplog: pytest.LogCaptureFixture
) -> None:
    """It is told and logged, although nothing is sent any more."""
    async with here.session(retry=PATIENT) as suno:
        call = await waiting_for_its_next_try(here, suno)
        await post(here.url(), callback("text", "made-behind-a-429"))
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert here.found() == ["made-behind-a-429"]
    assert warned_of(caplog, "made-behind-a-429")


# --- memory ---------------------------------------------------------------------------------------


async def test_the_urls_of_the_last_ten_thousand_are_good() -> None:
    """The oldest are given up; nothing grows beyond."""
    receiver = CallbackReceiver("https://my.service/suno")
    tokens = []
    for _ in range(MOST_KEPT + 5):
        expectation = receiver.expect()
        expectation.keep()
        tokens.append(expectation.token)
    del expectation
    gc.collect()
    assert repr(receiver).endswith(f", {MOST_KEPT} tokens>")
    known = [receiver._is_known(token) for token in tokens]
    assert known == [False] * 5 + [True] * MOST_KEPT


async def test_a_session_that_is_gone_answers_still(here: Here) -> None:
    """An accepted task's callbacks are taken although neither task nor session is held."""
    async with here.session() as suno:
        await suno.submit(song())
    del suno
    gc.collect()
    assert await post(here.url(), callback("complete", here.task_id)) == TAKEN
    assert here.found() == []


async def test_never_sent_is_closed_and_has_no_url(here: Here) -> None:
    """Left while it waits for a slot: `SessionClosed`, and no URL is kept."""
    here.sandbox.inject(Call.SUBMIT, Delay(60, processed=True))
    async with here.session(max_concurrent_submissions=1) as suno:
        first = asyncio.create_task(suno.submit(song()))
        await until(lambda: here.sandbox.ledger)
        second = asyncio.create_task(suno.submit(song()))
        await passes(3)
        assert repr(here.receiver).endswith(", 2 tokens>")
    with pytest.raises(SessionClosed):
        await in_time(second)
    await asyncio.wait({first})
    first.exception()
    assert repr(here.receiver).endswith(", 1 tokens>")
