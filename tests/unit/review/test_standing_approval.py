"""Standing approvals: what a permit without a signature over its evidence is believed for, and what nobody gets past.

Every attack is signed by the review key itself: what is refused is refused for what it says.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from governance import canonical
from governance.errors import NotPermittedError, RefusedError, TamperedError
from governance.keys import Signer
from governance.measures import comparison
from governance.policyfile import MARGINS
from governance.policyfile import StandingApprovals as Allowed
from governance.records import Measurement
from governance.review import permit, standing_approval
from governance.review.approvals import SignedDecision
from governance.review.standing_approval import StandingApproval, Use
from governance.yamlfile import FaultyFileError
from tests.unit.review.signed_world import (
    ADA,
    BAD,
    BEA,
    CLEO,
    CODE,
    DANA,
    FACTS,
    GOOD,
    INES,
    MARIA,
    MARK,
    NOW,
    OLGA,
    SAM,
    TOM,
    World,
)  # fmt: skip
from tests.unit.review.signed_world import POLICY as HIGH_POLICY
from tests.unit.review.signed_world import SPEC as HIGH_SPEC
from tests.unit.review.signed_world import TIER as HIGH_TIER

SPEC = HIGH_SPEC.replace("tier: high", "tier: low")
POLICY = HIGH_POLICY.replace("extends: high", "extends: low")
ALLOWS = (
    "standing_approvals: {longest_days: 90, most_releases: 3, margins: {performance.accuracy_change: 0.02, "
    "performance.roc_auc_change: 0.02, performance.brier_change: 0.01}}\n"
)
TIER = HIGH_TIER.replace("tier: high", "tier: low").replace("alternatives:", f"{ALLOWS}alternatives:")
WORLD = World(tier=TIER, own=POLICY, spec_text=SPEC)
MARGINS_SIGNED = {
    "performance.accuracy_change": 0.02,
    "performance.roc_auc_change": 0.02,
    "performance.brier_change": 0.01,
}
AS_GOOD = (
    Measurement("performance.accuracy_change", 0.001, 1000, low=-0.012, high=0.014, method="agresti-min"),
    Measurement("performance.roc_auc_change", 0.0, 1000, low=-0.015, high=0.015, method="delong"),
    Measurement("performance.brier_change", 0.001, 1000, low=-0.006, high=0.008, method="normal"),
)
AGAIN = replace(
    FACTS,
    version="1.1.0",
    registry_version=4,
    request={"reason": "Drift", "bump": "minor", "parameters": {}, "source": None},
    champion={"version": "1.0.0", "evidence": "7" * 64},
)
REASON = "The code is unchanged and nobody's opportunities depend on it: newer data alone need no reader."
TWO = ((MARIA, "model_risk"), (TOM, "compliance"))
DAY = timedelta(days=1)


def candidate(
    changes: Sequence[Measurement] = AS_GOOD, world: World = WORLD, code: Any = CODE, **facts: Any
) -> dict[str, Any]:
    """The evidence of a version trained again; what it says beside is as in the other tests."""
    return world.evidence((*GOOD, *changes), replace(AGAIN, **facts), code)


DOCUMENT = candidate()


def approval(world: World = WORLD, **changes: Any) -> dict[str, Any]:
    return {
        "format": standing_approval.FORMAT,
        "model": "card",
        "environment": "production",
        "policy": world.policy.digest,
        "people": world.people.digest,
        "spec": world.spec.digest,
        "baseline": baseline(),
        "margins": dict(MARGINS_SIGNED),
        "releases": 2,
        "reason": REASON,
        "until": (NOW + 60 * DAY).date().isoformat(),
        "proposed_by": OLGA,
        "proposed_at": (NOW - DAY).isoformat(),
        **changes,
    }


def baseline(**changes: Any) -> dict[str, Any]:
    """What people looked at; its accuracy warned, as that of every candidate here does."""
    return {
        "version": "1.0.0",
        "evidence": "7" * 64,
        "code": CODE.digest,
        "warnings": [["accuracy", {}]],
        "permit_until": (NOW + 20 * DAY).isoformat(),
        **changes,
    }


def signature(said: Mapping[str, Any], person: str, role: str, key: Any = None, /, **changes: Any) -> SignedDecision:
    decision = {
        "format": standing_approval.SIGNATURE_FORMAT,
        "standing_approval": canonical.digest(dict(said)),
        "model": said["model"],
        "role": role,
        "person": person,
        "answer": "approve",
        "signed_at": (NOW - DAY).isoformat(),
        **changes,
    }
    return SignedDecision(decision, (key or WORLD.signer).sign(decision, standing_approval.PURPOSE))


def use(
    said: Mapping[str, Any] | None = None, who: Sequence[tuple[str, str]] = TWO, number: int = 1, **changes: Any
) -> dict[str, Any]:
    """A standing approval with signatures, as a permit holds it."""
    said = approval(**changes) if said is None else said
    signed = tuple(signature(said, person, role) for person, role in who)
    return Use(StandingApproval(dict(said), signed), number).to_dict()


def issued(
    standing: Any, document: Mapping[str, Any] = DOCUMENT, world: World = WORLD, **changes: Any
) -> permit.Bundle:
    """A bundle whose permit the review key signed, with nobody's decision over the evidence, whatever it says."""
    more = {
        "decisions": [],
        "expires_at": (NOW + 20 * DAY).isoformat(),
        "standing_approval": standing,
        **changes,
    }
    return world.bundle(document, world.permit(document, **more))


