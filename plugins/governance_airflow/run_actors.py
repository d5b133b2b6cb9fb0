"""Who started, cleared or changed a run of Airflow: read from Airflow's own database.

Only the API server asks (workers have no access to that database): a person who touched a run does not approve its
outcome, and Airflow's ``log`` table is the only place that knows who cleared a task. Airflow writes a row there for
every call of its REST API that changes something, with the login of the caller; a call without a run's id in its path
(a bulk clear) names it in its body, which the row keeps as ``extra``.

Not guaranteed: ``airflow db clean`` empties that table, and whoever can write Airflow's database can edit it. It adds
refusals to those that rest on the evidence; it is never what a permission rests on. Commands on Airflow's own command
line are recorded under the name of the operating system's user.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from airflow.models.dagrun import DagRun
from airflow.models.log import Log
from airflow.utils.session import create_session
from sqlalchemy import or_, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from governance.errors import UnavailableError

CHANGES = frozenset({"POST", "PUT", "PATCH", "DELETE"})

READS = frozenset({"get_task_instances_batch", "get_list_dag_runs_batch", "patch_task_instance_dry_run"})
"""Calls that Airflow logs and that change nothing, although their method is one that could."""

BULK_CLEARS = frozenset({"post_clear_task_instances", "clear_dag_runs", "clear_dag_run_partitions"})
"""Calls that reach runs which neither their path nor their body may name: counted against all runs of the DAG."""


class AirflowUnavailableError(UnavailableError):
    """Airflow's database does not answer."""


def read_run_actors(run_id: str, dag_id: str | None = None) -> dict[str, list[str]]:
    """Return login → what that person did to the run: ``started``, ``cleared``, ``patched`` and so on.

    Args:
        run_id: Airflow's id of the run.
        dag_id: Its DAG; without it, every ``govern_`` DAG that has a run of this id counts, which can only add people.

    Raises:
        AirflowUnavailableError: The database does not answer. Nobody may sign then: it is not known who may not.
    """
    try:
        with create_session(scoped=False) as session:
            return run_actors(session, run_id, dag_id)
    except SQLAlchemyError as error:
        raise AirflowUnavailableError(
            "Airflow's database does not answer, so it is not known who started or changed this run. "
            "Nothing was recorded. Try again; if it lasts, tell the person on call."
        ) from error


def run_actors(session: Session, run_id: str, dag_id: str | None = None) -> dict[str, list[str]]:
    """Return login → what that person did to the run, within a session of Airflow's database."""
    found: dict[str, list[str]] = {}
    for login, done in [*_starters(session, run_id, dag_id), *_changers(session, run_id, dag_id)]:
        if done not in found.setdefault(login, []):
            found[login].append(done)
    return found


def _starters(session: Session, run_id: str, dag_id: str | None) -> Iterator[tuple[str, str]]:
    query = select(DagRun.triggering_user_name).where(DagRun.run_id == run_id, _of_dag(DagRun.dag_id, dag_id))
    return ((name, "started") for name in session.scalars(query) if name)


def _changers(session: Session, run_id: str, dag_id: str | None) -> Iterator[tuple[str, str]]:
    loose = or_(Log.run_id.is_(None), Log.run_id == "~")
    query = (
        select(Log.owner, Log.event, Log.run_id, Log.extra)
        .where(or_(_of_dag(Log.dag_id, dag_id), Log.dag_id == "~"), or_(Log.run_id == run_id, loose))
        .where(Log.owner.is_not(None))
        .order_by(Log.id)
    )
    return (
        (row.owner, _done(row.event))
        for row in session.execute(query)
        if _changes(row, run_id) and row.event not in READS
    )


def _of_dag(column: Any, dag_id: str | None) -> Any:
    return column == dag_id if dag_id else column.like("govern\\_%", escape="\\")


def _changes(row: Any, run_id: str) -> bool:
    extra = _parsed(row.extra)
    if extra.get("method") not in CHANGES:
        return False  # the state of a task, as the scheduler records it
    if row.run_id == run_id:
        return True
    named = _runs_named(extra)
    return run_id in named or (not named and row.event in BULK_CLEARS)


def _parsed(extra: str | None) -> dict[str, Any]:
    try:
        found = json.loads(extra or "{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _runs_named(value: Any) -> set[str]:
    """Return every run that a call's body names, at any depth."""
    if isinstance(value, dict):
        here = _texts(value.get(key) for key in ("dag_run_id", "run_id", "dag_run_ids", "run_ids"))
        return here | {name for part in value.values() for name in _runs_named(part)}
    if isinstance(value, list):
        return {name for part in value for name in _runs_named(part)}
    return set()


def _texts(values: Iterable[Any]) -> set[str]:
    found: set[str] = set()
    for value in values:
        found.update(item for item in (value if isinstance(value, list) else [value]) if isinstance(item, str))
    return found


def _done(event: str) -> str:
    if event == "trigger_dag_run":
        return "started"
    verbs: Sequence[tuple[str, str]] = (
        ("clear", "cleared"),
        ("xcom", "changed an XCom of"),
        ("delete", "deleted a part of"),
    )
    return next((verb for part, verb in verbs if part in event), "patched")
