"""Who may sign, which decisions count, and when there are enough."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from signed_world import ADA, BEA, CLEO, DANA, INES, INVOLVED, MARIA, MARK, OLGA, SAM, TIER, TOM, World

from governance.catalog import Person
from governance.review.approvals import SignedDecision, missing_roles, refusals, status_of, valid_decisions

WORLD = World()
DOCUMENT = WORLD.evidence()


def person(identity: str) -> Person:
    found = WORLD.people.by_id(identity)
    assert found
    return found


def counted(*decisions: SignedDecision, world: World = WORLD) -> list[SignedDecision]:
    digest = world.decision(DOCUMENT, MARIA, "model_risk").decision["evidence"]
    return valid_decisions(decisions, digest, DOCUMENT, world.policy, world.people, world.keys)


class TestRefusals:
    @pytest.mark.parametrize(
        ("identity", "rule", "fact"),
        [
            (DANA, "developer", "You are a developer in models/card/model.yaml."),
            (ADA, "author", "You wrote commit 6666666."),
            (SAM, "started", "Airflow's log of the run says so."),
        ],
    )
    def test_whoever_was_involved_may_not_sign_and_reads_why(self, identity: str, rule: str, fact: str) -> None:
        (refusal,) = refusals(person(identity), DOCUMENT)

        assert (refusal.rule, refusal.detail) == (rule, fact)
        assert refusal.sentence.endswith("you may not sign it.")

    @pytest.mark.parametrize("done", ["cleared", "patched"])
    def test_whoever_touched_the_run_may_not_sign(self, done: str) -> None:
        (refusal,) = refusals(person(CLEO), DOCUMENT, {CLEO: [done]})

        assert (refusal.rule, refusal.sentence) == (done, f"You {done} this run: you may not sign it.")

    def test_everything_against_a_person_is_said_once(self) -> None:
        found = refusals(person(SAM), DOCUMENT, {SAM: ["started", "cleared", "cleared"]})

        assert [one.rule for one in found] == ["started", "cleared"]

    @pytest.mark.parametrize("identity", [MARIA, MARK, TOM, INES, BEA, OLGA, CLEO])
    def test_nothing_is_held_against_others(self, identity: str) -> None:
        assert refusals(person(identity), DOCUMENT, {SAM: ["cleared"]}) == []

    def test_several_commits_are_counted(self) -> None:
        document = {
            **DOCUMENT,
            "involved": {**DOCUMENT["involved"], "authors": [{"person": ADA, "commits": ["a", "b"]}]},
        }

        assert refusals(person(ADA), document)[0].detail == "You wrote 2 commits."


class TestWhichCount:
    def test_a_signed_decision_of_a_holder_of_the_role_counts(self) -> None:
        decisions = WORLD.approved(DOCUMENT)

        assert counted(*decisions) == decisions

    @pytest.mark.parametrize(
        ("changes", "why"),
        [
            ({"evidence": "f" * 64}, "another evidence"),
            ({"policy": "f" * 64}, "another policy"),
            ({"people": "f" * 64}, "another people.yaml"),
            ({"spec": "f" * 64}, "another model.yaml"),
            ({"role": "compliance"}, "a role that the person does not hold"),
            ({"role": "auditor"}, "a role that nobody holds"),
            ({"person": "p-ffff"}, "a person who is not in people.yaml"),
            ({"format": "governance-decision/0"}, "another format"),
        ],
    )
    def test_one_that_is_bound_to_something_else_does_not(self, changes: dict[str, Any], why: str) -> None:
        assert counted(WORLD.decision(DOCUMENT, MARIA, "model_risk", **changes)) == [], why

    @pytest.mark.parametrize(("identity", "role"), INVOLVED.items())
    def test_one_by_whoever_was_involved_does_not(self, identity: str, role: str) -> None:
        assert counted(WORLD.decision(DOCUMENT, identity, role)) == []

    @pytest.mark.parametrize("part", ["answer", "person", "role", "comment", "decided_at"])
    def test_one_that_was_changed_after_it_was_signed_does_not(self, part: str) -> None:
        signed = WORLD.decision(DOCUMENT, MARIA, "model_risk", answer="reject")

        assert counted(replace(signed, decision={**signed.decision, part: "approve"})) == []

    def test_one_by_another_key_does_not(self) -> None:
        assert counted(World().decision(DOCUMENT, MARIA, "model_risk")) == []

    def test_a_signature_for_another_purpose_does_not(self) -> None:
        signed = WORLD.decision(DOCUMENT, MARIA, "model_risk")

        assert counted(replace(signed, signature=WORLD.signer.sign(signed.decision, "permit"))) == []

    @pytest.mark.parametrize("decision", [{}, {"evidence": None}, {"person": MARIA}])
    def test_something_that_is_no_decision_does_not(self, decision: dict[str, Any]) -> None:
        digest = WORLD.decision(DOCUMENT, MARIA, "model_risk").decision["evidence"]
        strange = SignedDecision({**decision, "evidence": decision.get("evidence", digest)}, "AAAA")

        assert counted(strange, *WORLD.approved(DOCUMENT)) == WORLD.approved(DOCUMENT)

    def test_only_the_first_of_a_person_counts(self) -> None:
        first = WORLD.decision(DOCUMENT, BEA, "model_risk")
        second = WORLD.decision(DOCUMENT, BEA, "compliance")

        assert counted(first, second) == [first]

    def test_a_forged_first_does_not_take_the_place_of_the_real_one(self) -> None:
        real = WORLD.decision(DOCUMENT, MARIA, "model_risk")
        forged = replace(real, signature=real.signature[::-1])

        assert counted(forged, real) == [real]


class TestEnough:
    def test_every_role_must_have_signed(self) -> None:
        maria, tom = WORLD.approved(DOCUMENT)

        assert missing_roles([], WORLD.policy) == {"model_risk": 1, "compliance": 1}
        assert missing_roles([maria], WORLD.policy) == {"compliance": 1}
        assert [status_of(given, WORLD.policy) for given in ([], [maria], [tom], [maria, tom])] == [
            "pending",
            "pending",
            "pending",
            "approved",
        ]

    def test_one_reject_ends_it(self) -> None:
        reject = WORLD.decision(DOCUMENT, INES, "compliance", "reject")

        assert status_of([*WORLD.approved(DOCUMENT), reject], WORLD.policy) == "denied"
        assert missing_roles([reject], WORLD.policy) == {"model_risk": 1, "compliance": 1}

    def test_one_role_too_many_does_not_stand_in_for_another(self) -> None:
        two = [WORLD.decision(DOCUMENT, one, "model_risk") for one in (MARIA, MARK)]

        assert status_of(two, WORLD.policy) == "pending"

    def test_a_decision_survives_json(self) -> None:
        signed = WORLD.decision(DOCUMENT, MARIA, "model_risk")

        assert SignedDecision.from_dict(signed.to_dict()) == signed


HOLDERS = {"model_risk": [DANA, ADA, MARIA, MARK, BEA], "compliance": [SAM, CLEO, TOM, INES, BEA]}
TWO = World(tier=TIER.replace("{model_risk: 1, compliance: 1}", "{model_risk: 2, compliance: 2}"), key=WORLD.key)
one_decision = st.sampled_from([(who, role) for role, people in HOLDERS.items() for who in people])


@given(st.lists(one_decision, max_size=12))
def test_approved_means_different_uninvolved_people_in_every_role(given: list[tuple[str, str]]) -> None:
    document = TWO.evidence()
    signed = [TWO.decision(document, who, role) for who, role in given]
    digest = TWO.decision(document, MARIA, "model_risk").decision["evidence"]
    counting = valid_decisions(signed, digest, document, TWO.policy, TWO.people, TWO.keys)

    people = [one.decision["person"] for one in counting]
    assert len(set(people)) == len(people)
    assert not set(people) & set(INVOLVED)
    if status_of(counting, TWO.policy) == "approved":
        for role in HOLDERS:
            assert len({one.decision["person"] for one in counting if one.decision["role"] == role}) >= 2
