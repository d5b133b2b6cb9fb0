"""The task of ``retain_predictions``: let go of what every policy allows to go."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowFailException

from governance_airflow import lineage

if TYPE_CHECKING:
    from airflow.providers.openlineage.extractors import OperatorLineage
    from airflow.sdk import Context


class RetainOperator(BaseOperator):
    """Lets go of old predictions and windows of all models; the task's XCom says how many of each went."""

    def execute(self, context: Context) -> dict[str, int]:  # Airflow hands it over by its name
        """Let go of them."""
        from governance.errors import GovernanceError, UnavailableError
        from governance.monitoring.keep import let_go
        from governance.settings import load_settings

        try:
            gone = let_go(load_settings())
        except UnavailableError:
            raise  # retried: the database may be back
        except GovernanceError as error:
            self.log.error("%s", error)
            raise AirflowFailException(str(error)) from None
        self.until = context["dag_run"].run_after.isoformat()
        return {**gone.__dict__}

    def get_openlineage_facets_on_complete(self, _: Any) -> OperatorLineage[Any, Any]:
        """Say that the predictions of all models were looked at, and which moment that was."""
        from governance.pipeline.datasets import retained
        from governance.records import Lineage

        until = getattr(self, "until", None)
        looked_at = retained(until) if until else []
        return lineage.of(Lineage(looked_at[:1], looked_at[1:]))
