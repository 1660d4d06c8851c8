"""A submission with a deadline is sent in time or certainly not at all, whatever stood still."""

import asyncio
import os
import signal
import sys
import textwrap
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from suno_async import (
    AccountLimits,
    InvalidRequest,
    NotSubmitted,
    RateLimited,
    SubmissionUncertain,
    SunoError,
    SunoSession,
    SystemClock,
    VirtualClock,
)
from suno_async.clock import Timer
from suno_async.observe import Observation, Refused, Sent
from suno_async.sandbox import Call, Delay, EnvelopeError, Reply, Sandbox
from tests.waiting import HANGS_AFTER_S, in_time, until
from tests.world import EAGER, World, session_for, song

from .surroundings import SIGNALS

WITHIN_S = 5.0


class StoppedClock(SystemClock):
    """A clock that shows the moment at which a process goes on that was stopped.

    The time has passed, and no timer has had a turn yet.
    """

    def __init__(self) -> None:
        self._stood_s = 0.0

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self._stood_s += seconds

    def monotonic(self) -> float:
        """Tell the machine's time, and what passed beside it."""
        return time.monotonic() + self._stood_s

    def call_at(self, deadline_s: float, callback: Callable[[], object]) -> Timer:
        """Set a timer that has no turn while this is tested."""
        return asyncio.get_running_loop().call_later(3600, callback)


Jumping = VirtualClock | StoppedClock
CLOCKS = pytest.mark.parametrize("kind", [VirtualClock, StoppedClock])


async def late(suno: SunoSession, **settings: Any) -> NotSubmitted:
    """Submit in vain; return the error."""
    with pytest.raises(NotSubmitted) as raised:
        await suno.submit(song(), **{"send_within": WITHIN_S, **settings})
    assert raised.value.reason == "late"
    return raised.value


def nothing_came(sandbox: Sandbox) -> bool:
    """Tell whether no submission reached the service, and nothing was paid for."""
    return not sandbox.submissions and not sandbox.ledger


# --- the moment at which it would be sent ---------------------------------------------------------


def tracing(clock: Jumping, signal_name: str) -> aiohttp.ClientSession:
    """Make a client session in which time jumps over the deadline at a signal."""

    async def jump(*_: object) -> None:
        clock.advance(WITHIN_S)

    trace = aiohttp.TraceConfig()
    getattr(trace, signal_name).append(jump)
    return aiohttp.ClientSession(trace_configs=[trace])


@asynccontextmanager
async def jumping(
    sandbox: Sandbox, clock: Jumping, http: aiohttp.ClientSession | None, **settings: Any
) -> AsyncIterator[SunoSession]:
    """Open a session that repeats at once, on a clock that jumps."""
    settings = {"clock": clock, "client_session": http, "retry": EAGER, **settings}
    try:
        async with session_for(sandbox, **settings) as suno:
            yield suno
    finally:
        if http is not None:
            await http.close()


BEFORE_THE_BODY = [
    "on_request_start",
    "on_connection_create_start",
    "on_connection_create_end",
    "on_request_headers_sent",
]


@CLOCKS
@pytest.mark.parametrize("signal_name", BEFORE_THE_BODY)
async def test_invariant_1_time_that_passes_before_the_body_keeps_it_back(
    sandbox: Sandbox, kind: type[Jumping], signal_name: str
) -> None:
    """Invariant 1: whatever was decided before, the body asks the clock before it is sent."""
    assert signal_name in SIGNALS
    told: list[Observation] = []
    clock = kind()
    http = tracing(clock, signal_name)
    async with jumping(sandbox, clock, http, observers=[told.append]) as suno:
        error = await late(suno)
        assert suno.stats().window_left == 20
        await until(lambda: not suno.stats().sending)
    assert error.__cause__ is None
    assert nothing_came(sandbox)
    assert [one.verdict for one in told if isinstance(one, Refused)] == ["not sent"]
    assert not [one for one in told if isinstance(one, Sent)]


