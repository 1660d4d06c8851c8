"""Carries out commands that leave nothing behind, and ends with a status that tells how."""

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import NoReturn

from suno_async import SunoError
from suno_async.cli.failures import Complaint, complain, sentence
from suno_async.cli.interruption import PIPE, Interrupted, Interruption

_FORESEEN = (Complaint, SunoError, OSError)


def carry_out(work: Callable[[], Awaitable[bool]], go_on: Callable[[], str | None]) -> None:
    """Do the work on an event loop; say in one sentence why it could not be done.

    Args:
        work: Returns whether all was done; what was not, it has told already.
        go_on: Tells how to go on after an interruption, if there is something to go on with.

    Raises:
        SystemExit: Something failed: 1; a signal ended it: 128 and its number.
    """
    done = False

    async def note() -> None:
        nonlocal done
        done = await work()

    try:
        asyncio.run(Interruption().guard(note))
    except Interrupted as interrupted:
        _say_interrupted(go_on())
        raise SystemExit(interrupted.status) from None
    except BaseExceptionGroup as group:
        if group.split(_FORESEEN)[1] is not None:
            raise
        _end_with(group)
    except _FORESEEN as error:
        _end_with(error)
    if not done:
        raise SystemExit(1)


def _end_with(error: BaseException) -> NoReturn:
    """Say what ended the work, and with which status."""
    first = error
    while isinstance(first, BaseExceptionGroup):
        first = first.exceptions[0]
    if isinstance(first, BrokenPipeError):
        _leave_output()
        raise SystemExit(128 + PIPE)
    complain(f"suno-async: {sentence(first)}")
    raise SystemExit(1)


def _say_interrupted(go_on: str | None) -> None:
    with suppress(OSError):  # the terminal may have been closed
        complain("suno-async: interrupted")
        if go_on is not None:
            complain(go_on)


def _leave_output() -> None:
    """Let nothing more be written to a reader that went away, not even at the end."""
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, sys.stdout.fileno())
    os.close(nothing)
