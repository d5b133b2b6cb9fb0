"""XGBoost's own format (UBJSON, ``model.ubj``): written, looked through, and only then given to XGBoost.

XGBoost reads trees in several threads, and a file that is cut off or altered ends the whole process there; wrong node
numbers would make it read beyond its arrays. So :func:`checked` reads the file first, in Python, and looks at all that
XGBoost takes on trust.

Not guaranteed: that two versions of XGBoost write the same bytes. What is missing in the data is NaN: a model that was
trained with another mark (``missing=-1``) does not say so in its file, and is refused where it still is an object.
"""

import json
import struct
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from governance.errors import InputError
from governance.training.native import (
    Answers,
    Array,
    NativeClassifier,
    NativeModel,
    NativeRegressor,
    first_line,
    malformed,
    named_classes,
    other_task,
    reads_categories,
)

if TYPE_CHECKING:
    import xgboost

Json = dict[str, Any]

FILE = "model.ubj"
PROBABILITIES = ("binary:logistic", "reg:logistic", "multi:softprob", "multi:softmax")
NUMBERS = ("reg:", "count:")
WHOLES, REALS, BYTES = "i4", "f4", "u1"
NODES = {
    "left_children": WHOLES,
    "right_children": WHOLES,
    "parents": WHOLES,
    "split_indices": WHOLES,
    "split_conditions": REALS,
    "base_weights": REALS,
    "loss_changes": REALS,
    "sum_hessian": REALS,
    "default_left": BYTES,
    "split_type": BYTES,
}
"""What is there of each node of a tree, and as what kind of number."""
NOBODY = 2**31 - 1
"""The parent of a root."""
CATEGORIES_OF_TREE = ("categories", "categories_nodes", "categories_segments", "categories_sizes")
DEEPEST = 64


def to_bytes(model: Any) -> bytes:
    """Return an ``XGBClassifier``, ``XGBRegressor`` or ``Booster`` in XGBoost's format.

    Raises:
        InputError: It cannot be saved, or marks missing values otherwise than as NaN.
    """
    missing = getattr(model, "missing", None)
    if missing is not None and missing == missing:
        raise InputError(
            f"Expected a model for which NaN means missing, found one that takes {missing} for it, which its file does "
            f"not hold. Put NaN into the data instead, and train again."
        )
    try:
        if not hasattr(model, "get_booster"):
            return bytes(model.save_raw("ubj"))
        # By its own method: it notes that early stopping counts, and what kind of model it is.
        with tempfile.TemporaryDirectory(prefix="governance-xgboost-") as folder:
            path = Path(folder, FILE)
            model.save_model(path)
            return path.read_bytes()
    except Exception as error:  # not fitted, or whatever it stumbles over
        raise InputError(f"Expected a fitted XGBoost model that can be saved, found: {first_line(error)}.") from error


def from_json(body: bytes) -> bytes:
    """Return a model that was saved as JSON in the binary form.

    Raises:
        InputError: It is no such file.
    """
    try:
        checked(json.loads(body))
    except (ValueError, RecursionError) as error:
        raise malformed("XGBoost", FILE, error) from error
    return bytes(_booster(body).save_raw("ubj"))


def from_bytes(body: bytes, task: str, classes: Sequence[Any] | None) -> NativeModel:
    """Build the model of a file.

    Args:
        body: The file.
        task: What it is for.
        classes: In the order of its probabilities; it numbers them from 0 itself.

    Raises:
        InputError: It is no such file, or is made for another task.
        RefusedError: It reads categories.
    """
    document = read(body)
    learner = checked(document)
    objective = str(learner["objective"]["name"])
    booster = _booster(body)
    answers = _answers(booster, learner, objective)
    names = booster.feature_names
    known: Json = {
        "kind": "xgboost",
        "file": FILE,
        "body": body,
        "native": booster,
        "columns": None if names is None else tuple(names),
        "width": booster.num_features(),
        "answers": answers,
    }
    if task == "regression":
        if not objective.startswith(NUMBERS) or objective == "reg:logistic":
            raise other_task("XGBoost", "predicts numbers (reg:…, count:…)", objective)
        return NativeRegressor(**known)
    if objective not in PROBABILITIES:
        raise other_task("XGBoost", "gives probabilities (binary:logistic, multi:softprob)", objective)
    number = max(2, int(learner["learner_model_param"]["num_class"]))
    return NativeClassifier(**known, classes_=named_classes(classes, number, FILE))


