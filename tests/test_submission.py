"""The paid call: what is repeated, what is refused, what is uncertain, and when it may be sent."""

import asyncio
import gc
import logging
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from email.utils import format_datetime
from itertools import pairwise
from typing import Any

import aiohttp
import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from suno_async import (
    ApiError,
    AuthenticationError,
    Conflict,
    ConnectionFailed,
    InstrumentalTask,
    InsufficientCredits,
    Maintenance,
    NotFound,
    RateLimited,
    RetryPolicy,
    ServerError,
    SessionClosed,
    SourceUnavailable,
    SubmissionUncertain,
    SunoError,
    SunoSession,
    ValidationFailed,
)
from suno_async.sandbox import (
    Call,
    Delay,
    DropAfter,
    DropBefore,
    EnvelopeError,
    Fault,
    Html200,
    HttpError,
    Redirect,
    Sandbox,
    Truncated,
)

from .waiting import until
from .world import EAGER, World, close_hidden, raw_service, session_for, song, virtual_world


def posts(sandbox: Sandbox) -> int:
    """Count the submissions that arrived."""
    return len(sandbox.submissions)


def charges(sandbox: Sandbox) -> int:
    """Count what was paid for."""
    return len(sandbox.ledger)


async def caught(suno: SunoSession) -> SunoError:
    """Submit; return the error that comes of it."""
    with pytest.raises(SunoError) as raised:
        await suno.submit(song(title="Nocturne"))
    return raised.value


# --- Invariant 1: paid once -----------------------------------------------------------------------

UNCERTAIN: list[tuple[Fault, int]] = [
    (DropBefore(), 0),
    (DropBefore(reset=True), 0),
    (DropAfter(), 1),
    (DropAfter(reset=True), 1),
    (Truncated(), 1),
    (Truncated(cut=True), 1),
    (Html200(), 0),
    (Html200(processed=True), 1),
    (HttpError(408), 0),
    (HttpError(408, processed=True), 1),
    *((HttpError(status), 0) for status in (500, 502, 503, 504, 524)),
    *((HttpError(status, processed=True), 1) for status in (500, 502, 503, 504, 524)),
    (HttpError(502, html=False), 0),
    (HttpError(502, headers={"Retry-After": "0"}, processed=True), 1),
    (HttpError(204, html=False, processed=True), 1),
    *((Redirect("/elsewhere", status), 0) for status in (301, 302, 303, 307, 308)),
    *((HttpError(status), 0) for status in (402, 409, 424, 425, 430, 444, 455, 460, 499)),
    *((EnvelopeError(code), 0) for code in (408, 425, 444, 460, 499, 500, 501, 505, 531)),
    *((EnvelopeError(code), 0) for code in (-1, 0, "0", 4, 14, 200, 202, 218, "500", "777")),
    (EnvelopeError(500, http_status=500), 0),
    (EnvelopeError(99999, http_status=418), 0),
    (EnvelopeError(4, http_status=504), 0),
    (EnvelopeError(429, http_status=503), 0),
]

REFUSED: list[tuple[Fault, type[ApiError], int]] = [
    (EnvelopeError(400), ValidationFailed, 400),
    (EnvelopeError(401), AuthenticationError, 401),
    (EnvelopeError(402), InsufficientCredits, 402),
    (EnvelopeError(404), NotFound, 404),
    (EnvelopeError(409), Conflict, 409),
    (EnvelopeError(413), ValidationFailed, 413),
    (EnvelopeError(422), ValidationFailed, 422),
    (EnvelopeError(451), SourceUnavailable, 451),
    (HttpError(401), AuthenticationError, 401),
    (HttpError(403), ApiError, 403),
    (HttpError(404, html=False), NotFound, 404),
    (HttpError(405), ApiError, 405),
    (HttpError(413), ValidationFailed, 413),
    (HttpError(422), ValidationFailed, 422),
    (EnvelopeError(429, "insufficient credits"), InsufficientCredits, 429),
]

REPEATED: list[Fault] = [
    *(EnvelopeError(code) for code in (429, 430, 405, 455)),
    *(EnvelopeError(str(code)) for code in (429, 430, 405, 455)),
    *(EnvelopeError(code, http_status=code) for code in (429, 430, 405, 455)),
    HttpError(429),
    HttpError(429, html=False),
]


@pytest.mark.parametrize(("fault", "paid"), UNCERTAIN, ids=str)
async def test_invariant_1_what_is_uncertain_is_never_sent_again(
    sandbox: Sandbox, suno: SunoSession, fault: Fault, paid: int
) -> None:
    """Invariant 1: without a readable answer it is sent once, charged at most once, and said so."""
    sandbox.inject(Call.SUBMIT, fault, times=None)
    error = await caught(suno)
    assert type(error) is SubmissionUncertain
    assert (posts(sandbox), charges(sandbox)) == (1, paid)
    assert error.title == "Nocturne"
    assert error.sent_at is not None
    assert [seen.path for seen in sandbox.requests] == ["/api/v1/generate/add-instrumental"]


