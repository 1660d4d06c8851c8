"""The page of a run that goes on: rebuilt while songs move, and once more when it ends."""

import asyncio
import logging
import signal
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import ParamSpec

from suno_async.cli.board import Board
from suno_async.cli.board_view import view
from suno_async.cli.failures import complain, printable, sentence
from suno_async.cli.output import say
from suno_async.cli.page import PAGE, Run, Waveforms, write_page
from suno_async.cli.stem_folder import StemFolder
from suno_async.cli.tracks_table import write_tracks

P = ParamSpec("P")

_GAP_S = 2.0
# a large page takes long to write: the rest of the command needs the time as well
_MOST_OF_THE_TIME = 0.1
_log = logging.getLogger(__name__)


class LivePage:
    """Writes the page of a run into its folder, beginning when the first song moves.

    Files are read and written in a thread, one page at a time. Whatever goes wrong with that, the
    run goes on.

    Args:
        board: The songs.
        out: The run's folder.
        quiet: Whether not to print where it is.
    """

    def __init__(self, board: Board, out: Path, *, quiet: bool = False) -> None:
        self._quiet = quiet
        self._board = board
        self._out = out
        self._title = self._key = ""
        self._stems = StemFolder(out)
        self._waveforms: Waveforms | None = None
        self._guard = threading.Lock()
        self._untouched = board.version

    def about(self, title: str, key: str) -> None:
        """Name the run: its heading, and the key that its marks are kept under."""
        self._title, self._key = title, key

    @asynccontextmanager
    async def kept(self) -> AsyncIterator[None]:
        """Rebuild the page within the block, whenever something has changed."""
        keeping = asyncio.create_task(self._keep())
        try:
            yield
        finally:
            keeping.cancel()
            await asyncio.wait([keeping])

    async def _keep(self) -> None:
        written = self._untouched
        while True:
            began_s = time.monotonic()
            if self._board.version != written:
                written = self._board.version
                await asyncio.to_thread(self._safely, self._put_stems)
                await asyncio.to_thread(self._safely, self._write, self._view(going_on=True))
            took_s = time.monotonic() - began_s
            await asyncio.sleep(max(_GAP_S, took_s / _MOST_OF_THE_TIME))

    @contextmanager
    def finished(self) -> Iterator[None]:
        """Write the last page after the block, however that ends, and say where it is.

        Nothing is written when no song has moved: what is there may be an earlier run's.

        Raises:
            SystemExit: It was interrupted.
        """
        try:
            yield
        finally:
            if self._board.version != self._untouched:
                try:
                    self._finish()
                except KeyboardInterrupt:
                    raise SystemExit(128 + signal.SIGINT) from None

    def _finish(self) -> None:
        self._safely(self._put_stems)
        error = self._safely(self._write, self._view(going_on=False))
        if error is not None:
            complain(f"suno-async: the page could not be written: {sentence(error)}")
            return
        if not self._quiet:
            say(f"The page: {printable(str(self._out / PAGE))}")

    def _put_stems(self) -> None:
        songs = [entry.song for entry in self._board.entries]
        self._stems.put(song.stem for song in songs if song is not None and song.stem)

    def _view(self, *, going_on: bool) -> Run:
        return view(
            self._board,
            self._out,
            self._stems.path,
            title=self._title,
            key=self._key,
            going_on=going_on,
        )

    def _write(self, run: Run) -> None:
        write_tracks(self._board, self._out)
        self._waveforms = self._waveforms or Waveforms(self._out)
        write_page(run, self._out, self._waveforms)

    def _safely(
        self, work: Callable[P, None], *args: P.args, **kwargs: P.kwargs
    ) -> Exception | None:
        """Do some work while no other thread does any; return what went wrong."""
        with self._guard:
            try:
                work(*args, **kwargs)
            except Exception as error:  # noqa: BLE001 - whatever it is, songs are more than a page
                _log.warning("the page could not be written: %s", sentence(error))
                return error
        return None
