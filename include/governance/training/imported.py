"""A model that was trained elsewhere: which file it is, what it reads, and how that differs from the spec.

What MLflow's ``MLmodel`` says is used to find the file, its columns and, where the one who logged it put them into
``metadata``, the order of its classes and its threshold. Nothing else of the folder is read: no ``code``, no
``loader_module``, no list of trusted types; and nothing of it is run. The model itself is opened by
:mod:`~governance.training.formats`.

Not guaranteed: that the model was not trained on the very rows that it is then judged on. Nobody here can know; the
evidence says *trained elsewhere*, and what a reviewer demands of it stands in the policy.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from governance import canonical
from governance.catalog import ModelSpec, Value
from governance.errors import InputError, RefusedError
from governance.training import formats, xgboostfile
from governance.training.artifacts import DESCRIPTION, Description, LoadedModel, describe
from governance.training.native import NativeModel
from governance.training.tasks import BinaryClassification, Task, task_of

if TYPE_CHECKING:
    import pandas as pd

Json = dict[str, Any]

MLMODEL = "MLmodel"
OURS = "governance"
FLAVOURS: Mapping[str, tuple[str, ...]] = {
    "xgboost": ("data",),
    "lightgbm": ("data",),
    "onnx": ("data",),
    "sklearn": ("pickled_model",),
}
"""What of a flavour names the model's file."""

ENDINGS = {
    ".skops": formats.SKOPS,
    ".ubj": formats.XGBOOST,
    ".json": formats.XGBOOST,
    ".lgb": formats.LIGHTGBM,
    ".txt": formats.LIGHTGBM,
    ".onnx": formats.ONNX,
}
BY_FLAVOUR = {"xgboost": formats.XGBOOST, "lightgbm": formats.LIGHTGBM, "onnx": formats.ONNX}
LONGEST = 1024**2
TRIED_ROWS = 5


@dataclass(frozen=True, eq=False)
class Imported:
    """A model from elsewhere, ready to be judged.

    Attributes:
        estimator: The model.
        description: What it means: its features in its own order, and its threshold.
        source: What of it goes on record: ``flavour``, ``file``, ``digest`` of that file.
        unread: Features of the spec that it does not read.
        notes: What a reviewer should know.
    """

    estimator: Any
    description: Description
    source: Json
    unread: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def loaded(self) -> LoadedModel:
        """The model as what measures are taken of; its digest is that of the file."""
        return LoadedModel(self.description, self.source["digest"], self.estimator)

    def at(self, threshold: float | None) -> "Imported":
        """Return the same model with another decision threshold."""
        return replace(self, description=replace(self.description, threshold=threshold))


@dataclass(frozen=True)
class Found:
    """The file of a model, and what is said of it beside.

    Attributes:
        name: Its name in the folder.
        format: Its name among :data:`governance.training.formats.FORMATS`.
        flavour: Who says so.
        columns: What the signature says that it reads.
        metadata: What the one who logged it added.
    """

    name: str
    format: str
    flavour: str
    columns: tuple[tuple[str, str], ...] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)


def import_model(folder: Path, spec: ModelSpec, features: "pd.DataFrame") -> Imported:
    """Open a model that was fetched, and lay it beside the spec.

    Args:
        folder: Its files.
        spec: Of the model that it is to become a version of.
        features: Rows with all of the spec's features; a few are predicted.

    Raises:
        InputError: It does not fit the spec, or cannot be read; every difference is named.
        RefusedError: It is of no safe format, or holds what is not allowed.
    """
    found, task = find(folder), task_of(spec)
    original = _read(folder, found.name)
    body = xgboostfile.from_json(original) if found.name.endswith(".json") else original
    classes, notes = _classes(found, task)
    estimator = formats.from_file(
        found.format, body, trusted_types=spec.training.trusted_types, task=spec.task, classes=classes
    )
    columns, said = _columns(estimator, found, spec)
    rows = features[list(columns)]
    described = describe(spec, rows)
    in_order = tuple(sorted(described.features, key=lambda feature: columns.index(feature.name)))
    description = replace(described, features=in_order, threshold=_threshold(estimator, found, task))
    imported = Imported(
        estimator,
        description,
        {"flavour": found.flavour, "file": found.name, "digest": canonical.digest_of_bytes(original)},
        tuple(name for name in spec.features if name not in columns),
        (*notes, *said),
    )
    imported.loaded.score(rows.head(TRIED_ROWS))
    return imported


