"""The arithmetic behind :mod:`governance.measures.drift`: exact distances of sorted samples, divergences of counts.

Numbers in, numbers out; what they mean, with formula and source, is written there. Large samples are worked through in
pieces that stay in the processor's cache, which changes no bit of a result. Not guaranteed: anything about samples
that are not sorted, or hold NaN.
"""

import math
from collections.abc import Iterator

import numpy as np

from governance.measures.confusion import Array
from governance.measures.distributions import chi_square_tail, kolmogorov_tail, normal_quantile
from governance.measures.intervals import Interval

FLOOR = 1e-4
"""Smallest share that PSI counts with: an empty bin would make it infinite."""

STRIDES = (4096, 512, 64, 8, 1)
"""Rows between two that are looked at, time after time, when the largest difference is searched."""

PIECE = 32_768
"""Rows that are worked on at a time."""


def shares_of(counts: Array) -> Array:
    """Return counts as shares of their sum over the last axis."""
    shares: Array = counts / counts.sum(-1, keepdims=True)
    return shares


def stability_index(counts: Array) -> Array:
    """Return PSI of tables of counts or shares, shape (…, 2, bins) → (…)."""
    shares = shares_of(counts)
    # A bin that is empty on both sides says nothing, and both are at the floor.
    floored = np.maximum(shares, FLOOR)
    reference, current = floored[..., 0, :], floored[..., 1, :]
    return np.asarray(((current - reference) * np.log(current / reference)).sum(-1))


def stability_steepness(counts: Array) -> Array:
    """Return how much PSI grows with each share, shape (2, bins)."""
    reference, current = np.maximum(shares_of(counts), FLOOR)
    return np.array(
        [np.log(reference / current) + 1 - current / reference, np.log(current / reference) + 1 - reference / current]
    )


