"""What is demanded, and how measurements are judged against it."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import assume, given
from hypothesis import strategies as st

from governance import policy as policies
from governance import yamlfile
from governance.errors import InputError
from governance.policy import Policy, Slices, judge, load_policy
from governance.policyfile import LIMITS, PolicyFile, TierFile
from governance.records import Measurement, Outcome, Verdict
from governance.settings import ROOT
from governance.yamlfile import FaultyFileError

HIGH = ROOT / "include" / "policies" / "high.yaml"
SLICES = Slices(("race", "sex"), (("race", "sex"),))


def tier_text(rules: Mapping[str, Any] | None = None, **changed: Any) -> dict[str, Any]:
    """A tier's file, with other rules or other values."""
    text = yaml.safe_load(HIGH.read_text())
    return {**text, **({"rules": dict(rules)} if rules is not None else {}), **changed}


def own_text(rules: Mapping[str, Any] | None = None, **changed: Any) -> dict[str, Any]:
    return {"model": "loan", "version": "1.0.0", "extends": "high", "rules": dict(rules or {}), **changed}


def combined(own: Mapping[str, Any], tier: Mapping[str, Any]) -> Policy:
    bodies = [yaml.safe_dump(dict(text)).encode() for text in (own, tier)]
    return policies.policy_from_bytes(*bodies)


def of_rules(rules: Mapping[str, Any], **changed: Any) -> Policy:
    """A policy whose tier has these rules and whose model adds nothing."""
    return combined(own_text(), tier_text(rules, **changed))


def refused(own: Mapping[str, Any], tier: Mapping[str, Any] | None = None) -> str:
    with pytest.raises(FaultyFileError) as caught:
        combined(own, tier or tier_text())
    return str(caught.value)


ACCURACY = {"measure": "performance.accuracy", "at_least": 0.8, "warn_below": 0.9}
PARITY = {"measure": "fairness.demographic_parity_difference", "over": "attributes", "at_most": 0.1, "warn_above": 0.05}


def accuracy(value: float | None, n: int = 1000, **more: Any) -> Measurement:
    return Measurement("performance.accuracy", value, n, **more)


def parity(attribute: str, value: float | None, n: int = 1000, **more: Any) -> Measurement:
    return Measurement(PARITY["measure"], value, n, {"attribute": attribute}, **more)


def outcomes(policy: Policy, *measurements: Measurement, slices: Slices = SLICES) -> dict[str, str]:
    verdict = judge(policy, slices, measurements, provenance=False)
    return {" ".join([rule.rule, *rule.slice.values()]): str(rule.outcome) for rule in verdict.rules}


# --- the two files -------------------------------------------------------------------------------------------------


