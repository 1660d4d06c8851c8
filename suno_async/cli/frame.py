"""What a run looks like on a terminal at one moment: a line for each song, and the sum. Pure."""

from collections.abc import Callable
from itertools import accumulate, pairwise

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from suno_async import Stage
from suno_async.cli import wording
from suno_async.cli.board import Board, Entry, State
from suno_async.cli.counts import Counts, count
from suno_async.cli.estimate import Capacity, left_s

# the cursor waits below all that is drawn
_CURSOR_LINES = 1
# on a terminal that is smaller than that, what is too long is cut; else it goes on in a next line
_LOW_LINES = 12
# on a terminal that is narrower than that, marks alone tell the stage
_NARROW_COLUMNS = 40
_SHORTEST_BAR = 4
# who is hidden last when not all songs fit on the screen
_INTEREST = (
    State.RUNNING,
    State.SAVING,
    State.UNCERTAIN,
    State.FAILED,
    State.WAITING,
    State.SAVED,
)


def draw(board: Board, console: Console, heading: str, capacity: Capacity) -> list[str]:
    """Draw how a run stands.

    Args:
        board: The songs.
        console: Has the terminal's size, encoding and colours; nothing is written to it.
        heading: The first line.
        capacity: How fast the run may submit and look.

    Returns:
        The lines, with the terminal's codes for colours, none wider than the terminal and together
        less high.
    """
    height = max(console.size.height - _CURSOR_LINES, 1)
    head = _rendered(console, Text(wording.in_columns(heading), style="bold", no_wrap=True))
    foot = _rendered(console, _foot(board, console, capacity))
    room = max(height - len(head) - len(foot), 1)
    visible = _most_interesting(board.entries, room)
    songs = _rendered(console, _songs(visible, console)) if visible else []
    if hidden := len(board.entries) - len(visible):
        songs += _rendered(console, Text(f"  and {hidden} more", style="dim", no_wrap=True))
    # the sum stays, whatever the height
    return [*head, *songs[: max(height - len(head) - len(foot), 0)], *foot][-height:]


def _rendered(console: Console, what: RenderableType) -> list[str]:
    with console.capture() as captured:
        console.print(what)
    return captured.get().removesuffix("\n").split("\n")


def _songs(visible: list[tuple[int, Entry]], console: Console) -> Table:
    wide = console.size.width >= _NARROW_COLUMNS
    table = Table.grid(padding=(0, 1), expand=True)
    table.add_column(justify="right", style="dim", no_wrap=True)
    table.add_column(ratio=5, no_wrap=True, overflow="ellipsis")
    table.add_column(no_wrap=True)
    if wide:
        table.add_column(ratio=6, no_wrap=True, overflow="ellipsis")
    table.add_column(justify="right", no_wrap=True, min_width=7)
    mark = _marks(console)
    for number, entry in visible:
        cells = [
            Text(str(entry.number or number)),
            Text(wording.in_columns(entry.title)),
            mark(entry),
            Text(wording.duration(entry.seconds)),
        ]
        if wide:
            words = wording.in_columns(wording.describe(entry))
            cells.insert(3, Text(words, style=wording.STYLES[entry.state]))
        table.add_row(*cells)
    return table


def _most_interesting(entries: list[Entry], room: int) -> list[tuple[int, Entry]]:
    numbered = list(enumerate(entries, 1))
    if len(numbered) <= room:
        return numbered
    # one line counts those that are hidden
    room = max(room - 1, 1)
    ranked = sorted(numbered, key=lambda pair: _uninteresting(pair[1]))
    return sorted(ranked[:room], key=lambda pair: pair[0])


def _uninteresting(entry: Entry) -> tuple[int, bool]:
    return _INTEREST.index(entry.state), not entry.uploading


def _has_unicode(console: Console) -> bool:
    return console.encoding.lower().startswith("utf")


def _marks(console: Console) -> Callable[[Entry], Text]:
    """Make what draws the three stages of a task, filled as far as it has come."""
    filled, empty = "●○" if _has_unicode(console) else "#."

    def marks(entry: Entry) -> Text:
        reached = entry.stage.position + 1 if entry.stage is not None else 0
        style = wording.STYLES[entry.state] or "yellow"
        return Text(filled * reached + empty * (len(Stage) - reached), style=style)

    return marks


def _foot(board: Board, console: Console, capacity: Capacity) -> Group:
    counts = count(board.entries)
    lines = [_progress(board, counts, console, capacity), Text(_counted(board, counts, capacity))]
    if (credits := wording.credits(board)) is not None:
        lines.append(Text(credits, style="dim"))
    if board.stopping:
        lines.append(Text(wording.stopping(counts), style="yellow"))
    if console.size.height < _LOW_LINES:
        for line in lines:
            line.no_wrap, line.overflow = True, "ellipsis"
    return Group(*lines)


def _counted(board: Board, counts: Counts, capacity: Capacity) -> str:
    if board.stopping:
        return counts.sentence("not submitted")
    full = counts.in_flight >= capacity.in_flight
    return counts.sentence("waiting for others to end" if full else "waiting for the window")


def _progress(board: Board, counts: Counts, console: Console, capacity: Capacity) -> Text:
    """Draw the bar, and beside it how many have ended and how long the others will take."""
    label = f"{counts.ended} of {counts.total}"
    going_on = counts.ended < counts.total
    seconds = left_s(board.entries, capacity, stopping=board.stopping) if going_on else None
    if seconds is not None:
        label += f", {wording.time_left(seconds)}"
    width = console.size.width - len(label) - 1
    if width < _SHORTEST_BAR or not counts.total:
        return Text(label, no_wrap=True, overflow="ellipsis")
    return Text.assemble(_bar(counts, width, console), " ", label, no_wrap=True)


def _bar(counts: Counts, width: int, console: Console) -> Text:
    full, failed, uncertain, running, empty = "█▓▚▒░" if _has_unicode(console) else "#x?-."
    parts = (
        (counts.saved, full, "green"),
        (counts.failed, failed, "red"),
        (counts.uncertain, uncertain, "yellow"),
        (counts.in_flight, running, "cyan"),
        (counts.waiting, empty, "dim"),
    )
    ends = accumulate((number for number, _, _ in parts), initial=0)
    edges = [width * end // counts.total for end in ends]
    bar = Text()
    for (start, end), (_, character, style) in zip(pairwise(edges), parts, strict=True):
        bar.append(character * (end - start), style=style)
    return bar
