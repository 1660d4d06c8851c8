"""The key is nowhere but on its way to the API: not at rest, not in flight, not in what is told."""

import asyncio
import base64
import io
import json
import logging
import pickle
import traceback
from collections.abc import AsyncIterator, Awaitable, Iterator
from datetime import datetime
from pathlib import Path
from types import CoroutineType, FrameType
from typing import Any
from urllib.parse import quote

import aiohttp
import pytest
from attrs import evolve

from suno_async import (
    AddInstrumentalRequest,
    CallbackReceiver,
    InstrumentalTask,
    SunoError,
    SunoSession,
    to_json,
)
from suno_async.durable import JobState
from suno_async.sandbox import Call, EnvelopeError, HttpError, Reply, Sandbox
from tests.callbacks.hosting import callback, listener, post, uvicorn_server
from tests.cli.command import Command
from tests.cli.preloaded import Server
from tests.durable.using import becomes, tables, working
from tests.telemetry.exported import Exported
from tests.waiting import until
from tests.world import EAGER, song, tcp_service

KEY = "sk-Geheim/7+x.0123456789-abcdefg"
# as it is, cut off at either end, in base 64 at each of its offsets, in hexadecimal, in a URL
FORMS = [
    KEY[:12],
    KEY[8:20],
    KEY[::-1][:12],
    KEY[:12].encode().hex(),
    quote(KEY, safe="")[:14],
    *(base64.b64encode(bytes(at) + KEY.encode()).decode()[8:20] for at in range(3)),
]
ECHO = f"Bearer {KEY} is not known, {json.dumps(KEY)}"
FAULTS: dict[str, Any] = {
    "an envelope": EnvelopeError(401, ECHO),
    "a page": Reply(502, f"<h1>{ECHO}</h1>"),
    "a broken frame": Reply(500, ECHO, frame="short"),
    "a header": Reply(429, "", {"Retry-After": KEY, "X-Echo": ECHO}),
    "another code": EnvelopeError(451, ECHO),
}


TWICE = evolve(EAGER, attempts=2, patience=EAGER.base)
# of uvicorn, below DEBUG
TRACE = 5


def shows_key(data: str | bytes) -> bool:
    """Tell whether something holds the key, in whatever form."""
    text = data if isinstance(data, str) else data.decode("latin-1")
    return any(form in text for form in FORMS)


def files_of(folder: Path) -> list[Path]:
    """List all files of a folder and those in it."""
    return [path for path in folder.rglob("*") if path.is_file()]


@pytest.fixture
async def knowing() -> AsyncIterator[Sandbox]:
    """A sandbox with the key."""
    async with Sandbox(api_key=KEY, time_scale=0.002, submissions_per_window=None) as sandbox:
        yield sandbox


def test_every_form_is_found() -> None:
    """The key in base 64 within other bytes, in hexadecimal, escaped, or cut."""
    for before in range(4):
        assert shows_key(base64.b64encode(b"x" * before + KEY.encode() + b"y"))
    for text in (KEY, f"Bearer {KEY}", KEY.encode().hex(), quote(KEY, safe=""), KEY[:20]):
        assert shows_key(text)
    assert not shows_key("sk-Geheim and other words")


# --- at rest --------------------------------------------------------------------------------------


async def test_a_run_leaves_it_nowhere(knowing: Sandbox, tmp_path: Path, starter: Server) -> None:
    """Not in the folder, its database, page, table and log, and not on the screen."""
    (tmp_path / "songs.csv").write_text(
        "title,tags,negative_tags,upload_url\n"
        + "".join(f"{n},pop,metal,https://h/{n}.wav\n" for n in range(4))
    )
    for fault in ("another code", "a broken frame"):
        knowing.inject(Call.SUBMIT, FAULTS[fault])
    command = Command(tmp_path, knowing, starter)
    words = ("--log", "log.txt", "generate", *command.service, "--manifest", "songs.csv")
    ended = await command.run(*words, "--yes")
    assert ended.status == 1
    assert "451" in ended.err
    assert "submitted" in (tmp_path / "log.txt").read_text()
    assert not shows_key(ended.out + ended.err)
    files = files_of(tmp_path)
    names = {path.name for path in files}
    assert {"run.db", "index.html", "tracks.csv", "log.txt"} <= names
    assert [path for path in files if shows_key(path.read_bytes())] == []


