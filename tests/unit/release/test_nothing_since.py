"""Between the signature and the release a waiver may be rejected and a finding fall due: the ledger is asked again."""

from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from governance.errors import NotPermittedError
from governance.release.verify import _expect_nothing_since
from governance.review import findings, standing_approval
from governance.review.standing_approval import StandingApproval, Use
from tests.unit.review import test_findings, test_standing_approval, test_waivers
from tests.unit.review.signed_world import MARK, NOW

WORLD = test_waivers.WORLD


class Ledger:
    """Waivers, permits and closings of one model."""

    def __init__(self, *proposed: Any, permits: tuple[dict[str, Any], ...] = (), **others: Any) -> None:
        self.waivers = test_waivers.LedgerOf(*proposed)
        self.others = {"permit": permits, findings.CLOSED: (), **others}

    def find(self, kind: str, model: str) -> list[Any]:
        if kind in self.others:
            return [test_findings.Entry(data) for data in self.others[kind]]
        return self.waivers.find(kind, model)


def permitted(overdue_findings: str | None = None, standing: Any = None) -> Any:
    """A verified permit that rests on a waiver, of a tier that says this of overdue findings."""
    policy = SimpleNamespace(**{**WORLD.policy.__dict__, "overdue_findings": overdue_findings})
    for name in ("rule", "may_be_waived"):
        setattr(policy, name, getattr(WORLD.policy, name))
    facts = {"evidence": test_waivers.DOCUMENT, "policy": policy, "people": WORLD.people, "model": "card"}
    return SimpleNamespace(**facts, version="1.1.0", standing=standing)


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


@pytest.mark.parametrize(
    ("known", "no", "said"), [(True, False, ""), (True, True, "found it rejected"), (False, False, "found it missing")]
)
def test_a_standing_approval_is_there_and_nobody_has_said_no_since(known: bool, no: bool, said: str) -> None:
    one = StandingApproval.from_dict(test_standing_approval.use())
    reject = test_standing_approval.signature(one.approval, MARK, "model_risk", answer="reject")
    answers = [each.to_dict() for each in (*one.signatures, *([reject] if no else []))]
    kinds = {
        standing_approval.PROPOSED: [{"approval": one.approval}] if known else [],
        standing_approval.SIGNED: answers,
    }
    ledger, resting = Ledger(test_waivers.signed(), **kinds), permitted("warn", Use(one, 1))

    if said:
        with pytest.raises(NotPermittedError, match=f"{said}.*Have card 1.1.0 signed"):
            _expect_nothing_since(ledger, resting, WORLD.keys, NOW)
    else:
        _expect_nothing_since(ledger, resting, WORLD.keys, NOW)
