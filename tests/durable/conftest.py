"""Fixtures for jobs: databases of both kinds, and a sandbox at a hundred times its pace.

- `database`: the URL of a new database; its tests run once on SQLite and once on PostgreSQL.
- `sqlite`, `postgres`: the URL of a new one of that kind.
- `shared_database`: one of each kind for all tests of a module.
- `service`: a sandbox on the machine's clock whose tasks are complete within a second.
"""

import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from suno_async.sandbox import Sandbox

from .databases import make_tables, new_database, postgres_server


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    """A server of PostgreSQL for the whole run."""
    with postgres_server() as url:
        yield url


@pytest.fixture(scope="session")
def prepared_postgres(server: str) -> Iterator[str]:
    """The URL of a database of PostgreSQL that has the tables, to be copied."""
    with new_database(server) as url:
        make_tables(url)
        yield url


@pytest.fixture(scope="session")
def prepared_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of SQLite that has the tables, to be copied."""
    path = tmp_path_factory.mktemp("sqlite") / "prepared.db"
    make_tables(f"sqlite:///{path}")
    return path


@pytest.fixture
def sqlite(tmp_path: Path, prepared_sqlite: Path) -> str:
    """The URL of a new file."""
    path = tmp_path / "jobs.db"
    shutil.copyfile(prepared_sqlite, path)
    return f"sqlite:///{path}"


@pytest.fixture
def postgres(server: str, prepared_postgres: str) -> Iterator[str]:
    """The URL of a new database of PostgreSQL."""
    with new_database(server, prepared_postgres) as url:
        yield url


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest) -> str:
    """The URL of a new database, of each kind in turn."""
    url: str = request.getfixturevalue(request.param)
    return url


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def shared_database(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """The URL of a database for a whole module, of each kind in turn."""
    if request.param == "sqlite":
        path = tmp_path_factory.mktemp("shared") / "jobs.db"
        shutil.copyfile(request.getfixturevalue("prepared_sqlite"), path)
        yield f"sqlite:///{path}"
        return
    prepared = request.getfixturevalue("prepared_postgres")
    with new_database(request.getfixturevalue("server"), prepared) as url:
        yield url


@pytest.fixture
async def service() -> AsyncIterator[Sandbox]:
    """A sandbox on the machine's clock, without limits, whose tasks take half a second."""
    async with Sandbox(time_scale=0.004, submissions_per_window=None) as sandbox:
        yield sandbox