@pytest.mark.parametrize(("fault", "kind", "code"), REFUSED, ids=str)
async def test_invariant_1_what_is_refused_is_not_sent_again(
    sandbox: Sandbox, suno: SunoSession, fault: Fault, kind: type[ApiError], code: int
) -> None:
    """Invariant 1: a refusal is told as it is, after one sending and without a charge."""
    sandbox.inject(Call.SUBMIT, fault, times=None)
    error = await caught(suno)
    assert type(error) is kind
    assert isinstance(error, ApiError)
    assert error.code == code
    assert (posts(sandbox), charges(sandbox)) == (1, 0)


@pytest.mark.parametrize("fault", REPEATED, ids=str)
async def test_invariant_1_what_was_not_taken_is_sent_again(
    sandbox: Sandbox, suno: SunoSession, fault: Fault
) -> None:
    """Invariant 1: when the service says that it took nothing, the second sending pays once."""
    sandbox.inject(Call.SUBMIT, fault)
    task = await suno.submit(song())
    assert posts(sandbox) == 2
    assert [charge.task_id for charge in sandbox.ledger] == [task.task_id]


@pytest.mark.parametrize("processed", [False, True])
async def test_invariant_1_a_time_out_after_sending_is_uncertain(
    sandbox: Sandbox, *, processed: bool
) -> None:
    """Invariant 1: when no answer comes in time, nothing is sent again."""
    sandbox.inject(Call.SUBMIT, Delay(30, processed=processed), times=None)
    async with session_for(sandbox, retry=EAGER, timeout=0.1) as suno:
        error = await caught(suno)
    assert type(error) is SubmissionUncertain
    assert "time" in str(error).lower()
    assert (posts(sandbox), charges(sandbox)) == (1, int(processed))


async def test_invariant_1_an_unreachable_port_costs_nothing(
    sandbox: Sandbox, suno: SunoSession
) -> None:
    """Invariant 1: a refused connection is tried again, and nothing can have been charged."""
    await sandbox.stop()
    error = await caught(suno)
    assert isinstance(error, ConnectionFailed)
    assert not error.request_sent
    assert (posts(sandbox), charges(sandbox)) == (0, 0)


async def test_invariant_1_a_service_that_comes_back_is_paid_once(world: World) -> None:
    """Invariant 1: a submission waits for a service that is away for a moment."""
    await world.sandbox.stop()
    async with world.session() as suno:
        submitting = asyncio.ensure_future(suno.submit(song()))
        await until(lambda: world.clock.next_deadline_s() is not None)
        await world.sandbox.start()
        task = await world.run(submitting)
    assert posts(world.sandbox) == 1
    assert [charge.task_id for charge in world.sandbox.ledger] == [task.task_id]


class _NoNames(AbstractResolver):
    """A name service that knows nobody."""

    def __init__(self) -> None:
        self.asked = 0

    async def resolve(self, *_: Any, **__: Any) -> list[ResolveResult]:
        """Know nothing."""
        self.asked += 1
        raise OSError("Name or service not known")

    async def close(self) -> None:
        """Hold nothing."""


async def test_invariant_1_a_name_that_does_not_resolve_costs_nothing() -> None:
    """Invariant 1: without an address nothing was sent, and it is tried again."""
    names = _NoNames()
    async with (
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(resolver=names)) as http,
        SunoSession("key", base_url="http://api.test", client_session=http, retry=EAGER) as suno,
    ):
        error = await caught(suno)
    assert isinstance(error, ConnectionFailed)
    assert not error.request_sent
    assert names.asked == EAGER.attempts


async def test_invariant_1_a_time_out_while_connecting_costs_nothing() -> None:
    """Invariant 1: a host that does not take the connection has seen nothing."""
    with socket.socket() as full, socket.socket() as first, socket.socket() as second:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for filler in (first, second):
            filler.setblocking(False)
            filler.connect_ex(full.getsockname())
        base_url = f"http://127.0.0.1:{full.getsockname()[1]}"
        policy = RetryPolicy(attempts=2, base=EAGER.base)
        async with SunoSession("key", base_url=base_url, timeout=0.1, retry=policy) as suno:
            error = await caught(suno)
    assert isinstance(error, ConnectionFailed)
    assert not error.request_sent


