"""JSON, JSON Lines and TOML."""

import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

from suno_async.cli.failures import Complaint
from suno_async.cli.manifest.columns import field_of, repetition
from suno_async.cli.manifest.table import RawRow, Table, limited

_BETWEEN_ITEMS = re.compile(r"[ \t\r\n,]*")
_COLON = re.compile(r"[ \t\r\n]*:[ \t\r\n]*")
# Python refuses to make a number of more digits
_MOST_DIGITS = 4000


class _Object(dict[str, Any]):
    """A JSON object that remembers whether a name was in it twice."""

    repeated: str | None = None


def _object(pairs: list[tuple[str, Any]]) -> _Object:
    result = _Object(pairs)
    result.repeated = repetition(name for name, _ in pairs)
    return result


def _integer(digits: str) -> float:
    return int(digits) if len(digits) < _MOST_DIGITS else float(digits)


_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_int=_integer)


# --- JSON -----------------------------------------------------------------------------------------


def read_json(path: Path, text: str) -> Table:
    """Read a list of objects, an object with such a list, one object, or JSON Lines.

    Raises:
        Complaint: It is none of these.
    """
    try:
        value = _DECODER.decode(text)
    except RecursionError as error:
        raise Complaint(f"{path.name}: nested too deeply") from error
    except json.JSONDecodeError as error:
        table = read_json_lines(path, text)
        if text.lstrip().startswith("[") or all(row.problem for row in table.rows):
            raise Complaint(f"{path.name}:{error.lineno}: must be JSON ({error.msg})") from error
        return table
    if isinstance(value, list):
        return Table(limited(_items(text, text.index("[")), path.name), cells=False)
    return _of_object(path, text, value)


def read_json_lines(path: Path, text: str) -> Table:
    """Read an object of each line.

    Raises:
        Complaint: There are no rows.
    """
    return Table(limited(_lines(text), path.name), cells=False)


def _lines(text: str) -> Iterator[RawRow]:
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            yield _row(number, _DECODER.decode(line))
        except json.JSONDecodeError as error:
            yield RawRow(number, problem=f"must be a JSON object ({error.msg}: {_place(error)})")
        except RecursionError:
            yield RawRow(number, problem="must be a JSON object (nested too deeply)")


def _place(error: json.JSONDecodeError) -> str:
    return f"column {error.colno}"


def _of_object(path: Path, text: str, value: object) -> Table:
    at = len(text) - len(text.lstrip())
    line = text.count("\n", 0, at) + 1
    name = _list_in(path, value) if isinstance(value, _Object) else None
    if not isinstance(value, _Object) or name is None:
        return Table([_row(line, value)], cells=False)
    common, notes = _beside(path, value, name)
    rows = limited(_items(text, _place_of(text, at, name)), path.name)
    return Table(rows, cells=False, common=common, notes=notes)


def _place_of(text: str, at: int, wanted: str) -> int:
    """Find where the value of a member begins; `at` is where its object does."""
    at += 1
    while True:
        name, at = _DECODER.raw_decode(text, _skip(text, at))
        colon = _COLON.match(text, at)
        at = colon.end() if colon else at
        if name == wanted:
            return at
        _, at = _DECODER.raw_decode(text, at)


def _items(text: str, at: int) -> Iterator[RawRow]:
    """Read the items of a list that begins at a place, each with its line."""
    at, counted, line = at + 1, 0, 1
    while text[at := _skip(text, at)] != "]":
        line += text.count("\n", counted, at)
        counted = at
        value, at = _DECODER.raw_decode(text, at)
        yield _row(line, value)


def _skip(text: str, at: int) -> int:
    between = _BETWEEN_ITEMS.match(text, at)
    return between.end() if between else at


def _row(line: int, value: object, kind: str = "a JSON object") -> RawRow:
    if not isinstance(value, dict):
        return RawRow(line, problem=f"must be {kind}")
    values = cast("dict[str, Any]", value)
    twice = _repetition(values)
    if twice is not None:
        return RawRow(line, problem=twice)
    return RawRow(line, tuple((name, item) for name, item in values.items() if item is not None))


# --- TOML -----------------------------------------------------------------------------------------


def read_toml(path: Path, text: str) -> Table:
    """Read a list of tables, or one song's table.

    Raises:
        Complaint: It is no TOML, or has several lists.
    """
    try:
        value = tomllib.loads(text)
    except RecursionError as error:
        raise Complaint(f"{path.name}: nested too deeply") from error
    except ValueError as error:  # a number of 5,000 digits too
        raise Complaint(f"{path.name}: must be TOML ({_brief(error)})") from error
    name = _list_in(path, value)
    if name is None:
        return Table([_row(1, value, "a table")], cells=False)
    items = cast("list[object]", value[name])
    lines = _headings(text, name)
    numbered = len(lines) != len(items)
    places = range(1, len(items) + 1) if numbered else lines
    rows = (_row(line, item, "a table") for line, item in zip(places, items, strict=True))
    common, notes = _beside(path, value, name)
    taken = limited(rows, path.name)
    return Table(taken, cells=False, numbered=numbered, common=common, notes=notes)


def _headings(text: str, name: str) -> list[int]:
    quoted = re.escape(name)
    heading = re.compile(rf"""\s*\[\[\s*(?:{quoted}|"{quoted}"|'{quoted}')\s*\]\]""")
    return [n for n, line in enumerate(text.split("\n"), 1) if heading.match(line)]


def _brief(error: ValueError) -> str:
    return str(error).partition(";")[0]


# --- what both have -------------------------------------------------------------------------------


def _list_in(path: Path, value: Mapping[str, Any]) -> str | None:
    """Name the member that lists the rows; None when the object itself is the only row.

    Raises:
        Complaint: There are several such lists.
    """
    lists = {name: item for name, item in value.items() if isinstance(item, list)}
    names = [name for name, item in lists.items() if any(isinstance(one, dict) for one in item)]
    if not names and not any(map(field_of, value)):
        names = list(lists)
    if len(names) > 1:
        raise Complaint(f"{path.name}: has several lists of rows: {', '.join(map(repr, names))}")
    return names[0] if names else None


def _repetition(value: Mapping[str, Any]) -> str | None:
    return value.repeated if isinstance(value, _Object) else repetition(value)


def _beside(
    path: Path, value: Mapping[str, Any], rows: str
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Take what stands beside the rows: fields count for all rows, the rest is said to be unused.

    Raises:
        Complaint: A field is there twice.
    """
    if (twice := _repetition(value)) is not None:
        raise Complaint(f"{path.name}: {twice}")
    beside = {name: item for name, item in value.items() if name != rows and item is not None}
    common = {known: item for name, item in beside.items() if (known := field_of(name))}
    unused = ", ".join(repr(name) for name in beside if not field_of(name))
    return common, (f"beside the rows, and not used: {unused}",) if unused else ()
