"""SHAP values of any model's scores: exact where its structure allows, else by asking it within a budget.

Four explainers are tried in turn, and the first that reproduces the model's own scores is taken: the library's own for
XGBoost and LightGBM, shap's for trees, shap's for linear models behind column-wise preparation, and a permutation
explainer, which asks any model and so gets a budget. No explainer is trusted to know the model: each explanation must
add up to the score that the *whole* model gives, wrappers and pipeline included, or the row counts as not explained.
(shap is silently wrong for some trees, those with categorical splits among them.)

What a score is depends on the task: the probability of the favourable class; the probability of the class that the
row is answered with; the prediction itself. Exact explainers speak of margins; they are brought onto one scale first
(:class:`Explanation`).

Neighbours: :mod:`~governance.measures.explainability` measures what comes out here. Not guaranteed: that a value is
what the world would do. Of correlated features, each gets a part of what they do together.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from governance.errors import InputError
from governance.measures.confusion import Array

if TYPE_CHECKING:
    import pandas as pd

TaskName = Literal["binary_classification", "multiclass_classification", "regression"]
Scale = Literal["score", "log-odds", "log"]

TOLERANCE = 1e-4
"""How far base value and SHAP values of a row may add up beside the model's score: of a probability this much; of a
predicted number this many standard deviations of the predictions. Far below any difference between two decisions, and
above the rounding of libraries that count in 32 bits."""

ROUNDING = 1e-6
"""What 32 bits may lose of a predicted number, as a share of the largest: 1,000,000 ± 10 has no more."""

BUDGET = 400_000
"""Rows that the permutation explainer may ask the model to score, all in all: with 47 features, that is 210 rows
explained; with 10, 952. How many they were is the n of every measurement, and its interval says what that costs."""

BACKGROUND_ROWS = 20
"""Rows of the background that stand in for a feature that is left out, in the permutation explainer."""

ORDERS = 8
"""Orders of features that the permutation explainer tries, each on another part of the rows."""

LARGEST_LOG = 300.0
"""Of a predicted number, if it is one: what is not meant as a logarithm would overflow as one."""

COLUMN_WISE = (
    "SimpleImputer",
    "StandardScaler",
    "MinMaxScaler",
    "MaxAbsScaler",
    "RobustScaler",
    "PowerTransformer",
    "QuantileTransformer",
)
"""Steps of a pipeline that turn each column into one column by itself, so that a SHAP value behind them belongs to the
feature before them."""


@dataclass(frozen=True, eq=False)
class Explanation:
    """SHAP values of some rows.

    Attributes:
        rows: The rows that were explained, a frame of n rows and k features.
        values: SHAP values, shape (n, k).
        faithful: Which rows have finite values that add up to the model's score, shape (n).
        base: What the values start from, shape (n).
        scores: The score that is explained, shape (n): the probability of the favourable class (or, where a classifier
            has none, its decision function), that of the class answered, or the predicted number.
        answers: Position of the class that the score speaks of, shape (n); 0 in a regression.
        scale: What the values are measured in: ``score``; ``log-odds`` of that class, against the mean of the logs of
            the others where there are several; ``log`` of the predicted number.
        own_class: Whether each row's score is that of the class that this row is answered with.
    """

    rows: "pd.DataFrame"
    values: Array
    faithful: Array
    base: Array
    scores: Array
    answers: Array
    scale: Scale
    own_class: bool = False

    @property
    def features(self) -> tuple[str, ...]:
        """The names of the features, in the order of the columns."""
        return tuple(str(name) for name in self.rows.columns)

    @property
    def weights(self) -> Array:
        """The |SHAP| of rows with a faithful explanation, shape (faithful rows, k)."""
        return np.abs(self.values[self.faithful])

    @property
    def used(self) -> Array:
        """Which features move the score of at least one of these rows, shape (k)."""
        return np.asarray((self.weights > 0).any(0))

    @property
    def unusable(self) -> str | None:
        """Why there is nothing to say of features; ``None`` where there is."""
        if not self.faithful.any():
            return f"none of {len(self.rows)} explanations adds up to the model's score"
        return None if self.used.any() else "no feature moves the model's score"


class Margins(NamedTuple):
    """What an exact explainer says.

    Attributes:
        values: SHAP values, shape (n, k, outputs).
        base: The base value of each output, shape (n, outputs).
    """

    values: Array
    base: Array


def explain(
    model: Any,
    background: "pd.DataFrame",
    rows: "pd.DataFrame",
    seed: int,
    *,
    task: TaskName = "binary_classification",
    favourable: Any = None,
    orders: int = 1,
) -> Explanation:
    """Return the SHAP values of rows by the first exact explainer that is faithful for all, else by permutation.

    Args:
        model: A fitted model: scikit-learn's (wrappers with a threshold and pipelines are looked into), or a
            :class:`~governance.training.native.NativeModel`.
        background: Rows that say what is usual, with the columns the model was trained on.
        rows: Rows to explain, with the same columns.
        seed: Seed of the permutation explainer.
        task: What the model answers.
        favourable: The class whose probability is explained. By default, of two classes, the one that the model's
            threshold is set for, else the last; of several, the one that each row is answered with.
        orders: In how many orders of features the permutation explainer walks to each row, as far as its budget allows.

    Returns:
        The explanations of all rows; of the first ones alone where the model had to be asked and the budget ended.

    Raises:
        InputError: Background and rows differ in their columns, or one of them is empty; or the model does not know
            the favourable class.
    """
    _require_alike(background, rows)
    asked = question(model, task, favourable)
    wanted = asked.scores(rows)
    tolerance = asked.tolerance(wanted)
    for attempt in (_by_library, _by_trees, _by_coefficients):
        explained = _reconciled(_or_nothing(attempt, model, background, rows), rows, wanted, asked, tolerance)
        if explained is not None and explained.faithful.all():
            return explained
    affordable = max(1, BUDGET // _evaluations_per_row(background))
    some = rows.iloc[:affordable]
    seeds = range(seed, seed + max(1, min(orders, affordable // len(some))))
    return _asked_for(asked, background, some, seeds, wanted[: len(some)], tolerance)


def draw(rows: "pd.DataFrame", limit: int, seed: int) -> "pd.DataFrame":
    """Return no more than ``limit`` rows, drawn at random."""
    return rows if len(rows) <= limit else rows.sample(n=limit, random_state=seed)


# --- what is asked -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Question:
    """Which score of a model is explained.

    Attributes:
        task: What the model answers.
        scores: What it says of rows, shape (n, outputs): one column a class, or a single one.
        explained: The column that is explained; ``None`` for that of each row's own answer.
        is_probability: Whether scores are probabilities.
    """

    task: TaskName
    scores: Callable[["pd.DataFrame"], Array]
    explained: int | None
    is_probability: bool

    def answers(self, scores: Array) -> Array:
        """Return which column of each row's scores is explained, shape (n)."""
        return np.asarray(scores.argmax(1)) if self.explained is None else np.full(len(scores), self.explained)

    def tolerance(self, scores: Array) -> float:
        """Return how far an explanation may be from the scores."""
        if self.is_probability:
            return TOLERANCE
        known = scores[np.isfinite(scores)]
        return float(TOLERANCE * known.std() + ROUNDING * np.abs(known).max()) if known.size else TOLERANCE


