"""What small changes of the input do to the answers, and where the model is at its worst.

Noise and missing values ask the model again and compare its answers with its own on the rows as they are. The worst
slice compares answers with labels, where those answers were made without having seen the row: whoever calls brings
them. A slice is a quarter of a column of numbers, a value of a column of few, a group of a protected attribute, or
the rows in which a column is not recorded.

Neighbours: whoever calls names the model and how it decides, so that this family knows no format. All of it is
measured on a sample of rows within a stated budget, and each measurement says how many they were (n). Not guaranteed:
that changes which are not small, or were chosen by an adversary, do as little. The draws depend on the order of rows.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, cast

import numpy as np

from governance.errors import InputError
from governance.measures.confusion import Array, Share
from governance.measures.intervals import LARGEST_EXPONENT, half_width, normal_mean, proportion, wilson
from governance.records import Measurement

if TYPE_CHECKING:
    import pandas as pd

TaskName = Literal["binary_classification", "multiclass_classification", "regression"]
Score = Callable[["pd.DataFrame"], Array]
Decide = Callable[[Array], Array]

LIMIT_ROWS = 5000
"""Rows that noise is added to, unless whoever calls says otherwise."""

BLANKED = 50_000
"""Rows that the model may score with a feature blanked, all features together: with 47 features, 1,063 rows each."""

SLICED_ROWS = 100_000
"""Rows among which slices are looked for."""

NOISE = 0.1
"""Of a feature's spread."""

DRAWS = 3
"""Times that noise is drawn."""

NORMAL_IQR = 1.349
"""The interquartile range of a normal distribution, in standard deviations."""

FEW_VALUES = 8
"""A column of numbers with no more than this many different ones is sliced by value and not by quarter."""

WORST = 5
"""How many of the worst slices and features are named."""

MISSING = "missing"
QUARTERS = ("1st quarter", "2nd quarter", "3rd quarter", "4th quarter")


