"""Every call under every fault: what came of all cells together.

Each cell of `tests/faults/matrix.md` is tried, one after the other; what is counted is printed as
a row of a table, and what was not as expected below it.
"""

import argparse
import asyncio
import tempfile
import time
from pathlib import Path

from attrs import fields

from tests.faults.cell import tried
from tests.faults.posting import posted
from tests.faults.table import Expected, table
from tests.faults.tally import Tally


async def _try(cell: Expected) -> Tally:
    with tempfile.TemporaryDirectory() as folder:
        return await (posted if cell.call == "callback" else tried)(cell, Path(folder))


def _all(rounds: int) -> dict[str, Tally]:
    """Try all cells, and sum up by call."""
    by_call: dict[str, Tally] = {}
    for cell in rounds * [cell for cell in table() if cell.reason is None]:
        tally = asyncio.run(_try(cell))
        tally.wrong = [f"{cell.call}, {cell.fault}: {wrong}" for wrong in tally.wrong]
        by_call.setdefault(cell.call, Tally()).add(tally)
    return by_call


def main(argv: list[str]) -> None:
    """Try all cells and print what was counted."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks faults", description=__doc__)
    parser.add_argument("--rounds", type=int, default=1, help="how often each cell is tried")
    rounds = int(parser.parse_args(argv).rounds)
    began_s = time.perf_counter()
    by_call = _all(rounds)
    total = Tally()
    for tally in by_call.values():
        total.add(tally)
    counted = [field.name for field in fields(Tally) if field.name != "wrong"]
    print("| call | " + " | ".join(counted) + " |")
    print("|---" * (len(counted) + 1) + "|")
    for call, tally in [*by_call.items(), ("all", total)]:
        print(f"| {call} | " + " | ".join(f"{getattr(tally, name):,}" for name in counted) + " |")
    seconds = time.perf_counter() - began_s
    senseless = sum(cell.reason is not None for cell in table())
    print(f"\n{senseless} cells make no sense; {seconds:.0f} s")
    for wrong in total.wrong:
        print(f"WRONG: {wrong}")
    if total.wrong:
        raise SystemExit(1)
