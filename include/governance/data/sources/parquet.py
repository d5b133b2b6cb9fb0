"""Parquet files. How large they are is read in the file's own metadata, before a value is.

Not guaranteed: that one very long cell among very many is found before its row group is read.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from governance.data.sources import arrow, files, limits
from governance.data.sources.files import File, PlainFaultError
from governance.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

MAX_FOOTER = 100_000_000
"""Bytes of the metadata at the end. They are parsed as a whole, and grow with columns times row groups."""

NETWORK = "AWS Error"
"""What pyarrow says where a bucket, and not what is in it, is at fault."""

MAGIC = b"PAR1"
SMALLEST = 8
"""Bytes that one value takes in a frame: many equal ones may take almost nothing in the file."""


def read(name: str, folder: Path) -> "pd.DataFrame":
    """Read a Parquet file."""
    return parse(files.find(name, folder))


def parse(file: File) -> "pd.DataFrame":
    """Parse the Parquet in a file.

    Raises:
        InputError: It is not one, or is beyond a limit.
    """
    with parsing(file), file.open() as stream:
        opened = open_checked(file, stream)
        metadata = opened.metadata
        least = SMALLEST * metadata.num_rows * metadata.num_columns
        limits.check_memory(max(_uncompressed(metadata), least), file.where)
        table = opened.read()
    return arrow.to_frame(table, file.where)


@contextmanager
def parsing(file: File) -> Iterator[None]:
    """Turn what pyarrow and the disk raise while a Parquet file is read into one sentence."""
    import pyarrow

    with files.answering(file.where):
        try:
            yield
        except (pyarrow.ArrowException, OSError) as error:
            if NETWORK in str(error):
                raise
            said = " ".join(str(error).split())
            raise InputError(f"{file.where} is not a Parquet file, or is damaged: {said.rstrip('.')}.") from error


def open_checked(file: File, stream: Any) -> Any:
    """Return pyarrow's reader of a file once its metadata are within the limits; no value has been read yet.

    Raises:
        InputError: It is not Parquet, or has too many columns, two of one name, or too long a cell.
    """
    import pyarrow.parquet

    _check_footer(file)
    opened = pyarrow.parquet.ParquetFile(stream)
    arrow.check_schema(opened.schema_arrow.names, file.where)
    _check_cells(opened.metadata, file.where)
    return opened


def _check_footer(file: File) -> None:
    with file.open() as stream:
        stream.seek(max(file.size - 8, 0))
        end = stream.read(8)
    if len(end) < 8 or end[4:] != MAGIC:
        raise InputError(f"{file.where} is not a Parquet file: it does not end like one. Was it written to its end?")
    length = int.from_bytes(end[:4], "little")
    if length > MAX_FOOTER:
        raise PlainFaultError(
            f"{file.where}: expected metadata of at most {MAX_FOOTER:,} bytes, found {length:,}: that is some millions "
            f"of columns or row groups. Keep the columns that the model uses, and write larger row groups."
        )


def _check_cells(metadata: Any, where: str) -> None:
    for column in _chunks(metadata):
        if column.total_uncompressed_size > limits.MAX_CELL * max(column.num_values, 1):
            raise limits.cell_too_long(where, column.path_in_schema)


def _uncompressed(metadata: Any) -> int:
    return sum(column.total_uncompressed_size for column in _chunks(metadata))


def _chunks(metadata: Any) -> Iterator[Any]:
    for group in (metadata.row_group(index) for index in range(metadata.num_row_groups)):
        yield from (group.column(index) for index in range(metadata.num_columns))
