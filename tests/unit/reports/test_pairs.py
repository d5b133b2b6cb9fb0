"""Which groups a comparison speaks of is found again from the rates beside it, and said."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from governance.measures.fairness import measure_fairness
from governance.records import Measurement, Outcome, RuleResult
from governance.reports import pairs


def rule_on(measurements, measure: str, attribute: str = "sex") -> RuleResult:
    (found,) = [one for one in measurements if one.name == measure and one.slice == {"attribute": attribute}]
    return RuleResult(
        "id",
        "Title",
        measure,
        found.slice,
        Outcome.BLOCK,
        found.value,
        found.low,
        found.high,
        found.n,
        "estimate",
        {},
        True,
        "",
    )


def measured(**rates: tuple[int, int]) -> list[Measurement]:
    """Measure groups of so many rows, of which so many are selected; every label is 1."""
    decisions = np.concatenate([np.arange(n) < selected for selected, n in rates.values()]).astype(int)
    groups = np.repeat(list(rates), [n for _, n in rates.values()])
    return measure_fairness(np.ones(len(decisions), dtype=int), decisions, {"sex": groups})


def test_the_two_groups_that_make_the_number_are_named_with_their_rates() -> None:
    found = measured(men=(60, 100), women=(55, 100), unknown=(35, 50))
    pair = pairs.pair_of(rule_on(found, "fairness.demographic_parity_difference"), found)
    assert pair.in_words == "women 0.550, sex unknown 0.700"
    assert pair.left_out == ()


def test_a_group_that_is_further_out_but_too_small_is_said_to_be_left_out() -> None:
    found = measured(men=(60, 100), women=(55, 100), unknown=(28, 29))
    rule = rule_on(found, "fairness.demographic_parity_difference")
    assert pairs.pair_of(rule, found).in_words == "women 0.550, men 0.600"
    assert pairs.left_out([rule], found) == ["sex unknown (selection rate 0.966, 29 rows)"]


@pytest.mark.parametrize("measure", [name for name in pairs.COMPARED if "mean_" not in name and "accuracy" not in name])
def test_every_comparison_of_decisions_finds_its_groups(measure: str) -> None:
    random = np.random.default_rng(3)
    sex = random.choice(["a", "b", "c"], 3000)
    labels = random.integers(0, 2, 3000)
    decisions = (random.random(3000) < 0.3 + 0.2 * (sex == "b") + 0.2 * labels).astype(int)
    found = measure_fairness(labels, decisions, {"sex": sex})
    assert pairs.pair_of(rule_on(found, measure), found) is not None


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(60, 90)), min_size=2, max_size=5))
def test_the_groups_named_always_give_the_number(sizes: list[tuple[int, int]]) -> None:
    found = measured(**{f"g{i}": size for i, size in enumerate(sizes)})
    rule = rule_on(found, "fairness.demographic_parity_difference")
    pair = pairs.pair_of(rule, found)
    assert pair.high.value - pair.low.value == pytest.approx(rule.value)
    assert pair.left_out == ()


def test_a_rule_that_compares_no_groups_has_none() -> None:
    found = measured(men=(60, 100), women=(55, 100))
    whole = RuleResult(
        "id", "T", "performance.accuracy", {}, Outcome.PASS, 0.9, None, None, 9, "estimate", {}, False, ""
    )
    assert pairs.pair_of(whole, found) is None
    assert pairs.pair_of(rule_on(found, "fairness.demographic_parity_difference"), []) is None