class TestTogether:
    def test_the_loan_policy_tightens_its_tier(self) -> None:
        policy = load_policy(ROOT / "include" / "models" / "loan", ROOT / "include" / "policies")
        limits = {rule.id: dict(rule.limits) for rule in policy.rules}

        assert (limits["auc"], limits["brier"]) == ({"at_least": 0.8}, {"at_most": 0.1})
        assert limits["parity"] == {"at_most": 0.1, "warn_above": 0.05}
        assert policy.approvals.roles == {"model_risk": 1, "compliance": 1}
        assert policy.approvals.checklist[-1] == "Reasons for denial come only from features in use."

    @pytest.mark.parametrize("tier", ["high", "medium", "low"])
    def test_every_tier_can_be_extended_by_a_policy_that_adds_nothing(self, tier: str) -> None:
        own = own_text(extends=tier)
        policy = combined(own, yaml.safe_load((HIGH.parent / f"{tier}.yaml").read_text()))

        assert policy.tier == tier
        assert policy.rules

    def test_a_rule_keeps_what_the_model_does_not_say(self) -> None:
        policy = combined(own_text({"accuracy": {"at_least": 0.85}}), tier_text({"accuracy": ACCURACY}))

        assert dict(policy.rules[0].limits) == {"at_least": 0.85, "warn_below": 0.9}
        assert policy.rules[0].measure == "performance.accuracy"

    def test_a_tiers_rule_cannot_be_dropped(self) -> None:
        policy = combined(own_text({"extra": {**ACCURACY, "measure": "performance.f1"}}), tier_text({"a": ACCURACY}))

        assert [rule.id for rule in policy.rules] == ["a", "extra"]

    def test_roles_and_points_of_the_checklist_are_added_to_the_tiers(self) -> None:
        own = own_text(approvals={"roles": {"auditor": 1}, "checklist": ["One more."]})
        policy = combined(own, tier_text())

        assert policy.approvals.roles == {"model_risk": 1, "compliance": 1, "auditor": 1}
        assert policy.approvals.checklist == [*tier_text()["approvals"]["checklist"], "One more."]

    def test_monitoring_is_the_tiers_with_what_the_model_tightens_or_paces_otherwise(self) -> None:
        own = own_text(monitoring={"drifted_share": 0.05, "retrains_per_month": 12, "reference": "trailing"})
        policy = combined(own, yaml.safe_load(HIGH.read_text()))

        assert (policy.monitoring.drifted_share, policy.monitoring.severe_share) == (0.05, 0.3)
        assert (policy.monitoring.retrains_per_month, policy.monitoring.reference) == (12, "trailing")

    def test_limits_on_own_measures_are_those_of_both(self) -> None:
        tier = yaml.safe_load(HIGH.read_text())
        tier["monitoring"]["custom"] = {"tail": {"at_most": 0.2}, "gap": {"at_least": 0.5, "action": "retrain"}}
        own = own_text(monitoring={"custom": {"tail": {"at_most": 0.1}, "mine": {"at_most": 3}}})
        found = combined(own, tier).monitoring.custom
        assert {name: (one.at_most, one.at_least, one.action) for name, one in found.items()} == {
            "tail": (0.1, None, "call"), "gap": (None, 0.5, "retrain"), "mine": (3, None, "call"),
        }  # fmt: skip

    def test_limits_on_embeddings_are_those_of_both_and_no_looser_than_the_tiers(self) -> None:
        tier = yaml.safe_load(HIGH.read_text())
        tier["monitoring"]["embeddings"] = {"note": {"at_most": 0.7}}
        own = own_text(monitoring={"embeddings": {"scan": {"at_most": 0.6, "action": "retrain"}}})
        found = combined(own, tier).monitoring.embeddings
        assert {name: (one.at_most, one.action) for name, one in found.items()} == {
            "note": (0.7, "call"), "scan": (0.6, "retrain"),
        }  # fmt: skip
        with pytest.raises(InputError, match=r"`monitoring\.embeddings\.note` is looser than tier high"):
            combined(own_text(monitoring={"embeddings": {"note": {"at_most": 0.8}}}), tier)

    @pytest.mark.parametrize(
        ("limit", "told"),
        [
            ({"at_most": 0.3}, "`monitoring.custom.tail` is looser than tier high allows"),
            ({"at_least": 0.1}, "`monitoring.custom.tail` is looser"),
            ({"at_most": 0.1, "action": "retrain"}, "or asks for something else"),
            ({}, "needs `at_most` or `at_least`"),
        ],
    )
    def test_a_limit_on_an_own_measure_is_no_looser_than_the_tiers(self, limit: dict[str, Any], told: str) -> None:
        tier = yaml.safe_load(HIGH.read_text())
        tier["monitoring"]["custom"] = {"tail": {"at_most": 0.2}}
        with pytest.raises(InputError, match=told):
            combined(own_text(monitoring={"custom": {"tail": limit}}), tier)

    def test_a_tier_from_before_there_was_monitoring_is_read_with_the_defaults(self) -> None:
        assert combined(own_text(), tier_text()).monitoring.windows == 3

    def test_the_digest_is_over_every_byte_of_both_files(self) -> None:
        own, tier = (yaml.safe_dump(text).encode() for text in (own_text(), tier_text()))
        digests = {
            policies.policy_from_bytes(own, tier).digest,
            policies.policy_from_bytes(own + b"\n", tier).digest,
            policies.policy_from_bytes(own, tier + b"\n").digest,
            policies.policy_from_bytes(own + b"# x", tier).digest,
        }

        assert len(digests) == 4
        assert policies.digest_of_files(own, tier) in digests


