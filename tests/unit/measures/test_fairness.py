"""Fairness against fairlearn, by hand, and as laws that hold for any rows."""

import math

import numpy as np
import pandas as pd
import pytest
from fairlearn import metrics as fairlearn
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2_contingency
from sklearn.metrics import accuracy_score, precision_score

from governance.errors import InputError
from governance.measures import fairness
from governance.measures.confusion import Share
from governance.measures.fairness import (
    COMPARISONS,
    NO_LABELS,
    RATES,
    every_intersection,
    measure_accuracy_fairness,
    measure_fairness,
)
from governance.measures.intervals import wilson

BOUNDED_BY_1 = {
    "demographic_parity_difference",
    "disparate_impact_ratio",
    "equal_opportunity_difference",
    "equalised_odds_difference",
    "predictive_parity_difference",
    "accuracy_difference",
    "equal_opportunity_ratio",
    "equalised_odds_ratio",
    "predictive_parity_ratio",
    "impact_ratio",
    "share_compared",
}

some_rows = st.lists(
    st.tuples(st.integers(0, 1), st.integers(0, 1), st.sampled_from("abc"), st.sampled_from("xy")),
    min_size=1,
    max_size=80,
)


def keyed(found):
    """Return name and slice → measurement; the slice as text, such as ``race=Black, sex=women``."""
    return {
        (each.name.removeprefix("fairness."), ", ".join(f"{key}={value}" for key, value in each.slice.items())): each
        for each in found
    }


def measure_rows(rows, minimum_n=2):
    labels, predictions, race, sex = ([row[part] for row in rows] for part in range(4))
    return measure_fairness(labels, predictions, {"race": race, "sex": sex}, [("race", "sex")], minimum_n=minimum_n)


def group(name, selected, n, label=1):
    """Return rows of one group as (labels, predictions, groups), of which some are selected."""
    return np.full(n, label), np.arange(n) < selected, np.full(n, name, dtype=object)


def measure_groups(*groups, minimum_n=30):
    labels, predictions, names = (np.concatenate(column) for column in zip(*groups, strict=True))
    return keyed(measure_fairness(labels, predictions, {"race": names}, minimum_n=minimum_n))


@pytest.fixture(scope="module")
def people():
    generator = np.random.default_rng(3)
    n = 3000
    race = generator.choice(["Asian", "Black", "white"], n, p=[0.2, 0.3, 0.5])
    labels = generator.integers(0, 2, n)
    predictions = (generator.random(n) < 0.3 + 0.3 * labels + 0.2 * (race == "white")).astype(int)
    return labels, predictions, {"race": race, "sex": generator.choice(["men", "women"], n)}


@pytest.fixture(scope="module")
def measured(people):
    return keyed(measure_fairness(*people, [("race", "sex")]))


@pytest.mark.parametrize("attributes", [["race"], ["sex"], ["race", "sex"]])
def test_every_rate_of_every_group_is_that_of_fairlearns_metric_frame(people, measured, attributes):
    labels, predictions, groups = people
    functions = {
        "selection_rate": fairlearn.selection_rate,
        "true_positive_rate": fairlearn.true_positive_rate,
        "false_positive_rate": fairlearn.false_positive_rate,
        "false_negative_rate": fairlearn.false_negative_rate,
        "precision": precision_score,
        "accuracy": accuracy_score,
    }
    frame = fairlearn.MetricFrame(
        metrics=functions,
        y_true=labels,
        y_pred=predictions,
        sensitive_features=pd.DataFrame({name: groups[name] for name in attributes}),
    )
    assert {rate.__name__ for rate in RATES} == set(functions)
    for names, row in frame.by_group.iterrows():
        names = names if isinstance(names, tuple) else (names,)
        where = ", ".join(f"{key}={value}" for key, value in zip(attributes, names, strict=True))
        assert {rate: measured[rate, where].value for rate in functions} == pytest.approx(row.to_dict())


