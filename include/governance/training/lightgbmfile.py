"""LightGBM's own format (text, ``model.lgb.txt``): written, looked through, and only then given to LightGBM.

LightGBM reads trees in several threads, and a file that is cut off or altered ends the whole process there; wrong node
numbers would make it read beyond its arrays. So :func:`checked` looks first at all that LightGBM takes on trust, and
the parameters of the training, which no prediction needs, are left out.
"""

import contextlib
import io
import itertools
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from governance.errors import InputError, RefusedError
from governance.training.native import (
    Array,
    NativeClassifier,
    NativeModel,
    NativeRegressor,
    malformed,
    named_classes,
    other_task,
    reads_categories,
)

FILE = "model.lgb.txt"
PROBABILITIES = ("binary", "multiclass", "multiclassova", "cross_entropy")
RANKS = ("lambdarank", "rank_xendcg")
SPLITS = ("split_feature", "threshold", "decision_type", "left_child", "right_child")
REALS = ("threshold", "split_gain", "leaf_value", "leaf_weight", "internal_value", "internal_weight", "shrinkage")
OF_TREE = (*REALS, "num_leaves", "num_cat", "is_linear", "leaf_count", "internal_count")
WHOLE = re.compile(r"(-?\d{1,10}( -?\d{1,10})*)?", re.ASCII)
REAL = re.compile(r"(N( N)*)?".replace("N", r"-?(\d+(\.\d*)?([eE][-+]?\d+)?|inf|nan)"), re.ASCII)
END = b"end of trees"
NO_CATEGORIES = (b"", b"null", b"[]")


def to_bytes(model: Any) -> bytes:
    """Return an ``LGBMClassifier``, ``LGBMRegressor`` or ``Booster`` in LightGBM's format, to its best iteration.

    Raises:
        InputError: It cannot be saved.
    """
    try:
        text: str = (model.booster_ if hasattr(model, "booster_") else model).model_to_string()
    except Exception as error:  # not fitted, or whatever it stumbles over
        raise InputError(f"Expected a fitted LightGBM model that can be saved, found: {error}.") from error
    return text.encode()


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
    head = checked(body)
    objective = head.get("objective", "").partition(" ")[0]
    booster = _booster(body)
    names = head["feature_names"].split()
    numbered = names == [f"Column_{position}" for position in range(len(names))]
    known: dict[str, Any] = {
        "kind": "lightgbm",
        "file": FILE,
        "body": body,
        "native": booster,
        "columns": None if numbered else tuple(names),
        "width": len(names),
        "answers": lambda rows: np.asarray(booster.predict(rows, num_threads=1)),
    }
    if task == "regression":
        if objective in PROBABILITIES + RANKS:
            raise other_task("LightGBM", "predicts numbers", objective)
        return NativeRegressor(**known)
    if objective not in PROBABILITIES:
        raise other_task("LightGBM", "gives probabilities (binary, multiclass)", objective)
    return NativeClassifier(**known, classes_=named_classes(classes, max(2, int(head["num_class"])), FILE))


def _booster(body: bytes) -> Any:
    import lightgbm

    try:
        with contextlib.redirect_stdout(io.StringIO()):  # it prints what it also raises
            return lightgbm.Booster(model_str=body[: body.index(END)].decode() + f"{END.decode()}\n\n")
    except (lightgbm.basic.LightGBMError, ValueError) as error:
        raise malformed("LightGBM", FILE, error) from error


# --- the file ------------------------------------------------------------------------------------------------------


def checked(body: bytes) -> dict[str, str]:
    """Look through a file for all that LightGBM takes on trust.

    Returns:
        What stands at its head.

    Raises:
        InputError: Something is missing, or does not fit.
        RefusedError: It reads categories, or has linear trees.
    """
    try:
        return _check(body)
    except (KeyError, ValueError, IndexError, OverflowError) as error:
        raise malformed("LightGBM", FILE, error) from error