class TestLoosening:
    """An attempt is an error that names rule, file and line."""

    @pytest.mark.parametrize(
        ("own", "told"),
        [
            ({"rules": {"auc": {"at_least": 0.6}}}, "`rules.auc.at_least: 0.6` is looser than tier high allows (0.7)"),
            ({"rules": {"brier": {"at_most": 0.3}}}, "`rules.brier.at_most: 0.3` is looser than tier high allows"),
            ({"rules": {"parity": {"warn_above": 0.08}}}, "`rules.parity.warn_above: 0.08` is looser"),
            ({"rules": {"parity": {"over": "everything"}}}, "`rules.parity.over: everything` is looser"),
            ({"rules": {"auc": {"over": "attributes"}}},
             "`rules.auc.over: attributes` is looser than tier high, which leaves it out."),
            ({"rules": {"accuracy_gain": {"of": "estimate"}}}, "`rules.accuracy_gain.of: estimate` is looser"),
            ({"rules": {"auc": {"measure": "performance.accuracy"}}}, "`rules.auc.measure: performance.accuracy` is"),
            ({"approvals": {"roles": {"compliance": 0}}}, "`approvals.roles.compliance` is 0"),
            ({"approvals": {"expire_after_days": 30}}, "`approvals.expire_after_days: 30` is looser"),
            ({"permit": {"valid_days": 9999}}, "`permit.valid_days: 9999` is looser"),
            ({"permit": {"when_expired": "serve_and_alert"}}, "`permit.when_expired: serve_and_alert` is looser"),
            ({"not_enough_data": "reported"}, "`not_enough_data: reported` is looser"),
            ({"minimum_n": 100}, "`minimum_n: 100` is looser"),
            ({"uncommitted_changes": "warn"}, "`uncommitted_changes: warn` is looser"),
            ({"unknown_authors": "warn"}, "`unknown_authors: warn` is looser"),
            ({"monitoring": {"windows": 5}}, "`monitoring.windows: 5` is looser than tier high allows (3)"),
            ({"monitoring": {"refused_share": 0.5}}, "`monitoring.refused_share: 0.5` is looser"),
            ({"monitoring": {"parity_difference": 0.2}}, "`monitoring.parity_difference: 0.2` is looser"),
            ({"monitoring": {"severe_share": 0.05}}, "`monitoring.severe_share: 0.05` is below `drifted_share: 0.1`"),
            (
                {"alternatives": {"search": True, "never_with_protected_attributes": False, "legal_reason": "Yes."}},
                "`alternatives.never_with_protected_attributes: False` is looser",
            ),
            (
                {"alternatives": {"search": False, "never_with_protected_attributes": True}},
                "`alternatives.search: False` is looser",
            ),
        ],
    )  # fmt: skip
    def test_it_is_refused(self, own: dict[str, Any], told: str) -> None:
        assert told in refused(own_text(**own) if "rules" not in own else own_text(own["rules"]))

    def test_fewer_signatures_than_the_tier_demands_are_refused(self) -> None:
        tier = tier_text()
        tier["approvals"]["roles"]["model_risk"] = 2

        assert "1 × `model_risk` is looser than the tier." in refused(
            own_text(approvals={"roles": {"model_risk": 1}}), tier
        )

    def test_the_line_is_named(self, tmp_path: Path) -> None:
        (tmp_path / "policy.yaml").write_text(
            "model: loan\nversion: 1.0.0\nextends: high\nrules:\n  auc:\n    at_least: 0.6\n"
        )

        with pytest.raises(FaultyFileError, match=r"policy\.yaml:6: `rules\.auc\.at_least: 0\.6` is looser"):
            load_policy(tmp_path, HIGH.parent)