def verify(bundle: permit.Bundle, *, days: float = 1, world: World = WORLD) -> permit.Permit:
    return permit.verify(bundle, world.keys, "production", NOW + days * DAY)


def refused(bundle: permit.Bundle, said: str, kind: type[RefusedError] = NotPermittedError, **more: Any) -> None:
    with pytest.raises(kind, match=said):
        verify(bundle, **more)


class TestARightOne:
    def test_it_stands_in_for_every_signature_and_the_permit_says_so(self) -> None:
        found = verify(issued(use(number=2)))

        assert found.decisions == []
        assert found.standing is not None
        assert standing_approval.sentence(found.standing, WORLD.people) == (
            "Standing approval by Maria Alvarez and Tom Okafor after 1.0.0, until 02 May 2026, version 2 of 2: "
            f"{REASON}"
        )

    def test_the_permit_ends_with_that_of_the_version_that_people_read(self) -> None:
        one = Use(StandingApproval.from_dict(use()), 1)

        made = permit.issue(DOCUMENT, [], {}, WORLD.policy, WORLD.people, WORLD.signer, NOW, standing=one)

        assert made["permit"]["expires_at"] == (NOW + 20 * DAY).isoformat()
        assert verify(WORLD.bundle(DOCUMENT, made)).standing == one

    def test_it_outlives_the_standing_approval_itself(self) -> None:
        assert verify(issued(use(until=(NOW + DAY).date().isoformat())), days=15).standing

    def test_a_permit_with_its_quorum_says_nothing_of_it(self) -> None:
        made = WORLD.permit(DOCUMENT)

        assert "standing_approval" not in made["permit"]
        assert verify(WORLD.bundle(DOCUMENT, made)).standing is None

    def test_the_directions_are_those_of_the_measures(self) -> None:
        changes = {f"performance.{one.__name__}": one.__doc__ for each in comparison.CHANGES.values() for one in each}

        assert set(changes) == set(MARGINS)
        for name, text in changes.items():
            assert ("Ideal: above 0" in str(text)) == (name in standing_approval.MORE_IS_BETTER)
        for task, measured in comparison.CHANGES.items():
            assert {f"performance.{one.__name__}" for one in measured} == {n for n, of in MARGINS.items() if task in of}


