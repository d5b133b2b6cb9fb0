"""What the features tell that they should not: who somebody is, what came true, and rows that training has seen.

A model that never sees sex may still know it by other features. So each protected attribute is predicted from the
features as well as a quick classifier can, and each feature is held against each attribute alone: which one is the
proxy? The same against the target finds a feature that *is* the target by another name. Last, rows that judge are
looked for among those that trained.

Neighbours: whoever calls brings the rows that judge. Everything is measured on at most :data:`LIMIT_ROWS` rows (n says
how many), drawn and folded by a hash of the row's own content, so that neither the order of rows nor chance has a say,
and copies of a row never lie on both sides. Not guaranteed: that a stronger classifier would not find more; and a
number of many values is judged alone by its order and by whether it is recorded, so that one which tells most in its
middle is found by ``protected_auc`` only.
"""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from governance.errors import InputError
from governance.measures.confusion import Array, Share
from governance.measures.intervals import Interval, delong_auc, midranks, proportion, spearman
from governance.records import Measurement

if TYPE_CHECKING:
    import pandas as pd

TaskName = Literal["binary_classification", "multiclass_classification", "regression"]

UNKNOWN = "unknown"

LIMIT_ROWS = 10_000
"""Rows on which attributes are predicted and features are held against them."""

FOLDS = 3
TREES, LEAVES, RATE = 30, 8, 0.2
"""Of the classifier that predicts attributes: small, so that it costs tenths of a second for each."""

FEW_VALUES = 10
"""Up to here the values of a number may be codes, and are held against a group one by one, too."""

MOST_GROUPS = 10
"""Groups that are told apart at most, the largest first; of more, the others are one."""


def measure_leakage(
    features: "pd.DataFrame",
    labels: npt.ArrayLike,
    groups: Mapping[str, Any],
    *,
    task: TaskName,
    judging: npt.ArrayLike | None = None,
    trained_here: bool = True,
    minimum_n: int = 30,
) -> list[Measurement]:
    """Measure what the features tell.

    Args:
        features: What the model sees, all rows, shape (n, features).
        labels: What came true for the rows that judge: 0 and 1, positions of classes, or numbers, shape (j).
        groups: Group of each row by protected attribute, each of shape (n); ``unknown`` is left out.
        task: What the model answers.
        judging: Positions of the rows that judge, shape (j); all by default. Where these are all rows, each was judged
            by a model that was trained on others (cross-validation).
        trained_here: Whether the other rows are known to be what it was trained on.
        minimum_n: Groups with fewer rows are not told apart.

    Returns:
        For each attribute ``protected_auc``, ``strongest_proxy`` and ``proxy_strength`` of each feature;
        ``target_by_one_feature`` and ``feature_target_strength`` of each feature; ``train_test_overlap`` and
        ``duplicate_rows``.

    Raises:
        InputError: There are no rows, or their numbers differ.
    """
    rows = np.arange(len(features)) if judging is None else np.asarray(judging)
    outcome = np.asarray(labels)
    _check(features, outcome, groups, rows)
    hashes = _hashes(features)
    drawn = rows[np.argsort(hashes[rows], kind="stable")[:LIMIT_ROWS]]
    columns = _Columns(features.iloc[drawn])
    place = np.empty(len(features), dtype=np.intp)
    place[rows] = np.arange(len(rows))
    measured = []
    for name, found in groups.items():
        group = _told_apart(np.asarray(found, dtype=object)[drawn], minimum_n)
        measured += [protected_auc(name, columns, group, hashes[drawn]), *_proxies(name, columns, group)]
    measured += _target(columns, outcome[place[drawn]], task)
    return [*measured, train_test_overlap(hashes, rows, trained_here), duplicate_rows(hashes)]


