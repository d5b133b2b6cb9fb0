"""Drift of tables that are never in memory as a whole: one column of one side at a time.

A :class:`Side` is one column of one table, ready to be compared: its numbers sorted, or its values counted. Sorting
and counting need every row but only this column, so nothing is sampled and every number is exact whatever the size;
memory is that of a few columns. Two columns are under way at once, so that one is decoded while another is sorted.

What a column is follows the logical types of :mod:`governance.data.columns`: the same file measured here and as a frame
gives the same numbers to the last bit. Neighbours: :mod:`governance.measures.drift` measures,
:mod:`governance.measures.drift_sketch` keeps sides on disk. Not guaranteed: bounded memory for a column of text with
millions of different values, for all of them are held.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from governance.data.sources.parquet_columns import Columns, is_text
from governance.errors import InputError
from governance.measures import drift_counts
from governance.measures.confusion import Array
from governance.measures.drift import MINIMUM_N, Drift, measure_columns
from governance.measures.drift_counts import Column

if TYPE_CHECKING:
    import pandas as pd

LARGEST_EXACT = 2**53
"""Up to here every whole number is a float64."""

NAMES = {"halffloat": "float16", "float": "float32", "double": "float64"}
"""What numpy calls the numbers that Arrow calls otherwise."""

PENDING = 4_000_000
"""Values of text, of all batches, from which they are put together before the next batch is read."""


class Kind(StrEnum):
    """What a column holds, in the words of messages."""

    YES_NO = "yes/no"
    NUMBERS = "numbers"
    TIMES = "times"
    TEXT = "text"
    NOTHING = "nothing"


@dataclass(frozen=True)
class Side:
    """One column of one table, ready to be compared.

    Attributes:
        kind: What it holds. Yes/no of which some is missing is numbers; a column without a value is nothing.
        rows: How many the table has.
        ordered: Numbers, and times in seconds since 1970, sorted, what is missing left out.
        values: Different values of text, an Arrow array.
        counts: How many rows have each of these; of yes/no, how many are no and how many are yes.
    """

    kind: Kind
    rows: int
    ordered: Array | None = None
    values: Any = None
    counts: Array | None = None


class Table(Protocol):
    """Something that has columns."""

    @property
    def names(self) -> Sequence[str]:
        """Names of its columns."""

    @property
    def rows(self) -> int:
        """How many rows it has, at least 1."""

    def side(self, name: str) -> Side:
        """Return a column, ready to be compared. May be called from two threads."""


class ParquetTable:
    """A Parquet file as a :class:`Table`."""

    def __init__(self, columns: Columns) -> None:
        """Take an open file; whoever opened it closes it."""
        self.columns, self.names, self.rows = columns, columns.names, columns.rows

    def side(self, name: str) -> Side:
        """Read a column and sort or count it.

        Raises:
            InputError: The file is damaged, or holds what has no place among the logical types.
        """
        kind, batches = self.columns.type_of(name), self.columns.batches(name)
        if is_text(kind):
            return _of_text(batches, self.rows)
        if pa.types.is_boolean(kind):
            return _of_yes_no(batches, self.rows)
        if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
            return _of_numbers(Kind.TIMES, (self._seconds(name, batch) for batch in batches), self.rows)
        if pa.types.is_floating(kind):
            return _of_numbers(Kind.NUMBERS, map(_floats, batches), self.rows)
        if pa.types.is_integer(kind) and not pa.types.is_uint64(kind):
            return self._of_integers(name, batches)
        return self._of_anything(name, batches)

    def _seconds(self, name: str, batch: Any) -> Array:
        try:
            micros = batch.cast(pa.timestamp("us", getattr(batch.type, "tz", None)))
        except pa.ArrowInvalid as error:
            raise InputError(
                f"{self.columns.where}: column {name!r} was read as timestamp, but not all of it is: {error}."
            ) from error
        return _floats(micros.cast(pa.int64())) / 1e6

    def _of_integers(self, name: str, batches: Iterator[Any]) -> Side:
        missing, largest = 0, 0

        def floats() -> Iterator[Array]:
            nonlocal missing, largest
            for batch in batches:
                missing += batch.null_count
                ends = pc.min_max(batch).as_py()
                largest = max(largest, ends["max"] or 0, -(ends["min"] or 0))
                yield _floats(batch)

        side = _of_numbers(Kind.NUMBERS, floats(), self.rows)
        if missing and largest > LARGEST_EXACT:
            raise InputError(
                f"{self.columns.where}: column {name!r} was read as int64, but not all of it is: {largest} is too "
                f"large to be kept exactly."
            )
        return side

    def _of_anything(self, name: str, batches: Iterator[Any]) -> Side:
        """What Arrow has many types for goes the way of every other source, as one column of pandas."""
        from governance.data import columns
        from governance.data.sources import arrow

        table = pa.table({name: pa.chunked_array(batches, self.columns.type_of(name))})
        try:
            frame = columns.normalise(arrow.to_frame(table, self.columns.where))
        except InputError as error:
            raise InputError(f"{self.columns.where}: {error}") from error
        return FrameTable(frame).side(name)


class FrameTable:
    """A frame with logical types as a :class:`Table`."""

    def __init__(self, frame: "pd.DataFrame") -> None:
        """Take a frame as :func:`governance.data.columns.normalise` returns it."""
        self._frame, self.names, self.rows = frame, list(frame.columns), len(frame)

    def side(self, name: str) -> Side:
        """Sort or count a column."""
        import pandas as pd

        from governance.data.columns import logical_type
        from governance.measures.drift_frames import as_floats

        values = self._frame[name]
        kind = logical_type(values)
        if kind == "bool":
            yes = int(values.sum())
            return Side(Kind.YES_NO, self.rows, counts=np.array([self.rows - yes, yes]))
        if kind == "string":
            codes, different = pd.factorize(values)
            counts = np.bincount(codes[codes >= 0], minlength=len(different))
            return _told(Side(Kind.TEXT, self.rows, values=pa.array(different, pa.large_string()), counts=counts))
        numbers = drift_counts.ordered(as_floats(values))
        return _told(Side(Kind.TIMES if kind == "timestamp" else Kind.NUMBERS, self.rows, ordered=numbers))


def measure_tables(
    reference: Table, current: Table, *, columns: Sequence[str] = (), minimum_n: int = MINIMUM_N
) -> Drift:
    """Measure the drift of every column of the reference, column by column.

    Args:
        reference: What is usual.
        current: What came now; columns that the reference lacks are not looked at.
        columns: Only these, in this order; all by default.
        minimum_n: With fewer rows on either side nothing is said of the whole.

    Raises:
        InputError: The tables have no column in common, a column is not of one kind on both sides, or cannot be read.
    """

    def count(name: str) -> Column:
        return combined(name, reference.side(name), current.side(name))

    names = (list(columns) or list(reference.names), list(current.names))
    return measure_columns(count, names, (reference.rows, current.rows), minimum_n=minimum_n)


def combined(name: str, reference: Side, current: Side) -> Column:
    """Count both sides of a column.

    Raises:
        InputError: They are not of one kind.
    """
    kinds = {side.kind for side in (reference, current)} - {Kind.NOTHING}
    if kinds == {Kind.YES_NO}:
        counts = np.array([[*_yes_no(side), side.rows - _yes_no(side).sum()] for side in (reference, current)])
        return drift_counts.of_values(name, counts[:, np.append(counts[:, :2].any(0), True)])
    if kinds == {Kind.TEXT}:
        return drift_counts.of_values(name, _aligned(reference, current))
    if kinds <= {Kind.NUMBERS, Kind.YES_NO} or kinds == {Kind.TIMES}:
        return drift_counts.of_ordered(name, _numbers(reference), reference.rows, _numbers(current), current.rows)
    raise InputError(
        f"Expected column {name!r} to be of one kind on both sides, found {reference.kind} in the reference and "
        f"{current.kind} in the current data. Convert one of them, or leave the column out."
    )


def _yes_no(side: Side) -> Array:
    return np.zeros(2, dtype=np.int64) if side.counts is None else side.counts


def _numbers(side: Side) -> Array:
    """Return the numbers of a side; yes/no among them is 0 and 1."""
    if side.kind == Kind.YES_NO:
        return np.repeat(np.array([0.0, 1.0]), _yes_no(side))
    return np.empty(0) if side.ordered is None else side.ordered


def _aligned(*sides: Side) -> Array:
    """Return rows by side and value, the last for what is missing, shape (2, values + 1)."""
    values = [pa.nulls(0, pa.large_string()) if side.values is None else side.values for side in sides]
    both = pa.concat_arrays(values).dictionary_encode()
    places = np.split(_raw(both.indices), [len(values[0])])
    counts = np.zeros((2, len(both.dictionary) + 1), dtype=np.int64)
    for row, side, place in zip(counts, sides, places, strict=True):
        if side.counts is not None:
            row[place] = side.counts
        row[-1] = side.rows - row[:-1].sum()
    return counts


def _told(side: Side) -> Side:
    """Return a side, or nothing where it has no value: nothing is left to tell what it was."""
    found = side.ordered if side.counts is None else side.counts
    return side if found is not None and found.size else Side(Kind.NOTHING, side.rows)


def _floats(batch: Any) -> Array:
    """Return a batch of numbers as floats; what is missing is NaN."""
    numbers = _raw(batch)
    if not batch.null_count:
        return numbers
    begin, end = batch.offset, batch.offset + len(batch)
    bits = np.frombuffer(batch.buffers()[0], dtype=np.uint8)
    return np.where(np.unpackbits(bits, count=end, bitorder="little")[begin:], numbers, np.nan)


def _raw(array: Any) -> Array:
    """Return the numbers of an Arrow array where they lie; anything where one is missing.

    From its buffer: ``to_numpy`` imports pandas, which costs more than a small answer may take.
    """
    kind = np.dtype(NAMES.get(str(array.type), str(array.type)))
    return np.frombuffer(array.buffers()[1], kind, len(array), array.offset * kind.itemsize)


def _of_numbers(kind: Kind, batches: Iterator[Array], rows: int) -> Side:
    numbers, place = np.empty(rows), 0
    for batch in batches:
        numbers[place : place + len(batch)] = batch
        place += len(batch)
    numbers.sort()  # NaN goes to the end
    return _told(Side(kind, rows, ordered=drift_counts.without_missing(numbers)))


def _of_yes_no(batches: Iterator[Any], rows: int) -> Side:
    yes, missing = 0, 0
    for batch in batches:
        yes, missing = yes + batch.true_count, missing + batch.null_count
    counts = np.array([rows - missing - yes, yes])
    if not missing:
        return Side(Kind.YES_NO, rows, counts=counts)
    return _told(Side(Kind.NUMBERS, rows, ordered=np.repeat(np.array([0.0, 1.0]), counts)))


def _of_text(batches: Iterator[Any], rows: int) -> Side:
    found: list[tuple[Any, Array]] = []
    for batch in batches:
        codes = _raw(batch.indices.drop_null())
        counts = np.bincount(codes, minlength=len(batch.dictionary))
        found.append((batch.dictionary.cast(pa.large_string()), counts))
        if len(found) > 1 and sum(len(values) for values, _ in found) > PENDING:
            found = [_merged(found)]
    values, counts = _merged(found)
    return _told(Side(Kind.TEXT, rows, values=values, counts=counts))


def _merged(found: Sequence[tuple[Any, Array]]) -> tuple[Any, Array]:
    """Return different values and their counts, of those that occur, from those of several batches."""
    every = pa.concat_arrays([values for values, _ in found]).dictionary_encode()
    counts = np.zeros(len(every.dictionary), dtype=np.int64)
    np.add.at(counts, _raw(every.indices), np.concatenate([counts for _, counts in found]))
    occurs = counts > 0
    # From a buffer, for pa.array imports pandas, too.
    bits = pa.py_buffer(np.packbits(occurs, bitorder="little"))
    return every.dictionary.filter(pa.Array.from_buffers(pa.bool_(), occurs.size, [None, bits])), counts[occurs]
