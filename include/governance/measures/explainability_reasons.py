"""Why one prediction came out as it did: explanations of single rows, and the principal reasons of a denial.

Reasons are features that lowered this row's score below what is usual, the most first. Two kinds of features can never
be one: those that the model does not use, whose SHAP value is 0; and those whose explanation does not add up to the
model's score, for then nothing is known.

Neighbours: :mod:`~governance.measures.explainability_values` computes the values. Not guaranteed: that an applicant
who changed what a reason names would be approved: a reason says what weighed, not what to do; nor that the name of a
column is fit to be read by an applicant, for which the spec has meanings.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from governance.errors import InputError
from governance.measures.confusion import Array
from governance.measures.explainability_values import ORDERS, Explanation, Scale, TaskName, explain

if TYPE_CHECKING:
    import pandas as pd

REASONS = 4
"""How many reasons a notice gives: "disclosure of more than four reasons is not likely to be helpful to the applicant"
(official interpretation of 12 CFR 1002.9(b)(2), comment 1)."""


@dataclass(frozen=True)
class Contribution:
    """What one feature did to one score.

    Attributes:
        feature: Its name.
        value: Its value in this row, as plain JSON: a number, a text, or ``None`` where nothing is recorded.
        contribution: By how much it raised (or, below 0, lowered) the score from what is usual, on the scale of the
            explanation.
    """

    feature: str
    value: Any
    contribution: float


@dataclass(frozen=True)
class LocalExplanation:
    """Why one row was scored as it was.

    Attributes:
        score: The score that is explained.
        answer: Position of the class that the score speaks of; 0 in a regression.
        base: What the contributions start from, on ``scale``: base and contributions add up to the score on it.
        scale: What contributions are measured in; see :class:`Explanation`.
        faithful: Whether they do add up to the model's score. If not, the contributions mean nothing.
        contributions: Of every feature, the strongest first.
        reasons: The principal reasons for a score that is too low, the strongest first.
    """

    score: float
    answer: int
    base: float
    scale: Scale
    faithful: bool
    contributions: tuple[Contribution, ...]
    reasons: tuple[Contribution, ...]


def local_explanations(
    model: Any,
    background: "pd.DataFrame",
    rows: "pd.DataFrame",
    *,
    task: TaskName = "binary_classification",
    favourable: Any = None,
    seed: int = 0,
    top: int = REASONS,
) -> list[LocalExplanation]:
    """Explain single predictions: one explanation a row, in their order.

    Args:
        model: A fitted model, as :func:`explain` takes it.
        background: Rows that say what is usual, with the columns the model was trained on.
        rows: Rows to explain, with the same columns.
        task: What the model answers.
        favourable: The favourable class; see :func:`explain`. Of several classes, there are no reasons without one.
        seed: Seed of the permutation explainer.
        top: How many reasons to give at most.

    Raises:
        InputError: Background and rows differ in their columns, or one of them is empty; or the model must be asked,
            and these are more rows than its budget allows.
    """
    explained = explain(model, background, rows, seed, task=task, favourable=favourable, orders=ORDERS)
    if len(explained.rows) < len(rows):
        raise InputError(
            f"Expected no more than {len(explained.rows)} rows, for this model must be asked many times for each, "
            f"found {len(rows)}. Explain them in parts."
        )
    return [local_explanation(explained, row, top=top) for row in range(len(explained.rows))]


def local_explanation(explained: Explanation, row: int, *, top: int = REASONS) -> LocalExplanation:
    """Return why one of the explained rows was scored as it was.

    Args:
        explained: SHAP values of some rows.
        row: Which of them, from 0.
        top: How many reasons to give at most.
    """
    order = sorted(range(len(explained.features)), key=lambda at: -abs(explained.values[row, at]))
    return LocalExplanation(
        score=float(explained.scores[row]),
        answer=int(explained.answers[row]),
        base=float(explained.base[row]),
        scale=explained.scale,
        faithful=bool(explained.faithful[row]),
        contributions=tuple(_contribution(explained, row, at) for at in order),
        reasons=principal_reasons(explained, row, top=top),
    )


def principal_reasons(
    explained: Explanation, row: int, *, top: int = REASONS, features_used: Collection[str] | None = None
) -> tuple[Contribution, ...]:
    """Return the features that lowered a row's score most, the strongest first; none where the explanation fails.

    Source: Regulation B, 12 CFR 1002.9(b)(2), official interpretation: reasons must relate only to factors actually
    scored (comment 4); one method is to identify the factors for which the score fell furthest below the average
    score that all applicants have for them (comment 5); more than four are not likely to be helpful (comment 1).

    Args:
        explained: SHAP values of some rows.
        row: Which of them, from 0.
        top: How many at most.
        features_used: Only these can be reasons; by default every feature that the model uses.
    """
    lowering = np.flatnonzero(_lowering(explained)[row])
    allowed = [at for at in lowering if features_used is None or explained.features[at] in features_used]
    worst = sorted(allowed, key=lambda at: (explained.values[row, at], explained.features[at]))
    return tuple(_contribution(explained, row, int(at)) for at in worst[:top])


def has_reasons(explained: Explanation) -> Array:
    """Return which rows have at least one principal reason, shape (n)."""
    return np.asarray(_lowering(explained).any(1))


def _lowering(explained: Explanation) -> Array:
    """Return which features lowered which scores, shape (n, k): used, and faithfully explained.

    None where each row's own class is explained: what lowered that is no reason against anybody.
    """
    return np.asarray(explained.faithful[:, None] & (explained.values < 0) & (not explained.own_class))


def _contribution(explained: Explanation, row: int, at: int) -> Contribution:
    value = explained.rows.iloc[row, at]
    return Contribution(explained.features[at], _plain(value), float(explained.values[row, at]))


def _plain(value: Any) -> Any:
    import pandas as pd

    if pd.isna(value):
        return None
    return value.item() if isinstance(value, np.generic) else value
