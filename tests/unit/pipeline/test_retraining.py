"""Training again: on which data, and who is said to have started it."""

import pytest

from governance.errors import InputError
from governance.pipeline.run import open_run
from governance.pipeline.unasked import ON_SCHEDULE, SCHEDULE
from tests.unit.release.permitted_world import MODEL

NEWEST = "parquet:newest.parquet"


@pytest.fixture
def renewed(world):
    """The model, which says where the newest outcomes are."""
    path = world.root / "include" / "models" / MODEL / "model.yaml"
    path.write_text(path.read_text() + f"\nretraining: {{source: {NEWEST}, schedule: '0 3 1 * *'}}\n")
    return world


def begun(world, ledger, run_id="run-1", started_by=None, scheduled=False, **asked):
    return open_run(world.settings, ledger, MODEL, run_id, asked, started_by, scheduled=scheduled)


def asked_by_a_monitor(ledger):
    decided = {"decision": {"action": "retrain"}, "dry_run": False}
    entry = ledger.append("monitoring", MODEL, decided, actor="monitoring", key="monitoring:1")
    return f"retrain-{entry.leaf[:24]}", entry.key


def test_a_run_that_a_person_asks_for_is_trained_on_what_the_spec_names_first(renewed, ledger):
    run = begun(renewed, ledger, started_by="sam", reason="First release")

    assert run.source == renewed.spec.data.source


def test_what_a_monitor_asks_for_is_trained_on_the_newest_outcomes(renewed, ledger):
    run_id, key = asked_by_a_monitor(ledger)

    run = begun(renewed, ledger, run_id, reason="Income has drifted.", decision=key)

    assert run.source == NEWEST
    assert begun(renewed, ledger, run_id).source == NEWEST  # also when a later task finds the run again


def test_so_is_what_the_schedule_starts_and_nobody_is_said_to_have_asked(renewed, ledger):
    run = begun(renewed, ledger, reason=ON_SCHEDULE, scheduled=True)

    assert (run.source, run.request.started_by) == (NEWEST, SCHEDULE)


def test_where_the_spec_names_none_the_source_is_the_same(world, ledger):
    run_id, key = asked_by_a_monitor(ledger)

    assert begun(world, ledger, run_id, reason="Drifted.", decision=key).source == world.spec.data.source


def test_a_person_has_a_reason_of_their_own(renewed, ledger):
    with pytest.raises(InputError, match="a reviewer reads it"):
        begun(renewed, ledger, started_by="sam", reason=ON_SCHEDULE)


def test_a_run_that_nobody_started_is_refused(renewed, ledger):
    with pytest.raises(InputError, match="Expected a person who started this run"):
        begun(renewed, ledger, reason="Because it is Monday.")
