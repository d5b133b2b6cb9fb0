"""How the model treats each group, each intersection of groups, and how far apart they are.

Rows are read once: each attribute becomes small integers, and rows become counts of the distinct combinations of
groups and outcome; each attribute or intersection is one table of these (groups × 4 cells), and everything after that,
bootstrap included, works on counts. So ten million rows cost about a second, and a published table of counts is
measured as it stands.

A group enters a comparison only if the rate compared rests on enough of its rows (``minimum_n``); its own rates are
reported with their n in any case, and ``fairness.share_compared`` says how much of the data the comparison speaks of.
Unknown membership is a group like any other. Neighbours: ``confusion`` has the rates, ``intervals`` the uncertainty,
``fairness_regression`` asks the same of predicted numbers, ``local_law_144`` of selections as one city's law wants it.
Not guaranteed: that a label is fair. Measures that use it (equalised odds, equal opportunity, predictive parity)
repeat its bias.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import prod
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from governance.errors import InputError
from governance.measures import confusion
from governance.measures.confusion import (
    CELLS,
    Array,
    Rate,
    Share,
    accuracy,
    divide,
    false_negative_rate,
    false_positive_rate,
    precision,
    selection_rate,
    true_positive_rate,
)
from governance.measures.intervals import Interval, percentiles, proportion, resample_counts, wilson
from governance.records import Measurement

UNKNOWN = "unknown"
"""The group of rows whose membership is not recorded."""

MOST_GROUPS = 10_000
"""More than this many possible groups is no protected attribute but a mistake, such as a name or a number."""

MOST_COMBINATIONS = 2**22
"""Up to here all attributes together are one table of counts; above, rows are read once for each intersection."""

ROWS_AT_ONCE = 2**18
"""Rows are counted in pieces that stay in the processor's cache, if each piece has more rows than there are counts."""

NO_LABELS = "the labels are not known"

TIMES = " × "
"""Joins the attributes of an intersection in a slice: ``race × sex``."""

RATES: tuple[Rate, ...] = (
    selection_rate,
    true_positive_rate,
    false_positive_rate,
    false_negative_rate,
    precision,
    accuracy,
)
"""What is measured of each group, in the order in which it is reported."""


@dataclass(frozen=True)
class Table:
    """The counts of one attribute or intersection, of groups that occur.

    Attributes:
        attributes: What the groups are groups of: one attribute, or several.
        groups: The name of each group, one part for each attribute.
        counts: Rows by group and cell, shape (groups, 4).
    """

    attributes: tuple[str, ...]
    groups: tuple[tuple[str, ...], ...]
    counts: Array


@dataclass(frozen=True)
class Groups:
    """The groups of one table as comparisons see them, once observed or many times resampled.

    Attributes:
        counts: Rows by group and cell, shape (…, groups, 4).
        large: For each rate, which groups have enough rows for it, shape (groups).
    """

    counts: Array
    large: Mapping[Rate, Array]

    def values(self, rate: Rate) -> Array:
        """Return the rate of the groups that are large enough for it, shape (…, large groups)."""
        return rate(self.counts[..., self.large[rate], :]).values

    def extremes(self, rate: Rate) -> tuple[Array, Array]:
        """Return the smallest and the largest rate, each of shape (…); resamples where a rate is undefined give NaN."""
        values = self.values(rate)
        return values.min(-1), values.max(-1)

    def difference(self, rate: Rate) -> Array:
        """Return the largest difference of a rate between two groups, shape (…)."""
        smallest, largest = self.extremes(rate)
        return largest - smallest

    def ratio(self, rate: Rate) -> Array:
        """Return the smallest rate beside the largest, shape (…)."""
        return divide(*self.extremes(rate))


