"""The whole main job against a service that runs inside the command."""

import secrets
import tempfile
from datetime import timedelta
from itertools import cycle, islice
from pathlib import Path

from suno_async import FixedInterval, SunoSession
from suno_async.cli.board import Board, Entry
from suno_async.cli.delivery import Delivery
from suno_async.cli.failures import ending_clearly
from suno_async.cli.live_page import LivePage
from suno_async.cli.run import Run
from suno_async.cli.songs import Song, make_song
from suno_async.sandbox import Sandbox, sing

_STEM_S = 6
# at this pace a typical task takes 3 s
_TIME_SCALE = 0.02
_POLL_INTERVAL = timedelta(seconds=0.34)
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
    board = Board()
    page = LivePage(board, out, "Demo")
    run = Run(f"{count} songs from a service inside this command", out, board=board, page=page)
    with tempfile.TemporaryDirectory() as folder, page.finished(), ending_clearly(board):
        if stem is None:
            stem = Path(folder, "sung.wav")
            stem.write_bytes(sing(_STEM_S))
        songs = _songs(stem, count)
        board.entries += [entry for entry, _ in songs]
        run.perform(lambda: _work(run, songs))


def _songs(stem: Path, count: int) -> list[tuple[Entry, Song]]:
    """Write the demo's requests; from the second round on titles are numbered."""
    songs: list[tuple[Entry, Song]] = []
    for number, (title, tags) in enumerate(islice(cycle(_STYLES), count)):
        lap = number // len(_STYLES) + 1
        name = title if lap == 1 else f"{title} {lap}"
        given = {"title": name, "tags": tags, "negative_tags": _NEGATIVE_TAGS, "stem": stem}
        song = make_song(given, Path())
        songs.append((Entry(name, song=song), song))
    return songs


async def _work(run: Run, songs: list[tuple[Entry, Song]]) -> None:
    async with (
        # another seed, other ids: no file of an earlier run is taken for one of this run
        Sandbox(time_scale=_TIME_SCALE, seed=secrets.randbits(32)) as sandbox,
        SunoSession(
            sandbox.api_key,
            base_url=sandbox.base_url,
            cadence=FixedInterval(_POLL_INTERVAL),
            observers=[run.board.observe],
        ) as session,
    ):
        await Delivery(session, run.board, run.out).generate(songs)
