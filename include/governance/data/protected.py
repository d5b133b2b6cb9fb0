"""Which group each row belongs to.

Protected attributes are never features. The spec says how to derive them: from one column (with names for its values,
or cut into bands where it holds numbers) or from indicators, one column for each group. The result is text, one column
for each attribute, and every row has a group: rows whose membership is not known are a group of their own, ``unknown``,
so that nothing drops out of a denominator unseen.

Not guaranteed: that the source is truthful. A missing indicator makes membership unknown even where another one is
set, since it may hide a contradiction.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from governance.catalog import Protected
from governance.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

UNKNOWN = "unknown"


def derive(frame: "pd.DataFrame", protected: Mapping[str, Protected]) -> "pd.DataFrame":
    """Return the group of every row, one text column for each attribute.

    Args:
        frame: Rows with the source columns.
        protected: Attribute → how it is derived. An indicator is a column of 0 and 1 for each group;
            ``otherwise`` names the group of rows with no indicator set, or with a value that ``values`` does not name.

    Returns:
        As many rows as ``frame``, with its index; no value is missing.

    Raises:
        InputError: A source column is missing, an indicator holds something other than 0 and 1, or a column that is
            cut into bands holds no numbers.
    """
    import pandas as pd

    groups = {name: _groups(frame, name, attribute) for name, attribute in protected.items()}
    return pd.DataFrame(groups, index=frame.index, columns=list(protected), dtype=object)


def _groups(frame: "pd.DataFrame", name: str, attribute: Protected) -> Any:
    if attribute.indicators:
        for column in attribute.indicators.values():
            _require(frame, column, name)
        return _from_indicators(frame, name, attribute)
    (column,) = attribute.columns
    _require(frame, column, name)
    if attribute.bands:
        return _from_bands(frame[column], name, attribute.bands)
    return _from_column(frame[column], attribute)


def _require(frame: "pd.DataFrame", column: str, attribute: str) -> None:
    if column not in frame.columns:
        raise InputError(
            f"Protected attribute {attribute!r} is derived from column {column!r}, which the data do not have. "
            f"Correct model.yaml, or the source."
        )


def _from_indicators(frame: "pd.DataFrame", name: str, attribute: Protected) -> Any:
    import numpy as np

    indicators = dict(attribute.indicators or {})
    raw = frame[list(indicators.values())]
    stray = raw[raw.notna() & ~raw.isin([0, 1])].stack()
    if len(stray):
        raise InputError(
            f"Expected 0 or 1 in {stray.index[0][1]!r}, an indicator of {name!r}, found {stray.iloc[0]!r}. "
            f"For other codes, use `column` and `values` in model.yaml."
        )
    is_set = raw.isin([1]).to_numpy()
    count = is_set.sum(axis=1)
    groups = np.full(len(frame), UNKNOWN, dtype=object)
    for position, group in enumerate(indicators):
        groups[is_set[:, position] & (count == 1)] = group
    if attribute.otherwise is not None:
        groups[count == 0] = attribute.otherwise
    groups[raw.isna().any(axis=1).to_numpy()] = UNKNOWN
    return groups


def _from_column(values: Any, attribute: Protected) -> Any:
    import numpy as np

    missing = values.isna().to_numpy()
    if attribute.values:
        groups = np.full(len(values), attribute.otherwise or UNKNOWN, dtype=object)
        for group, raw in attribute.values.items():
            groups[values.isin([raw]).to_numpy()] = group
    else:
        groups = np.array([_as_text(value) for value in values], dtype=object)
    groups[missing] = UNKNOWN
    return groups


def band_names(bands: Sequence[int | float]) -> list[str]:
    """Return the names of the groups that bands cut a column into, lowest first: one more than there are bands."""
    between = [f"{low:g} to under {high:g}" for low, high in pairwise(bands)]
    return [f"under {bands[0]:g}", *between, f"{bands[-1]:g} and over"]


def _from_bands(values: Any, name: str, bands: Sequence[int | float]) -> Any:
    import numpy as np
    from pandas.api.types import is_bool_dtype, is_numeric_dtype

    if not is_numeric_dtype(values) or is_bool_dtype(values):
        raise InputError(
            f"Expected numbers in {values.name!r}, which `bands` of {name!r} cut into groups, found {values.dtype}. "
            f"For names, write `{name}: {values.name}` in model.yaml."
        )
    numbers = values.to_numpy(dtype=np.float64, na_value=np.nan)
    groups = np.array(band_names(bands), dtype=object)[np.searchsorted(bands, numbers, side="right")]
    groups[np.isnan(numbers)] = UNKNOWN  # NaN sorts behind everything: it would count as the highest band
    return groups


def _as_text(value: Any) -> str:
    """A whole number is the same group whether or not some other row made its column a float."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
