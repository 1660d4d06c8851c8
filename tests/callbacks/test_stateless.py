"""With a secret, any process of a service may receive what belongs to another's session."""

import asyncio
import logging
import sys
import textwrap
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from suno_async import (
    CallbackNotice,
    CallbackReceiver,
    InvalidRequest,
    VirtualClock,
    from_json,
    to_json,
)
from suno_async.callbacks import LONGEST_WAIT_S
from suno_async.sandbox import Sandbox
from tests.following import STAGES, collect, names
from tests.waiting import HANGS_AFTER_S, until
from tests.world import session_for, song

from .hosting import TAKEN, by_itself, changed, free_port, post

SECRET = "a secret of the service"


async def test_a_callback_finds_its_session_in_another_place() -> None:
    """Received here, handed over as JSON, delivered there: events come, from record-info."""
    handed: list[str] = []
    async with (
        Sandbox(time_scale=0.002, submissions_per_window=None) as sandbox,
        by_itself(secret=SECRET, on_unplaced=lambda it: handed.append(to_json(it))) as public,
    ):
        private = CallbackReceiver(public.public_url, secret=SECRET)
        async with session_for(sandbox, receiver=private) as suno:
            reading = asyncio.create_task(collect(await suno.submit(song())))
            for count in (1, 2, 3):
                await until(lambda count=count: len(handed) >= count)  # type: ignore[misc]
                assert private.deliver(from_json(handed[count - 1], CallbackNotice))
            assert names(await reading) == STAGES
        assert len(sandbox.polls) <= 4
        assert {delivery.status for delivery in sandbox.deliveries} == {200}


async def test_another_process_verifies_a_token() -> None:
    """A process that shares the secret alone takes the callback and prints it for ours."""
    port = free_port()
    program = f"""
        import asyncio
        from suno_async import CallbackReceiver, to_json

        async def main():
            done = asyncio.Event()

            def hand_over(notice):
                print(to_json(notice), flush=True)
                done.set()

            receiver = CallbackReceiver(
                "http://127.0.0.1:{port}/suno", secret={SECRET!r}, on_unplaced=hand_over
            )
            async with receiver.serve("127.0.0.1", {port}):
                print("ready", flush=True)
                await done.wait()
                await asyncio.sleep(0.1)

        asyncio.run(main())
    """
    private = CallbackReceiver(f"http://127.0.0.1:{port}/suno", secret=SECRET)
    expected = private.expect()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", textwrap.dedent(program), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(HANGS_AFTER_S):
            assert await process.stdout.readline() == b"ready\n"
            stranger = changed(expected.token, len(expected.token) - 1)
            assert (await post(f"{private.public_url}/{stranger}"))[0] == 404
            assert await post(expected.url) == TAKEN
            notice = from_json(await process.stdout.readline(), CallbackNotice)
            await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert private.deliver(notice)
    assert expected.notice is not None
    assert expected.notice.task_id == "some-task"


async def test_another_secret_is_not_found() -> None:
    """Neither a token of another secret, nor one without, nor one that was tampered with."""
    unplaced: list[CallbackNotice] = []
    async with by_itself(secret=SECRET, on_unplaced=unplaced.append) as receiver:
        url = receiver.public_url
        token = CallbackReceiver(url, secret=SECRET).expect().token
        strangers = [
            CallbackReceiver(url, secret=SECRET + "!").expect().token,
            CallbackReceiver(url).expect().token,
            token[1:],
            changed(token, 0),
            token[:24],
            token[24:],
            token.swapcase(),
        ]
        for stranger in strangers:
            assert (await post(f"{url}/{stranger}"))[0] == 404
        assert not unplaced
        assert await post(f"{url}/{token}") == TAKEN
        assert [notice.token for notice in unplaced] == [token]
        assert SECRET not in repr(vars(unplaced[0]) if hasattr(unplaced[0], "__dict__") else "")


async def test_invariant_6_tokens_are_compared_in_constant_time(compared: list[bool]) -> None:
    """Invariant 6: by what the standard library has for it, right ones and wrong ones."""
    async with by_itself(secret=SECRET) as receiver:
        token = CallbackReceiver(receiver.public_url, secret=SECRET).expect().token
        for each in (token, changed(token, -1)):
            await post(f"{receiver.public_url}/{each}")
    assert compared == [True, False]


async def test_what_has_a_place_is_not_handed_over() -> None:
    """The hook gets only what belongs to no task here."""
    unplaced: list[CallbackNotice] = []
    async with by_itself(secret=SECRET, on_unplaced=unplaced.append) as receiver:
        expected = receiver.expect()
        assert await post(expected.url) == TAKEN
        assert not unplaced
        assert expected.notice is not None


async def test_without_a_hook_it_is_taken_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    """The service need not repeat what nobody wants; the task id is in the log."""
    caplog.set_level(logging.INFO)
    async with by_itself(secret=SECRET) as receiver:
        url = CallbackReceiver(receiver.public_url, secret=SECRET).expect().url
        assert await post(url) == TAKEN
    assert "some-task" in caplog.text


@asynccontextmanager
async def handing_over(hook: object, clock: VirtualClock) -> AsyncIterator[str]:
    """Receive a callback that belongs elsewhere, with a hook."""
    async with by_itself(secret=SECRET, on_unplaced=hook, clock=clock) as receiver:
        yield CallbackReceiver(receiver.public_url, secret=SECRET).expect().url


