"""The signed files of a model: what is approved, released and loaded.

A model directory is flat and complete: the model in one of the safe :mod:`formats` (scikit-learn's in skops with its
decision threshold, XGBoost's, LightGBM's or ONNX's own), ``model.json`` (what its columns and its answer mean, and the
threshold), whatever else belongs to it (MLflow's ``MLmodel``, an input example),
``manifest.json`` (path, size and SHA-256 of all of these) and ``signature.json`` (Ed25519 over the manifest). The
digest of the manifest is *the* artifact digest: approvals bind to it.

Files are read once, without following links, into memory; what is verified is what is loaded, so nothing can be
swapped in between.

Not guaranteed: modes and times of the files are not covered. A signature says that the pipeline wrote these bytes,
never that they may serve: that is what the permit says.
"""

import os
import shutil
import stat
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from governance import canonical
from governance.catalog import ModelSpec, Target, TaskName, Value
from governance.errors import InputError, TamperedError, no_room
from governance.training import formats
from governance.training.tasks import Array, BinaryClassification, Task, make_task

if TYPE_CHECKING:
    import pandas as pd

    from governance.keys import PublicKeys, Signer

Json = dict[str, Any]

DESCRIPTION, MANIFEST, SIGNATURE = "model.json", "manifest.json", "signature.json"
REMEDY = "Nothing of it was loaded: restore the files that were signed, or train again."
FORMAT = "governance-model/2"
PURPOSE = "artifact"
"""What the signature is for: one made for another purpose does not verify."""


@dataclass(frozen=True)
class Feature:
    """One column that the model reads."""

    name: str
    dtype: str
    meaning: str


@dataclass(frozen=True)
class Description:
    """What the files mean: ``model.json``.

    Attributes:
        name: The model's name.
        purpose: What it is for.
        features: What it reads, in this order.
        task: What it answers.
        target: The column that it learnt.
        meaning: What the target, or its favourable value, means.
        favourable: The target's favourable value, of two classes.
        classes: The classes in the order of the scores, of more than two.
        threshold: A score of at least this is decided favourably; ``None`` where nothing is decided by one.
        file: The model's file; :mod:`formats` knows its name.
        coded: The classes in the order of the file's probabilities, where the file does not say.
    """

    name: str
    purpose: str
    features: tuple[Feature, ...]
    task: TaskName
    target: str
    meaning: str
    favourable: Value | None = None
    classes: tuple[Value, ...] | None = None
    threshold: float | None = None
    file: str = formats.SKOPS
    coded: tuple[Value, ...] | None = None

    @cached_property
    def asked(self) -> Task:
        """What it answers, as an object that knows how."""
        classes = None if self.classes is None else list(self.classes)
        target = Target(
            column=self.target, favourable=self.favourable, classes=classes, meaning=self.meaning, known_bias=""
        )
        return make_task(self.task, target)

    @property
    def columns(self) -> list[str]:
        """The names of the features, in order."""
        return [feature.name for feature in self.features]

    def to_dict(self) -> Json:
        """Return the JSON form."""
        features = [dict(feature.__dict__) for feature in self.features]
        lists = {name: value and list(value) for name, value in (("classes", self.classes), ("coded", self.coded))}
        own = {field.name: getattr(self, field.name) for field in fields(self)}
        return {"format": FORMAT, **own, "features": features, **lists}

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Self:
        """Inverse of :meth:`to_dict`.

        Raises:
            InputError: The document is of another format.
        """
        written = {name: value for name, value in document.items() if name != "format"}
        try:
            features = tuple(Feature(**feature) for feature in written["features"])
            lists = {name: written[name] and tuple(written[name]) for name in ("classes", "coded")}
            return cls(**{**written, "features": features, **lists})
        except (KeyError, TypeError) as error:
            raise InputError(f"Expected {DESCRIPTION} of format {FORMAT}, found: {error}.") from error


@dataclass(frozen=True)
class Manifest:
    """The files of a model, by path: what its digest stands for."""

    files: tuple[Json, ...]

    @classmethod
    def of(cls, bodies: Mapping[str, bytes]) -> Self:
        """Return the manifest of these files."""
        return cls(
            tuple(
                {"path": path, "size": len(body), "sha256": canonical.digest_of_bytes(body)}
                for path, body in sorted(bodies.items())
            )
        )

    @property
    def digest(self) -> str:
        """The artifact digest: SHA-256 of the manifest's canonical bytes."""
        return canonical.digest(self.to_dict())

    @property
    def size(self) -> int:
        """Bytes of all files together."""
        return sum(file["size"] for file in self.files)

    def to_dict(self) -> Json:
        """Return the JSON form."""
        return {"format": "governance-manifest/1", "files": [dict(file) for file in self.files]}


