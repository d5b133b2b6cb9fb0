"""What Airflow hands to a task, and what a step finds in a run; nothing of a running Airflow."""

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

# Before a test replaces the ledger's class: what is imported later would keep the replacement.
import governance.pipeline.run
import governance.review.waiting  # noqa: F401  # as above
from governance.pipeline.run import Message, Step, open_run
from governance.settings import load_settings

RUN_ID = "manual__2026-10-29T09:08:00+00:00"
REASON = "First release of the mortgage model"
PAGE = "http://airflow.test/plugin/governance/review/loan/1.0.0"


def context(
    task: Any,
    error: Any = None,
    *,
    dag_id: str = "govern_loan",
    reason: str = REASON,
    started_by: str = "ken",
    **conf: Any,
) -> dict[str, Any]:
    """Return a task's context, with what somebody typed into the trigger form or sent with the API."""
    asked = {"reason": reason, "bump": "minor", "parameters": {}, "source": None}
    dag_run = SimpleNamespace(
        run_id=RUN_ID, conf=conf, triggering_user_name=started_by, run_after=datetime.now(UTC), run_type="manual"
    )
    instance = SimpleNamespace(dag_id=dag_id, task_id=task.task_id, run_id=RUN_ID)
    return {"params": asked, "dag_run": dag_run, "task": task, "task_instance": instance, "exception": error}


def run_of(ledger: Any) -> governance.pipeline.run.Run:
    """Return a run of the loan model, as a step gets it."""
    return open_run(load_settings(), ledger, "loan", RUN_ID, {"reason": REASON}, "ken")


def message(text: str = "loan 1.0.0 waits for Compliance.", key: str = "waiting:1") -> Message:
    """Return something to tell people."""
    return Message(key, "waiting", text, "/plugin/governance/review/loan/1.0.0")


def names(datasets: Any) -> list[str]:
    """Return what OpenLineage would call them."""
    return [dataset.name for dataset in datasets]


__all__ = ["PAGE", "REASON", "RUN_ID", "Step", "context", "message", "names", "run_of"]
