"""One run of the command: its checks, its event loop, and what is shown of it."""

import asyncio
import os
import sys
import tempfile
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

from attrs import define, field

from suno_async.cli.board import Board
from suno_async.cli.display import Display, shown
from suno_async.cli.estimate import Capacity
from suno_async.cli.failures import Complaint
from suno_async.cli.interruption import PIPE, Interruption
from suno_async.cli.live_page import LivePage
from suno_async.cli.output import Output
from suno_async.cli.result import print_result

# enough for a full file system to notice
_PROBE_BYTES = 65_536


@define
class Run:
    """What all commands that save tracks have in common.

    Args:
        heading: Shown above the progress.
        out: The folder of the tracks; made if it is not there.
        board: The songs.
        page: Kept up to date meanwhile; None when the folder is to have none of this run.
        stop: Called when it is asked to stop for the first time; None when it then stops at once.
        leave: Called when it is asked again.
        as_json: Whether a program reads what is printed.
        capacity: How fast it may submit and look, to estimate the time that is left.
    """

    heading: str
    out: Path
    board: Board = field(factory=Board)
    page: LivePage | None = None
    stop: Callable[[], None] | None = None
    leave: Callable[[], None] = field(default=lambda: None)
    as_json: bool = False
    capacity: Capacity = field(factory=Capacity)

    def perform(self, work: Callable[[], Awaitable[None]]) -> None:
        """Do the work on an event loop, show it, and print how it ended.

        Raises:
            Complaint: The folder cannot be written to; nothing was begun.
            Interrupted: It was asked to stop.
        """
        check_folder(self.out)
        output = Output(sys.stdout)
        try:
            with shown(
                self.board, output, self.heading, as_json=self.as_json, capacity=self.capacity
            ) as display:
                interruption = Interruption(self._stop_and_tell(display), self.leave)

                async def watched() -> None:
                    self._stop_unread(output, interruption)
                    await self._with_page(work)

                asyncio.run(interruption.guard(watched))
        finally:
            if not self.as_json and any(entry.task_id for entry in self.board.entries):
                print_result(self.board, output, self.out)

    def _stop_and_tell(self, display: Display) -> Callable[[], None] | None:
        if self.stop is None:
            return None
        stop = self.stop

        def stop_and_tell() -> None:
            stop()
            display.stopping()

        return stop_and_tell

    def _stop_unread(self, output: Output, interruption: Interruption) -> None:
        """Ask it to stop when nobody reads any more; what only saves goes on."""
        if self.stop is None:
            return
        loop = asyncio.get_running_loop()

        def stop() -> None:
            with suppress(RuntimeError):  # it has ended meanwhile
                loop.call_soon_threadsafe(interruption.take, PIPE)

        output.when_gone(stop)

    async def _with_page(self, work: Callable[[], Awaitable[None]]) -> None:
        if self.page is None:
            await work()
            return
        async with self.page.kept():
            await work()


def check_folder(out: Path) -> None:
    """Make sure that files can be written there, before anything is paid for.

    Raises:
        Complaint: They cannot.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out) as probe:
            probe.write(bytes(_PROBE_BYTES))
            probe.flush()
    except OSError as error:
        raise Complaint(f"cannot write into {out}: {os.strerror(error.errno or 0)}") from error
