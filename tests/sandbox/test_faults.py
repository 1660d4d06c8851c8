"""Faults on demand: what the caller sees, and what the service did nevertheless."""

import asyncio
import errno

import aiohttp
import pytest

from suno_async.sandbox import (
    Call,
    CutAfter,
    Delay,
    DropAfter,
    DropBefore,
    EnvelopeError,
    Fault,
    FaultMet,
    Html200,
    HttpError,
    IgnoreRange,
    NullRecord,
    Redirect,
    Sandbox,
    Stale,
    Throttle,
    Truncated,
)
from tests.waiting import until

from .caller import CREDITS, DETAILS, SUBMIT, Caller, song


@pytest.mark.parametrize(
    ("fault", "tasks"),
    [
        (DropBefore(), 0),
        (DropBefore(reset=True), 0),
        (DropAfter(), 1),
        (DropAfter(reset=True), 1),
        (Truncated(cut=True), 1),
    ],
)
async def test_a_broken_connection_hides_what_was_done(
    caller: Caller, fault: Fault, tasks: int
) -> None:
    """The caller gets an error of its HTTP library; only the ledger knows whether a task exists."""
    caller.sandbox.inject(Call.SUBMIT, fault)
    with pytest.raises(aiohttp.ClientError):
        await caller.post(SUBMIT, json=song())
    assert len(caller.sandbox.ledger) == len(caller.sandbox.tasks) == tasks
    note = caller.sandbox.submissions[0]
    assert note.fault == fault
    assert (note.task_id is not None) == bool(tasks)


async def test_a_reset_is_a_reset(caller: Caller) -> None:
    """With `reset` the caller sees ECONNRESET rather than an orderly end."""
    caller.sandbox.inject(Call.SUBMIT, DropAfter(reset=True))
    with pytest.raises(aiohttp.ClientOSError) as caught:
        await caller.post(SUBMIT, json=song())
    assert caught.value.errno == errno.ECONNRESET


@pytest.mark.parametrize(
    ("fault", "status", "start", "tasks"),
    [
        (HttpError(502), 502, b"<html>", 0),
        (HttpError(503, html=False), 503, b"", 0),
        (HttpError(504, processed=True), 504, b"<html>", 1),
        (Html200(), 200, b"<html>", 0),
        (Html200(processed=True), 200, b"<html>", 1),
        (Truncated(), 200, b'{"code":200,', 1),
        (Redirect("http://127.0.0.1:9/"), 307, b"", 0),
    ],
)
async def test_a_gateway_answers_in_place_of_the_service(
    caller: Caller, fault: Fault, status: int, start: bytes, tasks: int
) -> None:
    """Status and body are the gateway's; whether the service worked is up to the fault."""
    caller.sandbox.inject(Call.SUBMIT, fault)
    async with caller.http.post(
        caller.sandbox.base_url + SUBMIT,
        json=song(),
        headers={"Authorization": "Bearer sandbox-key"},
        allow_redirects=False,
    ) as response:
        assert response.status == status
        assert (await response.read()).startswith(start)
    assert len(caller.sandbox.ledger) == tasks


async def test_a_gateway_error_carries_headers(caller: Caller) -> None:
    """A gateway may say when to come back."""
    caller.sandbox.inject(Call.CREDITS, HttpError(503, headers={"Retry-After": "7"}))
    status, _, headers = await caller.fetch(caller.sandbox.base_url + CREDITS)
    assert (status, headers["Retry-After"]) == (503, "7")


async def test_the_service_refuses_with_any_code(caller: Caller) -> None:
    """An envelope with a code of choice, in its form, and nothing is done."""
    caller.sandbox.inject(Call.SUBMIT, EnvelopeError("455", "Maintenance", retry_after="5"))
    assert await caller.post(SUBMIT, json=song()) == {
        "code": "455",
        "msg": "Maintenance",
        "data": None,
    }
    assert not caller.sandbox.tasks


async def test_faults_are_used_up(caller: Caller) -> None:
    """A fault strikes as often as it was told to, in the order of injection, then no more."""
    caller.sandbox.inject(Call.CREDITS, EnvelopeError(500), times=2)
    caller.sandbox.inject(Call.CREDITS, EnvelopeError(455), times=1)
    codes = [(await caller.get(CREDITS))["code"] for _ in range(4)]
    assert codes == [500, 500, 455, 200]


async def test_a_fault_can_stay_until_it_is_cleared(caller: Caller) -> None:
    """With `times=None` every call meets it, and `clear_faults` ends that."""
    caller.sandbox.inject(Call.CREDITS, EnvelopeError(500), times=None)
    assert [(await caller.get(CREDITS))["code"] for _ in range(3)] == [500] * 3
    caller.sandbox.clear_faults()
    assert (await caller.get(CREDITS))["code"] == 200


async def test_a_rate_is_a_share_of_calls(caller: Caller) -> None:
    """With a rate of a half about half of the calls meet the fault."""
    caller.sandbox.inject(Call.CREDITS, EnvelopeError(500), times=None, rate=0.5)
    codes = [(await caller.get(CREDITS))["code"] for _ in range(60)]
    assert 15 < codes.count(500) < 45


