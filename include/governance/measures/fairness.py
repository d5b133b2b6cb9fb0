"""How the model treats each group, each intersection of groups, and how far apart they are.

Rows are read once: each attribute becomes small integers, each attribute or intersection one table of counts
(groups × 4 cells), and everything after that, bootstrap included, works on counts. So ten million rows cost seconds.

A group enters a comparison only if the rate compared rests on enough of its rows (``minimum_n``); its own rates are
reported with their n in any case, and ``fairness.share_compared`` says how much of the data the comparison speaks of.
Unknown membership is a group like any other. Neighbours: ``confusion`` has the rates, ``intervals`` the uncertainty.
Not guaranteed: that a label is fair. Measures that use it (equalised odds, equal opportunity, predictive parity)
repeat its bias.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from governance.errors import InputError
from governance.measures import confusion
from governance.measures.confusion import (
    CELLS,
    Array,
    Rate,
    accuracy,
    divide,
    false_negative_rate,
    false_positive_rate,
    precision,
    selection_rate,
    true_positive_rate,
)
from governance.measures.intervals import percentiles, proportion, resample_counts
from governance.records import Measurement

UNKNOWN = "unknown"
"""The group of rows whose membership is not recorded."""

MOST_GROUPS = 10_000
"""More than this many possible groups is no protected attribute but a mistake, such as a name or a number."""

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


def measure_fairness(
    labels: npt.ArrayLike,
    predictions: npt.ArrayLike,
    groups: Mapping[str, Sequence[str]],
    intersections: Iterable[tuple[str, ...]] = (),
    *,
    minimum_n: int = 30,
) -> list[Measurement]:
    """Measure a binary classifier by group, by intersection, and between groups.

    Args:
        labels: What came true, 0 or 1 (favourable), shape (n).
        predictions: What the model decided, 0 or 1, shape (n).
        groups: For each protected attribute the group of each row, shape (n); missing values count as ``unknown``.
            A pandas categorical is the fastest form.
        intersections: Which attributes to cross with each other.
        minimum_n: A group with fewer rows in the denominator of a rate is left out when that rate is compared.

    Returns:
        For each attribute and intersection: :data:`RATES` of each group that occurs, then :data:`COMPARISONS` and
        ``fairness.share_compared``.

    Raises:
        InputError: Arrays differ in length, labels or predictions are not 0 and 1, an intersection names an unknown
            attribute or less than two, or an attribute has too many groups.
    """
    cells = confusion.cells_of(labels, predictions)
    coded = {name: _code(name, values, len(cells)) for name, values in groups.items()}
    crossed = [tuple(names) for names in intersections]
    _check_intersections(crossed, coded)
    tables = [_tabulate(names, coded, cells) for names in [*((name,) for name in coded), *crossed]]
    return [measurement for table in tables for measurement in _measure_table(table, max(minimum_n, 1))]


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
    return divide(*groups.extremes(selection_rate))


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


def equal_opportunity_difference(groups: Groups) -> Array:
    """How far apart two groups are in the share of deserving rows that are selected.

    Formula: max − min of the true positive rates.
    Source: Hardt, Price and Srebro (2016), Equality of Opportunity in Supervised Learning.
    Ideal: 0.
    Limits: inherits every bias of the label.
    """
    return groups.difference(true_positive_rate)


def equalised_odds_difference(groups: Groups) -> Array:
    """How far apart two groups are in the true or in the false positive rate, whichever is worse.

    Formula: max of both differences.
    Source: Hardt, Price and Srebro (2016); as in fairlearn.metrics.equalized_odds_difference (worst case).
    Ideal: 0.
    Limits: inherits every bias of the label; false positives are often few, so the interval is wide.
    """
    return np.maximum(groups.difference(true_positive_rate), groups.difference(false_positive_rate))


def predictive_parity_difference(groups: Groups) -> Array:
    """How far apart two groups are in how often a favourable prediction comes true.

    Formula: max − min of the precisions.
    Source: Chouldechova (2017), Fair Prediction with Disparate Impact, Big Data 5(2).
    Ideal: 0.
    Limits: cannot be 0 together with equalised odds where base rates differ (Kleinberg et al. 2016).
    """
    return groups.difference(precision)


@dataclass(frozen=True)
class Comparison:
    """What a comparison between groups needs to know besides its formula.

    Attributes:
        compute: The formula; its name is the name of the measurement.
        rates: The rates that are compared, whose denominators do not overlap; their sum is the n of the measurement.
        undefined: What it means when the formula divides by 0.
    """

    compute: Callable[[Groups], Array]
    rates: tuple[Rate, ...]
    undefined: str = "the formula divides by 0"


COMPARISONS = (
    Comparison(demographic_parity_difference, (selection_rate,)),
    Comparison(disparate_impact_ratio, (selection_rate,), "nobody was selected"),
    Comparison(denial_ratio, (selection_rate,), "a group had no denials, so no ratio to it exists"),
    Comparison(standardised_difference, (selection_rate,), "one group was selected throughout and another not at all"),
    Comparison(equal_opportunity_difference, (true_positive_rate,)),
    Comparison(equalised_odds_difference, (true_positive_rate, false_positive_rate)),
    Comparison(predictive_parity_difference, (precision,)),
)
"""What is measured between the groups of an attribute or intersection, in the order in which it is reported."""


def _measure_table(table: Table, minimum_n: int) -> list[Measurement]:
    return [*_measure_groups(table), *_compare_groups(table, minimum_n)]


def _measure_groups(table: Table) -> list[Measurement]:
    return [
        proportion(f"fairness.{rate.__name__}", rate(counts), dict(zip(table.attributes, group, strict=True)))
        for group, counts in zip(table.groups, table.counts, strict=True)
        for rate in RATES
    ]


def _compare_groups(table: Table, minimum_n: int) -> list[Measurement]:
    # No denominator exceeds the group. Draws must not depend on names: groups come in the order of their counts.
    counts = table.counts[table.counts.sum(-1) >= minimum_n]
    counts = counts[np.lexsort(counts.T)]
    large = {rate: rate(counts).whole >= minimum_n for rate in RATES}
    observed, resampled = Groups(counts, large), Groups(resample_counts(counts), large)
    whole = {"attribute": TIMES.join(table.attributes)}
    return [
        *(_compare(comparison, observed, resampled, whole, minimum_n) for comparison in COMPARISONS),
        _share_compared(int(counts.sum()), int(table.counts.sum()), whole),
    ]


def _share_compared(compared: int, n: int, slice: dict[str, str]) -> Measurement:
    """Share of rows in groups that are large enough to be compared: the rest is reported, but compared with nobody."""
    if n == 0:
        return Measurement("fairness.share_compared", None, 0, slice, reason="there are no rows")
    return Measurement("fairness.share_compared", compared / n, n, slice, method="counted")


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
    return Measurement(name, value, n, slice, *percentiles(comparison.compute(resampled), value), "bootstrap")


def _code(name: str, values: Sequence[str], n: int) -> tuple[Array, Array]:
    """Return the group of each row as a number, shape (n), and the sorted names of the groups."""
    import pandas as pd

    column: Any = values if hasattr(values, "dtype") else np.asarray(values, dtype=object)
    if len(column) != n:
        raise InputError(f"Expected one group of {name!r} for each of {n} rows, found {len(column)}.")
    codes, found = pd.factorize(column)
    if len(found) > MOST_GROUPS:
        raise InputError(
            f"Expected a protected attribute with few groups, found {len(found)} in {name!r}. Name a column of groups."
        )
    # Missing values have the code -1, which points to the last name.
    names, position = np.unique([*(str(group) for group in found), UNKNOWN], return_inverse=True)
    return position[codes], names


def _check_intersections(intersections: Iterable[tuple[str, ...]], coded: Mapping[str, tuple[Array, Array]]) -> None:
    for names in intersections:
        unknown = [name for name in names if name not in coded]
        if unknown or len(set(names)) < 2 or len(set(names)) < len(names):
            raise InputError(
                f"Expected an intersection of two or more of {', '.join(coded)}, found {TIMES.join(names)!r}."
            )
        if (possible := prod(len(coded[name][1]) for name in names)) > MOST_GROUPS:
            raise InputError(f"Expected at most {MOST_GROUPS} groups, found {possible} in {TIMES.join(names)!r}.")


def _tabulate(attributes: tuple[str, ...], coded: Mapping[str, tuple[Array, Array]], cells: Array) -> Table:
    names = [coded[attribute][1] for attribute in attributes]
    shape = tuple(len(each) for each in names)
    joint: Array = np.zeros(len(cells), dtype=np.intp)
    for attribute, size in zip(attributes, shape, strict=True):
        joint *= size
        joint += coded[attribute][0]
    joint *= CELLS
    joint += cells
    counts = np.bincount(joint, minlength=prod(shape) * CELLS).reshape(-1, CELLS)
    present = np.flatnonzero(counts.sum(-1))
    positions = np.unravel_index(present, shape)
    parts = [each[position].tolist() for each, position in zip(names, positions, strict=True)]
    return Table(attributes, tuple(zip(*parts, strict=True)), counts[present])
