"""Manifests of many rows, some of them bad, and what a folder has to have in the end."""

import csv
import hashlib
import wave
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from suno_async.sandbox import Sandbox, sing

MANIFEST = "songs.csv"
COLUMNS = "title,tags,negative_tags,stem,upload_url,model,style_weight,customer"
# seconds, by file
STEMS = {f"voice {number}.wav": (20 + number) / 50 for number in range(18)}
# numbered, since the sandbox plays equal tags alike
TAGS = ("piano {}", '"folk, warm {}"', '"jazz,\nslow {}"', "日本 pop {}")
# each in its own way, and how the reason begins
BAD = {
    "No tags,,metal,voice 0.wav,,,,": "tags is required",
    "Too much,rock,metal,voice 0.wav,,,1.5,": "style_weight must be a number from 0 to 1",
    "Nowhere,rock,metal,nowhere.wav,,,,": "stem must be a readable file",
    "Both,rock,metal,voice 0.wav,https://a.example/a.wav,,,": "stem or upload_url is required",
    "New model,rock,metal,voice 0.wav,,V99,,": "model must be",
}
_DATABASE = ("run.db", "run.db.lock", "run.db-wal", "run.db-shm", ".run.lock")
_OF_A_RUN = (*_DATABASE, "index.html", "tracks.csv", ".waveforms.json")
# after how many rows the next bad one comes
_EVERY = 8


def good_rows(count: int, equal: int = 0) -> list[str]:
    """Write rows of two stems, with tags in several forms.

    Args:
        count: How many.
        equal: How many of them, the last ones, ask for the same as the first ones.
    """
    rows = [_row(number) for number in range(1, count - equal + 1)]
    return rows + rows[:equal]


def _row(number: int) -> str:
    tags = TAGS[number % len(TAGS)].format(number)
    return f"Song {number:02},{tags},metal,{list(STEMS)[number % len(STEMS)]},,,,Radio {number}"


def mixed_rows(good: int, equal: int = 0) -> list[str]:
    """Write good rows with the bad ones among them."""
    rows = good_rows(good, equal)
    for position, bad in enumerate(BAD, 1):
        rows.insert(position * _EVERY - 2, bad)
    return rows


def write_album(folder: Path, rows: Iterable[str]) -> dict[int, str]:
    """Write a manifest and its stems; return the rows by the line where each begins."""
    for name, seconds in STEMS.items():
        (folder / name).write_bytes(sing(seconds))
    lines: dict[int, str] = {}
    text = f"{COLUMNS}\n"
    for row in rows:
        lines[text.count("\n") + 1] = row
        text += f"{row}\n"
    (folder / MANIFEST).write_text(text, encoding="utf-8")
    return lines


def table(out: Path) -> list[dict[str, str]]:
    """Read `tracks.csv`."""
    with (out / "tracks.csv").open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file, strict=True))


def audio(out: Path) -> list[str]:
    """Name the audio files, in order."""
    return sorted(path.name for path in out.glob("*.wav"))


def frames(path: Path) -> tuple[float, str]:
    """Play a file in thought: its seconds, and a digest of what sounds."""
    with wave.open(str(path)) as file:
        data = file.readframes(file.getnframes())
        assert len(data) == file.getnframes() * file.getsampwidth() * file.getnchannels()
        return file.getnframes() / file.getframerate(), hashlib.sha256(data).hexdigest()


def contents(rows: Iterable[dict[str, str]]) -> Counter[tuple[str, str]]:
    """Count rows of a manifest by what they ask for, as far as they differ here."""
    return Counter((row["title"], row["tags"].strip()) for row in rows)


def manifest_rows(folder: Path) -> Iterator[dict[str, str]]:
    """Read the good rows of the manifest."""
    bad = {row.partition(",")[0] for row in BAD}
    with (folder / MANIFEST).open(encoding="utf-8", newline="") as file:
        yield from (row for row in csv.DictReader(file) if row["title"] not in bad)


def charged(sandbox: Sandbox) -> Counter[tuple[str, str]]:
    """Count what was paid for, by what was asked for."""
    tasks = [sandbox.tasks[it.task_id].request for it in sandbox.ledger if it.kind == "charge"]
    return Counter((str(request["title"]), str(request["tags"])) for request in tasks)


def leftovers(out: Path) -> list[str]:
    """Name what nobody needs once a run is over."""
    kept = {*_OF_A_RUN, *(line["file"] for line in table(out))}
    kept |= {f"covers/{name.removesuffix('.wav')}.png" for name in kept}
    kept |= {f"stems/{path.name}" for path in _stems(out)}
    found = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}
    return sorted(found - kept)


def _stems(out: Path) -> list[Path]:
    """List the stems that the folder has whole, each content once."""
    wanted = {sing(seconds) for seconds in STEMS.values()}
    found = {path.read_bytes(): path for path in out.glob("stems/*")}
    return [path for content, path in found.items() if content in wanted]
