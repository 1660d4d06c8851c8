"""What callers hand in may raise anything at any time: it is sent once, and paid once."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import aiohttp
import pytest
from aiohttp.client_reqrep import ConnectionKey

from suno_async import (
    ConnectionFailed,
    InstrumentalTask,
    ProtocolError,
    RateLimited,
    SubmissionUncertain,
    SunoError,
    UnexpectedError,
)
from suno_async.observe import Observation, Sent, Uncertain
from suno_async.sandbox import Call, DropAfter, EnvelopeError, Fault, HttpError, Reply, Sandbox
from tests.world import close_hidden, song

from .surroundings import SIGNALS, netrc, receiving, session

__all__ = ["netrc"]  # a fixture

KEY = ConnectionKey("collector.test", 443, True, True, None, None, None)
RAISED: dict[str, Callable[[], BaseException]] = {
    "ClientConnectorError": lambda: aiohttp.ClientConnectorError(KEY, OSError(111, "refused")),
    "LookupError": lambda: LookupError("a bug in somebody's tracing"),
    "CancelledError": lambda: asyncio.CancelledError("not yours"),
    "TimeoutError": lambda: TimeoutError("the collector is slow"),
    "InvalidURL": lambda: aiohttp.InvalidURL("collector..test"),
    "StopAsyncIteration": lambda: StopAsyncIteration("odd"),
}
# what happens to a submission beside the intruder
ANSWERS: dict[str, tuple[Fault | None, int]] = {
    "as usual": (None, 1),
    "dropped after": (DropAfter(), 1),
    "a limit once": (EnvelopeError(429), 1),
    "refused": (EnvelopeError(422), 0),
    "a failing gateway": (HttpError(504, processed=True), 1),
    "a broken frame": (Reply(500, {"taskId": "{task_id}"}, processed=True, frame="short"), 1),
}
Ended = InstrumentalTask | SunoError


@asynccontextmanager
async def world(answer: str) -> AsyncIterator[Sandbox]:
    """Run a sandbox that answers so; a limit ends after one answer."""
    fault = ANSWERS[answer][0]
    async with Sandbox(time_scale=0, submissions_per_window=None) as sandbox:
        if fault is not None:
            sandbox.inject(Call.SUBMIT, fault, times=1 if answer == "a limit once" else None)
        yield sandbox


async def ending(
    sandbox: Sandbox, http: aiohttp.ClientSession, told: list[Observation], **settings: Any
) -> Ended:
    """Submit once through a caller's client session; return what comes of it."""
    async with session(sandbox, client_session=http, observers=[told.append], **settings) as suno:
        try:
            return await suno.submit(song())
        except SunoError as error:
            return error


def wrong(sandbox: Sandbox, ended: Ended, told: list[Observation], answer: str) -> str:
    """Tell what contradicts invariant 1 in an ending; "" when nothing does."""
    posts, charged = len(sandbox.submissions), [charge.task_id for charge in sandbox.ledger]
    sent = sum(isinstance(one, Sent) for one in told)
    if posts > (2 if answer == "a limit once" else 1) or len(charged) > 1:
        return f"{posts} posts, {len(charged)} charges"
    if sent < posts:
        return f"{posts} posts, {sent} told"
    if isinstance(ended, InstrumentalTask):
        return "" if charged == [ended.task_id] else f"task {ended.task_id}, {charged}"
    if isinstance(ended, SubmissionUncertain):
        about = [one.error for one in told if isinstance(one, Uncertain)]
        # (a hook in the middle of the writing keeps it back: handed out, and not arrived)
        right = sent and about == [ended] and isinstance(ended.__cause__, SunoError)
        return "" if right and ended.sent_at is not None else f"{posts} posts, {ended!r}"
    if charged:
        return f"paid, and told {ended!r}"
    if posts and answer not in {"refused", "a limit once"}:
        return f"sent, and told {ended!r}"
    if isinstance(ended, ConnectionFailed) and ended.request_sent:
        return f"said to be sent: {ended!r}"
    if answer == "refused" and posts:
        return "" if type(ended).__name__ == "ValidationFailed" else repr(ended)
    allowed = ConnectionFailed | UnexpectedError | RateLimited
    return "" if isinstance(ended, allowed) else repr(ended)


