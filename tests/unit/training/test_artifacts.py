"""One changed byte, one file more or less, and the model is not loaded."""

import json
import os
import shutil
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from governance import canonical
from governance.errors import GovernanceError, InputError, RefusedError, TamperedError
from governance.keys import PublicKeys, Signer
from governance.training.artifacts import (
    MANIFEST,
    SIGNATURE,
    Description,
    LoadedModel,
    Manifest,
    load_artifact,
    load_unsigned,
    verify_artifact,
    write_artifact,
)
from governance.training.fits import TrainingSet
from tests.unit.training.conftest import make_keys

BESIDE = {"MLmodel": b"flavors: {}\n", "input_example.json": b"{}"}


@pytest.fixture(scope="module")
def estimator(rows: TrainingSet) -> LogisticRegression:
    return LogisticRegression().fit(rows.features, rows.target)


@pytest.fixture
def written(tmp_path: Path, estimator, description: Description, signer: Signer) -> tuple[Path, Manifest]:
    folder = tmp_path / "artifact"
    return folder, write_artifact(folder, estimator, description, signer=signer, beside=BESIDE)


# --- the good case -------------------------------------------------------------------------------------------------


def test_a_model_directory_lists_its_files_sorted_with_size_and_digest(written):
    folder, manifest = written
    assert [file["path"] for file in manifest.files] == ["MLmodel", "input_example.json", "model.json", "model.skops"]
    for file in manifest.files:
        body = (folder / file["path"]).read_bytes()
        assert file == {"path": file["path"], "size": len(body), "sha256": canonical.digest_of_bytes(body)}


def test_the_artifact_digest_is_the_digest_of_the_manifests_bytes(written):
    folder, manifest = written
    assert manifest.digest == canonical.digest_of_bytes((folder / MANIFEST).read_bytes())


def test_what_was_written_verifies(written, public_keys: PublicKeys):
    folder, manifest = written
    assert verify_artifact(folder, public_keys, manifest.digest) == manifest


def test_the_same_model_twice_is_the_same_digest(written, tmp_path, estimator, description, signer):
    again = write_artifact(tmp_path / "again", estimator, description, signer=signer, beside=BESIDE)
    assert again == written[1]


def test_a_loaded_model_scores_as_the_estimator_did(written, public_keys, estimator, rows: TrainingSet):
    model = load_artifact(written[0], [], public_keys, written[1].digest)
    assert np.array_equal(model.score(rows.features), estimator.predict_proba(rows.features)[:, 1])


@pytest.mark.parametrize("threshold", [0.05, 0.3, 0.5, 0.9])
def test_the_threshold_is_part_of_the_model(threshold, tmp_path, estimator, description, signer, public_keys, rows):
    decided = replace(description, threshold=threshold)
    write_artifact(tmp_path / "a", estimator, decided, signer=signer)
    model = load_artifact(tmp_path / "a", [], public_keys)
    assert np.array_equal(model.predict(rows.features), model.estimator.predict(rows.features))
    assert np.array_equal(model.predict(rows.features), (model.score(rows.features) >= threshold).astype(int))


def test_a_favourable_value_of_0_turns_scores_and_decisions_round(
    tmp_path, estimator, description, signer, public_keys, rows
):
    turned = replace(description, favourable=0, threshold=0.3)
    write_artifact(tmp_path / "a", estimator, turned, signer=signer)
    model = load_artifact(tmp_path / "a", [], public_keys)
    assert np.array_equal(model.score(rows.features), estimator.predict_proba(rows.features)[:, 0])
    assert np.array_equal(model.predict(rows.features), (model.estimator.predict(rows.features) == 0).astype(int))


def test_columns_may_come_in_any_order_and_with_others(written, public_keys, rows: TrainingSet):
    model = load_artifact(written[0], [], public_keys)
    shuffled = rows.features[["age", "income", "postcode"]].assign(other=1)
    assert np.array_equal(model.score(shuffled), model.score(rows.features))


def test_a_missing_column_is_told_by_name(written, public_keys, rows: TrainingSet):
    with pytest.raises(InputError, match="found none named age"):
        load_artifact(written[0], [], public_keys).score(rows.features.drop(columns="age"))


def test_rows_that_the_model_cannot_score_are_told(written, public_keys, rows: TrainingSet):
    gaps = rows.features.assign(age=np.nan)
    with pytest.raises(InputError, match="ValueError: Input X contains NaN"):
        load_artifact(written[0], [], public_keys).score(gaps)


