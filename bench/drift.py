"""Decide on drift: the whole command, from process start to decision, beside Evidently's preset on the same files.

    python bench/drift.py [--rows 1000000 1000 10000000] [--peer-rows 1000000 1000]

The files are drawn with a fixed seed: 20 columns of numbers, four of which have moved, and 5 of text, as Parquet. Ours
runs twice with a state folder of its own: the first run reads, sorts and keeps the reference, the second one takes it
from its sketch; medians of several such pairs. Evidently reads the same files with pandas, in a process of its own,
once, for it takes minutes. Memory is the largest resident size of the process; of a sketch its mapped pages count, too.
"""

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

ROOT = Path(__file__).resolve().parents[1]
ROWS, PEER_ROWS = (1_000_000, 1_000, 10_000_000), (1_000_000, 1_000)
RUNS, LARGE = 5, 5_000_000
"""Runs of which the median counts; one for more rows than these."""

BUDGETS = {1_000_000: (2.0, 1.0), 1_000: (1.0, 1.0), 10_000_000: (20.0, 2.0)}
"""Rows → seconds and GB; otherwise those of a million, in proportion."""

MANY, FEW = 1_000_000, 2
"""Rows from which the ratios are goals, and so few that only the start of a process takes time."""

FASTER, MUCH_FASTER = 1.5, 50.0
"""How much faster a run from the sketch shall be than the first one, and the first one than Evidently's preset."""

DRIFTED, UNDECIDED = 2, 3
"""Exit codes."""

CHUNK, GROUP = 1_000_000, ["Ann Arbor", "Berlin", "Cluj", "Dakar", "Espoo"]
SETTLED = 2.5
"""Seconds after which a file that was written gets a sketch."""

LAUNCHER = """
import json, os, subprocess, sys, time
started = time.perf_counter()
process = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL)
_, status, usage = os.wait4(process.pid, 0)
took, of_a_core = time.perf_counter() - started, usage.ru_utime + usage.ru_stime
print(json.dumps([took, usage.ru_maxrss / 1e6, of_a_core, os.waitstatus_to_exitcode(status)]))
"""
"""A small process: what is run begins with the resident size of who starts it, and this one has next to none."""

OURS = "import sys; from governance.cli import main; sys.exit(main())"
PEER = """
import sys, warnings
warnings.simplefilter("ignore")
import pandas as pd
from evidently import Report
from evidently.presets import DataDriftPreset
reference, current = (pd.read_parquet(file) for file in sys.argv[1:])
found = Report([DataDriftPreset()]).run(current, reference).dict()
assert found["metrics"]
"""

Row = tuple[str, float, float, str]
"""What, seconds, budget, and what stands beside it: a row of the table of ``make bench``."""


@dataclass(frozen=True)
class Run:
    """What one process took: wall clock in seconds, largest resident size in GB, and seconds of a core.

    The last says what the work is where the machine is busy with other work; two threads take more of it than of time.
    """

    seconds: float
    memory: float
    of_a_core: float


