"""A permit is believed for what its bytes prove, and for nothing else."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from signed_world import (
    ADA,
    BAD,
    BEA,
    CLEO,
    DANA,
    FACTS,
    GOOD,
    INES,
    INVOLVED,
    MARIA,
    MARK,
    NOW,
    PEOPLE,
    POLICY,
    SAM,
    SPEC,
    TIER,
    TOM,
    World,
)  # fmt: skip

from governance import canonical
from governance.errors import NotPermittedError, RefusedError, TamperedError
from governance.review import permit
from governance.review.permit import Bundle, Permit

WORLD = World()
DOCUMENT = WORLD.evidence()
BUNDLE = WORLD.bundle(DOCUMENT)
FIELDS = ("evidence", "permit", "policy", "tier", "people", "spec")


def verify(bundle: Bundle, environment: str = "production", *, days: float = 1, world: World = WORLD) -> Permit:
    return permit.verify(bundle, world.keys, environment, NOW + timedelta(days=days))


def refused(bundle: Bundle, kind: type[RefusedError] = RefusedError, **more: Any) -> str:
    with pytest.raises(kind) as caught:
        verify(bundle, **more)
    return str(caught.value)


def with_permit(document: dict[str, Any] = DOCUMENT, **changes: Any) -> Bundle:
    """A bundle whose permit was signed by the review key, whatever it says."""
    return WORLD.bundle(document, WORLD.permit(document, **changes))


class TestARightPermit:
    def test_says_what_it_permits_and_who_signed(self) -> None:
        found = verify(BUNDLE)

        assert (found.model, found.version, found.registry_version) == ("card", "1.0.0", 3)
        assert (found.evidence_digest, found.manifest) == (canonical.digest(DOCUMENT), "3" * 64)
        assert [one.decision["person"] for one in found.decisions] == [MARIA, TOM]
        assert (found.issued_at, found.expires_at) == (NOW, NOW + timedelta(days=30))
        assert found.evidence == DOCUMENT
        assert str(found.verdict.outcome) == "warn"
        assert (found.policy.digest, found.people.digest) == (WORLD.policy.digest, WORLD.people.digest)

    def test_needs_nothing_but_its_bytes_the_public_key_and_a_clock(self, tmp_path: Path) -> None:
        for name, body in BUNDLE.files().items():
            (tmp_path / name).write_bytes(body)

        assert Bundle.read(tmp_path) == BUNDLE

    @pytest.mark.parametrize("name", Bundle.NAMES)
    def test_is_none_without_one_of_its_files(self, tmp_path: Path, name: str) -> None:
        for other, body in BUNDLE.files().items():
            if other != name:
                (tmp_path / other).write_bytes(body)

        with pytest.raises(NotPermittedError, match=f"found no {name}: nobody permitted this version"):
            Bundle.read(tmp_path)

    def test_may_have_more_signatures_than_needed(self) -> None:
        three = [*WORLD.approved(DOCUMENT), WORLD.decision(DOCUMENT, INES, "compliance")]

        assert len(verify(with_permit(decisions=three)).decisions) == 3


class TestTime:
    @pytest.mark.parametrize("days", [30, 30.1, 400])
    def test_it_ends_when_it_says(self, days: float) -> None:
        assert "ended on 02 Apr 2026" in refused(BUNDLE, NotPermittedError, days=days)

    def test_it_holds_until_then(self) -> None:
        assert verify(BUNDLE, days=29.99)

    def test_it_cannot_outlast_what_the_policy_allows(self) -> None:
        later = (NOW + timedelta(days=31)).isoformat()

        assert "longer than the policy's 30 days" in refused(with_permit(expires_at=later), NotPermittedError)


class TestWhatItIsFor:
    def test_another_environment_is_not_permitted(self) -> None:
        assert "found one for production" in refused(BUNDLE, NotPermittedError, environment="staging")

    @pytest.mark.parametrize(
        ("changes", "what"),
        [
            ({"model": "loan"}, "the model"),
            ({"version": "1.0.1"}, "the version"),
            ({"registry_version": 4}, "the registry version"),
            ({"manifest": "f" * 64}, "the model files"),
            ({"environment": "staging"}, "the environment"),
            ({"evidence": "f" * 64}, "the evidence's digest"),
            ({"policy": "f" * 64}, "the digest of the policy in the permit"),
            ({"people": "f" * 64}, "the digest of people.yaml in the permit"),
            ({"spec": "f" * 64}, "the digest of model.yaml in the permit"),
            ({"format": "governance-permit/0"}, "governance-permit/0"),
        ],
    )
    def test_a_permit_that_says_otherwise_than_its_evidence_is_refused(self, changes: dict, what: str) -> None:
        assert what in refused(with_permit(**changes), TamperedError)


class TestOthersFiles:
    """A file of another time or place, however genuine, is not the one that was signed under."""

    @pytest.mark.parametrize(
        ("changed", "what"),
        [
            ({"policy": (POLICY + "minimum_n: 10\n").encode()}, "the policy"),
            ({"tier": TIER.replace("at_least: 0.8", "at_least: 0.1").encode()}, "the policy"),
            ({"people": PEOPLE.replace("[model_risk]", "[model_risk, compliance]").encode()}, "people.yaml"),
            ({"spec": SPEC.replace("developers: [dana]", "developers: [olga]").encode()}, "model.yaml"),
            (
                {"evidence": canonical.to_bytes(WORLD.evidence(facts=replace(FACTS, attempt=2)))},
                "the evidence's digest",
            ),
            ({"permit": World().bundle(DOCUMENT).permit}, "signature"),
            ({"evidence": canonical.to_bytes({"format": "x"})}, "governance-evidence/1"),
            ({"evidence": canonical.to_bytes([])}, "governance-evidence/1"),
            ({"permit": canonical.to_bytes([])}, "something else"),
            ({"permit": canonical.to_bytes({"permit": [], "signature": ""})}, "something else"),
            ({"policy": b"\xff not yaml: ["}, "the policy"),
        ],
    )
    def test_is_refused(self, changed: dict[str, bytes], what: str) -> None:
        assert what in refused(replace(BUNDLE, **changed), TamperedError)

    def test_the_same_evidence_in_another_form_is_refused(self) -> None:
        spaced = BUNDLE.evidence.replace(b",", b", ", 1)

        assert "another form" in refused(replace(BUNDLE, evidence=spaced), TamperedError)

    def test_a_policy_of_a_lower_tier_than_the_spec_says_is_refused(self) -> None:
        low = World(own=POLICY.replace("high", "low"), tier=TIER.replace("tier: high", "tier: low"), key=WORLD.key)
        document = {**DOCUMENT, "policy": {**DOCUMENT["policy"], "digest": low.policy.digest}}

        assert "the model of the policy" in refused(low.bundle(document), TamperedError)


class TestTheVerdict:
    def test_it_is_repeated_and_not_believed(self) -> None:
        claimed = {**WORLD.evidence(BAD), "verdict": DOCUMENT["verdict"]}

        assert "gives another verdict than the evidence says" in refused(with_permit(claimed), TamperedError)

    def test_a_blocked_version_cannot_be_permitted_by_anybody(self) -> None:
        assert "stops this version: accuracy" in refused(with_permit(WORLD.evidence(BAD)), NotPermittedError)

    @pytest.mark.parametrize("missing", range(len(GOOD)))
    def test_a_measurement_that_is_missing_blocks(self, missing: int) -> None:
        rest = [one for index, one in enumerate(GOOD) if index != missing]

        assert "stops this version" in refused(with_permit(WORLD.evidence(rest)), NotPermittedError)


class TestSignatures:
    @pytest.mark.parametrize("kept", [[], [0], [1]])
    def test_any_subset_smaller_than_the_quorum_is_refused(self, kept: list[int]) -> None:
        decisions = [WORLD.approved(DOCUMENT)[index] for index in kept]

        assert "Signatures are missing" in refused(with_permit(decisions=decisions), NotPermittedError)

    @pytest.mark.parametrize(("person", "role"), INVOLVED.items())
    def test_one_by_an_involved_person_is_refused_even_beside_a_full_quorum(self, person: str, role: str) -> None:
        decisions = [*WORLD.approved(DOCUMENT), WORLD.decision(DOCUMENT, person, role)]

        assert "only 2 are valid" in refused(with_permit(decisions=decisions), NotPermittedError)

    @pytest.mark.parametrize("done", ["started", "cleared", "patched"])
    def test_one_by_a_person_who_touched_the_run_is_refused(self, done: str) -> None:
        assert "started, cleared or patched" in refused(with_permit(actors={TOM: [done]}), NotPermittedError)

    def test_two_by_one_person_are_not_a_quorum(self) -> None:
        both = [WORLD.decision(DOCUMENT, BEA, role) for role in ("model_risk", "compliance")]

        assert "only 1 are valid" in refused(with_permit(decisions=both), NotPermittedError)

    def test_a_reject_beside_the_quorum_is_refused(self) -> None:
        decisions = [*WORLD.approved(DOCUMENT), WORLD.decision(DOCUMENT, INES, "compliance", "reject")]

        assert "somebody rejected" in refused(with_permit(decisions=decisions), NotPermittedError)

    def test_one_over_other_evidence_is_refused(self) -> None:
        other = WORLD.evidence(facts=replace(FACTS, version="0.9.0"))
        decisions = [WORLD.approved(DOCUMENT)[0], WORLD.decision(other, TOM, "compliance")]

        assert "only 1 are valid" in refused(with_permit(decisions=decisions), NotPermittedError)

    def test_nobody_issues_without_a_quorum(self) -> None:
        with pytest.raises(NotPermittedError, match="compliance"):
            permit.issue(DOCUMENT, WORLD.approved(DOCUMENT)[:1], {}, WORLD.policy, WORLD.people, WORLD.signer, NOW)


# --- whatever is changed, whoever signs ----------------------------------------------------------------------------

places = st.sampled_from(FIELDS).flatmap(
    lambda name: st.tuples(st.just(name), st.integers(0, len(getattr(BUNDLE, name)) - 1), st.integers(1, 255))
)


@given(places)
def test_any_changed_byte_of_any_file_is_refused(place: tuple[str, int, int]) -> None:
    name, position, change = place
    body = bytearray(getattr(BUNDLE, name))
    body[position] ^= change

    refused(replace(BUNDLE, **{name: bytes(body)}))


def test_any_changed_bit_of_the_signature_is_refused() -> None:
    start = BUNDLE.permit.index(b'"signature":"', -200) + len(b'"signature":"')
    for position in range(start, len(BUNDLE.permit) - 2):
        for bit in range(8):
            body = bytearray(BUNDLE.permit)
            body[position] ^= 1 << bit
            refused(replace(BUNDLE, permit=bytes(body)))


@given(st.sampled_from(FIELDS), st.data())
def test_bytes_cut_off_or_put_in_are_refused(name: str, data: st.DataObject) -> None:
    body = getattr(BUNDLE, name)
    cut = data.draw(st.integers(0, len(body) - 1))
    more = data.draw(st.binary(min_size=1, max_size=3))

    refused(replace(BUNDLE, **{name: body[:cut]}))
    refused(replace(BUNDLE, **{name: body[:cut] + more + body[cut:]}))


THREE = World(tier=TIER.replace("{model_risk: 1, compliance: 1}", "{model_risk: 2, compliance: 1}"), key=WORLD.key)
SIGNED = THREE.evidence()
FULL = [
    THREE.decision(SIGNED, MARIA, "model_risk"),
    THREE.decision(SIGNED, MARK, "model_risk"),
    THREE.decision(SIGNED, TOM, "compliance"),
]


def three(decisions: list) -> Bundle:
    issued = WORLD.permit(DOCUMENT)["permit"]
    same = {"evidence": canonical.digest(SIGNED), "policy": THREE.policy.digest}
    signed = {**issued, **same, "decisions": [one.to_dict() for one in decisions]}
    return THREE.bundle(SIGNED, {"permit": signed, "signature": THREE.signer.sign(signed, permit.PURPOSE)})


def test_two_of_a_role_and_one_of_another_are_enough_where_that_is_demanded() -> None:
    assert len(verify(three(FULL)).decisions) == 3


@given(st.sets(st.integers(0, 2), max_size=2), st.permutations(range(3)))
def test_no_smaller_set_in_any_order_is_enough(kept: set[int], order: list[int]) -> None:
    refused(three([FULL[index] for index in order if index in kept]), NotPermittedError)


@given(st.sampled_from([DANA, ADA, SAM, CLEO]), st.integers(0, 3), st.sampled_from(["approve", "reject"]))
def test_a_decision_by_any_involved_person_is_refused_wherever_it_stands(who: str, at: int, answer: str) -> None:
    role = INVOLVED.get(who, "compliance")
    decisions = list(FULL)
    decisions.insert(at, THREE.decision(SIGNED, who, role, answer))
    bundle = three(decisions)
    if who == CLEO:  # involved only through what she did to the run, which the permit lists
        signed = {**canonical.from_bytes(bundle.permit)["permit"], "run_actors": {CLEO: ["cleared"]}}
        bundle = THREE.bundle(SIGNED, {"permit": signed, "signature": THREE.signer.sign(signed, permit.PURPOSE)})

    refused(bundle, NotPermittedError)