@pytest.mark.parametrize(
    ("name", "oracle"),
    [
        ("demographic_parity_difference", fairlearn.demographic_parity_difference),
        ("disparate_impact_ratio", fairlearn.demographic_parity_ratio),
        ("equalised_odds_difference", fairlearn.equalized_odds_difference),
        ("equal_opportunity_difference", fairlearn.equal_opportunity_difference),
        ("equalised_odds_ratio", fairlearn.equalized_odds_ratio),
        ("equal_opportunity_ratio", fairlearn.equal_opportunity_ratio),
        ("accuracy_difference", fairlearn.accuracy_score_difference),
    ],
)
@pytest.mark.parametrize("attributes", [["race"], ["sex"], ["race", "sex"]])
def test_every_comparison_is_that_of_fairlearn(people, measured, name, oracle, attributes):
    labels, predictions, groups = people
    sensitive = pd.DataFrame({attribute: groups[attribute] for attribute in attributes})

    expected = oracle(labels, predictions, sensitive_features=sensitive)

    assert measured[name, f"attribute={' × '.join(attributes)}"].value == pytest.approx(expected)


def test_predictive_parity_is_the_difference_of_precisions(people, measured):
    labels, predictions, groups = people
    frame = fairlearn.MetricFrame(
        metrics=precision_score, y_true=labels, y_pred=predictions, sensitive_features=groups["race"]
    )

    assert measured["predictive_parity_difference", "attribute=race"].value == pytest.approx(frame.difference())
    assert measured["predictive_parity_ratio", "attribute=race"].value == pytest.approx(frame.ratio())


def test_denials_and_standard_deviations_show_what_four_fifths_hides():
    found = measure_groups(group("Black", 90, 100), group("white", 98, 100))

    assert found["disparate_impact_ratio", "attribute=race"].value == pytest.approx(0.90 / 0.98)
    assert found["denial_ratio", "attribute=race"].value == pytest.approx(5.0)
    deviation = math.sqrt((0.90 * 0.10 + 0.98 * 0.02) / 2)
    assert found["standardised_difference", "attribute=race"].value == pytest.approx(0.08 / deviation)


def test_the_largest_standardised_difference_is_that_of_the_extreme_groups():
    rates = np.random.default_rng(0).random((200, 2)).round(2)
    high, low = rates.max(1), rates.min(1)
    between = (high + low) / 2
    standardised = [
        (a - b) / np.sqrt((a * (1 - a) + b * (1 - b)) / 2) for a, b in ((high, low), (high, between), (between, low))
    ]
    distinct = high > low

    assert (standardised[0] >= standardised[1])[distinct].all()
    assert (standardised[0] >= standardised[2])[distinct].all()


def test_the_significance_of_a_gap_is_that_of_the_two_proportion_test():
    found = measure_groups(group("Black", 90, 120), group("white", 98, 100))["selection_rate_z", "attribute=race"]

    table = [[90, 30], [98, 2]]
    assert found.value == pytest.approx(math.sqrt(chi2_contingency(table, correction=False).statistic))
    assert (found.n, found.low, found.high, found.method) == (220, None, None, "z test")


def test_the_most_significant_gap_counts_even_if_a_small_group_is_further_away():
    found = measure_groups(group("few", 15, 30), group("many", 3000, 10_000), group("others", 2500, 10_000))

    pairs = [([15, 15], [2500, 7500]), ([3000, 7000], [2500, 7500])]
    small, large = (math.sqrt(chi2_contingency(pair, correction=False).statistic) for pair in pairs)
    assert small < large == pytest.approx(found["selection_rate_z", "attribute=race"].value)


@pytest.mark.parametrize("selected", [0, 100])
def test_groups_of_whom_all_or_none_are_selected_are_0_deviations_apart(selected):
    found = measure_groups(group("Black", selected, 100), group("white", selected, 100))

    assert found["selection_rate_z", "attribute=race"].value == 0


