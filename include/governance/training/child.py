"""The other side of the sandbox: a process that knows nothing and forks once for every fit.

Started by :mod:`governance.training.sandbox` as a plain script with an environment built from nothing; it imports
nothing of ours. pandas and scikit-learn are imported once, each fit is a fork of that: so a fit costs its own time and
no more. The fork sets its limits, reads and deletes its own rows, imports the folder's ``train.py``, calls ``fit`` and
saves what it returns. This process never runs the folder's code; it watches the clock, the output and the number of
processes, and at the end kills whatever the fit has left (as a *subreaper* it inherits what was detached).

Spoken on the two pipes: one JSON document a line, request and answer. What the fork says (``answer.json``) is
only ever read as text. The sentences that people read are made in the sandbox, not here.
"""

import contextlib
import ctypes
import gc
import importlib
import inspect
import json
import os
import random
import resource
import select
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pandas as pd
import psutil
import sklearn.ensemble  # noqa: F401  # what folders mostly use: imported once, so that no fork has to
import sklearn.linear_model  # noqa: F401  # as above
import sklearn.pipeline  # noqa: F401  # as above
import skops.io
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import NotFittedError
from sklearn.utils.validation import check_is_fitted

Json = dict[str, Any]
Fit = Callable[..., Any]

REQUESTS = 0
FRAME, ANSWER = "frame.parquet", "answer.json"
SKOPS, XGBOOST, LIGHTGBM = "model.skops", "model.ubj", "model.lgb.txt"
"""Files that a model is saved in, none of which can run anything when it is read."""
WEIGHTS, SENSITIVE = "__weights__", "__sensitive__"
"""Columns of the frame's file that are not the model's to see; taken off before ``fit`` is called."""

PR_SET_CHILD_SUBREAPER = 36
TAIL_BYTES = 2000
LINES_SHOWN = 3
GRID_SIZE = 11
SWEEP_SECONDS = 10
COUNT_EVERY = 0.25
"""Seconds between two counts of the processes below this one."""
PROCESS_HEADROOM = 2000


class FitError(Exception):
    """Why a fit has no model: a kind that the sandbox has a sentence for, and details."""

    def __init__(self, kind: str, detail: object = "", where: str = "") -> None:
        super().__init__(kind)
        self.document: Json = {"fault": kind, "detail": str(detail)[:TAIL_BYTES], "where": where}


# --- the process that watches --------------------------------------------------------------------------------------


def main() -> None:
    """Answer requests until the other side closes the pipe."""
    with contextlib.suppress(OSError, AttributeError):  # Linux only; elsewhere the session is killed as a whole
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    gc.freeze()  # else the forks' collectors would touch, and so copy, every page that they share
    answers = os.dup(1)
    os.dup2(2, 1)
    say(answers, {"ready": True})
    for request in requests():
        say(answers, watched(request))


def requests() -> Iterator[Json]:
    """Yield one request after the other."""
    with os.fdopen(os.dup(REQUESTS), "rb", buffering=0) as stream:
        while line := stream.readline():
            yield json.loads(line)


def say(answers: int, document: Json) -> None:
    """Write one document to the pipe."""
    os.write(answers, json.dumps(document).encode() + b"\n")


def watched(request: Json) -> Json:
    """Fork, watch, sweep; return how it ended."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        run_fit(request, writer)
    os.close(writer)
    try:
        return watch(pid, reader, request["limits"])
    finally:
        os.close(reader)


def watch(pid: int, reader: int, limits: Mapping[str, int]) -> Json:
    """Wait for the fork's end, or for it to overstep a limit; then kill all it has started."""
    deadline = time.monotonic() + limits["seconds"]
    output = Output(reader)
    next_count = 0.0
    fault: str | None = None
    status: int | None = None
    while status is None and fault is None:
        output.drain()
        status = exit_status(pid)
        now = time.monotonic()
        if now > deadline:
            fault = "time"
        elif output.total > limits["output_bytes"]:
            fault = "output"
        elif now > next_count:
            next_count = now + COUNT_EVERY
            fault = "processes" if len(offspring()) > limits["processes"] else None
    sweep(pid)
    output.drain()
    return {"fault": fault, "status": status, "output": output.tail.decode(errors="replace")}


class Output:
    """The last bytes that the fork has written, and how many there were."""

    def __init__(self, reader: int) -> None:
        self.reader, self.open, self.total, self.tail = reader, True, 0, b""

    def drain(self) -> None:
        """Take what there is; wait a moment where there is nothing."""
        sources = [REQUESTS, self.reader] if self.open else [REQUESTS]
        ready, _, _ = select.select(sources, [], [], 0.05 if self.open else 0.002)
        if REQUESTS in ready:  # nobody sends a second request before the answer: the other side is gone
            sweep()
            os._exit(1)
        if self.reader in ready:
            chunk = os.read(self.reader, 1 << 16)
            self.open = bool(chunk)
            self.total += len(chunk)
            self.tail = (self.tail + chunk)[-TAIL_BYTES:]


