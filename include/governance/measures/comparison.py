"""Is the candidate better than the champion, on the very same rows?

Each change is the candidate's measure minus the champion's, with an interval that is paired: what makes a row hard is
hard for both and falls out, so a difference shows that two separate intervals would hide. Each change is a function of
:class:`Pair` named like its measurement.

Neighbours: ``performance``, ``multiclass`` and ``regression`` measure one model; a change is the difference of what
they report. Not guaranteed: that the champion never saw these rows. If it was trained on them it looks better than it
is, and whoever calls has to say so.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from governance.errors import InputError
from governance.measures import multiclass, performance, regression
from governance.measures.confusion import Array
from governance.measures.intervals import Interval, delong_change, half_width, normal_mean, paired_gain
from governance.records import Measurement

NO_CHAMPION = "not applicable: no champion: no version of this model has been released to compare the candidate with."


@dataclass(frozen=True)
class Answers:
    """What one model said of the rows that both are compared on.

    Attributes:
        predictions: Its decisions, shape (n): 0 or 1, positions of classes, or the predicted numbers of a regression.
        scores: Probability of 1, shape (n), or of each class, shape (n, classes); ``None`` for a regression.
    """

    predictions: npt.ArrayLike
    scores: npt.ArrayLike | None = None


@dataclass(frozen=True)
class Checked:
    """The answers of one model, in the form that its task needs.

    Attributes:
        labels: What came true, shape (n).
        predictions: Its decisions or predicted numbers, shape (n).
        scores: Its probabilities, shape (n) or (n, classes); of a regression, the predicted numbers.
        unusable: Why scores cannot be measured; ``None`` if they can.
    """

    labels: Array
    predictions: Array
    scores: Array
    unusable: str | None


@dataclass(frozen=True)
class Pair:
    """Both models' answers to the same rows."""

    candidate: Checked
    champion: Checked

    @property
    def labels(self) -> Array:
        """What came true, shape (n)."""
        return self.candidate.labels

    @property
    def n(self) -> int:
        """How many rows there are."""
        return int(self.labels.size)

    @property
    def unusable(self) -> str | None:
        """Why scores cannot be compared; ``None`` if they can."""
        for who, answers in (("candidate", self.candidate), ("champion", self.champion)):
            if answers.unusable:
                return f"{who}: {answers.unusable}"
        return None


def compare(task: str, labels: npt.ArrayLike, candidate: Answers, champion: Answers) -> list[Measurement]:
    """Measure by how much the candidate differs from the champion on the same rows.

    Args:
        task: The task of the model's spec: ``binary_classification``, ``multiclass_classification`` or ``regression``.
        labels: What came true, shape (n): 0 or 1, positions of classes, or finite numbers.
        candidate: The answers of the version that wants to be released.
        champion: The answers of the version in production, to the same rows in the same order.

    Returns:
        One measurement for each of :data:`CHANGES` of the task: candidate minus champion, each with a paired interval;
        without a value and with a reason where it is undefined.

    Raises:
        InputError: The task is unknown, a classifier has no scores, or labels and answers do not fit each other, as the
            task's own measures say.
    """
    changes, check = _changes(task), CHECKS[task]
    pair = Pair(_checked("candidate", check, labels, candidate), _checked("champion", check, labels, champion))
    if pair.candidate.scores.shape != pair.champion.scores.shape:
        raise InputError(
            f"Expected the same classes of both models, found scores of shape {pair.candidate.scores.shape} of the "
            f"candidate and {pair.champion.scores.shape} of the champion. Compare versions of the same classes."
        )
    # What grows beyond the largest float becomes infinity, and a measurement without a value that says so.
    with np.errstate(over="ignore", invalid="ignore"):
        return [change(pair) for change in changes]


def no_champion(task: str) -> list[Measurement]:
    """Return the same measurements without a value, for a model that has no champion yet.

    Args:
        task: The task of the model's spec.

    Raises:
        InputError: The task is unknown.
    """
    return [Measurement(f"performance.{change.__name__}", None, 0, reason=NO_CHAMPION) for change in _changes(task)]


