"""The uncertainty of a measurement: 95 % intervals, each from a formula with a source or from a seeded bootstrap.

Closed forms come first, for they are exact to compute and the same every time. The bootstrap is kept for what has no
formula, and then resamples counts instead of rows: drawing a group's four counts from a multinomial is what resampling
its rows amounts to, at a cost that does not grow with the number of rows.

Neighbours: every family. Not guaranteed: intervals speak of sampling error only, one measurement at a time. They know
nothing of biased labels, of rows that depend on each other, or of how many measurements were looked at.
"""

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from governance.measures.confusion import Share
from governance.records import Measurement

Array = npt.NDArray[Any]

Z = 1.959963984540054
"""The 97.5th percentile of the standard normal: every interval here is a 95 % interval."""

SEED = 20260401
"""Seed of every bootstrap, so that the same counts give the same interval to the last bit."""

DRAWS = 2000
"""Resamples per bootstrap (Efron and Tibshirani 1993 ask for at least 1,000 for a percentile interval)."""

LARGEST_EXPONENT = 700.0
"""Of e, before floating-point numbers end."""


class Interval(NamedTuple):
    """Lower and upper end of a 95 % interval; ``None`` for an end that the data cannot bound."""

    low: float | None
    high: float | None


def wilson(successes: float, n: float) -> tuple[float, float]:
    """Return the score interval of a proportion.

    Formula: (p + z²/2n ± z √(p(1−p)/n + z²/4n²)) / (1 + z²/n).
    Source: Wilson (1927), JASA 22; recommended by Brown, Cai and DasGupta (2001), Statistical Science 16(2).
    Limits: rows must be independent of each other.

    Args:
        successes: How many rows count, from 0 to ``n``; need not be whole.
        n: Out of how many; 0 gives the interval of ignorance, from 0 to 1.
    """
    if n == 0:
        return 0.0, 1.0
    share = successes / n
    centre = share + Z * Z / (2 * n)
    half = Z * math.sqrt(share * (1 - share) / n + Z * Z / (4 * n * n))
    scale = 1 + Z * Z / n
    # At 0 and n the formula gives 0 and 1 but for the last bit, which must not push the share out of its own interval.
    return min(max((centre - half) / scale, 0.0), share), max(min((centre + half) / scale, 1.0), share)


def proportion(name: str, share: Share, slice: dict[str, str] | None = None) -> Measurement:
    """Return a rate as a measurement with its Wilson interval, or without a value where its denominator is 0.

    Args:
        name: ``<family>.<measure>``.
        share: The rate of one table of counts.
        slice: The part of the data it speaks of; everything by default.
    """
    part, whole = int(share.part), int(share.whole)
    if whole == 0:
        return Measurement(name, None, 0, slice or {}, reason=share.empty)
    low, high = wilson(part, whole)
    return Measurement(name, part / whole, whole, slice or {}, low, high, "wilson")


def paired_gain(better: float, worse: float, n: int) -> Interval:
    """Return the interval of a difference of two proportions that were measured on the same rows.

    Formula: with b + ½ and c + ½ for the rows that only one side gets right, and N = n + 2,
    (b − c)/N ± z √((b + c + 1) − (b − c)²/N) / N, cut off at −1 and 1.
    Source: Agresti and Min (2005), Statistics in Medicine 24(5), "Wald + 2".
    Limits: rows must be independent of each other.

    Args:
        better: Rows that only the first side gets right (b); need not be whole.
        worse: Rows that only the second side gets right (c).
        n: All rows, at least 1.
    """
    total = n + 2
    difference = (better - worse) / total
    half = Z * math.sqrt((better + worse + 1) - (better - worse) ** 2 / total) / total
    return Interval(max(difference - half, -1.0), min(difference + half, 1.0))


def mean_of_shares(*shares: Share) -> Interval:
    """Return the interval of the mean of independent proportions, from their own Wilson intervals.

    Formula: estimate − √(Σ (pᵢ − lᵢ)²) / k for k proportions pᵢ with lower ends lᵢ, and the same upwards.
    Source: Zou and Donner (2008), Statistics in Medicine 27(10): the method of variance estimates recovery.
    Limits: each must rest on rows of its own.

    Args:
        shares: The rates, whose denominators are not 0.
    """
    estimate, below, above = 0.0, 0.0, 0.0
    for share in shares:
        value = float(share.part / share.whole)
        low, high = wilson(int(share.part), int(share.whole))
        estimate += value / len(shares)
        below += (value - low) ** 2
        above += (high - value) ** 2
    return Interval(estimate - math.sqrt(below) / len(shares), estimate + math.sqrt(above) / len(shares))