def measure_fairness(
    labels: npt.ArrayLike | None,
    predictions: npt.ArrayLike,
    groups: Mapping[str, Sequence[str]],
    intersections: Iterable[tuple[str, ...]] = (),
    *,
    minimum_n: int = 30,
    counts: npt.ArrayLike | None = None,
) -> list[Measurement]:
    """Measure a binary classifier by group, by intersection, and between groups.

    Args:
        labels: What came true, 0 or 1 (favourable), shape (n). ``None`` where it is not known: what needs a label has
            then no value.
        predictions: What the model decided, 0 or 1, shape (n).
        groups: For each protected attribute the group of each row, shape (n); missing values count as ``unknown``.
            A pandas categorical is the fastest form.
        intersections: Which attributes to cross with each other.
        minimum_n: A group with fewer rows in the denominator of a rate is left out when that rate is compared.
        counts: How many people each row stands for, whole numbers, shape (n); one by default.

    Returns:
        For each attribute and intersection: :data:`RATES` and ``fairness.impact_ratio`` of each group that occurs, then
        :data:`COMPARISONS` and ``fairness.share_compared``.

    Raises:
        InputError: Arrays differ in length, labels or predictions are not 0 and 1, an intersection names an unknown
            attribute or less than two, an attribute has too many groups, or a count is not a whole number.
    """
    cells = confusion.cells_of(np.zeros(np.shape(predictions), np.uint8) if labels is None else labels, predictions)
    asked = Asked(RATES, COMPARISONS, labels is not None, True)
    return _measure(cells, groups, intersections, counts, minimum_n, asked)


def measure_accuracy_fairness(
    right: npt.ArrayLike,
    groups: Mapping[str, Sequence[str]],
    intersections: Iterable[tuple[str, ...]] = (),
    *,
    minimum_n: int = 30,
    counts: npt.ArrayLike | None = None,
) -> list[Measurement]:
    """Measure by group how often a model is right: for classes of which none is favourable.

    Args:
        right: Whether the prediction came true, 0 or 1, shape (n).
        groups: As in :func:`measure_fairness`; so are the other arguments.
        intersections: Which attributes to cross with each other.
        minimum_n: A group of fewer rows is not compared.
        counts: How many people each row stands for, shape (n); one by default.

    Returns:
        For each attribute and intersection: ``fairness.accuracy`` of each group that occurs, then
        ``fairness.accuracy_difference`` and ``fairness.share_compared``.

    Raises:
        InputError: As :func:`measure_fairness`.
    """
    cells = confusion.cells_of(np.ones(np.shape(right), np.uint8), right)
    between = tuple(comparison for comparison in COMPARISONS if comparison.rates == (accuracy,))
    return _measure(cells, groups, intersections, counts, minimum_n, Asked((accuracy,), between, True, False))


def every_intersection(groups: Mapping[str, Sequence[str]]) -> tuple[list[tuple[str, ...]], list[tuple[str, ...]]]:
    """Return every intersection of two or more attributes, and those left out because they have too many groups.

    Args:
        groups: For each protected attribute the group of each row, shape (n).

    Returns:
        The intersections of at most :data:`MOST_GROUPS` possible groups, pairs first; and the others.
    """
    sizes = {name: len(_code(name, values, len(values)).names) for name, values in groups.items()}
    found = [names for width in range(2, len(sizes) + 1) for names in combinations(sizes, width)]
    small = [names for names in found if prod(sizes[name] for name in names) <= MOST_GROUPS]
    return small, [names for names in found if names not in set(small)]


def whole_counts(counts: npt.ArrayLike, n: int) -> Array:
    """Return how many people each row stands for, float64 without a fraction, shape (n).

    Raises:
        InputError: There is not one whole number from 0 for each row, or they add up to more than is exact.
    """
    people = np.asarray(counts)
    if people.shape != (n,):
        raise InputError(f"Expected one count for each of {n} rows, found an array of shape {people.shape}.")
    try:
        whole = people.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"Expected whole numbers from 0 as counts, found something else: {error}.") from error
    wrong = np.flatnonzero(~((whole >= 0) & (whole == np.floor(whole)) & (whole < np.inf)))
    if wrong.size:
        raise InputError(
            f"Expected whole numbers from 0 as counts, found {people[wrong[0]]} in row {wrong[0] + 1}"
            f"{f' and {wrong.size - 1} more' if wrong.size > 1 else ''}."
        )
    if whole.sum() >= 2**53:
        raise InputError(f"Expected counts that add up to less than {2**53}, found {whole.sum():g}.")
    return whole


@dataclass(frozen=True)
class Grouped:
    """Which group of one attribute or intersection each row belongs to.

    Attributes:
        attributes: What the groups are groups of: one attribute, or several.
        slices: Attribute → group, of each group that occurs.
        position: The position of each row's group among these, shape (n).
        n: Rows of each group, shape (groups).
    """

    attributes: tuple[str, ...]
    slices: tuple[dict[str, str], ...]
    position: Array
    n: Array


