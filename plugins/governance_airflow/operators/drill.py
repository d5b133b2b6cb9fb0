"""The task of ``drill_<model>``: the way back, walked on a shadow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from governance_airflow.operators.step import StepOperator

if TYPE_CHECKING:
    from airflow.sdk import Context

    from governance.pipeline.run import Run


class DrillOperator(StepOperator):
    """Drills once in a run; a task that is cleared says what was recorded.

    Args:
        model: The model's name.
    """

    def __init__(self, *, model: str, **kwargs: Any) -> None:
        super().__init__(model=model, step="drill", **kwargs)

    def opened(self, context: Context) -> Run:
        """Open what messages are entered under."""
        from governance.ledger.log import Ledger
        from governance.pipeline.drill import open_drill
        from governance.settings import load_settings

        settings, dag_run = load_settings(), context["dag_run"]
        ledger = Ledger(settings.require("ledger_url"))
        return open_drill(settings, ledger, self.model, dag_run.run_id, dag_run.triggering_user_name)