def normal_mean(values: Array, *, at_least: float = -math.inf, at_most: float = math.inf) -> Interval:
    """Return the large-sample interval of a mean.

    Formula: mean ± z s / √n, cut off at what the values can be.
    Source: the central limit theorem; for scores of forecasts, Bradley, Schwartz and Hashino (2008).
    Limits: too narrow for fewer than some 30 rows or a few huge values; one row has no interval.

    Args:
        values: One number a row, finite, shape (n).
        at_least: The smallest value that the mean can have.
        at_most: The largest.
    """
    if values.size < 2:
        return Interval(None, None)
    mean, half = float(values.mean()), half_width(values)
    return Interval(max(mean - half, at_least), min(mean + half, at_most))


def ratio_of_means(part: Array, whole: Array) -> Interval:
    """Return the large-sample interval of ``mean(part) / mean(whole)``, where both are measured on the same rows.

    Formula: R ± z s(part − R whole) / (mean(whole) √n), cut off at 0 and 1.
    Source: Cochran (1977), Sampling Techniques, section 2.11.
    Limits: for parts of a positive whole only; too narrow for fewer than some 30 rows.

    Args:
        part: One number a row, shape (n).
        whole: One number a row, of mean above 0, shape (n).
    """
    if part.size < 2:
        return Interval(None, None)
    mean = float(whole.mean())
    ratio = float(part.mean()) / mean
    half = Z * float((part - ratio * whole).std(ddof=1)) / (mean * math.sqrt(part.size))
    return Interval(max(ratio - half, 0.0), min(ratio + half, 1.0))


def ratio_of_losses(part: Array, whole: Array) -> Interval:
    """Return the large-sample interval of ``mean(part) / mean(whole)`` for losses of two rivals on the same rows.

    Formula: R exp(± z s(part / mean(part) − whole / mean(whole)) / √n): the delta method on the scale of logarithms,
    where ratios are closer to normal and cannot fall below 0.
    Source: Cochran (1977), Sampling Techniques, section 2.11, for the variance; Casella and Berger (2002), Statistical
    Inference, section 5.5.4, for carrying it to another scale.
    Limits: too narrow for fewer than some 100 rows or a few huge losses; a ratio of 0 has an interval of width 0.

    Args:
        part: One loss a row, 0 or more, shape (n).
        whole: One loss a row, 0 or more, of mean above 0, shape (n).
    """
    if part.size < 2:
        return Interval(None, None)
    first, second = float(part.mean()), float(whole.mean())
    if first == 0:
        return Interval(0.0, 0.0)
    factor = math.exp(min(half_width(part / first - whole / second), LARGEST_EXPONENT))
    return Interval(first / second / factor, first / second * factor)


def root_of_mean(squares: Array) -> Interval:
    """Return the large-sample interval of ``√mean(squares)``.

    Formula: √m exp(± z s / (2 m √n)) with m the mean: the delta method on the scale of logarithms, which holds the true
    value more often than m ± z s / √n where squares are skewed, as they are.
    Source: Casella and Berger (2002), Statistical Inference, section 5.5.4.
    Limits: too narrow for fewer than some 100 rows or a few huge squares; a root of 0 has an interval of width 0.

    Args:
        squares: One number a row, 0 or more, shape (n).
    """
    if squares.size < 2:
        return Interval(None, None)
    mean = float(squares.mean())
    if mean == 0:
        return Interval(0.0, 0.0)
    factor = math.exp(min(half_width(squares / mean) / 2, LARGEST_EXPONENT))
    return Interval(math.sqrt(mean) / factor, math.sqrt(mean) * factor)


