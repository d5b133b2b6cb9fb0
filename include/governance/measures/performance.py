"""Does the model predict well, and better than no model at all?

Everything that rests on decisions is computed from four counts (``confusion``); scores are needed for ranking and
calibration only. Each measure is a function of :class:`Predictions` named like its measurement.

Neighbours: ``fairness`` asks the same of each group. Not guaranteed: that the rows are unseen by the model; which rows
these are is decided where the split is made.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from governance.errors import InputError
from governance.measures import confusion
from governance.measures.confusion import FALSE_NEGATIVE, TRUE_NEGATIVE, TRUE_POSITIVE, Array, Rate, Share
from governance.measures.intervals import (
    Z,
    delong_auc,
    logit,
    mean_of_shares,
    normal_mean,
    paired_gain,
    proportion,
    wilson,
)
from governance.records import Measurement

BINS = 10
"""Of the calibration error: as many as Naeini et al. (2015) and most who report one use."""


@dataclass(frozen=True)
class Predictions:
    """What was predicted for rows whose outcome is known.

    Attributes:
        labels: 0 or 1, shape (n).
        scores: Probability of label 1, float64, shape (n).
        counts: Rows by label and decision, shape (4).
    """

    labels: Array
    scores: Array
    counts: Array

    @property
    def n(self) -> int:
        """How many rows there are."""
        return int(self.counts.sum())

    @property
    def unusable_scores(self) -> str | None:
        """Why scores cannot be measured; ``None`` if they can."""
        if self.n == 0:
            return "there are no rows"
        wrong = int(np.count_nonzero(~((self.scores >= 0) & (self.scores <= 1))))
        return f"{wrong} of {self.n} scores are not numbers from 0 to 1" if wrong else None


def measure_performance(labels: npt.ArrayLike, predictions: npt.ArrayLike, scores: npt.ArrayLike) -> list[Measurement]:
    """Measure a binary classifier on rows whose outcome is known.

    Args:
        labels: What came true, 0 or 1 (favourable), shape (n).
        predictions: What the model decided, 0 or 1, shape (n).
        scores: The model's probability of 1, shape (n).

    Returns:
        One measurement for each of :data:`RATES` and :data:`MEASURES`; without a value and with a reason where it is
        undefined.

    Raises:
        InputError: The arrays differ in length, or labels or predictions hold anything but 0 and 1.
    """
    rows = as_predictions(labels, predictions, scores)
    rates = [proportion(f"performance.{name}", rate(rows.counts)) for name, rate in RATES.items()]
    return rates + [measure(rows) for measure in MEASURES]


def as_predictions(labels: npt.ArrayLike, predictions: npt.ArrayLike, scores: npt.ArrayLike) -> Predictions:
    """Return the rows in one form.

    Raises:
        InputError: As :func:`measure_performance` says.
    """
    counts = confusion.count_cells(confusion.cells_of(labels, predictions))
    values = np.asarray(scores, dtype=np.float64)
    if values.shape != (counts.sum(),):
        raise InputError(
            f"Expected one score for each of {counts.sum()} rows, found an array of shape {values.shape}. "
            f"Pass the probability of label 1 alone."
        )
    return Predictions(np.asarray(labels), values, counts)


def balanced_accuracy(rows: Predictions) -> Measurement:
    """Mean of the share of each label that is predicted right.

    Formula: (TP / (TP + FN) + TN / (TN + FP)) / 2.
    Source: Brodersen et al. (2010), The Balanced Accuracy and Its Posterior Distribution, ICPR.
    Ideal: 1; guessing gives 0.5 whatever the base rate.
    Limits: weighs both kinds of error alike, which a business seldom does.
    """
    name = "performance.balanced_accuracy"
    if reason := _one_label(rows):
        return Measurement(name, None, rows.n, reason=reason)
    rates = confusion.true_positive_rate(rows.counts), confusion.true_negative_rate(rows.counts)
    value = sum(float(rate.values) for rate in rates) / 2
    return Measurement(name, value, rows.n, {}, *mean_of_shares(*rates), "mover")


def f1(rows: Predictions) -> Measurement:
    """Harmonic mean of precision and recall.

    Formula: 2 TP / (2 TP + FP + FN) = 2 J / (1 + J) with J = TP / (TP + FP + FN); the interval is that of J, a
    proportion, carried through the same formula.
    Source: van Rijsbergen (1979); for J, Hand, Christen and Kirielle (2021), Machine Learning 110.
    Ideal: 1.
    Limits: ignores true negatives; n is TP + FP + FN.
    """
    right = int(rows.counts[TRUE_POSITIVE])
    n = rows.n - int(rows.counts[TRUE_NEGATIVE])
    if n == 0:
        return Measurement("performance.f1", None, 0, reason="no row has the label 1 or is predicted 1")
    low, high = (2 * end / (1 + end) for end in wilson(right, n))
    return Measurement("performance.f1", 2 * right / (right + n), n, {}, low, high, "wilson")


def roc_auc(rows: Predictions) -> Measurement:
    """Chance that a row with label 1 is scored above one with label 0, ties counted half.

    Formula: the Mann–Whitney statistic, Σ over pairs of rows with different labels / number of such pairs.
    Source: Hanley and McNeil (1982), Radiology 143(1); of the interval,
    :func:`governance.measures.intervals.delong_auc`.
    Ideal: 1; a coin gives 0.5.
    Limits: judges the order of scores only, not the decision or the calibration.
    """
    name = "performance.roc_auc"
    if reason := rows.unusable_scores or _one_label(rows):
        return Measurement(name, None, rows.n, reason=reason)
    value, low, high = delong_auc(rows.labels, rows.scores)
    return Measurement(name, value, rows.n, {}, low, high, "delong")


def average_precision(rows: Predictions) -> Measurement:
    """Mean precision over the rows with label 1, each counted from the highest score down to its own.

    Formula: Σ (Rₖ − Rₖ₋₁) Pₖ over the distinct scores from the highest, with precision P and recall R of what is scored
    at least so high; no interpolation. The variance is that of the influence of a row on this sum, n⁻² Σ Iᵢ² with
    Iᵢ = (yᵢ (P(sᵢ) − AP) + Σ over labels 1 scored t ≤ sᵢ of (yᵢ − P(t)) / (rows scored ≥ t)) / share of label 1,
    and the interval is symmetrical on the scale of log odds.
    Source: Manning, Raghavan and Schütze (2008), Introduction to Information Retrieval, section 8.4; for the variance
    Efron (1982), The Jackknife, the Bootstrap and Other Resampling Plans, chapter 6 (infinitesimal jackknife); for the
    scale Boyd, Eng and Page (2013), whose own variance AP (1 − AP) / m is too small for weak models where label 1 is
    common.
    Ideal: 1; a coin gives the share of label 1.
    Limits: depends on the base rate; below some 50 rows of either label the interval holds 90 to 93 times in 100.
    """
    name = "performance.average_precision"
    if reason := rows.unusable_scores or _one_label(rows):
        return Measurement(name, None, rows.n, reason=reason)
    scored, positive = _table_of_scores(rows)
    reached, found = np.cumsum(scored), np.cumsum(positive)
    precision = found / reached
    value = float((positive * precision).sum() / found[-1])
    variance = _variance_of_average_precision(scored, positive, precision, value)
    if variance <= 0 or value >= 1:
        # Nothing varies: the next sample will, and Wilson over the smaller class is the widest honest answer.
        smaller = int(min(found[-1], rows.n - found[-1]))
        return Measurement(name, value, rows.n, {}, *wilson(value * smaller, smaller), "wilson")
    return Measurement(name, value, rows.n, {}, *logit(value, Z * np.sqrt(variance)), "infinitesimal jackknife")


def log_loss(rows: Predictions) -> Measurement:
    """Mean surprise at the outcome, in nats.

    Formula: −mean(y ln s + (1 − y) ln(1 − s)), scores kept 2.2e-16 away from 0 and 1.
    Source: Good (1952), Rational Decisions, JRSS B 14(1).
    Ideal: 0; always saying the base rate p gives its entropy.
    Limits: one confident mistake can dominate it.
    """
    smallest = np.finfo(np.float64).eps
    scores = np.clip(rows.scores, smallest, 1 - smallest)
    return _mean_loss("performance.log_loss", rows, -np.log(np.where(rows.labels == 1, scores, 1 - scores)), np.inf)


def brier_score(rows: Predictions) -> Measurement:
    """Mean squared distance of the score from the outcome.

    Formula: mean((s − y)²).
    Source: Brier (1950), Monthly Weather Review 78(1).
    Ideal: 0; always saying the base rate p gives p (1 − p).
    Limits: mixes calibration with discrimination.
    """
    return _mean_loss("performance.brier_score", rows, (rows.scores - rows.labels) ** 2, 1.0)


def calibration_error(rows: Predictions) -> Measurement:
    """How far scores are from the frequencies that they promise.

    Formula: Σ nᵦ/n |share of label 1 − mean score| over ten bins of equally many rows, by score.
    Source: Naeini, Cooper and Hauskrecht (2015), Obtaining Well Calibrated Probabilities Using Bayesian Binning, AAAI;
    of the bins and the interval, :func:`calibration_gap`.
    Ideal: 0.
    Limits: never 0 by chance, even if calibrated: about 0.02 for 2,000 rows, 0.07 for 200; errors of opposite sign
    within one bin cancel.
    """
    name = "performance.calibration_error"
    if rows.unusable_scores:
        return Measurement(name, None, rows.n, reason=rows.unusable_scores)
    value, low, high = calibration_gap(rows.labels, rows.scores)
    return Measurement(name, value, rows.n, {}, low, high, "normal with bias")


def base_rate(rows: Predictions) -> Measurement:
    """Accuracy of always predicting the more frequent label of these very rows.

    Formula: max(p, 1 − p) with p the share of label 1.
    Source: Witten and Frank (2005), Data Mining, section 4.1 (ZeroR).
    Ideal: none; it is what accuracy has to beat.
    Limits: knows the majority of the rows it is judged on, so it is a slightly harder rival than a real constant.
    """
    always = _right_by_majority(rows).sum()
    return proportion("performance.base_rate", Share(always, rows.counts.sum(), "there are no rows"))


def accuracy_gain(rows: Predictions) -> Measurement:
    """How much more often the model is right than always predicting the more frequent label.

    Formula: accuracy − base rate; the interval is paired, for both are measured on the same rows.
    Source: of the interval, :func:`governance.measures.intervals.paired_gain`.
    Ideal: above 0, with its lower end.
    Limits: 0 where the threshold favours one label on purpose, although the scores may be good; read it with ROC AUC.
    """
    name = "performance.accuracy_gain"
    if rows.n == 0:
        return Measurement(name, None, 0, reason="there are no rows")
    right = np.array([rows.counts[TRUE_NEGATIVE], 0, 0, rows.counts[TRUE_POSITIVE]])
    always = _right_by_majority(rows)
    shared = int(np.minimum(right, always).sum())
    better, worse = int(right.sum()) - shared, int(always.sum()) - shared
    return Measurement(name, (better - worse) / rows.n, rows.n, {}, *paired_gain(better, worse, rows.n), "agresti-min")


def calibration_gap(outcomes: Array, scores: Array) -> tuple[float, float, float]:
    """Return the expected calibration error with its interval, as (error, low, high).

    Formula: Σ nᵦ/n |mean outcome − mean score| over ten bins of equally many rows: their edges are the deciles of the
    scores, and equal scores stay together. The interval reaches from error − b − h to error + h: h = z √Σ (nᵦ/n)² vᵦ
    with vᵦ = p (1 − p) / (nᵦ + 4) and p = (outcomes + 2) / (nᵦ + 4), and b = Σ nᵦ/n √(2 vᵦ / π), the most by which
    chance alone can lift the mean of the absolute gaps.
    Source: Naeini, Cooper and Hauskrecht (2015), Obtaining Well Calibrated Probabilities Using Bayesian Binning, AAAI;
    equally many rows: Roelofs et al. (2022), Mitigating Bias in Calibration Error Estimation, AISTATS; vᵦ: Agresti and
    Coull (1998), The American Statistician 52(2); b: the mean of a folded normal, Leone, Nelson and Nottingham (1961),
    Technometrics 3(4).
    Limits: never 0 by chance, even if calibrated: about 0.02 for 2,000 rows, 0.07 for 200. Errors of opposite sign
    within one bin cancel. The interval holds the error of these bins at least 95 times in 100, and more where scores
    are right.

    Args:
        outcomes: What came true, 0 or 1, shape (n), at least one row.
        scores: The probability that was promised, from 0 to 1, shape (n).
    """
    order = np.argsort(scores)
    ordered = scores[order]
    edges = np.quantile(ordered, np.linspace(0, 1, BINS + 1)[1:-1])
    starts = np.unique(np.r_[0, np.searchsorted(ordered, edges, side="right")])
    starts = starts[starts < ordered.size]
    n = np.diff(np.r_[starts, ordered.size])
    came_true = np.add.reduceat((outcomes[order] == 1).astype(np.int64), starts)
    weights, smoothed = n / ordered.size, (came_true + 2) / (n + 4)
    error = float(np.abs(np.add.reduceat(ordered, starts) - came_true).sum() / ordered.size)
    variances = smoothed * (1 - smoothed) / (n + 4)
    bias = float((weights * np.sqrt(2 * variances / np.pi)).sum())
    half = Z * float(np.sqrt((weights**2 * variances).sum()))
    return error, max(error - bias - half, 0.0), min(error + half, 1.0)


RATES: dict[str, Rate] = {
    "accuracy": confusion.accuracy,
    "precision": confusion.precision,
    "recall": confusion.true_positive_rate,
    "unfavourable_selected": confusion.false_positive_rate,
}
"""Measurements that are a rate of all rows. ``unfavourable_selected`` is how many of those with the unfavourable label
get the favourable prediction all the same: the price of a lower threshold."""

MEASURES: tuple[Callable[[Predictions], Measurement], ...] = (
    balanced_accuracy,
    f1,
    roc_auc,
    average_precision,
    log_loss,
    brier_score,
    calibration_error,
    base_rate,
    accuracy_gain,
)
"""The other measurements, in the order in which they are reported."""


def _mean_loss(name: str, rows: Predictions, losses: Array, at_most: float) -> Measurement:
    if rows.unusable_scores:
        return Measurement(name, None, rows.n, reason=rows.unusable_scores)
    losses = np.sort(losses)  # so that the order of rows does not even change the last bit
    interval = normal_mean(losses, at_least=0.0, at_most=at_most)
    return Measurement(name, float(losses.mean()), rows.n, {}, *interval, "normal")


def _table_of_scores(rows: Predictions) -> tuple[Array, Array]:
    """Return the distinct scores from the highest as (rows with this score, of them with label 1)."""
    order = np.argsort(-rows.scores)
    scores, labels = rows.scores[order], rows.labels[order] == 1
    starts = np.flatnonzero(np.r_[True, scores[1:] != scores[:-1]])
    return np.diff(np.r_[starts, scores.size]), np.add.reduceat(labels.astype(np.int64), starts)


def _variance_of_average_precision(scored: Array, positive: Array, precision: Array, value: float) -> float:
    """Return n⁻² Σ Iᵢ², the formula of :func:`average_precision`, from the table of distinct scores."""
    n, m = int(scored.sum()), int(positive.sum())
    weights = positive / np.cumsum(scored)
    # Sums over this score and all below it: what a row of this score does to the precision that those see.
    gained, lost = (np.cumsum(part[::-1])[::-1] for part in (weights, weights * precision))
    of_positive = (precision - value + gained - lost) * n / m
    of_negative = -lost * n / m
    return float((positive * of_positive**2 + (scored - positive) * of_negative**2).sum()) / n**2


def _one_label(rows: Predictions) -> str | None:
    for rate in (confusion.true_positive_rate(rows.counts), confusion.true_negative_rate(rows.counts)):
        if rate.whole == 0:
            return rate.empty
    return None


def _right_by_majority(rows: Predictions) -> Array:
    """Return how many rows of each cell the more frequent label gets right, shape (4)."""
    favourable = np.arange(confusion.CELLS) >= FALSE_NEGATIVE
    majority = favourable if rows.counts[favourable].sum() * 2 >= rows.n else ~favourable
    return np.where(majority, rows.counts, 0)
