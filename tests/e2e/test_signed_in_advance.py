"""Signed in advance: a low-tier model is trained again and goes live, and no person reads it; until one says no."""

import json
from datetime import UTC, datetime, timedelta

import pytest

pytestmark = [pytest.mark.integration, pytest.mark.slow]

MODEL = "routine"
REASON = "The code stays as it is and only tests read what this model says: newer data need no reader."


@pytest.fixture(scope="module")
def first(world):
    """The first version, which a person read and signed."""
    run = world.trigger(MODEL, "First release").wait_until_asked()
    assert run.decide("maria").status_code == 200
    assert run.wait_until_ended() == "success"
    return run


@pytest.fixture(scope="module")
def standing(world, first):
    """The digest of a standing approval over it, proposed by Compliance and signed by Model risk."""
    until = (datetime.now(UTC).date() + timedelta(days=30)).isoformat()
    path = f"/governance/api/models/{MODEL}/standing-approvals"
    proposed = world.client("tom").send("POST", path, json={"releases": 1, "reason": REASON, "until": until})
    assert proposed.status_code == 200, proposed.text
    signed = world.client("maria").send(
        "POST", f"{path}/{proposed.json()['digest']}/signatures", json={"answer": "approve"}
    )
    assert signed.json()["status"] == "in force", signed.text
    return proposed.json()["digest"]


@pytest.fixture(scope="module")
def again(world, standing):
    """The next version, trained again on the same data."""
    run = world.trigger(MODEL, "Trained again")
    assert run.wait_until_ended() == "success"
    return run


def test_a_version_trained_again_goes_live_without_a_signature(world, first, again):
    assert again.task_state("standing_approval") == "success"
    assert again.task_state("approve_model_risk") == "success"
    assert "Standing approval by Maria Alvarez" in again.log("approve_model_risk")
    assert len(again.released()) == 1
    assert world.ledger.find("decision", MODEL)[-1].data["decision"]["evidence"] == first.evidence.data["digest"]


def test_the_record_says_on_whose_word(world, again):
    served = json.loads(world.command("live", MODEL, "--json").stdout)["live"]
    permitted = world.command("permit", MODEL)

    assert (served["version"], served["signatures"]) == (again.version, [])
    assert served["standing_approval"]["names"] == ["Maria Alvarez"]
    assert permitted.returncode == 0
    assert "Standing approval by Maria Alvarez" in permitted.stdout
    assert world.slack.about("is permitted without being read")


def test_nobody_was_told_that_it_waits(world, again):
    assert not [text for text in world.slack.about(f"{MODEL} {again.version}") if "waits for" in text]


def test_once_it_is_used_up_people_sign(world, again):
    run = world.trigger(MODEL, "Trained once more").wait_until_asked()

    assert run.task_state("standing_approval") == "skipped"
    assert world.command("standing", MODEL).returncode == 2
    assert world.slack.about("No standing approval covers")
    assert run.decide("maria", "reject", comment="Enough for today.").status_code == 200
