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
    run(pytester, f"--asyncio-mode={mode}").assert_outcomes(passed=1)


RECEIVER_TEST = """
import time
from suno_async import AddInstrumentalRequest

REQUEST = AddInstrumentalRequest("https://example.com/stem.wav", "One", "piano", "metal")

async def test_callbacks_come(suno_receiver, suno_session, suno_sandbox):
    assert suno_session.receiver is suno_receiver
    task = await suno_session.submit(REQUEST)
    stages = [event.stage async for event in task.events()]
    assert stages == ["text", "first", "complete"]
    (call,) = [each for each in suno_sandbox.submissions]
    assert {delivery.status for delivery in suno_sandbox.deliveries} == {200}
    assert suno_receiver.public_url.startswith("http://127.0.0.1:")

async def test_the_order_of_arguments_does_not_matter(suno_sandbox, suno_session, suno_receiver):
    assert suno_session.receiver is suno_receiver

async def test_a_secret_is_set(suno_receiver):
    assert suno_receiver.expect(token=suno_receiver.expect().token) is not None

async def test_who_asks_for_none_has_none(suno_session):
    assert suno_session.receiver is None

async def test_it_is_for_arguments(request, suno_session):
    assert "suno_receiver" not in request.fixturenames
"""


def test_a_receiver_is_wired_to_the_session(pytester: pytest.Pytester) -> None:
    """A user's test that asks for a receiver gets callbacks over a socket of this machine."""
    pytester.makepyfile(RECEIVER_TEST)
    run(pytester).assert_outcomes(passed=5)


MARKED_TESTS = """
import pytest
from suno_async import AddInstrumentalRequest, InsufficientCredits

REQUEST = AddInstrumentalRequest("https://example.com/stem.wav", "One", "piano", "metal")
pytestmark = pytest.mark.suno_sandbox(credits=0, time_scale=0)

async def test_no_credits(suno_session):
    with pytest.raises(InsufficientCredits):
        await suno_session.submit(REQUEST)

@pytest.mark.suno_sandbox(credits=10)
async def test_the_closest_mark_counts(suno_session, suno_sandbox):
    await suno_session.generate(REQUEST)
    assert suno_sandbox.credits == 0

@pytest.mark.suno_session(max_in_flight=7)
@pytest.mark.suno_receiver(secret="another secret of mine")
async def test_the_others_have_marks_too(suno_session, suno_receiver):
    assert suno_session.max_in_flight == 7
    other = type(suno_receiver)("http://h/", secret="another secret of mine")
    assert other.expect(token=suno_receiver.expect().token) is not None
"""


def test_a_mark_changes_what_a_fixture_is_made_with(pytester: pytest.Pytester) -> None:
    """Pace, balance and all other arguments; marks are known, also to strict runs."""
    pytester.makepyfile(MARKED_TESTS)
    run(pytester, "--strict-markers").assert_outcomes(passed=3)


def run(pytester: pytest.Pytester, *options: str) -> pytest.RunResult:
    """Run a user's tests with both plugins, in auto mode unless an option says otherwise."""
    usual = ("-o", "asyncio_default_fixture_loop_scope=function", "--asyncio-mode=auto")
    return pytester.runpytest_inprocess(*ASYNCIO, *FIXTURES, *usual, *options)


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