async def faults(make: Callable[[], aiohttp.ClientSession], **settings: Any) -> dict[str, str]:
    """Meet every answer with a caller's client session; return what went wrong."""
    found = {}
    for answer in ANSWERS:
        async with world(answer) as sandbox, make() as http:
            told: list[Observation] = []
            ended = await asyncio.wait_for(ending(sandbox, http, told, **settings), 5)
            if fault := wrong(sandbox, ended, told, answer):
                found[answer] = fault
    return found


def hooked(signal: str, raises: Callable[[], BaseException]) -> aiohttp.ClientSession:
    """Make a client session with a trace hook that fails."""

    async def fail(_: object, __: object, told: object) -> None:
        close_hidden(told)
        raise raises()

    trace = aiohttp.TraceConfig()
    getattr(trace, signal).append(fail)
    return aiohttp.ClientSession(trace_configs=[trace])


@pytest.mark.parametrize("name", RAISED)
@pytest.mark.parametrize("signal", SIGNALS)
async def test_invariant_1_a_trace_hook_may_raise_anything(signal: str, name: str) -> None:
    """Invariant 1: at every signal of aiohttp's, whatever it raises."""
    assert await faults(lambda: hooked(signal, RAISED[name])) == {}


@pytest.mark.parametrize("name", ["ClientConnectorError", "CancelledError"])
@pytest.mark.parametrize("signal", ["on_request_start", "on_request_end"])
async def test_invariant_1_with_a_receiver_a_hook_hides_no_paid_task(
    signal: str, name: str
) -> None:
    """Invariant 1: what a hook has hidden is proved by the task's callback."""
    async with receiving() as receiver:
        for answer in ("as usual", "dropped after"):
            async with world(answer) as sandbox, hooked(signal, RAISED[name]) as http:
                ended = await ending(sandbox, http, [], receiver=receiver)
                assert isinstance(ended, InstrumentalTask) is bool(sandbox.ledger), ended
                assert len(sandbox.ledger) == len(sandbox.submissions) <= 1


async def test_a_hook_that_says_it_was_cancelled_is_not_a_closed_session() -> None:
    """Nobody left the session, and nobody cancelled: the error names what was raised."""
    for signal in ("on_request_start", "on_request_end"):
        async with world("as usual") as sandbox, hooked(signal, RAISED["CancelledError"]) as http:
            ended = await ending(sandbox, http, [])
            told = ended.__cause__ if isinstance(ended, SubmissionUncertain) else ended
            assert isinstance(told, UnexpectedError), told
            assert "CancelledError" in str(told)
            assert len(sandbox.submissions) <= 1


# --- middlewares ----------------------------------------------------------------------------------

Handler = aiohttp.ClientHandlerType
Request = aiohttp.ClientRequest
Response = aiohttp.ClientResponse


async def retrying(request: Request, handler: Handler) -> Response:
    """Try three times, whatever comes: what many callers have."""
    for _ in range(2):
        try:
            response = await handler(request)
        except Exception:  # noqa: BLE001, S112 - as callers do
            continue
        if response.status < 429:
            return response
        response.close()
    return await handler(request)


async def raising_before(request: Request, handler: Handler) -> Response:
    """Fail before anything is sent."""
    raise aiohttp.ClientConnectorError(KEY, OSError(111, "no collector"))


async def raising_after(request: Request, handler: Handler) -> Response:
    """Fail when the answer is there."""
    (await handler(request)).close()
    raise aiohttp.ClientConnectorError(KEY, OSError(111, "no collector"))


async def cancelling_after(request: Request, handler: Handler) -> Response:
    """Say that it was cancelled when the answer is there."""
    (await handler(request)).close()
    raise asyncio.CancelledError


async def signing(request: Request, handler: Handler) -> Response:
    """Read the body to sign it, and pass the request on."""
    assert isinstance(request.body, aiohttp.Payload)
    request.headers["X-Signature"] = str(len(await request.body.as_bytes()))
    return await handler(request)


