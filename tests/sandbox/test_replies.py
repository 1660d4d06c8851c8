"""Answers of any kind, byte for byte."""

import asyncio
import gzip
import json

import aiohttp
import pytest

from suno_async.sandbox import Call, Delay, DropAfter, Reply
from tests.waiting import until

from .caller import CREDITS, DETAILS, SUBMIT, Caller, song


async def _raw(caller: Caller, path: str = SUBMIT, method: str = "POST") -> bytes:
    """Make a call without any HTTP library; return everything that comes until the end."""
    body = json.dumps(song()).encode()
    host, port = caller.sandbox.base_url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    head = (
        f"{method} {path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer sandbox-key\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\nConnection: close\r\n"
    )
    writer.write(f"{head}\r\n".encode() + body)
    got = await reader.read(-1)
    writer.close()
    await writer.wait_closed()
    return got


async def test_an_answer_is_what_was_asked_for_and_nothing_else(caller: Caller) -> None:
    """Status, headers and body are those of the fault; only the length is added."""
    caller.sandbox.inject(Call.SUBMIT, Reply(441, "gone", {"X-One": "1"}))
    assert await _raw(caller) == (
        b"HTTP/1.1 441 Unknown\r\nContent-Length: 4\r\nX-One: 1\r\n\r\ngone"
    )
    assert not caller.sandbox.tasks


async def test_a_processed_answer_names_the_task_that_was_made(caller: Caller) -> None:
    """`{task_id}` becomes the id, in text and at any depth of a JSON value."""
    deep = {"code": 500, "data": {"task": ["id={task_id}"]}}
    caller.sandbox.inject(Call.SUBMIT, Reply(500, deep, processed=True))
    caller.sandbox.inject(Call.SUBMIT, Reply(502, b"<p>{task_id}", processed=True))
    answers = [await _raw(caller) for _ in range(2)]
    first, second = caller.sandbox.tasks
    assert answers[0].endswith(b'{"task": ["id=%s"]}}' % first.encode())
    assert b"Content-Type: application/json" in answers[0]
    assert answers[1].endswith(b"\r\n\r\n<p>" + second.encode())
    assert [charge.task_id for charge in caller.sandbox.ledger] == [first, second]


async def test_a_look_is_answered_about_the_task_it_asked_for(caller: Caller) -> None:
    """For record-info `{task_id}` is the id in the query, processed or not."""
    caller.sandbox.inject(Call.DETAILS, Reply(body={"code": 200, "data": "{task_id}"}))
    assert (await caller.get(DETAILS, taskId="t1"))["data"] == "t1"


async def test_a_whole_answer_keeps_the_connection(caller: Caller) -> None:
    """The next call goes over the same connection."""
    caller.sandbox.inject(Call.CREDITS, Reply(body={"code": 200, "data": 7}))
    answers = [(await caller.get(CREDITS))["data"] for _ in range(2)]
    assert answers == [7, 1_000_000]
    first, second = caller.sandbox.requests
    assert first.peer_port == second.peer_port


@pytest.mark.parametrize(
    ("frame", "end"),
    [
        ("short", b"Content-Length: 18\r\n\r\n[]"),
        ("chunked-cut", b"Transfer-Encoding: chunked\r\n\r\n2\r\n[]\r\n"),
    ],
)
async def test_a_frame_can_be_broken_round_a_whole_body(
    caller: Caller, frame: str, end: bytes
) -> None:
    """The body has come and the connection ends, but HTTP says that there was more."""
    fault = Reply(body=[], frame=frame)  # type: ignore[arg-type] # pytest knows no literals
    caller.sandbox.inject(Call.SUBMIT, fault, times=2)
    assert (await _raw(caller)).endswith(end)
    with pytest.raises(aiohttp.ClientError):
        await caller.post(SUBMIT, json=song())


async def test_a_header_may_lie(caller: Caller) -> None:
    """The body is called compressed and is not, or is and its length says otherwise."""
    caller.sandbox.inject(
        Call.CREDITS, Reply(body={"data": 1}, headers={"Content-Encoding": "gzip"})
    )
    with pytest.raises(aiohttp.ClientError):
        await caller.get(CREDITS)
    packed = gzip.compress(b'{"data": 2}')
    caller.sandbox.inject(Call.CREDITS, Reply(body=packed, headers={"Content-Encoding": "gzip"}))
    assert (await caller.get(CREDITS))["data"] == 2


async def test_headers_may_be_of_any_length_and_bytes(caller: Caller) -> None:
    """Nine kilobytes, no UTF-8, and a given length instead of the true one."""
    headers = {"X-Long": "x" * 9000, "ETag": '"\udcff"', "content-length": "1", "Retry-After": "5"}
    caller.sandbox.inject(Call.SUBMIT, Reply(429, b"ab", headers))
    got = await _raw(caller)
    assert b"X-Long: " + b"x" * 9000 + b"\r\n" in got
    assert b'ETag: "\xff"\r\n' in got
    assert got.endswith(b"content-length: 1\r\nRetry-After: 5\r\n\r\nab")
    assert b"Content-Length" not in got


async def test_an_answer_to_head_has_no_body(caller: Caller) -> None:
    """HEAD gets the headers alone, as HTTP has it."""
    task_id = await caller.submit()
    caller.clock.advance(130)
    path = (await caller.tracks(task_id))[0]["audioUrl"].removeprefix(caller.sandbox.base_url)
    caller.sandbox.inject(Call.MEDIA, Reply(body=b"abc"))
    assert (await _raw(caller, path, "HEAD")).endswith(b"Content-Length: 3\r\n\r\n")


@pytest.mark.parametrize("processed", [True, False])
async def test_an_answer_can_be_late(caller: Caller, processed: bool) -> None:
    """A delay after the work holds it back, whether or not the service worked."""
    caller.sandbox.inject(Call.SUBMIT, Reply(504, b"", processed=processed))
    caller.sandbox.inject(Call.SUBMIT, Delay(30, processed=True))
    asking = asyncio.create_task(_raw(caller))
    await until(lambda: caller.clock.next_deadline_s() == 30)
    assert len(caller.sandbox.tasks) == processed
    caller.clock.advance(30)
    assert (await asking).startswith(b"HTTP/1.1 504 Gateway Timeout\r\n")


async def test_it_takes_its_turn_among_other_faults(caller: Caller) -> None:
    """One call meets one of them, in the order of injection."""
    caller.sandbox.inject(Call.SUBMIT, DropAfter())
    caller.sandbox.inject(Call.SUBMIT, Reply(body={"data": 3}))
    with pytest.raises(aiohttp.ClientError):
        await caller.post(SUBMIT, json=song())
    assert (await caller.post(SUBMIT, json=song()))["data"] == 3
    assert len(caller.sandbox.tasks) == 1


async def test_it_is_written_in_the_submission_log(caller: Caller) -> None:
    """The log tells the fault, the code that the service decided on, and the task."""
    fault = Reply(202, {"code": 202}, processed=True)
    caller.sandbox.inject(Call.SUBMIT, fault)
    await caller.post(SUBMIT, json=song())
    note = caller.sandbox.submissions[0]
    assert (note.fault, note.code, note.task_id) == (fault, 200, next(iter(caller.sandbox.tasks)))
