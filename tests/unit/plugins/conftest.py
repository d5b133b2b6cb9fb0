"""The application on the real review desk, with a ledger in memory and a login without Airflow's database."""

import json
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


@pytest.fixture(autouse=True)
def history(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the desk find the history that the example's evidence tells, whatever the clone that the tests run in has."""
    from tests.unit.plugins import example

    monkeypatch.setattr("governance.review.desk.code_state", lambda *_, **__: example.code())


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


@pytest.fixture
def work_on(keys, tmp_path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable]:
    """Return a function that makes a ledger the one to which the settings of a task and of the triggerer lead."""
    from governance_airflow.triggers import approval
    from tests.unit.plugins import airflow_task  # noqa: F401  # imports what must see the real ledger

    def on(ledger):
        monkeypatch.setattr("governance.ledger.log.Ledger", lambda _: ledger)
        approval._ledger.cache_clear()
        return ledger

    monkeypatch.setenv("GOVERNANCE_LEDGER_URL", "postgresql://pipeline@ledger.test/ledger")
    monkeypatch.setenv("GOVERNANCE_PUBLIC_KEYS", str(keys[1]))
    monkeypatch.setenv("GOVERNANCE_AIRFLOW_URL", "http://airflow.test/")
    monkeypatch.setenv("GOVERNANCE_STATE", str(tmp_path))
    yield on
    approval._ledger.cache_clear()


@pytest.fixture
def ledger(work_on):
    """An empty ledger in memory, which the settings lead to."""
    from tests.unit.plugins.stand_in import LedgerInMemory

    return work_on(LedgerInMemory())


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Return a function that makes an address the one behind Airflow's connection to Slack."""
    for name in ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"):
        monkeypatch.delenv(name, raising=False)

    def to(url: str) -> None:
        connection = json.dumps({"conn_type": "slackwebhook", "password": url})
        monkeypatch.setenv("AIRFLOW_CONN_GOVERNANCE_SLACK", connection)

    return to


@pytest.fixture(scope="session")
def slack_server():
    """A local server in Slack's place."""
    from system import Slack

    server = Slack()
    yield server
    server.close()


@pytest.fixture
def slack(slack_server, connect):
    """A local server in Slack's place, connected, with no messages yet."""
    slack_server.messages.clear()
    slack_server.broken = False
    connect(slack_server.url)
    return slack_server
