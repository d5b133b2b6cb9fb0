"""The DAG ``govern_<model>``: what runs after what, and that it stays a table of contents."""

import ast
import subprocess
import sys

import pytest

from governance.assessment import FAMILIES
from governance.settings import ROOT

DAG_FILE = ROOT / "dags" / "govern_model.py"
MEASURES = {"quality", "explainability", "behaviour", "operations"}


def upstream(dag, task_id):
    return set(dag.get_task(task_id).upstream_task_ids)


def test_every_dag_file_imports(dag_bag):
    assert dag_bag.import_errors == {}


def test_there_is_one_dag_for_each_model_folder(dag_bag):
    folders = {path.parent.name for path in (ROOT / "include" / "models").glob("*/model.yaml")}
    assert {f"govern_{name}" for name in folders} == {name for name in dag_bag.dags if name.startswith("govern_")}


def test_the_steps_run_in_the_order_of_the_design(govern_loan):
    assert upstream(govern_loan, "ingest") == set()
    assert upstream(govern_loan, "validate") == {"ingest"}
    assert upstream(govern_loan, "train") == {"validate"}
    assert upstream(govern_loan, "judge") == {f"measure.{family}" for family in MEASURES}
    assert upstream(govern_loan, "search_alternatives") == {"judge"}
    assert upstream(govern_loan, "judge_alternative") == {f"measure_alternative.{family}" for family in MEASURES}
    assert upstream(govern_loan, "announce") == {"release"}


@pytest.mark.parametrize("family", sorted(MEASURES))
def test_measuring_is_done_in_parallel(govern_loan, family):
    assert upstream(govern_loan, f"measure.{family}") == {"train"}
    assert upstream(govern_loan, f"measure_alternative.{family}") == {"search_alternatives"}


def test_the_dag_measures_every_family_that_the_judge_asks_for_once(govern_loan):
    for group in ("measure", "measure_alternative"):
        tasks = [govern_loan.get_task(f"{group}.{task}") for task in MEASURES]
        assert sorted(family for task in tasks for family in task.arguments["families"]) == sorted(FAMILIES)


def test_each_role_of_the_policy_has_its_own_approval_task(govern_loan):
    approvals = {task for task in govern_loan.task_ids if task.startswith("approve_")}
    assert approvals == {"approve_model_risk", "approve_compliance"}


def test_release_waits_for_every_approval_and_every_verdict(govern_loan):
    approvals = {"approve_model_risk", "approve_compliance"}
    assert upstream(govern_loan, "release") == approvals | {"judge", "judge_alternative"}


def test_where_people_may_sign_in_advance_the_pipeline_asks_before_it_waits(dag_bag, govern_loan):
    low = dag_bag.dags["govern_digits"]
    assert upstream(low, "standing_approval") == {"judge"}
    assert upstream(low, "approve_model_risk") == {"judge", "judge_alternative", "standing_approval"}
    assert upstream(low, "release") == {"approve_model_risk", "judge", "judge_alternative"}
    assert not govern_loan.has_task("standing_approval")


def test_nothing_after_a_failed_gate_runs(govern_loan):
    strict = ("all_success", "none_failed")
    lenient = {task.task_id: task.trigger_rule for task in govern_loan.tasks if task.trigger_rule not in strict}
    assert lenient == {}


def test_a_run_needs_a_reason(govern_loan):
    assert govern_loan.params.get_param("reason").schema["minLength"] == 5


def test_every_dag_and_task_says_what_to_do_when_it_is_red(dag_bag):
    undocumented = [
        f"{dag.dag_id}.{task.task_id}"
        for dag in dag_bag.dags.values()
        for task in dag.tasks
        if "**Red**" not in (task.doc_md or "") or "**Red**" not in (dag.doc_md or "")
    ]
    assert undocumented == []


