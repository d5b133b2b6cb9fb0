"""Tables as hypothesis makes them: columns of every logical type, with something missing."""

from datetime import UTC, datetime

import numpy as np
import pandas as pd
from hypothesis import settings
from hypothesis import strategies as st

quick = settings(deadline=None, max_examples=40)
"""Busy machines stretch single examples; the number of examples keeps the whole short."""

NAMES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=8).filter(
    lambda name: name.strip() and name.lower() == name.lower().strip()
)
VALUES = {
    "int64": st.integers(-(2**63) + 1, 2**63 - 1),
    "float64": st.floats(width=64),
    "bool": st.booleans(),
    "string": st.text(st.characters(exclude_categories=["Cs"]), max_size=6),
    "timestamp": st.datetimes(datetime(1800, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC)),
}
MAY_BE_MISSING = {"float64": np.nan, "string": None, "timestamp": pd.NaT}


@st.composite
def frames(draw, min_rows=1, max_rows=6, max_columns=5):
    """A table whose columns already are of logical types."""
    rows = draw(st.integers(min_rows, max_rows))
    names = draw(st.lists(NAMES, min_size=1, max_size=max_columns, unique_by=str.lower))
    return pd.DataFrame({name: draw(_column(rows)) for name in names})


@st.composite
def _column(draw, rows):
    kind = draw(st.sampled_from(sorted(VALUES)))
    values = draw(st.lists(VALUES[kind], min_size=rows, max_size=rows))
    if kind in MAY_BE_MISSING:
        gaps = draw(st.lists(st.booleans(), min_size=rows, max_size=rows))
        values = [MAY_BE_MISSING[kind] if gap else value for value, gap in zip(values, gaps, strict=True)]
    if kind == "timestamp":
        return pd.Series(values, dtype="datetime64[us, UTC]")
    return pd.Series(values, dtype=object if kind == "string" else kind)
