"""``make bench``: the budgets of this story, measured on this machine and printed beside a yardstick of the same run.

Runs from a committed copy of the work tree with a state folder of its own, and leaves neither behind. It takes about
half an hour and 6 GB of disk: the last row makes a fresh clone of what is committed, with an environment of its own,
and Evidently needs two minutes for a million rows. Copies of a model that are watched are few by default, for releasing
a hundred takes longer than watching them; ``make bench MODELS=100`` asks for them.
"""

import argparse
import importlib.util
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from governance.ledger.log import Ledger
from stack.client import AirflowClient
from stack.processes import wait_until
from stack.supervisor import ROOT, Stack

MODEL, DAG = "loan", "govern_loan"
EMPTY = "empty_tasks"
SECONDS = 900
PARSES = 5

WATCHED, WINDOWS = 20, 50
"""Copies of a model that are watched, and windows without drift of each kind and size, unless more are asked for."""

Row = tuple[str, float, float, str]
"""What, seconds, budget, and what stands beside it."""

EMPTY_DAG = '''"""As many empty tasks, in the same shape, as a run of the loan model has before it asks."""
from datetime import UTC, datetime
from airflow.sdk import chain, dag, task

@dag(dag_id="empty_tasks", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC), catchup=False)
def empty_tasks():
    @task
    def nothing():
        return None

    def one(name):
        return nothing.override(task_id=name)()

    first, again = [one(f"m{i}") for i in range(4)], [one(f"a{i}") for i in range(4)]
    chain(one("ingest"), one("validate"), one("train"), first, one("judge"), one("search"), again, one("judge_again"))

empty_tasks()
'''


