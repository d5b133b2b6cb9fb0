"""One MLflow and one PostgreSQL for the session; a model, a ledger and a scoring service for each test that asks."""

import itertools
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from governance import canonical
from governance.ledger.log import Entry, Ledger, install
from governance.predictions import database as prediction_log
from governance.release import rollout
from governance.release.registry import Registry
from governance.release.rollout import Outcome
from governance.serving.app import create_app
from governance.settings import Settings
from governance.training import tracking
from tests.integration.ledger.ledger_database import Database, Server
from tests.integration.serving.services_under_test import InThread, Service, free_port, mlflow_server
from tests.unit.release.permitted_world import MODEL, SAM, World

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def mlflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    server = mlflow_server(tmp_path_factory.mktemp("mlflow"))
    with closing(_Stopped(server)):
        yield server.start()


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    with closing(Server()) as server:
        yield server


@dataclass(frozen=True)
class _Stopped:
    service: Service

    def close(self) -> None:
        self.service.stop()


@dataclass
class House:
    """A world whose candidates are registered in MLflow and recorded in a ledger."""

    world: World
    database: Database
    registry: Registry
    folder: Path

    def ledger(self, user: str = "pipeline") -> Ledger:
        return self.database.ledger(user)

    def candidate(self, run_id: str, *, seed: int = 0, version: str = "1.0.0", **facts: Any) -> Entry:
        """Train, register and judge a candidate, and record all of it, as the steps of the pipeline do."""
        ledger, url = self.ledger(), self.registry.url
        frozen = self.world.snapshot
        ledger.append(
            "snapshot", MODEL, {"run_id": run_id, "snapshot": frozen.to_dict()}, actor=SAM, key=f"snapshot:{run_id}"
        )
        model = self.folder / f"candidate-{next(_numbers)}"
        manifest = self.world.train(model, seed=seed)
        key = f"candidate:{self.database.name}:{run_id}"
        made = tracking.log_candidate(url, model=MODEL, key=key, artifact=model, params={}, tags={})
        document = self.world.judge(manifest, registry_version=made.version, version=version, **facts)
        tracking.publish_evidence(
            url, model=MODEL, registry_version=made.version, mlflow_run=made.run_id, evidence=document, tags={}
        )
        digest = canonical.digest(document)
        data = {
            "run_id": run_id,
            "digest": digest,
            "evidence": document,
            "mlflow_run": made.run_id,
            "asked_at": datetime.now(UTC).isoformat(),
            "expires_at": (datetime.now(UTC) + timedelta(days=7)).isoformat(),
        }
        return ledger.append("evidence", MODEL, data, actor=SAM, key=f"evidence:{digest}:{run_id}")

    def sign(self, evidence: Entry, **changes: Any) -> Entry:
        """Record two proper decisions and the permit, as the review desk does."""
        document, review = evidence.data["evidence"], self.ledger("review")
        issued = self.world.approve(document, **changes)
        for one in issued["permit"]["decisions"]:
            person = one["decision"]["person"]
            review.append("decision", MODEL, one, actor=person, key=f"decision:{evidence.data['digest']}:{person}")
        return review.append("permit", MODEL, issued, actor=SAM, key=f"permit:{evidence.data['digest']}")

    def artifacts(self, evidence: Entry) -> Path:
        """The folder in which the MLflow server keeps the files of a run."""
        found = [path for path in self.folder.parent.rglob(evidence.data["mlflow_run"]) if path.is_dir()]
        return found[0] / "artifacts"

    def release(self, run_id: str, **arguments: Any) -> Outcome:
        return rollout.release(self.world.settings, self.ledger(), model=MODEL, run_id=run_id, actor=SAM, **arguments)

    def serving_settings(self, **more: str) -> Settings:
        """What the scoring service is told: no private key, and the ledger as ``serving``."""
        world = self.world.with_services(GOVERNANCE_LEDGER_URL=self.database.dsn("serving"), **more)
        return replace(world.settings, artifact_key=None, review_key=None)

    def entries(self, kind: str) -> list[Entry]:
        return self.ledger("auditor").find(kind=kind, subject=MODEL)


@pytest.fixture
def house(mlflow: Service, postgres: Server, tmp_path: Path) -> Iterator[House]:
    database = Database(postgres, f"served_{next(_numbers)}")
    with closing(psycopg.connect(postgres.dsn("postgres", "postgres"), autocommit=True)) as connection:
        connection.execute(f"CREATE DATABASE {database.name} TEMPLATE template0")
    install(database.dsn("postgres"))
    prediction_log.install(database.dsn("postgres"))
    world = World.make(tmp_path / "checkout").with_services(GOVERNANCE_MLFLOW_URL=mlflow.url)
    registry = Registry(mlflow.url)
    registry.clear_champion(MODEL)
    yield House(world, database, registry, tmp_path)
    registry.clear_champion(MODEL)
    for ledger in database.ledgers:
        ledger.close()


@pytest.fixture
def serve(house: House) -> Iterator[Callable[..., InThread]]:
    """Return a function that starts a scoring service; the house's settings then know its address."""
    started: list[InThread] = []

    def start(app: Any = None, **more: str) -> InThread:
        service = InThread(app or create_app(house.serving_settings(**more)))
        started.append(service.start())
        house.world = house.world.with_services(GOVERNANCE_SERVING_URL=service.url)
        return service

    yield start
    for service in started:
        service.stop()


@pytest.fixture
def scoring(serve: Callable[..., InThread]) -> InThread:
    """A running scoring service."""
    return serve()


@pytest.fixture
def unserved(house: House) -> None:
    """No scoring service: what is refused is refused before anybody is told."""
    house.world = house.world.with_services(GOVERNANCE_SERVING_URL=f"http://127.0.0.1:{free_port()}")
