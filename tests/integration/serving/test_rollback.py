"""Back to an earlier version whose permit is valid, and what happens where there is none."""

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from governance.errors import InputError, RefusedError, TamperedError, UnavailableError
from governance.ledger.log import Entry, Ledger
from governance.release import attempt, history, rollback
from governance.release.rollback import RollbackOutcome
from governance.release.scoring import Replicas
from tests.integration.serving.services_under_test import free_port
from tests.integration.serving.test_release import flip
from tests.unit.release.permitted_world import MODEL, POLICY, SAM

REASON = "Approvals collapsed for one group."


def released(house, number: int, **signed: Any) -> Entry:
    """Release one more version; return its evidence."""
    evidence = house.candidate(f"run-{number}", seed=number, version=f"1.{number}.0")
    house.sign(evidence, **signed)
    assert not house.release(f"run-{number}").reverted
    return evidence


def roll_back(house, key: str = "roll-1", **arguments: Any) -> RollbackOutcome:
    arguments = {"reason": REASON, "actor": SAM, **arguments}
    return rollback.roll_back(house.world.settings, house.ledger(), model=MODEL, key=key, **arguments)


def serves(house) -> str | None:
    """Evidence that the scoring service serves."""
    state = httpx.get(f"{house.world.settings.serving_url}/models/{MODEL}").json()
    return state.get("evidence") if state["state"] == "serving" else None


def tier_says(house, what: str) -> None:
    """Change the policy that is in force; permits carry the one they were signed under."""
    policy = house.world.root / "include" / "models" / MODEL / "policy.yaml"
    policy.write_text(f"{POLICY}no_rollback_target: {what}\n")


def live(house, at: datetime | None = None) -> str | None:
    found = history.live(house.ledger("auditor"), MODEL, at)
    return found.version if found else None


@pytest.fixture
def two(house, scoring) -> tuple[Entry, Entry]:
    return released(house, 0), released(house, 1)


class TestTheWayBack:
    def test_the_version_before_serves_again_and_the_ledger_says_why(self, house, two):
        before = datetime.now(UTC)

        outcome = roll_back(house, decision=None)

        first, second = two
        assert (outcome.action, outcome.version, outcome.already) == ("rolled_back", "1.0.0", False)
        assert serves(house) == first.data["digest"]
        assert house.registry.champion(MODEL) == outcome.registry_version
        (entry,) = house.entries("rollback")
        assert entry.data["reason"] == REASON
        assert entry.data["previous"]["evidence"] == second.data["digest"]
        assert entry.data["snapshot"] == house.world.snapshot.digest
        assert (live(house), live(house, before)) == ("1.0.0", "1.1.0")

    @pytest.mark.slow
    def test_it_takes_seconds(self, house, two):
        began = datetime.now(UTC)

        roll_back(house)

        assert datetime.now(UTC) - began < timedelta(seconds=15)

    @pytest.mark.slow
    def test_what_people_signed_since_does_not_void_an_earlier_permit(self, house, two):
        tier_says(house, "suspend")
        (house.world.root / "include" / "governance" / "shared.py").write_text("SHARED = 2\n")

        assert roll_back(house).version == "1.0.0"

    def test_again_under_its_key_it_does_nothing_more(self, house, two):
        roll_back(house)

        again = roll_back(house, to="1.1.0", reason="Something else entirely.")

        assert (again.already, again.version) == (True, "1.0.0")
        assert (len(house.entries("rollback")), live(house)) == (1, "1.0.0")

    def test_what_was_left_for_a_cause_is_no_target_and_comes_back_only_by_name(self, house, two):
        roll_back(house)
        tier_says(house, "keep_and_call")

        assert roll_back(house, "roll-2").action == "kept"
        assert roll_back(house, "roll-3", to="1.1.0").version == "1.1.0"
        assert (live(house), serves(house)) == ("1.1.0", two[1].data["digest"])

    @pytest.mark.slow
    def test_then_a_release_and_a_rollback_from_it(self, house, two):
        roll_back(house)
        released(house, 2)

        assert roll_back(house, "roll-2").version == "1.0.0"
        assert live(house) == "1.0.0"

    @pytest.mark.slow
    def test_clearing_the_release_of_what_was_left_does_not_bring_it_back(self, house, two):
        roll_back(house)

        assert house.release("run-1").already
        assert live(house) == "1.0.0"

    def test_a_decision_is_named_in_the_entry_and_must_be_about_what_serves(self, house, two):
        first, second = (one.data["digest"] for one in two)
        ledger = house.ledger()
        for name, evidence in (("late", first), ("right", second)):
            ledger.append("measured", MODEL, {"evidence": evidence}, actor=SAM, key=f"measured:{name}")

        with pytest.raises(RefusedError, match="serves no more"):
            roll_back(house, "roll-1", decision="measured:late")
        with pytest.raises(InputError, match="found none"):
            roll_back(house, "roll-2", decision="measured:nowhere")
        assert roll_back(house, "roll-3", decision="measured:right").action == "rolled_back"
        assert house.entries("rollback")[0].data["decision"] == "measured:right"