class TestRulesThatCouldJudgeNothing:
    @pytest.mark.parametrize(
        ("rule", "told"),
        [
            ({"at_least": 0.5}, "Rule `new` names no measure."),
            ({"measure": "performance.f1"}, "Rule `new` has no limit: it would pass whatever is measured."),
            ({"measure": "fairness.accuracy", "over": "groups", "at_least": 0.5}, "has a limit over groups"),
            ({"measure": "performance.f1", "at_most": 0.5, "warn_above": 0.6}, "would warn above 0.6 but blocks above"),
            (
                {"measure": "performance.f1", "at_least": 0.5, "warn_below": 0.4},
                "would warn below 0.4 but blocks below",
            ),
            ({"measure": "performance.f1", "at_least": float("nan")}, "`rules.new.at_least` is nan."),
            ({"measure": "performance.f1", "at_most": float("inf")}, "`rules.new.at_most` is inf."),
        ],
    )
    def test_they_are_refused_in_the_models_policy_and_in_the_tiers(self, rule: dict[str, Any], told: str) -> None:
        assert told in refused(own_text({"new": rule}))
        assert told in refused(own_text(), tier_text({"new": rule}))

    def test_a_tier_without_rules_or_without_signatures_is_refused(self) -> None:
        assert "`rules` is {}" in refused(own_text(), tier_text({}))
        assert "`approvals.roles` is {}" in refused(
            own_text(), tier_text(approvals={"roles": {}, "expire_after_days": 7})
        )

    def test_protected_attributes_in_training_need_a_legal_reason(self) -> None:
        tier = tier_text(alternatives={"search": True, "never_with_protected_attributes": False})

        assert "needs a `legal_reason`" in refused(own_text(), tier)

    def test_another_tiers_file_is_refused(self) -> None:
        assert "extends high, but this file says `tier: low`" in refused(own_text(), tier_text(tier="low"))


# --- loosening and tightening, whatever the numbers ----------------------------------------------------------------

numbers = st.floats(min_value=-1e6, max_value=1e6, allow_nan=False).map(lambda number: round(number, 6))


def with_limit(limit: str, floor: float, mine: float) -> tuple[dict[str, Any], dict[str, Any]]:
    tier = tier_text({"rule": {"measure": "performance.f1", limit: floor}})
    return own_text({"rule": {limit: mine}}), tier


@given(st.sampled_from(LIMITS), numbers, numbers)
def test_a_tighter_limit_is_never_refused_and_a_looser_one_always(limit: str, floor: float, mine: float) -> None:
    is_floor = limit in ("at_least", "warn_below")
    own, tier = with_limit(limit, floor, mine)

    if mine >= floor if is_floor else mine <= floor:
        assert dict(combined(own, tier).rules[0].limits) == {limit: mine}
    else:
        assert f"`rules.rule.{limit}: {mine}` is looser" in refused(own, tier)


@given(
    st.sampled_from(["expire_after_days", "valid_days", "minimum_n"]),
    st.integers(min_value=1, max_value=10_000),
    st.integers(min_value=1, max_value=10_000),
)
def test_shorter_times_and_smaller_groups_are_tighter(name: str, floor: int, mine: int) -> None:
    tier, own = tier_text(), own_text()
    part = {"expire_after_days": "approvals", "valid_days": "permit"}.get(name)
    (tier[part] if part else tier)[name] = floor
    (own.setdefault(part, {}) if part else own)[name] = mine

    if mine <= floor:
        policy = combined(own, tier)
        assert mine in (policy.approvals.expire_after_days, policy.permit.valid_days, policy.minimum_n)
    else:
        assert "is looser" in refused(own, tier)


# --- judging -------------------------------------------------------------------------------------------------------


