"""A command that is asked to stop: once, what is paid for comes home; twice, it leaves at once."""

import asyncio
import signal

import pytest

from suno_async.sandbox import TaskScript

from .command import Command, Running
from .test_resume import charges, files, named, resume, write_manifest

ROWS = [f"Song {number},piano,metal,short.wav" for number in range(1, 5)]
# long enough for signals to come between, in the sandbox's seconds
SLOW = TaskScript((("TEXT_SUCCESS", 500), ("FIRST_SUCCESS", 1000), ("SUCCESS", 1500)))
LONG = TaskScript((("SUCCESS", 5000),))


async def begin(command: Command, script: TaskScript, *words: str) -> Running:
    """Run four songs, one at a time, until the first is submitted; its task follows a script."""
    command.sandbox.script(script)
    write_manifest(command, ROWS)
    options = ("--manifest", "songs.csv", "--max-in-flight", "1", *words)
    running = await command.start("generate", *command.service, *options)
    await running.until("submitted as task")
    return running


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
async def test_once_brings_home_what_is_paid_for(command: Command, how: signal.Signals) -> None:
    """Nothing more is submitted, the song that runs is saved, and the rest goes on later."""
    running = await begin(command, SLOW)
    running.process.send_signal(how)
    ended = await running.end()
    assert ended.status == 128 + how
    assert "stopping" in ended.out
    assert "3 songs are not finished. Go on with:\n  suno-async resume accompaniments" in ended.err
    assert len(files(command)) == 2
    assert charges(command) == 1
    again = await resume(command)
    assert (again.status, again.err) == (0, "")
    assert files(command) == named(1, 2, 3, 4)
    assert charges(command) == 4


async def test_twice_leaves_at_once(command: Command) -> None:
    """How to go on is said before; the task that is paid for is found again."""
    running = await begin(command, LONG)
    running.process.send_signal(signal.SIGINT)
    await running.until("stopping")
    running.process.send_signal(signal.SIGINT)
    ended = await running.end()
    assert ended.status == 130
    assert "4 songs are not finished. Go on with:\n  suno-async resume accompaniments" in ended.err
    assert ended.err.count("Go on with") == 1
    assert charges(command) == 1
    again = await resume(command)
    assert (again.status, again.err) == (0, "")
    assert charges(command) == 4


async def test_a_closed_terminal_is_told_twice_and_counts_once(command: Command) -> None:
    """The kernel says so, and the shell: that is no second wish."""
    running = await begin(command, SLOW)
    running.process.send_signal(signal.SIGHUP)
    await running.until("stopping")
    running.process.send_signal(signal.SIGHUP)
    ended = await running.end()
    assert ended.status == 129
    assert (len(files(command)), charges(command)) == (2, 1)


async def test_what_was_ignored_stays_ignored(command: Command) -> None:
    """As with `nohup`, or in the background of a script."""

    def ignore() -> None:
        for number in (signal.SIGHUP, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)

    write_manifest(command, ROWS[:1])
    command.sandbox.script(SLOW)
    words = ("generate", *command.service, "--manifest", "songs.csv")
    running = await command.start(*words, before=ignore)
    await running.until("submitted as task")
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGHUP):
        running.process.send_signal(number)
    ended = await running.end()
    assert (ended.status, ended.err) == (0, "")
    assert files(command) == named(1)


async def test_a_closed_pipe_stops_as_a_signal_does(command: Command) -> None:
    """Nobody reads any more: what is paid for is saved, and nothing else submitted."""
    running = await begin(command, SLOW)
    assert running.process.stdout is not None
    running.process.stdout._transport.close()  # type: ignore[attr-defined] # no public way
    async with asyncio.timeout(60):
        status = await running.process.wait()
    assert status == 128 + signal.SIGPIPE
    assert (len(files(command)), charges(command)) == (2, 1)
    again = await resume(command)
    assert (again.status, charges(command)) == (0, 4)
    assert files(command) == named(1, 2, 3, 4)
