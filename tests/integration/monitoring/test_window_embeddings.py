"""Text that a model folder embeds: it is judged as a feature, on the real record, with nothing else moved."""

import json

import numpy as np
import pytest

from governance.data import snapshots
from governance.monitoring import facts
from governance.monitoring.watch import WATCHED
from governance.release.bundle import CONTRACT
from tests.integration.monitoring.conftest import TYPES, usual
from tests.unit.release import permitted_world
from tests.unit.release.permitted_world import CONTRACT_BODY, FEATURES, MODEL, expect, rows

pytestmark = pytest.mark.slow

EMBEDDING = """
from sklearn.feature_extraction.text import HashingVectorizer


def embed(frame, files):
    text = frame["note"].fillna("")
    return {"note": HashingVectorizer(n_features=256, analyzer="char_wb", ngram_range=(3, 4)).transform(text)}
"""

WHAT = ["kitchen", "roof", "boiler", "garage", "garden wall", "bathroom", "staircase", "windows"]
WHY = ["is worn out", "has to be replaced", "was damaged by rain", "is too small for us", "needs new paint"]
ELSEWHERE = ["crypto wallet", "trading course", "online casino", "lottery syndicate"]


def notes(count, seed, of=WHAT):
    """Sentences, hardly any of them the same twice."""
    random = np.random.default_rng(seed)
    return [f"The {random.choice(of)} {random.choice(WHY)}, offer no. {random.integers(10**6)}" for _ in range(count)]


@pytest.fixture
def champion(watched, monkeypatch):
    """A model with a feature of free text, and an embedding of it."""
    world = watched.house.world
    (world.spec.folder / "embedding.py").write_text(EMBEDDING)
    contract = json.loads(CONTRACT_BODY)
    contract["expectations"].append(expect("be_of_type", "note", type_="str"))
    (world.spec.folder / CONTRACT).write_text(json.dumps(contract))
    monkeypatch.setattr(permitted_world, "CONTRACT_BODY", world.spec.contract.read_bytes())  # what is signed
    frame = rows().assign(note=notes(len(rows()), 1))
    world.snapshot = snapshots.freeze(frame, model=MODEL, root=world.settings.snapshots, protected_columns=["group"])
    return watched.release(features=(*FEATURES, "note"))


def decided(watched, champion, text):
    frame = usual().assign(note=text)
    watch = watched.watch_of(frame, champion, types=(*TYPES, ("note", "string")))
    return watched.decided(watch), facts.measurements_of(watch.need(WATCHED))


def measured(found, name, **of):
    return next(one for one in found if one.name == f"drift.{name}" and one.slice == of)


def test_other_text_is_flagged_though_no_number_has_moved(watched, champion):
    decision, found = decided(watched, champion, notes(300, 2, ELSEWHERE))
    assert decision["flagged"] == ["note"], decision
    auc = measured(found, "classifier_two_sample_auc", embedding="note")
    assert auc.low > 0.9
    assert auc.method.startswith("delong of python ")
    assert (measured(found, "share_drifted").value, measured(found, "share_drifted").n) == (0.2, 5)
    assert decision["because"][0].startswith("20% of 5 features have drifted (note)")
    assert all(measured(found, "p_value", column=name).value > 0.05 for name in FEATURES)


def test_usual_text_is_not_though_hardly_any_of_it_was_seen_before(watched, champion):
    decision, found = decided(watched, champion, notes(300, 3))
    assert (decision["action"], decision["flagged"]) == ("nothing", [])
    assert measured(found, "share_drifted").value == 0


def test_the_policy_may_limit_an_embedding_by_itself(watched, champion):
    folder = watched.house.world.spec.folder
    limits = "monitoring: {embeddings: {note: {at_most: 0.7, action: retrain}}}\n"
    (folder / "policy.yaml").write_text((folder / "policy.yaml").read_text() + limits)
    decision, _ = decided(watched, champion, notes(300, 2, ELSEWHERE))
    assert (decision["action"], decision["rule"]) == ("retrain", "custom")
    assert decision["because"][0].startswith("note is ")


def test_an_embedding_that_fails_calls_people(watched, champion):
    (watched.house.world.spec.folder / "embedding.py").write_text("def embed(frame, files): return 1 / 0\n")
    decision, found = decided(watched, champion, notes(300, 3))
    assert (decision["action"], decision["rule"], decision["tell"]) == ("call", "missing", True)
    assert "its embeddings could not be measured: embedding.py: ZeroDivisionError" in decision["because"][0]
    assert measured(found, "share_drifted").value is None
