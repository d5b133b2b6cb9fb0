"""A reference that is compared again and again, kept on disk with its numbers sorted and its values counted.

A :class:`Sketch` is a folder: ``sketch.json`` says which columns there are and of how many rows, and a file of each
column holds its numbers (``.npy``) or its values with their counts (``.parquet``). Nothing is left out or rounded, so
that drift from a sketch is drift from the table, to the last bit; what is saved is the decoding and the sorting of one
side. No pickle is read or written.

:class:`Sketches` is a folder of them, for files that are compared from the command line. A sketch is found by the
file's :meth:`~governance.data.sources.parquet_columns.Columns.stamp`, so that a file that was touched has none; one
that is incomplete, damaged or of other columns is not believed, and the file is read instead. The oldest go where all
together would exceed :data:`MOST_BYTES`. Neighbours: :mod:`governance.measures.drift_sides`.

Not guaranteed: that nobody forges a sketch who may write into its folder; which is why it belongs to its owner alone,
as the values of the columns are in it.
"""

import json
import shutil
import time
import uuid
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet

from governance.data.sources.parquet_columns import Columns
from governance.errors import TamperedError
from governance.measures.drift import THREADS
from governance.measures.drift_sides import Kind, ParquetTable, Side, Table

FORMAT = 1
LIST = "sketch.json"
"""Written last: a folder without it is no sketch."""

MOST_BYTES = 4_000_000_000
"""What all sketches of a folder may take together."""

ABANDONED = 86_400
"""Seconds after which what was not finished will never be."""

SETTLED_NS = 2_000_000_000
"""A file that was touched so shortly before it is read may be written again without its times telling."""


@dataclass(frozen=True)
class _Kept:
    """What the list says of a column: where and of how many numbers or values its file is, or how many are yes."""

    kind: Kind
    file: str
    size: int
    counts: tuple[int, ...]

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> Self:
        kind, place = Kind(told["kind"]), int(told["place"])
        counts = tuple(int(each) for each in told["counts"])
        return cls(kind, f"{place}{'.parquet' if kind == Kind.TEXT else '.npy'}", int(told["size"]), counts)


class Sketch:
    """A table that was sorted and counted before, as a :class:`~governance.measures.drift_sides.Table`.

    Attributes:
        names: Names of its columns.
        rows: How many rows the table had.
    """

    def __init__(self, folder: Path) -> None:
        """Open a sketch.

        Args:
            folder: As :meth:`of` or :class:`Writing` left it.

        Raises:
            TamperedError: It is none, or not whole.
        """
        self._folder = folder
        try:
            told = json.loads((folder / LIST).read_text())
            if told["format"] != FORMAT:
                raise ValueError(f"format {told['format']}")
            self.rows = int(told["rows"])
            self._columns = {str(column["name"]): _Kept.of(column) for column in told["columns"]}
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise _not_whole(folder / LIST, error) from error
        self.names: Sequence[str] = list(self._columns)

    @classmethod
    def of(cls, table: Table, folder: Path) -> Self:
        """Sort and count every column of a table and keep them in a folder, which must not exist yet.

        Raises:
            InputError: The table cannot be read.
            OSError: The folder cannot be written.
        """
        writing = Writing(table, folder)
        try:
            with ThreadPoolExecutor(THREADS) as threads:
                list(threads.map(writing.side, table.names))
            writing.keep()
        finally:
            writing.drop()
        return cls(folder)

    def side(self, name: str) -> Side:
        """Return a column, ready to be compared.

        Raises:
            TamperedError: Its file is not the one that was written.
        """
        column = self._columns[name]
        file = self._folder / column.file
        try:
            if column.kind in (Kind.NUMBERS, Kind.TIMES):
                return Side(column.kind, self.rows, ordered=_read_numbers(file, column.size))
            if column.kind == Kind.TEXT:
                return Side(column.kind, self.rows, **_read_values(file, column.size, self.rows))
        except (OSError, ValueError, KeyError, pa.ArrowException) as error:
            raise _not_whole(file, error) from error
        return Side(column.kind, self.rows, counts=np.array(column.counts) if column.counts else None)

    def delete(self) -> None:
        """Remove it from the disk."""
        shutil.rmtree(self._folder, ignore_errors=True)


class Writing:
    """A table whose columns are kept as they are read; itself a :class:`~governance.measures.drift_sides.Table`."""

    def __init__(self, table: Table, folder: Path) -> None:
        """Take a table and the folder that its sketch is to have; parents are made where they are missing.

        Raises:
            OSError: The folder cannot be made.
        """
        self._table, self._folder = table, folder
        self._unfinished = folder.with_name(f".{folder.name}-{uuid.uuid4().hex}")
        self._columns: dict[str, dict[str, Any]] = {}
        self._failed = False
        self.names, self.rows = table.names, table.rows
        folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._unfinished.mkdir(mode=0o700)

    def side(self, name: str) -> Side:
        """Return a column, ready to be compared, and keep it; a full disk loses the sketch and not the answer."""
        side = self._table.side(name)
        if not self._failed:
            try:
                self._columns[name] = self._write(name, side)
            except OSError:
                self._failed = True
        return side

    def keep(self) -> bool:
        """Make a sketch of what was read; return whether there is one now."""
        if self._failed or not self._columns:
            return False
        columns = [
            {**self._columns[name], "place": place} for place, name in enumerate(self.names) if name in self._columns
        ]
        try:
            told = json.dumps({"format": FORMAT, "rows": self.rows, "columns": columns})
            (self._unfinished / LIST).write_text(told)
            self._unfinished.rename(self._folder)
        except OSError:  # no room, or another process was faster
            return self._folder.is_dir()
        return True

    def drop(self) -> None:
        """Remove what was not kept."""
        shutil.rmtree(self._unfinished, ignore_errors=True)

    def _write(self, name: str, side: Side) -> dict[str, Any]:
        place = self._unfinished / str(self.names.index(name))
        told = {"name": name, "kind": str(side.kind), "size": 0, "counts": []}
        if side.ordered is not None:
            np.save(place.with_suffix(".npy"), side.ordered, allow_pickle=False)
            return {**told, "size": side.ordered.size}
        if side.kind == Kind.TEXT:
            counts = pa.Array.from_buffers(pa.int64(), len(side.values), [None, pa.py_buffer(side.counts)])
            values = pa.table({"value": side.values, "rows": counts})
            pyarrow.parquet.write_table(values, place.with_suffix(".parquet"))
            return {**told, "size": len(side.values)}
        return {**told, "counts": [] if side.counts is None else side.counts.tolist()}


