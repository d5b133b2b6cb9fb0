"""What part each column plays: target, protected, leak, left out, or feature.

A column is a feature only where nothing speaks against it. Each of the others has its reason, which model.yaml keeps.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from governance.catalog import PersonalKind
from governance.data.personal import detect, identifier
from governance.drafting import names
from governance.drafting.attributes import Attribute, says_the_same
from governance.drafting.outcome import Outcome
from governance.drafting.profile import Column, Profile

if TYPE_CHECKING:
    import pandas as pd

PREDICTS_ALONE = 0.99
"""From this on a single column is a leak, until a person says otherwise: AUC, R² or rank correlation.

The tiers block a release above it (`leakage.target_by_one_feature`).
"""

LOOKED_AT = 20_000
"""Rows that are looked at for leaks."""

LEAVES = 8
ROWS_OF_A_LEAF = 5

PERSONAL = "personal data: they must not reach a model"

DATE = r"\s*\d{4}-\d{1,2}-\d{1,2}([T ].*)?|\s*\d{1,2}[./]\d{1,2}[./]\d{2,4}( .*)?"

NEARLY_ALL = 0.9
"""Share of different texts from which a column is an identifier or free text, and no category."""


@dataclass
class Parts:
    """Which part each column plays.

    Attributes:
        features: What the model may read, in the order of the data.
        leaks: Column → why it seems to tell the outcome.
        left_out: Column → why it is no feature.
        proxies: Features that say where people live, or how many of a group live there.
        personal: Column with personal data → of what kind; they are among those left out, too.
        strength: Feature → how well it alone predicts the target: the measure's name and its value.
    """

    features: list[Column] = field(default_factory=list)
    leaks: dict[str, str] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    proxies: list[str] = field(default_factory=list)
    personal: dict[str, PersonalKind] = field(default_factory=dict)
    strength: dict[str, tuple[str, float]] = field(default_factory=dict)

    @property
    def strongest(self) -> list[str]:
        """The features that predict the target best, alone: up to three, in words."""
        best = sorted(self.strength.items(), key=lambda item: -item[1][1])[:3]
        return [f"{name} ({measure} {value:.2f})" for name, (measure, value) in best]


def parts_of(profile: Profile, outcome: Outcome, protected: Sequence[Attribute], *, persons: bool) -> Parts:
    """Return the part of every column but the target and those that protected attributes are made of.

    Args:
        profile: The data.
        outcome: What is to be learnt.
        protected: The protected attributes.
        persons: Whether the rows are about persons; else no name speaks of a protected attribute.
    """
    parts = Parts()
    looks_personal = {one.column: one.kind for one in detect(profile.frame)}
    taken = {outcome.column.name, *(column for attribute in protected for column in attribute.columns)}
    sources = [profile.columns[name] for attribute in protected for name in attribute.columns]
    for column in profile.columns.values():
        if column.name in taken:
            continue
        kind = looks_personal.get(column.name) or (names.personal_kind(column.name) if persons else None)
        if kind:
            parts.personal[column.name] = cast("PersonalKind", kind)
        why = PERSONAL if kind else _against(profile, column, sources, persons=persons)
        if why:
            parts.left_out[column.name] = why
            continue
        measure, value = alone(profile.frame, column, outcome)
        if value >= PREDICTS_ALONE:
            said = f"predicts the target alone ({measure} {value:.2f})"
            parts.leaks[column.name] = f"{said}. decide: known before the outcome? Then a feature"
        else:
            parts.features.append(column)
            parts.strength[column.name] = measure, value
            if persons and (names.is_proxy(column.name) or names.attribute_of(column.name)):
                parts.proxies.append(column.name)
    return parts


def _against(profile: Profile, column: Column, sources: Sequence[Column], *, persons: bool) -> str | None:
    """Return why a column is no feature, or None."""
    if column.distinct == 0:
        return "nothing is in it"
    if column.distinct == 1:
        return "the same value wherever it is recorded" if column.missing else "the same value in every row"
    same = next((one.name for one in sources if says_the_same(profile.frame, one, column)), None)
    if same:
        return f"says the same as `{same}`, which is protected"
    return _by_shape(profile, column) or (_like_protected(column) if persons else None)


def _like_protected(column: Column) -> str | None:
    attribute = names.attribute_of(column.name)
    if attribute is None or (column.is_number and column.distinct > 20 and attribute != "age"):
        return None  # a share of a group in a place is a proxy, not membership
    return f"reads like {attribute}, and is not named protected. decide: protect it, or make it a feature"


def _by_shape(profile: Profile, column: Column) -> str | None:
    if column.kind == "timestamp" or (column.kind == "string" and _mostly(profile, column, DATE)):
        return "a time; a model that reads it learns the calendar. decide: turn it into a number, such as days since"
    if column.sequence or identifier(column.name, profile.frame[column.name]):
        return f"an identifier: {'it counts the rows' if column.sequence else 'every value is another'}"
    if names.is_identifier(column.name) and column.distinct > 20 and (column.whole or column.kind == "string"):
        return "an identifier, by its name"
    if column.kind == "string" and column.distinct > 20 and column.distinct >= NEARLY_ALL * column.present:
        return "an identifier or free text: hardly two rows agree"
    return None


def _mostly(profile: Profile, column: Column, pattern: str) -> bool:
    """Say whether more than half of a column's texts look like a pattern, as far as one looks."""
    some = profile.frame[column.name].dropna().head(500)
    return bool(some.str.fullmatch(pattern).mean() > 0.5)


