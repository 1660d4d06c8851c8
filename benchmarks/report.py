"""What the benchmarks share: tables, files of figures, and measuring in fresh processes."""

import json
import os
import platform
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib import import_module, metadata
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"

_PACKAGES = ("suno-async", "aiohttp", "attrs", "cattrs", "backoff", "orjson", "yarl")


def table(title: str, header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a table; columns of numbers are set to the right."""
    columns = [[str(cell) for cell in column] for column in zip(header, *rows, strict=True)]
    lines = list(zip(*map(_aligned, columns), strict=True))
    rule = tuple("-" * len(cell) for cell in lines[0])
    print(f"\n{title}\n")
    for line in (lines[0], rule, *lines[1:]):
        print("  " + "  ".join(line).rstrip())
    print(flush=True)


def _aligned(column: Sequence[str]) -> list[str]:
    width = max(map(len, column))
    is_numbers = any(cell[:1].isdigit() for cell in column[1:])
    return [cell.rjust(width) if is_numbers else cell.ljust(width) for cell in column]


def machine() -> dict[str, Any]:
    """Describe where and when the figures come from."""
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.release()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "versions": versions(*_PACKAGES),
    }


def versions(*packages: str) -> dict[str, str]:
    """Tell the versions of those packages that are installed."""
    found = {}
    for package in packages:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def save(name: str, figures: dict[str, Any]) -> Path:
    """Write the figures, and the machine they come from, to `results/NAME.json`."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    text = json.dumps({"machine": machine(), **figures}, indent=2, ensure_ascii=False)
    path.write_text(text + "\n", encoding="utf-8")
    print(f"written: {path.relative_to(RESULTS.parent.parent)}")
    return path


# --- fresh processes ------------------------------------------------------------------------------


def in_fresh_process(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a module's function in a process of its own.

    Args:
        function: A function at the top of a module; it returns what JSON can carry.
        arguments: What JSON can carry.

    Raises:
        subprocess.CalledProcessError: It failed; its complaints were printed.
    """
    work = [function.__module__, function.__name__, json.dumps(arguments)]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.report", *work],
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


@contextmanager
def server_process(module: str, *arguments: str) -> Iterator[str]:
    """Run a module as a server beside the block.

    Yields:
        The first line that it prints: its address.
    """
    server = subprocess.Popen(
        [sys.executable, "-m", module, *arguments], stdout=subprocess.PIPE, text=True
    )
    assert server.stdout is not None
    try:
        yield server.stdout.readline().strip()
    finally:
        server.kill()
        server.wait()
        server.stdout.close()


def _answer(module: str, function: str, arguments: str) -> None:
    print(json.dumps(getattr(import_module(module), function)(*json.loads(arguments))))


if __name__ == "__main__":
    _answer(*sys.argv[1:])