class Sketches:
    """Sketches of the files that were references before."""

    def __init__(self, folder: Path) -> None:
        """Take the folder that holds them; it need not exist yet."""
        self._folder = folder

    def open(self, columns: Columns, *, keep: bool = True) -> "Cached":
        """Return a file as a table: from its sketch, else read and, where ``keep`` says so, sketched on the way."""
        table = ParquetTable(columns)
        stamp = columns.stamp()
        if stamp is None:
            return Cached(columns, table, None, None)
        place = self._folder / stamp
        sketch = self._sketch(place, columns)
        settled = time.time_ns() - columns.changed_ns() > SETTLED_NS
        writing = self._writing(table, place) if keep and sketch is None and settled else None
        return Cached(columns, table, sketch, writing)

    def _sketch(self, place: Path, columns: Columns) -> Sketch | None:
        if not place.is_dir():
            return None
        try:
            found = Sketch(place)
            if found.rows == columns.rows and set(found.names) <= set(columns.names):
                (place / LIST).touch()  # when it was last of use
                return found
        except (TamperedError, OSError):
            pass
        shutil.rmtree(place, ignore_errors=True)
        return None

    def _writing(self, table: ParquetTable, place: Path) -> Writing | None:
        size = 8 * table.rows * len(table.names)
        if size > MOST_BYTES:
            return None
        try:
            self._make_room(size)
            return Writing(table, place)
        except OSError:  # a cache that cannot be written is no reason to give no answer
            return None

    def _make_room(self, size: int) -> None:
        for left in self._folder.glob(".*"):  # by a process that was killed
            if time.time() - left.stat().st_mtime > ABANDONED:
                shutil.rmtree(left, ignore_errors=True)
        kept = sorted(self._folder.glob(f"*/{LIST}"), key=lambda told: told.stat().st_mtime_ns, reverse=True)
        for told in kept:
            size += sum(file.stat().st_size for file in told.parent.iterdir())
            if size > MOST_BYTES:
                shutil.rmtree(told.parent, ignore_errors=True)


class Cached:
    """A file whose sketch is used where it can be believed, column by column, and made where there is none.

    Attributes:
        names: Names of the file's columns.
        rows: How many rows it has.
        is_from_sketch: Whether there was a sketch.
    """

    def __init__(self, columns: Columns, table: ParquetTable, sketch: Sketch | None, writing: Writing | None) -> None:
        """Take the file, and what there is of a sketch; see :meth:`Sketches.open`."""
        self._columns, self._table, self._sketch, self._writing = columns, table, sketch, writing
        self._stamp = columns.stamp()
        self.names, self.rows = table.names, table.rows
        self.is_from_sketch = sketch is not None

    def side(self, name: str) -> Side:
        """Return a column, ready to be compared."""
        if self._sketch is not None and name in self._sketch.names:
            try:
                return self._sketch.side(name)
            except TamperedError:
                self._sketch.delete()
        return (self._writing or self._table).side(name)

    def close(self, *, keep: bool) -> None:
        """Keep the sketch that was made, where the file is still what it was; else leave nothing behind."""
        if self._writing is not None:
            if keep and self._columns.stamp() == self._stamp:
                self._writing.keep()
            self._writing.drop()


def _read_numbers(file: Path, size: int) -> Any:
    # Where they lie in the system's own memory: a copy of them takes longer than all else that is done with them here.
    numbers = np.load(file, mmap_mode="r", allow_pickle=False).view(np.ndarray)
    if numbers.dtype != np.float64 or numbers.shape != (size,) or not size:
        raise ValueError(f"{numbers.dtype} of shape {numbers.shape}")
    if not (numbers[1:] >= numbers[:-1]).all() or np.isnan(numbers[0]):
        raise ValueError("not in order")
    return numbers


def _read_values(file: Path, size: int, rows: int) -> dict[str, Any]:
    # A reader of its own: read_table imports pandas.
    found = pyarrow.parquet.ParquetFile(file).read(use_threads=False).combine_chunks()
    counts = np.from_dlpack(found["rows"].chunk(0))
    if len(counts) != size or (counts < 1).any() or counts.sum() > rows:
        raise ValueError(f"{len(counts)} values")
    return {"values": found["value"].chunk(0).cast(pa.large_string()), "counts": counts}


def _not_whole(file: Path, error: Exception) -> TamperedError:
    return TamperedError(
        f"Expected {file} as it was written, found another ({type(error).__name__}: {error}). Delete its folder: a "
        f"sketch is made anew from the data."
    )
