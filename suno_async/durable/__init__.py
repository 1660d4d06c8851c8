"""Jobs that outlive the process and the machine: requests with keys, in a database.

They need the extra: `pip install 'suno-async[durable]'`. Begin with `DurableSuno`.
"""

from importlib.util import find_spec

for _needed in ("dbos", "filelock", "psycopg", "sqlalchemy"):
    if find_spec(_needed) is None:
        raise ImportError(
            f"suno_async.durable needs {_needed}: pip install 'suno-async[durable]'", name=_needed
        )

from suno_async.durable.client import DurableSuno  # noqa: E402 - the message comes first
from suno_async.durable.errors import (  # noqa: E402 - as above
    DatabaseFailed,
    JobCancelled,
    JobConflict,
    JobNotFound,
    JobTimeout,
    JobUndecidable,
    WorkerRefused,
)
from suno_async.durable.job import Job  # noqa: E402 - as above
from suno_async.durable.values import (  # noqa: E402 - as above
    STEM_URL,
    Abandon,
    Adopt,
    Decision,
    DurableStats,
    JobState,
    Resubmit,
)

__all__ = [
    "STEM_URL",
    "Abandon",
    "Adopt",
    "DatabaseFailed",
    "Decision",
    "DurableStats",
    "DurableSuno",
    "Job",
    "JobCancelled",
    "JobConflict",
    "JobNotFound",
    "JobState",
    "JobTimeout",
    "JobUndecidable",
    "Resubmit",
    "WorkerRefused",
]
