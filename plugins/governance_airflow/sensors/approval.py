"""Waits until the ledger holds a role's decisions, holding no worker slot.

The sensor is a convenience for whoever watches the run: whoever may edit tasks can mark it successful, and then the
release task runs, verifies the permit, finds none, and releases nothing.

A ledger that does not answer ends nothing, for people may have days left to sign: the task waits on, in the triggerer,
until the ledger is back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

from airflow.sdk import BaseSensorOperator
from airflow.sdk.exceptions import AirflowFailException

from governance_airflow import lineage, notify
from governance_airflow.operators.step import ToldError, open_run_of
from governance_airflow.triggers.approval import ApprovalTrigger

if TYPE_CHECKING:
    from airflow.providers.openlineage.extractors import OperatorLineage
    from airflow.sdk import Context

SECONDS = 1.0
"""Between two questions of the trigger to the ledger."""

SECONDS_AFTER_A_FALSE_ALARM = 10.0
"""The same, once the trigger fired and the ledger says otherwise here: each time costs a process."""


class NotSignedError(ToldError):
    """Nobody will sign any more. Its text names people, so lineage does not tell it."""


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
        return self._answer_or_wait(context, SECONDS)

    def resume(self, context: Context, event: Any) -> dict[str, Any]:
        """Ask the ledger again: what the trigger says is not believed."""
        self.log.info("The trigger says: %s. Now the ledger is asked.", event)
        return self._answer_or_wait(context, SECONDS_AFTER_A_FALSE_ALARM)

    def _answer_or_wait(self, context: Context, poll_seconds: float) -> dict[str, Any]:
        from governance.errors import GovernanceError, UnavailableError

        try:
            signed = self._ask(context)
        except UnavailableError as error:
            self.log.warning("Waits for the ledger. %s", error)
            signed = None
        except GovernanceError as error:
            self.log.error("%s", error)
            raise AirflowFailException(str(error)) from None
        return signed or self._wait(context, poll_seconds)

    def _ask(self, context: Context) -> dict[str, Any] | None:
        """Return who signed, or nothing while people may still sign."""
        from governance.review.waiting import answer_of_role, evidence_to_sign

        run = open_run_of(context, self.model)
        entry = evidence_to_sign(run.ledger, self.model, run.run_id)
        answer = answer_of_role(run.settings, run.ledger, entry, self.role)
        self.evidence, self.decisions = entry.data["digest"], answer.decisions
        self.permitted = run.ledger.get(f"permit:{self.evidence}") is not None
        # What people wrote can be erased, so it is read on the page and kept in no log.
        sentence = f"{answer.sentence} {notify.review_page(run, entry)}"
        self.log.info("%s", sentence)
        if answer.status == "pending":
            return None
        if answer.status != "approved":
            run.record(
                _ENDS.get(answer.status, "rejected"),
                {"evidence": self.evidence, "reason": answer.sentence},
                key=f"{answer.status}:{self.evidence}",
            )
            notify.tell(run, [notify.ended(run, entry, answer)])
            raise NotSignedError(sentence)
        return {"evidence": self.evidence, "role": self.role, "signed": answer.sentence}

    def _wait(self, context: Context, poll_seconds: float) -> NoReturn:
        run_id = context["dag_run"].run_id
        trigger = ApprovalTrigger(model=self.model, run_id=run_id, role=self.role, poll_seconds=poll_seconds)
        self.defer(trigger=trigger, method_name="resume")

    def get_openlineage_facets_on_complete(self, _: Any) -> OperatorLineage[Any, Any]:
        """Say which evidence was waited for, and that it was signed."""
        return self._lineage()

    def get_openlineage_facets_on_failure(self, _: Any) -> OperatorLineage[Any, Any]:
        """Say which evidence was waited for, as far as it was found, and who rejected it, if somebody did."""
        return self._lineage()

    def _lineage(self) -> OperatorLineage[Any, Any]:
        decisions = getattr(self, "decisions", ())
        permitted = getattr(self, "permitted", False)
        return lineage.of_approval(
            self.model, getattr(self, "evidence", None), self.role, decisions, permitted=permitted
        )


_ENDS = {"expired": "expired", "denied": "rejected", "void": "rejected"}
