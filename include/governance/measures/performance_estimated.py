"""How right a classifier of two classes probably is before labels have come, and how far that was off once they have.

It counts how often the champion was right where it was validated, by answer and score. What that says of rows without
labels is an estimate under one assumption: that of equal scores as many come true now as then. Where that no longer
holds, the estimate cannot know it: so it is never acted on alone, and is checked against every label that comes.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from governance.measures.intervals import Z
from governance.records import Measurement

Array = npt.NDArray[np.float64]

MOST_BINS = 100
ROWS_A_BIN = 40
"""So many validated rows make a bin: fewer say little of it, more blur the scores."""


@dataclass(frozen=True)
class Bins:
    """How often one answer was right, by score: bins of equally many validated rows.

    Attributes:
        ends: Scores from which the next bin begins, ascending, shape (bins − 1).
        rows: Validated rows of each bin, shape (bins).
        rates: How often they were answered rightly, half a row of each kind added, shape (bins).
    """

    ends: Array
    rows: Array
    rates: Array

    @classmethod
    def of(cls, scores: Array, right: npt.NDArray[np.bool_]) -> "Bins":
        """Count; scores and whether the answer was right, shape (m)."""
        bins = max(1, min(MOST_BINS, len(scores) // ROWS_A_BIN))
        ends = np.unique(np.quantile(scores, np.arange(1, bins) / bins)) if bins > 1 else np.empty(0)
        which = np.searchsorted(ends, scores, side="right")
        rows = np.bincount(which, minlength=len(ends) + 1).astype(np.float64)
        return cls(ends, rows, (np.bincount(which, right, minlength=len(ends) + 1) + 0.5) / (rows + 1))

    def counts(self, scores: Array) -> Array:
        """Return how many of these scores fall into each bin."""
        which = np.searchsorted(self.ends, scores, side="right")
        return np.bincount(which, minlength=len(self.rows)).astype(np.float64)


@dataclass(frozen=True)
class Calibration:
    """How often a champion was right where it was validated, by answer and score.

    A bin never holds both answers: where one would, it would be as right about the one as about the other.

    Attributes:
        unfavourable: Of answers 0.
        favourable: Of answers 1.
    """

    unfavourable: Bins
    favourable: Bins

    @classmethod
    def of(cls, scores: npt.ArrayLike, decisions: npt.ArrayLike, labels: npt.ArrayLike) -> "Calibration":
        """Count.

        Args:
            scores: Validated scores, shape (m).
            decisions: 1 where the answer was favourable, else 0, shape (m).
            labels: 1 where the favourable class came true, else 0, shape (m).
        """
        said, answers = np.asarray(scores, dtype=np.float64), np.asarray(decisions)
        right = answers == np.asarray(labels)
        no, yes = (Bins.of(said[answers == answer], right[answers == answer]) for answer in (0, 1))
        return cls(no, yes)

    @property
    def rows(self) -> int:
        """How many rows were validated."""
        return int(self.unfavourable.rows.sum() + self.favourable.rows.sum())


def estimated_accuracy(
    calibration: Calibration, scores: npt.ArrayLike, decisions: npt.ArrayLike, *, minimum_n: int
) -> Measurement:
    """Accuracy that is to be expected of answers whose labels have not come: an estimate, never acted on alone.

    Formula: mean of q = (t + ½) / (m + 1), with t of the m validated rows of the same answer, and of a score in the
    same bin, answered rightly; up to 100 bins for each answer of equally many validated rows, at least 40. Interval:
    ± z √(Σ q (1 − q) / n² + Σ w² q (1 − q) / m), the first sum over rows (the variance of a Poisson binomial), the
    second over bins with w the share of rows in the bin.
    Source: Białek et al. (2024), Estimating Model Performance Under Covariate Shift Without Labels (confidence-based
    estimation); Zadrozny and Elkan (2001), ICML, for the bins; Wang (1993), Statistica Sinica 3, for the variance.
    Ideal: that of the release.
    Limits: sees a shift of what is asked, and none of what comes true: where equal scores come true less often than
    they did, it is too high and cannot know. Too narrow where scores gather where few were validated.
    ``performance.estimate_error`` says how far it was off.

    Args:
        calibration: Of the champion's validated scores.
        scores: What it says now, shape (n).
        decisions: 1 where the answer is favourable, else 0, shape (n).
        minimum_n: Fewer rows, or fewer validated ones, say nothing.
    """
    n = int(np.size(scores))
    reason = _too_few(calibration, n, minimum_n)
    if reason:
        return Measurement("performance.estimated_accuracy", None, n, reason=reason)
    value, half = _expected(calibration, np.asarray(scores, dtype=np.float64), np.asarray(decisions))
    ends = max(value - half, 0.0), min(value + half, 1.0)
    return Measurement("performance.estimated_accuracy", value, n, {}, *ends, "poisson binomial")


def estimate_error(
    calibration: Calibration,
    scores: npt.ArrayLike,
    decisions: npt.ArrayLike,
    labels: npt.ArrayLike,
    *,
    minimum_n: int,
) -> Measurement:
    """How far the estimated accuracy is from the accuracy that labels have shown since, of the same rows.

    Formula: estimated − observed accuracy, of rows whose label arrived in the window, whenever they were answered; the
    half width is that of the estimate, so 0 lies outside where more than chance is wrong with it.
    Source: as ``performance.estimated_accuracy``.
    Ideal: 0; above it the model is worse than its scores say.
    Limits: labels that arrive may not be like the others.

    Args:
        calibration: Of the champion's validated scores.
        scores: What it said, shape (n).
        decisions: What it answered, shape (n).
        labels: What came true, shape (n).
        minimum_n: Fewer labels, or fewer validated rows, say nothing.
    """
    n = int(np.size(scores))
    reason = _too_few(calibration, n, minimum_n)
    if reason:
        return Measurement("performance.estimate_error", None, n, reason=reason)
    answers = np.asarray(decisions)
    value, half = _expected(calibration, np.asarray(scores, dtype=np.float64), answers)
    error = value - float(np.mean(answers == np.asarray(labels)))
    return Measurement("performance.estimate_error", error, n, {}, error - half, error + half, "poisson binomial")


def label_delay(seconds: npt.ArrayLike) -> Measurement:
    """How late labels come: median time from the answer to its first label, in days, of labels that came in the window.

    Formula: the median. Interval: between the order statistics at n/2 ± z √n / 2, free of any distribution.
    Source: Conover (1999), Practical Nonparametric Statistics, section 3.2.
    Ideal: 0; so long is a loss not seen.
    Limits: of labels that have come; those that never come are not late by this.

    Args:
        seconds: From each answer to its label, shape (n).
    """
    days = np.sort(np.asarray(seconds, dtype=np.float64)) / 86_400
    n = days.size
    if not n:
        return Measurement("performance.label_delay", None, 0, reason="no label arrived in the window")
    half = Z * math.sqrt(n) / 2
    low, high = max(math.floor(n / 2 - half), 0), min(math.ceil(n / 2 + half), n - 1)
    ends = float(days[low]), float(days[high])
    return Measurement("performance.label_delay", float(np.median(days)), n, {}, *ends, "order statistics")


def _too_few(calibration: Calibration, n: int, minimum_n: int) -> str | None:
    if n < minimum_n or calibration.rows < minimum_n:
        return f"not enough data: {n} rows and {calibration.rows} validated ones, {minimum_n} of each are needed"
    return None


def _expected(calibration: Calibration, scores: Array, decisions: npt.NDArray[np.generic]) -> tuple[float, float]:
    """Return the accuracy to be expected, and half the width of its interval."""
    value = variance = 0.0
    for answer, bins in enumerate((calibration.unfavourable, calibration.favourable)):
        weights, q = bins.counts(scores[decisions == answer]) / len(scores), bins.rates
        value += float(weights @ q)
        spread = q * (1 - q)
        variance += float(weights @ spread) / len(scores) + float(weights**2 @ (spread / np.maximum(bins.rows, 1)))
    return value, Z * math.sqrt(variance)
