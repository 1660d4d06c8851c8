"""Which rows a run has: those that are asked for now, and those that its folder knows already."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import count
from typing import Any

from attrs import evolve, field, frozen

from suno_async.cli.manifest import Problem, Row
from suno_async.cli.songs import Song
from suno_async.cli.stems import Stem


@frozen
class RunRow:
    """A row as the run's folder keeps it.

    Attributes:
        number: What it is called by in the folder, from 1; it never changes.
        key: Of its job: its content, and its number among equals; empty for a row that is not
            usable.
        title: Its title, or what stands for it.
        source: Where it was asked for, such as `songs.csv:7`; empty for options.
        line: Its line in the manifest; None without one.
        fields: What it asks for, by name; without `upload_url` when there is a stem.
        stem: The stem on disk; None when it names a URL.
        extra: Its values in columns that are no fields.
        problem: Why it is not usable; None when it is.
        asked: Whether it is asked for now, and not only by an earlier manifest.
    """

    number: int
    key: str
    title: str
    source: str = ""
    line: int | None = None
    fields: Mapping[str, Any] = field(factory=dict[str, Any], hash=False)
    stem: Stem | None = None
    extra: Mapping[str, str] = field(factory=dict[str, str], hash=False)
    problem: str | None = None
    asked: bool = True

    @property
    def song(self) -> Song:
        """What it asks for, if it is usable."""
        return Song(self.fields, self.stem)


@frozen
class Numbered:
    """The rows of a run.

    Attributes:
        rows: All of them, in the order of their numbers.
        changed: Rows that are not asked for any more, each with the new one in its place.
        gone: The other rows that are not asked for any more, and were by the last manifest.
    """

    rows: tuple[RunRow, ...]
    changed: tuple[tuple[RunRow, RunRow], ...] = ()
    gone: tuple[RunRow, ...] = ()


def number_rows(listed: Sequence[Row | Problem], known: Iterable[RunRow]) -> Numbered:
    """Give every row its number: a known one keeps its own, a new one takes its place if free.

    Args:
        listed: What is asked for now, in the order of the manifest.
        known: What the folder has.
    """
    jobs = {row.key: row for row in known if row.key}
    numbers = _numbers(listed, jobs)
    rows: list[RunRow] = []
    new: dict[str, RunRow] = {}
    for row, number in zip(listed, numbers, strict=True):
        rows.append(_run_row(row, number))
        known_before = isinstance(row, Problem) or jobs.pop(row.key, None) is not None
        if not known_before and row.source:
            new[row.source] = rows[-1]
    dropped = [row for row in jobs.values() if row.asked]
    changed = tuple((row, new[row.source]) for row in dropped if row.source in new)
    gone = tuple(row for row in dropped if row.source not in new)
    rows += (evolve(row, asked=False) for row in jobs.values())
    return Numbered(tuple(sorted(rows, key=lambda row: row.number)), changed, gone)


def _numbers(listed: Sequence[Row | Problem], jobs: Mapping[str, RunRow]) -> list[int]:
    """Give the rows their numbers: known ones, then free places, then numbers behind all others."""
    taken = {row.number for row in jobs.values()}
    numbers: dict[int, int] = {}
    for row in listed:
        if isinstance(row, Row) and row.key in jobs:
            numbers[row.position] = jobs[row.key].number
        elif row.position + 1 not in taken:
            numbers[row.position] = row.position + 1
    behind = count(max(taken.union(numbers.values()), default=0) + 1)
    return [numbers[row.position] if row.position in numbers else next(behind) for row in listed]


def _run_row(row: Row | Problem, number: int) -> RunRow:
    if isinstance(row, Problem):
        title = row.title or row.source
        return RunRow(number, "", title, row.source, row.line, problem=row.reason)
    fields, stem = row.song.fields, row.song.stem
    line = row.line or None  # there is none without a manifest
    return RunRow(number, row.key, row.title, row.source, line, fields, stem, row.extra)
