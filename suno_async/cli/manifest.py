"""Files that list many songs: JSON Lines, a JSON array, or CSV."""

import csv
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias

from attrs import frozen

from suno_async import InvalidRequest
from suno_async.cli.failures import Complaint, sentence
from suno_async.cli.songs import WEIGHTS, Song, check_field, make_song

_STEM_FIELDS = {"stem", "upload_url"}
_CSV_SUFFIXES = {".csv", ".tsv"}
_BETWEEN_ITEMS = re.compile(r"[\s,]*")
_DECODER = json.JSONDecoder()

# a line of the file, and what stands there: the values of a row, or why there are none
_Found: TypeAlias = tuple[int, dict[str, Any] | str]


@frozen
class Row:
    """One row of a manifest.

    Attributes:
        source: File and line, such as `songs.csv:7`.
        title: What to call it on the screen.
        song: What it asks for, or None when the row is not usable.
        problem: Why it is not usable.
    """

    source: str
    title: str
    song: Song | None = None
    problem: str | None = None


def read_manifest(path: Path, defaults: Mapping[str, Any]) -> list[Row]:
    """Read all rows; one that is not usable says why and spoils no other.

    Args:
        path: The manifest. A row's `stem` is relative to its folder.
        defaults: Values for the fields that a row does not give.

    Raises:
        Complaint: The file as a whole cannot be read.
    """
    text = _read_text(path)
    found = list(_rows(path, text))
    if not found:
        raise Complaint(f"{path}: the manifest has no rows")
    return [_row(path, line, values, defaults) for line, values in found]


def _read_text(path: Path) -> str:
    try:
        return path.read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Complaint(f"{path}: the manifest must be UTF-8 text ({error.reason})") from error
    except OSError as error:
        raise Complaint(f"cannot read the manifest: {sentence(error)}") from error


def _rows(path: Path, text: str) -> Iterator[_Found]:
    if path.suffix.lower() in _CSV_SUFFIXES:
        return _csv_rows(path, text)
    if text.lstrip().startswith("["):
        return _array_rows(path, text)
    return _single_object(text) or _json_lines(text)


def _row(path: Path, line: int, values: dict[str, Any] | str, defaults: Mapping[str, Any]) -> Row:
    source = f"{path.name}:{line}"
    if isinstance(values, str):
        return Row(source, source, problem=values)
    given = {name: value for name, value in values.items() if value is not None}
    # a row's own stem replaces the common one, whichever way each of them is given
    replaced = _STEM_FIELDS if _STEM_FIELDS & given.keys() else set[str]()
    common = {name: value for name, value in defaults.items() if name not in replaced}
    title = given.get("title", common.get("title"))
    shown = title if isinstance(title, str) and title.strip() else source
    try:
        return Row(source, shown, make_song({**common, **given}, path.parent))
    except InvalidRequest as error:
        return Row(source, shown, problem=sentence(error))


def _single_object(text: str) -> Iterator[_Found] | None:
    try:
        value = json.loads(text)
    except (json.JSONDecodeError, RecursionError):
        return None
    return (
        iter([(text[: text.index("{")].count("\n") + 1, value)])
        if isinstance(value, dict)
        else None
    )


def _json_lines(text: str) -> Iterator[_Found]:
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            try:
                yield number, _object(json.loads(line))
            except (json.JSONDecodeError, RecursionError) as error:
                yield number, f"must be a JSON object ({error})"


def _array_rows(path: Path, text: str) -> Iterator[_Found]:
    try:
        json.loads(text)
    except json.JSONDecodeError as error:
        raise Complaint(f"{path.name}:{error.lineno}: must be JSON ({error.msg})") from error
    except RecursionError as error:
        raise Complaint(f"{path.name}: nested too deeply") from error
    at = text.index("[") + 1
    while text[at := _skip(text, at)] != "]":
        line = text.count("\n", 0, at) + 1
        value, at = _DECODER.raw_decode(text, at)
        yield line, _object(value)


def _skip(text: str, at: int) -> int:
    between = _BETWEEN_ITEMS.match(text, at)
    return between.end() if between else at


def _object(value: object) -> dict[str, Any] | str:
    if not isinstance(value, dict):
        return "must be a JSON object"
    return {str(name): item for name, item in value.items()}


def _csv_rows(path: Path, text: str) -> Iterator[_Found]:
    header_line = text.partition("\n")[0]
    delimiter = max(",;\t", key=header_line.count)
    reader = csv.reader(text.splitlines(keepends=True), delimiter=delimiter, strict=True)
    try:
        header = [name.strip() for name in next(reader, [])]
        _check_header(path, header)
        begins = reader.line_num + 1
        for cells in reader:
            if any(cell.strip() for cell in cells):
                yield begins, _cells(header, cells)
            begins = reader.line_num + 1
    except csv.Error as error:
        raise Complaint(f"{path.name}:{reader.line_num}: must be CSV ({error})") from error


def _check_header(path: Path, header: list[str]) -> None:
    try:
        for name in header:
            check_field(name)
    except InvalidRequest as error:
        raise Complaint(f"{path.name}:1: {sentence(error)}") from error


def _cells(header: list[str], cells: list[str]) -> dict[str, Any] | str:
    if len(cells) > len(header):
        return f"has {len(cells)} cells under a header of {len(header)}"
    given = {name: cell for name, cell in zip(header, cells, strict=False) if cell.strip()}
    return {name: _number(cell) if name in WEIGHTS else cell for name, cell in given.items()}


def _number(cell: str) -> float | str:
    try:
        return float(cell)
    except ValueError:
        return cell
