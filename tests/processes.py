"""Processes that tests start: what they inherit, and that none of them outlives its test."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from .waiting import HANGS_AFTER_S


def children() -> dict[int, str]:
    """List the running processes that this one started, with their words."""
    found: dict[int, str] = {}
    for pid in _listed() if _LISTS else _looked_for():
        with suppress(OSError):  # it has just ended
            # what has ended and was not waited for has no words any more
            if words := Path(f"/proc/{pid}/cmdline").read_bytes():
                found[pid] = words.replace(b"\0", b" ").decode("utf-8", "replace")
    return found


# whether the kernel was built to list a thread's children
_LISTS = Path(f"/proc/self/task/{os.getpid()}/children").exists()


def _listed() -> list[int]:
    found: list[int] = []
    for thread in Path("/proc/self/task").iterdir():
        with suppress(OSError):
            found += map(int, (thread / "children").read_text("ascii").split())
    return found


def _looked_for() -> list[int]:
    """Look through all processes, which takes some milliseconds."""
    found: list[int] = []
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            parent = (entry / "stat").read_text("utf-8", "replace").rpartition(")")[2].split()[1]
            if int(parent) == os.getpid():
                found.append(int(entry.name))
    return found


@contextmanager
def none_left() -> Iterator[None]:
    """See that no process is left that was not there before; end those that are."""
    before = children()
    yield
    deadline_s = time.monotonic() + HANGS_AFTER_S
    while left := {pid: words for pid, words in children().items() if pid not in before}:
        if time.monotonic() > deadline_s:
            for pid in left:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            raise AssertionError(f"processes were left behind: {left}")
        time.sleep(0.01)


@contextmanager
def nothing_ignored() -> Iterator[None]:
    """Let processes be stopped by signals that this one ignores, as in a script's background.

    It goes on ignoring them, but by a handler: handlers are not inherited, as ignoring is.
    """
    numbers = signal.SIGINT, signal.SIGTERM, signal.SIGHUP
    ignored = [number for number in numbers if signal.getsignal(number) is signal.SIG_IGN]
    for number in ignored:
        signal.signal(number, lambda *_: None)
    try:
        yield
    finally:
        for number in ignored:
            signal.signal(number, signal.SIG_IGN)
