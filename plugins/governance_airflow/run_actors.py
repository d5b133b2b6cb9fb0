"""Who started, cleared or changed a run of Airflow: read from Airflow's own database.

Only the API server asks (workers have no access to that database): a person who touched a run does not approve its
outcome, and Airflow's ``log`` table is the only place that knows who cleared a task. Airflow writes a row there for
the calls of its REST API that change something, with the login of the caller, the run and the DAG that the call names,
and its body as ``extra``. Whoever is in doubt counts: a row leaves a person out only where it names another run.

Such a row is worth what it names. Airflow lets whoever calls choose part of that and leaves some calls out, so the API
server refuses those calls (:mod:`governance_airflow.web.call_guard`).

Not guaranteed: ``airflow db clean`` empties that table, and whoever can write Airflow's database can edit it. A call
through an API server without our plugin, or from before it had one, is as true as its caller. It adds refusals to
those that rest on the evidence; it is never what a permission rests on. Commands on Airflow's own command line are
recorded under the name of the operating system's user, and what the code of another DAG does to a run, under nobody's.
"""

import json
from collections.abc import Iterator, Sequence
from typing import Any

from airflow.models.dagrun import DagRun
from airflow.models.log import Log
from airflow.utils.session import create_session
from sqlalchemy import and_, or_, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from governance.errors import UnavailableError

GOVERNED = "govern_"
"""How the id of a DAG begins whose runs are signed for."""

CHANGES = frozenset({"POST", "PUT", "PATCH", "DELETE"})

READS = frozenset(
    {
        "get_task_instances_batch",
        "get_list_dag_runs_batch",
        "patch_task_instance_dry_run",
        "patch_task_group_instances_dry_run",
        "create_backfill_dry_run",
    }
)
"""Calls that change nothing, although their method is one that could."""

OF_THE_DAG = frozenset(
    {
        "trigger_dag_run",
        "patch_dag",
        "favorite_dag",
        "unfavorite_dag",
        "delete_dag_asset_queued_event",
        "delete_dag_asset_queued_events",
    }
)
"""Calls that reach no run that there is. Any other that names no run is counted against all runs of the DAG."""

OVER_DAGS = ("bulk_dag_runs", "bulk_task_instances")
"""Calls whose body may name runs of another DAG than their path."""

HIDDEN = "***"
"""What Airflow writes in place of a text that is also some connection's password: it could be any run's id."""


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
    ours = or_(_of_dag(Log.dag_id, dag_id), Log.dag_id == "~", Log.dag_id.contains(HIDDEN))
    near = or_(
        Log.run_id.in_((run_id, "~")),
        Log.run_id.is_(None),
        Log.run_id.contains(HIDDEN),
        Log.extra.contains("include_", autoescape=True),  # past and future runs
    )
    query = (
        select(Log.owner, Log.event, Log.run_id, Log.extra, ours.label("ours"))
        .where(or_(and_(ours, near), Log.event.in_(OVER_DAGS)))
        .where(Log.owner.is_not(None))
        .order_by(Log.id)
    )
    return ((row.owner, _done(row.event)) for row in session.execute(query) if _reaches(row, run_id))


def _of_dag(column: Any, dag_id: str | None) -> Any:
    return column == dag_id if dag_id else column.startswith(GOVERNED, autoescape=True)


def _reaches(row: Any, run_id: str) -> bool:
    extra = _parsed(row.extra)
    if extra.get("method") not in CHANGES or row.event in READS:
        return False  # a look, or the state of a task, as the scheduler records it
    said = [("run_id", row.run_id), *leaves(extra)]
    texts = [part for _, part in said if isinstance(part, str)]
    if run_id in texts:
        return True
    if row.event in OF_THE_DAG:
        return False
    if any(HIDDEN in text for text in texts):
        return True
    if not row.ours:
        return False
    if any(part and name in ("include_past", "include_future") for name, part in said):
        return True
    return not any(name in ("run_id", "dag_run_id") and part not in (None, "~") for name, part in said)


def _parsed(extra: str | None) -> dict[str, Any]:
    try:
        found = json.loads(extra or "{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def leaves(value: Any) -> Iterator[tuple[str, Any]]:
    """Return what a JSON value says at any depth, each part with the nearest name above it."""
    rest = [("", value)]
    while rest:
        name, part = rest.pop()
        if isinstance(part, dict):
            rest.extend(part.items())
        elif isinstance(part, list):
            rest.extend((name, item) for item in part)
        else:
            yield name, part


def _done(event: str) -> str:
    if event == "trigger_dag_run":
        return "started"
    verbs: Sequence[tuple[str, str]] = (
        ("clear", "cleared"),
        ("xcom", "changed an XCom of"),
        ("delete", "deleted a part of"),
    )
    return next((verb for part, verb in verbs if part in event), "patched")