@dataclass(frozen=True, eq=False)
class LoadedModel:
    """A model that was verified and loaded.

    Attributes:
        description: What its columns and its answer mean.
        digest: The artifact digest.
        estimator: The model, with its threshold where its format can hold one.
    """

    description: Description
    digest: str
    estimator: Any

    def score(self, frame: "pd.DataFrame") -> Array:
        """Return what the model says of each row.

        Args:
            frame: At least the model's features, in any order.

        Returns:
            The probability of the favourable value, shape (n); one probability a class, shape (n, classes); or the
            predicted number, shape (n).

        Raises:
            InputError: A feature is missing, or the model fails.
        """
        return self.description.asked.scores(self.estimator, self._columns_of(frame))

    def predict(self, frame: "pd.DataFrame") -> Array:
        """Return the answer for each row, shape (n): 0 or 1, the position of a class, or a number."""
        return self.description.asked.decide(self.score(frame), self.description.threshold)

    def _columns_of(self, frame: "pd.DataFrame") -> "pd.DataFrame":
        columns = self.description.columns
        missing = [name for name in columns if name not in frame.columns]
        if missing:
            raise InputError(
                f"Expected the features of {self.description.name}, found none named {', '.join(missing)}."
            )
        return frame[columns]


def describe(spec: ModelSpec, features: "pd.DataFrame") -> Description:
    """Return what a spec says of a model that reads these columns, in the spec's order."""
    types, target = features.dtypes, spec.target
    return Description(
        name=spec.name,
        purpose=spec.purpose,
        features=tuple(
            Feature(name, str(types[name]), meaning) for name, meaning in spec.features.items() if name in types
        ),
        task=spec.task,
        target=target.column,
        meaning=target.meaning,
        favourable=target.favourable,
        classes=tuple(target.classes) if target.classes else None,
    )


def with_threshold(estimator: Any, threshold: float | None, task: Task) -> Any:
    """Make a decision threshold part of a fitted scikit-learn classifier; other formats have no place for one."""
    if not isinstance(task, BinaryClassification) or formats.file_of(estimator) != formats.SKOPS:
        return estimator
    from sklearn.frozen import FrozenEstimator
    from sklearn.model_selection import FixedThresholdClassifier

    return FixedThresholdClassifier(
        FrozenEstimator(estimator),
        threshold=0.5 if threshold is None else float(threshold),
        pos_label=task.favourable,
        response_method="predict_proba",
    )


def write_artifact(
    folder: Path,
    estimator: Any,
    description: Description,
    *,
    signer: "Signer",
    beside: Mapping[str, bytes] | None = None,
) -> Manifest:
    """Write and sign a model directory.

    Args:
        folder: Where; must not exist yet, or be empty.
        estimator: A fitted model; the description's threshold is made part of it where that can be.
        description: What it means.
        signer: The pipeline's key.
        beside: Further files of the model, by name.

    Returns:
        The manifest, with the artifact digest.

    Raises:
        InputError: The folder is not empty, or the estimator cannot be saved.
    """
    file, body = formats.to_file(with_threshold(estimator, description.threshold, description.asked))
    description = replace(description, file=file, coded=formats.coded_classes(estimator))
    bodies = {
        **(beside or {}),
        file: body,
        DESCRIPTION: canonical.to_bytes(description.to_dict()),
    }
    manifest = Manifest.of(bodies)
    signed = {
        "format": "governance-signature/1",
        "purpose": PURPOSE,
        "key": signer.name,
        "signature": signer.sign(manifest.to_dict(), PURPOSE),
    }
    bodies |= {MANIFEST: canonical.to_bytes(manifest.to_dict()), SIGNATURE: canonical.to_bytes(signed)}
    if folder.exists() and any(folder.iterdir()):
        raise InputError(f"Expected an empty folder for the model at {folder}, found files. Name another one.")
    _write_whole(folder, bodies)
    return manifest