def accuracy_change(pair: Pair) -> Measurement:
    """How much more often the candidate is right than the champion; above 0 the candidate is better.

    Formula: (b − c) / n, with b rows that only the candidate gets right, and c that only the champion does.
    Source: McNemar (1947), Psychometrika 12(2); of the interval, Agresti and Min (2005), in
    :func:`governance.measures.intervals.paired_gain`.
    Ideal: above 0.
    Limits: those of accuracy: says nothing of which rows are now wrong.
    """
    name = "performance.accuracy_change"
    if pair.n == 0:
        return Measurement(name, None, 0, reason="there are no rows")
    ours, theirs = (answers.predictions == pair.labels for answers in (pair.candidate, pair.champion))
    better, worse = int(np.count_nonzero(ours & ~theirs)), int(np.count_nonzero(theirs & ~ours))
    return Measurement(name, (better - worse) / pair.n, pair.n, {}, *paired_gain(better, worse, pair.n), "agresti-min")


def roc_auc_change(pair: Pair) -> Measurement:
    """How much larger the candidate's area under the ROC curve is; above 0 the candidate is better.

    Formula: area of the candidate − area of the champion.
    Source: DeLong, DeLong and Clarke-Pearson (1988), Biometrics 44(3); see
    :func:`governance.measures.intervals.delong_change`.
    Ideal: above 0.
    Limits: judges the order of scores only, not the decision or the calibration.
    """
    name = "performance.roc_auc_change"
    if pair.unusable:
        return Measurement(name, None, pair.n, reason=pair.unusable)
    missing = {0, 1} - set(np.unique(pair.labels).tolist())
    if missing:
        return Measurement(name, None, pair.n, reason=f"no row has the label {missing.pop()}")
    value, interval = delong_change(pair.labels, pair.candidate.scores, pair.champion.scores)
    return Measurement(name, value, pair.n, {}, *interval, "delong")


def brier_change(pair: Pair) -> Measurement:
    """How much larger the candidate's Brier score is; below 0 the candidate is better.

    Formula: mean((s − y)² − (t − y)²) with s the candidate's and t the champion's score.
    Source: Diebold and Mariano (1995), Journal of Business & Economic Statistics 13(3), for rows that do not depend on
    each other; of the interval, :func:`governance.measures.intervals.normal_mean`.
    Ideal: below 0.
    Limits: mixes calibration with discrimination; two models that say the same of all rows have an interval of width 0.
    """
    return _mean_change("performance.brier_change", pair, lambda each: (each.scores - each.labels) ** 2, 1.0)


def log_loss_change(pair: Pair) -> Measurement:
    """How much larger the candidate's log loss is, in nats; below 0 the candidate is better.

    Formula: mean(ln t(y) − ln s(y)) with s(y) the candidate's and t(y) the champion's probability of the row's own
    class, kept 2.2e-16 away from 0 and 1.
    Source: Diebold and Mariano (1995), Journal of Business & Economic Statistics 13(3), for rows that do not depend on
    each other; of the interval, :func:`governance.measures.intervals.normal_mean`.
    Ideal: below 0.
    Limits: one confident mistake can dominate it; two models that say the same of all rows have an interval of width 0.
    """
    return _mean_change(
        "performance.log_loss_change", pair, lambda each: multiclass.surprises(each.labels, each.scores)
    )


def mae_change(pair: Pair) -> Measurement:
    """How much larger the candidate's mean absolute error is; below 0 the candidate is better.

    Formula: mean(|p − y| − |q − y|) with p the candidate's and q the champion's prediction.
    Source: Diebold and Mariano (1995), Journal of Business & Economic Statistics 13(3), for rows that do not depend on
    each other; of the interval, :func:`governance.measures.intervals.normal_mean`.
    Ideal: below 0.
    Limits: in the unit of the target; two models that say the same of all rows have an interval of width 0.
    """
    return _mean_change("performance.mae_change", pair, lambda each: np.abs(each.scores - each.labels))


