"""What may be silent, what gives way, and what no exception ever lets through."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any, get_args

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from governance import policy as policies
from governance.policy import ANSWERS, Policy, Slices, judge
from governance.policyfile import Condition, covers
from governance.records import Measurement, Outcome, RuleResult, Verdict, Waiver
from governance.settings import ROOT
from governance.yamlfile import FaultyFileError

CONDITIONS = get_args(Condition)
NOW = datetime(2026, 3, 3, 14, 0, tzinfo=UTC)
TIERS = ROOT / "include" / "policies"

ACCURACY = {"measure": "performance.accuracy", "at_least": 0.8, "warn_below": 0.9}
DRIFT = {"measure": "drift.largest_ks", "at_most": 0.2}
PARITY = {"measure": "fairness.demographic_parity_difference", "over": "attributes", "at_most": 0.1}
CROSSED = {**PARITY, "over": "intersections"}
ERROR = {"measure": "performance.error_gain", "at_least": 0.0, "of": "low", "tasks": ["regression"]}
CODE = {"rego": "rules/own.rego"}


def combined(own: Mapping[str, Any] | None = None, **tier: Any) -> Policy:
    text = {**yaml.safe_load((TIERS / "high.yaml").read_text()), "not_applicable": {}, **tier}
    mine = {"model": "card", "version": "1.0.0", "extends": "high", **(own or {})}
    return policies.policy_from_bytes(yaml.safe_dump(mine).encode(), yaml.safe_dump(text).encode())


def refused(own: Mapping[str, Any], **tier: Any) -> str:
    with pytest.raises(FaultyFileError) as caught:
        combined(own, **tier)
    return str(caught.value)


def of_rules(rules: Mapping[str, Any], **tier: Any) -> Policy:
    return combined(rules=dict(rules), **tier)


def verdict(policy: Policy, *measured: Measurement, slices: Slices | None = None, **more: Any) -> Verdict:
    return judge(policy, slices or Slices((), ()), measured, provenance=False, **more)


def only(policy: Policy, *measured: Measurement, slices: Slices | None = None, **more: Any) -> RuleResult:
    (result,) = verdict(policy, *measured, slices=slices, **more).rules
    return result


def silent(name: str, reason: str, n: int = 1000, **slice_: str) -> Measurement:
    return Measurement(name, None, n, slice_, reason=reason)


def waiver(policy: Policy, of: str, *, until: date = date(2026, 4, 1), **changed: Any) -> Waiver:
    found = policy.rule(of)
    assert found
    given_ = {
        "digest": "d" * 64,
        "rule": of,
        "slice": None,
        "demands": found.demands,
        "reason": "The old system is switched off in March.",
        "until": until,
        "by": ({"person": "p-00e1", "role": "model_risk"},),
    }
    return Waiver(**{**given_, **changed})


# --- which rules speak ---------------------------------------------------------------------------------------------


class TestTasks:
    def test_a_rule_for_another_task_is_no_part_of_the_verdict(self) -> None:
        policy = of_rules({"accuracy": ACCURACY, "error": ERROR})
        good = Measurement("performance.accuracy", 0.95, 1000)

        assert [rule.rule for rule in verdict(policy, good).rules] == ["accuracy"]

    def test_a_rule_that_names_no_task_speaks_of_all(self) -> None:
        policy = of_rules({"accuracy": ACCURACY, "error": ERROR})
        slices = Slices((), (), "regression")

        assert {rule.rule for rule in verdict(policy, slices=slices).rules} == {"accuracy", "error"}

    def test_without_any_rule_for_the_task_nothing_passes(self) -> None:
        found = verdict(of_rules({"error": ERROR}), slices=Slices((), (), "binary_classification"))

        assert (found.outcome, found.may_be_released) == (Outcome.BLOCK, False)

    def test_a_model_may_widen_the_tasks_of_a_rule_but_not_narrow_them(self) -> None:
        wider = {"rules": {"error": {"tasks": ["regression", "multiclass_classification"]}}}
        assert len(combined(wider, rules={"error": ERROR}).rules[0].tasks) == 2

        narrow = {"rules": {"accuracy": {"tasks": ["regression"]}}}
        assert "`rules.accuracy.tasks: ['regression']` is looser" in refused(narrow, rules={"accuracy": ACCURACY})


# --- not applicable ------------------------------------------------------------------------------------------------

NO_CHAMPION = silent("drift.largest_ks", "not applicable: no champion: nothing was released yet.", 0)
GRANT = {"no champion": ["drift.*"]}


class TestNotApplicable:
    def test_it_needs_the_tiers_grant_of_this_condition_for_this_measure(self) -> None:
        granted = only(of_rules({"ks": DRIFT}, not_applicable=GRANT), NO_CHAMPION)

        assert (granted.outcome, granted.stops) == (Outcome.NOT_APPLICABLE, False)
        assert granted.reason == "not applicable: no champion: nothing was released yet."

    @pytest.mark.parametrize(
        "grants",
        [{}, {"no champion": []}, {"no champion": ["performance.*"]}, {"no vulnerability database": ["drift.*"]}],
        ids=["none", "empty", "another measure", "another condition"],
    )
    def test_without_it_the_rule_blocks(self, grants: dict[str, list[str]]) -> None:
        result = only(of_rules({"ks": DRIFT}, not_applicable=grants), NO_CHAMPION)

        assert (result.outcome, result.stops) == (Outcome.BLOCK, True)
        assert "The policy grants no such exception for drift.largest_ks." in result.reason

    @pytest.mark.parametrize(
        "reason",
        ["no champion", "not applicable", "not applicable: no champions: x", "not applicable: because", "NaN"],
    )
    def test_any_other_reason_blocks_under_every_grant(self, reason: str) -> None:
        everything = {one: ["drift.*"] for one in CONDITIONS}

        assert only(of_rules({"ks": DRIFT}, not_applicable=everything), silent("drift.largest_ks", reason)).stops

    def test_a_number_beside_the_reason_is_judged(self) -> None:
        measured = Measurement("drift.largest_ks", 0.9, 1000, reason="not applicable: no champion: so it says")

        assert only(of_rules({"ks": DRIFT}, not_applicable=GRANT), measured).outcome is Outcome.BLOCK

    @pytest.mark.parametrize(
        ("condition", "slices"),
        [
            ("no persons", Slices((), ())),
            ("not trained here", Slices((), ())),
            ("not a classifier", Slices((), ())),
        ],
    )
    def test_a_condition_that_the_spec_denies_is_no_excuse(self, condition: str, slices: Slices) -> None:
        policy = of_rules({"ks": DRIFT}, not_applicable={condition: ["drift.*"]})

        assert only(policy, silent("drift.largest_ks", f"not applicable: {condition}: so it says"), slices=slices).stops

    def test_a_model_may_take_grants_away(self) -> None:
        policy = combined({"not_applicable": {"no champion": []}}, rules={"ks": DRIFT}, not_applicable=GRANT)

        assert only(policy, NO_CHAMPION).outcome is Outcome.BLOCK

    def test_a_model_may_grant_less_than_a_family(self) -> None:
        own = {"not_applicable": {"no champion": ["drift.largest_ks"]}}

        assert only(combined(own, rules={"ks": DRIFT}, not_applicable=GRANT), NO_CHAMPION).stops is False

    @pytest.mark.parametrize(
        ("condition", "measure"),
        [("no champion", "performance.accuracy"), ("no persons", "drift.largest_ks"), ("no champion", "drift.x.*")],
    )
    def test_a_model_may_grant_nothing(self, condition: str, measure: str) -> None:
        own = {"not_applicable": {condition: [measure]}}

        assert "is looser than tier high" in refused(own, rules={"ks": DRIFT}, not_applicable=GRANT)

    def test_what_nobody_knows_as_a_condition_is_no_condition(self) -> None:
        assert "Unknown key `we are in a hurry` in `not_applicable`." in refused(
            {"not_applicable": {"we are in a hurry": ["drift.*"]}}
        )

    def test_where_nothing_but_exceptions_is_left_nothing_passes(self) -> None:
        found = verdict(of_rules({"ks": DRIFT}, not_applicable=GRANT), NO_CHAMPION)

        assert (found.outcome, found.may_be_released) == (Outcome.BLOCK, False)


class TestNoPersons:
    SLICES = Slices((), (), no_persons="Pictures of digits, of nobody in particular.")

    @pytest.mark.parametrize("rule", [PARITY, CROSSED], ids=["attributes", "intersections"])
    def test_rules_over_attributes_are_silent_only_where_the_tier_grants_it(self, rule: dict[str, Any]) -> None:
        granted = of_rules({"parity": rule}, not_applicable={"no persons": ["fairness.*"]})

        assert only(granted, slices=self.SLICES).outcome is Outcome.NOT_APPLICABLE
        assert only(granted, slices=self.SLICES).reason.startswith("not applicable: no persons: Pictures of digits")
        assert only(of_rules({"parity": rule}), slices=self.SLICES).outcome is Outcome.BLOCK

    @pytest.mark.parametrize("rule", [PARITY, CROSSED], ids=["attributes", "intersections"])
    def test_a_model_that_only_forgot_its_attributes_is_blocked(self, rule: dict[str, Any]) -> None:
        granted = of_rules({"parity": rule}, not_applicable={"no persons": ["fairness.*"]})

        assert only(granted, slices=Slices((), ())).outcome is Outcome.BLOCK

    def test_the_high_tier_grants_it_to_nobody_and_the_others_do(self) -> None:
        grants = {tier: yaml.safe_load((TIERS / f"{tier}.yaml").read_text())["not_applicable"] for tier in TIER_NAMES}

        assert {tier: "fairness.*" in found.get("no persons", []) for tier, found in grants.items()} == {
            "high": False,
            "medium": True,
            "low": True,
        }


TIER_NAMES = ("high", "medium", "low")


# --- rules that are code -------------------------------------------------------------------------------------------


def answered(value: float | None, reason: str | None = "It says so.") -> Measurement:
    return Measurement("rule.own", value, 12, method="rego " + "a" * 64, reason=reason)


class TestCode:
    @pytest.mark.parametrize("value", [1.0, 0.5, 0.0])
    def test_the_recorded_answer_is_the_outcome(self, value: float) -> None:
        result = only(of_rules({"own": CODE}), answered(value))

        assert (result.outcome, result.reason, result.measure) == (ANSWERS[value], "It says so.", "rule.own")
        assert result.stops is (value == 0.0)

    @given(st.one_of(st.none(), st.floats(allow_nan=True).filter(lambda x: x not in ANSWERS)))
    def test_anything_else_blocks(self, value: float | None) -> None:
        result = only(of_rules({"own": CODE}), answered(value))

        assert (result.outcome, result.stops) == (Outcome.BLOCK, True)
        assert result.reason.startswith("The rule gave no answer")

    @pytest.mark.parametrize("reason", ["not enough data: 3 rows", "not applicable: no champion: x", None, ""])
    def test_a_failure_has_no_excuse(self, reason: str | None) -> None:
        everything = {one: ["rule.*"] for one in CONDITIONS}
        policy = of_rules({"own": CODE}, not_applicable=everything, not_enough_data="reported")
        measured = [answered(None, reason)] if reason else [answered(1.0, reason)]

        assert only(policy, *measured).stops

    def test_one_that_was_not_run_blocks(self) -> None:
        assert only(of_rules({"own": CODE})).reason == "The rule was not run."

    def test_two_answers_are_none(self) -> None:
        assert only(of_rules({"own": CODE}), answered(1.0), answered(0.5)).stops

    @pytest.mark.parametrize(
        ("rule", "told"),
        [
            ({**CODE, "measure": "performance.f1"}, "names both `rego` and `measure`"),
            ({**CODE, "at_least": 0.5}, "names both `rego` and `at_least`"),
            ({**CODE, "python": "rules.py:own"}, "names both `rego` and `python`"),
            ({"measure": "performance.f1", "at_least": 0.5, "seconds": 3}, "`seconds` is for rules that are code"),
            ({"rego": "../secrets.rego"}, "rego"),
            ({"rego": "/etc/own.rego"}, "rego"),
            ({"python": "rules.py"}, "python"),
            ({**CODE, "seconds": 600}, "seconds"),
        ],
    )
    def test_a_rule_that_contradicts_itself_is_refused(self, rule: dict[str, Any], told: str) -> None:
        assert told in refused({"rules": {"own": rule}})

    def test_a_tier_has_no_python(self) -> None:
        rules = {"own": {"python": "rules.py:own"}}

        assert "names a Python function" in refused({}, rules=rules)

    def test_a_model_may_give_a_tiers_rule_less_time_and_no_other_file(self) -> None:
        tier = {"own": {**CODE, "seconds": 3}}

        assert combined({"rules": {"own": {"seconds": 1}}}, rules=tier).rules[0].code.seconds == 1
        assert "`rules.own.seconds: 9` is looser" in refused({"rules": {"own": {"seconds": 9}}}, rules=tier)
        assert "`rules.own.rego: other.rego` is looser" in refused(
            {"rules": {"own": {"rego": "other.rego"}}}, rules=tier
        )
        assert "names both `rego` and `measure`" in refused({"rules": {"own": ACCURACY}}, rules=tier)


# --- waivers -------------------------------------------------------------------------------------------------------

WAIVABLE = {"longest_days": 90, "never": ["provenance.*"]}
BAD = Measurement("performance.accuracy", 0.7, 1000)


class TestWaiver:
    POLICY = of_rules({"accuracy": ACCURACY}, waivers=WAIVABLE)

    def test_it_lets_a_release_through_and_changes_nothing_else(self) -> None:
        found = verdict(self.POLICY, BAD, waivers=[waiver(self.POLICY, "accuracy")], at=NOW)
        (rule,) = found.rules

        assert (rule.outcome, rule.stops, rule.reason) == (Outcome.BLOCK, False, "0.700 is below 0.8.")
        assert rule.waiver == waiver(self.POLICY, "accuracy").to_dict()
        assert (found.outcome, found.may_be_released) == (Outcome.WARN, True)

    def test_a_verdict_with_one_reads_back_as_it_was(self) -> None:
        found = verdict(self.POLICY, BAD, waivers=[waiver(self.POLICY, "accuracy")], at=NOW)

        assert Verdict.from_dict(found.to_dict()) == found

    def test_a_verdict_without_one_is_written_as_it_always_was(self) -> None:
        assert "waiver" not in verdict(self.POLICY, BAD).to_dict()["rules"][0]

    def test_its_last_day_counts_whole(self) -> None:
        one = waiver(self.POLICY, "accuracy", until=NOW.date())
        late = datetime(2026, 3, 3, 23, 59, 59, tzinfo=UTC)

        assert verdict(self.POLICY, BAD, waivers=[one], at=late).may_be_released
        assert not verdict(self.POLICY, BAD, waivers=[one], at=late + timedelta(seconds=1)).may_be_released

    @given(st.dates(date(2000, 1, 1), date(2100, 1, 1)), st.timedeltas(timedelta(0), timedelta(days=9999)))
    def test_one_that_has_ended_never_counts(self, until: date, later: timedelta) -> None:
        one = waiver(self.POLICY, "accuracy", until=until)
        found = verdict(self.POLICY, BAD, waivers=[one], at=one.ends + later)

        assert (found.outcome, found.may_be_released) == (Outcome.BLOCK, False)

    def test_without_a_moment_none_counts(self) -> None:
        assert not verdict(self.POLICY, BAD, waivers=[waiver(self.POLICY, "accuracy")]).may_be_released

    @pytest.mark.parametrize(
        "changed",
        [{"rule": "parity"}, {"slice": {"attribute": "race"}}, {"demands": {}}],
        ids=["another rule", "another result", "another demand"],
    )
    def test_it_speaks_of_nothing_else(self, changed: dict[str, Any]) -> None:
        one = waiver(self.POLICY, "accuracy", **changed)

        assert not verdict(self.POLICY, BAD, waivers=[one], at=NOW).may_be_released

    @pytest.mark.parametrize(
        "measured",
        [[], [silent("performance.accuracy", "it failed")], [Measurement("performance.accuracy", float("nan"), 1000)]],
        ids=["missing", "failed", "NaN"],
    )
    def test_it_excuses_what_was_measured_never_what_was_not(self, measured: list[Measurement]) -> None:
        assert not verdict(self.POLICY, *measured, waivers=[waiver(self.POLICY, "accuracy")], at=NOW).may_be_released

    def test_a_missing_bound_is_not_excused(self) -> None:
        policy = of_rules({"accuracy": {**ACCURACY, "of": "low"}}, waivers=WAIVABLE)

        assert not verdict(policy, BAD, waivers=[waiver(policy, "accuracy")], at=NOW).may_be_released

    def test_it_excuses_too_few_rows(self) -> None:
        few = Measurement("performance.accuracy", 0.9, 7)
        found = verdict(self.POLICY, few, waivers=[waiver(self.POLICY, "accuracy")], at=NOW)

        assert (found.outcome, found.may_be_released) == (Outcome.WARN, True)

    def test_a_rule_that_is_code_can_give_way_but_not_one_without_an_answer(self) -> None:
        policy = of_rules({"own": CODE}, waivers=WAIVABLE)
        signed = [waiver(policy, "own")]

        assert verdict(policy, answered(0.0), waivers=signed, at=NOW).may_be_released
        assert not verdict(policy, answered(None, "it hung"), waivers=signed, at=NOW).may_be_released

    @pytest.mark.parametrize("never", [["performance.*"], ["performance.accuracy"]])
    def test_what_the_tier_never_waives_stays(self, never: list[str]) -> None:
        policy = of_rules({"accuracy": ACCURACY}, waivers={**WAIVABLE, "never": never})

        assert not verdict(policy, BAD, waivers=[waiver(policy, "accuracy")], at=NOW).may_be_released

    def test_a_tier_that_says_nothing_waives_nothing(self) -> None:
        policy = of_rules({"accuracy": ACCURACY}, waivers=None)

        assert not verdict(policy, BAD, waivers=[waiver(policy, "accuracy")], at=NOW).may_be_released

    def test_a_model_may_shorten_and_forbid_but_not_lengthen(self) -> None:
        own = {"waivers": {"longest_days": 30, "never": ["fairness.*"]}}
        policy = combined(own, waivers=WAIVABLE)

        assert policy.waivers.longest_days == 30
        assert policy.waivers.never == ["provenance.*", "fairness.*"]
        assert "`waivers.longest_days: 91` is looser" in refused({"waivers": {"longest_days": 91}}, waivers=WAIVABLE)
        assert "knows no waivers" in refused({"waivers": {"longest_days": 1}}, waivers=None)

    def test_no_tier_lets_provenance_give_way(self) -> None:
        for tier in TIER_NAMES:
            found = yaml.safe_load((TIERS / f"{tier}.yaml").read_text())["waivers"]
            assert covers(found["never"], "provenance.unknown_authors"), tier


# --- nothing passes without a number -------------------------------------------------------------------------------

numbers = st.one_of(st.none(), st.floats(allow_nan=True, allow_infinity=True))


@given(
    value=numbers,
    low=numbers,
    reason=st.sampled_from(["it failed", "not applicable: no champion: x", "not enough data: few", None]),
    of=st.sampled_from(["estimate", "low"]),
    limits=st.sampled_from([{"at_least": 0.5}, {"at_most": 0.5}, {"warn_above": 0.5}, {"warn_below": 0.5}]),
    granted=st.booleans(),
)
def test_no_absent_number_ever_passes_or_warns(
    value: float | None, low: float | None, reason: str | None, of: str, limits: dict[str, float], granted: bool
) -> None:
    if value is None and reason is None:
        reason = "it failed"
    grants = {"no champion": ["performance.accuracy"]} if granted else {}
    policy = of_rules({"rule": {"measure": "performance.accuracy", "of": of, **limits}}, not_applicable=grants)
    measured = Measurement("performance.accuracy", value, 1000, low=low, reason=reason)
    result = only(policy, measured)
    judged = measured.value if of == "estimate" else measured.low

    if judged is None:
        assert result.outcome not in (Outcome.PASS, Outcome.WARN)
    if result.outcome is Outcome.NOT_APPLICABLE:
        assert granted
        assert measured.value is None


class TestPersonalDataAndFindings:
    def test_a_model_may_refuse_where_the_tier_masks_and_not_the_other_way_round(self) -> None:
        assert combined({"personal_data": "refuse"}, personal_data="mask").personal_data == "refuse"
        assert "`personal_data: mask` is looser" in refused({"personal_data": "mask"}, personal_data="refuse")

    @pytest.mark.parametrize(("tier", "demanded"), [("high", "refuse"), ("medium", "mask"), ("low", "mask")])
    def test_the_tiers_say_what_happens_to_personal_data(self, tier: str, demanded: str) -> None:
        assert yaml.safe_load((TIERS / f"{tier}.yaml").read_text())["personal_data"] == demanded

    def test_an_overdue_finding_blocks(self) -> None:
        policy = of_rules({"accuracy": ACCURACY}, overdue_findings="block")
        facts = [
            Measurement(f"provenance.{name}", 0, 1, method="counted")
            for name in ("uncommitted_changes", "unknown_authors")
        ]
        good = Measurement("performance.accuracy", 0.95, 1000)

        def outcome(*late: Measurement) -> Outcome:
            return judge(policy, Slices((), ()), [*facts, good, *late]).outcome

        assert outcome(Measurement("provenance.overdue_findings", 0, 3, method="counted")) is Outcome.PASS
        assert outcome(Measurement("provenance.overdue_findings", 1, 3, method="counted")) is Outcome.BLOCK
        assert outcome() is Outcome.BLOCK

    def test_every_tier_blocks_on_one(self) -> None:
        said = {yaml.safe_load((TIERS / f"{tier}.yaml").read_text())["overdue_findings"] for tier in TIER_NAMES}

        assert said == {"block"}

    def test_the_tiers_say_what_happens_without_a_version_to_roll_back_to_and_who_may_stop(self) -> None:
        said = {name: yaml.safe_load((TIERS / f"{name}.yaml").read_text()) for name in TIER_NAMES}

        assert {name: text["no_rollback_target"] for name, text in said.items()} == {
            "high": "suspend", "medium": "keep_and_call", "low": "keep_and_call"
        }  # fmt: skip
        assert all({"model_risk", "platform"} <= set(text["may_stop"]) for text in said.values())

    def test_a_model_may_be_suspended_rather_than_served_on_and_not_the_other_way_round(self) -> None:
        assert combined({"no_rollback_target": "suspend"}, no_rollback_target="keep_and_call").no_rollback_target == (
            "suspend"
        )
        assert "`no_rollback_target: keep_and_call` is looser" in refused(
            {"no_rollback_target": "keep_and_call"}, no_rollback_target="suspend"
        )

    def test_more_roles_may_stop_a_model_than_the_tier_says_and_not_fewer(self) -> None:
        more = {"may_stop": ["model_risk", "platform"]}

        assert combined(more, may_stop=["platform"]).may_stop == ("model_risk", "platform")
        assert "is looser" in refused({"may_stop": ["model_risk"]}, may_stop=["platform"])

    def test_a_tier_of_an_older_permit_says_nothing_of_either(self) -> None:
        policy = combined(no_rollback_target=None, may_stop=None)

        assert (policy.no_rollback_target, policy.may_stop) == ("keep_and_call", ())
