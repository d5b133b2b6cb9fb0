"""What the data hold: one :class:`Column` for each column, as counts and aggregates."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from governance.data.contract_words import number
from governance.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

Value = bool | int | float | str

FEW = 50
"""Up to so many different values are listed."""

MOST_COLUMNS = 2000
LONGEST_NAME = 200
LARGEST_EXACT = 2**53


@dataclass(frozen=True)
class Column:
    """One column.

    Attributes:
        name: Its name.
        kind: Its logical type: ``int64``, ``float64``, ``bool``, ``string`` or ``timestamp``.
        rows: Rows of the data.
        missing: Rows without a value.
        distinct: Different values.
        values: All values in their order, with how often each occurs, where they are few; else empty.
        low: The least number; ``None`` where there are no numbers.
        high: The greatest.
        usual: The 10 % and 90 % quantiles of the numbers.
        mean: Their mean.
        whole: Whether all of them are whole.
        sequence: Whether they are whole numbers without a gap or a repetition: a counter of rows.
    """

    name: str
    kind: str
    rows: int
    missing: int
    distinct: int
    values: Mapping[Value, int]
    low: float | None = None
    high: float | None = None
    usual: tuple[float, float] | None = None
    mean: float | None = None
    whole: bool = False
    sequence: bool = False

    @property
    def is_number(self) -> bool:
        """Whether it holds numbers, and at least one."""
        return self.low is not None

    @property
    def is_binary(self) -> bool:
        """Whether it holds 0 and 1, or true and false, and nothing else."""
        return set(self.values) == {0, 1}

    @property
    def present(self) -> int:
        """Rows with a value."""
        return self.rows - self.missing

    @property
    def in_words(self) -> str:
        """What it holds, in a few words: ``0 to 18; 3 of 526 missing``. No text of a row is among them."""
        if self.distinct == 0:
            return "nothing"
        if self.is_number and self.low is not None and self.high is not None:
            between = "or" if self.is_binary else "to"
            said = f"{number(self.low)} {between} {number(self.high)}" + (", decimal" if not self.whole else "")
        elif self.kind == "bool":
            said = "true or false"
        else:
            said = f"{'text' if self.kind == 'string' else 'times'}, {self.distinct:,} different"
        return said + (f"; {self.missing:,} of {self.rows:,} missing" if self.missing else "")


@dataclass(frozen=True)
class Profile:
    """The data at a glance.

    Attributes:
        frame: The data, normalised.
        columns: Its columns by name, in their order.
        dropped: Columns that the source has and that were taken off.
    """

    frame: "pd.DataFrame"
    columns: Mapping[str, Column]
    dropped: tuple[str, ...] = ()

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return len(self.frame)

    def without(self, names: Collection[str]) -> "Profile":
        """Return the same data without some columns."""
        kept = {name: column for name, column in self.columns.items() if name not in names}
        return Profile(self.frame[list(kept)], kept, tuple(names))

    def alike(self, besides: Collection[str] = ()) -> int:
        """Return how many rows there are of which another is the same in everything, besides some columns."""
        return int(self.frame.drop(columns=list(besides)).duplicated(keep=False).sum())


def profile(frame: "pd.DataFrame", source: str) -> Profile:
    """Look at every column of data that :func:`governance.data.sources.read_source` returned.

    Raises:
        InputError: There are too many columns, a name is too long, or a column holds an infinite number.
    """
    if frame.shape[1] > MOST_COLUMNS:
        raise InputError(
            f"Expected at most {MOST_COLUMNS:,} columns in {source}, found {frame.shape[1]:,}: nobody could say what "
            f"each of them means. Keep those that the model is to read, the target, and what is protected."
        )
    return Profile(frame, {name: _column(name, frame[name], source) for name in frame.columns})


def _column(name: str, values: "pd.Series[Any]", source: str) -> Column:
    from governance.data.columns import logical_type

    if len(name) > LONGEST_NAME or not name.isprintable():
        raise InputError(
            f"Expected column names of at most {LONGEST_NAME} printable characters in {source}, found "
            f"{name[:40]!r}… ({len(name)} characters). Rename the column in the source."
        )
    kind = logical_type(values)
    present = values.dropna()
    distinct = int(present.nunique())
    counts = sorted(present.value_counts().items()) if distinct <= FEW else []
    listed = {_plain(value): int(count) for value, count in counts}
    column = Column(name, kind, len(values), len(values) - len(present), distinct, listed)
    if kind not in ("int64", "float64") or not distinct:
        return column
    return _numbers(column, present, source)


def _numbers(column: Column, present: "pd.Series[Any]", source: str) -> Column:
    import numpy as np

    numbers = present.to_numpy(dtype=np.float64)
    if not np.isfinite(numbers).all():
        count = int((~np.isfinite(numbers)).sum())
        raise InputError(
            f"Column {column.name!r} of {source} holds infinite numbers in {count:,} of {column.rows:,} rows. Expected "
            f"numbers, or nothing where a value is not known. Mend the source."
        )
    low, high = float(numbers.min()), float(numbers.max())
    lower, upper = (float(quantile) for quantile in np.quantile(numbers, (0.1, 0.9)))
    whole = bool((numbers == np.floor(numbers)).all())
    sequence = whole and column.distinct == len(numbers) > 2 and high - low == len(numbers) - 1
    mean = float(numbers.mean()) if np.isfinite(numbers.mean()) else None
    found = {"low": low, "high": high, "usual": (lower, upper), "mean": mean, "whole": whole, "sequence": sequence}
    return Column(**{**column.__dict__, **found})


def _plain(value: Any) -> Value:
    """Return a value as Python has it; a whole number as a whole number."""
    plain: Value = value.item() if hasattr(value, "item") else value
    if isinstance(plain, float) and plain.is_integer() and abs(plain) < LARGEST_EXACT:
        return int(plain)
    return plain
