"""Random programs of callers, faults, cancellations, leavings and late callbacks."""

import logging
from collections.abc import Iterator

import pytest

from benchmarks.paid_call import run
from tests.following import nothing_left


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Keep what the service says of connections that were cut off out of the report."""
    names = ("aiohttp.server", "suno_async")
    for name in names:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    yield
    for name in names:
        logging.getLogger(name).setLevel(logging.NOTSET)


async def test_random_programs_lose_nothing() -> None:
    """Invariants 1, 2, 8: lost 0, doubled 0, hung 0; more of them: `benchmarks paid_call`."""
    async with nothing_left():
        tally, noise = await run(range(1000, 1025))
    assert tally.wrong == 0, tally
    assert noise == []
    assert tally.charges > 25
    assert tally.cancelled > 5
