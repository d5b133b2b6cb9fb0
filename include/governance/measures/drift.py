"""How far the current data are from the reference, column by column and as a whole.

Two passes over each column make everything: both sides sorted once give Kolmogorov–Smirnov, Wasserstein and the counts
of the bins; the counts give PSI, Jensen–Shannon and, for what is counted by value, chi-square. Columns are independent
of each other and go to two threads, for numpy sorts without holding the interpreter.

Numbers are cut into ten bins at quantiles of the reference; a number that is two of these at once, or one of at most
ten different ones, is a bin of its own, for a cut on one side of it would hide who moved to the other. Text and yes/no
are counted by value. What is missing is a bin, or a value, of its own in PSI, Jensen–Shannon and chi-square, and left
out of the others; ``missing_change`` says how many more there are. Neighbours:
:mod:`governance.measures.explainability` has the importances whose drift is measured here. Not guaranteed: that a drift
matters; whether it moves predictions is ``drift.prediction_psi``.
"""

import math
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from governance.errors import InputError
from governance.measures.confusion import Array, Share
from governance.measures.intervals import Interval, proportion
from governance.records import Measurement

if TYPE_CHECKING:
    import pandas as pd

BINS = 10
FLOOR = 1e-4
"""Smallest share that PSI counts with: an empty bin would make it infinite."""

MATERIAL = 0.2
"""PSI from which a column that drifted significantly also counts as drifted materially."""

LEVEL = 0.05
"""Chance, over all columns together, that a column counts as drifted though nothing changed."""

MINIMUM_N = 30
"""Fewer rows on either side say nothing of the whole, unless the policy says otherwise."""

STRIDE = 64
"""Rows between two that are looked at first when the largest difference is searched."""

THREADS = 2
MOST_VALUES = 1000
"""Values of a column of text that are told apart at most, the commonest of both sides first; the rest are one."""

OF_THE_WHOLE = ("share_drifted", "largest_psi", "largest_ks")
NO_CHAMPION = "not applicable: no champion: there is nothing to compare with yet"


@dataclass(frozen=True)
class Column:
    """One column of both sides, counted.

    Attributes:
        name: Its name.
        counts: Rows by side and bin or value, the last for what is missing, shape (2, bins + 1).
        reference: The reference's numbers, sorted, what is missing left out; ``None`` for what is counted by value.
        current: The current ones, likewise.
    """

    name: str
    counts: Array
    reference: Array | None
    current: Array | None

    @property
    def n(self) -> int:
        """Rows of the current side, missing ones included."""
        return int(self.counts[1].sum())


@dataclass(frozen=True)
class Found:
    """What is known of one column once it has been counted and its rows are let go.

    Attributes:
        measured: Its measurements.
        simultaneous: Its ``psi`` and ``ks``, with intervals that hold for all columns at once. Numbers that are never
            recorded on either side have no ``ks``, and no part in the largest one.
        p_value: Chance of so large a difference without drift.
    """

    measured: list[Measurement]
    simultaneous: list[Measurement]
    p_value: float


def measure_drift(
    reference: "pd.DataFrame", current: "pd.DataFrame", *, minimum_n: int = MINIMUM_N
) -> list[Measurement]:
    """Measure the drift of every column of the reference.

    Args:
        reference: What is usual, shape (m, columns).
        current: What came now, shape (n, columns); columns that the reference lacks are not looked at.
        minimum_n: With fewer rows on either side nothing is said of the whole.

    Returns:
        For each column ``psi``, ``jensen_shannon`` and ``missing_change``; of numbers ``ks`` and ``wasserstein``, of
        others ``chi_square``; of a column that is gone, ``psi`` without a value. Then ``share_drifted``,
        ``largest_psi`` and ``largest_ks`` over all columns.

    Raises:
        InputError: One side has no rows, or they have no column in common, or a column is text on one side only.
    """
    shared = [name for name in reference.columns if name in current.columns]
    gone = [str(name) for name in reference.columns if name not in current.columns]
    if reference.empty or current.empty or not shared:
        raise InputError(
            f"Expected rows on both sides and at least one column that both have, found {len(reference)} and "
            f"{len(current)} rows with {len(shared)} columns in common."
        )

    def one(name: Any) -> Found:
        return _found(_counted(str(name), reference[name], current[name]), LEVEL / len(shared))

    with ThreadPoolExecutor(THREADS) as threads:
        found = list(threads.map(one, shared))
    absent = {one: [_gone(f"drift.{one}", name) for name in gone] for one in ("psi", "ks")}
    measured = [*(measurement for column in found for measurement in column.measured), *absent["psi"]]
    if few := _too_few(len(reference), len(current), minimum_n):
        return [*measured, *(Measurement(f"drift.{name}", None, len(current), reason=few) for name in OF_THE_WHOLE)]
    every = [*(each for column in found for each in column.simultaneous), *absent["psi"], *absent["ks"]]
    return [
        *measured,
        share_drifted(measured, [column.p_value for column in found]),
        largest_psi(every, len(current)),
        largest_ks(every, len(current)),
    ]


