"""How a column is distributed on both sides, small enough to be kept and drawn: the bins from which its PSI is made.

What is kept is counts by bin, never a row. What few people share is not told apart: a bin, or a value of text, that has
fewer than :data:`FEW` rows on both sides is one with its neighbour, or one of the others. The ends of a range are inner
quantiles, rounded, or numbers that at least so many rows have; the smallest and the largest value of a column are not
kept. So PSI can be computed again from a shape wherever nothing was put together. Neighbours:
:mod:`governance.measures.drift_counts` counts, ``governance.reports.shapes`` draws,
:mod:`governance.measures.drift_stream` counts on. Not guaranteed: that a value of text which five rows share names
nobody.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from governance.measures import drift_counts
from governance.measures.drift_counts import Column

Json = dict[str, Any]
Kind = Literal["numbers", "times", "values"]

FEW = 5
"""Rows that one side must have of a bin, or of a value, for it to be told apart from others."""

MOST_NAMED = 10
"""Values of text that are named, the commonest first; the others are one bin."""

LONGEST_NAME = 60
"""Letters of a value of text that are kept."""

DIGITS = 4
"""Digits of the ends of a range, of the span of all of them."""

MOST_DIGITS = 20
"""So many more are tried before an end is kept as it is."""


@dataclass(frozen=True)
class Bin:
    """One bin on both sides.

    Attributes:
        low: Where it begins; ``None`` for one without a beginning, and for values of text.
        high: Where it ends, the next one's beginning; the same as ``low`` where it is one number.
        name: The value of text; ``None`` for numbers, and for all others together.
        reference: Rows of the reference.
        current: Rows of the current side.
    """

    low: float | None
    high: float | None
    name: str | None
    reference: int
    current: int


@dataclass(frozen=True)
class Shape:
    """One column on both sides, as it is kept.

    Attributes:
        name: Its name; empty for what the model says.
        kind: ``numbers``, ``times`` (in seconds since 1970) or ``values``.
        rows: Of the reference and of the current side, missing ones included.
        missing: Rows of both whose value is missing.
        bins: In the order of the numbers, or the commonest value first.
        others: How many values of text are one bin, the last.
    """

    name: str
    kind: Kind
    rows: tuple[int, int]
    missing: tuple[int, int]
    bins: tuple[Bin, ...]
    others: int = 0

    def to_dict(self) -> Json:
        """Return plain JSON; a bin is its two ends, or its name, and its two counts."""
        text = self.kind == "values"
        return {
            "column": self.name,
            "kind": self.kind,
            "rows": list(self.rows),
            "missing": list(self.missing),
            "bins": [[*([one.name] if text else [one.low, one.high]), one.reference, one.current] for one in self.bins],
            "others": self.others,
        }

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> "Shape":
        """Inverse of :meth:`to_dict`."""
        text = document["kind"] == "values"
        bins = [Bin(None, None, *one) if text else Bin(one[0], one[1], None, *one[2:]) for one in document["bins"]]
        (m, n), (before, now) = document["rows"], document["missing"]
        return cls(document["column"], document["kind"], (m, n), (before, now), tuple(bins), document["others"])


def shape_of(column: Column, names: Sequence[str] = (), *, times: bool = False) -> Shape:
    """Return the shape of a column that was counted.

    Args:
        column: Both sides of it.
        names: What its values are called, in the order of its counts; those that it knows by default.
        times: Whether its numbers are times in seconds.
    """
    m, n = (int(rows) for rows in column.counts.sum(1))
    before, now = (int(rows) for rows in column.counts[:, -1])
    if column.reference is None or column.current is None:
        named, others = _values(column, names or column.values)
        return Shape(column.name, "values", (m, n), (before, now), named, others)
    return Shape(column.name, "times" if times else "numbers", (m, n), (before, now), _ranges(column))


def _values(column: Column, names: Sequence[str]) -> tuple[tuple[Bin, ...], int]:
    """Return the bins of named values and of all others together, and how many those are."""
    counts = column.counts[:, :-1].T.tolist()
    named: list[Bin] = []
    others, rest = 0, [0, 0]
    for place, (reference, current) in enumerate(counts):
        known = place < len(names)  # the rest of very many values is one, and has no name
        if known and max(reference, current) >= FEW and len(named) < MOST_NAMED:
            named.append(Bin(None, None, _short(names[place]), reference, current))
        elif reference or current:
            others += 1
            rest = [rest[0] + reference, rest[1] + current]
    if others:
        named.append(Bin(None, None, None, *rest))
    return tuple(named), others


def _short(name: str) -> str:
    return name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1]}…"


def _ranges(column: Column) -> tuple[Bin, ...]:
    edges, lone = drift_counts.cuts_of(column)
    # As the counts are: a cut in front of each edge, and one behind each that is a bin of its own.
    both = sorted([*edges.tolist(), *lone.tolist()])
    ends = zip([-math.inf, *both], [*both, math.inf], strict=True)
    counts = column.counts[:, :-1].T.tolist()
    found = [
        [low, high, reference, current]
        for (low, high), (reference, current) in zip(ends, counts, strict=True)
        if reference or current
    ]
    return tuple(_rounded(_together(found)))


def _together(bins: list[list[float]]) -> list[list[float]]:
    """Put each bin that few rows share, or that has no finite end, together with its smaller neighbour."""
    bins = list(bins)
    while len(bins) > 1:
        small = next((at for at, one in enumerate(bins) if max(one[2:]) < FEW or _is_endless(one)), None)
        if small is None:
            break
        beside = [at for at in (small - 1, small + 1) if 0 <= at < len(bins)]
        other = min(beside, key=lambda at: sum(bins[at][2:]))
        first, second = sorted((small, other))
        left, right = bins[first], bins[second]
        bins[first : second + 1] = [[left[0], right[1], left[2] + right[2], left[3] + right[3]]]
    return bins


def _is_endless(one: Sequence[float]) -> bool:
    return not (math.isfinite(one[0]) or math.isfinite(one[1]))


def _rounded(bins: list[list[float]]) -> list[Bin]:
    """Return the bins with rounded ends; a number that is a bin of its own stays what it is, and in its order."""
    own = {low for low, high, *_ in bins if low == high}
    ends = [end for one in bins for end in one[:2] if math.isfinite(end)]
    span = max(ends) / 2 - min(ends) / 2 if ends else 0.0
    largest = span or max((abs(end) for end in ends), default=0.0)
    digits = DIGITS - 1 - math.floor(math.log10(largest)) if largest else 0

    def told(digits: int) -> dict[float, float]:
        return {end: end if end in own else _round(end, digits) for end in sorted(set(ends))}

    # Beside numbers that stay, a rounded end may fall on their other side: it then has more digits.
    finer = (told(digits + more) for more in range(MOST_DIGITS))
    found = next(
        (one for one in finer if list(one.values()) == sorted(one.values())), dict(zip(ends, ends, strict=True))
    )
    return [Bin(found.get(low), found.get(high), None, int(r), int(c)) for low, high, r, c in bins]


def _round(end: float, digits: int) -> float:
    with np.errstate(over="ignore", invalid="ignore"):
        rounded = float(np.round(end, digits)) + 0.0
    return rounded if math.isfinite(rounded) else end
