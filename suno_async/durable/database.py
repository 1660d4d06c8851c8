"""The database of the jobs: SQLite in a file, or PostgreSQL; its transactions run in threads."""

import asyncio
import logging
import shutil
import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar, cast

import backoff
import psycopg
import sqlalchemy as sa
from sqlalchemy import event, exc

from suno_async.durable.errors import DatabaseFailed
from suno_async.durable.pickles import refuse_pickles
from suno_async.durable.sqlite import SqliteConnection
from suno_async.durable.tables import SCHEMA, VERSION, about, metadata
from suno_async.errors import InvalidRequest, SessionClosed

T = TypeVar("T")
Work = Callable[[sa.Connection], T]

_log = logging.getLogger("suno_async.durable")

_THREADS = 4
# a lock, or a server that is silent, is waited for so long by a single statement
_PATIENCE_S = 10
# how long entering tries, and how long leaving waits for what is under way
ENTERING_S = 5.0
_LAST_WORK_S = 5.0
# between two statements of one transaction, which take milliseconds
_LONGEST_PAUSE_MS = 3000
# between two tries to connect
_RECONNECT_S = 0.25
# what a paid call's answer needs on the disk, many times over
_LEAST_FREE_BYTES = 4 * 1024 * 1024

# what is taken one after the other, among all that use a database of PostgreSQL
CLAIMS = 7_238_611_905
_MIGRATIONS = 7_238_611_906
SUBMISSIONS = 7_238_611_907

# PostgreSQL: the connection, the server's shutdown and start, serialisation, deadlock, resources
_PASSING_STATES = ("08", "57P", "40001", "40P01", "53", "25P03")


def read_url(url: str) -> sa.URL:
    """Read where the database is. What is refused is not shown: it may hold a password.

    Raises:
        InvalidRequest: It is neither a file of SQLite nor a database of PostgreSQL.
    """
    try:
        read = sa.make_url(url)
    except (exc.ArgumentError, ValueError):  # its message would show what it could not read
        read = sa.URL.create("unreadable")
    kind = read.get_backend_name()
    if kind == "sqlite":
        if not read.database or read.database.startswith((":memory:", "file:")) or read.query:
            raise _refused("must name a plain file, since jobs outlive the process")
        return read.set(drivername="sqlite")
    if kind not in {"postgresql", "postgres"} or not read.database:
        raise _refused("must be sqlite:///path/to/file or postgresql://user:password@host/database")
    if "@" in (read.host or ""):
        raise _refused("must have a password whose special characters are percent-encoded")
    return read.set(drivername="postgresql+psycopg")


def _refused(rule: str) -> InvalidRequest:
    error = InvalidRequest("url", "(hidden)", rule)
    error.__suppress_context__ = True
    return error


def shown(url: sa.URL) -> str:
    """Write where a database is, without the secrets with which one gets there."""
    if url.get_backend_name() == "sqlite":
        return f"sqlite:///{url.database}"
    where = sa.URL.create("postgresql", host=url.host, port=url.port, database=url.database)
    return where.render_as_string()


