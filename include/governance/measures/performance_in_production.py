"""Has a model that serves lost what it was released for? Its loss now, beside the loss that was validated.

The two are of different rows, so the difference is that of two independent samples; how sure it is rests on both. Not
guaranteed: that the labels which have arrived are like those which have not. Where outcomes of some decisions are never
known (a loan that was denied), the loss is that of the others.
"""

import math

import numpy as np
import numpy.typing as npt

from governance.catalog import TaskName
from governance.measures.intervals import half_width, wilson
from governance.records import Measurement

NAME = "performance.loss_rise"


def loss_rise(
    task: TaskName, labels: npt.ArrayLike, predictions: npt.ArrayLike, validated: Measurement | None, *, minimum_n: int
) -> Measurement:
    """How much larger the loss is than was validated: of classes the error rate, of numbers the mean absolute error.

    Formula: of classes e − v, with e the share of wrong answers now and v = 1 − the accuracy that was validated; of
    numbers (e − v) / v, with mean absolute errors e and v. Interval: of classes Newcombe's, from both Wilson intervals;
    of numbers from both normal ones, by the delta method.
    Source: Newcombe (1998), Statistics in Medicine 17(8), method 10; Casella and Berger (2002), section 5.5.4.
    Ideal: 0 or less.
    Limits: labels that arrive first may not be like the others.

    Args:
        task: What the model answers.
        labels: What came true, shape (n).
        predictions: What was answered, shape (n).
        validated: ``performance.accuracy`` or ``performance.mae`` of the evidence.
        minimum_n: Fewer labels say nothing.
    """
    truth, answers = np.asarray(labels), np.asarray(predictions)
    n = int(truth.size)
    if validated is None or validated.value is None:
        return Measurement(NAME, None, n, reason="the evidence of what serves holds no loss to compare with")
    if n < minimum_n:
        return Measurement(
            NAME, None, n, reason=f"not enough data: {n} labels have arrived, and {minimum_n} are needed"
        )
    if task == "regression":
        return _of_numbers(np.abs(truth.astype(float) - answers.astype(float)), validated)
    return _of_classes(int(np.count_nonzero(truth != answers)), n, validated)


def _of_classes(wrong: int, n: int, validated: Measurement) -> Measurement:
    before = 1 - float(validated.value or 0.0)
    now, (low, high) = wrong / n, wilson(wrong, n)
    before_low, before_high = wilson(before * validated.n, validated.n)
    ends = (
        now - before - math.hypot(now - low, before_high - before),
        now - before + math.hypot(high - now, before - before_low),
    )
    return Measurement(NAME, now - before, n, {}, *ends, "newcombe")


def _of_numbers(errors: npt.NDArray[np.float64], validated: Measurement) -> Measurement:
    before, now = float(validated.value or 0.0), float(errors.mean())
    if before <= 0:
        return Measurement(NAME, None, errors.size, reason="the error that was validated is 0, so no rise is a share")
    known = None not in (validated.low, validated.high)
    spread = (float(validated.high or 0) - float(validated.low or 0)) / 2 if known else 0.0
    half = math.hypot(half_width(errors), now / before * spread) / before
    rise = now / before - 1
    return Measurement(NAME, rise, errors.size, {}, rise - half, rise + half, "delta")
