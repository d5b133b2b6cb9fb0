"""Nothing is loaded that was not permitted, byte for byte."""

import json
import shutil
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.tree import DecisionTreeClassifier

from governance import canonical
from governance.data import snapshots
from governance.errors import GovernanceError, NotPermittedError, RefusedError, TamperedError
from governance.keys import PublicKeys
from governance.release.loading import Wanted, load_permitted
from governance.training.artifacts import load_artifact, write_artifact
from tests.unit.release.permitted_world import ADA, DANA, MARIA, MODEL, SAM, TOM, World

FILES = {
    "model/model.skops": "model.skops",
    "model/model.json": "model.json",
    "model/MLmodel": "MLmodel",
    "model/input_example.json": "input_example.json",
    "model/manifest.json": "manifest.json",
    "model/signature.json": "signature.json",
    "permit/evidence.json": "evidence.json",
    "permit/permit.json": "permit.json",
    "permit/policy.yaml": "policy.yaml",
    "permit/tier.yaml": "tier.yaml",
    "permit/people.yaml": "people.yaml",
    "permit/model.yaml": "model.yaml",
    "permit/contract.json": "contract.json",
}
"""Every file that a permitted model consists of → how a refusal names it."""


def wanted(**changes) -> Wanted:
    return replace(Wanted(MODEL, 1, "production", datetime.now(UTC)), **changes)


def load(world: World, folder: Path, **changes):
    return load_permitted(folder, wanted(**changes), world.keys)


def flip(path: Path, position: int, bit: int = 0) -> None:
    body = bytearray(path.read_bytes())
    body[position] ^= 1 << bit
    path.write_bytes(body)


def test_a_signed_model_loads_and_predicts_what_it_predicted_when_it_was_trained(world, laid_out):
    permitted = load(world, laid_out)

    frame = snapshots.load(world.snapshot)[list(permitted.inputs.features)]
    assert permitted.permit.version == "1.0.0"
    assert permitted.inputs.features == ("income", "age", "kind", "debt")
    assert set(permitted.model.predict(frame)) == {0, 1}


def test_the_files_are_all_in_the_table(laid_out):
    assert {str(path.relative_to(laid_out)) for path in laid_out.rglob("*") if path.is_file()} == set(FILES)