class Database:
    """Runs transactions in threads of its own, and tells what passes from what does not.

    Args:
        url: Where it is, as `read_url` gives it.
    """

    def __init__(self, url: sa.URL) -> None:
        self.url: sa.URL = url
        self.is_sqlite: bool = url.get_backend_name() == "sqlite"
        self._engine = _sqlite_engine(url) if self.is_sqlite else _postgres_engine(url)
        self._versions: sa.PoolProxiedConnection | None = None
        self._reader = self._engine.execution_options(suno_reading=True)
        self._closed = False
        if not self.is_sqlite:
            _close_late(self._engine, lambda: self._closed)
        self._working: set[Future[Any]] = set()
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="suno-async jobs")

    @property
    def path(self) -> Path:
        """The file, of SQLite."""
        assert self.url.database is not None  # noqa: S101 - read_url has seen to it
        return Path(self.url.database)

    # --- transactions -----------------------------------------------------------------------------

    async def run(self, work: Work[T], *, for_s: float | None = None) -> T:
        """Run a transaction; repeat it while the database is away or locked.

        The work may run several times, and its commit may have succeeded although the connection
        broke: it is written so that a second time does no harm.

        Args:
            work: What to do, given a connection; what it raises is raised.
            for_s: How long to repeat; None repeats for as long as it takes, also while the disk is
                full: what a worker has to record must not be lost.

        Raises:
            DatabaseFailed: The database is away for longer, or cannot be used at all.
        """
        return await self.call(lambda: _transaction(self._engine, work), for_s=for_s)

    async def read(self, work: Work[T], *, for_s: float | None = None) -> T:
        """Run a transaction that only reads: on SQLite it waits for no writer."""
        return await self.call(lambda: _transaction(self._reader, work), for_s=for_s)

    async def call(self, work: Callable[[], T], *, for_s: float | None = None) -> T:
        """Run something else of the database's, such as a call of DBOS, as `run` does."""

        @backoff.on_exception(
            backoff.expo, _Away, max_time=for_s, max_value=2, factor=0.1, logger=None
        )
        async def persist() -> T:
            return await self._in_thread(lambda: _told_apart(work, outlasts_full=for_s is None))

        try:
            return await persist()
        except _Away as error:
            raise DatabaseFailed(error.reason) from error.__cause__

    async def _in_thread(self, work: Callable[[], T]) -> T:
        if self._closed:
            raise SessionClosed
        working = self._threads.submit(work)
        self._working.add(working)
        working.add_done_callback(self._working.discard)
        return await asyncio.wrap_future(working)

    # --- time, order, room ------------------------------------------------------------------------

    def now_s(self, connection: sa.Connection) -> float:
        """Tell the time that all workers share: the server's, or this machine's."""
        if self.is_sqlite:
            return time.time()
        query = sa.select(sa.func.extract("epoch", sa.func.clock_timestamp()))
        return float(connection.execute(query).scalar_one())

    def take_turn(self, connection: sa.Connection, turn: int) -> None:
        """Let the transactions of a kind, `CLAIMS` or `SUBMISSIONS`, run one after the other."""
        if not self.is_sqlite:  # there every transaction that writes does
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(turn)))

    def check_room(self) -> None:
        """Raise DatabaseFailed when what comes of a paid call might not fit on the disk."""
        if not self.is_sqlite:
            return
        free = shutil.disk_usage(self.path.parent).free
        if free < _LEAST_FREE_BYTES:
            raise DatabaseFailed(
                f"only {free} bytes are free beside {self.path}: nothing is sent that could not "
                "be recorded; make room and it goes on"
            )

    # --- its life ---------------------------------------------------------------------------------

    async def prepare(self) -> None:
        """Make the tables that are missing.

        Raises:
            DatabaseFailed: It cannot be used, or is one of a newer version.
        """
        await self.run(self._prepare, for_s=ENTERING_S)

    def _prepare(self, connection: sa.Connection) -> None:
        if not self.is_sqlite:
            self.take_turn(connection, _MIGRATIONS)
            connection.execute(sa.schema.CreateSchema(SCHEMA, if_not_exists=True))
        metadata.create_all(connection)
        version = connection.execute(sa.select(about.c.version)).scalar()
        if version is None:
            connection.execute(about.insert().values(version=VERSION))
        elif version > VERSION:
            raise DatabaseFailed(
                f"it is of version {version}, and this package knows {VERSION}: update suno-async"
            )

    async def version(self) -> int:
        """Tell a number that is another one when somebody has written to SQLite's file since."""
        return await self.call(self._version)

    def _version(self) -> int:
        if self._versions is None:  # it tells of what other connections wrote: this one never does
            self._versions = self._engine.raw_connection()
        cursor = self._versions.cursor()
        cursor.execute("PRAGMA data_version")
        found = int((cursor.fetchone() or (0,))[0])
        cursor.close()
        return found

    async def aclose(self) -> None:
        """Wait for what is under way, for a moment, and close the connections."""
        self._closed = True
        self._threads.shutdown(wait=False, cancel_futures=True)
        # a connection that is given back later than the engine is disposed of stays open
        if under_way := [asyncio.wrap_future(each) for each in self._working]:
            await asyncio.wait(under_way, timeout=_LAST_WORK_S)
        if self._versions is not None:
            self._versions.close()
        self._engine.dispose()


def _close_late(engine: sa.Engine, is_closed: Callable[[], bool]) -> None:
    """Close what is given back after its engine was disposed of: nobody else would."""

    def given_back(connection: object, record: sa.pool.ConnectionPoolEntry) -> None:
        if connection is not None and is_closed():
            record.invalidate()

    event.listen(engine.pool, "checkin", given_back)


