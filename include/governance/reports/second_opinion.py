"""Evidently's report of drift, as a page that stands alone: a second opinion beside our own numbers, never a decision.

It is made of a sample where the rows are many, for its time grows with them; which sample, and what is left out, is
said at the head of the page. A value of text that few rows have is one of the others, as on our own page. Neighbours:
:mod:`governance.measures.drift` computes what decides. Not guaranteed: that both agree. Evidently has its own tests and
limits, and corrects them neither for the number of columns nor for that of rows.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

from governance.measures.drift_shapes import FEW
from governance.reports import words

if TYPE_CHECKING:
    import pandas as pd

SAMPLE = 10_000
"""Rows of each side that Evidently looks at, at most; of 100,000 it needs seconds, of a million minutes."""

SEED = 0
"""Of the sample, so that the same window gives the same page."""

MOST_VALUES = 50
"""Values of a column of text that are told apart, the commonest first."""

OTHERS = "(others)"


@dataclass(frozen=True)
class Opinion:
    """The page, and what it is made of.

    Attributes:
        page: HTML that needs nothing else.
        sampled: Rows of the reference and of the current side that were looked at.
        rows: How many there are.
        left_out: Columns that Evidently has no test for: those without a value on one side, and times.
    """

    page: bytes
    sampled: tuple[int, int]
    rows: tuple[int, int]
    left_out: tuple[str, ...]


def render(reference: "pd.DataFrame", current: "pd.DataFrame", *, about: str, sample: int = SAMPLE) -> Opinion:
    """Return Evidently's report.

    Args:
        reference: What is usual, shape (m, columns).
        current: What came now, shape (n, columns).
        about: Which window of which model it is, and where our own numbers stand.
        sample: Rows of each side at most.
    """
    rows = len(reference), len(current)
    names = [name for name in reference.columns if name in current.columns]
    sides = [_sampled(side[names], sample) for side in (reference, current)]
    kinds = {name: _kind(*(side[name] for side in sides)) for name in names}
    numbers, text = ([name for name in names if kinds[name] == kind] for kind in ("number", "text"))
    prepared = _prepared(sides, numbers, text)
    left_out = tuple(str(name) for name in names if not kinds[name])
    sampled = len(sides[0]), len(sides[1])
    told = f"{about} {_made_of(sampled, rows, left_out)}"
    return Opinion(_page(prepared, numbers, text, told), sampled, rows, left_out)


def _sampled(side: "pd.DataFrame", most: int) -> "pd.DataFrame":
    return side.sample(most, random_state=SEED).reset_index(drop=True) if len(side) > most else side


def _kind(reference: "pd.Series[Any]", current: "pd.Series[Any]") -> str:
    """Return whether Evidently is to take a column for ``number`` or ``text``; empty for neither."""
    import pandas as pd

    types = pd.api.types
    sides = (reference, current)
    if any(side.isna().all() or types.is_datetime64_any_dtype(side.dtype) for side in sides):
        return ""
    return "number" if all(_is_number(side) for side in sides) else "text"


def _is_number(side: "pd.Series[Any]") -> bool:
    import pandas as pd

    return pd.api.types.is_numeric_dtype(side.dtype) and not pd.api.types.is_bool_dtype(side.dtype)


def _prepared(sides: "Sequence[pd.DataFrame]", numbers: Sequence[str], text: Sequence[str]) -> "list[pd.DataFrame]":
    import numpy as np
    import pandas as pd

    found = [side[[*numbers]].astype("float64").replace([np.inf, -np.inf], np.nan) for side in sides]
    for name in text:
        said = [side[name].astype("string") for side in sides]
        counts = pd.concat([one.value_counts() for one in said], axis=1).fillna(0).max(axis=1)
        common = counts[counts >= FEW].nlargest(MOST_VALUES).index
        for side, one in zip(found, said, strict=True):
            side[name] = one.where(one.isna() | one.isin(common), OTHERS).astype(object)
    return found


def _made_of(sampled: tuple[int, int], rows: tuple[int, int], left_out: Sequence[str]) -> str:
    whole = zip(sampled, rows, ("reference", "window"), strict=True)
    sides = [
        f"{words.count(taken)} of {words.count(of)} rows of the {side}"
        if taken < of
        else f"all {words.count(of)} rows of the {side}"
        for taken, of, side in whole
    ]
    drawn = f", drawn with seed {SEED}" if sampled != rows else ""
    without = f" Left out, without a value on one side or of times: {words.listed(left_out)}." if left_out else ""
    return f"Made of {words.listed(sides)}{drawn}.{without}"


def _page(prepared: "Sequence[pd.DataFrame]", numbers: Sequence[str], text: Sequence[str], told: str) -> bytes:
    if not numbers and not text:
        return f"<!doctype html><html lang=en><meta charset=utf-8><body>{_note(told)}</body></html>".encode()
    from evidently import DataDefinition, Dataset, Report
    from evidently.presets import DataDriftPreset

    definition = DataDefinition(numerical_columns=list(numbers), categorical_columns=list(text))
    reference, current = (Dataset.from_pandas(side, data_definition=definition) for side in prepared)
    html: str = Report([DataDriftPreset()]).run(current, reference).get_html_str(as_iframe=False)
    return html.replace("<body>", f"<body>{_note(told)}", 1).encode()


def _note(told: str) -> str:
    style = (
        "font:14px/20px sans-serif;padding:12px 16px;margin:0;border-bottom:1px solid #bbb;background:#fff;color:#222"
    )
    return (
        f'<p style="{style}"><b>A second opinion, made by Evidently. It decides nothing.</b> {escape(told)} Its tests '
        f"and limits are Evidently's own, not the policy's.</p>"
    )
