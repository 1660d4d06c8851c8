"""Databases of both kinds and a service for jobs, as tests of jobs have them, and commands."""

import pytest

from tests.cli.preloaded import Server
from tests.durable.conftest import (
    database,
    postgres,
    prepared_postgres,
    prepared_sqlite,
    server,
    service,
    sqlite,
)

__all__ = [
    "database",
    "postgres",
    "prepared_postgres",
    "prepared_sqlite",
    "server",
    "service",
    "sqlite",
    "starter",
]


@pytest.fixture(scope="session")
def starter() -> Server:
    """What starts commands; `server` is PostgreSQL's here."""
    return Server()
