"""What the model costs to run: how fast it answers, how long it takes to load, how much room it needs.

Timed in a fresh process with an environment of its own, for that is how it will serve: nothing is warm, and none of
this process's secrets is within its reach. The file is its own child program (``python -m``); request and answer are
JSON files, so that a model may print what it likes.

Neighbours: whoever calls names the loader, so that this family knows no artifact format;
:mod:`~governance.measures.operations_vulnerabilities` counts what is known against the locked environment. Not
guaranteed: that another machine, or this one under load, is as fast.
"""

import importlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from governance.errors import InputError
from governance.records import Measurement

if TYPE_CHECKING:
    import pandas as pd

REPEATS = 400
"""Enough for the interval of a 99th percentile to have two ends."""

SECONDS = 120.0
"""How long the child may take altogether."""

ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")
"""One row gains nothing from threads, and threads that wait for each other cost tenfold on a busy machine."""

Json = Any


def measure_latency(
    artifact: Path,
    loader: str,
    row: "pd.DataFrame",
    *,
    arguments: Json = None,
    repeats: int = REPEATS,
    seconds: float = SECONDS,
) -> list[Measurement]:
    """Measure how a saved model loads and answers, in a fresh process.

    Args:
        artifact: Folder of the saved model.
        loader: ``module:function``; called with the folder, and with ``arguments`` where they are given. Must return an
            object with ``predict(frame)``.
        row: One row of features, as a request would bring it.
        arguments: What else the loader needs, as plain JSON: the list of trusted types, for example.
        repeats: How many single-row predictions to time.
        seconds: How long the process may take before it is ended.

    Returns:
        ``latency_p50_ms``, ``latency_p99_ms``, ``load_ms``, ``peak_memory_bytes`` and ``artifact_bytes``; all but the
        last without a value and with a reason where the model could not be loaded or asked.

    Raises:
        InputError: The folder does not exist, the row is not one row, or the loader is not ``module:function``.
    """
    if not artifact.is_dir():
        raise InputError(f"Expected a folder with a saved model, found none at {artifact}.")
    if len(row) != 1 or repeats < 1 or loader.count(":") != 1:
        raise InputError(
            f"Expected one row, at least one repeat and a loader of the form module:function, "
            f"found {len(row)} rows, {repeats} repeats and {loader!r}."
        )
    with tempfile.TemporaryDirectory(prefix="latency-") as folder:
        work = Path(folder)
        row.to_parquet(work / "row.parquet")
        request = {"artifact": str(artifact.resolve()), "loader": loader, "arguments": arguments, "repeats": repeats}
        (work / "request.json").write_text(json.dumps(request))
        reason = _run_child(work, seconds)
        answer = None if reason else json.loads((work / "answer.json").read_text())
    return [
        latency_p50_ms(answer, reason),
        latency_p99_ms(answer, reason),
        load_ms(answer, reason),
        peak_memory_bytes(answer, reason),
        artifact_bytes(artifact),
    ]


def latency_p50_ms(answer: Json, reason: str | None) -> Measurement:
    """Median time of one prediction of one row, in milliseconds.

    Formula: the median of wall-clock times by a monotonic clock, the first call included.
    Source of the interval: :func:`governance.measures.intervals.quantile_interval`.
    Ideal: 0.
    Limits: the model alone; a request adds parsing, checking and logging.
    """
    return _quantile("operations.latency_p50_ms", 0.5, answer, reason)


def latency_p99_ms(answer: Json, reason: str | None) -> Measurement:
    """Time within which 99 of 100 predictions of one row are made, in milliseconds.

    Formula: the 99th percentile of wall-clock times, linear between neighbours (Hyndman and Fan 1996, definition 7).
    Source: Dean and Barroso (2013), The Tail at Scale, Communications of the ACM 56(2).
    Ideal: close to the median.
    Limits: one caller at a time; other load on the machine counts.
    """
    return _quantile("operations.latency_p99_ms", 0.99, answer, reason)


def load_ms(answer: Json, reason: str | None) -> Measurement:
    """Time from nothing imported to a model that can be asked, in milliseconds.

    Formula: wall-clock time of importing the loader and calling it once in a fresh interpreter.
    Source: counted.
    Ideal: 0; it is what a restart of the scoring service costs.
    Limits: once, so without an interval; files may be in the machine's cache.
    """
    if answer is None:
        return Measurement("operations.load_ms", None, 0, reason=reason)
    return Measurement("operations.load_ms", answer["load_ms"], 1, method="counted")


