"""What the steps of a run say that they read and wrote, from the data as they were read to the log of answers.

Training, MLflow and the contract are real; most families are not measured, for their numbers are not looked at here.
"""

import json
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from lineage_schemas import faults
from openlineage.client.event_v2 import Job, RunEvent, RunState
from openlineage.client.event_v2 import Run as OpenLineageRun
from openlineage.client.serde import Serde

from governance.assessment import FAMILIES
from governance.ledger.log import Entry
from governance.pipeline.ingest import ingest
from governance.pipeline.judge import judge_candidate
from governance.pipeline.measure import measure
from governance.pipeline.release import served
from governance.pipeline.run import Request, Run
from governance.pipeline.train import train
from governance.pipeline.validate import validate
from governance.records import Lineage, Measurement
from governance_airflow import lineage
from tests.integration.serving.services_under_test import Service, mlflow_server
from tests.unit.plugins.stand_in import LedgerInMemory
from tests.unit.release.permitted_world import MODEL, SAM, World, rows

pytestmark = pytest.mark.slow

FIT = """
from sklearn.ensemble import HistGradientBoostingClassifier

def fit(frame, params):
    return HistGradientBoostingClassifier(max_iter=5).fit(frame.drop(columns="approve"), frame["approve"])
"""
REAL = ("performance", "fairness")
Events = dict[str, dict]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    server = mlflow_server(tmp_path_factory.mktemp("mlflow"))
    try:
        yield server.start()
    finally:
        server.stop()


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, service: Service) -> Run:
    world = World.make(tmp_path_factory.mktemp("lineage") / "checkout")
    (world.spec.folder / "train.py").write_text(FIT)
    rows().to_csv(world.spec.folder / "tiny.csv", index=False)
    world.git("add", "-A")
    world.git("commit", "-q", "-m", "A model that is trained")
    key = world.settings.state / "keys" / "private" / "artifact.pem"
    world = world.with_services(
        GOVERNANCE_MLFLOW_URL=service.url, GOVERNANCE_ARTIFACT_KEY=str(key), MARQUEZ_URL="http://marquez.test/"
    )
    shutil.copy(Path(__file__).parents[3] / "requirements.txt", world.root)
    ledger, request = LedgerInMemory(), Request("A test needs it.", {}, None, "minor", SAM)
    said = {"run_id": "run-1", "request": request.to_dict()}
    ledger.append("run", MODEL, said, actor=SAM, key=f"run:{MODEL}:run-1")
    return Run(world.settings, ledger, world.spec, world.policy, world.people, "run-1", request)


@pytest.fixture(scope="module")
def events(run: Run) -> Events:
    """The event of each step, by its name."""
    with pytest.MonkeyPatch.context() as patch:
        for family in set(FAMILIES) - set(REAL):
            patch.setitem(FAMILIES, family, lambda _, name=family: [Measurement(f"{name}.x", 1.0, 1)])
        done = {"ingest": ingest(run), "validate": validate(run), "train": train(run)}
        done |= {"measure": measure(run, 1, list(FAMILIES)), "judge": judge_candidate(run, 1)}
    evidence = evidence_of(run)
    version = evidence.data["evidence"]["model"]["version"]
    release = Lineage(outputs=served(run.settings, run.ledger, run.spec, version, evidence.data["digest"], None))
    return {name: event_of(name, step.lineage) for name, step in done.items()} | {
        "release": event_of("release", release)
    }


def evidence_of(run: Run) -> Entry:
    return run.need("evidence")


def event_of(name: str, said: Lineage) -> dict:
    told = lineage.of(said, place={"url": "https://git.example/models", "path": f"{name}.py", "version": "0f992b6"})
    event = RunEvent(
        eventTime="2026-03-03T14:00:00+00:00",
        producer="https://example.org/producer",
        run=OpenLineageRun(str(uuid.uuid4()), told.run_facets),
        job=Job("governance", f"govern_{MODEL}.{name}", told.job_facets),
        eventType=RunState.COMPLETE,
        inputs=told.inputs,
        outputs=told.outputs,
    )
    return json.loads(Serde.to_json(event))


