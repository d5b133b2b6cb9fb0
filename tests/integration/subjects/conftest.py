"""A small model whose rows are about somebody: frozen, judged, signed and recorded in a ledger on PostgreSQL."""

import itertools
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import psycopg
import pyarrow.parquet as pq
import pytest

from governance import canonical
from governance.commands import subject
from governance.commands.answer import Answer
from governance.data.erasures import as_kept
from governance.data.snapshots import Snapshot, freeze
from governance.ledger.log import Entry, Ledger, install
from governance.monitoring.collect import REQUEST
from governance.pipeline.ingest import ingest, snapshot_of
from governance.pipeline.run import Request, Run
from governance.release import verify
from governance.settings import Settings
from governance.training.artifacts import Manifest
from tests.integration.ledger.ledger_database import Database, Server
from tests.unit.release.permitted_world import MODEL, SAM, World, rows

ROWS = 60

_numbers = itertools.count(1)


def people(count: int = ROWS) -> pd.DataFrame:
    """Rows that a model can learn, each about somebody; the last two are about the same person."""
    frame = rows(count)
    frame["application"] = [f"A-{1000 + min(row, count - 2)}" for row in range(count)]
    return frame


@dataclass
class Lender:
    """A model of a lender, its ledger, and who asks about a person."""

    world: World
    database: Database
    folder: Path
    manifest: Manifest | None = None

    @property
    def settings(self) -> Settings:
        return self.settings_of("pipeline")

    def settings_of(self, login: str) -> Settings:
        return self.world.with_services(GOVERNANCE_LEDGER_URL=self.database.dsn(login)).settings

    def ledger(self, login: str = "pipeline") -> Ledger:
        return self.database.ledger(login)

    def entries(self, kind: str) -> list[Entry]:
        return self.ledger("auditor").find(kind, MODEL)

    def run(self, run_id: str = "run-1") -> Run:
        request = Request("A test needs it.", {}, None, "minor", SAM)
        world = self.world
        return Run(self.settings, self.ledger(), world.spec, world.policy, world.people, run_id, request)

    def freeze(self, run_id: str = "run-1") -> Snapshot:
        """Take what the source holds as a run of the pipeline does."""
        ingest(self.run(run_id))
        return snapshot_of(self.run(run_id))

    def now(self, snapshot: Snapshot) -> Snapshot:
        return as_kept(self.ledger(), MODEL, snapshot.to_dict())

    def judge(self, snapshot: Snapshot, *, version: str = "1.0.0") -> Entry:
        """Train on a snapshot, and record its evidence; another version is of the same files."""
        self.world.__dict__["snapshot"] = snapshot
        if self.manifest is None:
            self.manifest = self.world.train(self.folder / "made" / "model")
        document = self.world.judge(self.manifest, version=version)
        digest = canonical.digest(document)
        until = (datetime.now(UTC) + timedelta(days=7)).isoformat()
        data = {"run_id": version, "digest": digest, "evidence": document, "mlflow_run": "none", "expires_at": until}
        return self.ledger().append("evidence", MODEL, data, actor=SAM, key=f"evidence:{digest}")

    def sign(self, evidence: Entry) -> None:
        """Record two proper decisions and the permit, and lay the files out as MLflow hands them."""
        document, digest, review = evidence.data["evidence"], evidence.data["digest"], self.ledger("review")
        issued = self.world.approve(document)
        for one in issued["permit"]["decisions"]:
            person = one["decision"]["person"]
            review.append("decision", MODEL, one, actor=person, key=f"decision:{digest}:{person}")
        review.append("permit", MODEL, issued, actor=SAM, key=f"permit:{digest}")
        self.world.lay_out(self.folder / "made", document, issued)

    def release(self, evidence: Entry) -> None:
        """Record that a version serves."""
        facts = {"version": evidence.data["evidence"]["model"]["version"], "evidence": evidence.data["digest"]}
        key = f"release:{evidence.data['digest']}"
        self.ledger().append("release", MODEL, {**facts, "previous": None}, actor=SAM, key=key)

    def verify_release(self, evidence: Entry) -> verify.Verified:
        """Verify all that a release does: ledger, evidence, permit, model files and snapshot."""
        now, ledger = datetime.now(UTC), self.ledger()
        candidate = verify.candidate_to_release(self.settings, ledger, MODEL, evidence.data["digest"], now)
        return verify.verify_release(self.settings, ledger, candidate, self.folder / "made", now)

    def window(self, **requests: int) -> Entry:
        """Freeze a window of so many rows for each request, and record it as the monitor does."""
        asked = [request for request, count in requests.items() for _ in range(count)]
        frame = rows(len(asked)).assign(**{REQUEST: asked})
        root = self.settings.snapshots
        frozen = freeze(frame, model=f"{MODEL}.windows", root=root, protected_columns=["group"], subject=REQUEST)
        data = {"snapshot": frozen.to_dict(), "until": datetime.now(UTC).isoformat(), "rows": len(frame)}
        return self.ledger().append("window", MODEL, data, actor=SAM, key=f"window:{next(_numbers)}")

    def find(self, person: str, *requests: str) -> Answer:
        return subject.find(self.settings, person, list(requests), MODEL)

    def erase(self, person: str, *requests: str, reason: str = "Asked for on 3 March.", login: str = "pipeline") -> Any:
        return subject.erase(self.settings_of(login), person, list(requests), None, reason, None)

    def on_disk(self, text: str) -> bool:
        """Whether a text stands in any file under the root of snapshots, in its bytes or compressed."""
        found = [path for path in Path(self.settings.snapshots).rglob("*") if path.is_file()]
        values = (str(pq.read_table(path).to_pydict()) for path in found if path.suffix == ".parquet")
        return any(text in one for one in values) or any(text.encode() in path.read_bytes() for path in found)


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    with closing(Server()) as server:
        yield server


@pytest.fixture(scope="session")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> World:
    """A checkout whose model.yaml names a subject; each test has a state folder of its own beside it."""
    world = World.make(tmp_path_factory.mktemp("lender") / "checkout")
    spec = world.spec.document.path
    spec.write_text(
        spec.read_text().replace("contract: contract.json}", "contract: contract.json, subject: application}")
    )
    people().to_csv(spec.parent / "tiny.csv", index=False)
    world.commit("Name the subject")
    return world


@pytest.fixture
def lender(server: Server, checkout: World, tmp_path: Path) -> Iterator[Lender]:
    database = Database(server, f"subjects_{next(_numbers)}")
    with closing(psycopg.connect(server.dsn("postgres", "postgres"), autocommit=True)) as connection:
        connection.execute(f"CREATE DATABASE {database.name} TEMPLATE template0")
    install(database.dsn("postgres"))
    more = {"GOVERNANCE_SNAPSHOTS": str(tmp_path / "snapshots")}
    yield Lender(replace(checkout, more=more), database, tmp_path)
    for ledger in database.ledgers:
        ledger.close()
