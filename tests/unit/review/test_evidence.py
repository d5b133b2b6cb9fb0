"""The evidence is pure content: the same facts, the same digest; nothing of time, place or name."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from signed_world import ADA, BAD, CODE, FACTS, GOOD, PEOPLE, POLICY, TIER, World

from governance import canonical
from governance.code import Author
from governance.errors import InputError
from governance.review.evidence import compose, digest_of

WORLD = World()
DIGEST = digest_of(WORLD.evidence())


def test_the_same_facts_have_the_same_digest_whoever_holds_the_keys() -> None:
    assert digest_of(World().evidence()) == DIGEST


@given(st.permutations(GOOD))
def test_the_order_in_which_families_were_measured_does_not_matter(measured: list) -> None:
    assert digest_of(WORLD.evidence(measured)) == DIGEST


@pytest.mark.parametrize(
    "world",
    [
        World(tier=TIER + "# x\n"),
        World(own=POLICY + "# x\n"),
        World(people_text=PEOPLE + "# x\n"),
        World(spec_text=WORLD.spec_text + "# x\n"),
    ],
    ids=["tier", "policy", "people", "spec"],
)
def test_one_byte_in_a_reviewed_file_changes_the_digest(world: World) -> None:
    assert digest_of(world.evidence()) != DIGEST


@pytest.mark.parametrize(
    "facts",
    [
        replace(FACTS, version="1.0.1"),
        replace(FACTS, attempt=2),
        replace(FACTS, registry_version=4),
        replace(FACTS, environment="staging"),
        replace(FACTS, lock={**FACTS.lock, "lock": "f" * 64}),
        replace(FACTS, data={**FACTS.data, "snapshot": "f" * 64}),
        replace(FACTS, training={**FACTS.training, "threshold": 0.4}),
        replace(FACTS, artifact={**FACTS.artifact, "manifest": "f" * 64}),
        replace(FACTS, request={**FACTS.request, "reason": "Another"}),
        replace(FACTS, started_by=ADA),
        replace(FACTS, alternatives={"tried": []}),
        replace(FACTS, replaces={"evidence": "f" * 64, "registry_version": 1}),
    ],
)
def test_every_fact_is_part_of_what_is_signed(facts: object) -> None:
    assert digest_of(WORLD.evidence(facts=facts)) != DIGEST


def test_every_measurement_and_the_code_are_part_of_what_is_signed() -> None:
    others = [
        WORLD.evidence((replace(GOOD[0], high=0.8801), *GOOD[1:])),
        WORLD.evidence(code=replace(CODE, digest="f" * 64)),
        WORLD.evidence(code=replace(CODE, uncommitted=("dags/dag.py",))),
    ]

    assert len({DIGEST, *map(digest_of, others)}) == 4


def test_the_verdict_is_that_of_the_policy() -> None:
    _, verdict = compose(FACTS, WORLD.spec, WORLD.policy, WORLD.people, CODE, BAD)

    assert not verdict.may_be_released
    assert WORLD.evidence(BAD)["verdict"] == verdict.to_dict()
    assert WORLD.evidence()["verdict"]["outcome"] == "warn"


def test_it_holds_no_name_no_e_mail_and_no_time() -> None:
    stranger = replace(CODE, authors=(*CODE.authors, Author("eve@elsewhere.example", ("7" * 40,))))
    text = json.dumps(WORLD.evidence(code=stranger))

    for person in WORLD.people.everyone:
        assert person.name not in text
        assert not any(email in text for email in person.emails)
    assert "eve@" not in text
    assert "2026" not in text


def test_an_author_nobody_knows_is_committed_to_by_the_digest_of_the_address() -> None:
    stranger = replace(CODE, authors=(Author("eve@elsewhere.example", ("7" * 40,)),))

    assert WORLD.evidence(code=stranger)["involved"]["authors"] == [
        {"email": canonical.digest("eve@elsewhere.example"), "commits": ["7" * 40]}
    ]


def test_authors_developers_and_starter_are_named_by_pseudonym() -> None:
    assert WORLD.evidence()["involved"] == {
        "started_by": "p-0051",
        "developers": ["p-00d1"],
        "authors": [{"person": ADA, "commits": ["6" * 40]}],
    }


def test_it_is_canonical_json_and_comes_back_the_same() -> None:
    document = WORLD.evidence()

    assert canonical.from_bytes(canonical.to_bytes(document)) == document
    assert canonical.digest_of_bytes(canonical.to_bytes(document)) == DIGEST


@pytest.mark.parametrize(
    ("world", "found"),
    [
        (World(own=POLICY.replace("card", "loan")), "found one of loan for high"),
        (World(own=POLICY.replace("high", "low"), tier=TIER.replace("tier: high", "tier: low")), "of card for low"),
    ],
)
def test_a_policy_of_another_model_or_of_a_lower_tier_is_refused(world: World, found: str) -> None:
    with pytest.raises(InputError, match=found):
        world.evidence()