async def test_a_fault_meets_its_own_call_only(caller: Caller) -> None:
    """A fault of one call leaves the others alone."""
    caller.sandbox.inject(Call.SUBMIT, EnvelopeError(500))
    assert (await caller.get(CREDITS))["code"] == 200


async def test_a_delay_waits_for_the_clock_before_the_work(caller: Caller) -> None:
    """A delayed submission creates its task only when the delay is over."""
    caller.sandbox.inject(Call.SUBMIT, Delay(30))
    posting = asyncio.create_task(caller.post(SUBMIT, json=song()))
    await until(lambda: caller.clock.next_deadline_s() is not None)
    assert not caller.sandbox.tasks
    assert caller.sandbox.idle()
    caller.clock.advance(30)
    assert (await posting)["code"] == 200
    assert caller.sandbox.submissions[0].answered_at == 30


async def test_a_late_answer_is_about_work_already_done(caller: Caller) -> None:
    """With `processed` the task exists although the caller has given up waiting."""
    caller.sandbox.inject(Call.SUBMIT, Delay(30, processed=True))
    posting = asyncio.create_task(caller.post(SUBMIT, json=song()))
    await until(lambda: caller.clock.next_deadline_s() == 30)
    posting.cancel()
    await asyncio.wait({posting})
    assert len(caller.sandbox.ledger) == 1


async def test_a_caller_that_hangs_up_does_not_stop_the_service(caller: Caller) -> None:
    """A submission that has arrived is processed although nobody waits for the answer."""
    caller.sandbox.inject(Call.SUBMIT, Delay(30))
    posting = asyncio.create_task(caller.post(SUBMIT, json=song()))
    await until(lambda: caller.clock.next_deadline_s() == 30)  # it has arrived, and is delayed
    posting.cancel()
    await asyncio.wait({posting})
    caller.clock.advance(30)
    await until(lambda: caller.sandbox.ledger)


async def test_a_delay_and_a_fault_combine(caller: Caller) -> None:
    """A call meets every delay and one other fault."""
    caller.sandbox.inject(Call.CREDITS, Delay(1))
    caller.sandbox.inject(Call.CREDITS, Delay(2))
    caller.sandbox.inject(Call.CREDITS, EnvelopeError(500))
    answer = await caller.clock.run(caller.get(CREDITS), idle=caller.sandbox.idle)
    assert answer["code"] == 500
    assert caller.clock.monotonic() == 3


async def test_the_faults_that_were_met_are_told(caller: Caller) -> None:
    """Those that strike, delays too, with the call and when; not those that only wait."""
    sandbox, gateway = caller.sandbox, HttpError(502, headers={"Retry-After": "7"})
    sandbox.inject(Call.CREDITS, Delay(2))
    sandbox.inject(Call.CREDITS, EnvelopeError(500), times=2)
    sandbox.inject(Call.CREDITS, EnvelopeError(500), times=None, rate=0.0)
    sandbox.inject(Call.DETAILS, gateway, about="another-task")
    sandbox.inject(Call.SUBMIT, EnvelopeError(455), times=None)
    assert sandbox.faults_met == []
    for _ in range(3):
        await caller.clock.run(caller.get(CREDITS), idle=sandbox.idle)
    await caller.get(DETAILS, taskId="some-task")
    await caller.post(SUBMIT, json=song())
    assert sandbox.faults_met == [
        FaultMet(Call.CREDITS, Delay(2), CREDITS, 0.0),
        FaultMet(Call.CREDITS, EnvelopeError(500), CREDITS, 0.0),
        FaultMet(Call.CREDITS, EnvelopeError(500), CREDITS, 2.0),
        FaultMet(Call.SUBMIT, EnvelopeError(455), SUBMIT, 2.0),
    ]
    assert sandbox.fault_count() == 4
    assert sandbox.fault_count(Call.CREDITS) == 3
    assert sandbox.fault_count(Call.CREDITS, EnvelopeError) == 2
    assert sandbox.fault_count(kind=EnvelopeError) == 3
    assert sandbox.fault_count(Call.DETAILS, HttpError) == 0


async def test_a_replica_lags(caller: Caller) -> None:
    """A stale answer shows the status before the present one, the next one is right again."""
    task_id = await caller.submit()
    caller.clock.advance(65)
    caller.sandbox.inject(Call.DETAILS, Stale())
    statuses = [(await caller.details(task_id))["status"] for _ in range(2)]
    assert statuses == ["TEXT_SUCCESS", "FIRST_SUCCESS"]


async def test_a_record_can_be_missing_for_a_while(caller: Caller) -> None:
    """record-info may deny a record that exists."""
    task_id = await caller.submit()
    caller.sandbox.inject(Call.DETAILS, NullRecord())
    caller.sandbox.inject(Call.DETAILS, NullRecord("empty"))
    answers = [await caller.get(DETAILS, taskId=task_id) for _ in range(3)]
    assert [answer["code"] for answer in answers] == [422, 200, 200]
    assert [answer["data"] is None for answer in answers] == [True, True, False]


