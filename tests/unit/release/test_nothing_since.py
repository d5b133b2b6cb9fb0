"""Between the signature and the release a waiver may be rejected and a finding fall due: the ledger is asked again."""

from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from governance.errors import NotPermittedError
from governance.release.verify import _expect_nothing_since
from governance.review import findings
from tests.unit.review import test_findings, test_waivers
from tests.unit.review.signed_world import MARK, NOW

WORLD = test_waivers.WORLD


class Ledger:
    """Waivers, permits and closings of one model."""

    def __init__(self, *proposed: Any, permits: tuple[dict[str, Any], ...] = ()) -> None:
        self.waivers, self.others = test_waivers.LedgerOf(*proposed), {"permit": permits, findings.CLOSED: ()}

    def find(self, kind: str, model: str) -> list[Any]:
        if kind in self.others:
            return [test_findings.Entry(data) for data in self.others[kind]]
        return self.waivers.find(kind, model)


def permitted(overdue_findings: str | None = None) -> Any:
    """A verified permit that rests on a waiver, of a tier that says this of overdue findings."""
    policy = SimpleNamespace(**{**WORLD.policy.__dict__, "overdue_findings": overdue_findings})
    for name in ("rule", "may_be_waived"):
        setattr(policy, name, getattr(WORLD.policy, name))
    return SimpleNamespace(evidence=test_waivers.DOCUMENT, policy=policy, people=WORLD.people, model="card")


def test_a_waiver_in_force_is_in_nobodys_way() -> None:
    _expect_nothing_since(Ledger(test_waivers.signed()), permitted("block"), WORLD.keys, NOW)


def test_one_that_was_rejected_meanwhile_stops_the_release() -> None:
    one = test_waivers.signed()
    no = test_waivers.answered(one.waiver, MARK, "model_risk", "reject")
    rejected = test_waivers.signed(*one.signatures, no)

    with pytest.raises(NotPermittedError, match="the waiver of accuracy is rejected"):
        _expect_nothing_since(Ledger(rejected), permitted(), WORLD.keys, NOW)


@pytest.mark.parametrize(("severity", "stops"), [("block", True), ("warn", False), (None, False)])
def test_a_finding_that_fell_due_stops_it_where_the_tier_says_so(severity: str | None, stops: bool) -> None:
    late = {"text": "Explain the spike.", "owner": "p-0001", "due": (NOW - timedelta(days=1)).date().isoformat()}
    ledger = Ledger(test_waivers.signed(), permits=(test_findings.permitted(late),))

    if stops:
        with pytest.raises(NotPermittedError, match="Expected no overdue finding of card"):
            _expect_nothing_since(ledger, permitted(severity), WORLD.keys, NOW)
    else:
        _expect_nothing_since(ledger, permitted(severity), WORLD.keys, NOW)
