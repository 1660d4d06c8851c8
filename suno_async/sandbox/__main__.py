"""The sandbox as a server: `python -m suno_async.sandbox`, without the extra `cli`."""

import argparse
import asyncio
import contextlib
import signal
import sys
from collections.abc import Callable, Sequence
from math import inf
from typing import Any

from suno_async.sandbox import Sandbox


def _number(kind: type[float], least: float, most: float = inf) -> Callable[[str], float]:
    """Make what reads a number of an option within its bounds."""

    def read(text: str) -> float:
        value = kind(text)
        if not least <= value <= most:
            upper = "" if most == inf else f" and at most {most}"
            raise argparse.ArgumentTypeError(f"must be at least {least}{upper}")
        return value

    read.__name__ = kind.__name__  # how argparse calls what it cannot read
    return read


_OPTIONS: tuple[tuple[str, Callable[[str], object], object, str], ...] = (
    ("host", str, "127.0.0.1", "the address to listen on"),
    ("port", _number(int, 0, 65535), 8787, "the port; 0 for any free one"),
    ("api-key", str, "sandbox-key", "the key that it accepts"),
    ("credits", _number(float, 0), 1000.0, "the balance at the start"),
    ("price", _number(float, 0), 10.0, "what a song costs"),
    (
        "time-scale",
        _number(float, 0),
        1.0,
        "1 is the service's own pace, 0.01 a hundred times faster",
    ),
    ("failure-rate", _number(float, 0, 1), 0.0, "the share of tasks that fail, 0 to 1"),
    ("seed", int, 0, "another seed, other ids, timings and music"),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until SIGINT or SIGTERM; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m suno_async.sandbox",
        description="Serve the sandbox on this machine until Ctrl-C.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    for name, kind, usual, text in _OPTIONS:
        parser.add_argument(f"--{name}", type=kind, default=usual, help=text)
    try:
        asyncio.run(_serve(vars(parser.parse_args(arguments))))
    except OSError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


async def _serve(settings: dict[str, Any]) -> None:
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        # where loops know no signals, Ctrl-C is a KeyboardInterrupt
        with contextlib.suppress(NotImplementedError):
            asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    async with Sandbox(**settings) as sandbox:
        _say(f"The sandbox answers at {sandbox.base_url} to the key {sandbox.api_key}")
        await stopped.wait()
        charged = sum(entry.amount for entry in sandbox.ledger if entry.kind == "charge")
        _say(f"stopped; {len(sandbox.tasks)} tasks, {charged:g} credits charged")


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