def group_rows(
    groups: Mapping[str, Sequence[str]], intersections: Iterable[tuple[str, ...]], n: int
) -> Iterator[Grouped]:
    """Yield the groups of each attribute and intersection, row by row: for measures that counts are not enough for.

    Args:
        groups: As in :func:`measure_fairness`.
        intersections: Which attributes to cross with each other.
        n: How many rows there are.

    Raises:
        InputError: As :func:`measure_fairness`, of groups.
    """
    coded = {name: _code(name, values, n) for name, values in groups.items()}
    crossed = [tuple(names) for names in intersections]
    _check_intersections(crossed, coded)
    for attributes in [*((name,) for name in coded), *crossed]:
        shape = tuple(len(coded[attribute].names) for attribute in attributes)
        joint: Array = np.zeros(n, dtype=np.intp)
        for attribute, size in zip(attributes, shape, strict=True):
            joint *= size
            joint += coded[attribute].position[coded[attribute].codes + 1]
        counts = np.bincount(joint, minlength=prod(shape))
        present = np.flatnonzero(counts)
        found = np.unravel_index(present, shape)
        parts = [coded[each].names[position].tolist() for each, position in zip(attributes, found, strict=True)]
        slices = tuple(dict(zip(attributes, names, strict=True)) for names in zip(*parts, strict=True))
        yield Grouped(attributes, slices, np.searchsorted(present, joint), counts[present])


def demographic_parity_difference(groups: Groups) -> Array:
    """How far apart the selection rates of two groups are, at most.

    Formula: max − min of the selection rates.
    Source: Calders and Verwer (2010); as in fairlearn.metrics.demographic_parity_difference.
    Ideal: 0.
    Limits: grows with the number of small groups by chance alone; read it with its interval.
    """
    return groups.difference(selection_rate)


def disparate_impact_ratio(groups: Groups) -> Array:
    """How large the lowest selection rate is beside the highest: the four-fifths rule.

    Formula: min / max of the selection rates.
    Source: Uniform Guidelines on Employee Selection Procedures, 29 CFR 1607.4(D) (1978).
    Ideal: 1; below 0.80 counts as evidence of adverse impact.
    Limits: near 1 whenever most are selected, however unequal the denials; read it with the ratio of denial rates.
    """
    return groups.ratio(selection_rate)


def denial_ratio(groups: Groups) -> Array:
    """How many times as often the most denied group is denied as the least denied one.

    Formula: max / min of (1 − selection rate).
    Source: the denial disparity ratio of US fair lending: Interagency Fair Lending Examination Procedures (FFIEC 2009),
    risk factor U1.
    Ideal: 1.
    Limits: unstable where few are denied: see the interval, whose upper end is missing where a resample denies nobody.
    """
    smallest, largest = groups.extremes(selection_rate)
    return divide(1 - smallest, 1 - largest)


def standardised_difference(groups: Groups) -> Array:
    """The largest difference of selection rates in units of their standard deviation.

    Formula: (max − min) / √((v(max) + v(min)) / 2) with v(p) = p (1 − p); no other pair of groups is further apart.
    Source: Austin (2009), Statistics in Medicine 28(25); the standardised mean difference of fair-lending practice.
    Ideal: 0; 0.2 is called small, 0.5 medium, 0.8 large (Cohen 1988).
    Limits: a size of effect, not a test.
    """
    smallest, largest = groups.extremes(selection_rate)
    deviation = np.sqrt((smallest * (1 - smallest) + largest * (1 - largest)) / 2)
    return np.where(largest == smallest, largest - smallest, divide(largest - smallest, deviation))


