"""Wrong versions of the library, one at a time in a copy of it: does some test notice each?

The tests that are to notice it run first; when they do not, all others of the core do.
"""

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from importlib.util import cache_from_source
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from attrs import asdict, frozen

from benchmarks import report
from benchmarks.wrong_versions import ALL
from benchmarks.wrong_versions.mutation import Mutation

ROOT = Path(__file__).parents[1]

# so long may the tests take that are to notice it, and so long all others
FIRST_S = 240.0
REST_S = 1200.0

_LEFT_OUT = (".git", ".venv*", ".*_cache", ".hypothesis", "__pycache__")
_OF_THE_CORE = ("callbacks", "leaving", "media", "network", "submission", "values", "hands")
_OF_THE_TREE = {"test_project.py", "test_readme.py", "test_mutations.py"}
_TEST = re.compile(r"^(tests/\S+::\S.*?) (?:FAILED|ERROR)\b", re.MULTILINE)
_BEGUN = re.compile(r"^(tests/\S+::.*?)\s*(?:Timeout \(.*)?$", re.MULTILINE)


class Broken(Exception):
    """Nothing was found out: the tests did not even run, or fail without a mutation too."""


@frozen
class Finding:
    """What the tests made of one mutation.

    Attributes:
        name: The mutation's.
        file: The file that it changes.
        why: What it would cost.
        by: The first test that noticed it, and how; "" when none did.
        widened: Whether it took all tests of the core.
        seconds: How long it took.
    """

    name: str
    file: str
    why: str
    by: str
    widened: bool
    seconds: float


class Copy:
    """A copy of the project in which wrong versions are tried.

    Args:
        root: Where it is.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        shutil.copytree(ROOT, root, ignore=shutil.ignore_patterns(*_LEFT_OUT), symlinks=True)
        where = self._python("-c", "import suno_async; print(suno_async.__file__)")
        if not Path(where.stdout.strip()).is_relative_to(root):
            raise Broken(f"tests in the copy would try {where.stdout.strip()}")

    def _python(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, *arguments]
        return subprocess.run(
            command, cwd=self._root, env=self._environment(), capture_output=True, text=True
        )

    def _environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if name != "PYTEST_ADDOPTS"}
        return {**kept, "PYTHONPATH": str(self._root)}

    @contextmanager
    def wrong(self, mutation: Mutation) -> Iterator[None]:
        """Have the wrong version in the copy inside the block."""
        path = self._root / mutation.file
        right, wrong = path.read_text(encoding="utf-8"), mutation.applied(self._root)
        self._write(path, wrong)
        try:
            yield
        finally:
            self._write(path, right)

    @staticmethod
    def _write(path: Path, text: str) -> None:
        path.write_text(text, encoding="utf-8")
        # two versions of one second and one size have the same bytecode, for all that Python knows
        Path(cache_from_source(str(path))).unlink(missing_ok=True)

    def failing(self, tests: Sequence[str], timeout_s: float) -> str:
        """Run tests until the first that fails; name it, or "".

        Raises:
            Broken: They did not run.
        """
        command = [sys.executable, "-m", "pytest", "-x", "-v", "-p", "no:randomly", "--tb=no"]
        with tempfile.TemporaryFile("w+") as output:
            running = subprocess.Popen(
                [*command, "-p", "no:cacheprovider", *tests],
                cwd=self._root,
                env=self._environment(),
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            late = _is_late(running, timeout_s)
            output.seek(0)
            said = output.read()
        if late:
            return f"{_last(_BEGUN, said)} (it hangs)"
        if running.returncode < 0:  # such as out of memory, in a loop without end
            return f"{_last(_BEGUN, said)} (it dies)"
        if running.returncode not in {0, 1}:
            raise Broken(said[-2000:])
        return _last(_TEST, said) if running.returncode else ""


def _is_late(running: "subprocess.Popen[bytes]", timeout_s: float) -> bool:
    """Wait for tests; end them, and what they have started, when they take too long."""
    try:
        running.wait(timeout_s)
    except subprocess.TimeoutExpired:
        os.killpg(running.pid, signal.SIGKILL)
        running.wait()
        return True
    return False


def _last(pattern: re.Pattern[str], said: str) -> str:
    found = pattern.findall(said)
    if not found:
        raise Broken(said[-2000:])
    return str(found[-1])


def _rest(mutation: Mutation) -> list[str]:
    """List the tests of a mutation's rooms that have not run yet."""
    if mutation.file.startswith("suno_async/durable/"):
        found = list((ROOT / "tests" / "durable").glob("test_*.py"))
    else:
        folders = [ROOT / "tests", *(ROOT / "tests" / folder for folder in _OF_THE_CORE)]
        found = [path for folder in folders for path in folder.glob("test_*.py")]
    names = sorted(str(path.relative_to(ROOT)) for path in found if path.name not in _OF_THE_TREE)
    return [name for name in names if name not in mutation.tests]


