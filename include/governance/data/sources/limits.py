"""How large a table may be, so that one that is broken is refused with a sentence before the memory goes.

No table that a model of rows and columns learns from comes near these numbers; what exceeds them is a file without
line ends, a table that was turned on its side, or a document in a cell.

Not guaranteed: that a table within these limits fits into memory when it is worked on; only that it could be read.
"""

from governance.data.sources.files import PlainFaultError
from governance.errors import InputError

MAX_COLUMNS = 10_000
MAX_CELL = 1_000_000
"""Bytes of text in one cell."""

MAX_LINE = 16_000_000
"""Bytes of one line of a text file."""


def check_columns(count: int, where: str) -> None:
    """Refuse a table of too many columns."""
    if count > MAX_COLUMNS:
        raise PlainFaultError(
            f"{where}: expected at most {MAX_COLUMNS:,} columns, found {count:,}. Were rows and columns exchanged? "
            f"Keep the columns that the model uses."
        )


def cell_too_long(where: str, column: str = "") -> InputError:
    """Return the refusal of a cell that is too long; ``where`` says the file and, without a column, the place in it."""
    what = f"a longer one in column {column!r}" if column else "a longer one"
    kind = InputError if column else PlainFaultError  # the name of a column is part of what is in the file
    return kind(
        f"{where}: expected cells of at most {MAX_CELL:,} bytes, found {what}. Is a quote or a line end missing? "
        f"Keep documents outside of the table."
    )


def check_memory(size: int, where: str) -> None:
    """Refuse what would need more memory than is free; ``size`` in bytes is the least that it takes."""
    import psutil

    free = psutil.virtual_memory().available
    if size > free:
        raise PlainFaultError(
            f"{where}: expected a table that fits into memory ({free / 1e9:.1f} GB are free), found one that takes at "
            f"least {size / 1e9:.1f} GB. Keep the rows and columns that the model uses."
        )
