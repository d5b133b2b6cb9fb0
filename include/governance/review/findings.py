"""Findings: what was approved on condition that somebody mends it by a date.

A finding is part of a signed decision, so nobody can add or take away one later. It counts once its decision is part of
a permit. It is closed by somebody of the role that raised it, not by its owner or a developer, in an entry signed by
the review key. An open finding past its due date blocks the model's next release: as a number, like uncommitted
changes, that a rule of the tier judges.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from governance import canonical
from governance.errors import TamperedError
from governance.keys import PublicKeys
from governance.ledger.log import Ledger
from governance.records import Measurement
from governance.review import approvals

FORMAT = "governance-finding-closed/1"
PURPOSE = "finding"
CLOSED = "finding_closed"
"""Kind of entry in the ledger."""

OVERDUE = "provenance.overdue_findings"

Json = dict[str, Any]


@dataclass(frozen=True)
class Finding:
    """One thing to be mended.

    Attributes:
        id: Its name: 16 hexadecimal digits, from the decision that raised it.
        text: What is to be mended.
        owner: Pseudonymous id of who mends it.
        due: The last day to do so, UTC.
        version: The version that was approved with it.
        role: Whose finding it is.
        raised_by: Pseudonymous id of who raised it.
        closed_by: Pseudonymous id of who closed it; ``None`` while it is open.
        how: What was done.
    """

    id: str
    text: str
    owner: str
    due: date
    version: str
    role: str
    raised_by: str
    closed_by: str | None = None
    how: str | None = None

    @property
    def is_open(self) -> bool:
        """Whether nobody has closed it."""
        return self.closed_by is None

    def is_overdue(self, at: datetime) -> bool:
        """Say whether it is open and its last day is over."""
        return self.is_open and at >= datetime.combine(self.due + timedelta(days=1), time(), UTC)

    def to_dict(self) -> Json:
        """Return the JSON form."""
        return {**self.__dict__, "due": self.due.isoformat()}


def of_decision(decision: Mapping[str, Any]) -> list[Finding]:
    """Return the findings of a decision; those of before there were any have none."""
    return [
        Finding(
            id=canonical.digest([decision["evidence"], decision["person"], number])[:16],
            text=written["text"],
            owner=written["owner"],
            due=date.fromisoformat(written["due"]),
            version=decision["version"],
            role=decision["role"],
            raised_by=decision["person"],
        )
        for number, written in enumerate(decision.get("findings") or ())
    ]


def of_model(ledger: Ledger, model: str, keys: PublicKeys) -> list[Finding]:
    """Return every finding with which a version of a model was permitted, oldest first, closed or not."""
    said = [_closing(entry.data, keys) for entry in ledger.find(CLOSED, model)]
    closings = {closing["finding"]: closing for closing in said if closing}
    found: dict[str, Finding] = {}
    for entry in ledger.find("permit", model):
        for one in entry.data["permit"]["decisions"]:
            found.update((finding.id, finding) for finding in of_decision(one["decision"]))
    return [_closed(finding, closings.get(finding.id)) for finding in found.values()]


def overdue(findings: Iterable[Finding], at: datetime) -> list[Finding]:
    """Return those that are past their due date."""
    return [finding for finding in findings if finding.is_overdue(at)]


def measured(findings: Sequence[Finding], at: datetime) -> Measurement:
    """Findings of earlier approvals that are still open after their due date.

    Formula: the number of such findings; n is how many are open.
    Source: counted; Supervisory Guidance on Model Risk Management, SR 11-7 (2011), section V, on tracking them.
    Ideal: 0.
    Limits: knows what was written down when people approved.
    """
    count = len(overdue(findings, at))
    return Measurement(OVERDUE, count, sum(finding.is_open for finding in findings), method="counted")


def _closing(data: Mapping[str, Any], keys: PublicKeys) -> Json | None:
    """Return a closing that the review key signed, and no other."""
    closing: Json = dict(data["closing"])
    try:
        keys.verify(closing, str(data["signature"]), PURPOSE, approvals.KEY)
    except TamperedError:
        return None
    return closing if closing.get("format") == FORMAT else None


def _closed(finding: Finding, closing: Json | None) -> Finding:
    if closing is None or closing["role"] != finding.role or closing["person"] == finding.owner:
        return finding
    return replace(finding, closed_by=closing["person"], how=closing["how"])
