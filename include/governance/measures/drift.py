"""How far the current data are from the reference, column by column and as a whole.

Two passes over each column make everything: both sides sorted once give Kolmogorov–Smirnov, Wasserstein and the counts
of the bins; the counts give PSI, Jensen–Shannon and, for what is counted by value, chi-square. Columns are independent
of each other and go to two threads, for numpy sorts without holding the interpreter.

Numbers are cut into ten bins at quantiles of the reference; text and yes/no are counted by value. What is missing is a
bin, or a value, of its own in PSI, Jensen–Shannon and chi-square, and left out of the others; ``missing_change`` says
how many more there are. Neighbours: :mod:`governance.measures.explainability` has the importances whose drift is
measured here. Not guaranteed: that a drift matters; whether it moves predictions is ``drift.prediction_psi``.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from governance.errors import InputError
from governance.measures.confusion import Array, Share
from governance.measures.intervals import percentiles, proportion, resample_counts
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

DRAWS = 200
"""Resamples of the bins of one column: for the ends of an interval that a person reads to two digits."""

THREADS = 2
MOST_VALUES = 1000
"""Values of a column of text that are told apart at most, the commonest of both sides first; the rest are one."""

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

    @property
    def shares(self) -> Array:
        """Shares of each bin or value, shape (2, bins + 1)."""
        return self.counts / self.counts.sum(1, keepdims=True)


def measure_drift(reference: "pd.DataFrame", current: "pd.DataFrame") -> list[Measurement]:
    """Measure the drift of every column that both have.

    Args:
        reference: What is usual, shape (m, columns).
        current: What came now, shape (n, columns).

    Returns:
        For each column ``psi``, ``jensen_shannon`` and ``missing_change``; of numbers ``ks`` and ``wasserstein``, of
        others ``chi_square``. Then ``share_drifted``, ``largest_psi`` and ``largest_ks`` over all columns.

    Raises:
        InputError: One side has no rows, or they have no column in common, or a column is text on one side only.
    """
    shared = [name for name in reference.columns if name in current.columns]
    if reference.empty or current.empty or not shared:
        raise InputError(
            f"Expected rows on both sides and at least one column that both have, found {len(reference)} and "
            f"{len(current)} rows with {len(shared)} columns in common."
        )

    def one(name: Any) -> tuple[list[Measurement], float]:
        column = _counted(str(name), reference[name], current[name])
        measured = _of_column(column)
        return measured, _p_value(column, measured)

    with ThreadPoolExecutor(THREADS) as threads:
        found = list(threads.map(one, shared))
    measured = [measurement for of_column, _ in found for measurement in of_column]
    return [
        *measured,
        share_drifted(measured, [p for _, p in found]),
        _largest("psi", measured, len(current)),
        _largest("ks", measured, len(current)),
    ]


def measure_prediction_drift(reference: npt.ArrayLike, current: npt.ArrayLike) -> list[Measurement]:
    """Measure the drift of what the model says.

    Args:
        reference: Scores that were validated, shape (m), or (m, classes).
        current: Scores now, shape (n), or (n, classes): of several classes, the share of each as the answer counts.

    Returns:
        ``prediction_psi``, and ``prediction_ks`` where a score is one number.
    """
    sides = [np.asarray(side) for side in (reference, current)]
    if sides[0].ndim == 2:
        classes = sides[0].shape[1]
        counts = np.array([[*np.bincount(side.argmax(1), minlength=classes), 0] for side in sides])
        return [_renamed(psi(Column("", counts, None, None)), "drift.prediction_psi")]
    column = _numbers("", *sides)
    return [_renamed(psi(column), "drift.prediction_psi"), _renamed(ks(column), "drift.prediction_ks")]


def no_champion() -> list[Measurement]:
    """Return the measurements that rules may ask for without a value, for a model that has no champion yet."""
    names = ("share_drifted", "largest_psi", "largest_ks", "prediction_psi", "prediction_ks")
    return [Measurement(f"drift.{name}", None, 0, reason=NO_CHAMPION) for name in names]


def psi(column: Column) -> Measurement:
    """Population stability index: how differently two sides fill the same bins.

    Formula: Σ (c − r) ln(c / r) over ten bins at the quantiles of the reference, or over values, and what is missing;
    shares r of the reference and c of the current side, each at least 0.0001. Interval: percentiles of the counts
    resampled on both sides, 200 times.
    Source: Siddiqi (2006), Credit Risk Scorecards; Yurdakul (2018), Statistical Properties of Population Stability
    Index, whose result is that by chance alone it is about (bins − 1)(1/m + 1/n).
    Ideal: 0; 0.1 is called a small and 0.2 a large shift (by custom, for large samples).
    Limits: large by chance on few rows: on 50 it exceeds 0.1 nine times in ten; read it with its interval.
    """
    value = float(_psi(column.counts))
    # By counts in ascending order of the reference, so that the draws depend on no name of a value.
    order = np.lexsort((column.counts[1], column.counts[0]))
    drawn = resample_counts(column.counts[:, order], draws=DRAWS)
    return Measurement("drift.psi", value, column.n, _slice(column), *percentiles(_psi(drawn), value), "bootstrap")


def jensen_shannon(column: Column) -> Measurement:
    """Jensen–Shannon distance: how far two distributions are from their mean.

    Formula: √((KL(r ‖ m) + KL(c ‖ m)) / 2) with m = (r + c) / 2 and logarithms to base 2, over the bins of PSI.
    Source: Endres and Schindelin (2003), IEEE Transactions on Information Theory 49(7).
    Ideal: 0; 1 for sides that have nothing in common.
    Limits: never 0 on two samples; read it with its interval.
    """
    value = float(_jensen_shannon(column.counts))
    order = np.lexsort((column.counts[1], column.counts[0]))
    drawn = resample_counts(column.counts[:, order], draws=DRAWS)
    interval = percentiles(_jensen_shannon(drawn), value)
    return Measurement("drift.jensen_shannon", value, column.n, _slice(column), *interval, "bootstrap")


def ks(column: Column) -> Measurement:
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
    half = math.sqrt(math.log(4 / LEVEL) / 2) * (1 / math.sqrt(first.size) + 1 / math.sqrt(second.size))
    ends = max(value - half, 0.0), min(value + half, 1.0)
    return Measurement("drift.ks", value, second.size, _slice(column), *ends, "dkw")


def wasserstein(column: Column) -> Measurement:
    """Wasserstein distance: how far values have moved on average, in the column's own unit.

    Formula: ∫ |F_r(x) − F_c(x)| dx, exact.
    Source: Kantorovich (1942); Ramdas, García Trillos and Cuturi (2017), Entropy 19(2).
    Ideal: 0.
    Limits: has the column's unit, so that two columns cannot be compared by it; one outlier can make it large. No
    interval.
    """
    sides = _recorded(column)
    if sides is None:
        return Measurement("drift.wasserstein", None, 0, _slice(column), reason=_nothing(column))
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

    Formula: columns whose PSI is at least 0.2 and whose p-value (Kolmogorov–Smirnov for numbers, chi-square else)
    is significant at 0.05 over all columns by Holm's step-down, of all columns; n is the number of columns.
    Source: Holm (1979), Scandinavian Journal of Statistics 6(2); Siddiqi (2006) for the size.
    Ideal: 0.
    Limits: a yes or no for each column; many small drifts count as none.
    """
    sizes = [one.value or 0.0 for one in measured if one.name == "drift.psi"]
    significant = _holm(np.asarray(p_values, dtype=np.float64))
    drifted = np.count_nonzero(significant & (np.asarray(sizes) >= MATERIAL))
    found = proportion("drift.share_drifted", Share(np.array(drifted), np.array(len(sizes)), "there are no columns"))
    # Counted: the columns are all there are, and no sample of some larger number.
    return Measurement(found.name, found.value, found.n, method="counted", reason=found.reason)


