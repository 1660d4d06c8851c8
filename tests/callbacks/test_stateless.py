"""With a secret, any process of a service may receive what belongs to another's session."""

import asyncio
import logging
import sys
import textwrap
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from suno_async import CallbackNotice, CallbackReceiver, VirtualClock, from_json, to_json
from suno_async.callbacks import LONGEST_WAIT_S
from suno_async.sandbox import Sandbox
from tests.following import STAGES, collect, names
from tests.world import session_for, song, until

from .hosting import TAKEN, by_itself, free_port, post

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
        async with asyncio.timeout(20):
            assert await process.stdout.readline() == b"ready\n"
            assert (await post(f"{private.public_url}/{expected.token[:-1]}x"))[0] == 404
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
            "x" + token[1:],
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


def test_what_belongs_nowhere_is_not_delivered() -> None:
    """`deliver` says so: another process may have it."""
    receiver = CallbackReceiver("https://my.service/suno", secret=SECRET)
    assert not receiver.deliver(CallbackNotice("complete", "some-task"))
    assert not receiver.deliver(CallbackNotice("complete", "some-task", token="\ud800"))