async def test_a_browser_does_not_get_it(knowing: Sandbox, tmp_path: Path, starter: Server) -> None:
    """What `open` starts has no key in its environment."""
    (tmp_path / "index.html").write_text("a page")
    browser = tmp_path / "browser"
    browser.write_text('#!/bin/sh\nenv > "$HERE/seen.part"; mv "$HERE/seen.part" "$HERE/seen"\n')
    browser.chmod(0o755)
    env = {"BROWSER": f"{browser} %s", "HERE": str(tmp_path)}
    ended = await Command(tmp_path, knowing, starter).run("open", ".", env=env)
    assert ended.status == 0
    await until(lambda: (tmp_path / "seen").exists())
    seen = (tmp_path / "seen").read_text()
    assert "BROWSER=" in seen
    assert not shows_key(seen)


async def test_jobs_leave_it_nowhere(database: str, knowing: Sandbox, tmp_path: Path) -> None:
    """Not in a table of a database of either kind, whatever became of the jobs."""
    async with working(database, knowing) as durable:
        for key in ("a page", "another code", "none"):
            if key in FAULTS:
                knowing.inject(Call.SUBMIT, FAULTS[key])
            else:
                knowing.inject(Call.DETAILS, FAULTS["an envelope"])
            job = await durable.submit(key, song(title=key))
            await becomes(job, JobState.FAILED, JobState.UNCERTAIN, JobState.COMPLETE)
    found = tables(database)
    states = {row["state"] for row in found["suno_jobs"]}
    assert states == {"failed", "uncertain", "complete"}
    assert not shows_key(repr(found))
    assert not any(shows_key(path.read_bytes()) for path in files_of(tmp_path))


# --- in what is told ------------------------------------------------------------------------------


async def _everything(suno: SunoSession) -> list[object]:
    """Make each call; return what it gave or raised."""
    calls: list[Awaitable[object]] = [
        suno.upload(b"RIFF"),
        suno.submit(song()),
        suno.details("t1"),
        suno.credits(),
        suno.generate(song()),
    ]
    ended = list(await asyncio.gather(*calls, return_exceptions=True))
    return ended + [outcome async for outcome in suno.generate_many([song(), song()])]


@pytest.mark.parametrize("fault", [None, *FAULTS])
async def test_pickles_and_json_do_not_hold_it(knowing: Sandbox, fault: str | None) -> None:
    """Of values, of errors and what is behind them, and of what observers are told."""
    told: list[object] = []
    if fault is not None:
        for call in Call:
            knowing.inject(call, FAULTS[fault], times=None)
    async with knowing.session(retry=TWICE, observers=[told.append]) as suno:
        ended = await _everything(suno)
        with pytest.raises((TypeError, AttributeError, pickle.PicklingError)):
            pickle.dumps(suno)
    assert told
    for one in [*ended, *told]:
        if not isinstance(one, InstrumentalTask):  # which stays in its session
            assert not shows_key(pickle.dumps(one))
        assert not shows_key(repr(one))
        if isinstance(one, SunoError):
            assert not shows_key(to_json(one))
            assert not shows_key("".join(traceback.format_exception(one)))


@pytest.mark.parametrize("fault", FAULTS)
async def test_telemetry_does_not_hold_it(knowing: Sandbox, fault: str) -> None:
    """No attribute, event or status of a span, and no metric."""
    exported = Exported()
    for call in Call:
        knowing.inject(call, FAULTS[fault], times=None)
    async with knowing.session(retry=TWICE, observers=[exported.telemetry]) as suno:
        await _everything(suno)
    spans = [span.to_json() for span in exported.all_spans]
    assert spans
    assert not shows_key("".join(spans))
    assert not shows_key(repr(exported.metrics()))


class Shown(logging.Handler):
    """Writes records as loggers do that show locals and whatever a record carries."""

    def __init__(self) -> None:
        super().__init__()
        self.text: io.StringIO = io.StringIO()

    def emit(self, record: logging.LogRecord) -> None:
        """Write all of it."""
        self.text.write(f"{record.name} {record.getMessage()} {vars(record)!r}\n")
        if record.exc_info and record.exc_info[1] is not None:
            self.text.write(all_locals(record.exc_info[1]))


def all_locals(error: BaseException) -> str:
    """Write an exception with the locals of all frames, as `rich` does too, but for these tests."""
    shown = traceback.TracebackException.from_exception(error, capture_locals=True, compact=False)
    lines: list[str] = []
    behind: list[traceback.TracebackException | None] = [shown]
    while behind:
        one = behind.pop()
        if one is None:
            continue
        lines += one.format_exception_only()
        lines += [f"{frame.filename} {frame.locals}" for frame in one.stack if _is_theirs(frame)]
        behind += one.__cause__, one.__context__, *(one.exceptions or ())
    return "\n".join(lines)


def _is_theirs(frame: traceback.FrameSummary) -> bool:
    return "/tests/" not in frame.filename


