"""Hands jobs to workers through the queues of DBOS; knows its names, and nothing of songs."""

import logging
from collections.abc import Iterable, Sequence

import sqlalchemy as sa
from attrs import frozen
from dbos import DBOS, DBOSClient, DBOSPortableJSONSerializer, EnqueueOptions

from suno_async.durable.tables import SCHEMA

APPLICATION = "suno-async"
# raised when workflows change so that workers of the old kind must not go on with them
APPLICATION_VERSION = "suno-async-1"

SUBMIT = "suno_async.submit"
WATCH = "suno_async.watch"
QUEUES = {SUBMIT: "suno-submissions", WATCH: "suno-watches"}


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
        self._client = DBOSClient(
            system_database_url=text,
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
            "workflow_id": _workflow_id(workflow, key, attempt),
            "app_version": APPLICATION_VERSION,
        }
        self._client.enqueue_in_transaction(connection, options, key)

    def take_over(self, worker: str) -> int:
        """Put what a dead worker ran into the queues again; tell how much it was."""
        return self.resume([each.name for each in self.running() if each.worker == worker])

    def running(self) -> list[Running]:
        """Tell what runs, as far as DBOS knows."""
        found = self._client.list_workflows(
            status="PENDING", name=list(QUEUES), load_input=False, load_output=False
        )
        return [Running(each.workflow_id, each.executor_id or "") for each in found]

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
                _workflow_id(workflow, key, attempt)
                for key, last in attempts
                for attempt in range(1, last + 1)
                for workflow in QUEUES
            ]
        )

    def close(self) -> None:
        """Close the connections."""
        self._client.destroy()


def keep_quiet() -> None:
    """Keep DBOS from writing to stderr, and its records for the program's own handlers."""
    logger = logging.getLogger("dbos")
    if not logger.handlers:
        logger.addHandler(logging.NullHandler())
    if logger.level == logging.NOTSET:
        logger.setLevel(logging.WARNING)


def _workflow_id(workflow: str, key: str, attempt: int) -> str:
    return f"{workflow}/{attempt}/{key}"
