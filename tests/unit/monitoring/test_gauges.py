"""What Prometheus reads of the ledger: the last word on each model, in few queries, in few series."""

from datetime import UTC, datetime, timedelta

import pytest

from governance.monitoring import gauges
from governance.monitoring.gauges import Gauges
from governance.records import Measurement
from tests.unit.plugins import watched
from tests.unit.plugins.stand_in import LedgerInMemory

SHIFT = {"obrat": 0.61, "loanamt": 0.43, "hrat": 0.27}


@pytest.fixture
def ledger():
    return LedgerInMemory()


@pytest.fixture
def monitor(ledger):
    made = watched.Monitor(ledger, first=datetime(2026, 3, 2, 6, tzinfo=UTC))
    made.release("1.0.0", "ab" * 32)
    return made


def values(text: str) -> dict[str, float]:
    return {
        line.rpartition(" ")[0].removeprefix("governance_monitoring_"): float(line.rpartition(" ")[2])
        for line in text.splitlines()
        if not line.startswith("#")
    }


def read(ledger, known: Gauges | None = None, models=("loan",)) -> dict[str, float]:
    return values((known or Gauges()).text(ledger, list(models)))


def test_the_last_decision_is_1_and_all_others_are_0(ledger, monitor):
    monitor.window(watched.measured(monitor.rng, moved=SHIFT, answers=0.19))
    found = read(ledger)

    decisions = {name: value for name, value in found.items() if name.startswith("decision")}
    assert len(decisions) == 7
    assert [name for name, value in decisions.items() if value] == ['decision{model="loan",action="retrain"}']


def test_it_is_told_with_what_it_rests_on(ledger, monitor):
    monitor.window(
        watched.measured(monitor.rng, moved=SHIFT, answers=0.19, loss=0.05, parity={"race": 0.27}), labelled=333
    )
    found = read(ledger)

    assert found['share_drifted{model="loan"}'] == 3 / 25
    assert found['prediction_psi{model="loan",bound="estimate"}'] == 0.19
    assert found['prediction_psi{model="loan",bound="low"}'] == 0.19 * 0.4
    assert found['loss_rise{model="loan",bound="low"}'] == pytest.approx(0.03)
    assert found['parity_difference{model="loan",attribute="race"}'] == 0.27
    assert (found['window_rows{model="loan"}'], found['window_labelled_rows{model="loan"}']) == (1000, 333)
    assert found['window_end_timestamp_seconds{model="loan"}'] == datetime(2026, 3, 3, 6, tzinfo=UTC).timestamp()


def test_what_was_not_measured_has_no_series(ledger, monitor):
    monitor.window(rows=0)
    found = read(ledger)

    assert found['decision{model="loan",action="silent"}'] == 1
    assert not [name for name in found if name.startswith(("share", "prediction", "loss", "parity"))]


def test_a_model_without_a_window_has_no_series(ledger, monitor):
    assert read(ledger) == {"models_unread": 0}


def test_the_latest_window_counts_and_not_the_latest_entry(ledger, monitor):
    monitor.window(watched.measured(monitor.rng, moved=SHIFT, answers=0.19))
    known = Gauges()
    read(ledger, known)
    monitor.until -= timedelta(days=9)
    monitor.window()  # a day that is filled in later

    for each in (known, Gauges()):
        assert read(ledger, each)['decision{model="loan",action="retrain"}'] == 1


def test_what_is_new_is_seen_at_the_next_scrape(ledger, monitor):
    monitor.window()
    known = Gauges()
    first = read(ledger, known)
    monitor.window(watched.measured(monitor.rng, moved=SHIFT, answers=0.19))

    assert first['decision{model="loan",action="nothing"}'] == 1
    assert read(ledger, known)['decision{model="loan",action="retrain"}'] == 1


