"""Parse the DAG files with a thousand model folders: all of them, as the DAG processor does, and one, as a task does.

    python bench/parse.py [--folders 1000]

The folders are copies of the models that are here, with other names. The DAG processor runs each of the three DAG files
in a process that has imported Airflow; a running task runs the one that its DAG is in, with the parsing context that
Airflow gives it, beside the same with a single folder. Medians of several processes; left out is what is not ours:
Airflow's own import, and how it writes what was built into its database.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FOLDERS, RUNS, TASK_RUNS = 1_000, 3, 15
GOAL, TASK_GOAL = 15.0, 1.1

FILES = ("govern_model.py", "monitor_model.py", "rollback_model.py")
TASKS_FILE = "monitor_model.py"
CODE = """
import sys, time, runpy, airflow.sdk
started = time.perf_counter()
found = runpy.run_path(sys.argv[1])
print(time.perf_counter() - started)
"""

Row = tuple[str, float, float, str]


def main() -> None:
    """Print the rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folders", type=int, default=FOLDERS)
    for what, seconds, goal, beside in lines(parser.parse_args().folders):
        print(f"{what}: {seconds:.3f} s (goal {goal:.3g} s); {beside}")


def lines(folders: int = FOLDERS) -> list[Row]:
    """Return the rows for ``make bench``."""
    with copied(folders) as (many, one):
        whole = statistics.median(sum(parse(many, file) for file in FILES) for _ in range(RUNS))
        # By turns, for the machine is never twice the same.
        pairs = [(parse_own(one), parse_own(many)) for _ in range(TASK_RUNS)]
    alone, among = (statistics.median(times) for times in zip(*pairs, strict=True))
    beside = f"{among / alone:.2f}× of one folder, {alone:.3f} s"
    return [
        (f"DAG files of {folders:,} folders: parse", whole, GOAL, f"{len(FILES) * folders:,} DAGs"),
        (f"DAG files of {folders:,} folders: a running task", among, TASK_GOAL * alone, beside),
    ]


@contextmanager
def copied(folders: int) -> Iterator[tuple[Path, Path]]:
    """Yield a folder of many model folders, and one of a single one; both have ``m_0000``."""
    here = sorted(path.parent for path in (ROOT / "include" / "models").glob("*/model.yaml"))
    place = Path(tempfile.mkdtemp(prefix="bench-parse-"))
    try:
        for name, count in (("many", folders), ("one", 1)):
            for number in range(count):
                shutil.copytree(here[number % len(here)], place / name / f"m_{number:04}")
        yield place / "many", place / "one"
    finally:
        shutil.rmtree(place, ignore_errors=True)


def parse_own(models: Path) -> float:
    """Return the seconds that a task of ``m_0000`` spends in its DAG file."""
    return parse(models, TASKS_FILE, _AIRFLOW_PARSING_CONTEXT_DAG_ID="monitor_m_0000")


def parse(models: Path, file: str, **environment: str) -> float:
    """Run a DAG file in a process that has imported Airflow, and return how many seconds that took."""
    own = {
        **os.environ,
        "PYTHONPATH": f"{ROOT / 'include'}:{ROOT / 'plugins'}",
        "GOVERNANCE_ROOT": str(ROOT),
        "GOVERNANCE_MODELS": str(models),
        "AIRFLOW_HOME": tempfile.gettempdir(),
        **environment,
    }
    command = [sys.executable, "-W", "ignore", "-c", CODE, str(ROOT / "dags" / file)]
    done = subprocess.run(command, env=own, capture_output=True, text=True, check=True)
    return float(done.stdout.split()[-1])


if __name__ == "__main__":
    main()
