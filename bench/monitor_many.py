"""Watch many models: copies of one folder, each released, asked and looked at, on real Airflow with LocalExecutor.

    python bench/monitor_many.py [--models 100] [--rows 1000] [--copy wage] [--trained]

A temporary checkout gets that many copies of a model's folder, with other names, and a stack of its own. Each copy is
released: the steps of ``govern_<model>`` are called one after the other, in two processes with the pipeline's rights,
rather than by Airflow, which would take minutes of other work; a reviewer signs each through the page's API, and
release verifies each permit from the bytes. The first copy is trained; the others bring in its very files
(``model_uri``) and are measured, judged, signed and released for themselves, unless ``--trained`` has each of them
trained. Then each is asked about rows drawn from its data through the scoring service, with the true labels.

What is timed begins with the first trigger of ``monitor_<copy>`` by Airflow's API, and ends with the last decision;
how long it takes until the last run has ended, with Evidently's report of each window in MLflow, is told beside it.
Nothing of it is left out or made cheaper: it is the DAG of every morning, in which decisions go before reports.
"""

import argparse
import itertools
import json
import re
import shutil
import statistics
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

if TYPE_CHECKING:
    from governance.ledger.log import Entry, Ledger

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from stack.bench import Row, checkout, running  # noqa: E402 - the checkout is no package
from stack.client import AirflowClient  # noqa: E402 - as above
from stack.processes import wait_until  # noqa: E402 - as above
from stack.services import EVERYWHERE, python_path  # noqa: E402 - as above
from stack.supervisor import Stack  # noqa: E402 - as above

MODELS, ROWS, COPIED = 100, 1_000, "wage"
GOAL = 3.6
"""Seconds for each model: a thousand of them in an hour."""

WORKERS = 2
"""Processes that release, and threads that trigger."""

RETRIES, RETRY_SECONDS = 2, 10.0
RUN, ENGINEER, REVIEWERS = "bench-first-release", "ken", ("maria", "tom")
LONGEST = 6 * 3600.0
NOT_WHOLE = "rows are missing"
NAMED_IN = {"model.yaml": "name: {}", "policy.yaml": "model: {}", "contract.json": '  "name": "{}"'}
"""File of a model's folder → the line that names the model."""

WHERE_MODELS_ARE = ("include/models", "tests/e2e/models")


@dataclass(frozen=True)
class Watched:
    """What came of it.

    Attributes:
        models: How many.
        decided: Seconds from the first trigger to the last decision.
        seconds: … to the end of the last run.
        released: Seconds that it took to release all of them, which is not part of it.
        processor: Seconds of a core that all services took meanwhile, which do not depend on what else the machine did.
        failed: Runs that failed.
        actions: How often each was decided.
        tasks: Task → seconds of each of its runs, as Airflow has them.
    """

    models: int
    decided: float
    seconds: float
    released: float
    processor: float
    failed: Sequence[str]
    actions: Mapping[str, int]
    tasks: Mapping[str, Sequence[float]]


