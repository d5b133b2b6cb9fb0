"""What a container starts with: the service of that name, its own secrets, and a sentence where one is missing."""

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from governance.settings import ROOT, load_settings
from stack import container, production
from stack.errors import StackError
from stack.jobs import JOBS
from stack.production import SERVICES, Production
from stack.secrets_folder import make

SHOW = "import json, os; print(json.dumps(dict(os.environ)))"


@pytest.fixture(scope="module")
def secrets(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("secrets")
    make(folder, ROOT)
    return folder


@pytest.fixture
def given(secrets, tmp_path) -> dict[str, str]:
    """The environment of a container that may read every secret."""
    return {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT),
        "STACK_SECRETS": str(secrets),
        "STACK_STATE": str(tmp_path / "state"),
        "STACK_KEYS": str(tmp_path / "keys"),
    }


def run(given: dict[str, str], *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "stack.container", *arguments]
    return subprocess.run(command, env=given, capture_output=True, text=True, check=False)


def test_a_command_sees_what_its_service_sees_and_the_process_is_replaced(given, secrets):
    done = run(given, "worker", sys.executable, "-c", SHOW)
    seen = json.loads(done.stdout)

    password = (secrets / "postgres-pipeline").read_text()
    assert seen["GOVERNANCE_LEDGER_URL"] == f"postgresql://pipeline:{password}@postgres:5432/governance"
    assert seen["GOVERNANCE_SERVING_URL"] == "http://serving-1:8001,http://serving-2:8001"
    assert seen["AIRFLOW__CORE__EXECUTOR"] == "CeleryExecutor"
    assert seen["PYTHONPATH"].split(":")[:2] == [str(ROOT / "include"), str(ROOT / "plugins")], "not the entrypoint's"
    assert not [name for name in seen if name.startswith("STACK_")]


def test_a_private_key_is_copied_to_where_its_user_alone_can_read_it(given, secrets, tmp_path):
    (secrets / "key-artifact").chmod(0o644)
    done = run(given, "worker", sys.executable, "-c", SHOW)

    path = Path(json.loads(done.stdout)["GOVERNANCE_ARTIFACT_KEY"])
    assert path == tmp_path / "keys" / "artifact.pem"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_what_the_container_was_given_wins(given):
    done = run(
        {**given, "AIRFLOW__CORE__PARALLELISM": "3", "GOVERNANCE_ENVIRONMENT": ""}, "worker", sys.executable, "-c", SHOW
    )
    seen = json.loads(done.stdout)
    assert seen["AIRFLOW__CORE__PARALLELISM"] == "3"
    assert "GOVERNANCE_ENVIRONMENT" not in seen, "what is empty is not set"


def test_a_secret_that_is_called_like_a_variable_becomes_it(given, tmp_path):
    folder = tmp_path / "secrets"
    folder.mkdir()
    for name in ("postgres-serving", "mlflow-serving", "label-tokens"):
        (folder / name).write_text("word\n")
    (folder / "GOVERNANCE_SQL_WAREHOUSE").write_text("postgresql://reader:x@host/db\n")
    done = run({**given, "STACK_SECRETS": str(folder)}, "serving", sys.executable, "-c", SHOW)
    assert json.loads(done.stdout)["GOVERNANCE_SQL_WAREHOUSE"] == "postgresql://reader:x@host/db"


@pytest.mark.parametrize("text", [None, "", "\n"], ids=["missing", "empty", "a line end"])
def test_a_secret_that_is_missing_stops_the_start_and_is_named(given, tmp_path, text):
    folder = tmp_path / "secrets"
    folder.mkdir()
    if text is not None:
        (folder / "postgres-serving").write_text(text)
    done = run({**given, "STACK_SECRETS": str(folder)}, "serving")
    assert done.returncode == 1
    assert f"Expected the secret postgres-serving in {folder}/postgres-serving, found nothing" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("arguments", [[], ["web"], ["check"], ["check", "web"]])
def test_what_is_no_service_is_refused_with_those_that_are(given, arguments, capsys, monkeypatch):
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    assert container.main(arguments) == 1
    assert "scheduler" in capsys.readouterr().err


def test_a_service_that_does_not_answer_does_not_work(given):
    closed = {f"STACK_{name}": "127.0.0.1:9" for name in ("SERVING", "AIRFLOW", "MARQUEZ")}
    layout = Production.of({**given, **closed})
    for name in ("serving", "scheduler", "lineage", "witness"):
        assert not container.works(layout, name)


@pytest.mark.parametrize("name", SERVICES)
def test_settings_of_every_service_are_ones_that_the_core_knows(given, name):
    layout = Production.of(given)
    environment = SERVICES[name](layout).environment
    load_settings({each: value for each, value in environment.items() if each.startswith("GOVERNANCE_")})


@pytest.mark.parametrize("name", SERVICES)
def test_every_command_is_a_module_that_can_be_run(given, name):
    import importlib.util

    module = SERVICES[name](Production.of(given)).command[0]
    assert importlib.util.find_spec(f"{module}.__main__") or importlib.util.find_spec(module)


def test_no_secret_stands_on_a_command_line(given, secrets):
    words = [path.read_text().strip() for path in secrets.iterdir() if path.is_file()]
    for build in SERVICES.values():
        line = " ".join(build(Production.of(given)).command)
        assert not [word for word in words if word in line]


def test_without_celery_nothing_asks_for_redis(given, tmp_path, secrets):
    folder = tmp_path / "secrets"
    folder.mkdir()
    for name in ("postgres-pipeline", "mlflow-pipeline"):
        (folder / name).write_text((secrets / name).read_text())
    layout = Production.of({**given, "STACK_SECRETS": str(folder), "STACK_EXECUTOR": "KubernetesExecutor"})
    environment = SERVICES["worker"](layout).environment
    assert environment["AIRFLOW__CORE__EXECUTOR"] == "KubernetesExecutor"
    assert not [name for name in environment if "CELERY" in name]


def test_services_and_jobs_have_different_names():
    assert not set(SERVICES) & set(JOBS)


def test_an_address_of_a_database_is_not_broken_by_a_password(given, secrets):
    assert all(quoted == quoted.strip("/:@") for quoted in [(secrets / "postgres-pipeline").read_text()])
    with pytest.raises(StackError):
        Production.of({**given, "STACK_SECRETS": "/nowhere"}).database_url("pipeline", "governance")


def test_mlflow_knows_every_identity_that_talks_to_it():
    assert set(production.MLFLOW_LOGINS) == {"review", "pipeline", "serving", "client"}