class TestImpactRatio:
    def test_each_group_stands_beside_the_most_selected_one(self):
        found = measure_groups(group("Black", 44, 100), group("white", 52, 100), group("Asian", 49, 100))

        ratios = {name: found["impact_ratio", f"race={name}"].value for name in ("Black", "white", "Asian")}
        assert ratios == pytest.approx({"Black": 44 / 52, "white": 1.0, "Asian": 49 / 52})

    def test_a_small_group_is_neither_compared_nor_the_measure_of_others(self):
        found = measure_groups(group("Black", 44, 100), group("white", 52, 100), group("few", 29, 29))

        assert found["impact_ratio", "race=Black"].value == pytest.approx(44 / 52)
        assert found["impact_ratio", "race=few"].value is None
        assert found["impact_ratio", "race=few"].reason.startswith("not enough data: 29 rows")

    def test_one_group_alone_has_none(self):
        found = measure_groups(group("white", 52, 100))["impact_ratio", "race=white"]

        assert (found.value, found.reason.partition(":")[0]) == (None, "not enough data")

    def test_where_nobody_is_selected_it_says_so(self):
        found = measure_groups(group("Black", 0, 100), group("white", 0, 100))["impact_ratio", "race=white"]

        assert (found.value, found.reason) == (None, "nobody was selected")

    def test_its_interval_is_near_that_of_the_log_ratio_in_large_groups(self):
        found = measure_groups(group("Black", 4400, 10_000), group("white", 5200, 10_000))["impact_ratio", "race=Black"]

        half = 1.959964 * math.sqrt(1 / 4400 - 1 / 10_000 + 1 / 5200 - 1 / 10_000)  # Katz et al. (1978)
        expected = [4400 / 5200 * math.exp(-half), 4400 / 5200 * math.exp(half)]
        assert [found.low, found.high] == pytest.approx(expected, rel=2e-4)

    @pytest.mark.parametrize(("black", "white"), [((3, 40), (9, 50)), ((0, 40), (9, 50)), ((20, 31), (30, 33))])
    def test_its_ends_are_where_a_gap_that_is_no_gap_is_just_possible(self, black, white):
        """Donner and Zou (2012): at an end R the interval of p₁ − R p₂, recovered from both intervals, touches 0."""
        first, second = (Share(np.array(part), np.array(n), "") for part, n in (black, white))
        p1, p2 = first.values, second.values
        (l1, u1), (l2, u2) = wilson(*black), wilson(*white)

        value, (low, high) = fairness.impact_ratio(first, second)

        assert value == pytest.approx(p1 / p2)
        assert p1 - low * p2 == pytest.approx(math.hypot(p1 - l1, low * (u2 - p2)))
        assert high * p2 - p1 == pytest.approx(math.hypot(u1 - p1, high * (p2 - l2)))

    def test_its_interval_covers_the_truth_in_nineteen_of_twenty_samples(self):
        generator = np.random.default_rng(1)
        held = 0
        for black, white in zip(generator.binomial(80, 0.2, 4000), generator.binomial(200, 0.4, 4000), strict=True):
            first, second = (Share(np.array(part), np.array(n), "") for part, n in ((black, 80), (white, 200)))
            _, (low, high) = fairness.impact_ratio(first, second)
            held += low <= 0.5 <= high
        assert 0.94 <= held / 4000 <= 0.96

    def test_a_group_of_which_nobody_is_selected_still_has_an_interval(self):
        found = measure_groups(group("Black", 0, 100), group("white", 52, 100))["impact_ratio", "race=Black"]

        assert (found.value, found.low) == (0.0, 0.0)
        assert 0 < found.high < 0.1


@pytest.mark.parametrize("name", ["equal_opportunity_ratio", "equalised_odds_ratio", "predictive_parity_ratio"])
def test_a_ratio_of_rates_that_are_all_0_has_no_value(name):
    wrong = [group(race, 50, 100, label=0) for race in ("Black", "white")]
    missed = [group(race, 0, 100, label=1) for race in ("Black", "white")]

    found = measure_groups(*wrong, *missed)[name, "attribute=race"]

    assert found.value is None
    assert " 0 in every group" in found.reason or "came true in any group" in found.reason


