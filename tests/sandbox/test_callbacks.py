"""Delivering callbacks to a receiver on this machine."""

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Literal

import pytest
from aiohttp import web

from suno_async.sandbox import CallbackScript, Dialect, TaskScript, Timings
from tests.waiting import HANGS_AFTER_S, until

from .caller import Caller, calling


class Receiver:
    """Take callbacks and answer with the given statuses in turn, then with 200."""

    def __init__(self) -> None:
        self.url = ""
        self.bodies: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.methods: list[str] = []
        self.paths: list[str] = []
        self.statuses: list[int] = []
        self.hang: asyncio.Event | None = None

    async def take(self, request: web.BaseRequest) -> web.Response:
        """Take one callback."""
        self.methods.append(request.method)
        if request.method == "POST":
            self.bodies.append(json.loads(await request.read()))
            self.headers.append(dict(request.headers))
            self.paths.append(request.raw_path)
        if self.hang is not None:
            await self.hang.wait()
        status = self.statuses.pop(0) if self.statuses else 200
        return web.json_response({"code": 200, "msg": "success"}, status=status)

    @property
    def kinds(self) -> list[str]:
        """The types received, in the order of arrival."""
        return [str(body["data"]["callbackType"]) for body in self.bodies]


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    """A receiver that is listening."""
    receiver = Receiver()
    runner = web.ServerRunner(web.Server(receiver.take), shutdown_timeout=0.05)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}/callback"
    yield receiver
    await runner.cleanup()


@asynccontextmanager
async def delivering(receiver: Receiver, *scripts: TaskScript, **settings: Any) -> Any:
    """Run a sandbox with one task for the receiver."""
    async with calling(timings=Timings(sigma=0), **settings) as caller:
        caller.sandbox.script(*scripts)
        yield caller, await caller.submit(callBackUrl=receiver.url)


async def arrived(caller: Caller, count: int, receiver: Receiver) -> None:
    """Wait until so many attempts are recorded."""
    await until(lambda: len(caller.sandbox.deliveries) >= count)
    assert len(caller.sandbox.deliveries) == count
    assert len(receiver.bodies) == count


async def test_stages_are_called_back_at_their_time(receiver: Receiver) -> None:
    """`text`, `first` and `complete` come when the stage is reached and not before."""
    async with delivering(receiver) as (caller, _):
        for count, advance in enumerate((22, 43, 65), 1):
            caller.clock.advance(advance - 0.1)
            await asyncio.sleep(0.005)
            assert len(receiver.bodies) == count - 1
            caller.clock.advance(0.1)
            await arrived(caller, count, receiver)
        assert receiver.kinds == ["text", "first", "complete"]
        assert [delivery.at for delivery in caller.sandbox.deliveries] == [22, 65, 130]


async def test_a_callback_has_the_documented_shape(receiver: Receiver) -> None:
    """Fields are in snake case, but for createTime, and the tracks are record-info's."""
    async with delivering(receiver, TaskScript(stages=[("SUCCESS", 9)])) as (caller, task_id):
        caller.clock.advance(9)
        await arrived(caller, 1, receiver)
        track = (await caller.tracks(task_id))[0]
    body = receiver.bodies[0]
    assert (body["code"], body["msg"]) == (200, "All generated successfully.")
    assert {name: body["data"][name] for name in ("callbackType", "task_id")} == {
        "callbackType": "complete",
        "task_id": task_id,
    }
    assert body["data"]["data"][0] == {
        "id": track["id"],
        "audio_url": track["audioUrl"],
        "stream_audio_url": track["streamAudioUrl"],
        "image_url": track["imageUrl"],
        "prompt": track["prompt"],
        "model_name": track["modelName"],
        "title": track["title"],
        "tags": track["tags"],
        "createTime": track["createTime"],
        "duration": track["duration"],
    }


async def test_a_failure_is_called_back(receiver: Receiver) -> None:
    """`error` carries the code in the body's own code, and no tracks."""
    script = TaskScript(
        stages=[("GENERATE_AUDIO_FAILED", 5)], error_code="413", error_message="matches a work"
    )
    async with delivering(receiver, script) as (caller, task_id):
        caller.clock.advance(5)
        await arrived(caller, 1, receiver)
    assert receiver.bodies[0] == {
        "code": 413,
        "msg": "matches a work",
        "data": {"callbackType": "error", "task_id": task_id, "data": []},
    }


