"""What users of the library get for their own tests."""

from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

ASYNCIO = ("-p", "pytest_asyncio.plugin")
FIXTURES = ("-p", "suno_async.pytest_plugin")
USER_TEST = """
import pytest
from suno_async import AddInstrumentalRequest

{mark}
async def test_a_song(suno_session, suno_sandbox):
    details = await suno_session.generate(
        AddInstrumentalRequest("https://example.com/stem.wav", "One", "piano", "metal")
    )
    assert len(details.tracks) == 2
    assert [charge.task_id for charge in suno_sandbox.ledger] == [details.task_id]
"""


@pytest.fixture(autouse=True)
def _no_other_plugins(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether the library is installed or not, this one's plugin is loaded once: by name."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent.parent))


@pytest.mark.parametrize(("mode", "mark"), [("auto", ""), ("strict", "@pytest.mark.asyncio")])
def test_the_fixtures_work_in_both_modes(pytester: pytest.Pytester, mode: str, mark: str) -> None:
    """A user's test gets a session on a sandbox of its own, in either mode of pytest-asyncio."""
    pytester.makepyfile(USER_TEST.format(mark=mark))
    options = ("-o", "asyncio_default_fixture_loop_scope=function", f"--asyncio-mode={mode}")
    pytester.runpytest_inprocess(*ASYNCIO, *FIXTURES, *options).assert_outcomes(passed=1)


def test_a_missing_pytest_asyncio_is_named(pytester: pytest.Pytester) -> None:
    """Without pytest-asyncio, a test that asks for a fixture is told what to install."""
    pytester.makepyfile(
        hide="import sys\nsys.modules['pytest_asyncio'] = None\n",
        test_user="def test_a_song(suno_session): ...\n",
    )
    result = pytester.runpytest_subprocess("-p", "hide", *FIXTURES)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*suno_session needs pytest-asyncio: pip install pytest-asyncio*"])


def test_loading_the_plugin_loads_nothing(pytester: pytest.Pytester) -> None:
    """A test run that does not ask for the fixtures pays neither for the sandbox nor for HTTP."""
    pytester.makepyfile(
        "import sys\n"
        "def test_nothing():\n"
        "    loaded = {name for name in sys.modules if name.startswith('suno_async')}\n"
        "    assert loaded == {'suno_async', 'suno_async.pytest_plugin'}\n"
        "    assert 'aiohttp' not in sys.modules\n"
    )
    pytester.runpytest_subprocess(*ASYNCIO, *FIXTURES).assert_outcomes(passed=1)