@pytest.mark.parametrize("place", ["first", "middle", "last"])
@pytest.mark.parametrize("file", FILES, ids=FILES.values())
def test_one_flipped_bit_is_refused_by_the_name_of_the_file(world, laid_out, file, place):
    size = (laid_out / file).stat().st_size
    flip(laid_out / file, {"first": 0, "middle": size // 2, "last": size - 1}[place])

    with pytest.raises(TamperedError, match=FILES[file].replace(".", r"\.")):
        load(world, laid_out)


@pytest.mark.parametrize("file", FILES, ids=FILES.values())
def test_a_file_that_is_missing_is_refused(world, laid_out, file):
    (laid_out / file).unlink()

    with pytest.raises(RefusedError):
        load(world, laid_out)


def test_a_file_too_many_beside_the_model_is_refused(world, laid_out):
    (laid_out / "model" / "more.py").write_text("import os")

    with pytest.raises(TamperedError, match=r"more\.py"):
        load(world, laid_out)


def test_every_byte_of_the_signed_documents_counts(world, laid_out):
    for name in ("permit.json", "evidence.json"):
        path = laid_out / "permit" / name
        whole = path.read_bytes()
        for position in range(0, len(whole), 97):
            flip(path, position, bit=position % 7)
            with pytest.raises(TamperedError, match=name):
                load(world, laid_out)
            path.write_bytes(whole)


def test_without_a_permit_nothing_loads(world, laid_out):
    shutil.rmtree(laid_out / "permit")

    with pytest.raises(NotPermittedError, match="nobody permitted"):
        load(world, laid_out)


def test_a_permit_serves_its_own_registry_version_only(world, laid_out):
    with pytest.raises(NotPermittedError, match="version 2"):
        load(world, laid_out, registry_version=2)


def test_a_permit_serves_its_own_model_only(world, laid_out):
    with pytest.raises(NotPermittedError, match="other"):
        load(world, laid_out, model="other")


def test_a_permit_serves_its_own_environment_only(world, laid_out):
    with pytest.raises(NotPermittedError, match="staging"):
        load(world, laid_out, environment="staging")


def test_an_expired_permit_loads_nothing(world, laid_out):
    with pytest.raises(NotPermittedError, match="ended on"):
        load(world, laid_out, now=datetime.now(UTC) + timedelta(days=30, seconds=1))


def test_a_permit_made_longer_than_the_policy_allows_is_refused(world, laid_out, document):
    end = (datetime.now(UTC) + timedelta(days=3650)).isoformat()
    world.lay_out(laid_out, document, world.approve(document, expires_at=end))

    with pytest.raises(NotPermittedError, match="longer than the policy"):
        load(world, laid_out)


def decisions_by(*who):
    return lambda world, document: [world.decide(document, person, role) for person, role in who]


WRONG_DECISIONS = {
    "by the developer": decisions_by((DANA, "model_risk"), (TOM, "compliance")),
    "by the author of the folder": decisions_by((ADA, "model_risk"), (TOM, "compliance")),
    "by who started the run": decisions_by((MARIA, "model_risk"), (SAM, "compliance")),
    "in a role not held": decisions_by((MARIA, "model_risk"), (MARIA, "compliance")),
    "in one role only": decisions_by((MARIA, "model_risk")),
    "twice by one person": decisions_by((MARIA, "model_risk"), (MARIA, "model_risk")),
    "by nobody": lambda world, document: [],
    "by somebody unknown": decisions_by((MARIA, "model_risk"), ("p-9999", "compliance")),
    "with a reject": lambda world, document: [
        world.decide(document, MARIA, "model_risk"),
        world.decide(document, TOM, "compliance", answer="reject"),
    ],
    "over another evidence": lambda world, document: [
        world.decide(document, MARIA, "model_risk"),
        world.decide(document, TOM, "compliance", evidence="0" * 64),
    ],
    "under another policy": lambda world, document: [
        world.decide(document, MARIA, "model_risk", policy="0" * 64),
        world.decide(document, TOM, "compliance"),
    ],
    "copied from another version": lambda world, document: [
        world.decide({**document, "request": {"reason": "Another one.", "bump": "minor"}}, person, role)
        for person, role in ((MARIA, "model_risk"), (TOM, "compliance"))
    ],
    "changed after it was signed": lambda world, document: [
        world.decide(document, MARIA, "model_risk"),
        replace(world.decide(document, SAM, "compliance"), decision=world.decide(document, TOM, "compliance").decision),
    ],
}


@pytest.mark.parametrize("decisions", WRONG_DECISIONS.values(), ids=WRONG_DECISIONS)
def test_a_permit_does_not_count_with_decisions(world, laid_out, document, decisions):
    world.lay_out(laid_out, document, world.approve(document, decisions(world, document)))

    with pytest.raises(NotPermittedError):
        load(world, laid_out)


def test_who_cleared_a_task_of_the_run_may_not_have_signed(world, laid_out, document):
    world.lay_out(laid_out, document, world.approve(document, run_actors={MARIA: ["cleared"]}))

    with pytest.raises(NotPermittedError, match="cleared"):
        load(world, laid_out)


def test_a_permit_signed_by_another_key_is_refused(world, laid_out, document, tmp_path):
    forger = world.make_key("review", tmp_path / "forged")
    world.lay_out(laid_out, document, world.approve(document, signer=forger))

    with pytest.raises(TamperedError, match=r"permit\.json"):
        load(world, laid_out)


def test_the_key_that_signs_models_cannot_sign_permits(world, laid_out, document):
    world.lay_out(laid_out, document, world.approve(document, signer=world.signer("artifact")))

    with pytest.raises(TamperedError, match=r"permit\.json"):
        load(world, laid_out)


def test_a_model_signed_by_another_key_is_refused(world, laid_out, trained, tmp_path):
    keys = world.make_key("artifact", tmp_path / "forged")
    manifest = json.loads((laid_out / "model" / "manifest.json").read_bytes())
    forged = json.loads((laid_out / "model" / "signature.json").read_bytes())
    forged["signature"] = keys.sign(manifest, "artifact")
    (laid_out / "model" / "signature.json").write_bytes(canonical.to_bytes(forged))

    with pytest.raises(TamperedError, match=r"signature\.json"):
        load(world, laid_out)


def test_another_model_of_ours_properly_signed_is_not_the_permitted_one(world, laid_out):
    shutil.rmtree(laid_out / "model")
    world.train(laid_out / "model", seed=1)

    with pytest.raises(TamperedError):
        load(world, laid_out)


def test_a_model_that_the_policy_blocks_is_refused_whoever_signed(world, laid_out, trained):
    blocked = world.judge(trained[1], accuracy=0.5)
    world.lay_out(laid_out, blocked, world.approve(blocked))

    with pytest.raises(NotPermittedError, match="accuracy"):
        load(world, laid_out)


def test_a_verdict_is_repeated_and_not_believed(world, laid_out, trained, document):
    blocked = world.judge(trained[1], accuracy=0.5)
    lying = {**blocked, "verdict": document["verdict"]}
    world.lay_out(laid_out, lying, world.approve(lying))

    with pytest.raises(TamperedError, match="another verdict"):
        load(world, laid_out)


def test_types_that_the_reviewed_spec_does_not_name_are_not_rebuilt(world, laid_out, trained):
    frame = snapshots.load(world.snapshot)
    model = make_pipeline(FunctionTransformer(_own_code), DecisionTreeClassifier(max_depth=2))
    model.fit(frame[list(world.spec.features)], frame["approve"])
    description = load_artifact(trained[0] / "model", world.spec.training.trusted_types, world.keys).description
    shutil.rmtree(laid_out / "model")
    manifest = write_artifact(laid_out / "model", model, description, signer=world.signer("artifact"))
    signed = world.judge(manifest)
    world.lay_out(laid_out, signed, world.approve(signed))

    with pytest.raises(RefusedError, match="_own_code"):
        load(world, laid_out)


def _own_code(frame):
    return frame


def test_without_public_keys_nothing_loads(laid_out, tmp_path):
    with pytest.raises(GovernanceError, match="known key"):
        load_permitted(laid_out, wanted(), PublicKeys({}))