class TestTheCandidate:
    @pytest.mark.parametrize(
        ("number", "worst", "said"),
        [(0, {"low": -0.021}, "accuracy"), (1, {"low": -0.021}, "ROC AUC"), (2, {"high": 0.0101}, "brier")],
    )
    def test_one_that_may_be_worse_than_the_margin(self, number: int, worst: dict[str, float], said: str) -> None:
        changed = [replace(one, **worst) if place == number else one for place, one in enumerate(AS_GOOD)]
        document = candidate(changed)
        refused(issued(use(), document), f"{said} may be .* worse than the champion's")

    @given(low=st.floats(-1, 0), margin=st.floats(0, 0.02))
    def test_it_is_the_worse_end_that_counts_whatever_the_estimate_says(self, low: float, margin: float) -> None:
        changed = candidate([replace(AS_GOOD[0], value=0.5, low=low, high=0.9), *AS_GOOD[1:]])
        one = StandingApproval(approval(margins={**MARGINS_SIGNED, "performance.accuracy_change": margin}))

        covered = not list(standing_approval.doubts(one, changed, WORLD.spec))

        assert covered == (-low <= margin)

    def test_one_whose_change_has_no_interval(self) -> None:
        document = candidate([replace(AS_GOOD[0], low=None, high=None), *AS_GOOD[1:]])
        refused(issued(use(), document), "its accuracy could not be compared")

    def test_one_that_was_not_compared_at_all(self) -> None:
        refused(issued(use(), candidate(())), "could not be compared with the champion's")

    def test_a_comparison_of_a_part_of_the_rows_is_none_of_all(self) -> None:
        part = [replace(one, slice={"sex": "women"}) for one in AS_GOOD]
        refused(issued(use(), candidate(part)), "could not be compared")

    def test_one_without_a_champion(self) -> None:
        refused(issued(use(), candidate(champion=None)), "there is no champion")

    def test_other_code_than_people_read(self) -> None:
        document = candidate(code=replace(CODE, digest="8" * 64))
        refused(issued(use(), document), "code, policies or requirements changed since 1.0.0")

    def test_code_that_is_not_committed(self) -> None:
        warns = World(
            tier=TIER.replace("uncommitted_changes: block", "uncommitted_changes: warn"), own=POLICY,
            spec_text=SPEC, key=WORLD.key,
        )  # fmt: skip
        document = candidate(world=warns, code=replace(CODE, uncommitted=("include/models/card/train.py",)))
        said = approval(warns)
        refused(issued(use(said), document, warns), "train.py is not committed", world=warns)

    def test_other_parameters_than_model_yaml_says(self) -> None:
        request = {**AGAIN.request, "parameters": {"depth": 9}}
        refused(issued(use(), candidate(request=request)), "other depth than model.yaml says")

    def test_data_from_elsewhere_than_model_yaml_says(self) -> None:
        request = {**AGAIN.request, "source": "csv:mine.csv"}
        refused(issued(use(), candidate(request=request)), "data come from elsewhere")
        assert verify(issued(use(), candidate(request={**AGAIN.request, "source": "csv:card.csv"}))).standing

    def test_one_that_was_trained_elsewhere(self) -> None:
        training = {**AGAIN.training, "trained": "elsewhere"}
        refused(issued(use(), candidate(training=training)), "it was not trained here")

    def test_an_alternative_to_one_that_was_blocked(self) -> None:
        document = candidate(attempt=2, replaces={"evidence": "9" * 64, "registry_version": 3})
        refused(issued(use(), document), "alternative to a candidate that was blocked")

    def test_a_verdict_that_rests_on_a_waiver(self) -> None:
        one = StandingApproval.from_dict(use())
        waived = {**DOCUMENT, "waivers": [{"waiver": {}, "signatures": []}]}

        assert list(standing_approval.doubts(one, DOCUMENT, WORLD.spec)) == []
        assert list(standing_approval.doubts(one, waived, WORLD.spec)) == ["its verdict rests on a waiver"]

    def test_a_verdict_that_blocks(self) -> None:
        document = WORLD.evidence((*BAD, *AS_GOOD), AGAIN)
        refused(issued(use(), document), "The policy stops this version")

    def test_a_warning_that_nobody_has_read(self) -> None:
        refused(issued(use(baseline=baseline(warnings=[]))), "a warning that 1.0.0 did not have: accuracy")

    def test_a_warning_of_another_group_is_another_warning(self) -> None:
        warns = TIER.replace("at_most: 0.1}", "at_most: 0.1, warn_above: 0.03}")
        world = World(tier=warns, own=POLICY, spec_text=SPEC, key=WORLD.key)
        document = candidate(world=world)
        known, other = [["accuracy", {}], ["parity", {"attribute": "sex"}]], ["parity", {"attribute": "race"}]

        assert verify(issued(use(approval(world, baseline=baseline(warnings=known))), document, world), world=world)
        said = approval(world, baseline=baseline(warnings=[known[0], other]))
        refused(issued(use(said), document, world), "did not have: parity of sex", world=world)


