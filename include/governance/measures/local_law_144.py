"""The bias audit of New York City's Local Law 144, as its rule wants it computed: 6 RCNY § 5-300 to § 5-303 (2023).

An employer who uses an automated tool to select or to score people publishes once a year, by sex, by race and ethnicity
and by both together: how many applied, which share was selected (or scored above the median), and the impact ratio,
this share beside that of the most selected category. Everything here is counted in whole numbers and divided once, so a
published table is reproduced to its last digit; only who prints it rounds.

What the rule leaves to the auditor is an argument: whether categories of less than 2 % are left out of the impact
ratios (§ 5-301(d); they are shown in any case), and whether a person of unknown race still counts by sex. By default
no category is left out, and a person with an unknown category is in no table but counted apart, as in the rule's own
examples, where all tables speak of the same people. Many published audits count such a person where they can.

Neighbours: ``fairness`` has ``fairness.impact_ratio`` with its uncertainty, for every model; the law knows neither
interval nor minimum number. Not guaranteed: that a table makes an audit. It takes an independent auditor, and the
categories of the EEO-1 report.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from governance.errors import InputError
from governance.measures.confusion import Array
from governance.measures.fairness import MOST_GROUPS, TIMES, UNKNOWN, whole_counts

Json = dict[str, Any]

SMALL = Fraction(2, 100)
"""A category of less than this share of the data may be left out of the impact ratios: § 5-301(d)."""


@dataclass(frozen=True)
class Category:
    """One line of a table.

    Attributes:
        groups: The category, one part for each attribute of the table.
        applicants: How many people of it were assessed.
        selected: How many of these were selected, or scored above the median.
        share: What part of the people in the table it is.
        impact_ratio: Its rate beside that of the most selected category; ``None`` where it is left out, or where nobody
            was selected.
        excluded: Whether it is left out of the impact ratios.
    """

    groups: tuple[str, ...]
    applicants: int
    selected: int
    share: Fraction
    impact_ratio: Fraction | None
    excluded: bool

    @property
    def rate(self) -> Fraction:
        """The selection rate or scoring rate."""
        return Fraction(self.selected, self.applicants)

    @property
    def is_small(self) -> bool:
        """Whether it is less than 2 % of the data."""
        return self.share < SMALL


@dataclass(frozen=True)
class AuditTable:
    """The categories of one attribute, or of several together.

    Attributes:
        attributes: What the categories are categories of.
        categories: In the order in which they occur in the data.
        unknown: How many people are not in the table, because their category is not known.
    """

    attributes: tuple[str, ...]
    categories: tuple[Category, ...]
    unknown: int

    @property
    def applicants(self) -> int:
        """How many people are in the table."""
        return sum(category.applicants for category in self.categories)


@dataclass(frozen=True)
class BiasAudit:
    """What the summary of results has to state in numbers: § 5-303(a)(1).

    Attributes:
        scored: Whether rates are scoring rates; they are selection rates otherwise.
        tables: One for each attribute and intersection.
        assessed: How many people the tool assessed.
        unknown: How many of these have an unknown category in one attribute at least.
        median: The median score of all people assessed; ``None`` for selections.
    """

    scored: bool
    tables: tuple[AuditTable, ...]
    assessed: int
    unknown: int
    median: float | None

    def to_dict(self) -> Json:
        """Return the JSON form; rates and ratios as the nearest float."""
        return {
            "rate": "scoring rate" if self.scored else "selection rate",
            "assessed": self.assessed,
            "unknown": self.unknown,
            "median": self.median,
            "tables": [
                {
                    "attribute": TIMES.join(table.attributes),
                    "applicants": table.applicants,
                    "unknown": table.unknown,
                    "categories": [_category_to_dict(table, each, self.scored) for each in table.categories],
                }
                for table in self.tables
            ],
        }


def audit_selection(
    selected: npt.ArrayLike,
    categories: Mapping[str, Sequence[Any]],
    intersections: Iterable[tuple[str, ...]] = (),
    *,
    counts: npt.ArrayLike | None = None,
    exclude_below: Fraction | float = 0,
    partly_known: bool = False,
) -> BiasAudit:
    """Compute selection rates and impact ratios: § 5-301(b).

    Formula: selection rate = selected / applicants; impact ratio = selection rate of a category / that of the most
    selected category.
    Source: 6 RCNY § 5-300 (definitions) and § 5-301(b), City Record of 6 April 2023.
    Ideal: 1; the law sets no limit. Below 0.80 counts as evidence of adverse impact under 29 CFR 1607.4(D).
    Limits: knows no uncertainty: with few applicants the most selected category is so by chance.

    Args:
        selected: Whether a person moved forward, 0 or 1, shape (n).
        categories: For each attribute (sex; race and ethnicity) the category of each person, shape (n); missing values
            and ``unknown`` are unknown.
        intersections: Which attributes to cross with each other.
        counts: How many people each row stands for, shape (n); one by default.
        exclude_below: Leave categories of a smaller share of their table out of the impact ratios; :data:`SMALL` is
            the most that the rule allows. None by default.
        partly_known: Count a person of whom one category is unknown in the tables that do not need it.

    Raises:
        InputError: Lengths differ, ``selected`` is not 0 and 1, an intersection names an unknown attribute, or more
            than :data:`SMALL` would be left out.
    """
    chosen = np.asarray(selected)
    if chosen.ndim != 1 or not np.isin(chosen, (0, 1)).all():
        raise InputError("Expected 1 for everybody who was selected and 0 for everybody else, in one column.")
    people = _people(counts, len(chosen))
    return _audit(chosen == 1, categories, intersections, people, exclude_below, partly_known, None)


def audit_scores(
    scores: npt.ArrayLike,
    categories: Mapping[str, Sequence[Any]],
    intersections: Iterable[tuple[str, ...]] = (),
    *,
    counts: npt.ArrayLike | None = None,
    exclude_below: Fraction | float = 0,
    partly_known: bool = False,
) -> BiasAudit:
    """Compute scoring rates and impact ratios: § 5-301(c).

    Formula: scoring rate = people scored above the median of the full sample / people of the category; impact ratio =
    scoring rate of a category / that of the highest scoring category.
    Source: 6 RCNY § 5-300 (definitions) and § 5-301(c), City Record of 6 April 2023.
    Ideal: 1; the law sets no limit.
    Limits: sees no difference but around the median: categories that differ in the tails alone have a ratio of 1.

    Args:
        scores: The score of each person, finite, shape (n). The median is that of all of them, unknown category
            included.
        categories: As in :func:`audit_selection`; so are the other arguments.
        intersections: Which attributes to cross with each other.
        counts: How many people each row stands for, shape (n); one by default.
        exclude_below: Leave smaller categories out of the impact ratios.
        partly_known: Count a person of whom one category is unknown in the tables that do not need it.

    Raises:
        InputError: As :func:`audit_selection`; a score is not a finite number, or there are none.
    """
    try:
        values = np.asarray(scores, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"Expected scores to be numbers, found something else: {error}.") from error
    if values.ndim != 1 or not np.isfinite(values).all():
        raise InputError("Expected one finite score for each person, found a missing or infinite one.")
    people = _people(counts, len(values))
    if not people.sum():
        raise InputError("Expected the scores of one person at least, found none.")
    lower, upper = _middle(values, people)
    # No score lies between the two middle ones: who is above the lower one is above their mean, which may be rounded.
    return _audit(values > lower, categories, intersections, people, exclude_below, partly_known, lower / 2 + upper / 2)


def rounded(value: Fraction, decimals: int) -> str:
    """Return a rate or ratio with so many decimals, halves rounded up as people do by hand: 0.125 is 0.13."""
    ten = 10**decimals
    whole = (2 * value.numerator * ten + value.denominator) // (2 * value.denominator)
    return f"{whole // ten}.{whole % ten:0{decimals}d}" if decimals else str(whole)


def _people(counts: npt.ArrayLike | None, n: int) -> Array:
    return np.ones(n) if counts is None else whole_counts(counts, n)


def _middle(values: Array, people: Array) -> tuple[float, float]:
    """Return the two middle scores of everybody; the same twice where their number is odd."""
    order = np.argsort(values, kind="stable")
    reached = np.cumsum(people[order])
    total = int(reached[-1])
    lower, upper = np.searchsorted(reached, [(total + 1) // 2, total // 2 + 1])
    return float(values[order[lower]]), float(values[order[upper]])


def _audit(
    selected: Array,
    categories: Mapping[str, Sequence[Any]],
    intersections: Iterable[tuple[str, ...]],
    people: Array,
    exclude_below: Fraction | float,
    partly_known: bool,
    median: float | None,
) -> BiasAudit:
    if not 0 <= exclude_below <= SMALL:
        raise InputError(
            f"Expected categories of at most 2 % to be left out (6 RCNY § 5-301(d)), found {float(exclude_below):g}."
        )
    coded = {name: _code(name, values, len(people)) for name, values in categories.items()}
    known = np.logical_and.reduce([codes >= 0 for codes, _ in coded.values()], axis=0) if coded else people >= 0
    counted = people if partly_known else people * known
    tables = [
        _table(names, coded, selected, counted, int(people.sum()), Fraction(exclude_below))
        for names in [*((name,) for name in coded), *map(tuple, intersections)]
    ]
    return BiasAudit(median is not None, tuple(tables), int(people.sum()), int(people[~known].sum()), median)


def _code(name: str, values: Sequence[Any], n: int) -> tuple[Array, list[str]]:
    """Return the category of each person, −1 where it is unknown, and the categories in the order of the data."""
    import pandas as pd

    column: Any = values if hasattr(values, "dtype") else np.asarray(values, dtype=object)
    if len(column) != n:
        raise InputError(f"Expected one category of {name!r} for each of {n} people, found {len(column)}.")
    raw, found = pd.factorize(column)
    texts = [str(each) for each in found]
    names = list(dict.fromkeys(text for text in texts if text.casefold() != UNKNOWN))
    if len(names) > MOST_GROUPS:
        raise InputError(f"Expected a few categories, found {len(names)} in {name!r}. Name a column of categories.")
    position = {text: number for number, text in enumerate(names)}
    return np.array([-1, *(position.get(text, -1) for text in texts)])[raw + 1], names


def _table(
    attributes: tuple[str, ...],
    coded: Mapping[str, tuple[Array, list[str]]],
    selected: Array,
    people: Array,
    assessed: int,
    exclude_below: Fraction,
) -> AuditTable:
    if missing := [name for name in attributes if name not in coded]:
        raise InputError(f"Expected an intersection of {', '.join(coded)}, found {missing[0]!r} in it.")
    names = [coded[attribute][1] for attribute in attributes]
    shape = tuple(map(len, names))
    if prod(shape) > MOST_GROUPS:
        raise InputError(
            f"Expected at most {MOST_GROUPS} categories, found {prod(shape)} in {TIMES.join(attributes)!r}."
        )
    codes = np.stack([coded[attribute][0] for attribute in attributes])
    known = (codes >= 0).all(axis=0)
    joint = np.ravel_multi_index(tuple(codes[:, known]), shape) if known.any() else np.zeros(0, dtype=np.intp)
    applicants = np.bincount(joint, people[known], prod(shape))
    chosen = np.bincount(joint, (people * selected)[known], prod(shape))
    total = int(applicants.sum())
    counted = [(int(n), int(s), Fraction(int(n), total)) for n, s in zip(applicants, chosen, strict=True) if n]
    groups = [
        tuple(part[position] for part, position in zip(names, np.unravel_index(number, shape), strict=True))
        for number in np.flatnonzero(applicants)
    ]
    most = max((Fraction(s, n) for n, s, share in counted if share >= exclude_below), default=Fraction(0))
    found = tuple(
        Category(
            group,
            n,
            s,
            share,
            Fraction(s, n) / most if share >= exclude_below and most else None,
            share < exclude_below,
        )
        for group, (n, s, share) in zip(groups, counted, strict=True)
    )
    return AuditTable(attributes, found, assessed - total)


def _category_to_dict(table: AuditTable, category: Category, scored: bool) -> Json:
    found: Json = {
        "category": dict(zip(table.attributes, category.groups, strict=True)),
        "applicants": category.applicants,
        "above_median" if scored else "selected": category.selected,
        "scoring_rate" if scored else "selection_rate": float(category.rate),
        "impact_ratio": None if category.impact_ratio is None else float(category.impact_ratio),
        "share": float(category.share),
        "below_2_percent": category.is_small,
        "excluded": category.excluded,
    }
    if category.impact_ratio is None:
        found["reason"] = "left out: less than 2 % of the data" if category.excluded else "nobody was selected"
    return found