def main() -> int:
    """Print what it took; 0 where the goal is kept and every model was decided about."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=int, default=MODELS)
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--copy", default=COPIED, help="the model whose folder is copied")
    parser.add_argument("--trained", action="store_true", help="train every copy")
    parser.add_argument("--steps", nargs=2, metavar=("STAGE", "ASKED"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.steps:
        return take_steps(given.steps[0], json.loads(given.steps[1]))
    found = watch_many(given.models, given.rows, given.copy, trained=given.trained)
    for what, seconds, goal, beside in rows_of(found, given.rows):
        print(f"{what}: {seconds:.2f} s (goal {goal:g} s); {beside}")
    for task, took in found.tasks.items():
        print(f"  {task:10} {len(took):5} runs, median {statistics.median(took):.2f} s")
    return 0 if found.decided / found.models <= GOAL and sum(found.actions.values()) == found.models else 1


def lines(models: int, rows: int = ROWS) -> list[Row]:
    """Return the row for ``make bench``."""
    return rows_of(watch_many(models, rows, COPIED), rows)


def rows_of(found: Watched, rows: int) -> list[Row]:
    """Return it as a row of the table: seconds for each model.

    Raises:
        SystemExit: A model was not decided about, or not on all of its rows.
    """
    if sum(found.actions.values()) != found.models or NOT_WHOLE in found.actions:
        raise SystemExit(f"Expected {found.models} decisions, found {found.actions}; failed: {found.failed[:5]}.")
    decided = ", ".join(f"{n} {action}" for action, n in sorted(found.actions.items()))
    each = f"{found.processor / found.models:.1f} s of a core each"
    beside = (
        f"{decided}, all in {found.decided:.0f} s; every report kept after {found.seconds:.0f} s; "
        f"{len(found.failed)} failed; {each}"
    )
    return [(f"{found.models} models of {rows:,} rows decided on, each", found.decided / found.models, GOAL, beside)]


def watch_many(models: int, rows: int, copied: str, *, trained: bool = False) -> Watched:
    """Release many copies, ask them, and have all of them looked at."""
    names = [f"{copied}_{number:04}" for number in range(models)]
    with checkout(lambda root: copy_folders(root, copied, names)) as root, running(root) as stack:
        world = World(stack, root, names)
        began = time.monotonic()
        with world.told("released"):
            world.release(names[:1], source=None)
            source = None if trained else world.source(names[0])
            world.release(names[1:], source=source)
        released = time.monotonic() - began
        with world.told(f"asked about {rows:,} rows each"):
            since = datetime.now(UTC)
            world.ask(rows)
        with world.told("looked at"):
            return world.watch(since, rows, released)


def copy_folders(root: Path, copied: str, names: Sequence[str]) -> None:
    """Copy a model's folder under other names: what else is in it stays as it is."""
    folder = next(found for place in WHERE_MODELS_ARE if (found := root / place / copied).is_dir())
    for name in names:
        copy = root / "include" / "models" / name
        shutil.copytree(folder, copy)
        for file, line in NAMED_IN.items():
            text = (copy / file).read_text()
            own = re.compile(f"^{re.escape(line.format(copied))}", re.MULTILINE)
            (copy / file).write_text(own.sub(line.format(name), text, count=1))


