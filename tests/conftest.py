"""Fixtures for all tests; what they are made of is in `tests.world`, to be imported from there.

- `world`: sandbox and virtual clock; `world.session(...)` makes a session, `await world.run(...)`
  lets time jump.
- `sandbox`: a sandbox on the machine's clock that finishes tasks at once, for what takes no time.
- `suno`: an open session for `sandbox` that repeats at once.

Other settings: `async with virtual_world(...)`, `Sandbox(...)`, `session_for(sandbox, ...)`.
"""

import gc
import os
from collections.abc import AsyncIterator, Generator, Iterator

import pytest
from hypothesis import settings

from suno_async import SunoSession
from suno_async.sandbox import Sandbox

from .processes import none_left, nothing_ignored
from .world import EAGER, World, session_for, virtual_world

settings.register_profile("suite", deadline=None, derandomize=True, max_examples=100)
settings.register_profile("second run", settings.get_profile("suite"), max_examples=25)
settings.load_profile("second run" if "SUNO_TEST_WITHOUT_ORJSON" in os.environ else "suite")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Keep the collector away from what is collected here: it lives as long as the run.

    Looking through all tests and modules once more takes some 0.3 s, thousands of times in a run.
    What is frozen is hidden from `gc.get_referrers`, by which hypothesis before 6.136 looked for
    who keeps its random numbers.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.fixture(scope="session", autouse=True)
def _own_options() -> Iterator[None]:
    """What this run was told is not for the runs that tests start; it is for xdist's workers.

    They read it as they start, which is after this file was imported in the process that starts
    them: so it is taken away only where tests run.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("PYTEST_ADDOPTS", raising=False)
        yield


@pytest.fixture(scope="session", autouse=True)
def _signals() -> Iterator[None]:
    """What tests start can be stopped, however this run was started."""
    with nothing_ignored():
        yield


@pytest.fixture(autouse=True)
def _no_process_left() -> Iterator[None]:
    """What a test starts ends with it, also where it fails."""
    with none_left():
        yield


@pytest.fixture
async def world() -> AsyncIterator[World]:
    """A sandbox on a virtual clock; its tasks reach their stages at exactly 22, 65, 130 s."""
    async with virtual_world() as entered:
        yield entered


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    """A sandbox on the machine's clock, without limits; its tasks are complete at once."""
    async with Sandbox(time_scale=0, submissions_per_window=None) as entered:
        yield entered


@pytest.fixture
async def suno(sandbox: Sandbox) -> AsyncIterator[SunoSession]:
    """An open session for `sandbox`, without a window in the way, that repeats at once."""
    async with session_for(sandbox, retry=EAGER, submissions_per_window=(1000, 0.001)) as entered:
        yield entered


def pytest_terminal_summary(terminalreporter: "pytest.TerminalReporter") -> None:
    """Say it loudly when the page was tested in no browser."""
    skipped = [
        str(report.longrepr)
        for report in terminalreporter.stats.get("skipped", ())
        if "NO BROWSER" in str(report.longrepr)
    ]
    if skipped:
        text = f"{len(skipped)} tests skipped: {skipped[0]}"
        terminalreporter.write_sep("!", text, red=True, bold=True)
