"""What a scoring request must look like: the features of the spec, within the bounds of the contract.

Written for speed, because every request passes here: one row of 47 features takes some 10 µs. What is wrong is
collected and told at once, so that a client mends its request in one go.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

FAULTS_TOLD = 50
LARGEST_WHOLE = 2**53
"""Whole numbers beyond it have no exact form as a float, which is what models calculate with."""

KINDS: Mapping[str, tuple[type, ...]] = {
    "int64": (int,),
    "float64": (int, float),
    "bool": (bool,),
    "string": (str,),
    "timestamp": (str,),
}
WORDS = {
    "int64": "a whole number",
    "float64": "a number",
    "bool": "true or false",
    "string": "text",
    "timestamp": "an ISO 8601 time",
}

Row = list[Any]


@dataclass(frozen=True)
class Field:
    """One feature: its type and what one value of it may be."""

    name: str
    type: str
    minimum: float | None
    maximum: float | None
    allowed: frozenset[Any] | None
    nullable: bool

    def fault(self, value: Any) -> str | None:
        """Say what is wrong with a value, or ``None``."""
        if value is None:
            return None if self.nullable else "a value is required, found null"
        if type(value) not in KINDS[self.type] and not (self.type == "int64" and _is_whole(value)):
            return f"expected {WORDS[self.type]}, found {_shown(value)}"
        if not _can_be_calculated_with(value):
            return f"expected a number that can be calculated with, found {_shown(value)}"
        if self.type == "timestamp" and not _is_time(value):
            return f"expected {WORDS[self.type]}, found {_shown(value)}"
        return self._outside(value)

    def example(self) -> Any:
        """Return a value that has no fault."""
        if self.allowed:
            return min(self.allowed, key=str)
        plain = {"bool": True, "string": "text", "timestamp": "2026-01-01T00:00:00Z"}
        if self.type in plain:
            return plain[self.type]
        low, high = self.minimum, self.maximum
        return next((bound for bound in (low, high) if bound is not None), 0)

    def _outside(self, value: Any) -> str | None:
        if self.minimum is not None and value < self.minimum:
            return f"expected at least {self.minimum:g}, found {_shown(value)}"
        if self.maximum is not None and value > self.maximum:
            return f"expected at most {self.maximum:g}, found {_shown(value)}"
        if self.allowed is not None and value not in self.allowed:
            return f"expected one of {', '.join(map(str, sorted(self.allowed, key=str)))}, found {_shown(value)}"
        return None


class Inputs:
    """The features of a model, in order, each with its bounds.

    Args:
        bounds: Feature of the spec → bounds, as :func:`governance.data.contracts.feature_bounds` gives them.
        used: The features that the model reads, in its order; all by default. The others may be left out of a request
            or stay in it: an alternative that drops a feature must not break the clients of the version before it.
    """

    def __init__(self, bounds: Mapping[str, Mapping[str, Any]], used: Sequence[str] | None = None) -> None:
        self.features = tuple(bounds if used is None else used)
        self._fields = tuple(_field(name, bounds[name]) for name in self.features)
        self._unused = tuple(_field(name, one) for name, one in bounds.items() if name not in self.features)
        self.numeric = all(field.type in ("int64", "float64", "bool") for field in self._fields)

    @property
    def types(self) -> dict[str, str]:
        """Feature → its type, in the model's order."""
        return {field.name: field.type for field in self._fields}

    def arrange(self, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> tuple[list[Row], list[str]]:
        """Put rows into the order of the features, and say everything that is wrong with them.

        Args:
            columns: Names, in the order of the values of each row.
            rows: The rows.

        Returns:
            The rows in order (meaningless where there are faults), and the faults.
        """
        names = list(columns)
        place = {name: position for position, name in enumerate(names)}
        faults = self._wrong_columns(names) if tuple(names) != self.features else []
        order = [place[name] for name in self.features if name in place]
        checked = [(place[field.name], field) for field in (*self._fields, *self._unused) if field.name in place]
        arranged = []
        for number, row in enumerate(rows):
            if len(faults) > FAULTS_TOLD:
                break
            if len(row) != len(names):
                faults.append(f"row {number}: expected {len(names)} values, found {len(row)}")
                continue
            faults += _faults(checked, row, number)
            arranged.append([row[position] for position in order])
        return arranged, faults

    def kind(self, columns: Sequence[str], faults: Sequence[str]) -> tuple[str, str]:
        """Return which kind of fault a request has, and at which feature: nothing of what it said.

        Args:
            columns: Its columns.
            faults: What :meth:`arrange` found.

        Returns:
            ``missing`` and the first feature that is, or ``unknown`` for other columns than the features, or ``value``
            and the feature; the feature is empty where none is meant.
        """
        missing = [name for name in self.features if name not in set(columns)]
        if missing:
            return "missing", missing[0]
        known = {field.name for field in (*self._fields, *self._unused)}
        if not set(columns) <= known or len(set(columns)) < len(columns):
            return "unknown", ""
        named = faults[0].partition(":")[0]
        return ("value", named) if named in known else ("form", "")

    def frame(self, rows: Sequence[Row]) -> "pd.DataFrame":
        """Return the rows as the model takes them."""
        import numpy as np
        import pandas as pd

        if self.numeric:
            return pd.DataFrame(
                np.array(rows, dtype=float).reshape(len(rows), len(self.features)), columns=self.features
            )
        frame = pd.DataFrame(rows, columns=list(self.features), dtype=object)
        for field in self._fields:
            frame[field.name] = _typed(frame[field.name], field.type)
        return frame

    def example(self, *, empty: bool = False) -> dict[str, Any]:
        """Return a row that meets the contract: made up, nobody's data; ``empty`` where the contract allows that."""
        return {field.name: None if empty and field.nullable else field.example() for field in self._fields}

    def _wrong_columns(self, names: list[str]) -> list[str]:
        given = set(names)
        known = {field.name for field in (*self._fields, *self._unused)}
        return [
            *(f"{name}: missing" for name in self.features if name not in given),
            *(f"{name}: not a feature of this model" for name in names if name not in known),
            *(f"{name}: given twice" for name in sorted(given) if names.count(name) > 1),
        ]


def _faults(checked: Sequence[tuple[int, Field]], row: Sequence[Any], number: int) -> list[str]:
    found = []
    for position, field in checked:
        fault = field.fault(row[position])
        if fault:
            found.append(f"{field.name}: {fault}" + (f" (row {number})" if number else ""))
    return found


def sentence(faults: Sequence[str]) -> str:
    """Return every fault in one message."""
    told = "; ".join(faults[:FAULTS_TOLD])
    more = "; and more" if len(faults) > FAULTS_TOLD else ""
    return f"This request does not meet the contract: {told}{more}."


def _field(name: str, bounds: Mapping[str, Any]) -> Field:
    allowed = bounds["allowed"]
    return Field(
        name,
        bounds["type"],
        bounds["minimum"],
        bounds["maximum"],
        None if allowed is None else frozenset(allowed),
        bounds["nullable"],
    )


def _typed(values: "pd.Series[Any]", kind: str) -> "pd.Series[Any]":
    import pandas as pd

    if kind in ("int64", "float64", "bool"):
        return values.astype(float)
    return pd.to_datetime(values, utc=True) if kind == "timestamp" else values


def _is_whole(value: Any) -> bool:
    return type(value) is float and value.is_integer()


def _can_be_calculated_with(value: Any) -> bool:
    if type(value) is int:
        return -LARGEST_WHOLE <= value <= LARGEST_WHOLE
    return type(value) is not float or math.isfinite(value)


def _is_time(text: str) -> bool:
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True


def _shown(value: Any) -> str:
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}…"
