"""Break-glass: what a permit with missing signatures is believed for, and what nobody gets past with it.

Every attack is signed by the review key itself: what is refused is refused for what it says.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from signed_world import (
    ADA,
    BAD,
    BEA,
    CLEO,
    DANA,
    FACTS,
    INES,
    MARIA,
    MARK,
    NOW,
    OLGA,
    POLICY,
    SAM,
    TIER,
    TOM,
    World,
)  # fmt: skip

from governance import canonical
from governance.errors import NotPermittedError, RefusedError, TamperedError
from governance.keys import Signer
from governance.policyfile import BreakGlass as Allowed
from governance.review import break_glass, permit
from governance.review.approvals import SignedDecision
from governance.review.break_glass import BreakGlass
from governance.yamlfile import FaultyFileError

ALLOWS = "break_glass: {roles: [model_risk, compliance], people: 2, longest_days: 7}\n"
WORLD = World(tier=TIER.replace("alternatives:", f"{ALLOWS}alternatives:"))
FORBIDS = World(own=f"{POLICY}break_glass: {{forbidden: true}}\n", tier=WORLD.tier, key=WORLD.key)
DOCUMENT = WORLD.evidence()
REASON = "The champion denies everybody, and compliance cannot be reached before Monday."
TWO = ((MARIA, "model_risk"), (MARK, "model_risk"))
DAY = timedelta(days=1)


def proposal(document: Mapping[str, Any] = DOCUMENT, world: World = WORLD, **changes: Any) -> dict[str, Any]:
    return {
        "format": break_glass.FORMAT,
        **break_glass.binding(dict(document), world.policy, world.people),
        "reason": REASON,
        "until": (NOW + 3 * DAY).date().isoformat(),
        "proposed_by": MARIA,
        "proposed_at": NOW.isoformat(),
        **changes,
    }


def signature(said: Mapping[str, Any], person: str, role: str, key: Any = None, /, **changes: Any) -> SignedDecision:
    decision = {
        "format": break_glass.SIGNATURE_FORMAT,
        "break_glass": canonical.digest(dict(said)),
        "model": said["model"],
        "role": role,
        "person": person,
        "signed_at": NOW.isoformat(),
        **changes,
    }
    return SignedDecision(decision, (key or WORLD.signer).sign(decision, break_glass.PURPOSE))


def broken(
    said: Mapping[str, Any] | None = None, who: Sequence[tuple[str, str]] = TWO, **changes: Any
) -> dict[str, Any]:
    """A proposal with signatures, as a permit holds it."""
    said = proposal(**changes) if said is None else said
    return BreakGlass(dict(said), tuple(signature(said, person, role) for person, role in who)).to_dict()


def issued(
    emergency: dict[str, Any], document: Mapping[str, Any] = DOCUMENT, world: World = WORLD, **changes: Any
) -> permit.Bundle:
    """A bundle whose permit the review key signed, with nobody's ordinary decision, whatever it says."""
    ends = BreakGlass.from_dict(emergency).ends
    more = {"decisions": [], "expires_at": ends.isoformat(), "break_glass": emergency, **changes}
    return world.bundle(document, world.permit(document, **more))


def verify(bundle: permit.Bundle, *, days: float = 1, world: World = WORLD) -> permit.Permit:
    return permit.verify(bundle, world.keys, "production", NOW + days * DAY)


def refused(bundle: permit.Bundle, said: str, kind: type[RefusedError] = NotPermittedError, **more: Any) -> None:
    with pytest.raises(kind, match=said):
        verify(bundle, **more)


class TestARightOne:
    def test_two_people_stand_in_for_what_is_missing_and_the_permit_says_so(self) -> None:
        found = verify(issued(broken()))

        assert (found.decisions, found.emergency is not None) == ([], True)
        assert found.emergency is not None
        assert break_glass.sentence(found.emergency, WORLD.people) == (
            f"Break-glass by Maria Alvarez and Mark Moss, until 06 Mar 2026: {REASON}"
        )

    def test_the_desk_issues_it_until_the_end_of_its_last_day_and_no_longer(self) -> None:
        one = BreakGlass.from_dict(broken())

        made = permit.issue(DOCUMENT, [], {}, WORLD.policy, WORLD.people, WORLD.signer, NOW, one)

        assert made["permit"]["expires_at"] == "2026-03-07T00:00:00+00:00"
        assert verify(WORLD.bundle(DOCUMENT, made)).emergency == one

    def test_signatures_that_were_given_stay_in_it(self) -> None:
        signed = WORLD.decision(DOCUMENT, MARIA, "model_risk")

        assert verify(issued(broken(), decisions=[signed])).decisions == [signed]

    def test_a_permit_with_its_quorum_says_nothing_of_an_emergency(self) -> None:
        made = WORLD.permit(DOCUMENT)

        assert "break_glass" not in made["permit"]
        assert verify(WORLD.bundle(DOCUMENT, made)).emergency is None