def question(model: Any, task: TaskName, favourable: Any = None) -> Question:
    """Return which score of a model is explained.

    Raises:
        InputError: The model does not know the favourable class.
    """
    if task == "regression":
        return Question(task, lambda rows: _columns(model.predict(rows)), 0, False)
    own = task == "multiclass_classification" and favourable is None
    at = None if own else _position(model, favourable)
    if hasattr(model, "predict_proba"):
        return Question(task, lambda rows: _columns(model.predict_proba(rows)), at, True)
    if task == "multiclass_classification":
        return Question(task, lambda rows: _columns(model.decision_function(rows)), at, False)
    sign = 1 if at else -1  # of two classes, there is one number for the last
    return Question(task, lambda rows: sign * _columns(model.decision_function(rows)), 0, False)


def _columns(scores: Any) -> Array:
    array = np.asarray(scores, dtype=np.float64)
    return array[:, None] if array.ndim == 1 else array


def _position(model: Any, favourable: Any) -> int:
    classes: list[Any] = np.asarray(getattr(model, "classes_", (0, 1))).tolist()
    wanted = getattr(model, "pos_label", None) if favourable is None else favourable
    if wanted is None:
        return len(classes) - 1
    if wanted not in classes:
        raise InputError(
            f"Expected a model that knows the favourable class {wanted!r}, found one for "
            f"{', '.join(map(str, classes))}. Is it the model of this spec?"
        )
    return classes.index(wanted)


