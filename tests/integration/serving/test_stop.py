"""A model that is stopped serves nothing, whatever the alias says, until a release or a rollback brings it back."""

from dataclasses import replace

import httpx
import pytest

from governance.errors import InputError, RefusedError, UnavailableError
from governance.ledger.log import Ledger
from governance.release import attempt
from governance.release import stop as stopping
from governance.release.stop import StopOutcome
from governance.serving.app import create_app
from tests.integration.serving.services_under_test import free_port, wait_until
from tests.integration.serving.test_rollback import live, released, roll_back, serves
from tests.unit.release.permitted_world import FEATURES, MODEL, SAM

REASON = "It denies everybody over sixty."


def stop(house, key: str = "stop-1", reason: str = REASON, user: str = "pipeline") -> StopOutcome:
    return stopping.stop(house.world.settings, house.ledger(user), model=MODEL, actor=SAM, reason=reason, key=key)


def ask(house) -> httpx.Response:
    row = {"income": 4000.0, "age": 40, "kind": 1, "debt": 100.0}
    assert row.keys() == FEATURES.keys()
    return httpx.post(f"{house.world.settings.serving_url}/invocations", json={"dataframe_records": [row]})


def by_hand(house, evidence) -> dict:
    """Set the alias as anybody with rights in MLflow can, and return what the service makes of it."""
    house.registry.set_champion(MODEL, evidence.data["evidence"]["model"]["registry_version"])
    url = house.world.settings.serving_url
    look = httpx.post(f"{url}/models/{MODEL}/refresh").json()["look"]
    return wait_until(lambda: (found := httpx.get(f"{url}/models/{MODEL}").json())["looked"] >= look and found)


@pytest.fixture
def one(house, scoring):
    return released(house, 0)


def test_it_serves_nothing_and_says_why_to_whoever_asks(house, one):
    assert ask(house).status_code == 200

    outcome = stop(house)

    assert (outcome.confirmed, outcome.already, outcome.problems) == (True, False, ())
    assert outcome.stopped["version"] == "1.0.0"
    answer = ask(house)
    assert answer.status_code == 503
    assert "It denies everybody over sixty" in answer.json()["message"]
    assert house.registry.champion(MODEL) is None
    assert live(house) is None
    assert [entry.data["reason"] for entry in house.entries("stop")] == [REASON]


def test_others_serve_on_so_a_probe_is_told_but_does_not_fail_for_it(house, one):
    stop(house)

    said = httpx.get(f"{house.world.settings.serving_url}/ready").json()

    assert said["refused"] == {}
    assert REASON.rstrip(".") in said["stopped"][MODEL]


def test_the_review_identity_may_stop_too_and_a_second_stop_says_nothing_new(house, one):
    stop(house, user="review")

    again = stop(house, "stop-2")

    assert again.already
    assert len(house.entries("stop")) == 1


def test_what_serves_nothing_is_not_stopped_and_opens_no_incident(house, scoring):
    with pytest.raises(RefusedError, match="Nothing of tiny serves, so there is nothing to stop"):
        stopping.expect_serving(house.world.settings, house.ledger(), MODEL)


def test_what_serves_was_stopped_or_may_serve_can_be_stopped(house, one):
    def expect(world=house.world, ledger=None):
        stopping.expect_serving(world.settings, ledger or house.ledger(), MODEL)

    expect()
    stop(house)
    expect()
    nowhere = free_port()
    expect(house.world.with_services(GOVERNANCE_MLFLOW_URL=f"http://127.0.0.1:{nowhere}"))
    expect(ledger=Ledger(f"postgresql://pipeline@127.0.0.1:{nowhere}/ledger"))


def test_an_alias_that_no_release_has_set_can_be_stopped(house, scoring):
    house.registry.set_champion(MODEL, house.candidate("run-1").data["evidence"]["model"]["registry_version"])

    stopping.expect_serving(house.world.settings, house.ledger(), MODEL)


def test_an_alias_set_by_hand_afterwards_serves_nothing(house, one):
    stop(house)

    assert by_hand(house, one)["state"] == "stopped"
    house.registry.clear_stopped(MODEL)
    assert by_hand(house, one)["state"] == "stopped"
    assert "sixty" in house.entries("refused")[-1].data["reason"]


def test_nor_does_it_in_a_service_that_was_started_after_the_stop(house, one, serve):
    stop(house)
    house.registry.clear_stopped(MODEL)
    serve()

    assert by_hand(house, one)["state"] == "stopped"
    assert ask(house).status_code == 503


