"""What people may see of a row.

Rows are shown where they explain a fault. A column that a protected attribute is made from, or that the spec marks as
personal, never shows what is in it: only whether there is something.

Not guaranteed: that the other columns do not identify anybody. They are shown as they are.
"""

from collections.abc import Collection
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

HIDDEN = "●●●"
MISSING = "–"


def mask(frame: "pd.DataFrame", *, protected: Collection[str] = (), personal: Collection[str] = ()) -> "pd.DataFrame":
    """Return a copy for people, in which protected and personal columns show nothing but whether a value is there.

    Args:
        frame: Rows; it is not changed.
        protected: Columns that protected attributes are made from.
        personal: Columns marked as personal. Names that the frame does not have are fine.

    Returns:
        The same rows and columns; a hidden column holds ``●●●``, and ``–`` where nothing is recorded.
    """
    hidden = {*protected, *personal}
    masked = frame.copy()
    for column in frame.columns:
        if column in hidden:
            missing = frame[column].isna()
            masked[column] = missing.map({True: MISSING, False: HIDDEN}).astype(object)
    return masked
