"""Names of columns, as people write them."""

import difflib
import re
from collections.abc import Iterable, Sequence
from typing import Any

from attrs import frozen

from suno_async.cli.failures import Complaint
from suno_async.cli.songs import FIELDS

_BETWEEN_WORDS = re.compile(r"[\s_\-\u200b\ufeff]+")
_NAMED_IN_NOTE = 20


def _squeezed(name: str) -> str:
    return _BETWEEN_WORDS.sub("", name).casefold()


_FIELDS = {_squeezed(name): name for name in FIELDS}


def field_of(name: str) -> str | None:
    """Tell the field that a column is, whatever its case, spaces, hyphens and underscores."""
    return _FIELDS.get(_squeezed(name))


def repetition(names: Iterable[str]) -> str | None:
    """Say which column is there twice, by one spelling or two; None when none is."""
    seen: dict[str, str] = {}
    for name in names:
        known = field_of(name)
        one = known or name.strip().casefold()
        if one in seen:
            what = f"the field {known}" if known else "the same column"
            return f"two columns are {what}: {seen[one]!r} and {name!r}"
        if one:
            seen[one] = name
    return None


def check_header(name: str, line: int, header: Sequence[str]) -> None:
    """Refuse a header that has a column twice, or no field: it would be a row like the others.

    Raises:
        Complaint: It has.
    """
    if (twice := repetition(header)) is not None:
        raise Complaint(f"{name}:{line}: {twice}")
    if header and not any(map(field_of, header)):
        raise Complaint(f"{name}:{line}: the header must name a field: {', '.join(FIELDS)}")


@frozen
class Sorted:
    """A row's values, told apart.

    Attributes:
        fields: Those of fields, by field.
        extra: The others, by column.
        spelled: How the file spells each field's column.
    """

    fields: dict[str, Any]
    extra: dict[str, Any]
    spelled: dict[str, str]


def sort_items(items: Iterable[tuple[str, Any]]) -> Sorted:
    """Tell the values of fields from those of other columns."""
    result = Sorted({}, {}, {})
    for column, value in items:
        known = field_of(column)
        if known is None:
            result.extra[column.strip()] = value
        else:
            result.fields[known] = value
            result.spelled[known] = column.strip()
    return result


def unknown_note(columns: Sequence[str]) -> str:
    """Say which columns are kept but not sent; one that looks like a field is said to."""
    named = [_with_hint(column) for column in columns[:_NAMED_IN_NOTE]]
    more = len(columns) - len(named)
    rest = f" and {more} more" if more else ""
    return f"columns that are no fields are kept and not sent: {', '.join(named)}{rest}"


def _with_hint(column: str) -> str:
    close = difflib.get_close_matches(_squeezed(column)[:40], _FIELDS, n=1, cutoff=0.8)
    return f"{column!r} (is it {_FIELDS[close[0]]}?)" if close else repr(column)
