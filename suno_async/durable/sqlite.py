"""Connections to SQLite on which DBOS can count, however old the machine's SQLite is."""

import sqlite3
import time
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event

from suno_async.durable.pickles import text_of

# from which on it knows 'subsec'; Debian 12 has 3.40
_KNOWS_SUBSEC = (3, 42)
# as DBOS sets it for connections that it makes itself
_DBOS_PATIENCE_MS = 30_000


class SqliteConnection(sqlite3.Connection):
    """A connection that knows the time as DBOS asks for it from Python 3.12 on.

    It asks in columns' defaults too, which are NULL without an answer, and then refused: a file
    made by one Python may be gone on with by another, so the answer is there for all of them.
    """

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        if sqlite3.sqlite_version_info < _KNOWS_SUBSEC:
            self.create_function("unixepoch", 1, _unixepoch)


class DbosConnection(SqliteConnection):
    """A connection of DBOS's, through which it gets no pickle."""

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self.text_factory = text_of


def _unixepoch(modifier: str) -> float:
    """Tell the time as SQLite does since 3.42: in seconds, cut off after milliseconds."""
    if modifier != "subsec":
        raise ValueError(modifier)
    return time.time_ns() // 1_000_000 / 1000


def dbos_engine(url: sa.URL) -> sa.Engine:
    """Make an engine for DBOS, with connections as it makes them itself; its maker disposes of it.

    Args:
        url: Of SQLite.
    """
    engine = sa.create_engine(url, connect_args={"factory": DbosConnection})

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _: object) -> None:
        connection.isolation_level = "IMMEDIATE"
        connection.execute(f"PRAGMA busy_timeout={_DBOS_PATIENCE_MS}")
        connection.execute("PRAGMA foreign_keys=ON")

    return engine
