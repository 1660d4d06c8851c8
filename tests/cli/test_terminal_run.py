"""A paid run in a real terminal: Ctrl-C once and twice, and a window that is closed."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from suno_async.sandbox import Call, Delay, TaskScript

from .command import Command
from .terminal import Terminal, terminal
from .test_interruption import LONG, SLOW
from .test_resume import ROWS, charges, files, named, resume, write_manifest

CTRL_C = "\x03"
GO_ON = "suno-async resume accompaniments"


@asynccontextmanager
async def running(
    command: Command, script: TaskScript, columns: int = 80
) -> AsyncIterator[Terminal]:
    """Run four songs, one at a time, in a terminal, until the first is submitted."""
    command.sandbox.script(script)
    write_manifest(command, ROWS)
    words = ("generate", *command.service, "--manifest", "songs.csv", "--max-in-flight", "1")
    async with terminal(
        command.server, command.folder, *words, columns=columns, environment=command.environment
    ) as seen:
        await seen.until(lambda lines: shows(lines, "submitted"))
        yield seen


def shows(lines: list[str], text: str) -> bool:
    """Tell whether a text is on the screen."""
    return any(text in line for line in lines)


async def check_that_it_goes_on(command: Command) -> None:
    """Start it again: nothing is paid for twice."""
    again = await resume(command)
    assert (again.status, again.err) == (0, "")
    assert files(command) == named(1, 2, 3, 4)
    assert charges(command) == 4


@pytest.mark.parametrize("columns", [80, 120])
async def test_ctrl_c_once_saves_what_is_paid_for(command: Command, columns: int) -> None:
    """It says so while it does, and how to go on when it is done."""
    async with running(command, SLOW, columns) as seen:
        seen.type(CTRL_C)
        await seen.until(lambda lines: shows(lines, "stopping"))
        printed = await seen.end()
    assert seen.process.returncode == 128 + signal.SIGINT
    assert seen.picture.too_long == 0
    assert shows(printed, "3 songs are not finished. Go on with:")
    assert shows(printed, GO_ON)
    assert (len(files(command)), charges(command)) == (2, 1)
    await check_that_it_goes_on(command)


async def test_ctrl_c_twice_leaves_at_once(command: Command) -> None:
    """The terminal is as it was, and says how to go on."""
    async with running(command, LONG) as seen:
        seen.type(CTRL_C)
        await seen.until(lambda lines: shows(lines, "stopping"))
        seen.type(CTRL_C)
        printed = await seen.end()
    assert seen.process.returncode == 128 + signal.SIGINT
    assert sum(GO_ON in line for line in printed) == 1, "\n".join(printed)
    assert charges(command) == 1
    await check_that_it_goes_on(command)


async def test_a_closed_window_saves_what_is_paid_for(command: Command) -> None:
    """The command ends by itself, with the status of a hang-up, when that is done."""
    async with running(command, SLOW) as seen:
        seen.vanish()
        async with asyncio.timeout(60):
            status = await seen.process.wait()
    assert status == 128 + signal.SIGHUP
    assert (len(files(command)), charges(command)) == (2, 1)
    await check_that_it_goes_on(command)


async def test_an_upload_is_seen(command: Command) -> None:
    """Songs whose stem is being uploaded say so, until it is there and they wait for their turn."""
    command.sandbox.script(LONG)
    command.sandbox.inject(Call.UPLOAD, Delay(600))
    write_manifest(command, ROWS[:2])
    words = ("generate", *command.service, "--manifest", "songs.csv", "--max-in-flight", "1")
    async with terminal(
        command.server, command.folder, *words, environment=command.environment
    ) as seen:
        lines = await seen.until(lambda lines: shows(lines, "2 uploading"))
        assert sum("uploading its stem" in line for line in lines) == 2
        await command.sandbox.drop_connections()  # and then it is uploaded once more
        lines = await seen.until(
            lambda lines: shows(lines, "1 in flight, 1 waiting for others to end")
        )
        assert not shows(lines, "uploading")
        seen.type(CTRL_C)
        await seen.until(lambda lines: shows(lines, "stopping"))
        seen.type(CTRL_C)
        await seen.end()
    assert command.sandbox.fault_count(Call.UPLOAD, Delay) == 1
