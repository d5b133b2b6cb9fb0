"""What ``make demo-drift`` tells: three weeks, and each of the four decisions taken and carried out.

On a system of its own: what is decided rests on everything that was decided before.
"""

import shutil
import tempfile
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from system import World

from stack import drift_story
from stack.supervisor import Stack

pytestmark = [pytest.mark.integration, pytest.mark.slow]

MODEL = "loan"


@pytest.fixture(scope="module")
def told(checkout):
    """The system after the story was told on it, and what ``tell`` returned."""
    state = Path(tempfile.mkdtemp(prefix="gov-"))
    stack = Stack(state, checkout, report=lambda _: None)
    try:
        stack.up()
        yield World(stack, None, checkout), drift_story.tell(stack)
    finally:
        stack.stop()
        shutil.rmtree(state, ignore_errors=True)


@pytest.fixture(scope="module")
def days(told):
    """The decisions, day by day."""
    world, _ = told
    return list(world.ledger.find(kind="monitoring", subject=MODEL))


def only(days, action):
    [found] = [entry for entry in days if entry.data["decision"]["action"] == action]
    return found


def served(world, moment):
    return world.command("live", MODEL, "--at", moment.isoformat()).stdout


def test_each_of_the_four_is_decided_and_all_other_days_are_quiet(told, days):
    _, code = told
    actions = [entry.data["decision"]["action"] for entry in days]

    assert code == 0
    assert len(actions) == 15
    assert sorted(set(actions)) == ["data_fault", "nothing", "retrain", "roll_back"]
    assert actions.count("nothing") == 12


def test_the_broken_column_is_named_and_nothing_is_trained_on_it(days):
    assert "min30" in only(days, "data_fault").data["decision"]["because"][0]


def test_the_shift_is_trained_on_with_the_newest_decisions_and_signed(told, days):
    world, _ = told
    decided = only(days, "retrain")
    [evidence] = [e for e in world.ledger.find(kind="evidence", subject=MODEL) if "retrain" in e.data["run_id"]][-1:]
    document = evidence.data["evidence"]

    assert document["request"]["reason"] == " ".join(decided.data["decision"]["because"])
    assert document["data"]["source"].endswith("data/loan/decided.parquet")
    signed = [e for e in world.ledger.find(kind="decision", subject=MODEL) if e.seq > evidence.seq]
    assert {e.data["decision"]["role"] for e in signed} == {"model_risk", "compliance"}


def test_the_unfairness_is_rolled_back_to_the_version_that_is_not_unfair_on_this_very_window(days):
    found = only(days, "roll_back").data["decision"]
    theirs, mine = found["target"]["beside"]["parity difference"]

    assert found["rule"] == "parity_difference"
    assert found["target"]["version"] == "1.0.0"
    assert theirs < 0.15 < mine


def test_the_record_says_what_served_when(told, days):
    world, _ = told
    [back] = world.ledger.find(kind="rollback", subject=MODEL)
    second = timedelta(seconds=1)

    assert "1.0.0" in served(world, datetime.fromisoformat(days[0].data["until"]))
    assert "1.1.0" in served(world, datetime.fromisoformat(only(days, "roll_back").data["until"]))
    assert "1.0.0" in served(world, back.at + second)


def test_an_incident_waits_for_a_person(told):
    world, _ = told
    [incident] = world.ledger.find(kind="incident", subject=MODEL)

    assert "parity difference" in str(incident.data)
    assert list(world.ledger.find(kind="incident_closed", subject=MODEL)) == []


def test_told_again_it_would_be_another_story_and_is_refused(told):
    world, _ = told

    with pytest.raises(drift_story.StackError, match="has been watched on this system before"):
        drift_story.tell(world.stack)