def test_every_dag_has_an_owner_tags_and_no_schedule_of_its_own(dag_bag):
    for dag in dag_bag.dags.values():
        assert dag.owner not in ("", "airflow")
        assert {"governance", dag.dag_id.partition("_")[0]} <= dag.tags
        assert dag.dag_id == "retain_predictions" or len(dag.tags & {"tier/high", "tier/medium", "tier/low"}) == 1


def test_every_task_but_the_waiting_ones_has_a_time_limit_and_retries(govern_loan):
    for task in govern_loan.tasks:
        if not task.task_id.startswith("approve_"):
            assert task.execution_timeout is not None
            assert task.retries >= 1


def test_an_approval_is_asked_again_where_it_could_not_be_asked_and_a_reject_is_final(govern_loan):
    from airflow.sdk.exceptions import AirflowFailException

    from governance_airflow.operators.step import ToldError

    assert govern_loan.get_task("approve_compliance").retries > 0
    assert issubclass(ToldError, AirflowFailException)  # which Airflow does not try again


def test_a_release_updates_the_asset_of_the_model(govern_loan):
    assert [asset.uri for asset in govern_loan.get_task("release").outlets] == ["model://governance/loan"]


def test_the_dag_file_is_a_table_of_contents():
    source = DAG_FILE.read_text()
    branches = [node for node in ast.walk(ast.parse(source)) if isinstance(node, (ast.If, ast.While, ast.Try))]

    assert len(source.splitlines()) < 110
    assert branches == []


def test_parsing_imports_nothing_heavy_and_opens_no_connection():
    heavy = ("pandas", "sklearn", "mlflow", "shap", "great_expectations", "psycopg", "fairlearn")
    code = (
        "import sys, runpy\n"
        "def refuse(event, args):\n"
        "    if event == 'socket.connect': raise RuntimeError(f'parsing connects to {args[1]}')\n"
        "import airflow.sdk\n"
        "before = set(sys.modules)\n"
        "sys.addaudithook(refuse)\n"
        f"runpy.run_path({str(DAG_FILE)!r})\n"
        f"print(sorted(set({heavy!r}) & (set(sys.modules) - before)))\n"
    )
    path = f"{ROOT / 'include'}:{ROOT / 'plugins'}"
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], env=_environment(path), capture_output=True, text=True
    )
    assert done.stdout.strip().splitlines()[-1:] == ["[]"], done.stderr


def test_a_running_task_builds_only_its_own_dag(monkeypatch):
    from governance_airflow import models

    assert [model.name for model in models.governed_models(only="govern_loan")] == ["loan"]
    assert list(models.governed_models(only="govern_another")) == []


def test_a_model_is_trained_on_a_schedule_only_where_its_folder_says_so(dag_bag, govern_loan, tmp_path, monkeypatch):
    import shutil

    from airflow.dag_processing.dagbag import DagBag

    from governance.settings import ROOT

    models = tmp_path / "models"
    shutil.copytree(ROOT / "include" / "models" / "loan", models / "loan")
    path = models / "loan" / "model.yaml"
    path.write_text(path.read_text().replace("retraining: ", "retraining:\n  schedule: '0 3 1 * *'"))
    monkeypatch.setenv("GOVERNANCE_MODELS", str(models))
    [scheduled] = [dag for name, dag in DagBag(ROOT / "dags").dags.items() if name == "govern_loan"]

    assert not hasattr(govern_loan.timetable, "expression")
    assert scheduled.timetable.expression == "0 3 1 * *"
    assert scheduled.params.get_param("reason").value == "Trained again on schedule, as model.yaml says."


def test_a_folder_that_cannot_be_read_holds_up_no_other(tmp_path, monkeypatch):
    from governance_airflow import models

    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "model.yaml").write_text("name: [")
    monkeypatch.setenv("GOVERNANCE_MODELS", str(tmp_path))
    [broken] = models.governed_models()
    assert broken.roles == ()
    assert "governance check" in broken.title


def _environment(path):
    import os

    return {**os.environ, "PYTHONPATH": path}
