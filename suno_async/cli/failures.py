"""What went wrong, in one sentence, and what of it was paid for and is still to be had."""

import asyncio
import errno
import shlex
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC
from pathlib import Path
from typing import Protocol

from attrs import define, frozen

from suno_async import (
    AuthenticationError,
    ConnectionFailed,
    GenerationFailed,
    InsufficientCredits,
    InvalidRequest,
    NotSubmitted,
    SunoError,
    TaskExpired,
    TaskNotFound,
)
from suno_async.cli.board import Board, Entry, State
from suno_async.cli.interruption import Interrupted
from suno_async.cli.output import Output

_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_KEY_PLACES = "the environment variable APIKLEY_API_KEY, or api_key in suno-async.toml"
# the tasks of these errors have nothing (more) to give
_FINAL = (GenerationFailed, TaskExpired, TaskNotFound)


@define(slots=False)
class Complaint(Exception):
    """Why the command cannot do what it was asked, as a sentence for a person."""

    text: str

    def __str__(self) -> str:
        return self.text


def sentence(error: BaseException) -> str:
    """Say in one sentence what an error means for the person at the terminal."""
    return printable(_sentence(error))


def _sentence(error: BaseException) -> str:
    if isinstance(error, BaseExceptionGroup):
        return sentence(error.exceptions[0])
    if isinstance(error, InvalidRequest):
        return _invalid(error)
    if isinstance(error, AuthenticationError):
        return f"the service refused the API key ({error.message}): check {_KEY_PLACES}"
    if isinstance(error, NotSubmitted) and error.reason == "credits":
        return "not submitted: out of credits"
    if isinstance(error, InsufficientCredits):
        return f"out of credits ({error.message})"
    if isinstance(error, ConnectionFailed) and not error.request_sent:
        return f"cannot reach the service: {error.reason}"
    if isinstance(error, OSError):
        return _os_error(error)
    return str(error) or type(error).__name__


def _invalid(error: InvalidRequest) -> str:
    if error.field == "api_key":
        if error.value is None:
            return f"no API key: set {_KEY_PLACES}"
        return f"the API key {error.rule}: check {_KEY_PLACES}"
    if error.value is None:
        return f"{error.field} {error.rule}"
    return str(error)


def _os_error(error: OSError) -> str:
    reason = error.strerror or str(error) or type(error).__name__
    if error.errno in _NO_ROOM:
        reason = f"no room left on the disk ({reason})"
    where = f"{error.filename}: " if error.filename else ""
    return f"{where}{reason}"


def printable(text: str) -> str:
    """Replace what could move the cursor or break the line; names come from outside."""
    return "".join(ch if ch.isprintable() else " " for ch in text)


def may_still_give(error: SunoError) -> bool:
    """Tell whether a task that ended with this error may still have tracks to download."""
    return not isinstance(error, _FINAL)


class Rest(Protocol):
    """Tells how to get what a run has left behind."""

    def __call__(self, board: Board) -> Sequence[str]:
        """Write sentences for a person, and commands; none when nothing is left."""
        ...


@frozen
class FetchRest:
    """How to get tasks whose tracks are not on disk.

    Args:
        out: The folder of the tracks.
        base_url: The service, when it is not the usual one.
    """

    out: Path
    base_url: str | None = None

    def __call__(self, board: Board) -> Sequence[str]:
        """Write the command that re-attaches the tasks."""
        behind = [entry for entry in board.entries if entry.left_behind]
        if not behind:
            return []
        words = ["suno-async", "fetch", "--out", str(self.out)]
        if self.base_url is not None:
            words += ["--base-url", self.base_url]
        if board.first_submitted_at is not None:
            moment = board.first_submitted_at.astimezone(UTC)
            words += ["--submitted-at", f"{moment:%Y-%m-%dT%H:%M:%SZ}"]
        ids = [entry.task_id for entry in behind if entry.task_id]
        if any(task_id.startswith("-") for task_id in ids):
            words.append("--")
        tasks = "1 task is" if len(behind) == 1 else f"{len(behind)} tasks are"
        said = f"{tasks} paid for and not on disk; the service keeps results for 14 days. "
        return [f"{said}Fetch with:", f"  {shlex.join([*words, *ids])}"]


@contextmanager
def ending_clearly(board: Board, rest: Rest = lambda board: ()) -> Iterator[None]:
    """Turn whatever ends a run into sentences on stderr and an exit status.

    Args:
        board: The songs of the run.
        rest: Tells how to get what is left behind.

    Raises:
        SystemExit: Anything failed: 1, or 128 and the signal's number after an interruption.
    """
    status = 0
    try:
        yield
    except (KeyboardInterrupt, asyncio.CancelledError):
        status = _complain("interrupted", 128 + signal.SIGINT)
    except Interrupted as interrupted:
        status = _complain("interrupted", interrupted.status)
    except BaseExceptionGroup as group:
        if _unforeseen(group):
            _tell_rest(board, rest)
            raise
        status = _complain(sentence(group))
    except (Complaint, SunoError, OSError) as error:
        status = _complain(sentence(error))
    except BaseException:
        _tell_rest(board, rest)
        raise
    failed = _tell_rest(board, rest)
    if status or failed:
        raise SystemExit(status or 1)


def _unforeseen(group: BaseExceptionGroup[BaseException]) -> bool:
    foreseen = (Complaint, SunoError, OSError)
    return group.split(foreseen)[1] is not None


def _complain(text: str, status: int = 1) -> int:
    complain(f"suno-async: {text}")
    return status


def complain(text: str) -> None:
    """Print a sentence on stderr, if there is somebody to read it."""
    Output(sys.stderr).line(text)


def _tell_rest(board: Board, rest: Rest) -> bool:
    """Print each failure and what is left behind; tell whether anything failed."""
    failed = [entry for entry in board.entries if entry.state in {State.FAILED, State.UNCERTAIN}]
    for entry in failed:
        if not entry.told:
            complain(tell(entry))
    for line in rest(board):
        complain(printable(line))
    return bool(failed)


def tell(entry: Entry) -> str:
    """Say of a song that failed where it was asked for, what it is, and why it failed."""
    problem = entry.problem or entry.doubt or ""
    names = dict.fromkeys(name for name in (entry.source, entry.title) if name not in problem)
    text = ": ".join(printable(part) for part in (*names, problem))
    task_id = printable(entry.task_id or "")
    return text if not task_id or task_id in text else f"{text} (task {task_id})"
