"""``governance decision``: what was decided last, on a day, and before; in sentences and with an exit code."""

import io
from datetime import UTC, datetime, timedelta

import pytest

from governance.commands import decision as command
from governance.commands.answer import console
from governance.errors import InputError
from governance.settings import load_settings
from tests.unit.plugins.stand_in import LedgerInMemory

MORNING = datetime(2026, 3, 2, 6, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.fixture
def ledger(monkeypatch):
    ledger = LedgerInMemory()
    monkeypatch.setattr(command, "open_ledger", lambda _: ledger)
    return ledger


def decided(ledger, until, action="nothing", because=("No feature has drifted.",), *, length=DAY, dry_run=False):
    watched = {"measurements": [{"name": "drift.share_drifted", "slice": {}, "value": 0.1, "n": 47}]}
    ledger.append("watched", "loan", watched, actor="monitoring", key=f"watched:{until}")
    data = {
        "since": (until - length).isoformat(),
        "until": until.isoformat(),
        "as_of": until.isoformat(),
        "version": "1.0.0",
        "champion": "e" * 64,
        "policy": "f" * 64,
        "dry_run": dry_run,
        "watched": f"watched:{until}",
        "decision": {"action": action, "rule": "drifted_share", "because": list(because)},
    }
    ledger.append("monitoring", "loan", data, actor="monitoring", key=f"monitoring:{until}")


def answered(day=None, **options):
    return command.decision(load_settings(), "loan", day, **options)


def said(answer):
    out = io.StringIO()
    answer.show(console(out))
    return out.getvalue()


def test_the_last_decision_is_said_with_rule_reason_and_what_was_measured(ledger):
    decided(ledger, MORNING)
    decided(ledger, MORNING + DAY, "retrain", ("15% of 47 features have drifted.", "The answers have moved."))
    answer = answered()

    assert said(answer).splitlines()[:4] == [
        "loan 1.0.0 · 2026-03-02 06:00 to 2026-03-03 06:00: retrain",
        "  15% of 47 features have drifted.",
        "  The answers have moved.",
        f"By the rule drifted_share of policy {'f' * 16}, on what had arrived by 2026-03-03 06:00. Ledger entry 4.",
    ]
    assert "drift.share_drifted: 0.100, n 47" in said(answer)


@pytest.mark.parametrize(
    ("action", "code"),
    [("nothing", 0), ("silent", 3), ("too_few", 3), ("retrain", 2), ("roll_back", 2), ("data_fault", 2), ("call", 2)],
)
def test_the_exit_code_says_whether_all_is_well(ledger, action, code):
    decided(ledger, MORNING, action)

    assert answered().exit_code == code


def test_a_dry_run_says_that_nothing_was_done(ledger):
    decided(ledger, MORNING, "retrain", dry_run=True)

    assert "retrain (dry run: nothing is done)" in said(answered())


def test_a_day_is_the_day_on_which_the_window_ended(ledger):
    decided(ledger, MORNING)
    decided(ledger, MORNING + DAY, "data_fault")

    assert answered("2026-03-02").document["decision"]["action"] == "nothing"
    with pytest.raises(InputError, match="ended on 2026-03-09, found none"):
        answered("2026-03-09")
    with pytest.raises(InputError, match="Expected a day such as 2026-03-03, found 'yesterday'"):
        answered("yesterday")


def test_the_history_is_a_line_each_the_latest_first_and_short_windows_have_seconds(ledger):
    decided(ledger, MORNING)
    decided(ledger, MORNING + DAY, "data_fault", ("min30 is never missing.",), length=timedelta(seconds=8))

    assert said(answered(history=5)).splitlines() == [
        "2026-03-03 05:59:52 to 06:00:00  data fault  min30 is never missing.",
        "2026-03-01 06:00 to 2026-03-02 06:00  nothing     No feature has drifted.",
    ]


def test_a_window_that_was_looked_at_late_is_not_the_last(ledger):
    decided(ledger, MORNING + DAY, "retrain")
    decided(ledger, MORNING)

    assert answered().document["decision"]["action"] == "retrain"
    assert [line[:10] for line in said(answered(history=2)).splitlines()] == ["2026-03-02", "2026-03-01"]


def test_a_model_that_is_none_is_told_from_one_that_was_not_watched(ledger):
    with pytest.raises(InputError, match=r"Expected a decision on loan, found none\. monitor_loan decides"):
        answered()
    with pytest.raises(InputError, match="Expected the name of a model, found 'lone'"):
        command.decision(load_settings(), "lone", None)


def test_of_a_window_that_was_let_go_it_says_when_and_by_which_rule(ledger):
    decided(ledger, MORNING)
    window = ledger.append("window", "loan", {}, actor="monitoring", key="window:1")
    decision = ledger.entries[1]
    ledger.entries[1] = type(decision)(**{**decision.__dict__, "data": {**decision.data, "window": "window:1"}})
    assert answered().document["let_go"] is None

    data = {"through": window.seq, "days": 762, "regulations": ["reg_b"], "policy": "f" * 64}
    ledger.append("let_go", "loan", data, actor="retention", key="let_go:1")

    assert "policy ffffffffffff of loan keeps them 762 days, as reg_b asks at least" in answered().document["let_go"]
    assert "What was measured of it and decided stays" in said(answered())