class TestWhichVersions:
    def test_the_one_that_served_last_comes_first_and_what_serves_is_none(self, house, two):
        released(house, 2)

        assert [one.version for one in self.targets(house)] == ["1.1.0", "1.0.0"]

    def test_one_whose_permit_has_ended_is_skipped(self, house, scoring):
        released(house, 0)
        released(house, 1, now=datetime.now(UTC) - timedelta(days=29))
        released(house, 2)
        later = datetime.now(UTC) + timedelta(days=2)

        assert [one.version for one in self.targets(house, later)] == ["1.0.0"]

    @pytest.mark.slow
    def test_one_whose_permit_was_revoked_is_skipped(self, house, two):
        released(house, 2)
        revoked = {"evidence": two[1].data["digest"], "reason": "Signed by mistake."}
        house.ledger("review").append("revocation", MODEL, revoked, actor=SAM, key="revocation:1")

        assert [one.version for one in self.targets(house)] == ["1.0.0"]

    @pytest.mark.slow
    def test_a_permit_for_another_environment_is_none(self, house, two):
        house.world = house.world.with_services(GOVERNANCE_ENVIRONMENT="staging")

        assert self.targets(house) == []

    def targets(self, house, now: datetime | None = None) -> list[rollback.Target]:
        return rollback.targets(house.world.settings, house.ledger(), MODEL, now or datetime.now(UTC))


class TestBytesThatWereChanged:
    @pytest.mark.parametrize(
        "file",
        [
            "model/model.skops",
            *(
                pytest.param(other, marks=pytest.mark.slow)
                for other in ("permit/permit.json", "permit/tier.yaml", "evidence/evidence.json")
            ),
        ],
    )
    def test_the_version_is_passed_over_and_the_next_one_comes_back(self, house, two, file):
        released(house, 2)
        flip(house.artifacts(two[1]) / file)

        outcome = roll_back(house)

        assert (outcome.version, serves(house)) == ("1.0.0", two[0].data["digest"])
        assert [one["version"] for one in outcome.tried] == ["1.1.0"]
        assert file.rpartition("/")[2] in outcome.tried[0]["reason"]

    def test_a_ledger_that_was_changed_brings_nothing_back(self, house, two):
        flipped = "UPDATE ledger.entry SET body = set_byte(body, octet_length(body) / 2, 33) WHERE kind = %s"
        house.database.tamper(flipped, "decision")

        with pytest.raises(TamperedError, match="ledger"):
            roll_back(house)
        assert not house.entries("rollback")


class TestNoVersionToRollBackTo:
    def test_the_tier_may_let_it_serve_on_and_call_people(self, house, scoring):
        only = released(house, 0)
        tier_says(house, "keep_and_call")

        outcome = roll_back(house)

        assert (outcome.action, outcome.version, live(house)) == ("kept", "1.0.0", "1.0.0")
        assert serves(house) == only.data["digest"]
        assert [entry.data["reason"] for entry in house.entries("no_rollback")] == [REASON]

    def test_the_tier_may_suspend_the_model(self, house, scoring):
        released(house, 0)
        tier_says(house, "suspend")

        outcome = roll_back(house)

        assert (outcome.action, outcome.version, live(house), serves(house)) == ("suspended", None, None, None)
        assert house.registry.champion(MODEL) is None
        assert roll_back(house).already
        assert len(house.entries("stop")) == 1

    def test_what_a_monitor_found_no_version_better_for_is_suspended_whatever_is_permitted(self, house, two):
        """A version with a permit that is worse on this very window is no way back."""
        tier_says(house, "suspend")
        decided = {"decision": {"action": "roll_back", "target": None}, "evidence": two[1].data["digest"]}
        house.ledger().append("monitoring", MODEL, decided, actor=SAM, key="monitoring:1")

        outcome = roll_back(house, decision="monitoring:1")

        assert (outcome.action, live(house), serves(house)) == ("suspended", None, None)

    @pytest.mark.slow
    def test_a_version_that_fails_the_live_test_is_left_for_the_next_one(self, house, two, monkeypatch):
        released(house, 2)
        self._fails(monkeypatch, "1.1.0")

        outcome = roll_back(house)

        assert (outcome.version, [one["version"] for one in outcome.tried]) == ("1.0.0", ["1.1.0"])
        assert (live(house), serves(house)) == ("1.0.0", two[0].data["digest"])

    @pytest.mark.slow
    def test_where_all_fail_what_served_serves_again(self, house, two, monkeypatch):
        tier_says(house, "keep_and_call")
        self._fails(monkeypatch, "1.0.0")

        outcome = roll_back(house)

        assert (outcome.action, live(house)) == ("kept", "1.1.0")
        assert house.registry.champion(MODEL) == two[1].data["evidence"]["model"]["registry_version"]

    @pytest.mark.slow
    def test_a_version_that_a_person_names_and_that_fails_changes_nothing(self, house, two, monkeypatch):
        tier_says(house, "suspend")
        self._fails(monkeypatch, "1.0.0")

        with pytest.raises(RefusedError, match=r"1\.0\.0 cannot come back"):
            roll_back(house, to="1.0.0")
        assert (live(house), house.entries("stop")) == ("1.1.0", [])
        assert house.registry.champion(MODEL) == two[1].data["evidence"]["model"]["registry_version"]

    def test_a_version_that_there_is_not_is_said_with_those_that_there_are(self, house, two):
        with pytest.raises(InputError, match=r"found 7\.0\.0\. There are: 1\.0\.0"):
            roll_back(house, to="7.0.0")

    def test_a_model_that_was_never_released_has_nothing_to_roll_back(self, house, unserved):
        with pytest.raises(InputError, match="nothing to roll back"):
            roll_back(house)

    def _fails(self, monkeypatch, version: str) -> None:
        """Have one version answer otherwise than its bytes: what a wrong library on the service would do."""
        smoke_test = attempt.smoke_test

        def failing(service: Any, verified: Any) -> None:
            if verified.permitted.permit.version == version:
                raise RefusedError("what serves is not what was signed.")
            smoke_test(service, verified)

        monkeypatch.setattr(attempt, "smoke_test", failing)


