"""Open the page of a run in a browser."""

import os
import shlex
import webbrowser
from pathlib import Path

import typer

from suno_async.cli.board import Board
from suno_async.cli.failures import Complaint, ending_clearly, printable
from suno_async.cli.page import PAGE
from suno_async.key import API_KEY_VARIABLE


def open_page(folder: Path) -> None:
    """Open the page of a run; where there is no browser, print its path.

    Args:
        folder: The run's folder.

    Raises:
        SystemExit: It has no page.
    """
    with ending_clearly(Board()):
        page = folder.absolute() / PAGE
        if not page.is_file():
            makes = shlex.join(["suno-async", "generate", "--out", str(folder)])
            raise Complaint(f"there is no page in {folder}: {makes} makes one")
        os.environ.pop(API_KEY_VARIABLE, None)  # a browser, and what it starts, inherits the rest
        if not webbrowser.open(page.as_uri()):
            typer.echo(printable(str(page)))
