"""What names a window, what it starts, and what it starts only once."""

from datetime import UTC, datetime, timedelta

import pytest

from governance.errors import InputError, RefusedError
from governance.monitoring.act import order_of
from governance.monitoring.watch import DECIDED, open_watch
from governance.pipeline.run import open_run
from tests.unit.plugins.stand_in import LedgerInMemory
from tests.unit.release.permitted_world import MODEL, World

MORNING = datetime(2026, 3, 2, 6, tzinfo=UTC)
DAY = timedelta(days=1)
TIMES = (MORNING - DAY, MORNING, MORNING)


@pytest.fixture
def world(tmp_path):
    return World.make(tmp_path / "checkout")


@pytest.fixture
def ledger():
    return LedgerInMemory()


@pytest.fixture
def watch(world, ledger):
    return open_watch(world.settings, ledger, MODEL, "scheduled-1", TIMES)


def decided(watch, action, *, dry_run=False, target=None):
    decision = {"action": action, "because": ["It has drifted.", "By far."], "rule": "drifted_share", "target": target}
    return watch.record(DECIDED, {"decision": decision, "dry_run": dry_run, "champion": None})


@pytest.mark.parametrize(
    "times",
    [
        (MORNING, MORNING, MORNING),
        (MORNING, MORNING - DAY, MORNING),
        (MORNING - DAY, MORNING, MORNING - DAY / 2),
        (MORNING - 500 * DAY, MORNING, MORNING),
        (MORNING.replace(tzinfo=None) - DAY, MORNING.replace(tzinfo=None), MORNING.replace(tzinfo=None)),
    ],
    ids=["empty", "backwards", "cut off too early", "longer than a year", "without a zone"],
)
def test_a_window_that_is_none_is_refused(world, ledger, times):
    with pytest.raises(InputError, match="Expected a window of at most a year, with time zones"):
        open_watch(world.settings, ledger, MODEL, "by-hand", times)


def test_two_monitors_of_one_window_find_the_same_record(world, ledger, watch):
    other = open_watch(world.settings, ledger, MODEL, "scheduled-2", TIMES)
    assert decided(watch, "retrain").seq == decided(other, "retrain").seq


def test_a_later_cut_off_is_another_record(world, ledger, watch):
    later = open_watch(world.settings, ledger, MODEL, "scheduled-1", (*TIMES[:2], MORNING + DAY))
    assert decided(watch, "retrain").seq != decided(later, "nothing").seq


def test_what_was_decided_is_started_with_its_reason_and_under_its_own_name(watch):
    entry = decided(watch, "retrain")
    order = order_of(watch, "retrain")
    assert order.run_id == f"retrain-{entry.leaf[:24]}"
    assert order.conf == {"reason": "It has drifted. By far.", "decision": entry.key}


def test_a_rollback_names_the_version(watch):
    decided(watch, "roll_back", target={"version": "1.2.0"})
    assert order_of(watch, "roll_back").conf["to"] == "1.2.0"


def test_another_decision_starts_nothing_and_says_which(watch):
    decided(watch, "nothing")
    assert order_of(watch, "retrain") == "Decided was: nothing to do."


def test_a_dry_run_starts_nothing(watch):
    decided(watch, "retrain", dry_run=True)
    assert "dry run" in order_of(watch, "retrain")


def test_nothing_is_started_before_it_was_decided(watch):
    with pytest.raises(InputError, match="clear the task before"):
        order_of(watch, "retrain")


class TestARunThatAMonitorAskedFor:
    """Nobody is its starter, so nobody may take that for himself."""

    def start(self, world, ledger, run_id, key):
        asked = {"reason": "It has drifted. By far.", "decision": key}
        return open_run(world.settings, ledger, MODEL, run_id, asked, None)

    def test_it_is_started_by_the_monitoring(self, world, ledger, watch):
        entry = decided(watch, "retrain")
        run = self.start(world, ledger, f"retrain-{entry.leaf[:24]}", entry.key)
        assert (run.request.started_by, run.request.decision) == ("monitoring", entry.key)

    @pytest.mark.parametrize("action", ["nothing", "roll_back"])
    def test_another_decision_starts_no_training(self, world, ledger, watch, action):
        entry = decided(watch, action)
        with pytest.raises(RefusedError, match="Expected a decision to train"):
            self.start(world, ledger, f"retrain-{entry.leaf[:24]}", entry.key)

    def test_a_dry_run_starts_no_training(self, world, ledger, watch):
        entry = decided(watch, "retrain", dry_run=True)
        with pytest.raises(RefusedError, match="Expected a decision to train"):
            self.start(world, ledger, f"retrain-{entry.leaf[:24]}", entry.key)

    def test_another_run_than_its_own_is_refused(self, world, ledger, watch):
        entry = decided(watch, "retrain")
        with pytest.raises(RefusedError, match="Expected a decision to train"):
            self.start(world, ledger, "manual-1", entry.key)

    @pytest.mark.parametrize("key", ["monitoring:tiny:none", "run:tiny:1"])
    def test_a_key_of_no_decision_is_refused(self, world, ledger, key):
        with pytest.raises(RefusedError, match="Expected a decision to train"):
            self.start(world, ledger, "retrain-" + "0" * 24, key)

    def test_nothing_is_on_record_of_a_run_that_was_refused(self, world, ledger):
        with pytest.raises(RefusedError):
            self.start(world, ledger, "retrain-" + "0" * 24, "monitoring:tiny:none")
        assert [entry.kind for entry in ledger.entries] == []
