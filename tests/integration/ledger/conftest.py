"""A real PostgreSQL for the session, and an empty ledger for each test."""

from collections.abc import Iterator
from contextlib import closing

import psycopg
import pytest
from ledger_database import Database, Server

from governance.ledger.log import install


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    with closing(Server()) as server:
        yield server


@pytest.fixture
def database(server: Server) -> Iterator[Database]:
    with closing(psycopg.connect(server.dsn("postgres", "postgres"), autocommit=True)) as connection:
        connection.execute("DROP SCHEMA IF EXISTS ledger CASCADE")
    database = Database(server, "postgres")
    install(database.dsn("postgres"))
    yield database
    for ledger in database.ledgers:
        ledger.close()
