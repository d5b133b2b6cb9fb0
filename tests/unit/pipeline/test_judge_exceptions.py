"""What people signed before makes another judgement: the evidence of a cleared task is found again, or written anew."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from governance.pipeline.judge import _exceptions, _signed_before
from governance.pipeline.run import Run
from governance.review import findings, waivers
from governance.review.approvals import SignedDecision
from governance.review.waivers import SignedWaiver
from tests.unit.release.permitted_world import MARIA, MODEL, TOM, World

TODAY = datetime.now(UTC)


@pytest.fixture
def run(world: World, run_of: Callable[..., Run]) -> Run:
    """A run on a tier that allows waivers and knows findings."""
    tier = world.settings.policies / "high.yaml"
    tier.write_text(f"{tier.read_text()}waivers: {{longest_days: 90}}\noverdue_findings: block\n")
    return run_of()


@pytest.fixture
def propose(world: World, run: Run) -> Callable[..., SignedWaiver]:
    """Enter a waiver that ends after some days, signed by both roles."""

    def enter(days: int = 30, signers: tuple[tuple[str, str], ...] = ((MARIA, "model_risk"), (TOM, "compliance"))):
        rule = run.policy.rule("accuracy")
        waiver = {
            "format": waivers.FORMAT,
            "model": MODEL,
            "rule": "accuracy",
            "slice": None,
            "demands": rule.demands,
            "reason": "Made up for a test of what is judged again.",
            "until": (TODAY + timedelta(days=days)).date().isoformat(),
            "proposed_by": "p-0ccc",
            "proposed_at": (TODAY - timedelta(days=5)).isoformat(),
        }
        digest = SignedWaiver(waiver).digest
        run.ledger.append(waivers.PROPOSED, MODEL, {"waiver": waiver}, actor="p-0ccc", key=f"waiver:{digest}")
        for person, role in signers:
            said = {
                "format": waivers.SIGNATURE_FORMAT,
                "waiver": digest,
                "model": MODEL,
                "role": role,
                "person": person,
                "answer": "approve",
            }
            one = SignedDecision(said, world.signer("review").sign(said, waivers.PURPOSE))
            run.ledger.append(waivers.SIGNED, MODEL, one.to_dict(), actor=person, key=f"{digest}{person}")
        return SignedWaiver(waiver)

    return enter


def permit_with(run: Run, due: datetime) -> None:
    finding = {"text": "Explain the spike.", "owner": "p-0ccc", "due": due.date().isoformat()}
    decision = {"evidence": "e" * 64, "person": MARIA, "role": "model_risk", "version": "1.0.0", "findings": [finding]}
    data: dict[str, Any] = {"permit": {"decisions": [{"decision": decision, "signature": ""}]}, "signature": ""}
    run.ledger.append("permit", MODEL, data, actor=MARIA, key="permit:e")


def inputs(run: Run) -> dict[str, Any]:
    return _signed_before(run, _exceptions(run))


def test_without_exceptions_there_is_nothing_to_judge_anew(run: Run) -> None:
    assert inputs(run) == {"waivers": [], "open": [], "late": []}


def test_a_waiver_in_force_makes_another_judgement(run: Run, propose: Callable[..., SignedWaiver]) -> None:
    one = propose()

    assert inputs(run)["waivers"] == [one.digest]


def test_a_waiver_that_is_not_complete_or_is_over_does_not(run: Run, propose: Callable[..., SignedWaiver]) -> None:
    propose(signers=((MARIA, "model_risk"),))
    propose(days=-2)

    assert inputs(run)["waivers"] == []


@pytest.mark.parametrize(("days", "late"), [(3, 0), (-3, 1)], ids=["in time", "overdue"])
def test_an_open_finding_and_its_due_date_make_another_judgement(run: Run, days: int, late: int) -> None:
    permit_with(run, TODAY + timedelta(days=days))
    found = inputs(run)

    assert (len(found["open"]), len(found["late"])) == (1, late)
    exceptions = _exceptions(run)
    assert findings.measured(exceptions.findings, exceptions.at).value == late