class TestWhoMayNot:
    def test_one_person_twice(self) -> None:
        twice = broken(who=[(MARIA, "model_risk"), (MARIA, "model_risk")])
        refused(issued(twice), "Of 2 signatures under this emergency only 1 count")

    def test_one_person_in_two_roles(self) -> None:
        refused(issued(broken(who=[(BEA, "model_risk"), (BEA, "compliance")])), "only 1 count")

    def test_one_person_alone(self) -> None:
        refused(issued(broken(who=TWO[:1])), "Expected 2 people to release this in an emergency, found 1")

    def test_nobody(self) -> None:
        refused(issued(broken(who=[])), "Expected 2 people")

    @pytest.mark.parametrize(
        ("person", "role"),
        [(DANA, "model_risk"), (ADA, "model_risk"), (SAM, "compliance")],
        ids=["a developer", "an author", "who started the run"],
    )
    def test_somebody_who_built_it_or_started_the_run(self, person: str, role: str) -> None:
        refused(issued(broken(who=[TWO[0], (person, role)])), "only 1 count")

    def test_somebody_who_cleared_the_run(self) -> None:
        bundle = issued(broken(who=[TWO[0], (CLEO, "compliance")]), run_actors={CLEO: ["cleared"]})
        refused(bundle, "started, cleared or patched the run")

    @pytest.mark.parametrize(
        ("person", "role"), [(OLGA, "model_risk"), (MARK, "compliance"), ("p-9999", "model_risk"), (OLGA, "owner")]
    )
    def test_somebody_without_the_role(self, person: str, role: str) -> None:
        refused(issued(broken(who=[TWO[0], (person, role)])), "only 1 count")

    def test_more_people_where_the_policy_wants_more(self) -> None:
        three = World(tier=WORLD.tier, own=f"{POLICY}break_glass: {{people: 3}}\n", key=WORLD.key)
        document = three.evidence()
        said = proposal(document, three)

        refused(issued(broken(said), document, three), "Expected 3 people", world=three)
        assert verify(issued(broken(said, [*TWO, (INES, "compliance")]), document, three), world=three).emergency


class TestWhatItNeverReplaces:
    def test_a_verdict_that_blocks(self) -> None:
        document = WORLD.evidence(BAD)
        refused(issued(broken(proposal(document)), document), "The policy stops this version")

    def test_a_reject(self) -> None:
        reject = WORLD.decision(DOCUMENT, TOM, "compliance", "reject")
        refused(issued(broken(), decisions=[reject]), "somebody rejected")

    def test_an_ordinary_decision_that_is_forged(self) -> None:
        forged = replace(WORLD.decision(DOCUMENT, TOM, "compliance"), signature="A" * 86 + "==")
        refused(issued(broken(), decisions=[forged]), "Of 1 decisions in the permit only 0 are valid")

    @pytest.mark.parametrize("field", ["evidence", "policy", "tier", "people", "spec"])
    def test_a_changed_byte(self, field: str) -> None:
        bundle = issued(broken())
        changed = replace(bundle, **{field: getattr(bundle, field).replace(b"e", b"E", 1)})
        refused(changed, "Expected|expected", TamperedError)


class TestWhereThePolicyDoesNotAllowIt:
    def test_a_tier_without_break_glass(self) -> None:
        world = World(key=WORLD.key)
        document = world.evidence()
        emergency = broken(proposal(document, world))
        refused(issued(emergency, document, world), "tier high knows no break-glass release of card", world=world)

    def test_a_model_that_forbids_it(self) -> None:
        document = FORBIDS.evidence()
        emergency = broken(proposal(document, FORBIDS))
        refused(issued(emergency, document, FORBIDS), "knows no break-glass", world=FORBIDS)

    def test_the_policy_is_the_one_in_the_permit_not_one_that_the_proposal_claims(self) -> None:
        said = proposal(policy=FORBIDS.policy.digest)
        refused(issued(broken(said)), "another version, or the policy")

    def test_a_model_may_tighten_it_and_not_loosen_it(self) -> None:
        tight = World(tier=WORLD.tier, own=f"{POLICY}break_glass: {{people: 3, longest_days: 2}}\n")
        assert tight.policy.break_glass == Allowed(roles=["model_risk", "compliance"], people=3, longest_days=2)
        for looser in ("longest_days: 8", "people: 1", "roles: [auditor]"):
            with pytest.raises(FaultyFileError):
                _ = World(tier=WORLD.tier, own=f"{POLICY}break_glass: {{{looser}}}\n").policy

    def test_a_model_cannot_bring_it_where_its_tier_has_none(self) -> None:
        with pytest.raises(FaultyFileError, match="knows no break-glass release"):
            _ = World(own=f"{POLICY}break_glass: {{people: 2}}\n").policy

    def test_no_tier_lets_one_person_do_it(self) -> None:
        with pytest.raises(FaultyFileError):
            _ = World(tier=WORLD.tier.replace("people: 2", "people: 1")).policy


