"""What the three tasks differ in: what a label is, what a score is, and how a score becomes an answer.

* binary classification: labels 0 and 1 (favourable), scores the probability of 1, answers 0 and 1 by a threshold.
* multiclass classification: labels the position of the class in the spec's list, scores one probability a class,
  answers the position of the most probable class.
* regression: labels, scores and answers are numbers in the target's unit.

Everything else in the pipeline asks a task and does not know which one it has. Scores also have a form with one number
a column, in which predictions are kept (:meth:`Task.columns`).
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from governance.catalog import ModelSpec, Target, TaskName, Value
from governance.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

Array = npt.NDArray[Any]

QUARTERS = (0.25, 0.5, 0.75)
COPE = "Does the model cope with what is missing in the data?"


class Task(ABC):
    """One of the three."""

    name: TaskName
    threshold: float | None = None
    """Where a model decides that nobody has chosen a threshold for; ``None`` where nothing is decided by one."""

    @abstractmethod
    def labels(self, target: "pd.Series[Any]") -> Array:
        """Return the label of each row, shape (n).

        Raises:
            InputError: The target holds something that the task has no label for.
        """

    @abstractmethod
    def scores(self, estimator: Any, frame: Any) -> Array:
        """Return what the estimator says of each row, shape (n) or (n, classes).

        Raises:
            InputError: It fails, or says something else than the task asks for.
        """

    @abstractmethod
    def decide(self, scores: Array, threshold: float | None) -> Array:
        """Return the answer for each row, shape (n)."""

    @abstractmethod
    def strata(self, labels: Array) -> Array:
        """Return small whole numbers by which rows are spread evenly over folds, shape (n)."""

    @abstractmethod
    def gap(self, one: Array, other: Array) -> float:
        """Return how far apart two sets of answers to the same rows are as a whole, from 0."""

    def columns(self, scores: Array) -> dict[str, Array]:
        """Return scores as one column each."""
        return {"score": scores}

    def from_columns(self, frame: "pd.DataFrame") -> Array:
        """Inverse of :meth:`columns`."""
        return frame["score"].to_numpy()

    def values(self, answers: Array) -> list[Any]:
        """Return answers as the outside knows them."""
        return list(answers.tolist())

    @property
    def classes(self) -> tuple[Value, ...] | None:
        """The classes in the order of the scores, where there is more than one score; else ``None``."""
        return None

    @property
    def numbered(self) -> tuple[Value, ...] | None:
        """What the classes of a model are that numbers them from 0; ``None`` where there are none."""
        return self.classes


@dataclass(frozen=True)
class BinaryClassification(Task):
    """Two classes, one of them favourable."""

    favourable: Value
    name = "binary_classification"
    threshold = 0.5

    def labels(self, target: "pd.Series[Any]") -> Array:
        """Return 1 where the target has its favourable value, else 0."""
        return np.asarray(target == self.favourable, dtype=np.int8)

    def scores(self, estimator: Any, frame: Any) -> Array:
        """Return the probability of the favourable value."""
        probabilities = _probabilities(estimator, frame, 2)
        return probabilities[:, _position(estimator, self.favourable)]

    def decide(self, scores: Array, threshold: float | None) -> Array:
        """Return 1 where a score reaches the threshold, else 0."""
        return (scores >= (0.5 if threshold is None else threshold)).astype(np.int8)

    def strata(self, labels: Array) -> Array:
        """Return the labels."""
        return labels.astype(int)

    @property
    def numbered(self) -> tuple[Value, ...]:
        """The numbers themselves where these are the values; else 1 is the favourable value, 0 the other."""
        return (0, 1) if self.favourable in (0, 1) else ("other", self.favourable)

    def gap(self, one: Array, other: Array) -> float:
        """Return the difference of the selection rates."""
        return abs(float(one.mean()) - float(other.mean()))


@dataclass(frozen=True)
class MulticlassClassification(Task):
    """Three classes or more, in the spec's order."""

    in_order: tuple[Value, ...]
    name = "multiclass_classification"

    @property
    def classes(self) -> tuple[Value, ...]:
        """The spec's classes."""
        return self.in_order

    def labels(self, target: "pd.Series[Any]") -> Array:
        """Return the position of each row's class."""
        positions = {value: position for position, value in enumerate(self.in_order)}
        found = target.map(positions)
        if found.isna().any():
            stray = target[found.isna()].iloc[0]
            raise InputError(
                f"Expected one of {', '.join(map(str, self.in_order))} in the target {target.name}, found {stray!r}. "
                f"Add it to `target.classes` in model.yaml, or mend the data."
            )
        return np.asarray(found, dtype=np.int16)

    def scores(self, estimator: Any, frame: Any) -> Array:
        """Return one probability a class, in the spec's order, shape (n, classes)."""
        order = [_position(estimator, value) for value in self.in_order]
        probabilities = _probabilities(estimator, frame, len(order))[:, order]
        if not np.allclose(probabilities.sum(1), 1, atol=1e-4):
            raise InputError(f"Expected the probabilities of each row to add up to 1, found others. {COPE}")
        return probabilities

    def decide(self, scores: Array, threshold: float | None) -> Array:
        """Return the position of the most probable class; of equals, the first."""
        return np.asarray(scores.argmax(1), dtype=np.int16)

    def strata(self, labels: Array) -> Array:
        """Return the labels."""
        return labels.astype(int)

    def gap(self, one: Array, other: Array) -> float:
        """Return the total variation distance of how often each class is answered."""
        shares = [np.bincount(answers, minlength=len(self.in_order)) / max(len(answers), 1) for answers in (one, other)]
        return float(np.abs(shares[0] - shares[1]).sum() / 2)

    def columns(self, scores: Array) -> dict[str, Array]:
        """Return the probability of the answer, and of each class by its position."""
        by_class = {f"score_{position}": scores[:, position] for position in range(len(self.in_order))}
        return {"score": scores.max(1), **by_class}

    def from_columns(self, frame: "pd.DataFrame") -> Array:
        """Inverse of :meth:`columns`."""
        return np.asarray(frame[[f"score_{position}" for position in range(len(self.in_order))]])

    def values(self, answers: Array) -> list[Any]:
        """Return the classes by their names."""
        return [self.in_order[position] for position in answers]


