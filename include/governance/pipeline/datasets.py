"""What lineage calls things.

Names read well in Marquez's graph, which cuts them at about 16 characters: ``loan/snapshot``, ``loan/model``. Files
and tables follow OpenLineage's naming rules; what these rules do not know (a model version, evidence, a permit, an
endpoint) lives in the namespace ``governance``. Every version is known: a digest, or a number that is used once.

What is said of a data set beyond its name and version stands in :mod:`governance.pipeline.facets`.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from governance.data.snapshots import PROTECTED, Snapshot
from governance.data.sources import lines
from governance.lineage.graph import NAMESPACE
from governance.records import Dataset

Json = dict[str, Any]


def raw(source: str, folder: Path) -> list[Dataset]:
    """The data as they were read; a query may read several tables.

    Args:
        source: The line of ``model.yaml``, or the one that the run was triggered with.
        folder: The model's folder, for the text of a query.
    """
    kind, rest = lines.parse(source)
    if kind == "python":
        return [Dataset("python", rest.split("(")[0] + "/" + rest.partition("(")[2].rstrip(")"))]
    if kind == "sql":
        return _tables(*lines.connection_and_query(rest), folder)
    name, version = lines.at(rest) if kind in ("delta", "iceberg") else (rest, None)
    facets = {} if version is None else _version(str(version))
    if kind == "iceberg" and not name.endswith(".json"):
        catalog, _, table = name.partition(
            "."
        )  # no rule knows catalogs; a table's location is not known before it is read
        return [Dataset(f"iceberg://{catalog}", table, facets)]
    return [_path(name.rpartition("/metadata/")[0] if kind == "iceberg" else name.removesuffix(".dvc"), facets)]


def _path(name: str, facets: Mapping[str, Any]) -> Dataset:
    if name.startswith(lines.S3):
        bucket, key = lines.bucket_and_key(name)
        return Dataset(f"s3://{bucket}", key, facets)
    return Dataset("file", name, facets)


def _tables(database: str, query: str, folder: Path) -> list[Dataset]:
    """Name tables by where they are, never by who asks: ``postgres://host:5432`` and ``db.public.loans``."""
    from governance.data.sources import sql

    url = sql.address(database)
    kind = url.get_backend_name()
    namespace, port, schema = _DATABASES.get(kind, (kind, None, None))
    if url.host:
        namespace = f"{namespace}://{url.host}" + (f":{url.port or port}" if url.port or port else "")
    before = [str(url.database)] if url.database else []
    names = [query] if not query.endswith(sql.QUERY) else _tables_of(folder / query, kind) or [query]
    return [Dataset(namespace, ".".join([*before, *_qualified(name, schema)])) for name in names]


_DATABASES: dict[str, tuple[str, int | None, str | None]] = {
    "postgresql": ("postgres", 5432, "public"),
    "mysql": ("mysql", 3306, None),
    "mariadb": ("mysql", 3306, None),
    "mssql": ("mssql", 1433, "dbo"),
}
"""What OpenLineage calls them, their port, and the schema where none is named."""


def _qualified(name: str, schema: str | None) -> list[str]:
    return [name] if schema is None or "." in name else [schema, name]


def _tables_of(query: Path, kind: str) -> list[str]:
    """Return the tables that a query reads, where the parser that comes with OpenLineage is here and understands it."""
    try:
        from openlineage_sql import parse

        found = parse([query.read_text(encoding="utf-8")], "postgres" if kind == "postgresql" else kind)
    except (ImportError, OSError, ValueError, RuntimeError):
        return []
    return sorted({str(table.qualified_name) for table in found.in_tables}) if found else []


def snapshot_named(model: str, digest: str, **facets: Json) -> Dataset:
    """A snapshot by its digest, as far as it is not protected."""
    return _one(model, "snapshot", digest, facets)


def protected_part(model: str, frozen: Snapshot, **facets: Json) -> list[Dataset]:
    """The part of a snapshot that is kept apart, so that the graph shows who reads it; none where there is none."""
    if PROTECTED not in frozen.parts:
        return []
    return [_one(model, "protected", frozen.parts[PROTECTED].digest, facets)]


def whole_snapshot(model: str, frozen: Snapshot) -> list[Dataset]:
    """Both parts of a snapshot."""
    return [snapshot_named(model, frozen.digest), *protected_part(model, frozen)]


def contract(model: str, digest: str) -> Dataset:
    """A contract."""
    return _one(model, "contract", digest)


