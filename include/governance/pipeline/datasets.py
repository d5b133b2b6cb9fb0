"""What lineage calls things.

Names read well in Marquez's graph, which cuts them at about 16 characters: ``loan/snapshot``, ``loan/model``. Files
and tables follow OpenLineage's naming rules; what these rules do not know (a model version, evidence, a permit, an
endpoint) lives in the namespace ``governance``.
"""

from typing import Any

from governance.catalog import ModelSpec
from governance.data.snapshots import PROTECTED, Snapshot
from governance.records import Dataset

NAMESPACE = "governance"


def raw(source: str) -> Dataset:
    """The data as they were read."""
    scheme, _, name = source.partition(":")
    if scheme == "python":
        return Dataset("python", name.split("(")[0] + "/" + name.partition("(")[2].rstrip(")"))
    return Dataset("file", name or scheme)


def snapshot(spec: ModelSpec, frozen: Snapshot) -> list[Dataset]:
    """A snapshot as it is written: each part with its columns and what they mean."""
    meanings = {**spec.features, **spec.leaks, spec.target.column: spec.target.meaning}
    meanings |= {column: name for name, attribute in spec.protected.items() for column in attribute.columns}
    columns = [
        {"name": column.name, "type": column.type, "description": meanings.get(column.name, "")}
        for column in frozen.columns
    ]
    apart = set(spec.protected_columns)
    shown = [
        [column for column in columns if column["name"] not in apart],
        [column for column in columns if column["name"] in apart],
    ]
    parts = [snapshot_named(spec.name, frozen.digest), *protected_part(spec.name, frozen)]
    return [
        Dataset(part.namespace, part.name, {**part.facets, "columns": its})
        for part, its in zip(parts, shown, strict=False)
    ]


def snapshot_named(model: str, digest: str) -> Dataset:
    """A snapshot by its digest, as far as it is not protected."""
    return _one(model, "snapshot", digest)


def protected_part(model: str, frozen: Snapshot) -> list[Dataset]:
    """The part of a snapshot that is kept apart, so that the graph shows who reads it; none where there is none."""
    return [_one(model, "protected", frozen.parts[PROTECTED].digest)] if PROTECTED in frozen.parts else []


def whole_snapshot(model: str, frozen: Snapshot) -> list[Dataset]:
    """Both parts of a snapshot."""
    return [snapshot_named(model, frozen.digest), *protected_part(model, frozen)]


def contract(model: str, digest: str) -> Dataset:
    """A contract."""
    return _one(model, "contract", digest)


def validation(model: str, snapshot: str, contract: str, said: str) -> Dataset:
    """What came of a contract on a snapshot: passed, or in quarantine."""
    facets = {"version": f"{snapshot[:16]}-{contract[:16]}", "documentation": said}
    return Dataset(NAMESPACE, f"{model}/validation", facets)


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
