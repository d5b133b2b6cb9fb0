"""Delivery to a real HTTP server that is down, slow, hangs, answers 500, cuts the connection, and comes back."""

import json
import threading
import time

import pytest

from governance.lineage.delivery import Delivery
from governance.lineage.marquez import Marquez
from governance.lineage.outbox import Turn
from tests.integration.lineage.conftest import dataset, event
from tests.integration.lineage.marquez_double import Collector

QUICK = {"seconds": 0.3, "late": 1.0}


@pytest.fixture
def marquez():
    collector = Collector()
    yield collector
    collector.stop()


@pytest.fixture
def delivery(outbox, marquez):
    one = Delivery(outbox, lambda: Marquez(marquez.url, **QUICK))
    yield one
    one.close()


def until(told, what, seconds=60):
    deadline = time.monotonic() + seconds
    while not told():
        assert time.monotonic() < deadline, f"Expected that {what}, found that it did not come to that."
        time.sleep(0.02)


@pytest.fixture
def following(delivery):
    thread = threading.Thread(target=delivery.follow, args=(lambda: True,))
    thread.start()
    yield delivery
    delivery.stop()
    thread.join()


def story(runs):
    """Return the events of runs that take place at the same time."""
    return [event(f"run-{n}", kind, f"job-{n}") for kind in ("START", "RUNNING", "COMPLETE") for n in range(runs)]


def in_order(told, runs):
    """Whether each run's events were taken in its order, a repetition aside."""
    for n in range(runs):
        mine = [one.split()[1] for one in told if one.split()[0] == f"run-{n}"]
        if list(dict.fromkeys(mine)) != ["START", "RUNNING", "COMPLETE"]:
            return False
    return True


def test_everything_is_delivered_in_order_of_each_run_and_once(outbox, marquez, delivery):
    outbox.append(story(7))
    outcome = delivery.drain()
    assert (outcome.delivered, outcome.refused, outcome.away) == (21, {}, None)
    assert in_order(marquez.runs(), 7)
    assert sorted(marquez.taken) == sorted(kept.text for kept in outbox.events())
    assert outbox.counts().waiting == 0


def test_connections_are_kept(outbox, marquez, delivery):
    outbox.append(story(10))
    delivery.drain()
    assert marquez.connections <= 4


def test_events_of_one_data_set_arrive_in_the_order_in_which_they_were_kept(outbox, marquez, delivery):
    marquez.delay = 0.005
    events = [event(f"run-{n}", "COMPLETE", f"job-{n}", outputs=[dataset("loan/model", str(n))]) for n in range(12)]
    outbox.append(events)
    delivery.drain()
    assert marquez.taken == events


@pytest.mark.parametrize("fault", [500, 503, 429, "hang", "cut", "trickle"])
def test_what_could_not_be_taken_is_sent_again_and_nothing_is_lost(outbox, marquez, following, fault):
    answers = iter([fault] * 2)
    marquez.behaviour = lambda _: next(answers, 201)
    outbox.append(story(3))
    until(lambda: outbox.counts().waiting == 0, "everything was delivered")
    assert in_order(marquez.runs(), 3)
    assert len(set(marquez.taken)) == 9


def test_while_nothing_answers_everything_waits_and_drains_once_it_is_back(outbox, marquez, following, caplog):
    marquez.stop()
    outbox.append(story(5))
    until(lambda: "Lineage waits in the outbox" in caplog.text, "it was tried")
    assert outbox.counts().waiting == 15
    marquez.start()
    back = time.monotonic()
    until(lambda: outbox.counts().waiting == 0, "everything was delivered within a minute of the return", 60)
    assert time.monotonic() - back < 60
    assert in_order(marquez.runs(), 5)


@pytest.mark.parametrize("status", [400, 413, 422])
def test_an_event_that_will_never_be_taken_is_set_aside_and_blocks_nothing(outbox, marquez, delivery, status):
    marquez.behaviour = lambda text: status if "poison" in text else 201
    before, poison, after = event("run-1"), event("run-1", "RUNNING", "poison"), event("run-1", "COMPLETE")
    outbox.append([before, poison, after])
    outcome = delivery.drain()
    assert marquez.taken == [before, after]
    assert list(outcome.refused.values()) == [f'{status} {{"message": "no"}}']
    assert [(kept.text, kept.refusal) for kept in outbox.set_aside()] == [(poison, f'{status} {{"message": "no"}}')]
    assert outbox.counts().waiting == 0


