"""Every call meets every fault, over real sockets; the table in `matrix.md` says what is due."""

import asyncio
import gc
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from .calls import CALLS
from .cell import on_ground, tried
from .faults import FAULTS
from .posting import posted
from .table import Expected, table
from .tally import Tally, nothing_left_of

CELLS = [cell for cell in table() if cell.reason is None]
SLOW = [cell for cell in CELLS if FAULTS[cell.fault].is_slow and cell.call != "callback"]
QUICK = [cell for cell in CELLS if cell not in SLOW]


def _name(cell: Expected) -> str:
    return f"{cell.call}, {cell.fault}"


@pytest.fixture(scope="module", autouse=True)
def _kept_by_nobody_else() -> Iterator[None]:
    """Pytest keeps no log, and no error with it; what was there before is collected afterwards."""
    gc.collect()
    logging.getLogger("suno_async").setLevel(logging.CRITICAL)
    yield
    logging.getLogger("suno_async").setLevel(logging.NOTSET)


def test_the_table_is_complete() -> None:
    """Every call of the table meets every fault that there is, or the table says why not."""
    named = {(cell.fault, cell.call) for cell in table()}
    assert named == {(fault, call) for fault in FAULTS for call in (*CALLS, "callback")}


@pytest.mark.parametrize("cell", QUICK, ids=_name)
async def test_a_call_under_a_fault(cell: Expected, tmp_path: Path) -> None:
    """The caller gets what is due, nothing is lost or paid twice, and nothing is left."""
    tally = await (posted if cell.call == "callback" else tried)(cell, tmp_path)
    assert not tally.wrong, "\n".join(tally.wrong)


async def test_calls_that_take_for_ever(tmp_path: Path) -> None:
    """So it is where the other side takes for ever: all of them end, together in a few seconds."""
    tally = Tally()

    async def one(cell: Expected) -> None:
        folder = tmp_path / _name(cell)
        folder.mkdir()
        own = Tally(cells=1)
        sessions.append(await on_ground(cell, folder, own))
        own.wrong = [f"{_name(cell)}: {wrong}" for wrong in own.wrong]
        tally.add(own)

    async with nothing_left_of(tally) as sessions:
        await asyncio.gather(*map(one, SLOW))
    assert not tally.wrong, "\n".join(tally.wrong)
