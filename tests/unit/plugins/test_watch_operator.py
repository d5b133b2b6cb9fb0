"""The tasks of ``monitor_<model>``: what is not carried out is skipped where it is decided, and asks for no process."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from airflow.sdk import DAG
from airflow.sdk.exceptions import DownstreamTasksSkipped

from governance.monitoring.watch import DECIDED, WATCHED, WINDOW, open_watch
from governance_airflow.operators.watch import ActOperator, DecideOperator, WatchOperator
from tests.unit.plugins.stand_in import LedgerInMemory
from tests.unit.release.permitted_world import MODEL, World

MORNING = datetime(2026, 3, 2, 6, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.fixture
def watch(tmp_path, monkeypatch):
    world = World.make(tmp_path / "checkout")
    found = open_watch(world.settings, LedgerInMemory(), MODEL, "scheduled-1", (MORNING - DAY, MORNING, MORNING))
    monkeypatch.setattr("governance_airflow.operators.watch.open_watch_of", lambda *_: found)
    monkeypatch.setattr("governance_airflow.notify._send", lambda *_: None)
    return found


@pytest.fixture
def decide():
    with DAG(dag_id="monitor_tiny", schedule=None):
        task = DecideOperator(task_id="decide", step="decide", model=MODEL)
        report = WatchOperator(task_id="report", step="report", model=MODEL)
        task >> [
            *(ActOperator(action=one, trigger_dag_id=one, model=MODEL) for one in ("retrain", "roll_back")),
            report,
        ]
    return task


def decided(watch, action, *, dry_run=False, target=None):
    decision = {"action": action, "because": ["It has drifted."], "rule": "severe_share", "target": target}
    watch.record(WINDOW, {})
    watch.record(WATCHED, {})
    watch.record(DECIDED, {"decision": {**decision, "tell": False}, "dry_run": dry_run, "champion": None})


def carried_out(task):
    """Run the task; return what it left for people, and which tasks it skipped."""
    left = {}
    instance = SimpleNamespace(map_index=-1, xcom_push=lambda key, value: left.update({key: value}))
    with pytest.raises(DownstreamTasksSkipped) as skipped:
        task.execute({"ti": instance})
    return left["return_value"], sorted(skipped.value.tasks)


@pytest.mark.parametrize(
    ("action", "dry_run", "idle"),
    [
        ("nothing", False, ["retrain", "roll_back"]),
        ("call", False, ["retrain", "roll_back"]),
        ("data_fault", False, ["retrain", "roll_back"]),
        ("retrain", False, ["roll_back"]),
        ("roll_back", False, ["retrain"]),
        ("retrain", True, ["retrain", "roll_back"]),
    ],
    ids=["nothing", "call", "data fault", "retrain", "roll back", "dry run"],
)
def test_what_was_not_decided_is_skipped_at_once(watch, decide, action, dry_run, idle):
    decided(watch, action, dry_run=dry_run, target={"version": "1.0.0"})
    summary, skipped = carried_out(decide)
    assert skipped == idle
    assert summary == {"decision": action, "because": ["It has drifted."]}
