"""One step of the pipeline as an Airflow task.

The operator only translates: Airflow's context into a run, our errors into Airflow's, what a step read and wrote into
OpenLineage, its messages into Slack. What a step does stands in ``include/governance/pipeline/``.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from governance_airflow import lineage, notify

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow.providers.openlineage.extractors import OperatorLineage
    from airflow.sdk import Context

    from governance.ledger.log import Ledger
    from governance.pipeline.operation import Operation
    from governance.pipeline.run import Run, Step
    from governance.settings import Settings


class ToldError(AirflowFailException):
    """A task failed, and people have been told why already."""


class StepOperator(BaseOperator):
    """Runs one step of the pipeline.

    Args:
        model: The model's name.
        step: The step's name in ``governance.pipeline.STEPS`` or ``ROLLBACK_STEPS``.
        arguments: Further arguments of the step, such as the family to measure.
    """

    ui_color = "#e8eef7"

    def __init__(self, *, model: str, step: str, arguments: dict[str, Any] | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.model = model
        self.step = step
        self.arguments = arguments or {}

    def execute(self, context: Context) -> dict[str, Any]:
        """Run the step; the summary becomes the task's XCom, for people only."""
        from governance.errors import GovernanceError, UnavailableError, no_room

        try:
            run, done = self.work(context)
            self.lineage = done.lineage
            notify.tell(run, done.messages)
        except UnavailableError:
            raise  # retried: the service may be back
        except OSError as error:
            raise no_room(error) or error from error  # retried: somebody may have made room
        except GovernanceError as error:
            self.log.error("%s", error)
            raise AirflowFailException(str(error)) from None
        if done.skipped:
            raise AirflowSkipException(done.skipped)
        if done.failed:
            self.log.error("%s", done.failed)
            raise ToldError(done.failed)
        return done.summary

    def work(self, context: Context) -> tuple[Run | Operation, Step]:
        """Run the step, and return what it is part of and what it left behind."""
        run = self.opened(context)
        return run, self.function()(run, **self.arguments)

    def function(self) -> Callable[..., Step]:
        """Return the step's function."""
        from governance.pipeline import step

        return step(self.step)

    def opened(self, context: Context) -> Run | Operation:
        """Open what the step is part of: a run that makes a new version, or a rollback."""
        from governance.pipeline import ROLLBACK_STEPS

        return (open_operation_of if self.step in ROLLBACK_STEPS else open_run_of)(context, self.model)

    def get_openlineage_facets_on_complete(self, _: Any) -> OperatorLineage[Any, Any]:
        """Say what the step read and wrote, as far as it got: Airflow asks after a skip and a failure, too."""
        from governance.code import place_of
        from governance.settings import load_settings

        place = place_of(load_settings(), Path(self.function().__code__.co_filename))
        return lineage.of(getattr(self, "lineage", None), place=place)

    get_openlineage_facets_on_failure = get_openlineage_facets_on_complete


def opened(context: Context, task: Any) -> Run | Operation:
    """Open what a task of our DAGs works on.

    Args:
        context: Airflow's context.
        task: One of our operators or sensors; a sensor is part of a run that makes a new version.
    """
    own = getattr(task, "opened", None)
    return own(context) if own is not None else open_run_of(context, task.model)


def open_run_of(context: Context, model: str) -> Run:
    """Open the governance run that this Airflow run is."""
    from governance.pipeline.run import open_run

    return open_run(*_asked(context, model), scheduled=context["dag_run"].run_type == "scheduled")


def open_operation_of(context: Context, model: str) -> Operation:
    """Open the rollback that this Airflow run is."""
    from governance.pipeline.operation import open_operation

    return open_operation(*_asked(context, model), asked_at=context["dag_run"].run_after)


def _asked(context: Context, model: str) -> tuple[Settings, Ledger, str, str, dict[str, Any], str | None]:
    from governance.ledger.log import Ledger
    from governance.settings import load_settings

    settings = load_settings()
    dag_run = context["dag_run"]
    asked = {**dict(context["params"]), **(dag_run.conf or {})}
    ledger = Ledger(settings.require("ledger_url"))
    return settings, ledger, model, dag_run.run_id, asked, dag_run.triggering_user_name
