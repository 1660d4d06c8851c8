"""Runs on disk, as a batch leaves them."""

from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from attrs import frozen

from suno_async.cli.page import RowStatus, RowView, Run, StageTime, StemView, TrackView
from suno_async.sandbox import sing
from suno_async.sandbox.audio import accompany, arrange
from suno_async.sandbox.cover import paint
from suno_async.sandbox.wav import Stem

MADE_AT = datetime(2026, 3, 14, 15, 9, 26, tzinfo=UTC)
# one second of sound, in several formats
SECONDS = Path(__file__).parent / "audio"
STEM_S, A_S, B_S = 6.0, 6.0, 4.5


@frozen
class Audio:
    """Three sounds that belong together."""

    stem: bytes
    a: bytes
    b: bytes


@cache
def audio() -> Audio:
    """Make a stem of 6 s, a track that is as long, and one that is shorter."""
    voice = sing(STEM_S)
    short = sing(B_S)
    rate = 22_050
    return Audio(
        stem=voice,
        a=accompany(Stem(rate, round(STEM_S * rate), voice), arrange("pop", 1, 0)),
        b=accompany(Stem(rate, round(B_S * rate), short), arrange("pop", 1, 1)),
    )


def put(folder: Path, path: str, data: bytes) -> str:
    """Write a file into the run's folder and return its path there."""
    file = folder / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(data)
    return path


def complete_row(folder: Path, position: int, title: str, **others: object) -> RowView:
    """Make a row whose stem, tracks and covers are on disk."""
    name = f"{position:02} {title[:40]}".replace("/", "-")
    tracks = tuple(
        TrackView(
            letter=letter,
            file=put(folder, f"{name} - {letter}.wav", data),
            cover=put(folder, f"covers/{name} - {letter}.png", paint(f"{name}{letter}")),
            title=title,
            tags="pop, piano",
            model_name="chirp-v5",
        )
        for letter, data in (("A", audio().a), ("B", audio().b))
    )
    values: dict[str, object] = {
        "line": position + 1,
        "tags": "pop, piano, warm, 96 bpm",
        "negative_tags": "heavy metal",
        "model": "V5",
        "task_id": f"5c79be8e{position:024x}",
        "stages": (StageTime("text", 8.2), StageTime("first", 21), StageTime("complete", 41.4)),
        "stem": StemView(put(folder, "stems/voice.wav", audio().stem)),
        "extra": (("customer", "Radio Nord"),),
    }
    return RowView(
        position=position,
        title=title,
        status=RowStatus.COMPLETE,
        tracks=tracks,
        **{**values, **others},  # type: ignore[arg-type]  # a test names fields by itself
    )


def mixed_run(folder: Path) -> Run:
    """Make a run that has a row of each kind."""
    return Run(
        title="Spring album",
        made_at=MADE_AT,
        key="run-1",
        rows=(
            complete_row(folder, 1, "Blue harbour"),
            complete_row(folder, 2, "Amber road", tags="jazz, slow", model="V4_5PLUS"),
            RowView(
                3,
                "Élan",
                RowStatus.FAILED,
                line=4,
                tags="rock",
                model="V5",
                reason="the service could not fetch the stem (451): check that its URL is public",
            ),
            RowView(
                4,
                "Night ferry",
                RowStatus.RUNNING,
                line=5,
                tags="ambient",
                model="V5",
                stages=(StageTime("text", 9),),
            ),
            RowView(5, "Snow", RowStatus.WAITING, line=6, tags="folk"),
            RowView(
                6,
                "Meridian",
                RowStatus.UNCERTAIN,
                line=7,
                reason="the connection broke after the request was sent: it may have been charged",
                stem=StemView("https://stems.example/voice.wav"),
            ),
        ),
    )
