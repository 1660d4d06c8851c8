"""Hands jobs to workers through the queues of DBOS; knows its names, and nothing of songs."""

import logging
from collections.abc import Iterable, Sequence

import sqlalchemy as sa
from attrs import frozen
from dbos import DBOS, DBOSClient, DBOSPortableJSONSerializer, EnqueueOptions

from suno_async.durable.sqlite import dbos_engine
from suno_async.durable.tables import SCHEMA

APPLICATION = "suno-async"
# raised when workflows change so that workers of the old kind must not go on with them
APPLICATION_VERSION = "suno-async-1"

SUBMIT = "suno_async.submit"
WATCH = "suno_async.watch"
QUEUES = {SUBMIT: "suno-submissions", WATCH: "suno-watches"}

_OPEN = ("ENQUEUED", "PENDING", "DELAYED")
# of DBOS: it can list workflows itself, but with all that it knows of each, and every other second
# that is a core's fifth for some thousands
_status = sa.Table(
    "workflow_status",
    sa.MetaData(),
    sa.Column("workflow_uuid", sa.Text, primary_key=True),
    sa.Column("name", sa.Text),
    sa.Column("status", sa.Text),
    sa.Column("executor_id", sa.Text),
)


@frozen
class Running:
    """A workflow that somebody runs.

    Attributes:
        name: DBOS's name for it.
        worker: Who, as far as DBOS knows.
    """

    name: str
    worker: str


class Dispatch:
    """Puts workflows into queues, and again when the worker that had them is dead.

    Its methods block: they are called in the database's threads.

    Args:
        url: Where the database is.
    """

    def __init__(self, url: sa.URL) -> None:
        keep_quiet()
        text = url.render_as_string(hide_password=False)
        DBOS.migrate(text, schema=SCHEMA)
        self._own = dbos_engine(url) if url.get_backend_name() == "sqlite" else None
        self._client = DBOSClient(
            system_database_url=text,
            system_database_engine=self._own,
            dbos_system_schema=SCHEMA,
            serializer=DBOSPortableJSONSerializer(),
            application_name=APPLICATION,
            lazy=True,
            retry_connection_errors=False,
        )

    def enqueue(self, connection: sa.Connection, workflow: str, key: str, attempt: int) -> None:
        """Have some worker run a workflow for a job, once the transaction commits.

        Args:
            connection: The transaction.
            workflow: `SUBMIT` or `WATCH`.
            key: The job.
            attempt: The job's; for the same one again, nothing is done.
        """
        options: EnqueueOptions = {
            "workflow_name": workflow,
            "queue_name": QUEUES[workflow],
            "workflow_id": workflow_name(workflow, key, attempt),
            "app_version": APPLICATION_VERSION,
        }
        self._client.enqueue_in_transaction(connection, options, key)

    def take_over(self, connection: sa.Connection, worker: str) -> int:
        """Put what a dead worker ran into the queues again; tell how much it was."""
        running = self.running(connection)
        return self.resume([each.name for each in running if each.worker == worker])

    @staticmethod
    def running(connection: sa.Connection) -> list[Running]:
        """Tell what runs, as far as DBOS knows."""
        query = sa.select(_status.c.workflow_uuid, _status.c.executor_id)
        running = query.where(_status.c.status == "PENDING", _status.c.name.in_(list(QUEUES)))
        return [Running(name, worker or "") for name, worker in connection.execute(running)]

    @staticmethod
    def open_names(connection: sa.Connection) -> set[str]:
        """Tell the names of the workflows that run or are to be run, as far as DBOS knows."""
        query = sa.select(_status.c.workflow_uuid)
        is_open = query.where(_status.c.status.in_(_OPEN), _status.c.name.in_(list(QUEUES)))
        return set(connection.execute(is_open).scalars())

    def resume(self, names: Sequence[str]) -> int:
        """Put workflows into their queues again; tell how many."""
        for workflow, queue in QUEUES.items():
            ids = [name for name in names if name.startswith(f"{workflow}/")]
            if ids:
                self._client.resume_workflows(ids, queue_name=queue)
        return len(names)

    def forget(self, attempts: Iterable[tuple[str, int]]) -> None:
        """Delete what DBOS keeps of jobs that are deleted: of each key, so many attempts."""
        self._client.delete_workflows(
            [
                workflow_name(workflow, key, attempt)
                for key, last in attempts
                for attempt in range(1, last + 1)
                for workflow in QUEUES
            ]
        )

    def close(self) -> None:
        """Close the connections."""
        self._client.destroy()
        if self._own is not None:
            self._own.dispose()


def keep_quiet() -> None:
    """Keep DBOS from writing to stderr, and its records for the program's own handlers."""
    logger = logging.getLogger("dbos")
    if not logger.handlers:
        logger.addHandler(logging.NullHandler())
    if logger.level == logging.NOTSET:
        logger.setLevel(logging.WARNING)


def workflow_name(workflow: str, key: str, attempt: int) -> str:
    """Give DBOS's name for a job's workflow."""
    return f"{workflow}/{attempt}/{key}"