def protected_auc(attribute: str, columns: "_Columns", group: Array, hashes: Array) -> Measurement:
    """How well the features predict a protected attribute: the chance that a member is ranked above a non-member.

    Formula: area under the ROC curve of a gradient-boosted classifier of the group, out of fold over three folds; of
    more than two groups, the largest of one group against the rest. Interval: DeLong's.
    Source: Feldman, Friedler, Moeller, Scheidegger and Venkatasubramanian (2015), Certifying and Removing Disparate
    Impact, KDD: a data set hides a group where the group cannot be predicted from it.
    Ideal: 0.5: the features say nothing of the group.
    Limits: says that it can be known, not that the model uses it; of several groups the largest is a little too high
    by chance; a stronger classifier may find more.
    """
    name, slice_ = "leakage.protected_auc", {"attribute": attribute}
    known = np.flatnonzero(group >= 0)
    counts = np.bincount(group[known]) if known.size else np.zeros(0, dtype=int)
    if np.count_nonzero(counts) < 2:
        few = "not enough data: fewer than two groups are large enough to be told apart"
        return Measurement(name, None, len(known), slice_, reason=few)
    scores = _out_of_fold(columns.matrix[known], group[known], hashes[known])
    found = max(delong_auc(group[known] == one, scores[:, one]) for one in np.flatnonzero(counts))
    return Measurement(name, found[0], len(known), slice_, found[1], found[2], "delong")


def proxy_strength(attribute: str, feature: str, found: "Strength") -> Measurement:
    """How much one feature alone tells of a protected attribute.

    Formula: |2 AUC − 1| of the feature's order against the group, where it is recorded; of more than two groups, the
    largest of one against the rest. Of text, Cramér's V with Bergsma's correction, what is missing being a value; of
    numbers, too, where it is larger: of at most ten values, and of more, whether they are recorded. Interval:
    DeLong's, carried through; of Cramér's V, from the noncentral chi-squares whose tail beyond the one found is 2.5 %.
    Source: Somers (1962), American Sociological Review 27(6), whose D this is; Bergsma (2013), Journal of the Korean
    Statistical Society 42(3); of its interval, Smithson (2003), Confidence Intervals, chapter 4.
    Ideal: 0.
    Limits: of a number with many values, sees a rise or a fall, not a bulge in the middle.
    """
    slice_ = {"attribute": attribute, "feature": feature}
    return found.measurement("leakage.proxy_strength", slice_)


def strongest_proxy(attribute: str, proxies: list[Measurement], n: int) -> Measurement:
    """How much the feature that tells most of a protected attribute tells alone.

    Formula: the largest ``leakage.proxy_strength`` of the attribute, with its interval.
    Source: as ``leakage.proxy_strength``.
    Ideal: 0.
    Limits: as ``leakage.proxy_strength``; the largest of many is a little too high by chance.
    """
    name, slice_ = "leakage.strongest_proxy", {"attribute": attribute}
    known = [one for one in proxies if one.value is not None]
    if not known:
        few = "not enough data: no feature and no two groups are there to be compared"
        return Measurement(name, None, n, slice_, reason=few)
    top = max(known, key=lambda one: one.value or 0.0)
    return Measurement(name, top.value, top.n, slice_, top.low, top.high, top.method)


def feature_target_strength(feature: str, found: "Strength") -> Measurement:
    """How much one feature alone tells of the target.

    Formula: |2 AUC − 1| of the feature's order against the label, of several classes the largest of one against the
    rest; against numbers, |Spearman's rank correlation|. Cramér's V as in ``leakage.proxy_strength`` (against numbers,
    with their quarters). Interval: as of ``leakage.proxy_strength``, or Bonett and Wright's, carried through.
    Source: Kaufman, Rosset and Perlich (2012), Leakage in Data Mining, ACM TKDD 6(4); Somers (1962).
    Ideal: none; what comes close to 1 is mostly the target by another name.
    Limits: as ``leakage.proxy_strength``.
    """
    return found.measurement("leakage.feature_target_strength", {"feature": feature})


def target_by_one_feature(strengths: list[Measurement], n: int) -> Measurement:
    """How much the feature that tells most of the target tells alone: near 1, it is the target by another name.

    Formula: the largest ``leakage.feature_target_strength``, with its interval.
    Source: as ``leakage.feature_target_strength``.
    Ideal: below what any single fact about a case could honestly tell.
    Limits: as ``leakage.feature_target_strength``.
    """
    name = "leakage.target_by_one_feature"
    known = [one for one in strengths if one.value is not None]
    if not known:
        return Measurement(name, None, n, reason="no feature varies")
    top = max(known, key=lambda one: one.value or 0.0)
    return Measurement(name, top.value, top.n, {}, top.low, top.high, top.method)


