import json
from pathlib import Path

import pytest

from governance.predictions.senders import own_token
from governance.settings import load_settings
from stack import environment
from stack.layout import PORTS, Layout
from stack.services import IDENTITIES, identity_environment, services
from stack.supervisor import Stack


@pytest.fixture
def by_name(layout: Layout) -> dict:
    return {service.name: service for service in services(layout)}


def test_these_services_make_up_the_system(by_name: dict) -> None:
    expected = {"mlflow", "airflow", "execution", "scheduler", "dag-processor", "triggerer", "serving", "lineage"}
    assert set(by_name) == expected


@pytest.mark.parametrize("identity", IDENTITIES)
def test_the_settings_of_every_identity_are_ones_that_the_core_knows(layout: Layout, identity: str) -> None:
    settings = load_settings(identity_environment(layout, identity))
    assert settings.state == layout.state
    assert settings.mlflow_url == layout.url("mlflow")
    assert settings.public_keys == layout.public_keys


@pytest.mark.parametrize(
    ("identity", "role", "artifact_key", "review_key"),
    [
        ("pipeline", "pipeline", True, False),
        ("review", "review", False, True),
        ("serving", "serving", False, False),
        ("client", "auditor", False, False),
        ("lineage", "pipeline", False, False),
    ],
)
def test_an_identity_gets_its_own_role_and_key_and_no_other(
    layout: Layout, identity: str, role: str, artifact_key: bool, review_key: bool
) -> None:
    settings = load_settings(identity_environment(layout, identity))
    assert settings.ledger_url == layout.ledger_url(role)
    assert (settings.artifact_key is not None, settings.review_key is not None) == (artifact_key, review_key)


def test_only_the_server_with_logins_knows_what_logins_are_signed_with(layout: Layout, by_name: dict) -> None:
    for secret in ("jwt-core", "airflow-session"):
        word = layout.secret(secret)
        assert [name for name, service in by_name.items() if word in service.environment.values()] == ["airflow"]


def test_the_two_api_servers_sign_with_different_secrets(by_name: dict) -> None:
    variable = "AIRFLOW__API_AUTH__JWT_SECRET"
    tasks = by_name["execution"].environment[variable]
    assert by_name["scheduler"].environment[variable] == tasks
    assert by_name["airflow"].environment[variable] != tasks


def test_what_parses_and_waits_gets_no_key_and_cannot_write_to_the_ledger(layout: Layout, by_name: dict) -> None:
    for name in ("dag-processor", "triggerer", "execution"):
        settings = load_settings({**by_name[name].environment})
        assert settings.ledger_url == layout.ledger_url("auditor")
        assert (settings.artifact_key, settings.review_key) == (None, None)
        assert name == "execution" or "AIRFLOW__API_AUTH__JWT_SECRET" not in by_name[name].environment


def test_nobody_unpickles_a_model_or_reports_home(by_name: dict) -> None:
    for service in by_name.values():
        assert service.environment["MLFLOW_ALLOW_PICKLE_DESERIALIZATION"] == "false"
        assert service.environment["MLFLOW_DISABLE_TELEMETRY"] == "true"
        assert service.environment["DO_NOT_TRACK"] == "1"


def test_no_secret_stands_on_a_command_line(layout: Layout, by_name: dict) -> None:
    words = [path.read_text() for path in (layout.state / "secrets").iterdir()]
    commands = [" ".join(service.command) for service in by_name.values()]
    assert words
    assert not [command for command in commands for word in words if word in command]


def test_every_service_listens_on_loopback_and_on_its_own_port(layout: Layout, by_name: dict) -> None:
    listening = {name: service.command for name, service in by_name.items() if service.health}
    assert set(listening) == set(PORTS) - {"postgres"}
    for name, command in listening.items():
        assert command[command.index("--host") + 1] == "127.0.0.1"
        assert command[command.index("--port") + 1] == str(layout.ports[name])


def test_lineage_of_every_process_of_airflow_goes_to_our_outbox(by_name: dict) -> None:
    from openlineage.client.transport.factory import DefaultTransportFactory

    from governance_airflow.transport import OutboxTransport

    for name in ("airflow", "execution", "scheduler", "dag-processor", "triggerer"):
        transport = json.loads(by_name[name].environment["AIRFLOW__OPENLINEAGE__TRANSPORT"])
        assert type(DefaultTransportFactory().create(transport)) is OutboxTransport


