"""A contract drafted from data: what they are today, with room for tomorrow.

It must be met by the data themselves, catch what goes wrong with deliveries (a column renamed, lost, filled with a
constant, in other units, with its codes flipped; rows lost or delivered twice), and let the next month pass. How much
room there is stands in ``meta.notes``, in words, beside each expectation.

Not guaranteed: that the data were right on the day. A contract drafted from faulty data calls the faults normal.
"""

import json
import math
from collections.abc import Collection, Iterator
from typing import Any

from governance.data.contract_words import number
from governance.drafting.outcome import Outcome
from governance.drafting.profile import LARGEST_EXACT, Column, Profile

Json = dict[str, Any]

MARGIN = 0.5
"""Of the span from the least to the greatest number, on each side."""

FEWEST, MOST = 0.5, 3.0
"""A delivery may have so many times the rows of this one."""

CATEGORIES = 20
"""Up to so many names are listed; more are not."""

NEW_NAMES = 0.05
"""Share of rows that may hold a name that is not listed."""

ALIKE = 0.01
"""Share of rows that may be alike where none, or few, are today."""

MANY_ALIKE = 0.3
"""Where more rows are alike already, more of them is a warning and stops nothing."""


def suite(name: str, profile: Profile, outcome: Outcome, protected: Collection[str], hidden: Collection[str]) -> Json:
    """Return a Great Expectations suite.

    Args:
        name: The model's name.
        profile: The data.
        outcome: What is to be learnt; its classes are all there may be.
        protected: Columns of protected attributes: new values must be noticed.
        hidden: Columns with personal data, of which no value may stand in the file.
    """
    closed = {outcome.column.name, *protected} if outcome.task != "regression" else set(protected)
    alike = profile.alike(hidden)
    expectations = list(_of_table(profile, hidden, alike))
    for column in profile.columns.values():
        if column.name in hidden:
            expectations += _of_hidden(column)
        else:
            expectations += _of_column(column, listed=column.name in closed)
    notes = [
        f"What the data of {name} must look like: drafted by `governance new` from {profile.rows:,} rows. "
        "critical: a breach blocks and quarantines the snapshot. warning: it is recorded, and the run goes on.",
        "meta.notes says how much room there is. Narrow it where you know better: what must never happen, critical.",
        "Bounds on means and medians find changed units and flipped codes. They are not for drift, which is measured.",
    ]
    if alike == profile.rows:
        notes.append("Every row is the same as another in everything, so nothing is said of copies.")
    return {"name": name, "meta": {"notes": notes}, "expectations": expectations}


def to_text(document: Json) -> str:
    """Return a suite as people review it: one expectation a line, an empty line between columns."""
    lines: list[str] = []
    before = None
    for one in document["expectations"]:
        subject = one["kwargs"].get("column")
        lines.append(("\n" if lines and subject != before else "") + "    " + _json(one))
        before = subject
    head = {key: value for key, value in document.items() if key != "expectations"}
    opening = json.dumps(head, ensure_ascii=False, indent=2, allow_nan=False).removesuffix("\n}")
    return opening + ',\n  "expectations": [\n' + ",\n".join(lines) + "\n  ]\n}\n"


def _json(document: Any) -> str:
    return json.dumps(document, ensure_ascii=False, allow_nan=False)


def _expect(kind: str, notes: str = "", severity: str = "critical", **kwargs: Any) -> Json:
    meta = {"notes": notes} if notes else {}
    return {"type": f"expect_{kind}", "kwargs": kwargs, "severity": severity, "meta": meta}


def _of_table(profile: Profile, hidden: Collection[str], alike: int) -> Iterator[Json]:
    rows, names = profile.rows, list(profile.columns)
    yield _expect(
        "table_row_count_to_be_between",
        f"{rows:,} rows today; from half to three times as many. decide: how many does a delivery have?",
        min_value=math.floor(rows * FEWEST),
        max_value=math.ceil(rows * MOST),
    )
    yield _expect(
        "table_columns_to_match_set",
        "All of them, no more: a new column is a decision (feature, leak or protected?), a renamed one is a fault.",
        column_set=names,
        exact_match=True,
    )
    told = [name for name in names if name not in hidden]
    if len(told) > 1 and alike < rows:
        share = alike / rows
        allowed = max(ALIKE, min(2 * share, (1 + share) / 2))
        asked = " decide: are they cases of their own? If not, mend the source, and allow none." if alike else ""
        yield _expect(
            "compound_columns_to_be_unique",
            f"{alike:,} rows are the same as another in everything. Up to {allowed:.1%}: rows delivered twice "
            f"would be counted twice.{asked}",
            severity="critical" if share <= MANY_ALIKE else "warning",
            column_list=told,
            ignore_row_if="never",
            mostly=_down(1 - allowed),
        )


def _of_hidden(column: Column) -> Iterator[Json]:
    """Yield what holds of a personal column, raw or masked: whether there is something in it."""
    if column.distinct:
        yield from _presence(column)