def measure_prediction_drift(
    reference: npt.ArrayLike, current: npt.ArrayLike, *, minimum_n: int = MINIMUM_N
) -> list[Measurement]:
    """Measure the drift of what the model says.

    Args:
        reference: Scores that were validated, shape (m), or (m, classes).
        current: Scores now, shape (n), or (n, classes): of several classes, the share of each as the answer counts.
        minimum_n: With fewer rows on either side nothing is said.

    Returns:
        ``prediction_psi``, and ``prediction_ks`` where a score is one number; without a value where a score is missing
        or infinite.

    Raises:
        InputError: The two sides are scores of different classes.
    """
    sides = [np.asarray(side, dtype=np.float64) for side in (reference, current)]
    shapes = [side.shape[1:] for side in sides]
    if shapes[0] != shapes[1] or len(shapes[0]) > 1:
        raise InputError(
            f"Expected scores of the same classes on both sides, found shapes {sides[0].shape} and {sides[1].shape}."
        )
    measures = [prediction_psi] if shapes[0] else [prediction_psi, prediction_ks]
    reason = _too_few(len(sides[0]), len(sides[1]), minimum_n)
    if not all(np.isfinite(side).all() for side in sides):
        reason = "a score is missing or infinite"
    if reason:
        return [Measurement(f"drift.{one.__name__}", None, len(sides[1]), reason=reason) for one in measures]
    return [measure(_answered(*sides) if shapes[0] else _numbers("", *sides)) for measure in measures]


def no_champion() -> list[Measurement]:
    """Return the measurements that rules may ask for without a value, for a model that has no champion yet."""
    names = (*OF_THE_WHOLE, "prediction_psi", "prediction_ks")
    return [Measurement(f"drift.{name}", None, 0, reason=NO_CHAMPION) for name in names]


def psi(column: Column, level: float = LEVEL) -> Measurement:
    """Population stability index: how differently two sides fill the same bins.

    Formula: Σ (c − r) ln(c / r) over ten bins at the quantiles of the reference, or over values, and what is missing;
    shares r of the reference and c of the current side, each at least 0.0001. Interval: value − b ± z √(v + 2 b s),
    with v the variance by the delta method, s = 1/m + 1/n, and b = (bins − 1) s what chance alone adds; never below 0.
    Source: Siddiqi (2006), Credit Risk Scorecards; of b, Yurdakul (2018), Statistical Properties of Population
    Stability Index; of v, Casella and Berger (2002), Statistical Inference, section 5.5.4.
    Ideal: 0; 0.1 is called a small and 0.2 a large shift (by custom, for large samples).
    Limits: large by chance on few rows: on 50 it exceeds 0.1 nine times in ten. The interval allows for that, the value
    does not: read the lower end. Too narrow where a bin holds a handful of rows.
    """
    value = float(_psi(column.counts))
    reference, current = np.maximum(_shares(column.counts), FLOOR)
    steepness = np.array(
        [np.log(reference / current) + 1 - current / reference, np.log(current / reference) + 1 - reference / current]
    )
    ends = _debiased(column.counts, value, steepness, 1.0, level)
    return Measurement("drift.psi", value, column.n, _slice(column), *ends, "delta")


