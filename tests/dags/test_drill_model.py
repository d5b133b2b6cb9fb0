"""The DAG ``drill_<model>``: one task, by hand unless the spec names a schedule."""

import shutil

import pytest
import yaml

from governance.settings import ROOT
from governance_airflow.models import governed_models


@pytest.fixture
def drill_loan(dag_bag):
    return dag_bag.dags["drill_loan"]


def test_there_is_one_for_each_model_folder(dag_bag):
    folders = {path.parent.name for path in (ROOT / "include" / "models").glob("*/model.yaml")}
    assert {f"drill_{name}" for name in folders} == {name for name in dag_bag.dags if name.startswith("drill_")}


def test_it_drills_one_at_a_time_and_only_by_hand(drill_loan):
    assert [(task.task_id, task.step) for task in drill_loan.tasks] == [("drill", "drill")]
    assert drill_loan.max_active_runs == 1
    assert drill_loan.timetable.can_be_scheduled is False


def test_it_updates_no_asset_for_nothing_changes(drill_loan):
    assert drill_loan.get_task("drill").outlets == []


@pytest.mark.parametrize(("written", "drill"), [("0 5 1 * *", "0 5 1 * *"), ("monthly, please", None), (5, None)])
def test_the_spec_may_name_a_schedule_and_a_wrong_one_stops_nobody(tmp_path, monkeypatch, written, drill):
    shutil.copytree(ROOT / "include" / "models", tmp_path / "models")
    path = tmp_path / "models" / "loan" / "model.yaml"
    path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), "monitoring": {"drill": written}}))
    monkeypatch.setenv("GOVERNANCE_MODELS", str(tmp_path / "models"))

    found = {model.name: model.drill for model in governed_models()}

    assert found["loan"] == drill
    assert {"wage", "digits"} <= set(found)
