"""What the model predicts for each group, how wrong it is there, and how far apart groups are: for predicted numbers.

A number has no favourable side, so there is no selection rate and no four-fifths rule. What can be asked is whether one
group is predicted more than another (``mean_prediction``), whether its members are predicted too much or too little
(``mean_error``, signed), and how wrong either way (``mean_absolute_error``). ``standardised_mean_difference`` is in
units of standard deviation, so that a policy can limit it without knowing the unit of the target.

Rows are read once; each group becomes eight moments, and the bootstrap draws from these. Neighbours: ``fairness`` asks
the same of decisions, with the same groups, the same minimum n and the same words. Not guaranteed: that a difference is
unfair, or its absence fair. A mean knows nothing of who deserved what, and errors repeat the bias of the label.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from governance.errors import InputError
from governance.measures.confusion import Array, divide
from governance.measures.fairness import NO_LABELS, TIMES, Grouped, group_rows, share_compared
from governance.measures.intervals import DRAWS, SEED, Interval, percentiles
from governance.records import Measurement

VALUES = ("mean_prediction", "mean_error", "mean_absolute_error")
"""What is measured of each group, in the order in which it is reported, and the last axis of every table of moments."""


@dataclass(frozen=True)
class Means:
    """The groups that are compared, once observed or many times resampled.

    Attributes:
        means: Mean of each of :data:`VALUES`, shape (…, groups, 3).
        variances: Their variances, of single rows, shape (…, groups, 3).
        n: Rows of each group, shape (groups).
    """

    means: Array
    variances: Array
    n: Array

    def extremes(self, value: str) -> tuple[Array, Array]:
        """Return the smallest and the largest mean of a value, each of shape (…)."""
        means = self.means[..., VALUES.index(value)]
        return means.min(-1), means.max(-1)

    def difference(self, value: str) -> Array:
        """Return the largest difference of means between two groups, shape (…)."""
        smallest, largest = self.extremes(value)
        return largest - smallest


def measure_regression_fairness(
    labels: npt.ArrayLike | None,
    predictions: npt.ArrayLike,
    groups: Mapping[str, Sequence[str]],
    intersections: Iterable[tuple[str, ...]] = (),
    *,
    minimum_n: int = 30,
) -> list[Measurement]:
    """Measure a regression by group, by intersection, and between groups.

    Args:
        labels: What came true, finite numbers, shape (n). ``None`` where it is not known: errors have then no value.
        predictions: What the model predicted, finite numbers, shape (n).
        groups: For each protected attribute the group of each row, shape (n); missing values count as ``unknown``.
        intersections: Which attributes to cross with each other.
        minimum_n: A group of fewer rows is reported, not compared.

    Returns:
        For each attribute and intersection: :data:`VALUES` of each group that occurs, in the unit of the target, then
        :data:`COMPARISONS` and ``fairness.share_compared``.

    Raises:
        InputError: Arrays differ in length or hold something else than finite numbers, or the groups cannot be used
            (as :func:`governance.measures.fairness.measure_fairness`).
    """
    predicted = _numbers(predictions, "predictions")
    truth = None if labels is None else _numbers(labels, "labels")
    if truth is not None and truth.shape != predicted.shape:
        raise InputError(
            f"Expected one prediction for each label, found {len(truth)} labels and {len(predicted)} predictions. "
            f"Pass both for the same rows, in the same order."
        )
    # In an order of their own, so that sums are the same to the last bit whatever the order of the rows was.
    order = np.argsort(predicted, kind="stable") if truth is None else np.lexsort((truth, predicted))
    values = _values(predicted[order], None if truth is None else truth[order])
    grouped = group_rows({name: _take(each, order) for name, each in groups.items()}, intersections, len(predicted))
    return [one for each in grouped for one in _measure_table(each, values, truth is not None, max(minimum_n, 2))]


def mean_prediction(values: Array) -> Array:
    """Mean of what is predicted for the rows of a group.

    Formula: Σ ŷ / n; the interval is mean ± t s / √n with n − 1 degrees of freedom.
    Source: Student (1908), The Probable Error of a Mean, Biometrika 6(1).
    Ideal: the same in every group as far as the target is; its level is a business decision.
    Limits: says nothing of who was predicted rightly. In the unit of the target.
    """
    return values[..., 0]


def mean_error(values: Array) -> Array:
    """Mean of prediction minus label in a group: above 0 where its members are predicted too much.

    Formula: Σ (ŷ − y) / n; interval as of the mean prediction.
    Source: Student (1908); as statistical bias by group, Chouldechova and Roth (2020), Communications of the ACM 63(5).
    Ideal: 0.
    Limits: errors of both signs cancel out; see the mean absolute error. In the unit of the target.
    """
    return values[..., 1]


def mean_absolute_error(values: Array) -> Array:
    """Mean distance of the prediction from the label in a group.

    Formula: Σ |ŷ − y| / n; interval as of the mean prediction, cut off at 0.
    Source: Willmott and Matsuura (2005), Climate Research 30(1).
    Ideal: 0.
    Limits: groups whose target varies more have larger errors under any model. In the unit of the target.
    """
    return values[..., 2]


def mean_prediction_difference(groups: Means) -> Array:
    """How far apart the mean predictions of two groups are, at most.

    Formula: max − min of the mean predictions; the interval is a bootstrap, normal means and chi-square variances.
    Source: statistical parity of a score: Agarwal, Dudík and Wu (2019), Fair Regression, ICML.
    Ideal: 0.
    Limits: in the unit of the target, so a limit on it belongs to one model.
    """
    return groups.difference("mean_prediction")


def mean_prediction_ratio(groups: Means) -> Array:
    """How large the lowest mean prediction is beside the highest.

    Formula: min / max of the mean predictions, where all are above 0.
    Source: by analogy with the four-fifths rule, 29 CFR 1607.4(D) (1978).
    Ideal: 1.
    Limits: has no meaning where 0 is an arbitrary point, as in degrees or in scores that may be negative.
    """
    smallest, largest = groups.extremes("mean_prediction")
    return np.where(largest > 0, divide(np.maximum(smallest, 0), largest), np.nan)


def standardised_mean_difference(groups: Means) -> Array:
    """How far apart the mean predictions of two groups are, in units of the standard deviation within groups.

    Formula: (max − min) / s with s² = Σ (nᵢ − 1) sᵢ² / Σ (nᵢ − 1) over all groups compared.
    Source: Cohen (1988), Statistical Power Analysis, section 2.2; the standardised mean difference of US fair-lending
    practice.
    Ideal: 0; 0.2 is called small, 0.5 medium, 0.8 large (Cohen 1988).
    Limits: a size of effect, not a test; a model that predicts the same for everybody within a group makes it infinite.
    """
    freedom = groups.n - 1
    pooled = (groups.variances[..., 0] * freedom).sum(-1) / freedom.sum()
    difference = mean_prediction_difference(groups)
    return np.where(difference == 0, 0.0, divide(difference, np.sqrt(pooled)))


def mean_error_difference(groups: Means) -> Array:
    """How far apart two groups are in how much too much they are predicted, at most.

    Formula: max − min of the mean errors, signed.
    Source: Chouldechova and Roth (2020); as the difference of bias between groups.
    Ideal: 0.
    Limits: inherits every bias of the label. In the unit of the target.
    """
    return groups.difference("mean_error")


@dataclass(frozen=True)
class Comparison:
    """What a comparison between groups needs to know besides its formula.

    Attributes:
        compute: The formula; its name is the name of the measurement.
        undefined: What it means when there is no number.
        labelled: Whether it needs labels.
    """

    compute: Callable[[Means], Array]
    undefined: str = "the formula divides by 0"
    labelled: bool = False


COMPARISONS = (
    Comparison(mean_prediction_difference),
    Comparison(mean_prediction_ratio, "a mean prediction is not above 0, so a ratio of means says nothing"),
    Comparison(standardised_mean_difference, "predictions do not differ within groups, so they have no unit"),
    Comparison(mean_error_difference, labelled=True),
)
"""What is measured between the groups of an attribute or intersection, in the order in which it is reported."""


def _numbers(values: npt.ArrayLike, name: str) -> Array:
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"Expected {name} to be numbers, found something else: {error}.") from error
    if array.ndim != 1:
        raise InputError(f"Expected {name} as one column of numbers, found an array of shape {array.shape}.")
    wrong = np.flatnonzero(~np.isfinite(array))
    if wrong.size:
        raise InputError(
            f"Expected {name} to be finite numbers, found {array[wrong[0]]} in row {wrong[0]} and {wrong.size - 1} "
            f"more. Leave these rows out, or say what they are."
        )
    return array


def _take(values: Sequence[str], order: Array) -> Sequence[str]:
    import pandas as pd

    column: Any = values if hasattr(values, "dtype") else np.asarray(values, dtype=object)
    taken: Any = pd.api.extensions.take(column, order) if len(column) == len(order) else column
    return taken  # type: ignore[no-any-return]  # pandas' arrays are sequences that its types do not call so


def _values(predictions: Array, labels: Array | None) -> Array:
    """Return :data:`VALUES` of each row, shape (n, 3); errors are 0 where there are no labels."""
    error = np.zeros_like(predictions) if labels is None else predictions - labels
    return np.stack([predictions, error, np.abs(error)], axis=-1)


def _measure_table(grouped: Grouped, values: Array, labelled: bool, minimum_n: int) -> list[Measurement]:
    means, variances = _moments(grouped, values)
    return [
        *_measure_groups(grouped, means, variances, labelled),
        *_compare_groups(grouped, means, variances, labelled, minimum_n),
    ]


def _moments(grouped: Grouped, values: Array) -> tuple[Array, Array]:
    """Return mean and variance (n − 1) of each value in each group, each of shape (groups, 3)."""
    n, size = grouped.n, len(grouped.n)
    means, variances = np.empty((size, len(VALUES))), np.empty((size, len(VALUES)))
    for position in range(len(VALUES)):
        column = values[:, position]
        means[:, position] = np.bincount(grouped.position, column, size) / n
        apart = column - means[grouped.position, position]
        variances[:, position] = np.bincount(grouped.position, apart * apart, size) / np.maximum(n - 1, 1)
    return means, variances


def _measure_groups(grouped: Grouped, means: Array, variances: Array, labelled: bool) -> list[Measurement]:
    found = []
    for position, slice_ in enumerate(grouped.slices):
        n = int(grouped.n[position])
        for which, measure in enumerate((mean_prediction, mean_error, mean_absolute_error)):
            name = f"fairness.{measure.__name__}"
            if which and not labelled:
                found.append(Measurement(name, None, 0, slice_, reason=NO_LABELS))
                continue
            mean, variance = float(measure(means[position])), float(measure(variances[position]))
            lowest = 0.0 if measure is mean_absolute_error else -math.inf
            interval = _student(mean, variance, n, lowest)
            found.append(Measurement(name, mean, n, slice_, *interval, "student t"))
    return found


def _student(mean: float, variance: float, n: int, at_least: float) -> Interval:
    """Return the interval of a mean; one row has none."""
    from scipy.stats import t

    if n < 2:
        return Interval(None, None)
    half = float(t.ppf(0.975, n - 1)) * math.sqrt(variance / n)
    return Interval(max(mean - half, at_least), mean + half)


def _compare_groups(
    grouped: Grouped, means: Array, variances: Array, labelled: bool, minimum_n: int
) -> list[Measurement]:
    large = np.flatnonzero(grouped.n >= minimum_n)
    # Draws must not depend on names: groups come in the order of their numbers.
    keys = np.column_stack([grouped.n[:, None], means, variances])[large]
    large = large[np.lexsort(keys.T)]
    observed = Means(means[large], variances[large], grouped.n[large])
    resampled = _resample(observed)
    whole = {"attribute": TIMES.join(grouped.attributes)}
    found = [_compare(each, observed, resampled, whole, labelled, minimum_n) for each in COMPARISONS]
    return [*found, share_compared(int(observed.n.sum()), int(grouped.n.sum()), whole)]


def _resample(observed: Means) -> Means:
    """Return what mean and variance of each group could have been, drawn as of normal values.

    Source: Efron and Tibshirani (1993), An Introduction to the Bootstrap, section 6.5 (the parametric bootstrap).
    """
    generator = np.random.default_rng(SEED)
    shape = (DRAWS, *observed.means.shape)
    means = observed.means + generator.standard_normal(shape) * np.sqrt(observed.variances / observed.n[:, None])
    freedom = np.maximum(observed.n - 1, 1)[:, None]
    return Means(means, observed.variances * generator.chisquare(freedom, shape) / freedom, observed.n)


def _compare(
    comparison: Comparison,
    observed: Means,
    resampled: Means,
    slice: dict[str, str],
    labelled: bool,
    minimum_n: int,
) -> Measurement:
    name, n = f"fairness.{comparison.compute.__name__}", int(observed.n.sum())
    if comparison.labelled and not labelled:
        return Measurement(name, None, 0, slice, reason=NO_LABELS)
    if len(observed.n) < 2:
        few = f"not enough data: fewer than two groups have {minimum_n} rows or more"
        return Measurement(name, None, n, slice, reason=few)
    if comparison.compute is mean_prediction_ratio and observed.extremes("mean_prediction")[0] <= 0:
        return Measurement(name, None, n, slice, reason=comparison.undefined)
    value = float(comparison.compute(observed))
    if not math.isfinite(value):
        return Measurement(name, None, n, slice, reason=comparison.undefined)
    return Measurement(name, value, n, slice, *percentiles(comparison.compute(resampled), value), "bootstrap")
