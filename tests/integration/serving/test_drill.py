"""The rollback drill: the way back is walked and timed on a shadow, and what serves does not change."""

import json
import os
from contextlib import closing
from typing import Any

import httpx
import psutil
import psycopg
import pytest

from governance import cli
from governance.errors import InputError, UnavailableError
from governance.pipeline import step
from governance.pipeline.drill import open_drill
from governance.pipeline.run import Step
from governance.release import drill, history
from governance.release.drill import DrillOutcome
from governance.release.registry import CHAMPION, DRILL, Registry
from governance.release.smoke import SMOKE_ROWS
from governance.review import entries
from tests.integration.serving.services_under_test import free_port, mlflow_client, wait_until
from tests.integration.serving.test_release import flip
from tests.integration.serving.test_rollback import released, roll_back, serves
from tests.unit.release.permitted_world import MODEL, SAM


def drilled(house, key: str = "drill-1") -> DrillOutcome:
    return drill.drill(house.world.settings, house.ledger(), model=MODEL, actor=SAM, key=key)


def aliases(house) -> dict[str, str]:
    return dict(mlflow_client(house.registry.url).get_registered_model(MODEL).aliases)


def what_serves(house) -> dict[str, Any]:
    """Everything that says what serves: MLflow, the ledger, the scoring service."""
    ledger = house.ledger("auditor")
    found = history.live(ledger, MODEL)
    return {
        "aliases": aliases(house),
        "tags": dict(mlflow_client(house.registry.url).get_registered_model(MODEL).tags),
        "terms": [(term.release.key, term.since, term.until) for term in entries.terms(ledger, MODEL)],
        "live": found.to_dict() if found else None,
        "halt": entries.halt_of(ledger, MODEL),
        "service": {k: v for k, v in state(house).items() if k != "looked"},
        "kinds": {
            kind: len(house.entries(kind)) for kind in ("served", "refused", "release", "rollback", "stop", "resume")
        },
    }


def state(house) -> dict[str, Any]:
    return dict(httpx.get(f"{house.world.settings.serving_url}/models/{MODEL}").json())


def shadows() -> list[psutil.Process]:
    return [one for one in psutil.Process(os.getpid()).children(recursive=True) if drill.SHADOW in one.cmdline()]


@pytest.fixture
def two(house, scoring):
    return released(house, 0), released(house, 1)


def test_it_brings_the_version_before_back_on_the_shadow_and_says_how_long_each_step_took(house, two):
    done = drilled(house)

    assert (done.outcome, done.leaves["version"], done.version) == ("served", "1.1.0", "1.0.0")
    assert done.evidence == two[0].data["digest"]
    assert set(done.seconds) == {"start", *drill.STEPS}
    assert all(done.seconds[step] > 0 for step in ("start", "verify", "move", "serve", "test"))
    assert done.total == pytest.approx(sum(done.seconds[step] for step in drill.STEPS))
    assert done.in_time
    assert done.reason.startswith("tiny 1.0.0 would serve instead of 1.1.0 within ")
    (entry,) = house.entries("drill")
    assert (entry.key, entry.actor, drill.outcome_of(entry)) == ("drill:drill-1", SAM, done)
    assert drill.last(house.ledger("auditor"), MODEL) == done


def test_nothing_changes_of_what_serves_and_nothing_is_left_behind(house, two):
    before = what_serves(house)

    drilled(house)

    assert what_serves(house) == before
    assert before["aliases"] == {CHAMPION: str(two[1].data["evidence"]["model"]["registry_version"])}
    assert shadows() == []


def test_while_it_lasts_champion_stays_and_the_shadow_follows_its_own_alias(house, two, monkeypatch):
    seen: list[dict[str, str]] = []
    smoke = drill.smoke_test
    first, second = (str(one.data["evidence"]["model"]["registry_version"]) for one in two)

    def looked(service, verified):
        seen.append(aliases(house))
        smoke(service, verified)

    monkeypatch.setattr(drill, "smoke_test", looked)
    drilled(house)

    assert seen == [{CHAMPION: second, DRILL: first}]


@pytest.mark.slow
def test_a_registry_of_the_drill_reaches_neither_champion_nor_the_mark_of_a_stop(house, two):
    shadow, version = Registry(house.registry.url, DRILL), house.registry.champion(MODEL)

    shadow.set_champion(MODEL, 1 if version != 1 else 2)
    shadow.clear_champion(MODEL)

    assert house.registry.champion(MODEL) == version
    for forbidden in (lambda: shadow.set_stopped(MODEL, "x"), lambda: shadow.clear_stopped(MODEL)):
        with pytest.raises(InputError, match="alias champion"):
            forbidden()


@pytest.mark.slow
def test_its_rows_are_in_no_prediction_log(house, two):
    def logged() -> int:
        with closing(psycopg.connect(house.database.dsn("postgres"))) as connection:
            return int(connection.execute("SELECT count(*) FROM predictions.prediction").fetchone()[0])

    wait_until(lambda: logged() == 2 * SMOKE_ROWS, what="the log of both releases' smoke tests")
    drilled(house)

    assert logged() == 2 * SMOKE_ROWS


