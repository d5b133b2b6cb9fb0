"""Calling the folder's ``train.fit`` in a process of its own.

Workers run the model developers' code, so that code gets what it needs and nothing else: an environment built from
nothing, a private folder, its own session, limits on time, memory, output, files and processes, and only the rows it
trains on. Whatever it does, the answer is a model or one sentence, and no process of it is left.
:mod:`governance.training.child` is the other side. Each fit has one thread, which makes results the same bit for bit,
and several fits run at once.

What one Unix user cannot hide (DESIGN §7): the code runs as the user who runs the pipeline. It can read every file
which that user can read (keys, snapshots with the sealed rows, other models' folders), look at that user's processes
through ``/proc``, use the network, and stop processes. What is kept from it here is what it would find without
looking. Real separation needs another user or a container for workers.
"""

import contextlib
import json
import os
import shutil
import tempfile
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from governance.catalog import Limits
from governance.errors import InputError
from governance.training import faults
from governance.training.tasks import Task
from governance.training.trainer import Trainer

if TYPE_CHECKING:
    import pandas as pd

Json = dict[str, Any]

# The names that child.py uses, too: it imports nothing of ours, and importing it costs three seconds.
FRAME, ANSWER = "frame.parquet", "answer.json"
FILES = ("model.skops", "model.ubj", "model.lgb.txt")
WEIGHTS, SENSITIVE = "__weights__", "__sensitive__"

LARGEST_MODEL = 1024**3
LARGEST_ANSWER = 1 << 16


@dataclass(frozen=True, eq=False)
class Job:
    """One call of ``fit``.

    Attributes:
        frame: Features and target of all rows; only ``rows`` of it reach the folder's code.
        rows: Positions of the training rows.
        params: What ``fit`` gets; holds ``seed``.
        weights: Weight of each row of ``frame``, where the fit is weighted.
        sensitive: Protected group of each row of ``frame``; given, the fit is fairlearn's grid search over ``fit``.
    """

    frame: "pd.DataFrame"
    rows: npt.NDArray[np.intp]
    params: Mapping[str, Any]
    weights: npt.NDArray[np.float64] | None = None
    sensitive: npt.NDArray[Any] | None = None


class Trained(NamedTuple):
    """What a fit returned. Nobody has looked into it.

    Attributes:
        file: The name of its file, which says the format.
        body: The file.
        classes: The classes in the order of its probabilities; ``None`` where the model numbers them, or has none.
    """

    file: str
    body: bytes
    classes: tuple[Any, ...] | None


class Sandbox:
    """A few trainer processes, for as long as the ``with`` lasts.

    Attributes:
        folder: The model's folder, with ``train.py``.
        target: Name of the target column.
        task: What is to be learnt.
        limits: What one call may use.
        workers: How many calls run at once; the result does not depend on it.
    """

    def __init__(
        self,
        folder: Path,
        *,
        target: str,
        task: Task,
        limits: Limits | None = None,
        workers: int | None = None,
    ) -> None:
        self.folder = folder.resolve()
        self.target = target
        self.task = task
        self.limits = limits or Limits()
        self.workers = workers or min(4, os.cpu_count() or 1)
        self._stack = contextlib.ExitStack()
        self._idle: SimpleQueue[Trainer] = SimpleQueue()

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            self._private = Path(tempfile.mkdtemp(prefix="governance-fit-"))  # mode 0700
            stack.callback(shutil.rmtree, self._private, ignore_errors=True)
            for _ in range(self.workers):
                trainer = Trainer(self._private)
                stack.callback(trainer.close)
                self._idle.put(trainer)
            self._threads = stack.enter_context(ThreadPoolExecutor(self.workers, "sandbox"))
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *error: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._stack.close()

    def fit(self, job: Job) -> Trained:
        """Call the folder's ``fit`` once.

        Returns:
            What it returned: load it with trusted types only.

        Raises:
            InputError: It failed, overstepped a limit, or returned something else; the message says which, and where.
        """
        trainer = self._idle.get()
        try:
            return self._fit_with(trainer, job)
        finally:
            self._idle.put(trainer)

    def map(self, jobs: Iterable[Job]) -> Iterator[Trained]:
        """Call ``fit`` for every job, several at once; yield the results in the order of the jobs.

        Raises:
            InputError: As :meth:`fit`, for the first job that fails.
        """
        running: deque[Future[Trained]] = deque()
        try:
            for job in jobs:
                running.append(self._threads.submit(self.fit, job))
                if len(running) > 2 * self.workers:
                    yield running.popleft().result()
            while running:
                yield running.popleft().result()
        finally:
            for future in running:
                future.cancel()

    def _fit_with(self, trainer: Trainer, job: Job) -> Trained:
        work = Path(tempfile.mkdtemp(dir=self._private))
        try:
            self._write_rows(job, work)
            report = trainer.ask(self._request(job, work), self.limits.seconds)
            answer = report if report["fault"] else self._answer(work, report)
            if answer["fault"]:
                raise faults.as_error(answer, self.folder / "train.py", self.limits)
            body = read_untrusted(work / answer["file"], LARGEST_MODEL)
            return Trained(answer["file"], body, answer["classes"])
        finally:
            shutil.rmtree(work, ignore_errors=True)

    def _write_rows(self, job: Job, work: Path) -> None:
        rows = job.frame.iloc[job.rows].reset_index(drop=True)
        beside = {WEIGHTS: job.weights, SENSITIVE: job.sensitive}
        given = {name: values[job.rows] for name, values in beside.items() if values is not None}
        try:
            rows.assign(**given).to_parquet(work / FRAME, engine="pyarrow", compression=None)
        except (ValueError, TypeError) as error:  # pyarrow's own are subclasses of these
            raise InputError(
                f"Expected columns of one type each, found: {error}. Mend the data's source, or its contract."
            ) from error

    def _request(self, job: Job, work: Path) -> Json:
        return {
            "folder": str(self.folder),
            "work": str(work),
            "target": self.target,
            "task": {
                "name": self.task.name,
                "favourable": getattr(self.task, "favourable", None),
                "classes": list(self.task.classes) if self.task.classes else None,
            },
            "params": dict(job.params),
            "limits": {
                **self.limits.model_dump(),
                "output_bytes": faults.OUTPUT_BYTES,
                "file_bytes": LARGEST_MODEL,
                "processes": faults.PROCESSES,
            },
        }

    def _answer(self, work: Path, report: Json) -> Json:
        """Return what the fork said of itself; it may have said nothing, or nonsense."""
        silent = {**report, "fault": "signal" if (report["status"] or 0) < 0 else "ended", "detail": report["status"]}
        try:
            answer = json.loads(read_untrusted(work / ANSWER, LARGEST_ANSWER))
            if answer["fault"] is None:
                answer["classes"] = tuple(answer["classes"]) if answer["classes"] is not None else None
                answer["file"] = FILES[FILES.index(answer["file"])]
            return {"output": report["output"], "fault": answer["fault"], **answer}
        except (InputError, ValueError, KeyError, TypeError, RecursionError):
            return silent


def read_untrusted(path: Path, largest: int) -> bytes:
    """Read a regular file that the folder's code may have put there.

    Raises:
        InputError: It is absent, a link, a pipe or larger than ``largest`` bytes.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with open(descriptor, "rb") as file:
            body = file.read(largest + 1)
    except OSError as error:
        raise InputError(f"Expected {path.name} from the training process, found: {error.strerror}.") from error
    if len(body) > largest:
        raise InputError(f"Expected {path.name} to be at most {largest:,} bytes, found more.")
    return body
