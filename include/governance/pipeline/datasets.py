"""What lineage calls things.

Names read well in Marquez's graph, which cuts them at about 16 characters: ``loan/snapshot``, ``loan/model``. Files
and tables follow OpenLineage's naming rules; what these rules do not know (a model version, evidence, a permit, an
endpoint) lives in the namespace ``governance``.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from governance.catalog import ModelSpec
from governance.data.snapshots import PROTECTED, Snapshot
from governance.data.sources import lines
from governance.records import Dataset

NAMESPACE = "governance"


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
    facets: dict[str, Any] = {} if version is None else {"version": str(version)}
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


def window(model: str, digest: str) -> Dataset:
    """What production saw in a window, frozen."""
    return _one(model, "window", digest)


def decided(model: str, leaf: str) -> Dataset:
    """What was decided about a window."""
    return _one(model, "decided", leaf)


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
