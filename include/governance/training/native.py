"""A model in the format of the library that made it, asked in the way in which scikit-learn's are asked.

XGBoost, LightGBM and ONNX each have a file format that holds numbers and no code. Their readers
(:mod:`~governance.training.xgboostfile`, :mod:`~governance.training.lightgbmfile`,
:mod:`~governance.training.onnxfile`) return one of the two classes here. Rows go in as numbers, one thread computes,
and the same rows give the same answer.

Columns are taken by name where the file has names: a frame of the same columns in another order is put right, a frame
of other columns is refused. An array has no names: its columns must be in the model's own order (``columns``).

Not guaranteed: that a file without names meets its columns in the right order; only their number is checked then.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from governance.errors import InputError, RefusedError

Array = npt.NDArray[Any]
Kind = Literal["xgboost", "lightgbm", "onnx"]
Answers = Callable[[Array], Array]

CATEGORIES = "Turn categories into numbers before training (one column each), and train again."


@dataclass(frozen=True, eq=False)
class NativeModel:
    """A model of XGBoost, LightGBM or ONNX.

    Attributes:
        kind: Whose format it is.
        file: The name of its file.
        body: The bytes of its file.
        native: The library's own object; ``None`` of ONNX.
        columns: What it reads, in its own order; ``None`` where the file has no names.
        width: How many columns it reads; ``None`` where the file does not say.
        answers: What it says of rows, shape (n, columns) → (n) or (n, classes).
    """

    kind: Kind
    file: str
    body: bytes
    native: Any
    columns: tuple[str, ...] | None
    width: int | None
    answers: Answers

    def matrix(self, rows: Any) -> Array:
        """Return rows as float64 in the model's order, shape (n, columns).

        Args:
            rows: A data frame, in any order of columns, or an array in the model's own order.

        Raises:
            InputError: The columns are not the model's, or one of them holds no numbers.
        """
        array = _as_numbers(rows if self.columns is None else self._in_order(rows))
        wanted = len(self.columns) if self.columns is not None else self.width
        if array.ndim != 2 or (wanted is not None and array.shape[1] != wanted):
            raise InputError(f"Expected {wanted or 'some'} columns for this model, found an array of {array.shape}.")
        return array

    def _in_order(self, rows: Any) -> Any:
        columns = list(self.columns or ())
        if not hasattr(rows, "columns") or list(rows.columns) == columns:
            return rows
        found = [str(name) for name in rows.columns]
        missing, others = sorted(set(columns) - set(found)), sorted(set(found) - set(columns))
        if missing or others or len(found) != len(columns):
            raise InputError(
                f"Expected the columns that {self.file} was trained on, found "
                + _differences(missing, others)
                + ". Give it the same features, or train it again on these."
            )
        return rows[columns]


@dataclass(frozen=True, eq=False)
class NativeClassifier(NativeModel):
    """A classifier; its probabilities are in the order of ``classes_``."""

    classes_: Array

    def predict_proba(self, rows: Any) -> Array:
        """Return one probability a class, shape (n, classes).

        Raises:
            InputError: The rows are not the model's, or it says something else.
        """
        found = np.asarray(self.answers(self.matrix(rows)))
        if found.ndim == 2 and found.shape[1] == 1:
            found = found[:, 0]
        if found.ndim == 1:
            found = np.column_stack((1 - found, found))
        if found.ndim != 2 or found.shape[1] != len(self.classes_):
            raise InputError(
                f"Expected {self.file} to give one probability for each of {len(self.classes_)} classes, found answers "
                f"of shape {found.shape}. Is it a classifier, and of the classes of the spec?"
            )
        return found

    def predict(self, rows: Any) -> Array:
        """Return the most probable class of each row, shape (n)."""
        answer: Array = self.classes_[self.predict_proba(rows).argmax(1)]
        return answer


@dataclass(frozen=True, eq=False)
class NativeRegressor(NativeModel):
    """A regressor."""

    def predict(self, rows: Any) -> Array:
        """Return one number a row, shape (n).

        Raises:
            InputError: The rows are not the model's, or it says something else.
        """
        matrix = self.matrix(rows)
        found = np.asarray(self.answers(matrix))
        if found.ndim == 2 and found.shape[1] == 1:
            found = found[:, 0]
        if found.shape != (len(matrix),):
            raise InputError(f"Expected {self.file} to give one number a row, found answers of shape {found.shape}.")
        return found


def named_classes(classes: Sequence[Any] | None, number: int, file: str) -> Array:
    """Return the classes of a model that only numbers them.

    Raises:
        InputError: There are not as many as the file has.
    """
    named = list(range(number)) if classes is None else list(classes)
    if len(named) != number:
        raise InputError(
            f"Expected {file} to tell {len(named)} classes apart ({', '.join(map(str, named))}), found {number}. "
            f"Is it the right model?"
        )
    kinds = {type(value) for value in named}
    return np.array(named, dtype=None if len(kinds) == 1 else object)


def _as_numbers(rows: Any) -> Array:
    if not hasattr(rows, "dtypes"):
        return np.asarray(rows, dtype=np.float64)
    strange = [str(name) for name, dtype in rows.dtypes.items() if not _is_number(dtype)]
    if strange:
        raise InputError(
            f"Expected columns of numbers for this model, found other types in {', '.join(strange)}. " + CATEGORIES
        )
    array: Array = rows.to_numpy(dtype=np.float64, na_value=np.nan)
    return array


def _is_number(dtype: Any) -> bool:
    return getattr(dtype, "kind", "O") in "iufb" and getattr(dtype, "name", "") != "category"


def _differences(missing: Sequence[str], others: Sequence[str]) -> str:
    said = [f"{word} {', '.join(names)}" for word, names in (("no", missing), ("besides", others)) if names]
    return "; ".join(said) or "one of them twice"


def malformed(library: str, file: str, error: Exception) -> InputError:
    """Return what to tell of a file that a library's reader, or our look through it, does not take."""
    return InputError(
        f"Expected a model file in {library}'s format, found one that does not load: {first_line(error)}. "
        f"Save it again: `booster.save_model('{file}')`."
    )


def reads_categories(library: str) -> RefusedError:
    """Return what to tell of a model that reads more than numbers."""
    return RefusedError(
        f"Expected a model that reads numbers, found a model of {library} that reads categories. {CATEGORIES}"
    )


def other_task(library: str, wanted: str, objective: str) -> InputError:
    """Return what to tell of a model that was trained for another task than the spec's."""
    found = f"the objective {objective}" if objective else "no objective"
    return InputError(f"Expected a model of {library} that {wanted}, found one of {found}. Train it with another.")


def first_line(error: Exception) -> str:
    """Return an error's first line, without what a library adds for its developers."""
    return str(error).strip().partition("\n")[0][:200].rstrip(". ") or type(error).__name__
