"""The command out of a process that has loaded its libraries: loading them takes most of a start.

A server (the standard library's) loads them once and forks a process for each command. That is a
process as any other, with signals, limits and descriptors of its own; only how modules are found
and loaded is not tried here.
"""

import asyncio
import atexit
import multiprocessing
import os
import signal
import sys
from collections.abc import Mapping
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from attrs import define, field, frozen

# what `generate` loads as it runs
_LOADED = (
    "dbos._sys_db_sqlite",
    "mutagen.wave",
    "suno_async.cli.app",
    "suno_async.cli.config",
    "suno_async.cli.demo",
    "suno_async.cli.fetch",
    "suno_async.cli.song_run",
    "suno_async.cli.upload",
    "suno_async.cli.watch",
    "typer._adapters",
    "typer._click.decorators",
    __name__,
)


@frozen
class Call:
    """What a command is started with."""

    folder: Path
    environment: Mapping[str, str]
    words: tuple[str, ...]


def perform(call: Call, out: Connection, err: Connection) -> None:
    """Become the command."""
    for descriptor, stream in ((1, out), (2, err)):
        os.dup2(stream.fileno(), descriptor)
        stream.close()
    # as they are where the output is no terminal
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115 - until the end
    sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    os.chdir(call.folder)
    os.environ.clear()
    os.environ.update(call.environment)
    sys.argv = ["suno-async", *call.words]
    from suno_async.cli import main

    try:
        main()
    finally:
        # which only an interpreter that ends does by itself
        atexit._run_exitfuncs()


@define(eq=False)
class Forked:
    """A running command, with what tests use of `asyncio.subprocess.Process`."""

    process: ForkServerProcess
    stdout: asyncio.StreamReader
    stderr: asyncio.StreamReader
    ended: asyncio.Event = field(factory=asyncio.Event)

    @property
    def pid(self) -> int:
        """Its number."""
        assert self.process.pid is not None
        return self.process.pid

    @property
    def returncode(self) -> int | None:
        """Its status, or minus the signal's number; None while it runs."""
        return self.process.exitcode

    def send_signal(self, number: int) -> None:
        """Send it a signal."""
        os.kill(self.pid, number)

    def kill(self) -> None:
        """End it at once."""
        self.send_signal(signal.SIGKILL)

    async def wait(self) -> int:
        """Wait until it has ended."""
        await self.ended.wait()
        assert self.process.exitcode is not None
        return self.process.exitcode

    async def communicate(self) -> tuple[bytes, bytes]:
        """Read all that it prints, until it has ended."""
        out, err = await asyncio.gather(self.stdout.read(), self.stderr.read())
        await self.wait()
        return out, err


class Server:
    """Starts commands; it runs until the tests end."""

    def __init__(self) -> None:
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(list(_LOADED))
        first = self._context.Process(target=int)
        first.start()
        first.join()

    async def start(self, call: Call) -> Forked:
        """Start a command."""
        out, out_end = self._context.Pipe(duplex=False)
        err, err_end = self._context.Pipe(duplex=False)
        process = self._context.Process(target=perform, args=(call, out_end, err_end))
        process.start()
        out_end.close()
        err_end.close()
        forked = Forked(process, await _reader(out), await _reader(err))
        asyncio.get_running_loop().add_reader(process.sentinel, _end, forked)
        return forked


def _end(forked: Forked) -> None:
    asyncio.get_running_loop().remove_reader(forked.process.sentinel)
    forked.process.join()
    forked.ended.set()


async def _reader(end: Connection) -> asyncio.StreamReader:
    """Read one of its outputs."""
    pipe = os.fdopen(os.dup(end.fileno()), "rb", buffering=0)
    end.close()
    reader = asyncio.StreamReader()
    protocol = asyncio.StreamReaderProtocol(reader)
    await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, pipe)
    return reader
