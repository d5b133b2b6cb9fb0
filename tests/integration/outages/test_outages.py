"""MLflow, PostgreSQL and the scoring service down before, during and after: said by name, nothing lost, nothing twice.

*During* means: cut at the first byte, a little later, and so on, until the work comes through without a cut. After
each cut the service is back, the work is done again as Airflow would, and its result is what an undisturbed run gives.
"""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest
from psycopg.conninfo import make_conninfo

from governance.errors import UnavailableError
from governance.keys import PublicKeys
from governance.ledger.log import Ledger
from governance.training import tracking
from governance.training.artifacts import verify_artifact
from tests.integration.outages.gate import Gate
from tests.unit.release.permitted_world import MODEL, SAM

STEPS = 4
"""In so many places the work is cut."""


@pytest.fixture
def gate_of() -> Iterator[object]:
    """Return a function that puts a gate in front of an address; all are closed in the end."""
    made: list[Gate] = []

    def of(url: str) -> Gate:
        made.append(Gate.before(url))
        return made[-1]

    yield of
    for gate in made:
        gate.close()


def places(total: int) -> list[int]:
    """Spread the cuts over all bytes that the undisturbed work sends."""
    return [max(1, total * step // STEPS) for step in range(STEPS)]


class TestMlflow:
    """Where candidates are registered."""

    @pytest.fixture
    def artifact(self, house, tmp_path: Path) -> Path:
        house.world.train(tmp_path / "model", seed=0)
        return tmp_path / "model"

    def register(self, url: str, key: str, artifact: Path) -> tracking.Registered:
        return tracking.log_candidate(url, model=MODEL, key=key, artifact=artifact, params={"a": 1}, tags={"b": "c"})

    def versions(self, house, key: str) -> list[str]:
        with tracking._client(house.registry.url) as client:
            found = client.search_model_versions(f"name = '{MODEL}' and tags.`governance.key` = '{key}'")
            return [version.run_id for version in found]

    def test_down_before_it_is_said_by_address_and_nothing_is_registered(self, house, gate_of, artifact) -> None:
        gate = gate_of(house.registry.url)
        gate.shut()
        with pytest.raises(UnavailableError, match=f"MLflow at {gate.url} to answer"):
            self.register(gate.url, f"before:{house.database.name}", artifact)
        assert self.versions(house, f"before:{house.database.name}") == []

    @pytest.mark.slow
    def test_cut_anywhere_the_next_attempt_completes_one_version_with_whole_files(
        self, house, gate_of, artifact, tmp_path
    ) -> None:
        gate = gate_of(house.registry.url)
        gate.open()
        self.register(gate.url, f"whole:{house.database.name}", artifact)
        for number, place in enumerate(places(gate.bytes)):
            key = f"cut-{number}:{house.database.name}"
            gate.open(most_bytes=place)
            with pytest.raises(UnavailableError, match="Expected MLflow at"):
                self.register(gate.url, key, artifact)
            gate.open()
            made = self.register(gate.url, key, artifact)
            assert self.versions(house, key) == [made.run_id]
            fetched = tracking.download(house.registry.url, made.run_id, "model", tmp_path / f"fetched-{number}")
            verify_artifact(fetched, PublicKeys.from_folder(house.world.settings.public_keys))

    @pytest.mark.slow
    def test_down_after_the_release_the_scoring_service_goes_on_serving(self, house, serve, gate_of) -> None:
        gate = gate_of(house.registry.url)
        house.world = house.world.with_services(GOVERNANCE_MLFLOW_URL=gate.url)
        evidence = house.candidate("run-1")
        house.sign(evidence)
        service = serve()
        assert not house.release("run-1").reverted
        gate.shut()
        httpx.post(f"{service.url}/models/{MODEL}/refresh")
        state = httpx.get(f"{service.url}/models/{MODEL}").json()
        assert (state["state"], state["evidence"]) == ("serving", evidence.data["digest"])


class TestPostgres:
    """Where the ledger is."""

    @pytest.fixture
    def gated(self, house) -> Iterator[tuple[Gate, Ledger]]:
        gate = Gate(f"{house.database.server.host}/.s.PGSQL.5432")
        ledger = Ledger(make_conninfo(house.database.dsn("pipeline"), host="127.0.0.1", port=gate.port))
        with closing(ledger):
            yield gate, ledger
        gate.close()

    def append(self, ledger: Ledger, key: str) -> int:
        return ledger.append("run", MODEL, {"text": "x" * 2000}, actor=SAM, key=key).seq

    def test_down_before_it_is_said_and_nothing_is_written(self, house, gated) -> None:
        gate, ledger = gated
        gate.shut()
        with pytest.raises(UnavailableError, match="ledger"):
            self.append(ledger, "before")
        assert house.ledger("auditor").get("before") is None

    def test_cut_anywhere_an_entry_is_written_once(self, house, gated) -> None:
        gate, ledger = gated
        gate.open()
        self.append(ledger, "whole")
        for number, place in enumerate(places(gate.bytes)):
            ledger.close()
            gate.open(most_bytes=place)
            with pytest.raises(UnavailableError):
                self.append(ledger, f"cut-{number}")
            gate.open()
            written = self.append(ledger, f"cut-{number}")
            entries = house.ledger("auditor").find(kind="run", subject=MODEL)
            assert [entry.seq for entry in entries if entry.key == f"cut-{number}"] == [written]

    def test_down_after_what_was_written_is_there_when_it_is_back(self, house, gated) -> None:
        gate, ledger = gated
        written = self.append(ledger, "after")
        gate.shut()
        with pytest.raises(UnavailableError):
            ledger.get("after")
        gate.open()
        found = ledger.get("after")
        assert found is not None
        assert found.seq == written


class TestScoringService:
    """What the release tells, and asks."""

    def test_down_before_nothing_is_released(self, house, serve, gate_of) -> None:
        gate = gate_of(serve().url)
        house.world = house.world.with_services(GOVERNANCE_SERVING_URL=gate.url)
        house.sign(house.candidate("run-1"))
        gate.shut()
        assert house.release("run-1").reverted
        assert house.registry.champion(MODEL) is None

    @pytest.mark.slow
    def test_cut_anywhere_in_a_release_it_is_moved_back_or_done_and_the_next_attempt_serves(
        self, house, serve, gate_of
    ) -> None:
        service = serve()
        gate = gate_of(service.url)
        house.world = house.world.with_services(GOVERNANCE_SERVING_URL=gate.url)
        first = house.candidate("run-0", seed=0)
        house.sign(first)
        gate.open()
        assert not house.release("run-0").reverted
        total = gate.bytes
        serving = first
        for number, place in enumerate((1, total // 2), start=1):
            evidence = house.candidate(f"run-{number}", seed=number, version=f"1.{number}.0")
            house.sign(evidence)
            gate.open(most_bytes=place)
            assert house.release(f"run-{number}").reverted
            assert house.registry.champion(MODEL) == serving.data["evidence"]["model"]["registry_version"]
            gate.open()
            assert not house.release(f"run-{number}").reverted
            state = httpx.get(f"{service.url}/models/{MODEL}").json()
            assert (state["state"], state["evidence"]) == ("serving", evidence.data["digest"])
            serving = evidence
