"""Performance against scikit-learn, and what it says where a measure is undefined."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics
from sklearn.calibration import calibration_curve

from governance.errors import InputError
from governance.measures.intervals import Z
from governance.measures.performance import BINS, MEASURES, RATES, calibration_gap, measure_performance

rows = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 1), st.floats(0, 1)), min_size=1, max_size=60)


def by_name(labels, predictions, scores):
    return {
        found.name.removeprefix("performance."): found for found in measure_performance(labels, predictions, scores)
    }


def columns(cases):
    return [np.array(column) for column in zip(*cases, strict=True)]


@pytest.fixture
def sample():
    generator = np.random.default_rng(1)
    labels = generator.integers(0, 2, 500)
    scores = np.clip(0.25 + 0.5 * labels + generator.normal(0, 0.25, 500), 0, 1)
    return labels, (scores > 0.4).astype(int), scores


def test_every_measure_is_that_of_scikit_learn(sample):
    labels, predictions, scores = sample
    expected = {
        "accuracy": metrics.accuracy_score(labels, predictions),
        "balanced_accuracy": metrics.balanced_accuracy_score(labels, predictions),
        "precision": metrics.precision_score(labels, predictions),
        "recall": metrics.recall_score(labels, predictions),
        "f1": metrics.f1_score(labels, predictions),
        "roc_auc": metrics.roc_auc_score(labels, scores),
        "average_precision": metrics.average_precision_score(labels, scores),
        "log_loss": metrics.log_loss(labels, scores),
        "brier_score": metrics.brier_score_loss(labels, scores),
        "calibration_error": np.abs(np.subtract(*calibration_curve(labels, scores, n_bins=10, strategy="quantile")))
        @ np.bincount(np.searchsorted(np.quantile(scores, np.linspace(0.1, 0.9, 9)), scores))
        / 500,
        "base_rate": max(labels.mean(), 1 - labels.mean()),
        "accuracy_gain": metrics.accuracy_score(labels, predictions) - max(labels.mean(), 1 - labels.mean()),
        "unfavourable_selected": predictions[labels == 0].mean(),
    }

    assert {name: found.value for name, found in by_name(*sample).items()} == pytest.approx(expected)


def test_each_measure_is_reported_once_and_documents_formula_and_source(sample):
    assert len(by_name(*sample)) == len(measure_performance(*sample)) == len(RATES) + len(MEASURES)
    for measure in [*RATES.values(), *MEASURES]:
        assert re.findall(r"^ *(Formula|Source|Ideal|Limits): ", measure.__doc__, re.MULTILINE) == [
            "Formula",
            "Source",
            "Ideal",
            "Limits",
        ]


@given(rows)
def test_every_interval_holds_its_estimate_and_nothing_is_ever_without_value_or_reason(cases):
    for found in measure_performance(*columns(cases)):
        assert (found.value is None) == (found.reason is not None)
        if found.low is not None:
            assert found.low <= found.value + 1e-12
            assert found.value <= found.high + 1e-12


@given(rows, st.randoms())
def test_the_order_of_rows_changes_nothing(cases, random):
    shuffled = random.sample(cases, len(cases))

    assert measure_performance(*columns(cases)) == measure_performance(*columns(shuffled))


def test_every_row_twice_leaves_the_estimates_and_narrows_the_intervals(sample):
    once, twice = by_name(*sample), by_name(*(np.tile(column, 2) for column in sample))

    for name, found in once.items():
        assert twice[name].value == pytest.approx(found.value)
        assert twice[name].high - twice[name].low < found.high - found.low


def test_each_measure_counts_its_own_denominator():
    found = by_name([1, 1, 1, 0, 0], [1, 1, 0, 1, 0], [0.9, 0.8, 0.2, 0.6, 0.1])

    assert {name: found[name].n for name in ("accuracy", "precision", "recall", "unfavourable_selected", "f1")} == {
        "accuracy": 5,
        "precision": 3,
        "recall": 3,
        "unfavourable_selected": 2,
        "f1": 4,
    }


@pytest.mark.parametrize(
    ("label", "without_value"),
    [
        (1, {"unfavourable_selected", "balanced_accuracy", "roc_auc", "average_precision"}),
        (0, {"recall", "precision", "balanced_accuracy", "roc_auc", "average_precision", "f1"}),
    ],
)
def test_one_label_only_leaves_measures_without_value_but_with_a_reason(label, without_value):
    found = by_name([label] * 4, [label] * 4, [0.5] * 4)

    assert {name for name, each in found.items() if each.value is None} == without_value
    assert found["roc_auc"].reason == f"no row has the label {1 - label}"


def test_no_rows_give_no_values():
    assert {found.value for found in measure_performance([], [], [])} == {None}


@pytest.mark.parametrize("score", [np.nan, np.inf, 1.5, -0.1])
def test_a_score_that_is_no_probability_leaves_scores_unmeasured_and_decisions_measured(score):
    found = by_name([1, 0, 1], [1, 0, 1], [0.9, 0.1, score])

    for name in ("roc_auc", "average_precision", "log_loss", "brier_score", "calibration_error"):
        assert (found[name].value, found[name].reason) == (None, "1 of 3 scores are not numbers from 0 to 1")
    assert found["accuracy"].value == 1.0


@pytest.mark.parametrize(
    ("labels", "predictions", "scores", "message"),
    [
        ([1, 0], [1], [0.5, 0.5], "2 labels and 1 predictions"),
        ([1, 0], [1, 0], [0.5], "one score for each of 2 rows"),
        ([1, 2], [1, 0], [0.5, 0.5], "labels to be 0"),
        ([1, 0], [1, np.nan], [0.5, 0.5], "predictions to be 0"),
        ([[1, 0]], [1, 0], [0.5, 0.5], "one column"),
        (["yes", "no"], [1, 0], [0.5, 0.5], "labels to be 0"),
    ],
)
def test_input_that_no_measure_could_use_is_refused(labels, predictions, scores, message):
    with pytest.raises(InputError, match=message):
        measure_performance(labels, predictions, scores)


def test_a_model_that_always_says_the_majority_gains_nothing_and_cannot_prove_a_gain():
    found = by_name([1] * 88 + [0] * 12, [1] * 100, [0.88] * 100)

    assert found["accuracy_gain"].value == 0.0
    assert found["accuracy_gain"].low < 0
    assert found["base_rate"].value == found["accuracy"].value == 0.88


def test_the_gain_is_paired_and_so_narrower_than_two_intervals(sample):
    found = by_name(*sample)
    resampled = np.random.default_rng(0).integers(0, 500, (2000, 500))
    gains = (sample[0] == sample[1])[resampled].mean(1) - (sample[0] == (sample[0].mean() >= 0.5))[resampled].mean(1)

    ends = (found["accuracy_gain"].low, found["accuracy_gain"].high)

    assert ends == pytest.approx(np.quantile(gains, [0.025, 0.975]), abs=0.01)


def test_log_loss_of_a_certain_mistake_is_large_and_finite():
    assert by_name([1, 0], [0, 0], [0.0, 0.0])["log_loss"].value == pytest.approx(metrics.log_loss([1, 0], [0.0, 0.0]))


def test_booleans_are_as_good_as_0_and_1(sample):
    labels, predictions, scores = sample

    assert measure_performance(labels == 1, predictions == 1, scores) == measure_performance(*sample)


def draw(generator, n, share, distance):
    """Return labels and scores of a model that moves label 1 up by so many standard deviations."""
    labels = (generator.random(n) < share).astype(int)
    odds = generator.normal(size=n) + distance * labels
    return labels, np.round(1 / (1 + np.exp(-odds)), 2)


@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 9)), min_size=3, max_size=25))
def test_average_precision_has_the_variance_of_the_infinitesimal_jackknife(cases):
    labels, scores = columns(cases)
    if len({*labels}) < 2:
        return
    step, value = 1e-6, metrics.average_precision_score(labels, scores / 10)
    shares = np.full(len(labels), 1 / len(labels))
    moved = [(1 - step) * shares + step * np.eye(len(labels))[row] for row in range(len(labels))]
    influence = [metrics.average_precision_score(labels, scores / 10, sample_weight=each) - value for each in moved]
    half = Z * np.sqrt(np.mean(np.square(np.array(influence) / step)) / len(labels))

    found = by_name(labels, labels, scores / 10)["average_precision"]

    assert found.value == pytest.approx(value)
    if found.method == "infinitesimal jackknife":
        odds = np.log(value / (1 - value)) + np.array([-1, 1]) * half / (value * (1 - value))
        assert (found.low, found.high) == pytest.approx(tuple(1 / (1 + np.exp(-odds))), abs=1e-4)
    else:
        assert half == pytest.approx(0, abs=1e-4)


@pytest.mark.parametrize(("n", "share", "distance"), [(300, 0.5, 0.0), (300, 0.5, 2.0), (1000, 0.95, 0.5)])
def test_the_interval_of_average_precision_holds_the_truth_about_95_times_in_100(n, share, distance):
    generator = np.random.default_rng(0)
    truth = metrics.average_precision_score(*draw(generator, 1_000_000, share, distance))
    drawn = (draw(generator, n, share, distance) for _ in range(600))

    found = [by_name(labels, labels, scores)["average_precision"] for labels, scores in drawn]

    assert 0.92 <= np.mean([each.low <= truth <= each.high for each in found]) <= 0.98


def test_perfect_separation_is_no_proof_of_perfect_precision():
    found = by_name([0] * 10 + [1] * 20, [0] * 10 + [1] * 20, np.arange(30) / 30)["average_precision"]

    assert (found.value, found.high, found.method) == (1.0, 1.0, "wilson")
    assert found.low == pytest.approx(0.7225, abs=1e-4)  # Wilson of 10 in 10


def test_the_calibration_error_is_the_mean_gap_of_ten_bins():
    scores = np.repeat(np.arange(10) / 10 + 0.05, 10)
    labels = np.concatenate([np.repeat([1, 0], [right, 10 - right]) for right in (0, 1, 2, 3, 4, 5, 6, 7, 8, 9)])

    assert by_name(labels, labels, scores)["calibration_error"].value == pytest.approx(0.05)
    assert by_name(labels, labels, 1 - scores)["calibration_error"].value == pytest.approx(
        np.mean([abs(0.95 - at / 10 - at / 10) for at in range(10)])
    )


@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 8)), min_size=1, max_size=60))
def test_equal_scores_share_a_bin_which_ends_at_its_decile(cases):
    labels, scores = columns(cases)
    bins = np.searchsorted(np.quantile(scores / 8, np.linspace(0, 1, BINS + 1)[1:-1]), scores / 8)

    found = by_name(labels, labels, scores / 8)["calibration_error"]

    assert found.value == pytest.approx(np.abs(np.bincount(bins, scores / 8 - labels)).sum() / len(labels))


def test_one_score_for_all_is_as_far_off_as_it_is_from_the_base_rate():
    assert by_name([1, 1, 1, 0], [1] * 4, [0.5] * 4)["calibration_error"].value == 0.25


@pytest.mark.parametrize(
    ("n", "centre", "slope", "shift"),
    [(200, 0, 1, 0), (200, 0, 1, 1), (2000, 0, 1, 0.3), (2000, -4, 1, 0.7), (2000, 2, 0.5, 0)],
    ids=["calibrated", "high", "a little high", "rare", "too timid"],
)
def test_the_interval_of_the_calibration_error_holds_the_truth_at_least_95_times_in_100(n, centre, slope, shift):
    generator = np.random.default_rng(0)
    held = []
    for _ in range(400):
        odds = generator.normal(centre, 1.5, n)
        chance, scores = 1 / (1 + np.exp(-odds)), 1 / (1 + np.exp(-slope * odds - shift))
        bins = np.searchsorted(np.quantile(scores, np.linspace(0.1, 0.9, BINS - 1)), scores)
        truth = np.abs(np.bincount(bins, chance - scores)).sum() / n
        _, low, high = calibration_gap((generator.random(n) < chance).astype(int), scores)
        held.append(low <= truth <= high)

    assert np.mean(held) >= 0.95