async def reading(request: Request, handler: Handler) -> Response:
    """Read the body as text, and fail then: nobody knows what was done with it."""
    assert isinstance(request.body, aiohttp.Payload)
    request.body.decode()
    raise LookupError("no signature")


async def copying(request: Request, handler: Handler) -> Response:
    """Send a copy of the body in its place."""
    assert isinstance(request.body, aiohttp.Payload)
    await request.update_body(await request.body.as_bytes())
    return await handler(request)


async def reading_late(request: Request, handler: Handler) -> Response:
    """Read the body when it was sent, and answer as usual."""
    response = await handler(request)
    assert isinstance(request.body, aiohttp.Payload)
    await request.body.as_bytes()
    return response


async def asking_something_else(request: Request, handler: Handler) -> Response:
    """Answer with the answer to another question."""
    url = request.url.with_path("/api/v1/chat/credit")
    async with aiohttp.ClientSession() as other:
        return await other.get(url, headers={"Authorization": request.headers["Authorization"]})


async def sending_by_itself(request: Request, handler: Handler) -> Response:
    """Send a copy of the request through another client session."""
    assert isinstance(request.body, aiohttp.Payload)
    content = await request.body.as_bytes()
    headers = {"Content-Type": "application/json", **request.headers}
    async with aiohttp.ClientSession(read_bufsize=2**20) as other:
        response = await other.post(request.url, data=content, headers=headers)
        await response.read()
    again = aiohttp.StreamReader(response._protocol or _NoFlow(), 2**16)  # type: ignore[arg-type]  # a stand-in
    again.feed_data(response._body or b"")
    again.feed_eof()
    response.content = again
    return response


class _NoFlow:
    """A connection of a stand-in stream: nothing has to be slowed down."""

    _reading_paused = False

    def pause_reading(self) -> None:
        """Do nothing."""

    def resume_reading(self) -> None:
        """Do nothing."""


async def answering_nothing(request: Request, handler: Handler) -> Response:
    """Answer with something that is no answer."""
    return None  # type: ignore[return-value]  # that is the fault


MIDDLEWARES = [
    retrying,
    raising_before,
    raising_after,
    cancelling_after,
    signing,
    copying,
    reading_late,
    asking_something_else,
    sending_by_itself,
    answering_nothing,
]


@pytest.mark.parametrize("middleware", MIDDLEWARES, ids=lambda made: made.__name__)
async def test_invariant_1_a_middleware_may_do_anything(middleware: Any) -> None:
    """Invariant 1: it may repeat, raise, read, copy or answer by itself."""
    assert await faults(lambda: aiohttp.ClientSession(middlewares=[middleware])) == {}


async def test_invariant_1_a_body_that_was_read_may_have_been_sent(sandbox: Sandbox) -> None:
    """Invariant 1: who reads the body could send a copy, so it is uncertain, and told as sent."""
    told: list[Observation] = []
    async with aiohttp.ClientSession(middlewares=[reading]) as http:
        ended = await ending(sandbox, http, told)
    assert isinstance(ended, SubmissionUncertain)
    assert ended.sent_at is not None
    assert [type(one) for one in told] == [Sent, Uncertain]


@pytest.mark.parametrize("middleware", [signing, copying, reading_late])
async def test_a_body_that_is_read_and_sent_is_told_once(sandbox: Sandbox, middleware: Any) -> None:
    """Reading it and handing it out is one sending."""
    told: list[Observation] = []
    async with aiohttp.ClientSession(middlewares=[middleware]) as http:
        await ending(sandbox, http, told)
    assert sum(isinstance(one, Sent) for one in told) == 1


async def test_invariant_1_a_copy_that_is_paid_is_proved_by_its_callback() -> None:
    """Invariant 1: the callback URL of a body that was only read is good as well."""
    async with receiving() as receiver, world("dropped after") as sandbox:
        async with aiohttp.ClientSession(middlewares=[copying]) as http:
            ended = await ending(sandbox, http, [], receiver=receiver)
        assert isinstance(ended, InstrumentalTask)
        assert [charge.task_id for charge in sandbox.ledger] == [ended.task_id]


