"""Databases of both kinds, and a service for jobs, as the tests of jobs have them."""

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
]