async def test_a_hook_that_raises_makes_the_service_repeat() -> None:
    """500, whether it is a function or a coroutine function; and then 200 once it works."""
    calls: list[CallbackNotice] = []

    def hook(notice: CallbackNotice) -> None:
        calls.append(notice)
        if len(calls) == 1:
            raise ConnectionError("the queue is away")

    async def async_hook(notice: CallbackNotice) -> None:
        await asyncio.sleep(0)
        hook(notice)

    for each in (hook, async_hook):
        calls.clear()
        async with handing_over(each, VirtualClock()) as url:
            assert (await post(url))[0] == 500
            assert await post(url) == TAKEN


async def test_a_hook_that_hangs_is_given_up() -> None:
    """500 after 10 s, within the service's own 15 s."""
    clock = VirtualClock()

    async def hook(_: CallbackNotice) -> None:
        await asyncio.Event().wait()

    async with handing_over(hook, clock) as url:
        asking = asyncio.create_task(post(url))
        await until(lambda: clock.next_deadline_s() is not None)
        clock.advance(LONGEST_WAIT_S)
        assert (await asking)[0] == 500


@asynccontextmanager
async def several(*handlers: Any, **settings: Any) -> AsyncIterator[tuple[CallbackReceiver, str]]:
    """Receive a callback that belongs elsewhere, with handlers that are added."""
    async with by_itself(secret=SECRET, **settings) as receiver:
        for handler in handlers:
            receiver.add_unplaced(handler)
        yield receiver, CallbackReceiver(receiver.public_url, secret=SECRET).expect().url


async def test_each_handler_gets_what_has_no_place() -> None:
    """The constructor's, and those that are added, each once, until they are removed."""
    own: list[CallbackNotice] = []
    plain: list[CallbackNotice] = []
    awaited: list[CallbackNotice] = []

    async def wait(notice: CallbackNotice) -> None:
        await asyncio.sleep(0)
        awaited.append(notice)

    handlers = (plain.append, wait, wait)
    async with several(*handlers, on_unplaced=own.append) as (receiver, url):
        assert await post(url) == TAKEN
        assert [len(each) for each in (own, plain, awaited)] == [1, 1, 1]
        placed = receiver.expect()
        assert await post(placed.url) == TAKEN
        assert [len(each) for each in (own, plain, awaited)] == [1, 1, 1]
        for handler in (plain.append, plain.append, own.append, print):
            receiver.remove_unplaced(handler)
        assert await post(url) == TAKEN
        assert [len(each) for each in (own, plain, awaited)] == [1, 1, 2]
        receiver.remove_unplaced(wait)
        assert await post(url) == TAKEN
        assert len(awaited) == 2


@pytest.mark.parametrize("error", [ConnectionError("away"), asyncio.CancelledError("not yours")])
async def test_a_handler_that_raises_hinders_no_other(
    error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    """All others are called, whatever is raised, and then the service is asked to repeat."""
    told: list[CallbackNotice] = []

    def fail(_: CallbackNotice) -> None:
        raise error

    async def late(notice: CallbackNotice) -> None:
        await asyncio.sleep(0.01)
        told.append(notice)

    async with several(fail, late, told.append) as (receiver, url):
        assert (await post(url))[0] == 500
        assert len(told) == 2
        assert "some-task" in caplog.text
        receiver.remove_unplaced(fail)
        assert await post(url) == TAKEN
        assert len(told) == 4


async def test_a_handler_that_hangs_hinders_no_other() -> None:
    """500 after 10 s for all together, and the others had theirs at once."""
    clock = VirtualClock()
    told: list[CallbackNotice] = []

    async def hang(_: CallbackNotice) -> None:
        await asyncio.Event().wait()

    async with several(hang, hang, told.append, clock=clock) as (_, url):
        asking = asyncio.create_task(post(url))
        await until(lambda: told)
        clock.advance(LONGEST_WAIT_S)
        assert (await asking)[0] == 500
        assert len(told) == 1


async def test_handlers_may_come_and_go_while_they_are_called() -> None:
    """It counts for the next callback."""
    told: list[CallbackNotice] = []

    def replace(_: CallbackNotice) -> None:
        receiver.remove_unplaced(replace)
        receiver.add_unplaced(told.append)

    async with several(replace) as (receiver, url):
        assert await post(url) == TAKEN
        assert not told
        assert await post(url) == TAKEN
        assert len(told) == 1


def test_what_is_no_handler_is_refused() -> None:
    """When it is added, not when a callback comes."""
    receiver = CallbackReceiver("https://my.service/suno", secret=SECRET)
    with pytest.raises(InvalidRequest, match="handler"):
        receiver.add_unplaced(None)  # type: ignore[arg-type]  # as a caller without types may do


def test_what_belongs_nowhere_is_not_delivered() -> None:
    """`deliver` says so: another process may have it."""
    receiver = CallbackReceiver("https://my.service/suno", secret=SECRET)
    assert not receiver.deliver(CallbackNotice("complete", "some-task"))
    assert not receiver.deliver(CallbackNotice("complete", "some-task", token="\ud800"))