class TestReasonAndEnd:
    @pytest.mark.parametrize("reason", ["", "   ", "urgent", "x" * 1001, "  a  " * 4])
    def test_without_a_reason_that_says_something(self, reason: str) -> None:
        refused(issued(broken(reason=reason)), "it has no reason of")

    def test_a_reason_that_is_missing(self) -> None:
        said = proposal()
        del said["reason"]
        refused(issued(broken(said)), "it has no reason")

    def test_an_end_that_is_too_far(self) -> None:
        assert verify(issued(broken(until=(NOW + 7 * DAY).date().isoformat()))).emergency
        refused(issued(broken(until=(NOW + 8 * DAY).date().isoformat())), "lasts longer than the 7 days")

    def test_an_end_before_its_beginning(self) -> None:
        refused(issued(broken(until=(NOW - DAY).date().isoformat())), "lasts longer|ended")

    @pytest.mark.parametrize("until", ["someday", None, 7])
    def test_an_end_that_is_none(self, until: object) -> None:
        emergency = {**broken(), "proposal": {**proposal(), "until": until}}
        bundle = WORLD.bundle(DOCUMENT, WORLD.permit(DOCUMENT, break_glass=emergency, decisions=[]))
        refused(bundle, "Expected a break-glass release", TamperedError)

    def test_it_is_over_when_its_last_day_is(self) -> None:
        bundle = issued(broken())
        assert verify(bundle, days=3.4).emergency
        refused(bundle, "ended on", days=3.5)

    def test_a_permit_that_outlasts_it(self) -> None:
        for longer in ((NOW + 5 * DAY), (NOW + 3.5 * DAY)):
            refused(issued(broken(), expires_at=longer.isoformat()), "lasts longer than the emergency")

    def test_a_second_permit_on_it_after_its_end(self) -> None:
        late = NOW + 4 * DAY
        again = issued(broken(), issued_at=late.isoformat(), expires_at=(late + DAY).isoformat())
        refused(again, "lasts longer than the emergency", days=4.5)

    def test_a_permit_from_before_it_was_proposed(self) -> None:
        refused(issued(broken(proposed_at=(NOW + DAY / 24).isoformat())), "lasts longer than the emergency")


class TestForgeries:
    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("evidence", "9" * 64), ("model", "other"), ("version", "1.0.1"), ("registry_version", 4),
            ("environment", "test"), ("people", "9" * 64), ("spec", "9" * 64), ("format", "governance-waiver/1"),
        ],
    )  # fmt: skip
    def test_a_proposal_about_something_else(self, name: str, value: Any) -> None:
        refused(issued(broken(**{name: value})), "another version")

    def test_a_signature_by_another_key(self) -> None:
        said, stranger = proposal(), Signer("review", Ed25519PrivateKey.generate())
        one = BreakGlass(said, (signature(said, *TWO[0]), signature(said, *TWO[1], stranger)))
        refused(issued(one.to_dict()), "only 1 count")

    def test_a_signature_over_another_proposal(self) -> None:
        said = proposal()
        other = signature(proposal(reason="Another emergency, another day."), *TWO[1])
        refused(issued(BreakGlass(said, (signature(said, *TWO[0]), other)).to_dict()), "only 1 count")

    def test_a_reason_that_was_changed_after_it_was_signed(self) -> None:
        emergency = broken()
        emergency["proposal"]["reason"] = "Something else that nobody has signed."
        refused(issued(emergency), "Of 2 signatures under this emergency only 0 count")

    def test_an_ordinary_approval_is_no_signature_under_an_emergency(self) -> None:
        said = proposal()
        approvals = tuple(WORLD.decision(DOCUMENT, *who, break_glass=canonical.digest(said)) for who in TWO)
        refused(issued(BreakGlass(said, approvals).to_dict()), "only 0 count")

    def test_a_signature_under_an_emergency_is_no_ordinary_approval(self) -> None:
        signed = [signature(proposal(), *who, evidence=canonical.digest(DOCUMENT)) for who in TWO]
        refused(WORLD.bundle(DOCUMENT, WORLD.permit(DOCUMENT, signed)), "Of 2 decisions in the permit only 0 are valid")

    @pytest.mark.parametrize("what", [{}, [], "yes", {"proposal": {}}, {"proposal": None, "signatures": []}, True])
    def test_something_else_altogether(self, what: Any) -> None:
        bundle = WORLD.bundle(DOCUMENT, WORLD.permit(DOCUMENT, break_glass=what, decisions=[]))
        refused(bundle, "Expected a break-glass release", TamperedError)

    def test_it_is_about_one_version_only(self) -> None:
        other = WORLD.evidence(facts=replace(FACTS, version="1.1.0", registry_version=4))
        refused(issued(broken(), other), "another version")
