"""A sandbox on a virtual clock."""

from collections.abc import AsyncIterator

import pytest

from suno_async.sandbox import Timings

from .caller import Caller, calling


@pytest.fixture
async def caller() -> AsyncIterator[Caller]:
    """A sandbox whose tasks reach their stages at exactly 22, 65 and 130 s."""
    async with calling(timings=Timings(sigma=0.0)) as entered:
        yield entered
