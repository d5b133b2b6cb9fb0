"""The page of failing rows: why a snapshot is in quarantine, for a person who has to mend the source.

One self-contained document without scripts, so that it can be kept, mailed and shown in a sandbox. It says what failed
in the words of the contract, worst first, and shows the rows; protected and personal columns are masked before anything
is written (:mod:`governance.data.privacy`), and the sentences hold no value of a row to begin with.

Not guaranteed: that the rows shown are all that failed. They are the first twenty of each expectation.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from governance.data import privacy
from governance.data.contracts import ContractResult, ExpectationResult

FOLDER = Path(__file__).parent
ROWS_ON_PAGE = 60
TEXT_ON_PAGE = 40
"""Longer texts in a cell are cut: the page shows which rows failed, not what was written in them."""


@dataclass(frozen=True)
class Fault:
    """One line of the table of what failed."""

    subject: str
    meaning: str
    expected: str
    found: str
    notes: str
    percent: float | None
    blocks: bool


@dataclass(frozen=True)
class Cell:
    """One value of a failing row, as people see it."""

    text: str
    number: bool
    failed: bool


def render(
    result: ContractResult,
    *,
    title: str,
    hidden: Collection[str] = (),
    personal: Collection[str] = (),
    meanings: Mapping[str, str] | None = None,
    snapshot: str | None = None,
    window: str | None = None,
) -> str:
    """Return the page as HTML.

    Args:
        result: What came of the contract.
        title: The model, as people call it.
        hidden: Columns that protected attributes are made from; never shown.
        personal: Columns marked as personal; never shown.
        meanings: Column → what it means, where the spec says so.
        snapshot: Digest of the snapshot.
        window: From when to when it was asked, where the rows are not training data but what production saw.
    """
    import jinja2
    from markupsafe import Markup

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER), autoescape=True, trim_blocks=True, lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )  # fmt: skip
    columns, rows = _rows(result, hidden, personal)
    unmet = result.unmet()
    return environment.get_template("quarantine.html").render(
        css=Markup((FOLDER / "governance.css").read_text(encoding="utf-8")),
        title=title,
        result=result,
        snapshot=snapshot,
        window=window,
        blocking=sum(one.blocks for one in unmet),
        warnings=sum(not one.blocks for one in unmet),
        faults=_faults(unmet, meanings or {}),
        met=[one for one in result.expectations if one.success],
        columns=columns,
        failing=_failing_columns(result),
        rows=rows,
        rows_known=len(set(result.failing_rows.index.get_level_values(-1))) if len(result.failing_rows) else 0,
        masked=[column for column in result.failing_rows.columns if column in {*hidden, *personal}],
    )


def _faults(unmet: Sequence[ExpectationResult], meanings: Mapping[str, str]) -> list[Fault]:
    """A column that is not there breaks every expectation of it; that is said once."""
    faults = []
    absent: Counter[str] = Counter(one.found for one in unmet if one.column and one.found.startswith("no column"))
    for one in unmet:
        repeated = absent.pop(one.found, 0) if one.column else 0
        if one.column and one.found.startswith("no column") and not repeated:
            continue
        expected = f"this column, of which {repeated} expectations speak" if repeated > 1 else one.expected
        faults.append(
            Fault(
                subject=one.subject,
                meaning=meanings.get(one.column or "", ""),
                expected=expected,
                found=one.found,
                notes=one.notes or "",
                percent=one.unexpected_percent,
                blocks=one.blocks,
            )
        )
    return faults


def _failing_columns(result: ContractResult) -> list[str]:
    """Columns that a shown row failed by, in the order of the table; too many at once mark none."""
    named = {column for one in result.expectations if one.rows and one.subject != "table" for column in one.columns}
    return [column for column in result.failing_rows.columns if column in named]


def _rows(
    result: ContractResult, hidden: Collection[str], personal: Collection[str]
) -> tuple[list[str], list[tuple[int, list[Cell]]]]:
    failing = _failing_columns(result)
    columns = [*failing, *(column for column in result.failing_rows.columns if column not in set(failing))]
    if not len(result.failing_rows):
        return columns, []
    failed_at = _failed_cells(result)
    frame = result.failing_rows.droplevel("expectation")
    frame = privacy.mask(frame[~frame.index.duplicated()].sort_index(), protected=hidden, personal=personal)
    shown = frame[columns].head(ROWS_ON_PAGE)
    records = zip(shown.index, shown.itertuples(index=False, name=None), strict=True)
    return columns, [
        (int(row), [_cell(value, (row, column) in failed_at) for column, value in zip(columns, values, strict=True)])
        for row, values in records
    ]


def _failed_cells(result: ContractResult) -> set[tuple[int, str]]:
    return {
        (row, column)
        for one in result.expectations
        if not one.success and one.subject != "table"
        for row in one.rows
        for column in one.columns
    }


def _cell(value: Any, failed: bool) -> Cell:
    import pandas as pd

    if pd.isna(value):
        return Cell(privacy.MISSING, number=True, failed=failed)
    if isinstance(value, float):
        return Cell(f"{value:.{6 if abs(value) < 1e6 else 12}g}".replace("-", "−"), number=True, failed=failed)
    text = str(value)
    number = isinstance(value, int) or text in (privacy.HIDDEN, privacy.MISSING)
    return Cell(text if len(text) <= TEXT_ON_PAGE else text[: TEXT_ON_PAGE - 1] + "…", number=number, failed=failed)