def alone(frame: "pd.DataFrame", column: Column, outcome: Outcome) -> tuple[str, float]:
    """Return how well a column alone predicts the target, on the rows that are looked at: a measure and its value."""
    import numpy as np

    rows = frame[[column.name, outcome.column.name]]
    rows = rows.sample(n=LOOKED_AT, random_state=0) if len(rows) > LOOKED_AT else rows
    target = rows[outcome.column.name]
    values = _as_numbers(rows[column.name])
    if outcome.task == "regression":
        return _of_numbers(values, target.to_numpy(dtype=np.float64))
    return _of_classes(values, target.astype(str).to_numpy())


def _as_numbers(values: "pd.Series[Any]") -> Any:
    """Return a column as numbers, shape (n, 1); of text the position in the alphabet, NaN where nothing is there."""
    import numpy as np
    import pandas as pd

    if values.dtype == object:
        codes, _ = pd.factorize(values, sort=True)
        return np.where(codes < 0, np.nan, codes.astype(np.float64)).reshape(-1, 1)
    return values.to_numpy(dtype=np.float64, na_value=np.nan).reshape(-1, 1).clip(-1e30, 1e30)


def _of_classes(values: Any, target: Any) -> tuple[str, float]:
    """Return how well a small tree on one column tells the class that it tells best from all others.

    On the rows that it was grown on, so a little too well: what the leakage rule would block is found here.
    """
    from sklearn.metrics import roc_auc_score
    from sklearn.tree import DecisionTreeClassifier

    tree = DecisionTreeClassifier(
        max_leaf_nodes=LEAVES, min_samples_leaf=ROWS_OF_A_LEAF, random_state=0, class_weight="balanced"
    ).fit(values, target)
    probabilities = tree.predict_proba(values)
    each = [float(roc_auc_score(target == one, probabilities[:, i])) for i, one in enumerate(tree.classes_)]
    return "AUC", max(each)


def _of_numbers(values: Any, target: Any) -> tuple[str, float]:
    """Return the larger of the rank correlation and what a small tree explains."""
    import warnings

    import numpy as np
    from scipy.stats import spearmanr
    from sklearn.tree import DecisionTreeRegressor

    there = ~np.isnan(values[:, 0])
    rank = 0.0
    if there.mean() > 0.5 and np.ptp(values[there]) > 0 and np.ptp(target[there]) > 0:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            rank = abs(float(spearmanr(values[there, 0], target[there]).statistic))
    scaled = target / (np.abs(target).max() or 1.0)
    tree = DecisionTreeRegressor(max_leaf_nodes=LEAVES, min_samples_leaf=ROWS_OF_A_LEAF, random_state=0)
    explained = float(tree.fit(values, scaled).score(values, scaled))
    return ("rank correlation", rank) if not explained > rank else ("R²", explained)
