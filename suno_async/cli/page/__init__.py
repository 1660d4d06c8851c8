"""The page of a run: one file that works from disk, to listen, compare and choose."""

from suno_async.cli.page.cache import Waveforms
from suno_async.cli.page.render import PAGE, render, write_page
from suno_async.cli.page.views import (
    RowStatus,
    RowView,
    Run,
    StageTime,
    StemView,
    TrackView,
)

__all__ = [
    "PAGE",
    "RowStatus",
    "RowView",
    "Run",
    "StageTime",
    "StemView",
    "TrackView",
    "Waveforms",
    "render",
    "write_page",
]
