"""MLflow's scoring protocol: from the bytes of a request to columns and rows.

Three forms are read, as ``mlflow models serve`` does: ``dataframe_split``, ``dataframe_records`` and ``inputs``.
Anything that could be read in two ways (a repeated key, two forms at once) is refused. Of MLflow's ``params``, one is
known: ``protected``, a list of one object for each row, with what the caller knows of protected attributes. They never
reach the model; they are kept apart (:mod:`governance.predictions`).
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from governance.errors import InputError

FORMS = ("dataframe_split", "dataframe_records", "inputs")
PARAMS, PROTECTED = "params", "protected"

Table = tuple[list[Any], list[list[Any]]]
"""Column names, and rows in their order."""


class Asked(NamedTuple):
    """A request.

    Attributes:
        columns: Column names.
        rows: Values in the order of the columns.
        protected: What is known of protected attributes, for each row; ``None`` where nothing was said.
    """

    columns: list[Any]
    rows: list[list[Any]]
    protected: list[Any] | None = None


def read(body: bytes, features: Sequence[str]) -> Asked:
    """Read a request.

    Args:
        body: JSON.
        features: The model's features, for the one form that names no columns.

    Raises:
        InputError: It is not JSON, or none of the three forms.
    """
    document = read_json(body)
    given = [name for name in FORMS if name in document] if isinstance(document, dict) else []
    unknown = sorted(set(document) - {*FORMS, PARAMS}) if isinstance(document, dict) else []
    if len(given) != 1 or unknown:
        found = ", ".join(sorted(map(str, document))) if isinstance(document, dict) else type(document).__name__
        raise InputError(f"Expected an object with one of {', '.join(FORMS)}, found {found or 'an empty object'}.")
    form = given[0]
    columns, rows = {"dataframe_split": _split, "dataframe_records": _records, "inputs": _inputs}[form](
        document[form], features
    )
    if not rows:
        raise InputError(f"Expected at least one row in {form}, found none.")
    return Asked(columns, rows, _protected(document.get(PARAMS), len(rows)))


def _protected(params: Any, rows: int) -> list[Any] | None:
    if not params:
        return None
    protected = params.get(PROTECTED) if isinstance(params, dict) and set(params) == {PROTECTED} else None
    if not isinstance(protected, list) or len(protected) != rows:
        raise InputError(
            f"Expected params with nothing but {PROTECTED}, a list of one object or null for each of the {rows} rows, "
            f"found another form."
        )
    return protected


def _split(part: Any, _: Sequence[str]) -> Table:
    columns: Any = part.get("columns") if isinstance(part, dict) else None
    data: Any = part.get("data") if isinstance(part, dict) else None
    if not _is_names(columns) or not _is_rows(data):
        raise InputError('Expected dataframe_split as {"columns": [names], "data": [[values], …]}, found another form.')
    return columns, data


def _records(part: Any, _: Sequence[str]) -> Table:
    if not isinstance(part, list) or not all(isinstance(record, dict) for record in part):
        raise InputError('Expected dataframe_records as [{"name": value, …}, …], found another form.')
    columns = list(part[0]) if part else []
    for number, record in enumerate(part):
        if record.keys() != part[0].keys():
            other = ", ".join(sorted(record.keys() ^ part[0].keys()))
            raise InputError(f"Expected the same columns in every record, found row {number} to differ in {other}.")
    return columns, [[record[name] for name in columns] for record in part]


def _inputs(part: Any, features: Sequence[str]) -> Table:
    if isinstance(part, Mapping):
        columns = list(part)
        values = [value if isinstance(value, list) else [value] for value in part.values()]
        if len({len(column) for column in values}) > 1:
            raise InputError("Expected columns of the same length in inputs, found different ones.")
        return columns, [list(row) for row in zip(*values, strict=True)]
    if isinstance(part, list) and part and all(isinstance(record, dict) for record in part):
        return _records(part, features)
    if _is_rows(part):
        return list(features), part
    raise InputError(
        'Expected inputs as {"name": [values], …}, or as rows in the order of the features, found another.'
    )


def _is_names(columns: Any) -> bool:
    return isinstance(columns, list) and all(isinstance(name, str) for name in columns)


def _is_rows(data: Any) -> bool:
    return isinstance(data, list) and all(isinstance(row, list) for row in data)


def read_json(body: bytes) -> Any:
    """Read JSON in which no key is written twice and no number is none.

    Raises:
        InputError: It is something else.
    """
    try:
        return json.loads(body, object_pairs_hook=_unique, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise InputError(f"Expected JSON, found a body that is not: {error}.") from error


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a key is written twice")
    return result


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON; write null")