def test_a_description_survives_its_json_form(description: Description):
    assert Description.from_dict(json.loads(json.dumps(description.to_dict()))) == description


def test_a_folder_with_files_in_it_is_not_written_to(tmp_path, estimator, description, signer):
    (tmp_path / "mine.txt").touch()
    with pytest.raises(InputError, match="Expected an empty folder"):
        write_artifact(tmp_path, estimator, description, signer=signer)


# --- tampering -----------------------------------------------------------------------------------------------------


def places(body: bytes) -> list[int]:
    return sorted({0, 1, len(body) // 3, len(body) // 2, len(body) - 2, len(body) - 1})


def test_a_changed_byte_in_any_file_at_any_kind_of_place_is_refused(written, public_keys):
    folder, manifest = written
    for path in sorted(folder.iterdir()):
        original = path.read_bytes()
        for place in places(original):
            for bit in (1, 128):
                path.write_bytes(original[:place] + bytes([original[place] ^ bit]) + original[place + 1 :])
                with pytest.raises(TamperedError):
                    verify_artifact(folder, public_keys, manifest.digest)
        path.write_bytes(original)
    assert verify_artifact(folder, public_keys, manifest.digest)


def test_every_byte_of_manifest_and_signature_counts(written, public_keys):
    folder, _ = written
    for name in (MANIFEST, SIGNATURE):
        path = folder / name
        original = path.read_bytes()
        for place in range(len(original)):
            path.write_bytes(original[:place] + bytes([original[place] ^ 1]) + original[place + 1 :])
            with pytest.raises(TamperedError):
                verify_artifact(folder, public_keys)
        path.write_bytes(original)


def an_extra_file(folder: Path) -> None:
    (folder / "extra").touch()


def a_hidden_file(folder: Path) -> None:
    (folder / ".gitattributes").write_text("x")


def an_empty_folder(folder: Path) -> None:
    (folder / "empty").mkdir()


def a_missing_file(folder: Path) -> None:
    (folder / "MLmodel").unlink()


def a_renamed_file(folder: Path) -> None:
    (folder / "MLmodel").rename(folder / "MLmodel2")


def two_swapped_files(folder: Path) -> None:
    one, other = folder / "MLmodel", folder / "input_example.json"
    body = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(body)


def a_link_to_the_same_bytes(folder: Path) -> None:
    (folder / "MLmodel").rename(folder.parent / "elsewhere")
    (folder / "MLmodel").symlink_to(folder.parent / "elsewhere")


def a_pipe(folder: Path) -> None:
    os.mkfifo(folder / "pipe")


def no_signature(folder: Path) -> None:
    (folder / SIGNATURE).unlink()


def no_manifest(folder: Path) -> None:
    (folder / MANIFEST).unlink()


def a_manifest_in_another_form(folder: Path) -> None:
    document = json.loads((folder / MANIFEST).read_text())
    (folder / MANIFEST).write_text(json.dumps(document, indent=2))


def a_manifest_of_the_new_bytes(folder: Path) -> None:
    (folder / "MLmodel").write_bytes(b"other")
    bodies = {p.name: p.read_bytes() for p in folder.iterdir() if p.name not in (MANIFEST, SIGNATURE)}
    (folder / MANIFEST).write_bytes(canonical.to_bytes(Manifest.of(bodies).to_dict()))


def a_signature_for_another_purpose(folder: Path) -> None:
    document = json.loads((folder / SIGNATURE).read_text())
    (folder / SIGNATURE).write_bytes(canonical.to_bytes({**document, "purpose": "decision"}))


def a_signature_by_an_unknown_key(folder: Path) -> None:
    document = json.loads((folder / SIGNATURE).read_text())
    (folder / SIGNATURE).write_bytes(canonical.to_bytes({**document, "key": "mallory"}))


ATTACKS = {
    an_extra_file: "added extra",
    a_hidden_file: "added .gitattributes",
    an_empty_folder: "found something else: .*empty",
    a_missing_file: "missing MLmodel",
    a_renamed_file: "missing MLmodel; added MLmodel2",
    two_swapped_files: "changed MLmodel, input_example.json",
    a_link_to_the_same_bytes: "MLmodel",
    a_pipe: "found something else: .*pipe",
    no_signature: "found no signature.json",
    no_manifest: "found no manifest.json",
    a_manifest_in_another_form: "canonical JSON",
    a_manifest_of_the_new_bytes: "does not verify",
    a_signature_for_another_purpose: "to sign a model, found another document",
    a_signature_by_an_unknown_key: "mallory",
}


@pytest.mark.parametrize(("attack", "told"), ATTACKS.items(), ids=lambda value: getattr(value, "__name__", ""))
def test_a_tampered_directory_is_refused_by_name(attack, told, written, public_keys):
    attack(written[0])
    with pytest.raises(TamperedError, match=told):
        load_artifact(written[0], [], public_keys)


def test_a_whole_and_signed_model_is_refused_where_another_was_approved(written, public_keys):
    with pytest.raises(TamperedError, match=f"Expected the model {'0' * 64} .* whole, but another one"):
        verify_artifact(written[0], public_keys, "0" * 64)


def test_a_model_signed_by_another_key_of_the_same_name_is_refused(
    tmp_path, estimator, description, public_keys: PublicKeys
):
    other, _ = make_keys(tmp_path / "others")
    write_artifact(tmp_path / "a", estimator, description, signer=other)
    with pytest.raises(TamperedError, match="does not verify"):
        verify_artifact(tmp_path / "a", public_keys)


def test_a_signed_model_whose_threshold_is_not_the_described_one_is_refused(
    tmp_path, estimator, description, signer, public_keys
):
    folder = tmp_path / "a"
    write_artifact(folder, estimator, description, signer=signer)
    lying = {**description.to_dict(), "threshold": 0.9}
    bodies = {"model.skops": (folder / "model.skops").read_bytes(), "model.json": canonical.to_bytes(lying)}
    resign(folder, bodies, signer)
    with pytest.raises(TamperedError, match=r"Expected model\.skops to decide at 0\.9"):
        load_artifact(folder, [], public_keys)


def resign(folder: Path, bodies: dict[str, bytes], signer: Signer) -> None:
    manifest = Manifest.of(bodies).to_dict()
    signed = {
        "format": "governance-signature/1",
        "purpose": "artifact",
        "key": signer.name,
        "signature": signer.sign(manifest, "artifact"),
    }
    shutil.rmtree(folder)
    folder.mkdir()
    for name, body in bodies.items():
        (folder / name).write_bytes(body)
    (folder / MANIFEST).write_bytes(canonical.to_bytes(manifest))
    (folder / SIGNATURE).write_bytes(canonical.to_bytes(signed))


def test_a_folder_that_is_not_there_is_refused(tmp_path, public_keys):
    with pytest.raises(TamperedError, match="Expected a folder"):
        verify_artifact(tmp_path / "none", public_keys)


def test_what_is_loaded_is_what_was_verified_while_files_are_swapped(
    written, public_keys, rows: TrainingSet, estimator
):
    folder, manifest = written
    good = (folder / "model.skops").read_bytes()
    bad = good[:-1] + bytes([good[-1] ^ 1])
    stop = threading.Event()

    def swap() -> None:
        while not stop.is_set():
            for body in (bad, good):
                (folder / "new").write_bytes(body)
                (folder / "new").rename(folder / "model.skops")

    thread = threading.Thread(target=swap)
    thread.start()
    try:
        outcomes = [outcome_of(folder, public_keys, manifest.digest) for _ in range(200)]
    finally:
        stop.set()
        thread.join()
    expected = estimator.predict_proba(rows.features)[:, 1]
    for model in outcomes:
        assert model is None or np.array_equal(model.score(rows.features), expected)


def outcome_of(folder: Path, public_keys: PublicKeys, digest: str) -> LoadedModel | None:
    try:
        return load_artifact(folder, [], public_keys, digest)
    except GovernanceError:
        return None


def test_a_type_that_is_not_allowed_is_refused_even_where_everything_is_signed(
    tmp_path, rows, description, signer, public_keys
):
    from sklearn.ensemble import RandomForestClassifier

    forest = RandomForestClassifier(2, random_state=0).fit(rows.features, rows.target)
    write_artifact(tmp_path / "a", forest, description, signer=signer)
    with pytest.raises(RefusedError, match=r"    - sklearn.tree._tree.Tree"):
        load_artifact(tmp_path / "a", [], public_keys)
    assert load_artifact(tmp_path / "a", ["sklearn.tree._tree.Tree"], public_keys)


def test_measuring_needs_no_key_but_the_files_must_be_whole(written, public_keys):
    folder, manifest = written
    assert load_unsigned(folder, [], manifest.digest).digest == manifest.digest
    (folder / "MLmodel").write_bytes(b"other")
    with pytest.raises(TamperedError, match="changed MLmodel"):
        load_unsigned(folder, [])