@pytest.fixture
def shown() -> Iterator[Shown]:
    """All that is logged, by whomever."""
    handler = Shown()
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield handler
    root.removeHandler(handler)
    root.setLevel(level)


async def _raises(*_: object) -> None:
    raise LookupError("a function of the caller's")


async def test_logs_with_locals_do_not_hold_it(knowing: Sandbox, shown: Shown) -> None:
    """Whatever a caller hands in fails, at DEBUG, with each step of the event loop logged."""

    def observe(_: object) -> None:
        raise LookupError("an observer")

    async def on_submitted(_: str, __: AddInstrumentalRequest, ___: datetime) -> None:
        raise LookupError("a hook")

    loop = asyncio.get_running_loop()
    loop.set_debug(True)
    loop.slow_callback_duration = 0.0
    trace = aiohttp.TraceConfig()
    trace.on_request_end.append(_raises)
    async with aiohttp.ClientSession(trace_configs=[trace]) as http:
        handed_in: list[dict[str, Any]] = [
            {"observers": [observe]},
            {"on_submitted": on_submitted},
            {"client_session": http},
        ]
        for settings in handed_in:
            async with knowing.session(retry=TWICE, **settings) as suno:
                for ended in await _everything(suno):
                    if isinstance(ended, BaseException):
                        shown.text.write(all_locals(ended))
    text = shown.text.getvalue()
    for word in ("Executing <", "an observer failed", "a hook", "a function of the caller's"):
        assert word in text, word
    assert not shows_key(text)


async def test_what_is_in_flight_does_not_show_it() -> None:
    """No local of any frame of any task, as a debugger sees them while calls are under way."""
    asked: list[bytes] = []

    async def say_nothing(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        await asyncio.Event().wait()

    async with (
        tcp_service(say_nothing) as service,
        SunoSession(KEY, base_url=service.base_url, timeout=30) as suno,
    ):
        waiting = (suno.submit(song()), suno.details("t1"), suno.credits(), suno.upload(b"RIFF"))
        calls = [asyncio.ensure_future(call) for call in waiting]
        await until(lambda: len(asked) == len(calls))
        tasks = asyncio.all_tasks()
        seen = [text for task in tasks for text in (repr(task), *_frames(task.get_coro()))]
        for call in calls:
            call.cancel()
        await asyncio.wait(calls)
    assert all(KEY.encode() in head for head in asked)
    assert any("transport.py" in text for text in seen)
    assert [text for text in seen if shows_key(text)] == []


def _frames(coroutine: object) -> Iterator[str]:
    """Write the locals of a coroutine, and of those that it waits for."""
    while isinstance(coroutine, CoroutineType):
        frame: FrameType | None = coroutine.cr_frame
        if frame is not None and "/tests/" not in frame.f_code.co_filename:
            yield f"{frame.f_code.co_filename} {frame.f_locals}"
        coroutine = coroutine.cr_await


async def test_a_web_service_that_logs_all_shows_no_secret(shown: Shown) -> None:
    """Uvicorn at its most talkative knows neither the receiver's secret nor its key."""
    secret, hmac_key = f"secret {KEY}", f"hmac {KEY}"
    opened = listener()
    port = opened.getsockname()[1]
    receiver = CallbackReceiver(
        f"http://127.0.0.1:{port}/suno", secret=secret, hmac_key=hmac_key, on_unplaced=_raises
    )
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access", "uvicorn.asgi"):
        logging.getLogger(name).setLevel(TRACE)
    try:
        async with uvicorn_server(receiver.asgi, opened):
            expected = receiver.expect()
            assert (await post(expected.url))[0] == 401
            assert (await post(f"{receiver.public_url}/x", callback()))[0] == 404
    finally:
        for name in ("uvicorn", "uvicorn.error", "uvicorn.access", "uvicorn.asgi"):
            logging.getLogger(name).setLevel(logging.NOTSET)
    assert "refused a callback" in shown.text.getvalue()
    assert not shows_key(shown.text.getvalue())


async def test_a_vault_that_fails_does_not_show_it(knowing: Sandbox, shown: Shown) -> None:
    """What is asked for the key holds it, and raises with it in its message."""
    asked = 0

    def ask() -> str:
        nonlocal asked
        asked += 1
        if asked > 1:
            raise LookupError(f"the vault has {KEY}")
        return KEY

    knowing.inject(Call.SUBMIT, EnvelopeError(401, ECHO), times=None)
    knowing.inject(Call.CREDITS, HttpError(401), times=None)
    async with knowing.session(retry=TWICE, api_key=ask) as suno:
        for ended in await _everything(suno):
            if isinstance(ended, BaseException):
                shown.text.write(all_locals(ended))
    assert asked > 1
    assert not shows_key(shown.text.getvalue())
