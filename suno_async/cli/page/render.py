"""The page itself: one file with its style, its script and its data, and nothing from elsewhere."""

import hashlib
from base64 import b64encode
from functools import cache
from importlib.resources import files
from pathlib import Path

from attrs import evolve
from jinja2 import Environment, StrictUndefined, Template
from markupsafe import Markup

from suno_async.cli.page.cache import Waveforms
from suno_async.cli.page.data import run_data, script_json
from suno_async.cli.page.links import file_address, is_web
from suno_async.cli.page.views import RowView, Run, StemView, TrackView
from suno_async.cli.whole import write_whole

PAGE = "index.html"
_SCRIPTS = ("base", "storage", "marks", "player", "lanes", "rows", "finding", "keyboard", "news")


def render(run: Run) -> str:
    """Write the page of a run, in characters that UTF-8 has."""
    style, script = _asset("page.css"), _script()
    page = _template().render(
        run=run,
        data=Markup(script_json(run_data(run))),  # noqa: S704 # nosec B704 # its marks are escaped
        style=Markup(style),  # noqa: S704 # nosec B704 # ours
        script=Markup(script),  # noqa: S704 # nosec B704 # ours
        style_source=_source(style),
        script_source=_source(script),
    )
    return page.encode("utf-8", "replace").decode()


def write_page(run: Run, folder: Path, waveforms: Waveforms | None = None) -> Path:
    """Write the page of a run into its folder, whole or not at all.

    It reads audio files and writes to disk: on an event loop, call it in a thread, and not in two
    at the same time.

    Args:
        run: The run; tracks and stems without waveform or duration get those of their files.
        folder: The run's folder.
        waveforms: What is known of the files, kept by who calls often; else the folder keeps it.

    Returns:
        The page's path.

    Raises:
        OSError: It cannot be written; the page that was there before is unchanged.
    """
    waveforms = waveforms or Waveforms(folder)
    rows = tuple(_measured(row, waveforms) for row in run.rows)
    waveforms.save()
    page = folder / PAGE
    write_whole(page, render(evolve(run, rows=rows)).encode())
    return page


def _measured(row: RowView, waveforms: Waveforms) -> RowView:
    stem = row.stem and _measured_stem(row.stem, waveforms)
    return evolve(
        row, stem=stem, tracks=tuple(_measured_track(track, waveforms) for track in row.tracks)
    )


def _measured_stem(stem: StemView, waveforms: Waveforms) -> StemView:
    outside = is_web(stem.source) or file_address(stem.source, upwards=True) is None
    if stem.waveform is not None or outside:
        return stem
    seen = waveforms.of(stem.source)
    return evolve(stem, waveform=seen.peaks, duration_s=seen.duration_s or stem.duration_s)


def _measured_track(track: TrackView, waveforms: Waveforms) -> TrackView:
    if track.waveform is not None or file_address(track.file) is None:
        return track
    seen = waveforms.of(track.file)
    return evolve(track, waveform=seen.peaks, duration_s=seen.duration_s or track.duration_s)


@cache
def _template() -> Template:
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string(_asset("page.html"))


@cache
def _script() -> str:
    return "".join(_asset(f"{name}.js") for name in _SCRIPTS)


@cache
def _asset(name: str) -> str:
    return (files("suno_async.cli.page") / "assets" / name).read_text(encoding="utf-8")


def _source(text: str) -> str:
    """Name an inline style or script for the Content-Security-Policy, by what it holds."""
    return f"sha256-{b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
