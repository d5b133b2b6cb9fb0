"""One real stack for everything under this folder: PostgreSQL, MLflow, Airflow and the scoring service."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from stack.supervisor import Stack

SHARED = {"stack", "elsewhere"}
"""Folders whose files share a server that takes long to start: one process of xdist runs all of it."""


def pytest_itemcollected(item: pytest.Item) -> None:
    item.add_marker(pytest.mark.integration)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Give each process of ``--dist loadfile`` whole files, and whole folders of those that share a server."""
    if config.getvalue("dist") != "loadfile":
        return None
    from xdist.scheduler import LoadFileScheduling

    class ByServer(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            folder = Path(nodeid.partition("::")[0]).parent
            return str(folder) if folder.name in SHARED else str(super()._split_scope(nodeid))

    return ByServer(config, log)


@pytest.fixture(scope="session")
def running_stack() -> Iterator[Stack]:
    """A started stack with a state folder of its own; ``STACK_UNDER_TEST=<state>`` uses one that runs already."""
    if reused := os.environ.get("STACK_UNDER_TEST"):
        stack = Stack(Path(reused))
        stack.up()
        yield stack
        return
    state = Path(tempfile.mkdtemp(prefix="stack-"))
    stack = Stack(state)
    try:
        stack.up()
        yield stack
    finally:
        stack.stop()
        shutil.rmtree(state, ignore_errors=True)


@pytest.fixture
def airflow_as(running_stack: Stack):
    """Return a function: login → HTTP client of Airflow's API, logged in as that person."""
    clients = []

    def log_in(login: str) -> httpx.Client:
        client = httpx.Client(base_url=running_stack.url("airflow"), trust_env=False, timeout=30)
        clients.append(client)
        answer = client.post("/auth/token", json={"username": login, "password": running_stack.login(login)})
        client.headers["Authorization"] = f"Bearer {answer.raise_for_status().json()['access_token']}"
        return client

    yield log_in
    for client in clients:
        client.close()