def _booster(body: bytes) -> "xgboost.Booster":
    import xgboost

    booster = xgboost.Booster()
    try:
        booster.load_model(bytearray(body))
    except (xgboost.core.XGBoostError, ValueError, TypeError) as error:
        raise malformed("XGBoost", FILE, error) from error
    booster.set_param({"nthread": 1, "device": "cpu"})
    return booster


def _answers(booster: "xgboost.Booster", learner: Json, objective: str) -> Answers:
    import xgboost

    attributes = learner.get("attributes") or {}
    # scikit-learn's form of a model stops where early stopping said; a plain Booster answers with all of its trees.
    stopped = "scikit_learn" in attributes and "best_iteration" in attributes
    trees = (0, int(attributes["best_iteration"]) + 1) if stopped else (0, 0)
    linear = learner["gradient_booster"]["name"] == "gblinear"
    margin = objective == "multi:softmax"

    def answers(rows: Array) -> Array:
        if linear:
            found = booster.predict(xgboost.DMatrix(rows, nthread=1), output_margin=margin, validate_features=False)
        else:
            wanted = "margin" if margin else "value"
            found = booster.inplace_predict(rows, iteration_range=trees, predict_type=wanted, validate_features=False)
        return _softmax(found) if margin else np.asarray(found)

    return answers


def _softmax(margins: Any) -> Array:
    powers = np.exp(margins - margins.max(1, keepdims=True))
    found: Array = powers / powers.sum(1, keepdims=True)
    return found


# --- the file ------------------------------------------------------------------------------------------------------


def checked(document: Any) -> Json:
    """Look through a model's document for all that XGBoost takes on trust.

    Returns:
        Its ``learner``.

    Raises:
        InputError: Something is missing, or does not fit.
        RefusedError: It reads categories.
    """
    try:
        learner: Json = document["learner"]
        _check(learner)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError) as error:
        raise malformed("XGBoost", FILE, error) from error
    return learner


def _check(learner: Json) -> None:
    param = learner["learner_model_param"]
    features, classes = int(param["num_feature"]), int(param["num_class"])
    _require(0 <= features < 2**31 and 0 <= classes < 2**16, "the numbers of features and classes")
    _require(int(param.get("num_target", 1)) <= 1, "a single target")
    _require(isinstance(learner["objective"]["name"], str), "an objective")
    _require(len(learner.get("feature_names") or ()) in (0, features), "a name for each feature")
    if "c" in (learner.get("feature_types") or ()):
        raise reads_categories("XGBoost")
    booster = learner["gradient_booster"]
    if booster["name"] == "gblinear":
        _require(len(booster["model"]["weights"]) == (features + 1) * max(1, classes), "a weight for each feature")
        return
    inner = booster["gbtree"] if booster["name"] == "dart" else booster
    model = inner["model"]
    if len((model.get("cats") or {}).get("enc") or ()):
        raise reads_categories("XGBoost")
    trees, info = model["trees"], np.asarray(model["tree_info"], dtype=np.int64)
    number = int(model["gbtree_model_param"]["num_trees"])
    _require(len(trees) == len(info) == number, "as many trees as it says")
    _require(bool(np.all((info >= 0) & (info < max(1, classes)))), "trees of its own classes")
    ends = np.asarray(model.get("iteration_indptr", [0, number]), dtype=np.int64)
    _require(bool(len(ends)) and ends[0] == 0 and ends[-1] == number and bool(np.all(np.diff(ends) >= 0)), "its rounds")
    if booster["name"] == "dart":
        _require(len(booster["weight_drop"]) == number, "a weight for each tree")
    for tree in trees:
        _check_tree(tree, features)


def _check_tree(tree: Json, features: int) -> None:
    param = tree["tree_param"]
    nodes = int(param["num_nodes"])
    _require(0 < nodes < 2**31 and int(param["num_feature"]) == features, "the numbers of its nodes and features")
    _require(int(param.get("size_leaf_vector", 1)) <= 1, "a single target")
    values = {name: _of_kind(tree[name], kind, name) for name, kind in NODES.items()}
    _require(all(len(found) == nodes for found in values.values()), "as many nodes as it says")
    if np.any(values["split_type"]) or any(len(tree[name]) for name in CATEGORIES_OF_TREE):
        raise reads_categories("XGBoost")
    left, right = values["left_children"], values["right_children"]
    inner = left != -1
    _require(bool(np.array_equal(inner, right != -1)), "two branches at each split")
    children = np.concatenate((left[inner], right[inner]))
    # Each node has one parent and the root none, so that no walk from the root comes round again.
    _require(bool(np.all((children > 0) & (children < nodes))), "branches that lead to nodes")
    _require(len(np.unique(children)) == len(children), "one way to each node")
    parents, owners = values["parents"], np.tile(np.flatnonzero(inner), 2)
    _require(bool(np.all((parents == NOBODY) | ((parents >= -1) & (parents < nodes)))), "parents that are nodes")
    _require(bool(np.array_equal(parents[children], owners)), "the parent of each node")
    splits = values["split_indices"][inner]
    _require(bool(np.all((splits >= 0) & (splits < features))), "splits of its own features")


