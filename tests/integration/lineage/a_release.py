"""What the tasks of a small release say: raw data, snapshot, model, evidence, permit, endpoint, a window."""

import json
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

RAW = ("postgres://db.bank:5432", "lending.public.loans")
SNAPSHOT, MANIFEST, EVIDENCE = "5" * 64, "a" * 64, "e" * 64
_seconds = count(1)

Json = dict[str, Any]


def named(place: tuple[str, str], version: str = "", **facets: Any) -> Json:
    """Return a data set as an event names it."""
    known = {"version": {"datasetVersion": version}} if version else {}
    return {"namespace": place[0], "name": place[1], "facets": {**known, **facets}}


def ours(what: str, version: str, **facets: Any) -> Json:
    """Return a data set of the model ``loan``."""
    return named(("governance", f"loan/{what}"), version, **facets)


def made_of(columns: dict[str, str], source: tuple[str, str], **way: Any) -> Json:
    """Return the facet that says of which column of a source each column is made."""
    fields = {
        name: {"inputFields": [{"namespace": source[0], "name": source[1], "field": origin, "transformations": [way]}]}
        for name, origin in columns.items()
    }
    return {"columnLineage": {"fields": fields}}


def tagged(*tags: tuple[str, str, str]) -> Json:
    """Return the facet that marks columns: tag, value, column."""
    return {"tags": {"tags": [{"key": tag, "value": value, "field": column} for tag, value, column in tags]}}


def event(job: str, inputs: list[Json], outputs: list[Json], kind: str = "COMPLETE") -> str:
    """Return an event, later than those before."""
    number = next(_seconds)
    document = {
        "eventType": kind,
        "eventTime": (datetime(2026, 3, 3, 14, tzinfo=UTC) + timedelta(seconds=number)).isoformat(),
        "producer": "https://example.org/producer",
        "schemaURL": "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent",
        "run": {"runId": f"run-{number}"},
        "job": {"namespace": "governance", "name": job},
        "inputs": inputs,
        "outputs": outputs,
    }
    return json.dumps(document)


def release(silent: str = "", **raw_facets: Any) -> list[str]:
    """Return the events of a release whose task ``silent`` says nothing."""
    raw = named(RAW, f"as frozen in {SNAPSHOT}", **raw_facets)
    snapshot, protected = ours("snapshot", SNAPSHOT), ours("protected", "7" * 64)
    columns = {"income": "income", "price": "price"}
    frozen = ours("snapshot", SNAPSHOT, **made_of(columns, RAW, type="DIRECT"), schema={"fields": [{"name": "income"}]})
    apart = ours("protected", "7" * 64, **made_of({"race": "race"}, RAW, type="DIRECT"))
    validation, contract = ours("validation", "v"), ours("contract", "c" * 64)
    model = ours("model", MANIFEST, governance_model={"semanticVersion": "1.0.0", "algorithm": "Boosting"},
                 **made_of(columns, ("governance", "loan/snapshot"), type="DIRECT"))  # fmt: skip
    evidence = ours("evidence", EVIDENCE, governance_evidence={"verdict": "warn", "rules": 9, "failed": []})
    signed = ours("signed/compliance", EVIDENCE)
    permit, endpoint, log = ours("permit", EVIDENCE), ours("endpoint", "1.0.0"), ours("predictions", "1.0.0")
    window, measured = ours("window", "9" * 64), ours("monitoring", "m" * 64)
    tasks = {
        "govern_loan.ingest": ([raw, ours("decided", "earlier")], [frozen, apart]),
        "govern_loan.validate": ([snapshot, protected, contract], [validation]),
        "govern_loan.train": ([snapshot, protected, validation], [model]),
        "govern_loan.measure.quality": ([model, snapshot, protected], [ours("fairness", "f")]),
        "govern_loan.judge": ([model, ours("fairness", "f")], [evidence]),
        "govern_loan.approve_compliance": ([evidence], [signed, permit]),
        "govern_loan.release": ([permit, model], [endpoint, log]),
        "monitor_loan.collect": ([endpoint, log], [window]),
        "monitor_loan.measure": ([window], [measured]),
        "monitor_loan.decide": ([measured], [ours("decided", "d" * 64, documentation={"description": "retrain"})]),
    }
    return [event(job, *sides) for job, sides in tasks.items() if job != silent]
