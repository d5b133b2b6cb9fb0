"""The application on the real review desk, with a ledger in memory and a login without Airflow's database."""

import os
import tempfile

# Before anything imports Airflow, which writes its configuration where this points.
os.environ.setdefault("AIRFLOW_HOME", tempfile.mkdtemp(prefix="airflow-"))

from collections.abc import Callable, Iterator

import pytest


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory):
    """A review key pair, as files."""
    from tests.unit.plugins import stand_in

    return stand_in.key_files(tmp_path_factory.mktemp("keys"))


@pytest.fixture
def office(keys, monkeypatch: pytest.MonkeyPatch):
    """The desk with an empty ledger, and the application on it."""
    from airflow.api_fastapi.app import _AuthManagerState

    from tests.unit.plugins import stand_in

    monkeypatch.setattr(_AuthManagerState, "instance", stand_in.AuthManager())
    return stand_in.Office(*keys)


@pytest.fixture
def as_login(office) -> Iterator[Callable]:
    """Return a client that is logged in as somebody, by cookie, or as nobody."""
    from fastapi.testclient import TestClient

    def log_in(login: str | None) -> TestClient:
        cookies = {"_token": f"token-{login}"} if login else {}
        return TestClient(office.airflow, base_url="http://airflow.test", cookies=cookies, follow_redirects=False)

    return log_in