def selection_rate_z(groups: Groups) -> Array:
    """How many standard deviations the selection rates of two groups are apart, at most: is the gap more than chance?

    Formula: the largest |p₁ − p₂| / √(p (1 − p) (1/n₁ + 1/n₂)) of all pairs of groups, p being the rate of both
    together; its square is Pearson's chi-square of the two.
    Source: Hazelwood School District v. United States, 433 U.S. 299, 308 (1977), "two or three standard deviations";
    the test of Fleiss, Levin and Paik (2003), Statistical Methods for Rates and Proportions, section 3.2.
    Ideal: 0; for one pair, above 1.96 is significant at 5 %, and courts speak of two or three.
    Limits: says nothing of the size of a gap: in a million rows every gap is significant, in a hundred hardly any. The
    largest of many pairs passes 2 by chance more often than one pair does.
    """
    rates = selection_rate(groups.counts[..., groups.large[selection_rate], :])
    selected, n = rates.part, rates.whole
    largest = 0.0
    for part, whole in zip(selected, n, strict=True):  # row by row, for thousands of groups have millions of pairs
        pooled = (part + selected) / (whole + n)
        deviation = np.sqrt(pooled * (1 - pooled) * (1 / whole + 1 / n))
        apart = np.abs(part / whole - selected / n)
        largest = max(largest, float(divide(apart[deviation > 0], deviation[deviation > 0]).max(initial=0.0)))
    return np.asarray(largest)


def equal_opportunity_difference(groups: Groups) -> Array:
    """How far apart two groups are in the share of deserving rows that are selected.

    Formula: max − min of the true positive rates.
    Source: Hardt, Price and Srebro (2016), Equality of Opportunity in Supervised Learning.
    Ideal: 0.
    Limits: inherits every bias of the label.
    """
    return groups.difference(true_positive_rate)


def equal_opportunity_ratio(groups: Groups) -> Array:
    """How large the lowest share of deserving rows that are selected is beside the highest.

    Formula: min / max of the true positive rates.
    Source: as in fairlearn.metrics.equal_opportunity_ratio; for the idea, Hardt, Price and Srebro (2016).
    Ideal: 1.
    Limits: inherits every bias of the label.
    """
    return groups.ratio(true_positive_rate)


def equalised_odds_difference(groups: Groups) -> Array:
    """How far apart two groups are in the true or in the false positive rate, whichever is worse.

    Formula: max of both differences.
    Source: Hardt, Price and Srebro (2016); as in fairlearn.metrics.equalized_odds_difference (worst case).
    Ideal: 0.
    Limits: inherits every bias of the label; false positives are often few, so the interval is wide.
    """
    return np.maximum(groups.difference(true_positive_rate), groups.difference(false_positive_rate))


def equalised_odds_ratio(groups: Groups) -> Array:
    """How large the lowest true or false positive rate is beside the highest, whichever is worse.

    Formula: min of both ratios, each min / max.
    Source: as in fairlearn.metrics.equalized_odds_ratio (worst case); for the idea, Hardt, Price and Srebro (2016).
    Ideal: 1.
    Limits: false positives are often few, so this is small by chance; undefined where no group has any.
    """
    return np.minimum(groups.ratio(true_positive_rate), groups.ratio(false_positive_rate))


def predictive_parity_difference(groups: Groups) -> Array:
    """How far apart two groups are in how often a favourable prediction comes true.

    Formula: max − min of the precisions.
    Source: Chouldechova (2017), Fair Prediction with Disparate Impact, Big Data 5(2).
    Ideal: 0.
    Limits: cannot be 0 together with equalised odds where base rates differ (Kleinberg et al. 2016).
    """
    return groups.difference(precision)


def predictive_parity_ratio(groups: Groups) -> Array:
    """How large the lowest precision is beside the highest.

    Formula: min / max of the precisions.
    Source: Chouldechova (2017), Fair Prediction with Disparate Impact, Big Data 5(2).
    Ideal: 1.
    Limits: cannot be 1 together with equalised odds where base rates differ (Kleinberg et al. 2016).
    """
    return groups.ratio(precision)


def accuracy_difference(groups: Groups) -> Array:
    """How far apart two groups are in the share of rows that are predicted right.

    Formula: max − min of the accuracies.
    Source: overall accuracy equality: Berk et al. (2021), Fairness in Criminal Justice Risk Assessments, Sociological
    Methods and Research 50(1); as in fairlearn.metrics.accuracy_score_difference.
    Ideal: 0.
    Limits: says nothing of whom the errors favour; two groups of equal accuracy may suffer opposite errors.
    """
    return groups.difference(accuracy)


