import os
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from stack import processes
from stack.layout import PORTS, Record, Started, load_record, save_record
from stack.supervisor import Stack

SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    """A process that has nothing to do with any stack."""
    process = subprocess.Popen(SLEEP)
    yield process
    process.kill()
    process.wait()


def test_a_started_process_is_found_again(sleeper: subprocess.Popen[bytes]) -> None:
    found = processes.find(processes.identify(sleeper))
    assert found is not None
    assert found.pid == sleeper.pid


def test_a_pid_that_was_given_to_somebody_else_is_not_ours(sleeper: subprocess.Popen[bytes]) -> None:
    assert processes.find(Started(sleeper.pid, time.time() - 3600)) is None


def test_a_process_that_has_ended_is_not_found() -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    started = processes.identify(process)
    assert processes.wait_until(lambda: psutil.Process(process.pid).status() == psutil.STATUS_ZOMBIE, 10)
    assert processes.find(started) is None
    process.wait()
    assert processes.find(started) is None


def test_orphans_are_found_by_their_mark(tmp_path: Path) -> None:
    mark = secrets.token_hex(8)
    script = f"import subprocess, sys; subprocess.Popen({SLEEP!r}, start_new_session=True)"
    parent = processes.start(
        [sys.executable, "-c", script], {**os.environ, processes.MARK: mark}, tmp_path / "log", tmp_path
    )
    parent.wait()
    orphans = processes.marked(mark)
    assert len(orphans) == 1
    assert processes.marked(f"not {mark}") == []
    processes.end(orphans, 5)
    assert processes.marked(mark) == []


def test_a_process_that_ignores_the_request_is_ended_all_the_same(tmp_path: Path) -> None:
    script = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(60)"
    )
    process = processes.start([sys.executable, "-c", script], os.environ, tmp_path / "log", tmp_path)
    assert processes.wait_until(lambda: "deaf" in (tmp_path / "log").read_text(), 10)
    processes.end([psutil.Process(process.pid)], 0.2)
    assert process.wait(timeout=5) == -9


def test_stop_leaves_alone_a_process_that_got_the_pid_of_a_dead_service(
    tmp_path: Path, sleeper: subprocess.Popen[bytes]
) -> None:
    services = {name: Started(sleeper.pid, time.time() - 3600) for name in ("mlflow", "postgres")}
    save_record(tmp_path, Record("mark", dict.fromkeys(PORTS, 1), services))
    assert Stack(tmp_path, report=lambda _: None).stop() is False
    assert sleeper.poll() is None


def test_stop_ends_what_was_started_and_forgets_it(tmp_path: Path) -> None:
    process = processes.start(SLEEP, os.environ, tmp_path / "log", tmp_path)
    save_record(tmp_path, Record("mark", dict.fromkeys(PORTS, 1), {"mlflow": processes.identify(process)}))
    stack = Stack(tmp_path, report=lambda _: None)
    assert stack.services == {"mlflow": process.pid}
    assert stack.stop() is True
    assert process.wait(timeout=5) == -15
    forgotten = load_record(tmp_path)
    assert forgotten is not None
    assert forgotten.services == {}


def test_stop_where_nothing_was_started_does_nothing(tmp_path: Path) -> None:
    assert Stack(tmp_path / "none").stop() is False
    assert not (tmp_path / "none").exists()