def _check(body: bytes) -> dict[str, str]:
    start = body.index(b"\n\n") + 2
    lines = body[:start].decode().splitlines()
    _require(lines[0] == "tree" and b"\0" not in body, "the first line of such a file")
    head = _fields(lines[1:])
    features, classes = int(head["max_feature_idx"]) + 1, int(head["num_class"])
    _require(len(head["feature_names"].split()) == features, "a name for each feature")
    _require(0 < features < 2**31 and 0 < classes < 2**16, "the numbers of features and classes")
    each = int(head["num_tree_per_iteration"])
    _require(each == (classes if classes > 1 else 1), "as many trees a round as it has classes")
    sizes = [int(size) for size in head["tree_sizes"].split()]
    _require(all(size > 0 for size in sizes) and len(sizes) % each == 0, "the sizes of its trees")
    ends = np.cumsum([start, *sizes]).tolist()
    for number, (begin, end) in enumerate(itertools.pairwise(ends)):
        _require(end <= len(body), "its end")
        _check_tree(body[begin:end].decode().splitlines(), number, features)
    rest = body[ends[-1] :]
    _require(rest.startswith(END), "the end of its trees")
    found = [line.partition(b":")[2] for line in rest.splitlines() if line.startswith(b"pandas_categorical:")]
    if any(value.strip() not in NO_CATEGORIES for value in found):
        raise reads_categories("LightGBM")
    return head


def _check_tree(lines: Sequence[str], number: int, features: int) -> None:
    _require(bool(lines) and lines[0] == f"Tree={number}", f"tree {number}")
    tree = _fields([line for line in lines[1:] if line])
    leaves = int(tree["num_leaves"])
    if int(tree["num_cat"]):
        raise reads_categories("LightGBM")
    if int(tree.get("is_linear", 0)):
        raise RefusedError(
            "Expected trees with a number in each leaf, found linear trees. Train with linear_tree=False."
        )
    values = {name: _numbers(name, value) for name, value in tree.items()}
    _require({*SPLITS, "leaf_value"} <= values.keys() <= {*SPLITS, *OF_TREE}, "what a tree is made of, and that alone")
    _require(leaves > 0 and len(values["leaf_value"]) == leaves, "a value for each leaf")
    _require(all(len(values[name]) == leaves - 1 for name in SPLITS), "as many splits as it has leaves")
    for name in ("leaf_weight", "leaf_count", "internal_value", "internal_weight", "internal_count", "split_gain"):
        wanted = leaves if name.startswith("leaf") else leaves - 1
        _require(len(values.get(name, ())) in (0, wanted), f"all of {name}")
    _require(bool(np.all((values["split_feature"] >= 0) & (values["split_feature"] < features))), "its own features")
    _require(bool(np.all(values["decision_type"] & 1 == 0)), "splits by number")
    _check_branches(values["left_child"], values["right_child"], leaves)


def _check_branches(left: Array, right: Array, leaves: int) -> None:
    children = np.concatenate((left, right))
    # Below zero is a leaf, else a split. Each has one parent and split 0 none: no walk from there comes round again.
    _require(bool(np.all((children >= -leaves) & (children < leaves - 1) & (children != 0))), "branches that lead on")
    _require(len(np.unique(children)) == len(children), "one way to each leaf")


def _fields(lines: Sequence[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition("=")
        _require(name not in found, f"a single {name}")
        found[name] = value
    return found


def _numbers(name: str, text: str) -> Array:
    """Read numbers as strictly as LightGBM does: what is nearly one ends its process."""
    _require((REAL if name in REALS else WHOLE).fullmatch(text) is not None, f"numbers in {name}")
    return np.array(text.split(" ") if text else [], dtype=np.float64 if name in REALS else np.int64)


def _require(holds: bool, what: str) -> None:
    if not holds:
        raise ValueError(f"it lacks {what}")
