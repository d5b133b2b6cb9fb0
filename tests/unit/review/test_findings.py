"""What was approved on condition, who closes it, and when it stops the next release."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from governance.review import findings
from tests.unit.review.signed_world import FACTS, MARK, NOW, OLGA, World

WORLD = World()
WRITTEN = [
    {"text": "Explain the spike in March.", "owner": OLGA, "due": "2026-04-30"},
    {"text": "Ask for the missing labels.", "owner": OLGA, "due": "2026-03-31"},
]


class Entry:
    def __init__(self, data: dict[str, Any]) -> None:
        self.data = data


class Ledger:
    """Permits and closings of one model."""

    def __init__(self, permits: list[dict[str, Any]], closings: list[dict[str, Any]]) -> None:
        self.kinds = {"permit": permits, findings.CLOSED: closings}

    def find(self, kind: str, model: str) -> list[Entry]:
        return [Entry(data) for data in self.kinds[kind]]


def permitted(*written: dict[str, str]) -> dict[str, Any]:
    document = WORLD.evidence(facts=FACTS)
    first, second = WORLD.approved(document)
    conditional = WORLD.decision(document, first.decision["person"], "model_risk", findings=list(written))
    return WORLD.permit(document, [conditional, second])


def closing(of: str, **changed: Any) -> dict[str, Any]:
    said = {
        "format": findings.FORMAT,
        "finding": of,
        "model": "card",
        "person": MARK,
        "role": "model_risk",
        "how": "Labels arrived and were looked at.",
        **changed,
    }
    return {"closing": said, "signature": WORLD.signer.sign(said, findings.PURPOSE)}


def known(*closings: dict[str, Any]) -> list[findings.Finding]:
    return findings.of_model(Ledger([permitted(*WRITTEN)], list(closings)), "card", WORLD.keys)


def test_findings_of_a_permit_are_open_and_say_whose_they_are() -> None:
    first, second = known()

    assert (first.text, first.owner, first.role, first.version) == (WRITTEN[0]["text"], OLGA, "model_risk", "1.0.0")
    assert first.is_open
    assert second.is_open
    assert first.id != second.id


def test_a_permit_of_before_there_were_findings_has_none() -> None:
    document = WORLD.evidence()

    assert findings.of_model(Ledger([WORLD.permit(document)], []), "card", WORLD.keys) == []


def test_it_is_overdue_when_its_last_day_is_over() -> None:
    late = known()[1]
    over = datetime(2026, 4, 1, tzinfo=UTC)

    assert not late.is_overdue(over - timedelta(microseconds=1))
    assert late.is_overdue(over)


def test_overdue_ones_are_counted_of_those_that_are_open() -> None:
    at = datetime(2026, 4, 15, tzinfo=UTC)
    measured = findings.measured(known(), at)

    assert (measured.name, measured.value, measured.n) == ("provenance.overdue_findings", 1, 2)
    assert findings.measured(known(), NOW).value == 0


def test_a_closed_one_is_neither_open_nor_overdue() -> None:
    late = known()[1]
    closed = known(closing(late.id))[1]

    assert (closed.is_open, closed.closed_by, closed.how) == (False, MARK, "Labels arrived and were looked at.")
    assert not closed.is_overdue(datetime(2027, 1, 1, tzinfo=UTC))


@pytest.mark.parametrize(
    "changed",
    [{"role": "compliance"}, {"person": OLGA}, {"format": "governance-finding-closed/0"}, {"finding": "0" * 16}],
    ids=["another role", "its owner", "another format", "another finding"],
)
def test_what_is_no_closing_of_it_leaves_it_open(changed: dict[str, Any]) -> None:
    late = known()[1]

    assert known(closing(late.id, **changed))[1].is_open


def test_a_closing_that_nobody_signed_leaves_it_open() -> None:
    late = known()[1]
    forged = {**closing(late.id), "signature": World().signer.sign(closing(late.id)["closing"], findings.PURPOSE)}

    assert known(forged)[1].is_open