def distance_from_mean(counts: Array) -> Array:
    """Return the Jensen–Shannon distance of tables of counts, shape (…, 2, bins) → (…)."""
    shares = shares_of(counts)
    mean = shares.mean(-2, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(shares > 0, shares * np.log2(shares / mean), 0.0)
    return np.asarray(np.sqrt(np.maximum(terms.sum((-1, -2)) / 2, 0.0)))


def distance_steepness(counts: Array) -> Array:
    """Return how much the square of the Jensen–Shannon distance grows with each share, shape (2, bins)."""
    shares = shares_of(counts)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(shares > 0, np.log2(shares / shares.mean(0)) / 2, 0.0)


def debiased(counts: Array, value: float, steepness: Array, scale: float, level: float) -> tuple[float, float]:
    """Return the interval of a divergence of two samples, which chance makes larger than it is.

    Formula: value − b ± z √(v + 2 b² / (bins − 1)), with b = scale (bins − 1) (1/m + 1/n), for without drift the
    divergence is b / (bins − 1) times a chi-square of bins − 1 degrees of freedom; v by the delta method.

    Args:
        counts: Rows by side and bin, shape (2, bins).
        value: The divergence.
        steepness: How much it grows with each share, shape (2, bins).
        scale: What it is near 0, beside PSI.
        level: Chance to miss the truth.
    """
    shares, sizes = shares_of(counts), counts.sum(1)
    freedom = max(int(np.count_nonzero(counts.sum(0))) - 1, 0)
    unit = scale * float((1 / sizes).sum())
    means = (shares * steepness).sum(1, keepdims=True)
    variance = float(((shares * (steepness - means) ** 2).sum(1) / sizes).sum())
    half = normal_quantile(1 - level / 2) * math.sqrt(variance + 2 * freedom * unit**2)
    centre = value - freedom * unit
    return min(max(centre - half, 0.0), value), max(centre + half, value)


def band(value: float, m: int, n: int, level: float) -> Interval:
    """Return the interval of a largest difference of two cumulative distributions of m and n rows."""
    half = math.sqrt(math.log(4 / level) / 2) * (1 / math.sqrt(m) + 1 / math.sqrt(n))
    return Interval(max(value - half, 0.0), min(value + half, 1.0))


def largest_difference(first: Array, second: Array) -> float:
    """Return the largest difference of the cumulative distributions of two sorted samples."""
    return _excess(second, first, _excess(first, second, 0.0))


def mean_distance(first: Array, second: Array) -> float:
    """Return the distance of two sorted samples: the mean distance of their quantiles."""
    many, few = (first, second) if first.size >= second.size else (second, first)
    found = np.empty(many.size)
    for begin, end in _pieces(many.size):
        piece = found[begin:end]
        if many.size == few.size:
            np.abs(np.subtract(many[begin:end], few[begin:end], out=piece), out=piece)
        else:
            piece[:] = _apart(many, few, begin, end)
    return float(found.mean())


def deviation(counts: Array) -> tuple[float, int]:
    """Return Pearson's chi-square of a table and its degrees of freedom."""
    seen = counts[:, counts.sum(0) > 0].astype(np.float64)
    expected = seen.sum(1, keepdims=True) * seen.sum(0, keepdims=True) / seen.sum()
    return float(((seen - expected) ** 2 / expected).sum()), seen.shape[1] - 1


def chance_of_counts(counts: Array) -> float:
    """Return the chance of so different counts without drift."""
    statistic, freedom = deviation(counts)
    return chi_square_tail(statistic, freedom) if freedom > 0 else 1.0


def chance_of_numbers(counts: Array, distance: float, m: int, n: int) -> float:
    """Return the chance of so large a distance of m and n numbers, or of so many more missing, without drift."""
    moved = kolmogorov_tail(distance * math.sqrt(m * n / (m + n)))
    missing = np.stack([counts[:, :-1].sum(1), counts[:, -1]], axis=1)
    return min(1.0, 2 * min(moved, chance_of_counts(missing))) if missing[:, 1].any() else moved


def adjusted(p_values: Array) -> Array:
    """Return p-values corrected for how many there are, by Holm's step-down; shape (tests)."""
    k, order = len(p_values), np.argsort(p_values, kind="stable")
    corrected = np.ones(k)
    corrected[order] = np.minimum(np.maximum.accumulate(p_values[order] * (k - np.arange(k))), 1.0)
    return corrected


def _excess(first: Array, second: Array, found: float) -> float:
    """Return by how much the distribution of the first sorted sample is above that of the second, or ``found``.

    It is largest at one of the first sample's values. A few of them are looked at, and then, closer and closer, those
    between two of these that may yet hold a larger difference, for neither distribution falls.
    """
    m, n = first.size, second.size
    starts, ends, before = np.zeros(1, dtype=np.int64), np.array([m - 1]), np.zeros(1, dtype=np.int64)
    for stride in STRIDES:
        ends, blocks = _split(starts, ends, stride)
        below = np.searchsorted(second, first[ends], side="right")
        found = max(found, float(((ends + 1) / m - below / n).max()))
        isfirst = np.append(True, blocks[1:] != blocks[:-1])
        before = np.where(isfirst, before[blocks], np.roll(below, 1))
        starts = np.where(isfirst, starts[blocks], np.roll(ends, 1) + 1)
        hopeful = ((ends + 1) / m - before / n > found) & (ends > starts)
        if not hopeful.any():
            return found
        starts, ends, before = starts[hopeful], ends[hopeful], before[hopeful]
    return found


def _split(starts: Array, ends: Array, stride: int) -> tuple[Array, Array]:
    """Return the last row of each piece of ``stride`` rows of some blocks, and which block it is of."""
    pieces = -(-(ends - starts + 1) // stride)
    blocks = np.repeat(np.arange(starts.size), pieces)
    within = np.arange(blocks.size) - np.repeat(np.cumsum(pieces) - pieces, pieces)
    return np.minimum(starts[blocks] + (within + 1) * stride - 1, ends[blocks]), blocks


def _apart(many: Array, few: Array, begin: int, end: int) -> Array:
    """Return how far some values of the larger sorted sample are from the quantiles of the smaller one."""
    m, n, values = many.size, few.size, many[begin:end]
    # Each value of the larger sample spans the quantiles from i / m to (i + 1) / m, which one or two of the smaller
    # share: in units of 1 / (m n) and whole numbers, n each, of which the first partner takes what it still has.
    start = np.arange(begin, end, dtype=np.int64) * n
    partner = start // m
    taken = np.minimum((partner + 1) * m - start, n)
    first_part = np.abs(values - few[partner]) * (taken / n)
    second_part = np.abs(values - few[np.minimum(partner + 1, n - 1)]) * (1 - taken / n)
    return np.asarray(first_part + second_part)


def _pieces(rows: int) -> Iterator[tuple[int, int]]:
    return ((begin, min(begin + PIECE, rows)) for begin in range(0, rows, PIECE))