def _of_column(column: Column, *, listed: bool) -> Iterator[Json]:
    name = column.name
    if column.distinct == 0:
        notes = "Nothing is in it today. Something is in it: what is it, and may the model use it?"
        yield _expect("column_values_to_be_null", notes, "warning", column=name)
        return
    yield _type(column)
    yield from _presence(column)
    if listed and column.values and not any(isinstance(value, float) for value in column.values):
        notes = "A new value would be a new class, or a new group: people must hear of it."
        yield _expect("column_values_to_be_in_set", notes, column=name, value_set=list(column.values))
    elif column.kind == "string":
        yield from _categories(column)
    elif column.is_number:
        yield from _range(column)
    if column.is_number and not column.is_binary:
        yield from _middle(column)
    if column.is_number and column.is_binary:
        yield from _share_of_ones(column)


def _type(column: Column) -> Json:
    if column.kind == "float64":
        notes = "Whole numbers; float64 because some are missing." if column.whole and column.missing else ""
        return _expect("column_values_to_be_in_type_list", notes, column=column.name, type_list=["float64", "int64"])
    names = {"string": "str", "timestamp": "Timestamp"}
    return _expect("column_values_to_be_of_type", column=column.name, type_=names.get(column.kind, column.kind))


def _presence(column: Column) -> Iterator[Json]:
    if not column.missing:
        yield _expect("column_values_to_not_be_null", column=column.name)
        return
    share = column.missing / column.rows
    mostly = _down(1 - min(1.0, 1.5 * share + 0.02))
    if mostly > 0:
        notes = f"{column.missing:,} of {column.rows:,} are missing. Half as many again, and 2 %, are tolerated."
        yield _expect("column_values_to_not_be_null", notes, column=column.name, mostly=mostly)


def _categories(column: Column) -> Iterator[Json]:
    if column.distinct <= CATEGORIES and column.values and column.distinct <= 0.5 * column.present:
        yield _expect(
            "column_values_to_be_in_set",
            f"Up to {NEW_NAMES:.0%} of rows may hold a new name; the model takes it for unknown.",
            column=column.name,
            value_set=list(column.values),
            mostly=1 - NEW_NAMES,
        )


def _range(column: Column) -> Iterator[Json]:
    low, high = column.low or 0.0, column.high or 0.0
    if max(abs(low), abs(high)) > LARGEST_EXACT:
        return
    if column.is_binary:
        yield _expect("column_values_to_be_in_set", column=column.name, value_set=[0, 1])
        return
    room = MARGIN * (high - low) or max(abs(low), 1.0)
    least, greatest = low - room, high + room
    if column.whole:
        least, greatest = math.floor(least), math.ceil(greatest)
    else:
        least, greatest = _rounded(least, down=True), _rounded(greatest, down=False)
    notes = f"{number(low)} to {number(high)} today; half of that span more on each side"
    if low >= 0 > least:
        least, notes = 0, notes + ", and nothing below 0"
    if high <= 0 < greatest:
        greatest, notes = 0, notes + ", and nothing above 0"
    yield _expect("column_values_to_be_between", notes + ".", column=column.name, min_value=least, max_value=greatest)


def _middle(column: Column) -> Iterator[Json]:
    """Yield a bound on the median, which moves out only where units or codes were changed."""
    if column.usual is None or max(abs(bound) for bound in column.usual) > LARGEST_EXACT:
        return
    low, high = _rounded(column.usual[0], down=True), _rounded(column.usual[1], down=False)
    notes = "Between the 10 % and the 90 % quantile of today: a median outside means other units, or other people."
    yield _expect("column_median_to_be_between", notes, column=column.name, min_value=low, max_value=high)


def _share_of_ones(column: Column) -> Iterator[Json]:
    if column.mean is None:
        return
    share = column.mean
    noise = 3 * math.sqrt(share * (1 - share) / column.present)
    low, high = max(0.0, share / 2 - noise), min(1.0, share + (1 - share) / 2 + noise)
    notes = f"{share:.1%} are 1 today; half of that, to half of the others more."
    yield _expect(
        "column_mean_to_be_between",
        notes,
        column=column.name,
        min_value=_rounded(low, down=True),
        max_value=_rounded(high, down=False),
    )


def _down(share: float) -> float:
    """Return a share cut to three digits: rounding up would refuse the very data it was drafted from."""
    return max(0.0, math.floor(share * 1000) / 1000)


def _rounded(value: float, *, down: bool) -> float:
    """Return a number with three significant digits, never past the value it bounds."""
    if value == 0 or not math.isfinite(value):
        return value
    scale = 10.0 ** (math.floor(math.log10(abs(value))) - 2)
    if scale == 0 or not math.isfinite(value / scale):
        return value
    found = (math.floor if down else math.ceil)(value / scale) * scale
    found = float(f"{found:.12g}")
    return value if (found > value if down else found < value) else found
