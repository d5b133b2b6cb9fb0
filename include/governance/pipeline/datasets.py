"""What lineage calls things.

Names read well in Marquez's graph, which cuts them at about 16 characters: ``loan/snapshot``, ``loan/model``. Files
and tables follow OpenLineage's naming rules; what these rules do not know (a model version, evidence, a permit, an
endpoint) lives in the namespace ``governance``.
"""

from collections.abc import Mapping
from typing import Any

from governance.data.snapshots import Snapshot
from governance.records import Dataset

NAMESPACE = "governance"


def raw(source: str) -> Dataset:
    """The data as they were read."""
    scheme, _, name = source.partition(":")
    if scheme == "python":
        return Dataset("python", name.split("(")[0] + "/" + name.partition("(")[2].rstrip(")"))
    return Dataset("file", name or scheme)


def snapshot(model: str, frozen: Snapshot, meanings: Mapping[str, str]) -> Dataset:
    """A snapshot, with its columns and what they mean."""
    columns = [
        {"name": column.name, "type": column.type, "description": meanings.get(column.name, "")}
        for column in frozen.columns
    ]
    return Dataset(NAMESPACE, f"{model}/snapshot", {"version": frozen.digest, "columns": columns})


def snapshot_named(model: str, digest: str) -> Dataset:
    """A snapshot by its digest."""
    return _one(model, "snapshot", digest)


def contract(model: str, digest: str) -> Dataset:
    """A contract."""
    return _one(model, "contract", digest)


def model_version(model: str, manifest: str) -> Dataset:
    """A model version, by the digest of its manifest."""
    return _one(model, "model", manifest)


def measured(model: str, family: str) -> Dataset:
    """The measurements of a family."""
    return Dataset(NAMESPACE, f"{model}/{family}")


def evidence_dataset(model: str, digest: str) -> Dataset:
    """The evidence, by its digest."""
    return _one(model, "evidence", digest)


def decision(model: str, role: str) -> Dataset:
    """The decisions of a role."""
    return Dataset(NAMESPACE, f"{model}/signed/{role}")


def permit(model: str, digest: str) -> Dataset:
    """The permit over an evidence digest."""
    return _one(model, "permit", digest)


def endpoint(model: str, version: str) -> Dataset:
    """What the scoring service serves."""
    return _one(model, "endpoint", version)


def card(model: str, version: str) -> Dataset:
    """The model card."""
    return _one(model, "card", version)


def _one(model: str, what: str, version: str) -> Dataset:
    facets: dict[str, Any] = {"version": version}
    return Dataset(NAMESPACE, f"{model}/{what}", facets)
