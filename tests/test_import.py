"""Importing the library is cheap: no extra is loaded, and nothing is started."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import suno_async

ROOT = Path(__file__).parent.parent
EXTRAS = [
    *("typer", "rich", "jinja2", "click", "dbos", "opentelemetry"),
    *("pytest", "hypothesis", "fastapi", "uvicorn", "pydantic"),
]


def after_import(report: str, before: str = "pass") -> object:
    """Import everything public in a fresh interpreter; return what the expression says then."""
    code = f"import json, sys\n{before}\nimport suno_async\nfrom suno_async import *\n"
    code += f"print(json.dumps({report}))"
    run = subprocess.run(  # noqa: S603 - our own interpreter
        [sys.executable, "-W", "error", "-c", code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stderr == ""
    value: object = json.loads(run.stdout)
    return value


def test_invariant_10_no_extra_is_imported() -> None:
    """Invariant 10: neither an extra nor one of our own optional rooms is loaded."""
    loaded = after_import("sorted(sys.modules)")
    assert isinstance(loaded, list)
    assert not {name.partition(".")[0] for name in loaded} & set(EXTRAS)
    rooms = {name for name in loaded if name.startswith("suno_async.")}
    assert not {room for room in rooms if room.split(".")[1] in {"cli", "sandbox", "durable"}}
    assert not rooms & {"suno_async.pytest_plugin", "suno_async.telemetry"}


def test_invariant_10_nothing_is_started() -> None:
    """Invariant 10: no thread, no event loop, no handler of signals or logs comes of an import."""
    report = (
        "[threading.active_count(), asyncio._get_running_loop() is None, logging.root.handlers]"
    )
    assert after_import(report, "import asyncio, logging, threading") == [1, True, []]


def test_invariant_10_nothing_is_opened() -> None:
    """Invariant 10: importing opens no socket, starts no process, and reads no API key."""
    watch = """
seen = []
def hook(event, args):
    if event.startswith(("socket.", "subprocess.", "os.fork", "os.exec", "os.system")):
        seen.append(event)
sys.addaudithook(hook)
"""
    assert after_import("[e for e in seen if e != 'socket.gethostname']", watch) == []


@pytest.mark.parametrize("extra", ["orjson", "typer", "rich", "dbos", "opentelemetry"])
def test_invariant_10_no_extra_is_needed(extra: str) -> None:
    """Invariant 10: the library works where an extra is not installed."""
    report = 'suno_async.to_json(suno_async.Track(id="x"))'
    assert str(after_import(report, f"sys.modules[{extra!r}] = None")).startswith('{"id":"x"')


def test_everything_public_can_be_imported() -> None:
    """What `__all__` promises is there."""
    assert after_import("[n for n in suno_async.__all__ if not hasattr(suno_async, n)]") == []


def test_a_name_is_loaded_when_it_is_asked_for() -> None:
    """The bare import loads nothing: in every run of pytest on a machine the plugin brings it."""
    code = "import sys, suno_async; print([name for name in sys.modules if 'aiohttp' in name])"
    code += "; suno_async.InvalidRequest, suno_async.errors.InvalidRequest; print(dir(suno_async))"
    run = subprocess.run(  # noqa: S603 - our own interpreter
        [sys.executable, "-W", "error", "-c", code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    first, second = run.stdout.splitlines()
    assert first == "[]"
    assert "'SunoSession'" in second


def test_what_is_not_public_is_not_there() -> None:
    """A name that no module has is an `AttributeError` like any other."""
    with pytest.raises(AttributeError, match="module 'suno_async' has no attribute 'nothing'"):
        _ = suno_async.nothing


def test_a_session_loads_what_every_session_needs_and_no_more() -> None:
    """What moves audio, receives callbacks, or stores values is loaded when it is first used."""
    code = "import sys\nfrom suno_async import SunoSession\nprint(*sys.modules)"
    run = subprocess.run(  # noqa: S603 - our own interpreter
        [sys.executable, "-W", "error", "-c", code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = set(run.stdout.split())
    assert "suno_async.session" in loaded
    rooms = ("media", "callbacks", "webhook", "posted", "heads", "storage")
    assert not loaded & {f"suno_async.{room}" for room in rooms}