def rmse_change(pair: Pair) -> Measurement:
    """How much larger the candidate's root mean squared error is; below 0 the candidate is better.

    Formula: R − S with R = √mean((p − y)²) of the candidate and S of the champion; the interval is that of the mean of
    (p − y)² / 2R − (q − y)² / 2S over the rows, the delta method for both roots at once.
    Source: Casella and Berger (2002), Statistical Inference, section 5.5.4.
    Ideal: below 0.
    Limits: a few large errors dominate it; too narrow for fewer than some 100 rows; two models that say the same of all
    rows have an interval of width 0.
    """
    name = "performance.rmse_change"
    if pair.unusable:
        return Measurement(name, None, pair.n, reason=pair.unusable)
    ours, theirs = ((each.scores - each.labels) ** 2 for each in (pair.candidate, pair.champion))
    roots = [float(np.sqrt(np.sort(squares).mean())) for squares in (ours, theirs)]
    # Of a root of 0 the squares are all 0, and divided by 1 they stay so.
    influence = np.sort(ours / (2 * (roots[0] or 1.0)) - theirs / (2 * (roots[1] or 1.0)))
    value, half = roots[0] - roots[1], half_width(influence) if pair.n > 1 else None
    interval = Interval(None, None) if half is None else Interval(value - half, value + half)
    return Measurement(name, value, pair.n, {}, *interval, "delta")


Change = Callable[[Pair], Measurement]

CHANGES: dict[str, tuple[Change, ...]] = {
    "binary_classification": (accuracy_change, roc_auc_change, brier_change),
    "multiclass_classification": (accuracy_change, log_loss_change),
    "regression": (mae_change, rmse_change),
}
"""Task → what is compared, in the order in which it is reported."""


def _changes(task: str) -> tuple[Change, ...]:
    if task not in CHANGES:
        raise InputError(f"Expected a task among {', '.join(CHANGES)}, found {task!r}. Correct `task` in model.yaml.")
    return CHANGES[task]


def _mean_change(name: str, pair: Pair, loss: Callable[[Checked], Array], at_most: float = np.inf) -> Measurement:
    if pair.unusable:
        return Measurement(name, None, pair.n, reason=pair.unusable)
    differences = np.sort(loss(pair.candidate) - loss(pair.champion))  # so that the order of rows changes nothing
    interval = normal_mean(differences, at_least=-at_most, at_most=at_most)
    return Measurement(name, differences.mean(), pair.n, {}, *interval, "normal")


Check = Callable[[npt.ArrayLike, Answers], Checked]


def _checked(who: str, check: Check, labels: npt.ArrayLike, answers: Answers) -> Checked:
    try:
        return check(labels, answers)
    except InputError as error:
        raise InputError(f"Answers of the {who}: {error}") from error


def _check_binary(labels: npt.ArrayLike, answers: Answers) -> Checked:
    rows = performance.as_predictions(labels, answers.predictions, _scores(answers))
    decided = (np.asarray(answers.predictions) == 1).astype(np.int8)
    return Checked((rows.labels == 1).astype(np.int8), decided, rows.scores, rows.unusable_scores)


def _check_multiclass(labels: npt.ArrayLike, answers: Answers) -> Checked:
    scores = np.asarray(_scores(answers))
    classes = [str(position) for position in range(scores.shape[-1] if scores.ndim == 2 else 2)]
    rows = multiclass.classify(labels, scores, classes=classes, predictions=answers.predictions)
    return Checked(rows.labels, np.asarray(rows.predictions), rows.scores, rows.unusable)


def _check_regression(labels: npt.ArrayLike, answers: Answers) -> Checked:
    truth = regression.finite_labels(labels)
    predicted = regression.numbers(answers.predictions, "predictions", rows=truth.size)
    return Checked(truth, predicted, predicted, regression.unusable(predicted))


def _scores(answers: Answers) -> npt.ArrayLike:
    if answers.scores is None:
        raise InputError("Expected scores beside the predictions of a classifier, found none. Pass `scores`.")
    return answers.scores


CHECKS: dict[str, Check] = {
    "binary_classification": _check_binary,
    "multiclass_classification": _check_multiclass,
    "regression": _check_regression,
}
"""Task → how answers are checked."""
