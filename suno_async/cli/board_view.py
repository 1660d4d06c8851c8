"""How the songs of a board look on a page."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from suno_async.cli.board import Board, Entry, SavedTrack, State
from suno_async.cli.page import RowStatus, RowView, Run, StageTime, StemView, TrackView
from suno_async.cli.stems import Stem

_STATUSES = {
    State.WAITING: RowStatus.WAITING,
    State.RUNNING: RowStatus.RUNNING,
    State.SAVING: RowStatus.RUNNING,
    State.SAVED: RowStatus.COMPLETE,
    State.FAILED: RowStatus.FAILED,
    State.UNCERTAIN: RowStatus.UNCERTAIN,
}


def view(board: Board, out: Path, stem_path: Callable[[Stem], str | None], **about: Any) -> Run:
    """Show a board as it stands.

    Args:
        board: The songs.
        out: The page's folder.
        stem_path: Tells where in this folder a stem on disk is; None when it is not there.
        about: The title, the key, and what else a page says of its run.
    """
    rows = tuple(
        _row(position, entry, out, stem_path) for position, entry in enumerate(board.entries, 1)
    )
    return Run(rows=rows, made_at=datetime.now(UTC).astimezone(), **about)


def _row(
    position: int, entry: Entry, out: Path, stem_path: Callable[[Stem], str | None]
) -> RowView:
    asked = entry.song.fields if entry.song is not None else {}
    return RowView(
        position=entry.number or position,
        title=entry.title,
        status=_status(entry),
        line=entry.line,
        tags=str(asked.get("tags", "")),
        negative_tags=str(asked.get("negative_tags", "")),
        model=str(asked.get("model", "")),
        task_id=entry.task_id,
        stages=tuple(StageTime(stage.value, after_s) for stage, after_s in entry.stages),
        reason=entry.problem or entry.doubt or "",
        stem=_stem(entry, stem_path),
        tracks=tuple(_track(track, out) for track in entry.tracks),
        extra=tuple(entry.extra.items()),
    )


def _status(entry: Entry) -> RowStatus:
    return RowStatus.UNCERTAIN if entry.doubt is not None else _STATUSES[entry.state]


def _stem(entry: Entry, stem_path: Callable[[Stem], str | None]) -> StemView | None:
    if entry.song is None:
        return None
    if entry.song.stem is None:
        return StemView(str(entry.song.fields["upload_url"]))
    path = stem_path(entry.song.stem)
    return StemView(path) if path is not None else None


def _track(saved: SavedTrack, out: Path) -> TrackView:
    track = saved.track
    return TrackView(
        letter=saved.letter,
        file=saved.path.relative_to(out).as_posix(),
        cover=saved.cover.relative_to(out).as_posix() if saved.cover is not None else None,
        duration_s=track.duration,
        title=track.title or "",
        tags=track.tags or "",
        model_name=track.model_name or "",
    )
