"""The outbox in PostgreSQL: events are kept once, in order, and by those who may."""

import json

import pytest

from governance.errors import InputError, RefusedError
from governance.lineage import outbox as lineage_outbox
from tests.integration.lineage.conftest import dataset, event


def test_events_come_back_byte_for_byte_in_the_order_in_which_they_were_kept(outbox):
    events = [event(run) for run in ("b", "a", "b")]
    assert outbox.append(events) == 3
    assert [kept.text for kept in outbox.pending()] == events
    assert [kept.run_id for kept in outbox.pending()] == ["b", "a", "b"]


def test_the_same_event_is_kept_once(outbox):
    one, other = event(), event()
    assert outbox.append([one]) == 1
    assert outbox.append([one, other, one]) == 1
    assert [kept.text for kept in outbox.events()] == [one, other]


def test_what_was_delivered_or_set_aside_waits_no_more(outbox):
    outbox.append([event(run) for run in "abc"])
    a, b, c = outbox.pending()
    outbox.settle([a.number])
    outbox.settle([b.number], "422: no such thing")
    assert [kept.number for kept in outbox.pending()] == [c.number]
    assert [kept.refusal for kept in outbox.set_aside()] == ["422: no such thing"]
    counts = outbox.counts()
    assert (counts.kept, counts.waiting, counts.refused, counts.oldest is None) == (3, 1, 1, False)


def test_everything_can_be_delivered_once_more(outbox):
    outbox.append([event(run) for run in "abc"])
    a, b, _ = outbox.pending()
    outbox.settle([a.number])
    outbox.settle([b.number], "422")
    assert outbox.redeliver() == 2
    assert [kept.run_id for kept in outbox.pending()] == ["a", "b", "c"]
    assert outbox.set_aside() == []


def test_a_run_that_must_wait_is_left_out(outbox):
    outbox.append([event("a"), event("b"), event("a")])
    assert [kept.run_id for kept in outbox.pending(without={"a"})] == ["b"]


def test_events_about_no_run_can_be_left_out_too(outbox):
    about_a_job = json.dumps({name: said for name, said in json.loads(event()).items() if name != "run"})
    outbox.append([about_a_job, event("b")])
    assert [kept.run_id for kept in outbox.pending()] == [None, "b"]
    assert [kept.run_id for kept in outbox.pending(without={""})] == ["b"]


def test_events_are_found_by_a_data_set_that_they_name(outbox):
    wrote = event("a", outputs=[dataset("loan/snapshot", "16a0")])
    read = event("b", inputs=[dataset("loan/snapshot", "16a0"), dataset("loan/contract")])
    outbox.append([wrote, event("c"), read])
    assert [kept.text for kept in outbox.naming("governance", "loan/snapshot")] == [wrote, read]
    assert [kept.text for kept in outbox.of_run("b")] == [read]


@pytest.mark.parametrize(
    "text",
    ["no JSON", "{}", '{"eventTime": "yesterday-ish"}', '{"eventTime": "infinity"}', '{"eventTime": "12026-01-01"}'],
    ids=["text", "empty", "time", "no end", "far off"],
)
def test_what_is_no_event_is_refused_and_nothing_of_the_call_is_kept(outbox, text):
    with pytest.raises(InputError, match="Expected an OpenLineage event"):
        outbox.append([event(), text])
    assert outbox.counts().kept == 0


@pytest.mark.parametrize("login", ["serving", "auditor", "witness"])
def test_who_is_not_of_the_pipeline_keeps_nothing(outbox_as, login):
    with pytest.raises(RefusedError):
        outbox_as(login).append([event()])


def test_the_login_that_kept_an_event_is_written_beside_it(outbox_as, database):
    outbox_as("review").append([event()])
    with database.connect("auditor") as connection:
        assert connection.execute("SELECT writer FROM lineage.event").fetchall() == [("review",)]


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM lineage.event",
        "UPDATE lineage.event SET run_id = 'x'",
        "TRUNCATE lineage.event",
        "INSERT INTO lineage.touched VALUES (1, 'input', 'a', 'b', 'c')",
    ],
)
@pytest.mark.parametrize("login", ["pipeline", "review", "serving", "auditor"])
def test_nobody_changes_an_event_past_the_functions(outbox, database, login, statement):
    import psycopg

    outbox.append([event()])
    with database.connect(login) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute(statement)


def test_installing_again_changes_nothing(outbox, database):
    outbox.append([event()])
    lineage_outbox.install(database.dsn("postgres"))
    assert outbox.counts().waiting == 1
