"""Songs of a run, as they stand at some moment."""

from pathlib import Path

from suno_async import Stage
from suno_async.cli.board import Board, Entry, SavedTrack

TASK_ID = "5c79be8e0123456789abcdef01234567"
# no terminal agrees with another about all of them
HOSTILE = (
    "plain",
    "日本語のとても長い題名がここにあります" * 3,
    "e\u0301" * 60,
    "zalgo" + "\u0300\u0301\u0302" * 40,
    "👩\u200d👩\u200d👧 ❤\ufe0f 🇩🇪 👍🏽",
    "\x1b[2J\x1b]0;title\x07gone\r\nnext\tline",
    "\u202eright to left\u2066\u200b\u200f",
    "\u2028\x85\x0b\x0c\x9b31m",
    "[red]no markup[/red] :smile:",
    "\ud800 half",
    "",
)


def board_of(*titles: str) -> Board:
    """Make a board of songs that wait."""
    return Board([Entry(title) for title in titles])


def submit(board: Board, entry: Entry, stage: Stage | None = None) -> None:
    """Let a song be submitted, and reach a stage."""
    board.begin(entry, TASK_ID)
    if stage is not None:
        board.reach(entry, stage)


def save(board: Board, entry: Entry, *names: str) -> None:
    """Let a song end well."""
    submit(board, entry, Stage.COMPLETE)
    for name in names:
        board.add_track(entry, SavedTrack(Path("out", name)))
    board.save(entry)