def _require_alike(background: "pd.DataFrame", rows: "pd.DataFrame") -> None:
    if list(background.columns) != list(rows.columns) or background.empty or rows.empty:
        raise InputError(
            f"Expected background and rows with the same features and at least one row each, found "
            f"{background.shape[0]} rows × {background.shape[1]} and {rows.shape[0]} rows × {rows.shape[1]}."
        )


# --- exact explainers ----------------------------------------------------------------------------------------------


def _or_nothing(
    explain_exactly: Callable[..., Margins | None], model: Any, background: "pd.DataFrame", rows: "pd.DataFrame"
) -> Margins | None:
    """Turn a refusal of a library, which takes many forms, into no explanation."""
    try:
        return explain_exactly(model, background, rows)
    # shap says by any of the first four that it does not know a model or its trees, a native model by the last that it
    # lacks a column. The next explainer is asked, and each must add up to the model's score in any case.
    except (ValueError, TypeError, NotImplementedError, AssertionError, InputError):
        return None


def _by_library(model: Any, background: "pd.DataFrame", rows: "pd.DataFrame") -> Margins | None:
    """Ask XGBoost or LightGBM itself: both have TreeSHAP built in, and know their own trees."""
    kind, booster = getattr(model, "kind", None), getattr(model, "native", None)
    if booster is None or kind not in ("xgboost", "lightgbm"):
        return None
    matrix, names = model.matrix(rows), model.columns or tuple(rows.columns)
    if kind == "xgboost":
        import xgboost

        data = xgboost.DMatrix(matrix, nthread=1)
        found = booster.predict(
            data, pred_contribs=True, strict_shape=True, validate_features=False, iteration_range=_rounds(booster)
        )
    else:
        found = booster.predict(matrix, pred_contrib=True, num_threads=1)
    parts = np.asarray(found, dtype=np.float64).reshape(len(rows), -1, len(names) + 1)
    # Columns come in the model's order, and the base value behind them.
    order = [names.index(name) for name in rows.columns]
    return Margins(parts[:, :, order].transpose(0, 2, 1), parts[:, :, -1])


def _rounds(booster: Any) -> tuple[int, int]:
    """Return which trees count: scikit-learn's form of a model stops where early stopping said."""
    said = booster.attributes()
    stopped = "scikit_learn" in said and "best_iteration" in said
    return (0, int(said["best_iteration"]) + 1) if stopped else (0, 0)


def _by_trees(model: Any, background: "pd.DataFrame", rows: "pd.DataFrame") -> Margins:
    import shap

    core, prepare = _unwrap(model, list(rows.columns))
    return _margins_of(shap.TreeExplainer(core, feature_perturbation="tree_path_dependent"), prepare(rows))


