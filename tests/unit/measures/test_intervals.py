"""Intervals against published numbers, closed forms, and what they promise."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import rankdata
from sklearn.metrics import roc_auc_score

from governance.measures import intervals
from governance.measures.confusion import Share

counts = st.integers(0, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))

# fmt: off
# DeLong, DeLong and Clarke-Pearson (1988): albumin, total protein, K-G score and outcome of 43 patients, as printed in
# the documentation of SAS's LOGISTIC procedure.
OVARIAN_CANCER = np.array(
    [
        (3.0, 5.8, 10, 0), (3.2, 6.3, 5, 1), (3.9, 6.8, 3, 1), (2.8, 4.8, 6, 0), (3.2, 5.8, 3, 1), (0.9, 4.0, 5, 0),
        (2.5, 5.7, 8, 0), (1.6, 5.6, 5, 1), (3.8, 5.7, 5, 1), (3.7, 6.7, 6, 1), (3.2, 5.4, 4, 1), (3.8, 6.6, 6, 1),
        (4.1, 6.6, 5, 1), (3.6, 5.7, 5, 1), (4.3, 7.0, 4, 1), (3.6, 6.7, 4, 0), (2.3, 4.4, 6, 1), (4.2, 7.6, 4, 0),
        (4.0, 6.6, 6, 0), (3.5, 5.8, 6, 1), (3.8, 6.8, 7, 1), (3.0, 4.7, 8, 0), (4.5, 7.4, 5, 1), (3.7, 7.4, 5, 1),
        (3.1, 6.6, 6, 1), (4.1, 8.2, 6, 1), (4.3, 7.0, 5, 1), (4.3, 6.5, 4, 1), (3.2, 5.1, 5, 1), (2.6, 4.7, 6, 1),
        (3.3, 6.8, 6, 0), (1.7, 4.0, 7, 0), (3.7, 6.1, 5, 1), (3.3, 6.3, 7, 1), (4.2, 7.7, 6, 1), (3.5, 6.2, 5, 1),
        (2.9, 5.7, 9, 0), (2.1, 4.8, 7, 1), (2.8, 6.2, 8, 0), (4.0, 7.0, 7, 1), (3.3, 5.7, 6, 1), (3.7, 6.9, 5, 1),
        (3.6, 6.6, 5, 1),
    ]
)
# fmt: on


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_gives_the_intervals_that_newcombe_1998_prints(successes, n, low, high):
    assert intervals.wilson(successes, n) == (pytest.approx(low, abs=5e-5), pytest.approx(high, abs=5e-5))


@given(counts)
def test_wilson_holds_the_share_and_stays_within_0_and_1(case):
    successes, n = case
    low, high = intervals.wilson(successes, n)

    assert 0 <= low <= high <= 1
    assert n == 0 or low <= successes / n <= high


@given(counts.filter(lambda case: case[1] > 0))
def test_wilson_narrows_when_every_row_is_there_twice(case):
    low, high = intervals.wilson(*case)
    twice_low, twice_high = intervals.wilson(2 * case[0], 2 * case[1])

    assert twice_high - twice_low < high - low


def test_a_proportion_of_nothing_has_no_value_and_says_why():
    share = Share(np.array(0), np.array(0), "no row has the label 1")

    found = intervals.proportion("performance.recall", share)

    assert (found.value, found.n, found.reason) == (None, 0, "no row has the label 1")


def test_delong_gives_the_interval_that_sas_prints_for_the_example_of_the_paper():
    kg_score, outcome = OVARIAN_CANCER[:, 2], OVARIAN_CANCER[:, 3]

    area, low, high = intervals.delong_auc(outcome, -kg_score)

    assert (area, low, high) == pytest.approx((0.7258, 0.5243, 0.9273), abs=5e-5)
    assert (area - low) / intervals.Z == pytest.approx(0.1028, abs=5e-5)


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 5)), min_size=4, max_size=60))
def test_delong_is_the_mean_of_placements_with_their_variance(rows):
    labels, scores = np.array([row[0] for row in rows]), np.array([row[1] for row in rows], float)
    positive, negative = scores[labels], scores[~labels]
    if min(positive.size, negative.size) < 2:
        return
    wins = (positive[:, None] > negative) + 0.5 * (positive[:, None] == negative)
    variance = wins.mean(1).var(ddof=1) / positive.size + wins.mean(0).var(ddof=1) / negative.size

    area, low, high = intervals.delong_auc(labels, scores)

    assert area == pytest.approx(wins.mean()) == pytest.approx(roc_auc_score(labels, scores))
    assert 0 <= low <= area <= high <= 1
    if variance > 1e-12:
        assert low == pytest.approx(max(wins.mean() - intervals.Z * math.sqrt(variance), 0))


def test_delong_agrees_with_resampling_rows():
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 2, 400)
    scores = generator.normal(size=400) + labels
    resamples = [generator.integers(0, 400, 400) for _ in range(500)]
    bootstrapped = np.quantile(
        [intervals.delong_auc(labels[rows], scores[rows])[0] for rows in resamples], [0.025, 0.975]
    )

    assert intervals.delong_auc(labels, scores)[1:] == pytest.approx(bootstrapped, abs=0.01)


def test_labels_that_are_fully_separated_are_no_proof_of_a_perfect_model():
    area, low, high = intervals.delong_auc([0] * 10 + [1] * 20, np.arange(30))

    assert (area, high) == (1.0, 1.0)
    assert low == pytest.approx(intervals.wilson(10, 10)[0])


@pytest.mark.parametrize(
    ("column", "change", "error", "low", "high"),
    [(0, 0.0108, 0.0953, -0.1761, 0.1976), (1, -0.0780, 0.1046, -0.2830, 0.1271)],
    ids=["albumin beside the K-G score", "total protein beside the K-G score"],
)
def test_the_change_of_the_area_is_what_sas_prints_for_the_example_of_the_paper(column, change, error, low, high):
    found, interval = intervals.delong_change(OVARIAN_CANCER[:, 3], OVARIAN_CANCER[:, column], -OVARIAN_CANCER[:, 2])

    assert (found, *interval) == pytest.approx((change, low, high), abs=5e-5)
    assert (interval.high - interval.low) / (2 * intervals.Z) == pytest.approx(error, abs=5e-5)


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 5), st.integers(0, 5)), min_size=4, max_size=40))
def test_the_change_of_the_area_is_the_mean_of_paired_placements_with_their_variance(rows):
    labels, first, second = (np.array(column) for column in zip(*rows, strict=True))
    if min(labels.sum(), (~labels).sum()) < 2:
        return
    wins = [
        (scores[labels][:, None] > scores[~labels]) + 0.5 * (scores[labels][:, None] == scores[~labels])
        for scores in (first, second)
    ]
    gained = wins[0] - wins[1]
    variance = sum(gained.mean(axis).var(ddof=1) / gained.shape[1 - axis] for axis in (0, 1))

    change, (low, high) = intervals.delong_change(labels, first, second)

    assert change == pytest.approx(gained.mean(), abs=1e-12)
    assert -1 <= low <= change <= high <= 1
    if variance > 1e-12:
        assert low == pytest.approx(max(gained.mean() - intervals.Z * math.sqrt(variance), -1))


def test_two_models_that_rank_alike_have_a_change_of_0_that_is_not_certain():
    change, (low, high) = intervals.delong_change([0] * 30 + [1] * 50, np.arange(80), 2 * np.arange(80))

    assert change == 0
    assert (low, high) == intervals.paired_gain(0, 0, 30)
    assert low < 0 < high


def test_a_change_that_does_not_vary_lies_in_its_interval():
    change, (low, high) = intervals.delong_change([0] * 30 + [1] * 50, np.arange(80), np.zeros(80))

    assert change == 0.5
    assert (low, high) == intervals.paired_gain(15, 0, 30)
    assert low < 0.5 < high


@given(st.lists(st.integers(-3, 3), min_size=1, max_size=50))
def test_midranks_are_those_of_scipy(values):
    assert intervals.midranks(np.array(values)).tolist() == rankdata(values).tolist()


def test_the_paired_interval_is_that_of_agrestis_approval_ratings():
    # Agresti (2013), Categorical Data Analysis, section 11.1.1: 1,600 voters, 150 turned away, 86 came over; the plain
    # Wald interval printed there is (−0.059, −0.021), from which Wald + 2 differs in the fourth digit.
    assert intervals.paired_gain(86, 150, 1600) == pytest.approx((-0.059, -0.021), abs=6e-4)


def test_two_models_that_never_differ_still_have_an_interval():
    low, high = intervals.paired_gain(0, 0, 100)

    assert low < 0 < high


@given(st.integers(0, 40), st.integers(0, 40), st.integers(1, 40))
def test_the_paired_interval_holds_the_difference(better, worse, rest):
    n = better + worse + rest
    low, high = intervals.paired_gain(better, worse, n)

    assert -1 <= low <= (better - worse) / n <= high <= 1


def test_the_mean_of_rates_combines_their_wilson_intervals():
    first, second = (Share(np.array(part), np.array(100), "") for part in (90, 60))
    low = 0.75 - 0.5 * math.hypot(0.9 - intervals.wilson(90, 100)[0], 0.6 - intervals.wilson(60, 100)[0])

    assert intervals.mean_of_shares(first, second).low == pytest.approx(low)


def test_the_mean_of_one_rate_has_its_wilson_interval():
    assert intervals.mean_of_shares(Share(np.array(9), np.array(10), "")) == pytest.approx(intervals.wilson(9, 10))


def test_a_mean_of_one_row_has_no_interval():
    assert intervals.normal_mean(np.array([0.3])) == (None, None)
    assert intervals.ratio_of_means(np.array([0.3]), np.array([1.0])) == (None, None)
    assert intervals.ratio_of_losses(np.array([0.3]), np.array([1.0])) == (None, None)
    assert intervals.root_of_mean(np.array([0.3])) == (None, None)
    assert intervals.spearman(0.5, 3) == (None, None)


def test_the_interval_of_a_ratio_of_means_agrees_with_resampling_rows():
    generator = np.random.default_rng(0)
    part, rest = generator.exponential(1, 500), generator.exponential(2, 500)
    resamples = generator.integers(0, 500, (2000, 500))
    ratios = part[resamples].sum(1) / (part + rest)[resamples].sum(1)

    found = intervals.ratio_of_means(part, part + rest)

    assert found == pytest.approx(np.quantile(ratios, [0.025, 0.975]), abs=0.004)


def test_the_interval_of_a_ratio_of_losses_agrees_with_resampling_rows():
    generator = np.random.default_rng(0)
    ours = generator.exponential(1, 500)
    theirs = ours * generator.uniform(0.2, 1.2, 500)
    resamples = generator.integers(0, 500, (2000, 500))
    ratios = ours[resamples].sum(1) / theirs[resamples].sum(1)

    found = intervals.ratio_of_losses(ours, theirs)

    assert found == pytest.approx(np.quantile(ratios, [0.025, 0.975]), abs=0.01)
    assert found.low > 1


def test_the_interval_of_a_root_agrees_with_resampling_rows():
    generator = np.random.default_rng(0)
    squares = generator.normal(size=500) ** 2
    resamples = generator.integers(0, 500, (2000, 500))

    found = intervals.root_of_mean(squares)

    assert found == pytest.approx(np.quantile(np.sqrt(squares[resamples].mean(1)), [0.025, 0.975]), abs=0.01)


def test_losses_of_0_and_losses_that_differ_without_measure_stay_numbers():
    assert intervals.ratio_of_losses(np.zeros(3), np.ones(3)) == (0.0, 0.0)
    assert intervals.root_of_mean(np.zeros(3)) == (0.0, 0.0)
    assert intervals.ratio_of_losses(np.array([0.0] * 999 + [1.0]), np.ones(1000)).low > 0


def test_an_interval_by_log_odds_stays_between_0_and_1_and_is_symmetrical_there():
    # By hand for 0.8 ± 0.16: ln 4 ± 0.16 / 0.16 is 1.3863 ± 1.
    assert intervals.logit(0.8, 0.16) == pytest.approx((1 / (1 + math.e / 4), 1 / (1 + 1 / (4 * math.e))))
    assert intervals.logit(1e-9, 0.5) == pytest.approx((0.0, 1.0), abs=1e-9)


def test_the_interval_of_a_rank_correlation_is_that_of_bonett_and_wright():
    # By hand for r = 0.5 and n = 103: half width of artanh r is 1.96 × √(1.125 / 100) = 0.2079.
    assert intervals.spearman(0.5, 103) == pytest.approx((0.32875, 0.63942), abs=1e-5)
    assert intervals.spearman(-1.0, 103) == (-1.0, -1.0)


def test_the_interval_of_the_median_is_made_of_the_values_that_the_sign_test_names():
    # Conover (1999): for n = 15 the 4th and the 12th value bound the median with 96.5 % confidence.
    assert intervals.quantile_interval(np.arange(1.0, 16), 0.5) == (4.0, 12.0)


def test_a_99th_percentile_of_few_values_has_no_upper_end():
    low, high = intervals.quantile_interval(np.arange(100.0), 0.99)

    assert low == 96.0
    assert high is None


def test_resampled_counts_keep_the_total_of_each_group_and_its_empty_cells():
    counted = np.array([[5, 0, 10, 85], [1, 1, 1, 1]])

    drawn = intervals.resample_counts(counted)

    assert drawn.shape == (intervals.DRAWS, 2, 4)
    assert (drawn.sum(-1) == counted.sum(-1)).all()
    assert (drawn[:, 0, 1] == 0).all()
    assert drawn.mean(0) == pytest.approx(counted, abs=0.5)


def test_the_bootstrap_gives_the_same_draws_every_time():
    counted = np.array([[5, 3, 10, 85]])

    assert (intervals.resample_counts(counted) == intervals.resample_counts(counted)).all()


def test_percentiles_hold_the_estimate_and_leave_out_what_is_undefined():
    draws = np.array([np.nan, *np.linspace(0.1, 0.2, 101)])

    assert intervals.percentiles(draws, 0.0) == (0.0, pytest.approx(0.198))
    assert intervals.percentiles(np.array([np.nan]), 0.0) == (None, None)
    assert intervals.percentiles(np.array([1.0] * 50 + [np.inf] * 50), 1.0) == (1.0, math.inf)