def impact_ratio(first: Share, second: Share) -> tuple[float, Interval]:
    """How large the selection rate of a group is beside that of the most selected group, with its interval.

    Formula: p₁ / p₂; the interval is that of the ratio of two proportions, from their own Wilson intervals (l, u):
    (p₁p₂ ∓ √((p₁p₂)² − l₁u₂ (2p₁ − l₁)(2p₂ − u₂))) / (u₂ (2p₂ − u₂)), with u₁ and l₂ for the upper end.
    Source: 29 CFR 1607.4(D) (1978); Donner and Zou (2012), Statistical Methods in Medical Research 21(4).
    Ideal: 1; below 0.80 counts as evidence of adverse impact.
    Limits: near 1 whenever most are selected, however unequal the denials; the interval takes it as given which group
    is the most selected one.

    Args:
        first: The selection rate of the group.
        second: That of the most selected group, above 0.
    """
    p1, p2 = float(first.values), float(second.values)
    (l1, u1), (l2, u2) = (wilson(int(share.part), int(share.whole)) for share in (first, second))

    def end(one: float, other: float, sign: int) -> float | None:
        below = other * (2 * p2 - other)
        inside = (p1 * p2) ** 2 - one * other * (2 * p1 - one) * (2 * p2 - other)
        return (p1 * p2 + sign * math.sqrt(max(inside, 0.0))) / below if below > 0 else None

    low, high = end(l1, u2, -1), end(u1, l2, 1)
    return p1 / p2, Interval(max(low or 0.0, 0.0), high)


def share_compared(compared: int, n: int, slice: Mapping[str, str]) -> Measurement:
    """Share of rows in groups that are large enough to be compared: the rest is reported, but compared with nobody.

    Formula: rows of groups of at least minimum n / all rows.
    Source: counted; minimum n as the policy has it.
    Ideal: 1.
    Limits: a group that is large enough may still have too few rows in the denominator of one rate.
    """
    if n == 0:
        return Measurement("fairness.share_compared", None, 0, slice, reason="there are no rows")
    return Measurement("fairness.share_compared", compared / n, n, slice, method="counted")


@dataclass(frozen=True)
class Comparison:
    """What a comparison between groups needs to know besides its formula.

    Attributes:
        compute: The formula; its name is the name of the measurement.
        rates: The rates that are compared, whose denominators do not overlap; their sum is the n of the measurement.
        undefined: What it means when the formula divides by 0.
        is_test: Whether it is itself a statement of uncertainty, and so has no interval.
    """

    compute: Callable[[Groups], Array]
    rates: tuple[Rate, ...]
    undefined: str = "the formula divides by 0"
    is_test: bool = False


COMPARISONS = (
    Comparison(demographic_parity_difference, (selection_rate,)),
    Comparison(disparate_impact_ratio, (selection_rate,), "nobody was selected"),
    Comparison(denial_ratio, (selection_rate,), "a group had no denials, so no ratio to it exists"),
    Comparison(standardised_difference, (selection_rate,), "one group was selected throughout and another not at all"),
    Comparison(selection_rate_z, (selection_rate,), is_test=True),
    Comparison(equal_opportunity_difference, (true_positive_rate,)),
    Comparison(equal_opportunity_ratio, (true_positive_rate,), "the rate is 0 in every group"),
    Comparison(equalised_odds_difference, (true_positive_rate, false_positive_rate)),
    Comparison(equalised_odds_ratio, (true_positive_rate, false_positive_rate), "a rate is 0 in every group"),
    Comparison(predictive_parity_difference, (precision,)),
    Comparison(predictive_parity_ratio, (precision,), "no favourable prediction came true in any group"),
    Comparison(accuracy_difference, (accuracy,)),
)
"""What is measured between the groups of an attribute or intersection, in the order in which it is reported."""


@dataclass(frozen=True)
class Asked:
    """What is measured of a table.

    Attributes:
        rates: Of each group.
        comparisons: Between groups.
        labelled: Whether the labels are known; without them only what rests on selection rates has a value.
        selects: Whether a prediction selects, so that groups have impact ratios.
    """

    rates: tuple[Rate, ...]
    comparisons: tuple[Comparison, ...]
    labelled: bool
    selects: bool

    def answers(self, rates: Iterable[Rate]) -> bool:
        """Whether these rates can be known."""
        return self.labelled or all(rate is selection_rate for rate in rates)


