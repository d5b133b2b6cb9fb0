"""A waiver counts only whole, in time and by those who may; a permit that rests on one ends with it."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from governance import canonical
from governance.errors import NotPermittedError, TamperedError
from governance.records import Outcome
from governance.review import evidence, permit, waivers
from governance.review.approvals import SignedDecision
from governance.review.evidence import Exceptions
from governance.review.waivers import Involved, SignedWaiver
from tests.unit.review.signed_world import (
    ADA,
    BAD,
    BEA,
    CODE,
    DANA,
    FACTS,
    GOOD,
    MARIA,
    MARK,
    NOW,
    OLGA,
    TIER,
    TOM,
    World,
)

WORLD = World(tier=TIER + "waivers: {longest_days: 90, never: [fairness.*]}\n")
PROPOSED_AT = NOW - timedelta(days=3)
UNTIL = date(2026, 3, 20)
ENDS = datetime(2026, 3, 21, tzinfo=UTC)
NOBODY = Involved(frozenset({DANA}), frozenset({ADA}))


def proposal(**changed: Any) -> dict[str, Any]:
    rule = WORLD.policy.rule("accuracy")
    assert rule
    return {
        "format": waivers.FORMAT,
        "model": "card",
        "rule": "accuracy",
        "slice": None,
        "demands": rule.demands,
        "reason": "The old system is switched off in March, and its limits are lower.",
        "until": UNTIL.isoformat(),
        "proposed_by": OLGA,
        "proposed_at": PROPOSED_AT.isoformat(),
        **changed,
    }


def answered(waiver: dict[str, Any], person: str, role: str, answer: str = "approve", **changed: Any) -> SignedDecision:
    said = {
        "format": waivers.SIGNATURE_FORMAT,
        "waiver": canonical.digest(waiver),
        "model": "card",
        "role": role,
        "person": person,
        "answer": answer,
        "people": WORLD.people.digest,
        "policy": WORLD.policy.digest,
        "signed_at": NOW.isoformat(),
        **changed,
    }
    return SignedDecision(said, WORLD.signer.sign(said, waivers.PURPOSE))


def signed(*answers: SignedDecision, **changed: Any) -> SignedWaiver:
    waiver = proposal(**changed)
    given_ = answers or (answered(waiver, MARIA, "model_risk"), answered(waiver, TOM, "compliance"))
    return SignedWaiver(waiver, given_)


def counts(one: SignedWaiver, at: datetime = NOW, involved: Involved = NOBODY) -> bool:
    return bool(waivers.in_force([one], involved, WORLD.policy, WORLD.people, WORLD.keys, at))


def composed(*proposed: SignedWaiver, at: datetime = NOW, measured: Any = BAD) -> tuple[dict[str, Any], Any]:
    exceptions = Exceptions(proposed, (), WORLD.keys, at)
    return evidence.compose(FACTS, WORLD.spec, WORLD.policy, WORLD.people, CODE, measured, exceptions)


class TestWhoSigns:
    def test_both_roles_make_it_count(self) -> None:
        assert counts(signed())

    def test_one_of_two_does_not(self) -> None:
        assert not counts(signed(answered(proposal(), MARIA, "model_risk")))

    def test_nobody_does_not(self) -> None:
        assert not counts(SignedWaiver(proposal()))

    @pytest.mark.parametrize(
        ("person", "why"), [(DANA, "developer"), (ADA, "author")], ids=["a developer", "an author"]
    )
    def test_who_built_it_does_not_sign(self, person: str, why: str) -> None:
        waiver = proposal()

        assert not counts(signed(answered(waiver, person, "model_risk"), answered(waiver, TOM, "compliance")))

    def test_who_proposed_it_does_not_sign(self) -> None:
        waiver = proposal(proposed_by=MARIA)
        answers = (answered(waiver, MARIA, "model_risk"), answered(waiver, TOM, "compliance"))

        assert not counts(SignedWaiver(waiver, answers))

    def test_one_person_of_both_roles_signs_once(self) -> None:
        waiver = proposal()

        assert not counts(signed(answered(waiver, BEA, "model_risk"), answered(waiver, BEA, "compliance")))

    def test_a_role_that_one_does_not_hold_does_not_count(self) -> None:
        waiver = proposal()

        assert not counts(signed(answered(waiver, MARIA, "model_risk"), answered(waiver, MARK, "compliance")))

    @pytest.mark.parametrize("when", ["before", "after"])
    def test_one_reject_ends_it_whenever_it_comes(self, when: str) -> None:
        waiver = proposal()
        approvals = [answered(waiver, MARIA, "model_risk"), answered(waiver, TOM, "compliance")]
        no = answered(waiver, MARK, "model_risk", "reject")

        assert not counts(signed(*([no, *approvals] if when == "before" else [*approvals, no])))

    def test_who_signed_may_take_it_back(self) -> None:
        waiver = proposal()
        both = (answered(waiver, MARIA, "model_risk"), answered(waiver, TOM, "compliance"))

        assert not counts(signed(*both, answered(waiver, MARIA, "model_risk", "reject")))
        assert not counts(signed(*both, answered(waiver, MARIA, "model_risk", "reject"), *both))


class TestWhatIsSigned:
    def test_a_signature_of_another_waiver_does_not_count(self) -> None:
        other = proposal(reason="Another reason altogether, for the same rule.")

        assert not counts(signed(answered(other, MARIA, "model_risk"), answered(other, TOM, "compliance")))

    @pytest.mark.parametrize("purpose", ["decision", "permit", "finding"])
    def test_a_signature_for_another_purpose_does_not_count(self, purpose: str) -> None:
        first, second = signed().signatures
        forged = SignedDecision(first.decision, WORLD.signer.sign(first.decision, purpose))

        assert not counts(signed(forged, second))

    def test_another_key_does_not_count(self) -> None:
        stranger = World(tier=WORLD.tier)
        forged = [
            SignedDecision(one.decision, stranger.signer.sign(one.decision, waivers.PURPOSE))
            for one in signed().signatures
        ]

        assert not counts(signed(*forged))

    @pytest.mark.parametrize(
        "changed",
        [
            {"model": "loan"},
            {"rule": "parity"},
            {"rule": "nothing"},
            {"demands": {**proposal()["demands"], "limits": {"at_least": 0.7}}},
            {"format": "governance-waiver/0"},
            {"until": "2026-06-30"},
        ],
        ids=["another model", "never waived", "no such rule", "another demand", "another format", "too long"],
    )  # fmt: skip
    def test_a_complete_waiver_that_the_policy_does_not_allow_does_not_count(self, changed: dict[str, Any]) -> None:
        waiver = proposal(**changed)
        answers = (
            answered(waiver, MARIA, "model_risk", model=waiver["model"]),
            answered(waiver, TOM, "compliance", model=waiver["model"]),
        )

        assert not counts(SignedWaiver(waiver, answers))

    @given(st.timedeltas(timedelta(0), timedelta(days=10_000)))
    def test_once_it_has_ended_it_never_counts(self, later: timedelta) -> None:
        assert not counts(signed(), ENDS + later)

    @given(st.timedeltas(timedelta(days=-2), timedelta(microseconds=-1)))
    def test_until_then_it_does(self, earlier: timedelta) -> None:
        assert counts(signed(), ENDS + earlier)


class TestEvidence:
    def test_it_carries_the_waivers_that_the_verdict_rests_on_whole(self) -> None:
        one = signed()
        document, verdict = composed(one)

        assert document["waivers"] == [one.to_dict()]
        assert (verdict.outcome, verdict.may_be_released) == (Outcome.WARN, True)
        waived = next(rule for rule in document["verdict"]["rules"] if rule["rule"] == "accuracy")
        assert waived["waiver"]["by"] == [
            {"person": MARIA, "role": "model_risk"},
            {"person": TOM, "role": "compliance"},
        ]

    def test_one_that_nothing_rests_on_is_not_carried(self) -> None:
        assert composed(signed(), measured=GOOD)[0]["waivers"] == []

    def test_one_that_does_not_count_is_not_carried_and_blocks(self) -> None:
        document, verdict = composed(signed(answered(proposal(), MARIA, "model_risk")))

        assert document["waivers"] == []
        assert verdict.outcome is Outcome.BLOCK

    def test_one_signed_by_an_author_of_this_candidate_does_not_count(self) -> None:
        waiver = proposal()
        by_ada = signed(answered(waiver, ADA, "model_risk"), answered(waiver, TOM, "compliance"))

        assert composed(by_ada)[1].outcome is Outcome.BLOCK


DOCUMENT = composed(signed())[0]
ISSUED = WORLD.permit(DOCUMENT)


def verify(document: dict[str, Any], issued: dict[str, Any], at: datetime = NOW) -> permit.Permit:
    return permit.verify(WORLD.bundle(document, issued), WORLD.keys, "production", at)


def resting_on(*proposed: SignedWaiver) -> tuple[dict[str, Any], dict[str, Any]]:
    """Evidence that names these waivers, whatever they are worth, with a permit over it."""
    document = {**DOCUMENT, "waivers": [one.to_dict() for one in proposed]}
    return document, WORLD.permit(document)


class TestPermit:
    def test_it_is_verified_from_its_own_bytes(self) -> None:
        found = verify(DOCUMENT, ISSUED)

        assert found.verdict.waived()
        assert found.expires_at == ENDS

    def test_it_ends_with_its_waiver(self) -> None:
        assert verify(DOCUMENT, ISSUED, ENDS - timedelta(seconds=1))
        with pytest.raises(NotPermittedError, match="ended on 21 Mar 2026"):
            verify(DOCUMENT, ISSUED, ENDS)

    def test_one_that_would_outlast_its_waiver_is_refused(self) -> None:
        longer = WORLD.permit(DOCUMENT, expires_at=(ENDS + timedelta(days=1)).isoformat())

        with pytest.raises(NotPermittedError, match="longer than the waiver"):
            verify(DOCUMENT, longer)

    def test_a_permit_is_not_issued_on_a_waiver_that_is_over(self) -> None:
        given_ = (WORLD.approved(DOCUMENT), {}, WORLD.policy, WORLD.people, WORLD.signer, ENDS)

        with pytest.raises(NotPermittedError, match="A waiver that this verdict rests on ended"):
            permit.issue(DOCUMENT, *given_)

    @pytest.mark.parametrize(
        "worthless",
        [
            signed(answered(proposal(), MARIA, "model_risk")),
            SignedWaiver(proposal()),
            SignedWaiver(proposal(reason="Changed after it was signed, by somebody who could."), signed().signatures),
            SignedWaiver(proposal(until="2026-05-30"), signed().signatures),
        ],
        ids=["one signature", "none", "another reason", "a later end"],
    )
    def test_a_worker_cannot_write_one_into_the_evidence(self, worthless: SignedWaiver) -> None:
        with pytest.raises(NotPermittedError, match="only 0 count"):
            verify(*resting_on(worthless))

    def test_a_worker_cannot_leave_it_out(self) -> None:
        with pytest.raises(TamperedError, match="another verdict"):
            verify(*resting_on())

    def test_an_ended_one_cannot_be_carried_on(self) -> None:
        old = signed(proposed_at=(NOW - timedelta(days=30)).isoformat(), until="2026-03-02")
        document = {**DOCUMENT, "waivers": [old.to_dict()]}
        forged = {**ISSUED["permit"], "evidence": canonical.digest(document)}
        forged["decisions"] = [one.to_dict() for one in WORLD.approved(document)]
        issued = {"permit": forged, "signature": WORLD.signer.sign(forged, permit.PURPOSE)}

        with pytest.raises(NotPermittedError, match="only 0 count"):
            verify(document, issued)

    @pytest.mark.parametrize("nonsense", [[{}], [{"waiver": {}, "signatures": []}], "all of them", [None]])
    def test_what_is_no_waiver_is_refused_with_a_sentence(self, nonsense: Any) -> None:
        with pytest.raises(TamperedError, match="Expected waivers in the evidence"):
            waivers.of_evidence({"waivers": nonsense})


class LedgerOf:
    """The entries of one model's waivers."""

    def __init__(self, *proposed: SignedWaiver) -> None:
        self.proposed = proposed

    def find(self, kind: str, model: str) -> list[Any]:
        class Entry:
            def __init__(self, data: dict[str, Any]) -> None:
                self.data = data

        if kind == waivers.PROPOSED:
            return [Entry({"waiver": one.waiver}) for one in self.proposed]
        return [Entry(answer.to_dict()) for one in self.proposed for answer in one.signatures]


class TestSince:
    """What the ledger says after the evidence was written."""

    def since(self, *proposed: SignedWaiver, at: datetime = NOW) -> str | None:
        return waivers.ended_since(LedgerOf(*proposed), DOCUMENT, WORLD.policy, WORLD.people, WORLD.keys, at)

    def test_nothing_happened(self) -> None:
        assert self.since(signed()) is None

    def test_it_was_rejected(self) -> None:
        one = signed()
        no = answered(one.waiver, MARK, "model_risk", "reject")

        assert self.since(replace(one, signatures=(*one.signatures, no))) == "the waiver of accuracy is rejected"

    def test_it_ended(self) -> None:
        assert self.since(signed(), at=ENDS) == "the waiver of accuracy is ended"

    def test_it_was_never_proposed(self) -> None:
        assert self.since() == "the waiver of accuracy is not in the ledger"
