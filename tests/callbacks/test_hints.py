"""A callback only makes the watcher look: events come from record-info, whatever is posted."""

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from attrs import frozen

from suno_async import (
    CallbackReceiver,
    ContentRejected,
    GenerationFailed,
    InstrumentalTask,
    Stage,
    StageEvent,
    SunoSession,
)
from suno_async.sandbox import (
    Call,
    CallbackScript,
    Delay,
    Dialect,
    NullRecord,
    Sandbox,
    Stale,
    TaskScript,
    Timings,
)
from tests.following import (
    STAGES,
    STUCK,
    busiest,
    collect,
    names,
    nothing_left,
    poll_times,
    submitted,
)
from tests.waiting import until
from tests.world import World, session_for, song, virtual_world

from .hosting import TAKEN, by_itself, callback, connection, head, post, status_of

CEILING_S = 20.0


@frozen
class Called:
    """A world with a receiver, and a session that uses it."""

    world: World
    receiver: CallbackReceiver
    suno: SunoSession

    @property
    def sandbox(self) -> Sandbox:
        """The world's sandbox."""
        return self.world.sandbox

    def url(self, number: int = -1) -> str:
        """The callback URL of a submission."""
        return str((self.sandbox.submissions[number].body or {})["callBackUrl"])

    async def submit(self, script: TaskScript) -> InstrumentalTask:
        """Submit a task that follows a script."""
        return await submitted(self.suno, self.sandbox, script)


@asynccontextmanager
async def called(session: dict[str, Any] | None = None, **settings: Any) -> AsyncIterator[Called]:
    """Enter a world, a receiver that serves by itself, and a session, all on one virtual clock."""
    usual: dict[str, Any] = {"submissions_per_window": None}
    async with (
        virtual_world(**{**usual, **settings}) as world,
        by_itself(clock=world.clock) as receiver,
        world.session(
            receiver=receiver, submissions_per_window=(1000, 0.001), **(session or {})
        ) as suno,
    ):
        yield Called(world, receiver, suno)


def ages(events: list[StageEvent], task: InstrumentalTask) -> list[float]:
    """Tell how long after the submission events were seen, in seconds."""
    return [(event.observed_at - task.submitted_at).total_seconds() for event in events]


# --- what a callback does -------------------------------------------------------------------------


async def test_each_callback_is_one_poll_and_one_event() -> None:
    """Three stages, three polls, each in the moment when the stage is reached."""
    async with called() as here:
        stages = [("TEXT_SUCCESS", 5.0), ("FIRST_SUCCESS", 10.0), ("SUCCESS", 15.0)]
        task = await here.submit(TaskScript(stages=stages))
        events = await here.world.run(collect(task))
        assert names(events) == STAGES
        assert ages(events, task) == pytest.approx([5, 10, 15], abs=0.01)
        assert poll_times(here.sandbox) == pytest.approx([5, 10, 15], abs=0.01)


async def test_a_forged_callback_is_one_poll_and_no_event() -> None:
    """Invariant 6: even with the right token: `complete` comes when record-info says so."""
    async with called() as here:
        task = await here.submit(STUCK)
        seen: list[StageEvent] = []
        reading = asyncio.create_task(collect(task, seen))
        await here.world.pass_time(1)
        assert not here.sandbox.polls
        assert await post(here.url(), callback("complete", task.task_id)) == TAKEN
        await here.world.pass_time(0.5)
        assert len(here.sandbox.polls) == 1
        assert not seen
        reading.cancel()


async def test_a_forged_callback_of_another_task_wakes_the_owner_of_the_token() -> None:
    """Invariant 6: the token decides; what the body says of tasks and tracks is not believed."""
    async with called() as here:
        mine, other = await here.submit(STUCK), await here.submit(STUCK)
        reading = [asyncio.create_task(collect(task)) for task in (mine, other)]
        await here.world.pass_time(1)
        await post(here.url(0), callback("complete", other.task_id))
        await here.world.pass_time(0.5)
        assert [poll.task_id for poll in here.sandbox.polls] == [mine.task_id]
        for each in reading:
            each.cancel()