def jensen_shannon(column: Column) -> Measurement:
    """Jensen–Shannon distance: how far two distributions are from their mean.

    Formula: √((KL(r ‖ m) + KL(c ‖ m)) / 2) with m = (r + c) / 2 and logarithms to base 2, over the bins of PSI.
    Interval: as of PSI, of the square, to which chance adds an eighth as much (and the base).
    Source: Endres and Schindelin (2003), IEEE Transactions on Information Theory 49(7).
    Ideal: 0; 1 for sides that have nothing in common.
    Limits: never 0 on two samples; the interval allows for that, the value does not.
    """
    value = float(_jensen_shannon(column.counts))
    shares = _shares(column.counts)
    with np.errstate(divide="ignore", invalid="ignore"):
        steepness = np.where(shares > 0, np.log2(shares / shares.mean(0)) / 2, 0.0)
    low, high = _debiased(column.counts, value**2, steepness, 1 / (8 * math.log(2)), LEVEL)
    ends = min(math.sqrt(low), value), max(min(math.sqrt(high), 1.0), value)
    return Measurement("drift.jensen_shannon", value, column.n, _slice(column), *ends, "delta")


def ks(column: Column, level: float = LEVEL) -> Measurement:
    """Kolmogorov–Smirnov distance: the largest difference of two cumulative distributions.

    Formula: sup |F_r(x) − F_c(x)|, exact. Interval: ± √(ln(4 / 0.05) / 2) (1/√m + 1/√n), cut off at 0 and 1.
    Source: Smirnov (1948); the band is that of Dvoretzky, Kiefer and Wolfowitz (1956) with Massart's constant (1990),
    one for each side.
    Ideal: 0.
    Limits: most sensitive in the middle, least in the tails; what is missing is left out.
    """
    sides = _recorded(column)
    if sides is None:
        return Measurement("drift.ks", None, 0, _slice(column), reason=_nothing(column))
    first, second = sides
    value = _ks(first, second)
    return Measurement("drift.ks", value, second.size, _slice(column), *_band(value, *sides, level), "dkw")


def wasserstein(column: Column) -> Measurement:
    """Wasserstein distance: how far values have moved on average, in the column's own unit.

    Formula: ∫ |F_r(x) − F_c(x)| dx, exact; of times, in seconds.
    Source: Kantorovich (1942); Ramdas, García Trillos and Cuturi (2017), Entropy 19(2).
    Ideal: 0.
    Limits: has the column's unit, so that two columns cannot be compared by it; one outlier can make it large. No
    interval.
    """
    sides = _recorded(column)
    if sides is None:
        return Measurement("drift.wasserstein", None, 0, _slice(column), reason=_nothing(column))
    if not all(np.isfinite(side[[0, -1]]).all() for side in sides):
        reason = "a value is infinite, and so is every distance to it"
        return Measurement("drift.wasserstein", None, sides[1].size, _slice(column), reason=reason)
    return Measurement("drift.wasserstein", _wasserstein(*sides), sides[1].size, _slice(column), method="exact")


def chi_square(column: Column) -> Measurement:
    """Pearson's chi-square statistic of value × side, without Yates' correction.

    Formula: Σ (observed − expected)² / expected over values that occur on either side, what is missing among them.
    Source: Pearson (1900), Philosophical Magazine 50(302).
    Ideal: about the number of values less one.
    Limits: grows with n; ``share_drifted`` uses its p-value. No interval.
    """
    value, _ = _chi_square(column.counts)
    return Measurement("drift.chi_square", value, column.n, _slice(column), method="exact")


def missing_change(column: Column) -> Measurement:
    """How much larger the share of missing values is than in the reference.

    Formula: missing / rows, current − reference. Interval: Newcombe's, from both Wilson intervals.
    Source: Newcombe (1998), Statistics in Medicine 17(8), method 10.
    Ideal: 0.
    Limits: says nothing of why.
    """
    from governance.measures.intervals import wilson

    (m, n), (before, now) = column.counts.sum(1), column.counts[:, -1]
    r, c = before / m, now / n
    (r_low, r_high), (c_low, c_high) = wilson(before, m), wilson(now, n)
    low = c - r - math.hypot(c - c_low, r_high - r)
    high = c - r + math.hypot(c_high - c, r - r_low)
    ends = max(low, -1.0), min(high, 1.0)
    return Measurement("drift.missing_change", float(c - r), int(n), _slice(column), *ends, "newcombe")


