"""The table of what is expected, as it is written."""

import itertools
import re
from functools import cache
from pathlib import Path

from attrs import frozen

TABLE = Path(__file__).with_name("matrix.md")

_CELL = re.compile(r"(?P<verdicts>.*?)(?P<part> \+part)?")
_VERDICT = re.compile(r"(?P<name>.*?)(?: (?P<charges>\d))?")
_REASON = re.compile(r"- \((.*)\)")


@frozen
class Expected:
    """What a cell of the table says.

    Attributes:
        fault: The fault's name.
        call: The call's name.
        verdicts: What may come of it, and how often it is charged then (None: it says nothing).
        leaves_part: Whether what has come of a file stays.
        reason: Why the cell makes no sense; None when it does.
    """

    fault: str
    call: str
    verdicts: tuple[tuple[str, int | None], ...]
    leaves_part: bool
    reason: str | None

    @classmethod
    def read(cls, fault: str, call: str, cell: str) -> "Expected":
        """Read a cell."""
        if (why := _REASON.fullmatch(cell)) is not None:
            return cls(fault, call, (), False, why[1])
        found = _CELL.fullmatch(cell)
        assert found is not None
        verdicts = [_VERDICT.fullmatch(one) for one in found["verdicts"].split(" or ")]
        return cls(
            fault,
            call,
            tuple(
                (one["name"], None if one["charges"] is None else int(one["charges"]))
                for one in verdicts
                if one is not None
            ),
            found["part"] is not None,
            None,
        )


@cache
def table() -> tuple[Expected, ...]:
    """Read the table."""
    lines = [line for line in TABLE.read_text("utf-8").splitlines() if line.startswith("| ")]
    _, *calls = (cell.strip() for cell in lines[0].strip("|").split("|"))
    cells: list[Expected] = []
    for line in lines[1:]:
        fault, *expected = (cell.strip() for cell in line.strip("|").split("|"))
        cells += map(Expected.read, itertools.repeat(fault), calls, expected)
    return tuple(cells)
