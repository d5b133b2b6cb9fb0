"""Where the stack keeps what: folders, ports, passwords and addresses, all derived from one state folder.

``stack.json`` remembers the ports and what was started; ``secrets/`` holds one file of mode 0600 per password.
Both are made at first start. Neighbours: :mod:`stack.services` turns a layout into environments.
"""

import json
import os
import random
import secrets
import socket
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

HOST = "127.0.0.1"
PORTS = ("postgres", "mlflow", "airflow", "execution", "serving")
LEDGER_ROLES = ("pipeline", "review", "serving", "auditor", "witness")
"""Login roles of the ledger's database. The owner of its tables, ``governance_owner``, cannot log in."""

# Below the range from which Linux takes ports for outgoing connections, so that a kept port stays free.
_PORT_RANGE = range(20_000, 32_000)


@dataclass(frozen=True)
class Started:
    """A process that was started: its pid means something only together with its start time."""

    pid: int
    created: float


@dataclass
class Record:
    """What is remembered between commands.

    Attributes:
        mark: Random word that every process of this stack carries in its environment.
        ports: Service name → loopback port, kept from the first start on.
        services: What was started last, by service name.
    """

    mark: str
    ports: dict[str, int]
    services: dict[str, Started] = field(default_factory=dict)


@dataclass(frozen=True)
class Layout:
    """Places and addresses of one stack.

    Attributes:
        root: The checkout that is run.
        state: Folder of everything that is not in version control.
        ports: Service name → loopback port.
    """

    root: Path
    state: Path
    ports: dict[str, int]

    @property
    def listen(self) -> str:
        """Address that a service listens on."""
        return HOST

    @property
    def executor(self) -> str:
        """Airflow's executor: tasks are forked by the scheduler."""
        return "LocalExecutor"

    @property
    def logs(self) -> Path:
        """Folder of the log files, one per service."""
        return self.state / "logs"

    @property
    def airflow_home(self) -> Path:
        """Airflow's own folder."""
        return self.state / "airflow"

    def private_key(self, name: str) -> Path:
        """Return the file of a private key."""
        return self.state / "keys" / "private" / f"{name}.pem"

    @property
    def public_keys(self) -> Path:
        """Folder of the public keys."""
        return self.state / "keys" / "public"

    def url(self, service: str) -> str:
        """Return the HTTP address of a service."""
        return f"http://{HOST}:{self.ports[service]}"

    def database_url(self, user: str, database: str, driver: str = "postgresql") -> str:
        """Return the address of a database with the password of ``user`` in it."""
        password = quote(self.secret(f"postgres-{user}"), safe="")
        return f"{driver}://{user}:{password}@{HOST}:{self.ports['postgres']}/{database}"

    def ledger_url(self, role: str) -> str:
        """Return the address of the ledger for one of :data:`LEDGER_ROLES`."""
        return self.database_url(role, "governance")

    def secret_file(self, name: str) -> Path:
        """Return the file of a secret."""
        return self.state / "secrets" / name

    def secret(self, name: str, make: Callable[[], str] = lambda: secrets.token_urlsafe(32)) -> str:
        """Return a secret, made and kept in a file of mode 0600 when it is first asked for."""
        path = self.secret_file(name)
        try:
            return path.read_text()
        except FileNotFoundError:
            write_private(path, make())
            return path.read_text()


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    write_whole(path, text, 0o600)


def write_whole(path: Path, text: str, mode: int = 0o644) -> None:
    """Write a file so that a reader, or a crash, never sees half of it."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def load_record(state: Path) -> Record | None:
    """Read ``stack.json``; ``None`` where nothing was ever started."""
    try:
        document = json.loads((state / "stack.json").read_text())
    except FileNotFoundError:
        return None
    services = {name: Started(**entry) for name, entry in document["services"].items()}
    return Record(document["mark"], document["ports"], services)


def save_record(state: Path, record: Record) -> None:
    """Write ``stack.json``."""
    services = {name: vars(started) for name, started in record.services.items()}
    document = {"mark": record.mark, "ports": record.ports, "services": services}
    write_whole(state / "stack.json", json.dumps(document, indent=2) + "\n")


def new_record() -> Record:
    """Return a record with a fresh mark and ports that are free now."""
    return Record(secrets.token_hex(8), choose_ports(PORTS))


def choose_ports(names: Iterable[str]) -> dict[str, int]:
    """Return a free loopback port for each name, no two the same."""
    wanted = list(names)
    candidates = random.sample(_PORT_RANGE, k=len(_PORT_RANGE))
    free = (port for port in candidates if is_free(port))
    return {name: next(free) for name in wanted}


def is_free(port: int) -> bool:
    """Whether nothing listens on a loopback port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True
