"""Excel workbooks, by openpyxl, which is imported when one is read."""

import io
import warnings
import zipfile
from collections.abc import Iterator, Sequence
from importlib import import_module
from itertools import zip_longest
from pathlib import Path
from typing import Any

from suno_async.cli.failures import Complaint
from suno_async.cli.manifest.cells import NoValue, is_blank
from suno_async.cli.manifest.columns import check_header
from suno_async.cli.manifest.table import RawRow, Table, limited

# of a packed file, whose size says little
_MAX_UNPACKED_BYTES = 256 * 1024 * 1024


def read_workbook(path: Path, content: bytes) -> Table:
    """Read the first visible sheet of a workbook: its first row that is not blank is the header.

    Raises:
        Complaint: It is no workbook, its sheet is empty, or openpyxl is not installed.
    """
    try:
        openpyxl: Any = import_module("openpyxl")
    except ImportError as error:
        why = "an .xlsx manifest needs openpyxl: pip install 'suno-async[cli]'"
        raise Complaint(f"{path.name}: {why}") from error
    _check_size(path, content)
    with warnings.catch_warnings():
        # of what is in the workbook and is not read, such as rules of validation
        warnings.simplefilter("ignore")
        try:
            # the values that were computed, and what computes them
            values, formulas = (
                openpyxl.load_workbook(
                    io.BytesIO(content), read_only=True, data_only=data_only, keep_links=False
                )
                for data_only in (True, False)
            )
            return _table(path, values, formulas)
        except Complaint:
            raise
        except Exception as error:  # a damaged workbook raises anything
            what = f"must be an Excel workbook ({str(error) or type(error).__name__})"
            raise Complaint(f"{path.name}: {what}") from error


def _check_size(path: Path, content: bytes) -> None:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as packed:
            size = sum(member.file_size for member in packed.infolist())
    except (zipfile.BadZipFile, ValueError, NotImplementedError, OSError) as error:
        why = "must be an Excel workbook without a password (.xlsx)"
        raise Complaint(f"{path.name}: {why}") from error
    if size > _MAX_UNPACKED_BYTES:
        raise Complaint(f"{path.name}: a workbook has at most {_MAX_UNPACKED_BYTES // 1024**2} MB")


def _table(path: Path, values: Any, formulas: Any) -> Table:
    visible = [sheet for sheet in values.worksheets if sheet.sheet_state == "visible"]
    if not visible:
        raise Complaint(f"{path.name}: the workbook has no visible sheet")
    sheet, others = visible[0], [one.title for one in values.worksheets if one != visible[0]]
    records = _records(sheet, formulas[sheet.title])
    line, header = next(records, (1, ()))
    names = [_name(cell, number) for number, cell in enumerate(header, 1)]
    check_header(path.name, line, names)
    rows = limited((_row(line, names, cells) for line, cells in records), path.name)
    note = f"of its sheets {sheet.title!r} is read, and not {', '.join(map(repr, others))}"
    return Table(rows, cells=True, notes=(note,) if others else ())


def _name(cell: object, number: int) -> str:
    return f"column {number}" if is_blank(cell) or isinstance(cell, NoValue) else str(cell)


def _row(line: int, names: Sequence[str], cells: Sequence[Any]) -> RawRow:
    if len(cells) > len(names):
        return RawRow(line, problem=f"has {len(cells)} cells under a header of {len(names)}")
    pairs = zip(names, cells, strict=False)
    return RawRow(line, tuple((name, cell) for name, cell in pairs if not is_blank(cell)))


def _records(sheet: Any, formulas: Any) -> Iterator[tuple[int, list[Any]]]:
    """Read the rows that are not blank, each with its number and up to its last value."""
    for one in (sheet, formulas):
        one.reset_dimensions()  # what a workbook says of its size need not be true
    both = zip_longest(sheet.iter_rows(), formulas.iter_rows(), fillvalue=())
    for number, (cells, computed) in enumerate(both, 1):
        row = [_value(*pair) for pair in zip_longest(cells, computed)]
        while row and is_blank(row[-1]):
            row.pop()
        if row:
            yield number, row


def _value(cell: Any, computed: Any) -> Any:
    value = cell.value if cell is not None else None
    if cell is not None and cell.data_type == "e":
        return NoValue(f"the error {value} in {cell.coordinate}")
    if value is None and computed is not None and computed.data_type == "f":
        where = computed.coordinate
        return NoValue(f"a formula without its result in {where} (open it, and save it again)")
    return value