def train_test_overlap(hashes: Array, judging: Array, trained_here: bool = True) -> Measurement:
    """Share of the rows that judge whose features are those of a row that trained, to the last bit.

    Formula: with a holdout, judging rows with an equal row among the others / judging rows; with cross-validation,
    rows with an equal row anywhere else / rows: each may have been trained on where the other was judged.
    Source: Kapoor and Narayanan (2023), Leakage and the reproducibility crisis in machine-learning-based science,
    Patterns 4(9).
    Ideal: 0.
    Limits: equal features need not be the same case; nearly equal ones are not found. Rows are told apart by 64 bits,
    so two different ones among a million are taken for equal once in some forty million tries.
    """
    name, n = "leakage.train_test_overlap", len(judging)
    if not trained_here:
        reason = "not applicable: not trained here: which rows trained it is not known"
        return Measurement(name, None, n, reason=reason)
    if n == len(hashes):
        alike = _like_the_one_before(hashes)
        seen = int(np.count_nonzero(alike | np.append(alike[1:], False)))
    else:
        others = np.delete(hashes, judging)
        seen = int(np.count_nonzero(np.isin(hashes[judging], others)))
    return proportion(name, Share(np.array(seen), np.array(n), "there are no rows"))


def duplicate_rows(hashes: Array) -> Measurement:
    """Share of rows whose features occur earlier in the data.

    Formula: (rows − different rows) / rows.
    Source: counted.
    Ideal: 0, or what the contract tolerates.
    Limits: as ``leakage.train_test_overlap``.
    """
    copies = int(np.count_nonzero(_like_the_one_before(hashes)))
    return Measurement("leakage.duplicate_rows", copies / len(hashes), len(hashes), method="counted")


def _like_the_one_before(hashes: Array) -> Array:
    """Return, for the sorted hashes, which equal the one before."""
    ordered = np.sort(hashes)
    return np.append(False, ordered[1:] == ordered[:-1])


# --- one feature against one fact ----------------------------------------------------------------------------------


class _Columns:
    """Features as numbers that have an order, and as codes of values, −1 where missing."""

    def __init__(self, frame: "pd.DataFrame") -> None:
        self.names = [str(name) for name in frame.columns]
        self.codes: list[Array] = []
        self.ordered: list[bool] = []
        parts = []
        for position in range(frame.shape[1]):
            numbers, codes = _as_numbers(frame.iloc[:, position])
            self.ordered.append(codes is None)
            self.codes.append(_few_values(numbers) if codes is None else codes)
            parts.append(numbers)
        self.matrix: Array = np.column_stack(parts) if parts else np.empty((len(frame), 0))


def _as_numbers(column: "pd.Series[Any]") -> tuple[Array, Array | None]:
    """Return a feature as finite numbers, NaN where missing; of text, also as codes of its values."""
    import pandas as pd

    types = pd.api.types
    if types.is_datetime64_any_dtype(column.dtype):
        column = (pd.to_datetime(column, utc=True) - pd.Timestamp(0, tz="UTC")) / pd.Timedelta(seconds=1)
    if types.is_numeric_dtype(column.dtype):
        values = column.to_numpy(dtype=np.float64, na_value=np.nan)
        return np.where(np.isfinite(values), values, np.nan), None
    # Sorted by text, so that codes depend on neither the order of rows nor the frame they came from.
    codes = pd.Categorical(column.astype("string"), ordered=False).codes.astype(np.intp)
    return np.where(codes < 0, np.nan, codes), codes


def _few_values(numbers: Array) -> Array:
    """Return the code of each number where there are few; else 0 for all that are recorded. −1 where missing."""
    recorded = ~np.isnan(numbers)
    values, codes = np.unique(numbers[recorded], return_inverse=True)
    found = np.full(numbers.shape, -1, dtype=np.intp)
    found[recorded] = codes if len(values) <= FEW_VALUES else 0
    return found