def half_width(influence: Array) -> float:
    """Return half the width of the interval of a statistic, from what each row adds to it.

    Formula: z s / √n.
    Source: Efron (1982), The Jackknife, the Bootstrap and Other Resampling Plans, chapter 6: the infinitesimal
    jackknife. For a mean, a row's influence is its value, and this is the central limit theorem.
    Limits: for statistics that change smoothly with the rows; at least two rows.

    Args:
        influence: By how much the statistic grows, per share of weight that the row gains, shape (n).
    """
    return Z * float(influence.std(ddof=1)) / math.sqrt(influence.size)


def logit(value: float, half: float) -> Interval:
    """Return an interval for a number between 0 and 1 that stays there: symmetrical on the scale of log odds.

    Formula: the inverse logit of ln(v / (1 − v)) ± h / (v (1 − v)), the delta method.
    Source: Boyd, Eng and Page (2013), Area under the Precision-Recall Curve, ECML PKDD, section 3.2.
    Limits: none for 0 and 1 themselves, where log odds are infinite.

    Args:
        value: The estimate, above 0 and below 1.
        half: Half the width of its interval if it were symmetrical.
    """
    centre, half = math.log(value / (1 - value)), half / (value * (1 - value))
    return Interval(_inverse_logit(centre - half), _inverse_logit(centre + half))


def spearman(correlation: float, n: int) -> Interval:
    """Return the interval of a rank correlation.

    Formula: tanh(artanh r ± z √((1 + r²/2) / (n − 3))).
    Source: Bonett and Wright (2000), Psychometrika 65(1).
    Limits: no interval below four rows; a perfect correlation has an interval of width 0.

    Args:
        correlation: Spearman's coefficient, from −1 to 1.
        n: How many pairs.
    """
    if n < 4:
        return Interval(None, None)
    if abs(correlation) >= 1:
        return Interval(correlation, correlation)
    half = Z * math.sqrt((1 + correlation**2 / 2) / (n - 3))
    return Interval(math.tanh(math.atanh(correlation) - half), math.tanh(math.atanh(correlation) + half))


def delong_auc(labels: npt.ArrayLike, scores: npt.ArrayLike) -> tuple[float, float, float]:
    """Return the area under the ROC curve with its interval, as (area, low, high).

    Formula: the area is the Mann–Whitney statistic, ties counted half. Its variance is that of the placements,
    var(V₁)/m + var(V₀)/n, taken from midranks in O(N log N); the interval is area ± z √variance within [0, 1].
    Source: DeLong, DeLong and Clarke-Pearson (1988), Biometrics 44(3); Sun and Xu (2014), IEEE Signal Processing
    Letters 21(11).
    Limits: a variance of 0 (labels fully separated, or one score for all) says nothing of the next sample; then the
    Wilson interval over the smaller class takes its place, which is wider than any other honest answer.

    Args:
        labels: 0 or 1, both of them present, shape (n).
        scores: Higher for 1, finite, shape (n).
    """
    # Sorted, so that the order of rows does not even change the last bit.
    above, below = (np.sort(side) for side in placements(np.asarray(labels) == 1, np.asarray(scores, np.float64)))
    area = float(above.mean())
    variance = variance_of_mean(above) + variance_of_mean(below)
    if variance <= 0:
        smaller = min(above.size, below.size)
        return area, *wilson(area * smaller, smaller)
    half = Z * math.sqrt(variance)
    return area, max(area - half, 0.0), min(area + half, 1.0)


def delong_change(labels: npt.ArrayLike, first: npt.ArrayLike, second: npt.ArrayLike) -> tuple[float, Interval]:
    """Return by how much the first area under the ROC curve is above the second, with its interval.

    Formula: each row's placement under the first scores minus that under the second; the difference is the mean over
    rows with label 1, its variance var(D₁)/m + var(D₀)/n, and the interval is difference ± z √variance within [−1, 1].
    Source: DeLong, DeLong and Clarke-Pearson (1988), Biometrics 44(3): two correlated curves.
    Limits: a variance of 0 (the same order of rows under both) says nothing of the next sample; then the interval of
    a paired difference of proportions over the smaller class takes its place.

    Args:
        labels: 0 or 1, both of them present, shape (n).
        first: Higher for 1, finite, shape (n).
        second: The rival's, for the same rows, shape (n).
    """
    positive = np.asarray(labels) == 1
    ours, theirs = (placements(positive, np.asarray(scores, np.float64)) for scores in (first, second))
    above, below = (np.sort(one - other) for one, other in zip(ours, theirs, strict=True))
    change = float(above.mean())
    variance = variance_of_mean(above) + variance_of_mean(below)
    if variance <= 0:
        smaller = min(above.size, below.size)
        return change, paired_gain(max(change, 0) * smaller, max(-change, 0) * smaller, smaller)
    half = Z * math.sqrt(variance)
    return change, Interval(max(change - half, -1.0), min(change + half, 1.0))