@CLOCKS
async def test_invariant_1_a_middleware_that_takes_its_time(
    sandbox: Sandbox, kind: type[Jumping]
) -> None:
    """Invariant 1: it may hold a request for as long as it likes, it is not sent late."""
    clock = kind()

    async def hold(
        request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        clock.advance(WITHIN_S)
        return await handler(request)

    async with jumping(sandbox, clock, aiohttp.ClientSession(middlewares=[hold])) as suno:
        await late(suno)
        assert suno.stats().window_left == 20
    assert nothing_came(sandbox)


@CLOCKS
async def test_invariant_1_an_observer_that_takes_its_time(
    sandbox: Sandbox, kind: type[Jumping]
) -> None:
    """Invariant 1: who is told of the sending may be slow; the clock is asked after that too."""
    clock = kind()

    def write_down(observation: Observation) -> None:
        if isinstance(observation, Sent):
            clock.advance(WITHIN_S)

    async with jumping(sandbox, clock, None, observers=[write_down]) as suno:
        await late(suno)
        assert suno.stats().window_left == 20
    assert nothing_came(sandbox)


@CLOCKS
async def test_invariant_1_a_body_that_was_read_before_is_uncertain(
    sandbox: Sandbox, kind: type[Jumping]
) -> None:
    """Invariant 1: it is not sent late, but whoever read it may have sent a copy."""
    clock = kind()

    async def sign(
        request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        assert isinstance(request.body, aiohttp.BytesPayload)
        await request.body.as_bytes()
        clock.advance(WITHIN_S)
        return await handler(request)

    async with jumping(sandbox, clock, aiohttp.ClientSession(middlewares=[sign])) as suno:
        with pytest.raises(SubmissionUncertain):
            await suno.submit(song(), send_within=WITHIN_S)
    assert nothing_came(sandbox)


async def test_a_body_that_is_late_cannot_be_read(sandbox: Sandbox) -> None:
    """Nobody can send a copy of it either."""
    clock = StoppedClock()

    async def sign(
        request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        clock.advance(WITHIN_S)
        assert isinstance(request.body, aiohttp.BytesPayload)
        await request.body.as_bytes()
        return await handler(request)

    async with jumping(sandbox, clock, aiohttp.ClientSession(middlewares=[sign])) as suno:
        await late(suno)
    assert nothing_came(sandbox)


async def test_a_loop_that_was_blocked_sends_nothing_late(sandbox: Sandbox) -> None:
    """On the machine's own clock: somebody's code blocks while the connection is made."""

    async def block(*_: object) -> None:
        time.sleep(0.3)  # noqa: ASYNC251 - that is the standstill

    trace = aiohttp.TraceConfig()
    trace.on_connection_create_end.append(block)
    async with (
        aiohttp.ClientSession(trace_configs=[trace]) as http,
        session_for(sandbox, client_session=http) as suno,
    ):
        await late(suno, send_within=0.2)
    assert nothing_came(sandbox)


STOPPED = """
    import asyncio, os, signal, sys
    import aiohttp
    from suno_async import AddInstrumentalRequest, SunoError, SunoSession

    async def stop(*_):
        os.kill(os.getpid(), signal.SIGSTOP)

    async def main(base_url, key, when, within_s):
        trace = aiohttp.TraceConfig()
        getattr(trace, when).append(stop)
        request = AddInstrumentalRequest(
            upload_url="https://h/a.wav", title="t", tags="t", negative_tags="drums"
        )
        async with aiohttp.ClientSession(trace_configs=[trace]) as http:
            async with SunoSession(key, base_url=base_url, client_session=http) as suno:
                try:
                    await suno.submit(request, send_within=float(within_s))
                except SunoError as error:
                    print(repr(error))
                else:
                    print("submitted")

    asyncio.run(main(*sys.argv[1:]))
"""


def is_stopped(pid: int) -> bool:
    """Ask the kernel whether a process is stopped."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


@pytest.mark.skipif(sys.platform != "linux", reason="it looks into /proc")
@pytest.mark.parametrize("when", ["on_connection_create_start", "on_request_headers_sent"])
@pytest.mark.parametrize(
    ("within_s", "said", "charged"),
    [(0.5, "NotSubmitted(reason='late')", 0), (600.0, "submitted", 1)],
)
async def test_invariant_1_a_process_that_was_stopped_sends_nothing_late(
    sandbox: Sandbox, when: str, within_s: float, said: str, charged: int
) -> None:
    """Invariant 1: SIGSTOP right before the sending, SIGCONT when it is too late, or in time."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        textwrap.dedent(STOPPED),
        sandbox.base_url,
        sandbox.api_key,
        when,
        str(within_s),
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(HANGS_AFTER_S):
            while not is_stopped(process.pid):  # noqa: ASYNC110 - the kernel sets no event
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.6)
            os.kill(process.pid, signal.SIGCONT)
            out, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert out.decode().strip() == said
    assert len(sandbox.submissions) == len(sandbox.ledger) == charged


# --- waiting --------------------------------------------------------------------------------------


class Hanging(AbstractResolver):
    """A resolver that finds nothing, and takes for ever."""

    async def resolve(self, host: str, port: int = 0, family: int = 0) -> list[ResolveResult]:
        """Hang."""
        await asyncio.Event().wait()
        raise AssertionError

    async def close(self) -> None:
        """Nothing is open."""


async def test_a_connection_that_is_not_made_in_time_is_given_up(sandbox: Sandbox) -> None:
    """The attempt ends when the time is over, not when connecting is given up."""
    connector = aiohttp.TCPConnector(resolver=Hanging())
    began_s = time.monotonic()
    async with aiohttp.ClientSession(connector=connector) as http:
        settings: dict[str, Any] = {"client_session": http, "timeout": 2 * HANGS_AFTER_S}
        async with session_for(sandbox, base_url="http://nowhere.test", **settings) as suno:
            await in_time(late(suno, send_within=timedelta(seconds=0.1)))
            assert suno.stats().window_left == 20
    assert time.monotonic() - began_s >= 0.1


async def timed(world: World, suno: SunoSession, **settings: Any) -> tuple[NotSubmitted, float]:
    """Submit in vain; return the error, and after how many virtual seconds it came."""
    began_s = world.clock.monotonic()
    error = await world.run(late(suno, **settings))
    return error, world.clock.monotonic() - began_s


async def test_waiting_for_a_slot_ends_in_time(world: World) -> None:
    """The slot goes to the next."""
    world.sandbox.inject(Call.SUBMIT, Delay(30), times=1)
    async with world.session(max_concurrent_submissions=1) as suno:
        first = asyncio.create_task(suno.submit(song()))
        await until(lambda: suno.stats().sent)
        error, waited_s = await timed(world, suno)
        assert (waited_s, error.__cause__) == (WITHIN_S, None)
        assert suno.stats().waiting == 0
        await world.run(first)
        await world.run(suno.submit(song(), send_within=WITHIN_S))
    assert len(world.sandbox.submissions) == len(world.sandbox.ledger) == 2


async def test_waiting_for_the_window_ends_in_time(world: World) -> None:
    """Slot and place are free again."""
    async with world.session(submissions_per_window=(1, 10), max_concurrent_submissions=1) as suno:
        await world.run(suno.submit(song()))
        _, waited_s = await timed(world, suno)
        assert waited_s == WITHIN_S
        await world.run(suno.submit(song(), send_within=WITHIN_S + 1))
    assert len(world.sandbox.submissions) == len(world.sandbox.ledger) == 2


async def test_waiting_for_the_end_of_a_pause_ends_in_time(world: World) -> None:
    """The refusal that asked for the pause is the cause; no place is lost."""
    slowly = Reply(200, {"code": 429, "msg": "slowly"}, headers={"Retry-After": "60"})
    world.sandbox.inject(Call.SUBMIT, slowly, times=1)
    async with world.session() as suno:
        error, waited_s = await timed(world, suno)
        assert waited_s == WITHIN_S
        assert isinstance(error.__cause__, RateLimited)
        assert error.__cause__.code == 429
        error, waited_s = await timed(world, suno)  # its own turn is waited for, in the pause
        assert (waited_s, error.__cause__) == (WITHIN_S, None)
        assert suno.stats().window_left == 19
        await world.run(suno.submit(song(), send_within=120))
    assert len(world.sandbox.submissions) == 2
    assert len(world.sandbox.ledger) == 1


@pytest.mark.parametrize("code", [429, 455])
async def test_refusals_are_repeated_until_it_is_too_late(world: World, code: int) -> None:
    """It is tried again while there is time, and the last refusal is the cause."""
    world.sandbox.inject(Call.SUBMIT, EnvelopeError(code), times=None)
    async with world.session() as suno:
        error, waited_s = await timed(world, suno, send_within=20)
        assert waited_s == 20
        assert getattr(error.__cause__, "code", None) == code
    assert len(world.sandbox.submissions) > 1
    assert not world.sandbox.ledger


async def test_a_network_that_is_away_is_tried_again_until_it_is_too_late(world: World) -> None:
    """What the network said last is the cause."""
    async with world.session(base_url="http://127.0.0.1:1") as suno:
        error, _ = await timed(world, suno, send_within=0.001)
        assert isinstance(error.__cause__, SunoError)


# --- what is in time ------------------------------------------------------------------------------


async def test_an_answer_may_come_when_the_time_is_over(world: World) -> None:
    """What was sent in time is finished, however long it takes."""
    world.sandbox.inject(Call.SUBMIT, Delay(4 * WITHIN_S))
    async with world.session() as suno:
        task = await world.run(suno.submit(song(), send_within=WITHIN_S))
    assert [charge.task_id for charge in world.sandbox.ledger] == [task.task_id]


@pytest.mark.parametrize("within", [0, -1, timedelta(0), timedelta(days=-1)])
async def test_no_time_is_too_late(world: World, within: timedelta | float) -> None:
    """Whoever subtracts a deadline from the present may get less than nothing."""
    async with world.session() as suno:
        await late(suno, send_within=within)
    assert nothing_came(world.sandbox)


@pytest.mark.parametrize("within", ["5", float("nan"), float("inf"), object()])
async def test_what_is_no_length_of_time_is_refused(world: World, within: Any) -> None:
    """Nothing is sent."""
    async with world.session() as suno:
        with pytest.raises(InvalidRequest, match="send_within"):
            await suno.submit(song(), send_within=within)
    assert nothing_came(world.sandbox)


async def test_invariant_8_cancelled_while_it_is_bounded(world: World) -> None:
    """Invariant 8: with a deadline too, whoever is cancelled in a queue leaves it as it was."""
    limits = AccountLimits(max_concurrent_submissions=1)
    world.sandbox.inject(Call.SUBMIT, Delay(30), times=1)
    async with world.session(limits=limits) as suno:
        first = asyncio.create_task(suno.submit(song()))
        await until(lambda: suno.stats().sent)
        second = asyncio.create_task(suno.submit(song(), send_within=WITHIN_S))
        await until(lambda: suno.stats().waiting)
        second.cancel()
        with pytest.raises(asyncio.CancelledError):
            await second
        await world.run(first)
        assert limits.slots.free == 1