def largest_psi(measured: Sequence[Measurement], n: int) -> Measurement:
    """Population stability index of the column that has drifted most.

    Formula: the largest ``drift.psi``, with its interval.
    Source: as ``drift.psi``.
    Ideal: 0.
    Limits: the largest of many is too high by chance; judge its lower end.
    """
    return _largest("psi", measured, n)


def largest_ks(measured: Sequence[Measurement], n: int) -> Measurement:
    """Kolmogorov–Smirnov distance of the column of numbers that has drifted most.

    Formula: the largest ``drift.ks``, with its interval; 0 where no column holds numbers.
    Source: as ``drift.ks``.
    Ideal: 0.
    Limits: the largest of many is too high by chance; judge its lower end.
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

    def has_order(side: "pd.Series[Any]") -> bool:
        plain = pd.api.types.is_numeric_dtype(side.dtype) and not pd.api.types.is_bool_dtype(side.dtype)
        return plain or pd.api.types.is_datetime64_any_dtype(side.dtype)

    empty = [bool(side.isna().all()) for side in (reference, current)]
    ordered = [has_order(side) for side in (reference, current)]
    if any(empty):  # nothing is left to tell of what it was
        ordered = [ordered[empty.index(False)]] * 2 if not all(empty) else [True, True]
    if ordered[0] != ordered[1]:
        raise InputError(
            f"Expected column {name!r} to be of one kind on both sides, found {reference.dtype} and {current.dtype}."
        )
    return _numbers(name, *map(_as_floats, (reference, current))) if ordered[0] else _values(name, reference, current)


def _as_floats(side: "pd.Series[Any]") -> Array:
    import pandas as pd

    if pd.api.types.is_datetime64_any_dtype(side.dtype):
        return np.where(side.isna(), np.nan, side.astype("int64").to_numpy(dtype=np.float64))
    return side.to_numpy(dtype=np.float64, na_value=np.nan)


def _numbers(name: str, reference: Array, current: Array) -> Column:
    sides = []
    for side in (reference, current):
        ordered = np.sort(np.asarray(side, dtype=np.float64))  # NaN goes to the end
        sides.append(ordered[: int(np.searchsorted(ordered, np.nan))] if ordered.size else ordered)
    recorded = sides[0] if sides[0].size else sides[1]
    edges = np.unique(_quantiles(recorded)) if recorded.size else np.empty(0)
    counts = [
        [*np.diff([0, *np.searchsorted(side, edges, side="left"), side.size]), len(whole) - side.size]
        for side, whole in zip(sides, (reference, current), strict=True)
    ]
    return Column(name, np.array(counts, dtype=np.int64), *sides)


def _quantiles(ordered: Array) -> Array:
    """Return the nine inner deciles, linear between neighbours (Hyndman and Fan 1996, definition 7)."""
    with np.errstate(invalid="ignore"):
        places = np.arange(1, BINS) / BINS * (ordered.size - 1)
        below = np.floor(places).astype(int)
        above = np.minimum(below + 1, ordered.size - 1)
        low, high = ordered[below], ordered[above]
        between = low + (high - low) * (places - below)
        return np.where(np.isfinite(between), between, high)


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


def _of_column(column: Column) -> list[Measurement]:
    apart: list[Callable[[Column], Measurement]] = [chi_square] if column.reference is None else [ks, wasserstein]
    return [measure(column) for measure in (psi, jensen_shannon, *apart, missing_change)]


# --- formulas ------------------------------------------------------------------------------------------------------


def _psi(counts: Array) -> Array:
    """Return PSI of tables of counts or shares, shape (…, 2, bins) → (…)."""
    shares = counts / counts.sum(-1, keepdims=True)
    # A bin that is empty on both sides says nothing, and both are at the floor.
    floored = np.maximum(shares, FLOOR)
    reference, current = floored[..., 0, :], floored[..., 1, :]
    return np.asarray(((current - reference) * np.log(current / reference)).sum(-1))


def _jensen_shannon(counts: Array) -> Array:
    shares = counts / counts.sum(-1, keepdims=True)
    mean = shares.mean(-2, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(shares > 0, shares * np.log2(shares / mean), 0.0)
    return np.sqrt(np.maximum(terms.sum((-1, -2)) / 2, 0.0))


def _ks(first: Array, second: Array) -> float:
    """Return the distance of two sorted samples.

    Between two neighbours of the second sample its own distribution stands still while the other rises, so the largest
    difference is found at each of its values and just before it: half the work of looking at all values of both.
    """
    values, ends = _different(second)
    starts = np.concatenate([[0], ends[:-1]])
    at = np.searchsorted(first, values, side="right") / first.size - ends / second.size
    before = np.searchsorted(first, values, side="left") / first.size - starts / second.size
    return float(max(np.abs(at).max(), np.abs(before).max()))


def _different(ordered: Array) -> tuple[Array, Array]:
    """Return the different values of a sorted sample, and how many values there are up to each."""
    last = np.append(ordered[1:] != ordered[:-1], True)
    return ordered[last], np.flatnonzero(last) + 1


def _wasserstein(first: Array, second: Array) -> float:
    """Return the distance of two sorted samples: the mean distance of their quantiles."""
    if first.size == second.size:
        return float(np.abs(first - second).mean())
    m, n = first.size, second.size
    # Where either quantile function steps, in units of 1 / (m n); whole numbers, so that equal steps meet.
    steps = np.union1d(np.arange(1, m + 1) * n, np.arange(1, n + 1) * m)
    widths = np.diff(steps, prepend=0) / (m * n)
    return float(np.abs(first[-(-steps // n) - 1] - second[-(-steps // m) - 1]) @ widths)


def _chi_square(counts: Array) -> tuple[float, int]:
    """Return the statistic and its degrees of freedom."""
    seen = counts[:, counts.sum(0) > 0].astype(np.float64)
    expected = seen.sum(1, keepdims=True) * seen.sum(0, keepdims=True) / seen.sum()
    return float(((seen - expected) ** 2 / expected).sum()), seen.shape[1] - 1


def _p_value(column: Column, measured: Sequence[Measurement]) -> float:
    from scipy.special import gammaincc, kolmogorov

    sides, distance = _recorded(column), next((one.value for one in measured if one.name == "drift.ks"), None)
    if sides is not None and distance is not None:
        m, n = (side.size for side in sides)
        return float(kolmogorov(distance * math.sqrt(m * n / (m + n))))
    statistic, freedom = _chi_square(column.counts)
    return float(gammaincc(freedom / 2, statistic / 2)) if freedom > 0 else 1.0


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
    return Measurement(name, top.value, top.n, {}, top.low, top.high, top.method)


def _renamed(found: Measurement, name: str) -> Measurement:
    return Measurement(name, found.value, found.n, {}, found.low, found.high, found.method, found.reason)


def _slice(column: Column) -> dict[str, str]:
    return {"column": column.name} if column.name else {}