async def test_an_unknown_token_costs_no_poll() -> None:
    """Invariant 6: nobody is woken by guessing."""
    async with called() as here:
        task = await here.submit(STUCK)
        reading = asyncio.create_task(collect(task))
        await here.world.pass_time(1)
        for token in ("x", "x" * 24, task.task_id):
            url = f"{here.receiver.public_url}/{token}"
            assert (await post(url, callback("complete", task.task_id)))[0] == 404
        await here.world.pass_time(0.5)
        assert not here.sandbox.polls
        reading.cancel()


@pytest.mark.parametrize(
    "how",
    [
        CallbackScript(copies=3),
        CallbackScript(reverse=True),
        CallbackScript(upper_case=True),
        CallbackScript(late_s=30),
        CallbackScript(only=frozenset({"complete"})),
        CallbackScript(only=frozenset({"text"})),
        CallbackScript(reverse=True, copies=2, upper_case=True, late_s=3),
    ],
)
async def test_however_callbacks_come_events_come_once_and_in_order(how: CallbackScript) -> None:
    """Invariant 3: repeated, in reverse, in upper case, late, or only some."""
    async with called() as here:
        task = await here.submit(TaskScript(callbacks=how))
        events = await here.world.run(collect(task))
        assert names(events) == STAGES
        await here.world.pass_time(60)
        assert {delivery.status for delivery in here.sandbox.deliveries} == {200}


async def test_camel_case_callbacks_are_understood() -> None:
    """`taskId` and `audioUrl` occur in callbacks too (seen)."""
    dialect = Dialect(camel_case_callbacks=True, upper_case_callbacks=True)
    async with called(dialect=dialect) as here:
        task = await here.suno.submit(song())
        events = await here.world.run(collect(task))
        assert names(events) == STAGES
        assert ages(events, task) == pytest.approx([22, 65, 130], abs=0.01)


async def test_a_repeated_callback_costs_no_poll() -> None:
    """What is known already need not be looked at again."""
    async with called() as here:
        task = await here.submit(TaskScript(stages=[("TEXT_SUCCESS", 5)]))
        reading = asyncio.create_task(collect(task))
        await here.world.pass_time(6)
        assert len(here.sandbox.polls) == 1
        for _ in range(3):
            assert await post(here.url(), callback("text", task.task_id)) == TAKEN
            await here.world.pass_time(0.5)
        assert len(here.sandbox.polls) == 1
        reading.cancel()


@pytest.mark.parametrize(
    ("code", "error"), [(501, GenerationFailed), (531, GenerationFailed), (413, ContentRejected)]
)
async def test_an_error_callback_ends_the_watch_at_once(
    code: int, error: type[GenerationFailed]
) -> None:
    """The failure itself comes from record-info."""
    script = TaskScript(stages=[("GENERATE_AUDIO_FAILED", 40)], error_code=code)
    async with called() as here:
        task = await here.submit(script)
        with pytest.raises(error) as caught:
            await here.world.run(task.result())
        assert caught.value.refunded is (code == 531)
        assert here.world.clock.monotonic() == pytest.approx(40, abs=0.01)


async def test_a_forged_error_is_not_believed() -> None:
    """Invariant 6: a task that somebody says has failed goes on."""
    async with called() as here:
        task = await here.suno.submit(song())
        reading = asyncio.create_task(collect(task))
        await here.world.pass_time(1)
        assert await post(here.url(), callback("error", task.task_id, code=531)) == TAKEN
        assert names(await here.world.run(reading)) == STAGES


async def test_a_callback_before_the_answer_of_the_submission() -> None:
    """It is kept until the task is known, and then makes it look at once."""
    async with called() as here:
        here.sandbox.script(TaskScript(stages=[("TEXT_SUCCESS", 5)]))
        here.sandbox.inject(Call.SUBMIT, Delay(12, processed=True))
        task = await here.world.run(here.suno.submit(song()))
        assert [delivery.at for delivery in here.sandbox.deliveries] == [5]
        first = await here.world.run(anext(task.events()))
        assert first.stage is Stage.TEXT
        assert here.world.clock.monotonic() == pytest.approx(12, abs=0.01)


