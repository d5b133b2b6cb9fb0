"""The tasks of ``monitor_<model>``: one step of watching, and the start of what was decided.

The operators only translate. What a step does stands in ``include/governance/monitoring/``; what is started is what the
ledger holds, whatever Airflow's own tables say: an edited XCom starts nothing.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from governance_airflow.operators.step import StepOperator

if TYPE_CHECKING:
    from airflow.sdk import Context

    from governance.monitoring.watch import Watch
    from governance.pipeline.run import Run


ARRIVAL = timedelta(seconds=30)
"""How long after the end of a window its last predictions may take to arrive in the log."""


class WatchOperator(StepOperator):
    """Runs one step of watching.

    Args:
        model: The model's name.
        step: The step's name in ``governance.monitoring.STEPS``.
    """

    def work(self, context: Context) -> Any:
        """Run the step on this run's window."""
        from governance.monitoring import step

        watch = open_watch_of(context, self.model)
        return watch.run, step(self.step)(watch, **self.arguments)

    def opened(self, context: Context) -> Run:
        """Open what messages are entered under."""
        return open_watch_of(context, self.model).run


class ActOperator(TriggerDagRunOperator):
    """Starts the DAG that carries a decision out, once; skips where something else was decided.

    The run's id is made of the decision, so that a task which was killed, or is cleared, starts no second one.

    Args:
        model: The model's name.
        action: Which decision it carries out; the task is called so.
    """

    def __init__(self, *, model: str, action: str, **kwargs: Any) -> None:
        super().__init__(
            task_id=action,
            logical_date=None,
            skip_when_already_exists=True,
            fail_when_dag_is_paused=True,
            openlineage_inject_parent_info=False,
            **kwargs,
        )
        self.model = model
        self.action = action

    def opened(self, context: Context) -> Run:
        """Open what messages are entered under."""
        return open_watch_of(context, self.model).run

    def execute(self, context: Context) -> None:
        """Start it, with the reason and the decision's key."""
        from governance.errors import GovernanceError, UnavailableError
        from governance.monitoring.act import order_of

        try:
            order = order_of(open_watch_of(context, self.model), self.action)
        except UnavailableError:
            raise
        except GovernanceError as error:
            raise AirflowFailException(str(error)) from None
        if isinstance(order, str):
            raise AirflowSkipException(order)
        self.trigger_run_id, self.conf = order.run_id, order.conf
        super().execute(context)


def open_watch_of(context: Context, model: str) -> Watch:
    """Open the window that this Airflow run looks at: its data interval, or what its configuration names."""
    from governance.ledger.log import Ledger
    from governance.monitoring.watch import open_watch
    from governance.settings import load_settings

    settings = load_settings()
    dag_run = context["dag_run"]
    asked = {**dict(context["params"]), **(dag_run.conf or {})}
    ledger = Ledger(settings.require("ledger_url"))
    return open_watch(settings, ledger, model, dag_run.run_id, _window(asked, dag_run))


def _window(asked: dict[str, Any], dag_run: Any) -> tuple[datetime, datetime, datetime]:
    """Return since, until and as of. By hand and without any, it is the day before this moment's hour."""
    until = _moment(asked.get("until")) or dag_run.data_interval_end
    since = _moment(asked.get("since")) or dag_run.data_interval_start
    if until is None or (asked.get("until") is None and since == until):
        until = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    if since is None or since == until:
        since = until - timedelta(days=1)
    return since, until, _moment(asked.get("as_of")) or until + ARRIVAL


def _moment(text: Any) -> datetime | None:
    if not text:
        return None
    found = datetime.fromisoformat(str(text))
    return found if found.tzinfo else found.replace(tzinfo=UTC)