class TestWhoSigns:
    def test_a_role_that_is_missing(self) -> None:
        refused(issued(use(who=TWO[:1])), "Signatures are missing under the standing approval")

    def test_nobody(self) -> None:
        refused(issued(use(who=[])), "Signatures are missing")

    def test_who_proposed_it(self) -> None:
        refused(issued(use(proposed_by=MARIA)), "Of 2 signatures under the standing approval only 1 count")

    def test_one_person_in_two_roles(self) -> None:
        refused(issued(use(who=[(BEA, "model_risk"), (BEA, "compliance")])), "only 1 count")

    @pytest.mark.parametrize(
        ("person", "role"),
        [(DANA, "model_risk"), (ADA, "model_risk"), (SAM, "compliance")],
        ids=["a developer", "an author", "who started the run"],
    )
    def test_somebody_who_built_it_or_started_the_run(self, person: str, role: str) -> None:
        kept = [one for one in TWO if one[1] != role]
        refused(issued(use(who=[*kept, (person, role)])), "only 1 count")

    def test_somebody_who_cleared_the_run(self) -> None:
        bundle = issued(use(who=[TWO[0], (CLEO, "compliance")]), run_actors={CLEO: ["cleared"]})
        refused(bundle, "only 1 count")

    @pytest.mark.parametrize(("person", "role"), [(OLGA, "compliance"), (MARK, "compliance"), ("p-9999", "compliance")])
    def test_somebody_without_the_role(self, person: str, role: str) -> None:
        refused(issued(use(who=[TWO[0], (person, role)])), "only 1 count")

    def test_a_reject_among_them(self) -> None:
        said = approval()
        signed = [signature(said, *one) for one in TWO]
        no = signature(said, INES, "compliance", answer="reject")
        bundle = issued(Use(StandingApproval(said, (*signed, no)), 1).to_dict())
        refused(bundle, "somebody rejected it")

    @pytest.mark.parametrize("person", [(DANA, "model_risk"), (ADA, "model_risk"), (SAM, "compliance")])
    def test_a_reject_counts_from_whoever_holds_the_role_however_involved(self, person: tuple[str, str]) -> None:
        said = approval()
        answers = (*(signature(said, *one) for one in TWO), signature(said, *person, answer="reject"))
        barred = frozenset({DANA, ADA, SAM})

        one = StandingApproval(said, answers)
        signed = standing_approval.valid_signatures(one, barred, WORLD.policy, WORLD.people, WORLD.keys)

        assert standing_approval.status_of(one, signed, WORLD.policy, NOW) == "rejected"

    def test_a_person_takes_back_what_was_signed(self) -> None:
        said = approval()
        answers = (*(signature(said, *one) for one in TWO), signature(said, *TWO[0], answer="reject"))

        one = StandingApproval(said, answers)
        signed = standing_approval.valid_signatures(one, frozenset(), WORLD.policy, WORLD.people, WORLD.keys)

        assert standing_approval.status_of(one, signed, WORLD.policy, NOW) == "rejected"


