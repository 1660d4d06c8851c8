"""Reading and changing rows of jobs, inside a transaction, so that whoever waits is told."""

import json
import time
from typing import Any

import sqlalchemy as sa

from suno_async.durable.tables import jobs

# of PostgreSQL's NOTIFY
CHANNEL = "suno_async"


def locked_row(connection: sa.Connection, key: str) -> sa.Row[Any] | None:
    """Read a job's row, which nobody else changes until the transaction ends."""
    return connection.execute(
        sa.select(jobs).where(jobs.c.key == key).with_for_update()
    ).one_or_none()


def change(connection: sa.Connection, key: str, **values: Any) -> None:
    """Change a job's row; whoever waits for the job is told when the transaction commits."""
    values["changed"] = next_change(connection) or jobs.c.changed + 1
    connection.execute(jobs.update().where(jobs.c.key == key).values(**values))
    announce(connection, job=key)


def next_change(connection: sa.Connection) -> int:
    """Give a number that is larger than that of every earlier change, on SQLite; elsewhere 0."""
    if connection.dialect.name != "sqlite":
        return 0
    last = connection.execute(sa.select(sa.func.max(jobs.c.changed))).scalar()
    # of time, since the job that was changed last may have been pruned
    return max((last or 0) + 1, time.time_ns() // 1000)


def announce(connection: sa.Connection, **what: str) -> None:
    """Tell the other processes, when the transaction commits; on SQLite they look themselves."""
    if connection.dialect.name != "sqlite":
        connection.execute(sa.select(sa.func.pg_notify(CHANNEL, json.dumps(what))))


def with_task(row: sa.Row[Any], task_id: str | None) -> str | None:
    """Give the column of a job's other tasks with one more."""
    known: list[str] = json.loads(row.other_tasks or "[]")
    if task_id is not None and task_id not in known:
        known.append(task_id)
    return json.dumps(known) if known else None
