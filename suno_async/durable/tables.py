"""The tables of jobs and of what was sent for them, beside those of DBOS."""

import sqlalchemy as sa

# where everything of this package is in PostgreSQL; SQLite has no schemas
SCHEMA = "suno_async"

# raised when the tables change; a database of a newer version is refused
VERSION = 1

metadata: sa.MetaData = sa.MetaData()

about: sa.Table = sa.Table(
    "suno_about", metadata, sa.Column("version", sa.Integer, primary_key=True)
)

jobs: sa.Table = sa.Table(
    "suno_jobs",
    metadata,
    # the order in which they were submitted
    sa.Column("number", sa.Integer, sa.Identity(), primary_key=True),
    sa.Column("key", sa.Text, nullable=False, unique=True),
    # what was asked
    sa.Column("request", sa.Text, nullable=False),
    sa.Column("stem", sa.Text),
    sa.Column("save_to", sa.Text),
    sa.Column("covers", sa.Boolean, nullable=False),
    # how it stands
    sa.Column("state", sa.Text, nullable=False, index=True),
    sa.Column("attempt", sa.Integer, nullable=False),  # how often it was to be sent, from 1
    sa.Column("token", sa.Text),  # of the send that counts
    sa.Column("task_id", sa.Text),
    sa.Column("other_tasks", sa.Text),  # JSON list: ids of tasks that it has made besides
    sa.Column("submitted_s", sa.Float),
    sa.Column("uploaded_url", sa.Text),
    sa.Column("uploaded_s", sa.Float),
    sa.Column("events", sa.Text, nullable=False),  # JSON list, one entry a stage
    sa.Column("details", sa.Text),
    sa.Column("files", sa.Text),  # JSON list of paths
    sa.Column("files_error", sa.Text),
    sa.Column("error", sa.Text),
    sa.Column("error_cause", sa.Text),
    # when an uncertain one stops waiting for a callback, or an ended one ended
    sa.Column("settled_s", sa.Float),
    # grows with every change of the job; on SQLite of any job, so that readers find what is new
    sa.Column("changed", sa.BigInteger, nullable=False, index=True),
    sqlite_autoincrement=True,
)

sends: sa.Table = sa.Table(
    "suno_sends",
    metadata,
    # of one paid call: whoever holds it may send, once
    sa.Column("token", sa.Text, primary_key=True),
    sa.Column("key", sa.Text, nullable=False, index=True),
    sa.Column("worker", sa.Text, nullable=False),
    sa.Column("claimed_s", sa.Float, nullable=False),
    # when its answer, or what came in its place, was there; None while it is on its way
    sa.Column("ended_s", sa.Float, index=True),
    # when its place in the account's window is free again; None while it is on its way
    sa.Column("free_s", sa.Float, index=True),
    # whether its answer was lost on the way, and not with its worker
    sa.Column("uncertain", sa.Boolean, nullable=False, default=False),
)

workers: sa.Table = sa.Table(
    "suno_workers",
    metadata,
    sa.Column("worker", sa.Text, primary_key=True),
    sa.Column("beat_s", sa.Float, nullable=False),
    sa.Column("per_window", sa.Integer, nullable=False),
)

# callbacks that reached a process which does not watch their task
hints: sa.Table = sa.Table(
    "suno_hints",
    metadata,
    sa.Column("id", sa.Integer, sa.Identity(), primary_key=True),
    sa.Column("token", sa.Text, nullable=False),
    sa.Column("notice", sa.Text, nullable=False),
    sa.Column("came_s", sa.Float, nullable=False),
)
