"""From a signed permit to a served model, and what stops it on the way."""

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from governance.data import snapshots
from governance.errors import NotPermittedError, RefusedError, TamperedError, UnavailableError
from governance.ledger.log import Entry, Ledger
from governance.release import history
from governance.release.scoring import ScoringService
from tests.integration.serving.services_under_test import free_port
from tests.unit.release.permitted_world import CONTRACT_BODY, MARIA, MODEL, PEOPLE, POLICY, SPEC, TIER, TOM


def nothing_moved(house) -> bool:
    return house.registry.champion(MODEL) is None and not house.entries("release") and not house.entries("revert")


def flip(path: Path) -> None:
    body = bytearray(path.read_bytes())
    body[len(body) // 2] ^= 1
    path.write_bytes(body)


def test_a_signed_candidate_is_released_and_serves(house, scoring):
    evidence = house.candidate("run-1")
    house.sign(evidence)

    outcome = house.release("run-1")

    assert (outcome.reverted, outcome.already, outcome.previous) == (False, False, None)
    state = httpx.get(f"{scoring.url}/models/{MODEL}").json()
    assert (state["state"], state["evidence"]) == ("serving", evidence.data["digest"])
    assert house.registry.champion(MODEL) == outcome.registry_version
    assert [entry.data["evidence"] for entry in house.entries("release")] == [evidence.data["digest"]]
    assert [entry.data["evidence"] for entry in house.entries("served")] == [evidence.data["digest"]]


def test_a_retry_after_success_does_nothing_and_says_so(house, scoring):
    house.sign(house.candidate("run-1"))
    house.release("run-1")

    again = house.release("run-1")

    assert (again.already, again.reverted) == (True, False)
    assert "Nothing was done" in again.reason
    assert len(house.entries("release")) == len(house.entries("served")) == 1


def test_a_release_that_was_cut_off_after_the_alias_is_completed(house, scoring):
    evidence = house.candidate("run-1")
    house.sign(evidence)
    house.registry.set_champion(MODEL, evidence.data["evidence"]["model"]["registry_version"])

    outcome = house.release("run-1")

    assert (outcome.previous, outcome.already) == (None, False)
    assert len(house.entries("release")) == 1


def test_an_acknowledgement_that_was_lost_is_made_good_by_the_retry(house, scoring, monkeypatch):
    house.sign(house.candidate("run-1"))
    append = Ledger.append

    def lose_the_answer(self: Ledger, kind: str, *arguments: Any, **more: Any) -> Entry:
        entry = append(self, kind, *arguments, **more)
        if kind == "release":
            raise UnavailableError("no acknowledgement")
        return entry

    with monkeypatch.context() as patched:
        patched.setattr(Ledger, "append", lose_the_answer)
        assert house.release("run-1").reverted
    assert house.registry.champion(MODEL) is None

    outcome = house.release("run-1")

    assert not outcome.reverted
    assert house.registry.champion(MODEL) == outcome.registry_version
    assert history.live(house.ledger(), MODEL).version == "1.0.0"


def test_the_next_release_names_the_one_before_and_history_tells_both(house, scoring):
    house.sign(house.candidate("run-1"))
    first = house.release("run-1")
    between = datetime.now(UTC)
    house.sign(house.candidate("run-2", seed=1, version="1.1.0"))

    second = house.release("run-2")

    ledger = house.ledger("auditor")
    assert second.previous == {
        "version": "1.0.0", "registry_version": first.registry_version, "evidence": first.evidence
    }  # fmt: skip
    then, now = history.live(ledger, MODEL, between, house.world.people), history.live(ledger, MODEL)
    assert (then.version, now.version) == ("1.0.0", "1.1.0")
    assert [(one.name, one.role) for one in then.signatures] == [
        ("Maria Alvarez", "model_risk"), ("Tom Okafor", "compliance")
    ]  # fmt: skip
    assert then.snapshot == house.world.snapshot.digest
    assert (then.until, now.until) == (now.since, None)
    assert history.live(ledger, MODEL, between - timedelta(days=1)) is None


def test_what_serves_is_verified_from_the_bytes_for_the_command_line(house, scoring):
    evidence = house.candidate("run-1")
    house.sign(evidence)
    settings, ledger = house.world.settings, house.ledger("auditor")

    assert history.permitted(settings, ledger, MODEL, "1.0.0").permit.evidence_digest == evidence.data["digest"]
    with pytest.raises(NotPermittedError, match="released version"):
        history.permitted(settings, ledger, MODEL)
    house.release("run-1")
    assert history.permitted(settings, ledger, MODEL).permit.version == "1.0.0"
    flip(house.artifacts(evidence) / "model" / "model.skops")
    with pytest.raises(TamperedError, match=r"model\.skops"):
        history.permitted(settings, ledger, MODEL)


def test_without_signatures_nothing_is_released(house, unserved):
    house.candidate("run-1")

    with pytest.raises(NotPermittedError, match="marking the approval task as successful permits nothing"):
        house.release("run-1")
    assert nothing_moved(house)


def test_a_reject_stops_it_whatever_permit_there_is(house, unserved):
    evidence = house.candidate("run-1")
    reject = house.world.decide(evidence.data["evidence"], TOM, "compliance", answer="reject")
    house.ledger("review").append("decision", MODEL, reject.to_dict(), actor=TOM, key="decision:reject")
    house.sign(evidence)

    with pytest.raises(NotPermittedError, match="found one by p-0bbb"):
        house.release("run-1")
    assert nothing_moved(house)


def test_a_blocked_candidate_is_not_released_whoever_signed(house, unserved):
    house.sign(house.candidate("run-1", accuracy=0.5))

    with pytest.raises(RefusedError, match="accuracy"):
        house.release("run-1")
    assert nothing_moved(house)


def test_a_permit_in_which_a_role_is_missing_releases_nothing(house, unserved):
    evidence = house.candidate("run-1")
    house.sign(evidence, decisions=[house.world.decide(evidence.data["evidence"], MARIA, "model_risk")])

    with pytest.raises(NotPermittedError, match="Compliance"):
        house.release("run-1")
    assert nothing_moved(house)


def test_an_expired_permit_releases_nothing(house, unserved):
    house.sign(house.candidate("run-1"), now=datetime.now(UTC) - timedelta(days=31))

    with pytest.raises(NotPermittedError, match="ended on"):
        house.release("run-1")
    assert nothing_moved(house)


def test_a_permit_for_another_environment_releases_nothing(house, unserved):
    house.sign(house.candidate("run-1"))
    house.world = house.world.with_services(GOVERNANCE_ENVIRONMENT="staging")

    with pytest.raises(NotPermittedError, match="staging"):
        house.release("run-1")
    assert nothing_moved(house)


IN_MLFLOW = (
    "model/model.skops",
    "model/model.json",
    "model/MLmodel",
    "model/manifest.json",
    "model/signature.json",
    "evidence/evidence.json",
)


@pytest.mark.parametrize("file", IN_MLFLOW)
def test_one_flipped_bit_in_mlflow_stops_the_release(house, unserved, file):
    evidence = house.candidate("run-1")
    house.sign(evidence)
    flip(house.artifacts(evidence) / file)

    with pytest.raises(TamperedError, match=Path(file).name.replace(".", r"\.")):
        house.release("run-1")
    assert nothing_moved(house)


PERMIT_FILES = (
    "evidence.json", "permit.json", "policy.yaml", "tier.yaml", "people.yaml", "model.yaml", "contract.json"
)  # fmt: skip


@pytest.mark.parametrize("file", PERMIT_FILES)
def test_a_file_of_the_permit_that_was_changed_in_mlflow_is_refused_and_not_mended(house, unserved, file):
    evidence = house.candidate("run-1")
    issued = house.sign(evidence)
    files = house.world.permit_files(evidence.data["evidence"], dict(issued.data))
    house.registry.upload_bundle(MODEL, evidence.data["evidence"]["model"]["registry_version"], files)
    flip(house.artifacts(evidence) / "permit" / file)

    with pytest.raises(TamperedError, match=f"permit/{file}".replace(".", r"\.")):
        house.release("run-1")
    assert nothing_moved(house)


IN_THE_CHECKOUT = {
    "include/models/tiny/policy.yaml": (POLICY.replace("1.0.0", "1.0.1"), r"policy\.yaml"),
    "include/policies/high.yaml": (TIER.replace("at_least: 0.7", "at_least: 0.1") % "stop", r"policies/high\.yaml"),
    "include/people.yaml": (PEOPLE.replace("Tom", "Tim"), r"people\.yaml"),
    "include/models/tiny/model.yaml": (SPEC.replace("Made up", "Invented"), r"model\.yaml"),
    "include/models/tiny/contract.json": (CONTRACT_BODY.decode() + " ", r"contract\.json"),
    "include/models/tiny/train.py": ("def fit(frame, params): return 1\n", r"train\.py"),
    "include/governance/shared.py": ("SHARED = 2\n", r"shared\.py"),
    "plugins/new.py": ("NEW = 1\n", r"plugins/new\.py"),
}


@pytest.mark.parametrize(("file", "change"), IN_THE_CHECKOUT.items(), ids=IN_THE_CHECKOUT)
def test_what_changed_in_the_checkout_since_the_signature_is_refused_by_name(house, unserved, file, change):
    house.sign(house.candidate("run-1"))
    text, named = change
    path = house.world.root / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)

    with pytest.raises(TamperedError, match=named):
        house.release("run-1")
    assert nothing_moved(house)


