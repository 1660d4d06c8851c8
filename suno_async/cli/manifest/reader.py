"""From a file to rows that are checked as far as that goes without the service."""

from collections import Counter
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from attrs import define, field

from suno_async import InvalidRequest
from suno_async.cli.failures import Complaint, printable, sentence
from suno_async.cli.manifest.cells import check_length, extra_text, field_value
from suno_async.cli.manifest.columns import Sorted, sort_items, unknown_note
from suno_async.cli.manifest.content import decoded, read_content
from suno_async.cli.manifest.delimited import read_delimited
from suno_async.cli.manifest.rows import Manifest, Problem, Row
from suno_async.cli.manifest.structured import read_json, read_json_lines, read_toml
from suno_async.cli.manifest.table import RawRow, Table
from suno_async.cli.manifest.workbook import read_workbook
from suno_async.cli.songs import STEM_FIELDS, Song, make_song
from suno_async.cli.stems import Stem, check_stem

_TEXT_FORMS: dict[str, Callable[[Path, str], Table]] = {
    ".csv": read_delimited,
    ".tsv": read_delimited,
    ".jsonl": read_json_lines,
    ".ndjson": read_json_lines,
    ".json": read_json,
    ".toml": read_toml,
}
_WORKBOOK = ".xlsx"
_NAMED_IN_NOTE = 10


def read_manifest(
    path: Path,
    defaults: Mapping[str, Any],
    *,
    encoding: str | None = None,
    check: Callable[[Path], Stem] = check_stem,
) -> Manifest:
    """Read all rows; one that is not usable says why and spoils no other.

    Args:
        path: The manifest; its ending tells its form. A row's `stem` is relative to its folder.
        defaults: Values for the fields that a row does not give.
        encoding: How its text is encoded, when that is neither UTF-8 nor UTF-16 with a mark.
        check: Reads a stem; one that many rows name is read once.

    Raises:
        Complaint: The file as a whole cannot be read.
    """
    table = _table(path, read_content(path), encoding)
    rows = _Rows(path, table, defaults, cache(check))
    for position, raw in enumerate(table.rows):
        rows.add(position, raw)
    return Manifest(tuple(rows.good), tuple(rows.bad), (*table.notes, *rows.notes()))


def _table(path: Path, content: bytes, encoding: str | None) -> Table:
    ending = path.suffix.lower()
    if ending == _WORKBOOK:
        return read_workbook(path, content)
    form = _TEXT_FORMS.get(ending)
    if form is None and not content.lstrip().startswith((b"[", b"{")):
        known = ", ".join((*_TEXT_FORMS, _WORKBOOK))
        raise Complaint(f"{path}: the name of a manifest ends in one of {known}")
    return (form or read_json)(path, decoded(path.name, content, encoding))


@define
class _Rows:
    """Rows as they become, with what is remembered from one to the next."""

    _path: Path
    _table: Table
    _defaults: Mapping[str, Any]
    _check: Callable[[Path], Stem]
    good: list[Row] = field(factory=list[Row])
    bad: list[Problem] = field(factory=list[Problem])
    _equal: Counter[str] = field(factory=Counter[str])
    _unknown: dict[str, None] = field(factory=dict[str, None])

    def add(self, position: int, raw: RawRow) -> None:
        """Check a row."""
        source = self._source(raw.line)
        given = sort_items(raw.items)
        self._unknown.update(dict.fromkeys(given.extra))
        column, reason = None, raw.problem
        try:
            song = self._song(given) if reason is None else None
            extra = _extra(given.extra)
        except InvalidRequest as error:
            song, extra = None, {}
            column, reason = given.spelled.get(error.field, error.field), sentence(error)
        if song is None:
            reason = printable(reason or "")
            self.bad.append(Problem(position, raw.line, source, column, reason, _title(given)))
            return
        key = song.content_key
        self._equal[key] += 1
        self.good.append(Row(position, raw.line, source, song, extra, key, self._equal[key]))

    def _source(self, line: int) -> str:
        row = ", row " if self._table.numbered else ":"
        return f"{self._path.name}{row}{line}"

    def _song(self, given: Sorted) -> Song:
        values = given.fields
        if self._table.cells:
            values = {name: field_value(name, cell) for name, cell in values.items()}
        values = _over(_over(self._defaults, self._table.common), values)
        for name, value in values.items():
            check_length(name, value)
        return make_song(values, self._path.parent, self._check)

    def notes(self) -> list[str]:
        """Say which columns are no fields, and which rows ask for the same."""
        notes = [unknown_note(list(self._unknown))] if self._unknown else []
        alike: dict[str, list[int]] = {}
        for row in self.good:
            if self._equal[row.content_key] > 1:
                alike.setdefault(row.content_key, []).append(row.line)
        word = "rows" if self._table.numbered else "lines"
        notes += (
            f"{word} {_listed(lines)} ask for the same: each is made, and paid for"
            for lines in list(alike.values())[:_NAMED_IN_NOTE]
        )
        if len(alike) > _NAMED_IN_NOTE:
            notes.append(f"and so do {len(alike) - _NAMED_IN_NOTE} more groups of {word}")
        return notes


def _over(common: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Lay what is given over what is common; its stem replaces the other, in both its ways."""
    replaced = STEM_FIELDS if STEM_FIELDS & given.keys() else frozenset[str]()
    kept = {name: value for name, value in common.items() if name not in replaced}
    return {**kept, **given}


def _extra(values: Mapping[str, Any]) -> dict[str, str]:
    for name, value in values.items():
        check_length(name, value)
    return {name: extra_text(value) for name, value in values.items()}


def _title(given: Sorted) -> str | None:
    title = given.fields.get("title")
    return title if isinstance(title, str) and title.strip() else None


def _listed(lines: list[int]) -> str:
    shown = ", ".join(map(str, lines[:_NAMED_IN_NOTE]))
    more = len(lines) - _NAMED_IN_NOTE
    return f"{shown} and {more} more" if more > 0 else shown
