"""Invariant 7: the key is shown nowhere, and what the service says is never rewritten."""

import asyncio
import copy
import json
import logging
import pickle
import socket
import struct
import traceback
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from suno_async import ApiError, InvalidRequest, ProtocolError, SunoError, SunoSession
from suno_async.key import SHOWN, Masked, Scrubber, mask, read_key
from suno_async.sandbox import Call, DropAfter, EnvelopeError, Html200, HttpError, Reply, Sandbox
from suno_async.wire import Answer, read_credits, read_details, read_upload_url

from .world import EAGER, close_hidden, raw_service, session_for, song, tcp_service

KEY = "sk-Geheim/7+x.0123456789-abcdefg"
BEGINNING = KEY[:8]

CALLS: dict[str, Callable[[SunoSession], Awaitable[object]]] = {
    "submit": lambda suno: suno.submit(song()),
    "generate": lambda suno: suno.generate(song()),
    "details": lambda suno: suno.details("t1"),
    "credits": lambda suno: suno.credits(),
    "upload": lambda suno: suno.upload(b"RIFF"),
    "batch": lambda suno: _first(suno),
}


async def _first(suno: SunoSession) -> object:
    async for outcome in suno.generate_many([song()]):
        if outcome.error is not None:
            raise outcome.error
    return None


def frames_of(error: BaseException) -> str:
    """Write an exception as loggers do that show locals, but those of these tests."""
    shown = traceback.TracebackException.from_exception(error, capture_locals=True, compact=False)
    return "\n".join(_written(shown, set()))


def _written(shown: traceback.TracebackException, seen: set[int]) -> list[str]:
    seen.add(id(shown))
    lines = [*shown.format_exception_only()]
    for frame in shown.stack:
        if "/tests/" not in frame.filename:
            lines += [f"{frame.filename}:{frame.name}", *map(str, (frame.locals or {}).items())]
    for behind in (shown.__cause__, shown.__context__):
        if behind is not None and id(behind) not in seen:
            lines += _written(behind, seen)
    return lines


async def failure(calling: Awaitable[object]) -> BaseException:
    """Await what must fail; return how."""
    (error,) = await asyncio.gather(calling, return_exceptions=True)
    assert isinstance(error, BaseException)
    return error


# --- the masked key -------------------------------------------------------------------------------


def test_a_masked_key_is_the_key_and_does_not_show_it() -> None:
    """Headers are made of it, and debuggers see a stand-in."""
    masked = Masked(KEY)
    assert str(masked) == masked == KEY
    assert repr(masked) == repr(SHOWN)
    for holder in ([masked], {"a": masked}, (masked,), copy.copy(masked), copy.deepcopy(masked)):
        assert BEGINNING not in repr(holder)
    again = pickle.loads(pickle.dumps(masked))  # noqa: S301 - our own bytes
    assert (again == KEY, repr(again)) == (True, repr(SHOWN))


@pytest.mark.parametrize("given_key", [7, b"sk-Geheim", ["sk-Geheim"], object()])
def test_a_key_that_is_no_text_is_not_shown_either(given_key: Any) -> None:
    """Somebody gave the bytes of the key."""
    assert "Geheim" not in repr(mask(given_key))
    with pytest.raises(InvalidRequest) as raised:
        read_key(mask(given_key))
    assert "Geheim" not in frames_of(raised.value)


BAD_KEYS: list[Any] = [
    f"{KEY}\n",
    f"{KEY} x",
    f" {KEY}",
    f"{KEY}\u00e9",
    f"{KEY}\x00",
    KEY.encode(),
    [KEY],
]


@pytest.mark.parametrize("bad", BAD_KEYS, ids=lambda bad: repr(bad)[-8:])
def test_a_bad_key_is_shown_in_no_frame(bad: Any) -> None:
    """The constructor refuses it without showing it, nor any of its frames."""
    with pytest.raises(InvalidRequest) as raised:
        SunoSession(bad)
    assert "Geheim" not in frames_of(raised.value)


