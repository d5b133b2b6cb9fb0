"""What is told of a data set in lineage, in words: from the facets of the events that name it."""

from collections.abc import Iterable, Mapping
from typing import Any

from governance.lineage.graph import Node, Step

Json = dict[str, Any]
Facts = list[tuple[str, str]]
Told = tuple[str, str, Facts]

SHORT = 8
"""Digits of a digest that are shown."""


def by_node(steps: Iterable[Step], events: Mapping[int, Json]) -> dict[Node, Json]:
    """Return the facets of each data set; of those that were told more than once, what a writer said last."""
    found: dict[Node, Json] = {}
    for step in sorted(steps, key=lambda step: step.number):
        event = events[step.number]
        for side, aside in (("inputs", "inputFacets"), ("outputs", "outputFacets")):
            for one in _objects(event.get(side)):
                facets = {**_object(one.get("facets")), **_object(one.get(aside))}
                version = str(_object(facets.get("version")).get("datasetVersion") or "")
                node = Node(str(one.get("namespace")), str(one.get("name")), version)
                told = found.setdefault(node, {})
                told |= (
                    facets if side == "outputs" else {name: said for name, said in facets.items() if name not in told}
                )
    return found


def semantic_version(facets: Json) -> str:
    """Return the semantic version that a model version says of itself; empty where it does not."""
    return str(_object(facets.get("governance_model")).get("semanticVersion") or "")


def features(facets: Json) -> list[str]:
    """Return the columns that a model version says it takes: those of its signature."""
    inputs = _object(_object(facets.get("governance_model")).get("signature")).get("inputs")
    return [str(name) for name in inputs] if isinstance(inputs, list) else []


def columns(facets: Json) -> list[str]:
    """Return the columns that a data set is said to have; none where nobody said."""
    fields = _objects(_object(facets.get("schema")).get("fields"))
    return [str(one.get("name")) for one in fields] or features(facets)


def of(node: Node, facets: Json) -> Told:
    """Return what a data set is called, how it was judged, and what is known of it.

    Facets come from whoever writes lineage, other teams among them: those of a wrong shape are said to be so.
    """
    try:
        return _told(node, facets)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError):
        said = "Facets of another shape than OpenLineage's; nothing more can be read from them."
        return str(node), "", [*_version(node), ("About", said)]


def _told(node: Node, facets: Json) -> Told:
    title, state, said = _KINDS.get(node.what, _plain)(node, facets)
    description = (facets.get("documentation") or {}).get("description")
    owners = [
        one["name"].partition(":")[2] or one["name"] for one in (facets.get("ownership") or {}).get("owners") or []
    ]
    said += [("About", description)] if description and node.what != "decided" else []
    said += [("Owner", ", ".join(owners))] if owners else []
    marked = (facets.get("tags") or {}).get("tags") or []
    for tag, words in _MARKS.items():
        columns = sorted({one["field"] for one in marked if one.get("key") == tag and one.get("field")})
        said += [(words, ", ".join(columns))] if columns else []
    return title, state, said


_MARKS = {"IDENTIFIER": "Names persons", "PII": "Personal", "SENSITIVE": "Sensitive"}


def _plain(node: Node, facets: Json) -> Told:
    return _short(node.version) or node.name, "", _version(node)


def _raw(node: Node, facets: Json) -> Told:
    return node.name, "", [("Source", f"{node.namespace} {node.name}"), *_version(node), *_size(facets)]


def _part(node: Node, facets: Json) -> Told:
    checks = (facets.get("dataQualityAssertions") or {}).get("assertions") or []
    failed = [one for one in checks if not one.get("success")]
    said = [*_version(node), *_size(facets)]
    if checks:
        said.append(("Contract", f"{len(checks) - len(failed)} of {len(checks)} expectations met"))
    worst = {one.get("severity", "error") for one in failed}
    state = "" if not checks else "block" if "error" in worst else "warn" if failed else "pass"
    return node.name, state, said


def _validation(node: Node, facets: Json) -> Told:
    said = str((facets.get("documentation") or {}).get("description") or "")
    return said.partition(".")[0] or node.name, "block" if said.startswith("In quarantine") else "pass", []


