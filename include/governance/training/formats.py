"""The formats that a model may be saved in: none of them can run anything when it is read.

One file of a known name: ``model.skops`` (scikit-learn), ``model.ubj`` (XGBoost), ``model.lgb.txt`` (LightGBM),
``model.onnx``. Everything else is refused, pickle and its kin above all: reading a pickle runs what it says, so nothing
here opens one even to see what it is. Files are looked through before a library gets them, so that one that is cut off
or altered is an error with a sentence and not the end of the process.

Not guaranteed: who wrote a file. Whoever calls :func:`from_file` has verified its digest, or is about to judge it.
"""

from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Any

from governance.errors import RefusedError
from governance.training import lightgbmfile, onnxfile, skopsfile, xgboostfile
from governance.training.native import NativeModel

SKOPS = "model.skops"
XGBOOST, LIGHTGBM, ONNX = xgboostfile.FILE, lightgbmfile.FILE, onnxfile.FILE

FORMATS = {SKOPS: "scikit-learn", XGBOOST: "XGBoost", LIGHTGBM: "LightGBM", ONNX: "ONNX"}
"""The library of each file."""

READERS = {XGBOOST: xgboostfile.from_bytes, LIGHTGBM: lightgbmfile.from_bytes, ONNX: onnxfile.from_bytes}
LARGEST = skopsfile.LARGEST
"""Bytes of a file that is read at all."""

PICKLES = (".pkl", ".pickle", ".joblib", ".cloudpickle", ".dill", ".pt", ".pth")
SAFE = (
    "scikit-learn: `mlflow.sklearn.log_model(model, name='model', serialization_format='skops')`; "
    "XGBoost: `mlflow.xgboost.log_model(model, name='model', model_format='ubj')`; "
    "LightGBM: `mlflow.lightgbm.log_model(model.booster_, name='model')`; "
    "anything else: export it to ONNX and `mlflow.onnx.log_model`."
)


def to_file(estimator: Any) -> tuple[str, bytes]:
    """Return the name and the bytes of the file that holds a fitted model.

    Args:
        estimator: A scikit-learn estimator; XGBoost's or LightGBM's, in either of their forms; or what
            :func:`from_file` returned.

    Raises:
        InputError: It cannot be saved.
    """
    if isinstance(estimator, NativeModel):
        return estimator.file, estimator.body
    file = file_of(estimator)
    if file == XGBOOST:
        return file, xgboostfile.to_bytes(estimator)
    if file == LIGHTGBM:
        return file, lightgbmfile.to_bytes(estimator)
    return file, skopsfile.to_bytes(estimator)


def from_file(
    file: str, body: bytes, *, trusted_types: Sequence[str], task: str, classes: Sequence[Any] | None = None
) -> Any:
    """Build the model that a file holds.

    Args:
        file: Its name.
        body: Its bytes.
        trusted_types: What a skops file may hold besides skops' own defaults: ``training.trusted_types`` of the spec.
        task: The spec's task; of scikit-learn's models it is not asked.
        classes: In the order of the file's probabilities, for formats that only number them; from 0 by default.

    Returns:
        An estimator with ``predict_proba`` and ``classes_`` (classification) or ``predict`` (regression).

    Raises:
        InputError: The file is malformed, or is made for another task.
        RefusedError: It is of no safe format, or holds what is not allowed.
    """
    if file == SKOPS:
        return skopsfile.from_bytes(body, trusted_types)
    if file not in READERS:
        raise refusal(file)
    return READERS[file](body, task, classes)


def file_of(estimator: Any) -> str:
    """Return the name of the file that a fitted model is saved in."""
    if isinstance(estimator, NativeModel):
        return estimator.file
    return {"xgboost": XGBOOST, "lightgbm": LIGHTGBM}.get(type(estimator).__module__.partition(".")[0], SKOPS)


def coded_classes(estimator: Any) -> tuple[Any, ...] | None:
    """Return the classes that a model's file only numbers, in that order; ``None`` where it names them or has none."""
    if file_of(estimator) == SKOPS or not hasattr(estimator, "classes_"):
        return None
    return tuple(getattr(estimator.classes_, "tolist", lambda: estimator.classes_)())


def refusal(file: str) -> RefusedError:
    """Return why a file is not opened, and what to do instead."""
    name = PurePosixPath(file).name
    if PurePosixPath(file).suffix.lower() in PICKLES:
        return RefusedError(
            f"Expected a model in a format that holds no code, found {name}: reading a pickle runs whatever it says, "
            f"so it was not opened. Log it again. {SAFE}"
        )
    return RefusedError(
        f"Expected one of {', '.join(FORMATS)}, found {name}, which was not opened. Log it again. {SAFE}"
    )
