"""Fairness of predicted numbers against scipy, by hand, and as laws that hold for any rows."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from governance.errors import InputError
from governance.measures.fairness import NO_LABELS
from governance.measures.fairness_regression import (
    COMPARISONS,
    VALUES,
    mean_absolute_error,
    mean_error,
    mean_prediction,
    measure_regression_fairness,
)

some_rows = st.lists(
    st.tuples(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6), st.sampled_from("abc"), st.sampled_from("xy")),
    min_size=1,
    max_size=60,
)


def keyed(found):
    """Return name and slice → measurement; the slice as text, such as ``race=Black, sex=women``."""
    return {
        (each.name.removeprefix("fairness."), ", ".join(f"{key}={value}" for key, value in each.slice.items())): each
        for each in found
    }


def measure_rows(rows, minimum_n=2):
    labels, predictions, race, sex = ([row[part] for row in rows] for part in range(4))
    return measure_regression_fairness(
        labels, predictions, {"race": race, "sex": sex}, [("race", "sex")], minimum_n=minimum_n
    )


@pytest.fixture(scope="module")
def wages():
    generator = np.random.default_rng(5)
    n = 1200
    groups = {"race": generator.choice(["Asian", "Black", "white"], n), "sex": generator.choice(["men", "women"], n)}
    labels = generator.normal(20, 5, n) + 3 * (groups["sex"] == "men")
    return labels, labels + generator.normal(1, 2, n) - (groups["race"] == "Black"), groups


@pytest.fixture(scope="module")
def measured(wages):
    return keyed(measure_regression_fairness(*wages, [("race", "sex")]))


def test_each_group_has_mean_prediction_and_errors_with_students_interval(wages, measured):
    labels, predictions, groups = wages
    black = groups["race"] == "Black"
    errors = (predictions - labels)[black]

    rows = {"mean_prediction": predictions[black], "mean_error": errors, "mean_absolute_error": np.abs(errors)}
    for name, values in rows.items():
        found = measured[name, "race=Black"]
        expected = stats.ttest_1samp(values, 0).confidence_interval()
        assert (found.n, found.method) == (black.sum(), "student t")
        assert [found.value, found.low, found.high] == pytest.approx([values.mean(), expected.low, expected.high])


def test_errors_are_signed_so_that_too_much_is_above_0():
    found = keyed(measure_regression_fairness([10, 10], [12, 9], {"sex": ["men", "women"]}))

    assert (found["mean_error", "sex=men"].value, found["mean_error", "sex=women"].value) == (2.0, -1.0)
    assert found["mean_absolute_error", "sex=women"].value == 1.0


def test_comparisons_are_between_the_extreme_groups(wages, measured):
    labels, predictions, groups = wages
    frame = pd.DataFrame({"prediction": predictions, "error": predictions - labels, **groups})
    by_race = frame.groupby("race")
    means, errors = by_race.prediction.mean(), by_race.error.mean()

    assert measured["mean_prediction_difference", "attribute=race"].value == pytest.approx(means.max() - means.min())
    assert measured["mean_prediction_ratio", "attribute=race"].value == pytest.approx(means.min() / means.max())
    assert measured["mean_error_difference", "attribute=race"].value == pytest.approx(errors.max() - errors.min())


def test_the_standardised_difference_of_two_groups_is_cohens_d(wages, measured):
    _, predictions, groups = wages
    men, women = (predictions[groups["sex"] == sex] for sex in ("men", "women"))
    t = stats.ttest_ind(men, women).statistic

    expected = abs(t) * math.sqrt(1 / len(men) + 1 / len(women))
    assert measured["standardised_mean_difference", "attribute=sex"].value == pytest.approx(expected)


def test_another_unit_changes_no_number_without_a_unit(wages, measured):
    labels, predictions, groups = wages

    cents = keyed(measure_regression_fairness(100 * labels, 100 * predictions, groups))

    for name in ("standardised_mean_difference", "mean_prediction_ratio"):
        here, there = measured[name, "attribute=race"], cents[name, "attribute=race"]
        assert [there.value, there.low, there.high] == pytest.approx([here.value, here.low, here.high])
    assert cents["mean_prediction_difference", "attribute=race"].value == pytest.approx(
        100 * measured["mean_prediction_difference", "attribute=race"].value
    )


@pytest.mark.parametrize("name", ["mean_prediction_difference", "mean_error_difference"])
def test_the_interval_agrees_with_resampling_rows_within_groups(wages, measured, name):
    labels, predictions, groups = wages
    values = predictions if name == "mean_prediction_difference" else predictions - labels
    generator = np.random.default_rng(0)
    differences = []
    for _ in range(1000):
        means = [
            generator.choice(values[groups["race"] == race], (groups["race"] == race).sum()).mean()
            for race in ("Asian", "Black", "white")
        ]
        differences.append(max(means) - min(means))
    found = measured[name, "attribute=race"]

    assert (found.low, found.high) == pytest.approx(np.quantile(differences, [0.025, 0.975]), abs=0.06)


def test_the_interval_of_cohens_d_is_near_that_of_its_variance():
    generator = np.random.default_rng(2)
    men, women = generator.normal(3, 1, 400), generator.normal(0, 1, 400)  # far apart: the deviation matters, too

    found = keyed(measure_regression_fairness(None, [*men, *women], {"sex": ["men"] * 400 + ["women"] * 400}))

    each = found["standardised_mean_difference", "attribute=sex"]
    half = 1.96 * math.sqrt(1 / 400 + 1 / 400 + each.value**2 / (2 * 800))  # Hedges and Olkin (1985)
    assert [each.low, each.high] == pytest.approx([each.value - half, each.value + half], abs=0.02)


def test_a_small_group_is_reported_and_compared_with_nobody():
    groups = ["men"] * 40 + ["women"] * 40 + ["few"] * 29
    predictions = [10.0, 12.0] * 20 + [9.0, 11.0] * 20 + [100.0] * 29

    found = keyed(measure_regression_fairness(None, predictions, {"sex": groups}))

    assert (found["mean_prediction", "sex=few"].value, found["mean_prediction", "sex=few"].n) == (100.0, 29)
    assert found["mean_prediction_difference", "attribute=sex"].value == pytest.approx(1.0)
    assert found["mean_prediction_difference", "attribute=sex"].n == 80
    assert found["share_compared", "attribute=sex"].value == pytest.approx(80 / 109)


def test_one_group_alone_cannot_be_compared_and_says_so():
    found = keyed(measure_regression_fairness([1.0] * 50, [2.0] * 50, {"sex": ["men"] * 50}))

    for comparison in COMPARISONS:
        reason = found[comparison.compute.__name__, "attribute=sex"].reason
        assert reason == "not enough data: fewer than two groups have 30 rows or more"


def test_unknown_membership_is_a_group_of_its_own():
    groups = pd.Series(["men"] * 40 + [None] * 40, dtype=object)

    found = keyed(measure_regression_fairness(None, [1.0] * 40 + [2.0] * 40, {"sex": groups}))

    assert (found["mean_prediction", "sex=unknown"].value, found["mean_prediction", "sex=unknown"].n) == (2.0, 40)
    assert found["mean_prediction_difference", "attribute=sex"].value == 1.0


@pytest.mark.parametrize(
    ("men", "women", "name", "reason"),
    [
        (-1.0, 2.0, "mean_prediction_ratio", "a mean prediction is not above 0, so a ratio of means says nothing"),
        (0.0, 2.0, "mean_prediction_ratio", "a mean prediction is not above 0, so a ratio of means says nothing"),
        (1.0, 2.0, "standardised_mean_difference", "predictions do not differ within groups, so they have no unit"),
    ],
)
def test_what_has_no_meaning_has_no_value_and_says_why(men, women, name, reason):
    groups = ["men"] * 40 + ["women"] * 40

    found = keyed(measure_regression_fairness(None, [men] * 40 + [women] * 40, {"sex": groups}))

    assert (found[name, "attribute=sex"].value, found[name, "attribute=sex"].reason) == (None, reason)


def test_groups_that_are_predicted_alike_are_0_apart():
    found = keyed(measure_regression_fairness(None, [5.0] * 80, {"sex": ["men"] * 40 + ["women"] * 40}))

    values = {name: each.value for (name, where), each in found.items() if where == "attribute=sex"}
    assert values["mean_prediction_difference"] == values["standardised_mean_difference"] == 0
    assert values["mean_prediction_ratio"] == 1


def test_without_labels_errors_have_no_value_and_say_why(wages, measured):
    _, predictions, groups = wages

    found = keyed(measure_regression_fairness(None, predictions, groups, [("race", "sex")]))

    assert set(found) == set(measured)
    for key, each in found.items():
        if "error" in key[0]:
            assert (each.value, each.reason) == (None, NO_LABELS)
        else:
            assert each.value == pytest.approx(measured[key].value)


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
def test_every_measurement_holds_its_estimate_or_says_why_not(rows):
    for each in measure_rows(rows):
        assert (each.value is None) == (each.reason is not None)
        if each.low is not None:
            assert each.low <= each.value <= each.high


@settings(max_examples=20, deadline=None)
@given(some_rows)
def test_the_groups_of_an_attribute_hold_every_row_once(rows):
    found = measure_rows(rows)

    for attributes in ({"race"}, {"sex"}, {"race", "sex"}):
        counted = [m.n for m in found if m.name == "fairness.mean_error" and set(m.slice) == attributes]
        assert sum(counted) == len(rows)


@pytest.mark.parametrize("form", [list, np.array, pd.Series, pd.Categorical])
def test_groups_may_come_in_any_form(wages, measured, form):
    labels, predictions, groups = wages

    found = measure_regression_fairness(labels, predictions, {"race": form(groups["race"].tolist())})

    assert keyed(found) == {key: each for key, each in measured.items() if "sex" not in key[1]}


@pytest.mark.parametrize(
    ("labels", "predictions", "message"),
    [
        ([1.0, np.nan], [1.0, 2.0], "labels to be finite numbers, found nan in row 1"),
        ([1.0, 2.0], [1.0, np.inf], "predictions to be finite numbers, found inf in row 1"),
        (["a", "b"], [1.0, 2.0], "labels to be numbers, found something else"),
        ([1.0], [1.0, 2.0], "found 1 labels and 2 predictions"),
        ([[1.0], [2.0]], [1.0, 2.0], "labels as one column of numbers"),
    ],
)
def test_what_is_no_number_is_refused(labels, predictions, message):
    with pytest.raises(InputError, match=message):
        measure_regression_fairness(labels, predictions, {"sex": ["men", "women"]})


def test_groups_of_another_length_are_refused():
    with pytest.raises(InputError, match="one group of 'sex' for each of 2 rows, found 1"):
        measure_regression_fairness([1, 2], [1, 2], {"sex": ["men"]})


def test_no_rows_give_no_values():
    assert {each.value for each in measure_regression_fairness([], [], {"race": []})} == {None}


def test_every_measure_documents_formula_source_ideal_and_limits():
    values = (mean_prediction, mean_error, mean_absolute_error)

    assert tuple(measure.__name__ for measure in values) == VALUES
    for measure in [*values, *(comparison.compute for comparison in COMPARISONS)]:
        assert {"Formula:", "Source:", "Ideal:", "Limits:"} <= set(measure.__doc__.split())
