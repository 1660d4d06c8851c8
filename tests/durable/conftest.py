"""Fixtures for jobs: databases of both kinds, and a sandbox at a hundred times its pace.

- `database`: the URL of a new database; its tests run once on SQLite and once on PostgreSQL.
- `sqlite`, `postgres`: the URL of a new one of that kind.
- `service`: a sandbox on the machine's clock whose tasks are complete within a second.
"""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from suno_async.sandbox import Sandbox

from .databases import new_database, postgres_server


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server of PostgreSQL for the whole run."""
    with postgres_server(tmp_path_factory.mktemp("postgres")) as url:
        yield url


@pytest.fixture
def sqlite(tmp_path: Path) -> str:
    """The URL of a file that is not there yet."""
    return f"sqlite:///{tmp_path / 'jobs.db'}"


@pytest.fixture
def postgres(server: str) -> Iterator[str]:
    """The URL of a new database of PostgreSQL."""
    with new_database(server) as url:
        yield url


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest) -> str:
    """The URL of a new database, of each kind in turn."""
    url: str = request.getfixturevalue(request.param)
    return url


@pytest.fixture
async def service() -> AsyncIterator[Sandbox]:
    """A sandbox on the machine's clock, without limits, whose tasks take half a second."""
    async with Sandbox(time_scale=0.004, submissions_per_window=None) as sandbox:
        yield sandbox