def main() -> int:
    """Measure and print; 0 where every budget and goal is kept."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=int, default=WATCHED, help="how many copies of a model are watched; 0: none")
    parser.add_argument("--windows", type=int, default=WINDOWS, help="without drift, of each kind and size; 0: none")
    parser.add_argument("--no-clone", action="store_true", help="leave the fresh clone out")
    asked = parser.parse_args()
    rows: list[Row] = []
    kept = True
    with checkout() as root:
        rows += of_a_run(root) + measured(root) + of_commands(root)
        if asked.windows:
            found, kept = loaded(root, "false_alarms").table(asked.windows, max(asked.windows // 8, 1))
        if asked.models:
            rows += loaded(root, "monitor_many").lines(asked.models)
    if not asked.no_clone:
        rows.append(("fresh clone → released model", fresh_clone_seconds(), 600.0, "environment, start and story"))
    show(rows)
    if asked.windows:
        print("", *found, sep="\n")
    return 0 if kept and all(found <= budget for _, found, budget, _ in rows) else 1


def of_a_run(root: Path) -> list[Row]:
    """What a stack of its own takes, from parsing to serving."""
    parse = parse_seconds(root)
    with running(root) as stack:
        engineer = AirflowClient(stack.url("airflow"), "ken", stack.login("ken"))
        empty = run_seconds(engineer, EMPTY, lambda run_id: engineer.run_state(EMPTY, run_id) == "success")
        asked, run_id = asked_seconds(engineer, Ledger(stack.ledger_url("auditor")))
        serving = serving_seconds(stack, run_id)
    return [
        ("DAG files: parse, Airflow's own import aside", parse, 1.0, ""),
        ("trigger → approval request, search included", asked, 90.0, f"{empty:.1f} s for empty tasks"),
        ("last signature → serving", serving, 15.0, ""),
    ]


def of_commands(root: Path) -> list[Row]:
    """What commands take, from process start."""
    return [
        ("governance try loan", command_seconds(root, "try", MODEL, fails=True), 15.0, ""),
        ("governance --help", command_seconds(root, "--help"), 0.5, ""),
        ("governance check loan", command_seconds(root, "check", MODEL, "--no-data"), 0.5, "without its data"),
    ]


@contextmanager
def checkout(prepare: Callable[[Path], None] = lambda root: None) -> Iterator[Path]:
    """A committed copy of the work tree, with the DAG of empty tasks, and what else is prepared before the commit."""
    root = Path(tempfile.mkdtemp(prefix="bench-"))
    listed = subprocess.run(
        ["git", "-C", str(ROOT), "ls-files", "-co", "--exclude-standard"], capture_output=True, text=True, check=True
    )
    for name in filter(lambda name: (ROOT / name).is_file(), listed.stdout.splitlines()):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, root / name)
    (root / "dags" / f"{EMPTY}.py").write_text(EMPTY_DAG)
    prepare(root)
    asked = ["git", "-C", str(ROOT), "log", "-1", "--format=%ae"]
    email = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()
    git = ["git", "-C", str(root), "-c", "user.name=Bench", "-c", f"user.email={email}"]
    for command in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "Bench"]):
        subprocess.run([*git, *command], check=True)
    try:
        yield root
    finally:
        shutil.rmtree(root, ignore_errors=True)


@contextmanager
def running(root: Path) -> Iterator[Stack]:
    """A stack of its own."""
    state = Path(tempfile.mkdtemp(prefix="bench-state-"))
    stack = Stack(state, root, report=lambda line: print(line, file=sys.stderr))
    try:
        stack.up()
        yield stack
    finally:
        stack.stop()
        shutil.rmtree(state, ignore_errors=True)


def parse_seconds(root: Path) -> float:
    """Median time to run the DAG file in a process that has imported Airflow."""
    code = (
        "import time, runpy, airflow.sdk\n"
        "started = time.perf_counter()\n"
        f"runpy.run_path({str(root / 'dags' / 'govern_model.py')!r})\n"
        "print(time.perf_counter() - started)\n"
    )
    path = f"{root / 'include'}:{root / 'plugins'}"
    own = {**os.environ, "PYTHONPATH": path, "GOVERNANCE_ROOT": str(root), "AIRFLOW_HOME": tempfile.gettempdir()}
    times = []
    for _ in range(PARSES):
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", code], env=own, capture_output=True, text=True, check=True
        )
        times.append(float(done.stdout.strip().splitlines()[-1]))
    return statistics.median(times)


def measured(root: Path) -> list[Row]:
    """What the scripts in bench/ find that need no running stack."""
    return [row for name in ("measures", "fairness", "drift", "parse") for row in loaded(root, name).lines()]


def loaded(root: Path, name: str) -> Any:
    """Return a script in bench/ as a module: they can be run by themselves, and are no package."""
    spec = importlib.util.spec_from_file_location(f"bench_{name}", root / "bench" / f"{name}.py")
    if spec is None or spec.loader is None:
        raise SystemExit(f"Expected bench/{name}.py, found none.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def command_seconds(root: Path, *arguments: str, fails: bool = False) -> float:
    """Median wall clock of a command, from process start; ``fails`` where its answer is no."""
    command = [str(Path(sys.executable).with_name("governance")), *arguments]
    own = {**os.environ, "GOVERNANCE_ROOT": str(root)}
    return statistics.median(_timed(command, check=not fails, env=own) for _ in range(PARSES))


def fresh_clone_seconds() -> float:
    """Wall clock of ``git clone`` and ``make demo``, where the demo released the model."""
    folder = Path(tempfile.mkdtemp(prefix="clone-"))
    bare = {name: value for name, value in os.environ.items() if name not in ("VIRTUAL_ENV", "GOVERNANCE_STATE")}
    try:
        cloning = _timed(["git", "clone", "--quiet", str(ROOT), str(folder / "clone")])
        return cloning + _timed(["make", "demo"], cwd=folder / "clone", env=bare)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _timed(command: list[str], **options: Any) -> float:
    started = time.monotonic()
    subprocess.run(command, stdout=subprocess.DEVNULL, **{"check": True, **options})
    return time.monotonic() - started


def run_seconds(engineer: AirflowClient, dag_id: str, done: Callable[[str], bool], **conf: Any) -> float:
    """Wall clock from the trigger until a condition on the run holds."""
    started = time.monotonic()
    run_id = engineer.trigger(dag_id, conf)
    wait_until(lambda: done(run_id), SECONDS, pause=0.2)
    return time.monotonic() - started


def asked_seconds(engineer: AirflowClient, ledger: Ledger) -> tuple[float, str]:
    """Wall clock from the trigger until both approvals wait, and the run."""
    started = time.monotonic()
    run_id = engineer.trigger(DAG, {"reason": "How long it takes to ask"})
    # The ledger is asked first, which costs next to nothing; Airflow's API would take its time from the run's.
    wait_until(lambda: _was_judged(ledger, run_id), SECONDS, pause=0.5)

    def waits() -> bool:
        approvals = [task["state"] for name, task in engineer.tasks(DAG, run_id).items() if name.startswith("approve")]
        if "upstream_failed" in approvals:
            raise SystemExit(f"The run failed before it asked; see {DAG} {run_id}.")
        return all(state == "deferred" for state in approvals)

    wait_until(waits, SECONDS, pause=0.2)
    return time.monotonic() - started, run_id


def _was_judged(ledger: Ledger, run_id: str) -> bool:
    """Whether people were asked to sign, or told that a task failed."""
    told = [entry.data for entry in ledger.find("message", MODEL) if entry.data["run_id"] == run_id]
    return any(message["kind"] in ("waiting", "failed") for message in told)


def serving_seconds(stack: Stack, run_id: str) -> float:
    """Wall clock from the last signature until the scoring service serves what was signed."""
    import httpx

    ledger = Ledger(stack.ledger_url("auditor"))
    entry = [e for e in ledger.find(kind="evidence", subject=MODEL) if e.data["run_id"] == run_id][-1]
    digest, version = entry.data["digest"], entry.data["evidence"]["model"]["version"]
    for login in ("maria", "tom"):
        reviewer = AirflowClient(stack.url("airflow"), login, stack.login(login))
        checklist = reviewer.request(MODEL, version)["checklist"]
        body = {"evidence": digest, "confirmed": checklist, "comment": "Benchmark."}
        reviewer.decide(MODEL, version, "approve", body).raise_for_status()
    started = time.monotonic()
    address = f"{stack.url('serving')}/models/{MODEL}"
    wait_until(lambda: httpx.get(address).json().get("evidence") == digest, SECONDS, pause=0.1)
    return time.monotonic() - started


def show(rows: list[Row]) -> None:
    """Print the table, and the machine."""
    memory = psutil.virtual_memory().total / 2**30
    print(f"\n{platform.machine()}, {os.cpu_count()} cores, {memory:.0f} GiB, Python {platform.python_version()}\n")
    print(f"{'what':48} {'measured':>10} {'budget':>8}  beside")
    for what, found, budget, beside in rows:
        print(f"{what:48} {found:8.2f} s {budget:6g} s  {beside or '–'}{'' if found <= budget else '   OVER'}")


if __name__ == "__main__":
    sys.exit(main())