def _by_coefficients(model: Any, background: "pd.DataFrame", rows: "pd.DataFrame") -> Margins:
    import shap

    core, prepare = _unwrap(model, list(rows.columns))
    usual = np.asarray(prepare(background), dtype=np.float64)
    masker = shap.maskers.Independent(usual, max_samples=len(usual))
    return _margins_of(shap.LinearExplainer(core, masker), np.asarray(prepare(rows), dtype=np.float64))


def _margins_of(explainer: Any, rows: Any) -> Margins:
    values = np.asarray(explainer.shap_values(rows), dtype=np.float64)
    values = values[..., None] if values.ndim == 2 else values
    base = np.ravel(explainer.expected_value)[-values.shape[2] :]
    return Margins(values, np.tile(base, (len(values), 1)))


def _unwrap(model: Any, columns: list[str]) -> tuple[Any, Callable[["pd.DataFrame"], Any]]:
    """Return the estimator inside thresholds, frozen wrappers and column-wise pipelines, and what prepares its rows."""
    from sklearn.frozen import FrozenEstimator
    from sklearn.model_selection import FixedThresholdClassifier, TunedThresholdClassifierCV
    from sklearn.pipeline import Pipeline

    steps: list[Any] = []
    while True:
        if isinstance(model, FixedThresholdClassifier | TunedThresholdClassifierCV):
            model = getattr(model, "estimator_", model.estimator)  # made of a frozen one, it is never fitted itself
        elif isinstance(model, FrozenEstimator):
            model = model.estimator
        elif isinstance(model, Pipeline) and _keeps_columns(model[:-1], columns):
            steps.append(model[:-1])
            model = model[-1]
        else:
            return model, lambda rows: reduce(_transform, steps, rows)


def _keeps_columns(preparation: Any, columns: list[str]) -> bool:
    """Whether each feature comes out where it went in, made of nothing but itself."""
    if any(type(step).__name__ not in COLUMN_WISE for _, step in preparation.steps):
        return False
    return not preparation.steps or list(preparation.get_feature_names_out(columns)) == columns


def _transform(rows: Any, step: Any) -> Any:
    return step.transform(rows)


# --- from margins to the score -------------------------------------------------------------------------------------


class _Reading(NamedTuple):
    """One way of reading margins: on which scale they are, and which scores they come to."""

    scale: Scale
    values: Array
    base: Array
    scores: Array


def _reconciled(
    margins: Margins | None, rows: "pd.DataFrame", wanted: Array, asked: Question, tolerance: float
) -> Explanation | None:
    """Return margins as an explanation of the scores, read in whichever way fits all rows best."""
    if margins is None:
        return None
    readings = list(_readings(margins, wanted.shape[1], asked.task))
    if not readings:
        return None
    gaps = [np.nan_to_num(np.abs(one.scores - wanted).max(1), nan=np.inf) for one in readings]
    best = int(np.argmin([np.median(gap) for gap in gaps]))
    scale, values, base, _ = readings[best]
    answers, each = asked.answers(wanted), np.arange(len(wanted))
    chosen = values[each, :, answers]
    faithful = np.isfinite(chosen).all(1) & (gaps[best] <= tolerance)
    own = asked.explained is None
    return Explanation(rows, chosen, faithful, base[each, answers], wanted[each, answers], answers, scale, own)


def _readings(margins: Margins, outputs: int, task: TaskName) -> Iterator[_Reading]:
    """Yield what margins can mean: the scores themselves, or the logarithms that the model's link turns into scores."""
    from scipy.special import expit, softmax

    values, base = margins
    if values.shape[2] == 1 and outputs == 2:
        yield _as_they_are(np.concatenate((-values, values), 2), np.concatenate((1 - base, base), 1))
        mirrored = np.concatenate((-values, values), 2), np.concatenate((-base, base), 1)
        yield _Reading("log-odds", *mirrored, expit(mirrored[1] + mirrored[0].sum(1)))
    elif values.shape[2] == outputs:
        yield _as_they_are(values, base)
        if task == "regression":
            yield _Reading("log", values, base, np.exp(np.minimum(base + values.sum(1), LARGEST_LOG)))
        elif outputs == 1:
            yield _as_they_are(-values, -base)  # where the first of two classes is the favourable one
        else:
            # Adding the same to the margins of all classes changes nothing: only what a class is above the others does.
            odds = _above_the_others(values), _above_the_others(base)
            yield _Reading("log-odds", *odds, softmax(base + values.sum(1), axis=1))


