"""What lineage costs: delivery to a server that answers in 2 ms, and what an event costs the task that emits it.

``python bench/lineage.py [--runs 10000]``. A PostgreSQL of its own, a real HTTP server in a process of its own, events
as Airflow's provider makes them. The cost of a task is that of its two events, each told by the provider's own code in
a fork of a process that has imported what a task imports, as Airflow does it; beside it, what the same takes with the
provider's own transport to nowhere.
Prints one line a figure; `--json` for machines.
"""

import argparse
import json
import multiprocessing
import os
import statistics
import sys
import time
import uuid
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "include"), str(ROOT / "plugins"), str(ROOT)]

from governance.ledger import log as ledger_log  # noqa: E402 - the checkout is no package
from governance.lineage import outbox as lineage_outbox  # noqa: E402 - as above
from governance.lineage.delivery import Delivery  # noqa: E402 - as above
from governance.lineage.marquez import Marquez  # noqa: E402 - as above
from governance.lineage.outbox import Outbox  # noqa: E402 - as above
from tests.integration.ledger.ledger_database import Database, Server  # noqa: E402 - as above

ANSWER_SECONDS = 0.002
MODELS = 20
PADDING = "x" * 5000
TASKS = 50
"""Tasks whose two events are timed."""


def event(run: int, kind: str, minute: int) -> str:
    """Return an event of one of a few models: they share data sets, as real ones do."""
    model = f"model_{run % MODELS:02d}"
    read = {"namespace": "governance", "name": f"{model}/snapshot", "facets": {}}
    document = {
        "eventType": kind,
        "eventTime": f"2026-03-03T{minute // 60 % 24:02d}:{minute % 60:02d}:00+00:00",
        "run": {"runId": str(uuid.UUID(int=run)), "facets": {"padding": {"text": PADDING}}},
        "job": {"namespace": "governance", "name": f"govern_{model}.train"},
        "inputs": [read] if kind == "COMPLETE" else [],
        "outputs": [{**read, "name": f"{model}/model"}] if kind == "COMPLETE" else [],
    }
    return json.dumps(document, sort_keys=True)


def serve(pipe: Any) -> None:
    """Answer every request with 201 after 2 ms."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True
        wbufsize = -1

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            time.sleep(ANSWER_SECONDS)  # what a quick server takes: the goal is stated for it
            self.send_response(201)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    pipe.send(server.server_address[1])
    server.serve_forever()


def delivery_rate(outbox: Outbox, runs: int) -> dict[str, float]:
    """Fill the outbox with the events of many runs, and deliver all of them."""
    began = time.perf_counter()
    for first in range(0, runs, 250):
        span = range(first, min(first + 250, runs))
        outbox.append([event(run, kind, run) for run in span for kind in ("START", "COMPLETE")])
    kept = time.perf_counter() - began
    ours, theirs = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(target=serve, args=(theirs,), daemon=True)
    server.start()
    url = f"http://127.0.0.1:{ours.recv()}"
    delivery = Delivery(outbox, lambda: Marquez(url))
    began = time.perf_counter()
    outcome = delivery.drain()
    seconds = time.perf_counter() - began
    delivery.close()
    server.terminate()
    if outcome.delivered != 2 * (runs + TASKS):
        raise SystemExit(f"Expected {2 * (runs + TASKS):,} events to be delivered, found {outcome}.")
    return {"events": 2 * runs, "kept_per_second": 2 * runs / kept, "delivered_per_second": outcome.delivered / seconds}


def emission_cost(transport: str) -> list[float]:
    """Return the milliseconds that the two events of a task take, for each of many tasks."""
    from airflow.providers.openlineage.extractors import OperatorLineage
    from airflow.providers.openlineage.plugins.adapter import OpenLineageAdapter
    from openlineage.client import OpenLineageClient
    from openlineage.client.event_v2 import Dataset

    facets = {"padding": {"_producer": "a:b", "_schemaURL": "a:b", "text": PADDING}}
    said = OperatorLineage(outputs=[Dataset("governance", "bench/snapshot", facets=facets)])
    common = {"job_name": "govern_bench.ingest", "nominal_start_time": None, "nominal_end_time": None, "owners": [],
              "tags": [], "task": said, "job_description": "A task."}  # fmt: skip
    times = []
    for _ in range(TASKS):
        run_id, now = str(uuid.uuid4()), "2026-03-03T14:00:00+00:00"
        began = time.perf_counter()
        for tell, at in (("start_task", "event_time"), ("complete_task", "end_time")):
            pid = os.fork()
            if not pid:
                try:
                    client = OpenLineageClient(config={"transport": {"type": transport}})
                    getattr(OpenLineageAdapter(client), tell)(run_id=run_id, **{at: now}, **common)
                finally:
                    os._exit(0)
            os.waitpid(pid, 0)
        times.append(1000 * (time.perf_counter() - began))
    return times


def preload() -> None:
    """Import what the process that forks tasks has imported."""
    sys.path.insert(0, str(ROOT / "stack" / "preload"))
    import airflow_local_settings

    airflow_local_settings.preload()


def main() -> None:
    """Measure both."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with closing(Server()) as server, TemporaryDirectory() as folder:
        database = Database(server, "bench")
        with _superuser(server) as admin:
            admin.execute("CREATE DATABASE bench TEMPLATE template0")
        ledger_log.install(database.dsn("postgres"))
        lineage_outbox.install(database.dsn("postgres"))
        dsn = database.dsn("pipeline")
        with closing(Outbox(dsn)) as outbox:
            os.environ |= {"GOVERNANCE_LEDGER_URL": dsn, "GOVERNANCE_STATE": folder, "AIRFLOW_HOME": folder}
            preload()
            ours = emission_cost("governance_airflow.transport.OutboxTransport")
            nowhere = emission_cost("noop")
            kept = outbox.counts().kept
            if kept != 2 * TASKS:
                raise SystemExit(f"Expected {2 * TASKS} events in the outbox, found {kept}.")
            found = {"task_ms": statistics.median(ours), "task_nowhere_ms": statistics.median(nowhere)}
            found |= {"task_p95_ms": statistics.quantiles(ours, n=20)[-1]} | delivery_rate(outbox, options.runs)
    if options.json:
        print(json.dumps(found))
        return
    ours_alone = found["task_ms"] - found["task_nowhere_ms"]
    print(f"keeping a task's two events: {ours_alone:.1f} ms (goal 50)")
    print(f"with Airflow's provider, which makes each in a fork: {found['task_ms']:.1f} ms")
    print(f"the same to nowhere: {found['task_nowhere_ms']:.1f} ms; p95 with ours: {found['task_p95_ms']:.1f} ms")
    print(f"delivered: {found['delivered_per_second']:.0f} events/s of {found['events']:,} (goal 200)")
    print(f"kept: {found['kept_per_second']:.0f} events/s")


def _superuser(server: Server) -> Any:
    import psycopg

    return psycopg.connect(server.dsn("postgres", "postgres"), autocommit=True)


if __name__ == "__main__":
    main()