def measure_robustness(
    score: Score,
    features: "pd.DataFrame",
    labels: Array,
    predictions: Array,
    *,
    task: TaskName,
    decide: Decide | None = None,
    groups: Mapping[str, Array] | None = None,
    seed: int = 0,
    limit_rows: int = LIMIT_ROWS,
    minimum_n: int = 30,
) -> list[Measurement]:
    """Measure what small changes do, and where the model is at its worst.

    Args:
        score: What the model says of rows: shape (n), or (n, classes).
        features: Rows as the model sees them, shape (n, features).
        labels: What came true: 0 and 1, positions of classes, or numbers, shape (n).
        predictions: What was answered for these rows without having been trained on them, in the form of the labels.
        task: What the model answers.
        decide: Turns scores into decisions, shape (n); needed for two classes. Of several, by default, the most
            probable; of numbers, themselves.
        groups: Group of each row by protected attribute, each of shape (n): slices of their own.
        seed: Seed of the noise and of the rows that are drawn.
        limit_rows: Add noise to no more rows than this.
        minimum_n: Smaller slices are not looked at.

    Returns:
        For classes ``noise_flips``, ``missing_flips``, ``worst_slice_accuracy``; for numbers ``noise_change``,
        ``missing_change``, ``worst_slice_error``; for both ``missing_refused``. The worst features are named by
        ``feature_missing_flips`` or ``feature_missing_change``, the worst slices by ``slice_accuracy`` or
        ``slice_error``.

    Raises:
        InputError: There are no rows, their numbers differ, or it is not said how two classes are told apart.
    """
    from threadpoolctl import threadpool_limits

    labels, predictions = np.asarray(labels), np.asarray(predictions)
    _check(features, labels, predictions, groups or {}, task, decide)
    generator = np.random.default_rng(seed)
    of_numbers = task == "regression"
    rows = _drawn(len(features), limit_rows, generator)
    fewer = rows[: max(1, BLANKED // features.shape[1])]
    sliced = _drawn(len(features), SLICED_ROWS, generator)
    known = {name: np.asarray(group)[sliced] for name, group in (groups or {}).items()}
    slices = Slices(features.iloc[sliced], known, minimum_n)
    model = Model(score, decide or DECIDED[task], of_numbers)
    with threadpool_limits(1):  # many small questions: threads that wait for each other cost tenfold on a busy machine
        changed = [
            *_noise(Asked.of(model, features.iloc[rows]), generator),
            *_missing(Asked.of(model, features.iloc[fewer])),
        ]
    return [*changed, *_worst(labels[sliced], predictions[sliced], slices, of_numbers)]


class Model(NamedTuple):
    """A model as something that answers: decisions, or numbers."""

    score: Score
    decide: Decide
    of_numbers: bool


@dataclass(frozen=True, eq=False)
class Asked:
    """A model and its answers to rows as they are.

    Attributes:
        model: What answers.
        rows: The rows.
        before: Its answers to them, shape (n).
    """

    model: Model
    rows: "pd.DataFrame"
    before: Array

    @classmethod
    def of(cls, model: Model, rows: "pd.DataFrame") -> "Asked":
        """Ask for the first time."""
        return cls(model, rows, np.asarray(model.decide(np.asarray(model.score(rows)))))

    @property
    def immovable(self) -> str | None:
        """Why it cannot be said how far numbers move; ``None`` where it can."""
        constant = self.model.of_numbers and not self.before.std() > 0
        return "all predictions are the same number" if constant else None

    def moves(self, changed: "pd.DataFrame") -> Array:
        """Return how far the answer to each row moves when the row is changed, shape (n).

        Of decisions 1 where it is another, else 0; of numbers the distance in standard deviations of all answers.
        """
        after = np.asarray(self.model.decide(np.asarray(self.model.score(changed))))
        if self.model.of_numbers:
            return np.asarray(np.abs(after.astype(np.float64) - self.before) / self.before.std())
        return np.asarray(after != self.before, dtype=np.float64)


# --- noise -----------------------------------------------------------------------------------------------------------


def noise_flips(moved: Array) -> Measurement:
    """Share of decisions that change when every number is a little off.

    Formula: to each column of numbers is added normal noise with 0.1 of its spread (interquartile range / 1.349, the
    standard deviation of a normal distribution with these quartiles, which codes like 999 do not inflate), all columns
    at once; whole numbers are rounded, nothing leaves the range of its column, what is missing stays so. Share of rows
    whose decision differs, mean of three draws.
    Source: flip probability, Hendrycks and Dietterich (2019), Benchmarking Neural Network Robustness to Common
    Corruptions and Perturbations, ICLR; as a demand, EU AI Act (2024/1689) article 15(4). One tenth is convention.
    Interval: Wilson, with as many successes as rows that flip on average.
    Ideal: 0; applicants on the border flip in any model.
    Limits: columns whose quartiles are equal, and those that are no numbers, are left as they are; whole numbers of a
    small range often round back to themselves.
    """
    return _flips("noise_flips", moved, {})


def noise_change(moved: Array) -> Measurement:
    """How far predicted numbers move when every number is a little off.

    Formula: noise as for decisions (``noise_flips``); mean of |prediction with noise − prediction| over rows and three
    draws / standard deviation of the predictions.
    Source: as ``noise_flips``; interval: the central limit theorem.
    Ideal: 0; about 0.08 where one feature decides in a straight line.
    Limits: as for decisions; the standard deviation of the predictions is taken as known.
    """
    return _change("noise_change", moved, {})


def _noise(asked: Asked, generator: np.random.Generator) -> list[Measurement]:
    columns = list(_noisy(asked.rows))
    reason = asked.immovable
    if not columns:
        reason = "there is no column of numbers with different quartiles to add noise to"
    if reason:
        return [_absent("noise", asked, reason)]
    moved = np.mean([asked.moves(_with_noise(asked.rows, columns, generator)) for _ in range(DRAWS)], axis=0)
    return [noise_change(moved) if asked.model.of_numbers else noise_flips(moved)]


class _Noisy(NamedTuple):
    """A column of numbers that noise can be added to."""

    at: int
    numbers: Array
    deviation: float
    whole: bool


def _noisy(rows: "pd.DataFrame") -> Iterator[_Noisy]:
    for at in range(rows.shape[1]):
        numbers = _numbers(rows.iloc[:, at])
        known = numbers[np.isfinite(numbers)] if numbers is not None else np.empty(0)
        low, high = np.quantile(known, [0.25, 0.75]) if known.size else (0.0, 0.0)
        if numbers is not None and low < high:
            yield _Noisy(at, numbers, NOISE * float(high - low) / NORMAL_IQR, bool(np.all(known == np.rint(known))))


def _with_noise(rows: "pd.DataFrame", columns: Sequence[_Noisy], generator: np.random.Generator) -> "pd.DataFrame":
    import pandas as pd

    changed = rows.copy(deep=False)
    for at, numbers, deviation, whole in columns:
        known = np.isfinite(numbers)
        moved = numbers[known] + generator.normal(0.0, deviation, int(known.sum()))
        moved = np.rint(moved) if whole else moved
        column = numbers.copy()
        column[known] = np.clip(moved, numbers[known].min(), numbers[known].max())
        changed.isetitem(at, pd.array(column, dtype=rows.dtypes.iloc[at]))
    return changed


def _numbers(column: "pd.Series") -> Array | None:
    """Return a column of numbers as such, with NaN for what is missing; ``None`` of any other column."""
    from pandas.api.types import is_bool_dtype, is_numeric_dtype

    if not is_numeric_dtype(column) or is_bool_dtype(column):
        return None
    return np.asarray(column.to_numpy(dtype=np.float64, na_value=np.nan))


# --- missing values --------------------------------------------------------------------------------------------------


def missing_flips(moved: Array) -> Measurement:
    """Share of decisions that change when one feature is not recorded, for the feature where they are most.

    Formula: each feature in turn is blanked in all rows; share of rows whose decision differs; the largest. A feature
    whose absence the model refuses changes no decision, for none is made: ``missing_refused`` counts it.
    Source: as a demand, EU AI Act (2024/1689) article 15(4): resilient to faults and inconsistencies; interval: Wilson.
    Ideal: low: a feed that breaks unseen should not decide.
    Limits: one feature at a time; the largest of many is a little too large on few rows, and its interval does not
    know of how many features it is the largest.
    """
    return _flips("missing_flips", moved, {})


def missing_change(moved: Array) -> Measurement:
    """How far predicted numbers move when one feature is not recorded, for the feature where it is most.

    Formula: each feature in turn is blanked in all rows; mean of |prediction without it − prediction| / standard
    deviation of the predictions; the largest. A feature whose absence the model refuses is counted by
    ``missing_refused``.
    Source: as ``missing_flips``; interval: the central limit theorem.
    Ideal: low.
    Limits: as for decisions (``missing_flips``); the standard deviation of the predictions is taken as known.
    """
    return _change("missing_change", moved, {})


def feature_missing_flips(moved: Array, feature: str) -> Measurement:
    """Share of decisions that change when this feature is not recorded.

    Formula: as ``missing_flips``; of the five features where it is most.
    Source: as ``missing_flips``.
    Ideal: low.
    Limits: one feature at a time.
    """
    return _flips("feature_missing_flips", moved, {"feature": feature})


def feature_missing_change(moved: Array, feature: str) -> Measurement:
    """How far predicted numbers move when this feature is not recorded.

    Formula: as ``missing_change``; of the five features where it is most.
    Source: as ``missing_change``.
    Ideal: low.
    Limits: one feature at a time.
    """
    return _change("feature_missing_change", moved, {"feature": feature})


def missing_refused(refused: int, features: int) -> Measurement:
    """Share of features whose absence the model refuses: it raises an error instead of answering.

    Formula: features that, blanked in all rows, make the model raise, of all features.
    Source: counted.
    Ideal: 1 where a value is never lawfully missing, for an error is seen and a wrong answer is not; 0 where it may be.
    Limits: says nothing of how the scoring service treats what is missing: its contract refuses first.
    """
    return Measurement("robustness.missing_refused", refused / features, features, method="counted")


def _missing(asked: Asked) -> list[Measurement]:
    k = asked.rows.shape[1]
    if asked.immovable:
        return [_absent("missing", asked, asked.immovable), _absent("missing_refused", asked, asked.immovable)]
    answered = {}
    for at, feature in enumerate(map(str, asked.rows.columns)):
        moved = _without(asked, at)
        if moved is not None:
            answered[feature] = moved
    worst = sorted(answered, key=lambda feature: (-float(answered[feature].mean()), feature))[:WORST]
    # Where every absence is refused, not one answer changes.
    largest = answered[worst[0]] if worst else np.zeros(len(asked.rows))
    numbers = asked.model.of_numbers
    of_all, of_one = (missing_change, feature_missing_change) if numbers else (missing_flips, feature_missing_flips)
    named = [of_one(answered[feature], feature) for feature in worst]
    return [of_all(largest), missing_refused(k - len(answered), k), *named]


def _without(asked: Asked, at: int) -> Array | None:
    """Return how far each answer moves where a feature is blanked, shape (n); ``None`` where the model refuses."""
    blanked = asked.rows.copy(deep=False)
    blanked.isetitem(at, _blank(asked.rows.iloc[:, at]))
    try:
        return asked.moves(blanked)
    except (InputError, ValueError, TypeError):  # it answered before, so what it refuses is the blank
        return None


def _blank(column: "pd.Series") -> Any:
    """Return a column of the same kind with nothing in it."""
    import pandas as pd

    if isinstance(column.dtype, np.dtype) and column.dtype.kind in "iufb":
        return np.full(len(column), np.nan)
    nothing: list[Any] = [None] * len(column)
    return pd.Series(nothing, dtype=cast("Any", column.dtype)).array


# --- slices ----------------------------------------------------------------------------------------------------------


def worst_slice_accuracy(right: Array, slices: "Slices") -> list[Measurement]:
    """Share of right answers in the slice where they are fewest.

    Formula: accuracy in each quarter of a column of numbers, each value of a column of few, each group of a protected
    attribute and the rows where a column is not recorded, with at least the minimum of rows; the lowest.
    Source: Chung et al. (2019), Slice Finder: Automated Data Slicing for Model Validation, ICDE; interval: Wilson.
    Ideal: close to the accuracy of the whole.
    Limits: the lowest of many. Some slice is below the whole by chance alone, the more slices the further, and the
    interval is that of this slice as if it had been chosen beforehand. Slices by one column only.
    """
    worst = slices.worst(right, lowest=True)
    if not worst:
        return [Measurement("robustness.worst_slice_accuracy", None, 0, reason=slices.too_few)]
    shares = [Share(right[inside].sum(), inside.sum(), "") for _, inside in worst]
    named = [slice_accuracy(share, label) for share, (label, _) in zip(shares, worst, strict=True)]
    return [proportion("robustness.worst_slice_accuracy", shares[0]), *named]


def slice_accuracy(right: Share, label: str) -> Measurement:
    """Share of right answers in this slice.

    Formula: right answers / rows; of the five slices where it is lowest.
    Source: Chung et al. (2019), Slice Finder, ICDE; interval: Wilson.
    Ideal: close to the accuracy of the whole.
    Limits: as ``worst_slice_accuracy``.
    """
    return proportion("robustness.slice_accuracy", right, {"slice": label})


def worst_slice_error(squares: Array, slices: "Slices") -> list[Measurement]:
    """Root mean squared error in the slice where it is largest, in those of the whole.

    Formula: √(mean squared error of the slice / mean squared error of all rows), over slices as for accuracy
    (``worst_slice_accuracy``); the largest. Interval: the delta method on the scale of logarithms, a slice's rows being
    part of the whole.
    Source: Chung et al. (2019), Slice Finder: Automated Data Slicing for Model Validation, ICDE.
    Ideal: 1.
    Limits: as ``worst_slice_accuracy``; too narrow an interval where a few errors are huge.
    """
    name = "robustness.worst_slice_error"
    if not squares.mean() > 0:
        return [Measurement(name, None, squares.size, reason="no prediction is off, so no slice is worse")]
    worst = slices.worst(squares, lowest=False)
    if not worst:
        return [Measurement(name, None, 0, reason=slices.too_few)]
    named = [slice_error(squares, inside, label) for label, inside in worst]
    return [replace(named[0], name=name, slice={}), *named]


def slice_error(squares: Array, inside: Array, label: str) -> Measurement:
    """Root mean squared error in this slice, in those of the whole.

    Formula: √(mean squared error of the slice / mean squared error of all rows); of the five slices where it is
    largest.
    Source: Chung et al. (2019), Slice Finder, ICDE; interval: the delta method on the scale of logarithms.
    Ideal: 1.
    Limits: as ``worst_slice_error``.
    """
    n, own, whole = int(inside.sum()), float(squares[inside].mean()), float(squares.mean())
    value, factor = math.sqrt(own / whole), 1.0
    if own > 0:
        # By how much the logarithm grows per share of weight that a row gains, in the slice and in the whole.
        influence = (inside * (squares.size / n) * (squares / own - 1) - (squares / whole - 1)) / 2
        factor = math.exp(min(half_width(influence), LARGEST_EXPONENT))
    return Measurement("robustness.slice_error", value, n, {"slice": label}, value / factor, value * factor, "delta")


class Slices(NamedTuple):
    """Rows, and what they are sliced by.

    Attributes:
        features: As the model sees them.
        groups: Group of each row by protected attribute.
        minimum_n: Smaller slices are not looked at.
    """

    features: "pd.DataFrame"
    groups: Mapping[str, Array]
    minimum_n: int

    @property
    def too_few(self) -> str:
        """Why there is no worst slice."""
        return f"not enough data: no slice has {self.minimum_n} rows"

    def worst(self, values: Array, *, lowest: bool) -> list[tuple[str, Array]]:
        """Return the slices with the lowest or highest mean, the worst first: their names, and which rows are in them.

        Args:
            values: One number a row.
            lowest: Whether the lowest mean is the worst.
        """
        sign = 1 if lowest else -1
        found: dict[str, tuple[float, int, str, str, int]] = {}
        for column in (*self.features.columns, *self.groups):
            names, cells = self._cells(column)
            sizes, totals = (np.bincount(cells, weights, len(names)) for weights in (None, values))
            for at in np.flatnonzero(sizes >= max(self.minimum_n, 1)):
                label = f"{column}: {names[at]}"
                found.setdefault(label, (sign * totals[at] / sizes[at], -int(sizes[at]), label, column, int(at)))
        # Of all columns the cells would not fit into memory; of the worst few they are made again.
        return [(label, self._cells(column)[1] == at) for _, _, label, column, at in sorted(found.values())[:WORST]]

    def _cells(self, column: Any) -> tuple[list[str], Array]:
        """Return the names of a column's slices, and the position of each row's; what is missing comes last."""
        import pandas as pd

        values = pd.Series(self.groups[column], dtype=object) if column in self.groups else self.features[column]
        numbers = _numbers(values)
        if numbers is not None and _has_many(numbers):
            known = np.isfinite(numbers)
            cells = np.searchsorted(np.quantile(numbers[known], [0.25, 0.5, 0.75]), numbers)
            return [*QUARTERS, MISSING], np.where(known, cells, len(QUARTERS))
        codes, uniques = pd.factorize(values)
        return [*map(_in_words, uniques), MISSING], np.where(codes < 0, len(uniques), codes)


def _has_many(numbers: Array) -> bool:
    known = numbers[np.isfinite(numbers)]
    return np.unique(known[:1000]).size > FEW_VALUES or np.unique(known).size > FEW_VALUES


def _in_words(value: Any) -> str:
    return f"{value:.15g}" if isinstance(value, float | np.floating) else str(value)


def _worst(labels: Array, predictions: Array, slices: Slices, of_numbers: bool) -> list[Measurement]:
    if of_numbers:
        return worst_slice_error((labels.astype(np.float64) - predictions) ** 2, slices)
    return worst_slice_accuracy((labels == predictions).astype(np.float64), slices)


# --- what they have in common ----------------------------------------------------------------------------------------


def _flips(measure: str, moved: Array, slice: dict[str, str]) -> Measurement:
    interval = wilson(float(moved.sum()), moved.size)
    return Measurement(f"robustness.{measure}", float(moved.mean()), moved.size, slice, *interval, "wilson")


def _change(measure: str, moved: Array, slice: dict[str, str]) -> Measurement:
    interval = normal_mean(moved, at_least=0.0)
    return Measurement(f"robustness.{measure}", float(moved.mean()), moved.size, slice, *interval, "normal")


def _absent(measure: str, asked: Asked, reason: str) -> Measurement:
    ending = "" if "_" in measure else "_change" if asked.model.of_numbers else "_flips"
    return Measurement(f"robustness.{measure}{ending}", None, len(asked.rows), reason=reason)


def _most_probable(scores: Array) -> Array:
    return np.asarray(scores.argmax(1))


def _itself(scores: Array) -> Array:
    return scores


DECIDED: dict[str, Decide] = {"multiclass_classification": _most_probable, "regression": _itself}
"""How scores become answers where nobody has to say so."""


def _check(
    features: "pd.DataFrame",
    labels: Array,
    predictions: Array,
    groups: Mapping[str, Array],
    task: TaskName,
    decide: Decide | None,
) -> None:
    lengths = {"labels": len(labels), "predictions": len(predictions)} | {
        name: len(one) for name, one in groups.items()
    }
    strange = [f"{n} {name}" for name, n in lengths.items() if n != len(features)]
    if features.empty or strange:
        found = ", ".join([f"{features.shape[0]} rows × {features.shape[1]}", *strange])
        raise InputError(
            f"Expected rows with features, and a label, a prediction and a group for each of them, found {found}."
        )
    if decide is None and task not in DECIDED:
        raise InputError(
            "Expected `decide`, which turns scores into decisions, found none: two classes are told apart by a "
            "threshold, which the scores do not say."
        )


def _drawn(n: int, limit: int, generator: np.random.Generator) -> Array:
    """Return the positions of no more than ``limit`` rows, in random order."""
    return generator.choice(n, min(n, limit), replace=False)