class TestWhatItNeverReplaces:
    def test_a_reject_of_the_evidence(self) -> None:
        reject = WORLD.decision(DOCUMENT, INES, "compliance", "reject")
        refused(issued(use(), decisions=[reject]), "somebody rejected")

    @pytest.mark.parametrize("field", ["evidence", "policy", "tier", "people", "spec"])
    def test_a_changed_byte(self, field: str) -> None:
        bundle = issued(use())
        changed = replace(bundle, **{field: getattr(bundle, field).replace(b"e", b"E", 1)})
        refused(changed, "Expected|expected", TamperedError)

    def test_the_high_tier_cannot_have_one(self) -> None:
        with pytest.raises(FaultyFileError, match="tier high is released by people who read its evidence"):
            _ = World(tier=HIGH_TIER.replace("alternatives:", f"{ALLOWS}alternatives:")).policy


class TestWhereThePolicyDoesNotAllowIt:
    def test_a_tier_without_it(self) -> None:
        world = World(tier=TIER.replace(ALLOWS, ""), own=POLICY, spec_text=SPEC, key=WORLD.key)
        document = candidate(world=world)
        refused(issued(use(approval(world)), document, world), "tier low knows no standing approval", world=world)

    def test_a_model_that_forbids_it(self) -> None:
        own = f"{POLICY}standing_approvals: {{forbidden: true}}\n"
        world = World(tier=TIER, own=own, spec_text=SPEC, key=WORLD.key)
        document = candidate(world=world)
        refused(issued(use(approval(world)), document, world), "knows no standing approval", world=world)

    def test_a_model_may_tighten_it_and_not_loosen_it(self) -> None:
        def own(text: str) -> Allowed | None:
            return World(
                tier=TIER, own=f"{POLICY}standing_approvals: {{{text}}}\n", spec_text=SPEC
            ).policy.standing_approvals

        tight = own("longest_days: 9, most_releases: 1, margins: {performance.accuracy_change: 0.01}")
        assert tight is not None
        assert (tight.longest_days, tight.most_releases) == (9, 1)
        assert tight.margins == {**MARGINS_SIGNED, "performance.accuracy_change": 0.01}
        for looser in (
            "longest_days: 91", "most_releases: 4", "margins: {performance.accuracy_change: 0.03}",
            "margins: {performance.accuracy: 0.01}", "margins: {performance.accuracy_change: -0.1}",
        ):  # fmt: skip
            with pytest.raises(FaultyFileError):
                own(looser)

    def test_a_model_adds_the_margins_that_its_tier_leaves_open(self) -> None:
        added = "standing_approvals: {margins: {performance.mae_change: 1500}}\n"
        policy = World(tier=TIER, own=f"{POLICY}{added}", spec_text=SPEC).policy

        assert policy.standing_approvals is not None
        assert policy.standing_approvals.margins_of("regression") == {"performance.mae_change": 1500.0}

    def test_a_model_cannot_bring_it_where_its_tier_has_none(self) -> None:
        with pytest.raises(FaultyFileError, match="knows no standing approval"):
            _ = World(own=f"{HIGH_POLICY}standing_approvals: {{most_releases: 1}}\n").policy