class TestWithoutLabels:
    def test_what_rests_on_selection_alone_is_the_same(self, people, measured):
        _, predictions, groups = people

        found = keyed(measure_fairness(None, predictions, groups, [("race", "sex")]))

        known = {key for key, each in found.items() if each.reason != NO_LABELS}
        assert {name for name, _ in known} == {
            "selection_rate", "impact_ratio", "demographic_parity_difference", "disparate_impact_ratio",
            "denial_ratio", "standardised_difference", "selection_rate_z", "share_compared",
        }  # fmt: skip
        assert {key: found[key].value for key in known} == {key: measured[key].value for key in known}

    def test_what_needs_them_has_no_value_and_says_why(self, people, measured):
        _, predictions, groups = people

        found = keyed(measure_fairness(None, predictions, groups, [("race", "sex")]))

        assert set(found) == set(measured)
        each = found["accuracy", "race=Black"]
        assert (each.value, each.n, each.reason) == (None, 0, NO_LABELS)


class TestAccuracyAlone:
    def test_it_is_the_accuracy_by_group_and_how_far_apart_it_is(self, people, measured):
        labels, predictions, groups = people

        found = keyed(measure_accuracy_fairness(labels == predictions, groups, [("race", "sex")]))

        names = ("accuracy", "accuracy_difference", "share_compared")
        assert {key: each.value for key, each in found.items()} == {
            key: each.value for key, each in measured.items() if key[0] in names
        }

    def test_what_is_neither_right_nor_wrong_is_refused(self):
        with pytest.raises(InputError, match="Expected predictions to be 0"):
            measure_accuracy_fairness([0.5, 1], {"sex": ["men", "women"]})


class TestCounts:
    @settings(max_examples=40, deadline=None)
    @given(some_rows)
    def test_a_table_of_counts_is_measured_as_its_rows_would_be(self, rows):
        distinct = sorted(set(rows))
        labels, predictions, race, sex = ([row[part] for row in distinct] for part in range(4))
        counts = [rows.count(row) for row in distinct]

        found = measure_fairness(
            labels, predictions, {"race": race, "sex": sex}, [("race", "sex")], minimum_n=2, counts=counts
        )

        assert found == measure_rows(rows)

    def test_a_row_that_stands_for_nobody_makes_no_group(self):
        found = measure_fairness([1, 1], [1, 1], {"sex": ["men", "women"]}, counts=[3, 0])

        assert {each.slice.get("sex") for each in found} == {"men", None}

    @pytest.mark.parametrize(
        ("counts", "message"),
        [
            ([1.5, 1], "whole numbers from 0 as counts, found .*1.5"),
            ([-1, 1], "whole numbers from 0 as counts, found .*-1"),
            ([np.nan, 1], "whole numbers from 0 as counts, found .*nan"),
            (["many", 1], "whole numbers from 0 as counts, found something else"),
            ([1], "one count for each of 2 rows"),
            ([2**52, 2**52], "add up to less than 9007199254740992"),
        ],
    )
    def test_what_is_no_count_is_refused(self, counts, message):
        with pytest.raises(InputError, match=message):
            measure_fairness([1, 0], [1, 0], {"sex": ["men", "women"]}, counts=counts)


def test_many_attributes_give_the_same_numbers_as_few(people, measured, monkeypatch):
    """Above some number of combinations rows are not condensed; that must not be seen in the result."""
    monkeypatch.setattr(fairness, "MOST_COMBINATIONS", 8)

    assert keyed(measure_fairness(*people, [("race", "sex")])) == measured


def test_rows_are_counted_in_pieces_without_losing_any(people, measured, monkeypatch):
    monkeypatch.setattr(fairness, "ROWS_AT_ONCE", 7)

    assert keyed(measure_fairness(*people, [("race", "sex")])) == measured


def test_every_intersection_is_pairs_first_and_leaves_out_what_has_too_many_groups(monkeypatch):
    monkeypatch.setattr(fairness, "MOST_GROUPS", 20)
    groups = {"race": list("abc"), "sex": list("mwm"), "age": list("yoo")}  # each also has unknown

    assert every_intersection(groups) == (
        [("race", "sex"), ("race", "age"), ("sex", "age")],
        [("race", "sex", "age")],
    )