def share_drifted(measured: Sequence[Measurement], p_values: Sequence[float]) -> Measurement:
    """Share of columns that have drifted, by more than chance and by more than a little.

    Formula: columns whose PSI is at least 0.2 and whose p-value (chi-square; of numbers twice the smaller of
    Kolmogorov–Smirnov and chi-square of what is missing) is significant at 0.05 over all columns by Holm's step-down,
    of all columns; n is the number of columns. No value where a column is gone.
    Source: Holm (1979), Scandinavian Journal of Statistics 6(2); Siddiqi (2006) for the size.
    Ideal: 0.
    Limits: a yes or no for each column; many small drifts count as none.
    """
    sizes = [one.value for one in measured if one.name == "drift.psi"]
    if None in sizes:
        reason = "not every column is there on both sides"
        return Measurement("drift.share_drifted", None, len(sizes), reason=reason)
    significant = _holm(np.asarray(p_values, dtype=np.float64))
    drifted = np.count_nonzero(significant & (np.asarray(sizes, dtype=np.float64) >= MATERIAL))
    found = proportion("drift.share_drifted", Share(np.array(drifted), np.array(len(sizes)), "there are no columns"))
    # Counted: the columns are all there are, and no sample of some larger number.
    return Measurement(found.name, found.value, found.n, method="counted", reason=found.reason)


def largest_psi(measured: Sequence[Measurement], n: int) -> Measurement:
    """Population stability index of the column that has drifted most.

    Formula: the largest ``drift.psi``. Interval: from the largest lower to the largest upper end of the intervals of
    all k columns, each at the level 0.05 / k.
    Source: as ``drift.psi``; Bonferroni, in Miller (1981), Simultaneous Statistical Inference, section 1.5.
    Ideal: 0.
    Limits: the largest of many is too high by chance; the interval allows for that, the value does not.
    """
    return _largest("psi", measured, n)


def largest_ks(measured: Sequence[Measurement], n: int) -> Measurement:
    """Kolmogorov–Smirnov distance of the column of numbers that has drifted most.

    Formula: the largest ``drift.ks``; 0 where no column holds numbers. Interval: as of ``drift.largest_psi``.
    Source: as ``drift.ks`` and ``drift.largest_psi``.
    Ideal: 0.
    Limits: the largest of many is too high by chance; the interval allows for that, the value does not.
    """
    return _largest("ks", measured, n)


def prediction_psi(column: Column) -> Measurement:
    """Population stability index of what the model says.

    Formula: as ``drift.psi``, of scores; of several classes, of how often each is the answer.
    Source: as ``drift.psi``.
    Ideal: 0.
    Limits: as ``drift.psi``.
    """
    return _renamed(psi(column), "drift.prediction_psi")


def prediction_ks(column: Column) -> Measurement:
    """Kolmogorov–Smirnov distance of what the model says.

    Formula: as ``drift.ks``, of scores; absent for several classes.
    Source: as ``drift.ks``.
    Ideal: 0.
    Limits: as ``drift.ks``.
    """
    return _renamed(ks(column), "drift.prediction_ks")


def importance_psi(reference: Mapping[str, float], current: Mapping[str, float]) -> Measurement:
    """Whether the same features drive the model: PSI of the shares of influence.

    Formula: Σ (c − r) ln(c / r) over features, with r and c their shares of mean |SHAP|, each at least 0.0001; a
    feature that one side lacks has the share 0 there. n is the number of features.
    Source: PSI as above, applied to mean |SHAP| (Lundberg et al. 2020, Nature Machine Intelligence 2).
    Ideal: 0.
    Limits: correlated features may trade shares without any change of the answers. No interval.
    """
    features = sorted({*reference, *current})
    sides = np.array([[side.get(name, 0.0) for name in features] for side in (reference, current)], dtype=np.float64)
    if not len(features) or not (np.isfinite(sides).all() and (sides >= 0).all() and (sides.sum(1) > 0).all()):
        reason = "the importances of one side are missing or are no shares"
        return Measurement("drift.importance_psi", None, len(features), reason=reason)
    return Measurement("drift.importance_psi", float(_psi(sides)), len(features), method="counted")


def importance_drift(reference: Mapping[str, float] | None, current: Mapping[str, float | None]) -> Measurement:
    """Return ``importance_psi``, or why it does not apply where there is no champion."""
    if reference is None:
        return Measurement("drift.importance_psi", None, 0, reason=NO_CHAMPION)
    if any(share is None for share in current.values()):
        return Measurement("drift.importance_psi", None, 0, reason="the model's importances could not be measured")
    return importance_psi(reference, {name: share for name, share in current.items() if share is not None})