class TestOneRule:
    @pytest.mark.parametrize(
        ("value", "outcome"),
        [(0.79, "block"), (0.80, "warn"), (0.89, "warn"), (0.90, "pass"), (1.0, "pass"), (0.0, "block")],
    )
    def test_a_floor_blocks_below_and_warns_below(self, value: float, outcome: str) -> None:
        assert outcomes(of_rules({"accuracy": ACCURACY}), accuracy(value)) == {"accuracy": outcome}

    @pytest.mark.parametrize(("value", "outcome"), [(0.11, "block"), (0.10, "warn"), (0.06, "warn"), (0.05, "pass")])
    def test_a_ceiling_blocks_above_and_warns_above(self, value: float, outcome: str) -> None:
        found = outcomes(of_rules({"parity": PARITY}), parity("race", value), parity("sex", 0.0))

        assert found == {"parity race": outcome, "parity sex": "pass"}

    @pytest.mark.parametrize(("of", "outcome"), [("estimate", "pass"), ("low", "block"), ("high", "pass")])
    def test_a_bound_is_judged_where_the_rule_names_one(self, of: str, outcome: str) -> None:
        policy = of_rules({"accuracy": {**ACCURACY, "of": of}})

        assert outcomes(policy, accuracy(0.95, low=0.79, high=0.99)) == {"accuracy": outcome}

    def test_a_bound_that_is_missing_blocks(self) -> None:
        assert outcomes(of_rules({"a": {**ACCURACY, "of": "low"}}), accuracy(0.95)) == {"a": "block"}

    def test_a_missing_measurement_blocks(self) -> None:
        verdict = judge(of_rules({"accuracy": ACCURACY}), SLICES, [], provenance=False)

        assert (verdict.outcome, verdict.rules[0].reason) == (Outcome.BLOCK, "The measurement is missing.")
        assert not verdict.may_be_released

    def test_what_could_not_be_measured_blocks_however_few_rows_there_were(self) -> None:
        for n in (0, 29, 1000):
            assert outcomes(of_rules({"a": ACCURACY}), accuracy(None, n, reason="it fell over")) == {"a": "block"}

    def test_two_answers_to_one_question_block(self) -> None:
        policy = of_rules({"a": ACCURACY})

        assert outcomes(policy, accuracy(0.95), accuracy(0.96)) == {"a": "block"}
        assert outcomes(policy, accuracy(0.95), accuracy(0.95)) == {"a": "pass"}

    def test_too_few_rows_are_not_enough_data(self) -> None:
        policy = of_rules({"a": ACCURACY})

        assert outcomes(policy, accuracy(0.95, 29)) == {"a": "not enough data"}
        assert outcomes(policy, accuracy(0.95, 30)) == {"a": "pass"}
        assert outcomes(policy, accuracy(None, 500, reason="not enough data: one group")) == {"a": "not enough data"}

    def test_what_is_counted_needs_no_rows(self) -> None:
        assert outcomes(of_rules({"a": ACCURACY}), accuracy(0.95, 1, method="counted")) == {"a": "pass"}


class TestSlices:
    def test_a_rule_over_attributes_judges_each_and_misses_none(self) -> None:
        found = outcomes(of_rules({"parity": PARITY}), parity("race", 0.01))

        assert found == {"parity race": "pass", "parity sex": "block"}

    def test_a_rule_over_attributes_blocks_where_no_attribute_is_named(self) -> None:
        verdict = judge(of_rules({"parity": PARITY}), Slices((), ()), [], provenance=False)

        assert (verdict.outcome, verdict.may_be_released) == (Outcome.BLOCK, False)
        assert "No protected attribute is named" in verdict.rules[0].reason

    def test_a_rule_over_intersections_judges_each(self) -> None:
        policy = of_rules({"crossed": {**PARITY, "over": "intersections"}})

        assert outcomes(policy, parity("race × sex", 0.2)) == {"crossed race × sex": "block"}

    def test_small_groups_are_reported_and_stop_nothing(self) -> None:
        rules = {"a": ACCURACY, "groups": {"measure": "fairness.selection_rate", "over": "groups"}}
        rates = [
            Measurement("fairness.selection_rate", 0.5, 29, {"race": "Hispanic"}),
            Measurement("fairness.selection_rate", 0.5, 30, {"race": "Black"}),
            Measurement("fairness.selection_rate", 0.5, 3, {"race": "Black", "sex": "women"}),
            Measurement("fairness.selection_rate", 0.5, 3, {"region": "north"}),
        ]
        verdict = judge(of_rules(rules), SLICES, [accuracy(0.95), *rates], provenance=False)

        small = [dict(rule.slice) for rule in verdict.with_outcome(Outcome.NOT_ENOUGH_DATA)]
        assert small == [{"race": "Hispanic"}, {"race": "Black", "sex": "women"}]
        assert (verdict.outcome, verdict.may_be_released) == (Outcome.PASS, True)