@pytest.fixture
def carried_out(ledger, monitor):
    """A retraining that was released after two hours, and a roll back after eight seconds."""
    known = Gauges()
    read(ledger, known)
    shift = monitor.window(watched.measured(monitor.rng, moved=SHIFT, answers=0.19))
    run = "retrain-0000"
    ledger.append("run", "loan", {"request": {"decision": shift.key}}, actor="p", key=f"run:loan:{run}")
    data = {"run_id": run, "version": "1.1.0", "evidence": "cd" * 32}
    ledger.append("release", "loan", data, actor="p", key="release:2", at=shift.at + timedelta(hours=2))
    monitor.targets = [watched.Target("1.0.0", "ab" * 32, {"parity difference": (0.1, 0.3)})]
    for _ in range(3):
        worse = monitor.window(watched.measured(monitor.rng, parity={"race": 0.3}))
    data = {"version": "1.0.0", "evidence": "ab" * 32, "decision": worse.key}
    ledger.append("rollback", "loan", data, actor="p", key="rollback:1", at=worse.at + timedelta(seconds=8))
    return known


def test_the_time_from_decision_to_release_and_to_roll_back_is_told(ledger, carried_out):
    for each in (carried_out, Gauges()):
        found = read(ledger, each)
        assert found['cycle_seconds{model="loan",action="retrain"}'] == 7200
        assert found['cycle_seconds{model="loan",action="roll_back"}'] == 8


def test_what_people_asked_for_is_no_cycle(ledger, monitor):
    ledger.append("run", "loan", {"request": {}}, actor="p", key="run:loan:manual")
    ledger.append("release", "loan", {"run_id": "manual"}, actor="p", key="release:2")
    ledger.append("rollback", "loan", {"decision": None}, actor="p", key="rollback:2")

    assert not [name for name in read(ledger) if name.startswith("cycle")]


def test_a_scrape_without_news_reads_one_entry(ledger, monitor):
    for _ in range(5):
        monitor.window()
    known, reads = Gauges(), []
    read(ledger, known)
    find, get = ledger.find, ledger.get
    ledger.find = lambda *args, **kwargs: [reads.append(one) or one for one in find(*args, **kwargs)]
    ledger.get = lambda key: reads.append(key) or get(key)
    read(ledger, known)

    assert len(reads) == 1


def test_a_ledger_that_lost_its_end_is_read_anew(ledger, monitor):
    monitor.window()
    known = Gauges()
    monitor.window(watched.measured(monitor.rng, moved=SHIFT, answers=0.19))
    read(ledger, known)
    del ledger.entries[-3:]

    assert read(ledger, known)['decision{model="loan",action="nothing"}'] == 1


def test_one_request_reads_so_many_models_and_the_next_reads_on(ledger, monkeypatch):
    monkeypatch.setattr(gauges, "MODELS_AT_ONCE", 2)
    names = ["a", "b", "c"]
    for name in names:
        watched.Monitor(ledger, name).window()
    known = Gauges()

    assert read(ledger, known, names)["models_unread"] == 1
    assert {'window_rows{model="c"}', "models_unread"} <= set(read(ledger, known, names))


def test_a_model_that_is_gone_has_no_series(ledger, monitor):
    monitor.window()
    known = Gauges()
    read(ledger, known)

    assert read(ledger, known, models=()) == {"models_unread": 0}


def test_series_are_bounded(ledger, monitor):
    many = [
        Measurement("fairness.demographic_parity_difference", 0.1, 9, {"attribute": name})
        for name in [*(f"a{number}" for number in range(50)), "race × sex"]
    ]
    monitor.window([*watched.measured(monitor.rng), *many])
    found = [name for name in read(ledger) if name.startswith("parity")]

    assert len(found) == gauges.MOST_ATTRIBUTES
    assert not any("×" in name for name in found)


def test_each_metric_says_what_it_is(ledger, monitor):
    lines = Gauges().text(ledger, ["loan"]).splitlines()

    for name in gauges.HELP:
        assert f"# TYPE governance_monitoring_{name} gauge" in lines
        assert any(line.startswith(f"# HELP governance_monitoring_{name} ") for line in lines)