class KilledError(BaseException):
    """What ends a process; nothing catches it."""


def killed(*_: Any, **__: Any) -> None:
    raise KilledError


CUTS = {
    "before the alias": (attempt.Attempt, "begin"),
    "between the alias and the test": (Replicas, "refresh"),
    "before the entry": (attempt.Attempt, "expect_champion"),
}


class TestCutOff:
    @pytest.mark.parametrize(
        "cut",
        [
            pytest.param(cut, id=name, marks=pytest.mark.slow if name == "before the entry" else ())
            for name, cut in CUTS.items()
        ],
    )
    def test_the_retry_completes_it_once(self, house, two, monkeypatch, cut):
        with monkeypatch.context() as patched:
            patched.setattr(*cut, killed)
            with pytest.raises(KilledError):
                roll_back(house)
        assert (live(house), house.entries("rollback")) == ("1.1.0", [])

        assert roll_back(house).version == "1.0.0"
        assert (len(house.entries("rollback")), live(house)) == (1, "1.0.0")
        assert serves(house) == two[0].data["digest"]

    @pytest.mark.slow
    def test_an_acknowledgement_that_was_lost_is_found_by_the_retry(self, house, two, monkeypatch):
        append = Ledger.append

        def lose_the_answer(self: Ledger, kind: str, *arguments: Any, **more: Any) -> Entry:
            entry = append(self, kind, *arguments, **more)
            if kind == "rollback":
                raise UnavailableError("no acknowledgement")
            return entry

        with monkeypatch.context() as patched:
            patched.setattr(Ledger, "append", lose_the_answer)
            with pytest.raises(UnavailableError):
                roll_back(house)

        assert roll_back(house).version == "1.0.0"
        assert (len(house.entries("rollback")), live(house), serves(house)) == (1, "1.0.0", two[0].data["digest"])

    @pytest.mark.slow
    def test_a_retry_after_another_release_refuses_to_leave_that_one(self, house, two, monkeypatch):
        with monkeypatch.context() as patched:
            patched.setattr(attempt.Attempt, "begin", killed)
            with pytest.raises(KilledError):
                roll_back(house)
        released(house, 2)

        with pytest.raises(RefusedError, match=r"Expected 1\.1\.0 of tiny to serve"):
            roll_back(house)
        assert live(house) == "1.2.0"

    def test_with_the_scoring_service_away_what_served_is_champion_again_and_the_retry_goes_on(self, house, two):
        url = house.world.settings.serving_url
        house.world = house.world.with_services(GOVERNANCE_SERVING_URL=f"http://127.0.0.1:{free_port()}")

        with pytest.raises(UnavailableError, match="scoring service"):
            roll_back(house)
        assert house.registry.champion(MODEL) == two[1].data["evidence"]["model"]["registry_version"]
        house.world = house.world.with_services(GOVERNANCE_SERVING_URL=url)
        assert roll_back(house).version == "1.0.0"
