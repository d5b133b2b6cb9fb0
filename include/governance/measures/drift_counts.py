"""Two sides of one column, counted: what every measure of drift is computed from.

Numbers are cut into ten bins at quantiles of the reference; a number that is two of these at once, or one of at most
ten different ones, is a bin of its own, for a cut on one side of it would hide who moved to the other. Such a bin is a
hair wider than its number (:data:`HAIR`): 0.3 is also what one side computed as 0.1 + 0.2, or kept in 32 bits.
Everything else is counted by value. What is missing is a bin, or a value, of its own.

Nothing here knows where the rows come from: :mod:`governance.measures.drift_frames` brings them from pandas,
:mod:`governance.measures.drift_sides` from files and sketches. Not guaranteed: that more than :data:`MOST_VALUES`
values of a column of text are told apart.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from governance.measures.confusion import Array

BINS = 10

HAIR = 2.0**-22
"""Numbers that differ by less than this share of their size, or of the distance to the next one, are the same number
written twice: twice the rounding of a 32-bit number. Whole numbers never are, nor any that are told apart by more than
a quarter of that distance."""

MOST_WRITTEN = 1000
"""Numbers of a column that may be so few numbers, written differently: more are not looked through."""

MOST_VALUES = 1000
"""Values of a column of text that are told apart at most, the commonest of both sides first; the rest are one.

