"""A review desk over a real ledger: a checkout with one model, keys, and a candidate that waits for signatures."""

import subprocess
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from governance import canonical
from governance.ledger.log import Entry, install
from governance.review.desk import Request, ReviewDesk
from governance.review.permit import Bundle
from governance.settings import Settings, load_settings
from tests.integration.ledger.ledger_database import Database, Server
from tests.unit.review.signed_world import FACTS, GOOD, MODEL, SAM, World


@dataclass
class Office:
    """The desk, what it works on, and what lies in front of it.

    Attributes:
        root: The checkout.
        database: The ledger's.
        world: The files in force when evidence was written; the files on disk may change after that.
    """

    root: Path
    database: Database
    world: World = field(default_factory=World)

    def __post_init__(self) -> None:
        for name, text in {
            f"models/{MODEL}/model.yaml": self.world.spec_text,
            f"models/{MODEL}/policy.yaml": self.world.own,
            "policies/high.yaml": self.world.tier,
            "people.yaml": self.world.people_text,
        }.items():
            self.write(name, text)
        self.commit("nobody@bank.example")

    def commit(self, email: str) -> None:
        """Commit the checkout as somebody: the desk asks its own history who wrote the code."""
        identity = ["-c", "user.name=Somebody", "-c", f"user.email={email}"]
        for command in (["init", "-q"], ["add", "-A"], [*identity, "commit", "-q", "--allow-empty", "-m", "Change"]):
            subprocess.run(["git", "-C", str(self.root), *command], check=True)

    @property
    def settings(self) -> Settings:
        return load_settings({"GOVERNANCE_ROOT": str(self.root)})

    @property
    def desk(self) -> ReviewDesk:
        """A desk as the API server opens it, anew each time: nothing is remembered but the ledger."""
        return ReviewDesk(self.settings, self.database.ledger("review"), self.world.keys, self.world.signer)

    def write(self, name: str, text: str) -> None:
        path = self.root / "include" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def candidate(
        self,
        version: str = "1.0.0",
        *,
        attempt: int = 1,
        run_id: str = "run-1",
        measurements: Any = GOOD,
        lasts: timedelta = timedelta(days=7),
        **facts: Any,
    ) -> Entry:
        """Record evidence, as the judge does."""
        ledger = self.database.ledger("pipeline")
        ledger.append("run", MODEL, {"run_id": run_id}, actor=SAM, key=f"run:{MODEL}:{run_id}")
        document = self.world.evidence(
            measurements, replace(FACTS, version=version, attempt=attempt, registry_version=attempt, **facts)
        )
        digest, now = canonical.digest(document), datetime.now(UTC)
        data = {
            "run_id": run_id,
            "digest": digest,
            "evidence": document,
            "mlflow_run": None,
            "asked_at": now.isoformat(),
            "expires_at": (now + lasts).isoformat(),
        }
        return ledger.append("evidence", MODEL, data, actor=SAM, key=f"evidence:{digest}")

    def decide(self, login: str, entry: Entry, answer: str = "approve", **changes: Any) -> Request:
        """Decide as a person who did everything right, except what is changed."""
        said: dict[str, Any] = {
            "login": login,
            "model": MODEL,
            "version": entry.data["evidence"]["model"]["version"],
            "evidence": entry.data["digest"],
            "answer": answer,
            "confirmed": list(self.world.policy.approvals.checklist),
            "comment": "" if answer == "approve" else "Not like this.",
        }
        return self.desk.decide(**{**said, **changes})

    def status(self, entry: Entry) -> str:
        return self.desk.request(MODEL, entry.data["evidence"]["model"]["version"]).status

    def entries(self, kind: str) -> list[Entry]:
        return self.database.ledger("auditor").find(kind=kind)

    def bundle(self, entry: Entry) -> Bundle:
        """What would lie beside the version: the evidence, the ledger's permit, and the files it was signed under."""
        (issued,) = self.entries("permit")
        return self.world.bundle(entry.data["evidence"], dict(issued.data))


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    with closing(Server()) as server:
        yield server


@pytest.fixture
def database(postgres: Server) -> Iterator[Database]:
    with closing(psycopg.connect(postgres.dsn("postgres", "postgres"), autocommit=True)) as connection:
        connection.execute("DROP SCHEMA IF EXISTS ledger CASCADE")
    made = Database(postgres, "postgres")
    install(made.dsn("postgres"))
    yield made
    for ledger in made.ledgers:
        ledger.close()


@pytest.fixture
def office(tmp_path: Path, database: Database) -> Office:
    return Office(tmp_path, database)
