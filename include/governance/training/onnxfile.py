"""The ONNX format (``model.onnx``): a graph of known operations, run by onnxruntime on one thread of the CPU.

An ONNX file may name libraries with operations of its own, and files with its weights. Neither is loaded: no library
is registered, and weights outside the file are looked for in a folder that cannot exist.

A model takes one table of numbers (one 2-D input), or one input a column. A classifier answers with probabilities as a
table or as one dictionary a row (skl2onnx's ZipMap), and mostly with its label too; where it does, label and largest
probability must agree, so that classes in a wrong order do not pass.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from governance.errors import InputError
from governance.training.native import (
    Answers,
    Array,
    NativeClassifier,
    NativeModel,
    NativeRegressor,
    first_line,
    named_classes,
)

FILE = "model.onnx"
NOWHERE = "/dev/null/weights"
NUMBERS = {
    "tensor(float)": np.float32,
    "tensor(double)": np.float64,
    "tensor(int64)": np.int64,
    "tensor(int32)": np.int32,
    "tensor(bool)": np.bool_,
}
REALS = ("tensor(float)", "tensor(double)")
TOO_CLOSE = 1e-6
"""Probabilities of two classes nearer than this may be ordered otherwise by the model's own label."""


class _Outputs(NamedTuple):
    """Which of a classifier's outputs is what."""

    probabilities: str
    label: str | None
    dictionaries: bool


def from_bytes(body: bytes, task: str, classes: Sequence[Any] | None) -> NativeModel:
    """Build the model of a file.

    Args:
        body: The file.
        task: What it is for.
        classes: In the order of its probabilities, where it answers with a table.

    Raises:
        InputError: It is no such file, or takes or gives something else than rows of numbers.
    """
    session = _session(body)
    inputs = session.get_inputs()
    columns, width = _columns(inputs)
    known: dict[str, Any] = {
        "kind": "onnx",
        "file": FILE,
        "body": body,
        "native": None,
        "columns": columns,
        "width": width,
    }
    if task == "regression":
        output = _only([one.name for one in session.get_outputs() if one.type in REALS], "number")
        return NativeRegressor(**known, answers=lambda rows: _asked(session, [output], _fed(inputs, rows))[0])
    named = named_classes(classes, len(classes or (0, 1)), FILE)
    return NativeClassifier(**known, answers=_probabilities(session, _outputs(session), named), classes_=named)


def _session(body: bytes) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", NOWHERE)
    try:
        return onnxruntime.InferenceSession(body, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's errors have no common ancestor
        raise InputError(
            f"Expected a model file in the ONNX format that stands alone, found one that does not load: "
            f"{first_line(error)}. Export it again, with its weights inside and standard operations only."
        ) from error


def _columns(inputs: Sequence[Any]) -> tuple[tuple[str, ...] | None, int | None]:
    strange = [f"{one.name} ({one.type})" for one in inputs if one.type not in NUMBERS]
    if strange or not inputs:
        raise InputError(f"Expected an ONNX model whose inputs are numbers, found {', '.join(strange) or 'no input'}.")
    if len(inputs) == 1 and _width(inputs[0]) != 1:
        return None, _width(inputs[0])
    wide = [one.name for one in inputs if _width(one) not in (1, None)]
    if wide:
        raise InputError(
            f"Expected one ONNX input for all columns or one a column, found {', '.join(wide)} besides others."
        )
    return tuple(one.name for one in inputs), len(inputs)


def _width(one: Any) -> int | None:
    return one.shape[1] if len(one.shape) == 2 and isinstance(one.shape[1], int) else None


def _fed(inputs: Sequence[Any], rows: Array) -> dict[str, Array]:
    if len(inputs) == 1:
        return {inputs[0].name: _cast(rows, inputs[0])}
    return {one.name: _cast(rows[:, [position]], one) for position, one in enumerate(inputs)}


def _cast(rows: Array, one: Any) -> Array:
    dtype = NUMBERS[one.type]
    if one.type not in REALS and not np.isfinite(rows).all():
        raise InputError(
            f"Expected no missing value for the ONNX input {one.name}, which takes whole numbers, found one."
        )
    return rows.astype(dtype)


def _outputs(session: Any) -> _Outputs:
    outputs = session.get_outputs()
    dictionaries = [one.name for one in outputs if one.type.startswith("seq(map(")]
    tables = [one.name for one in outputs if one.type in REALS]
    labels = [one.name for one in outputs if one.type in ("tensor(int64)", "tensor(string)")]
    found = _only(dictionaries or tables, "probabilities")
    return _Outputs(found, labels[0] if len(labels) == 1 else None, bool(dictionaries))


def _only(names: Sequence[str], what: str) -> str:
    if len(names) != 1:
        raise InputError(f"Expected one output of {what} in the ONNX model, found {', '.join(names) or 'none'}.")
    return names[0]


def _probabilities(session: Any, outputs: _Outputs, classes: Array) -> Answers:
    inputs = session.get_inputs()
    wanted = [outputs.probabilities, *([outputs.label] if outputs.label else [])]

    def answers(rows: Array) -> Array:
        given, *labels = _asked(session, wanted, _fed(inputs, rows))
        found = _table(given, classes) if outputs.dictionaries else np.asarray(given)
        for label in labels:
            _require_agreement(found, np.asarray(label), classes)
        return found

    return answers


def _table(rows: Sequence[dict[Any, float]], classes: Array) -> Array:
    named = classes.tolist()
    try:
        return np.array([[row[value] for value in named] for row in rows], dtype=np.float64).reshape(-1, len(named))
    except KeyError as error:
        known = ", ".join(map(str, rows[0]))
        raise InputError(f"Expected the ONNX model to know the class {error}, found one for {known}.") from error


def _require_agreement(found: Array, labels: Array, classes: Array) -> None:
    if found.ndim != 2 or found.shape[1] != len(classes) or len(labels) != len(found):
        return  # another shape is refused by whoever asked
    top = np.sort(found, axis=1)
    clear = (top[:, -1] - top[:, -2]) > TOO_CLOSE
    said = np.array([str(value) for value in classes.tolist()])[found.argmax(1)]
    if np.any(said[clear] != labels.astype(str)[clear]):
        raise InputError(
            f"Expected the ONNX model's label to be its most probable class, found others: are its classes in the "
            f"order {', '.join(map(str, classes.tolist()))}?"
        )


def _asked(session: Any, outputs: Sequence[str], fed: dict[str, Array]) -> list[Any]:
    try:
        found: list[Any] = session.run(list(outputs), fed)
    except Exception as error:  # as above
        raise InputError(f"Expected the ONNX model to answer, found: {first_line(error)}.") from error
    return found
