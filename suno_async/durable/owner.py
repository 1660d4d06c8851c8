"""One worker for a file of SQLite: two would not know of each other."""

from filelock import FileLock, Timeout

from suno_async.durable.database import Database
from suno_async.durable.errors import DatabaseFailed, WorkerRefused


class FileOwner:
    """Holds a lock beside the file for as long as its worker lives, however that ends.

    Args:
        database: Of SQLite.
    """

    def __init__(self, database: Database) -> None:
        self._path = database.path
        self._lock = FileLock(f"{self._path}.lock", timeout=0, thread_local=False)

    def take(self) -> None:
        """Become the owner.

        Raises:
            WorkerRefused: Another worker is.
            DatabaseFailed: There can be no lock.
        """
        if not self._path.absolute().parent.is_dir():  # which the lock would make
            raise DatabaseFailed(f"there is no folder {self._path.absolute().parent}")
        try:
            self._lock.acquire()
        except Timeout as error:
            raise WorkerRefused(
                f"another worker owns {self._path}: let it work, and use "
                "DurableSuno(…, worker=False) here, or PostgreSQL for several workers"
            ) from error
        except OSError as error:
            raise DatabaseFailed(f"{self._path} cannot be locked: {error}") from error

    def give(self) -> None:
        """Let another worker be it."""
        self._lock.release()