# --- counting ------------------------------------------------------------------------------------------------------


def _counted(name: str, reference: "pd.Series[Any]", current: "pd.Series[Any]") -> Column:
    import pandas as pd

    types = pd.api.types
    # Of a side without a value nothing is left to tell what it was.
    kinds = {side.dtype for side in (reference, current) if not side.isna().all()}
    ordered = {kind for kind in kinds if types.is_numeric_dtype(kind) or types.is_datetime64_any_dtype(kind)}
    if kinds and all(types.is_bool_dtype(kind) for kind in kinds):
        return _values(name, reference, current)
    if not ordered and kinds:
        return _values(name, reference, current)
    if ordered != kinds or len({types.is_datetime64_any_dtype(kind) for kind in kinds}) > 1:
        raise InputError(
            f"Expected column {name!r} to be of one kind on both sides, found {reference.dtype} and {current.dtype}."
        )
    # Yes/no among them is 0 and 1: where some of it is missing, it is kept as numbers.
    return _numbers(name, *map(_as_floats, (reference, current)))


def _as_floats(side: "pd.Series[Any]") -> Array:
    import pandas as pd

    if pd.api.types.is_datetime64_any_dtype(side.dtype):
        # In seconds, for one side may count in nanoseconds and the other in microseconds.
        seconds = (pd.to_datetime(side, utc=True) - pd.Timestamp(0, tz="UTC")) / pd.Timedelta(seconds=1)
        return seconds.to_numpy(dtype=np.float64)
    return side.to_numpy(dtype=np.float64, na_value=np.nan)


def _numbers(name: str, reference: Array, current: Array) -> Column:
    sides = []
    for side in (reference, current):
        ordered = np.sort(np.asarray(side, dtype=np.float64))  # NaN goes to the end
        sides.append(ordered[: int(np.searchsorted(ordered, np.nan))] if ordered.size else ordered)
    edges, lone = _cuts(sides[0] if sides[0].size else sides[1])
    counts = []
    for side, whole in zip(sides, (reference, current), strict=True):
        # Rows below each cut: sorted, because cuts lie in each other.
        below = np.sort(np.concatenate([np.searchsorted(side, edges), np.searchsorted(side, lone, side="right")]))
        counts.append([*np.diff([0, *below, side.size]), len(whole) - side.size])
    return Column(name, np.array(counts, dtype=np.int64), *sides)


def _cuts(ordered: Array) -> tuple[Array, Array]:
    """Return the numbers in front of which a bin begins, and those of them behind which the next one does."""
    different = ordered[np.append(ordered[:1] == ordered[:1], ordered[1:] != ordered[:-1])]
    if different.size <= BINS:
        return different, different
    edges, times = np.unique(_quantiles(ordered), return_counts=True)
    return edges, edges[times > 1]


def _answered(*sides: Array) -> Column:
    """Count the answers of a model of several classes."""
    classes = sides[0].shape[1]
    counts = [[*np.bincount(side.argmax(1), minlength=classes), 0] for side in sides]
    return Column("", np.array(counts), None, None)


def _quantiles(ordered: Array) -> Array:
    """Return the nine inner deciles, linear between neighbours (Hyndman and Fan 1996, definition 7)."""
    with np.errstate(invalid="ignore"):
        places = np.arange(1, BINS) / BINS * (ordered.size - 1)
        below = np.floor(places).astype(int)
        above = np.minimum(below + 1, ordered.size - 1)
        low, high = ordered[below], ordered[above]
        between = low + (high - low) * (places - below)
        return np.asarray(np.where(np.isfinite(between), between, high))


def _values(name: str, reference: "pd.Series[Any]", current: "pd.Series[Any]") -> Column:
    import pandas as pd

    both = pd.concat([side.astype("string") for side in (reference, current)], ignore_index=True)
    codes, found = pd.factorize(both)
    places = np.where(codes < 0, len(found), codes)
    m = len(reference)
    counts = np.array([np.bincount(part, minlength=len(found) + 1) for part in (places[:m], places[m:])])
    # By how often they occur, so that neither names nor the order of rows change the last bit of a sum.
    order = np.lexsort((counts[1, :-1], -counts[:, :-1].sum(0)))
    few, rest = counts[:, order[:MOST_VALUES]], counts[:, order[MOST_VALUES:]].sum(1, keepdims=True)
    counts = np.hstack([few, *([rest] if len(order) > MOST_VALUES else []), counts[:, -1:]])
    return Column(name, counts, None, None)


