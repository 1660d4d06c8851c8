"""Ctrl-C typed in the first moments, while the command loads what it needs."""

import signal

import pytest

import suno_async

from .command import Command, printed_words
from .terminal import terminal
from .test_terminal_run import CTRL_C, shows

# stops the command as it begins to load a module: within a finaliser, since what is raised there is
# printed and lost, as it is in the import system's own callbacks
_STOPPING = """
import os, sys, time

class Last:
    def __del__(self):
        os.write(1, b"loading\\n")
        time.sleep(120)

class Stopping:
    @staticmethod
    def find_spec(name, path, target=None):
        if name == {module!r}:
            Last()

sys.meta_path.insert(0, Stopping)
from suno_async.cli import main
main()
"""
_SONG = ("--title", "One", "--tags", "piano", "--negative-tags", "metal", "--stem", "short.wav")


@pytest.mark.parametrize(
    ("module", "words"),
    [
        ("suno_async.cli.app", ("generate", *_SONG)),
        ("suno_async.cli.generate", ("generate", *_SONG)),
        ("suno_async.cli.demo", ("demo",)),
    ],
)
async def test_it_ends_at_once_and_leaves_nothing(
    command: Command, module: str, words: tuple[str, ...]
) -> None:
    """Whatever is being loaded: no traceback, the status of the signal, and no file."""
    before = set(command.folder.rglob("*"))
    async with terminal(
        command.server,
        command.folder,
        *words,
        environment=command.environment,
        call=_STOPPING.format(module=module),
    ) as seen:
        await seen.until(lambda lines: shows(lines, "loading"))
        seen.type(CTRL_C)
        printed = await seen.end()
    assert printed == ["loading", "^C"]
    assert seen.process.returncode == 128 + signal.SIGINT
    assert set(command.folder.rglob("*")) == before


async def test_what_is_ignored_stays_ignored(command: Command) -> None:
    """As in the background of a script: the command goes on to its end."""
    stopping = _STOPPING.format(module="suno_async.cli.app")
    struck = stopping.replace("time.sleep(120)", "os.kill(os.getpid(), signal.SIGINT)")
    call = f"import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)\n{struck}"
    ended = await command.run("--version", call=call)
    assert (ended.status, ended.err) == (0, "")
    assert ended.out == f"loading\nsuno-async {suno_async.__version__}\n"


def test_signals_are_taken_before_anything_is_loaded() -> None:
    """What comes before is the interpreter's own start, and a few modules that it needs."""
    code = "import sys; from suno_async.cli import main; print(*sys.modules)"
    loaded = printed_words("-S", "-c", code)
    assert "suno_async.cli.starting" in loaded
    assert not loaded & {"typing", "re", "contextlib", "importlib.util", "attrs", "asyncio"}
