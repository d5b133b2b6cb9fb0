"""How numbers, times and verdicts read."""

from datetime import UTC, datetime, timedelta

import pytest

from governance.records import Outcome, RuleResult, Verdict
from governance.reports import words
from governance.reports.reading import Reading
from tests.unit.plugins import example

NOW = datetime(2026, 10, 29, 12, 10, tzinfo=UTC)


def rule(**changed) -> RuleResult:
    """Return a result of the parity rule that passes with a warning."""
    given = {
        "rule": "parity",
        "title": "Parity difference",
        "measure": "fairness.demographic_parity_difference",
        "slice": {"attribute": "race"},
        "outcome": Outcome.WARN,
        "value": 0.0882,
        "low": 0.054,
        "high": 0.144,
        "n": 1989,
        "bound": "estimate",
        "limits": {"at_most": 0.10, "warn_above": 0.05},
        "stops": False,
        "reason": "",
    }
    return RuleResult(**{**given, **changed})


@pytest.mark.parametrize(
    ("measure", "value", "text"),
    [
        ("performance.accuracy", 0.8924, "0.892"),
        ("performance.accuracy_gain", -0.0151, "–0.015"),
        ("operations.latency_p99_ms", 1234.56, "1,234.6"),
        ("operations.artifact_bytes", 412300, "412,300"),
        ("provenance.uncommitted_changes", 2.0, "2"),
        ("fairness.selection_rate", None, "–"),
    ],
)
def test_a_number_has_the_decimals_of_its_kind(measure, value, text):
    assert words.number(measure, value) == text


def test_an_interval_has_both_ends_or_says_that_it_was_counted():
    assert words.interval("performance.accuracy", 0.879, 0.906) == "0.879 – 0.906"
    assert words.interval("explainability.coverage", None, None, "counted") == "counted"
    assert words.interval("operations.latency_p99_ms", None, None) == "–"


def test_a_difference_is_computed_before_rounding():
    assert words.change("performance.accuracy", 0.92358, 0.89241) == "–0.031"
    assert words.change("performance.accuracy", 0.8924, None) == "–"


@pytest.mark.parametrize(
    ("changed", "text"),
    [
        ({}, ("≤ 0.10", "warn > 0.05")),
        ({"limits": {"warn_above": 0.1}}, ("", "warn > 0.10")),
        ({"limits": {"at_least": 0.0}, "bound": "low"}, ("lower bound ≥ 0.000", "")),
        ({"limits": {"at_most": 250.0}, "measure": "operations.latency_p99_ms"}, ("≤ 250", "")),
    ],
)
def test_a_limit_names_its_side_and_the_bound_that_is_judged(changed, text):
    assert words.limit(rule(**changed)) == text


@pytest.mark.parametrize(
    ("slice_", "text"),
    [
        ({"attribute": "race × sex"}, "race × sex"),
        ({"race": "Hispanic"}, "Hispanic"),
        ({"race": "Black", "sex": "women"}, "Black women"),
        ({"sex": "unknown"}, "sex unknown"),
        ({"race": "White", "sex": "unknown"}, "White (sex unknown)"),
        ({}, ""),
    ],
)
def test_a_slice_reads_as_people_say_it(slice_, text):
    assert words.slice_words(slice_) == text


def test_times_are_short_and_what_ends_says_how_soon():
    ends = NOW + timedelta(days=6, hours=21, minutes=5)

    assert words.moment(NOW) == "29 Oct 12:10"
    assert words.moment(NOW, NOW.replace(year=2027)) == "29 Oct 2026 12:10"
    assert words.remaining(ends, NOW).replace("\u00a0", " ") == "in 6 d 21 h"
    assert words.remaining(NOW, NOW) == "over"
    assert words.ago(NOW - timedelta(hours=3, minutes=40), NOW).replace("\u00a0", " ") == "3 h ago"
    assert words.ago(NOW - timedelta(minutes=4), NOW).replace("\u00a0", " ") == "4 min ago"


def test_the_headline_is_the_result_and_what_blocks():
    blocking = rule(outcome=Outcome.BLOCK, stops=True, value=0.2033)
    missing = rule(title="ROC AUC", slice={}, value=None, outcome=Outcome.BLOCK, stops=True, reason="It is missing.")

    assert words.headline(Verdict(Outcome.PASS, (rule(outcome=Outcome.PASS),))) == "Passes."
    assert words.headline(Verdict(Outcome.WARN, (rule(),))) == "Passes, with 1 warning."
    assert words.headline(Verdict(Outcome.BLOCK, (blocking,))) == (
        "Blocked: parity difference by race 0.203 is above 0.10."
    )
    assert words.headline(Verdict(Outcome.BLOCK, (missing,))) == "Blocked: ROC AUC: it is missing."
    assert words.headline(Verdict(Outcome.BLOCK, (blocking,) * 4)).endswith("and 2 more.")


