"""On the running system: two releases, back to the first, an incident that somebody reviews, and a stop."""

import time

import httpx
import pytest
from system import until

pytestmark = [pytest.mark.integration, pytest.mark.slow]

MODEL = "steady"
REASON = "Approvals collapsed for one group."


@pytest.fixture(scope="module")
def two(world):
    """Two releases; their evidence."""
    digests = []
    for reason in ("The first version", "The second version"):
        run = world.trigger(MODEL, reason).wait_until_asked()
        assert run.decide("maria").status_code == 200
        assert run.wait_until_ended() == "success", run.log("release")[-2000:]
        digests.append(run.evidence.data["digest"])
    return digests


@pytest.fixture(scope="module")
def rolled_back(world, two):
    """The seconds from the trigger until the first version served again; the run has ended."""
    engineer, began = world.client("ken"), time.monotonic()
    run_id = engineer.trigger(f"rollback_{MODEL}", {"reason": REASON})
    until(lambda: state(world).get("evidence") == two[0], "the first version serves")
    took = time.monotonic() - began
    ended = until(
        lambda: (s := engineer.run_state(f"rollback_{MODEL}", run_id)) in ("success", "failed") and s, "the run ends"
    )
    assert ended == "success", engineer.log(f"rollback_{MODEL}", run_id, "restore", 1)[-2000:]
    print(f"\n{took:.1f} s from the trigger until the earlier version served")
    return took


def state(world) -> dict:
    return httpx.get(f"{world.stack.url('serving')}/models/{MODEL}").json()


def post(world, login: str, path: str, body: dict) -> httpx.Response:
    return world.client(login).send("POST", f"/governance/api/models/{MODEL}/{path}", json=body)


def test_the_version_before_serves_again_and_the_command_line_says_so(world, two, rolled_back):
    said = world.command("live", MODEL, "--json")

    assert said.returncode == 0
    assert two[0] in said.stdout
    assert '"by": "rollback"' in said.stdout


def test_people_are_told_and_one_of_them_reviews_the_incident(world, rolled_back):
    assert world.slack.about(f"{MODEL} was rolled back: ")
    (incident,) = world.client("maria").get(f"/governance/api/models/{MODEL}/incidents")

    assert "Ken Ito asked for a rollback" in incident["timeline"][0]["what"]
    review = {"review": "The threshold fell on one group; the next run is judged with a rule for it."}
    assert post(world, "ken", f"incidents/{incident['id']}/closing", review).status_code == 403
    assert post(world, "maria", f"incidents/{incident['id']}/closing", review).json()["closed_by"] == "Maria Alvarez"
    until(lambda: world.slack.about(f"The incident of {MODEL} was closed"), "people are told", 60)


def test_it_is_stopped_by_who_may_and_serves_nothing_within_seconds(world, rolled_back):
    assert post(world, "ken", "stop", {"reason": REASON}).status_code == 403

    answer = post(world, "tom", "stop", {"reason": REASON})

    assert (answer.status_code, answer.json()["confirmed"]) == (200, True), answer.text
    assert state(world)["state"] == "stopped"
    until(lambda: world.slack.about(f"{MODEL} was stopped"), "people are told", 60)
    assert world.command("live", MODEL).returncode == 2
    assert world.command("ledger", "verify").returncode == 0
