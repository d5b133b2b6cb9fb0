"""From an Arrow table, which Parquet, Delta and Iceberg are read into, to a frame: the same checks for all three."""

from typing import TYPE_CHECKING, Any

from governance.data.sources import limits
from governance.data.sources.textfile import check_unique
from governance.errors import InputError

if TYPE_CHECKING:
    import pandas as pd


def check_schema(names: list[str], where: str) -> None:
    """Refuse too many columns, two of one name, and an index that somebody stored as a column."""
    limits.check_columns(len(names), where)
    check_unique(names, where)
    stray = [name for name in names if name.startswith("__index_level_")]
    if stray:
        raise InputError(f"{where} holds a pandas index as column {stray[0]}. Save with index=False, or name it.")


def to_frame(table: Any, where: str) -> "pd.DataFrame":
    """Return an Arrow table as a frame.

    Raises:
        InputError: A cell is too long.
    """
    for name in table.column_names:
        if longest(table[name]) > limits.MAX_CELL:
            raise limits.cell_too_long(where, name)
    # As objects, whole numbers beside missing ones stay exact; the default would round them to floats.
    frame: pd.DataFrame = table.to_pandas(ignore_metadata=True, integer_object_nulls=True)
    return frame


def longest(column: Any) -> int:
    """Return the bytes of the longest text in a column; 0 of what is no text."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_dictionary(column.type):
        return max((longest(pa.chunked_array([chunk.dictionary])) for chunk in column.chunks), default=0)
    texts = (pa.types.is_string, pa.types.is_large_string, pa.types.is_binary, pa.types.is_large_binary)
    if not any(is_text(column.type) for is_text in texts):
        return 0
    return pc.max(pc.binary_length(column)).as_py() or 0