class _Away(Exception):
    """The database is away for the moment."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def _transaction(engine: sa.Engine, work: Work[T]) -> T:
    with engine.begin() as connection:
        return work(connection)


def _told_apart(work: Callable[[], T], *, outlasts_full: bool) -> T:
    """Run something; tell by the class of its error whether it may succeed later."""
    try:
        return work()
    # what SQLite says while a connection is made ready comes as it is
    except (exc.DBAPIError, exc.TimeoutError, sqlite3.Error) as error:
        reason = _reason(error)
        if _passes(error) or (outlasts_full and _is_full(error)):
            raise _Away(reason) from error
        raise DatabaseFailed(reason) from error


def _sqlite_engine(url: sa.URL) -> sa.Engine:
    connecting = {"timeout": _PATIENCE_S, "factory": SqliteConnection}
    engine = sa.create_engine(url, connect_args=connecting)

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _: object) -> None:
        connection.isolation_level = None  # transactions begin below, and not where sqlite3 likes
        connection.execute("PRAGMA journal_mode=WAL")
        # also a machine that loses its power remembers that it was about to pay
        connection.execute("PRAGMA synchronous=FULL")

    @event.listens_for(engine, "begin")
    def begin(connection: sa.Connection) -> None:
        reading = connection.get_execution_options().get("suno_reading")
        connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")

    return engine


def _postgres_engine(url: sa.URL) -> sa.Engine:
    engine = sa.create_engine(
        url,
        pool_size=_THREADS,
        max_overflow=1,
        pool_pre_ping=True,
        pool_timeout=_PATIENCE_S,
        connect_args=connection_options(),
    )
    return engine.execution_options(schema_translate_map={None: SCHEMA})


def patient_engine(url: sa.URL, gives_up: Callable[[], bool]) -> sa.Engine:
    """Make an engine whose connecting waits until the server is there.

    DBOS waits a second after a failure, then twice as long each time, up to a minute: after an
    outage it would go on long after everybody else.

    Args:
        url: Of PostgreSQL.
        gives_up: Tells, now and then, whether to wait no longer.
    """
    engine = sa.create_engine(
        url,
        pool_size=_THREADS + 1,
        max_overflow=0,
        pool_pre_ping=True,
        pool_timeout=_PATIENCE_S * 3,
        connect_args=connection_options(),
    )

    @event.listens_for(engine, "do_connect")
    def connect(dialect: sa.Dialect, _: object, args: Any, named: Any) -> Any:
        while True:
            try:
                connection = dialect.connect(*args, **named)
            except psycopg.OperationalError:
                if gives_up():
                    raise
                time.sleep(_RECONNECT_S)
            else:
                refuse_pickles(cast("psycopg.Connection[Any]", connection))
                return connection

    _close_late(engine, gives_up)
    return engine


def connection_options() -> dict[str, Any]:
    """Give psycopg's options: a server that is silent is given up after some seconds."""
    return {
        "connect_timeout": _PATIENCE_S // 2,
        "keepalives_idle": 5,
        "keepalives_interval": 2,
        "keepalives_count": 3,
        "tcp_user_timeout": _PATIENCE_S * 1000,
        "application_name": "suno-async",
        "options": f"-c statement_timeout={_PATIENCE_S * 1000} -c lock_timeout=5000"
        # a process that is stopped in the middle of a transaction keeps its locks from all others
        f" -c idle_in_transaction_session_timeout={_LONGEST_PAUSE_MS}",
    }


def _passes(error: Exception) -> bool:
    """Tell whether the same transaction may succeed later, by itself."""
    if isinstance(error, exc.TimeoutError):  # no connection was free
        return True
    origin = error.orig if isinstance(error, exc.DBAPIError) else error
    if isinstance(error, exc.DBAPIError) and error.connection_invalidated:
        return True
    state = getattr(origin, "sqlstate", None)
    if isinstance(state, str):
        return state.startswith(_PASSING_STATES) or state in {"55P03", "57014"}
    said = str(origin)
    if "locked" in said or "busy" in said:  # SQLite's
        return True
    # psycopg has no state for what broke before the server said anything
    return type(origin).__module__.startswith("psycopg") and isinstance(error, exc.OperationalError)


def _is_full(error: Exception) -> bool:
    """Tell whether SQLite has no room; PostgreSQL has a state for that, which passes."""
    name: str = getattr(getattr(error, "orig", error), "sqlite_errorname", "")
    return name.startswith(("SQLITE_FULL", "SQLITE_IOERR"))


def _reason(error: Exception) -> str:
    origin = getattr(error, "orig", None) or error
    return f"{type(origin).__name__}: {' '.join(str(origin).split())}"
