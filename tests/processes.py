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
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:  # it has none, which is told much faster than by looking through all
        return {}
    found: dict[int, str] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has just ended
            parent = (entry / "stat").read_text("utf-8", "replace").rpartition(")")[2].split()[1]
            # what has ended and was not waited for has no words any more
            if int(parent) == os.getpid() and (words := (entry / "cmdline").read_bytes()):
                found[int(entry.name)] = words.replace(b"\0", b" ").decode("utf-8", "replace")
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