def test_what_delivers_lineage_writes_as_the_pipeline_has_no_key_and_runs_only_where_there_is_a_marquez(
    layout: Layout, by_name: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = load_settings(by_name["lineage"].environment)
    assert settings.ledger_url == layout.ledger_url("pipeline")
    assert (settings.artifact_key, settings.review_key) == (None, None)
    monkeypatch.delenv("MARQUEZ_URL", raising=False)
    assert "lineage" not in [service.name for service in Stack(tmp_path).wanted()]
    monkeypatch.setenv("MARQUEZ_URL", "http://marquez:5000")
    assert "lineage" in [service.name for service in Stack(tmp_path).wanted()]
    complete = environment.complete(by_name["lineage"].environment, layout, {})
    assert load_settings(complete).marquez_url == "http://marquez:5000"


def test_secrets_of_the_surrounding_shell_do_not_reach_a_service(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOMEBODYS_TOKEN", "word")
    monkeypatch.setenv("GOVERNANCE_REVIEW_KEY", "/elsewhere")
    monkeypatch.setenv("AIRFLOW__CORE__LOAD_EXAMPLES", "True")
    monkeypatch.setenv("AIRFLOW_CONN_SLACK", "{}")
    complete = environment.complete({"OWN": "1"}, layout, {"EXTRA": "2"})
    assert complete["AIRFLOW_CONN_SLACK"] == "{}"
    assert (complete["OWN"], complete["EXTRA"]) == ("1", "2")
    assert not {"SOMEBODYS_TOKEN", "GOVERNANCE_REVIEW_KEY", "AIRFLOW__CORE__LOAD_EXAMPLES"} & set(complete)


def test_the_token_for_metrics_reaches_the_server_of_the_pages_alone(layout: Layout, monkeypatch) -> None:
    monkeypatch.setenv("GOVERNANCE_METRICS_TOKEN", "/etc/governance/metrics.token")
    reach = {
        identity
        for identity in IDENTITIES
        if "GOVERNANCE_METRICS_TOKEN" in environment.complete(identity_environment(layout, identity), layout, {})
    }
    assert reach == {"review"}


def test_who_may_send_labels_is_told_to_the_scoring_service_alone(layout: Layout, by_name: dict) -> None:
    told = {name for name, service in by_name.items() if "GOVERNANCE_LABEL_TOKENS" in service.environment}
    path = load_settings(dict(by_name["serving"].environment)).label_tokens

    assert told == {"serving"}
    assert path is not None
    assert own_token(path) in path.read_text()
    assert path.stat().st_mode & 0o777 == 0o600


def test_addresses_of_databases_reach_the_pipeline_alone(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOVERNANCE_SQL_WAREHOUSE", "postgresql://reader:secret@host/warehouse")
    monkeypatch.setenv("PYICEBERG_CATALOG__LAKE__URI", "https://catalog")
    data = {"GOVERNANCE_SQL_WAREHOUSE", "PYICEBERG_CATALOG__LAKE__URI"}
    reach = {
        identity: data & set(environment.complete(identity_environment(layout, identity), layout, {}))
        for identity in IDENTITIES
    }
    assert reach.pop("pipeline") == data
    assert not any(reach.values())


def test_what_a_person_set_in_the_env_file_reaches_the_services(tmp_path: Path, layout: Layout) -> None:
    (tmp_path / ".env").write_text('# a comment\nAIRFLOW_CONN_SLACK=\'{"password": "a=b"}\'\nOTHER=1\n')
    complete = environment.complete({}, Layout(tmp_path, tmp_path, layout.ports), {})
    assert complete["AIRFLOW_CONN_SLACK"] == '{"password": "a=b"}'
    assert "OTHER" not in complete


def test_the_example_of_an_env_file_names_every_setting() -> None:
    from governance.settings import VARIABLES

    example = (Path(__file__).resolve().parents[3] / ".env.example").read_text()
    named = {line.lstrip("# ").split("=")[0] for line in example.splitlines() if "=" in line}
    assert set(VARIABLES.values()) <= named
