"""Waits until the ledger holds a role's decisions, holding no worker slot.

The sensor is a convenience for whoever watches the run: whoever may edit tasks can mark it successful, and then the
release task runs, verifies the permit, finds none, and releases nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseSensorOperator
from airflow.sdk.exceptions import AirflowFailException

from governance_airflow import lineage, notify
from governance_airflow.operators.step import ToldError, open_run_of
from governance_airflow.triggers.approval import ApprovalTrigger

if TYPE_CHECKING:
    from airflow.providers.openlineage.extractors import OperatorLineage
    from airflow.sdk import Context


class ApprovalSensor(BaseSensorOperator):
    """Waits for the decisions of one role over this run's evidence.

    Args:
        model: The model's name.
        role: The role that must sign.
    """

    ui_color = "#f3ecd8"

    def __init__(self, *, model: str, role: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.model = model
        self.role = role

    def execute(self, context: Context) -> dict[str, Any]:
        """Return if the ledger decides already; else wait in the triggerer."""
        from governance.errors import GovernanceError, UnavailableError

        try:
            return self._ask(context)
        except UnavailableError:
            raise
        except GovernanceError as error:
            self.log.error("%s", error)
            raise AirflowFailException(str(error)) from None

    def resume(self, context: Context, event: dict[str, Any]) -> dict[str, Any]:
        """Ask the ledger again: what the trigger says is not believed."""
        self.log.info("The trigger says: %s", event.get("status"))
        return self.execute(context)

    def _ask(self, context: Context) -> dict[str, Any]:
        from governance.review.waiting import answer_of_role, evidence_to_sign

        run = open_run_of(context, self.model)
        entry = evidence_to_sign(run.ledger, self.model, run.run_id)
        answer = answer_of_role(run.settings, run.ledger, entry, self.role)
        self.log.info("%s", answer.sentence)
        self.evidence = entry.data["digest"]
        if answer.status == "pending":
            self.defer(
                trigger=ApprovalTrigger(model=self.model, run_id=run.run_id, role=self.role), method_name="resume"
            )
        if answer.status != "approved":
            run.record(
                _ENDS.get(answer.status, "rejected"),
                {"evidence": self.evidence, "reason": answer.sentence},
                key=f"{answer.status}:{self.evidence}",
            )
            notify.tell(run, [notify.ended(run, entry, answer)])
            raise ToldError(answer.sentence)
        return {"evidence": self.evidence, "role": self.role, "signed": answer.sentence}

    def get_openlineage_facets_on_complete(self, _: Any) -> OperatorLineage:
        """Say which evidence was waited for."""
        return lineage.of_approval(self.model, getattr(self, "evidence", None), self.role)


_ENDS = {"expired": "expired", "denied": "rejected", "void": "rejected"}
