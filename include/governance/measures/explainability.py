"""What drives the model's scores, and can every prediction be explained faithfully?

SHAP values are computed by the first of three explainers that reproduces the model's own score: exact for trees, exact
for linear models behind column-wise preparation, and else shap's permutation explainer, which asks any model and so
gets a budget. No explainer is trusted to know the model: each explanation must add up to the score that the *whole*
model gives, wrappers and pipeline included, or the row counts as not explained. (shap is silently wrong for some
trees, those with categorical splits among them.)

Neighbours: protected attributes were kept apart before rows arrive here. Not guaranteed: that a feature
with a large share causes anything; correlated features divide their share between them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce, wraps
from typing import TYPE_CHECKING, Any

import numpy as np

from governance.errors import InputError
from governance.measures.confusion import Array, Share
from governance.measures.intervals import proportion, ratio_of_means, spearman
from governance.records import Measurement

if TYPE_CHECKING:
    import pandas as pd

Values = tuple[Array, Array]
"""SHAP values, shape (n, k), and the base value of each row, shape (n)."""

TOLERANCE = 1e-4
"""How far base value and SHAP values of a row may add up beside the model's score: on a score from 0 to 1, far below
any difference between two decisions, and above the rounding of libraries that count in 32 bits."""

TOP = 10

BUDGET = 400_000
"""Rows that the permutation explainer may ask the model to score, all in all."""

BACKGROUND_ROWS = 20
"""Rows of the background that stand in for a feature that is left out, in the permutation explainer."""

ORDERS = 8
"""Orders of features that the permutation explainer tries, each on another part of the rows."""

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


@dataclass(frozen=True)
class Explanation:
    """SHAP values of some rows.

    Attributes:
        rows: The rows that were explained, a frame of n rows and k features.
        values: SHAP values on the scale of the explainer (a tree's are log-odds), shape (n, k).
        faithful: Which rows have finite values that add up to the model's score, shape (n).
    """

    rows: "pd.DataFrame"
    values: Array
    faithful: Array

    @property
    def features(self) -> tuple[str, ...]:
        """The names of the features, in the order of the columns."""
        return tuple(str(name) for name in self.rows.columns)

    @property
    def weights(self) -> Array:
        """The |SHAP| of rows with a faithful explanation, shape (faithful rows, k)."""
        return np.abs(self.values[self.faithful])

    @property
    def unusable(self) -> str | None:
        """Why there is nothing to say of features; ``None`` where there is."""
        if not self.faithful.any():
            return f"none of {len(self.rows)} explanations adds up to the model's score"
        return None if self.weights.any() else "no feature moves the model's score"


def measure_explainability(
    model: Any, background: "pd.DataFrame", rows: "pd.DataFrame", *, limit_rows: int = 2000, seed: int = 0
) -> list[Measurement]:
    """Measure how well, and by which features, a binary classifier's scores are explained.

    Args:
        model: A fitted scikit-learn classifier; wrappers with a threshold and pipelines are looked into.
        background: Rows that say what is usual, with the columns the model was trained on.
        rows: Rows to explain, with the same columns.
        limit_rows: Explain no more than this many, drawn at random; the intervals say what that costs.
        seed: Seed of the draw and of the permutation explainer.

    Returns:
        ``coverage``, ``top_10_share``, then ``importance`` and ``direction`` of each feature.

    Raises:
        InputError: Background and rows differ in their columns, or one of them is empty.
    """
    if list(background.columns) != list(rows.columns) or background.empty or rows.empty:
        raise InputError(
            f"Expected background and rows with the same features and at least one row each, found "
            f"{background.shape[0]} rows × {background.shape[1]} and {rows.shape[0]} rows × {rows.shape[1]}."
        )
    explained = explain(model, background, _sample(rows, limit_rows, seed), seed)
    return [coverage(explained), top_10_share(explained), *importance(explained), *direction(explained)]


def coverage(explained: Explanation) -> Measurement:
    """Share of predictions that have a faithful explanation.

    Formula: rows whose SHAP values are finite and, with the base value, add up to the model's score within
    :data:`TOLERANCE`, of all rows that were to be explained.
    Source: local accuracy, property 1 of Lundberg and Lee (2017), A Unified Approach to Interpreting Model Predictions.
    Ideal: 1.
    Limits: an explanation can add up and still mislead where features are correlated.
    """
    share = Share(explained.faithful.sum(), np.array(explained.faithful.size), "there are no rows")
    return proportion("explainability.coverage", share)


def top_10_share(explained: Explanation) -> Measurement:
    """Share of all influence that the ten most influential features carry.

    Formula: sum of the ten largest mean |SHAP| / sum of all.
    Source: mean |SHAP| as importance, Lundberg et al. (2020), Nature Machine Intelligence 2.
    Ideal: high enough for a person to grasp the model; 1 with ten features or fewer.
    Limits: the ten are chosen on the rows that judge them, so it is a little too high on few rows.
    """
    if explained.unusable:
        return Measurement("explainability.top_10_share", None, 0, reason=explained.unusable)
    largest = np.argsort(-explained.weights.mean(0), kind="stable")[:TOP]
    return _share("top_10_share", explained, largest, {})


def importance(explained: Explanation) -> list[Measurement]:
    """Share of all influence that a feature carries.

    Formula: mean |SHAP| of the feature / sum over all features.
    Source: Lundberg et al. (2020), Nature Machine Intelligence 2.
    Ideal: none; a proxy of a protected attribute should not be among the largest.
    Limits: on the scale of the explainer (log-odds for boosted trees and linear models); correlated features share.
    """
    if explained.unusable:
        return [_absent("importance", feature, explained.unusable) for feature in explained.features]
    return [
        _share("importance", explained, np.array([position]), {"feature": feature})
        for position, feature in enumerate(explained.features)
    ]


def direction(explained: Explanation) -> list[Measurement]:
    """Whether higher values of a feature raise (+1) or lower (−1) the score.

    Formula: Spearman's rank correlation of value and SHAP value, over rows where the feature is recorded.
    Source: Spearman (1904), American Journal of Psychology 15(1).
    Ideal: the sign that experts expect.
    Limits: 0 for a feature that matters but not in one direction.
    """
    if explained.unusable:
        return [_absent("direction", feature, explained.unusable) for feature in explained.features]
    shap_values = explained.values[explained.faithful]
    rows = explained.rows[explained.faithful]
    return [
        _direction_of(feature, rows.iloc[:, position], shap_values[:, position])
        for position, feature in enumerate(explained.features)
    ]


def explain(model: Any, background: "pd.DataFrame", rows: "pd.DataFrame", seed: int) -> Explanation:
    """Return the SHAP values of rows by the first exact explainer that is faithful for all, else by permutation.

    Args:
        model: A fitted classifier.
        background: Rows that say what is usual.
        rows: Rows to explain, at least one.
        seed: Seed of the permutation explainer.
    """
    scores = score_of(model)
    wanted = scores(rows)
    for attempt in (_by_trees, _by_coefficients):
        values, base = attempt(model, background, rows)
        faithful = _faithful(values, base, wanted)
        if faithful.all():
            return Explanation(rows, values, faithful)
    some = rows.iloc[: max(1, BUDGET // _evaluations_per_row(background))]
    values, base = _by_permutation(scores, background, some, seed)
    return Explanation(some, values, _faithful(values, base, wanted[: len(some)]))


def score_of(model: Any) -> Callable[["pd.DataFrame"], Array]:
    """Return the function that scores rows: the probability of 1 where there is one, else the decision function."""
    if hasattr(model, "predict_proba"):
        return lambda rows: np.asarray(model.predict_proba(rows))[:, 1]
    return lambda rows: np.asarray(model.decision_function(rows))


def _or_nothing(explain_exactly: Callable[..., Values]) -> Callable[..., Values]:
    """Turn a refusal of shap, which takes many forms, into values that explain nothing."""

    @wraps(explain_exactly)
    def attempt(model: Any, background: "pd.DataFrame", rows: "pd.DataFrame") -> Values:
        try:
            return explain_exactly(model, background, rows)
        except (ValueError, TypeError, NotImplementedError, AssertionError):
            return np.full(rows.shape, np.nan), np.full(len(rows), np.nan)

    return attempt


@_or_nothing
def _by_trees(model: Any, background: "pd.DataFrame", rows: "pd.DataFrame") -> Values:
    import shap

    core, prepare = _unwrap(model, list(rows.columns))
    return _values_of(shap.TreeExplainer(core, feature_perturbation="tree_path_dependent"), prepare(rows))


@_or_nothing
def _by_coefficients(model: Any, background: "pd.DataFrame", rows: "pd.DataFrame") -> Values:
    import shap

    core, prepare = _unwrap(model, list(rows.columns))
    usual = np.asarray(prepare(background), dtype=np.float64)
    masker = shap.maskers.Independent(usual, max_samples=len(usual))
    return _values_of(shap.LinearExplainer(core, masker), np.asarray(prepare(rows), dtype=np.float64))


def _by_permutation(
    scores: Callable[["pd.DataFrame"], Array], background: "pd.DataFrame", rows: "pd.DataFrame", seed: int
) -> Values:
    """Sample Shapley values by walking from usual rows to the row explained, feature by feature.

    Each part of the rows gets an order of its own and its reverse, which is exact for interactions of two features.
    Source: Castro, Gómez and Tejada (2009), Computers & Operations Research 36(5); for the reverse, Mitchell et al.
    (2022), JMLR 23. shap has the same, but compiles for ten seconds and seeds numpy's global generator.
    """
    generator = np.random.default_rng(seed)
    usual = _sample(background, BACKGROUND_ROWS, seed)
    parts = np.array_split(np.arange(len(rows)), min(ORDERS, len(rows)))
    orders = [generator.permutation(rows.shape[1]) for _ in parts]
    base = float(scores(usual).mean())
    values = [_walk(scores, usual, rows.iloc[part], order) for part, order in zip(parts, orders, strict=True)]
    return np.concatenate(values), np.full(len(rows), base)


def _walk(
    scores: Callable[["pd.DataFrame"], Array], usual: "pd.DataFrame", rows: "pd.DataFrame", order: Array
) -> Array:
    n, usual_n = len(rows), len(usual)
    known = rows.iloc[np.repeat(np.arange(n), usual_n)]
    values = np.zeros(rows.shape)
    for path in (order, order[::-1]):
        mixed = usual.iloc[np.tile(np.arange(usual_n), n)].copy()
        before = np.full(n, scores(usual).mean())
        for feature in path:
            mixed.isetitem(int(feature), known.iloc[:, int(feature)].array)
            after = scores(mixed).reshape(n, usual_n).mean(1)
            values[:, feature] += (after - before) / 2
            before = after
    return values


def _evaluations_per_row(background: "pd.DataFrame") -> int:
    return (2 * background.shape[1] + 1) * min(len(background), BACKGROUND_ROWS)


def _values_of(explainer: Any, rows: Any) -> Values:
    values = np.asarray(explainer.shap_values(rows), dtype=np.float64)
    base = np.ravel(explainer.expected_value)[-1]
    # A forest explains each class; the favourable one is the last.
    return values[..., -1] if values.ndim == 3 else values, np.full(len(values), base)


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


def _faithful(values: Array, base: Array, scores: Array) -> Array:
    """Return which rows add up to the score, either as they are or as log-odds, whichever fits all rows better."""
    from scipy.special import expit

    total = base + values.sum(1)
    gaps = [np.nan_to_num(np.abs(link - scores), nan=np.inf) for link in (total, expit(total))]
    best = min(gaps, key=lambda gap: float(np.median(gap)))
    return np.asarray(np.isfinite(values).all(1) & (best <= TOLERANCE))


def _sample(rows: "pd.DataFrame", limit: int, seed: int) -> "pd.DataFrame":
    return rows if len(rows) <= limit else rows.sample(n=limit, random_state=seed)


def _share(measure: str, explained: Explanation, columns: Array, slice: dict[str, str]) -> Measurement:
    weights = explained.weights
    part, whole = weights[:, columns].sum(1), weights.sum(1)
    value = float(part.sum() / whole.sum())
    return Measurement(
        f"explainability.{measure}", value, len(weights), slice, *ratio_of_means(part, whole), "linearised"
    )


def _absent(measure: str, feature: str, reason: str, n: int = 0) -> Measurement:
    return Measurement(f"explainability.{measure}", None, n, {"feature": feature}, reason=reason)


def _direction_of(feature: str, column: "pd.Series", values: Array) -> Measurement:
    from pandas.api.types import is_numeric_dtype
    from scipy.stats import spearmanr

    if not is_numeric_dtype(column):
        return _absent("direction", feature, "its values are not numbers")
    recorded = column.notna().to_numpy()
    n = int(recorded.sum())
    numbers, moved = column.to_numpy(dtype=np.float64, na_value=np.nan)[recorded], values[recorded]
    if n == 0 or np.ptp(numbers) == 0:
        return _absent("direction", feature, "its value is the same in every row", n)
    if np.ptp(moved) == 0:
        return _absent("direction", feature, "it never moves the score", n)
    correlation = float(spearmanr(numbers, moved).statistic)
    return Measurement(
        "explainability.direction", correlation, n, {"feature": feature}, *spearman(correlation, n), "bonett-wright"
    )