GARBAGE = {
    "nothing": b"",
    "no http": b"\x00\xff nonsense\r\n\r\n",
    "half a header": b"HTTP/1.1 200 OK\r\nContent-Le",
    "bad length": b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n{}",
    "bad chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
    "bad gzip": b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nabcd",
    "bad deflate": b"HTTP/1.1 200 OK\r\nContent-Encoding: deflate\r\nContent-Length: 2\r\n\r\nab",
    "long header": b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000 + b"\r\n\r\n",
    "bad status": b"HTTP/1.1 abc OK\r\nContent-Length: 0\r\n\r\n",
    "binary": b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n\xff\xfe\x00\x80",
    "null": b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nnull",
    "no id": b'HTTP/1.1 200 OK\r\nContent-Length: 22\r\n\r\n{"code":200,"data":{}}',
    "no data": b'HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n{"code":200}',
    "deep": b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + b"[" * 100_000,
    "upgrade": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: tea\r\nConnection: upgrade\r\n\r\n",
}


@pytest.mark.parametrize("name", GARBAGE)
async def test_invariant_1_garbage_in_place_of_an_answer_is_uncertain(name: str) -> None:
    """Invariant 1: whatever bytes come back, the request is sent once and called uncertain."""
    async with raw_service(GARBAGE[name]) as service:
        async with SunoSession("key", base_url=service.base_url, retry=EAGER, timeout=1) as suno:
            error = await caught(suno)
        assert type(error) is SubmissionUncertain
        assert service.requests == 1


@pytest.mark.parametrize(
    "retry_after",
    [
        "Mon, 01 Jan 99999999999999999999 00:00:00 GMT",
        "Mon, 01 Jan 0001 00:00:00 +2359",
        "nan",
        "\u00bd",
        "9" * 5000,
    ],
)
async def test_invariant_2_no_header_hides_the_task_id(retry_after: str) -> None:
    """Invariant 2: an absurd Retry-After does not lose the task whose id came with it."""
    body = b'{"code":200,"msg":"success","data":{"taskId":"t1"}}'
    head = f"HTTP/1.1 200 OK\r\nRetry-After: {retry_after}\r\nContent-Length: {len(body)}\r\n\r\n"
    async with (
        raw_service(head.encode() + body) as service,
        SunoSession("key", base_url=service.base_url) as suno,
    ):
        assert (await suno.submit(song())).task_id == "t1"


async def test_a_server_error_is_repeated_when_the_caller_opts_in(sandbox: Sandbox) -> None:
    """With `repeat_server_errors` an envelope with 500 is sent again."""
    sandbox.inject(Call.SUBMIT, EnvelopeError(500))
    policy = RetryPolicy(base=EAGER.base, repeat_server_errors=True)
    async with session_for(sandbox, retry=policy) as suno:
        await suno.submit(song())
    assert (posts(sandbox), charges(sandbox)) == (2, 1)


async def test_opting_in_ends_with_the_attempts(sandbox: Sandbox) -> None:
    """With `repeat_server_errors` a service that goes on failing is asked `attempts` times."""
    sandbox.inject(Call.SUBMIT, EnvelopeError(500), times=None)
    policy = RetryPolicy(attempts=3, base=EAGER.base, repeat_server_errors=True)
    async with session_for(sandbox, retry=policy) as suno:
        assert isinstance(await caught(suno), ServerError)
    assert posts(sandbox) == 3


@pytest.mark.parametrize(
    "fault",
    [
        HttpError(500),
        HttpError(504),
        DropAfter(),
        *(EnvelopeError(500, http_status=status) for status in (502, 503, 504, 408)),
        *(EnvelopeError(code) for code in (501, 505, 531, 599, 0, 777)),
    ],
    ids=str,
)
async def test_opting_in_does_not_repeat_what_is_uncertain(sandbox: Sandbox, fault: Fault) -> None:
    """Invariant 1: `repeat_server_errors` is about the service's own 500, never about gateways."""
    sandbox.inject(Call.SUBMIT, fault, times=None)
    policy = RetryPolicy(base=EAGER.base, repeat_server_errors=True)
    async with session_for(sandbox, retry=policy) as suno:
        assert isinstance(await caught(suno), SubmissionUncertain)
    assert posts(sandbox) == 1


async def test_invariant_1_submissions_share_no_connection(
    sandbox: Sandbox, suno: SunoSession
) -> None:
    """Invariant 1: every submission has a fresh connection, while other calls keep theirs."""
    for _ in range(4):
        await suno.submit(song())
        await suno.credits()
    ports = [submission.peer_port for submission in sandbox.submissions]
    others = [seen.peer_port for seen in sandbox.requests if seen.method == "GET"]
    assert len(set(ports)) == 4
    assert len(set(others)) == 1
    assert not set(ports) & set(others)


# --- cancelling and leaving -----------------------------------------------------------------------


