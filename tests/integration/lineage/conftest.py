"""A real PostgreSQL for the session; an empty outbox for each test."""

import itertools
import json
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import psycopg
import pytest

from governance.ledger import log as ledger_log
from governance.lineage import outbox as lineage_outbox
from governance.lineage.outbox import Outbox
from tests.integration.ledger.ledger_database import Database, Server

_numbers = itertools.count(1)


def event(run: str = "run-1", kind: str = "START", job: str = "govern_loan.train", **more: Any) -> str:
    """Return an event as Airflow's provider emits them: JSON with sorted names."""
    document = {
        "eventType": kind,
        "eventTime": f"2026-03-03T14:00:{next(_numbers) % 60:02d}.{next(_numbers):06d}+00:00",
        "producer": "https://example.org/producer",
        "schemaURL": "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent",
        "run": {"runId": run},
        "job": {"namespace": "governance", "name": job},
        "inputs": [],
        "outputs": [],
    }
    return json.dumps({**document, **more}, sort_keys=True)


def dataset(name: str, version: str | None = None) -> dict[str, Any]:
    """Return a data set of ours as an event names it."""
    facets = {} if version is None else {"version": {"datasetVersion": version}}
    return {"namespace": "governance", "name": name, "facets": facets}


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    with closing(Server()) as server:
        yield server


@pytest.fixture(scope="session")
def new_database(server: Server) -> Callable[[], Database]:
    """Return a function that makes a database with a ledger and an outbox."""

    def make() -> Database:
        database = Database(server, f"lineage_{next(_numbers)}")
        with closing(psycopg.connect(server.dsn("postgres", "postgres"), autocommit=True)) as connection:
            connection.execute(f"CREATE DATABASE {database.name} TEMPLATE template0")
        ledger_log.install(database.dsn("postgres"))
        lineage_outbox.install(database.dsn("postgres"))
        return database

    return make


@pytest.fixture
def database(new_database: Callable[[], Database]) -> Database:
    return new_database()


@pytest.fixture
def outbox_as(database: Database) -> Iterator[Callable[[str], Outbox]]:
    """Return a function: login → the outbox with its rights."""
    opened: list[Outbox] = []

    def open_as(login: str) -> Outbox:
        opened.append(Outbox(database.dsn(login)))
        return opened[-1]

    yield open_as
    for one in opened:
        one.close()


@pytest.fixture
def outbox(outbox_as: Callable[[str], Outbox]) -> Outbox:
    return outbox_as("pipeline")
