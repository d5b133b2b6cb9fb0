"""What lineage says of a data set beyond its name: OpenLineage's facets, and five of our own.

Plain values, by the names of the facets; the glue in ``plugins/`` adds who says so and by which schema. Ours answer
what people ask of a model: what is it (``governance_model``), how was it made (``governance_trainingRun``), what was
judged (``governance_evidence``), who signed (``governance_approval``), what serves (``governance_deployment``). Their
schemas are in ``include/governance/lineage/schemas/``.

No value of a row is ever in one, and people are named by their pseudonymous id.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from governance.catalog import ModelSpec
from governance.data.delta import Part
from governance.data.snapshots import PROTECTED, Snapshot
from governance.ledger.log import Entry
from governance.lineage.trace import IDENTIFIER, PERSONAL
from governance.pipeline.datasets import MEANINGS
from governance.pipeline.run import Run
from governance.records import Dataset, Measurement, Verdict

Json = dict[str, Any]

MODEL, TRAINING, EVIDENCE = "governance_model", "governance_trainingRun", "governance_evidence"
APPROVAL, DEPLOYMENT = "governance_approval", "governance_deployment"

DECLARED = "declared: the model's own code may use it in any way"
"""Said of columns where nobody can look inside."""

PII, SENSITIVE = PERSONAL, "SENSITIVE"


def described(spec: ModelSpec, said: str) -> Json:
    """Return what it is, in a sentence, and which team answers for it."""
    owner = {"name": f"team:{spec.owner.team}", "type": "OWNER"}
    return {"documentation": {"description": said}, "ownership": {"owners": [owner]}}


def schema(columns: Iterable[Mapping[str, str]]) -> Json:
    """Return columns: ``name``, ``type`` and, where it is known, ``description``."""
    return {"schema": {"fields": [{name: said for name, said in column.items() if said} for column in columns]}}


def origin(spec: ModelSpec, frozen: Snapshot) -> Json:
    """Return what is known of the data as they were read: their columns, and by whose content they are known."""
    names = [column.name for column in frozen.columns]
    version = {"version": {"datasetVersion": f"as frozen in {frozen.digest}"}}
    return {**version, **schema(columns_of(spec, frozen)), **tags(spec, names, (PII, IDENTIFIER))}


def frozen_part(spec: ModelSpec, frozen: Snapshot, part: str, source: Sequence[Dataset]) -> Json:
    """Return what is known of a part of a snapshot, as it is written.

    Args:
        spec: The model's.
        frozen: The snapshot.
        part: ``data`` or ``protected``.
        source: The data as they were read.
    """
    names = apart(spec, frozen)[part == PROTECTED]
    columns = [column for column in columns_of(spec, frozen) if column["name"] in set(names)]
    said = MEANINGS["protected" if part == PROTECTED else "snapshot"]
    kept = stored(frozen.parts[part])
    kept["outputStatistics"]["rowCount"] = frozen.rows
    lineage = same_columns(names, source, masked=spec.data.personal)
    return {**described(spec, said), **schema(columns), **tags(spec, names), **kept, **lineage}


def columns_of(spec: ModelSpec, frozen: Snapshot) -> list[dict[str, str]]:
    """Return the columns of a snapshot with what they mean, by name."""
    meanings = {**spec.features, **spec.leaks, spec.target.column: spec.target.meaning}
    meanings |= {spec.data.subject: "whom the row is about"} if spec.data.subject else {}
    meanings |= {column: name for name, attribute in spec.protected.items() for column in attribute.columns}
    return [
        {"name": column.name, "type": column.type, "description": meanings.get(column.name, "")}
        for column in frozen.columns
    ]


def tags(spec: ModelSpec, columns: Iterable[str], personal: Iterable[str] = (PII,)) -> Json:
    """Return the tags of columns that hold personal data (``personal``), or say who somebody is or to what group."""
    found: dict[str, Iterable[str]] = dict.fromkeys(spec.data.personal, personal)
    found |= {spec.data.subject: (PII, IDENTIFIER)} if spec.data.subject else {}
    found |= dict.fromkeys(spec.protected_columns, (SENSITIVE,))
    marked = [
        {"key": tag, "value": "true", "source": "GOVERNANCE", "field": name}
        for name in columns
        for tag in found.get(name, ())
    ]
    return {"tags": {"tags": marked}} if marked else {}


def stored(part: Part) -> Json:
    """Return where a part of a snapshot lies, in which form, and how large it is."""
    data = [file for file in part.files if file.path.endswith(".parquet")]
    return {
        "storage": {"storageLayer": "delta", "fileFormat": "parquet"},
        "dataSource": {"name": "snapshots", "uri": part.uri if "://" in part.uri else f"file://{part.uri}"},
        "outputStatistics": {"size": sum(file.size for file in data), "fileCount": len(data)},
    }


def same_columns(names: Iterable[str], source: Sequence[Dataset], *, masked: Iterable[str] = ()) -> Json:
    """Return columns that are those of the source, under the same name; ``masked`` ones hold nothing of it any more.

    Where there are several sources, nobody can say from here which of them has the column: it is told of each.
    """
    hidden = set(masked)
    fields = {}
    for name in names:
        way: Json = {"type": "DIRECT", "subtype": "IDENTITY"}
        if name in hidden:
            way = {"type": "DIRECT", "subtype": "TRANSFORMATION", "description": "masked", "masking": True}
        elif len(source) > 1:
            way |= {"description": "declared: by a query of several tables"}
        fields[name] = {"inputFields": [_field(one, name, way) for one in source]}
    return {"columnLineage": {"fields": fields}}


def made_of(name: str, columns: Iterable[str], source: Dataset, how: str = DECLARED) -> Json:
    """Return a column that is made of all of these, in a way that is declared."""
    way = {"type": "DIRECT", "subtype": "TRANSFORMATION", "description": how}
    fields = [_field(source, column, way) for column in columns]
    return {"columnLineage": {"fields": {name: {"inputFields": fields}}}}


def _field(source: Dataset, column: str, way: Json) -> Json:
    return {"namespace": source.namespace, "name": source.name, "field": column, "transformations": [dict(way)]}


def quality(validation: Entry, columns: Iterable[str], *, whole: bool) -> Json:
    """Return what a contract found of some columns of a snapshot.

    Args:
        validation: The ledger's entry.
        columns: Of which columns.
        whole: Whether what is demanded of the table as a whole is told, too.
    """
    wanted, data = set(columns), validation.data
    if "assertions" not in data:  # older entries hold counts only
        return {}
    assertions = [one for one in data["assertions"] if one.get("column") in wanted or (whole and "column" not in one)]
    nulls = {name: {"nullCount": count} for name, count in data["nulls"].items() if name in wanted}
    return {
        "dataQualityAssertions": {"assertions": assertions},
        "dataQualityMetrics": {"rowCount": data["rows"], "columnMetrics": nulls},
    }


def model(run: Run, candidate: Entry, lock: str) -> Json:
    """Return what a model version is: enough to find its bytes, and to make it again."""
    data = candidate.data
    return {
        MODEL: {
            "name": run.model,
            "semanticVersion": run.version,
            "registryVersion": str(data["registry_version"]),
            "task": run.spec.task,
            "tier": run.spec.tier,
            "algorithm": data.get("algorithm") or "unknown",
            "artifactDigest": data["manifest"],
            "files": [{"path": file["path"], "sha256": file["sha256"]} for file in data["artifact"]["files"]],
            "signature": {"inputs": list(data["features"]), "output": run.spec.target.column},
            "environmentDigest": lock,
            "codeDigest": run.code.digest,
            **({"commit": run.code.commit} if run.code.commit else {}),
        }
    }


def training(run: Run, candidate: Entry, measured: Iterable[Measurement] = ()) -> Json:
    """Return how a model version was made, for the run that made or judged it.

    Args:
        run: The run.
        candidate: The ledger's entry of the version.
        measured: What was measured of it; what speaks of everything is told.
    """
    data, made = candidate.data, candidate.data["training"]
    url = f"{run.settings.mlflow_url}/#" if run.settings.mlflow_url else None
    links = {
        "runUrl": f"{url}/runs/{data['mlflow_run']}",
        "modelUrl": f"{url}/models/{run.model}/versions/{data['registry_version']}",
    }
    return {
        TRAINING: {
            "attempt": data["attempt"],
            "parameters": dict(made.get("parameters") or {}),
            "seed": made["seed"],
            **({"threshold": made["threshold"]} if made.get("threshold") is not None else {}),
            "dropped": list(made.get("dropped") or []),
            "evaluation": {name: said for name, said in (made.get("evaluation") or {}).items() if name != "judged_on"},
            "metrics": {one.name: one.value for one in measured if not one.slice and one.value is not None},
            "mlflow": {"runId": data["mlflow_run"], "model": run.model, **(links if url else {})},
        }
    }


def evidence(digest: str, verdict: Verdict, document: Mapping[str, Any]) -> Json:
    """Return what was judged of a model version, and which rules failed."""
    failed = [
        {
            "rule": rule.rule,
            "title": rule.title,
            "measure": rule.measure,
            "slice": dict(rule.slice),
            "reason": rule.reason,
        }
        for rule in verdict.failing()
    ]
    return {
        EVIDENCE: {
            "digest": digest,
            "verdict": str(verdict.outcome),
            "mayBeReleased": verdict.may_be_released,
            "rules": len(verdict.rules),
            "failed": failed,
            "waived": sorted({rule.rule for rule in verdict.waived()}),
            "policy": {"version": str(document["policy"]["version"]), "digest": document["policy"]["digest"]},
            "semanticVersion": document["model"]["version"],
        }
    }


def approval(role: str, digest: str, decisions: Iterable[Mapping[str, Any]]) -> Json:
    """Return who signed in a role: by pseudonymous id, over which digest, and when."""
    signed = [{"person": one["person"], "answer": one["answer"], "at": one["decided_at"]} for one in decisions]
    return {APPROVAL: {"role": role, "evidence": digest, "decisions": signed}}


def deployment(
    url: str | None, version: str, registry_version: int, digest: str, previous: Mapping[str, Any] | None
) -> Json:
    """Return what serves where, on which permit, and what served before."""
    return {
        DEPLOYMENT: {
            **({"endpoint": f"{url}/invocations"} if url else {}),
            "semanticVersion": version,
            "registryVersion": str(registry_version),
            "permit": digest,
            "previous": {"semanticVersion": previous["version"], "permit": previous["evidence"]} if previous else None,
        }
    }


def apart(spec: ModelSpec, frozen: Snapshot) -> tuple[list[str], list[str]]:
    """Return the names of a snapshot's columns: those of the data, and those that are kept apart."""
    protected = set(spec.apart_columns) if PROTECTED in frozen.parts else set()
    names = [column.name for column in frozen.columns]
    return [name for name in names if name not in protected], [name for name in names if name in protected]