async def test_what_something_else_answered_is_behind_the_error(sandbox: Sandbox) -> None:
    """Nothing was sent, and the answer that came in the service's place tells why."""
    async with aiohttp.ClientSession(middlewares=[asking_something_else]) as http:
        ended = await ending(sandbox, http, [])
    assert isinstance(ended, ConnectionFailed)
    assert not ended.request_sent
    assert isinstance(ended.__cause__, ProtocolError)
    assert sandbox.submissions == []


# --- sessions that cannot send --------------------------------------------------------------------


class _NoRequest(aiohttp.ClientRequest):
    """A request that cannot be made."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        raise LookupError("no request today")


class _NoSend(aiohttp.ClientRequest):
    """A request that cannot be sent."""

    async def _send(self, conn: Any) -> aiohttp.ClientResponse:
        raise aiohttp.ClientConnectorError(KEY, OSError(111, "refused"))


class _NoConnection(aiohttp.TCPConnector):
    """A connector that fails."""

    async def connect(self, *_: Any, **__: Any) -> Any:
        raise LookupError("no connection today")


class _NoResponse(aiohttp.ClientResponse):
    """A response that fails when its head is there."""

    async def start(self, connection: Any) -> aiohttp.ClientResponse:
        await super().start(connection)
        raise aiohttp.ClientConnectorError(KEY, OSError(111, "no collector"))


UNABLE: dict[str, Callable[[], aiohttp.ClientSession]] = {
    "auth=": lambda: aiohttp.ClientSession(auth=aiohttp.BasicAuth("me", "s3cret")),
    "request_class": lambda: aiohttp.ClientSession(request_class=_NoRequest),
    "connector": lambda: aiohttp.ClientSession(connector=_NoConnection()),
    "response_class": lambda: aiohttp.ClientSession(response_class=_NoResponse),
    "trust_env": lambda: aiohttp.ClientSession(trust_env=True),
    "proxy": lambda: aiohttp.ClientSession(proxy="http://127.0.0.1:1"),
}


@pytest.mark.filterwarnings("ignore:(BasicAuth|The 'auth' parameter) is deprecated")
@pytest.mark.parametrize("name", UNABLE)
@pytest.mark.usefixtures("netrc")
async def test_invariant_1_a_client_session_may_fail_anywhere(name: str) -> None:
    """Invariant 1: before anything is sent, and after it."""
    assert await faults(UNABLE[name]) == {}


@pytest.mark.filterwarnings("ignore:(BasicAuth|The 'auth' parameter) is deprecated")
@pytest.mark.parametrize("name", ["auth=", "request_class", "connector", "proxy"])
async def test_what_was_never_sent_is_not_uncertain(sandbox: Sandbox, name: str) -> None:
    """Nothing reached the service, and the error says so."""
    async with UNABLE[name]() as http:
        ended = await ending(sandbox, http, [])
    assert isinstance(ended, ConnectionFailed | UnexpectedError), ended
    assert "nothing was sent" in str(ended) or "no connection" in str(ended)
    assert sandbox.requests == []


@pytest.mark.usefixtures("netrc")
async def test_a_password_of_the_machine_does_not_stand_in_for_the_key(sandbox: Sandbox) -> None:
    """With `trust_env` and a netrc entry for the host, the key is sent all the same."""
    async with aiohttp.ClientSession(trust_env=True) as http:
        ended = await ending(sandbox, http, [])
    assert isinstance(ended, InstrumentalTask) or sandbox.requests == []
    assert all(seen.authorized for seen in sandbox.requests)


async def test_reconciling_is_not_kept_from_by_a_hook(sandbox: Sandbox) -> None:
    """An uncertain submission waits for its callback although a hook says it was cancelled."""
    async with (
        receiving() as receiver,
        hooked("on_request_end", RAISED["CancelledError"]) as http,
    ):
        reconcile = timedelta(seconds=5)
        ended = await ending(sandbox, http, [], receiver=receiver, reconcile_for=reconcile)
    assert isinstance(ended, InstrumentalTask)