def written(events: Events, step: str, name: str) -> dict:
    return next(one for one in events[step]["outputs"] if one["name"] == f"{MODEL}/{name}")


def test_every_event_says_what_the_schemas_demand(events: Events) -> None:
    assert [fault for event in events.values() for fault in faults(event)] == []


def test_every_data_set_has_a_version(events: Events) -> None:
    sides = [one for event in events.values() for side in ("inputs", "outputs") for one in event[side]]

    assert [one["name"] for one in sides if not one["facets"]["version"]["datasetVersion"]] == []


def test_what_a_step_reads_was_written_before_in_this_version(events: Events) -> None:
    known = {(one["name"], one["facets"]["version"]["datasetVersion"]) for one in events["ingest"]["inputs"]}
    for step in ("ingest", "validate", "train", "measure", "judge"):
        read = {(one["name"], one["facets"]["version"]["datasetVersion"]) for one in events[step]["inputs"]}
        assert {name for name, _ in read - known} <= {f"{MODEL}/contract"}
        known |= {(one["name"], one["facets"]["version"]["datasetVersion"]) for one in events[step]["outputs"]}


def test_an_answer_is_traced_to_the_columns_that_were_read_and_to_no_protected_one(events: Events) -> None:
    made_of = {
        (one["name"], column): {(field["name"], field["field"]) for field in said["inputFields"]}
        for event in events.values()
        for one in event["outputs"]
        for column, said in one["facets"].get("columnLineage", {}).get("fields", {}).items()
    }
    found, todo = set(), [(f"{MODEL}/predictions", "prediction")]
    while todo:
        found.add(column := todo.pop())
        todo += made_of.get(column, set()) - found

    assert {column for name, column in found if name == "tiny.csv"} == {"income", "debt", "age", "kind"}
    assert f"{MODEL}/protected" not in {name for name, _ in found}
    assert made_of[f"{MODEL}/protected", "group"] == {("tiny.csv", "group")}


def test_the_snapshot_says_what_it_is_how_large_and_what_the_contract_found(events: Events, run: Run) -> None:
    snapshot = written(events, "ingest", "snapshot")
    read = next(one for one in events["validate"]["inputs"] if one["name"] == f"{MODEL}/snapshot")
    assertions = read["inputFacets"]["dataQualityAssertions"]["assertions"]

    assert snapshot["facets"]["storage"]["storageLayer"] == "delta"
    assert snapshot["outputFacets"]["outputStatistics"]["rowCount"] == len(rows())
    assert snapshot["facets"]["ownership"]["owners"][0]["name"] == f"team:{run.spec.owner.team}"
    assert assertions
    assert all(one["success"] for one in assertions)
    assert read["inputFacets"]["dataQualityMetrics"]["columnMetrics"]["income"] == {
        "nullCount": rows()["income"].isna().sum()
    }


def test_protected_columns_are_tagged_where_they_are(events: Events) -> None:
    tags = written(events, "ingest", "protected")["facets"]["tags"]["tags"]

    assert [(one["key"], one["field"]) for one in tags] == [("SENSITIVE", "group")]
    assert "tags" not in written(events, "ingest", "snapshot")["facets"]


def test_mlflow_and_the_model_point_at_each_other(events: Events, run: Run, service: Service) -> None:
    from mlflow import MlflowClient

    training = events["train"]["run"]["facets"]["governance_trainingRun"]["mlflow"]
    version = MlflowClient(service.url, service.url).get_model_version(MODEL, "1")

    assert version.run_id == training["runId"]
    assert version.tags["governance.lineage"].startswith(
        "http://marquez.test/lineage/dataset/governance/tiny%2Fmodel?depth=20&tableLevelNode="
    )


def test_no_event_names_a_person_or_holds_a_value(events: Events, run: Run) -> None:
    told = json.dumps(events)
    people = [word for one in run.people.everyone for word in (one.name, *one.emails)]

    assert [word for word in people if word in told] == []
    assert not [value for value in rows()["income"].unique() if f"{value}" in told and value > 10_000]
