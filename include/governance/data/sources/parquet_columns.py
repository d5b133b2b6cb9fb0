"""A Parquet file column by column: what is too large to be held is read a column and a batch of rows at a time.

The file is checked like any other source before a value is read (:mod:`governance.data.sources.parquet`). A column may
be read from several threads at once: each has a reader of its own. Not guaranteed: that the file stays what it was
while it is read; whoever keeps what was read compares :meth:`Columns.stamp` before and after.
"""

import hashlib
import os
import threading
from collections.abc import Iterator, Sequence
from typing import Any

from governance.data.sources import arrow, limits, parquet
from governance.data.sources.files import File, PlainFaultError

BATCH = 262_144
"""Rows of a column that are decoded at a time: 2 MB of numbers."""

LARGE_BATCH = 1_048_576
"""Rows of text at a time: each batch brings its own list of values, which are put together afterwards."""


class Columns:
    """The columns of a Parquet file.

    Attributes:
        where: How people call the file.
        names: Names of its columns, in their order.
        rows: How many rows it has.
    """

    def __init__(self, file: File) -> None:
        """Open a file and read its metadata.

        Args:
            file: Not empty.

        Raises:
            InputError: It is not a Parquet file, has no rows or columns, or is beyond a limit.
        """
        self._file, self._own = file, threading.local()
        self._open: list[Any] = []
        with parquet.parsing(file), file.open() as stream:
            opened = parquet.open_checked(file, stream)
            self._metadata, self.schema = opened.metadata, opened.schema_arrow
        self.where, self.names, self.rows = file.where, list(self.schema.names), int(self._metadata.num_rows)
        if not self.rows or not self.names:
            raise PlainFaultError(
                f"Expected rows in {file.where}, found {self.rows} rows of {len(self.names)} columns."
            )
        self._texts = [field.name for field in self.schema if is_text(field.type)]

    def type_of(self, name: str) -> Any:
        """Return the Arrow type of a column."""
        return self.schema.field(name).type

    def batches(self, name: str) -> Iterator[Any]:
        """Yield the values of a column as Arrow arrays, in the order of rows; text is dictionary-encoded.

        Raises:
            InputError: The file is damaged, or a cell is too long.
        """
        import pyarrow as pa

        size = LARGE_BATCH if name in self._texts else BATCH
        with parquet.parsing(self._file):
            for batch in self._reader().iter_batches(size, columns=[name], use_threads=False):
                values = batch.column(batch.schema.get_field_index(name))
                if is_text(values.type) and arrow.longest(pa.chunked_array([values])) > limits.MAX_CELL:
                    raise limits.cell_too_long(self.where, name)
                yield values

    def stamp(self) -> str | None:
        """Return a digest that changes when the file does; ``None`` where there is no telling, as in a bucket.

        Of path, device, inode, size, both times and the metadata at the file's end, which hold the place, the size and
        the extremes of every column. Contents are not read.
        """
        if self._file.path is None:
            return None
        found = self._file.path.stat()
        told: Sequence[object] = (
            self._file.path.resolve(),
            found.st_dev,
            found.st_ino,
            found.st_size,
            found.st_mtime_ns,
            found.st_ctime_ns,
        )
        digest = hashlib.sha256(repr([str(each) for each in told]).encode())
        with self._file.open() as stream:
            stream.seek(-min(int(self._metadata.serialized_size) + 8, found.st_size), os.SEEK_END)
            digest.update(stream.read())
        return digest.hexdigest()

    def changed_ns(self) -> int:
        """Return when the file was last touched, in nanoseconds since 1970."""
        if self._file.path is None:
            return 0
        found = self._file.path.stat()
        return max(found.st_mtime_ns, found.st_ctime_ns)

    def close(self) -> None:
        """Close what all threads have opened."""
        for stream in self._open:
            stream.close()

    def _reader(self) -> Any:
        import pyarrow as pa
        import pyarrow.parquet

        if not hasattr(self._own, "reader"):
            # Without Python in between where the file lies on a disk: decoding then holds up no other thread.
            stream: Any = pa.OSFile(str(self._file.path)) if self._file.path else self._file.open()
            self._open.append(stream)
            self._own.reader = pyarrow.parquet.ParquetFile(stream, metadata=self._metadata, read_dictionary=self._texts)
        return self._own.reader


def is_text(kind: Any) -> bool:
    """Say whether a type is text, dictionary-encoded or not."""
    import pyarrow as pa

    own = kind.value_type if pa.types.is_dictionary(kind) else kind
    return bool(pa.types.is_string(own) or pa.types.is_large_string(own) or pa.types.is_string_view(own))