def test_the_bound_that_is_judged_is_the_one_that_is_named():
    low = rule(
        title="Gain over base rate",
        measure="performance.accuracy_gain",
        slice={},
        bound="low",
        value=0.01,
        low=-0.002,
        limits={"at_least": 0.0},
        outcome=Outcome.BLOCK,
        stops=True,
    )

    assert words.headline(Verdict(Outcome.BLOCK, (low,))) == "Blocked: gain over base rate –0.002 is below 0.000."


def test_who_is_missing_is_named():
    assert words.signed(1, 2, ["Compliance"]) == "1 of 2 signed: Compliance is missing."
    assert words.signed(0, 2, ["Model risk", "Compliance"]) == "0 of 2 signed: Model risk and Compliance are missing."
    assert words.signed(2, 2, []) == "2 of 2 signed."


def test_who_may_sign_is_named_and_nobody_is_said():
    assert words.who_may_sign(["Tom Okafor", "Ines Marchetti"]) == "Tom Okafor or Ines Marchetti may sign."
    assert words.who_may_sign(["Tom Okafor", "Ines Marchetti"], "Tom Okafor") == (
        "You may sign. So may Ines Marchetti."
    )
    assert words.who_may_sign([]).startswith("Nobody may sign in this role")


def test_a_replacement_says_what_it_fixed_and_what_it_costs():
    spans = words.replaces(Reading(example.blocked_evidence()), Reading(example.evidence()))

    assert [text for text, bold in spans if bold] == ["0.088", "0.892", "81 %"]


def test_the_search_says_what_it_left_alone():
    before, after = example.blocked_evidence(), example.evidence()
    said = words.search_summary(Reading(before), Reading(after))

    assert "only the decision threshold moved" in said
    assert "No protected attribute was used in training." in said


def test_the_search_says_by_what_its_choice_is_the_best():
    before, after = example.blocked_evidence(), example.evidence()
    tried = after["alternatives"]["tried"]
    same_model = [one for one in tried if one["family"] == "threshold"]
    after["alternatives"]["tried"] = same_model

    assert words.search_summary(Reading(before), Reading(after)).endswith(
        "9 alternatives on record, 2 within every rule; of those that rank applicants as well as the best, "
        "the one that changes the model least was chosen."
    )


def test_a_reduction_says_that_it_looked_at_a_protected_attribute():
    before, after = example.blocked_evidence(), example.evidence()
    chosen = next(one for one in after["alternatives"]["tried"] if one["chosen"])
    chosen["family"] = "reduction"

    assert "looks at a protected attribute" in words.search_summary(Reading(before), Reading(after))


def test_dropped_features_are_named():
    before, after = example.blocked_evidence(), example.evidence()
    chosen = next(one for one in after["alternatives"]["tried"] if one["chosen"])
    chosen["dropped"] = ["min30", "bd"]

    assert "Without min30 and bd." in words.search_summary(Reading(before), Reading(after))


WAIVER = {
    "digest": "d" * 64,
    "until": "2026-10-31",
    "reason": "The old system is switched off in autumn.",
    "by": [{"person": "p-c6f8", "role": "model_risk"}, {"person": "p-2b95", "role": "compliance"}],
}


def test_a_waiver_says_until_when_by_whom_and_why():
    said = words.waived(WAIVER, {"p-c6f8": "Maria Alvarez"})

    assert said == "Waived until 31 Oct 2026 by Maria Alvarez and p-2b95: The old system is switched off in autumn."


def test_a_waived_rule_is_counted_as_such_and_not_as_blocking():
    waived = rule(outcome=Outcome.BLOCK, value=0.2, waiver=WAIVER)
    verdict = Verdict(Outcome.WARN, (waived, rule(outcome=Outcome.PASS)))

    assert words.headline(verdict) == "Passes, with 1 rule waived."
    assert words.counts(verdict) == "No rule blocks; 1 of 2 pass, 1 is waived."


def test_a_verdict_without_a_judged_rule_does_not_read_as_a_pass():
    assert words.headline(Verdict(Outcome.BLOCK, (rule(outcome=Outcome.NOT_APPLICABLE),))).startswith("Blocked")


def test_a_finding_says_who_mends_what_until_when():
    said = words.finding("Explain the spike.", "p-5e2b", "2027-01-31", {"p-5e2b": "Luis Prado"})

    assert said == "Explain the spike. Luis Prado mends it until 31 Jan 2027."


@pytest.mark.parametrize(("value", "text"), [(251_179_008.0, "251,179,008"), (0.0, "0")])
def test_what_is_counted_has_no_decimals(value, text):
    measure = "operations.peak_memory_bytes" if value else "operations.known_vulnerabilities"

    assert words.number(measure, value) == text
    assert words.limit(rule(measure=measure, limits={"at_most": value}))[0] == f"≤ {text}"
