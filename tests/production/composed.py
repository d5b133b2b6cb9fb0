"""Runs ``docker-compose.yaml`` without a Docker engine: each container as a process of this machine.

What stands in the file is what happens: the order and its conditions, the secrets that a container may read (a folder
of its own holds those and no other), volumes, the entrypoint of the Dockerfile, commands, and the checks of health.

What is not the same: one network, one user, this machine's interpreter with the same lock; PostgreSQL is the embedded
one, Redis and nginx are Debian's packages, S3 is moto's server. What has a profile is left out: Marquez, Prometheus,
Grafana, and the tools.
"""

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from system import SECONDS

from stack import processes
from stack.client import AirflowClient
from stack.jobs import JOBS
from stack.layout import HOST, Layout, choose_ports
from stack.postgres import Postgres
from stack.production import ADDRESSES
from stack.secrets_folder import make
from tests.production import compose_file, dockerfile

PAUSE = 2.0
"""Seconds between two checks of health: each is a process."""

Json = dict[str, Any]


class Server(Postgres):
    """The embedded PostgreSQL, with the access rules of PostgreSQL's image."""

    def _write_access_rules(self) -> None:
        (self.data / "pg_hba.conf").write_text(f"host all all {HOST}/32 scram-sha-256\n")


@dataclass
class Container:
    """One container that runs, or ran: its process and its environment."""

    name: str
    process: "subprocess.Popen[bytes]"
    environment: Mapping[str, str]
    folder: Path

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text(errors="replace")


