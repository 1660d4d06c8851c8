"""Fixtures for the tests of callbacks."""

from collections.abc import AsyncIterator

import pytest

from suno_async import CallbackReceiver

from .hosting import HOSTS


@pytest.fixture(params=HOSTS)
async def receiver(request: pytest.FixtureRequest) -> AsyncIterator[CallbackReceiver]:
    """A receiver in each kind of web service, behind the path `/suno`."""
    async with HOSTS[request.param]() as entered:
        yield entered