async def test_invariant_2_cancelling_while_it_is_sent_keeps_the_id(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """Invariants 1 and 2: the submission goes on without its caller; its id is in the log."""
    caplog.set_level(logging.INFO, "suno_async")
    world.sandbox.inject(Call.SUBMIT, Delay(1, processed=True))
    async with world.session() as suno:
        submitting = asyncio.ensure_future(suno.submit(song(title="Nocturne")))
        await until(lambda: charges(world.sandbox))
        submitting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await submitting
        await world.pass_time(2)
        await until(lambda: "submitted" in caplog.text)
    (charge,) = world.sandbox.ledger
    assert posts(world.sandbox) == 1
    assert charge.task_id in caplog.text
    assert "nobody waits any more for the submission of 'Nocturne'" in caplog.text


async def test_cancelling_while_a_refusal_is_on_its_way_sends_nothing_more(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """Invariant 1: without a caller a 429 is not followed by another attempt, and is logged."""
    noise: list[dict[str, Any]] = []
    # of this loop alone: what another test left may speak up in any test
    asyncio.get_running_loop().set_exception_handler(lambda _, context: noise.append(context))
    world.sandbox.inject(Call.SUBMIT, Delay(1))
    world.sandbox.inject(Call.SUBMIT, EnvelopeError(429))
    async with world.session() as suno:
        submitting = asyncio.ensure_future(suno.submit(song()))
        await until(lambda: posts(world.sandbox))
        submitting.cancel()
        await world.pass_time(100)
    assert (posts(world.sandbox), charges(world.sandbox)) == (1, 0)
    assert "the submission of 'Relaxing Piano' was not taken" in caplog.text
    gc.collect()
    await asyncio.sleep(0)
    assert noise == []


async def test_cancelling_in_the_queue_for_a_slot_sends_nothing(world: World) -> None:
    """Invariant 1: who waits for a slot has sent nothing, and gives its place up."""
    world.sandbox.inject(Call.SUBMIT, Delay(1))
    async with world.session(max_concurrent_submissions=1) as suno:
        first = asyncio.ensure_future(suno.submit(song()))
        await until(lambda: posts(world.sandbox))
        second = asyncio.ensure_future(suno.submit(song()))
        third = asyncio.ensure_future(suno.submit(song()))
        await asyncio.sleep(0)
        second.cancel()
        await world.run(asyncio.gather(first, third))
        assert second.cancelled()
    assert (posts(world.sandbox), charges(world.sandbox)) == (2, 2)


async def test_cancelling_in_the_queue_for_the_window_sends_nothing(world: World) -> None:
    """Invariant 1: who waits for the window has sent nothing, and its slot is free again."""
    async with world.session(submissions_per_window=(1, 10), max_concurrent_submissions=1) as suno:
        await world.run(suno.submit(song()))
        waiting = asyncio.ensure_future(suno.submit(song()))
        await asyncio.sleep(0.005)
        waiting.cancel()
        await world.pass_time(20)
        assert posts(world.sandbox) == 1
        await world.run(suno.submit(song()))
    assert (posts(world.sandbox), charges(world.sandbox)) == (2, 2)


async def test_cancelling_during_a_pause_gives_the_place_back(world: World) -> None:
    """A caller who leaves during a pause takes nobody's slot or place with it."""
    world.sandbox.inject(Call.SUBMIT, EnvelopeError(429, retry_after="30"))
    async with world.session(submissions_per_window=(2, 10), max_concurrent_submissions=2) as suno:
        first = asyncio.ensure_future(suno.submit(song()))
        await until(lambda: posts(world.sandbox) and world.clock.next_deadline_s() is not None)
        waiting = asyncio.ensure_future(suno.submit(song()))
        await asyncio.sleep(0.005)
        waiting.cancel()
        began_s = world.clock.monotonic()
        await world.run(asyncio.gather(first, suno.submit(song())))
        assert world.clock.monotonic() - began_s < 35
    assert (posts(world.sandbox), charges(world.sandbox)) == (3, 2)


async def test_leaving_waits_a_moment_for_the_answer(
    sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    """Invariant 2: an answer that comes right after the session was left is still taken."""
    caplog.set_level(logging.INFO, "suno_async")
    sandbox.inject(Call.SUBMIT, Delay(0.05, processed=True))
    async with session_for(sandbox) as suno:
        submitting = asyncio.ensure_future(suno.submit(song()))
        await until(lambda: charges(sandbox))
    (charge,) = sandbox.ledger
    assert (await submitting).task_id == charge.task_id
    assert charge.task_id in caplog.text


async def test_leaving_cuts_a_long_submission_off_and_says_so(
    sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    """Invariants 1 and 8: leaving takes less than a second, and the log says what is uncertain."""
    sandbox.inject(Call.SUBMIT, Delay(30, processed=True))
    loop = asyncio.get_running_loop()
    async with session_for(sandbox) as suno:
        submitting = asyncio.ensure_future(suno.submit(song(title="Nocturne")))
        await until(lambda: charges(sandbox))
        left_at = loop.time()
    assert loop.time() - left_at < 1
    with pytest.raises(SubmissionUncertain):
        await submitting
    assert posts(sandbox) == 1
    assert "'Nocturne'" in caplog.text
    assert "may have been charged" in caplog.text


async def test_leaving_ends_those_who_wait_for_their_turn(world: World) -> None:
    """Invariant 8: who was waiting for the window is told that the session is closed."""
    async with world.session(submissions_per_window=(1, 10)) as suno:
        await suno.submit(song())
        waiting = [asyncio.ensure_future(suno.submit(song())) for _ in range(3)]
        await asyncio.sleep(0.005)
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(result) for result in results] == [SessionClosed] * 3
    assert posts(world.sandbox) == 1


# --- Invariant 5: polite --------------------------------------------------------------------------


def most_in_a_window(world: World, window_s: float) -> int:
    """Count the most submissions that arrived in any window of that length."""
    at = [submission.at for submission in world.sandbox.submissions]
    return max(sum(begin <= other < begin + window_s for other in at) for begin in at)


@pytest.mark.parametrize("latency_s", [0.0, 0.7, 4.0, 25.0])
@pytest.mark.parametrize("processed", [False, True])
async def test_invariant_5_no_window_holds_more(latency_s: float, *, processed: bool) -> None:
    """Invariant 5: however long the calls take, no window of 10 s holds more than 3 arrivals."""
    async with virtual_world(submissions_per_window=(3, 10.0)) as world:
        if latency_s:
            delay = Delay(latency_s, processed=processed)
            world.sandbox.inject(Call.SUBMIT, delay, times=None, rate=0.5)
        async with world.session(submissions_per_window=(3, 10)) as suno:
            await world.run(asyncio.gather(*(suno.submit(song()) for _ in range(14))))
        assert most_in_a_window(world, 10.0) == 3
        assert (posts(world.sandbox), charges(world.sandbox)) == (14, 14)


async def test_invariant_5_the_window_counts_what_failed_too() -> None:
    """Invariant 5: refused, dropped and unreadable submissions arrived, so they count."""
    faults: tuple[Fault, ...] = (
        DropBefore(),
        EnvelopeError(500),
        EnvelopeError(429),
        HttpError(502),
        Truncated(),
    )
    async with virtual_world() as world:
        for fault in faults:
            world.sandbox.inject(Call.SUBMIT, fault, times=2)
        async with world.session(submissions_per_window=(2, 10)) as suno:
            calls = (suno.submit(song()) for _ in range(12))
            await world.run(asyncio.gather(*calls, return_exceptions=True))
        assert most_in_a_window(world, 10.0) == 2


async def test_the_window_does_not_count_what_never_arrived(world: World) -> None:
    """A connection that was refused gives its place back at once."""
    async with world.session(submissions_per_window=(1, 1000)) as suno:
        await world.sandbox.stop()
        submitting = asyncio.ensure_future(suno.submit(song()))
        await until(lambda: world.clock.next_deadline_s() is not None)
        await world.sandbox.start()
        await world.run(submitting)
    assert world.clock.monotonic() < 60


async def test_the_window_lets_a_full_window_through_at_once(world: World) -> None:
    """The limit is used in full: 20 submissions need no waiting, the 21st waits 10 s."""
    async with world.session() as suno:
        await world.run(asyncio.gather(*(suno.submit(song()) for _ in range(21))))
    at = [submission.at for submission in world.sandbox.submissions]
    assert at[19] == 0
    assert 10 <= at[20] < 10.1


async def test_no_more_submissions_are_on_their_way_than_slots(world: World) -> None:
    """`max_concurrent_submissions` holds whatever the window allows."""
    world.sandbox.inject(Call.SUBMIT, Delay(1), times=None)
    async with world.session(max_concurrent_submissions=3) as suno:
        await world.run(asyncio.gather(*(suno.submit(song()) for _ in range(9))))
    at = [submission.at for submission in world.sandbox.submissions]
    assert at == sorted(at)
    assert [round(begin) for begin in at] == [0, 0, 0, 1, 1, 1, 2, 2, 2]


async def test_invariant_5_a_429_pauses_the_whole_session(world: World) -> None:
    """Invariant 5: after one Retry-After nobody submits before it is over, not even newcomers."""
    world.sandbox.inject(Call.SUBMIT, EnvelopeError(429, retry_after="60"))
    async with world.session() as suno:
        first = asyncio.ensure_future(suno.submit(song()))
        await until(lambda: world.clock.next_deadline_s() is not None)
        others = [suno.submit(song()) for _ in range(5)]
        await world.run(asyncio.gather(first, *others))
    at = [submission.at for submission in world.sandbox.submissions]
    assert at[0] == 0
    assert len(at) == 7
    assert all(60 <= later < 62 for later in at[1:])


async def test_invariant_5_a_429_pauses_the_polls_as_well(world: World) -> None:
    """Invariant 5: a refused submission holds the polls of the same session back."""
    async with world.session() as suno:
        task = await world.run(suno.submit(song()))
        world.sandbox.inject(Call.SUBMIT, EnvelopeError(429, retry_after="60"))
        began_s = world.clock.monotonic()
        await world.run(asyncio.gather(suno.submit(song()), task.result()))
    assert all(poll.at >= began_s + 60 for poll in world.sandbox.polls)


async def retry_after_wait(world: World, fault: Fault) -> float:
    """Submit into a fault; return the seconds between the first and the second sending."""
    world.sandbox.inject(Call.SUBMIT, fault)
    async with world.session() as suno:
        await world.run(suno.submit(song()))
    first, second = world.sandbox.submissions
    return second.at - first.at


@pytest.mark.parametrize("code", [429, 430, 405, 455])
async def test_invariant_5_retry_after_in_seconds_is_obeyed(world: World, code: int) -> None:
    """Invariant 5: the next sending comes after the seconds that were asked for, not much later."""
    fault = EnvelopeError(code, http_status=code, retry_after="45")
    assert 45 <= await retry_after_wait(world, fault) <= 47


async def test_invariant_5_retry_after_as_a_date_is_obeyed(world: World) -> None:
    """Invariant 5: an HTTP date means the same."""
    date = format_datetime(world.clock.now() + timedelta(seconds=90), usegmt=True)
    wait_s = await retry_after_wait(world, EnvelopeError(429, retry_after=date))
    assert 90 <= wait_s <= 91


async def test_invariant_5_retry_after_as_a_unix_time_is_obeyed(world: World) -> None:
    """Invariant 5: a number above a billion is a point in time."""
    at = (world.clock.now() + timedelta(seconds=90)).timestamp()
    wait_s = await retry_after_wait(world, EnvelopeError(429, retry_after=f"{at:.0f}"))
    assert 90 <= wait_s <= 91


@pytest.mark.parametrize("retry_after", ["86400", "Fri, 01 Jan 2027 00:00:00 GMT", "1893456000"])
async def test_invariant_5_a_page_holds_a_call_for_a_minute_at_the_most(
    world: World, retry_after: str
) -> None:
    """Invariant 5: what answers in the service's place does not speak for it."""
    wait_s = await retry_after_wait(world, HttpError(429, headers={"Retry-After": retry_after}))
    assert 60 <= wait_s <= 61


@pytest.mark.parametrize("fault", [HttpError(503), Html200()], ids=str)
async def test_invariant_5_one_junk_page_does_not_stop_later_submissions(
    world: World, fault: Fault
) -> None:
    """Invariant 5: a day of Retry-After on a page with a failure is a minute for the others."""
    if isinstance(fault, HttpError):
        fault = HttpError(503, headers={"Retry-After": "86400"})
    world.sandbox.inject(Call.SUBMIT, fault)
    async with world.session() as suno:
        with pytest.raises(SubmissionUncertain):
            await world.run(suno.submit(song()))
        await world.run(suno.submit(song()))
    assert world.clock.monotonic() <= 61


@pytest.mark.parametrize("seconds", ["0.2", "0.9"])
async def test_invariant_5_a_pause_of_less_than_a_second_is_kept(
    world: World, seconds: str
) -> None:
    """Invariant 5: a short wish is obeyed like a long one."""
    policy = RetryPolicy(base=timedelta(0))
    world.sandbox.inject(Call.SUBMIT, EnvelopeError(429, retry_after=seconds))
    async with world.session(retry=policy) as suno:
        await world.run(suno.submit(song()))
    first, second = world.sandbox.submissions
    assert float(seconds) <= second.at - first.at <= float(seconds) + 0.01


async def test_invariant_5_newcomers_are_told_of_a_pause_beyond_their_patience(
    world: World,
) -> None:
    """Invariant 5: no pause holds a call that was not there when it began, either."""
    world.sandbox.inject(Call.SUBMIT, EnvelopeError(429, retry_after="86400"))
    async with world.session(submissions_per_window=(5, 1)) as suno:
        for _ in range(20):  # slots and places come back
            with pytest.raises(RateLimited) as raised:
                await world.run(suno.submit(song()))
            assert raised.value.retry_after is not None
            assert raised.value.retry_after > timedelta(hours=23)
            assert raised.value.code == 429
        assert (posts(world.sandbox), world.clock.monotonic()) == (1, 0)
        with pytest.raises(RateLimited):
            await world.run(suno.credits())
        assert world.clock.monotonic() < 1


async def test_refusals_are_no_attempts(world: World) -> None:
    """Six 429s and then a refused connection are not seven failures of the network."""
    world.sandbox.inject(Call.SUBMIT, EnvelopeError(429), times=6)
    connections: list[object] = []

    async def refuse_the_seventh(*seen: Any) -> None:
        connections.append(seen)
        if len(connections) == 7:
            raise ConnectionRefusedError("not now")

    trace = aiohttp.TraceConfig()
    trace.on_connection_create_start.append(refuse_the_seventh)
    connector = aiohttp.TCPConnector(force_close=True)
    async with (
        aiohttp.ClientSession(trace_configs=[trace], connector=connector) as http,
        world.session(client_session=http, retry=RetryPolicy(attempts=2)) as suno,
    ):
        await world.run(suno.submit(song()))
    assert (len(connections), posts(world.sandbox), charges(world.sandbox)) == (8, 7, 1)


async def test_a_success_begins_the_ladder_of_pauses_anew(world: World) -> None:
    """Sporadic refusals among successes leave every pause short."""
    async with world.session(submissions_per_window=(1000, 1)) as suno:
        for _ in range(12):
            world.sandbox.inject(Call.SUBMIT, EnvelopeError(429))
            before_s = world.clock.monotonic()
            await world.run(suno.submit(song()))
            assert world.clock.monotonic() - before_s <= 0.6
            world.sandbox.inject(Call.CREDITS, EnvelopeError(429))
            await world.run(suno.credits())


async def test_a_place_that_is_given_up_during_a_pause_comes_back_at_once(world: World) -> None:
    """Who leaves during a pause has sent nothing: the window has its place again."""
    world.sandbox.inject(Call.SUBMIT, EnvelopeError(429, retry_after="30"))
    async with world.session(submissions_per_window=(2, 1000)) as suno:
        refused = asyncio.ensure_future(suno.submit(song()))
        await until(lambda: suno.stats().pause_left_s)
        refused.cancel()
        waiting = asyncio.ensure_future(suno.submit(song()))
        await until(lambda: suno.stats().window_left == 0)
        waiting.cancel()
        await until(lambda: suno.stats().window_left == 1)
        await world.run(suno.submit(song()))
    assert 30 <= world.clock.monotonic() <= 31.1
    assert (posts(world.sandbox), charges(world.sandbox)) == (2, 1)


@pytest.mark.parametrize("retry_after", ["soon", "-5", "nan", ""])
async def test_a_retry_after_that_makes_no_sense_is_as_good_as_none(
    world: World, retry_after: str
) -> None:
    """Nonsense in the header leaves the usual wait."""
    fault = HttpError(429, headers={"Retry-After": retry_after})
    assert await retry_after_wait(world, fault) <= 2


async def test_waits_grow_while_the_service_takes_nothing(world: World) -> None:
    """Ten refusals in a row are not ten sendings in a row."""
    world.sandbox.inject(Call.SUBMIT, EnvelopeError(429), times=10)
    async with world.session() as suno:
        await world.run(suno.submit(song()))
    at = [submission.at for submission in world.sandbox.submissions]
    assert len(at) == 11
    assert at[-1] > 10
    assert all(later - earlier <= 31 for earlier, later in pairwise(at))


@pytest.mark.parametrize(("code", "kind"), [(429, RateLimited), (455, Maintenance)])
async def test_patience_ends(world: World, code: int, kind: type[ApiError]) -> None:
    """After ten minutes of refusals the caller is told, and nothing was charged."""
    world.sandbox.inject(Call.SUBMIT, EnvelopeError(code), times=None)
    async with world.session() as suno:
        with pytest.raises(kind):
            await world.run(suno.submit(song()))
    assert 500 <= world.clock.monotonic() <= 600
    assert charges(world.sandbox) == 0


async def test_a_retry_after_beyond_patience_is_told_at_once(world: World) -> None:
    """Nobody waits an hour for an error that could be told now."""
    world.sandbox.inject(Call.SUBMIT, EnvelopeError(429, retry_after="3600"), times=None)
    async with world.session() as suno:
        with pytest.raises(RateLimited) as raised:
            await world.run(suno.submit(song()))
    assert raised.value.retry_after == timedelta(hours=1)
    assert (world.clock.monotonic(), posts(world.sandbox)) == (0, 1)


async def test_patience_begins_with_the_first_refusal(world: World) -> None:
    """The time in the queue is not held against a request that then meets its first 429."""
    async with world.session(submissions_per_window=(1, 1000)) as suno:
        await world.run(suno.submit(song()))
        world.sandbox.inject(Call.SUBMIT, EnvelopeError(429))
        await world.run(suno.submit(song()))
    assert (posts(world.sandbox), charges(world.sandbox)) == (3, 2)


async def test_one_burst_of_refusals_is_one_reason_to_pause(world: World) -> None:
    """Eight submissions that are refused together do not lengthen the pause eight times."""
    world.sandbox.inject(Call.SUBMIT, EnvelopeError(429), times=8)
    async with world.session() as suno:
        await world.run(asyncio.gather(*(suno.submit(song()) for _ in range(8))))
    assert charges(world.sandbox) == 8
    assert world.clock.monotonic() < 5


# --- the caller's own client session --------------------------------------------------------------


@asynccontextmanager
async def traced() -> AsyncIterator[tuple[aiohttp.ClientSession, list[str]]]:
    """Open a client session that notes its requests."""
    seen: list[str] = []

    async def note(_: Any, __: Any, params: aiohttp.TraceRequestStartParams) -> None:
        seen.append(params.method)

    trace = aiohttp.TraceConfig()
    trace.on_request_start.append(note)
    async with aiohttp.ClientSession(trace_configs=[trace]) as http:
        yield http, seen


async def test_the_callers_client_session_is_used_and_not_closed(sandbox: Sandbox) -> None:
    """A caller's tracing sees every call, and the client session survives the session."""
    async with traced() as (http, seen):
        async with session_for(sandbox, client_session=http) as suno:
            await suno.submit(song())
            await suno.credits()
        assert seen == ["POST", "GET"]
        assert not http.closed


async def test_a_client_session_that_its_owner_closed_costs_nothing(sandbox: Sandbox) -> None:
    """A closed client session is a connection that could not be made."""
    async with (
        aiohttp.ClientSession() as http,
        session_for(sandbox, client_session=http, retry=EAGER) as suno,
    ):
        await http.close()
        error = await caught(suno)
    assert isinstance(error, ConnectionFailed)
    assert not error.request_sent
    assert posts(sandbox) == 0


async def test_what_nobody_foresaw_is_uncertain(sandbox: Sandbox) -> None:
    """Invariant 1: whatever breaks on the way, in a caller's own tracing too, is a `SunoError`."""

    async def break_down(_: object, __: object, told: object) -> None:
        close_hidden(told)
        raise LookupError("a bug in somebody's tracing")

    trace = aiohttp.TraceConfig()
    trace.on_request_end.append(break_down)
    async with (
        aiohttp.ClientSession(trace_configs=[trace]) as http,
        session_for(sandbox, client_session=http) as suno,
    ):
        error = await caught(suno)
    assert isinstance(error, SubmissionUncertain)
    assert "a bug in somebody's tracing" in str(error)
    assert charges(sandbox) == 1


# --- what is known of the task --------------------------------------------------------------------


async def test_invariant_2_the_id_is_logged_once_it_is_known(
    sandbox: Sandbox, suno: SunoSession, caplog: pytest.LogCaptureFixture
) -> None:
    """Invariant 2: title and task id are in the log at INFO."""
    caplog.set_level(logging.INFO, "suno_async")
    task: InstrumentalTask = await suno.submit(song(title="Nocturne"))
    assert f"submitted 'Nocturne': task {task.task_id}" in caplog.text
    assert list(sandbox.tasks) == [task.task_id]


@pytest.mark.parametrize(
    ("optional", "sent"),
    [
        ({}, {}),
        ({"model": "V5", "vocal_gender": "f"}, {"model": "V5", "vocalGender": "f"}),
        ({"style_weight": 0.29}, {"styleWeight": 0.29}),
        ({"weirdness_constraint": 0.57}, {"weirdnessConstraint": 0.57}),
        ({"audio_weight": 1}, {"audioWeight": 1}),
        ({"callback_url": "https://me.test/x"}, {"callBackUrl": "https://me.test/x"}),
    ],
    ids=str,
)
async def test_what_is_not_given_is_left_out(
    sandbox: Sandbox, suno: SunoSession, optional: dict[str, Any], sent: dict[str, Any]
) -> None:
    """The body holds the required fields and what was given, under the service's names."""
    await suno.submit(song(**optional))
    assert sandbox.submissions[0].body == {
        "uploadUrl": "https://example.com/stem.wav",
        "title": "Relaxing Piano",
        "tags": "relaxing, piano",
        "negativeTags": "heavy metal",
        "callBackUrl": "https://example.com/callback",
        **sent,
    }