async def test_a_callback_before_anybody_reads() -> None:
    """A reader who comes later finds it, and does not wait for another."""
    async with called() as here:
        task = await here.submit(TaskScript(stages=[("TEXT_SUCCESS", 5)]))
        await here.world.pass_time(6)
        assert len(here.sandbox.deliveries) == 1
        assert not here.sandbox.polls
        await here.world.run(anext(task.events()))
        assert poll_times(here.sandbox) == pytest.approx([6], abs=0.01)


async def test_a_callback_after_the_task_is_done() -> None:
    """It is taken and changes nothing, as long as somebody has the task."""
    async with called() as here:
        task = await here.submit(TaskScript(stages=[("SUCCESS", 5)]))
        await here.world.run(task.result())
        polls = len(here.sandbox.polls)
        assert await post(here.url(), callback("complete", task.task_id)) == TAKEN
        await here.world.pass_time(60)
        assert len(here.sandbox.polls) == polls


async def test_a_callback_after_the_task_was_dropped() -> None:
    """Nobody has the task any more: its callback is taken, and wakes nobody."""
    async with called() as here:
        task = await here.submit(TaskScript(stages=[("SUCCESS", 5)]))
        await here.world.run(task.result())
        del task
        await here.world.pass_time(60)  # until it may be asked again it is remembered
        await (await here.submit(STUCK)).details()
        gc.collect()
        polls = len(here.sandbox.polls)
        assert await post(here.url(0)) == TAKEN
        await here.world.pass_time(60)
        assert len(here.sandbox.polls) == polls


async def test_a_callback_after_the_session_was_left() -> None:
    """It wakes nobody, crashes nothing, and leaves nothing behind."""
    async with virtual_world() as world, by_itself() as receiver:
        async with nothing_left():
            async with world.session(receiver=receiver) as suno:
                task = await submitted(suno, world.sandbox, STUCK)
            url = str((world.sandbox.submissions[0].body or {})["callBackUrl"])
            status, _ = await post(url, callback("complete", task.task_id))
            assert status == 200
        await world.pass_time(100)
        assert not world.sandbox.polls


async def test_two_sessions_share_a_receiver() -> None:
    """Each is woken for its own tasks."""
    async with (
        virtual_world(submissions_per_window=None) as world,
        by_itself() as receiver,
        world.session(receiver=receiver) as one,
        world.session(receiver=receiver) as two,
    ):
        tasks = [await suno.submit(song()) for suno in (one, two, one)]
        read = await world.run(asyncio.gather(*map(collect, tasks)))
        assert [names(events) for events in read] == [STAGES] * 3
        for events, task in zip(read, tasks, strict=True):
            assert ages(events, task) == pytest.approx([22, 65, 130], abs=0.01)


async def test_a_replica_that_lags_behind_its_callback() -> None:
    """A look that shows less than the callback said is repeated without waiting for another."""
    async with called() as here:
        here.sandbox.inject(Call.DETAILS, NullRecord())
        task = await here.submit(TaskScript(stages=[("SUCCESS", 30)]))
        events = await here.world.run(collect(task))
        assert names(events) == STAGES
        assert ages(events, task)[-1] < 30 + CEILING_S
    async with called() as here:
        for _ in range(20):  # by then callbacks are trusted most
            await here.world.run((await here.suno.submit(song())).result())
        task = await here.submit(TaskScript(stages=[("SUCCESS", 130)]))
        here.sandbox.inject(Call.DETAILS, Stale())
        events = await here.world.run(collect(task))
        assert ages(events, task)[-1] < 130 + CEILING_S


