"""The tasks of ``monitor_<model>``: one step of watching, and the start of what was decided.

The operators only translate. What a step does stands in ``include/governance/monitoring/``; what is started is what the
ledger holds, whatever Airflow's own tables say: an edited XCom starts nothing.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.providers.standard.utils.skipmixin import SkipMixin
from airflow.sdk.bases.xcom import BaseXCom
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from governance_airflow import lineage
from governance_airflow.operators.step import StepOperator

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow.providers.openlineage.extractors import OperatorLineage
    from airflow.sdk import Context

    from governance.monitoring.watch import Watch
    from governance.pipeline.run import Run, Step


TIMES = ("since", "until", "as_of")
"""What a run of the monitor may be configured with."""

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
        watch = open_watch_of(context, self.model)
        return watch.run, self.take_step(watch)

    def take_step(self, watch: Watch) -> Step:
        """Run the step on a window."""
        return self.function()(watch, **self.arguments)

    def function(self) -> Callable[..., Step]:
        """Return the step's function."""
        from governance.monitoring import step

        return step(self.step)

    def opened(self, context: Context) -> Run:
        """Open what messages are entered under."""
        return open_watch_of(context, self.model).run


class DecideOperator(WatchOperator, SkipMixin):
    """Decides, and skips at once the tasks that have nothing to carry out: on most mornings all of them.

    Each would find that out for itself, and does where it is cleared and run alone; but it takes a process to ask.
    """

    def take_step(self, watch: Watch) -> Step:
        """Decide, and note what is not started."""
        from governance.monitoring.act import order_of

        done = super().take_step(watch)
        acting = [task for task in self.downstream_list if isinstance(task, ActOperator)]
        self.idle = [task for task in acting if isinstance(order_of(watch, task.action), str)]
        return done

    def execute(self, context: Context) -> dict[str, Any]:
        """Decide; skipping ends a task, so the summary is left for people before."""
        summary = super().execute(context)
        context["ti"].xcom_push(key=BaseXCom.XCOM_RETURN_KEY, value=summary)
        self.skip(context["ti"], self.idle)
        return summary


class ActOperator(TriggerDagRunOperator):
    """Starts the DAG that carries a decision out, once; skips where something else was decided.

    The run's id is made of the decision, so that a task which was killed, or is cleared, starts no second one: it finds
    what an earlier try has started, and succeeds, for that is what was decided.

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
        self.lineage = order.lineage
        if context["ti"].get_dr_count(dag_id=self.trigger_dag_id, run_ids=[order.run_id]):
            self.log.info("%s was started by this decision before: run %s.", self.trigger_dag_id, order.run_id)
            return
        self.trigger_run_id, self.conf = order.run_id, order.conf
        super().execute(context)

    def get_openlineage_facets_on_complete(self, _: Any) -> OperatorLineage[Any, Any]:
        """Say which decision was carried out; a task that had nothing to carry out read nothing."""
        return lineage.of(getattr(self, "lineage", None))

    get_openlineage_facets_on_failure = get_openlineage_facets_on_complete


def open_watch_of(context: Context, model: str) -> Watch:
    """Open the window that this Airflow run looks at: its data interval, or what its configuration names."""
    from governance.errors import InputError
    from governance.ledger.log import Ledger
    from governance.monitoring.watch import open_watch
    from governance.settings import load_settings

    settings = load_settings()
    dag_run = context["dag_run"]
    asked = {**dict(context["params"]), **(dag_run.conf or {})}
    if unknown := sorted(set(asked) - set(TIMES)):
        known = ", ".join(TIMES)
        raise InputError(f"Unknown key {unknown[0]!r} in the run's configuration. Known: {known}.")
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