class World:
    """The running system, and what people and programs do with it."""

    def __init__(self, stack: Stack, root: Path, names: Sequence[str]) -> None:
        self.stack, self.root, self.names = stack, root, names

    @cached_property
    def ledger(self) -> "Ledger":
        """The record, as an auditor reads it."""
        from governance.ledger.log import Ledger

        return Ledger(self.stack.ledger_url("auditor"))

    @contextmanager
    def told(self, what: str) -> Iterator[None]:
        """Say how long it took."""
        began = time.monotonic()
        yield
        print(f"{len(self.names)} models {what} in {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)

    # --- released ---

    def release(self, names: Sequence[str], *, source: str | None) -> None:
        """Take models through every step and every signature."""
        self._take_steps("judge", names, source)
        self._sign(names)
        self._take_steps("release", names, None)

    def source(self, name: str) -> str:
        """Return where the files of a released model are."""
        return f"models:/{name}/{self.ledger.find('release', name)[-1].data['registry_version']}"

    def _take_steps(self, stage: str, names: Sequence[str], source: str | None) -> None:
        command = [sys.executable, str(self.root / "bench" / "monitor_many.py"), "--steps", stage]
        own = self.stack.environment("pipeline") | EVERYWHERE | python_path(self.stack.layout)
        children = [
            subprocess.Popen([*command, json.dumps({"names": part, "source": source})], env=own)
            for part in (names[number::WORKERS] for number in range(WORKERS))
            if part
        ]
        if any(child.wait() for child in children):
            raise SystemExit(f"A model did not get through the steps up to {stage}; see above.")

    def _sign(self, names: Sequence[str]) -> None:
        for login in REVIEWERS:
            reviewer = self.client(login)
            for name in names:
                request = reviewer.request(name, "1.0.0")
                if request["status"] == "pending":
                    body = {"evidence": request["evidence"], "confirmed": request["checklist"], "comment": "Benchmark."}
                    reviewer.decide(name, "1.0.0", "approve", body).raise_for_status()

    # --- asked ---

    def ask(self, rows: int) -> None:
        """Ask each model about rows drawn from its data, tell what came true, and wait until all of it is on record."""
        import httpx

        frame, features, target, protected = self._data()

        def one(at: int) -> None:
            self._ask(at, frame, features, target, protected, rows)

        with ThreadPoolExecutor(WORKERS) as threads:
            list(threads.map(one, range(len(self.names))))

        def on_record() -> bool:
            kept = httpx.get(f"{self.stack.url('serving')}/ready", timeout=60).json()["predictions"]
            return bool(kept["waiting"] == 0 and kept["written"] >= rows * len(self.names))

        if not wait_until(on_record, 600, pause=0.5):
            raise SystemExit("Expected every prediction in the log within ten minutes.")

    def _data(self) -> tuple[Any, list[str], str, list[str]]:
        from governance.catalog import find_spec
        from governance.data.sources import read_source
        from governance.settings import load_settings

        spec = find_spec(load_settings(self.stack.environment("client")), self.names[0])
        return (
            read_source(spec.data.source, spec.folder),
            list(spec.features),
            spec.target.column,
            list(spec.protected_columns),
        )

    def _ask(self, at: int, frame: Any, features: list[str], target: str, protected: list[str], rows: int) -> None:
        import httpx

        name, address = self.names[at], self.stack.url("serving")
        drawn = json.loads(frame.sample(rows, replace=True, random_state=at).to_json(orient="records"))
        asked: dict[str, Any] = {"dataframe_records": [{one: row[one] for one in features} for row in drawn]}
        if protected:
            asked["params"] = {"protected": [{one: row[one] for one in protected} for row in drawn]}
        with httpx.Client(timeout=120) as client:
            headers = {"X-Request-Id": f"bench-{at}"}
            client.post(f"{address}/models/{name}/invocations", json=asked, headers=headers).raise_for_status()
            labels = [{"request_id": f"bench-{at}", "row": n, "label": row[target]} for n, row in enumerate(drawn)]
            for begin in range(0, rows, 5_000):
                told = {"model": name, "labels": labels[begin : begin + 5_000]}
                client.post(f"{address}/labels", json=told, headers=self.stack.sender()).raise_for_status()

    # --- watched ---

    def watch(self, since: datetime, rows: int, released: float) -> Watched:
        """Trigger every monitor, and wait until the last run has ended."""
        self._wait_until_quiet()
        until = datetime.now(UTC)
        conf = {"since": since.isoformat(), "until": until.isoformat(), "as_of": until.isoformat()}
        began, before = time.monotonic(), self._processor()
        engineers = itertools.cycle([self.client(ENGINEER) for _ in range(WORKERS)])
        with ThreadPoolExecutor(WORKERS) as threads:
            runs = dict(zip(self.names, threads.map(_trigger(conf), engineers, self.names), strict=False))
        ended = self._wait_for(runs)
        seconds = time.monotonic() - began
        decided = self._decided(runs)
        return Watched(
            len(self.names),
            (max(entry.at for entry in decided) - until).total_seconds() if decided else seconds,
            seconds,
            released,
            self._processor() - before,
            [name for name, state in ended.items() if state != "success"],
            self._actions(decided, rows),
            self._tasks(runs),
        )

    def client(self, login: str) -> AirflowClient:
        """Return a person's way in."""
        return AirflowClient(self.stack.url("airflow"), login, self.stack.login(login))

    def _processor(self) -> float:
        """Return how many seconds of a core the services have taken, with the tasks that have ended."""
        found = 0.0
        for pid in self.stack.services.values():
            service = psutil.Process(pid)
            for process in (service, *service.children(recursive=True)):
                with suppress(psutil.Error):  # it has ended meanwhile, and counts as its parent's
                    took = process.cpu_times()
                    found += took.user + took.system + took.children_user + took.children_system
        return found

    def _wait_until_quiet(self) -> None:
        """Wait for what Airflow starts by itself when it first sees the DAGs: a look at the day before."""
        engineer = self.client(ENGINEER)

        def quiet() -> bool:
            path = "/api/v2/dags/~/dagRuns?limit=1&state=queued&state=running"
            return int(engineer.get(path)["total_entries"]) == 0

        if not wait_until(quiet, LONGEST, pause=1.0):
            raise SystemExit("Expected the runs of the day before to end.")

    def _wait_for(self, runs: Mapping[str, str]) -> dict[str, str]:
        """Ask seldom: Airflow's answers take the time of the runs."""
        engineer, ended = self.client(ENGINEER), dict[str, str]()

        def all_ended() -> bool:
            for name, run_id in runs.items():
                if name not in ended:
                    state = engineer.run_state(f"monitor_{name}", run_id)
                    if state not in ("success", "failed"):
                        return False
                    ended[name] = state
            return True

        if not wait_until(all_ended, LONGEST, pause=1.0):
            raise SystemExit(f"Expected every run to end, found {len(ended)} of {len(runs)} that have.")
        return ended

    def _decided(self, runs: Mapping[str, str]) -> list["Entry"]:
        """Return the decisions of these runs."""
        found = self.ledger.find("monitoring")
        return [entry for entry in found if runs.get(entry.subject) == entry.data["run_id"]]

    def _actions(self, decisions: Sequence["Entry"], rows: int) -> dict[str, int]:
        """Count what was decided, of windows that held every row and its label."""
        actions: dict[str, int] = {}
        for entry in decisions:
            window = self.ledger.get(entry.data["window"])
            whole = window is not None and window.data["rows"] == window.data["labelled"] == rows
            action = entry.data["decision"]["action"] if whole else NOT_WHOLE
            actions[action] = actions.get(action, 0) + 1
        return actions

    def _tasks(self, runs: Mapping[str, str]) -> dict[str, list[float]]:
        engineer, took = self.client(ENGINEER), dict[str, list[float]]()
        for name, run_id in itertools.islice(runs.items(), 100):
            for task_id, task in engineer.tasks(f"monitor_{name}", run_id).items():
                if task["duration"] is not None:
                    took.setdefault(task_id, []).append(float(task["duration"]))
        return took


def _trigger(conf: Mapping[str, Any]) -> Callable[[AirflowClient, str], str]:
    return lambda engineer, name: engineer.trigger(f"monitor_{name}", dict(conf))


# --- in a process with the pipeline's rights ------------------------------------------------------------------------


def with_retries(take: Callable[..., Any], *arguments: Any) -> Any:
    """Take a step, and again where a service did not answer, as Airflow's tasks do: a busy machine is slow."""
    from governance.errors import UnavailableError

    for _ in range(RETRIES):
        try:
            return take(*arguments)
        except UnavailableError as error:
            print(f"Tried again: {error}", file=sys.stderr)
            time.sleep(RETRY_SECONDS)  # so long as Airflow's tasks wait before the next try
    return take(*arguments)


def take_steps(stage: str, asked: Mapping[str, Any]) -> int:
    """Take models up to the verdict, or from the signatures into service."""
    from governance.assessment import FAMILIES
    from governance.ledger.log import Ledger
    from governance.pipeline import step
    from governance.pipeline.run import open_run
    from governance.settings import load_settings
    from governance_airflow import lineage

    attempt: dict[str, Any] = {"attempt": 1}
    to_verdict: list[tuple[str, dict[str, Any]]] = [("ingest", {}), ("validate", {}), ("train", {})]
    to_verdict += [("measure", {**attempt, "families": list(FAMILIES)}), ("judge", attempt)]
    steps = to_verdict if stage == "judge" else [("release", {}), ("announce", {})]
    settings = load_settings()
    ledger = Ledger(settings.require("ledger_url"))
    request = {"reason": "To be watched"} | ({"model_uri": asked["source"]} if asked["source"] else {})

    def take(name: str, which: str, arguments: Mapping[str, Any]) -> Any:
        # Opened anew for each step, as each task does.
        return step(which)(open_run(settings, ledger, name, RUN, request, ENGINEER), **arguments)

    for name, (which, arguments) in itertools.product(asked["names"], steps):
        if which == "release":
            say(settings, name, "approve", approved(ledger, name))
        done = with_retries(take, name, which, arguments)
        say(settings, name, which, lineage.of(done.lineage))
        if done.failed:
            print(f"{name}: {which}: {done.failed}", file=sys.stderr)
            return 1
    return 0


def approved(ledger: "Ledger", name: str) -> Any:
    """Return what the last approval of a model says that it read and wrote."""
    from governance_airflow import lineage

    return lineage.of_approval(name, ledger.find("evidence", name)[-1].data["digest"], "all", [], permitted=True)


def say(settings: Any, name: str, which: str, told: Any) -> None:
    """Keep what a step read and wrote, as the listener of its task would: a release asks for it."""
    from openlineage.client.event_v2 import Job, RunEvent, RunState
    from openlineage.client.event_v2 import Run as OpenLineageRun
    from openlineage.client.serde import Serde

    from governance.lineage.keep import Keeper

    event = RunEvent(
        eventTime=datetime.now(UTC).isoformat(),
        producer="https://example.org/bench",
        run=OpenLineageRun(str(uuid.uuid4()), told.run_facets),
        job=Job("governance", f"govern_{name}.{which}", told.job_facets),
        eventType=RunState.COMPLETE,
        inputs=told.inputs,
        outputs=told.outputs,
    )
    Keeper.of(settings).keep(Serde.to_json(event))


if __name__ == "__main__":
    sys.exit(main())
