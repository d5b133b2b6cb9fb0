"""Polls the ledger for a role's answer, in the triggerer, for as long as it takes.

The triggerer may be killed and started again at any time: the trigger holds nothing but names, and asks anew. A ledger
that does not answer is waited for; nothing is decided by its silence.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from functools import cache
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

if TYPE_CHECKING:
    from governance.ledger.log import Ledger


@cache
def _ledger(url: str) -> Ledger:
    """Return the ledger that all triggers of this process share: its connections, and the rows that it has checked."""
    from governance.ledger.log import Ledger

    return Ledger(url)


class ApprovalTrigger(BaseTrigger):
    """Fires when the role's approval is no longer pending.

    Args:
        model: The model's name.
        run_id: The run that waits.
        role: The role that must sign.
        poll_seconds: How long to wait before each question; the sensor has just asked the first.
    """

    def __init__(self, model: str, run_id: str, role: str, poll_seconds: float = 1.0) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Airflow has no types here
        self.model = model
        self.run_id = run_id
        self.role = role
        self.poll_seconds = poll_seconds
        self._silent = False

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class path and the arguments."""
        return (
            "governance_airflow.triggers.approval.ApprovalTrigger",
            {"model": self.model, "run_id": self.run_id, "role": self.role, "poll_seconds": self.poll_seconds},
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Ask until there is an answer."""
        answer = None
        while answer is None:
            # First, too: Airflow loses a task whose trigger fires before its deferral was entered.
            await asyncio.sleep(self.poll_seconds)
            answer = await asyncio.to_thread(self._ask)
        yield TriggerEvent(answer)  # type: ignore[no-untyped-call]  # Airflow has no types here

    def _ask(self) -> dict[str, Any] | None:
        from governance.errors import GovernanceError, UnavailableError
        from governance.review.waiting import answer_of_role, evidence_to_sign
        from governance.settings import load_settings

        try:
            settings = load_settings()
            ledger = _ledger(settings.require("ledger_url"))
            answer = answer_of_role(settings, ledger, evidence_to_sign(ledger, self.model, self.run_id), self.role)
        except UnavailableError as error:
            if not self._silent:  # once an outage, not once a second
                self.log.warning("Waits for the ledger. %s", error)
            self._silent = True
            return None
        except GovernanceError as error:
            return {"status": "error", "sentence": str(error)}
        if self._silent:
            self.log.info("The ledger answers again.")
        self._silent = False
        return None if answer.status == "pending" else {"status": answer.status, "sentence": answer.sentence}