class Strength(NamedTuple):
    """How much a feature tells, on n rows; without a value where nothing varies."""

    value: float | None
    n: int
    interval: Interval = Interval(None, None)
    method: str | None = None

    def measurement(self, name: str, slice_: Mapping[str, str]) -> Measurement:
        """Return it as a measurement of one feature."""
        reason = "it is never recorded, or constant" if self.value is None else None
        return Measurement(name, self.value, self.n, slice_, *self.interval, self.method, reason)


def _proxies(attribute: str, columns: _Columns, group: Array) -> list[Measurement]:
    known = group >= 0
    measured = []
    for position, feature in enumerate(columns.names):
        found = _strength(columns, position, known, group)
        if found.value is not None:
            measured.append(proxy_strength(attribute, feature, found))
    return [strongest_proxy(attribute, measured, int(np.count_nonzero(known))), *measured]


def _target(columns: _Columns, outcome: Array, task: TaskName) -> list[Measurement]:
    everywhere = np.ones(len(outcome), dtype=bool)
    strength = _strength if task != "regression" else _strength_for_numbers
    outcome = np.asarray(outcome, dtype=np.float64 if task == "regression" else np.intp)
    measured = [
        feature_target_strength(feature, strength(columns, position, everywhere, outcome))
        for position, feature in enumerate(columns.names)
    ]
    return [target_by_one_feature(measured, len(outcome)), *measured]


def _strength(columns: _Columns, position: int, known: Array, group: Array) -> Strength:
    """Return how much a column tells of a group, by its order or by its values, whichever is more."""
    return _stronger(_by_order(columns, position, known, group), _by_value(columns, position, known, group))


def _strength_for_numbers(columns: _Columns, position: int, known: Array, outcome: Array) -> Strength:
    quarters = np.digitize(outcome, np.unique(np.quantile(outcome, (0.25, 0.5, 0.75))))
    return _stronger(_by_rank(columns, position, outcome), _by_value(columns, position, known, quarters))


def _stronger(one: Strength, other: Strength) -> Strength:
    if other.value is None:
        return one
    return other if one.value is None or other.value > one.value else one


def _by_rank(columns: _Columns, position: int, outcome: Array) -> Strength:
    recorded = ~np.isnan(columns.matrix[:, position])
    values, outcome = columns.matrix[recorded, position], outcome[recorded]
    if not columns.ordered[position] or len(values) < 3 or _constant(values) or _constant(outcome):
        return Strength(None, len(values))
    correlation = min(abs(float(np.corrcoef(midranks(values), midranks(outcome))[0, 1])), 1.0)
    interval = _carried(correlation, spearman(correlation, len(values)))
    return Strength(correlation, len(values), interval, "bonett-wright")


def _by_order(columns: _Columns, position: int, known: Array, group: Array) -> Strength:
    recorded = known & ~np.isnan(columns.matrix[:, position])
    values, group = columns.matrix[recorded, position], group[recorded]
    if not columns.ordered[position] or _constant(values) or _constant(group):
        return Strength(None, len(values))
    ranks, counts = midranks(values), np.bincount(group)
    areas = {}
    for one in np.flatnonzero(counts):
        m = counts[one]
        areas[one] = (ranks[group == one].sum() - m * (m + 1) / 2) / (m * (len(group) - m))
    top = max(areas, key=lambda one: abs(areas[one] - 0.5))
    area, low, high = delong_auc(group == top, values)
    strength = abs(2 * area - 1)
    ends = sorted((2 * low - 1, 2 * high - 1)) if area >= 0.5 else sorted((1 - 2 * low, 1 - 2 * high))
    return Strength(strength, len(values), _carried(strength, Interval(*ends)), "delong")


def _by_value(columns: _Columns, position: int, known: Array, group: Array) -> Strength:
    codes, group = columns.codes[position][known], group[known]
    if _constant(codes) or _constant(group):
        return Strength(None, len(codes))
    value, interval = _cramers_v(codes, group)
    return Strength(value, len(codes), _carried(value, interval), "noncentral chi-square")


def _constant(values: Array) -> bool:
    return not len(values) or bool(values.min() == values.max())


def _carried(strength: float, interval: Interval) -> Interval:
    """Return an interval of a signed strength as one of its size: it cannot be below 0."""
    low = None if interval.low is None else min(max(interval.low, 0.0), strength)
    high = None if interval.high is None else max(min(interval.high, 1.0), strength)
    return Interval(low, high)


