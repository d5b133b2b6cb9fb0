"""Columns of pandas, counted for :mod:`governance.measures.drift`: the only place where drift knows pandas.

What a column is, numbers, times or values, is told by its type and never guessed from what stands in it. Neighbours:
:mod:`governance.measures.drift_sides` does the same for files. Not guaranteed: little memory; a file that is large is
better measured where it lies.
"""

from typing import TYPE_CHECKING, Any

import numpy as np

from governance.errors import InputError
from governance.measures import drift_counts
from governance.measures.confusion import Array
from governance.measures.drift_counts import Column

if TYPE_CHECKING:
    import pandas as pd


def counted(name: str, reference: "pd.Series[Any]", current: "pd.Series[Any]") -> Column:
    """Count both sides of a column.

    Raises:
        InputError: They are not of one kind.
    """
    import pandas as pd

    types = pd.api.types
    # Of a side without a value nothing is left to tell what it was.
    kinds = {side.dtype for side in (reference, current) if not side.isna().all()}
    ordered = {kind for kind in kinds if types.is_numeric_dtype(kind) or types.is_datetime64_any_dtype(kind)}
    if kinds and all(types.is_bool_dtype(kind) for kind in kinds):
        return _values(name, reference, current)
    if not ordered and kinds:
        return _values(name, reference, current)
    if ordered != kinds or len({types.is_datetime64_any_dtype(kind) for kind in kinds}) > 1:
        raise InputError(
            f"Expected column {name!r} to be of one kind on both sides, found {reference.dtype} and {current.dtype}."
        )
    # Yes/no among them is 0 and 1: where some of it is missing, it is kept as numbers.
    return drift_counts.of_numbers(name, *map(as_floats, (reference, current)))


def as_floats(side: "pd.Series[Any]") -> Array:
    """Return a column of numbers, or of times in seconds, as floats with NaN for what is missing."""
    import pandas as pd

    if not pd.api.types.is_datetime64_any_dtype(side.dtype):
        return side.to_numpy(dtype=np.float64, na_value=np.nan)
    # In seconds, for one side may count in nanoseconds and the other in microseconds; by way of microseconds, so that
    # the same moment is the same number whatever it was counted in, and 9999-12-31 is one, too.
    moments = pd.DatetimeIndex(pd.to_datetime(side, utc=True))
    if moments.unit == "ns":
        micros, rest = np.divmod(moments.asi8, 1000)
        seconds = micros / 1e6 + rest / 1e9
    else:
        seconds = moments.as_unit("us").asi8 / 1e6
    return np.where(moments.isna(), np.nan, seconds)


def _values(name: str, reference: "pd.Series[Any]", current: "pd.Series[Any]") -> Column:
    import pandas as pd

    both = pd.concat([side.astype("string") for side in (reference, current)], ignore_index=True)
    codes, found = pd.factorize(both)
    places = np.where(codes < 0, len(found), codes)
    m = len(reference)
    counts = [np.bincount(part, minlength=len(found) + 1) for part in (places[:m], places[m:])]
    return drift_counts.of_values(name, np.array(counts), list(found))