def _write_whole(folder: Path, bodies: Mapping[str, bytes]) -> None:
    """Write all files or none: what is there is complete."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
    try:
        for path, body in bodies.items():
            (part / path).write_bytes(body)
        part.chmod(0o755)
        part.replace(folder)
    except OSError as error:
        raise no_room(error) or error from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


def verify_artifact(folder: Path, public_keys: "PublicKeys", expected_digest: str | None = None) -> Manifest:
    """Check a model directory: all files, no others, unchanged, signed.

    Args:
        folder: The model directory.
        public_keys: Whose signatures count.
        expected_digest: The artifact digest that was approved; ``None`` only where none is known yet.

    Returns:
        Its manifest.

    Raises:
        TamperedError: Naming every file that is missing, added or changed, or what is wrong with the signature.
    """
    return _verified(read_folder(folder), folder, public_keys, expected_digest)


def load_artifact(
    folder: Path, trusted_types: Sequence[str], public_keys: "PublicKeys", expected_digest: str | None = None
) -> LoadedModel:
    """Verify a model directory and load exactly the bytes that were verified.

    Args:
        folder: The model directory.
        trusted_types: What the spec allows the skops file to hold; never taken from the files.
        public_keys: Whose signatures count.
        expected_digest: The artifact digest that was approved; ``None`` only where none is known yet.

    Raises:
        TamperedError: As :func:`verify_artifact`; or the files contradict each other.
        RefusedError: The model holds a type that the spec does not allow.
    """
    bodies = read_folder(folder)
    manifest = _verified(bodies, folder, public_keys, expected_digest)
    return _loaded(bodies, folder, manifest, trusted_types)


def load_unsigned(folder: Path, trusted_types: Sequence[str], expected_digest: str | None = None) -> LoadedModel:
    """Load a model directory whoever signed it: to measure it, never to serve it.

    The files are still those of the manifest, and only trusted types are built.

    Raises:
        TamperedError: The files are not those of the manifest, or it is not the expected one.
        RefusedError: The model holds a type that the spec does not allow.
    """
    bodies = read_folder(folder)
    manifest = _as_listed(bodies, folder, expected_digest)
    return _loaded(bodies, folder, manifest, trusted_types)


def _loaded(bodies: Mapping[str, bytes], folder: Path, manifest: Manifest, trusted_types: Sequence[str]) -> LoadedModel:
    if DESCRIPTION not in bodies:
        raise TamperedError(f"Expected {DESCRIPTION} among the files of {folder}, found none. Train it again.")
    description = Description.from_dict(canonical.from_bytes(bodies[DESCRIPTION]))
    return LoadedModel(description, manifest.digest, open_model(bodies, folder, description, trusted_types))


def open_model(
    bodies: Mapping[str, bytes], folder: Path, description: Description, trusted_types: Sequence[str]
) -> Any:
    """Build the model of files that were read from a folder and verified."""
    if description.file not in bodies:
        raise TamperedError(f"Expected {description.file} among the files of {folder}, found none. Train it again.")
    estimator = formats.from_file(
        description.file,
        bodies[description.file],
        trusted_types=trusted_types,
        task=description.task,
        classes=description.coded,
    )
    if description.task == "binary_classification" and description.file == formats.SKOPS:
        _expect_threshold(estimator, description, folder)
    return estimator


def _expect_threshold(estimator: Any, description: Description, folder: Path) -> None:
    threshold = getattr(estimator, "threshold", None)
    if threshold != description.threshold or getattr(estimator, "pos_label", None) != description.favourable:
        raise TamperedError(
            f"Expected {description.file} to decide at {description.threshold}, as {DESCRIPTION} of {folder} says, "
            f"found {threshold}. Train it again."
        )


def _verified(
    bodies: Mapping[str, bytes], folder: Path, public_keys: "PublicKeys", expected_digest: str | None
) -> Manifest:
    manifest = _as_listed(bodies, folder, expected_digest)
    signed = canonical.from_bytes(bodies[SIGNATURE])
    fields = {"format": "governance-signature/1", "purpose": PURPOSE}
    if not isinstance(signed, dict) or any(signed.get(name) != value for name, value in fields.items()):
        raise TamperedError(f"Expected {folder / SIGNATURE} to sign a model, found another document. {REMEDY}")
    public_keys.verify(manifest.to_dict(), str(signed.get("signature")), PURPOSE, str(signed.get("key")))
    return manifest


def _as_listed(bodies: Mapping[str, bytes], folder: Path, expected_digest: str | None) -> Manifest:
    missing = [name for name in (MANIFEST, SIGNATURE) if name not in bodies]
    if missing:
        raise TamperedError(f"Expected a signed model in {folder}, found no {' and no '.join(missing)}. {REMEDY}")
    document = canonical.from_bytes(bodies[MANIFEST])
    found = Manifest.of({path: body for path, body in bodies.items() if path not in (MANIFEST, SIGNATURE)})
    if found.to_dict() != document:
        differences = _differences(document, found)
        raise TamperedError(f"Expected the files that {folder / MANIFEST} lists, found: {differences}. {REMEDY}")
    if expected_digest is not None and found.digest != expected_digest:
        raise TamperedError(
            f"Expected the model {expected_digest} in {folder}, found {found.digest}: whole, but another one. {REMEDY}"
        )
    return found


def _differences(document: Any, found: Manifest) -> str:
    try:
        listed = {file["path"]: file for file in document["files"]}
    except (TypeError, KeyError):
        return "a manifest of another format"
    there = {file["path"]: file for file in found.files}
    words = {
        "missing": [path for path in listed if path not in there],
        "added": [path for path in there if path not in listed],
        "changed": [path for path in listed if path in there and listed[path] != there[path]],
    }
    said = "; ".join(f"{word} {', '.join(sorted(paths))}" for word, paths in words.items() if paths)
    return said or "the same files in a manifest of another form"


def read_folder(folder: Path) -> dict[str, bytes]:
    """Read every file of a flat folder once, without following a link.

    Raises:
        TamperedError: It is absent, or holds anything but regular files.
    """
    try:
        return {path.name: _read_file(path) for path in sorted(folder.iterdir())}
    except OSError as error:
        raise TamperedError(f"Expected a folder of regular files at {folder}, found: {error}.") from error


def _read_file(path: Path) -> bytes:
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise TamperedError(f"Expected only files in a model directory, found something else: {path}.")
        with open(descriptor, "rb", closefd=False) as file:
            return file.read()
    finally:
        os.close(descriptor)