async def test_an_undelivered_callback_is_repeated(receiver: Receiver) -> None:
    """Anything but 200 is tried again after a pause, three times in all, and then given up."""
    receiver.statuses = [500, 404, 503, 200]
    script = TaskScript(stages=[("SUCCESS", 5)])
    async with delivering(receiver, script) as (caller, task_id):
        for count, advance in enumerate((5, 2, 4), 1):
            caller.clock.advance(advance)
            await arrived(caller, count, receiver)
            await until(caller.sandbox.idle)
        caller.clock.advance(1000)
        await asyncio.sleep(0.005)
        assert [(d.attempt, d.status) for d in caller.sandbox.deliveries] == [
            (1, 500),
            (2, 404),
            (3, 503),
        ]
        assert (await caller.details(task_id))["status"] == "SUCCESS"


async def test_a_receiver_that_is_not_there_changes_nothing() -> None:
    """A refused connection is recorded as such, and the task goes on."""
    receiver = Receiver()
    receiver.url = "http://127.0.0.1:9/callback"
    async with delivering(receiver, callback_attempts=1) as (caller, task_id):
        caller.clock.advance(130)
        await until(lambda: len(caller.sandbox.deliveries) == 3)
        assert {delivery.status for delivery in caller.sandbox.deliveries} == {None}
        assert "Connect" in (caller.sandbox.deliveries[0].error or "")
        assert (await caller.details(task_id))["status"] == "SUCCESS"


async def test_a_receiver_that_hangs_is_given_up_on(receiver: Receiver) -> None:
    """After 15 s on the clock an attempt has failed."""
    receiver.hang = asyncio.Event()
    script = TaskScript(stages=[("SUCCESS", 5)])
    async with delivering(receiver, script, callback_attempts=1) as (caller, _):
        caller.clock.advance(5)
        await until(lambda: receiver.bodies)
        caller.clock.advance(14.9)
        await asyncio.sleep(0.005)
        assert not caller.sandbox.deliveries
        caller.clock.advance(0.1)
        await until(lambda: caller.sandbox.deliveries)
        assert caller.sandbox.deliveries[0].error == "TimeoutError: no answer within 15.0 s"
    receiver.hang.set()


@pytest.mark.parametrize(
    ("how", "kinds"),
    [
        (CallbackScript(copies=2), ["text"] * 2 + ["first"] * 2 + ["complete"] * 2),
        (CallbackScript(reverse=True), ["complete", "first", "text"]),
        (CallbackScript(upper_case=True), ["TEXT", "FIRST", "COMPLETE"]),
        (CallbackScript(only=frozenset({"complete"})), ["complete"]),
    ],
)
async def test_callbacks_can_be_sent_otherwise(
    receiver: Receiver, how: CallbackScript, kinds: list[str]
) -> None:
    """Twice, in reverse, in upper case, or only some."""
    async with delivering(receiver, TaskScript(callbacks=how)) as (caller, _):
        for advance in (22, 43, 65):
            caller.clock.advance(advance)
            await until(caller.sandbox.idle)
        await arrived(caller, len(kinds), receiver)
    assert receiver.kinds == kinds


async def test_callbacks_can_be_late(receiver: Receiver) -> None:
    """A late callback is about a stage that record-info has shown for a while."""
    script = TaskScript(stages=[("SUCCESS", 5)], callbacks=CallbackScript(late_s=60))
    async with delivering(receiver, script) as (caller, task_id):
        caller.clock.advance(64)
        assert (await caller.details(task_id))["status"] == "SUCCESS"
        assert not receiver.bodies
        caller.clock.advance(1)
        await arrived(caller, 1, receiver)


async def test_callbacks_can_be_ahead_of_the_record(receiver: Receiver) -> None:
    """The callback tells everything, and record-info shows it only later."""
    script = TaskScript(stages=[("SUCCESS", 65)], callbacks=CallbackScript(late_s=-60))
    async with delivering(receiver, script) as (caller, task_id):
        caller.clock.advance(5)
        await arrived(caller, 1, receiver)
        assert (await caller.details(task_id))["status"] == "PENDING"
        caller.clock.advance(60)
        assert (await caller.details(task_id))["status"] == "SUCCESS"
    assert all(track["audio_url"] for track in receiver.bodies[0]["data"]["data"])