def placements(positive: Array, scores: Array) -> tuple[Array, Array]:
    """Return where each row stands among the rows of the other label, ties counted half.

    Args:
        positive: True for label 1, both of them present, shape (n).
        scores: Higher for 1, finite, shape (n).

    Returns:
        For each of the m rows with label 1 the share of the others that it is scored above, shape (m); for each of the
        others the share of rows with label 1 that it is scored above, shape (n − m). Both in the order of the rows.
    """
    ranks = midranks(scores)
    return (
        (ranks[positive] - midranks(scores[positive])) / np.count_nonzero(~positive),
        (ranks[~positive] - midranks(scores[~positive])) / np.count_nonzero(positive),
    )


def midranks(values: Array) -> Array:
    """Return the rank of each value from 1, with the mean rank for ties, shape (n)."""
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    ends = np.r_[starts[1:], values.size]
    ranks = np.empty(values.size)
    ranks[order] = np.repeat((starts + ends + 1) / 2, ends - starts)
    return ranks


def resample_counts(counts: Array, *, draws: int = DRAWS, seed: int = SEED) -> Array:
    """Return what the counts of each group could have been, shape (draws, groups, cells).

    Each row of ``counts`` is drawn anew from a multinomial with its own total and shares: the parametric form of
    resampling rows with replacement within each group, to which it is equal in distribution.
    Source: Efron and Tibshirani (1993), An Introduction to the Bootstrap, chapter 6.
    Limits: a cell that was 0 stays 0.

    Args:
        counts: Rows in each cell, shape (groups, cells), every group with at least one row. Sort the groups by their
            counts where the result must not depend on their order.
        draws: How many resamples.
        seed: Seed of the generator.
    """
    totals = counts.sum(-1)
    generator = np.random.default_rng(seed)
    return generator.multinomial(totals, counts / totals[:, None], size=(draws, len(totals)))


def percentiles(draws: Array, value: float) -> Interval:
    """Return the middle 95 % of bootstrap draws, widened where needed to hold the estimate itself.

    Resamples of a *largest* difference lie above the estimate when the true difference is near 0; without the widening
    an estimate of 0 would stand outside its own interval.

    Args:
        draws: The statistic of each resample; NaN (undefined there) is left out, infinity counts.
        value: The estimate, finite.
    """
    known = np.sort(draws[~np.isnan(draws)])
    if known.size == 0:
        return Interval(None, None)
    last = known.size - 1
    low, high = known[math.floor(0.025 * last)], known[math.ceil(0.975 * last)]
    return Interval(min(float(low), value), max(float(high), value))


def quantile_interval(values: Array, share: float) -> Interval:
    """Return the distribution-free interval of a quantile: two of the sorted values themselves.

    Formula: the values whose ranks are the 2.5 % and 97.5 % points of Binomial(n, share); no end where
    a rank falls outside.
    Source: Conover (1999), Practical Nonparametric Statistics, section 3.2.
    Limits: rows must be independent of each other; repeated timings are so only roughly.

    Args:
        values: At least one number, finite, shape (n).
        share: Which quantile: 0.5 for the median.
    """
    from scipy.stats import binom

    ordered = np.sort(values)
    below = int(binom.ppf(0.025, ordered.size, share))
    above = int(binom.ppf(0.975, ordered.size, share)) + 1
    return Interval(
        float(ordered[below - 1]) if below >= 1 else None,
        float(ordered[above - 1]) if above <= ordered.size else None,
    )


def variance_of_mean(values: Array) -> float:
    """Return the variance of a mean of sorted values; exactly 0 where they are all the same, or only one."""
    return float(values.var(ddof=1)) / values.size if values[0] < values[-1] else 0.0


def _inverse_logit(odds: float) -> float:
    return 1 / (1 + math.exp(-odds)) if odds > -LARGEST_EXPONENT else 0.0