# --- the folder ----------------------------------------------------------------------------------------------------


def find(folder: Path) -> Found:
    """Return which of a folder's files is the model.

    Raises:
        InputError: There is none, or what says so is malformed.
        RefusedError: It is of no safe format.
    """
    if (folder / MLMODEL).exists():
        return _by_mlmodel(folder)
    files = sorted(path.name for path in folder.iterdir() if path.is_file())
    known = [name for name in files if Path(name).suffix in ENDINGS]
    if len(known) == 1:
        return Found(known[0], ENDINGS[Path(known[0]).suffix], "a file by itself")
    pickled = [name for name in files if Path(name).suffix.lower() in formats.PICKLES]
    if pickled and not known:
        raise formats.refusal(pickled[0])
    raise InputError(
        f"Expected a model as MLflow logs it, with a file {MLMODEL}, or one model file by itself, found "
        f"{', '.join(files[:10]) or 'no file'}. Give the URI of the model, not of the run."
    )


def _by_mlmodel(folder: Path) -> Found:
    document = _mlmodel(folder)
    flavours = document.get("flavors")
    if not isinstance(flavours, dict) or not flavours:
        raise InputError(f"Expected flavors in {MLMODEL}, found none. Log the model again.")
    if OURS in flavours:
        return _ours(folder)
    known = [name for name in FLAVOURS if isinstance(flavours.get(name), dict)]
    if len(known) != 1:
        others = ", ".join(sorted(set(flavours) - {"python_function"})) or "python_function alone"
        raise RefusedError(
            f"Expected one of the flavors {', '.join(FLAVOURS)}, found {others}: what it holds can only be read by "
            f"running it, so it was not opened. Log it again. {formats.SAFE}"
        )
    flavour = known[0]
    name = next((str(flavours[flavour][key]) for key in FLAVOURS[flavour] if flavours[flavour].get(key)), "")
    metadata = document.get("metadata") or {}
    if not isinstance(metadata, dict):
        raise InputError(f"Expected metadata in {MLMODEL} as names and values, found another form.")
    return Found(name, _format(flavour, name), flavour, _signature(document), metadata)


def _mlmodel(folder: Path) -> Json:
    try:
        document = yaml.safe_load(_read(folder, MLMODEL, LONGEST))
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        said = str(error).partition("\n")[0][:200]
        raise InputError(f"Expected {MLMODEL} as YAML, found: {said}. Log the model again.") from error
    if not isinstance(document, dict):
        raise InputError(f"Expected {MLMODEL} with names and values, found another form. Log the model again.")
    return document


def _format(flavour: str, name: str) -> str:
    """Return the format of a flavour's file by its ending, which no loader may contradict."""
    ending = Path(name).suffix
    if ending == ".skops":
        return formats.SKOPS
    if flavour == "sklearn" or ending not in ENDINGS or ENDINGS[ending] != BY_FLAVOUR[flavour]:
        raise formats.refusal(name or flavour)
    return BY_FLAVOUR[flavour]


def _ours(folder: Path) -> Found:
    """Return the file of a model that this pipeline has signed."""
    description = Description.from_dict(canonical.from_bytes(_read(folder, DESCRIPTION, LONGEST)))
    if description.file not in formats.FORMATS:
        raise formats.refusal(description.file)
    said: Json = {"threshold": description.threshold}
    if description.coded:
        said["classes"] = list(description.coded)
    columns = tuple((feature.name, feature.dtype) for feature in description.features)
    return Found(description.file, description.file, OURS, columns, said)


def _signature(document: Json) -> tuple[tuple[str, str], ...]:
    """Return name and type of the columns that the signature names; nothing where it names none."""
    written = (document.get("signature") or {}).get("inputs")
    try:
        inputs = json.loads(written) if isinstance(written, str) else written or []
        return tuple((str(one["name"]), str(one.get("type"))) for one in inputs if "name" in one)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise InputError(f"Expected a signature of columns in {MLMODEL}, found another form: {error}.") from error