async def test_a_stage_in_steps_is_called_back_once(receiver: Receiver) -> None:
    """A status whose tracks come bit by bit is announced when they are there."""
    script = TaskScript(stages=[("SUCCESS", 5, 0), ("SUCCESS", 10)])
    async with delivering(receiver, script) as (caller, _):
        caller.clock.advance(10)
        await arrived(caller, 1, receiver)
        assert caller.sandbox.deliveries[0].at == 10


@pytest.mark.parametrize("method", ["HEAD", "GET"])
async def test_a_sender_may_probe_first(receiver: Receiver, method: Literal["HEAD", "GET"]) -> None:
    """It sends only to a URL that answers a probe with a 2xx."""
    receiver.statuses = [200, 200, 405]
    script = TaskScript(
        stages=[("FIRST_SUCCESS", 5), ("SUCCESS", 9)], callbacks=CallbackScript(probe=method)
    )
    async with delivering(receiver, script, callback_attempts=1) as (caller, _):
        for advance in (5, 4):
            caller.clock.advance(advance)
            await until(caller.sandbox.idle)
        assert [delivery.status for delivery in caller.sandbox.deliveries] == [200, 405]
    assert receiver.methods == [method, "POST", method]
    assert receiver.kinds == ["first"]


async def test_a_sender_may_add_a_slash(receiver: Receiver) -> None:
    """The path ends in a slash, and the query is kept."""
    how = CallbackScript(add_slash=True)
    async with calling() as caller:
        caller.sandbox.script(TaskScript(stages=(), callbacks=how))
        task_id = await caller.submit(callBackUrl=f"{receiver.url}?a=1")
        assert await caller.sandbox.call_back(task_id) == 200
    assert receiver.paths == ["/callback/?a=1"]


async def test_a_body_may_be_packed_and_called_text(receiver: Receiver) -> None:
    """`Content-Encoding: gzip`, `text/plain`, and the wait for `100 Continue`."""
    how = CallbackScript(compress=True, content_type="text/plain")
    async with delivering(receiver, TaskScript(stages=(), callbacks=how)) as (caller, task_id):
        assert await caller.sandbox.call_back(task_id) == 200
    assert receiver.headers[0]["Content-Type"] == "text/plain"
    assert receiver.headers[0]["Content-Encoding"] == "gzip"
    assert receiver.kinds == ["complete"]


async def test_a_sender_may_wait_before_the_body() -> None:
    """With `Expect: 100-continue` the body is sent once the receiver asks for it."""
    async with (
        asyncio.timeout(HANGS_AFTER_S),
        _waiting_receiver() as (url, seen),
        calling() as caller,
    ):
        how = CallbackScript(expect_continue=True)
        caller.sandbox.script(TaskScript(stages=(), callbacks=how))
        task_id = await caller.submit(callBackUrl=url)
        assert await caller.sandbox.call_back(task_id) == 200
    assert b"Expect: 100-continue" in seen[0]
    assert b"callbackType" not in seen[0]
    assert json.loads(seen[1])["data"]["task_id"] == task_id


@asynccontextmanager
async def _waiting_receiver() -> AsyncIterator[tuple[str, list[bytes]]]:
    """Take one callback by hand: the head, then `100 Continue`, then the body."""
    seen: list[bytes] = []

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        seen.append(await reader.readuntil(b"}}"))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(take, "127.0.0.1", 0)
    yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/callback", seen
    server.close()


async def test_an_error_may_come_with_null_in_place_of_a_list(receiver: Receiver) -> None:
    """`data: null`, with whatever code."""
    script = TaskScript(
        stages=[("GENERATE_AUDIO_FAILED", 5)],
        error_code=451,
        callbacks=CallbackScript(null_data=True),
    )
    async with delivering(receiver, script) as (caller, _):
        caller.clock.advance(5)
        await arrived(caller, 1, receiver)
    assert (receiver.bodies[0]["code"], receiver.bodies[0]["data"]["data"]) == (451, None)


async def test_one_can_be_sent_by_hand(receiver: Receiver) -> None:
    """A callback goes out now, with what its stage has, however far the task is."""
    async with delivering(receiver, callbacks=False) as (caller, task_id):
        receiver.statuses = [204]
        assert await caller.sandbox.call_back(task_id) == 204
        assert await caller.sandbox.call_back(task_id, "first") == 200
        assert (await caller.details(task_id))["status"] == "PENDING"
    assert receiver.kinds == ["complete", "first"]
    complete, first = (body["data"] for body in receiver.bodies)
    assert complete["task_id"] == first["task_id"] == task_id
    assert [bool(track["audio_url"]) for track in complete["data"]] == [True, True]
    assert [bool(track["audio_url"]) for track in first["data"]] == [True, False]
    assert [delivery.status for delivery in caller.sandbox.deliveries] == [204, 200]


