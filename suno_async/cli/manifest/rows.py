"""What a manifest says: its good rows, its bad ones, and what a person should know of it."""

from collections.abc import Mapping

from attrs import field, frozen

from suno_async.cli.songs import Song


@frozen
class Row:
    """A row that is usable.

    Attributes:
        position: Its place among all rows of the manifest, from 0.
        line: The line of the file where it begins, or the number of its row.
        source: File and line, such as `songs.csv:7`.
        song: What it asks for.
        extra: Its values in columns that are no fields, as text, under the columns' own names.
        content_key: What it asks for, as a digest; see `Song.content_key`.
        number: Its number among the rows that ask for the same, from 1.
    """

    position: int
    line: int
    source: str
    song: Song
    extra: Mapping[str, str] = field(hash=False)
    content_key: str
    number: int

    @property
    def key(self) -> str:
        """What it is known by in every run: its content, and its number among equals."""
        return f"{self.content_key}-{self.number}"

    @property
    def title(self) -> str:
        """Its title."""
        return self.song.title


@frozen
class Problem:
    """A row that is not usable.

    Attributes:
        position: Its place among all rows of the manifest, from 0.
        line: The line of the file where it begins, or the number of its row.
        source: File and line, such as `songs.csv:7`.
        column: The column that is wrong, as the file spells it; None when it is none in particular.
        reason: Why, as a sentence that begins with the field.
        title: The row's title, if it has one.
    """

    position: int
    line: int
    source: str
    column: str | None
    reason: str
    title: str | None = None


@frozen
class Manifest:
    """A manifest that was read.

    Attributes:
        rows: The rows that are usable, in the order of the file.
        problems: The others, in the order of the file.
        notes: What should be known besides, each a sentence: columns that are no fields, rows that
            ask for the same, sheets that were not read.
    """

    rows: tuple[Row, ...]
    problems: tuple[Problem, ...] = ()
    notes: tuple[str, ...] = ()

    def all_rows(self) -> list[Row | Problem]:
        """List all rows, good and bad, in the order of the file."""
        both: list[Row | Problem] = [*self.rows, *self.problems]
        return sorted(both, key=lambda row: row.position)
