"""What MLflow shows of a model: its signature and an input example, as files of the signed directory.

``MLmodel`` names no ``python_function`` flavour on purpose: ``mlflow.pyfunc.load_model`` and its kin would load the
model without asking for a permit, with a list of trusted types taken from this very file. The registry, its pages and
its comparison of schemas work all the same.

Written here rather than by ``mlflow``: its files carry times and run ids, and would make the artifact digest another
one every time.
"""

import json
from typing import TYPE_CHECKING, Any

import yaml

from governance import canonical
from governance.errors import InputError
from governance.training.artifacts import Description

if TYPE_CHECKING:
    import pandas as pd

TYPES = {
    "bool": "boolean",
    "int8": "integer",
    "int16": "integer",
    "int32": "integer",
    "int64": "long",
    "float32": "float",
    "float64": "double",
    "object": "string",
    "string": "string",
    "str": "string",
}
"""MLflow's name of each type of column."""

EXAMPLE = "input_example.json"


def files(description: Description, frame: "pd.DataFrame") -> dict[str, bytes]:
    """Return ``MLmodel`` and the input example of a model.

    Args:
        description: What the model reads and answers.
        frame: Training rows, of which the example is made; none of them is in it.

    Raises:
        InputError: A feature has a type that MLflow cannot name.
    """
    example = typical_row(frame[description.columns])
    document = {
        "flavors": {"governance": {"loader": "governance.training"}},
        "saved_input_example_info": {
            "artifact_path": EXAMPLE,
            "type": "dataframe",
            "pandas_orient": "split",
        },
        "signature": {
            "inputs": json.dumps(_columns(description)),
            "outputs": json.dumps(_answer(description)),
            "params": None,
        },
    }
    return {"MLmodel": yaml.safe_dump(document, sort_keys=True).encode(), EXAMPLE: canonical.to_bytes(example)}


def typical_row(features: "pd.DataFrame") -> dict[str, Any]:
    """Return one row made of each column's middle value: a whole request, and nobody's data."""
    middle = [_middle(features[name]) for name in features]
    return {"columns": list(features), "data": [middle]}


def _middle(column: "pd.Series[Any]") -> Any:
    known = column.dropna().sort_values(ignore_index=True)
    if known.empty:
        return None
    value = known.iloc[len(known) // 2]
    return value.item() if hasattr(value, "item") else value


def _columns(description: Description) -> list[dict[str, Any]]:
    unknown = [f"{feature.name} ({feature.dtype})" for feature in description.features if feature.dtype not in TYPES]
    if unknown:
        raise InputError(
            f"Expected numbers, booleans or text, found {', '.join(unknown)}. Turn them into one of these."
        )
    return [{"type": TYPES[f.dtype], "name": f.name, "required": True} for f in description.features]


def _answer(description: Description) -> list[dict[str, Any]]:
    answers = {"binary_classification": "long", "regression": "double"}
    text = all(isinstance(value, str) for value in description.classes or ())
    kind = answers.get(description.task, "string" if text else "long")
    return [
        {"type": kind, "name": "prediction", "required": True},
        {"type": "double", "name": "score", "required": True},
    ]