class TestTheWhole:
    def test_the_worst_rule_decides_and_comes_first(self) -> None:
        policy = of_rules({"a": ACCURACY, "parity": PARITY})
        verdict = judge(policy, SLICES, [accuracy(0.85), parity("race", 0.2), parity("sex", 0.0)], provenance=False)

        assert [str(rule.outcome) for rule in verdict.rules] == ["block", "warn", "pass"]
        assert verdict.outcome is Outcome.BLOCK
        assert [rule.slice for rule in verdict.failing()] == [{"attribute": "race"}]

    @pytest.mark.parametrize(("word", "stops"), [("stops", True), ("reported", False)])
    def test_whether_not_enough_data_stops_is_the_tiers_word(self, word: str, stops: bool) -> None:
        verdict = judge(of_rules({"a": ACCURACY}, not_enough_data=word), SLICES, [accuracy(0.95, 5)], provenance=False)

        assert verdict.may_be_released is not stops

    def test_not_enough_data_on_an_intersection_is_reported_only(self) -> None:
        rules = {"a": ACCURACY, "crossed": {**PARITY, "over": "intersections"}}
        verdict = judge(of_rules(rules), SLICES, [accuracy(0.95), parity("race × sex", 0.01, 9)], provenance=False)

        assert (verdict.outcome, verdict.may_be_released) == (Outcome.PASS, True)

    @pytest.mark.parametrize(("severity", "outcome"), [("block", "block"), ("warn", "warn")])
    def test_provenance_is_judged_by_every_policy(self, severity: str, outcome: str) -> None:
        policy = of_rules({"a": ACCURACY}, uncommitted_changes=severity, unknown_authors=severity)
        measured = [
            accuracy(0.95),
            Measurement("provenance.uncommitted_changes", 1, 1, method="counted"),
            Measurement("provenance.unknown_authors", 0, 3, method="counted"),
            Measurement("provenance.overdue_findings", 0, 0, method="counted"),
        ]

        assert str(judge(policy, SLICES, measured).outcome) == outcome
        assert str(judge(policy, SLICES, measured, provenance=False).outcome) == "pass"

    def test_missing_provenance_blocks(self) -> None:
        assert judge(of_rules({"a": ACCURACY}), SLICES, [accuracy(0.95)]).outcome is Outcome.BLOCK

    def test_a_verdict_survives_json(self) -> None:
        verdict = judge(of_rules({"a": ACCURACY, "p": PARITY}), SLICES, [accuracy(0.95), parity("race", 0.07)])

        assert Verdict.from_dict(verdict.to_dict()) == verdict


# --- judging, whatever is measured ---------------------------------------------------------------------------------

RANK = {word: rank for rank, word in enumerate(["pass", "warn", "not enough data", "block"])}
RULES = {
    "accuracy": ACCURACY,
    "gain": {"measure": "performance.accuracy_gain", "at_least": 0.0, "of": "low"},
    "brier": {"measure": "performance.brier_score", "at_most": 0.2, "warn_above": 0.1},
    "parity": PARITY,
}
POLICY = of_rules(RULES)
FLOORS = ("performance.accuracy", "performance.accuracy_gain")

shares = st.floats(min_value=0, max_value=1)
sizes = st.integers(min_value=0, max_value=100)


