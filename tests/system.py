"""How tests use the running system: trigger, follow, sign, wait; nothing that a person could not do."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from governance.ledger.log import Entry, Ledger
from stack.client import AirflowClient
from stack.supervisor import Stack

Json = dict[str, Any]

SECONDS = 900
"""How long a run may take to get where a test wants it; the machine may be busy."""


def until(condition: Callable[[], Any], what: str, seconds: float = SECONDS) -> Any:
    """Poll until a condition holds, and return what it returned."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.2)
    raise AssertionError(f"within {seconds} s: {what}")


class Slack:
    """A local HTTP server that takes Slack's webhooks; ``broken`` makes it answer 500."""

    def __init__(self) -> None:
        self.messages: list[Json] = []
        self.broken = False
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if not outer.broken:
                    outer.messages.append(json.loads(body))
                self.send_response(500 if outer.broken else 200)
                self.end_headers()
                self.wfile.write(b"ok")

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def about(self, text: str) -> list[str]:
        """Return the messages that contain a text."""
        return [message["text"] for message in self.messages if text in message["text"]]

    def close(self) -> None:
        """Stop."""
        self._server.shutdown()


@dataclass
class GovernedRun:
    """One run of ``govern_<model>``, as tests follow it."""

    world: "World"
    model: str
    run_id: str

    @property
    def dag_id(self) -> str:
        return f"govern_{self.model}"

    @property
    def engineer(self) -> AirflowClient:
        return self.world.client("ken")

    def tasks(self) -> dict[str, Json]:
        return self.engineer.tasks(self.dag_id, self.run_id)

    def task_state(self, task_id: str) -> str | None:
        return self.tasks()[task_id]["state"]

    def wait_for_task(self, task_id: str, *states: str) -> "GovernedRun":
        until(lambda: self._in_state(task_id, states), f"{self.dag_id}.{task_id} becomes {states}")
        return self

    def wait_until_asked(self) -> "GovernedRun":
        return self.wait_for_task("approve_model_risk", "deferred")

    def wait_until_ended(self) -> str:
        ended = ("success", "failed")
        return until(lambda: (s := self.engineer.run_state(self.dag_id, self.run_id)) in ended and s, "the run ends")

    def log(self, task_id: str) -> str:
        return self.engineer.log(self.dag_id, self.run_id, task_id, self.tasks()[task_id]["try_number"])

    def entries(self, kind: str) -> list[Entry]:
        return [e for e in self.world.ledger.find(kind=kind, subject=self.model) if e.data.get("run_id") == self.run_id]

    @property
    def evidence(self) -> Entry:
        return self.entries("evidence")[-1]

    @property
    def version(self) -> str:
        return str(self.evidence.data["evidence"]["model"]["version"])

    def decide(self, login: str, answer: str = "approve", **changes: Any) -> Any:
        reviewer = self.world.client(login)
        request = reviewer.request(self.model, self.version)
        body = {"evidence": request["evidence"], "confirmed": request["checklist"], "comment": "Read it.", **changes}
        return reviewer.decide(self.model, self.version, answer, body)

    def released(self) -> list[Entry]:
        return self.entries("release")

    def _in_state(self, task_id: str, states: tuple[str, ...]) -> bool:
        state = self.task_state(task_id)
        gone = state in ("failed", "upstream_failed", "success", "skipped") and state not in states
        assert not gone, f"{task_id} is {state}: {self.log(self._first_failed() or task_id)[-2000:]}"
        return state in states

    def _first_failed(self) -> str | None:
        return next((name for name, task in self.tasks().items() if task["state"] == "failed"), None)


@dataclass
class World:
    """The running system."""

    stack: Stack
    slack: Slack
    root: Path
    _clients: dict[str, AirflowClient] = field(default_factory=dict)

    @property
    def ledger(self) -> Ledger:
        return Ledger(self.stack.ledger_url("auditor"))

    def client(self, login: str) -> AirflowClient:
        if login not in self._clients:
            self._clients[login] = AirflowClient(self.stack.url("airflow"), login, self.stack.login(login))
        return self._clients[login]

    def trigger(self, model: str, reason: str, login: str = "ken", **conf: Any) -> GovernedRun:
        run_id = self.client(login).trigger(f"govern_{model}", {"reason": reason, **conf})
        return GovernedRun(self, model, run_id)

    def command(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Run ``governance`` as a person in another terminal would."""
        return subprocess.run(
            [str(Path(sys.executable).with_name("governance")), *arguments],
            env={**os.environ, **self.stack.environment("client")},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )


def commit_all(root: Path) -> None:
    """Commit everything, as a maintainer of people.yaml."""
    email = "maintainers@users.noreply.b-seed-5d29152c.example"
    identity = ["-c", "user.name=Maintainers", "-c", f"user.email={email}"]
    subprocess.run(["git", "init", "-q", str(root)], check=True)
    subprocess.run(["git", "-C", str(root), "add", "-A"], check=True)
    subprocess.run(["git", "-C", str(root), *identity, "commit", "-q", "-m", "A checkout"], check=True)