async def test_ten_thousand_callbacks_cost_a_look_for_each_thing_they_say() -> None:
    """Invariants 5 and 6: a flood says nothing new; a few close looks find that nothing is true."""
    async with called() as here:
        task = await here.submit(STUCK)
        reading = asyncio.create_task(collect(task))
        notices = [callback(kind, task.task_id) for kind in ("text", "error", "complete", "new")]
        await here.world.pass_time(1)
        for _ in range(100):
            await flood(here.url(), notices * 25)
            await here.world.pass_time(0.1)
        times = poll_times(here.sandbox, task.task_id)
        assert busiest(times, 1.0) <= 3
        assert len(times) <= 8
        reading.cancel()


async def test_a_callback_ahead_of_the_record_keeps_looks_close() -> None:
    """A replica that lags by several looks costs seconds, also where callbacks are trusted."""
    async with called() as here:
        for _ in range(20):
            await here.world.run((await here.suno.submit(song())).result())
        task = await here.submit(TaskScript(stages=[("SUCCESS", 100)]))
        reading = asyncio.create_task(collect(task))
        await here.world.pass_time(99)
        here.sandbox.inject(Call.DETAILS, Stale(), times=3)
        events = await here.world.run(reading)
        assert names(events) == STAGES
        assert ages(events, task)[-1] <= 100 + 8


async def test_a_repeated_callback_costs_no_look_before_the_record_shows_it() -> None:
    """Invariant 6: the service repeats deliveries, and the first one is enough."""
    async with called() as here:
        task = await here.submit(STUCK)
        reading = asyncio.create_task(collect(task))
        await here.world.pass_time(1)
        for _ in range(20):
            assert await post(here.url(), callback("text", task.task_id)) == TAKEN
            await here.world.pass_time(0.5)
        assert len(here.sandbox.polls) <= 5  # after 0, 1, 3, 7 s: it may have been ahead
        reading.cancel()


@pytest.mark.parametrize("count", [1, 10])
async def test_when_trusted_callbacks_stop_nobody_is_late(count: int) -> None:
    """No task is later than it would be without a receiver by more than one ceiling interval."""
    quiet = TaskScript(callbacks=CallbackScript(send=False))
    async with called() as here:
        for _ in range(20):
            await here.world.run((await here.suno.submit(song())).result())
        tasks = [await here.submit(quiet) for _ in range(count)]
        read = await here.world.run(asyncio.gather(*map(collect, tasks)))
        seen = [ages(*each) for each in zip(read, tasks, strict=True)]
    for number, reached_s in enumerate((22, 65, 130)):
        assert max(each[number] for each in seen) - reached_s <= CEILING_S


async def flood(url: str, bodies: list[bytes]) -> None:
    """Post many callbacks over one connection, without waiting for the answers in between."""
    async with connection(url) as (reader, writer):
        for body in bodies:
            writer.write(head(url, f"Content-Length: {len(body)}") + body)
        for _ in bodies:
            assert await status_of(reader) == 200


# --- what callbacks save, and what they cost when they do not come --------------------------------


async def test_readers_of_events_need_four_polls_a_task() -> None:
    """At most, on average over a batch with the service's own spread of times."""
    async with called(timings=Timings(), seed=7) as here:
        tasks = [await here.suno.submit(song()) for _ in range(60)]
        read = await here.world.run(asyncio.gather(*map(collect, tasks)))
        assert [names(events) for events in read] == [STAGES] * 60
        assert len(here.sandbox.polls) <= 4 * 60


async def test_a_batch_needs_four_polls_a_task() -> None:
    """At most, on average."""
    async with called(timings=Timings(), seed=8) as here:

        async def batch() -> int:
            many = here.suno.generate_many([song()] * 60, max_in_flight=30)
            return len([outcome async for outcome in many if outcome.ok])

        assert await here.world.run(batch()) == 60
        assert len(here.sandbox.polls) <= 4 * 60


