"""What the DAG files cost where there are many model folders: what is read, and what is copied; never how long."""

import json
import os
import shutil
import subprocess
import sys

import pytest
from airflow.sdk.definitions.param import process_params

from governance.settings import ROOT

FOLDERS = 40
PARSE = """
import json, os, runpy, sys
import airflow.sdk

opened, models = set(), os.environ["GOVERNANCE_MODELS"]
def note(event, arguments):
    if event in ("open", "os.listdir", "os.scandir") and str(arguments[0]).startswith(models):
        opened.add(str(arguments[0])[len(models) + 1:])
sys.addaudithook(note)
found = runpy.run_path(sys.argv[1])
built = [one.dag_id for one in found.values() if isinstance(one, airflow.sdk.DAG)]
print(json.dumps({"opened": sorted(opened), "last": built}))
"""


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Many copies of the loan model's folder."""
    place = tmp_path_factory.mktemp("many") / "models"
    for number in range(FOLDERS):
        shutil.copytree(ROOT / "include" / "models" / "loan", place / f"m_{number:02}")
    return place


def parsed(models, kind, dag_id=None):
    """Run a DAG file as Airflow does for a running task of a DAG, or, without one, as the DAG processor does."""
    own = {**os.environ, "GOVERNANCE_MODELS": str(models), "PYTHONPATH": f"{ROOT / 'include'}:{ROOT / 'plugins'}"}
    own |= {"_AIRFLOW_PARSING_CONTEXT_DAG_ID": dag_id} if dag_id else {}
    command = [sys.executable, "-W", "ignore", "-c", PARSE, str(ROOT / "dags" / f"{kind}_model.py")]
    done = subprocess.run(command, env=own, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("kind", ["govern", "monitor", pytest.param("rollback", marks=pytest.mark.slow)])
def test_a_running_task_reads_its_own_folder_and_looks_at_no_other(models, kind):
    found = parsed(models, kind, f"{kind}_m_17")
    assert found == {"opened": ["m_17/model.yaml", "m_17/policy.yaml"], "last": [f"{kind}_m_17"]}


def test_the_dag_processor_reads_two_files_of_each_folder_once(models):
    opened = [name for name in parsed(models, "monitor")["opened"] if name.endswith(".yaml")]
    assert opened == [f"m_{number:02}/{file}.yaml" for number in range(FOLDERS) for file in ("model", "policy")]


def test_a_policy_of_a_tier_is_read_once_for_all_its_models(models, monkeypatch):
    from governance_airflow import models as seen

    read, really = [], seen._read
    monkeypatch.setattr(seen, "_read", lambda path: read.append(path.name) or really(path))
    monkeypatch.setenv("GOVERNANCE_MODELS", str(models))
    roles = {model.roles for model in seen.governed_models()}
    assert roles == {("model_risk", "compliance")}
    assert read.count("high.yaml") == 1


@pytest.mark.parametrize("dag_id", ["monitor_", "monitor_..", "monitor_absent", "monitor_loan/../wage", "monitor"])
def test_a_dag_without_a_folder_is_none(dag_id):
    from governance_airflow.models import governed_models

    assert list(governed_models(only=dag_id)) == []


@pytest.mark.parametrize("dag_id", ["govern_loan", "monitor_loan", "rollback_loan"])
def test_the_form_is_the_dags_and_reaches_its_tasks_without_a_copy_in_each(dag_bag, dag_id):
    dag = dag_bag.dags[dag_id]
    assert dag.params
    assert [task.task_id for task in dag.tasks if task.params] == []
    asked = process_params(dag, dag.tasks[0], None, suppress_exception=True)
    assert set(asked) == set(dag.params)
