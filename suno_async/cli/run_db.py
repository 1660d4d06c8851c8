"""What a run's folder remembers beside its jobs: its rows, and how it was asked for."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import cache
from pathlib import Path, PurePath

from attrs import asdict, frozen
from cattrs.preconf.json import JsonConverter, make_converter

from suno_async.cli.failures import Complaint
from suno_async.cli.numbering import RunRow

NAME = "run.db"
# beside the tables of `suno_async.durable`
_TABLES = (
    "cli_rows (number INTEGER PRIMARY KEY, row TEXT NOT NULL)",
    "cli_settings (name TEXT PRIMARY KEY, value TEXT NOT NULL)",
    # what was saved once is a person's to keep or to delete
    "cli_saved (task_id TEXT, letter TEXT, file TEXT NOT NULL, PRIMARY KEY (task_id, letter))",
)
_BUSY_S = 10.0


@frozen
class Settings:
    """How a run was asked for, so that it can go on without being told again.

    Attributes:
        title: The heading of its page.
        page_key: Names the run, so that the marks of its page are not another run's.
        base_url: The service, when it is not the usual one.
        max_in_flight: How many tasks run at a time; None takes the library's limit.
        name: The template of file names.
        largest: The largest number of its first rows, which all numbers in names are as wide as.
        price: What a song has cost in this folder; None while that is not known.
    """

    title: str = ""
    page_key: str = ""
    base_url: str | None = None
    max_in_flight: int | None = None
    name: str | None = None
    largest: int = 0
    price: float | None = None


class RunDb:
    """The rows and settings of a run, in the file that also has its jobs.

    Args:
        folder: The run's.
    """

    def __init__(self, folder: Path) -> None:
        self.path: Path = folder / NAME

    @property
    def url(self) -> str:
        """Where `DurableSuno` finds the file."""
        return f"sqlite:///{self.path.absolute()}"

    def rows(self) -> list[RunRow]:
        """Read the rows, in the order of their numbers; none when there is no file.

        Raises:
            Complaint: It cannot be read.
        """
        if not self.path.exists():
            return []
        with self._connected() as connection:
            found = connection.execute("SELECT row FROM cli_rows ORDER BY number").fetchall()
        return [_converter().loads(text, RunRow) for (text,) in found]

    def settings(self) -> Settings:
        """Read how the run was asked for the last time.

        Raises:
            Complaint: It cannot be read.
        """
        if not self.path.exists():
            return Settings()
        with self._connected() as connection:
            found = connection.execute("SELECT name, value FROM cli_settings").fetchall()
        stored = {name: json.loads(value) for name, value in found}
        return Settings(**{name: stored[name] for name in asdict(Settings()) if name in stored})

    def save(self, settings: Settings, rows: tuple[RunRow, ...] | None = None) -> None:
        """Keep the settings, and rows in place of those that are there; all of it, or nothing.

        Raises:
            Complaint: It cannot be written.
        """
        values = [(name, json.dumps(value)) for name, value in asdict(settings).items()]
        with self._connected() as connection:
            connection.executemany("INSERT OR REPLACE INTO cli_settings VALUES (?, ?)", values)
            if rows is not None:
                connection.execute("DELETE FROM cli_rows")
                texts = [(row.number, _converter().dumps(row)) for row in rows]
                connection.executemany("INSERT INTO cli_rows VALUES (?, ?)", texts)

    def saved(self) -> dict[tuple[str, str], str]:
        """Tell which tracks were saved: the file of each by its task and its letter.

        Raises:
            Complaint: It cannot be read.
        """
        with self._connected() as connection:
            found = connection.execute("SELECT task_id, letter, file FROM cli_saved").fetchall()
        # a folder may come from somebody else: a file of another folder would be tagged
        plain = [each for each in found if each[2] == PurePath(each[2]).name != ".."]
        return {(task_id, letter): name for task_id, letter, name in plain}

    def note_saved(self, task_id: str, letter: str, name: str) -> None:
        """Note the file that a track is saved in.

        Raises:
            Complaint: It cannot be written.
        """
        row = (task_id, letter, name)
        with self._connected() as connection:
            connection.execute("INSERT OR REPLACE INTO cli_saved VALUES (?, ?, ?)", row)

    @contextmanager
    def _connected(self) -> Iterator[sqlite3.Connection]:
        """Open the file within a transaction."""
        try:
            with closing(sqlite3.connect(self.path, timeout=_BUSY_S)) as connection:
                # before the first transaction; jobs are kept the same way
                connection.execute("PRAGMA journal_mode=WAL")
                with connection:
                    for table in _TABLES:
                        connection.execute(f"CREATE TABLE IF NOT EXISTS {table}")
                    yield connection
        except (sqlite3.Error, ValueError) as error:
            raise Complaint(f"{self.path} cannot be used: {error}") from error


@cache
def _converter() -> JsonConverter:
    converter = make_converter()
    converter.register_unstructure_hook(Path, str)
    converter.register_structure_hook(Path, lambda text, _: Path(text))
    return converter
