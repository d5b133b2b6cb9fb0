"""Does a model of several classes predict well, and better than no model at all?

What rests on decisions is computed from one table of counts (label × prediction); probabilities are needed for ranking
and calibration. Each measure is a function of :class:`Classified` named like its measurement. A name that
``performance`` has too means the same here, and gives the same number for two classes; the one exception is the
calibration error, which here is that of the class the model holds most likely.

Neighbours: ``performance`` for two classes, ``comparison`` with the champion. Not guaranteed: that the rows are unseen
by the model.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from governance.errors import InputError
from governance.measures.confusion import Array, Share
from governance.measures.intervals import (
    Z,
    mean_of_shares,
    normal_mean,
    paired_gain,
    placements,
    proportion,
    variance_of_mean,
    wilson,
)
from governance.measures.performance import calibration_gap
from governance.records import Measurement

SUM_TOLERANCE = 1e-3
"""How far the probabilities of a row may be from 1 together: rounding of single precision, and no more."""

SMALLEST_DEVIATION = 1e-12
"""A standard deviation below this is 0 but for rounding."""


@dataclass(frozen=True)
class Classified:
    """What was predicted for rows whose class is known.

    Attributes:
        labels: Position of each row's class in ``classes``, shape (n).
        predictions: Position of the class that was decided, shape (n); ``None`` where nothing was.
        scores: Probability of each class, shape (n, classes).
        classes: Names of the classes.
        unusable: Why scores cannot be measured; ``None`` if they can.
    """

    labels: Array
    predictions: Array | None
    scores: Array
    classes: tuple[str, ...]
    unusable: str | None

    @property
    def n(self) -> int:
        """How many rows there are."""
        return int(self.labels.size)

    @cached_property
    def counts(self) -> Array:
        """Rows by label and decision, shape (classes, classes)."""
        size = len(self.classes)
        cells = self.labels * size + (self.labels if self.predictions is None else self.predictions)
        return np.bincount(cells, minlength=size * size).reshape(size, size)

    @cached_property
    def of_class(self) -> Array:
        """Rows by label, shape (classes)."""
        return np.bincount(self.labels, minlength=len(self.classes))

    @property
    def undecided(self) -> str | None:
        """Why decisions cannot be measured; ``None`` if they can."""
        return self.unusable if self.predictions is None or self.n == 0 else None

    @property
    def absent_class(self) -> str | None:
        """Which class has no row; ``None`` if all have."""
        empty = np.flatnonzero(self.of_class == 0)
        return f"no row has the label {self.classes[empty[0]]}" if empty.size else None


def measure_multiclass(
    labels: npt.ArrayLike,
    scores: npt.ArrayLike,
    *,
    classes: Sequence[str],
    predictions: npt.ArrayLike | None = None,
) -> list[Measurement]:
    """Measure a classifier of several classes on rows whose class is known.

    Args:
        labels: Position of each row's class in ``classes``, shape (n).
        scores: The model's probability of each class, shape (n, classes).
        classes: Names of the classes, in the order of the scores.
        predictions: Position of the class that the model decided, shape (n); by default the one of highest probability,
            the first of these where several share it.

    Returns:
        One measurement for each of :data:`MEASURES`, then one for each class and each of :data:`BY_CLASS`, whose slice
        is ``{"class": name}``. Without a value and with a reason where it is undefined.

    Raises:
        InputError: The arrays do not fit each other or the classes, or labels or predictions are no positions.
    """
    rows = classify(labels, scores, classes=classes, predictions=predictions)
    by_class = [
        _class_share(f"performance.{name}", rows, at, share)
        for name, share in BY_CLASS.items()
        for at in range(len(rows.classes))
    ]
    return [measure(rows) for measure in MEASURES] + by_class


def classify(
    labels: npt.ArrayLike, scores: npt.ArrayLike, *, classes: Sequence[str], predictions: npt.ArrayLike | None = None
) -> Classified:
    """Return the rows in one form.

    Raises:
        InputError: As :func:`measure_multiclass` says.
    """
    names = tuple(str(name) for name in classes)
    if len(names) < 2 or len(set(names)) < len(names):
        raise InputError(f"Expected two or more classes that differ, found {list(names)}. Name each class once.")
    truth = _positions(labels, "labels", names)
    probabilities = np.asarray(scores, dtype=np.float64, order="C")
    if probabilities.shape != (truth.size, len(names)):
        raise InputError(
            f"Expected a probability of each of {len(names)} classes for each of {truth.size} rows, found an array of "
            f"shape {probabilities.shape}. Pass one column for each class, in the order of the classes."
        )
    unusable = _unusable(probabilities)
    decided = None if unusable else probabilities.argmax(1)
    if predictions is not None:
        decided = _positions(predictions, "predictions", names)
        if decided.size != truth.size:
            raise InputError(
                f"Expected one prediction for each label, found {truth.size} labels and {decided.size} predictions. "
                f"Pass both for the same rows, in the same order."
            )
    return Classified(truth, decided, probabilities, names, unusable)


def accuracy(rows: Classified) -> Measurement:
    """Share of rows that are predicted right.

    Formula: Σ nᵢᵢ / n over the table of counts nᵢⱼ, label i and prediction j.
    Source: Fielding and Bell (1997), Environmental Conservation 24(1).
    Ideal: 1.
    Limits: close to 1 for a useless model where one class is frequent; see the gain over the base rate.
    """
    if rows.undecided:
        return Measurement("performance.accuracy", None, rows.n, reason=rows.undecided)
    return proportion("performance.accuracy", Share(np.trace(rows.counts), rows.counts.sum(), "there are no rows"))


def balanced_accuracy(rows: Classified) -> Measurement:
    """Mean of the recalls of all classes.

    Formula: Σ (nᵢᵢ / nᵢ) / k over k classes.
    Source: Brodersen et al. (2010), The Balanced Accuracy and Its Posterior Distribution, ICPR; of the interval,
    :func:`governance.measures.intervals.mean_of_shares`.
    Ideal: 1; guessing gives 1 / k whatever the base rates.
    Limits: weighs all classes alike, however rare; no value if a class has no row.
    """
    name = "performance.balanced_accuracy"
    if reason := rows.undecided or rows.absent_class:
        return Measurement(name, None, rows.n, reason=reason)
    recalls = [class_recall(rows.counts, at, each) for at, each in enumerate(rows.classes)]
    value = sum(float(recall.values) for recall in recalls) / len(recalls)
    return Measurement(name, value, rows.n, {}, *mean_of_shares(*recalls), "mover")


def f1_macro(rows: Classified) -> Measurement:
    """Mean of the F1 of all classes.

    Formula: Σ Fᵢ / k with Fᵢ = 2 nᵢᵢ / (rows with label i + rows predicted i). A row with label i, predicted j, has the
    influence (2 [i = j] / dᵢ − Fᵢ / dᵢ − Fⱼ / dⱼ) / k with d = (labelled + predicted) / n; the interval is value ±
    z √(Σ influence² / n²). Where that is 0, Wilson over the smallest class takes its place.
    Source: Takahashi, Yamamoto, Kuchiba and Koyama (2022), Confidence interval for micro-averaged F1 and macro-averaged
    F1 scores, Applied Intelligence 52.
    Ideal: 1.
    Limits: weighs all classes alike, however rare; no value if a class is neither labelled nor predicted; too narrow
    where a class has less than some 30 rows.
    """
    name = "performance.f1_macro"
    if rows.undecided:
        return Measurement(name, None, rows.n, reason=rows.undecided)
    counts, size = rows.counts, len(rows.classes)
    sides = counts.sum(0) + counts.sum(1)
    if not sides.all():
        absent = rows.classes[int(np.argmin(sides))]
        return Measurement(name, None, rows.n, reason=f"no row has the label {absent} or is predicted {absent}")
    scores, shares = 2 * np.diag(counts) / sides, sides / rows.n
    influence = (np.diag(2 / shares) - (scores / shares)[:, None] - (scores / shares)) / size
    deviation = math.sqrt(float((counts * influence**2).sum())) / rows.n
    value = float(scores.mean())
    if deviation < SMALLEST_DEVIATION:
        smallest = int(sides.min()) / 2
        return Measurement(name, value, rows.n, {}, *wilson(value * smallest, smallest), "wilson")
    interval = max(value - Z * deviation, 0.0), min(value + Z * deviation, 1.0)
    return Measurement(name, value, rows.n, {}, *interval, "delta")


def roc_auc(rows: Classified) -> Measurement:
    """Mean over the classes of the chance that a row of the class gets a higher probability of it than another row.

    Formula: Σ Aᵢ / k with Aᵢ the area under the ROC curve of class i against the rest, ties counted half. A row of
    class y contributes (V(y) + Σ over i ≠ y of Wᵢ nᵧ / (n − nᵢ)) / k, where V(y) is the share of other rows that it is
    placed above by the probability of y, and Wᵢ the share of rows of class i that are placed above it by that of i; the
    interval is value ± z √(Σ over classes of the variance of these contributions / nᵧ).
    Source: Provost and Domingos (2003), Tree Induction for Probability-Based Ranking, Machine Learning 52(3), without
    their weights; the variance is that of DeLong, DeLong and Clarke-Pearson (1988), Biometrics 44(3), carried to a mean
    of areas over the same rows.
    Ideal: 1; a coin gives 0.5.
    Limits: weighs all classes alike, however rare; no value if a class has no row. Where no contribution varies, Wilson
    over the smallest class takes the interval's place.
    """
    name = "performance.roc_auc"
    if reason := rows.unusable or rows.absent_class:
        return Measurement(name, None, rows.n, reason=reason)
    contributions = np.zeros(rows.n)
    areas = []
    for at, rows_of_class in enumerate(rows.of_class):
        inside = rows.labels == at
        above, below = placements(inside, rows.scores[:, at])
        contributions[inside] += above
        contributions[~inside] += (1 - below) * rows.of_class[rows.labels[~inside]] / (rows.n - rows_of_class)
        areas.append(float(np.sort(above).mean()))
    contributions /= len(rows.classes)
    value = math.fsum(areas) / len(areas)
    variance = sum(variance_of_mean(np.sort(contributions[rows.labels == at])) for at in range(len(areas)))
    if variance <= 0:
        smallest = int(rows.of_class.min())
        return Measurement(name, value, rows.n, {}, *wilson(value * smallest, smallest), "wilson")
    half = Z * math.sqrt(variance)
    return Measurement(name, value, rows.n, {}, max(value - half, 0.0), min(value + half, 1.0), "delong")


def log_loss(rows: Classified) -> Measurement:
    """Mean surprise at the class that came true, in nats.

    Formula: −mean(ln s(y)) with s(y) the probability of the row's own class, kept 2.2e-16 away from 0 and 1.
    Source: Good (1952), Rational Decisions, JRSS B 14(1).
    Ideal: 0; always saying the shares of the classes gives their entropy.
    Limits: one confident mistake can dominate it.
    """
    return _mean_loss("performance.log_loss", rows, lambda: surprises(rows.labels, rows.scores), np.inf)


def brier_score(rows: Classified) -> Measurement:
    """Half the mean squared distance of the probabilities from the class that came true.

    Formula: mean(½ Σ over classes of (s(c) − [y = c])²). The half brings it to 0 … 1 and makes it, for two classes, the
    Brier score of one of them; Brier's own sum, and scikit-learn's for several classes, is twice this.
    Source: Brier (1950), Monthly Weather Review 78(1).
    Ideal: 0; always saying the shares p of the classes gives ½ (1 − Σ p²).
    Limits: mixes calibration with discrimination.
    """
    return _mean_loss("performance.brier_score", rows, lambda: _half_squared_distances(rows), 1.0)


def calibration_error(rows: Classified) -> Measurement:
    """How far the probability of the most likely class is from the share of rows that it is right for.

    Formula: Σ nᵦ/n |share right − mean probability| over ten bins of equally many rows, by the highest probability.
    Source: Guo, Pleiss, Sun and Weinberger (2017), On Calibration of Modern Neural Networks, ICML; of the bins and the
    interval, :func:`governance.measures.performance.calibration_gap`.
    Ideal: 0.
    Limits: never 0 by chance, even if calibrated; says nothing of the other classes' probabilities.
    """
    name = "performance.calibration_error"
    if rows.unusable:
        return Measurement(name, None, rows.n, reason=rows.unusable)
    value, low, high = calibration_gap(rows.scores.argmax(1) == rows.labels, rows.scores.max(1))
    return Measurement(name, value, rows.n, {}, low, high, "normal with bias")


def base_rate(rows: Classified) -> Measurement:
    """Accuracy of always predicting the most frequent class of these very rows.

    Formula: max nᵢ / n with nᵢ the rows of class i.
    Source: Witten and Frank (2005), Data Mining, section 4.1 (ZeroR).
    Ideal: none; it is what accuracy has to beat.
    Limits: knows the majority of the rows it is judged on, so it is a slightly harder rival than a real constant.
    """
    return proportion("performance.base_rate", Share(rows.of_class.max(), rows.of_class.sum(), "there are no rows"))


def accuracy_gain(rows: Classified) -> Measurement:
    """How much more often the model is right than always predicting the most frequent class.

    Formula: accuracy − base rate; the interval is paired, for both are measured on the same rows.
    Source: of the interval, :func:`governance.measures.intervals.paired_gain`.
    Ideal: 1 − base rate; at or below 0 the model is of no use for its decisions.
    Limits: those of accuracy and of the base rate.
    """
    name = "performance.accuracy_gain"
    if rows.undecided:
        return Measurement(name, None, rows.n, reason=rows.undecided)
    size = len(rows.classes)
    majority = size - 1 - int(np.argmax(rows.of_class[::-1]))
    shared = int(rows.counts[majority, majority])
    better, worse = int(np.trace(rows.counts)) - shared, int(rows.of_class[majority]) - shared
    return Measurement(name, (better - worse) / rows.n, rows.n, {}, *paired_gain(better, worse, rows.n), "agresti-min")


def class_precision(counts: Array, at: int, name: str) -> Share:
    """Share of rows predicted to be of a class that are.

    Formula: nᵢᵢ / rows predicted i.
    Source: van Rijsbergen (1979), Information Retrieval.
    Ideal: 1.
    Limits: not comparable between populations with other shares of the class.
    """
    return Share(counts[at, at], counts[:, at].sum(), f"no row is predicted {name}")


def class_recall(counts: Array, at: int, name: str) -> Share:
    """Share of rows of a class that are predicted to be.

    Formula: nᵢᵢ / rows with label i.
    Source: van Rijsbergen (1979), Information Retrieval.
    Ideal: 1.
    Limits: 1 for a model that always says this class; read it with the precision.
    """
    return Share(counts[at, at], counts[at].sum(), f"no row has the label {name}")


MEASURES: tuple[Callable[[Classified], Measurement], ...] = (
    accuracy,
    balanced_accuracy,
    f1_macro,
    roc_auc,
    log_loss,
    brier_score,
    calibration_error,
    base_rate,
    accuracy_gain,
)
"""What is measured of all rows, in the order in which it is reported."""

BY_CLASS: dict[str, Callable[[Array, int, str], Share]] = {
    "class_precision": class_precision,
    "class_recall": class_recall,
}
"""What is measured of each class."""


def surprises(labels: Array, scores: Array) -> Array:
    """Return −ln of the probability of each row's own class, shape (n)."""
    smallest = np.finfo(np.float64).eps
    return np.asarray(-np.log(np.clip(scores[np.arange(labels.size), labels], smallest, 1 - smallest)))


