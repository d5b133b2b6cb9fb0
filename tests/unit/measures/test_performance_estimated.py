"""Accuracy before labels: right where scores mean what they did, and found out where they do not."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from governance.measures.performance_estimated import Bins, Calibration, estimate_error, estimated_accuracy, label_delay


def drawn(random, n, a=2.0, b=2.0):
    """Probabilities, and what came true of them."""
    p = random.beta(a, b, n)
    return p, (random.random(n) < p).astype(int)


def squeezed(p):
    """A model that is far too sure of itself, and ranks rightly."""
    return p**3 / (p**3 + (1 - p) ** 3)


def answers(scores):
    return (scores >= 0.5).astype(int)


@pytest.mark.parametrize("says", [lambda p: p, squeezed], ids=["calibrated", "too sure"])
@pytest.mark.parametrize("shift", [(2.0, 2.0), (6.0, 2.0)], ids=["same rows", "other rows"])
def test_what_comes_true_lies_in_the_interval(says, shift):
    """Of 300 windows, 95 % ± 3 standard errors; whether or not the scores are calibrated, whoever asks."""
    random = np.random.default_rng(5)
    inside = 0
    for _ in range(300):
        p, labels = drawn(random, 800)
        now, truth = drawn(random, 400, *shift)
        found = estimated_accuracy(Calibration.of(says(p), answers(p), labels), says(now), answers(now), minimum_n=100)
        inside += found.low <= np.mean(answers(now) == truth) <= found.high
    assert inside / 300 >= 0.95 - 3 * np.sqrt(0.95 * 0.05 / 300)


def test_a_sure_map_leaves_the_variance_of_a_poisson_binomial():
    """With a validation a hundred times as large, the half width is that of Σ q (1 − q)."""
    random = np.random.default_rng(6)
    p, labels = drawn(random, 100_000)
    now = random.beta(2, 2, 1000)
    found = estimated_accuracy(Calibration.of(p, answers(p), labels), now, answers(now), minimum_n=100)
    right = np.maximum(now, 1 - now)
    half = 1.959963984540054 * np.sqrt((right * (1 - right)).sum()) / 1000
    assert found.value == pytest.approx(right.mean(), abs=0.01)
    assert (found.high - found.low) / 2 == pytest.approx(half, rel=0.05)


def test_labels_that_agree_leave_no_error_beyond_chance_and_others_are_found_out():
    random = np.random.default_rng(7)
    p, labels = drawn(random, 2000)
    calibration = Calibration.of(p, answers(p), labels)
    now, truth = drawn(random, 1000)
    fine = estimate_error(calibration, now, answers(now), truth, minimum_n=100)
    assert fine.low < 0 < fine.high
    turned = np.where(random.random(1000) < 0.3, 1 - truth, truth)
    wrong = estimate_error(calibration, now, answers(now), turned, minimum_n=100)
    expected = estimated_accuracy(calibration, now, answers(now), minimum_n=100).value
    assert wrong.low > 0.03
    assert wrong.value == pytest.approx(expected - np.mean(answers(now) == turned))


def test_of_the_validated_rows_themselves_it_is_their_accuracy():
    """Half a row of each kind is added to each bin: no bin is ever certain."""
    p, labels = drawn(np.random.default_rng(4), 4000)
    found = estimated_accuracy(Calibration.of(p, answers(p), labels), p, answers(p), minimum_n=100)
    assert found.value == pytest.approx(np.mean(answers(p) == labels), abs=0.01)


def test_an_answer_that_was_never_validated_leaves_it_open():
    calibration = Calibration.of(np.full(200, 0.9), np.ones(200), np.ones(200))
    found = estimated_accuracy(calibration, np.full(200, 0.1), np.zeros(200), minimum_n=100)
    assert (found.value, found.low, found.high) == (0.5, 0.0, 1.0)


@given(
    st.lists(
        st.tuples(st.sampled_from([0.0, 0.1, 0.1 + 1e-12, 0.5, 0.9, 1.0]), st.booleans()), min_size=1, max_size=1200
    )
)
def test_any_scores_make_bins_of_all_rows_in_which_no_rate_is_certain(pairs):
    scores, right = (np.array(side) for side in zip(*pairs, strict=True))
    bins = Bins.of(scores, right)
    assert bins.rows.sum() == bins.counts(scores).sum() == len(pairs)
    assert ((bins.rates > 0) & (bins.rates < 1)).all()
    assert (bins.rates * (bins.rows + 1) - 0.5).sum() == pytest.approx(right.sum())


@pytest.mark.parametrize(("rows", "bins"), [(0, 1), (30, 1), (400, 10), (50_000, 100)])
def test_bins_have_rows_enough_to_say_something(rows, bins):
    found = Bins.of(np.random.default_rng(9).random(rows), np.ones(rows, dtype=bool)).rows
    assert len(found) == bins
    assert found.min() >= min(rows, 40) - 1


@pytest.mark.parametrize(("rows", "validated"), [(99, 500), (500, 99)])
def test_too_few_rows_on_either_side_say_nothing(rows, validated):
    random = np.random.default_rng(1)
    p, labels = drawn(random, validated)
    calibration = Calibration.of(p, answers(p), labels)
    now, truth = drawn(random, rows)
    for found in (
        estimated_accuracy(calibration, now, answers(now), minimum_n=100),
        estimate_error(calibration, now, answers(now), truth, minimum_n=100),
    ):
        assert found.value is None
        assert f"{rows} rows and {validated} validated ones" in found.reason


def test_the_delay_of_labels_is_their_median_in_days():
    found = label_delay(np.arange(1, 102) * 86_400.0)
    assert (found.value, found.n) == (51, 101)
    assert (found.low, found.high) == (41, 62)
    alone = label_delay([43_200])
    assert (alone.value, alone.low, alone.high) == (0.5, 0.5, 0.5)
    assert label_delay([]).reason == "no label arrived in the window"


def test_the_interval_of_the_delay_holds_the_median():
    random = np.random.default_rng(2)
    inside = [(found := label_delay(random.exponential(86_400, 60))).low <= np.log(2) <= found.high for _ in range(400)]
    assert np.mean(inside) >= 0.95 - 3 * np.sqrt(0.95 * 0.05 / 400)
