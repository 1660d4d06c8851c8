"""What lies in the socket is read before a time-out is believed."""

import asyncio
import json
import time

import pytest

from suno_async import SubmissionUncertain, SunoSession
from suno_async.sandbox import Call, Delay, Sandbox
from tests.waiting import HANGS_AFTER_S, in_time, until
from tests.world import EAGER, read_request, session_for, song, tcp_service

TIMEOUT_S = 0.4
BODY = json.dumps({"code": 200, "data": {"taskId": "t1"}}).encode()
HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(BODY)


def pieces(count: int) -> list[bytes]:
    """Cut an answer into so many pieces."""
    whole = HEAD + BODY
    size = -(-len(whole) // count)
    return [whole[at : at + size] for at in range(0, len(whole), size)]


@pytest.mark.parametrize("count", [1, 5])
async def test_invariant_1_an_answer_that_came_during_a_standstill_is_taken(count: int) -> None:
    """Invariant 1: the loop stands still for longer than the time-out; the answer counts."""
    came = asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        for piece in pieces(count):
            writer.write(piece)
        came.set()
        # nothing of it is read before the loop goes on, and by then the time-out is due
        time.sleep(TIMEOUT_S * 2)  # noqa: ASYNC251 - that is the standstill

    async with (
        tcp_service(answer) as service,
        SunoSession("key", base_url=service.base_url, timeout=TIMEOUT_S, retry=EAGER) as suno,
    ):
        task = await suno.submit(song())
    assert task.task_id == "t1"
    assert came.is_set()
    assert service.opened == 1


async def test_invariant_1_a_standstill_before_the_answer_is_read_in_the_callers_code(
    sandbox: Sandbox,
) -> None:
    """Invariant 1: a callback of the caller's that blocks costs nobody a task."""
    async with session_for(sandbox, timeout=TIMEOUT_S, retry=EAGER) as suno:
        submitting = asyncio.ensure_future(suno.submit(song()))
        await until(lambda: sandbox.ledger)
        time.sleep(TIMEOUT_S * 2)  # noqa: ASYNC251 - that is the standstill
        task = await submitting
    assert [charge.task_id for charge in sandbox.ledger] == [task.task_id]


async def test_invariant_1_a_standstill_without_an_answer_is_a_time_out(sandbox: Sandbox) -> None:
    """Invariant 1: when nothing lies in the socket, the time-out is believed at once."""
    sandbox.inject(Call.SUBMIT, Delay(2 * HANGS_AFTER_S, processed=True))
    async with session_for(sandbox, timeout=TIMEOUT_S, retry=EAGER) as suno:
        submitting = asyncio.ensure_future(suno.submit(song()))
        await until(lambda: sandbox.ledger)
        time.sleep(TIMEOUT_S * 2)  # noqa: ASYNC251 - that is the standstill
        with pytest.raises(SubmissionUncertain):
            await in_time(submitting)
    assert len(sandbox.submissions) == 1