class TestLimits:
    @pytest.mark.parametrize(
        "margins",
        [
            {}, {"performance.accuracy_change": 0.02}, {**MARGINS_SIGNED, "performance.accuracy_change": 0.021},
            {**MARGINS_SIGNED, "performance.accuracy_change": -0.1}, {**MARGINS_SIGNED, "performance.mae_change": 1},
            {**MARGINS_SIGNED, "performance.accuracy_change": True},
            {**MARGINS_SIGNED, "performance.accuracy_change": "0.01"},
        ],
    )  # fmt: skip
    def test_margins_that_are_not_those_of_the_policy_or_narrower(self, margins: dict[str, Any]) -> None:
        refused(issued(use(margins=margins)), "its margins are not those of the policy or narrower")

    @pytest.mark.parametrize("releases", [0, 4, 1.5, "2", True])
    def test_more_releases_than_the_policy_allows(self, releases: Any) -> None:
        refused(issued(use(releases=releases)), "it lets through more than the 3 versions")

    @pytest.mark.parametrize("number", [0, 3, -1])
    def test_a_use_too_many(self, number: int) -> None:
        refused(issued(use(number=number)), "Expected one of the 2 uses")

    @pytest.mark.parametrize("reason", ["", "   ", "newer data", "x" * 1001])
    def test_without_a_reason_that_says_something(self, reason: str) -> None:
        refused(issued(use(reason=reason)), "it has no reason of")

    def test_an_end_that_is_too_far(self) -> None:
        assert verify(issued(use(until=(NOW + 89 * DAY).date().isoformat()))).standing
        refused(issued(use(until=(NOW + 90 * DAY).date().isoformat())), "lasts longer than the 90 days")

    def test_a_permit_issued_after_its_last_day(self) -> None:
        late = NOW + 10 * DAY
        bundle = issued(use(until=(NOW + DAY).date().isoformat()), issued_at=late.isoformat())
        refused(bundle, "not issued while the standing approval was in force", days=11)

    def test_a_permit_from_before_it_was_proposed(self) -> None:
        refused(issued(use(proposed_at=(NOW + DAY / 24).isoformat())), "not issued while")

    def test_a_permit_that_outlasts_that_of_the_baseline(self) -> None:
        bundle = issued(use(), expires_at=(NOW + 21 * DAY).isoformat())
        refused(bundle, "lasts longer than that of the version people looked at")


class TestForgeries:
    @pytest.mark.parametrize(
        ("name", "value", "said"),
        [
            ("model", "other", "it is of other"), ("policy", "9" * 64, "the policy changed"),
            ("people", "9" * 64, "people.yaml changed"), ("spec", "9" * 64, "model.yaml changed"),
            ("environment", "test", "for production"), ("format", "governance-waiver/1", "it is of"),
        ],
    )  # fmt: skip
    def test_one_about_something_else(self, name: str, value: Any, said: str) -> None:
        refused(issued(use(**{name: value})), said)

    def test_a_signature_by_another_key(self) -> None:
        said, stranger = approval(), Signer("review", Ed25519PrivateKey.generate())
        one = StandingApproval(said, (signature(said, *TWO[0]), signature(said, *TWO[1], stranger)))
        refused(issued(Use(one, 1).to_dict()), "only 1 count")

    def test_a_margin_that_was_changed_after_it_was_signed(self) -> None:
        standing = use(margins={**MARGINS_SIGNED, "performance.accuracy_change": 0.0})
        standing["approval"]["margins"]["performance.accuracy_change"] = 0.02
        refused(issued(standing), "Of 2 signatures under the standing approval only 0 count")

    def test_an_ordinary_approval_is_no_signature_under_it(self) -> None:
        said = approval()
        digest = canonical.digest(said)
        approvals = tuple(WORLD.decision(DOCUMENT, *who, standing_approval=digest) for who in TWO)
        refused(issued(Use(StandingApproval(said, approvals), 1).to_dict()), "only 0 count")

    def test_a_signature_under_it_is_no_ordinary_approval(self) -> None:
        signed = [signature(approval(), *who, evidence=canonical.digest(DOCUMENT)) for who in TWO]
        refused(WORLD.bundle(DOCUMENT, WORLD.permit(DOCUMENT, signed)), "Of 2 decisions in the permit only 0 are valid")

    @pytest.mark.parametrize(
        "what",
        [
            {}, [], "yes", True, {"approval": {}, "number": 1}, {"approval": None, "signatures": [], "number": 1},
            {**use(), "number": "1"}, {**use(), "number": True}, {**use(), "signatures": None},
            {**use(), "approval": {**approval(), "until": "someday"}},
            {**use(), "approval": {**approval(), "margins": []}},
            {**use(), "approval": {**approval(), "baseline": {}}},
        ],
    )  # fmt: skip
    def test_something_else_altogether(self, what: Any) -> None:
        refused(issued(what), "Expected a standing approval", TamperedError)

    def test_one_of_a_model_is_none_of_another(self) -> None:
        refused(issued(use(spec="0" * 64)), "model.yaml changed")
