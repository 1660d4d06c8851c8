"""The command out of a process that has loaded its libraries: loading them takes most of a start.

A server (the standard library's) loads them once and forks a process for each command. That is a
process as any other, with signals, limits and descriptors of its own; only how modules are found
and loaded is not tried here.
"""

import asyncio
import atexit
import fcntl
import multiprocessing
import os
import signal
import sys
import termios
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


def perform(call: Call, streams: Mapping[int, Connection]) -> None:
    """Become the command; its terminal, if it has one, is the one that controls it."""
    for descriptor, stream in streams.items():
        os.dup2(stream.fileno(), descriptor)
        stream.close()
    if os.isatty(0):
        os.setsid()
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    # as an interpreter opens them
    sys.stdin = open(0, closefd=False)  # noqa: SIM115 - until the end
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
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
    stdout: asyncio.StreamReader | None = None
    stderr: asyncio.StreamReader | None = None
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
        assert self.stdout is not None
        assert self.stderr is not None
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

    def start(self, call: Call, streams: Mapping[int, int]) -> Forked:
        """Start a command.

        Args:
            call: What it is started with.
            streams: The descriptors, open here, that are its input (0), output (1) and errors (2);
                its input is empty where there is none.
        """
        given = {number: Connection(os.dup(here)) for number, here in streams.items()}
        process = self._context.Process(target=perform, args=(call, given))
        process.start()
        for connection in given.values():
            connection.close()
        forked = Forked(process)
        asyncio.get_running_loop().add_reader(process.sentinel, _end, forked)
        return forked

    async def start_read(self, call: Call) -> Forked:
        """Start a command whose output and errors are read."""
        (out, its_out), (err, its_err) = os.pipe(), os.pipe()
        forked = self.start(call, {1: its_out, 2: its_err})
        os.close(its_out)
        os.close(its_err)
        forked.stdout, forked.stderr = await _reader(out), await _reader(err)
        return forked


def _end(forked: Forked) -> None:
    asyncio.get_running_loop().remove_reader(forked.process.sentinel)
    forked.process.join()
    forked.ended.set()


async def _reader(pipe: int) -> asyncio.StreamReader:
    """Read one of its outputs."""
    reader = asyncio.StreamReader()
    protocol = asyncio.StreamReaderProtocol(reader)
    end = os.fdopen(pipe, "rb", buffering=0)
    await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, end)
    return reader