None is told apart that is as rare as one of the rest: which of them came first would depend on their side."""


@dataclass(frozen=True)
class Column:
    """One column of both sides, counted.

    Attributes:
        name: Its name.
        counts: Rows by side and bin or value, the last for what is missing, shape (2, bins + 1).
        reference: The reference's numbers, sorted, what is missing left out; ``None`` for what is counted by value.
        current: The current ones, likewise.
        unseen: Current rows whose value the reference lacks; counted of what is counted by value.
        values: What the values are, as far as it is known, in the order of the counts.
    """

    name: str
    counts: Array
    reference: Array | None
    current: Array | None
    unseen: int = 0
    values: tuple[str, ...] = ()

    @property
    def n(self) -> int:
        """Rows of the current side, missing ones included."""
        return int(self.counts[1].sum())


def of_numbers(name: str, reference: Array, current: Array) -> Column:
    """Count numbers.

    Args:
        name: The column's name.
        reference: The reference's numbers in any order, NaN for what is missing, shape (m).
        current: The current ones, shape (n).
    """
    first, second = ordered(reference), ordered(current)
    return of_ordered(name, first, len(reference), second, len(current))


def ordered(numbers: Array) -> Array:
    """Return numbers sorted, with NaN left out; the array that was given is left as it was."""
    return without_missing(np.sort(np.asarray(numbers, dtype=np.float64)))


def without_missing(in_order: Array) -> Array:
    """Return sorted numbers without the NaN at their end."""
    return in_order[: int(np.searchsorted(in_order, np.nan))] if in_order.size else in_order


def of_ordered(name: str, reference: Array, m: int, current: Array, n: int) -> Column:
    """Count sorted numbers.

    Args:
        name: The column's name.
        reference: The reference's numbers, sorted, what is missing left out.
        m: Rows of the reference, missing ones included.
        current: The current ones, likewise.
        n: Current rows.
    """
    edges, ends, is_lone = _cuts(_leading(reference, current))
    counts = []
    for side, rows in ((reference, m), (current, n)):
        # Rows below each cut: sorted, because cuts lie in each other.
        begun, ended = np.searchsorted(side, edges), np.searchsorted(side, ends[is_lone], side="right")
        below = np.sort(np.concatenate([begun, ended]))
        counts.append([*np.diff([0, *below, side.size]), rows - side.size])
    return Column(name, np.array(counts, dtype=np.int64), reference, current)


def of_values(name: str, counts: Array, values: Sequence[str] = ()) -> Column:
    """Count by value.

    Args:
        name: The column's name.
        counts: Rows by side and value, each of which occurs on one side at least, in any order; the last for what is
            missing. Shape (2, values + 1).
        values: What they are, in the same order.
    """
    unseen = int(counts[1, :-1][counts[0, :-1] == 0].sum())
    # By how often they occur, so that neither names nor the order of rows change the last bit of a sum.
    times = counts[:, :-1].sum(0)
    order = np.lexsort((counts[1, :-1], -times))
    apart = len(order)
    if apart > MOST_VALUES:
        apart = int(np.count_nonzero(times > times[order[MOST_VALUES]]))
    few, rest = counts[:, order[:apart]], counts[:, order[apart:]].sum(1, keepdims=True)
    kept = np.hstack([few, *([rest] if apart < len(order) else []), counts[:, -1:]])
    told = tuple(str(values[place]) for place in order[:apart]) if len(values) else ()
    return Column(name, kept, None, None, unseen, told)


def of_answers(*sides: Array) -> Column:
    """Count the answers of a model of several classes, by side; scores of shape (n, classes)."""
    classes = sides[0].shape[1]
    counts = [[*np.bincount(side.argmax(1), minlength=classes), 0] for side in sides]
    return Column("", np.array(counts), None, None)


def cuts_of(column: Column) -> tuple[Array, Array]:
    """Return where the bins of a column of numbers begin, and those of these numbers that are a bin of their own."""
    nothing = np.empty(0)
    sides = (nothing if side is None else side for side in (column.reference, column.current))
    numbers, _, is_lone = _numbers(_leading(*sides))
    return numbers, numbers[is_lone]


def _leading(reference: Array, current: Array) -> Array:
    """Return the side whose numbers make the bins."""
    return reference if reference.size else current


def _cuts(in_order: Array) -> tuple[Array, Array, Array]:
    """Return in front of which number each bin begins, where it ends if it is of one number, and whether it is."""
    first, last, is_lone = _numbers(in_order)
    hair = hairs(first, last)
    return np.where(is_lone, first - hair, first), last + hair, is_lone


def _numbers(in_order: Array) -> tuple[Array, Array, Array]:
    """Return the numbers at which bins begin, each as it is first and last written, and whether it is a bin alone."""
    begins = np.append(in_order[:1] == in_order[:1], in_order[1:] != in_order[:-1])
    if np.count_nonzero(begins) <= MOST_WRITTEN:
        first, last, _ = _alike(in_order[begins])
        if len(first) <= BINS:
            return first, last, np.ones(len(first), dtype=bool)
    edges, times = np.unique(_quantiles(in_order), return_counts=True)
    first, last, place = _alike(edges)
    return first, last, np.bincount(place, times, minlength=len(first)) > 1


def _alike(different: Array) -> tuple[Array, Array, Array]:
    """Return sorted numbers, those that are the same but for a hair as one: first, last, and which of them each is."""
    finite = different[np.isfinite(different)]
    if finite.size < 2:
        return different, different, np.arange(different.size)
    with np.errstate(invalid="ignore", over="ignore"):
        size = np.minimum(np.abs(different), finite[-1] - finite[0])
        # Beside large numbers, 0 is computed as something that is no smaller than their own last digit.
        least = np.finfo(np.float64).eps * np.abs(finite).max()
        hair = np.minimum(np.maximum(HAIR * size[1:], least), 0.25)
        apart = ~(np.diff(different) <= hair)
        ends = np.append(apart, True)
        first, last = different[np.append(True, apart)], different[ends]
        if (last - first > np.append(0.0, hair)[ends]).any():
            return different, different, np.arange(different.size)  # close to each other, but a chain of many
    return first, last, np.cumsum(np.append(True, apart)) - 1


def hairs(first: Array, last: Array) -> Array:
    """Return how far from each of these numbers, sorted, another one is still the same.

    Args:
        first: Each as it is first written, shape (numbers).
        last: … and as it is last written.
    """
    if not first.size:
        return first
    with np.errstate(invalid="ignore", over="ignore"):
        gaps = np.concatenate([[np.inf], first[1:] - last[:-1], [np.inf]])
        gap = np.minimum(gaps[:-1], gaps[1:])
        size = np.maximum(np.abs(last), np.where(np.isfinite(gap), gap, 0.0))
        hairs = np.minimum(np.minimum(HAIR * size, gap / 4), 0.25)
    return np.where(np.isfinite(first) & np.isfinite(last) & np.isfinite(hairs), hairs, 0.0)


def _quantiles(in_order: Array) -> Array:
    """Return the nine inner deciles, linear between neighbours (Hyndman and Fan 1996, definition 7)."""
    with np.errstate(invalid="ignore"):
        places = np.arange(1, BINS) / BINS * (in_order.size - 1)
        below = np.floor(places).astype(int)
        above = np.minimum(below + 1, in_order.size - 1)
        low, high = in_order[below], in_order[above]
        between = low + (high - low) * (places - below)
        return np.asarray(np.where(np.isfinite(between), between, high))
