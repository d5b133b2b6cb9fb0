"""The DAG ``rollback_<model>``: what runs after what, one at a time, and what people are asked."""

import ast

import pytest

from governance.pipeline import ROLLBACK_STEPS
from governance.settings import ROOT

DAG_FILE = ROOT / "dags" / "rollback_model.py"


@pytest.fixture
def rollback_loan(dag_bag):
    return dag_bag.dags["rollback_loan"]


def test_there_is_one_for_each_model_folder(dag_bag):
    folders = {path.parent.name for path in (ROOT / "include" / "models").glob("*/model.yaml")}
    assert {f"rollback_{name}" for name in folders} == {name for name in dag_bag.dags if name.startswith("rollback_")}


def test_it_chooses_restores_and_opens_an_incident(rollback_loan):
    order = ["choose", "restore", "open_incident"]
    assert [task.task_id for task in rollback_loan.topological_sort()] == order
    assert [rollback_loan.get_task(name).step for name in order] == list(ROLLBACK_STEPS)


def test_one_at_a_time(rollback_loan):
    assert rollback_loan.max_active_runs == 1
    assert rollback_loan.schedule is None or rollback_loan.timetable.can_be_scheduled is False


def test_other_dags_hear_of_what_serves_when_it_is_restored(rollback_loan):
    assert [asset.uri for asset in rollback_loan.get_task("restore").outlets] == ["model://governance/loan"]


def test_a_reason_is_asked_for(rollback_loan):
    assert list(rollback_loan.params) == ["reason", "to", "decision"]
    with pytest.raises(Exception, match="too short"):
        rollback_loan.params.get_param("reason").resolve("no")


def test_every_task_has_something_for_the_person_on_call(rollback_loan):
    assert all("**Red**" in task.doc_md for task in rollback_loan.tasks)


def test_it_is_a_table_of_contents():
    tree = ast.parse(DAG_FILE.read_text())
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.ClassDef)]
