"""Does an event say what OpenLineage's schemas and ours demand? Used wherever events are looked at."""

import json
from collections.abc import Iterator
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker
from referencing import Registry, Resource

from governance.lineage import schemas

SPEC = Path(__file__).parent / "openlineage_spec" / "spec"
CORE = "https://openlineage.io/spec/2-0-2/OpenLineage.json"

Json = dict[str, Any]

formats = FormatChecker()


@formats.checks("date-time", raises=ValueError)
def _is_a_moment(value: object) -> bool:
    return not isinstance(value, str) or datetime.fromisoformat(value).tzinfo is not None


@formats.checks("uri")
def _is_absolute(value: object) -> bool:
    return not isinstance(value, str) or (":" in value and " " not in value)


def faults(event: Json) -> list[str]:
    """Return what is wrong with an event, each fault with its place; nothing of one that is right."""
    found = [*_faults_of("event", _validator(f"{CORE}#/$defs/RunEvent"), event)]
    for place, kind, facets in _facets(event):
        for name, facet in facets.items():
            uri = _schema_of(kind, name)
            if uri is not None:
                found += _faults_of(f"{place}.{name}", _validator(uri), facet)
                if not facet["_schemaURL"].startswith(uri.split("#")[0].rpartition("/")[0].rpartition("/")[0]):
                    found.append(f"{place}.{name}: says that its schema is {facet['_schemaURL']}, which is {uri}")
            elif name in schemas.FILES or kind in ("InputDatasetFacet", "OutputDatasetFacet"):
                found.append(f"{place}.{name}: no {kind} is called so")
    return found


def _faults_of(place: str, validator: Draft202012Validator, value: Any) -> Iterator[str]:
    for error in validator.iter_errors(value):
        yield f"{place}: {error.json_path}: {error.message[:300]}"


def _facets(event: Json) -> Iterator[tuple[str, str, Json]]:
    yield "run", "RunFacet", event["run"].get("facets") or {}
    yield "job", "JobFacet", event["job"].get("facets") or {}
    for side, own, kind in (
        ("inputs", "inputFacets", "InputDatasetFacet"),
        ("outputs", "outputFacets", "OutputDatasetFacet"),
    ):
        for one in event.get(side) or []:
            place = f"{side} {one['name']}"
            yield place, "DatasetFacet", one.get("facets") or {}
            yield place, kind, one.get(own) or {}


def _schema_of(kind: str, name: str) -> str | None:
    if name in schemas.FILES and schemas.read(name)["allOf"][0]["$ref"] == f"{CORE}#/$defs/{kind}":
        return schemas.urn_of(name)
    return _standard().get((kind, name))


@cache
def _standard() -> dict[tuple[str, str], str]:
    """Return where each of OpenLineage's facets is described, by its kind and its name."""
    found = {}
    for path in sorted((SPEC / "facets").glob("*.json")):
        document = json.loads(path.read_text())
        for name, said in document["properties"].items():
            if "$ref" not in said:  # LineageFacet, which is of several kinds; there is none here
                continue
            definition = document["$defs"][said["$ref"].rpartition("/")[2]]
            bases = [part["$ref"].rpartition("/")[2] for part in definition.get("allOf", ()) if "$ref" in part]
            found |= {(kind, name): f"{document['$id']}{said['$ref']}" for kind in bases}
    return found


@cache
def _registry() -> Registry:
    files = [SPEC / "OpenLineage.json", *(SPEC / "facets").glob("*.json")]
    documents = [json.loads(path.read_text()) for path in files] + [schemas.read(name) for name in schemas.FILES]
    return Registry().with_resources([(one["$id"], Resource.from_contents(one)) for one in documents])


@cache
def _validator(uri: str) -> Draft202012Validator:
    return Draft202012Validator({"$ref": uri}, registry=_registry(), format_checker=formats)
