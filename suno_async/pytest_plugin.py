"""Fixtures for those who test code that uses the library: the service, run locally, and a session.

Installed with the library; needs `pytest-asyncio`, in its auto or its strict mode.
"""

from collections.abc import AsyncIterator, Callable
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from suno_async import SunoSession
    from suno_async.sandbox import Sandbox

# at this pace a typical task takes a quarter of a second
_TIME_SCALE = 0.002


def _async_fixture(make: Callable[..., AsyncIterator[Any]]) -> Any:
    """Make a fixture; without pytest-asyncio, one that says what is missing."""
    if find_spec("pytest_asyncio") is not None:
        import pytest_asyncio

        return pytest_asyncio.fixture(make)

    def missing() -> None:
        text = f"the fixture {make.__name__} needs pytest-asyncio: pip install pytest-asyncio"
        pytest.fail(text, pytrace=False)

    return pytest.fixture(name=make.__name__)(missing)


@_async_fixture
async def suno_sandbox() -> "AsyncIterator[Sandbox]":
    """The service on this machine, hundreds of times faster; nothing leaves loopback.

    `ledger` and `tasks` tell what was paid for, `script(...)` and `inject(...)` set up failures.
    """
    from suno_async.sandbox import Sandbox

    async with Sandbox(time_scale=_TIME_SCALE, submissions_per_window=None) as sandbox:
        yield sandbox


@_async_fixture
async def suno_session(suno_sandbox: "Sandbox") -> "AsyncIterator[SunoSession]":
    """A session at the sandbox's own pace: it looks at its tasks as often as is allowed."""
    async with suno_sandbox.session() as session:
        yield session