def _of_kind(found: Any, kind: str, name: str) -> Array:
    """Return numbers of a tree as such; from JSON they come as a list, which has no kind."""
    _require(isinstance(found, list) or (isinstance(found, np.ndarray) and found.dtype.str[1:] == kind), name)
    return np.asarray(found, dtype=np.float64 if kind == REALS else np.int64)


def _require(holds: bool, what: str) -> None:
    if not holds:
        raise ValueError(f"it lacks {what}")


def read(body: bytes) -> Any:
    """Return the document in a UBJSON file, as far as XGBoost uses the format.

    Raises:
        InputError: It is no such file.
    """
    try:
        document, end = _Reader(body).value(0, 0)
    except (ValueError, IndexError, struct.error) as error:
        raise malformed("XGBoost", FILE, error) from error
    if end != len(body):
        raise malformed("XGBoost", FILE, ValueError(f"{len(body) - end} bytes follow its end"))
    return document


WHOLE = {"i": ">b", "U": ">B", "I": ">h", "l": ">i", "L": ">q"}
FORMS = {**WHOLE, "d": ">f", "D": ">d"}
PLAIN = {"T": True, "F": False, "Z": None}


class _Reader:
    """Reads UBJSON; each method takes a position, and returns what is there and where it ends."""

    def __init__(self, body: bytes) -> None:
        self.body = body

    def value(self, at: int, depth: int) -> tuple[Any, int]:
        if depth > DEEPEST:
            raise ValueError("it is nested too deeply")
        mark = chr(self.body[at])
        if mark == "{":
            return self.object(at + 1, depth)
        if mark == "[":
            return self.array(at + 1, depth)
        if mark == "S":
            return self.text(at + 1)
        return (PLAIN[mark], at + 1) if mark in PLAIN else self.number(at, FORMS)

    def object(self, at: int, depth: int) -> tuple[Json, int]:
        found: Json = {}
        while self.body[at] != ord("}"):
            name, at = self.text(at)
            if name in found:
                raise ValueError(f"{name} is there twice")
            found[name], at = self.value(at, depth + 1)
        return found, at + 1

    def array(self, at: int, depth: int) -> tuple[Any, int]:
        if self.body[at] == ord("$"):
            return self.numbers(at + 1)
        if self.body[at] != ord("#"):
            return self.list(at, depth)
        count, at = self.size(at + 1)
        found = []
        for _ in range(count):
            one, at = self.value(at, depth + 1)
            found.append(one)
        return found, at

    def list(self, at: int, depth: int) -> tuple[list[Any], int]:
        found = []
        while self.body[at] != ord("]"):
            one, at = self.value(at, depth + 1)
            found.append(one)
        return found, at + 1

    def numbers(self, at: int) -> tuple[Array, int]:
        form = FORMS.get(chr(self.body[at]))
        if form is None or self.body[at + 1] != ord("#"):
            raise ValueError("an array has no kind or no length")
        dtype = np.dtype(form)
        count, at = self.size(at + 2)
        end = at + count * dtype.itemsize
        return np.frombuffer(self.body[at:end], dtype, count), end

    def text(self, at: int) -> tuple[str, int]:
        length, at = self.size(at)
        return self.body[at : at + length].decode(), at + length

    def size(self, at: int) -> tuple[int, int]:
        found, end = self.number(at, WHOLE)
        if not 0 <= found <= len(self.body) - end:
            raise ValueError("it is cut off")
        return int(found), end

    def number(self, at: int, forms: dict[str, str]) -> tuple[Any, int]:
        form = forms.get(chr(self.body[at]))
        if form is None:
            raise ValueError(f"byte {at} means nothing")
        return struct.unpack_from(form, self.body, at + 1)[0], at + 1 + struct.calcsize(form)
