"""The signed files of a model: what is approved, released and loaded.

A model directory is flat and complete: ``model.skops`` (the estimator with its decision threshold), ``model.json``
(what its columns and its answer mean), whatever else belongs to it (MLflow's ``MLmodel``, an input example),
``manifest.json`` (path, size and SHA-256 of all of these) and ``signature.json`` (Ed25519 over the manifest). The
digest of the manifest is *the* artifact digest: approvals bind to it.

Files are read once, without following links, into memory; what is verified is what is loaded, so nothing can be
swapped in between.

Not guaranteed: modes and times of the files are not covered. A signature says that the pipeline wrote these bytes,
never that they may serve: that is what the permit says.
"""

import os
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt

from governance import canonical
from governance.errors import InputError, TamperedError
from governance.training import skopsfile

if TYPE_CHECKING:
    import pandas as pd

    from governance.keys import PublicKeys, Signer

Json = dict[str, Any]

MODEL, DESCRIPTION, MANIFEST, SIGNATURE = "model.skops", "model.json", "manifest.json", "signature.json"
REMEDY = "Nothing of it was loaded: restore the files that were signed, or train again."
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
        target: The column that it learnt.
        favourable: The target's favourable value.
        meaning: What the favourable value means.
        threshold: A score of at least this is decided favourably.
    """

    name: str
    purpose: str
    features: tuple[Feature, ...]
    target: str
    favourable: int
    meaning: str
    threshold: float

    @property
    def columns(self) -> list[str]:
        """The names of the features, in order."""
        return [feature.name for feature in self.features]

    def to_dict(self) -> Json:
        """Return the JSON form."""
        features = [dict(feature.__dict__) for feature in self.features]
        return {"format": "governance-model/1", **self.__dict__, "features": features}

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Self:
        """Inverse of :meth:`to_dict`.

        Raises:
            InputError: The document is of another format.
        """
        fields = {name: value for name, value in document.items() if name != "format"}
        try:
            return cls(**{**fields, "features": tuple(Feature(**feature) for feature in fields["features"])})
        except (KeyError, TypeError) as error:
            raise InputError(f"Expected {DESCRIPTION} of format governance-model/1, found: {error}.") from error


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
        estimator: scikit-learn's ``FixedThresholdClassifier`` around what the folder's ``fit`` returned.
    """

    description: Description
    digest: str
    estimator: Any

    def score(self, frame: "pd.DataFrame") -> npt.NDArray[np.float64]:
        """Return the probability of the favourable value.

        Args:
            frame: At least the model's features, in any order.

        Returns:
            From 0 to 1, shape (n).

        Raises:
            InputError: A feature is missing.
        """
        return favourable_scores(self.estimator, self._columns_of(frame), self.description.favourable)

    def predict(self, frame: "pd.DataFrame") -> npt.NDArray[np.int8]:
        """Return the decision: 1 (favourable) where the score reaches the model's threshold, else 0; shape (n)."""
        return decide(self.score(frame), self.description.threshold)

    def _columns_of(self, frame: "pd.DataFrame") -> "pd.DataFrame":
        columns = self.description.columns
        missing = [name for name in columns if name not in frame.columns]
        if missing:
            raise InputError(
                f"Expected the features of {self.description.name}, found none named {', '.join(missing)}."
            )
        return frame[columns]


def decide(scores: npt.NDArray[np.float64], threshold: float) -> npt.NDArray[np.int8]:
    """Return 1 where a score reaches the threshold, else 0."""
    return (scores >= threshold).astype(np.int8)


def favourable_scores(estimator: Any, frame: "pd.DataFrame", favourable: int) -> npt.NDArray[np.float64]:
    """Return an estimator's probability of the favourable value, shape (n).

    Raises:
        InputError: It fails, or what it returns is not one number from 0 to 1 a row.
    """
    try:
        column = list(estimator.classes_).index(favourable)
        scores = np.asarray(estimator.predict_proba(frame), dtype=np.float64)[:, column]
    except Exception as error:  # an estimator may raise anything
        raise InputError(
            f"Expected predict_proba to score {len(frame)} rows, found {type(error).__name__}: {error}. "
            f"Does the model cope with what is missing in the data?"
        ) from error
    if scores.shape != (len(frame),) or not np.all((scores >= 0) & (scores <= 1)):
        raise InputError(
            f"Expected predict_proba to give {len(frame)} numbers from 0 to 1, found others. "
            f"Does the model cope with what is missing in the data?"
        )
    return scores


def with_threshold(estimator: Any, threshold: float, favourable: int) -> Any:
    """Make a decision threshold part of a fitted estimator."""
    from sklearn.frozen import FrozenEstimator
    from sklearn.model_selection import FixedThresholdClassifier

    return FixedThresholdClassifier(
        FrozenEstimator(estimator), threshold=float(threshold), pos_label=favourable, response_method="predict_proba"
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
        estimator: A fitted classifier; the description's threshold is made part of it.
        description: What it means.
        signer: The pipeline's key.
        beside: Further files of the model, by name.

    Returns:
        The manifest, with the artifact digest.

    Raises:
        InputError: The folder is not empty, or the estimator cannot be saved.
    """
    decided = with_threshold(estimator, description.threshold, description.favourable)
    bodies = {
        **(beside or {}),
        MODEL: skopsfile.to_bytes(decided),
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
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise InputError(f"Expected an empty folder for the model at {folder}, found files. Name another one.")
    for path, body in bodies.items():
        (folder / path).write_bytes(body)
    return manifest


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
    for needed in (MODEL, DESCRIPTION):
        if needed not in bodies:
            raise TamperedError(f"Expected {needed} among the files of {folder}, found none. Train it again.")
    description = Description.from_dict(canonical.from_bytes(bodies[DESCRIPTION]))
    estimator = skopsfile.from_bytes(bodies[MODEL], trusted_types)
    threshold = getattr(estimator, "threshold", None)
    if threshold != description.threshold or getattr(estimator, "pos_label", None) != description.favourable:
        raise TamperedError(
            f"Expected {MODEL} to decide at {description.threshold}, as {DESCRIPTION} of {folder} says, "
            f"found {threshold}. Train it again."
        )
    return LoadedModel(description, manifest.digest, estimator)


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