def test_an_event_that_is_answered_with_500_for_ever_holds_back_its_own_run_alone(outbox, marquez, delivery):
    marquez.behaviour = lambda text: 500 if '"runId": "run-1"' in text else 201
    events = [event("run-1", "START", "a"), event("run-2", "START", "b"), event("run-1", "COMPLETE", "a")]
    outbox.append([*events, event("run-3", "START", "a")])
    outcome = delivery.drain()
    assert sorted(marquez.runs()) == ["run-2 START", "run-3 START"]
    assert list(outcome.failed) == ["run-1"]
    assert [kept.run_id for kept in outbox.pending()] == ["run-1", "run-1"]


@pytest.mark.parametrize("status", [301, 401, 403, 404, 405])
def test_what_is_not_marquez_sets_no_event_aside(outbox, marquez, delivery, status):
    marquez.behaviour = lambda _: status
    outbox.append([event()])
    outcome = delivery.drain()
    assert f"answers {status}" in outcome.away
    assert (outbox.counts().waiting, outbox.counts().refused) == (1, 0)


def test_a_marquez_that_begins_empty_gets_everything_again_in_the_same_order(outbox, marquez, delivery):
    outbox.append(story(4))
    delivery.drain()
    first, marquez.taken = marquez.taken, []
    outbox.redeliver()
    delivery.drain()
    assert sorted(marquez.taken) == sorted(first)
    assert in_order(marquez.runs(), 4)


def test_tags_of_people_are_set_by_the_tag_api_again_and_again(outbox, marquez, delivery):
    tags = [{"key": "PII", "value": "true", "source": "GOVERNANCE", "field": "ssn"}]
    tags += [{"key": "SENSITIVE", "value": "true", "source": "GOVERNANCE"}, {"key": "nightly", "value": "true"}]
    protected = {"namespace": "governance", "name": "loan/protected", "facets": {"tags": {"tags": tags}}}
    outbox.append([event(outputs=[protected])])
    for _ in range(2):
        delivery.drain()
        assert marquez.tags == {
            ("governance", "loan/protected", "ssn", "PII"),
            ("governance", "loan/protected", None, "SENSITIVE"),
        }
        outbox.redeliver()


def test_a_tag_that_marquez_fails_on_holds_no_event_back(outbox, marquez, delivery):
    tags = [{"key": "PII", "value": "true", "source": "GOVERNANCE"}]
    linked = {"namespace": "governance", "name": "loan/linked", "facets": {"tags": {"tags": tags}}}
    outbox.append([event("run-1", outputs=[linked]), event("run-1", "COMPLETE", outputs=[linked])])
    marquez.linked.add("loan/linked")

    outcome = delivery.drain()

    assert (outcome.delivered, outcome.failed) == (2, {})
    assert not outbox.pending()


@pytest.mark.parametrize(
    "part",
    [
        {"outputs": [{"namespace": "n", "name": "x", "facets": {"tags": {"tags": {"a": 1}}}}]},
        {"inputs": {"a": 1}},
        {"run": ["a"]},
        {"outputs": [{"namespace": "n", "name": "x", "facets": ["a"]}]},
    ],
    ids=["tags", "inputs", "run", "facets"],
)
def test_what_only_looks_like_an_event_is_set_aside_and_stops_no_other(outbox, marquez, delivery, part):
    outbox.append([json.dumps({**json.loads(event("run-1")), **part}), event("run-2")])

    outcome = delivery.drain()

    assert (outcome.delivered, len(outcome.refused)) == (1, 1)
    assert marquez.runs() == ["run-2 START"]
    assert outbox.counts().waiting == 0


def test_one_process_delivers_at_a_time_and_the_next_takes_over(database):
    first, second = Turn(database.dsn("auditor")), Turn(database.dsn("pipeline"))
    assert first.is_ours()
    assert first.is_ours()
    assert not second.is_ours()
    first.close()
    until(second.is_ours, "the second has the turn", 10)
    second.close()


def test_what_was_sent_is_noted_although_a_later_event_hangs(outbox, marquez, delivery):
    marquez.behaviour = lambda text: "hang" if "COMPLETE" in text else 201
    outbox.append([event("run-1"), event("run-1", "COMPLETE")])
    delivery.drain()
    assert [json.loads(kept.text)["eventType"] for kept in outbox.pending()] == ["COMPLETE"]