class TestPublishedTables:
    def test_compas_of_propublica(self):
        """Angwin et al. (2016), "How We Analyzed the COMPAS Recidivism Algorithm", the tables by race, in %."""
        cells = {"Black": (990, 805, 532, 1369), "white": (1139, 349, 461, 505)}  # TN, FP, FN, TP
        labels, predictions, race, counts = zip(
            *(
                (cell // 2, cell % 2, name, n)
                for name, table in cells.items()
                for cell, n in enumerate(table)
            ),
            strict=True,
        )  # fmt: skip

        found = keyed(measure_fairness(labels, predictions, {"race": race}, counts=counts))

        published = {
            ("false_positive_rate", "race=Black"): 44.85,
            ("false_positive_rate", "race=white"): 23.45,
            ("false_negative_rate", "race=Black"): 27.99,
            ("false_negative_rate", "race=white"): 47.72,
        }
        assert {key: round(100 * found[key].value, 2) for key in published} == published
        assert round(found["precision", "race=Black"].value, 2) == 0.63
        assert round(found["precision", "race=white"].value, 2) == 0.59

    def test_admissions_to_berkeley_in_1973(self):
        """Bickel, Hammel and O'Connell (1975), Science 187; the six largest departments, as R's UCBAdmissions."""
        found = keyed(
            measure_fairness(
                None, [1, 0, 1, 0], {"sex": ["men", "men", "women", "women"]}, counts=[1198, 1493, 557, 1278]
            )
        )

        assert round(100 * found["selection_rate", "sex=men"].value, 2) == 44.52
        assert round(100 * found["selection_rate", "sex=women"].value, 2) == 30.35
        # R: prop.test(c(1198, 557), c(2691, 1835), correct = FALSE) gives X-squared = 92.205.
        assert round(found["selection_rate_z", "attribute=sex"].value ** 2, 3) == 92.205


def test_slices_name_the_group_the_intersection_and_what_is_compared(people):
    found = measure_fairness(*people, [("race", "sex")])
    slices = {tuple(each.slice.items()) for each in found}

    assert (("race", "Black"),) in slices
    assert (("race", "Black"), ("sex", "women")) in slices
    assert (("attribute", "race"),) in slices
    assert (("attribute", "race × sex"),) in slices
    assert len(found) == (3 + 2 + 6) * (len(RATES) + 1) + 3 * (len(COMPARISONS) + 1)


def test_each_rate_counts_its_own_denominator():
    labels, predictions = [1] * 6 + [0] * 4, [1] * 5 + [0] * 4 + [1]

    found = keyed(measure_fairness(labels, predictions, {"sex": ["men"] * 10}))

    assert {rate: found[rate, "sex=men"].n for rate in ("selection_rate", "true_positive_rate", "precision")} == {
        "selection_rate": 10,
        "true_positive_rate": 6,
        "precision": 6,
    }
    assert found["false_positive_rate", "sex=men"].n == 4


def test_a_small_group_is_reported_and_left_out_of_comparisons():
    found = measure_groups(group("Black", 50, 100), group("white", 60, 100), group("Native", 0, 29))

    assert (found["selection_rate", "race=Native"].value, found["selection_rate", "race=Native"].n) == (0.0, 29)
    assert found["demographic_parity_difference", "attribute=race"].value == pytest.approx(0.1)
    assert found["demographic_parity_difference", "attribute=race"].n == 200
    assert found["share_compared", "attribute=race"].value == pytest.approx(200 / 229)


def test_a_group_is_small_or_large_by_the_denominator_of_the_rate_that_is_compared():
    found = measure_groups(
        group("Black", 50, 100), group("white", 60, 100), group("Black", 20, 20, 0), group("white", 0, 40, 0)
    )

    assert found["equal_opportunity_difference", "attribute=race"].n == 200
    assert found["equalised_odds_difference", "attribute=race"].value is None
    assert "denominator of false_positive_rate" in found["equalised_odds_difference", "attribute=race"].reason


@pytest.mark.parametrize("missing", [None, np.nan, "unknown", pd.NA])
def test_unknown_membership_is_a_group_of_its_own(missing):
    groups = pd.Series(["men"] * 40 + [missing] * 40, dtype=object)

    found = keyed(measure_fairness([1] * 80, [1] * 40 + [0] * 40, {"sex": groups}))

    assert (found["selection_rate", "sex=unknown"].value, found["selection_rate", "sex=unknown"].n) == (0.0, 40)
    assert found["demographic_parity_difference", "attribute=sex"].value == 1.0


def test_one_group_alone_cannot_be_compared_and_says_so():
    found = measure_groups(group("white", 60, 100))

    for comparison in COMPARISONS:
        each = found[comparison.compute.__name__, "attribute=race"]
        assert each.value is None
        assert "fewer than two groups have 30 rows" in each.reason


@pytest.mark.parametrize(
    ("selected", "name", "reason"),
    [
        ((0, 0), "disparate_impact_ratio", "nobody was selected"),
        ((50, 100), "denial_ratio", "a group had no denials, so no ratio to it exists"),
        ((0, 100), "standardised_difference", "one group was selected throughout and another not at all"),
    ],
)
def test_a_ratio_to_nothing_has_no_value_and_says_why(selected, name, reason):
    found = measure_groups(group("Black", selected[0], 100), group("white", selected[1], 100))

    assert (found[name, "attribute=race"].value, found[name, "attribute=race"].reason) == (None, reason)


def test_a_group_without_the_label_has_no_true_positive_rate_and_says_why():
    found = measure_groups(group("Black", 5, 10, label=0), group("white", 5, 10))

    each = found["true_positive_rate", "race=Black"]
    assert (each.value, each.n, each.reason) == (None, 0, "no row has the label 1")


def test_the_upper_end_is_missing_where_a_resample_denies_nobody():
    found = measure_groups(group("Black", 98, 100), group("white", 90, 100))["denial_ratio", "attribute=race"]

    assert found.value == pytest.approx(5.0)
    assert found.high is None
    assert found.low < found.value


def test_groups_that_are_treated_alike_differ_by_0_within_the_interval():
    found = measure_groups(group("Black", 50, 100), group("white", 50, 100))

    for name, ideal in (("demographic_parity_difference", 0.0), ("disparate_impact_ratio", 1.0), ("denial_ratio", 1.0)):
        each = found[name, "attribute=race"]
        assert each.low <= each.value == ideal <= each.high


def test_the_bootstrap_on_counts_agrees_with_resampling_rows_within_groups(people, measured):
    _, predictions, groups = people
    generator = np.random.default_rng(0)
    differences = []
    for _ in range(1000):
        rates = [
            generator.choice(predictions[groups["race"] == race], (groups["race"] == race).sum()).mean()
            for race in ("Asian", "Black", "white")
        ]
        differences.append(max(rates) - min(rates))
    found = measured["demographic_parity_difference", "attribute=race"]

    assert (found.low, found.high) == pytest.approx(np.quantile(differences, [0.025, 0.975]), abs=0.008)


def test_every_row_twice_leaves_the_estimates_and_narrows_the_intervals(people, measured):
    labels, predictions, groups = people
    doubled = {name: np.tile(values, 2) for name, values in groups.items()}

    twice = keyed(measure_fairness(np.tile(labels, 2), np.tile(predictions, 2), doubled, [("race", "sex")]))

    for key, found in measured.items():
        grows = math.sqrt(2) if key[0] == "selection_rate_z" else 1
        assert twice[key].value == pytest.approx(found.value * grows)
        if found.method == "wilson":
            assert twice[key].high - twice[key].low < found.high - found.low
    parity = ("demographic_parity_difference", "attribute=race")
    assert twice[parity].high - twice[parity].low < measured[parity].high - measured[parity].low


@settings(max_examples=40, deadline=None)
@given(some_rows, st.randoms())
def test_the_order_of_rows_changes_nothing(rows, random):
    assert measure_rows(rows) == measure_rows(random.sample(rows, len(rows)))


@settings(max_examples=40, deadline=None)
@given(some_rows)
def test_other_names_of_groups_only_rename_the_slices(rows):
    names = {"a": "zebra", "b": "yak", "c": "x-ray"}
    renamed = [(label, prediction, names[race], sex) for label, prediction, race, sex in rows]

    def back(each):
        race = {new: old for old, new in names.items()}.get(each.slice.get("race"))
        return {**each.to_dict(), "slice": {**each.slice, **({"race": race} if race else {})}}

    before = sorted((each.to_dict() for each in measure_rows(rows)), key=repr)
    assert sorted((back(each) for each in measure_rows(renamed)), key=repr) == before


@settings(max_examples=40, deadline=None)
@given(some_rows)
def test_every_measurement_stays_in_its_range_holds_its_estimate_or_says_why_not(rows):
    for each in measure_rows(rows):
        assert (each.value is None) == (each.reason is not None)
        if each.value is None:
            continue
        name = each.name.removeprefix("fairness.")
        assert each.value >= (1 if name == "denial_ratio" else 0)
        if name in BOUNDED_BY_1 or each.method == "wilson":
            assert each.value <= 1
        if each.low is not None:
            assert each.low <= each.value
        if each.high is not None:
            assert each.value <= each.high


@settings(max_examples=20, deadline=None)
@given(some_rows)
def test_the_groups_of_an_attribute_hold_every_row_once(rows):
    found = measure_rows(rows)

    for attributes in ({"race"}, {"sex"}, {"race", "sex"}):
        counted = [each.n for each in found if each.name == "fairness.accuracy" and set(each.slice) == attributes]
        assert sum(counted) == len(rows)


@pytest.mark.parametrize(
    "form", [list, np.array, pd.Series, pd.Categorical, lambda values: pd.Series(values, dtype="string")]
)
def test_groups_may_come_in_any_form(people, measured, form):
    labels, predictions, groups = people

    found = measure_fairness(labels, predictions, {name: form(each.tolist()) for name, each in groups.items()})

    assert keyed(found) == {key: each for key, each in measured.items() if "×" not in key[1] and "," not in key[1]}


def test_groups_named_by_numbers_are_named_by_their_text():
    found = keyed(measure_fairness([1, 0], [1, 0], {"old": [1, 0]}))

    assert ("selection_rate", "old=1") in found


def test_no_rows_give_no_values():
    assert {each.value for each in measure_fairness([], [], {"race": []})} == {None}


def test_no_protected_attributes_give_no_measurements():
    assert measure_fairness([1, 0], [1, 0], {}) == []


@pytest.mark.parametrize(
    ("groups", "intersections", "message"),
    [
        ({"race": ["a"]}, [], "one group of 'race' for each of 2 rows, found 1"),
        ({"race": ["a", "b"]}, [("race", "sex")], "two or more of race, found 'race × sex'"),
        ({"race": ["a", "b"]}, [("race",)], "two or more of race, found 'race'"),
        ({"race": ["a", "b"]}, [("race", "race")], "two or more of race"),
    ],
)
def test_groups_that_cannot_be_measured_are_refused(groups, intersections, message):
    with pytest.raises(InputError, match=message):
        measure_fairness([1, 0], [1, 0], groups, intersections)


def test_a_column_with_a_value_for_each_row_is_no_protected_attribute(monkeypatch):
    monkeypatch.setattr(fairness, "MOST_GROUPS", 3)

    with pytest.raises(InputError, match="few groups, found 4 in 'name'"):
        measure_fairness([1] * 4, [1] * 4, {"name": list("abcd")})
    with pytest.raises(InputError, match="at most 3 groups, found 9 in 'race × sex'"):
        measure_fairness([1] * 2, [1] * 2, {"race": list("ab"), "sex": list("xy")}, [("race", "sex")])


def test_every_rate_and_comparison_documents_formula_source_and_ideal():
    for measure in [*RATES, *(comparison.compute for comparison in COMPARISONS)]:
        assert {"Formula:", "Source:", "Ideal:", "Limits:"} <= set(measure.__doc__.split())