@pytest.mark.parametrize("pattern", ["data/*.parquet", "data/_delta_log/*.json", "protected/*.parquet"])
def test_one_flipped_bit_in_the_snapshot_stops_the_release(house, unserved, pattern):
    house.sign(house.candidate("run-1"))
    path = next(Path(house.world.settings.snapshots, MODEL).glob(pattern))
    flip(path)

    with pytest.raises(TamperedError, match=path.name):
        house.release("run-1")
    assert nothing_moved(house)


@pytest.mark.parametrize("kind", ["evidence", "decision", "permit", "snapshot"])
def test_a_ledger_that_was_changed_releases_nothing(house, unserved, kind):
    house.sign(house.candidate("run-1"))
    flipped = "UPDATE ledger.entry SET body = set_byte(body, octet_length(body) / 2, 33) WHERE kind = %s"
    house.database.tamper(flipped, kind)

    with pytest.raises(TamperedError, match="ledger"):
        house.release("run-1")
    assert house.registry.champion(MODEL) is None


def test_a_scoring_service_that_cannot_verify_refuses_and_the_release_is_moved_back(house, serve):
    serve()
    house.sign(house.candidate("run-1"))
    first = house.release("run-1")
    keys = house.folder / "old-keys"
    shutil.copytree(house.world.settings.public_keys, keys)
    shutil.copy(keys / "artifact.pem", keys / "review.pem")
    blind = serve(GOVERNANCE_PUBLIC_KEYS=str(keys))
    house.sign(house.candidate("run-2", seed=1, version="1.1.0"))

    outcome = house.release("run-2")

    assert outcome.reverted
    assert "permit.json" in outcome.reason
    assert house.registry.champion(MODEL) == first.registry_version
    assert [entry.data["reason"] for entry in house.entries("revert")] == [outcome.reason]
    assert history.live(house.ledger(), MODEL).version == "1.0.0"
    assert httpx.get(f"{blind.url}/ready").status_code == 503


