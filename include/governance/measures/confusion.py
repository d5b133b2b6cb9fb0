"""The four counts behind a yes-or-no decision, and the rates that are ratios of them.

Performance and fairness ask the same questions, one of all rows and one of each group; so each rate is written once,
as a function of counts of shape (…, 4) that works on one table or on a thousand resampled ones. Counts are all that
is needed, which is why ten million rows cost hardly more than ten thousand.

Neighbours: ``performance`` and ``fairness``. Nothing here knows an interval, a name of a group or a threshold.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from governance.errors import InputError

Array = npt.NDArray[Any]

TRUE_NEGATIVE, FALSE_POSITIVE, FALSE_NEGATIVE, TRUE_POSITIVE = range(4)
"""Position of a row in the last axis of a table of counts: ``2 × label + prediction``."""

CELLS = 4


class Share(NamedTuple):
    """A rate before it is divided.

    Attributes:
        part: How many rows count, shape (…).
        whole: Out of how many, shape (…): the rate's own denominator.
        empty: What it means when that is none.
    """

    part: Array
    whole: Array
    empty: str

    @property
    def values(self) -> Array:
        """The rate, shape (…); NaN where the denominator is 0."""
        return divide(self.part, self.whole)


Rate = Callable[[Array], Share]


def cells_of(labels: npt.ArrayLike, predictions: npt.ArrayLike) -> Array:
    """Return the cell of each row, shape (n), as small integers.

    Args:
        labels: What came true, 0 or 1, shape (n).
        predictions: What was predicted, 0 or 1, shape (n).

    Raises:
        InputError: They differ in length, or hold anything but 0 and 1.
    """
    truth, predicted = _binary(labels, "labels"), _binary(predictions, "predictions")
    if truth.shape != predicted.shape:
        raise InputError(
            f"Expected one prediction for each label, found {len(truth)} labels and {len(predicted)} predictions. "
            f"Pass both for the same rows, in the same order."
        )
    return truth * np.uint8(2) + predicted


def count_cells(cells: Array) -> Array:
    """Return how many rows are in each cell, shape (4)."""
    return np.bincount(cells, minlength=CELLS)


def divide(part: Array, whole: Array) -> Array:
    """Return ``part / whole`` with NaN for 0 / 0 and infinity for x / 0, without a warning."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.divide(part, whole, dtype=np.float64)


def selection_rate(counts: Array) -> Share:
    """Share of rows that get the favourable prediction.

    Formula: (TP + FP) / n.
    Source: Uniform Guidelines on Employee Selection Procedures, 29 CFR 1607.16(R) (1978).
    Ideal: the same in every group; its level is a business decision.
    Limits: says nothing of who deserved it.
    """
    return Share(counts[..., TRUE_POSITIVE] + counts[..., FALSE_POSITIVE], counts.sum(-1), "there are no rows")


def true_positive_rate(counts: Array) -> Share:
    """Share of rows with the favourable label that get the favourable prediction; also called recall.

    Formula: TP / (TP + FN).
    Source: Hardt, Price and Srebro (2016), Equality of Opportunity in Supervised Learning.
    Ideal: 1.
    Limits: inherits every bias of the label.
    """
    positives = counts[..., TRUE_POSITIVE] + counts[..., FALSE_NEGATIVE]
    return Share(counts[..., TRUE_POSITIVE], positives, "no row has the label 1")


def false_positive_rate(counts: Array) -> Share:
    """Share of rows with the unfavourable label that get the favourable prediction.

    Formula: FP / (FP + TN).
    Source: Hardt, Price and Srebro (2016).
    Ideal: 0.
    Limits: inherits every bias of the label.
    """
    negatives = counts[..., FALSE_POSITIVE] + counts[..., TRUE_NEGATIVE]
    return Share(counts[..., FALSE_POSITIVE], negatives, "no row has the label 0")


def false_negative_rate(counts: Array) -> Share:
    """Share of rows with the favourable label that get the unfavourable prediction.

    Formula: FN / (TP + FN) = 1 − true positive rate.
    Source: Hardt, Price and Srebro (2016).
    Ideal: 0: in lending, the good applicants that are turned away.
    Limits: inherits every bias of the label.
    """
    return true_positive_rate(counts)._replace(part=counts[..., FALSE_NEGATIVE])


def true_negative_rate(counts: Array) -> Share:
    """Share of rows with the unfavourable label that get the unfavourable prediction.

    Formula: TN / (TN + FP) = 1 − false positive rate.
    Source: Hardt, Price and Srebro (2016).
    Ideal: 1.
    Limits: inherits every bias of the label.
    """
    return false_positive_rate(counts)._replace(part=counts[..., TRUE_NEGATIVE])


def precision(counts: Array) -> Share:
    """Share of favourable predictions that came true.

    Formula: TP / (TP + FP).
    Source: van Rijsbergen (1979), Information Retrieval; as predictive parity, Chouldechova (2017).
    Ideal: 1.
    Limits: not comparable between populations with other base rates.
    """
    return Share(counts[..., TRUE_POSITIVE], selection_rate(counts).part, "no row is predicted 1")


def accuracy(counts: Array) -> Share:
    """Share of rows that are predicted right.

    Formula: (TP + TN) / n.
    Source: Fielding and Bell (1997), Environmental Conservation 24(1).
    Ideal: 1.
    Limits: close to 1 for a useless model where one label is rare; see the gain over the base rate.
    """
    return Share(counts[..., TRUE_POSITIVE] + counts[..., TRUE_NEGATIVE], counts.sum(-1), "there are no rows")


def _binary(values: npt.ArrayLike, name: str) -> Array:
    array = np.asarray(values)
    if array.ndim != 1:
        raise InputError(f"Expected {name} as one column of 0 and 1, found an array of shape {array.shape}.")
    ones = np.asarray(array == 1)
    wrong = np.flatnonzero(~(ones | (array == 0)))
    if wrong.size:
        raise InputError(
            f"Expected {name} to be 0 (unfavourable) or 1 (favourable), found {array[wrong[0]]!r} in row {wrong[0]} "
            f"and {wrong.size - 1} more. Translate them before they are measured."
        )
    return ones.view(np.uint8) if ones.dtype == np.bool_ else ones.astype(np.uint8)