def test_without_a_version_to_go_back_to_it_shows_that(house, scoring):
    released(house, 0)

    done = drilled(house)

    assert (done.outcome, done.version, done.total, done.in_time) == ("no_target", None, None, False)
    assert done.reason == "There is no version of tiny to roll back to from 1.0.0."
    assert serves(house) is not None


@pytest.mark.slow
def test_a_version_whose_bytes_were_changed_is_left_and_named(house, two):
    flip(house.artifacts(two[0]) / "model" / "model.skops")

    done = drilled(house)

    assert done.outcome == "no_target"
    assert "model.skops" in done.tried[0]["reason"]
    assert "1.0.0 cannot come back" in done.reason


@pytest.mark.slow
def test_a_champion_that_could_not_be_loaded_anew_is_told_and_the_way_back_is_gone_all_the_same(house, two):
    flip(house.artifacts(two[1]) / "model" / "model.skops")

    done = drilled(house)

    assert (done.outcome, done.version) == ("served", "1.0.0")
    assert "model.skops" in str(done.champion)
    assert "could not load 1.1.0 anew" in done.reason


@pytest.mark.slow
def test_what_was_left_for_a_cause_is_no_way_back(house, two):
    roll_back(house)

    assert drilled(house).outcome == "no_target"


@pytest.mark.slow
def test_again_under_its_key_it_says_what_it_said(house, two):
    first = drilled(house)

    assert drilled(house) == first
    assert len(house.entries("drill")) == 1


def test_where_nothing_serves_there_is_nothing_to_leave(house, unserved):
    with pytest.raises(InputError, match="nothing to roll back from"):
        drilled(house)
    assert house.entries("drill") == []


@pytest.mark.slow
def test_without_mlflow_nothing_is_recorded(house, two):
    house.world = house.world.with_services(GOVERNANCE_MLFLOW_URL=f"http://127.0.0.1:{free_port()}")

    with pytest.raises(UnavailableError):
        drilled(house)
    assert (house.entries("drill"), shadows()) == ([], [])


@pytest.mark.slow
def test_it_is_not_held_up_by_a_drill_that_was_killed(house, two):
    Registry(house.registry.url, DRILL).set_champion(MODEL, house.registry.champion(MODEL))

    assert drilled(house).outcome == "served"
    assert DRILL not in aliases(house)


@pytest.mark.slow
class TestAsARun:
    def run(self, house, run_id: str = "run-d", started_by: str | None = "sam") -> Step:
        opened = open_drill(house.world.settings, house.ledger(), MODEL, run_id, started_by)
        return step("drill")(opened)

    def test_a_way_back_in_time_is_green_and_tells_nobody(self, house, two):
        done = self.run(house)

        assert (done.failed, list(done.messages)) == (None, [])
        assert (done.summary["outcome"], done.summary["version"]) == ("served", "1.0.0")
        assert house.entries("drill")[0].actor == SAM

    def test_no_way_back_is_red_and_told(self, house, scoring):
        released(house, 0)

        done = self.run(house, started_by=None)

        (message,) = done.messages
        assert message.text == done.failed
        assert message.text.startswith("Rollback drill of tiny. Lending: There is no version of tiny to roll back to")
        assert house.entries("drill")[0].actor == "drill"

    def test_a_way_back_that_takes_too_long_is_told_and_not_red(self, house, two, monkeypatch):
        monkeypatch.setattr(drill, "GOAL_SECONDS", 0.01)

        done = self.run(house)

        assert done.failed is None
        assert "longer than 0.01 s" in done.messages[0].text


class TestOnTheCommandLine:
    @pytest.fixture
    def governance(self, house, monkeypatch, capsys):
        def call(*arguments: str, user: str = "pipeline") -> tuple[int, dict[str, Any]]:
            for name, value in {
                "GOVERNANCE_ROOT": str(house.world.root),
                "GOVERNANCE_LEDGER_URL": house.database.dsn(user),
                **house.world.more,
            }.items():
                monkeypatch.setenv(name, value)
            capsys.readouterr()  # what MLflow printed while the test registered its candidates
            code = cli.main([*arguments, "--json"])
            return code, json.loads(capsys.readouterr().out)

        return call

    @pytest.mark.slow
    def test_it_drills_what_serves_and_exits_with_2_where_there_is_no_way_back(self, house, scoring, governance):
        released(house, 0)
        assert governance("drill")[0] == 2

        released(house, 1)
        code, said = governance("drill", MODEL, "--login", "sam")

        (one,) = said["drills"]
        assert (code, one["version"], one["in_time"], one["goal"]) == (0, "1.0.0", True, 15.0)
        assert len(house.entries("drill")) == 2

    def test_with_the_rights_of_a_persons_terminal_it_says_at_once_what_is_missing(self, house, unserved, governance):
        code, said = governance("drill", MODEL, user="auditor")

        assert code == 1
        assert "Expected the ledger's login pipeline" in said["error"]["message"]
        assert f"found auditor, which may not. Run `make drill MODEL={MODEL}`" in said["error"]["message"]

    def test_where_nothing_serves_it_could_not_be_done(self, house, unserved, governance):
        code, said = governance("drill")

        assert code == 1
        assert "nothing to roll back from" in said["error"]["message"]
