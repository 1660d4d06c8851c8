"""How every song of a run ended: a table and a sum, for a person."""

from collections.abc import Sequence
from pathlib import Path

from rich.cells import cell_len, set_cell_size
from rich.table import Table
from rich.text import Text

from suno_async.cli import wording
from suno_async.cli.board import Board, Entry, State
from suno_async.cli.counts import count
from suno_async.cli.failures import printable
from suno_async.cli.output import Output

_TITLE_COLUMNS = 24
_PADDING_COLUMNS = 2
_REMARKABLE = {State.FAILED, State.UNCERTAIN}
_STAGE_COLUMNS = 13
_SECONDS_COLUMNS = 7
# a file name that is cut keeps that much of its end
_TAIL_COLUMNS = 8
_SHORTEST_NAME = 12
# on a terminal that is narrower than that, there are files alone, which have titles in their names
_NARROW_COLUMNS = 60
# what is written to a file or a pipe keeps its names whole, however long its lines get
_UNLIMITED_COLUMNS = 1000
_TITLE_COLUMNS_IN_A_PIPE = 100


def print_result(board: Board, output: Output, out: Path) -> None:
    """Print how every song ended: its number, title, the stage it reached, seconds, files.

    Args:
        board: The songs.
        output: Where to print.
        out: The folder of the tracks.
    """
    console = output.console()
    terminal = output.isatty()
    if not terminal:
        console.width = _UNLIMITED_COLUMNS
    elif size := output.size():
        console.size = (size.columns, size.lines)
    # what an earlier run has saved is counted, and not listed again
    entries = [it for it in board.entries if not (it.earlier and it.state is State.SAVED)]
    if entries:
        console.print(_table(entries, console.width, cut=terminal))
    counts = count(board.entries)
    files = sum(len(entry.files) for entry in board.entries)
    for line in (
        f"{files} {'file' if files == 1 else 'files'} in {out}: {counts.sentence()}",
        wording.credits(board),
    ):
        if line is not None:
            output.line(printable(line))


def _table(entries: Sequence[Entry], columns: int, *, cut: bool) -> Table:
    numbers = [str(entry.number or row) for row, entry in enumerate(entries, 1)]
    titles = [_title(entry, cut=cut) for entry in entries]
    wide = not cut or columns >= _NARROW_COLUMNS
    table = Table(box=None, padding=(0, _PADDING_COLUMNS, 0, 0), header_style="bold")
    table.add_column("#", justify="right", no_wrap=True)
    if wide:
        table.add_column("title", no_wrap=True, overflow="ellipsis")
        table.add_column("stage reached", no_wrap=True)
        table.add_column("seconds", justify="right", no_wrap=True)
    table.add_column("file", no_wrap=True, overflow="ellipsis")
    taken = [max(map(len, numbers))]
    taken += [max(map(cell_len, titles)), _STAGE_COLUMNS, _SECONDS_COLUMNS] if wide else []
    # the last column has its padding too
    room = columns - sum(taken) - _PADDING_COLUMNS * (len(taken) + 1)
    for number, title, entry in zip(numbers, titles, entries, strict=True):
        names = (_name(path, cut=cut) for path in entry.files)
        files = "\n".join(_shortened(name, room) if cut else name for name in names)
        seconds = f"{entry.seconds:.1f}" if entry.seconds is not None else ""
        cells = (title, _reached(entry), seconds, files) if wide else (files or title,)
        style = wording.STYLES[entry.state] if entry.state in _REMARKABLE else ""
        table.add_row(*map(Text, (number, *cells)), style=style)
    return table


def _title(entry: Entry, *, cut: bool) -> str:
    longest = _TITLE_COLUMNS if cut else _TITLE_COLUMNS_IN_A_PIPE
    text = wording.in_columns(entry.title)
    return text if cell_len(text) <= longest else f"{set_cell_size(text, longest - 1).rstrip()}…"


def _name(path: Path, *, cut: bool) -> str:
    return wording.in_columns(path.name) if cut else printable(path.name)


def _shortened(name: str, columns: int) -> str:
    """Take out of the middle of a file name what does not fit: its end tells tracks apart."""
    columns = max(columns, _SHORTEST_NAME)
    if cell_len(name) <= columns:
        return name
    tail = name[-_TAIL_COLUMNS:]
    return f"{set_cell_size(name, columns - cell_len(tail) - 1)}…{tail}"


def _reached(entry: Entry) -> str:
    if entry.stage is not None:
        return entry.stage.value
    if entry.state is State.UNCERTAIN:
        return "uncertain"
    return "none yet" if entry.task_id else "not submitted"
