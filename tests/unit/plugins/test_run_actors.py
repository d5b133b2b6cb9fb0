"""Who touched a run, as Airflow's own database tells it."""

import json

import pytest
from sqlalchemy import create_engine
from sqlalchemy.orm import Session

RUN = "manual__2026-10-29T09:08:00+00:00"


@pytest.fixture
def session():
    """Airflow's two tables that are asked, in memory."""
    from airflow.models.dagrun import DagRun
    from airflow.models.log import Log

    engine = create_engine("sqlite://")
    for table in (Log.__table__, DagRun.__table__):
        table.create(engine)
    with Session(engine) as opened:
        yield opened


@pytest.fixture
def logged(session):
    """Enter a call of Airflow's API into its log, and return who touched the run."""
    from airflow.models.log import Log

    from governance_airflow.run_actors import run_actors

    def enter(event: str, *, owner="tom", method="POST", dag="govern_loan", run: str | None = RUN, **body) -> dict:
        extra = json.dumps({**body, "method": method})
        session.add(Log(event=event, owner=owner, extra=extra, dag_id=dag, run_id=run))
        session.flush()
        return run_actors(session, RUN, "govern_loan")

    return enter


@pytest.mark.parametrize(
    ("event", "method", "done"),
    [
        ("trigger_dag_run", "POST", "started"),
        ("post_clear_task_instances", "POST", "cleared"),
        ("clear_dag_run", "POST", "cleared"),
        ("patch_task_instance", "PATCH", "patched"),
        ("patch_dag_run", "PATCH", "patched"),
        ("bulk_task_instances", "PATCH", "patched"),
        ("update_xcom_entry", "PATCH", "changed an XCom of"),
        ("delete_task_instance", "DELETE", "deleted a part of"),
        ("something_new_in_a_later_airflow", "PUT", "patched"),
    ],
)
def test_every_call_that_changes_the_run_counts(logged, event, method, done):
    assert logged(event, method=method) == {"tom": [done]}


@pytest.mark.parametrize(
    ("event", "call"),
    [
        ("running", {"owner": "priya", "method": None}),
        ("get_task_instances_batch", {"method": "POST"}),
        ("clear_dag_run", {"dag": "govern_other"}),
        ("clear_dag_run", {"run": "manual__other"}),
        ("patch_dag", {"run": None, "method": "PATCH", "is_paused": False}),
        ("clear_dag_runs", {"run": None, "dag_runs": [{"dag_run_id": "manual__other"}]}),
    ],
    ids=["the scheduler", "a look", "another DAG", "another run", "unpausing", "a bulk clear of another run"],
)
def test_what_does_not_change_the_run_does_not_count(logged, event, call):
    assert logged(event, **call) == {}


@pytest.mark.parametrize(
    "call",
    [
        {"run": None},
        {"run": "~", "dag_runs": [{"dag_run_id": RUN}]},
        {"dag": "~", "run": "~", "actions": [{"action": "update", "entities": [{"dag_run_id": RUN}]}]},
    ],
    ids=["of every run", "naming it in the body", "over all DAGs"],
)
def test_a_bulk_call_counts_where_it_may_have_reached_the_run(logged, call):
    assert logged("clear_dag_runs", **call) == {"tom": ["cleared"]}


@pytest.mark.parametrize("run", [None, "~", "manual__***"])
def test_a_call_that_may_have_reached_the_run_counts_whatever_it_is(logged, run):
    assert logged("something_new_in_a_later_airflow", run=run) == {"tom": ["patched"]}


def test_a_call_within_another_dag_counts_where_its_body_names_the_run(logged):
    named = {"actions": [{"entities": [{"dag_id": "govern_loan", "dag_run_id": RUN}]}]}

    assert logged("bulk_task_instances", dag="other", run="manual__other", **named) == {"tom": ["patched"]}


def test_a_call_over_past_or_later_runs_counts_for_all_of_them(logged):
    assert logged("patch_task_instance", run="manual__other", include_past=False, include_future=False) == {}
    assert logged("patch_task_instance", run="manual__other", include_future=True) == {"tom": ["patched"]}


def test_who_started_the_run_comes_from_the_run_itself(session):
    from datetime import UTC, datetime

    from airflow.models.dagrun import DagRun

    from governance_airflow.run_actors import run_actors

    now = datetime.now(UTC)
    session.execute(
        DagRun.__table__.insert().values(
            dag_id="govern_loan",
            run_id=RUN,
            run_type="manual",
            triggering_user_name="ken",
            run_after=now,
            queued_at=now,
            conf={},
            clear_number=0,
            state="running",
            log_template_id=1,
        )
    )

    assert run_actors(session, RUN, "govern_loan") == {"ken": ["started"]}
    assert run_actors(session, RUN) == {"ken": ["started"]}
    assert run_actors(session, RUN, "govern_other") == {}


def test_an_unreachable_database_is_an_answer_of_its_own(monkeypatch):
    from sqlalchemy.exc import OperationalError

    from governance_airflow import run_actors as module

    def broken(**_):
        raise OperationalError("select 1", {}, Exception("connection refused"))

    monkeypatch.setattr(module, "create_session", broken)

    with pytest.raises(module.AirflowUnavailableError, match="it is not known who started or changed this run"):
        module.read_run_actors(RUN)