def test_a_bad_key_of_the_environment_is_shown_in_no_frame(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The same for the one of the environment."""
    monkeypatch.setenv("APIKLEY_API_KEY", f"{KEY} x")
    with pytest.raises(InvalidRequest) as raised:
        SunoSession()
    assert "Geheim" not in frames_of(raised.value)


@pytest.mark.parametrize(
    "wrong",
    [
        {"base_url": "nonsense"},
        {"base_url": "https://u:p@h"},
        {"timeout": -1},
        {"max_in_flight": 0},
        {"observers": 3},
        {"limits": 3},
        {"callback_url": ""},
    ],
    ids=str,
)
def test_a_bad_argument_beside_the_key_shows_it_in_no_frame(wrong: dict[str, Any]) -> None:
    """Whatever else the constructor refuses."""
    with pytest.raises(InvalidRequest) as raised:
        SunoSession(KEY, **wrong)
    assert "Geheim" not in frames_of(raised.value)


# --- the scrubber ---------------------------------------------------------------------------------

characters = st.characters(min_codepoint=33, max_codepoint=126)
keys = st.text(characters, min_size=1, max_size=40)


def escaped(key: str) -> str:
    """Write every character as JSON may."""
    return "".join(f"\\u{ord(character):04X}" for character in key)


@given(keys, st.text(max_size=20), st.text(max_size=20))
def test_the_whole_key_is_taken_out_wherever_it_is(key: str, before: str, behind: str) -> None:
    """Plain, as JSON writes it, as PHP escapes slashes, and all in escapes."""
    scrub = Scrubber(Masked(key))
    for form in (key, json.dumps(key)[1:-1], key.replace("/", "\\/"), escaped(key)):
        text = scrub(f"{before}{form}{behind}")
        assert SHOWN in text
        if len(key) > len(SHOWN):
            assert form not in text


@given(st.text(characters, min_size=9, max_size=40), st.data())
def test_a_key_that_is_cut_off_is_taken_out(key: str, data: st.DataObject) -> None:
    """What is left of it is not shown, from eight characters on."""
    cut = data.draw(st.integers(8, len(key)))
    assert Scrubber(Masked(key))(f"\u2026 {key[:cut]}").endswith(f"\u2026 {SHOWN}")
    assert Scrubber(Masked(key))(f"\u2026 {escaped(key[:cut])}").endswith(f"\u2026 {SHOWN}")


@given(keys, st.text(st.characters(min_codepoint=0x400, max_codepoint=0x500)))
def test_what_is_no_echo_stays_as_it_is(key: str, text: str) -> None:
    """A text without the key is not changed."""
    assert Scrubber(Masked(key))(text) == text


def test_every_echo_is_taken_out() -> None:
    """One behind the other, and cut-off ones between whole ones."""
    scrub = Scrubber(Masked(KEY))
    assert scrub(KEY * 3) == SHOWN * 3
    assert scrub(f"{KEY}, {KEY[:20]}, {KEY}") == f"{SHOWN}, {SHOWN}, {SHOWN}"
    assert scrub(KEY[:7]) == KEY[:7]


# --- what the service says ------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["test", "t", "task", "1", "code", "data"])
async def test_ids_and_bodies_are_never_rewritten(key: str) -> None:
    """With the key `test`, the id `test-task-1` stays what it is."""
    body = {"code": 200, "msg": "success", "data": {"taskId": "test-task-1"}}
    async with Sandbox(api_key=key) as sandbox, session_for(sandbox) as suno:
        sandbox.inject(Call.SUBMIT, Reply(200, body))
        task = await suno.submit(song(title="a test task"))
        assert task.task_id == "test-task-1"
        record = {"taskId": "test-task-1", "status": "PENDING", "param": "a test of data code 1"}
        sandbox.inject(Call.DETAILS, Reply(200, {"code": 200, "data": record}))
        details = await suno.details("test-task-1")
        assert (details.task_id, details.raw) == ("test-task-1", record)
        sandbox.inject(Call.CREDITS, Reply(200, {"code": 200, "data": 111}))
        assert await suno.credits() == 111


@pytest.mark.parametrize("key", ["k", "test", "credit-card-4711"])
async def test_what_is_decided_does_not_depend_on_the_key(key: str) -> None:
    """A refusal is judged by what was said, and scrubbed when it is shown."""
    said = "Your credit-card-4711 balance has not enough credits"
    async with Sandbox(api_key=key) as sandbox, session_for(sandbox, retry=EAGER) as suno:
        sandbox.inject(Call.SUBMIT, EnvelopeError(429, said), times=3)
        error = await failure(suno.submit(song()))
    assert type(error).__name__ == "InsufficientCredits"
    assert len(sandbox.submissions) == 1
    assert key not in str(error).replace(SHOWN, "").partition(":")[2].partition(";")[0]


# --- failures -------------------------------------------------------------------------------------

FAULTS: dict[str, Any] = {
    "dropped": DropAfter(),
    "a page": HttpError(502),
    "junk": Html200(),
    "an envelope": EnvelopeError(401, f"bad key {KEY}"),
    "an echo": Reply(500, {"code": 777, "msg": f"Bearer {KEY}", "data": {"key": KEY}}),
    "an echo in a page": Reply(502, f"<h1>{KEY}</h1>"),
    "an echo, cut": Reply(502, "x" * 975 + KEY),
    "an echo, cut later": Reply(502, "x" * 170 + KEY[:31]),
    "an echo in a broken frame": Reply(500, f"<h1>{KEY}", frame="short"),
    "escaped": Reply(422, f'{{"detail": "{escaped(KEY)}"}}'),
    "an echo in a header": Reply(429, "", {"Retry-After": KEY}),
    "nonsense": Reply(200, b"\xff\xfe\x00" + KEY.encode()),
    "a long text": Reply(422, {"detail": "x" * 1_980 + KEY}),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("name", CALLS)
async def test_no_failure_shows_the_key_in_any_frame(
    name: str, fault: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither texts, nor locals of the library's and of aiohttp's frames, nor logs show it."""
    caplog.set_level(logging.DEBUG)
    policy = evolve(EAGER, attempts=2, patience=EAGER.base)
    async with Sandbox(api_key=KEY) as sandbox:
        for call in Call:
            sandbox.inject(call, FAULTS[fault], times=None)
        async with session_for(sandbox, retry=policy, timeout=2) as suno:
            error = await failure(asyncio.wait_for(CALLS[name](suno), 5))
    assert isinstance(error, SunoError)
    assert "Geheim" not in frames_of(error)
    assert BEGINNING not in caplog.text


@pytest.mark.parametrize("name", ["submit", "credits", "upload"])
async def test_no_failure_of_the_network_shows_the_key_in_any_frame(name: str) -> None:
    """Connections that are refused, and reset before and while the request is written."""

    async def reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        sock: socket.socket = writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()

    async def slowly(*_: object) -> None:
        await asyncio.sleep(0.02)  # the reset comes first

    trace = aiohttp.TraceConfig()
    trace.on_connection_create_end.append(slowly)
    async with (
        tcp_service(reset) as service,
        aiohttp.ClientSession(trace_configs=[trace]) as http,
        SunoSession(
            KEY, base_url=service.base_url, client_session=http, retry=EAGER, timeout=1
        ) as suno,
    ):
        error = await failure(CALLS[name](suno))
    assert isinstance(error, SunoError)
    assert "Geheim" not in frames_of(error)
    async with SunoSession(KEY, base_url="http://127.0.0.1:1", retry=EAGER) as suno:
        error = await failure(CALLS[name](suno))
    assert "Geheim" not in frames_of(error)


HOOKS = ["on_request_start", "on_request_headers_sent", "on_request_end", "on_request_exception"]


@pytest.mark.parametrize("signal", HOOKS)
@pytest.mark.parametrize("name", ["submit", "credits", "details"])
async def test_a_hook_that_shows_what_it_was_given_does_not_show_the_key(
    name: str, signal: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Headers are masked for it, and what it wrote by itself is scrubbed."""
    caplog.set_level(logging.DEBUG)

    async def fail(_: Any, __: Any, params: Any) -> None:
        close_hidden(params)
        raise LookupError(f"{params!r} {dict(params.headers)['Authorization']}")

    trace = aiohttp.TraceConfig()
    getattr(trace, signal).append(fail)
    async with (
        Sandbox(api_key=KEY) as sandbox,
        aiohttp.ClientSession(trace_configs=[trace]) as http,
        session_for(sandbox, client_session=http, retry=EAGER) as suno,
    ):
        if signal == "on_request_exception":
            await sandbox.stop()
        error = await failure(CALLS[name](suno))
    assert isinstance(error, SunoError)
    assert "Geheim" not in frames_of(error)
    assert BEGINNING not in caplog.text


async def test_an_implicit_context_does_not_show_the_key() -> None:
    """What was handled when something else failed is behind it as well."""

    async def fail(_: Any, __: Any, params: Any) -> None:
        try:
            dict[str, int]()[str(params.headers["Authorization"])]
        except LookupError:
            raise KeyError("the second failure")  # noqa: B904 - that is the case

    trace = aiohttp.TraceConfig()
    trace.on_request_start.append(fail)
    async with (
        Sandbox(api_key=KEY) as sandbox,
        aiohttp.ClientSession(trace_configs=[trace]) as http,
        session_for(sandbox, client_session=http) as suno,
    ):
        for call in (suno.submit(song()), suno.credits()):
            error = await failure(call)
            assert "second failure" in str(error)
            assert "Geheim" not in frames_of(error)


async def test_a_middleware_that_notes_the_headers_does_not_show_the_key() -> None:
    """Notes of an exception are shown too."""

    async def fail(request: aiohttp.ClientRequest, _: Any) -> Any:
        error = OSError("no way")
        error.add_note(f"with {request.headers['Authorization']}")
        raise error

    async with (
        Sandbox(api_key=KEY) as sandbox,
        aiohttp.ClientSession(middlewares=[fail]) as http,
        session_for(sandbox, client_session=http, retry=EAGER) as suno,
    ):
        for call in (suno.submit(song()), suno.credits()):
            assert "Geheim" not in frames_of(await failure(call))


async def test_an_excerpt_that_ends_inside_an_echo_shows_none_of_it() -> None:
    """Wherever a page is cut off: what is left of the key is not shown."""
    for length in range(150, 215):
        page = b"x" * length + KEY.encode()
        answer = b"HTTP/1.1 502 No\r\nContent-Length: %d\r\n\r\n" % len(page) + page
        async with (
            raw_service(answer) as service,
            SunoSession(KEY, base_url=service.base_url) as suno,
        ):
            error = await failure(suno.submit(song()))
        assert BEGINNING not in f"{error} {error!r} {error.__cause__!r}"


async def test_logs_of_all_calls_do_not_show_the_key(caplog: pytest.LogCaptureFixture) -> None:
    """At DEBUG, of the library, of aiohttp and of asyncio."""
    caplog.set_level(logging.DEBUG)
    asyncio.get_running_loop().set_debug(True)
    async with Sandbox(api_key=KEY, time_scale=0) as sandbox, session_for(sandbox) as suno:
        await suno.upload(b"RIFF")
        task = await suno.submit(song())
        await suno.details(task.task_id)
        await suno.credits()
    assert caplog.records
    assert BEGINNING not in caplog.text
    assert BEGINNING not in f"{suno!r} {vars(suno)!r}"


def test_an_error_of_the_api_says_what_was_said() -> None:
    """Scrubbing is for keys alone."""
    assert str(ApiError(418, "a teapot")) == "the service answered 418: a teapot"


READERS: dict[str, Callable[[Answer], object]] = {
    "credits": read_credits,
    "upload": read_upload_url,
    "details": lambda answer: read_details(answer, "t1"),
}


@pytest.mark.parametrize("name", READERS)
def test_invariant_7_what_cannot_be_read_is_in_no_frame(name: str) -> None:
    """Invariant 7: data that echoes the key, and is not what was asked for, is no frame's local."""
    body = json.dumps({"code": 200, "msg": "success", "data": f"Bearer {KEY}"}).encode()
    with pytest.raises(ProtocolError) as raised:
        READERS[name](Answer(200, body, None, Scrubber(Masked(KEY))))
    assert BEGINNING not in frames_of(raised.value)