def tried(copy: Copy, mutation: Mutation, *, widens: bool) -> Finding:
    """Try one mutation."""
    began_s = time.monotonic()
    with copy.wrong(mutation):
        widened = False
        by = copy.failing(mutation.tests, FIRST_S)
        if not by and widens:
            widened = True
            by = copy.failing(_rest(mutation), REST_S)
    seconds = round(time.monotonic() - began_s, 1)
    return Finding(mutation.name, mutation.file, mutation.why, by, widened, seconds)


def _check_control(copy: Copy, mutations: Sequence[Mutation]) -> None:
    tests = sorted({test for mutation in mutations for test in mutation.tests})
    if by := copy.failing(tests, REST_S):
        raise Broken(f"without any mutation, {by} fails")


def _all_tried(
    mutations: Sequence[Mutation], jobs: int, folder: Path, *, widens: bool
) -> Iterator[Finding]:
    copies: SimpleQueue[Copy] = SimpleQueue()
    for number in range(jobs):
        copies.put(Copy(folder / f"copy-{number}"))

    def work(mutation: Mutation) -> Finding:
        copy = copies.get()
        try:
            return tried(copy, mutation, widens=widens)
        finally:
            copies.put(copy)

    with ThreadPoolExecutor(jobs) as pool:
        for finding in pool.map(work, mutations):
            print(f"{finding.seconds:6.1f} s  {finding.name}: {finding.by or 'SURVIVED'}")
            sys.stdout.flush()
            yield finding


def main(argv: list[str]) -> None:
    """Try them, print what noticed each, and write the figures; fail if one survives."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks mutations", description=__doc__)
    parser.add_argument("--jobs", type=int, default=1, help="how many are tried at a time")
    parser.add_argument("--only", default="", help="those with this in their name or file")
    parser.add_argument("--narrow", action="store_true", help="only with their own tests")
    parser.add_argument("--no-control", action="store_true", help="take it that all tests pass")
    options = parser.parse_args(argv)
    mutations = [each for each in ALL if options.only in f"{each.name} {each.file}"]
    for mutation in mutations:
        mutation.applied(ROOT)
    with tempfile.TemporaryDirectory() as name:
        if not options.no_control:
            _check_control(Copy(Path(name) / "control"), mutations)
        widens = not options.narrow
        found = list(_all_tried(mutations, options.jobs, Path(name), widens=widens))
    _tell(found)
    survived = [each.name for each in found if not each.by]
    if len(mutations) == len(ALL):
        figures: dict[str, Any] = {"mutations": len(found), "survived": survived}
        report.save("mutations", figures | {"each": [asdict(each) for each in found]})
    sys.exit(f"survived: {', '.join(survived)}" if survived else 0)


def _tell(found: Sequence[Finding]) -> None:
    rows = [(each.name, each.by or "SURVIVED", "all" if each.widened else "") for each in found]
    caught = sum(bool(each.by) for each in found)
    report.table(
        f"{caught} of {len(found)} wrong versions are noticed",
        ("what is wrong", "the first test that fails", "of"),
        rows,
    )
