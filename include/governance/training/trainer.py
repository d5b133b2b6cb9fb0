"""One trainer process: started, asked, and ended without leaving anything behind.

The process is :mod:`governance.training.child`, which watches each fit itself. Here is what remains for when that
watcher was stopped by the very code it watches: its answer is awaited for a limited time only, and everything that
carries the mark of its environment is killed.
"""

import contextlib
import json
import os
import secrets
import select
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil

from governance.errors import UnavailableError

Json = dict[str, Any]

CHILD = Path(__file__).with_name("child.py")
START_SECONDS = 120
GRACE_SECONDS = 15
"""How long after a fit's time limit the trainer may take to clear up before it counts as lost."""
MARK = "TRAINER"
ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS", "LOKY_MAX_CPU_COUNT")
KERNELS = ("OPENBLAS_CORETYPE", "MKL_CBWR", "MKL_ENABLE_INSTRUCTIONS")
"""Which instructions the numerical libraries use, where the machine's owner chose: other ones give other last bits."""


class Trainer:
    """A process that waits for requests. Starts at once, and again when it was lost."""

    def __init__(self, private: Path) -> None:
        """Start it in ``private``, a folder of mode 0700 that outlives it."""
        self._private = private
        self._users_processes = threads_of_user()
        self._begin()

    def ask(self, request: Json, seconds: float) -> Json:
        """Have one fit made.

        Args:
            request: What :func:`governance.training.child.watched` takes.
            seconds: The fit's time limit.

        Returns:
            ``fault`` (``None``, or how it overstepped), the fork's exit ``status``, and the end of its ``output``.

        Raises:
            UnavailableError: The process does not start.
        """
        if self._process.poll() is not None:
            self._begin()
        self._await_start()
        request["limits"]["users_processes"] = self._users_processes
        try:
            os.write(self._requests, json.dumps(request).encode() + b"\n")
            return self._read(seconds + GRACE_SECONDS)
        except (OSError, ValueError):
            self._kill()
            return {"fault": "lost", "status": None, "output": ""}

    def close(self) -> None:
        """End it."""
        with contextlib.suppress(OSError):
            os.close(self._requests)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(GRACE_SECONDS)
        if self._process.returncode != 0:
            self._kill()
        os.close(self._answers)

    def _begin(self) -> None:
        self._mark = secrets.token_hex(16)
        self._log = self._private / f"trainer-{self._mark}.log"
        reading, self._requests = os.pipe()
        self._answers, writing = os.pipe()
        with self._log.open("wb") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-s", "-P", "-u", str(CHILD)],
                stdin=reading,
                stdout=writing,
                stderr=errors,
                cwd=self._private,
                env=bare_environment(self._private, self._mark),
                start_new_session=True,
                umask=0o077,
            )
        os.close(reading)
        os.close(writing)
        self._unread = b""
        self._started = False

    def _await_start(self) -> None:
        if self._started:
            return
        try:
            self._read(START_SECONDS)
        except (OSError, ValueError) as error:
            self._kill()
            said = self._log.read_text(errors="replace").strip()[-500:]
            raise UnavailableError(f"Expected a training process to start, found: {error}. It said: {said}") from error
        self._started = True

    def _read(self, seconds: float) -> Json:
        deadline = time.monotonic() + seconds
        while b"\n" not in self._unread:
            ready, _, _ = select.select([self._answers], [], [], max(0.0, deadline - time.monotonic()))
            if not ready:
                raise OSError("it did not answer in time")
            chunk = os.read(self._answers, 1 << 16)
            if not chunk:
                raise OSError("it has ended")
            self._unread += chunk
        line, _, self._unread = self._unread.partition(b"\n")
        document = json.loads(line)
        if not isinstance(document, dict):
            raise ValueError("it answered nonsense")
        return document

    def _kill(self) -> None:
        """Kill the process and all that was started below it, also what it could not watch any more."""
        for process in [*_below(self._process.pid), *marked(self._mark)]:
            with contextlib.suppress(psutil.Error):
                process.kill()
        self._process.kill()
        self._process.wait()
        for process in marked(self._mark):
            with contextlib.suppress(psutil.Error):
                process.kill()


def bare_environment(home: Path, mark: str) -> dict[str, str]:
    """Return the whole environment of a trainer: nothing of ours is in it but which kernels compute."""
    return {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.defpath}",
        "LANG": "C.UTF-8",
        "HOME": str(home),
        "TMPDIR": str(home),
        "PYTHONHASHSEED": "0",
        "PYTHONDONTWRITEBYTECODE": "1",
        **dict.fromkeys(ONE_THREAD, "1"),
        **{name: os.environ[name] for name in KERNELS if name in os.environ},
        MARK: mark,
    }


def marked(mark: str) -> list[psutil.Process]:
    """Return the processes whose environment carries a mark, whoever is their parent now."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.environ().get(MARK) == mark:
                found.append(process)
    return found


def threads_of_user() -> int:
    """Return how many threads this user has, for a limit that the kernel counts by user."""
    user, count = os.getuid(), 0
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.uids().real == user:
                count += process.num_threads()
    return count


def _below(pid: int) -> list[psutil.Process]:
    with contextlib.suppress(psutil.Error):
        return psutil.Process(pid).children(recursive=True)
    return []
