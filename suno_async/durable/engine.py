"""Runs workflows with DBOS on the caller's event loop, and leaves the process as it was found."""

import asyncio
import logging
import threading
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ClassVar

import sqlalchemy as sa
from dbos import DBOS, DBOSConfig, DBOSPortableJSONSerializer

from suno_async.durable.database import patient_engine
from suno_async.durable.dispatch import (
    APPLICATION,
    APPLICATION_VERSION,
    QUEUES,
    SUBMIT,
    WATCH,
    keep_quiet,
)
from suno_async.durable.errors import JobNotFound, WorkerRefused
from suno_async.durable.sqlite import DbosConnection
from suno_async.durable.tables import SCHEMA

Run = Callable[[str], Coroutine[Any, Any, None]]

_log = logging.getLogger("suno_async.durable")

# DBOS begins and ends each workflow in a thread
_THREADS = 16
# between two tries of a job that broke
_AGAIN_S = 5
_POLL_S = {SUBMIT: 0.5, WATCH: 1.0}


class _Host(DBOS):
    """The process's DBOS, when it is ours: a process has one, of whichever class came first.

    Attributes:
        engine: What runs the workflows; None while none is on.
    """

    engine: ClassVar["Engine | None"] = None
    registered: ClassVar[bool] = False


class Engine:
    """Runs the workflows that are in the queues.

    Args:
        url: Where the database is.
        worker: The name of this worker, under which DBOS knows what it runs.
        runs: What runs `SUBMIT` and `WATCH`, given a job's key.
        submissions: How many submissions it takes out of their queue at a time.
    """

    def __init__(self, url: sa.URL, worker: str, runs: Mapping[str, Run], submissions: int) -> None:
        self._url = url
        self._worker = worker
        self._runs = runs
        self._submissions = submissions
        self._on = False
        self._closing = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._running: Counter[str] = Counter()
        self._pool: sa.Engine | None = None

    @property
    def running(self) -> frozenset[str]:
        """The names of the workflows that run here."""
        return frozenset(self._running)

    def interrupt(self) -> None:
        """Cut off what runs: others have it now."""
        for task in list(self._tasks):
            task.cancel()

    def close(self) -> None:
        """Begin nothing more, and cut off what runs: it goes on later."""
        self._closing = True
        self.interrupt()

    async def start(self) -> None:
        """Launch DBOS, on the running event loop.

        Raises:
            WorkerRefused: The process has a DBOS already.
        """
        if _Host.engine is not None:
            raise WorkerRefused("this process has a worker already: one DurableSuno is enough")
        keep_quiet()
        host = _Host(config=self._config())
        if type(host) is not _Host:
            raise WorkerRefused(
                "this process has launched a DBOS of its own, and there can be one: run the "
                "worker in a process beside it, and use DurableSuno(…, worker=False) here"
            )
        _Host.engine = self
        self._on = True
        logging.getLogger("dbos").addFilter(_tells_news)
        _register()
        # on the loop's own thread: only then do workflows run on this loop
        _Host.launch()
        for workflow, queue in QUEUES.items():
            await _Host.register_queue_async(
                queue,
                worker_concurrency=self._submissions if workflow == SUBMIT else None,
                polling_interval_sec=_POLL_S[workflow],
                on_conflict="always_update",
            )

    def _config(self) -> DBOSConfig:
        config: DBOSConfig = {
            "name": APPLICATION,
            "system_database_url": self._url.render_as_string(hide_password=False),
            "dbos_system_schema": SCHEMA,
            "application_version": APPLICATION_VERSION,
            "executor_id": self._worker,
            "serializer": DBOSPortableJSONSerializer(),
            "log_level": "WARNING",
            "max_executor_threads": _THREADS,
            "sys_db_pool_size": 5,
            # nobody waits for notices of its own; leaving waits for as long as this
            "notification_coalesce_sec": 0.1,
            # leaving waits for a thread that sleeps so long, on SQLite; nobody is notified by it
            "notification_listener_polling_interval_sec": 0.1,
        }
        if self._url.get_backend_name() == "sqlite":
            config["db_engine_kwargs"] = {"connect_args": {"factory": DbosConnection}}
        else:
            self._pool = patient_engine(self._url, lambda: self._closing)
            config["system_database_engine"] = self._pool
        return config

    async def run(self, workflow: str, key: str) -> None:
        """Run a workflow; one that is cut off is cancelled, which DBOS does not record."""
        name = DBOS.workflow_id or ""
        self._running[name] += 1
        try:
            await self._persist(workflow, key)
        finally:
            self._running -= Counter((name,))  # a Counter keeps what is more than zero

    async def _persist(self, workflow: str, key: str) -> None:
        while not self._closing:
            task = asyncio.ensure_future(self._runs[workflow](key))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            try:
                await task
            except JobNotFound:
                return  # it was pruned
            except Exception:  # noqa: BLE001 - DBOS would record it, and nobody go on with the job
                _log.exception("job %r broke, and is begun again in %d s", key, _AGAIN_S)
                await asyncio.sleep(_AGAIN_S)
            else:
                return
        raise asyncio.CancelledError

    async def aclose(self) -> None:
        """Destroy DBOS; what its workflows run has been cancelled before, and goes on later."""
        if not self._on:
            return
        self._on = False
        _Host.engine = None
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()

        def destroy() -> None:
            try:
                _Host.destroy()
                if self._pool is not None:
                    self._pool.dispose()
            finally:
                logging.getLogger("dbos").removeFilter(_tells_news)
                loop.call_soon_threadsafe(done.set_result, None)

        # it waits for its threads, and the loop's default executor is one of them
        threading.Thread(target=destroy, name="suno-async engine", daemon=True).start()
        try:
            await asyncio.shield(done)
        finally:
            loop.set_default_executor(ThreadPoolExecutor(thread_name_prefix="asyncio"))


def _tells_news(record: logging.LogRecord) -> bool:
    """Leave out the warning about each workflow that is cut off: that is how workers end."""
    return not str(record.msg).startswith("Asyncio task cancelled")


def _register() -> None:
    """Tell DBOS the workflows, not at import: it would count them among those of a host."""
    if _Host.registered:
        return
    _Host.registered = True

    @DBOS.workflow(name=SUBMIT, max_recovery_attempts=None)
    async def submit(key: str) -> None:
        await _run(SUBMIT, key)

    @DBOS.workflow(name=WATCH, max_recovery_attempts=None)
    async def watch(key: str) -> None:
        await _run(WATCH, key)


async def _run(workflow: str, key: str) -> None:
    if _Host.engine is None:
        raise asyncio.CancelledError
    await _Host.engine.run(workflow, key)
