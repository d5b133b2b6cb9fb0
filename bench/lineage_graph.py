"""Measure questions to the graph of lineage, over many events.

    python bench/lineage_graph.py DSN [--events 100000]

DSN is that of a superuser of a server to play with: a database ``lineage_bench`` is made there, and dropped at the end.
The events are those of releases of 20 models that read one raw table, each run on new data, so that every question has
thousands of answers: more than any bank will see.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

import psycopg
from psycopg.conninfo import make_conninfo

from governance.ledger import log
from governance.lineage import outbox as lineage_outbox
from governance.lineage.graph import Graph
from governance.lineage.outbox import Outbox
from governance.lineage.trace import trace
from governance.lineage.uses import uses
from governance.lineage.way import way

Json = dict[str, Any]

MODELS, COLUMNS, PAGE = 20, 47, 500
RAW = {"namespace": "postgres://db.bank:5432", "name": "lending.public.applications"}
COLUMN_NAMES = [f"column_{number}" for number in range(COLUMNS)]


def main() -> None:
    """Print how long keeping events and each question take."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dsn")
    parser.add_argument("--events", type=int, default=100_000)
    given = parser.parse_args()
    with bench_database(given.dsn) as dsn, closing(Outbox(dsn)) as outbox:
        fill(outbox, given.events)
        graph = Graph(outbox)
        snapshot = graph.versions("governance", "model_3/snapshot")[0][0]
        ask("models that used the raw table", lambda: uses(graph, f"{RAW['namespace']} {RAW['name']}"))
        ask("models that used one column of it", lambda: uses(graph, f"{RAW['namespace']} {RAW['name']}.column_7"))
        ask("models that used one snapshot", lambda: uses(graph, snapshot.version))
        newest = graph.versions("governance", "model_3/model")[0][0]
        ask("the way of a model, back and on", lambda: way(graph, newest).nodes)
        ask("is its lineage complete", lambda: [trace(graph, newest, COLUMN_NAMES).completeness])


def ask(what: str, question: Callable[[], Any]) -> None:
    """Ask five times, and print the median and the longest."""
    seconds, answers = [], 0
    for _ in range(5):
        began = time.monotonic()
        answers = len(question())
        seconds.append(time.monotonic() - began)
    print(f"{what}: {statistics.median(seconds):.3f} s (longest {max(seconds):.3f} s), {answers:,} answers", flush=True)


@contextmanager
def bench_database(superuser: str) -> Iterator[str]:
    """Yield the pipeline's address of a new outbox."""
    with psycopg.connect(superuser, autocommit=True) as connection:
        connection.execute("DROP DATABASE IF EXISTS lineage_bench WITH (FORCE)")
        connection.execute("CREATE DATABASE lineage_bench TEMPLATE template0 ENCODING 'UTF8'")
        log.install(make_conninfo(superuser, dbname="lineage_bench"))
        lineage_outbox.install(make_conninfo(superuser, dbname="lineage_bench"))
        try:
            yield make_conninfo(superuser, dbname="lineage_bench", user="pipeline")
        finally:
            connection.execute("DROP DATABASE lineage_bench WITH (FORCE)")


def fill(outbox: Outbox, events: int) -> None:
    """Keep so many events, a page at a time, and print how fast."""
    page: list[str] = []
    began, done, run = time.monotonic(), 0, 0
    while done < events:
        page += [json.dumps(event, sort_keys=True) for event in events_of(run)]
        run += 1
        if len(page) >= PAGE or done + len(page) >= events:
            done += outbox.append(page)
            page.clear()
    seconds = time.monotonic() - began
    print(f"{done:,} events of {run:,} runs kept in {seconds:.0f} s: {1000 * seconds / done:.2f} ms each", flush=True)


def events_of(run: int) -> Iterator[Json]:
    """Yield what the tasks of a release say: each begins, and ends."""
    model = f"model_{run % MODELS}"
    digest = {what: sha256(f"{what} {run}".encode()).hexdigest() for what in ("snapshot", "model", "evidence")}
    raw = {**RAW, "facets": version(f"as frozen in {digest['snapshot']}")}
    snapshot, made = ours(model, "snapshot", digest["snapshot"]), ours(model, "model", digest["model"])
    evidence, permit = ours(model, "evidence", digest["evidence"]), ours(model, "permit", digest["evidence"])
    endpoint = ours(model, "endpoint", f"1.{run}.0")
    families = [ours(model, family, digest["model"]) for family in ("performance", "fairness", "drift", "leakage")]
    tasks = [
        ("ingest", [raw], [{**snapshot, "facets": snapshot["facets"] | columns(raw)}]),
        ("validate", [snapshot], [ours(model, "validation", digest["snapshot"])]),
        ("train", [snapshot], [{**made, "facets": made["facets"] | columns(snapshot)}]),
        *((f"measure.{number}", [made, snapshot], [family]) for number, family in enumerate(families)),
        ("judge", [made, *families], [evidence]),
        ("approve", [evidence], [ours(model, "signed/compliance", digest["evidence"]), permit]),
        ("release", [permit, made], [endpoint, ours(model, "predictions", f"1.{run}.0")]),
    ]
    for number, (task, inputs, outputs) in enumerate(tasks):
        at = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=60 * run + 2 * number)
        said = {
            "producer": "https://github.com/apache/airflow",
            "schemaURL": "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent",
            "run": {"runId": f"{run:08d}-{number:04d}"},
            "job": {"namespace": "governance", "name": f"govern_{model}.{task}"},
        }
        yield {**said, "eventType": "START", "eventTime": at.isoformat(), "inputs": [], "outputs": []}
        at += timedelta(seconds=1)
        yield {**said, "eventType": "COMPLETE", "eventTime": at.isoformat(), "inputs": inputs, "outputs": outputs}


def ours(model: str, what: str, name: str) -> Json:
    """Return a data set of ours as an event names it."""
    return {"namespace": "governance", "name": f"{model}/{what}", "facets": version(name)}


def version(name: str) -> Json:
    """Return the facet that says which version it is."""
    return {"version": {"datasetVersion": name}}


def columns(source: Json) -> Json:
    """Return the facet that says that columns are those of the source."""
    way_ = [{"type": "DIRECT", "subtype": "IDENTITY"}]
    fields = {
        name: {
            "inputFields": [{**{k: source[k] for k in ("namespace", "name")}, "field": name, "transformations": way_}]
        }
        for name in COLUMN_NAMES
    }
    return {"columnLineage": {"fields": fields}}


if __name__ == "__main__":
    main()
