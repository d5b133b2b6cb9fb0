"""Waiting for people: who may sign, and what a reject, an expiry, a killed process or a marked task do."""

import os
import signal
from ast import literal_eval

import pytest
from system import until

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def rejected(runs):
    """A run that ended because Maria rejected its candidate with a reason."""
    run = runs["reject"].wait_until_asked()
    assert run.decide("maria", "reject", comment="The survey is too old.").status_code == 200
    assert run.wait_until_ended() == "failed"
    return run


def test_the_engineer_who_started_the_run_may_not_sign(runs):
    answer = runs["sign"].wait_until_asked().decide("ken")

    assert answer.status_code == 403
    assert "started this run" in answer.json()["message"]
    assert "Maria Alvarez" in answer.json()["who_can"]


def test_a_developer_of_the_model_may_not_sign(runs):
    answer = runs["sign"].wait_until_asked().decide("luis")

    assert answer.status_code == 403
    assert "trained this model" in answer.json()["message"]


def test_a_person_without_the_role_may_not_sign(runs):
    assert runs["sign"].wait_until_asked().decide("omar").status_code == 403


def test_a_login_that_people_yaml_does_not_know_may_not_sign(runs):
    assert runs["sign"].wait_until_asked().decide("admin").status_code == 403


def test_nobody_signs_over_another_digest_than_the_one_on_screen(runs):
    answer = runs["sign"].wait_until_asked().decide("maria", evidence="0" * 64)

    assert answer.status_code == 409
    assert "changed" in answer.json()["message"]


def test_an_approval_needs_every_point_of_the_checklist(runs):
    answer = runs["sign"].wait_until_asked().decide("maria", confirmed=[])

    assert answer.status_code == 422
    assert "Confirm" in answer.json()["message"]


def test_a_reject_needs_a_comment(runs):
    assert runs["sign"].wait_until_asked().decide("maria", "reject", comment=" ").status_code == 422


def test_waiting_holds_no_worker_slot(world, runs):
    runs["sign"].wait_until_asked()
    waiting = [task for run in runs.values() for task in run.tasks().values() if task["state"] == "deferred"]
    pool = world.client("admin").get("/api/v2/pools/default_pool")

    assert waiting
    assert pool["deferred_slots"] >= len(waiting) - 1
    assert pool["include_deferred"] is False


def test_one_reject_ends_it_and_says_who_and_why(rejected):
    assert rejected.task_state("approve_model_risk") == "failed"
    assert rejected.task_state("release") == "upstream_failed"
    assert "Maria Alvarez" in rejected.log("approve_model_risk")
    assert rejected.released() == []


def test_a_rejected_version_cannot_be_approved_afterwards(rejected):
    assert rejected.decide("maria").status_code in (403, 409)


def test_people_are_told_of_a_reject(world, rejected):
    assert until(lambda: world.slack.about("rejected evidence"), "Slack has the reject")


def test_nobody_answering_is_not_a_yes(runs):
    run = runs["expire"]

    assert run.wait_until_ended() == "failed"
    assert run.task_state("approve_model_risk") == "failed"
    assert "Nothing is approved by waiting" in run.log("approve_model_risk")
    assert run.released() == []


def test_an_expired_request_cannot_be_signed(runs):
    run = runs["expire"]
    run.wait_until_ended()
    answer = run.decide("maria")

    assert answer.status_code in (403, 409)
    assert "expired" in answer.text


def test_marking_the_approval_successful_releases_nothing(world, runs):
    run = runs["mark"].wait_until_asked()
    edited = {"key": "return_value", "value": {"evidence": run.evidence.data["digest"], "signed": "maria"}}
    path = f"/api/v2/dags/{run.dag_id}/dagRuns/{run.run_id}/taskInstances/approve_model_risk/xcomEntries"
    sent = world.client("admin").send("POST", path, json={**edited, "map_index": -1})
    assert sent.status_code == 201, sent.text
    assert run.engineer.mark(run.dag_id, run.run_id, "approve_model_risk", "success").status_code == 200

    assert run.wait_until_ended() == "failed"
    assert run.task_state("release") == "failed"
    assert "permit" in run.log("release")
    assert run.released() == []


def test_a_task_cannot_forge_a_login(world):
    engineer = world.client("ken")
    run_id = engineer.trigger("forge_login", {})
    until(lambda: engineer.run_state("forge_login", run_id) in ("success", "failed"), "the attack ends")
    state = engineer.run_state("forge_login", run_id)
    assert state == "success", engineer.log("forge_login", run_id, "forge", 1)
    path = f"/api/v2/dags/forge_login/dagRuns/{run_id}/taskInstances/forge/xcomEntries/return_value"
    found = engineer.get(path)["value"]
    found = found if isinstance(found, dict) else literal_eval(found)

    assert found["secret_found"], "the attack needs something to try"
    assert set(found["answers"].values()) <= {401, 403}
    assert not found["review_key_in_environment"]


@pytest.mark.slow
def test_waiting_survives_the_death_of_each_airflow_process_and_then_a_signature_releases(world, runs):
    run = runs["kill"].wait_until_asked()
    for process in ("scheduler", "triggerer", "dag-processor", "execution", "airflow"):
        os.kill(world.stack.services[process], signal.SIGKILL)
        until(lambda name=process: name not in world.stack.services, f"{process} is gone", 30)
        world.stack.restart(process)
        assert run.task_state("approve_model_risk") == "deferred", process
    assert run.decide("maria").status_code == 200

    assert run.wait_until_ended() == "success"
    assert len(run.released()) == 1