def test_nor_in_one_without_a_ledger_while_the_mark_is_in_mlflow(house, one, serve):
    stop(house)
    serve(create_app(replace(house.serving_settings(), ledger_url=None)))

    assert by_hand(house, one)["state"] == "stopped"


@pytest.mark.slow
def test_a_release_brings_it_back(house, one):
    stop(house)

    newer = released(house, 1)

    assert (serves(house), live(house)) == (newer.data["digest"], "1.1.0")
    assert [entry.data["evidence"] for entry in house.entries("resume")] == [newer.data["digest"]]
    assert by_hand(house, one)["evidence"] == one.data["digest"], "the stop is over: a permit is what counts again"


@pytest.mark.slow
def test_a_rollback_by_name_brings_it_back_and_none_comes_back_by_itself(house, one):
    house.world.root.joinpath("include/models/tiny/policy.yaml").open("a").write("no_rollback_target: keep_and_call\n")
    stop(house)

    assert roll_back(house).action == "suspended"
    assert roll_back(house, "roll-2", to="1.0.0").version == "1.0.0"
    assert (serves(house), live(house)) == (one.data["digest"], "1.0.0")


def test_clearing_the_release_of_what_was_stopped_does_not_bring_it_back(house, one):
    stop(house)

    assert house.release("run-0").already
    assert (serves(house), live(house)) == (None, None)


@pytest.mark.slow
def test_a_release_that_fails_after_the_stop_leaves_the_model_stopped(house, one, monkeypatch):
    def fails(*_):
        raise RefusedError("what serves is not what was signed.")

    stop(house)
    evidence = house.candidate("run-1", seed=1, version="1.1.0")
    house.sign(evidence)
    with monkeypatch.context() as patched:
        patched.setattr(attempt, "smoke_test", fails)
        assert house.release("run-1").reverted

    assert house.registry.champion(MODEL) is None
    assert by_hand(house, evidence)["state"] == "stopped"
    assert not house.release("run-1").reverted, "the next attempt may succeed"
    assert serves(house) == evidence.data["digest"]


@pytest.mark.slow
def test_a_stop_that_comes_while_a_release_is_under_way_wins(house, one, monkeypatch):
    smoke_test = attempt.smoke_test

    def stopped_meanwhile(*arguments):
        smoke_test(*arguments)
        stop(house)

    house.sign(house.candidate("run-1", seed=1, version="1.1.0"))
    monkeypatch.setattr(attempt, "smoke_test", stopped_meanwhile)

    with pytest.raises(attempt.OvertakenError):
        house.release("run-1")
    assert (serves(house), live(house)) == (None, None)


def test_with_mlflow_away_the_ledger_alone_stops_it(house, one):
    house.world = house.world.with_services(GOVERNANCE_MLFLOW_URL=f"http://127.0.0.1:{free_port()}")

    outcome = stop(house)

    assert outcome.confirmed
    assert "MLflow" in outcome.problems[0]
    assert ask(house).status_code == 503


def test_with_the_ledger_away_mlflow_alone_stops_it_and_it_is_said_that_nothing_was_recorded(house, one):
    away = Ledger(f"postgresql://pipeline@127.0.0.1:{free_port()}/ledger")

    with pytest.raises(UnavailableError, match="was not recorded"):
        stopping.stop(house.world.settings, away, model=MODEL, actor=SAM, reason=REASON, key="stop-1")
    assert ask(house).status_code == 503
    assert by_hand(house, one)["state"] == "stopped"
    assert stop(house).stopped["version"] == "1.0.0", "and again, with the ledger back, it is"


def test_with_the_scoring_service_away_it_is_recorded_and_said_that_nobody_confirmed(house, one):
    url = house.world.settings.serving_url
    house.world = house.world.with_services(GOVERNANCE_SERVING_URL=f"http://127.0.0.1:{free_port()}")

    outcome = stop(house)

    assert not outcome.confirmed
    assert "did not confirm" in outcome.problems[0]
    house.world = house.world.with_services(GOVERNANCE_SERVING_URL=url)
    wait_until(lambda: serves(house) is None, 20, "the stop")


def test_without_a_reason_nothing_is_stopped(house, one):
    for reason in ("", "  no ", "x" * 1001):
        with pytest.raises(InputError, match="reason"):
            stop(house, reason=reason)
    assert serves(house) == one.data["digest"]