@dataclass
class Composed:
    """The production shape, running from a laid-out image.

    Args:
        image: What the Dockerfile makes (:func:`tests.production.dockerfile.build`).
        folder: Where everything of it lies.
    """

    image: Path
    folder: Path
    containers: dict[str, Container] = field(default_factory=dict)
    _threads: list[threading.Thread] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.secrets = self.folder / "secrets"
        make(self.secrets, self.image)
        self.compose = compose_file.load({"SECRETS_FOLDER": str(self.secrets)})
        self.ports = choose_ports([*ADDRESSES, "serving-2", "proxy"])

    # What tests ask of it, as of :class:`stack.supervisor.Stack`

    def url(self, service: str) -> str:
        return f"http://{HOST}:{self.ports[service]}"

    def secret(self, name: str) -> str:
        return (self.secrets / name).read_text().strip()

    def login(self, name: str) -> str:
        return str(json.loads(self.secret("logins"))[name])

    def ledger_url(self, role: str) -> str:
        return f"postgresql://{role}:{self.secret(f'postgres-{role}')}@{HOST}:{self.ports['postgres']}/governance"

    def client(self, login: str) -> AirflowClient:
        return AirflowClient(self.url("airflow"), login, self.login(login))

    def command(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Run ``docker compose run --rm command-line …``."""
        service = self.compose["services"]["command-line"]
        folder = self._prepare("command-line", service)
        line = [sys.executable, *service["entrypoint"][1:], *arguments]
        environment = self._environment("command-line", service, folder)
        return subprocess.run(line, env=environment, cwd=folder, capture_output=True, text=True, check=False)

    # Starting

    def up(self) -> None:
        """Start every container when what it waits for has come true."""
        waiting = {name: each for name, each in self.compose["services"].items() if not each.get("profiles")}
        came_true: set[str] = set()
        deadline = time.monotonic() + SECONDS
        while waiting:
            ready = [name for name, each in waiting.items() if came_true.issuperset(each.get("depends_on", ()))]
            for name in ready:
                self._start(name, waiting.pop(name))
            wanted = {needed: how for each in waiting.values() for needed, how in each.get("depends_on", {}).items()}
            for name in wanted.keys() & self.containers.keys() - came_true:
                if self._is(name, wanted[name]["condition"]):
                    came_true.add(name)
            assert time.monotonic() < deadline, f"{sorted(waiting)} wait for {sorted(wanted.keys() - came_true)}"

    def _is(self, name: str, condition: str) -> bool:
        container = self.containers[name]
        code = container.process.poll()
        if condition == "service_completed_successfully":
            assert code in (None, 0), f"{name} ended with {code}: {container.log[-3000:]}"
            return code == 0
        assert code is None, f"{name} ended with {code}: {container.log[-3000:]}"
        return self.is_healthy(name)

    def wait_until_healthy(self) -> None:
        """Wait for what nothing else waits for, as ``up --wait`` does."""
        for name in list(self.containers):
            if name not in JOBS:
                assert processes.wait_until(lambda name=name: self._is(name, "service_healthy"), SECONDS, PAUSE), name

    def is_healthy(self, name: str) -> bool:
        """Run the check of a container's health."""
        container, test = self.containers[name], self.compose["services"][name]["healthcheck"]["test"]
        line = ["sh", "-c", test[1]] if test[0] == "CMD-SHELL" else list(test[1:])
        if name == "postgres":
            return self._server.is_ready()
        if name == "s3":
            line = ["curl", "-fsS", f"http://{HOST}:{self.ports['s3']}/moto-api/data.json"]
        line = [self._place(word, container.folder, name) for word in line]
        if line[0] == "python":
            line[0] = sys.executable
        done = subprocess.run(
            self._named(name, line),
            env=dict(container.environment),
            cwd=container.folder,
            capture_output=True,
            check=False,
        )
        return done.returncode == 0

    def _start(self, name: str, service: Json) -> None:
        folder = self._prepare(name, service)
        environment = self._environment(name, service, folder)
        if name == "postgres":
            process = self._start_postgres(folder)
        else:
            process = self._launch(name, self._line(name, service, folder), environment, folder)
        self.containers[name] = Container(name, process, environment, folder)
        replicas = int(service.get("deploy", {}).get("replicas", 1))
        for number in range(2, replicas + 1):
            self.compose["services"][f"{name}-{number}"] = {**service, "deploy": {}}
            self._start(f"{name}-{number}", self.compose["services"][f"{name}-{number}"])

    def _line(self, name: str, service: Json, folder: Path) -> list[str]:
        if name == "s3":
            return [sys.executable, "-m", "moto.server", "-H", HOST, "-p", str(self.ports["s3"])]
        if name == "proxy":
            return ["nginx", "-e", "stderr", "-c", str(self._nginx(folder))]
        command = [self._place(word, folder, name) for word in service["command"]]
        if name == "redis":
            return command
        return [sys.executable, *dockerfile.entrypoint()[1:], *command]

    def _launch(self, name: str, line: list[str], environment: Mapping[str, str], folder: Path) -> Any:
        return processes.start(self._named(name, line), environment, folder / "log", folder)

    def _named(self, name: str, line: list[str]) -> list[str]:
        """Give a process a host name of its own: Celery knows its workers by that."""
        return ["unshare", "--uts", "sh", "-c", f"hostname {name} && exec {shlex.join(line)}"]

    def _place(self, word: str, folder: Path, name: str) -> str:
        """Return a word of a command with this machine's places and ports."""
        word = word.replace("/run/secrets", str(folder / "secrets")).replace("dir /data", f"dir {folder}")
        if name == "redis":
            word = word.replace("redis-cli", f"redis-cli -p {self.ports['redis']}")
            return word.replace("appendonly yes", f"appendonly yes\\nport {self.ports['redis']}\\nbind {HOST}")
        return word.replace("127.0.0.1:8080", f"{HOST}:{self.ports['proxy']}") if name == "proxy" else word

    def _prepare(self, name: str, service: Json) -> Path:
        """Make a container's own folder: its secrets, and its volumes."""
        folder = self.folder / "containers" / name
        (folder / "secrets").mkdir(parents=True, exist_ok=True)
        for secret in service.get("secrets", ()):
            shutil.copy2(self.compose["secrets"][secret]["file"], folder / "secrets" / secret)
        for entry in service.get("volumes", ()):
            source, target, *_ = entry.split(":")
            inside = Path(target)
            if inside.is_relative_to("/var/lib/governance") and not (folder / "state" / inside.name).exists():
                volume = self.folder / "volumes" / source
                volume.mkdir(parents=True, exist_ok=True)
                (folder / "state").mkdir(exist_ok=True)
                (folder / "state" / inside.name).symlink_to(volume)
        return folder

    def _environment(self, name: str, service: Json, folder: Path) -> dict[str, str]:
        addresses = {f"STACK_{place}".upper(): f"{HOST}:{self.ports[place]}" for place in ADDRESSES}
        replicas = [f"{HOST}:{self.ports[each]}" for each in ("serving", "serving-2")]
        addresses["STACK_SERVING"] = ",".join(replicas[::-1] if name == "serving-2" else replicas)
        places = {
            "STACK_LISTEN": HOST,
            "STACK_SECRETS": str(folder / "secrets"),
            "STACK_KEYS": str(folder / "keys"),
            "STACK_STATE": str(folder / "state"),
            "STACK_PUBLIC_KEYS": str(self.secrets / "public"),
            "STACK_PUBLIC_URL": self.url("airflow"),
        }
        system = {"PATH": os.environ["PATH"], "HOME": str(folder), "NO_PROXY": HOST, "no_proxy": HOST}
        given = {each: value for each, value in service.get("environment", {}).items() if not each.startswith("STACK_")}
        return {
            **system,
            **addresses,
            **given,
            **places,
            "PYTHONPATH": f"{self.image}:{self.image}/include",
            "LANG": "C.UTF-8",
        }

    def _start_postgres(self, folder: Path) -> Any:
        state = folder / "state"
        (state / "secrets").mkdir(parents=True)
        (state / "secrets" / "postgres-postgres").write_text(self.secret("postgres-postgres"))
        self._server = Server(Layout(self.image, state, self.ports))
        self._server.prepare()
        system = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8"}
        how = self._server.as_user()
        return processes.start(self._server.command(), system, folder / "log", self._server.folder, **how)

    def _nginx(self, folder: Path) -> Path:
        text = (self.image / "deploy" / "nginx.conf").read_text()
        text = text.replace("listen 8080", f"listen {HOST}:{self.ports['proxy']}")
        for replica, port in (("serving-1", "serving"), ("serving-2", "serving-2")):
            text = text.replace(f"{replica}:8001", f"{HOST}:{self.ports[port]}")
        (folder / "default.conf").write_text(text)
        main = f"daemon off; pid {folder}/pid; events {{}} http {{ access_log off; include {folder}/default.conf; }}"
        temporary = "".join(
            f" {kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        (folder / "nginx.conf").write_text(main.replace("access_log off;", f"access_log off;{temporary}"))
        return folder / "nginx.conf"

    # Stopping

    def kill(self, name: str) -> None:
        """End a container at once."""
        processes.end(processes.with_children([psutil.Process(self.containers[name].process.pid)]), 0.0)

    def start_again(self, name: str) -> None:
        """Start a container that was killed, as ``restart: unless-stopped`` does, and wait until it works."""
        self._start(name, {**self.compose["services"][name], "deploy": {}})
        assert processes.wait_until(lambda: self._is(name, "service_healthy"), SECONDS, PAUSE), name

    def stop(self) -> None:
        """Stop what runs, PostgreSQL last."""
        database = self.containers.pop("postgres", None)
        running = [c.process for c in self.containers.values() if c.process.poll() is None]
        leaders = [psutil.Process(process.pid) for process in running]
        processes.end(processes.with_children(leaders), 10.0)
        if database is not None and database.process.poll() is None:
            processes.end([psutil.Process(database.process.pid)], 20.0, signal.SIGINT)
        for process in running:
            process.wait(timeout=10)
