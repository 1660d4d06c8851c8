"""Import time of suno_async above that of its dependencies.

Fresh processes alternate between four imports: the dependencies with all that the library uses of
the standard library, the same and then the library with all that a session needs, the first once
more as a control, and the bare package, which every run of pytest imports for its plugin. Each
times its own imports, so the interpreter's start does not count. Bytecode is there, as it is after
an installation.
"""

import argparse
import os
import subprocess
import sys
from statistics import median

from benchmarks import report

AIM_MS = 30.0
RUNS = 41

_TIMED = "import time; began_s = time.perf_counter()"
_PRINTED = "print(time.perf_counter() - began_s)"
_DEPENDENCIES = "import aiohttp, attrs, backoff, cattrs, cattrs.preconf.json"


def _programs() -> dict[str, str]:
    alone = f"{_TIMED}; {_DEPENDENCIES}; {_PRINTED}"
    return {
        "dependencies": alone,
        "suno_async": f"{_TIMED}; {_DEPENDENCIES}; from suno_async import SunoSession; {_PRINTED}",
        "control": alone,
        "bare": f"{_TIMED}; import suno_async; {_PRINTED}",
    }


def _seconds(program: str) -> float:
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=environment,
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )
    return float(done.stdout)


def main(argv: list[str]) -> None:
    """Alternate, print the medians, and write the figures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks startup", description=__doc__)
    parser.add_argument("--runs", type=int, default=RUNS, help="processes of each kind")
    options = parser.parse_args(argv)
    programs = _programs()
    _seconds(programs["suno_async"])  # writes the bytecode
    times_ms: dict[str, list[float]] = {name: [] for name in programs}
    for _ in range(options.runs):
        for name, program in programs.items():
            times_ms[name].append(_seconds(program) * 1000)
    own = [a - b for a, b in zip(times_ms["suno_async"], times_ms["dependencies"], strict=True)]
    figures = {
        "dependencies_ms": median(times_ms["dependencies"]),
        "with_suno_async_ms": median(times_ms["suno_async"]),
        "control": median(times_ms["control"]) / median(times_ms["dependencies"]),
        "own_ms": median(own),
        "bare_ms": median(times_ms["bare"]),
        "aim_ms": AIM_MS,
        "runs": options.runs,
    }
    report.table(
        f"import, median of {options.runs} fresh processes each",
        ("what", "ms"),
        [
            ("the dependencies", f"{figures['dependencies_ms']:.1f}"),
            ("and then SunoSession", f"{figures['with_suno_async_ms']:.1f}"),
            (f"its own share (aim {AIM_MS:.0f})", f"{figures['own_ms']:.1f}"),
            ("the bare package alone", f"{figures['bare_ms']:.1f}"),
            ("control: the dependencies again, ratio", f"{figures['control']:.3f}"),
        ],
    )
    report.save("startup", figures)