class Coded(NamedTuple):
    """One attribute as numbers.

    Attributes:
        codes: The group of each row as it was found, from −1 (missing), shape (n).
        position: For each code, from −1 on, which of the names it is, shape (codes).
        names: The names of the groups, sorted; :data:`UNKNOWN` is always one of them.
    """

    codes: Array
    position: Array
    names: Array


def _measure(
    cells: Array,
    groups: Mapping[str, Sequence[str]],
    intersections: Iterable[tuple[str, ...]],
    counts: npt.ArrayLike | None,
    minimum_n: int,
    asked: Asked,
) -> list[Measurement]:
    coded = {name: _code(name, values, len(cells)) for name, values in groups.items()}
    crossed = [tuple(names) for names in intersections]
    _check_intersections(crossed, coded)
    people = None if counts is None else whole_counts(counts, len(cells))
    cells, found, people = _condense(cells, coded, people)
    names = {name: each.names for name, each in coded.items()}
    tables = [_tabulate(each, names, found, cells, people) for each in [*((name,) for name in coded), *crossed]]
    return [measurement for table in tables for measurement in _measure_table(table, max(minimum_n, 1), asked)]


def _measure_table(table: Table, minimum_n: int, asked: Asked) -> list[Measurement]:
    ratios = _impact_ratios(table, minimum_n) if asked.selects else []
    return [*_measure_groups(table, asked), *ratios, *_compare_groups(table, minimum_n, asked)]


def _slices(table: Table) -> list[dict[str, str]]:
    return [dict(zip(table.attributes, group, strict=True)) for group in table.groups]


def _measure_groups(table: Table, asked: Asked) -> list[Measurement]:
    return [
        proportion(f"fairness.{rate.__name__}", rate(counts), slice_)
        if asked.answers([rate])
        else Measurement(f"fairness.{rate.__name__}", None, 0, slice_, reason=NO_LABELS)
        for slice_, counts in zip(_slices(table), table.counts, strict=True)
        for rate in asked.rates
    ]


def _impact_ratios(table: Table, minimum_n: int) -> list[Measurement]:
    """Return the selection rate of each group beside that of the most selected one of those that are compared."""
    name = "fairness.impact_ratio"
    shares = [selection_rate(counts) for counts in table.counts]
    large = [share for share in shares if share.whole >= minimum_n]
    most = max(large, key=lambda share: (float(share.values), int(share.whole)), default=None)
    found = []
    for slice_, share in zip(_slices(table), shares, strict=True):
        n = int(share.whole)
        if most is None or len(large) < 2 or n < minimum_n:
            few = f"{n} rows" if n < minimum_n else "no other group"
            reason = f"not enough data: {few}, and a group of {minimum_n} or more is compared with another one"
            found.append(Measurement(name, None, n, slice_, reason=reason))
        elif int(most.part) == 0:
            found.append(Measurement(name, None, n, slice_, reason="nobody was selected"))
        elif (share.part, share.whole) == (most.part, most.whole):  # also another group with the very same counts
            found.append(Measurement(name, 1.0, n, slice_, method="the most selected group"))
        else:
            value, interval = impact_ratio(share, most)
            found.append(Measurement(name, value, n, slice_, *interval, "mover"))
    return found


def _compare_groups(table: Table, minimum_n: int, asked: Asked) -> list[Measurement]:
    # No denominator exceeds the group. Draws must not depend on names: groups come in the order of their counts.
    counts = table.counts[table.counts.sum(-1) >= minimum_n]
    counts = counts[np.lexsort(counts.T)]
    large = {rate: rate(counts).whole >= minimum_n for rate in asked.rates}
    observed, resampled = Groups(counts, large), Groups(resample_counts(counts), large)
    whole = {"attribute": TIMES.join(table.attributes)}
    return [
        *(
            _compare(comparison, observed, resampled, whole, minimum_n)
            if asked.answers(comparison.rates)
            else Measurement(f"fairness.{comparison.compute.__name__}", None, 0, whole, reason=NO_LABELS)
            for comparison in asked.comparisons
        ),
        share_compared(int(counts.sum()), int(table.counts.sum()), whole),
    ]


