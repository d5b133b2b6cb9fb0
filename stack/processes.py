"""Starting processes, and ending exactly those that were started.

A pid alone says nothing: it may have been given to somebody else since. So a process is known by its pid *and* its
start time, and everything that descends from the stack carries the stack's random mark in its environment, which
finds the orphans of a service that was killed. A process with neither is never touched.
"""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from stack.layout import Started

MARK = "STACK_MARK"
"""The variable that says which stack a process belongs to."""

_SAME_START = 2.0  # seconds; start times are derived from a boot time that clock corrections move a little
_gone = (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess)


def start(
    command: Sequence[str], environment: Mapping[str, str], log: Path, folder: Path, **how: Any
) -> subprocess.Popen[bytes]:
    """Start a process in a session of its own, so that a Ctrl-C in the terminal does not reach it."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        return subprocess.Popen(
            command,
            env=dict(environment),
            cwd=folder,
            stdin=how.pop("stdin", subprocess.DEVNULL),
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            **how,
        )


def identify(process: subprocess.Popen[bytes]) -> Started:
    """Return what finds the process again from another command."""
    try:
        return Started(process.pid, psutil.Process(process.pid).create_time())
    except psutil.NoSuchProcess:
        return Started(process.pid, time.time())


def find(started: Started) -> psutil.Process | None:
    """Return the process if it is still the one that was started, and alive."""
    try:
        process = psutil.Process(started.pid)
        same = abs(process.create_time() - started.created) < _SAME_START
        return process if same and process.status() != psutil.STATUS_ZOMBIE else None
    except _gone:
        return None


def marked(mark: str) -> list[psutil.Process]:
    """Return every process that carries ``mark``, except the caller and what started the caller."""
    own = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    return [process for process in psutil.process_iter() if process.pid not in own and _carries(process, mark)]


def postgres_of(data: Path) -> list[psutil.Process]:
    """Return the PostgreSQL processes that work in ``data`` (they write over their environment)."""
    return [process for process in psutil.process_iter() if _works_in(process, data)]


def with_children(processes: Iterable[psutil.Process]) -> list[psutil.Process]:
    """Return the processes and everything that descends from them."""
    found: dict[int, psutil.Process] = {}
    for process in processes:
        with suppress(*_gone):
            found.update({child.pid: child for child in process.children(recursive=True)})
        found[process.pid] = process
    return list(found.values())


def end(processes: Iterable[psutil.Process], grace: float, first: signal.Signals = signal.SIGTERM) -> None:
    """Ask processes to end, and end those that have not after ``grace`` seconds."""
    asked = list(processes)
    for process in asked:
        with suppress(*_gone):
            process.send_signal(first)
    for process in wait_for_end(asked, grace):
        with suppress(*_gone):
            process.kill()
    wait_for_end(asked, 5)


def wait_for_end(processes: Iterable[psutil.Process], seconds: float) -> list[psutil.Process]:
    """Wait for processes to end and return those that have not."""
    alive = list(processes)
    wait_until(lambda: not _prune(alive), seconds)
    return alive


def wait_until(condition: Callable[[], bool], seconds: float, pause: float = 0.05) -> bool:
    """Wait until a condition holds; whether it came to hold in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(pause)
    return True


def _prune(processes: list[psutil.Process]) -> list[psutil.Process]:
    processes[:] = [process for process in processes if _is_alive(process)]
    return processes


def _is_alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except _gone:
        return False


def _carries(process: psutil.Process, mark: str) -> bool:
    try:
        return process.environ().get(MARK) == mark
    except (*_gone, OSError):
        return False


def _works_in(process: psutil.Process, data: Path) -> bool:
    try:
        return process.name() == "postgres" and process.cwd() == str(data)
    except (*_gone, OSError):
        return False
