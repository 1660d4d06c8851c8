"""CSV and TSV, in the dialects that spreadsheets write."""

import csv
import io
import re
from collections.abc import Iterator
from pathlib import Path

from attrs import define, field

from suno_async.cli.failures import Complaint
from suno_async.cli.manifest.cells import is_blank
from suno_async.cli.manifest.columns import check_header, field_of
from suno_async.cli.manifest.table import RawRow, Table, limited

_DELIMITERS = ",;\t"
_NOT_READ = ": no row behind it is read"
# what Excel writes, and takes, above the header
_DIALECT_LINE = re.compile(r'"?sep=([,;\t])"?\r?\n')


def read_delimited(path: Path, text: str) -> Table:
    """Read CSV; its delimiter is the one under which the header is best understood.

    Raises:
        Complaint: It has no rows, or its header has a column twice.
    """
    told = _DIALECT_LINE.match(text)
    if told:
        read = [_Records(text[told.end() :], told[1], 1)]
    else:
        read = [_Records(text, delimiter) for delimiter in _DELIMITERS]
    records = max(read, key=_understood)
    header = records.header
    if not _understood(records)[0]:
        # under another delimiter it may be the header, and broken
        header = next((one.header for one in read if isinstance(one.header, str)), header)
    if isinstance(header, str):
        raise Complaint(f"{path.name}:{records.header_line}: {header}")
    check_header(path.name, records.header_line, header)
    names = [name if name.strip() else f"column {n}" for n, name in enumerate(header, 1)]
    return Table(limited(records.rows(names), path.name), cells=True)


def _understood(records: "_Records") -> tuple[int, int]:
    if isinstance(records.header, str):
        return 0, 0
    fields = sum(field_of(name) is not None for name in records.header)
    return fields, len(records.header)


@define
class _Records:
    """The records of a CSV file: its header, and then its rows, each with the line of its start."""

    _text: str
    _delimiter: str
    _lines_above: int = 0
    header: list[str] | str = field(init=False)
    header_line: int = field(init=False)
    _records: Iterator[tuple[int, list[str] | str]] = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._records = self._read()
        self.header_line, self.header = next(self._records, (1, list[str]()))

    def rows(self, names: list[str]) -> Iterator[RawRow]:
        """Read the rows below the header."""
        for line, cells in self._records:
            if isinstance(cells, str):
                yield RawRow(line, problem=cells)
            else:
                yield _row(line, names, cells)

    def _read(self) -> Iterator[tuple[int, list[str] | str]]:
        """Read all records but blank ones; one that is no CSV gives the reason in its place.

        Only line feeds and carriage returns end a line; the separators of Unicode are text.
        """
        lines = _Lines(io.StringIO(self._text, newline=""))
        reader = csv.reader(lines, delimiter=self._delimiter, strict=True)
        while True:
            line = self._lines_above + reader.line_num + 1
            lines.taken.clear()
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                yield line, f"must be CSV ({_reason(error)}){'' if lines.whole else _NOT_READ}"
                if not lines.whole:
                    return
            else:
                if not all(map(is_blank, cells)):
                    yield line, cells


@define
class _Lines:
    """Lines, and those that were taken for one record."""

    _lines: Iterator[str]
    taken: list[str] = field(factory=list[str])

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = next(self._lines)
        self.taken.append(line)
        return line

    @property
    def whole(self) -> bool:
        """Whether what was taken ends outside quotation marks, so that a record begins behind it.

        Inside of them, the lines that follow are the rest of a cell: nobody wants to pay for them.
        """
        return not sum(line.count('"') for line in self.taken) % 2


def _reason(error: csv.Error) -> str:
    if "unexpected end" in str(error):
        return "a quotation mark that opens here is never closed"
    return str(error)


def _row(line: int, names: list[str], cells: list[str]) -> RawRow:
    if any(not is_blank(cell) for cell in cells[len(names) :]):
        return RawRow(line, problem=f"has {len(cells)} cells under a header of {len(names)}")
    pairs = zip(names, cells, strict=False)
    return RawRow(line, tuple((name, cell) for name, cell in pairs if not is_blank(cell)))