def _cramers_v(codes: Array, group: Array) -> tuple[float, Interval]:
    """Return Cramér's V with Bergsma's correction for chance, with its interval; both vary."""
    from scipy.special import chdtr, chndtrinc

    _, rows = np.unique(codes, return_inverse=True)
    _, columns = np.unique(group, return_inverse=True)
    r, k, n = int(rows.max()) + 1, int(columns.max()) + 1, len(codes)
    table = np.bincount(rows * k + columns, minlength=r * k).reshape(r, k)
    expected = table.sum(1, keepdims=True) * table.sum(0, keepdims=True) / n
    statistic, freedom = float(((table - expected) ** 2 / expected).sum()), (k - 1) * (r - 1)
    smaller = min(k - (k - 1) ** 2 / (n - 1), r - (r - 1) ** 2 / (n - 1)) - 1
    if smaller <= 0:  # as many values as rows tell everything of these and nothing of the next
        return 0.0, Interval(0.0, 1.0)
    value = math.sqrt(max(0.0, statistic / n - freedom / (n - 1)) / smaller)
    # Where chance alone may give as much, the lower end is 0; less than chance gives says no more than chance.
    low = chndtrinc(statistic, freedom, 0.975) if chdtr(freedom, statistic) > 0.975 else 0.0
    high = chndtrinc(max(statistic, freedom), freedom, 0.025)
    return min(value, 1.0), Interval(*(math.sqrt(float(end) / n / smaller) for end in (low, high)))


# --- all features against a group ----------------------------------------------------------------------------------


def _told_apart(group: Array, minimum_n: int) -> Array:
    """Return the group of each row as a small number, the largest group first; −1 where it is unknown or too small."""
    names, place, counts = np.unique([str(one) for one in group], return_inverse=True, return_counts=True)
    large = [i for i in np.lexsort((names, -counts)) if names[i] != UNKNOWN and counts[i] >= minimum_n]
    number = np.full(len(names), -1, dtype=np.intp)
    for rank, i in enumerate(large):
        number[i] = min(rank, MOST_GROUPS - 1)
    return number[place]


def _out_of_fold(matrix: Array, group: Array, hashes: Array) -> Array:
    """Return for each row how likely each group is, by a classifier that has not seen the row, shape (n, groups)."""
    from sklearn.ensemble import HistGradientBoostingClassifier
    from threadpoolctl import threadpool_limits

    scores = np.zeros((len(group), int(group.max()) + 1))
    fold = (hashes % FOLDS).astype(np.intp)
    for held_out in range(FOLDS):
        train, test = np.flatnonzero(fold != held_out), np.flatnonzero(fold == held_out)
        if not len(test) or len(np.unique(group[train])) < 2:
            continue
        # Sorted by content: the classifier's bins and sums must not depend on the order of rows.
        train = train[np.argsort(hashes[train], kind="stable")]
        model = HistGradientBoostingClassifier(
            max_iter=TREES, max_leaf_nodes=LEAVES, learning_rate=RATE, early_stopping=False, random_state=0
        )
        with threadpool_limits(1):  # threads that wait for each other cost tenfold on a busy machine
            model.fit(matrix[train], group[train])
            scores[np.ix_(test, model.classes_)] = model.predict_proba(matrix[test])
    return scores


def _hashes(features: "pd.DataFrame") -> Array:
    """Return 64 bits of each row's content, shape (n)."""
    import pandas as pd

    if features.shape[1] == 0:
        return np.zeros(len(features), dtype=np.uint64)
    return np.asarray(pd.util.hash_pandas_object(features, index=False), dtype=np.uint64)


def _check(features: "pd.DataFrame", labels: Array, groups: Mapping[str, Any], rows: Array) -> None:
    wrong = [f"{len(found)} groups of {name!r}" for name, found in groups.items() if len(found) != len(features)]
    if len(labels) != len(rows):
        wrong.append(f"{len(labels)} labels")
    if wrong or not len(rows):
        raise InputError(
            f"Expected at least one row, a label for each of {len(rows)} that judge, and a group for each of "
            f"{len(features)}, found {', '.join(wrong) or 'no rows'}."
        )