def validation(model: str, snapshot: str, contract: str, said: str = "") -> Dataset:
    """What came of a contract on a snapshot: passed, or in quarantine."""
    return _one(model, "validation", f"{snapshot[:16]}-{contract[:16]}", _said(said))


def model_version(model: str, manifest: str, **facets: Json) -> Dataset:
    """A model version, by the digest of its manifest."""
    return _one(model, "model", manifest, facets)


def measured(model: str, family: str, leaf: str) -> Dataset:
    """The measurements of a family, by the leaf of their entry in the ledger."""
    return _one(model, family, leaf, _said(f"What was measured of {family}; the ledger's entry holds each number."))


def tried(model: str, leaf: str) -> Dataset:
    """The alternatives that were tried, by the leaf of their entry in the ledger."""
    return _one(model, "tried", leaf)


def window(model: str, digest: str, **facets: Json) -> Dataset:
    """What production saw in a window, frozen."""
    return _one(model, "window", digest, facets)


def report(model: str, leaf: str) -> Dataset:
    """A second opinion on a window, by the leaf of its entry in the ledger."""
    return _one(model, "report", leaf)


def decided(model: str, leaf: str, said: str = "") -> Dataset:
    """What was decided about a window, by the leaf of its entry in the ledger."""
    return _one(model, "decided", leaf, _said(said))


def evidence_dataset(model: str, digest: str, **facets: Json) -> Dataset:
    """The evidence, by its digest."""
    return _one(model, "evidence", digest, facets)


def decision(model: str, role: str, digest: str, **facets: Json) -> Dataset:
    """The decisions of a role over an evidence digest."""
    return _one(model, f"signed/{role}", digest, facets)


def permit(model: str, digest: str) -> Dataset:
    """The permit over an evidence digest."""
    return _one(model, "permit", digest)


def endpoint(model: str, version: str, **facets: Json) -> Dataset:
    """What the scoring service serves, by the model's semantic version."""
    return _one(model, "endpoint", version, facets)


def predictions(model: str, version: str, **facets: Json) -> Dataset:
    """What the scoring service answered and logged, by the model's semantic version."""
    return _one(model, "predictions", version, facets)


def card(model: str, version: str) -> Dataset:
    """The model card."""
    return _one(model, "card", version)


def rollback(model: str, leaf: str) -> Dataset:
    """A rollback that was asked for, by the leaf of its entry in the ledger."""
    return _one(model, "rollback", leaf)


def order(model: str, run_id: str) -> Dataset:
    """The run that a decision started, by its id."""
    return _one(model, "order", run_id)


def retained(until: str) -> list[Dataset]:
    """What retention looks at, and what it leaves: the predictions of all models, by the moment of the run."""
    return [Dataset(NAMESPACE, name, _version(until)) for name in ("predictions", "retained")]


def drilled(model: str, leaf: str) -> Dataset:
    """What came of a drill, by the leaf of its entry in the ledger."""
    return _one(model, "drill", leaf)


def incident(model: str, number: str) -> Dataset:
    """An incident, by its id."""
    return _one(model, "incident", number)


MEANINGS = {
    "snapshot": "The data of a run, frozen.",
    "protected": "What says which groups people belong to, and who they are, kept apart.",
    "contract": "What the data must be like, as it was signed.",
    "model": "A model version, by the digest of its signed manifest.",
    "tried": "The alternatives that were tried for a blocked candidate.",
    "evidence": "What was measured of a version, and how the policy judges it.",
    "signed": "What people of a role decided over the evidence.",
    "permit": "Leave to serve a version; the ledger's entry holds who signed for it.",
    "endpoint": "The version that the scoring service serves.",
    "predictions": "What was asked and answered, one row a prediction.",
    "card": "The model card of a version.",
    "window": "What production saw in a window, frozen.",
    "report": "Evidently's report on a window, a second opinion.",
    "order": "The run that a decision started.",
    "rollback": "A rollback that was asked for: from which version, and why.",
    "incident": "What happened, when, and who was told; closed by a person.",
    "drill": "What came of trying the way back on a shadow.",
}
"""Told of each whenever it is named, for Marquez forgets what the writer said once a reader says nothing."""


def _one(model: str, what: str, version: str, facets: Mapping[str, Json] | None = None) -> Dataset:
    meaning = _said(MEANINGS.get(what.partition("/")[0], ""))
    return Dataset(NAMESPACE, f"{model}/{what}", {**_version(version), **meaning, **(facets or {})})


def _said(said: str) -> dict[str, Json]:
    return {"documentation": {"description": said}} if said else {}


def _version(version: str) -> dict[str, Json]:
    return {"version": {"datasetVersion": version}}
