"""Are predicted numbers close to what came true, and closer than one number for all?

Rows are put into one order first, by label and prediction, so that no sum depends on the order in which they come. Each
measure is a function of :class:`Predicted` named like its measurement; amounts are in the unit of the target.

Neighbours: ``performance`` and ``multiclass`` ask the same of classes; ``intervals`` has the uncertainty. Not
guaranteed: that the rows are unseen by the model.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from governance.errors import InputError
from governance.measures.intervals import (
    Array,
    normal_mean,
    quantile_interval,
    ratio_of_losses,
    root_of_mean,
)
from governance.records import Measurement


@dataclass(frozen=True)
class Predicted:
    """What was predicted for rows whose outcome is known, in ascending order of label and prediction.

    Attributes:
        labels: What came true, finite, shape (n).
        predictions: What the model said, finite, shape (n), at least one row.
    """

    labels: Array
    predictions: Array

    @property
    def n(self) -> int:
        """How many rows there are."""
        return int(self.labels.size)

    @property
    def errors(self) -> Array:
        """By how much each prediction is too high, shape (n)."""
        return self.predictions - self.labels


def measure_regression(labels: npt.ArrayLike, predictions: npt.ArrayLike) -> list[Measurement]:
    """Measure a model of a number on rows whose outcome is known.

    Args:
        labels: What came true, finite, in the unit of the target, shape (n).
        predictions: What the model said, in the same unit, shape (n).

    Returns:
        One measurement for each of :data:`MEASURES`. Without a value and with a reason where it is undefined; none of
        them has a value if a single prediction is missing or infinite.

    Raises:
        InputError: The arrays differ in length or are not columns of numbers, or a label is missing or infinite.
    """
    truth = finite_labels(labels)
    predicted = numbers(predictions, "predictions", rows=truth.size)
    if reason := unusable(predicted):
        return [Measurement(f"performance.{each.__name__}", None, truth.size, reason=reason) for each in MEASURES]
    order = np.lexsort((predicted, truth))
    rows = Predicted(truth[order], predicted[order])
    # What grows beyond the largest float becomes infinity, and a measurement without a value that says so.
    with np.errstate(over="ignore", invalid="ignore"):
        return [measure(rows) for measure in MEASURES]


def rmse(rows: Predicted) -> Measurement:
    """Square root of the mean squared error.

    Formula: √mean((p − y)²).
    Source: Willmott and Matsuura (2005), Climate Research 30; of the interval,
    :func:`governance.measures.intervals.root_of_mean`.
    Ideal: 0; always saying the mean gives the standard deviation of the target.
    Limits: a few large errors dominate it; in the unit of the target, so not comparable between targets.
    """
    squares = rows.errors**2
    return Measurement("performance.rmse", np.sqrt(squares.mean()), rows.n, {}, *root_of_mean(squares), "delta")


def mae(rows: Predicted) -> Measurement:
    """Mean absolute error.

    Formula: mean(|p − y|).
    Source: Willmott and Matsuura (2005), Climate Research 30.
    Ideal: 0.
    Limits: weighs an error by its size whatever the label; in the unit of the target.
    """
    sizes = np.abs(rows.errors)
    return Measurement("performance.mae", sizes.mean(), rows.n, {}, *normal_mean(sizes, at_least=0.0), "normal")


def median_absolute_error(rows: Predicted) -> Measurement:
    """The error that half of the predictions stay below.

    Formula: median(|p − y|).
    Source: Hyndman and Koehler (2006), International Journal of Forecasting 22(4); of the interval,
    :func:`governance.measures.intervals.quantile_interval`.
    Ideal: 0.
    Limits: blind to how large the larger half of the errors is.
    """
    sizes = np.abs(rows.errors)
    interval = quantile_interval(sizes, 0.5)
    return Measurement("performance.median_absolute_error", np.median(sizes), rows.n, {}, *interval, "order statistics")


def mean_error(rows: Predicted) -> Measurement:
    """By how much predictions are too high on average; below 0, too low.

    Formula: mean(p − y).
    Source: Walther and Moore (2005), The concepts of bias, precision and accuracy, Ecography 28(6).
    Ideal: 0; neither sign is better.
    Limits: errors of opposite sign cancel.
    """
    errors = rows.errors
    return Measurement("performance.mean_error", errors.mean(), rows.n, {}, *normal_mean(errors), "normal")


def mape(rows: Predicted) -> Measurement:
    """Mean absolute error as a share of the label.

    Formula: mean(|p − y| / |y|).
    Source: Hyndman and Koehler (2006), International Journal of Forecasting 22(4).
    Ideal: 0.
    Limits: has no value if a single label is 0, for no row is left out silently; labels near 0 dominate it; what is
    predicted too low costs at most 1, what is predicted too high any amount.
    """
    name, zeros = "performance.mape", int(np.count_nonzero(rows.labels == 0))
    if zeros:
        return Measurement(name, None, rows.n, reason=f"{zeros} of {rows.n} labels are 0, of which no error is a share")
    shares = np.abs(rows.errors / rows.labels)
    return Measurement(name, shares.mean(), rows.n, {}, *normal_mean(shares, at_least=0.0), "normal")


def r2(rows: Predicted) -> Measurement:
    """How much less the squared error is than that of always saying the mean of these very rows.

    Formula: 1 − Σ (p − y)² / Σ (y − ȳ)²; below 0 if the mean is better.
    Source: Kvålseth (1985), Cautionary Note about R², The American Statistician 39(4), his R²₁; of the interval,
    :func:`governance.measures.intervals.ratio_of_losses`: both sums are over the same rows.
    Ideal: 1; the mean gives 0.
    Limits: grows with the spread of the labels, so not comparable between populations; the mean is that of the rows it
    is judged on, so it is a slightly harder rival than a real constant.
    """
    return _skill("performance.r2", rows, rows.errors**2, (rows.labels - rows.labels.mean()) ** 2)


def error_gain(rows: Predicted) -> Measurement:
    """How much less the absolute error is than that of always saying the median of these very rows.

    Formula: 1 − Σ |p − y| / Σ |y − median(y)|; below 0 if the median is better. No constant has a smaller error.
    Source: Murphy (1988), Skill Scores, Monthly Weather Review 116(12); Hyndman and Koehler (2006) call 1 − this the
    relative mean absolute error; of the interval, :func:`governance.measures.intervals.ratio_of_losses`: both
    sums are over the same rows.
    Ideal: 1; the median gives 0.
    Limits: the median is that of the rows it is judged on, so it is a slightly harder rival than a real constant.
    """
    distances = np.abs(rows.labels - np.median(rows.labels))
    return _skill("performance.error_gain", rows, np.abs(rows.errors), distances)


MEASURES: tuple[Callable[[Predicted], Measurement], ...] = (
    rmse,
    mae,
    median_absolute_error,
    mean_error,
    mape,
    r2,
    error_gain,
)
"""What is measured, in the order in which it is reported."""


def finite_labels(labels: npt.ArrayLike) -> Array:
    """Return the labels as float64, shape (n).

    Raises:
        InputError: They are no column of finite numbers.
    """
    truth = numbers(labels, "labels")
    wrong = np.flatnonzero(~np.isfinite(truth))
    if wrong.size:
        raise InputError(
            f"Expected labels that are finite numbers, found {truth[wrong[0]]} in row {wrong[0]} and {wrong.size - 1} "
            f"more. Remove rows whose outcome is unknown before they are measured."
        )
    return truth


def numbers(values: npt.ArrayLike, name: str, rows: int | None = None) -> Array:
    """Return one column as float64, shape (n).

    Args:
        values: The column.
        name: What it is called when it is refused.
        rows: How many it must have.

    Raises:
        InputError: It is no column of numbers, or of another length.
    """
    try:
        column = np.asarray(values)
        if column.dtype.kind not in "biufO":
            raise TypeError(f"their type is {column.dtype}")
        column = column.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"Expected {name} as one column of numbers, found others: {error}.") from error
    if column.ndim != 1:
        raise InputError(f"Expected {name} as one column of numbers, found an array of shape {column.shape}.")
    if rows is not None and column.size != rows:
        raise InputError(
            f"Expected one prediction for each label, found {rows} labels and {column.size} {name}. "
            f"Pass both for the same rows, in the same order."
        )
    return column


def unusable(predictions: Array) -> str | None:
    """Return why predictions cannot be measured; ``None`` if they can."""
    if predictions.size == 0:
        return "there are no rows"
    wrong = int(np.count_nonzero(~np.isfinite(predictions)))
    return f"{wrong} of {predictions.size} predictions are not finite numbers" if wrong else None


def _skill(name: str, rows: Predicted, ours: Array, theirs: Array) -> Measurement:
    """Return 1 − mean(ours) / mean(theirs), or say that nothing can be gained over a constant that is always right."""
    rival = float(theirs.mean())
    if rows.labels[0] == rows.labels[-1] or rival == 0:
        return Measurement(name, None, rows.n, reason="all labels are the same")
    low, high = ratio_of_losses(ours, theirs)
    interval = (None if high is None else 1 - high, None if low is None else 1 - low)
    return Measurement(name, 1 - float(ours.mean()) / rival, rows.n, {}, *interval, "delta")
