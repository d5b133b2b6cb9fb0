"""What steps return becomes events that OpenLineage's schemas and ours accept."""

import json
from types import SimpleNamespace

import pytest
from lineage_schemas import faults
from openlineage.client.event_v2 import Job, Run, RunEvent, RunState
from openlineage.client.serde import Serde

from governance.lineage import schemas
from governance.pipeline import datasets, facets
from governance.records import Dataset, Lineage, Measurement, Outcome, RuleResult, Verdict
from governance_airflow import lineage

DIGEST = "e" * 64


def event_of(said, **run_facets):
    """Return an event as it leaves, of what the glue made of a step's lineage."""
    event = RunEvent(
        eventType=RunState.COMPLETE,
        eventTime="2026-03-03T14:00:00+00:00",
        run=Run("01a21ebf-e43a-7c36-a4cc-27a1c737990f", {**said.run_facets, **run_facets}),
        job=Job("governance", "govern_loan.train", said.job_facets),
        inputs=said.inputs,
        outputs=said.outputs,
        producer="https://example.org/producer",
    )
    return json.loads(Serde.to_json(event))


def wrote(**said):
    return event_of(lineage.of(Lineage(outputs=[Dataset("governance", "loan/x", said)])))


@pytest.fixture
def verdict():
    limits, race = {"at_most": 0.1}, {"attribute": "race"}
    numbers = (0.2, None, None, 9, "high", limits)
    rule = RuleResult("parity", "Parity", "fairness.x", race, Outcome.BLOCK, *numbers, True, "0.2 is above 0.1.")
    return Verdict(Outcome.BLOCK, (rule,))


@pytest.fixture
def run(run_of):
    return run_of(GOVERNANCE_MLFLOW_URL="http://mlflow.test")


@pytest.fixture
def candidate():
    return SimpleNamespace(
        data={
            "attempt": 1, "registry_version": 3, "manifest": DIGEST, "mlflow_run": "r-1", "features": ["income"],
            "algorithm": "HistGradientBoostingClassifier",
            "artifact": {"files": [{"path": "model.skops", "size": 9, "sha256": DIGEST}]},
            "training": {"parameters": {"max_iter": 9}, "seed": 0, "threshold": 0.5, "dropped": [],
                         "reduction": None, "evaluation": {"method": "cross_validation", "judged_on": 0}},
        }
    )  # fmt: skip


def test_a_model_version_says_what_it_is_and_how_it_was_made(run, candidate, monkeypatch):
    monkeypatch.setattr(type(run), "version", "1.2.0")
    made = Lineage(
        outputs=[datasets.model_version("tiny", DIGEST, **facets.model(run, candidate, DIGEST))],
        run=facets.training(run, candidate, [Measurement("performance.accuracy", 0.9, 9)]),
    )
    event = event_of(lineage.of(made))

    assert faults(event) == []
    told = event["run"]["facets"]["governance_trainingRun"]
    assert (told["metrics"], told["mlflow"]["runId"]) == ({"performance.accuracy": 0.9}, "r-1")
    assert event["outputs"][0]["facets"]["governance_model"]["semanticVersion"] == "1.2.0"


def test_evidence_says_its_verdict_and_the_rules_that_failed(verdict):
    document = {"policy": {"version": "1.0.0", "digest": DIGEST}, "model": {"version": "1.2.0"}}
    event = wrote(**facets.evidence(DIGEST, verdict, document))

    assert faults(event) == []
    assert [one["rule"] for one in event["outputs"][0]["facets"]["governance_evidence"]["failed"]] == ["parity"]


def test_an_approval_names_a_person_by_a_pseudonym_alone():
    at = "2026-03-03T14:00:00+00:00"
    decision = {"person": "p-c6f8", "role": "model_risk", "answer": "approve", "decided_at": at, "comment": {"id": "t"}}
    event = event_of(lineage.of_approval("loan", DIGEST, "model_risk", [decision]))

    assert faults(event) == []
    said = event["outputs"][0]["facets"]["governance_approval"]["decisions"]
    assert said == [{"person": "p-c6f8", "answer": "approve", "at": at}]


@pytest.mark.parametrize("previous", [None, {"version": "1.0.0", "registry_version": 1, "evidence": DIGEST}])
def test_an_endpoint_says_what_serves_on_which_permit(previous):
    event = wrote(**facets.deployment("http://serving.test", "1.1.0", 2, DIGEST, previous))

    assert faults(event) == []
    assert event["outputs"][0]["facets"]["governance_deployment"]["endpoint"] == "http://serving.test/invocations"


def test_quality_is_told_of_what_is_read_and_statistics_of_what_is_written():
    quality = {"dataQualityAssertions": {"assertions": [{"assertion": "not_null", "success": True}]},
               "dataQualityMetrics": {"rowCount": 3, "columnMetrics": {"a": {"nullCount": 0}}}}  # fmt: skip
    both = [Dataset("governance", "loan/snapshot", {**quality, "outputStatistics": {"rowCount": 3}})]
    event = event_of(lineage.of(Lineage(both, both)))

    assert faults(event) == []
    assert set(event["inputs"][0]["inputFacets"]) == set(quality)
    assert set(event["outputs"][0]["outputFacets"]) == {"outputStatistics"}


@pytest.mark.parametrize("facet", sorted(schemas.FILES))
def test_our_facets_refuse_what_they_do_not_know(facet):
    assert faults(wrote(**{facet: {"name_of_the_applicant": "Maria"}}))


def test_a_place_in_a_repository_is_told():
    place = {"url": "https://git.example/bank/models", "path": "dags/govern_model.py", "version": "0f992b6"}
    event = event_of(lineage.of(None, place=place))

    assert faults(event) == []
    assert event["job"]["facets"]["sourceCodeLocation"]["version"] == "0f992b6"


def test_a_wrong_event_is_found_to_be_wrong():
    event = wrote(schema={"fields": [{"type": "int"}]})
    event["outputs"][0]["outputFacets"] = {"outputStatistic": {"_producer": "a:b", "_schemaURL": "a:b"}}
    event["run"]["runId"] = 7

    assert len(faults(event)) == 3
