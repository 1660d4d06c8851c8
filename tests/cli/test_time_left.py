"""The time that is left, as a run on a terminal says it."""

import re

from suno_async.sandbox import TaskScript

from .command import Command
from .terminal import terminal
from .test_interruption import LONG
from .test_terminal_run import CTRL_C
from .test_watch import submitted

DONE = TaskScript((("SUCCESS", 0),))
_LEFT = re.compile(r" 3 of 4, about (\d+) s left$")


def left_s(lines: list[str]) -> int:
    """Tell how many seconds are said to be left; 0 when nothing is said of it."""
    return next((int(found[1]) for line in lines if (found := _LEFT.search(line))), 0)


async def test_a_run_lasts_until_it_looks_again(command: Command) -> None:
    """Three tasks are there at the first look; the fourth can end at the next, a minute later."""
    tasks = await submitted(command.sandbox, DONE, DONE, DONE, LONG)
    words = ("--base-url", command.sandbox.base_url, "--interval", "60", *tasks)
    async with terminal(
        command.server, command.folder, "fetch", *words, environment=command.environment
    ) as seen:
        lines = await seen.until(lambda lines: left_s(lines) > 30)
        assert left_s(lines) <= 60
        seen.type(CTRL_C)
        await seen.end()
