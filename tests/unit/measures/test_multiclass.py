"""Several classes against scikit-learn and against the measures of two, and what is said where one is undefined."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics

from governance.errors import InputError
from governance.measures.intervals import Z
from governance.measures.multiclass import BY_CLASS, MEASURES, measure_multiclass
from governance.measures.performance import measure_performance

CLASSES = ("bronze", "silver", "gold")

weights = st.tuples(*[st.integers(1, 20)] * 3)
rows = st.lists(st.tuples(st.integers(0, 2), weights), min_size=1, max_size=40)


def named(found):
    return {(each.name.removeprefix("performance."), *each.slice.values()): each for each in found}


def by_name(labels, scores, **kwargs):
    return named(measure_multiclass(labels, scores, classes=CLASSES, **kwargs))


def columns(cases):
    labels, scores = (np.array(column) for column in zip(*cases, strict=True))
    return labels, scores / scores.sum(1, keepdims=True)


def draw(generator, n, skill=1.5, shares=(0.5, 0.3, 0.2)):
    """Return labels and the probabilities of a model that knows something of them, but is too sure of itself."""
    labels = generator.choice(3, n, p=shares)
    odds = np.exp(generator.normal(size=(n, 3)) + skill * np.eye(3)[labels] + np.log(shares))
    return labels, odds / odds.sum(1, keepdims=True)


@pytest.fixture
def sample():
    return draw(np.random.default_rng(1), 500)


def test_every_measure_is_that_of_scikit_learn(sample):
    labels, scores = sample
    predictions, most = scores.argmax(1), np.bincount(labels).max() / 500
    bins = np.searchsorted(np.quantile(scores.max(1), np.linspace(0.1, 0.9, 9)), scores.max(1))
    gaps = np.bincount(bins, (predictions == labels) - scores.max(1))
    expected = {
        ("accuracy",): metrics.accuracy_score(labels, predictions),
        ("balanced_accuracy",): metrics.balanced_accuracy_score(labels, predictions),
        ("f1_macro",): metrics.f1_score(labels, predictions, average="macro"),
        ("roc_auc",): metrics.roc_auc_score(labels, scores, multi_class="ovr", average="macro"),
        ("log_loss",): metrics.log_loss(labels, scores),
        ("brier_score",): metrics.brier_score_loss(labels, scores, scale_by_half=True),
        ("calibration_error",): np.abs(gaps).sum() / 500,
        ("base_rate",): most,
        ("accuracy_gain",): metrics.accuracy_score(labels, predictions) - most,
    }
    for name, score in (("class_precision", metrics.precision_score), ("class_recall", metrics.recall_score)):
        for each, value in zip(CLASSES, score(labels, predictions, average=None), strict=True):
            expected[name, each] = value

    assert {name: found.value for name, found in by_name(*sample).items()} == pytest.approx(expected)


def test_two_classes_have_the_numbers_and_intervals_of_a_binary_classifier():
    generator = np.random.default_rng(2)
    labels = generator.integers(0, 2, 401)
    scores = np.round(np.clip(0.25 + 0.5 * labels + generator.normal(0, 0.3, 401), 0.01, 0.99), 2)
    binary = named(measure_performance(labels, scores > 0.5, scores))

    both = np.column_stack([1 - scores, scores])
    found = named(measure_multiclass(labels, both, classes=["no", "yes"], predictions=(scores > 0.5).astype(int)))

    shared = {name for name in found if name in binary} - {("calibration_error",)}
    assert len(shared) == 7
    for name in shared:
        assert (found[name].value, found[name].n) == (pytest.approx(binary[name].value), binary[name].n)
        assert (found[name].low, found[name].high) == pytest.approx((binary[name].low, binary[name].high))
        assert found[name].method == binary[name].method
    assert found["class_precision", "yes"].value == binary["precision",].value
    assert found["class_recall", "yes"].low == binary["recall",].low


def test_each_measure_is_reported_once_and_documents_formula_source_ideal_and_limits(sample):
    found = measure_multiclass(*sample, classes=CLASSES)

    assert len(named(found)) == len(found) == len(MEASURES) + 3 * len(BY_CLASS)
    for measure in [*MEASURES, *BY_CLASS.values()]:
        parts = re.findall(r"^ *(Formula|Source|Ideal|Limits): ", measure.__doc__, re.MULTILINE)
        assert parts == ["Formula", "Source", "Ideal", "Limits"]


@given(rows)
def test_every_interval_holds_its_estimate_and_nothing_is_ever_without_value_or_reason(cases):
    for found in measure_multiclass(*columns(cases), classes=CLASSES):
        assert (found.value is None) == (found.reason is not None)
        if found.low is not None:
            assert found.low <= found.value + 1e-12
            assert found.value <= found.high + 1e-12


@given(rows, st.randoms())
def test_the_order_of_rows_changes_nothing(cases, random):
    labels, scores = columns(cases)
    order = random.sample(range(len(cases)), len(cases))

    assert by_name(labels, scores) == by_name(labels[order], scores[order])


@given(rows, st.permutations(range(3)))
def test_the_order_of_classes_changes_no_estimate(cases, order):
    labels, scores = columns(cases)
    decided, place = scores.argmax(1), np.argsort(order)
    once = by_name(labels, scores, predictions=decided)

    again = named(
        measure_multiclass(
            place[labels], scores[:, order], classes=[CLASSES[at] for at in order], predictions=place[decided]
        )
    )

    for name in once.keys() - {("calibration_error",)}:
        assert again[name].value == pytest.approx(once[name].value)


def test_every_row_twice_leaves_the_estimates_and_narrows_the_intervals(sample):
    labels, scores = sample
    once, twice = by_name(labels, scores), by_name(np.tile(labels, 2), np.tile(scores, (2, 1)))

    for name, found in once.items():
        assert twice[name].value == pytest.approx(found.value)
        assert twice[name].high - twice[name].low < found.high - found.low


@pytest.fixture(scope="module")
def simulated():
    """The measurements of a million rows, and of 400 samples of 400."""
    generator = np.random.default_rng(0)
    return by_name(*draw(generator, 1_000_000)), [by_name(*draw(generator, 400)) for _ in range(400)]


@pytest.mark.parametrize("name", ["balanced_accuracy", "f1_macro", "roc_auc", "log_loss", "brier_score"])
def test_intervals_hold_the_truth_about_95_times_in_100(simulated, name):
    truth, found = simulated[0][name,].value, [each[name,] for each in simulated[1]]

    assert 0.92 <= np.mean([each.low <= truth <= each.high for each in found]) <= 0.98


def test_the_interval_of_the_calibration_error_holds_the_truth_at_least_95_times_in_100(simulated):
    truth, found = simulated[0]["calibration_error",].value, [each["calibration_error",] for each in simulated[1]]

    assert np.mean([each.low <= truth <= each.high for each in found]) >= 0.95


def test_the_interval_of_macro_f1_is_that_of_its_derivative(sample):
    labels, scores = sample
    predictions, step = scores.argmax(1), 1e-6
    value = metrics.f1_score(labels, predictions, average="macro")
    cells = [(label, predicted) for label in range(3) for predicted in range(3)]
    shares = [np.mean((labels == label) & (predictions == predicted)) for label, predicted in cells]
    moved = [(1 - step) * np.array(shares) + step * np.eye(9)[at] for at in range(9)]
    truth, decided = zip(*cells, strict=True)
    slopes = [(metrics.f1_score(truth, decided, average="macro", sample_weight=each) - value) / step for each in moved]

    half = Z * np.sqrt(np.dot(shares, np.square(slopes)) / 500)

    assert by_name(*sample)["f1_macro",].low == pytest.approx(value - half, abs=1e-5)


def test_the_interval_of_the_macro_area_agrees_with_resampling_rows(sample):
    labels, scores = sample
    resamples = np.random.default_rng(0).integers(0, 500, (300, 500))
    areas = [metrics.roc_auc_score(labels[each], scores[each], multi_class="ovr") for each in resamples]

    found = by_name(*sample)["roc_auc",]

    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(areas, [0.025, 0.975])), abs=0.006)


def test_each_measure_counts_its_own_denominator(sample):
    labels, scores = sample
    found = by_name(*sample)

    assert found["class_recall", "gold"].n == np.count_nonzero(labels == 2)
    assert found["class_precision", "gold"].n == np.count_nonzero(scores.argmax(1) == 2)
    assert found["accuracy",].n == 500


def test_always_the_most_frequent_class_gains_nothing_and_cannot_prove_a_gain():
    labels = [0] * 60 + [1] * 30 + [2] * 10
    found = by_name(labels, np.tile([0.6, 0.3, 0.1], (100, 1)))

    assert found["accuracy_gain",].value == 0.0
    assert found["accuracy_gain",].low < 0
    assert found["base_rate",].value == found["accuracy",].value == 0.6
    assert found["brier_score",].value == pytest.approx((1 - 0.36 - 0.09 - 0.01) / 2)
    assert found["roc_auc",].value == 0.5


def test_a_perfect_model_of_30_rows_has_not_proved_to_be_perfect():
    labels = np.repeat([0, 1, 2], 10)
    found = by_name(labels, np.eye(3)[labels] * 0.7 + 0.1)

    for name in ("f1_macro", "roc_auc"):
        assert (found[name,].value, found[name,].high, found[name,].method) == (1.0, 1.0, "wilson")
        assert found[name,].low == pytest.approx(0.7225, abs=1e-4)  # Wilson of 10 in 10


def test_a_certain_mistake_is_as_bad_as_it_gets_and_finite():
    found = by_name([0, 1, 2], [[0, 1, 0], [0, 0, 1], [1, 0, 0]])

    assert found["brier_score",].value == found["brier_score",].high == 1.0
    assert found["log_loss",].value == pytest.approx(36.04, abs=0.01)
    assert found["f1_macro",].value == found["accuracy",].value == 0.0


def test_a_class_without_a_row_leaves_what_averages_over_classes_without_value_but_with_a_reason():
    found = by_name([0, 1, 0, 1], np.tile([0.5, 0.4, 0.1], (4, 1)))

    assert {name: each.reason for name, each in found.items() if each.value is None} == {
        ("balanced_accuracy",): "no row has the label gold",
        ("roc_auc",): "no row has the label gold",
        ("f1_macro",): "no row has the label gold or is predicted gold",
        ("class_precision", "silver"): "no row is predicted silver",
        ("class_precision", "gold"): "no row is predicted gold",
        ("class_recall", "gold"): "no row has the label gold",
    }


@pytest.mark.parametrize("label", [0, 2])
def test_one_class_only_is_measured_as_far_as_it_can_be(label):
    found = by_name([label] * 3, np.tile([0.5, 0.4, 0.1], (3, 1)))

    assert found["accuracy",].value == (label == 0)
    assert found["base_rate",].value == 1.0
    assert found["roc_auc",].value is None


def test_one_row_has_losses_but_no_interval():
    found = by_name([0], [[0.5, 0.4, 0.1]])

    assert found["brier_score",].value == pytest.approx((0.25 + 0.16 + 0.01) / 2)
    assert (found["brier_score",].low, found["log_loss",].high) == (None, None)


def test_no_rows_give_no_values():
    found = measure_multiclass([], np.empty((0, 3)), classes=CLASSES)

    assert len(found) == len(MEASURES) + 3 * len(BY_CLASS)
    assert {(each.value, each.reason) for each in found} == {(None, "there are no rows")}


@pytest.mark.parametrize(
    ("score", "reason"),
    [
        ([np.nan, 0.5, 0.5], "1 of 3 rows have scores that are not numbers from 0 to 1"),
        ([np.inf, 0.5, 0.5], "1 of 3 rows have scores that are not numbers from 0 to 1"),
        ([1.5, -0.25, -0.25], "1 of 3 rows have scores that are not numbers from 0 to 1"),
        ([0.5, 0.4, 0.2], "1 of 3 rows have scores that do not add up to 1"),
        ([0.0, 0.0, 0.0], "1 of 3 rows have scores that do not add up to 1"),
    ],
)
def test_scores_that_are_no_probabilities_leave_everything_unmeasured_but_the_base_rate(score, reason):
    scores = [[0.8, 0.1, 0.1], [0.1, 0.8, 0.1], score]

    found = by_name([0, 1, 2], scores)

    assert {name for name, each in found.items() if each.value is not None} == {("base_rate",)}
    assert {each.reason for name, each in found.items() if name != ("base_rate",)} == {reason}


def test_decisions_that_are_given_are_measured_even_if_scores_cannot_be():
    found = by_name([0, 1, 2], np.full((3, 3), np.nan), predictions=[0, 1, 1])

    assert found["accuracy",].value == pytest.approx(2 / 3)
    assert found["class_recall", "gold"].value == 0.0
    assert found["log_loss",].value is None


def test_a_score_is_at_most_1_whatever_rounding_did_to_the_probabilities():
    found = by_name([2, 2], [[1.0, 0.0005, 0.0]] * 2)["brier_score",]

    assert (found.value, found.low, found.high) == (1.0, 1.0, 1.0)


def test_single_precision_is_no_error():
    labels, scores = draw(np.random.default_rng(3), 200)

    found, exact = by_name(labels, scores.astype(np.float32)), by_name(labels, scores)

    for name, each in exact.items():
        assert found[name].value == pytest.approx(each.value, rel=1e-5)


@pytest.mark.parametrize(
    ("labels", "scores", "message"),
    [
        ([0, 1], [[0.5, 0.5]] * 2, "probability of each of 3 classes for each of 2 rows"),
        ([0, 1], [[0.2, 0.3, 0.5]], "for each of 2 rows, found an array of shape"),
        ([0, 1], [0.5, 0.5], "found an array of shape"),
        ([0, 3], [[0.2, 0.3, 0.5]] * 2, "labels to be positions from 0 to 2"),
        ([0, -1], [[0.2, 0.3, 0.5]] * 2, "labels to be positions from 0 to 2"),
        ([0, 0.5], [[0.2, 0.3, 0.5]] * 2, "labels to be positions from 0 to 2"),
        ([0, np.nan], [[0.2, 0.3, 0.5]] * 2, "labels to be positions from 0 to 2"),
        (["gold", "silver"], [[0.2, 0.3, 0.5]] * 2, "labels to be positions from 0 to 2"),
        ([[0, 1]], [[0.2, 0.3, 0.5]] * 2, "labels as one column"),
    ],
)
def test_input_that_no_measure_could_use_is_refused(labels, scores, message):
    with pytest.raises(InputError, match=message):
        measure_multiclass(labels, scores, classes=CLASSES)


@pytest.mark.parametrize(
    ("predictions", "message"), [([0], "2 labels and 1 predictions"), ([0, 7], "predictions to be positions")]
)
def test_decisions_that_do_not_fit_are_refused(predictions, message):
    with pytest.raises(InputError, match=message):
        measure_multiclass([0, 1], [[0.2, 0.3, 0.5]] * 2, classes=CLASSES, predictions=predictions)


@pytest.mark.parametrize("classes", [["one"], ["a", "b", "a"], []])
def test_classes_that_cannot_be_told_apart_are_refused(classes):
    with pytest.raises(InputError, match="two or more classes that differ"):
        measure_multiclass([0], [[1.0] * len(classes)], classes=classes)
