"""A run of ``rollback_<model>``, step by step, and ``governance stop`` and ``live`` after it."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from governance import cli
from governance.errors import InputError, RefusedError
from governance.pipeline import ROLLBACK_STEPS, step
from governance.pipeline.operation import MONITORING, Operation, open_operation
from governance.pipeline.run import Step
from governance.review import incidents
from tests.integration.serving.test_rollback import REASON, live, released, serves, tier_says
from tests.unit.release.permitted_world import MODEL, SAM


def opened(house, run_id: str = "run-x", started_by: str | None = "sam", **asked: Any) -> Operation:
    at = asked.pop("asked_at", None)
    asked = {"reason": REASON, "to": None, "decision": None, **asked}
    return open_operation(house.world.settings, house.ledger(), MODEL, run_id, asked, started_by, at)


def run(house, **asked: Any) -> list[Step]:
    return [step(name)(opened(house, **asked)) for name in ROLLBACK_STEPS]


@pytest.fixture
def two(house, scoring):
    return released(house, 0), released(house, 1)


def test_it_says_what_it_leaves_restores_and_opens_an_incident_that_people_are_told_of(house, two):
    chosen, restored, incident = run(house)

    assert chosen.summary == {"serving": "1.1.0", "targets": ["1.0.0"], "reason": REASON}
    assert (restored.summary["action"], restored.summary["version"], restored.skipped) == ("rolled_back", "1.0.0", None)
    assert [dataset.name for dataset in restored.lineage.outputs] == ["tiny/endpoint", "tiny/predictions"]
    assert serves(house) == two[0].data["digest"]
    (message,) = incident.messages
    assert message.text.startswith("tiny was rolled back: 1.0.0 serves instead of 1.1.0. Lending: Approvals collapsed")
    assert incident.failed is None
    assert message.incident == incident.summary["incident"]
    (one,) = incidents.of_model(house.ledger("auditor"), MODEL, house.world.keys)
    assert (one.id, one.cause, one.opened_by, one.is_open) == (incident.summary["incident"], "rolled_back", SAM, True)
    told = [event.what for event in incidents.timeline(house.ledger("auditor"), one, {SAM: "Sam"})]
    assert told[0] == f"Sam asked for a rollback: {REASON}"
    assert {"The scoring service began to serve 1.0.0.", "1.0.0 serves again, verified and tested live."} < set(told)


@pytest.mark.slow
def test_run_again_it_does_nothing_more(house, two):
    run(house)

    again = run(house, reason="Something else.", to="1.1.0")

    assert again[1].summary["version"] == "1.0.0"
    assert (len(house.entries("rollback")), len(house.entries("incident"))) == (1, 1)


def test_without_a_version_to_go_back_to_the_run_ends_red_and_says_whether_it_serves_on(house, scoring):
    released(house, 0)
    tier_says(house, "keep_and_call")

    _, restored, incident = run(house)

    assert restored.summary["action"] == "kept"
    assert "it serves on. Act now" in str(incident.failed)
    assert live(house) == "1.0.0"


@pytest.mark.slow
def test_two_who_ask_at_once_mean_the_same_version(house, two):
    run(house, asked_at=datetime.now(UTC))

    with pytest.raises(RefusedError, match="found a rollback of"):
        opened(house, "run-y", asked_at=datetime.now(UTC) - timedelta(seconds=30))
    assert live(house) == "1.0.0"


def test_a_decision_may_ask_without_a_person(house, two):
    house.ledger().append("measured", MODEL, {"reason": "Parity 0.2."}, actor="monitoring", key="measured:decision")

    assert opened(house, started_by=None, decision="measured:decision").asked.actor == MONITORING


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"reason": "no"}, "reason"),
        ({"started_by": None}, "Expected a person"),
        ({"started_by": "stranger"}, "stranger"),
        ({"version": "1.0.0"}, "Unknown key 'version'"),
    ],
)
def test_what_is_not_asked_rightly_is_refused_before_anything_is_recorded(house, unserved, asked, told):
    with pytest.raises(InputError, match=told):
        opened(house, **asked)
    assert house.entries("operation") == []


class TestOnTheCommandLine:
    @pytest.fixture
    def governance(self, house, two, monkeypatch, capsys):
        for name, value in {
            "GOVERNANCE_ROOT": str(house.world.root),
            "GOVERNANCE_LEDGER_URL": house.database.dsn("pipeline"),
            **house.world.more,
        }.items():
            monkeypatch.setenv(name, value)

        def call(*arguments: str) -> tuple[int, dict[str, Any]]:
            code = cli.main([*arguments, "--json"])
            return code, json.loads(capsys.readouterr().out)

        return call

    def test_stop_takes_it_out_of_service_and_live_says_why_nothing_serves(self, house, governance):
        before = datetime.now(UTC).isoformat()
        code, said = governance("stop", MODEL, "--reason", REASON, "--login", "sam")

        assert (code, said["confirmed"], said["stopped"]["version"]) == (0, True, "1.1.0")
        assert serves(house) is None
        assert house.entries("stop")[0].actor == SAM
        code, said = governance("live", MODEL)
        assert (code, said["live"], said["stopped"]["reason"]) == (2, None, REASON)
        code, said = governance("live", MODEL, "--at", before)
        assert (code, said["live"]["version"], said["live"]["by"]) == (0, "1.1.0", "release")

    def test_a_model_that_there_is_not_is_not_stopped(self, governance):
        code, said = governance("stop", "tini", "--reason", REASON)

        assert code == 1
        assert "Did you mean" in said["error"]["message"]