def _mean_loss(name: str, rows: Classified, losses: Callable[[], Array], at_most: float) -> Measurement:
    if rows.unusable:
        return Measurement(name, None, rows.n, reason=rows.unusable)
    ordered = np.sort(losses())  # so that the order of rows does not even change the last bit
    interval = normal_mean(ordered, at_least=0.0, at_most=at_most)
    return Measurement(name, float(ordered.mean()), rows.n, {}, *interval, "normal")


def _half_squared_distances(rows: Classified) -> Array:
    distances = rows.scores.copy()
    distances[np.arange(rows.n), rows.labels] -= 1
    # Rounding of the probabilities could bring it above 1.
    return np.asarray(np.minimum((distances**2).sum(1) / 2, 1.0))


def _class_share(name: str, rows: Classified, at: int, share: Callable[[Array, int, str], Share]) -> Measurement:
    slice_ = {"class": rows.classes[at]}
    if rows.undecided:
        return Measurement(name, None, rows.n, slice_, reason=rows.undecided)
    return proportion(name, share(rows.counts, at, rows.classes[at]), slice_)


def _unusable(probabilities: Array) -> str | None:
    n = len(probabilities)
    if n == 0:
        return "there are no rows"
    wrong = int(np.count_nonzero(~((probabilities >= 0) & (probabilities <= 1)).all(1)))
    if wrong:
        return f"{wrong} of {n} rows have scores that are not numbers from 0 to 1"
    wrong = int(np.count_nonzero(np.abs(probabilities.sum(1) - 1) > SUM_TOLERANCE))
    return f"{wrong} of {n} rows have scores that do not add up to 1" if wrong else None


def _positions(values: npt.ArrayLike, name: str, classes: tuple[str, ...]) -> Array:
    """Return one column of positions as integers, shape (n)."""
    column = np.asarray(values)
    if column.ndim != 1:
        raise InputError(f"Expected {name} as one column of positions, found an array of shape {column.shape}.")
    wrong = np.flatnonzero(~np.isin(column, np.arange(len(classes))))
    if wrong.size:
        raise InputError(
            f"Expected {name} to be positions from 0 to {len(classes) - 1} in the list of classes, found "
            f"{column[wrong[0]]!r} in row {wrong[0]} and {wrong.size - 1} more. Translate them first."
        )
    return column.astype(np.intp)
