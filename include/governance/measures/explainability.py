"""What drives the model's scores, how sure is that, and can every prediction be explained faithfully?

The SHAP values come from :mod:`~governance.measures.explainability_values`, which believes no explainer that does not
reproduce the model's own scores; single predictions are told by :mod:`~governance.measures.explainability_reasons`.
All uncertainty here is that of the rows that were explained: no more than a budget of them are, and every measurement
says how many (n) and what that costs (its interval).

Neighbours: protected attributes were kept apart before rows arrive here. Not guaranteed: that a feature
with a large share causes anything; correlated features divide their share between them. Which rows are drawn, where
there are more than the budget, depends on their order.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from governance.measures.confusion import Array, Share
from governance.measures.explainability_reasons import has_reasons
from governance.measures.explainability_values import Explanation, TaskName, draw, explain
from governance.measures.intervals import SEED, percentiles, proportion, ratio_of_means, spearman
from governance.records import Measurement

if TYPE_CHECKING:
    import pandas as pd

LIMIT_ROWS = 2000
"""How many rows are explained at most, unless whoever calls says otherwise."""

TOPS = (3, 5, 10)

PAIRS = 200
"""Pairs of resamples that the stability of the ranking is the mean over."""

Decide = Callable[[Array], Array]


def measure_explainability(
    model: Any,
    background: "pd.DataFrame",
    rows: "pd.DataFrame",
    *,
    task: TaskName = "binary_classification",
    limit_rows: int = LIMIT_ROWS,
    seed: int = 0,
    favourable: Any = None,
    decide: Decide | None = None,
) -> list[Measurement]:
    """Measure how well, and by which features, a model's scores are explained.

    Args:
        model: A fitted model with ``predict_proba`` (or ``decision_function``) or, for a regression, ``predict``;
            wrappers with a threshold and pipelines are looked into.
        background: Rows that say what is usual, with the columns the model was trained on.
        rows: Rows to explain, with the same columns.
        task: What the model answers. Of several classes, the one that a row is answered with is explained.
        limit_rows: Explain no more than this many, drawn at random; the intervals say what that costs.
        seed: Seed of the draw and of the permutation explainer.
        favourable: The favourable class, of two (of several it changes nothing); by default the one that the model's
            own threshold is set for, else the last.
        decide: Turns scores, shape (n), into decisions, 1 favourable and 0 not; by default by the model's own
            threshold, else by 0.5. Of two classes only.

    Returns:
        ``coverage``, the three ``top_…_share``, ``stability``, ``unused_features``; for two classes
        ``denials_with_reasons``; then ``importance`` and ``direction`` of each feature.

    Raises:
        InputError: Background and rows differ in their columns, or one of them is empty; or the model does not know
            the favourable class.
    """
    of_two = task == "binary_classification"
    one = favourable if of_two else None
    explained = explain(model, background, draw(rows, limit_rows, seed), seed, task=task, favourable=one)
    found = [coverage(explained), *(top_share(explained, top) for top in TOPS), stability(explained)]
    found.append(unused_features(explained))
    if of_two:
        found.append(denials_with_reasons(explained, (decide or _own_decision(model))(explained.scores)))
    return [*found, *importance(explained), *direction(explained)]


def coverage(explained: Explanation) -> Measurement:
    """Share of predictions that have a faithful explanation.

    Formula: rows whose SHAP values are finite and, with the base value, add up to the model's score within 0.0001 (of
    a probability) or 0.0001 standard deviations (of predicted numbers), of all rows that were to be explained.
    Source: local accuracy, property 1 of Lundberg and Lee (2017), A Unified Approach to Interpreting Model Predictions.
    Ideal: 1.
    Limits: an explanation can add up and still mislead where features are correlated.
    """
    share = Share(explained.faithful.sum(), np.array(explained.faithful.size), "there are no rows")
    return proportion("explainability.coverage", share)


def top_share(explained: Explanation, top: int) -> Measurement:
    """Share of all influence that the k most influential features carry, for k = 3, 5 and 10.

    Formula: sum of the k largest mean |SHAP| / sum of all.
    Source: mean |SHAP| as importance, Lundberg et al. (2020), Nature Machine Intelligence 2.
    Ideal: high enough for a person to grasp the model; 1 with k features or fewer.
    Limits: the k are chosen on the rows that judge them, so it is a little too high on few rows.
    """
    if explained.unusable:
        return Measurement(f"explainability.top_{top}_share", None, 0, reason=explained.unusable)
    largest = np.argsort(-explained.weights.mean(0), kind="stable")[:top]
    return _share(f"top_{top}_share", explained, largest, {})


def stability(explained: Explanation) -> Measurement:
    """How alike the rankings of features are when other rows are explained.

    Formula: the rows are resampled with replacement, twice; Spearman's correlation of the two rankings of the features
    by mean |SHAP|; the mean over 200 such pairs. The interval is the middle 95 % of the pairs. Features that never
    move the score are left out; 1 where only one feature does.
    Source: Kalousis, Prados and Hilario (2007), Stability of Feature Selection Algorithms, Knowledge and Information
    Systems 12: mean similarity of rankings over pairs of resamples.
    Ideal: 1.
    Limits: the model stays the same: it says how far the rows that were explained decide the ranking, not how far
    another training would change it.
    """
    name = "explainability.stability"
    if explained.unusable:
        return Measurement(name, None, 0, reason=explained.unusable)
    weights = explained.weights[:, explained.used]
    n, features = weights.shape
    if features == 1:
        return Measurement(name, 1.0, n, method="bootstrap", low=1.0, high=1.0)
    generator = np.random.default_rng(SEED)
    drawn = generator.integers(0, n, size=(2 * PAIRS, n))
    ranks = _centred_ranks(np.array([np.bincount(rows, minlength=n) for rows in drawn]) @ weights)
    alike = _correlation(ranks[:PAIRS], ranks[PAIRS:])
    value = float(alike.mean())
    return Measurement(name, value, n, {}, *percentiles(alike, value), "bootstrap")


def unused_features(explained: Explanation) -> Measurement:
    """Number of features that the model is given and that move no score.

    Formula: features whose SHAP value is 0 in every row with a faithful explanation.
    Source: counted; the dummy property of Shapley values: what changes no score gets 0 (Lundberg and Lee 2017).
    Ideal: 0: data that is not needed should not be asked for.
    Limits: of the rows explained; a feature that matters in rare rows alone may count as unused.
    """
    name = "explainability.unused_features"
    if not explained.faithful.any():
        return Measurement(name, None, 0, reason=explained.unusable)
    return Measurement(name, float((~explained.used).sum()), len(explained.weights), method="counted")


def denials_with_reasons(explained: Explanation, decisions: Array) -> Measurement:
    """Share of unfavourable decisions that can be given principal reasons.

    Formula: unfavourable decisions whose explanation is faithful and has at least one feature that lowered the score
    below what is usual, of all unfavourable decisions among the rows to be explained.
    Source: Regulation B, 12 CFR 1002.9(b)(2), and its official interpretation: the specific principal reasons must be
    stated, and relate only to factors actually scored; one method is how far each factor fell below its average.
    Ideal: 1.
    Limits: says that there are reasons, not that an applicant would understand them; that the words for each feature
    are right is for people.
    """
    denied = np.asarray(decisions) == 0
    told = denied & has_reasons(explained)
    share = Share(told.sum(), denied.sum(), "not enough data: no row explained was decided unfavourably")
    return proportion("explainability.denials_with_reasons", share)


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


def importances(explained: Explanation) -> dict[str, float]:
    """Return the share of all influence by feature, as :func:`importance` measures it; empty where there is none."""
    if explained.unusable:
        return {}
    means = explained.weights.mean(0)
    return dict(zip(explained.features, (means / means.sum()).tolist(), strict=True))


def direction(explained: Explanation) -> list[Measurement]:
    """Whether higher values of a feature raise (+1) or lower (−1) the score.

    Formula: Spearman's rank correlation of value and SHAP value, over rows where the feature is recorded.
    Source: Spearman (1904), American Journal of Psychology 15(1).
    Ideal: the sign that experts expect.
    Limits: 0 for a feature that matters but not in one direction; none where there are more than two classes.
    """
    reason = explained.unusable
    if explained.own_class:
        reason = "of several classes each row's own is explained, and what raises one lowers another"
    if reason:
        return [_absent("direction", feature, reason) for feature in explained.features]
    shap_values = explained.values[explained.faithful]
    rows = explained.rows[explained.faithful]
    return [
        _direction_of(feature, rows.iloc[:, position], shap_values[:, position])
        for position, feature in enumerate(explained.features)
    ]


def _own_decision(model: Any) -> Decide:
    threshold = getattr(model, "threshold", None)
    if threshold is None:
        threshold = 0.5 if hasattr(model, "predict_proba") else 0.0  # a decision function's own
    return lambda scores: (scores >= threshold).astype(np.int8)


def _centred_ranks(importances: Array) -> Array:
    from scipy.stats import rankdata

    ranks = rankdata(importances, axis=1)
    return np.asarray(ranks - ranks.mean(1, keepdims=True))


def _correlation(one: Array, other: Array) -> Array:
    """Return Pearson's correlation of centred rows; 0 where all features of one are tied, which is no ranking."""
    spread = np.sqrt((one**2).sum(1) * (other**2).sum(1))
    return np.asarray(np.divide((one * other).sum(1), spread, out=np.zeros(len(one)), where=spread > 0))


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
