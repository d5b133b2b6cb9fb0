"""From a folder of bytes that nobody vouches for to a model that may serve.

The model's files are read once, and what was verified is what is loaded, so nothing can change in between. Which types
the model file may rebuild comes from the reviewed ``model.yaml`` whose digest was signed, never from the model's own
files.
"""

import tempfile
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from governance.canonical import digest_of_bytes
from governance.catalog import ModelSpec, spec_from_bytes
from governance.data.contracts import feature_bounds
from governance.errors import NotPermittedError, TamperedError
from governance.keys import PublicKeys
from governance.release import bundle
from governance.release.inputs import Inputs
from governance.release.registry import PERMIT_FOLDER
from governance.review.permit import Permit
from governance.training.artifacts import MANIFEST, SIGNATURE, LoadedModel, load_artifact, read_folder
from governance.training.tracking import MODEL_FOLDER


@dataclass(frozen=True)
class Wanted:
    """What a permit must be for.

    Attributes:
        model: The model's name.
        registry_version: The version in MLflow's registry from which the files came.
        environment: Where it is to serve.
        now: The moment that the permit must cover.
    """

    model: str
    registry_version: int
    environment: str
    now: datetime


@dataclass(frozen=True)
class Permitted:
    """A model that may serve: verified, loaded, and the permit that says so.

    Attributes:
        model: The model.
        permit: The verified permit.
        spec: ``model.yaml`` as it was signed.
        inputs: What a request must look like, from the contract as it was signed.
    """

    model: LoadedModel
    permit: Permit
    spec: ModelSpec
    inputs: Inputs


def load_permitted(folder: Path, wanted: Wanted, keys: PublicKeys) -> Permitted:
    """Verify permit and model files, and load the model.

    Args:
        folder: Holds ``model/`` and ``permit/``.
        wanted: What the permit must be for.
        keys: Public keys of the review and the artifact identity.

    Raises:
        TamperedError: A file is not what was signed; the message names it.
        NotPermittedError: The permit is missing or does not permit this.
    """
    files = bundle.read(folder / PERMIT_FOLDER)
    permit = bundle.verify(files, keys, wanted.environment, wanted.now)
    _expect_wanted(permit, wanted)
    spec = spec_from_bytes(files.bundle.spec)
    model = _load_model(folder / MODEL_FOLDER, spec, permit, keys)
    return Permitted(model, permit, spec, _inputs(files.contract, spec, model))


def _load_model(folder: Path, spec: ModelSpec, permit: Permit, keys: PublicKeys) -> LoadedModel:
    signed = {file["path"]: file["sha256"] for file in permit.evidence["artifact"]["files"]}
    signed[MANIFEST] = permit.manifest
    for name, body in read_folder(folder).items():
        found = digest_of_bytes(body)
        if name in signed and signed[name] != found:
            raise TamperedError(
                f"{MODEL_FOLDER}/{name}: expected SHA-256 {signed[name][:16]}…, which was signed, found {found[:16]}…. "
                f"{bundle.REMEDY}"
            )
    try:
        return load_artifact(folder, spec.training.trusted_types, keys, permit.manifest)
    except TamperedError as error:
        raise TamperedError(f"{MODEL_FOLDER}/ is not what {SIGNATURE} vouches for. {error} {bundle.REMEDY}") from error


def _inputs(contract: bytes, spec: ModelSpec, model: LoadedModel) -> Inputs:
    with tempfile.TemporaryDirectory(prefix="contract-") as private:
        path = Path(private) / bundle.CONTRACT
        path.write_bytes(contract)
        return Inputs(feature_bounds(path, list(spec.features)), model.description.columns)


def _expect_wanted(permit: Permit, wanted: Wanted) -> None:
    found = (permit.model, permit.registry_version)
    if found != (wanted.model, wanted.registry_version):
        raise NotPermittedError(
            f"Expected a permit for version {wanted.registry_version} of {wanted.model} in MLflow, found one for "
            f"version {found[1]} of {found[0]}: a permit serves one version only. Release this version itself."
        )