def _model(node: Node, facets: Json) -> Told:
    said = facets.get("governance_model") or {}
    title = f"{node.model} {said.get('semanticVersion', '')}".strip()
    pairs = [("Manifest", node.version), ("Algorithm", said.get("algorithm")), ("Tier", said.get("tier"))]
    pairs += [("Registry version", said.get("registryVersion")), ("Environment", said.get("environmentDigest"))]
    pairs += [("Code", said.get("codeDigest")), ("Commit", said.get("commit"))]
    pairs += [("Features", str(len(features(facets)) or ""))]
    return title, "", [(name, str(value)) for name, value in pairs if value]


def _evidence(node: Node, facets: Json) -> Told:
    said = facets.get("governance_evidence") or {}
    verdict = str(said.get("verdict") or "")
    pairs: Facts = [("Digest", node.version)]
    pairs += [("Verdict", f"{verdict}, {said.get('rules')} results")] if verdict else []
    pairs += [("Failed", f"{one['title']}: {one['reason']}") for one in said.get("failed") or []]
    pairs += [("Waived", ", ".join(said["waived"]))] if said.get("waived") else []
    policy = said.get("policy") or {}
    pairs += [("Policy", f"{policy.get('version')} · {_short(policy.get('digest', ''))}")] if policy else []
    state = {"pass": "pass", "warn": "warn"}.get(verdict, "block") if verdict else ""
    return f"{_short(node.version)} {verdict}".strip(), state, pairs


def _signed(node: Node, facets: Json) -> Told:
    said = facets.get("governance_approval") or {}
    role = node.name.rpartition("/")[2].replace("_", " ")
    decisions = said.get("decisions") or []
    rejected = any(one.get("answer") == "reject" for one in decisions)
    pairs = [
        (str(one["answer"]).capitalize(), f"{one['person']}, {one['at'][:16].replace('T', ' ')}") for one in decisions
    ]
    return role, "block" if rejected else "pass" if decisions else "", [("Evidence", node.version), *pairs]


def _permit(node: Node, facets: Json) -> Told:
    return _short(node.version), "pass", [("Evidence", node.version)]


def _endpoint(node: Node, facets: Json) -> Told:
    said = facets.get("governance_deployment") or {}
    previous = said.get("previous") or {}
    pairs = [("Version", node.version), ("Address", said.get("endpoint")), ("Permit", said.get("permit"))]
    pairs += [("Before", previous.get("semanticVersion"))]
    return f"serves {node.version}", "", [(name, str(value)) for name, value in pairs if value]


def _predictions(node: Node, facets: Json) -> Told:
    return f"of {node.version}", "", _version(node)


def _decided(node: Node, facets: Json) -> Told:
    said = str((facets.get("documentation") or {}).get("description") or "")
    return said or _short(node.version), "", [("Decision", said)] * bool(said) + _version(node)


_KINDS = {
    "raw": _raw, "snapshot": _part, "protected": _part, "window": _part, "validation": _validation, "model": _model,
    "evidence": _evidence, "signed": _signed, "permit": _permit, "endpoint": _endpoint, "predictions": _predictions,
    "decided": _decided,
}  # fmt: skip


def _version(node: Node) -> Facts:
    return [("Version", node.version)] if node.version else []


def _size(facets: Json) -> Facts:
    rows = (facets.get("outputStatistics") or facets.get("dataQualityMetrics") or {}).get("rowCount")
    columns = len((facets.get("schema") or {}).get("fields") or [])
    words = ([f"{rows:,} rows"] if rows is not None else []) + ([f"{columns} columns"] if columns else [])
    return [("Size", " × ".join(words))] if words else []


def _object(value: Any) -> Json:
    """Return a JSON object as it is, and anything else as an empty one: whoever writes lineage chose its shape."""
    return value if isinstance(value, dict) else {}


def _objects(value: Any) -> list[Json]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _short(version: str) -> str:
    is_digest = len(version) >= 32 and " " not in version
    return version[:SHORT] if is_digest else version