def test_a_scoring_service_that_does_not_answer_leaves_no_champion_behind(house):
    house.world = house.world.with_services(GOVERNANCE_SERVING_URL=f"http://127.0.0.1:{free_port()}")
    house.sign(house.candidate("run-1"))

    outcome = house.release("run-1")

    assert outcome.reverted
    assert house.registry.champion(MODEL) is None
    assert history.live(house.ledger(), MODEL) is None


def test_an_endpoint_that_predicts_something_else_fails_the_smoke_test(house, serve):
    evidence = house.candidate("run-1")
    house.sign(evidence)
    serve(_impostor(evidence.data["digest"]))

    outcome = house.release("run-1")

    assert outcome.reverted
    assert "what serves is not what was signed" in outcome.reason
    assert house.registry.champion(MODEL) is None


def _impostor(digest: str) -> FastAPI:
    app = FastAPI()
    app.post("/models/{model}/refresh")(lambda model: {"look": 1})
    app.get("/models/{model}")(lambda model: {"state": "serving", "evidence": digest, "looked": 1})
    app.get("/health")(lambda: {})
    answer = {"predictions": [1] * 5, "scores": [0.5] * 5, "model": {"evidence": digest}}
    app.post("/models/{model}/invocations")(lambda model: answer)
    return app


def test_after_a_failed_attempt_the_next_one_may_succeed(house, serve):
    house.world = house.world.with_services(GOVERNANCE_SERVING_URL=f"http://127.0.0.1:{free_port()}")
    house.sign(house.candidate("run-1"))
    assert house.release("run-1").reverted
    serve()

    assert not house.release("run-1").reverted
    assert (len(house.entries("revert")), len(house.entries("release"))) == (1, 1)


def test_mlflow_away_is_said_by_name_and_address(house, unserved):
    house.sign(house.candidate("run-1"))
    house.world = house.world.with_services(GOVERNANCE_MLFLOW_URL=f"http://127.0.0.1:{free_port()}")

    with pytest.raises(UnavailableError, match=rf"MLflow at {house.world.settings.mlflow_url}"):
        house.release("run-1")
    assert not house.entries("release")


def test_the_smoke_test_uses_rows_of_the_snapshot_that_meet_the_contract(house, scoring, monkeypatch):
    house.sign(house.candidate("run-1"))
    asked: list[Any] = []
    score = ScoringService.score

    def noted(self: Any, model: str, columns: Any, rows: Any) -> Any:
        asked.extend(rows)
        return score(self, model, columns, rows)

    monkeypatch.setattr(ScoringService, "score", noted)
    house.release("run-1")

    known = snapshots.load(house.world.snapshot)[["income", "age", "kind", "debt"]]
    known = known.astype(object).where(known.notna(), None).to_numpy().tolist()
    assert len(asked) == 5
    assert all(row in known for row in asked)
