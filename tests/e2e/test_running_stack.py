"""What a started stack promises, asked of the real processes."""

import httpx
import jwt
import psutil
import psycopg
import pytest

from stack import processes
from stack.layout import HOST, LEDGER_ROLES
from stack.supervisor import Stack

pytestmark = pytest.mark.integration


def test_every_service_works(running_stack: Stack) -> None:
    health = httpx.get(running_stack.url("airflow") + "/api/v2/monitor/health", trust_env=False).json()
    assert {name: part["status"] for name, part in health.items()} == {
        "metadatabase": "healthy",
        "scheduler": "healthy",
        "triggerer": "healthy",
        "dag_processor": "healthy",
    }
    assert httpx.get(running_stack.url("mlflow") + "/health", trust_env=False).status_code == 200
    assert running_stack.is_up


def test_a_second_start_finds_the_first(running_stack: Stack) -> None:
    before = running_stack.services
    second = Stack(running_stack.state)
    assert second.up() is False
    assert second.services == before


def test_a_command_in_another_terminal_finds_the_stack(running_stack: Stack) -> None:
    from governance.settings import load_settings

    settings = load_settings({"GOVERNANCE_STATE": str(running_stack.state)})
    assert settings.mlflow_url == running_stack.url("mlflow")
    assert settings.ledger_url == running_stack.ledger_url("auditor")
    assert settings.review_key is None


@pytest.mark.parametrize("login", ["ken", "dana", "luis", "maria", "tom", "ines", "omar", "priya", "admin"])
def test_everybody_can_log_in_with_the_password_of_the_list(running_stack: Stack, airflow_as, login: str) -> None:
    assert airflow_as(login).get("/api/v2/dags").status_code == 200
    listed = dict(line.split()[:2] for line in (running_stack.state / "logins.txt").read_text().splitlines())
    assert listed[login] == running_stack.login(login)


def test_a_wrong_password_is_refused(running_stack: Stack) -> None:
    answer = httpx.post(
        running_stack.url("airflow") + "/auth/token", json={"username": "ken", "password": "no"}, trust_env=False
    )
    assert answer.status_code == 401


@pytest.mark.parametrize(("login", "may_run"), [("ken", True), ("luis", True), ("maria", False), ("omar", False)])
def test_engineers_may_start_and_clear_runs_and_reviewers_may_not(airflow_as, login: str, may_run: bool) -> None:
    client = airflow_as(login)
    refused = 404 if may_run else 403
    assert client.post("/api/v2/dags/nothing/dagRuns", json={"logical_date": None}).status_code == refused
    assert client.post("/api/v2/dags/nothing/clearTaskInstances", json={}).status_code == refused
    state = {"new_state": "success"}
    assert client.patch("/api/v2/dags/nothing/dagRuns/run/taskInstances/task", json=state).status_code == refused
    assert client.get("/api/v2/connections").status_code == 403


@pytest.mark.parametrize(("secret", "status"), [("jwt-core", 200), ("jwt-execution", 403)])
def test_the_secret_that_tasks_see_forges_no_login(running_stack: Stack, airflow_as, secret: str, status: int) -> None:
    genuine = airflow_as("ken").headers["Authorization"].removeprefix("Bearer ")
    claims = jwt.decode(genuine, options={"verify_signature": False})
    header = jwt.get_unverified_header(genuine)
    key = running_stack.layout.secret(secret)
    forged = jwt.encode(claims, key, algorithm=header["alg"], headers=header)
    answer = httpx.get(
        running_stack.url("airflow") + "/api/v2/dags", headers={"Authorization": f"Bearer {forged}"}, trust_env=False
    )
    assert answer.status_code == status


def test_the_server_for_tasks_has_neither_logins_nor_pages(running_stack: Stack) -> None:
    for path in ("/auth/token", "/api/v2/dags", "/ui/config"):
        assert httpx.get(running_stack.url("execution") + path, trust_env=False).status_code == 404


def test_each_process_holds_only_its_own_secrets(running_stack: Stack) -> None:
    holders = {
        running_stack.layout.secret("jwt-core"): {"airflow"},
        running_stack.layout.secret("jwt-execution"): {"execution", "scheduler"},
        str(running_stack.layout.private_key("review")): {"airflow"},
        str(running_stack.layout.private_key("artifact")): {"scheduler"},
        running_stack.layout.secret("postgres-review"): {"airflow"},
        running_stack.layout.secret("postgres-pipeline"): {"scheduler"},
        running_stack.layout.secret("postgres-postgres"): set(),
    }
    environments = {name: str(psutil.Process(pid).environ()) for name, pid in running_stack.services.items()}
    for secret, expected in holders.items():
        assert {name for name, environment in environments.items() if secret in environment} == expected


def test_no_secret_stands_on_a_command_line(running_stack: Stack) -> None:
    secrets = [path.read_text() for path in (running_stack.state / "secrets").iterdir()]
    leaders = [psutil.Process(pid) for pid in running_stack.services.values()]
    lines = [line for process in processes.with_children(leaders) if (line := _command_line(process))]
    assert len(lines) >= len(leaders)
    assert not [line for line in lines for secret in secrets if secret in line]


def test_secrets_and_private_keys_are_for_their_owner_only(running_stack: Stack) -> None:
    state = running_stack.state
    private = [state / "client.env", state / "logins.txt", *(state / "secrets").iterdir()]
    private += (state / "keys" / "private").iterdir()
    assert {oct(path.stat().st_mode & 0o777) for path in private} == {"0o600"}


def _command_line(process: psutil.Process) -> str:
    """Return what others see of a process; of one that has ended meanwhile there is nothing to see."""
    try:
        return " ".join(process.cmdline())
    except (psutil.NoSuchProcess, psutil.ZombieProcess):
        return ""


def _connect(running_stack: Stack, user: str, password: str, database: str) -> psycopg.Connection:
    port = running_stack.layout.ports["postgres"]
    return psycopg.connect(host=HOST, port=port, user=user, password=password, dbname=database)


@pytest.mark.parametrize("role", LEDGER_ROLES)
def test_a_ledger_role_needs_its_password_and_reaches_only_the_ledger(running_stack: Stack, role: str) -> None:
    password = running_stack.layout.secret(f"postgres-{role}")
    with _connect(running_stack, role, password, "governance") as connection:
        assert connection.execute("SELECT current_user").fetchone() == (role,)
    for user, word, database in (
        (role, "wrong", "governance"),
        (role, password, "airflow"),
        (role, password, "mlflow"),
    ):
        with pytest.raises(psycopg.OperationalError):
            _connect(running_stack, user, word, database)


def test_postgres_trusts_nobody_and_flushes_to_disk(running_stack: Stack) -> None:
    password = running_stack.layout.secret("postgres-postgres")
    with _connect(running_stack, "postgres", password, "postgres") as connection:
        methods = connection.execute("SELECT DISTINCT auth_method FROM pg_hba_file_rules").fetchall()
        assert methods == [("scram-sha-256",)]
        assert connection.execute("SHOW fsync").fetchone() == ("on",)
        owner = connection.execute("SELECT rolcanlogin, rolsuper FROM pg_roles WHERE rolname = 'governance_owner'")
        assert owner.fetchone() == (False, False)
