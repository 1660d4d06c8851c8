"""Keep DBOS from reading pickles: they are code, and a database may be anybody's.

DBOS reads each row in the format that the row itself names, whatever format it was told to use. So
nothing that its connections read is the name of the one that runs what it reads.
"""

from typing import Any, TypeVar

from psycopg import Connection
from psycopg.types.string import TextBinaryLoader, TextLoader

T = TypeVar("T")

# DBOS's name for the format, and what it finds in its place: a format that it does not know
_PICKLE = "py_pickle"
_REFUSED = "py_pickle, which is refused"

# how PostgreSQL calls what is read as text; 0 stands for every type that psycopg does not know
_TEXTS: tuple[str | int, ...] = ("text", "varchar", "bpchar", "name", '"char"', 0)


def text_of(data: bytes) -> str:
    """Read a text of SQLite."""
    return _checked(data.decode())


def refuse_pickles(connection: Connection[Any]) -> None:
    """Have a connection to PostgreSQL read texts so."""
    for kind in _TEXTS:
        connection.adapters.register_loader(kind, _Loader)
        if kind != 0:  # in binary form these are bytes
            connection.adapters.register_loader(kind, _BinaryLoader)


class _Loader(TextLoader):
    def load(self, data: Any) -> str | bytes:
        return _checked(super().load(data))


class _BinaryLoader(TextBinaryLoader):
    def load(self, data: Any) -> str | bytes:
        return _checked(super().load(data))


def _checked(text: T) -> T | str:
    return _REFUSED if text == _PICKLE else text
