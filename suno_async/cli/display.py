"""What a person sees of a run: a live table on a terminal, plain lines elsewhere, then the sum."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.cells import cell_len
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from suno_async import Stage
from suno_async.cli.board import Board, Entry, State
from suno_async.cli.failures import printable

_REFRESHES_PER_SECOND = 8
# the heading, the summary, the line that counts what is hidden, and the cursor's line
_OTHER_LINES = 4
_TITLE_WIDTH = 24
# the columns of the final table beside the title's and the file's, with all padding
_OTHER_COLUMNS_WIDTH = 2 + 13 + 2 + 7 + 2 + 2
_UNLIMITED = 1000
_STYLES = {
    State.WAITING: "dim",
    State.UPLOADING: "cyan",
    State.RUNNING: "",
    State.SAVING: "cyan",
    State.SAVED: "green",
    State.FAILED: "red",
    State.UNCERTAIN: "yellow",
}
_STAGE_TEXTS = {
    Stage.TEXT: "text is there",
    Stage.FIRST: "first track is there",
    Stage.COMPLETE: "complete",
}
# who is hidden last when not all songs fit on the screen
_INTEREST = (
    State.RUNNING,
    State.SAVING,
    State.UPLOADING,
    State.UNCERTAIN,
    State.FAILED,
    State.WAITING,
    State.SAVED,
)


@contextmanager
def shown(board: Board, console: Console, heading: str) -> Iterator[None]:
    """Show a run while it goes on: live on a terminal, line by line elsewhere."""
    if not console.is_terminal or console.is_dumb_terminal:
        console.print(heading, markup=False, highlight=False, soft_wrap=True)
        board.changed = _Lines(console).write
        yield
        return
    with Live(
        get_renderable=lambda: screen(board, console, heading),
        console=console,
        refresh_per_second=_REFRESHES_PER_SECOND,
        transient=True,
    ):
        yield


def describe(entry: Entry) -> str:
    """Say in a few words where a song stands."""
    if entry.state is State.FAILED:
        return f"failed: {entry.problem}"
    if entry.state is State.SAVED:
        return "saved 1 file" if len(entry.files) == 1 else f"saved {len(entry.files)} files"
    if entry.state is State.RUNNING and entry.stage is not None:
        return _STAGE_TEXTS[entry.stage]
    return entry.state.value


def duration(seconds: float | None) -> str:
    """Write a duration as briefly as it can be read."""
    if seconds is None:
        return ""
    if seconds < 100:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


class _Lines:
    """Writes a line whenever something happens."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._began_s = time.monotonic()

    def write(self, entry: Entry) -> None:
        if entry.state is State.WAITING:
            return
        passed = duration(time.monotonic() - self._began_s)
        task = f" as task {entry.task_id}" if _just_submitted(entry) else ""
        line = f"{passed:>8}  {printable(entry.title)}: {describe(entry)}{task}"
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)


def _just_submitted(entry: Entry) -> bool:
    return entry.state is State.RUNNING and entry.stage is None


def screen(board: Board, console: Console, heading: str) -> RenderableType:
    """Draw how a run stands: a line for each song, as many as the terminal has room for."""
    room = max(console.size.height - _OTHER_LINES, 1)
    visible = _most_interesting(board.entries, room)
    table = Table.grid(padding=(0, 1), expand=True)
    table.add_column(justify="right", style="dim")
    table.add_column(ratio=5, no_wrap=True, overflow="ellipsis")
    table.add_column()
    table.add_column(ratio=6, no_wrap=True, overflow="ellipsis")
    table.add_column(justify="right", no_wrap=True, min_width=7)
    marks = _Marks(console)
    for number, entry in visible:
        table.add_row(
            str(number),
            Text(printable(entry.title)),
            marks.of(entry),
            Text(describe(entry), style=_STYLES[entry.state]),
            duration(entry.seconds),
        )
    hidden = len(board.entries) - len(visible)
    lines: list[RenderableType] = [Text(heading, style="bold", no_wrap=True), table]
    if hidden:
        lines.append(Text(f"  and {hidden} more", style="dim"))
    return Group(*lines, Text(_summary(board)))


def _most_interesting(entries: list[Entry], room: int) -> list[tuple[int, Entry]]:
    numbered = list(enumerate(entries, 1))
    if len(numbered) <= room:
        return numbered
    ranked = sorted(numbered, key=lambda pair: _INTEREST.index(pair[1].state))
    return sorted(ranked[:room], key=lambda pair: pair[0])


class _Marks:
    """Draws the three stages of a task, filled as far as it has come."""

    def __init__(self, console: Console) -> None:
        unicode = console.encoding.lower().startswith("utf")
        self._reached, self._open = ("●", "○") if unicode else ("#", ".")

    def of(self, entry: Entry) -> Text:
        reached = entry.stage.position + 1 if entry.stage is not None else 0
        style = _STYLES[entry.state] or "yellow"
        return Text(self._reached * reached + self._open * (len(Stage) - reached), style=style)


def _summary(board: Board) -> str:
    def count(*states: State) -> int:
        return sum(entry.state in states for entry in board.entries)

    parts = {
        "waiting": count(State.WAITING, State.UPLOADING),
        "running": count(State.RUNNING, State.SAVING),
        "saved": count(State.SAVED),
        "failed": count(State.FAILED),
        "uncertain": count(State.UNCERTAIN),
    }
    return ", ".join(f"{number} {name}" for name, number in parts.items() if number)


def print_result(board: Board, console: Console, out: Path) -> None:
    """Print how every song ended: its title, the stage it reached, seconds, files."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    widest = _TITLE_WIDTH if console.is_terminal else None
    table.add_column("title", no_wrap=True, overflow="ellipsis", max_width=widest)
    table.add_column("stage reached", no_wrap=True)
    table.add_column("seconds", justify="right", no_wrap=True)
    table.add_column("file", no_wrap=True)
    longest = _room_for_names(board, console) if console.is_terminal else _UNLIMITED
    for entry in board.entries:
        files = "\n".join(_shortened(printable(path.name), longest) for path in entry.files)
        seconds = f"{entry.seconds:.1f}" if entry.seconds is not None else ""
        title = Text(printable(entry.title))
        style = _STYLES[entry.state] if entry.state is State.FAILED else ""
        table.add_row(title, _reached(entry), seconds, Text(files), style=style)
    if not console.is_terminal:
        # what is written to a file or a pipe keeps its names whole, however long its lines get
        console = Console(file=console.file, width=_UNLIMITED)
    console.print(table)
    saved = sum(len(entry.files) for entry in board.entries)
    line = f"{saved} {'file' if saved == 1 else 'files'} in {out}: {_summary(board)}"
    console.print(line, markup=False, highlight=False, soft_wrap=True)


def _room_for_names(board: Board, console: Console) -> int:
    titles = max(cell_len(printable(entry.title)) for entry in board.entries)
    return console.width - _OTHER_COLUMNS_WIDTH - min(titles, _TITLE_WIDTH)


def _shortened(name: str, longest: int) -> str:
    """Take out of the middle of a file name what does not fit."""
    if len(name) <= longest:
        return name
    tail = 8
    return f"{name[: max(longest - tail - 1, 1)]}…{name[-tail:]}"


def _reached(entry: Entry) -> str:
    if entry.stage is not None:
        return entry.stage.value
    return "none yet" if entry.task_id else "not submitted"
