"""Callbacks wake a task that was re-attached, as they wake one that was submitted here."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

import pytest
from attrs import frozen

from suno_async import CallbackReceiver, InstrumentalTask, InvalidRequest, StageEvent, SunoSession
from suno_async.expectations import Expectation
from tests.following import STAGES, collect, names
from tests.world import World, song, virtual_world

from .hosting import TAKEN, by_itself, post

SECRET = "a secret of the service"


@frozen
class Left:
    """A task whose session has gone, and a receiver that gets its callbacks."""

    world: World
    receiver: CallbackReceiver
    task_id: str
    submitted_at: datetime
    token: str

    def attach(self, suno: SunoSession, expectation: Expectation | None = None) -> InstrumentalTask:
        """Re-attach to it, so that its callbacks wake the watch."""
        expectation = expectation or self.receiver.expect(token=self.token)
        return suno.task(self.task_id, self.submitted_at, expectation=expectation)

    def ages(self, events: list[StageEvent]) -> list[float]:
        """Tell how long after the submission events were seen, in seconds."""
        return [(event.observed_at - self.submitted_at).total_seconds() for event in events]


@asynccontextmanager
async def left(**settings: Any) -> AsyncIterator[Left]:
    """Submit as another process would, which shares the secret alone, and ends then."""
    async with (
        virtual_world(submissions_per_window=None, **settings) as world,
        by_itself(secret=SECRET, clock=world.clock) as receiver,
    ):
        theirs = CallbackReceiver(receiver.public_url, secret=SECRET)
        async with world.session(receiver=theirs) as suno:
            task = await suno.submit(song())
        token = str((world.sandbox.submissions[0].body or {})["callBackUrl"]).rpartition("/")[2]
        yield Left(world, receiver, task.task_id, task.submitted_at, token)


async def test_callbacks_wake_a_task_that_was_re_attached() -> None:
    """Each event comes in the moment of its callback."""
    async with left() as here, here.world.session(receiver=here.receiver) as suno:
        events = await here.world.run(collect(here.attach(suno)))
        assert names(events) == STAGES
        assert here.ages(events) == pytest.approx([22, 65, 130], abs=0.01)
        # the first tells how far it is; callbacks to a first task spare few looks
        assert len(here.world.sandbox.polls) <= 8


async def test_a_session_without_a_receiver_is_woken_too() -> None:
    """The expectation alone decides."""
    async with left() as here, here.world.session() as suno:
        events = await here.world.run(collect(here.attach(suno)))
        assert here.ages(events) == pytest.approx([22, 65, 130], abs=0.01)


async def test_what_was_called_back_before_is_looked_at_at_once() -> None:
    """Trusted callbacks spare no look at a task whose own may have come to another process."""
    async with left() as here, here.world.session(receiver=here.receiver) as suno:
        await here.world.pass_time(20)
        tasks = [await here.world.run(suno.submit(song())) for _ in range(5)]
        reading = asyncio.gather(*map(collect, tasks))
        await here.world.pass_time(50)  # callbacks are trusted by now; its own two went elsewhere
        events = asyncio.create_task(collect(here.attach(suno)))
        assert here.ages(await here.world.run(events)) == pytest.approx([70, 70, 130], abs=0.1)
        for read in await here.world.run(reading):
            assert names(read) == STAGES
        # four for each at the most: none was made out of mistrust
        assert len(here.world.sandbox.polls) <= 3 + 5 * 4


async def test_attaching_twice_costs_nothing() -> None:
    """One watch follows one URL once."""
    async with left() as here, here.world.session(receiver=here.receiver) as suno:
        tasks = [here.attach(suno) for _ in range(50)]
        read = await here.world.run(asyncio.gather(*map(collect, tasks)))
        assert {tuple(names(events)) for events in read} == {tuple(STAGES)}
        assert len(here.world.sandbox.polls) <= 8


async def test_two_sessions_that_follow_one_task_do_not_hide_each_other() -> None:
    """Both are woken."""
    async with (
        left() as here,
        here.world.session(receiver=here.receiver) as one,
        here.world.session(receiver=here.receiver) as two,
    ):
        tasks = [here.attach(suno) for suno in (one, two)]
        for events in await here.world.run(asyncio.gather(*map(collect, tasks))):
            assert here.ages(events) == pytest.approx([22, 65, 130], abs=0.01)


async def test_a_url_is_given_up_with_its_watch() -> None:
    """Nothing holds the expectation any more when nobody has the task."""
    async with left() as here, here.world.session(receiver=here.receiver) as suno:
        expectation = here.receiver.expect(token=here.token)
        task = here.attach(suno, expectation)
        url = expectation.url
        assert "1 tokens" in repr(here.receiver)
        del expectation
        assert await post(url) == TAKEN
        assert "1 tokens" in repr(here.receiver)
        del task
        assert "0 tokens" in repr(here.receiver)
        assert await post(url) == TAKEN


@pytest.mark.parametrize("wrong", ["https://my.service/suno/token", object(), SunoSession])
async def test_what_is_no_expectation_is_refused(world: World, wrong: Any) -> None:
    """Before anything is asked."""
    async with world.session() as suno:
        with pytest.raises(InvalidRequest, match="expectation"):
            suno.task("t1", expectation=wrong)
    assert not world.sandbox.polls