def _compare(
    comparison: Comparison, observed: Groups, resampled: Groups, slice: dict[str, str], minimum_n: int
) -> Measurement:
    name = f"fairness.{comparison.compute.__name__}"
    n = sum(int(rate(observed.counts[observed.large[rate]]).whole.sum()) for rate in comparison.rates)
    for rate in comparison.rates:
        if observed.large[rate].sum() < 2:
            few = f"fewer than two groups have {minimum_n} rows or more in the denominator of {rate.__name__}"
            return Measurement(name, None, n, slice, reason=f"not enough data: {few}")
    value = float(comparison.compute(observed))
    if not np.isfinite(value):
        return Measurement(name, None, n, slice, reason=comparison.undefined)
    if comparison.is_test:
        return Measurement(name, value, n, slice, method="z test")
    return Measurement(name, value, n, slice, *percentiles(comparison.compute(resampled), value), "bootstrap")


def _code(name: str, values: Sequence[str], n: int) -> Coded:
    """Return one attribute as numbers; equal names of different values (1 and "1") are one group."""
    import pandas as pd

    column: Any = values if hasattr(values, "dtype") else np.asarray(values, dtype=object)
    if len(column) != n:
        raise InputError(f"Expected one group of {name!r} for each of {n} rows, found {len(column)}.")
    if isinstance(column.dtype, pd.CategoricalDtype):
        column = pd.Categorical(column)
        column = column if len(column.categories) <= MOST_GROUPS else column.remove_unused_categories()
        codes, found = column.codes, column.categories
    else:
        codes, found = pd.factorize(column)
    if len(found) > MOST_GROUPS:
        raise InputError(
            f"Expected a protected attribute with few groups, found {len(found)} in {name!r}. Name a column of groups."
        )
    names, position = np.unique([UNKNOWN, *(str(group) for group in found)], return_inverse=True)
    return Coded(np.asarray(codes), position, names)


def _condense(
    cells: Array, coded: Mapping[str, Coded], people: Array | None
) -> tuple[Array, dict[str, Array], Array | None]:
    """Return the distinct combinations of cell and groups: cell, position of the group by attribute, and how many."""
    sizes = [len(each.position) for each in coded.values()]
    possible = CELLS * prod(sizes)
    if possible > MOST_COMBINATIONS:
        return cells, {name: each.position[each.codes + 1] for name, each in coded.items()}, people
    counts: Array = np.zeros(possible)
    step = max(ROWS_AT_ONCE, possible)
    for start in range(0, len(cells), step):
        rows = slice(start, start + step)
        joint = cells[rows].astype(np.intp)
        for each, size in zip(coded.values(), sizes, strict=True):
            joint *= size
            joint += each.codes[rows]
            joint += 1
        counts += np.bincount(joint, None if people is None else people[rows], minlength=possible)
    present = np.flatnonzero(counts)
    cells, *positions = np.unravel_index(present, (CELLS, *sizes))
    found = {name: each.position[code] for (name, each), code in zip(coded.items(), positions, strict=True)}
    return cells, found, counts[present]


def _check_intersections(intersections: Iterable[tuple[str, ...]], coded: Mapping[str, Coded]) -> None:
    for names in intersections:
        unknown = [name for name in names if name not in coded]
        if unknown or len(set(names)) < 2 or len(set(names)) < len(names):
            raise InputError(
                f"Expected an intersection of two or more of {', '.join(coded)}, found {TIMES.join(names)!r}."
            )
        if (possible := prod(len(coded[name].names) for name in names)) > MOST_GROUPS:
            raise InputError(f"Expected at most {MOST_GROUPS} groups, found {possible} in {TIMES.join(names)!r}.")


def _tabulate(
    attributes: tuple[str, ...],
    names: Mapping[str, Array],
    positions: Mapping[str, Array],
    cells: Array,
    people: Array | None,
) -> Table:
    shape = tuple(len(names[attribute]) for attribute in attributes)
    joint: Array = np.zeros(len(cells), dtype=np.intp)
    for attribute, size in zip(attributes, shape, strict=True):
        joint *= size
        joint += positions[attribute]
    joint *= CELLS
    joint += cells
    # Sums of whole numbers below 2**53 are exact as floats.
    counts = np.bincount(joint, people, minlength=prod(shape) * CELLS).astype(np.int64).reshape(-1, CELLS)
    present = np.flatnonzero(counts.sum(-1))
    found = np.unravel_index(present, shape)
    parts = [names[attribute][position].tolist() for attribute, position in zip(attributes, found, strict=True)]
    return Table(attributes, tuple(zip(*parts, strict=True)), counts[present])
