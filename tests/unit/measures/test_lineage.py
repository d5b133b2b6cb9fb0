"""Lineage measured and judged: what is missing is named, and nothing missing passes."""

from pathlib import Path

import pytest

from governance.lineage.trace import Marked, Trace
from governance.measures.lineage import measure_lineage, no_pipeline
from governance.policy import Slices, judge, load_policy
from governance.records import Outcome

INCLUDE = Path(__file__).parents[3] / "include"
MISSING = "No task says that it wrote loan/snapshot 16a0eeb0. govern_loan.train read it."
MODELS = {"high": "loan", "medium": "wage", "low": "digits"}


def judged(tier, measured):
    """Return the outcomes and reasons of a tier's rules about lineage."""
    policy = load_policy(INCLUDE / "models" / MODELS[tier], INCLUDE / "policies")
    verdict = judge(policy, Slices((), ()), measured, provenance=False)
    return {one.rule: (one.outcome, one.reason) for one in verdict.rules if one.measure.startswith("lineage.")}


@pytest.mark.parametrize("tier", MODELS)
class TestEveryTier:
    def test_lets_a_whole_lineage_pass(self, tier):
        found = judged(tier, measure_lineage(Trace(links=64)))
        assert {outcome for outcome, _ in found.values()} == {Outcome.PASS}

    def test_blocks_one_missing_link_and_names_it(self, tier):
        found = judged(tier, measure_lineage(Trace(links=1000, missing=(MISSING,), broken=1)))
        assert found["lineage"] == (Outcome.BLOCK, f"0.999 is below 1. {MISSING}")

    def test_blocks_where_nothing_is_known(self, tier):
        assert judged(tier, measure_lineage(Trace(links=0)))["lineage"][0] is Outcome.BLOCK
        assert {outcome for outcome, _ in judged(tier, []).values()} == {Outcome.BLOCK}

    def test_blocks_an_identifier_under_another_name(self, tier):
        trace = Trace(links=9, identifiers=(Marked("score", "ssn of s3://lake people"),))
        outcome, reason = judged(tier, measure_lineage(trace))["identifiers"]
        assert (outcome, "score comes from ssn of s3://lake people." in reason) == (Outcome.BLOCK, True)

    def test_blocks_personal_data_of_another_purpose(self, tier):
        marked = Marked("income", "income of s3://lake people", "declared for marketing, used for credit decisioning")
        outcome, reason = judged(tier, measure_lineage(Trace(links=9, unpurposed=(marked,))))["purposes"]
        assert (outcome, "declared for marketing" in reason) == (Outcome.BLOCK, True)

    def test_grants_by_name_that_no_pipeline_ran(self, tier):
        assert {outcome for outcome, _ in judged(tier, no_pipeline()).values()} == {Outcome.NOT_APPLICABLE}
