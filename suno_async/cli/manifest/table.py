"""What every form of a manifest is read into, before anything in it is checked."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain, islice
from typing import Any

from attrs import field, frozen

from suno_async.cli.failures import Complaint

MAX_ROWS = 100_000


@frozen
class RawRow:
    """A row as it stands in the file.

    Attributes:
        line: The line where it begins, or the number of its row.
        items: Its values, each under its column as the file spells it.
        problem: Why it has no values; None when it has.
    """

    line: int
    items: tuple[tuple[str, Any], ...] = ()
    problem: str | None = None


@frozen
class Table:
    """A manifest as it stands in the file.

    Attributes:
        rows: Its rows.
        cells: Whether its values are cells: text, and numbers as a person writes them.
        numbered: Whether rows are told by their number and not by the line of the file.
        common: Values beside the rows, for all rows that do not give them.
        notes: What should be known of how it was read.
    """

    rows: list[RawRow]
    cells: bool
    numbered: bool = False
    common: Mapping[str, Any] = field(factory=dict[str, Any])
    notes: tuple[str, ...] = ()


def limited(rows: Iterable[RawRow], name: str) -> list[RawRow]:
    """Take all rows.

    Raises:
        Complaint: There are none, or too many for one batch.
    """
    some: Iterator[RawRow] = iter(rows)
    taken = list(islice(some, MAX_ROWS))
    more = next(chain(some, [None]))
    if more is not None:
        raise Complaint(f"{name}:{more.line}: a manifest has at most {MAX_ROWS:,} rows")
    if not taken:
        raise Complaint(f"{name}: the manifest has no rows")
    return taken
