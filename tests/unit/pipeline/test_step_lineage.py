"""What each step says that it read and wrote."""

from types import SimpleNamespace

import pytest

from governance.assessment import FAMILIES
from governance.data.snapshots import PROTECTED
from governance.pipeline import alternatives, datasets, validate
from governance.pipeline.alternatives import search_alternatives
from governance.pipeline.ingest import ingest, snapshot_of
from governance.pipeline.measure import measure
from governance.records import Measurement
from tests.unit.release.permitted_world import MODEL, rows

MANIFEST, EVIDENCE = "a" * 64, "e" * 64
SHOWN = 16
"""So many characters of a name Marquez's graph shows."""


def names(sides) -> list[str]:
    return [dataset.name for dataset in sides]


def version(known) -> str:
    return known["version"]["datasetVersion"]


def facets(sides, name) -> dict:
    return next(dict(dataset.facets) for dataset in sides if dataset.name == f"{MODEL}/{name}")


@pytest.fixture
def run(run_of, monkeypatch):
    """An ingested run with two candidates, as if they had been trained."""
    run = run_of()
    ingest(run)
    for attempt in (1, 2):
        candidate = {
            "attempt": attempt, "manifest": MANIFEST, "registry_version": attempt, "training": {"seed": 0},
            "mlflow_run": "r-1", "features": ["age", "income"], "artifact": {"files": []},
        }  # fmt: skip
        run.record("candidate", candidate, f"candidate-{attempt}")
    for family in FAMILIES:
        monkeypatch.setitem(FAMILIES, family, lambda _: [Measurement("x.y", 1.0, 1)])
    return run


@pytest.fixture
def verdict(monkeypatch):
    """The verdict over the first candidate, to be changed."""
    verdict = SimpleNamespace(may_be_released=False)
    evidence = SimpleNamespace(data={"digest": EVIDENCE})
    monkeypatch.setattr(alternatives, "judged", lambda run, attempt: (evidence, verdict))
    return verdict


def test_ingest_writes_both_parts_each_with_its_own_columns(run):
    lineage = ingest(run).lineage
    data, apart = (facets(lineage.outputs, part) for part in ("snapshot", "protected"))

    assert names(lineage.inputs) == ["tiny.csv"]
    assert names(lineage.outputs) == ["tiny/snapshot", "tiny/protected"]
    assert [column["name"] for column in data["schema"]["fields"]] == ["age", "approve", "debt", "income", "kind"]
    assert apart["schema"]["fields"] == [{"name": "group", "type": "string", "description": "group"}]
    assert version(data) == snapshot_of(run).digest
    assert version(apart) == snapshot_of(run).parts[PROTECTED].digest


def test_a_model_without_protected_attributes_has_no_protected_part(world, run_of):
    spec = world.spec.folder / "model.yaml"
    spec.write_text(spec.read_text().replace("protected: {group: group}", "protected: {}"))
    rows().drop(columns="group").to_csv(spec.parent / "tiny.csv", index=False)

    assert names(ingest(run_of()).lineage.outputs) == ["tiny/snapshot"]


@pytest.mark.parametrize("ages", [30, 7], ids=["met", "broken"])
def test_validate_writes_what_came_of_the_contract(world, run_of, monkeypatch, ages):
    frame = rows()
    frame["age"] = ages
    frame.to_csv(world.spec.folder / "tiny.csv", index=False)
    monkeypatch.setattr(validate.tracking, "keep_page", lambda *_, **__: "http://mlflow.test/page")
    run = run_of(GOVERNANCE_MLFLOW_URL="http://mlflow.test")
    ingest(run)
    lineage = validate.validate(run).lineage
    said = facets(lineage.outputs, "validation")["documentation"]["description"]

    assert names(lineage.inputs) == ["tiny/snapshot", "tiny/protected", "tiny/contract"]
    assert names(lineage.outputs) == ["tiny/validation"]
    assert said.startswith("10 of 10 expectations met." if ages == 30 else "In quarantine. The data break")


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_measuring_reads_the_snapshot_and_its_protected_part_only_where_groups_are_looked_at(run, family):
    lineage = measure(run, 1, [family]).lineage

    assert names(lineage.inputs)[:2] == ["tiny/model", "tiny/snapshot"]
    assert ("tiny/protected" in names(lineage.inputs)) == (family in ("fairness", "leakage", "robustness"))
    assert names(lineage.outputs) == [f"tiny/{family}"]
    assert version(facets(lineage.inputs, "snapshot")) == snapshot_of(run).digest


@pytest.mark.parametrize("may_be_released", [True, False])
def test_a_skipped_search_has_read_the_evidence(run, verdict, monkeypatch, may_be_released):
    verdict.may_be_released = may_be_released
    monkeypatch.setattr(alternatives, "may_search", lambda *_: False)
    done = search_alternatives(run)

    assert done.skipped
    assert (names(done.lineage.inputs), list(done.lineage.outputs)) == (["tiny/evidence"], [])


@pytest.mark.parametrize("chosen", [True, False])
def test_a_search_reads_the_blocked_model_and_both_parts_of_the_snapshot(run, verdict, monkeypatch, chosen):
    monkeypatch.setattr(alternatives, "may_search", lambda *_: True)
    entry = SimpleNamespace(leaf="f" * 64, data={"tried": [{"chosen": chosen, "label": "threshold 0.1"}]})
    made = run.last("candidate", attempt=2) if chosen else None
    monkeypatch.setattr(alternatives, "_search_and_make", lambda *_: (entry, made))
    monkeypatch.setattr(type(run), "version", "1.0.0")
    done = search_alternatives(run)

    assert names(done.lineage.inputs) == ["tiny/evidence", "tiny/model", "tiny/snapshot", "tiny/protected"]
    assert names(done.lineage.outputs) == ["tiny/tried", *(["tiny/model"] if chosen else [])]


def test_what_is_new_reads_well_where_the_graph_cuts():
    new = [datasets.validation("loan", "s" * 64, "c" * 64, "said"), datasets.snapshot_named("loan", "s" * 64)]

    assert all(len(dataset.name) <= SHOWN for dataset in new)
    assert len("loan/protected") <= SHOWN


def test_training_reads_what_came_of_the_contract_so_that_a_silent_validation_is_missed(run, monkeypatch):
    from governance.pipeline.train import lineage_of

    monkeypatch.setattr(type(run), "version", "1.0.0")

    read = lineage_of(run, snapshot_of(run), SimpleNamespace(data=candidate_with("x"))).inputs
    assert names(read) == ["tiny/snapshot", "tiny/protected", "tiny/validation"]


def candidate_with(manifest) -> dict:
    training = {"seed": 0, "evaluation": {}, "parameters": {}, "dropped": []}
    return {
        "attempt": 1, "manifest": manifest, "registry_version": 1, "training": training, "mlflow_run": "r-1",
        "features": ["age"], "artifact": {"files": []},
    }  # fmt: skip


def test_a_lineage_that_was_whole_is_measured_once_and_a_broken_one_again(run, monkeypatch):
    asked = iter([0.5, 0.5, 1.0])

    def found(_):
        value = next(asked)
        return [Measurement("lineage.completeness", value, 2, reason=None if value == 1 else "No task says …")]

    monkeypatch.setitem(FAMILIES, "lineage", found)
    for _ in range(4):
        measure(run, 1, ["lineage"])

    recorded = [entry for entry in run.ledger.find(kind="measured", subject=MODEL) if entry.data["family"] == "lineage"]
    assert [entry.data["measurements"][0]["value"] for entry in recorded] == [0.5, 1.0]