def _read(folder: Path, name: str, longest: int = formats.LARGEST) -> bytes:
    """Read a regular file that lies in the folder itself."""
    path = folder / name
    if Path(name).name != name or path.is_symlink() or not path.is_file():
        raise InputError(f"Expected the file {name!r} beside {MLMODEL}, found none. Log the model again.")
    if path.stat().st_size > longest:
        raise InputError(f"Expected {name} of at most {longest:,} bytes, found {path.stat().st_size:,}.")
    return path.read_bytes()


# --- beside the spec -----------------------------------------------------------------------------------------------


def _classes(found: Found, task: Task) -> tuple[Sequence[Value] | None, tuple[str, ...]]:
    """Return the classes in the order of the file's probabilities, and what is to be said of it."""
    said = found.metadata.get("classes")
    if task.numbered is None or found.format == formats.SKOPS:
        return None, ()
    if said is None and tuple(task.numbered) == tuple(range(len(task.numbered))):
        return task.numbered, ()  # the numbers are the classes
    if said is None:
        order = ", ".join(map(str, task.numbered))
        return task.numbered, (f"The file does not name its classes: they were taken to be {order}, in this order.",)
    wanted = task.numbered if task.classes is None else task.classes
    if not isinstance(said, list) or len(said) != len(wanted) or not _same_classes(said, task):
        raise InputError(
            f"Expected the classes in the metadata of {MLMODEL} to be those of the spec, found {said}. Log the model "
            f"with metadata={{'classes': model.classes_.tolist()}}."
        )
    return said, ()


def _same_classes(said: Sequence[Any], task: Task) -> bool:
    if isinstance(task, BinaryClassification):
        return task.favourable in said and len(set(said)) == 2
    return set(said) == set(task.classes or ())


def _threshold(estimator: Any, found: Found, task: Task) -> float | None:
    """Return where the model decides: as the one who logged it said, else as the model holds it."""
    if task.threshold is None:
        return None
    said = found.metadata.get("threshold", getattr(estimator, "threshold", task.threshold))
    if isinstance(said, bool) or not isinstance(said, int | float) or not 0 <= said <= 1:
        raise InputError(f"Expected a threshold from 0 to 1, found {said!r} in the metadata of {MLMODEL}.")
    return float(said)


def _columns(estimator: Any, found: Found, spec: ModelSpec) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return what the model reads, in its own order, and what is to be said of it.

    Raises:
        InputError: It reads what is no feature, or does not say what it reads; every difference is named.
    """
    own, signed = _own_columns(estimator), tuple(name for name, _ in found.columns)
    if own and signed and set(own) != set(signed):
        raise InputError(
            f"Expected the signature in {MLMODEL} to name what {found.name} reads, found differences: "
            f"{_differences(own, signed)}. Log the model with the signature of its own data."
        )
    columns, width = own or signed, _width(estimator)
    if not columns and width in (None, len(spec.features)):
        return tuple(spec.features), (
            "The file does not name its columns: they were taken to be the spec's features, in the spec's order.",
        )
    strange = [name for name in columns if name not in spec.features]
    if strange or not columns or (width is not None and width != len(columns)):
        missing = [name for name in spec.features if name not in columns] if columns else []
        also = f" It does not read {', '.join(missing)}." if missing else ""
        raise InputError(
            f"Expected a model of the features in models/{spec.name}/model.yaml, found one that reads "
            f"{', '.join(strange) if columns and strange else f'{width} columns without names'}.{also} Add them to "
            f"`features` where they may be used, or train the model on these features."
        )
    unread = [name for name in spec.features if name not in columns]
    return columns, (f"It does not read {', '.join(unread)}.",) if unread else ()


def _own_columns(estimator: Any) -> tuple[str, ...]:
    if isinstance(estimator, NativeModel):
        return estimator.columns or ()
    return tuple(str(name) for name in getattr(estimator, "feature_names_in_", ()))


def _width(estimator: Any) -> int | None:
    if isinstance(estimator, NativeModel):
        return estimator.width
    found = getattr(estimator, "n_features_in_", None)
    return None if found is None else int(found)


def _differences(own: Sequence[str], signed: Sequence[str]) -> str:
    only = {"only in the file": set(own) - set(signed), "only in the signature": set(signed) - set(own)}
    return "; ".join(f"{word} {', '.join(sorted(names))}" for word, names in only.items() if names)
