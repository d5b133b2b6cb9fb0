"""Calling people: who is told of a window that the monitor can do nothing about, and that it is one incident."""

from datetime import UTC, datetime, timedelta

import pytest

from governance.keys import PublicKeys
from governance.monitoring.decide import decide_window
from governance.monitoring.watch import DECIDED, WATCHED, WINDOW, open_watch
from governance.review import incidents
from tests.unit.plugins.stand_in import LedgerInMemory
from tests.unit.release.permitted_world import MODEL, World

MORNING = datetime(2026, 3, 2, 6, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.fixture
def ledger():
    return LedgerInMemory()


@pytest.fixture
def world(tmp_path, ledger):
    data = {"version": "1.0.0", "registry_version": 1, "evidence": "e" * 64, "manifest": "m" * 64, "previous": None}
    ledger.append("release", MODEL, data, actor="p-1", key="release:1", at=MORNING - 9 * DAY)
    return World.make(tmp_path / "checkout")


@pytest.fixture
def called(world, ledger):
    """Return a function: the message of a window in which it was decided to call people."""

    def decide(days=0, rule="severe_share", *, dry_run=False, page=None):
        until = MORNING + days * DAY
        watch = open_watch(world.settings, ledger, MODEL, f"scheduled-{days}", (until - DAY, until, until))
        because = ["A third of the features have drifted: severe.", "No earlier version has a valid permit."]
        decision = {"action": "call", "because": because, "rule": rule, "target": None, "tell": True}
        watch.record(WINDOW, {"page": page})
        watch.record(WATCHED, {})
        watch.record(DECIDED, {"decision": decision, "dry_run": dry_run, "reason": " ".join(because)})
        (message,) = decide_window(watch).messages
        return message

    return decide


def known(world, ledger):
    return incidents.of_model(ledger, MODEL, PublicKeys.from_folder(world.settings.public_keys))


def test_it_opens_an_incident_and_names_whom_it_calls(world, ledger, called):
    message = called()

    (one,) = known(world, ledger)
    assert (one.cause, one.is_open, one.before["version"], one.after["version"]) == ("called", True, "1.0.0", "1.0.0")
    assert (message.kind, message.incident) == ("call", one.id)
    assert message.path == f"/plugin/governance/incidents/{MODEL}"
    assert "No earlier version has a valid permit." in message.text
    assert world.spec.owner.team in message.text
    assert message.text.endswith("An incident is open until Model risk or Compliance reviews it.")


def test_the_same_on_the_next_morning_is_the_same_incident(world, ledger, called):
    assert called(0).incident == called(1).incident
    assert called(0).incident == called(0).incident
    assert len(known(world, ledger)) == 1


def test_by_another_rule_it_is_another_one(world, ledger, called):
    assert called(0).incident != called(1, "loss").incident
    assert len(known(world, ledger)) == 2


def test_so_it_is_of_another_version(world, ledger, called):
    first = called(0)
    data = {"version": "1.1.0", "registry_version": 2, "evidence": "f" * 64, "manifest": "n" * 64, "previous": None}
    ledger.append("release", MODEL, data, actor="p-1", key="release:2", at=MORNING + DAY / 2)

    assert called(1).incident != first.incident


def test_its_timeline_tells_what_was_decided_and_whom_people_were_told(world, ledger, called):
    message = called()
    ledger.append("message", MODEL, {"text": message.text}, actor="pipeline", key=f"message:{message.key}")
    (one,) = known(world, ledger)

    events = [event.what for event in incidents.timeline(ledger, one, {})]

    assert events[0].startswith("Decided: A third of the features have drifted")
    assert events[1:] == ["An incident was opened.", f"Told: {message.text}"]


def test_a_dry_run_tells_and_calls_nobody_out(world, ledger, called):
    message = called(dry_run=True)

    assert (message.kind, message.incident) == ("call", None)
    assert known(world, ledger) == []