async def test_one_by_hand_may_be_about_what_never_happens(receiver: Receiver) -> None:
    """A task that stays pending, or does not fail, can be called back about all the same."""
    async with delivering(receiver, TaskScript(stages=())) as (caller, task_id):
        assert await caller.sandbox.call_back(task_id, "complete") == 200
        assert await caller.sandbox.call_back(task_id, "error") == 200
    complete, error = receiver.bodies
    assert all(track["audio_url"] for track in complete["data"]["data"])
    assert (error["code"], error["data"]["data"]) == (500, [])


async def test_one_by_hand_goes_where_it_is_told(receiver: Receiver) -> None:
    """Another URL takes it; nobody there is None; another machine or kind is a mistake."""
    async with calling() as caller:
        task_id = await caller.submit()
        assert await caller.sandbox.call_back(task_id, url=receiver.url) == 200
        assert await caller.sandbox.call_back(task_id, url="http://127.0.0.1:9/x") is None
        with pytest.raises(ValueError, match="this machine only"):
            await caller.sandbox.call_back(task_id)
        with pytest.raises(ValueError, match="kind"):
            await caller.sandbox.call_back(task_id, "final", url=receiver.url)
        with pytest.raises(KeyError):
            await caller.sandbox.call_back("none")


@pytest.mark.parametrize(
    ("settings", "scripts"),
    [({"callbacks": False}, ()), ({}, (TaskScript(callbacks=CallbackScript(send=False)),))],
)
async def test_callbacks_can_be_left_out(
    receiver: Receiver, settings: dict[str, Any], scripts: tuple[TaskScript, ...]
) -> None:
    """Nothing is planned when callbacks are off, for all tasks or for one."""
    async with delivering(receiver, *scripts, **settings) as (caller, _):
        assert caller.clock.next_deadline_s() is None


async def test_other_hosts_are_counted_only(caller: Caller) -> None:
    """A callback URL off this machine is never contacted."""
    await caller.submit(callBackUrl="https://example.com/callback")
    assert caller.clock.next_deadline_s() is None
    assert caller.sandbox.undeliverable == 3


async def test_a_key_signs_task_id_and_time(receiver: Receiver) -> None:
    """The signature is the one that PROTOCOL.md describes."""
    script = TaskScript(stages=[("SUCCESS", 5)])
    async with delivering(receiver, script, callback_key="secret") as (caller, task_id):
        caller.clock.advance(5)
        await arrived(caller, 1, receiver)
        timestamp = str(int(caller.clock.now().timestamp()))
    headers = receiver.headers[0]
    message = f"{task_id}.{timestamp}".encode()
    expected = base64.b64encode(hmac.digest(b"secret", message, hashlib.sha256)).decode()
    assert headers["X-Webhook-Timestamp"] == timestamp
    assert headers["X-Webhook-Signature"] == expected


async def test_a_dialect_may_use_camel_case(receiver: Receiver) -> None:
    """`taskId` and `audioUrl` have been seen in callbacks, too."""
    spoken = Dialect(camel_case_callbacks=True, upper_case_callbacks=True)
    script = TaskScript(stages=[("SUCCESS", 5)], dialect=spoken)
    async with delivering(receiver, script) as (caller, task_id):
        caller.clock.advance(5)
        await arrived(caller, 1, receiver)
    data = receiver.bodies[0]["data"]
    assert (data["taskId"], data["callbackType"]) == (task_id, "COMPLETE")
    assert "audioUrl" in data["data"][0]


async def test_leaving_cancels_what_is_planned(receiver: Receiver) -> None:
    """After the context nothing is sent any more, and what was under way has ended."""
    receiver.hang = asyncio.Event()
    async with delivering(receiver) as (caller, _):
        caller.clock.advance(22)
        await until(lambda: receiver.bodies)
    caller.clock.advance(1000)
    assert len(receiver.bodies) == 1
    assert not caller.sandbox.deliveries
    receiver.hang.set()
