"""Charts say their finding, stay inside their box and escape their text; tables put the worst first."""

import re
from dataclasses import replace
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from governance.records import Outcome, RuleResult
from governance.reports import alternatives, charts, tables
from governance.reports.reading import Reading
from tests.unit.plugins import example

AFTER, BEFORE = Reading(example.evidence()), Reading(example.blocked_evidence())
NUMBER = st.floats(-1e6, 1e6, allow_nan=False) | st.floats(0, 1) | st.just(0.0)


def drawn(svg: str) -> ElementTree.Element:
    return ElementTree.fromstring(svg)


def a_rule(value, low, high, limits, bound="estimate", measure="fairness.demographic_parity_difference") -> RuleResult:
    return RuleResult("id", "Title", measure, {}, Outcome.PASS, value, low, high, 10, bound, limits, False, "")


@given(
    NUMBER,
    NUMBER,
    NUMBER,
    st.dictionaries(st.sampled_from(["at_least", "at_most", "warn_above", "warn_below"]), NUMBER),
)
def test_every_range_bar_stays_inside_its_box(value, low, high, limits):
    low, high = min(low, high), max(low, high)
    rule = a_rule(value, low, high, limits)
    picture = drawn(charts.range_bar(rule, charts.scales([rule])[rule.measure]))

    across = [float(node.get(name)) for node in picture.iter() for name in ("x", "cx") if node.get(name)]
    across += [float(x) for node in picture.iter() for x in re.findall(r"[MH](-?[\d.]+)", node.get("d") or "")]
    assert all(0 <= x <= charts.BAR_WIDTH for x in across)
    assert all(float(node.get("width")) >= 0 for node in picture.iter() if node.get("width"))


def test_a_judged_bound_has_a_tick_and_a_hollow_dot():
    rule = a_rule(0.015, 0.007, 0.023, {"at_least": 0.0}, bound="low", measure="performance.accuracy_gain")
    svg = charts.range_bar(rule, charts.scales([rule])[rule.measure])

    assert 'class="judged"' in svg
    assert 'class="dot-ref"' in svg
    assert 'class="dot"' not in svg


def test_a_blocked_number_lies_on_the_hatched_side():
    rule = next(rule for rule in BEFORE.verdict.rules if rule.rule == "parity" and rule.stops)
    picture = drawn(charts.range_bar(rule, charts.scales([rule])[rule.measure]))
    hatched = next(node for node in picture.iter() if node.get("class") == "hatched")
    dot = next(node for node in picture.iter() if node.tag == "circle")

    assert float(hatched.get("x")) < float(dot.get("cx"))
    assert dot.get("class") == "dot b"


def test_rows_of_one_measure_share_a_scale():
    scales = charts.scales(AFTER.verdict.rules)

    assert set(scales) == {rule.measure for rule in AFTER.verdict.rules}


def test_the_group_chart_says_its_numbers_and_shows_the_attempt_before_hollow():
    svg = charts.group_chart(AFTER, BEFORE)
    picture = drawn(svg)

    assert "Black 0.893; Hispanic 0.910; White 0.982" in picture.get("aria-label")
    assert svg.count('class="dot-ref"') == svg.count('class="dot"') == 9
    assert "unknown" not in picture.get("aria-label")


def test_a_group_that_is_too_small_is_no_point_of_the_chart():
    small = dict(example.evidence())
    small["verdict"] = {
        **small["verdict"],
        "rules": [
            *small["verdict"]["rules"],
            replace(
                BEFORE.verdict.rules[0],
                measure="fairness.selection_rate",
                slice={"race": "Hispanic"},
                outcome=Outcome.NOT_ENOUGH_DATA,
                stops=False,
            ).to_dict(),
        ],
    }

    assert "Hispanic" not in charts.group_chart(Reading(small), None)


def test_without_groups_there_is_no_group_chart():
    assert charts.group_chart(Reading({**example.evidence(), "measurements": []}), None) == ""


def test_the_alternatives_chart_says_what_was_chosen_and_what_was_blocked():
    label = drawn(alternatives.chart(AFTER, BEFORE, "race")).get("aria-label")

    assert "Chosen: threshold 0.1, difference 0.088, accuracy 0.892." in label
    assert "Blocked: difference 0.203, accuracy 0.924." in label


def test_a_search_that_ends_empty_handed_says_so():
    document = example.evidence()
    for item in document["alternatives"]["tried"]:
        item["chosen"], item["passes"] = False, False

    assert "None passes every rule." in alternatives.chart(Reading(document), BEFORE, "race")


