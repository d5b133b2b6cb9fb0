"""A site: PostgreSQL, MLflow on it with files of its own, snapshots, and a released model. It can be lost."""

import shutil
import signal
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import psutil
import psycopg
import pytest

from governance.ledger.log import Ledger
from governance.release.registry import Registry
from stack import processes
from stack.backup import Folder, Places
from stack.databases import DATABASES, LOGINS, make_databases
from stack.layout import PORTS, Layout, choose_ports
from stack.postgres import Postgres
from tests.integration.serving.conftest import House
from tests.integration.serving.services_under_test import Service, wait_until
from tests.unit.release.permitted_world import World

ROOT = Path(__file__).resolve().parents[3]


@dataclass
class Site:
    """One machine with everything on it; its checkout and the folder of snapshots keep their place when it is lost."""

    folder: Path
    world: World
    number: int = 0
    ledgers: list[Ledger] = field(default_factory=list)
    name: str = "governance"
    mlflow: Service | None = None

    def start(self, *, schemas: bool = True) -> "Site":
        """Start PostgreSQL and, where it has tables, MLflow, on an empty machine."""
        self.number += 1
        self.state = self.folder / f"machine-{self.number}"
        self.layout = Layout(ROOT, self.state, choose_ports(PORTS))
        self._server = Postgres(self.layout)
        self._server.prepare()
        log, how = self.state / "postgres.log", self._server.as_user()
        self._process = processes.start(self._server.command(), {"LANG": "C.UTF-8"}, log, self._server.folder, **how)
        wait_until(self._server.is_ready, 60, "PostgreSQL")
        if schemas:
            self.begin()
        else:
            make_databases(self._server.connect, DATABASES, LOGINS)
        return self

    def begin(self) -> None:
        """Do what is done before each start, and start MLflow."""
        self._server.provision()
        address = ("--host", "127.0.0.1", "--port", "{port}", "--workers", "1")
        store = ("--backend-store-uri", self.layout.database_url("mlflow", "mlflow", "postgresql+psycopg2"))
        place = ("--serve-artifacts", "--artifacts-destination", str(self.state / "artifacts"))
        quiet = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
        self.mlflow = Service(
            "mlflow", "server", *store, *place, *address, folder=self.state, environment=quiet
        ).start()

    def dsn(self, user: str) -> str:
        return self.layout.ledger_url(user)

    def ledger(self, user: str = "pipeline") -> Ledger:
        self.ledgers.append(Ledger(self.dsn(user)))
        return self.ledgers[-1]

    def connect(self, database: str = "governance") -> psycopg.Connection:
        """Connect as superuser."""
        return self._server.connect(database)

    @property
    def places(self) -> Places:
        urls = {name: self.layout.database_url("postgres", name) for name in ("governance", "mlflow")}
        snapshots = Path(self.world.settings.snapshots)
        return Places(urls, Folder(self.state / "artifacts"), Folder(snapshots), Ledger(urls["governance"]))

    @property
    def house(self) -> House:
        """What the pipeline does on this site."""
        assert self.mlflow is not None
        world = self.world.with_services(
            GOVERNANCE_MLFLOW_URL=self.mlflow.url, GOVERNANCE_LEDGER_URL=self.dsn("pipeline")
        )
        return House(world, self, Registry(self.mlflow.url), self.folder / "work")  # type: ignore[arg-type]

    def lose(self) -> None:
        """Lose the machine: its databases, MLflow's files and the snapshots."""
        self.stop()
        shutil.rmtree(self.state)
        shutil.rmtree(self.world.settings.snapshots)

    def stop(self) -> None:
        for ledger in self.ledgers:
            ledger.close()
        if self.mlflow is not None:
            self.mlflow.stop()
        if self._process.poll() is None:
            processes.end([psutil.Process(self._process.pid)], 20, signal.SIGINT)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = Path(tempfile.mkdtemp(prefix="site-"))
    made = Site(folder, World.make(tmp_path_factory.mktemp("site") / "checkout")).start()
    (folder / "work").mkdir()
    yield made
    made.stop()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def empty(site: Site, tmp_path: Path) -> Iterator[Places]:
    """Another machine, on which nothing is yet."""
    folder = Path(tempfile.mkdtemp(prefix="site-"))
    other = Site(folder, site.world).start(schemas=False)
    yield replace(other.places, snapshots=Folder(tmp_path / "snapshots"))
    other.stop()
    shutil.rmtree(folder, ignore_errors=True)
