"""Values as cells hold them: text, numbers with a decimal point or comma, what a sheet computed."""

import json
import re
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

from attrs import frozen

from suno_async import InvalidRequest
from suno_async.cli.songs import WEIGHTS

MAX_CHARACTERS = 100_000
_NUMBER = re.compile(r"[+-]?([0-9]+([.,][0-9]*)?|[.,][0-9]+)([eE][+-]?[0-9]{1,3})?")
_LONGEST_NUMBER = 40
# up to here a float is a whole number without doubt
_EXACT = 2**53


@frozen
class NoValue:
    """A cell that shows no value, such as an error of a formula.

    Attributes:
        what: What it holds instead.
    """

    what: str


def is_blank(cell: object) -> bool:
    """Tell whether nothing stands in a cell."""
    return cell is None or (isinstance(cell, str) and not cell.strip())


def field_value(name: str, cell: Any) -> Any:
    """Read a cell in the column of a field.

    Raises:
        InvalidRequest: It holds what cannot be taken for the field without guessing.
    """
    if isinstance(cell, NoValue):
        raise InvalidRequest(name, None, f"must be a value, and the cell holds {cell.what}")
    if isinstance(cell, str):
        return _number(cell.strip()) if name in WEIGHTS else cell.strip()
    if name in WEIGHTS:
        return cell
    if isinstance(cell, bool) or not isinstance(cell, int | float):
        what = "yes or no" if isinstance(cell, bool) else "a date or a time"
        rule = f"must be text, and the cell holds {what} (format the cell as text)"
        raise InvalidRequest(name, None, rule)
    return _shown(cell)


def _number(text: str) -> float | str:
    """Read a number; a comma is a decimal one, since no weight has thousands."""
    if len(text) > _LONGEST_NUMBER or not _NUMBER.fullmatch(text):
        return text
    return float(Decimal(text.replace(",", ".")))


def check_length(name: str, value: object) -> None:
    """Refuse text that no cell should hold.

    Raises:
        InvalidRequest: It is longer than 100,000 characters.
    """
    if isinstance(value, str) and len(value) > MAX_CHARACTERS:
        rule = f"must have at most {MAX_CHARACTERS:,} characters, and has {len(value):,}"
        raise InvalidRequest(name, None, rule)


def extra_text(value: object) -> str:
    """Write a value of a column that is no field as text."""
    if isinstance(value, str):
        return value
    if isinstance(value, NoValue):
        return value.what
    if isinstance(value, datetime):  # a sheet has no dates, but midnights
        return value.isoformat(sep=" ").removesuffix(" 00:00:00")
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, timedelta):
        return str(value)
    if isinstance(value, float):
        return _shown(value)
    try:
        return json.dumps(value, ensure_ascii=False, default=str)
    except (ValueError, RecursionError):  # a number of 5,000 digits, or nested too deeply
        return "…"


def _shown(number: float) -> str:
    """Write a number as a sheet shows it: whole ones have no decimal point."""
    whole = abs(number) < _EXACT and number == int(number)
    return str(int(number)) if whole else repr(number)
