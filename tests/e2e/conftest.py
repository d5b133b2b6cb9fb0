"""Logins, as people have them, for tests that ask the running system's own API."""

from collections.abc import Callable, Iterator

import httpx
import pytest
from system import World

from stack.supervisor import Stack


@pytest.fixture(scope="session")
def running_stack(world: World) -> Stack:
    """The started stack, which nobody may stop: other tests use it."""
    return world.stack


@pytest.fixture
def airflow_as(running_stack: Stack) -> Iterator[Callable[[str], httpx.Client]]:
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
