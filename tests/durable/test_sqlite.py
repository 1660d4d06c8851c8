"""Files of SQLite on machines with an old one: DBOS asks it the time, and finds it in defaults."""

import time
from pathlib import Path

import sqlalchemy as sa

from suno_async.durable.database import Database
from suno_async.durable.sqlite import dbos_engine

# as it stands in files that DBOS made with Python 3.12 or newer
TABLE = "CREATE TABLE t (at INTEGER NOT NULL DEFAULT (unixepoch('subsec') * 1000))"


def stamp(connection: sa.Connection) -> float:
    """Insert a row, and tell the time that it got, in seconds."""
    connection.exec_driver_sql("DROP TABLE IF EXISTS t")
    connection.exec_driver_sql(TABLE)
    connection.exec_driver_sql("INSERT INTO t DEFAULT VALUES")
    return float(connection.exec_driver_sql("SELECT at FROM t").scalar_one()) / 1000


async def test_a_default_of_dbos_is_the_time(tmp_path: Path) -> None:
    """On the connections of ours, and on those that DBOS gets; SQLite before 3.42 has it not."""
    url = sa.make_url(f"sqlite:///{tmp_path / 'jobs.db'}")
    engine, database = dbos_engine(url), Database(url)
    began_s = time.time()
    try:
        with engine.begin() as connection:
            stamps = [stamp(connection)]
        stamps.append(await database.run(stamp))
    finally:
        engine.dispose()
        await database.aclose()
    assert all(began_s - 0.002 <= at <= time.time() for at in stamps)