def test_without_a_search_there_is_no_chart():
    assert alternatives.chart(BEFORE, None, "race") == ""


def test_what_is_drawn_alike_has_one_shape_and_one_name():
    key = alternatives.key(alternatives.tried_points(AFTER, "race"))

    assert [name for _, name in key] == [
        "the same model, threshold 0.05 – 0.45",
        "other features, 5 ways",
        "algorithm logistic, threshold 0.05 – 0.50",
    ]
    assert len({shape for shape, _ in key}) == 3


def test_only_the_chosen_series_is_filled_and_several_series_are_not_joined():
    points = alternatives.tried_points(AFTER, "race")
    svg = alternatives.chart(AFTER, BEFORE, "race")

    same_model = [point for point in points if point.family == "threshold"]
    assert svg.count('<circle class="dot"') == len(same_model) + 1
    assert svg.count("<polyline") == 2


def test_a_reduction_is_a_triangle():
    document = example.evidence()
    document["alternatives"]["tried"].append(
        {
            **document["alternatives"]["tried"][0],
            "family": "reduction",
            "reduction": "reweighing",
            "label": "reweighing",
        }
    )
    kinds = alternatives.kinds(alternatives.tried_points(Reading(document), "race"))

    assert [(kind.shape, kind.title) for kind in kinds][-1] == ("triangle", "reweighing, threshold 0.45")


def test_text_from_the_evidence_is_escaped():
    document = example.evidence()
    for item in document["measurements"]:
        if item.get("slice", {}).get("race") == "Black":
            item["slice"]["race"] = '<script>"&'

    svg = charts.group_chart(Reading(document), None)

    assert "<script>" not in svg
    drawn(svg)


def test_the_worst_rules_come_first_and_none_is_lost():
    for reading in (AFTER, BEFORE):
        shown, folded = tables.rules(reading)
        outcomes = [row.outcome for row in [*shown, *folded]]
        order = ["block", "warn", "not enough data", "pass", "not applicable"]

        assert outcomes == sorted(outcomes, key=order.index)
        assert {row.outcome for row in folded} <= {"pass", "not applicable"}
        small = sum(rule.measure == "fairness.selection_rate" for rule in reading.verdict.rules)
        assert len(outcomes) == len(reading.verdict.rules) - small + bool(small)


def test_a_rule_without_a_number_says_why_and_what_was_demanded():
    document = example.evidence()
    rule = next(rule for rule in document["verdict"]["rules"] if rule["rule"] == "auc")
    rule.update(value=None, low=None, high=None, outcome="block", stops=True, reason="The measurement is missing.")
    row = tables.rules(Reading(document))[0][0]

    assert (row.title, row.note, row.bar) == ("ROC AUC", "The measurement is missing. Demanded: ≥ 0.80.", "")


@pytest.mark.parametrize(
    ("title", "worse"),
    [
        ("Parity difference, race", False),
        ("Disparate impact ratio, race", False),
        ("Ratio of denial rates, race", True),
        ("Accuracy", True),
    ],
)
def test_the_comparison_says_what_got_worse(title, worse):
    row = next(row for row in tables.comparison(BEFORE, AFTER) if row.title == title)

    assert row.worse is worse


def test_the_comparison_shows_each_number_once_and_what_blocked_in_bold():
    rows = tables.comparison(BEFORE, AFTER)

    assert len({row.title for row in rows}) == len(rows)
    assert [row.title for row in rows if row.blocked] == ["Parity difference, race", "Disparate impact ratio, race"]


def test_drivers_are_named_by_their_meaning_and_proxies_are_marked():
    spec = AFTER.document["spec"]
    rows = tables.drivers(AFTER, spec["features"], spec["proxies"])

    assert [row.meaning for row in rows[:2]] == ["Credit history meets guidelines", "Appraised value, $1000"]
    assert [row.column for row in rows if row.is_proxy] == ["vr"]
    assert len(rows) == 10


def test_uncommitted_files_are_named():
    document = example.blocked_evidence()
    document["code"]["uncommitted"] = ["dags/a.py", "plugins/b.py", "include/c.py"]
    shown, folded = tables.rules(Reading(document))

    row = next(row for row in [*shown, *folded] if row.title == "Uncommitted changes")
    assert row.of == "dags/a.py, plugins/b.py and 1 more"


def test_groups_stand_in_the_order_of_the_spec_intersections_last():
    names = [row.name for row in tables.groups(AFTER, None)]

    assert names[:6] == ["Black", "Hispanic", "White", "men", "sex unknown", "women"]
    assert names[-1] == "White women"