@st.composite
def measured_sets(draw: st.DrawFn) -> list[Measurement]:
    """One measurement for every rule and slice, each with an interval around it."""
    found = []
    for name, slice_ in [
        ("performance.accuracy", {}),
        ("performance.accuracy_gain", {}),
        ("performance.brier_score", {}),
        (PARITY["measure"], {"attribute": "race"}),
        (PARITY["measure"], {"attribute": "sex"}),
    ]:
        low, value, high = sorted(draw(st.tuples(shares, shares, shares)))
        found.append(Measurement(name, value, draw(sizes), slice_, low, high))
    return found


def whole(measurements: list[Measurement]) -> Verdict:
    return judge(POLICY, SLICES, measurements, provenance=False)


@given(measured_sets(), st.randoms())
def test_the_order_of_measurements_never_matters(measured: list[Measurement], random: Any) -> None:
    shuffled = list(measured)
    random.shuffle(shuffled)

    assert whole(shuffled) == whole(measured)


@given(measured_sets(), st.integers(0, 4), shares)
def test_making_a_measurement_worse_never_improves_the_verdict(
    measured: list[Measurement], which: int, by: float
) -> None:
    one = measured[which]
    step = -by if one.name in FLOORS else by
    worse = replace(one, value=one.value + step, low=one.low + step, high=one.high + step)
    changed = [worse if index == which else other for index, other in enumerate(measured)]

    before, after = whole(measured), whole(changed)

    assert RANK[str(after.outcome)] >= RANK[str(before.outcome)]
    assert before.may_be_released or not after.may_be_released


@given(measured_sets(), st.integers(0, 4))
def test_a_missing_measurement_always_blocks(measured: list[Measurement], which: int) -> None:
    verdict = whole([one for index, one in enumerate(measured) if index != which])

    assert (verdict.outcome, verdict.may_be_released) == (Outcome.BLOCK, False)


@given(measured_sets(), st.integers(0, 4), st.text(min_size=1))
def test_a_measurement_without_a_value_never_lets_a_version_through(
    measured: list[Measurement], which: int, reason: str
) -> None:
    absent = replace(measured[which], value=None, low=None, high=None, reason=reason)

    assert not whole([absent if index == which else one for index, one in enumerate(measured)]).may_be_released


@given(measured_sets(), st.sampled_from(["nan", "inf", "-inf"]), st.integers(0, 4))
def test_what_is_not_a_number_never_passes(measured: list[Measurement], number: str, which: int) -> None:
    strange = replace(measured[which], value=float(number), low=float(number), high=float(number))

    assert not whole([strange if index == which else one for index, one in enumerate(measured)]).may_be_released


@given(measured_sets(), st.text(min_size=1, max_size=20), shares)
def test_what_no_rule_speaks_of_changes_nothing(measured: list[Measurement], name: str, value: float) -> None:
    assume(name not in {one.name for one in measured})

    assert whole([*measured, Measurement(name, value, 100)]) == whole(measured)


@given(measured_sets())
def test_tightening_a_policy_never_lets_more_through(measured: list[Measurement]) -> None:
    tighter = combined(
        own_text({"accuracy": {"at_least": 0.9, "warn_below": 0.95}, "parity": {"at_most": 0.06}}), tier_text(RULES)
    )
    strict = judge(tighter, SLICES, measured, provenance=False)

    assert RANK[str(strict.outcome)] >= RANK[str(whole(measured).outcome)]


def test_a_policy_is_read_from_files_as_from_their_bytes() -> None:
    folder = ROOT / "include" / "models" / "loan"
    read = load_policy(folder, HIGH.parent)
    rebuilt = policies.policy_from_bytes((folder / "policy.yaml").read_bytes(), HIGH.read_bytes())

    assert (rebuilt.digest, rebuilt.rules, rebuilt.approvals) == (read.digest, read.rules, read.approvals)
    assert yamlfile.read(HIGH, TierFile).content.tier == "high"
    assert yamlfile.read(folder / "policy.yaml", PolicyFile).content.model == "loan"
