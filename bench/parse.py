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
started, before = time.perf_counter(), time.process_time()
found = runpy.run_path(sys.argv[1])
print(time.perf_counter() - started, time.process_time() - before)
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
        wholes = [[parse(many, file) for file in FILES] for _ in range(RUNS)]
        # By turns, for the machine is never twice the same.
        pairs = [(parse_own(one), parse_own(many)) for _ in range(TASK_RUNS)]
    whole, core = (statistics.median(sum(one[at] for one in files) for files in wholes) for at in (0, 1))
    alone, among = (statistics.median(times) for times in zip(*pairs, strict=True))
    beside = f"{among / alone:.2f}× of one folder, {alone:.3f} s"
    return [
        (
            f"DAG files of {folders:,} folders: parse",
            whole,
            GOAL,
            f"{len(FILES) * folders:,} DAGs; {core:.1f} s of a core",
        ),
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
    return parse(models, TASKS_FILE, _AIRFLOW_PARSING_CONTEXT_DAG_ID="monitor_m_0000")[0]


def parse(models: Path, file: str, **environment: str) -> tuple[float, float]:
    """Run a DAG file in a process that has imported Airflow; return how many seconds that took, and of a core."""
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
    seconds, core = done.stdout.split()[-2:]
    return float(seconds), float(core)


if __name__ == "__main__":
    main()
