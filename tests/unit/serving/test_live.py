"""Drift between two windows: an alert beside the answers, never in their way, and never a decision."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from governance.errors import UnavailableError
from governance.measures import drift_counts
from governance.measures.drift_frames import counted
from governance.measures.drift_shapes import shape_of
from governance.serving import live
from governance.serving.live import Asked, Live

FEATURES = ("income", "region")


@dataclass(frozen=True)
class Version:
    name: str = "loan"
    version: str = "1.0.0"
    evidence: str = "ab"


class Ledger:
    """The last windows of one model; counts how often it is asked."""

    def __init__(self) -> None:
        self.entries, self.asked, self.away = [], 0, False

    def window(self, seed=0, champion="ab", measured=True):
        draw = np.random.default_rng(seed)
        income, region = pd.Series(draw.normal(0, 1, 2000)), pd.Series(draw.choice(["north", "south"], 2000))
        shapes = [
            shape_of(drift_counts.of_numbers("", draw.random(2000), draw.random(2000))),
            *(shape_of(counted(name, one, one)) for name, one in zip(FEATURES, (income, region), strict=True)),
        ]
        key = f"watched:{len(self.entries)}"
        told = {"shapes": [one.to_dict() for one in shapes] if measured else []}
        self.entries.insert(0, Entry(f"monitoring:{key}", {"champion": champion, "watched": key}))
        self.entries.append(Entry(key, told))

    def find(self, *, kind, subject, newest_first, limit):
        self.asked += 1
        if self.away:
            raise UnavailableError("The ledger does not answer.")
        return [one for one in self.entries if one.key.startswith(f"{kind}:")][:limit]

    def get(self, key):
        return next((one for one in self.entries if one.key == key), None)


@dataclass
class Entry:
    key: str
    data: dict


class Clock:
    def __init__(self) -> None:
        self.at = datetime(2026, 3, 2, 8, tzinfo=UTC)

    def __call__(self):
        return self.at

    def later(self, **by):
        self.at += timedelta(**by)


@pytest.fixture
def ledger():
    made = Ledger()
    made.window()
    return made


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def counting(ledger, clock):
    return Live(ledger, clock)


@pytest.fixture
def told(monkeypatch):
    """What the log is told."""
    lines = []
    monkeypatch.setattr(live.log, "warning", lambda text, *args: lines.append(text % args))
    monkeypatch.setattr(live.log, "error", lambda text, *args: lines.append(text % args))
    return lines


def asked(rows=400, shift=0.0, version=None, seed=1) -> Asked:
    draw = np.random.default_rng(seed)
    income, region = draw.normal(shift, 1, rows).tolist(), draw.choice(["north", "south"], rows).tolist()
    return Asked(
        version or Version(), FEATURES, [list(row) for row in zip(income, region, strict=True)], [1] * rows,
        draw.random(rows).tolist(),
    )  # fmt: skip


def gauges(counting) -> dict[str, float]:
    lines = [line for line in counting.metrics() if not line.startswith("#")]
    return {line.rpartition(" ")[0].removeprefix("governance_live_"): float(line.rpartition(" ")[2]) for line in lines}


def seen(counting, *requests) -> dict[str, float]:
    for one in requests:
        counting.take(one)
    counting.look()
    return gauges(counting)


def test_what_has_not_moved_is_told_as_0(counting, told):
    found = seen(counting, asked())

    assert found == {
        'psi_low{model="loan",feature="income"}': 0.0,
        'psi_low{model="loan",feature="region"}': 0.0,
        'prediction_psi_low{model="loan"}': 0.0,
        'rows{model="loan"}': 400,
        "left_out_total": 0,
    }
    assert told == []


def test_what_has_moved_is_told_as_a_gauge_and_in_the_log(counting, told):
    found = seen(counting, asked(shift=2.0))

    assert found['psi_low{model="loan",feature="income"}'] > 0.5
    assert told == [
        "loan 1.0.0: in 400 rows since the last window, income moved beyond a PSI of 0.2, by more than chance. "
        "Nothing is decided by this: monitor_loan decides at its next window."
    ]


def test_the_log_is_told_once_a_day(counting, clock, told):
    for _ in range(3):
        seen(counting, asked(shift=2.0))
        clock.later(hours=1)
    assert len(told) == 1
    clock.later(hours=24)
    seen(counting, asked(shift=2.0))

    assert len(told) == 2


def test_a_few_rows_are_no_alert(counting, told):
    seen(counting, asked(rows=50, shift=3.0))

    assert told == []


def test_before_the_first_window_of_a_champion_nothing_is_told(ledger, counting):
    found = seen(counting, asked(shift=2.0, version=Version(evidence="new")))

    assert not [name for name in found if name.startswith(("psi", "prediction"))]
    assert found['rows{model="loan"}'] == 0


def test_a_window_that_was_not_measured_is_no_reference(ledger, counting):
    ledger.window(measured=False)

    assert 'psi_low{model="loan",feature="income"}' in seen(counting, asked())


def test_with_a_new_window_counting_begins_anew(ledger, counting, clock):
    seen(counting, asked(shift=2.0))
    ledger.window(seed=3)
    clock.later(minutes=6)
    found = seen(counting, asked(rows=300))

    assert found['rows{model="loan"}'] == 300
    assert found['psi_low{model="loan",feature="income"}'] == 0.0


def test_another_champion_is_another_count(ledger, counting):
    ledger.window(champion="cd")
    seen(counting, asked(shift=2.0))
    found = seen(counting, asked(rows=300, version=Version(version="1.1.0", evidence="cd")))

    assert found['rows{model="loan"}'] == 300


def test_the_ledger_is_asked_every_five_minutes_and_not_with_every_request(ledger, counting, clock):
    for _ in range(20):
        seen(counting, asked(rows=5))
        clock.later(seconds=20)

    assert ledger.asked == 2


def test_a_ledger_that_is_away_changes_nothing(ledger, counting, clock):
    seen(counting, asked())
    ledger.away = True
    clock.later(minutes=6)
    found = seen(counting, asked(shift=2.0))

    assert found['rows{model="loan"}'] == 800


def test_what_the_queue_has_no_room_for_is_left_out_and_counted(counting, monkeypatch):
    monkeypatch.setattr(live, "MOST_WAITING", 1000)
    found = seen(counting, asked(rows=700), asked(rows=700), asked(rows=700))

    assert (found['rows{model="loan"}'], found["left_out_total"]) == (1000, 1100)
    assert seen(counting, asked(rows=700))['rows{model="loan"}'] == 1700


def test_a_column_of_another_kind_is_counted_no_more_and_no_value_is_told(counting, told):
    wrong = asked()
    wrong.rows[7][0] = "secret"
    found = seen(counting, wrong, asked(shift=2.0))

    assert 'psi_low{model="loan",feature="income"}' not in found
    assert found['rows{model="loan"}'] == 800
    assert not any("secret" in line for line in told)


def test_a_fault_in_counting_ends_neither_the_thread_nor_an_answer(ledger, clock, monkeypatch, told):
    monkeypatch.setattr(live, "PAUSE", 0.01)
    counting = Live(ledger, clock)
    monkeypatch.setattr(counting, "_count", lambda _: 1 / 0)
    counting.start()
    counting.take(asked(rows=1))
    deadline = datetime.now(UTC) + timedelta(seconds=20)
    while not told and datetime.now(UTC) < deadline:
        counting._ending.wait(0.01)
    alive = counting._thread.is_alive()
    counting.stop()

    assert alive
    assert not counting._thread.is_alive()
    assert told[0] == "Counting what is asked failed: ZeroDivisionError"


def test_a_feature_whose_times_were_kept_is_not_counted(ledger, counting):
    ledger.entries[-1].data["shapes"][1]["kind"] = "times"

    assert 'psi_low{model="loan",feature="income"}' not in seen(counting, asked())


def test_memory_is_that_of_the_bins(counting, clock):
    seen(counting, asked())
    before = {name: stream._counts.size for name, stream in counting._models["loan"].streams.items()}
    for seed in range(20):
        seen(counting, asked(rows=500, shift=seed, seed=seed))

    assert {name: stream._counts.size for name, stream in counting._models["loan"].streams.items()} == before
    assert not counting._queue
