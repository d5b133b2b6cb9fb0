"""What the tasks of ``monitor_<model>`` do when something is in the way; what is decided is tested elsewhere."""

import socket
from types import SimpleNamespace

import pytest
from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from governance.errors import InputError, UnavailableError
from governance.monitoring.watch import DECIDED
from governance.pipeline.run import Step
from governance_airflow.operators.watch import ActOperator, WatchOperator, open_watch_of
from tests.unit.plugins.airflow_task import context, message


@pytest.fixture
def at(ledger, runs):
    """Return a function: task → its context, of a run that looks at the second of March."""

    def of(task):
        found = context(task, dag_id="monitor_loan", since="2026-03-02T06:00:00Z", until="2026-03-03T06:00:00Z")
        dag_run = SimpleNamespace(**vars(found["dag_run"]), data_interval_start=None, data_interval_end=None)
        instance = SimpleNamespace(
            **vars(found["task_instance"]), get_dr_count=lambda dag_id, run_ids: runs.count((dag_id, *run_ids))
        )
        params = dict.fromkeys(("since", "until", "as_of"))
        return {**found, "params": params, "dag_run": dag_run, "ti": instance}

    return of


@pytest.fixture
def runs():
    """The runs that Airflow knows, as DAG and id."""
    return []


def test_a_configuration_that_is_not_known_is_refused(at):
    found = at(WatchOperator(task_id="collect", step="collect", model="loan"))
    found["dag_run"].conf["dry_run"] = True

    with pytest.raises(
        InputError, match=r"Unknown key 'dry_run' in the run's configuration\. Known: since, until, as_of"
    ):
        open_watch_of(found, "loan")


@pytest.fixture
def started(monkeypatch):
    """What Airflow is asked to start."""
    asked = []

    def execute(self, _):
        assert self.skip_when_already_exists
        asked.append((self.trigger_dag_id, self.trigger_run_id, self.conf["decision"]))

    monkeypatch.setattr(TriggerDagRunOperator, "execute", execute)
    return asked


def act():
    return ActOperator(model="loan", action="retrain", trigger_dag_id="govern_loan")


def decide(at, action, *, dry_run=False):
    watch = open_watch_of(at(act()), "loan")
    decision = {"action": action, "because": ["It has drifted."], "rule": "drifted_share", "target": None}
    return watch.record(DECIDED, {"decision": decision, "dry_run": dry_run, "champion": None})


def test_slack_is_down_when_it_is_decided_and_the_task_succeeds(ledger, connect, at, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as server:
        nobody_listens = f"http://127.0.0.1:{server.getsockname()[1]}"
    connect(nobody_listens)
    monkeypatch.setattr("governance.monitoring.step", lambda _: lambda _: Step({"n": 1}, messages=[message()]))
    task = WatchOperator(task_id="decide", model="loan", step="decide")
    assert task.execute(at(task)) == {"n": 1}
    assert [entry.kind for entry in ledger.entries] == ["message"]


def test_killed_between_decision_and_action_it_is_started_under_the_same_name(ledger, at, started):
    entry = decide(at, "retrain")
    for _ in range(2):
        act().execute(at(act()))
    assert started == [("govern_loan", f"retrain-{entry.leaf[:24]}", entry.key)] * 2


def test_cleared_after_it_was_started_it_succeeds_and_starts_no_second_one(ledger, at, started, runs):
    entry = decide(at, "retrain")
    runs.append(("govern_loan", f"retrain-{entry.leaf[:24]}"))

    act().execute(at(act()))

    assert started == []


def test_a_run_of_another_decision_is_not_taken_for_its_own(ledger, at, started, runs):
    decide(at, "retrain")
    runs += [("govern_loan", "manual__1"), ("rollback_loan", "retrain-1")]

    act().execute(at(act()))

    assert len(started) == 1


def test_the_ledger_is_away_and_the_action_is_tried_again(ledger, at, started):
    decide(at, "retrain")
    ledger.away = True
    with pytest.raises(UnavailableError):
        act().execute(at(act()))
    ledger.away = False
    act().execute(at(act()))
    assert len(started) == 1


def test_nothing_was_decided_and_nothing_is_started(ledger, at, started):
    with pytest.raises(AirflowFailException, match="clear the task before"):
        act().execute(at(act()))
    assert started == []


@pytest.mark.parametrize(("action", "dry_run"), [("nothing", False), ("data_fault", False), ("retrain", True)])
def test_another_decision_or_a_dry_run_starts_nothing(ledger, at, started, action, dry_run):
    decide(at, action, dry_run=dry_run)
    with pytest.raises(AirflowSkipException):
        act().execute(at(act()))
    assert started == []
