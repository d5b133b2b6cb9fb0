"""How far the current data are from the reference, column by column and as a whole.

Two passes over each column make everything: both sides sorted once give Kolmogorov–Smirnov, Wasserstein and the counts
of the bins; the counts give PSI, Jensen–Shannon and, for what is counted by value, chi-square. Columns are independent
of each other and go to two threads, for numpy sorts without holding the interpreter. Whatever the number of rows,
everything is computed of all of them: nothing is sampled and nothing is approximated.

What is missing is a bin, or a value, of its own in PSI, Jensen–Shannon and chi-square, and left out of the others;
``missing_change`` says how many more there are. Neighbours: :mod:`governance.measures.drift_counts` counts,
:mod:`governance.measures.drift_distances` computes, :mod:`governance.measures.drift_sides` measures files column by
column; :mod:`governance.measures.explainability` has the importances whose drift is measured here. Not guaranteed: that
a drift matters; whether it moves predictions is ``drift.prediction_psi``.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from governance.errors import InputError
from governance.measures import drift_counts, drift_distances
from governance.measures.confusion import Array, Share
from governance.measures.drift_classifier import MATERIAL_AUC, Embedded, classifier_two_sample_p_value
from governance.measures.drift_counts import Column
from governance.measures.intervals import proportion, wilson
from governance.records import Measurement

if TYPE_CHECKING:
    import pandas as pd

MATERIAL = 0.2
"""PSI from which a column that drifted significantly also counts as drifted materially."""

LEVEL = 0.05
"""Chance, over all columns together, that a column counts as drifted though nothing changed."""

MINIMUM_N = 30
"""Fewer rows on either side say nothing of the whole, unless the policy says otherwise."""

THREADS = 2

OF_THE_WHOLE = ("share_drifted", "largest_psi", "largest_ks")
NO_CHAMPION = "not applicable: no champion: there is nothing to compare with yet"


@dataclass(frozen=True)
class Drift:
    """What is known of two tables.

    Attributes:
        measurements: Of each column, then of the whole.
        drifted: The columns that ``share_drifted`` counts, in the order of the reference.
    """

    measurements: list[Measurement]
    drifted: tuple[str, ...]


@dataclass(frozen=True)
class Found:
    """What is known of one column once it has been counted and its rows are let go.

    Attributes:
        name: The column's name.
        measured: Its measurements.
        simultaneous: Its ``psi`` and ``ks``, with intervals that hold for all columns at once. Numbers that are never
            recorded on either side have no ``ks``, and no part in the largest one.
        p_value: Chance of so large a difference without drift; ``None`` where an embedding stands for the column.
    """

    name: str
    measured: list[Measurement]
    simultaneous: list[Measurement]
    p_value: float | None


def measure_drift(
    reference: "pd.DataFrame",
    current: "pd.DataFrame",
    *,
    minimum_n: int = MINIMUM_N,
    level: float = LEVEL,
    seen: Callable[[Column], None] | None = None,
    embedded: Sequence[Embedded] = (),
) -> list[Measurement]:
    """Measure the drift of every column of the reference.

    Args:
        reference: What is usual, shape (m, columns).
        current: What came now, shape (n, columns); columns that the reference lacks are not looked at.
        minimum_n: With fewer rows on either side nothing is said of the whole.
        level: Chance, over all columns together, that one counts as drifted though nothing changed.
        seen: Is given each column once it is counted, from two threads; not those that an embedding stands for.
        embedded: What is known of embeddings. Each is one more feature, or stands for the column of its name, whose
            values then are not counted: only ``missing_change`` is measured of it.

    Returns:
        For each column ``psi``, ``jensen_shannon``, ``missing_change`` and ``p_value``; of numbers ``ks``,
        ``wasserstein`` and ``out_of_range``, of others ``chi_square`` and ``new_categories``; of a column that is gone,
        ``psi`` without a value. Of each embedding ``classifier_two_sample_auc`` and its p-value. Then
        ``share_drifted``, ``largest_psi`` and ``largest_ks`` over all columns.

    Raises:
        InputError: One side has no rows, or they have no column in common, or a column is text on one side only.
    """
    from governance.measures.drift_frames import counted

    stood_for = {one.name for one in embedded}

    def count(name: str) -> Column:
        column = counted(str(name), reference[name], current[name])
        if seen is not None and name not in stood_for:
            seen(column)
        return column

    names, rows = (list(reference.columns), list(current.columns)), (len(reference), len(current))
    return measure_columns(count, names, rows, minimum_n=minimum_n, level=level, embedded=embedded).measurements


def measure_columns(
    count: Callable[[str], Column],
    names: tuple[Sequence[str], Sequence[str]],
    rows: tuple[int, int],
    *,
    minimum_n: int = MINIMUM_N,
    level: float = LEVEL,
    embedded: Sequence[Embedded] = (),
) -> Drift:
    """Measure the drift of every column of the reference, wherever its rows are.

    Args:
        count: Counts the column of this name; called from two threads, and what it returns is let go at once.
        names: Columns of the reference and of the current side.
        rows: How many both have.
        minimum_n: With fewer rows on either side nothing is said of the whole.
        level: Chance, over all columns together, that one counts as drifted though nothing changed.
        embedded: What is known of embeddings, as in :func:`measure_drift`.

    Raises:
        InputError: One side has no rows, or they have no column in common.
    """
    both = set(names[1])
    shared = [name for name in names[0] if name in both]
    gone = [str(name) for name in names[0] if name not in both]
    if not all(rows) or not shared:
        raise InputError(
            f"Expected rows on both sides and at least one column that both have, found {rows[0]} and {rows[1]} rows "
            f"with {len(shared)} columns in common."
        )

    stood_for = {one.name for one in embedded}
    many = len([name for name in shared if name not in stood_for]) + len(embedded)

    def one(name: str) -> Found:
        column = count(name)
        return _stood_for(column) if name in stood_for else _found(column, LEVEL / many)

    with ThreadPoolExecutor(THREADS) as threads:
        found = list(threads.map(one, shared))
    return _summed(found, gone, rows, minimum_n, level, embedded)


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
    return [
        measure(drift_counts.of_answers(*sides) if shapes[0] else drift_counts.of_numbers("", *sides))
        for measure in measures
    ]


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
    value = float(drift_distances.stability_index(column.counts))
    steepness = drift_distances.stability_steepness(column.counts)
    ends = drift_distances.debiased(column.counts, value, steepness, 1.0, level)
    return Measurement("drift.psi", value, column.n, _slice(column), *ends, "delta")


def jensen_shannon(column: Column) -> Measurement:
    """Jensen–Shannon distance: how far two distributions are from their mean.

    Formula: √((KL(r ‖ m) + KL(c ‖ m)) / 2) with m = (r + c) / 2 and logarithms to base 2, over the bins of PSI.
    Interval: as of PSI, of the square, to which chance adds an eighth as much (and the base).
    Source: Endres and Schindelin (2003), IEEE Transactions on Information Theory 49(7).
    Ideal: 0; 1 for sides that have nothing in common.
    Limits: never 0 on two samples; the interval allows for that, the value does not.
    """
    value = float(drift_distances.distance_from_mean(column.counts))
    steepness = drift_distances.distance_steepness(column.counts)
    low, high = drift_distances.debiased(column.counts, value**2, steepness, 1 / (8 * math.log(2)), LEVEL)
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
    value = drift_distances.largest_difference(first, second)
    ends = drift_distances.band(value, first.size, second.size, level)
    return Measurement("drift.ks", value, second.size, _slice(column), *ends, "dkw")


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
    value = drift_distances.mean_distance(*sides)
    return Measurement("drift.wasserstein", value, sides[1].size, _slice(column), method="exact")


def chi_square(column: Column) -> Measurement:
    """Pearson's chi-square statistic of value × side, without Yates' correction.

    Formula: Σ (observed − expected)² / expected over values that occur on either side, what is missing among them.
    Source: Pearson (1900), Philosophical Magazine 50(302).
    Ideal: about the number of values less one.
    Limits: grows with n; ``share_drifted`` uses its p-value. No interval.
    """
    value, _ = drift_distances.deviation(column.counts)
    return Measurement("drift.chi_square", value, column.n, _slice(column), method="exact")


def missing_change(column: Column) -> Measurement:
    """How much larger the share of missing values is than in the reference.

    Formula: missing / rows, current − reference. Interval: Newcombe's, from both Wilson intervals.
    Source: Newcombe (1998), Statistics in Medicine 17(8), method 10.
    Ideal: 0.
    Limits: says nothing of why.
    """
    (m, n), (before, now) = column.counts.sum(1), column.counts[:, -1]
    r, c = before / m, now / n
    (r_low, r_high), (c_low, c_high) = wilson(before, m), wilson(now, n)
    low = c - r - math.hypot(c - c_low, r_high - r)
    high = c - r + math.hypot(c_high - c, r - r_low)
    ends = max(low, -1.0), min(high, 1.0)
    return Measurement("drift.missing_change", float(c - r), int(n), _slice(column), *ends, "newcombe")


def new_categories(column: Column) -> Measurement:
    """Share of rows whose value never occurs in the reference.

    Formula: current rows with a value of which the reference has no row, of current rows that have a value; of text and
    of yes/no. Interval: Wilson's.
    Source: a proportion; Wilson (1927), JASA 22, for its interval.
    Ideal: 0: a model has learned nothing about such a value.
    Limits: what is missing is no value; see ``drift.missing_change``. A rare value of the population may be absent
    from a small reference.
    """
    recorded = int(column.counts[1, :-1].sum())
    if not column.counts[0, :-1].any():
        reason = "it is never recorded in the reference"
        return Measurement("drift.new_categories", None, 0, _slice(column), reason=reason)
    share = Share(np.array(column.unseen), np.array(recorded), "it is never recorded in the current data")
    return proportion("drift.new_categories", share, _slice(column))


def out_of_range(column: Column) -> Measurement:
    """Share of numbers below the smallest or above the largest one of the reference.

    Formula: current numbers x with x < min r or x > max r, of current numbers. Interval: Wilson's.
    Source: a proportion; Wilson (1927), JASA 22, for its interval.
    Ideal: 0: outside of what it has seen, a model extrapolates.
    Limits: one outlier in the reference widens its range; of samples of m and n rows without drift, about 2 / m of the
    current numbers are outside. What is missing is left out.
    """
    sides = _recorded(column)
    if sides is None:
        return Measurement("drift.out_of_range", None, 0, _slice(column), reason=_nothing(column))
    first, second = sides
    inside = np.searchsorted(second, first[-1], side="right") - np.searchsorted(second, first[0], side="left")
    share = Share(second.size - inside, np.array(second.size), _nothing(column))
    return proportion("drift.out_of_range", share, _slice(column))


def p_value(found: Found, chance: float) -> Measurement:
    """Chance that a column would differ so much though nothing changed, corrected for the number of columns.

    Formula: of what is counted by value, of chi-square; of numbers twice the smaller of Kolmogorov–Smirnov's and, where
    some are missing, that of chi-square of what is missing; then Holm's step-down over all columns and
    embeddings.
    Source: Holm (1979), Scandinavian Journal of Statistics 6(2).
    Ideal: 1.
    Limits: of how much it differs it says nothing: in a large window the smallest difference is certain.
    """
    n = found.measured[0].n
    return Measurement("drift.p_value", chance, n, {"column": found.name} if found.name else {}, method="asymptotic")


def share_drifted(drifted: Array, reason: str | None = None) -> Measurement:
    """Share of columns and embeddings that have drifted, by more than chance and by more than a little.

    Formula: columns whose PSI is at least 0.2, and embeddings whose ``classifier_two_sample_auc`` is at least 0.624,
    with a p-value of at most 0.05 (or what the policy says), of all of them; n is how many there are. An embedding with
    the name of a column stands for it. No value where a column is gone or an embedding could not be measured.
    Source: Holm (1979), Scandinavian Journal of Statistics 6(2); Siddiqi (2006) for the size.
    Ideal: 0.
    Limits: a yes or no for each column; many small drifts count as none.

    Args:
        drifted: Whether each has, shape (columns and embeddings).
        reason: Why it cannot be told.
    """
    if reason:
        return Measurement("drift.share_drifted", None, len(drifted), reason=reason)
    told = Share(np.array(np.count_nonzero(drifted)), np.array(len(drifted)), "there are no columns")
    found = proportion("drift.share_drifted", told)
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
    return Measurement(
        "drift.importance_psi", float(drift_distances.stability_index(sides)), len(features), method="counted"
    )


def importance_drift(reference: Mapping[str, float] | None, current: Mapping[str, float | None]) -> Measurement:
    """Return ``importance_psi``, or why it does not apply where there is no champion."""
    if reference is None:
        return Measurement("drift.importance_psi", None, 0, reason=NO_CHAMPION)
    if any(share is None for share in current.values()):
        return Measurement("drift.importance_psi", None, 0, reason="the model's importances could not be measured")
    return importance_psi(reference, {name: share for name, share in current.items() if share is not None})


def _found(column: Column, level: float) -> Found:
    if column.reference is None:
        measured = [psi(column), jensen_shannon(column), chi_square(column), missing_change(column)]
        measured.append(new_categories(column))
        chance = drift_distances.chance_of_counts(column.counts)
        return Found(column.name, measured, [psi(column, level)], chance)
    distance = ks(column)
    measured = [psi(column), jensen_shannon(column), distance, wasserstein(column), missing_change(column)]
    measured.append(out_of_range(column))
    simultaneous, sides = [psi(column, level)], _recorded(column)
    if sides is None or distance.value is None:
        if column.counts[:, :-1].any():
            simultaneous.append(distance)
        return Found(column.name, measured, simultaneous, drift_distances.chance_of_counts(column.counts))
    m, n = (side.size for side in sides)
    ends = drift_distances.band(distance.value, m, n, level)
    simultaneous.append(Measurement("drift.ks", distance.value, distance.n, distance.slice, *ends, "dkw"))
    chance = drift_distances.chance_of_numbers(column.counts, distance.value, m, n)
    return Found(column.name, measured, simultaneous, chance)


def _stood_for(column: Column) -> Found:
    """Return what is known of a column that an embedding stands for: free text has no values to be counted by."""
    return Found(column.name, [missing_change(column)], [], None)


def _summed(
    every: Sequence[Found],
    gone: Sequence[str],
    rows: tuple[int, int],
    minimum_n: int,
    level: float,
    embedded: Sequence[Embedded],
) -> Drift:
    found = [column for column in every if column.p_value is not None]
    known = [one for one in embedded if one.chance is not None]
    absent = {one: [_gone(f"drift.{one}", name) for name in gone] for one in ("psi", "ks")}
    chances = [one.p_value for one in found] + [one.chance for one in known]
    corrected = drift_distances.adjusted(np.array(chances, dtype=np.float64))
    measured = [*(measurement for column in every for measurement in column.measured), *absent["psi"]]
    measured += [p_value(column, chance) for column, chance in zip(found, corrected.tolist(), strict=False)]
    measured += [one.auc for one in embedded]
    measured += [
        classifier_two_sample_p_value(one.name, chance, one.auc.n)
        for one, chance in zip(known, corrected[len(found) :].tolist(), strict=True)
    ]
    if few := _too_few(*rows, minimum_n):
        whole = [Measurement(f"drift.{name}", None, rows[1], reason=few) for name in OF_THE_WHOLE]
        return Drift([*measured, *whole], ())
    names = [*(column.name for column in found), *(one.name for one in known)]
    far = [*map(_is_far, found), *map(_is_far_told_apart, known)]
    drifted = (corrected <= level) & np.array(far, dtype=bool)
    simultaneous = [*(each for column in found for each in column.simultaneous), *absent["psi"], *absent["ks"]]
    whole = [
        share_drifted(drifted, _unknown(gone, embedded)),
        largest_psi(simultaneous, rows[1]),
        largest_ks(simultaneous, rows[1]),
    ]
    return Drift([*measured, *whole], tuple(name for name, has in zip(names, drifted, strict=True) if has))


def _is_far(column: Found) -> bool:
    return any(one.name == "drift.psi" and (one.value or 0.0) >= MATERIAL for one in column.measured)


def _is_far_told_apart(one: Embedded) -> bool:
    return (one.auc.value or 0.0) >= MATERIAL_AUC


def _unknown(gone: Sequence[str], embedded: Sequence[Embedded]) -> str | None:
    """Return why nothing can be said of all columns and embeddings together."""
    if gone:
        return "not every column is there on both sides"
    failed = next((one for one in embedded if one.chance is None), None)
    if failed is None:
        return None
    which = f"the embedding {failed.name}" if failed.name else "its embeddings"
    return f"{which} could not be measured: {failed.auc.reason}"


def _gone(name: str, column: str) -> Measurement:
    return Measurement(name, None, 0, {"column": column}, reason="the current data lack it")


def _too_few(reference: int, current: int, minimum_n: int) -> str | None:
    rows, side = min((reference, "the reference has"), (current, "the current data have"))
    needed = max(minimum_n, 1)
    return f"not enough data: {side} {rows} rows, and {needed} are needed" if rows < needed else None


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