def _as_they_are(values: Array, base: Array) -> _Reading:
    return _Reading("score", values, base, base + values.sum(1))


def _above_the_others(margins: Array) -> Array:
    """Return margins minus the mean of the other classes' margins; with two classes, the log-odds."""
    classes = margins.shape[-1]
    return np.asarray((margins - margins.mean(-1, keepdims=True)) * classes / (classes - 1))


# --- asking ---------------------------------------------------------------------------------------------------------


def _asked_for(
    asked: Question, background: "pd.DataFrame", rows: "pd.DataFrame", seeds: range, wanted: Array, tolerance: float
) -> Explanation:
    answers, each = asked.answers(wanted), np.arange(len(rows))
    # Each walk has usual rows of its own, so values and base are averaged together and still add up.
    walks = [_by_permutation(asked.scores, background, rows, seed, answers) for seed in seeds]
    values, base = (np.mean(parts, axis=0) for parts in zip(*walks, strict=True))
    scores = wanted[each, answers]
    gap = np.nan_to_num(np.abs(base + values.sum(1) - scores), nan=np.inf)
    faithful = np.isfinite(values).all(1) & (gap <= tolerance)
    return Explanation(rows, values, faithful, base, scores, answers, "score", asked.explained is None)


def _by_permutation(
    scores: Callable[["pd.DataFrame"], Array],
    background: "pd.DataFrame",
    rows: "pd.DataFrame",
    seed: int,
    answers: Array,
) -> tuple[Array, Array]:
    """Sample Shapley values by walking from usual rows to the row explained, feature by feature.

    Each part of the rows gets an order of its own and its reverse, which is exact for interactions of two features.
    Source: Castro, Gómez and Tejada (2009), Computers & Operations Research 36(5); for the reverse, Mitchell et al.
    (2022), JMLR 23. shap has the same, but compiles for ten seconds and seeds numpy's global generator.

    Returns:
        Values, shape (n, k), and base values, shape (n).
    """
    generator = np.random.default_rng(seed)
    usual = draw(background, BACKGROUND_ROWS, seed)
    parts = np.array_split(np.arange(len(rows)), min(ORDERS, len(rows)))
    orders = [generator.permutation(rows.shape[1]) for _ in parts]
    start = scores(usual).mean(0)
    values = [
        _walk(scores, usual, rows.iloc[part], order, answers[part], start)
        for part, order in zip(parts, orders, strict=True)
    ]
    return np.concatenate(values), start[answers]


def _walk(
    scores: Callable[["pd.DataFrame"], Array],
    usual: "pd.DataFrame",
    rows: "pd.DataFrame",
    order: Array,
    answers: Array,
    start: Array,
) -> Array:
    n, usual_n = len(rows), len(usual)
    known = rows.iloc[np.repeat(np.arange(n), usual_n)]
    values = np.zeros(rows.shape)
    for path in (order, order[::-1]):
        mixed = usual.iloc[np.tile(np.arange(usual_n), n)].copy()
        before = start[answers]
        for feature in path:
            mixed.isetitem(int(feature), known.iloc[:, int(feature)].array)
            after = scores(mixed).reshape(n, usual_n, -1).mean(1)[np.arange(n), answers]
            values[:, feature] += (after - before) / 2
            before = after
    return values


def _evaluations_per_row(background: "pd.DataFrame") -> int:
    return (2 * background.shape[1] + 1) * min(len(background), BACKGROUND_ROWS)
