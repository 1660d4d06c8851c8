"""Fixtures for the tests of callbacks."""

import hmac
from collections.abc import AsyncIterator
from typing import Any

import pytest

from suno_async import CallbackReceiver

from .hosting import HOSTS


@pytest.fixture(params=HOSTS)
async def receiver(request: pytest.FixtureRequest) -> AsyncIterator[CallbackReceiver]:
    """A receiver in each kind of web service, behind the path `/suno`."""
    async with HOSTS[request.param]() as entered:
        yield entered


@pytest.fixture
def compared(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """What the standard library's comparison in constant time was asked, and has answered."""
    compared: list[bool] = []
    compare = hmac.compare_digest

    def noting(one: Any, other: Any) -> bool:
        compared.append(compare(one, other))
        return compared[-1]

    monkeypatch.setattr(hmac, "compare_digest", noting)
    return compared
