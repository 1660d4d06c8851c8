"""A run as the JSON that a page carries, with its texts as they are and its paths as addresses."""

import json
import math
from base64 import b64encode
from typing import Any
from urllib.parse import urlsplit

from suno_async.cli.page.links import file_address, is_web
from suno_async.cli.page.views import RowView, Run, StemView, TrackView

# within a script element these could end it, open a comment, or end a line
_ESCAPES = {ord(mark): f"\\u{ord(mark):04x}" for mark in "<>&\u2028\u2029"}


def script_json(value: object) -> str:
    """Write JSON, in ASCII, that can stand in a script element whatever it holds."""
    return json.dumps(value, allow_nan=False, separators=(",", ":")).translate(_ESCAPES)


def run_data(run: Run) -> dict[str, Any]:
    """Gather what the page's script needs of a run."""
    return {
        "key": run.key,
        "madeAt": run.made_at.isoformat(),
        "news": run.brings_news,
        "rows": [_row(row) for row in run.rows],
    }


def _row(row: RowView) -> dict[str, Any]:
    return {
        "position": row.position,
        "line": row.line,
        "title": row.title,
        "status": row.status.value,
        "tags": row.tags,
        "negativeTags": row.negative_tags,
        "model": row.model,
        "taskId": row.task_id or "",
        "stages": [[stage.stage, _seconds(stage.after_s)] for stage in row.stages],
        "reason": row.reason,
        "stem": _stem(row.stem) if row.stem is not None else None,
        "tracks": [_track(track) for track in row.tracks],
        "extra": [list(pair) for pair in row.extra],
    }


def _stem(stem: StemView) -> dict[str, Any]:
    web = is_web(stem.source)
    return {
        "source": stem.source,
        "link": stem.source if web else None,
        "host": urlsplit(stem.source).hostname if web else None,
        "address": None if web else file_address(stem.source, upwards=True),
        "duration": _seconds(stem.duration_s),
        "peaks": _peaks(stem.waveform),
    }


def _track(track: TrackView) -> dict[str, Any]:
    return {
        "letter": track.letter,
        "file": track.file,
        "address": file_address(track.file),
        "cover": file_address(track.cover) if track.cover else None,
        "duration": _seconds(track.duration_s),
        "title": track.title,
        "tags": track.tags,
        "model": track.model_name,
        "peaks": _peaks(track.waveform),
    }


def _seconds(value: float | None) -> float | None:
    if value is None or not math.isfinite(value) or value < 0:
        return None
    return round(value, 3)


def _peaks(waveform: tuple[int, ...] | None) -> str:
    return b64encode(bytes(min(max(peak, 0), 255) for peak in waveform or ())).decode()
