"""The model folder's own drift measure: ``drift.py`` with ``measure(reference, current)``, run as rules are.

It sees two tables and nothing else, a sample where they are large: numbers as float64, times in UTC, all else as it is.
It returns numbers by name, each with or without an interval (``(value, low, high)``), which become measurements
``drift.custom.<name>``. Whatever else comes of it is a measurement without a value, and calls people.

Not guaranteed: that the numbers mean what their names say.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from governance import canonical
from governance.records import Measurement
from governance.rules.evaluate import one_line, run_apart, source_of

if TYPE_CHECKING:
    import pandas as pd

FILE, FUNCTION = "drift.py", "measure"
CUSTOM = "drift.custom"
SECONDS = 20.0
"""How long it may take, besides the start of its process."""

SAMPLE = 20_000
"""So many rows of each side are shown at most: drawn at random, the same ones each time."""


def measure_custom(folder: Path, reference: "pd.DataFrame", current: "pd.DataFrame") -> list[Measurement]:
    """Run a model folder's own drift measure.

    Args:
        folder: The model's folder.
        reference: What is usual, shape (m, features).
        current: What came now, shape (n, columns); the reference's columns of it are shown.

    Returns:
        ``drift.custom.<name>`` for each number, ``method`` naming the file's SHA-256; ``drift.custom`` without a value
        where it failed; nothing where the folder has no ``drift.py``.
    """
    file = folder / FILE
    if not file.exists():
        return []
    source, fault = source_of(file)
    method = f"python {canonical.digest_of_bytes(source.encode())}"
    names = [name for name in reference.columns if name in current.columns]
    sides = [columns_of(_some(side[names])) for side in (reference, current)] if not fault else []
    request = {"kind": "drift", "name": FILE, "function": FUNCTION, "seconds": SECONDS, "source": source}
    said: dict[str, Any] = {"fault": fault} if fault else run_apart({**request, "input": sides}, _is_numbers)
    if said.get("fault"):
        return [Measurement(CUSTOM, None, len(current), method=method, reason=one_line(f"{FILE}: {said['fault']}"))]
    n = min(len(current), SAMPLE)
    return [_measurement(name, parts, n, method) for name, parts in sorted(said["numbers"].items())]


def _measurement(name: str, parts: list[float], n: int, method: str) -> Measurement:
    low, high = parts[1:] if len(parts) == 3 else (None, None)
    return Measurement(f"{CUSTOM}.{name}", parts[0], n, {}, low, high, method)


def _is_numbers(said: dict[str, Any]) -> bool:
    return said.keys() == {"numbers"} and isinstance(said["numbers"], dict)


def _some(frame: "pd.DataFrame") -> "pd.DataFrame":
    return frame if len(frame) <= SAMPLE else frame.sample(n=SAMPLE, random_state=0)


def columns_of(frame: "pd.DataFrame") -> dict[str, tuple[str, list[Any]]]:
    """Return a table as JSON can say it: name → kind and values."""
    from pandas.api.types import is_bool_dtype, is_datetime64_any_dtype, is_numeric_dtype

    found: dict[str, tuple[str, list[Any]]] = {}
    for name in frame.columns:
        column = frame[name]
        if is_datetime64_any_dtype(column):
            found[name] = (
                "time",
                [None if at is None else at.isoformat() for at in column.astype(object).where(column.notna(), None)],
            )
        elif is_numeric_dtype(column) and not is_bool_dtype(column):
            found[name] = "number", column.astype("float64").tolist()
        else:
            plain = column.astype(object).where(column.notna(), None)
            found[name] = "other", [one if isinstance(one, bool | str | None) else str(one) for one in plain.tolist()]
    return found
