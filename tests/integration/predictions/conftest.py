"""A real PostgreSQL for the session; an empty ledger and prediction log for each test."""

import itertools
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest

from governance.ledger import log as ledger_log
from governance.predictions import database as prediction_log
from governance.predictions.log import PredictionLog
from governance.predictions.record import Batch, Version
from governance.predictions.spool import Limits
from tests.integration.ledger.ledger_database import Database, Server

VERSION = Version(
    "loan", "1.0.0", 3, "e" * 64, (("income", "float64"), ("age", "int64"), ("own", "bool"), ("town", "string"))
)
ROW = [2500.5, 41, True, "Bern"]
QUICK = Limits(flush_seconds=0.02, segment_seconds=0.05)

_numbers = itertools.count(1)


def batch(request_id: str = "r-1", rows: Any = (ROW,), **changes: Any) -> Batch:
    """Return the rows of a request, answered with 1 and a score of 0.75."""
    values: dict[str, Any] = {
        "version": VERSION,
        "request_id": request_id,
        "caller": "desk",
        "at": datetime.now(UTC),
        "rows": [list(row) for row in rows],
        "predictions": [1] * len(rows),
        "scores": [0.75] * len(rows),
    }
    return Batch(**{**values, **changes})


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    with closing(Server()) as server:
        yield server


@pytest.fixture
def database(server: Server) -> Iterator[Database]:
    database = Database(server, f"predictions_{next(_numbers)}")
    with closing(psycopg.connect(server.dsn("postgres", "postgres"), autocommit=True)) as connection:
        connection.execute(f"CREATE DATABASE {database.name} TEMPLATE template0")
    ledger_log.install(database.dsn("postgres"))
    prediction_log.install(database.dsn("postgres"))
    yield database
    for ledger in database.ledgers:
        ledger.close()


Log = Callable[..., PredictionLog]


@pytest.fixture
def open_log(database: Database, tmp_path: Path) -> Iterator[Log]:
    """Return a function that starts a prediction log on this test's state folder, as the scoring service does."""
    opened: list[PredictionLog] = []

    def start(limits: Limits = QUICK, state: Path = tmp_path, dsn: str | None = None) -> PredictionLog:
        dsn = dsn or database.dsn("serving")
        log = PredictionLog(state, dsn, ledger_log.Ledger(dsn), limits)
        log.start()
        opened.append(log)
        return log

    yield start
    for log in opened:
        log.stop()


@pytest.fixture
def logged(open_log: Log) -> Callable[..., None]:
    """Return a function that logs batches and returns once they are in the database."""

    def keep(*batches: Batch) -> None:
        log = open_log()
        for one in batches:
            log.take(one)
        log.stop()
        state = log.state()
        assert (state["waiting"], state["lost"], state["problem"]) == (0, 0, None)

    return keep
