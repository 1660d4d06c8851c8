"""What is seen of a run while it goes on: live on a terminal, lines elsewhere, or JSON."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from suno_async.cli.board import Board, Entry
from suno_async.cli.estimate import Capacity
from suno_async.cli.json_lines import JsonLines
from suno_async.cli.lines import Lines
from suno_async.cli.output import Background, Output
from suno_async.cli.screen import Screen


class Display(Protocol):
    """Shows a run."""

    def start(self, heading: str) -> None:
        """Show that it starts."""

    def changed(self, entry: Entry) -> None:
        """Show that a song has moved."""

    def stopping(self) -> None:
        """Show that nothing more is submitted; the board says so already."""

    def end(self) -> None:
        """Show that it has ended."""


@contextmanager
def shown(
    board: Board,
    output: Output,
    heading: str,
    *,
    as_json: bool = False,
    capacity: Capacity | None = None,
) -> Iterator[Display]:
    """Show a run within the block; leaving it waits until all is written.

    Nothing that becomes of the output reaches the run: `output.when_gone` tells of it. Nothing is
    written in the caller's thread within the block either, so that a reader that is slow, or a
    terminal that was told to wait, holds up no event loop.

    Args:
        board: The songs; its `changed` is taken for the block.
        output: Where to show it.
        heading: What the run is, in a few words.
        as_json: Whether a program reads it: one object a line, see `json_lines`. Then nothing else
            may be written to the output, neither the result.
        capacity: How fast the run may submit and look, to estimate the time that is left; None
            takes a session's usual limits.

    Yields:
        What is to be told when the run stops: `stopping()`, once `board.stopping` is set. The
        balances of the board count as they are when the block is left.
    """
    if not as_json and _can_be_drawn_on(output):
        with _driven(board, Screen(board, output, capacity or Capacity()), heading) as display:
            yield display
        return
    with (
        Background(output) as background,
        _driven(
            board,
            JsonLines(board, background) if as_json else Lines(board, background),
            heading,
        ) as display,
    ):
        yield display


def _can_be_drawn_on(output: Output) -> bool:
    console = output.console()
    plain = console.is_dumb_terminal or console.legacy_windows
    return console.is_terminal and not plain and output.size() is not None


@contextmanager
def _driven(board: Board, display: Display, heading: str) -> Iterator[Display]:
    before, board.changed = board.changed, display.changed
    display.start(heading)
    try:
        yield display
    finally:
        board.changed = before
        display.end()