def peak_memory_bytes(answer: Json, reason: str | None) -> Measurement:
    """Largest memory that the process had in use, from its start to its last prediction.

    Formula: the peak resident set size of a fresh process that loads the model and makes all timed predictions, the
    interpreter and the libraries included.
    Source: counted by the system: ``VmHWM`` of /proc/self/status (Linux), else ``ru_maxrss`` of getrusage.
    Ideal: small enough for as many processes as are to serve.
    Limits: one row at a time; larger requests and the scoring service itself need more.
    """
    if answer is None:
        return Measurement("operations.peak_memory_bytes", None, 0, reason=reason)
    return Measurement("operations.peak_memory_bytes", answer["peak_memory_bytes"], 1, method="counted")


def artifact_bytes(artifact: Path) -> Measurement:
    """Size of the saved model.

    Formula: the sum of the sizes of its files; n is how many there are.
    Source: counted.
    Ideal: small enough to be kept for every version.
    Limits: links are not followed.
    """
    sizes = [path.lstat().st_size for path in artifact.rglob("*") if path.is_file() and not path.is_symlink()]
    return Measurement("operations.artifact_bytes", sum(sizes), len(sizes), method="counted")


def _quantile(name: str, share: float, answer: Json, reason: str | None) -> Measurement:
    if answer is None:
        return Measurement(name, None, 0, reason=reason)
    import numpy as np

    from governance.measures.intervals import quantile_interval

    times = np.asarray(answer["latencies_ms"])
    interval = quantile_interval(times, share)
    return Measurement(name, float(np.quantile(times, share)), times.size, {}, *interval, "order statistics")


def _run_child(work: Path, seconds: float) -> str | None:
    """Run the child in ``work``; return why there is no answer, or ``None``."""
    importable = os.pathsep.join(str(Path(entry).resolve()) for entry in sys.path)
    environment = {"PATH": os.defpath, "HOME": str(work), "LANG": "C.UTF-8", "PYTHONPATH": importable}
    environment |= dict.fromkeys(ONE_THREAD, "1")
    with (work / "errors.txt").open("wb") as errors:
        child = subprocess.Popen(
            [sys.executable, "-P", "-m", "governance.measures.operations", str(work)],
            cwd=work,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            start_new_session=True,
        )
        try:
            code = child.wait(seconds)
        except subprocess.TimeoutExpired:
            return f"the model did not load and answer within {seconds:g} s"
        finally:
            _end(child)
    if code == 0 and (work / "answer.json").exists():
        return None
    return f"the model did not load and answer in a fresh process (exit code {code}): {_last_line(work / 'errors.txt')}"


def _end(child: "subprocess.Popen[bytes]") -> None:
    """End the child and whatever it started; all of them are in its own session."""
    with suppress(ProcessLookupError, PermissionError):  # nobody left; macOS says the latter of the dead
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()


def _last_line(errors: Path) -> str:
    lines = errors.read_text(errors="replace").strip().splitlines()
    return lines[-1][:300] if lines else "it said nothing"


def _child(work: Path) -> None:
    """Load the model, time its predictions, leave the answer in ``work``: all that the child process does."""
    request = json.loads((work / "request.json").read_text())
    started = time.perf_counter()
    module, function = request["loader"].split(":")
    load = getattr(importlib.import_module(module), function)
    given = () if request["arguments"] is None else (request["arguments"],)
    model = load(Path(request["artifact"]), *given)
    loaded = time.perf_counter()

    import pandas as pd

    row = pd.read_parquet(work / "row.parquet")
    answer = {
        "load_ms": (loaded - started) * 1000,
        "latencies_ms": _time(model, row, request["repeats"]),
        "peak_memory_bytes": _peak_memory(),
    }
    (work / "answer.json").write_text(json.dumps(answer))


def _peak_memory() -> int:
    """Return the largest resident set of this process so far, in bytes."""
    try:
        # Not getrusage: on Linux its peak outlives exec, so that a small child of a large process looks as large.
        status = Path("/proc/self/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) * 1024
    except (OSError, IndexError):
        import resource

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024


def _time(model: Any, row: "pd.DataFrame", repeats: int) -> list[float]:
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        model.predict(row)
        times.append((time.perf_counter() - started) * 1000)
    return times


if __name__ == "__main__":
    _child(Path(sys.argv[1]))
