"""How a page of events is cut into lanes that may be sent at once."""

import json
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from governance.lineage.delivery import Parcel, lanes
from governance.lineage.outbox import Kept


def kept(number, run, job, inputs=(), outputs=()):
    document = {
        "run": {"runId": run},
        "job": {"namespace": "governance", "name": job},
        "inputs": [{"namespace": "governance", "name": name} for name in inputs],
        "outputs": [{"namespace": "governance", "name": name} for name in outputs],
    }
    return Kept(number, json.dumps(document), run, datetime(2026, 3, 3, tzinfo=UTC))


def cut_into_lanes(events):
    return lanes([Parcel.of(one) for one in events])


def numbers(events):
    return [[parcel.kept.number for parcel in lane] for lane in cut_into_lanes(events)]


def test_what_shares_nothing_is_sent_at_once():
    assert numbers([kept(1, "a", "x"), kept(2, "b", "y")]) == [[1], [2]]


def test_a_run_a_job_and_a_data_set_keep_events_in_line():
    same_run = [kept(1, "a", "x"), kept(2, "a", "x")]
    same_job = [kept(3, "b", "x")]
    wrote_and_read = [kept(4, "c", "y", outputs=["loan/model"]), kept(5, "d", "z", inputs=["loan/model"])]
    assert numbers([*same_run, *same_job, *wrote_and_read]) == [[1, 2, 3], [4, 5]]


def test_a_late_event_may_join_two_lanes():
    assert numbers([kept(1, "a", "x"), kept(2, "b", "y"), kept(3, "a", "y")]) == [[1, 2, 3]]


@given(st.lists(st.tuples(*[st.integers(0, 4)] * 4), max_size=40))
def test_every_event_is_in_one_lane_in_order_and_what_they_share_is_in_one(drawn):
    events = [
        kept(n, f"r{run}", f"j{job}", [f"d{read}"], [f"d{wrote}"]) for n, (run, job, read, wrote) in enumerate(drawn)
    ]
    cut = cut_into_lanes(events)
    assert sorted(parcel.kept.number for lane in cut for parcel in lane) == [one.number for one in events]
    assert all([p.kept.number for p in lane] == sorted(p.kept.number for p in lane) for lane in cut)
    shared = [{key for parcel in lane for key in parcel.keys} for lane in cut]
    assert sum(map(len, shared)) == len(set().union(*shared))
