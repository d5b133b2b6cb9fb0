"""Errors of predicted numbers against scikit-learn, and what they say where they are undefined."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics

from governance.errors import InputError
from governance.measures.regression import MEASURES, measure_regression

amounts = st.floats(-1e6, 1e6, allow_subnormal=False)
rows = st.lists(st.tuples(amounts, amounts), min_size=1, max_size=60)


def by_name(labels, predictions):
    return {found.name.removeprefix("performance."): found for found in measure_regression(labels, predictions)}


def draw(generator, n):
    """Return wages and predictions that miss them by a share, as skewed as wages are."""
    labels = generator.lognormal(1.5, 0.5, n)
    return labels, labels**0.7 * generator.lognormal(0.4, 0.3, n)


@pytest.fixture
def sample():
    return draw(np.random.default_rng(1), 500)


def test_every_measure_is_that_of_scikit_learn(sample):
    labels, predictions = sample
    median = np.full(500, np.median(labels))
    expected = {
        "rmse": metrics.root_mean_squared_error(labels, predictions),
        "mae": metrics.mean_absolute_error(labels, predictions),
        "median_absolute_error": metrics.median_absolute_error(labels, predictions),
        "mean_error": predictions.mean() - labels.mean(),
        "mape": metrics.mean_absolute_percentage_error(labels, predictions),
        "r2": metrics.r2_score(labels, predictions),
        "error_gain": metrics.d2_absolute_error_score(labels, predictions),
    }

    assert {name: found.value for name, found in by_name(*sample).items()} == pytest.approx(expected)
    assert expected["error_gain"] == pytest.approx(1 - expected["mae"] / metrics.mean_absolute_error(labels, median))


def test_each_measure_is_reported_once_and_documents_formula_source_ideal_and_limits(sample):
    assert [found.name for found in measure_regression(*sample)] == [f"performance.{m.__name__}" for m in MEASURES]
    for measure in MEASURES:
        parts = re.findall(r"^ *(Formula|Source|Ideal|Limits): ", measure.__doc__, re.MULTILINE)
        assert parts == ["Formula", "Source", "Ideal", "Limits"]


@given(rows)
def test_every_interval_holds_its_estimate_and_nothing_is_ever_without_value_or_reason(cases):
    for found in measure_regression(*zip(*cases, strict=True)):
        assert (found.value is None) == (found.reason is not None)
        if found.low is not None:
            assert found.low <= found.value + 1e-9 * abs(found.value)
        if found.high is not None:
            assert found.value <= found.high + 1e-9 * abs(found.value)


@given(rows, st.randoms())
def test_the_order_of_rows_changes_nothing(cases, random):
    shuffled = random.sample(cases, len(cases))

    assert measure_regression(*zip(*cases, strict=True)) == measure_regression(*zip(*shuffled, strict=True))


@given(rows, st.sampled_from([0.25, 2.0, 1024.0]))
def test_another_unit_of_the_target_scales_amounts_and_leaves_ratios(cases, factor):
    labels, predictions = np.array(cases).T
    once, scaled = by_name(labels, predictions), by_name(factor * labels, factor * predictions)

    for name, found in once.items():
        if found.value is not None:
            by = 1 if name in ("mape", "r2", "error_gain") else factor
            assert scaled[name].value == pytest.approx(found.value * by, rel=1e-9)
        else:
            assert scaled[name].reason == found.reason


def test_every_row_twice_leaves_the_estimates_and_narrows_the_intervals(sample):
    once, twice = by_name(*sample), by_name(*(np.tile(column, 2) for column in sample))

    for name, found in once.items():
        assert twice[name].value == pytest.approx(found.value)
        assert twice[name].high - twice[name].low < found.high - found.low


@pytest.fixture(scope="module")
def simulated():
    """The measurements of a million rows, and of 500 samples of 400."""
    generator = np.random.default_rng(0)
    return by_name(*draw(generator, 1_000_000)), [by_name(*draw(generator, 400)) for _ in range(500)]


@pytest.mark.parametrize("name", [measure.__name__ for measure in MEASURES])
def test_intervals_hold_the_truth_about_95_times_in_100(simulated, name):
    truth, found = simulated[0][name].value, [each[name] for each in simulated[1]]

    assert 0.92 <= np.mean([each.low <= truth <= each.high for each in found]) <= 0.98


def test_the_gains_are_paired_and_agree_with_resampling_rows(sample):
    labels, predictions = (column[np.random.default_rng(0).integers(0, 500, (2000, 500))] for column in sample)
    mean, median = labels.mean(1, keepdims=True), np.median(labels, axis=1, keepdims=True)
    resampled = {
        "r2": 1 - ((predictions - labels) ** 2).sum(1) / ((labels - mean) ** 2).sum(1),
        "error_gain": 1 - np.abs(predictions - labels).sum(1) / np.abs(labels - median).sum(1),
    }
    found = by_name(*sample)

    for name, gains in resampled.items():
        ends = (found[name].low, found[name].high)
        assert ends == pytest.approx(np.quantile(gains, [0.025, 0.975]), abs=0.03)


def test_the_mean_and_the_median_of_the_rows_gain_nothing(sample):
    labels, _ = sample

    assert by_name(labels, np.full(500, labels.mean()))["r2"].value == pytest.approx(0)
    assert by_name(labels, np.full(500, np.median(labels)))["error_gain"].value == pytest.approx(0)


def test_predictions_that_are_too_high_have_a_mean_error_above_0():
    assert by_name([1.0, 2.0], [2.0, 3.0])["mean_error"].value == 1.0


def test_a_label_of_0_leaves_the_percentage_error_without_value_and_says_so():
    found = by_name([0.0, 1.0, 2.0], [1.0, 1.0, 2.0])

    assert (found["mape"].value, found["mape"].reason) == (None, "1 of 3 labels are 0, of which no error is a share")
    assert found["mae"].value == pytest.approx(1 / 3)


def test_negative_labels_are_as_far_off_as_positive_ones():
    assert by_name([-2.0, 2.0], [-1.0, 1.0])["mape"].value == 0.5


@pytest.mark.parametrize("label", [0.1, 1e300])
def test_one_label_for_all_leaves_gains_without_value_and_errors_measured(label):
    found = by_name([label] * 7, [label] * 7)

    for name in ("r2", "error_gain"):
        assert (found[name].value, found[name].reason) == (None, "all labels are the same")
    assert found["rmse"].value == found["mae"].value == 0.0


def test_a_perfect_model_gains_everything():
    found = by_name([1.0, 2.0, 3.0], [1.0, 2.0, 3.0])

    assert found["r2"].value == found["r2"].low == found["error_gain"].value == 1.0


def test_one_row_has_errors_but_no_interval():
    found = by_name([1.0], [3.0])

    assert found["rmse"].value == found["mae"].value == found["median_absolute_error"].value == 2.0
    assert {(each.low, each.high) for each in found.values()} == {(None, None)}


def test_no_rows_give_no_values():
    assert {(found.value, found.reason) for found in measure_regression([], [])} == {(None, "there are no rows")}


@pytest.mark.parametrize("prediction", [np.nan, np.inf, -np.inf, None])
def test_a_single_prediction_that_is_no_number_leaves_everything_unmeasured(prediction):
    found = measure_regression([1.0, 2.0, 3.0], [1.0, 2.0, prediction])

    assert {(each.value, each.reason) for each in found} == {(None, "1 of 3 predictions are not finite numbers")}
    assert len(found) == len(MEASURES)


def test_errors_beyond_the_largest_float_have_no_value_instead_of_infinity():
    found = by_name([1e200, -1e200, 3.0], [-1e200, 1e200, 2.0])

    assert (found["rmse"].value, found["rmse"].reason) == (None, "the result is inf")
    assert found["r2"].value is None
    assert found["mae"].value == pytest.approx(4e200 / 3)


@pytest.mark.parametrize(
    ("labels", "predictions", "message"),
    [
        ([1.0, 2.0], [1.0], "2 labels and 1 predictions"),
        ([1.0, np.nan], [1.0, 2.0], "labels that are finite numbers, found nan in row 1 and 0 more"),
        ([1.0, None], [1.0, 2.0], "labels that are finite numbers, found nan"),
        ([np.inf, 1.0], [1.0, 2.0], "labels that are finite numbers, found inf in row 0"),
        ([[1.0, 2.0]], [1.0, 2.0], "labels as one column of numbers, found an array of shape"),
        ([1.0, 2.0], [[1.0], [2.0]], "predictions as one column of numbers"),
        (["1", "2"], [1.0, 2.0], "labels as one column of numbers, found others"),
        ([1.0, 2.0], [1.0, object()], "predictions as one column of numbers, found others"),
        ([1.0, 2.0], [1 + 1j, 2.0], "predictions as one column of numbers, found others"),
        ([[1.0], [1.0, 2.0]], [1.0, 2.0], "labels as one column of numbers, found others"),
    ],
)
def test_input_that_no_measure_could_use_is_refused(labels, predictions, message):
    with pytest.raises(InputError, match=message):
        measure_regression(labels, predictions)
