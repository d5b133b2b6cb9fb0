"""The DAG ``monitor_<model>``: when it runs, what runs after what, and that a wrong schedule harms one model only."""

import pytest

from governance.settings import ROOT, load_settings


@pytest.fixture
def monitor_loan(dag_bag):
    return dag_bag.dags["monitor_loan"]


def test_there_is_one_for_each_model_folder(dag_bag):
    folders = {path.parent.name for path in (ROOT / "include" / "models").glob("*/model.yaml")}
    assert {f"monitor_{name}" for name in folders} == {name for name in dag_bag.dags if name.startswith("monitor_")}


def test_it_collects_measures_decides_and_then_acts_or_does_not(monitor_loan):
    upstream = {task.task_id: set(task.upstream_task_ids) for task in monitor_loan.tasks}
    assert upstream == {
        "collect": set(),
        "measure": {"collect"},
        "decide": {"measure"},
        "retrain": {"decide"},
        "roll_back": {"decide"},
        "report": {"decide"},
    }


def test_nothing_waits_for_a_report_and_it_comes_after_the_decisions_of_other_models(monitor_loan):
    report = monitor_loan.get_task("report")
    others = {task.priority_weight for task in monitor_loan.tasks if task is not report}
    assert report.downstream_task_ids == set()
    assert (report.priority_weight, others) == (0, {1})


@pytest.mark.parametrize(("task", "dag"), [("retrain", "govern_loan"), ("roll_back", "rollback_loan")])
def test_an_action_starts_its_dag_and_starts_none_twice(monitor_loan, task, dag):
    acts = monitor_loan.get_task(task)
    assert acts.trigger_dag_id == dag
    assert acts.skip_when_already_exists


def test_it_looks_every_morning_at_the_day_before(monitor_loan):
    assert monitor_loan.timetable.expression == "0 6 * * *"
    assert not monitor_loan.catchup


@pytest.mark.parametrize(
    "written", [{"schedule": "every day"}, {"timezone": "Mars/Olympus"}, {"schedule": "61 6 * * *"}]
)
def test_a_schedule_that_is_none_does_not_stop_the_other_models(tmp_path, monkeypatch, written):
    import shutil

    import yaml

    from governance_airflow.models import governed_models

    shutil.copytree(ROOT / "include" / "models", tmp_path / "models")
    path = tmp_path / "models" / "loan" / "model.yaml"
    path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), "monitoring": written}))
    monkeypatch.setenv("GOVERNANCE_MODELS", str(tmp_path / "models"))

    assert load_settings().models == tmp_path / "models"
    schedules = {model.name: model.schedule for model in governed_models()}
    assert schedules["loan"] == ("0 6 * * *", "UTC")
    assert {"wage", "digits"} <= set(schedules)