def main() -> None:
    """Print the rows, and the machine."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=ROWS)
    parser.add_argument("--peer-rows", type=int, nargs="*", default=PEER_ROWS)
    given = parser.parse_args()
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    for rows in given.rows:
        for what, seconds, budget, beside in measure(rows, with_peer=rows in given.peer_rows):
            print(f"{what}: {seconds:.2f} s (budget {budget:.2f} s); {beside}", flush=True)


def lines(rows: Sequence[int] = ROWS, peer_rows: Sequence[int] = PEER_ROWS) -> list[Row]:
    """Return the rows for ``make bench``."""
    return [line for size in rows for line in measure(size, with_peer=size in peer_rows)]


def measure(rows: int, *, with_peer: bool) -> list[Row]:
    """Return the rows of the table for files of this size: the first run, and the one from the sketch.

    Raises:
        SystemExit: A process took more memory than its budget, or did not decide that there is drift.
    """
    seconds, memory = BUDGETS.get(rows, (2.0 * rows / 1e6, 1.0))
    with files(rows) as (reference, current):
        first, second = ours(reference, current, 1 if rows > LARGE else RUNS)
        peer = run([sys.executable, "-c", PEER, str(reference), str(current)], 0) if with_peer else None
    if max(first.memory, second.memory) > memory:
        raise SystemExit(f"drift of {rows:,} rows: {first.memory:.2f} GB, expected at most {memory:g}.")
    beside = f"{first.memory:.2f} GB, {first.of_a_core:.2f} s of a core"
    if peer is not None:
        beside += f"; Evidently {peer.seconds:.1f} s, {peer.memory:.2f} GB: {peer.seconds / first.seconds:.0f}×"
    if peer is not None and rows >= MANY:
        seconds = min(seconds, peer.seconds / MUCH_FASTER)
    name = f"drift, {rows / 1e6:g}M × 25" if rows >= MANY else f"drift, {rows:,} × 25"
    found = [(f"{name}, process start to decision", first.seconds, seconds, beside)]
    return found + ([_from_sketch(name, first, second)] if rows >= MANY else [])


def _from_sketch(name: str, first: Run, second: Run) -> Row:
    """Return the row of the second run, and say how much of both is the start of a process, which no sketch saves."""
    with files(FEW) as (reference, current):
        start, _ = ours(reference, current, RUNS, expected=UNDECIDED)
    work = (first.seconds - start.seconds) / (second.seconds - start.seconds)
    beside = (
        f"{second.memory:.2f} GB, {second.of_a_core:.2f} s of a core; {first.seconds / second.seconds:.2f}× as fast; "
    )
    beside += f"{work:.2f}× after the {start.seconds:.2f} s of its start"
    return f"{name}, the reference from its sketch", second.seconds, first.seconds / FASTER, beside


def ours(reference: Path, current: Path, runs: int, expected: int = DRIFTED) -> tuple[Run, Run]:
    """Return the median of first runs and of second runs."""
    found: tuple[list[Run], list[Run]] = ([], [])
    for _ in range(runs):
        state = Path(tempfile.mkdtemp(prefix="bench-drift-state-"))
        try:
            for kept in found:
                command = [sys.executable, "-c", OURS, "drift", str(reference), str(current), "--json"]
                kept.append(run(command, expected, GOVERNANCE_STATE=str(state)))
        finally:
            shutil.rmtree(state, ignore_errors=True)
    first, second = (
        Run(
            statistics.median(each.seconds for each in kept),
            max(each.memory for each in kept),
            statistics.median(each.of_a_core for each in kept),
        )
        for kept in found
    )
    return first, second


def run(command: Sequence[str], expected: int, **environment: str) -> Run:
    """Run a process to its end and return what it took.

    Raises:
        SystemExit: Its exit code is another.
    """
    own = {**os.environ, "PYTHONPATH": str(ROOT / "include"), **environment}
    launcher = [sys.executable, "-I", "-S", "-c", LAUNCHER, *command]
    done = subprocess.run(launcher, env=own, stdout=subprocess.PIPE, text=True, check=True)
    seconds, memory, of_a_core, code = json.loads(done.stdout)
    if code != expected:
        raise SystemExit(f"Expected exit code {expected} of {command[3:]}, found {code}.")
    return Run(seconds, memory, of_a_core)


@contextmanager
def files(rows: int) -> Iterator[tuple[Path, Path]]:
    """Yield a reference and a current file in a folder that is removed afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="bench-drift-"))
    try:
        paths = folder / "reference.parquet", folder / "current.parquet"
        for seed, path in enumerate(paths):
            write(path, rows, seed, moved=4 if seed else 0)
        time.sleep(SETTLED)  # a file that was touched just now gets no sketch, and the second run would be a first one
        yield paths
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def write(path: Path, rows: int, seed: int, *, moved: int) -> None:
    """Write 20 columns of numbers, some of which have moved by half a standard deviation, and 5 of text."""
    random = np.random.default_rng(20260401 + seed)
    names = pa.array(GROUP)
    with pq.ParquetWriter(path, _drawn(random, 1, moved, names).schema) as writer:
        for begin in range(0, rows, CHUNK):
            writer.write_table(_drawn(random, min(CHUNK, rows - begin), moved, names))


def _drawn(random: np.random.Generator, rows: int, moved: int, names: pa.Array) -> pa.Table:
    numbers = {f"number_{i}": random.normal(1.0 if i < moved else 0.0, size=rows) for i in range(20)}
    texts = {f"text_{i}": names.take(pa.array(random.integers(0, len(names), rows))) for i in range(5)}
    return pa.table({**numbers, **texts})


if __name__ == "__main__":
    main()
