"""What was killed starts again. On a stack of its own, for it stops what other tests would be using."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import psycopg
import pytest

from governance.settings import ROOT
from stack import processes
from stack.bench import running
from stack.supervisor import Stack

pytestmark = [pytest.mark.integration, pytest.mark.slow]


@pytest.fixture(scope="module")
def own_stack() -> Iterator[Stack]:
    """A started stack with a state folder of its own."""
    with running(ROOT) as stack:
        yield stack


def test_a_service_that_was_killed_can_be_restarted_alone(own_stack: Stack) -> None:
    before = own_stack.services
    os.kill(before["triggerer"], signal.SIGKILL)
    own_stack.restart("triggerer")
    after = own_stack.services
    assert after.pop("triggerer") != before.pop("triggerer")
    assert after == before


def test_after_everything_was_killed_stop_and_up_are_enough(own_stack: Stack) -> None:
    with psycopg.connect(own_stack.layout.database_url("postgres", "governance"), autocommit=True) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS kept (at float)")
        connection.execute("INSERT INTO kept VALUES (%s)", (time.time(),))
    urls = {name: own_stack.url(name) for name in ("airflow", "mlflow")}
    for pid in own_stack.services.values():
        os.kill(pid, signal.SIGKILL)
    own_stack.stop()
    assert _left_over(own_stack) == []

    assert own_stack.up() is True
    assert {name: own_stack.url(name) for name in urls} == urls
    with psycopg.connect(own_stack.layout.database_url("postgres", "governance")) as connection:
        assert connection.execute("SELECT count(*) > 0 FROM kept").fetchone() == (True,)
    login = {"username": "ken", "password": own_stack.login("ken")}
    assert httpx.post(own_stack.url("airflow") + "/auth/token", json=login, trust_env=False).status_code == 201


def _left_over(stack: Stack) -> list[psutil.Process]:
    data = Path(stack.state / "postgres" / "data")
    return processes.marked(stack.record.mark) + processes.postgres_of(data)
