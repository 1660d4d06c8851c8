"""`tracks.csv`: which row became which files, for spreadsheets and scripts.

It begins with a byte order mark. Excel takes a file without one for the country's old encoding;
LibreOffice, Numbers and pandas read both. Python's csv is to read it as `utf-8-sig`.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from suno_async.cli.board import Board, Entry, SavedTrack, State
from suno_async.cli.whole import write_whole

NAME = "tracks.csv"
ENCODING = "utf-8-sig"
COLUMNS = (
    "row",
    "line",
    "title",
    "state",
    "track",
    "file",
    "duration",
    "task_id",
    "track_id",
    "model",
    "tags",
    "stem",
    "reason",
)
# as in the page's export of marks: page/assets/marks.js
FORMULA = re.compile(r"^[\s\0\uFEFF]*[=+\-@\uFF1D\uFF0B\uFF0D\uFF20]|^[\t\r\n]")
# where semicolons part cells, as in half of Europe, text brings further cells and lines along
GAP = re.compile(r"[\s;\0\uFEFF]+")
_ENDS_A_CELL = re.compile(r"[;\t\r\n]")
_QUOTED = re.compile(r"[\",;\t\r\n]|^'|^\s|\s$")
# what no workbook can hold, and many readers of CSV stumble over
_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]")
# Excel's limit
_LONGEST_CELL = 32_767
_Cells = Mapping[str, object]


def write_tracks(board: Board, out: Path) -> None:
    """Write the table of a run into its folder, whole or not at all.

    Raises:
        OSError: It cannot be written, such as on Windows while a spreadsheet shows it; what was
            there before is unchanged.
    """
    write_whole(out / NAME, tracks_csv(board, out).encode(ENCODING))


def tracks_csv(board: Board, out: Path) -> str:
    """List all files of a run, one a line, and the rows that have none.

    Text that a spreadsheet would take for a formula begins with an apostrophe, also where it would
    take a part of a text for a cell.

    Args:
        board: The rows.
        out: The run's folder, from which paths start.

    Returns:
        CSV (RFC 4180): a header of `COLUMNS` and the manifest's further columns; of those, one
        that is called like another has "(manifest)" behind its name.
    """
    further = _further(entry.extra for entry in board.entries)
    header = (*COLUMNS, *further.values())
    lines: list[Iterable[object]] = [header]
    for position, entry in enumerate(board.entries, 1):
        records = _records(entry, position, out, further)
        lines.extend(map(record.get, header) for record in records)
    return "".join(f"{','.join(map(cell, line))}\r\n" for line in lines)


def cell(value: object) -> str:
    """Write a cell: harmless in a spreadsheet, quoted where that is needed."""
    safe = _safe(value)
    quoted = safe.replace('"', '""')
    return f'"{quoted}"' if _QUOTED.search(safe) else safe


def _safe(value: object) -> str:
    text = "" if value is None else str(value)
    if FORMULA.match(text):
        text = f"'{text}"
    text = GAP.sub(_disarmed, text)
    text = _CONTROLS.sub("\ufffd", text)
    return text if len(text) <= _LONGEST_CELL else f"{text[: _LONGEST_CELL - 1]}…"


def _disarmed(gap: "re.Match[str]") -> str:
    """Put an apostrophe between the end of what may be a cell and what may be a formula."""
    behind = gap.string[gap.end() : gap.end() + 1]
    is_formula = _ENDS_A_CELL.search(gap[0]) and FORMULA.match(behind)
    return f"{gap[0]}'" if is_formula else gap[0]


def _further(rows: Iterable[Mapping[str, str]]) -> dict[str, str]:
    """Name the manifest's further columns so that each header is there once."""
    taken = {"", *COLUMNS}
    names: dict[str, str] = {}
    for column in dict.fromkeys(column for row in rows for column in row):
        name, number = column, 1
        while _same(name) in taken:
            which = "manifest" if number == 1 else f"manifest {number}"
            name, number = f"{column} ({which})".strip(), number + 1
        taken.add(_same(name))
        names[column] = name
    return names


def _same(name: str) -> str:
    return _safe(name).strip().casefold()


def _records(
    entry: Entry, position: int, out: Path, further: Mapping[str, str]
) -> Iterator[_Cells]:
    row = _row(entry, position)
    row |= {further[column]: value for column, value in entry.extra.items()}
    for saved in sorted(entry.tracks, key=lambda saved: saved.letter):
        yield {**row, **_file(saved, out, row)}
    if not entry.tracks:
        yield row


def _row(entry: Entry, position: int) -> dict[str, object]:
    asked = entry.song.fields if entry.song is not None else {}
    return {
        "row": entry.number or position,
        "line": entry.line,
        "title": entry.title,
        "state": State.UNCERTAIN if entry.doubt is not None else entry.state,
        "task_id": entry.task_id,
        "model": asked.get("model"),
        "tags": asked.get("tags"),
        "stem": _stem(entry),
        "reason": entry.problem or entry.doubt,
    }


def _stem(entry: Entry) -> object:
    if entry.song is None:
        return None
    return entry.song.stem.path if entry.song.stem is not None else entry.song.fields["upload_url"]


def _file(saved: SavedTrack, out: Path, row: _Cells) -> _Cells:
    track = saved.track
    return {
        "track": saved.letter,
        "file": saved.path.relative_to(out).as_posix(),
        "duration": track.duration,
        "track_id": track.id,
        # what was not asked for, or is not known to have been, is the service's choice
        "model": row["model"] or track.model_name,
        "tags": row["tags"] or track.tags,
    }
