"""Fixtures for those who test code that uses the library: the service, run locally, and a session.

Installed with the library; needs `pytest-asyncio`, in its auto or its strict mode. A test changes
the arguments of a fixture with the mark of the same name:
`@pytest.mark.suno_sandbox(time_scale=0, credits=5)`.
"""

from collections.abc import AsyncIterator, Callable
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from suno_async import CallbackReceiver, SunoSession
    from suno_async.sandbox import Sandbox

# at this pace a typical task takes a quarter of a second
_TIME_SCALE = 0.002

_MARKS = (
    "suno_sandbox(**settings): arguments of `Sandbox` for this test, such as `time_scale=0`",
    "suno_session(**settings): arguments of `SunoSession` for this test",
    "suno_receiver(**settings): arguments of `CallbackReceiver` for this test",
)


def pytest_configure(config: pytest.Config) -> None:
    """Make the marks known."""
    for mark in _MARKS:
        config.addinivalue_line("markers", mark)


def _async_fixture(make: Callable[..., AsyncIterator[Any]]) -> Any:
    """Make a fixture; without pytest-asyncio, one that says what is missing."""
    if find_spec("pytest_asyncio") is not None:
        import pytest_asyncio

        return pytest_asyncio.fixture(make)

    def missing() -> None:
        text = f"the fixture {make.__name__} needs pytest-asyncio: pip install pytest-asyncio"
        pytest.fail(text, pytrace=False)

    return pytest.fixture(name=make.__name__)(missing)


def _marked(request: pytest.FixtureRequest, name: str) -> dict[str, Any]:
    """Collect the arguments of a test's marks; the closest to it counts."""
    settings: dict[str, Any] = {}
    for mark in request.node.iter_markers(name):
        settings = {**mark.kwargs, **settings}
    return settings


@_async_fixture
async def suno_sandbox(request: pytest.FixtureRequest) -> "AsyncIterator[Sandbox]":
    """The service on this machine, hundreds of times faster; nothing leaves loopback.

    `ledger` and `tasks` tell what was paid for, `script(...)` and `inject(...)` set up failures.
    """
    from suno_async.sandbox import Sandbox

    usual = {"time_scale": _TIME_SCALE, "submissions_per_window": None}
    async with Sandbox(**{**usual, **_marked(request, "suno_sandbox")}) as sandbox:
        yield sandbox


@_async_fixture
async def _suno_receiver(
    request: pytest.FixtureRequest,
) -> "AsyncIterator[CallbackReceiver | None]":
    """The receiver of a test that asks for one; the session has it too, in whichever order."""
    if "suno_receiver" not in request.fixturenames:
        yield None
        return
    import socket

    from aiohttp import web

    from suno_async import CallbackReceiver

    usual = {"secret": "the secret of the tests"}  # nosec B105 # for tests alone
    listener = socket.create_server(("127.0.0.1", 0))  # so that its port is known before
    url = f"http://127.0.0.1:{listener.getsockname()[1]}/suno"
    receiver = CallbackReceiver(url, **{**usual, **_marked(request, "suno_receiver")})
    application = web.Application()
    application.add_routes(receiver.routes())
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    try:
        await runner.setup()
        await web.SockSite(runner, listener).start()
        yield receiver
    finally:
        await runner.cleanup()
        listener.close()


@_async_fixture
async def suno_receiver(
    _suno_receiver: "CallbackReceiver | None",
) -> "AsyncIterator[CallbackReceiver]":
    """A receiver that the sandbox reaches on loopback, with a secret; `suno_session` has it."""
    if _suno_receiver is None:
        pytest.fail("ask for suno_receiver as an argument of the test or of a fixture")
    yield _suno_receiver


@_async_fixture
async def suno_session(
    request: pytest.FixtureRequest,
    suno_sandbox: "Sandbox",
    _suno_receiver: "CallbackReceiver | None",
) -> "AsyncIterator[SunoSession]":
    """A session at the sandbox's own pace: it looks at its tasks as often as is allowed."""
    usual = {"receiver": _suno_receiver}
    async with suno_sandbox.session(**{**usual, **_marked(request, "suno_session")}) as session:
        yield session