async def _finished(caller: Caller) -> str:
    task_id = await caller.submit()
    caller.clock.advance(130)
    return str((await caller.tracks(task_id))[0]["audioUrl"])


async def _read_into(got: bytearray, response: aiohttp.ClientResponse) -> None:
    async for chunk in response.content.iter_any():
        got += chunk


async def test_a_download_ends_early(caller: Caller) -> None:
    """The body stops after so many bytes although more were promised."""
    url = await _finished(caller)
    caller.sandbox.inject(Call.MEDIA, CutAfter(1000))
    got = bytearray()
    async with caller.http.get(url) as response:
        with pytest.raises(aiohttp.ClientPayloadError):
            await _read_into(got, response)
    assert response.content_length == 44 + 2 * 6 * 22_050
    assert len(got) == 1000


async def test_a_range_is_cut_as_well(caller: Caller) -> None:
    """CutAfter counts from where the range starts."""
    url = await _finished(caller)
    caller.sandbox.inject(Call.MEDIA, CutAfter(10))
    async with caller.http.get(url, headers={"Range": "bytes=100-"}) as response:
        assert response.status == 206
        with pytest.raises(aiohttp.ClientPayloadError):
            await response.read()


async def test_a_host_may_know_no_ranges(caller: Caller) -> None:
    """A range is answered with everything."""
    url = await _finished(caller)
    caller.sandbox.inject(Call.MEDIA, IgnoreRange())
    status, body, headers = await caller.fetch(url, Range="bytes=100-")
    assert (status, body[:4], "Accept-Ranges" in headers) == (200, b"RIFF", False)


async def test_a_host_may_be_slow(caller: Caller) -> None:
    """A throttled body comes chunk by chunk as the clock goes on, and is whole in the end."""
    url = await _finished(caller)
    before_s = caller.clock.monotonic()
    caller.sandbox.inject(Call.MEDIA, Throttle(chunk_bytes=100_000, pause_s=5))
    _, body, _ = await caller.clock.run(caller.fetch(url), idle=caller.sandbox.idle)
    assert len(body) == 44 + 2 * 6 * 22_050
    assert caller.clock.monotonic() == before_s + 10


async def test_covers_meet_no_media_faults(caller: Caller) -> None:
    """Faults of MEDIA are for audio, so that a test can count on which file is hit."""
    url = await _finished(caller)
    caller.sandbox.inject(Call.MEDIA, HttpError(500))
    assert (await caller.fetch(url.replace(".wav", ".png")))[0] == 200
    assert (await caller.fetch(url))[0] == 500


async def test_open_connections_can_be_dropped(caller: Caller) -> None:
    """A call that waits loses its connection; the next one is answered."""
    caller.sandbox.inject(Call.SUBMIT, Delay(30))
    asking = asyncio.create_task(caller.post(SUBMIT, json=song()))
    await until(lambda: caller.clock.next_deadline_s() is not None)
    await caller.sandbox.drop_connections()
    with pytest.raises(aiohttp.ClientError):
        await asking
    assert (await caller.get(CREDITS))["code"] == 200


async def test_the_server_can_be_unplugged(caller: Caller) -> None:
    """While it is stopped nothing answers; started again it is at the same port and knows all."""
    task_id = await caller.submit()
    address = caller.sandbox.base_url
    await caller.sandbox.stop()
    with pytest.raises(aiohttp.ClientConnectorError):
        await caller.details(task_id)
    caller.clock.advance(130)
    await caller.sandbox.start()
    assert caller.sandbox.base_url == address
    assert (await caller.details(task_id))["status"] == "SUCCESS"


async def test_a_taken_port_is_an_os_error(caller: Caller) -> None:
    """Two sandboxes can not share a port, and the second says which it was."""
    port = int(caller.sandbox.base_url.rpartition(":")[2])
    with pytest.raises(OSError, match=str(port)):
        async with Sandbox(port=port):
            pass


async def test_leaving_ends_everything() -> None:
    """After the context no task of the sandbox runs, and its port is free again."""
    before = asyncio.all_tasks()
    async with Sandbox() as sandbox, aiohttp.ClientSession() as http:
        sandbox.inject(Call.CREDITS, Delay(600))
        asking = asyncio.create_task(http.get(sandbox.base_url + CREDITS))
        await until(lambda: sandbox.requests)
        port = int(sandbox.base_url.rpartition(":")[2])
    with pytest.raises(aiohttp.ClientError):
        await asking
    assert asyncio.all_tasks() == before
    async with Sandbox(port=port) as second:
        assert second.base_url.endswith(f":{port}")


def test_there_is_no_address_before_it_is_entered() -> None:
    """Asking too early is an error that says so."""
    with pytest.raises(RuntimeError, match="entered"):
        _ = Sandbox().base_url
