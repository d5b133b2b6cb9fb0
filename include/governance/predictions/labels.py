"""What came true later: labels, and protected values that arrive apart, checked against the signed spec.

They come by file, by SQL or by ``POST /labels``, in any order, partly, again and again. Each is one further row unless
the newest says the same; the newest that had arrived by a cut-off counts (:mod:`governance.predictions.reading`). One
for a request that is not in the log is kept, and counts once the log has it.

Not guaranteed: that they are true. Whoever may send labels (:mod:`governance.predictions.senders`) can move what the
monitor decides; the source is on record.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from governance.catalog import ModelSpec
from governance.errors import InputError
from governance.predictions.database import Database, Told
from governance.predictions.record import SANE

if TYPE_CHECKING:
    import pandas as pd

AT_ONCE = 5_000
"""Labels in one transaction."""

LARGEST_ROW = 2**31 - 1
LONGEST = 200
"""Characters of a label, or of a protected value, that is text."""

FAULTS_TOLD = 20

REQUEST, ROW, LABEL = "request_id", "row", "label"

Item = dict[str, Any]


@dataclass(frozen=True)
class Expected:
    """What labels and protected values of a model may be.

    Attributes:
        model: The model's name.
        classes: The target's values, where all are known.
        example: One value of the target whose type the others share, where only that is known.
        protected: The raw columns that protected attributes are made from, and the values of each; ``None`` where any
            will do, a type where any of the type.
    """

    model: str
    classes: tuple[Any, ...] | None
    example: Any
    protected: Mapping[str, tuple[Any, ...] | type | None]

    @classmethod
    def of(cls, spec: ModelSpec) -> "Expected":
        """Return what a spec expects.

        Of two classes it names the favourable one; where that is a number or a truth value, the other is known.
        """
        target = spec.target
        classes = tuple(target.classes) if target.classes else None
        if target.favourable in (0, 1) and classes is None:
            classes = (0, 1)
        return cls(spec.name, classes, target.favourable, dict(values_of(spec)))

    def label(self, given: Any) -> Any:
        """Return a label in the one form in which it is kept.

        Raises:
            ValueError: It is not one; the message says what was expected.
        """
        value = _plain(given)
        if self.classes is not None:
            for known in self.classes:
                if value == known and isinstance(value, str) == isinstance(known, str):
                    return known
            raise ValueError(f"expected one of {', '.join(map(str, self.classes))} as the label, found {_shown(value)}")
        if isinstance(self.example, str):
            if not isinstance(value, str) or not 1 <= len(value) <= LONGEST:
                raise ValueError(f"expected a text such as {self.example!r} as the label, found {_shown(value)}")
        elif isinstance(value, bool) or not isinstance(value, int | float):
            raise ValueError(f"expected a number as the label, found {_shown(value)}")
        return value

    def apart(self, given: Any) -> Item:
        """Return protected values in the form in which they are kept; those that are missing are left out.

        Raises:
            ValueError: A column is not one of the spec's, or a value is no scalar, or none that the spec knows.
        """
        if not isinstance(given, Mapping):
            raise ValueError(f"expected protected values as an object, found {_shown(given)}")
        unknown = sorted(str(name) for name in given if name not in self.protected)
        if unknown:
            known = ", ".join(sorted(self.protected)) or "none"
            raise ValueError(f"expected protected columns of the spec ({known}), found {', '.join(unknown)[:LONGEST]}")
        values = {name: _plain(value) for name, value in given.items()}
        for name, value in values.items():
            if isinstance(value, str) and len(value) > LONGEST:
                raise ValueError(f"{name}: expected at most {LONGEST} characters, found {len(value)}")
            if value is not None:
                _require_value(name, value, self.protected[name])
        return {name: value for name, value in values.items() if value is not None}


def values_of(spec: ModelSpec) -> Iterator[tuple[str, tuple[Any, ...] | type | None]]:
    """Yield each protected column with the values that its attribute is made from."""
    for attribute in spec.protected.values():
        for column in attribute.columns:
            if attribute.indicators:
                yield column, (0, 1)
            elif attribute.values:
                yield column, tuple(attribute.values.values())
            else:
                yield column, float if attribute.bands else None


def _require_value(name: str, value: Any, known: tuple[Any, ...] | type | None) -> None:
    if known is float and (isinstance(value, bool) or not isinstance(value, int | float)):
        raise ValueError(f"{name}: expected a number, found {_shown(value)}")
    if isinstance(known, tuple) and not any(value == one and _alike(value, one) for one in known):
        raise ValueError(f"{name}: expected one of {', '.join(map(str, known))}, found {_shown(value)}")


def _alike(value: Any, other: Any) -> bool:
    """Say whether both are truth values, both texts, or both numbers: 1 and true are equal to Python."""
    return all(isinstance(value, kind) == isinstance(other, kind) for kind in (bool, str))


def check(items: Sequence[Any], expected: Expected) -> list[Item]:
    """Return labels as they are kept.

    Args:
        items: Objects of ``request_id``, ``row`` (0 without it), and ``label`` or ``protected`` or both.
        expected: What they may be.

    Raises:
        InputError: With every fault, up to twenty.
    """
    kept, faults = [], []
    for number, item in enumerate(items):
        try:
            kept.append(_checked(item, expected))
        except ValueError as error:
            faults.append(f"label {number}: {error}")
            if len(faults) >= FAULTS_TOLD:
                break
    if faults:
        raise InputError(f"These labels of {expected.model} cannot be used: {'; '.join(faults)}. None was kept.")
    return kept


def write(database: Database, model: str, source: str, items: Sequence[Item]) -> Told:
    """Write checked labels, some thousand at a time; after an error, sending all of them again is harmless."""
    told = Told(0, 0, 0)
    for start in range(0, len(items), AT_ONCE):
        told += database.write_labels(model, source, items[start : start + AT_ONCE])
    return told


def from_frame(frame: "pd.DataFrame", expected: Expected) -> list[Item]:
    """Return the labels of a table, checked.

    Args:
        frame: Columns ``request_id``, ``row`` (optional), ``label``, and raw protected columns (optional). A row
            without a label gives its protected values alone.
        expected: What they may be.

    Raises:
        InputError: A column is missing or unknown, or a value cannot be used.
    """
    columns = [str(name) for name in frame.columns]
    apart = [name for name in columns if name in expected.protected]
    unknown = [name for name in columns if name not in {REQUEST, ROW, LABEL, *apart}]
    if REQUEST not in columns or unknown or not {LABEL, *apart} & set(columns):
        known = ", ".join(sorted(expected.protected)) or "none"
        raise InputError(
            f"Expected the columns {REQUEST}, {ROW} (optional), {LABEL}, and protected ones of {expected.model} "
            f"({known}), found {', '.join(columns)}. Rename or remove columns."
        )
    plain = {name: [None if _is_missing(value) else value for value in frame[name].tolist()] for name in columns}
    items = []
    for place in range(len(frame)):
        item = {REQUEST: plain[REQUEST][place], ROW: plain[ROW][place] if ROW in plain else 0}
        if LABEL in plain and plain[LABEL][place] is not None:
            item[LABEL] = plain[LABEL][place]
        if values := {name: plain[name][place] for name in apart if plain[name][place] is not None}:
            item["protected"] = values
        if LABEL in item or "protected" in item:
            items.append(item)
    return check(items, expected)


def _checked(item: Any, expected: Expected) -> Item:
    if not isinstance(item, Mapping) or set(item) - {REQUEST, ROW, LABEL, "protected"}:
        raise ValueError(f"expected an object of {REQUEST}, {ROW}, {LABEL} and protected, found another form")
    request_id, row = _plain(item.get(REQUEST)), _plain(item.get(ROW, 0))
    request_id = str(request_id) if type(request_id) is int else request_id  # a file may hold ids that are all digits
    if not isinstance(request_id, str) or not SANE.fullmatch(request_id):
        raise ValueError(f"expected a {REQUEST} of 1 to 128 letters, digits or ._:-, found {_shown(request_id)}")
    if type(row) is not int or not 0 <= row <= LARGEST_ROW:
        raise ValueError(f"expected the number of the row in its request, from 0, found {_shown(row)}")
    kept: Item = {REQUEST: request_id, ROW: row}
    if item.get(LABEL) is not None:
        kept[LABEL] = expected.label(item[LABEL])
    if values := expected.apart(item.get("protected") or {}):
        kept["protected"] = values
    if LABEL not in kept and "protected" not in kept:
        raise ValueError("expected a label or protected values, found neither")
    return kept


def _plain(value: Any) -> Any:
    """Return a scalar of JSON; whole numbers as such, whatever they were written as."""
    value = value.item() if hasattr(value, "item") else value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"expected a finite number, found {value}")
        return int(value) if value.is_integer() and abs(value) < 2**53 else value
    if value is not None and not isinstance(value, bool | int | str):
        raise ValueError(f"expected a number, a text or a truth value, found {_shown(value)}")
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode().replace("\x00", "")
    return value


def _is_missing(value: Any) -> bool:
    return value is None or value != value or type(value).__name__ == "NaTType"


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}…"
