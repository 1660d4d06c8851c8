"""The whole main job against a service that runs inside the command."""

import secrets
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache, partial
from itertools import cycle, islice
from pathlib import Path

from attrs import frozen

from suno_async import FixedInterval, SunoSession
from suno_async.cli.board import Board
from suno_async.cli.manifest import Problem, Row
from suno_async.cli.numbering import number_rows
from suno_async.cli.options import RunOptions
from suno_async.cli.run_folder import RunFolder
from suno_async.cli.service import DEMO
from suno_async.cli.song_run import SongRun
from suno_async.cli.songs import make_song
from suno_async.cli.stems import check_stem
from suno_async.sandbox import Sandbox, sing

_STEM_S = 6
# at this pace a typical task takes 2 s
_TIME_SCALE = 0.015
_INTERVAL_S = 0.34
_STYLES = (
    ("Morning Piano", "relaxing, piano, soothing"),
    ("Night Drive", "electronic, synthwave, fast"),
    ("Kitchen Radio", "jazz, brushes, upright bass"),
    ("Paper Boats", "acoustic folk, guitar"),
    ("Low Tide", "ambient, slow, warm pads"),
    ("Front Row", "rock, electric guitar, drums"),
    ("Sunday Vinyl", "lo-fi, mellow keys"),
    ("Empty Theatre", "dark, melancholic strings"),
    ("Dance Floor Four", "house, dance, bright"),
    ("Letter Home", "ballad, sad, cello"),
    ("Market Day", "upbeat pop, claps"),
    ("Grey Harbour", "moody, minor, noir"),
)
_NEGATIVE_TAGS = "heavy metal, distortion"


def demo(stem: Path | None, out: Path, count: int) -> None:
    """Generate accompaniments for one stem, without a key, credits or a network.

    Args:
        stem: The stem; None sings one.
        out: The folder of the tracks.
        count: How many songs.
    """
    with tempfile.TemporaryDirectory() as temporary:
        rows = partial(_rows, stem or _sung(Path(temporary)), count)
        run = SongRun(RunFolder(out), DemoService(), RunOptions(confirm_above=count), "Demo")
        run.perform(lambda known: number_rows(rows(), known))


@frozen
class DemoService:
    """A service inside the command, with tasks of its own in every run."""

    base_url: str = DEMO
    interval_s: float = _INTERVAL_S

    @asynccontextmanager
    async def session(
        self, board: Board, *, max_in_flight: int | None = None, check: bool = True
    ) -> AsyncIterator[SunoSession]:
        """Start the service, and open a session for it."""
        async with (
            # another seed, other ids: no file of an earlier run is taken for one of this run
            Sandbox(time_scale=_TIME_SCALE, seed=secrets.randbits(32)) as sandbox,
            SunoSession(
                sandbox.api_key,
                base_url=sandbox.base_url,
                cadence=FixedInterval(self.interval_s),
            ) as session,
        ):
            if check:
                board.balance_before = await session.credits()
            yield session


def _sung(folder: Path) -> Path:
    stem = folder / "sung.wav"
    stem.write_bytes(sing(_STEM_S))
    return stem


def _rows(stem: Path, count: int) -> list[Row | Problem]:
    """Write the demo's rows, which no other run has; from the second round on they are numbered."""
    run = secrets.token_hex(4)
    rows: list[Row | Problem] = []
    check = cache(check_stem)
    for position, (title, tags) in enumerate(islice(cycle(_STYLES), count)):
        lap = position // len(_STYLES) + 1
        name = title if lap == 1 else f"{title} {lap}"
        given = {"title": name, "tags": tags, "negative_tags": _NEGATIVE_TAGS, "stem": stem}
        song = make_song(given, Path(), check)
        rows.append(Row(position, 0, "", song, {}, f"demo-{run}-{song.content_key}", 1))
    return rows