@dataclass(frozen=True)
class Regression(Task):
    """A number."""

    name = "regression"

    def labels(self, target: "pd.Series[Any]") -> Array:
        """Return the target as numbers."""
        try:
            values = np.asarray(target, dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise InputError(f"Expected numbers in the target {target.name}, found others: {error}.") from error
        if not np.isfinite(values).all():
            where = int(np.flatnonzero(~np.isfinite(values))[0])
            raise InputError(
                f"Expected a finite number in every row of the target {target.name}, found {values[where]} in row "
                f"{where}. Have the contract refuse such rows, or mend the source."
            )
        return values

    def scores(self, estimator: Any, frame: Any) -> Array:
        """Return the predicted numbers."""
        predicted = np.asarray(_asked(estimator, "predict", frame), dtype=np.float64)
        if predicted.shape != (len(frame),) or not np.isfinite(predicted).all():
            raise InputError(f"Expected predict to give {len(frame)} finite numbers, found others. {COPE}")
        return predicted

    def decide(self, scores: Array, threshold: float | None) -> Array:
        """Return the numbers themselves."""
        return scores

    def strata(self, labels: Array) -> Array:
        """Return the quarter of each label."""
        return np.digitize(labels, np.unique(np.quantile(labels, QUARTERS)))

    def gap(self, one: Array, other: Array) -> float:
        """Return the difference of the means, in standard deviations of the first."""
        spread = float(one.std())
        difference = abs(float(one.mean()) - float(other.mean()))
        return difference / spread if spread > 0 else difference


def task_of(spec: ModelSpec) -> Task:
    """Return the task of a spec."""
    return make_task(spec.task, spec.target)


def make_task(name: TaskName, target: Target) -> Task:
    """Return a task by its name and what is told of the target."""
    if name == "regression":
        return Regression()
    if name == "multiclass_classification":
        return MulticlassClassification(tuple(target.classes or ()))
    return BinaryClassification(1 if target.favourable is None else target.favourable)


def _position(estimator: Any, value: Value) -> int:
    known: Sequence[Any] = np.asarray(getattr(estimator, "classes_", [])).tolist()
    if value not in known:
        raise InputError(
            f"Expected a model that knows the class {value!r}, found one for {', '.join(map(str, known))}."
        )
    return known.index(value)


def _probabilities(estimator: Any, frame: Any, classes: int) -> Array:
    found = np.asarray(_asked(estimator, "predict_proba", frame), dtype=np.float64)
    # NaN is neither below 0 nor above 1: ask for what is right, not for what is wrong.
    if found.shape != (len(frame), classes) or not np.all((found >= 0) & (found <= 1)):
        raise InputError(
            f"Expected predict_proba to give {len(frame)} × {classes} numbers from 0 to 1, found others. {COPE}"
        )
    return found


def _asked(estimator: Any, method: str, frame: Any) -> Any:
    try:
        return getattr(estimator, method)(frame)
    except Exception as error:  # an estimator may raise anything
        raise InputError(
            f"Expected {method} to score {len(frame)} rows, found {type(error).__name__}: {error}. {COPE}"
        ) from error
