"""Parquet files. How large they are is read in the file's own metadata, before a value is.

Not guaranteed: that one very long cell among very many is found before its row group is read.
"""

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
    import pyarrow
    import pyarrow.parquet

    with files.answering(file.where):
        _check_footer(file)
        try:
            with file.open() as stream:
                parquet = pyarrow.parquet.ParquetFile(stream)
                arrow.check_schema(parquet.schema_arrow.names, file.where)
                _check_sizes(parquet.metadata, file.where)
                table = parquet.read()
        except (pyarrow.ArrowException, OSError) as error:
            if NETWORK in str(error):
                raise
            raise InputError(f"{file.where} is not a Parquet file: {error}.") from error
    return arrow.to_frame(table, file.where)


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


def _check_sizes(metadata: Any, where: str) -> None:
    total = 0
    for group in (metadata.row_group(index) for index in range(metadata.num_row_groups)):
        for column in (group.column(index) for index in range(metadata.num_columns)):
            total += column.total_uncompressed_size
            if column.total_uncompressed_size > limits.MAX_CELL * max(column.num_values, 1):
                raise limits.cell_too_long(where, column.path_in_schema)
    limits.check_memory(max(total, SMALLEST * metadata.num_rows * metadata.num_columns), where)
