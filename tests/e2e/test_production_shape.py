"""The production shape runs as docker-compose.yaml says: workers of Celery, two replicas, a login for every identity.

Needs Redis and nginx (Debian: ``apt-get install redis-server nginx-light``) and the right to name a host (root).
"""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest
from system import GovernedRun, Slack, World, until

from tests.production import dockerfile
from tests.production.composed import Composed

pytestmark = [pytest.mark.integration, pytest.mark.slow]

JWT = "AIRFLOW__API_AUTH__JWT_SECRET"


@pytest.fixture(scope="module")
def composed(checkout: Path) -> Iterator[Composed]:
    missing = [program for program in ("redis-server", "nginx", "unshare") if shutil.which(program) is None]
    assert not missing, f"install {missing}: apt-get install redis-server nginx-light util-linux"
    folder = Path(tempfile.mkdtemp(prefix="prod-"))
    shape = Composed(dockerfile.build(checkout, folder / "image"), folder)
    try:
        shape.up()
        shape.wait_until_healthy()
        yield shape
    finally:
        shape.stop()
        if not os.environ.get("KEEP_STATE"):
            shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def loan(composed: Composed) -> Iterator[GovernedRun]:
    """The loan story, to the end: blocked, an alternative found, signed by two, released."""
    slack = Slack()
    world = World(composed, slack, composed.image)  # type: ignore[arg-type]  # what it asks of a stack is there
    admin = composed.client("admin")
    answer = admin.send(
        "POST",
        "/api/v2/connections",
        json={"connection_id": "governance_slack", "conn_type": "slackwebhook", "password": slack.url},
    )
    assert answer.status_code == 201, answer.text
    run = world.trigger("loan", "First release of the mortgage model").wait_until_asked()
    for login in ("maria", "tom"):
        signed = run.decide(login)
        assert signed.status_code == 200, signed.text
    assert run.wait_until_ended() == "success"
    yield run
    slack.close()


def serving(composed: Composed) -> list[dict]:
    """What each replica says of the loan model."""
    return [httpx.get(f"{composed.url(name)}/models/loan").json() for name in ("serving", "serving-2")]


def environment_of(composed: Composed, name: str) -> dict[str, str]:
    """The environment of the process that a container became."""
    leader = psutil.Process(composed.containers[name].process.pid)
    return leader.environ()


def test_both_replicas_serve_what_was_signed(composed, loan):
    digest = loan.evidence.data["digest"]
    assert [(one["state"], one["evidence"]) for one in serving(composed)] == [("serving", digest)] * 2


def test_the_authors_were_known_though_the_image_has_no_history(composed, loan):
    measured = {m["name"]: m for m in loan.evidence.data["evidence"]["measurements"]}
    assert not (composed.image / ".git").exists()
    assert measured["provenance.unknown_authors"]["value"] == 0
    assert measured["provenance.uncommitted_changes"]["value"] == 0


def test_both_workers_did_some_of_it(composed, loan):
    hosts = {task["hostname"] for task in loan.tasks().values() if task["state"] == "success"}
    assert hosts == {"worker", "worker-2"}


def test_logs_of_tasks_are_read_on_the_pages_server(loan):
    assert "successfully emitted openlineage `complete` event" in loan.log("ingest").lower()


def test_people_were_told_with_a_connection_that_no_worker_keeps(loan):
    assert loan.world.slack.about("loan 1.0.0 is blocked")


def test_the_proxy_passes_on_predictions_and_nothing_that_changes_anything(composed, loan):
    row = {"dataframe_records": [{"loanamt": 89, "income": 54, "price": 120}]}
    asked = httpx.post(f"{composed.url('proxy')}/models/loan/invocations", json=row)
    assert asked.status_code in (200, 422), "it reached a replica, which checks the contract"
    for path in ("/models/loan/refresh", "/labels", "/metrics"):
        assert httpx.post(f"{composed.url('proxy')}{path}", json={}).status_code == 404


def test_one_replica_goes_and_the_other_answers(composed, loan):
    composed.kill("serving-2")
    try:
        answers = [httpx.get(f"{composed.url('proxy')}/models/loan", timeout=10).status_code for _ in range(4)]
    finally:
        composed.start_again("serving-2")
    assert answers == [200] * 4


def test_mlflow_asks_for_a_login_and_lets_the_scoring_service_read_only(composed, loan):
    url = composed.url("mlflow")
    models = f"{url}/api/2.0/mlflow/registered-models"
    reader = ("serving", composed.secret("mlflow-serving"))
    assert httpx.get(f"{models}/get", params={"name": "loan"}).status_code == 401
    assert httpx.get(f"{models}/get", params={"name": "loan"}, auth=reader).status_code == 200
    body = {"name": "loan", "alias": "champion", "version": "1"}
    assert httpx.post(f"{models}/alias", json=body, auth=reader).status_code == 403


def test_artifacts_are_in_the_object_store(composed, loan):
    assert not list((composed.folder / "containers" / "mlflow").rglob("model.skops"))
    listed = httpx.get(f"{composed.url('s3')}/mlflow", params={"list-type": "2"}).text
    assert "artifacts/" in listed


def test_a_worker_holds_no_secret_that_opens_a_login_or_airflows_database(composed, loan):
    known = "\n".join(f"{name}={value}" for name, value in environment_of(composed, "worker").items())
    for secret in (
        "jwt-core",
        "jwt-execution",
        "airflow-session",
        "airflow-fernet",
        "postgres-airflow",
        "postgres-review",
    ):
        assert composed.secret(secret) not in known, secret


def test_the_server_of_the_pages_and_that_of_tasks_sign_with_different_secrets(composed, loan):
    assert environment_of(composed, "airflow")[JWT] != environment_of(composed, "execution")[JWT]


def test_the_command_line_verifies_the_ledger_and_the_permit(composed, loan):
    for command in (("ledger", "verify"), ("permit", "loan"), ("live", "loan")):
        done = composed.command("governance", *command)
        assert done.returncode == 0, (command, done.stdout, done.stderr)


def test_a_run_goes_on_when_the_worker_of_a_task_is_killed(composed, loan):
    run = loan.world.trigger("quick", "To lose a worker")
    until(lambda: run.tasks() and any(task["state"] == "running" for task in run.tasks().values()), "a task runs")
    composed.kill("worker-2")
    composed.start_again("worker-2")
    run.wait_until_asked()


def test_a_missing_secret_stops_the_start_and_is_named(composed, loan):
    assert composed.command("governance", "models").returncode == 0
    secrets = composed.compose["services"]["command-line"]["secrets"]
    secrets.remove("postgres-auditor")
    (composed.folder / "containers" / "command-line" / "secrets" / "postgres-auditor").unlink()
    try:
        done = composed.command("governance", "models")
    finally:
        secrets.append("postgres-auditor")
    assert done.returncode == 1
    assert "postgres-auditor" in done.stderr
    assert "make secrets" in done.stderr