def exit_status(pid: int) -> int | None:
    """Return the fork's exit code, negative for a signal; ``None`` while it runs."""
    done, status = os.waitpid(pid, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if done else None


def offspring() -> list[psutil.Process]:
    """Return all processes below this one."""
    return psutil.Process().children(recursive=True)


def sweep(session: int | None = None) -> None:
    """Kill and reap everything below this process, until nothing is left."""
    if session is not None:
        with contextlib.suppress(OSError):
            os.killpg(session, signal.SIGKILL)
    deadline = time.monotonic() + SWEEP_SECONDS
    while time.monotonic() < deadline and reap():
        for process in offspring():
            with contextlib.suppress(psutil.Error):
                process.kill()
        time.sleep(0.002)  # a killed process takes a moment to be reaped


def reap() -> bool:
    """Collect children that have ended; return whether others are left."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return False
    return True


# --- the process that fits -----------------------------------------------------------------------------------------


def run_fit(request: Json, output: int) -> NoReturn:
    """Fit in this fork, leave ``answer.json``, and end."""
    answer = {"fault": "ended", "detail": "", "where": ""}
    try:
        enclose(request, output)
        answer = answer_of(request)
    finally:
        with contextlib.suppress(BaseException):
            Path(request["work"], ANSWER).write_text(json.dumps(answer))
        os._exit(0)


def enclose(request: Json, output: int) -> None:
    """Leave the parent's session, files and folder behind, and set the limits."""
    os.setsid()
    nothing = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((nothing, 0), (output, 1), (output, 2)):
        os.dup2(source, target)
    os.closerange(3, 1 << 16)
    os.chdir(request["work"])
    os.environ["HOME"] = os.environ["TMPDIR"] = request["work"]
    limit_resources(request["limits"])


def limit_resources(limits: Mapping[str, int]) -> None:
    """Set what the kernel enforces. Memory counts from what the imports have taken."""
    memory = psutil.Process().memory_info().vms + limits["memory_mb"] * 1024**2
    cores = os.cpu_count() or 1
    limit(resource.RLIMIT_CORE, 0)
    limit(resource.RLIMIT_AS, memory)
    limit(resource.RLIMIT_CPU, limits["seconds"] * cores + 5)
    limit(resource.RLIMIT_FSIZE, limits["file_bytes"])
    # The kernel counts all of the user's, and none of root's: a second line behind the watcher, with room to spare.
    limit(resource.RLIMIT_NPROC, limits["users_processes"] + PROCESS_HEADROOM)


def limit(kind: int, value: int) -> None:
    """Lower one limit; what is lower already stays."""
    _, hard = resource.getrlimit(kind)
    value = value if hard == resource.RLIM_INFINITY else min(value, hard)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(kind, (value, value))


def answer_of(request: Json) -> Json:
    """Fit and save; return what to answer, whatever happens."""
    try:
        model = fit(request)
        classes = require_model(model, request["task"])
        file = save(model)
    except FitError as fault:
        return fault.document
    except MemoryError:
        return FitError("memory", "", their_lines(request)).document
    except SystemExit as error:
        return FitError("exit", repr(error.code), their_lines(request)).document
    except BaseException as error:
        return FitError("raised", f"{type(error).__name__}: {error}", their_lines(request)).document
    return {"fault": None, "file": file, "classes": classes}


def fit(request: Json) -> Any:
    """Read the rows, delete their file, and only then import and call the folder's code."""
    file = Path(request["work"], FRAME)
    frame = pd.read_parquet(file, engine="pyarrow", use_threads=False)
    file.unlink()
    weights, sensitive = (frame.pop(name) if name in frame else None for name in (WEIGHTS, SENSITIVE))
    params = request["params"]
    random.seed(params["seed"])
    np.random.seed(params["seed"] % 2**32)  # what a folder draws without saying from where
    function = imported_fit(request["folder"])
    if sensitive is not None:
        require_weights(function)
        return reduced(function, frame, params, sensitive, request)
    if weights is not None:
        require_weights(function)
        return function(frame, params, weights=weights.to_numpy())
    return function(frame, params)


def imported_fit(folder: str) -> Fit:
    """Return the folder's ``fit``."""
    if not Path(folder, "train.py").is_file():
        raise FitError("no_file")
    sys.path.insert(0, folder)
    function: Fit | None = getattr(importlib.import_module("train"), "fit", None)
    if not callable(function):
        raise FitError("no_fit")
    return function


def require_weights(function: Fit) -> None:
    """Refuse a ``fit`` that takes no weights where they are needed."""
    if "weights" not in inspect.signature(function).parameters:
        raise FitError("no_weights")


def require_model(model: Any, task: Json) -> list[Any] | None:
    """Refuse everything but a fitted model for the task.

    Returns:
        The classes in the order of the model's probabilities, or ``None`` where it numbers them (XGBoost) or has none.
    """
    name = type(model).__name__
    if native(model) and name == "Booster":  # it knows neither its task nor its classes
        return None
    if not isinstance(model, BaseEstimator):
        raise FitError("returned", f"{name}, which is not a model", expected(task))
    try:
        check_is_fitted(model)
    except (NotFittedError, TypeError):
        raise FitError("returned", f"{name} that is not fitted", expected(task)) from None
    method = "predict" if task["name"] == "regression" else "predict_proba"
    if not hasattr(model, method):
        raise FitError("returned", f"{name} without {method}", expected(task))
    if task["name"] == "regression":
        if hasattr(model, "classes_"):
            raise FitError("returned", f"{name}, a classifier", expected(task))
        return None
    return require_classes(model, task)


def require_classes(model: Any, task: Json) -> list[Any] | None:
    """Refuse a classifier of other classes than the spec's; return them as :func:`require_model` does."""
    found: list[Any] = np.asarray(getattr(model, "classes_", [])).tolist()
    wanted = task["classes"]
    if native(model) == XGBOOST and found == list(range(len(wanted or (0, 1)))):
        return None
    if (wanted and set(found) == set(wanted)) or (not wanted and len(found) == 2 and task["favourable"] in found):
        return found
    raise FitError("returned", f"{type(model).__name__} for the classes {found}", expected(task))


def expected(task: Json) -> str:
    """Say what ``fit`` should return."""
    if task["name"] == "regression":
        return "Return a fitted regressor: scikit-learn's, XGBoost's or LightGBM's."
    classes = f"the classes {task['classes']}" if task["classes"] else f"two classes, one of them {task['favourable']}"
    return f"Return a fitted classifier with predict_proba of {classes}: scikit-learn's, XGBoost's or LightGBM's."


def native(model: Any) -> str | None:
    """Return the file of a model that has a safe format of its own."""
    return {"xgboost": XGBOOST, "lightgbm": LIGHTGBM}.get(type(model).__module__.partition(".")[0])


def save(model: Any) -> str:
    """Write the model, and return the name of the file."""
    file = native(model) or SKOPS
    try:
        if file == XGBOOST:
            model.save_model(file)  # with the mark of early stopping, which the bare booster does not carry
        elif file == LIGHTGBM:
            Path(file).write_text(getattr(model, "booster_", model).model_to_string())
        else:
            skops.io.dump(model, file)
    except MemoryError:
        raise
    except Exception as error:
        raise FitError("format", f"{type(error).__name__}: {error}") from error
    return file


def their_lines(request: Json) -> str:
    """Return the innermost lines of the folder's own code in the current traceback."""
    frames = traceback.extract_tb(sys.exc_info()[2])
    theirs = [frame for frame in frames if frame.filename.startswith(request["folder"] + os.sep)]
    return "\n".join(f"  {f.filename}:{f.lineno} in {f.name}: {f.line}" for f in theirs[-LINES_SHOWN:])


# --- with a protected attribute: only where the policy gives a legal reason ----------------------------------------


class FolderClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """The folder's ``fit`` as an estimator that fairlearn can train again and again with other weights."""

    def __init__(self, function: Fit, params: Json, target: str, values: Mapping[int, Any]) -> None:
        self.function, self.params, self.target, self.values = function, params, target, values

    def fit(self, features: Any, outcome: Any, sample_weight: Any = None) -> "FolderClassifier":
        """Call the folder's ``fit`` with these labels and weights."""
        labels = np.where(np.asarray(outcome) == 1, self.values[1], self.values[0])
        frame = pd.DataFrame(features).copy()
        frame[self.target] = labels  # not by `assign`: it may be called `self`
        self.model_ = self.function(frame, dict(self.params), weights=np.asarray(sample_weight))
        self.classes_ = np.array([0, 1])
        return self

    def predict(self, features: Any) -> Any:
        """Predict 1 for the favourable outcome."""
        return (self.model_.predict(features) == self.values[1]).astype(int)


def reduced(function: Fit, frame: pd.DataFrame, params: Json, sensitive: Any, request: Json) -> Any:
    """Return one deterministic model out of fairlearn's grid search for demographic parity."""
    from fairlearn.reductions import DemographicParity, GridSearch

    target, favourable = request["target"], request["task"]["favourable"]
    features: pd.DataFrame = frame.drop(columns=target)
    outcome = (frame[target] == favourable).astype(int)
    other = frame.loc[outcome == 0, target].iloc[0]
    search = GridSearch(
        FolderClassifier(function, params, target, {0: other, 1: favourable}), DemographicParity(), grid_size=GRID_SIZE
    )
    search.fit(features, outcome, sensitive_features=sensitive)
    losses = [search.objectives_[i] + search.gammas_[i].max() for i in range(len(search.predictors_))]
    for index in np.argsort(losses, kind="stable"):
        if isinstance(search.predictors_[index], FolderClassifier):  # else a constant of fairlearn's own
            return search.predictors_[index].model_
    raise FitError("returned", "only constant predictions under every weighting")


if __name__ == "__main__":
    main()