def _found(column: Column, level: float) -> Found:
    if column.reference is None:
        measured = [psi(column), jensen_shannon(column), chi_square(column), missing_change(column)]
        return Found(measured, [psi(column, level)], _chi_square_p(column.counts))
    distance = ks(column)
    measured = [psi(column), jensen_shannon(column), distance, wasserstein(column), missing_change(column)]
    simultaneous, sides = [psi(column, level)], _recorded(column)
    if sides is not None and distance.value is not None:
        ends = _band(distance.value, *sides, level)
        simultaneous.append(Measurement("drift.ks", distance.value, distance.n, distance.slice, *ends, "dkw"))
    elif column.counts[:, :-1].any():
        simultaneous.append(distance)
    return Found(measured, simultaneous, _p_value(column, distance.value))


# --- formulas ------------------------------------------------------------------------------------------------------


def _shares(counts: Array) -> Array:
    shares: Array = counts / counts.sum(-1, keepdims=True)
    return shares


def _psi(counts: Array) -> Array:
    """Return PSI of tables of counts or shares, shape (…, 2, bins) → (…)."""
    shares = _shares(counts)
    # A bin that is empty on both sides says nothing, and both are at the floor.
    floored = np.maximum(shares, FLOOR)
    reference, current = floored[..., 0, :], floored[..., 1, :]
    return np.asarray(((current - reference) * np.log(current / reference)).sum(-1))


