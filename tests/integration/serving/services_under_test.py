"""A real MLflow server and a real scoring service, each a process of its own on a free loopback port."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import uvicorn

ROOT = Path(__file__).resolve().parents[3]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until(condition: Callable[[], Any], seconds: float = 120.0, what: str = "it") -> Any:
    """Wait for something to be true, and return it."""
    deadline = time.monotonic() + seconds
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"{what} did not come true in {seconds:g} s")
        time.sleep(0.05)


class Service:
    """A process that answers on a port; started and ended by the test that owns it."""

    def __init__(self, module: str, *arguments: str, folder: Path, environment: Mapping[str, str]) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = folder / f"{module.replace('.', '-')}-{self.port}.log"
        self._command = [sys.executable, "-m", module, *(part.format(port=self.port) for part in arguments)]
        known = {name: value for name, value in os.environ.items() if not name.startswith(("GOVERNANCE_", "MLFLOW_"))}
        self._environment = {**known, **environment}
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> "Service":
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                self._command,
                env=self._environment,
                cwd=self._folder,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        wait_until(self._answers, 300, f"{self._command[2]} on {self.url}\n{self.log}")
        return self

    def stop(self) -> None:
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGTERM)  # MLflow's server has children of its own
            self._process.wait(timeout=60)
            self._process = None

    def _answers(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            raise AssertionError(f"it ended:\n{self.log.read_text()[-3000:]}")
        try:
            return httpx.get(f"{self.url}/health", timeout=2).is_success
        except httpx.HTTPError:
            return False


def mlflow_server(folder: Path) -> Service:
    store = ("--backend-store-uri", f"sqlite:///{folder}/mlflow.db")
    artifacts = ("--serve-artifacts", "--artifacts-destination", str(folder / "artifacts"))
    address = ("--host", "127.0.0.1", "--port", "{port}", "--workers", "1")
    return Service(
        "mlflow",
        "server",
        *store,
        *artifacts,
        *address,
        folder=folder,
        environment={"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
    )


@contextmanager
def mlflow_at(url: str, experiment: str) -> Iterator[None]:
    """Log to a server as a data scientist's script does, and leave nothing of it to other tests.

    ``mlflow.set_registry_uri`` also sets a variable of the environment, which setting it to nothing does not take back:
    every client made later would ask a server that is gone.
    """
    import mlflow

    before = {name: os.environ.get(name) for name in ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI")}
    mlflow.set_tracking_uri(url)
    mlflow.set_registry_uri(url)
    try:
        mlflow.set_experiment(experiment)
        yield
    finally:
        mlflow.set_tracking_uri(None)
        mlflow.set_registry_uri(None)
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


def mlflow_client(url: str) -> Any:
    """Return a client that asks this server alone, whatever the environment says."""
    import mlflow

    return mlflow.MlflowClient(tracking_uri=url, registry_uri=url)


def scoring_process(folder: Path, settings: Mapping[str, str]) -> Service:
    """The scoring service as it is started in production."""
    address = ("--host", "127.0.0.1", "--port", "{port}", "--no-access-log")
    environment = {"PYTHONPATH": str(ROOT / "include"), **settings}
    return Service("uvicorn", "governance.serving.app:app", *address, folder=folder, environment=environment)


class InThread:
    """An ASGI application behind a real uvicorn, in a thread: what it imports was imported already."""

    def __init__(self, app: Any) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._server = uvicorn.Server(uvicorn.Config(app, port=self.port, log_level="warning"))
        self._thread = threading.Thread(target=self._server.run, daemon=True)

    def start(self) -> "InThread":
        self._thread.start()
        wait_until(lambda: self._server.started, 60, "the scoring service")
        return self

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join(timeout=20)