async def course(seed: int, *, with_receiver: bool, count: int) -> list[list[float]]:
    """Tell when the stages of some tasks were seen, without any callback arriving."""
    async with (
        virtual_world(
            timings=Timings(), seed=seed, callbacks=False, submissions_per_window=None
        ) as world,
        by_itself() as receiver,
        world.session(
            receiver=receiver if with_receiver else None, submissions_per_window=(1000, 0.001)
        ) as suno,
    ):
        tasks = [await suno.submit(song()) for _ in range(count)]
        read = await world.run(asyncio.gather(*map(collect, tasks)))
        return [ages(events, task) for events, task in zip(read, tasks, strict=True)]


@pytest.mark.parametrize("seed", range(4))
async def test_callbacks_that_never_come_cost_one_ceiling_interval(seed: int) -> None:
    """No task is complete more than 20 s later than it would be without a receiver."""
    without = await course(seed, with_receiver=False, count=15)
    having = await course(seed, with_receiver=True, count=15)
    late = [a[-1] - b[-1] for a, b in zip(having, without, strict=True)]
    assert max(late) <= CEILING_S


async def test_callbacks_that_stop_are_unlearned() -> None:
    """After the first tasks that were not called back, looks come as without a receiver."""
    quiet = TaskScript(callbacks=CallbackScript(send=False))
    async with called() as here:
        for _ in range(2):
            tasks = [await here.suno.submit(song()) for _ in range(10)]
            await here.world.run(asyncio.gather(*(task.result() for task in tasks)))
        assert len(here.sandbox.polls) <= 4 * 20
        late: list[float] = []
        for _ in range(8):
            tasks = [await here.submit(quiet) for _ in range(10)]
            read = await here.world.run(asyncio.gather(*map(collect, tasks)))
            late.append(max(ages(*each)[-1] for each in zip(read, tasks, strict=True)) - 130)
        assert late[-1] <= CEILING_S
        assert late[-1] <= late[0]


async def test_late_callbacks_are_not_worth_waiting_for() -> None:
    """A callback for what a look has found already teaches nothing good."""
    slow = TaskScript(callbacks=CallbackScript(late_s=200))
    async with called() as here:
        late: list[float] = []
        for _ in range(8):
            tasks = [await here.submit(slow) for _ in range(5)]
            read = await here.world.run(asyncio.gather(*map(collect, tasks)))
            late.append(max(ages(*each)[-1] for each in zip(read, tasks, strict=True)) - 130)
            await here.world.pass_time(300)
        assert late[-1] <= 10


async def test_the_sandbox_and_the_receiver_in_real_time() -> None:
    """Without a virtual clock: every delivery is taken, every task needs four polls or fewer."""
    async with (
        Sandbox(time_scale=0.005, submissions_per_window=None) as sandbox,
        by_itself() as receiver,
        session_for(sandbox, receiver=receiver, submissions_per_window=(1000, 0.001)) as suno,
    ):
        tasks = [await suno.submit(song()) for _ in range(20)]
        read = await asyncio.gather(*map(collect, tasks))
        assert [names(events) for events in read] == [STAGES] * 20
        assert max(sandbox.poll_count(task.task_id) for task in tasks) <= 4
        await until(lambda: len(sandbox.deliveries) == 60)


async def test_every_callback_is_followed_at_once() -> None:
    """However many looks at once there were before: a callback's never waits for its old turn."""
    async with (
        Sandbox(time_scale=0.05, submissions_per_window=None) as sandbox,
        by_itself() as receiver,
        session_for(sandbox, receiver=receiver, submissions_per_window=(1000, 0.001)) as suno,
    ):

        async def follow(number: int) -> float:
            await asyncio.sleep(number * 0.05)
            task = await suno.submit(song())
            course = sandbox.tasks[task.task_id]
            return max(
                [
                    sandbox.clock.monotonic()
                    - course.submitted_s
                    - course.moment(event.stage.position + 1).after_s
                    async for event in task.events()
                ]
            )

        late_s = await asyncio.gather(*map(follow, range(40)))
        assert max(late_s) < 4  # seconds, where whatever else looks at a task takes up to 20