def _jensen_shannon(counts: Array) -> Array:
    shares = _shares(counts)
    mean = shares.mean(-2, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(shares > 0, shares * np.log2(shares / mean), 0.0)
    return np.asarray(np.sqrt(np.maximum(terms.sum((-1, -2)) / 2, 0.0)))


def _debiased(counts: Array, value: float, steepness: Array, scale: float, level: float) -> tuple[float, float]:
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
    from scipy.special import ndtri

    shares, sizes = _shares(counts), counts.sum(1)
    freedom = max(int(np.count_nonzero(counts.sum(0))) - 1, 0)
    unit = scale * float((1 / sizes).sum())
    means = (shares * steepness).sum(1, keepdims=True)
    variance = float(((shares * (steepness - means) ** 2).sum(1) / sizes).sum())
    half = float(ndtri(1 - level / 2)) * math.sqrt(variance + 2 * freedom * unit**2)
    centre = value - freedom * unit
    return min(max(centre - half, 0.0), value), max(centre + half, value)


def _band(value: float, first: Array, second: Array, level: float) -> Interval:
    half = math.sqrt(math.log(4 / level) / 2) * (1 / math.sqrt(first.size) + 1 / math.sqrt(second.size))
    return Interval(max(value - half, 0.0), min(value + half, 1.0))


def _ks(first: Array, second: Array) -> float:
    """Return the distance of two sorted samples."""
    return max(_excess(first, second), _excess(second, first), 0.0)


def _excess(first: Array, second: Array) -> float:
    """Return by how much the distribution of the first sorted sample is above that of the second, at most.

    It is so at one of the first sample's values. Every 64th is looked at, and then those between two of these that may
    yet hold a larger difference, for neither distribution falls: nearly none, unless the samples are small.
    """
    m, n = first.size, second.size
    ends = np.append(np.arange(STRIDE - 1, m - 1, STRIDE), m - 1)
    below = np.searchsorted(second, first[ends], side="right")
    found = float(((ends + 1) / m - below / n).max())
    at_most = (ends + 1) / m - np.concatenate([[0], below[:-1]]) / n
    blocks = np.flatnonzero(at_most > found)
    inside = (ends[blocks, None] - np.arange(STRIDE - 1, 0, -1)).ravel()
    inside = inside[inside >= 0]
    if not inside.size:
        return found
    return max(found, float(((inside + 1) / m - np.searchsorted(second, first[inside], side="right") / n).max()))


def _wasserstein(first: Array, second: Array) -> float:
    """Return the distance of two sorted samples: the mean distance of their quantiles."""
    if first.size == second.size:
        return float(np.abs(first - second).mean())
    many, few = (first, second) if first.size > second.size else (second, first)
    m, n = many.size, few.size
    # Each value of the larger sample spans the quantiles from i / m to (i + 1) / m, which one or two of the smaller
    # share: in units of 1 / (m n) and whole numbers, n each, of which the first partner takes what it still has.
    start = np.arange(m, dtype=np.int64) * n
    partner = start // m
    taken = np.minimum((partner + 1) * m - start, n)
    first_part = np.abs(many - few[partner]) * (taken / n)
    second_part = np.abs(many - few[np.minimum(partner + 1, n - 1)]) * (1 - taken / n)
    return float((first_part + second_part).mean())


def _chi_square(counts: Array) -> tuple[float, int]:
    """Return the statistic and its degrees of freedom."""
    seen = counts[:, counts.sum(0) > 0].astype(np.float64)
    expected = seen.sum(1, keepdims=True) * seen.sum(0, keepdims=True) / seen.sum()
    return float(((seen - expected) ** 2 / expected).sum()), seen.shape[1] - 1


def _p_value(column: Column, distance: float | None) -> float:
    """Return the chance of so large a difference without drift; ``distance`` is that of numbers."""
    from scipy.special import kolmogorov

    sides = _recorded(column)
    if sides is None or distance is None:
        return _chi_square_p(column.counts)
    m, n = (side.size for side in sides)
    missing = np.stack([column.counts[:, :-1].sum(1), column.counts[:, -1]], axis=1)
    if not missing[:, 1].any():
        return float(kolmogorov(distance * math.sqrt(m * n / (m + n))))
    return min(1.0, 2 * min(float(kolmogorov(distance * math.sqrt(m * n / (m + n)))), _chi_square_p(missing)))


def _chi_square_p(counts: Array) -> float:
    from scipy.special import gammaincc

    statistic, freedom = _chi_square(counts)
    return float(gammaincc(freedom / 2, statistic / 2)) if freedom > 0 else 1.0


def _gone(name: str, column: str) -> Measurement:
    return Measurement(name, None, 0, {"column": column}, reason="the current data lack it")


def _too_few(reference: int, current: int, minimum_n: int) -> str | None:
    rows, side = min((reference, "the reference has"), (current, "the current data have"))
    needed = max(minimum_n, 1)
    return f"not enough data: {side} {rows} rows, and {needed} are needed" if rows < needed else None


def _holm(p_values: Array) -> Array:
    order = np.argsort(p_values, kind="stable")
    holds = p_values[order] * (len(p_values) - np.arange(len(p_values))) <= LEVEL
    significant = np.zeros(len(p_values), dtype=bool)
    significant[order] = np.logical_and.accumulate(holds)
    return significant


def _recorded(column: Column) -> tuple[Array, Array] | None:
    """Return both sides of a column of numbers; ``None`` where one of them has none."""
    first, second = column.reference, column.current
    if first is None or second is None or not first.size or not second.size:
        return None
    return first, second


def _nothing(column: Column) -> str:
    side = "reference" if column.reference is None or not column.reference.size else "current data"
    return f"it is never recorded in the {side}"


def _largest(measure: str, measured: Sequence[Measurement], n: int) -> Measurement:
    name = f"drift.largest_{measure}"
    found = [one for one in measured if one.name == f"drift.{measure}"]
    if not found:
        return Measurement(name, 0.0, n, method="counted")
    absent = next((one for one in found if one.value is None), None)
    if absent is not None:
        return Measurement(name, None, n, reason=f"{absent.slice['column']}: {absent.reason}")
    top = max(found, key=lambda one: one.value or 0.0)
    low, high = (max(end or 0.0 for end in ends) for ends in zip(*((one.low, one.high) for one in found), strict=True))
    return Measurement(name, top.value, top.n, {}, low, high, f"{top.method}, bonferroni")


def _renamed(found: Measurement, name: str) -> Measurement:
    return Measurement(name, found.value, found.n, {}, found.low, found.high, found.method, found.reason)


def _slice(column: Column) -> dict[str, str]:
    return {"column": column.name} if column.name else {}
