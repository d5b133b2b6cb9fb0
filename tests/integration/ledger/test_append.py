"""Appending and reading on a real PostgreSQL."""

import multiprocessing
import os
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from ledger_database import body_of

from governance.errors import InputError, RefusedError, TamperedError, UnavailableError
from governance.ledger.hashes import BEFORE_THE_FIRST, chain_of, leaf_of
from governance.ledger.log import PAGE, Ledger, install
from governance.ledger.verify import verify

pytestmark = pytest.mark.integration


def test_an_entry_comes_back_as_it_was_written(database):
    ledger = database.ledger()
    data = {"digest": "ab" * 32, "measurements": [{"value": 0.924, "n": 1989, "low": None}], "note": "größer ≥ 😀\n"}

    written = ledger.append("evidence", "loan", data, actor="p-3f1c", key="evidence:1")
    found = ledger.get("evidence:1")

    assert written.created
    assert (
        found.seq, found.kind, found.subject, found.actor, found.key, found.writer,
    ) == (1, "evidence", "loan", "p-3f1c", "evidence:1", "pipeline")  # fmt: skip
    assert data == found.data
    assert datetime.now(UTC) - found.at < timedelta(seconds=30)
    assert (written.body, written.at, written.leaf, written.chain) == (found.body, found.at, found.leaf, found.chain)


def test_the_hashes_are_those_of_the_definition(database):
    ledger = database.ledger()
    first, second = (ledger.append("run", "loan", {"n": n}, actor="p-1", key=f"run:{n}") for n in (1, 2))

    chain = chain_of(1, BEFORE_THE_FIRST, leaf_of(first.body))

    assert leaf_of(first.body).hex() == first.leaf
    assert chain.hex() == first.chain
    assert chain_of(2, chain, leaf_of(second.body)).hex() == second.chain


def test_an_unknown_key_is_none(database):
    assert database.ledger().get("run:1") is None


def test_entries_are_found_by_kind_subject_number_and_order(database):
    ledger = database.ledger()
    for number, (kind, subject) in enumerate([("run", "loan"), ("run", "card"), ("message", "loan"), ("run", "loan")]):
        ledger.append(kind, subject, {}, actor="p-1", key=f"{number}")

    def numbers(**which):
        return [entry.seq for entry in ledger.find(**which)]

    assert numbers() == [1, 2, 3, 4]
    assert numbers(kind="run", subject="loan") == [1, 4]
    assert numbers(subject="loan", after=1) == [3, 4]
    assert numbers(newest_first=True, limit=2) == [4, 3]
    assert numbers(kind="decision") == []


@pytest.mark.parametrize("count", [0, 1, PAGE, PAGE + 1, 2 * PAGE + 3])
def test_entries_are_read_backwards_page_by_page_each_once(database, count):
    ledger = database.ledger()
    for number in range(count):
        ledger.append("run", "loan", {}, actor="p-1", key=f"run:{number}")
        ledger.append("run", "card", {}, actor="p-1", key=f"run:card:{number}")

    keys = [entry.key for entry in ledger.backwards("run", "loan")]

    assert keys == [f"run:{number}" for number in reversed(range(count))]
    assert len(list(ledger.backwards("run"))) == 2 * count


def test_a_row_that_is_changed_after_it_was_read_is_found_at_the_next_reading(database):
    ledger = database.ledger()
    ledger.append("run", "loan", {"reason": "first"}, actor="p-1", key="run:1")
    assert [entry.data for entry in ledger.find()] == [{"reason": "first"}]

    database.tamper(
        "UPDATE ledger.entry SET body = convert_to(replace(convert_from(body, 'UTF8'), 'first', 'other'), 'UTF8')"
    )

    with pytest.raises(TamperedError, match="Entry 1"):
        ledger.find()


def test_the_same_key_returns_the_recorded_entry_and_writes_nothing(database):
    ledger = database.ledger()
    first = ledger.append("run", "loan", {"try": 1}, actor="p-1", key="run:1")
    again = ledger.append("run", "loan", {"try": 2}, actor="p-2", key="run:1")

    assert not again.created
    assert (first.seq, first.body, first.chain) == (again.seq, again.body, again.chain)
    assert len(ledger.find()) == 1


@pytest.mark.parametrize(("kind", "subject"), [("message", "loan"), ("run", "card")])
def test_a_key_is_not_shared_by_different_things(database, kind, subject):
    ledger = database.ledger()
    ledger.append("run", "loan", {}, actor="p-1", key="taken")

    with pytest.raises(RefusedError, match='key "taken" to be free, found it on entry 1'):
        ledger.append(kind, subject, {}, actor="p-1", key="taken")


def test_a_key_taken_by_another_writer_is_refused_and_not_mistaken_for_ones_own(database):
    database.ledger("pipeline").append("run", "loan", {}, actor="p-1", key="taken")

    with pytest.raises(RefusedError, match="found it on entry 1"):
        database.ledger("review").append("decision", "loan", {}, actor="p-1", key="taken")


def test_a_worker_cannot_take_the_key_of_a_decision_in_advance(database):
    with pytest.raises(RefusedError, match="does not begin with another writer's kind"):
        database.ledger("pipeline").append("message", "loan", {}, actor="p-1", key="decision:loan:p-1")

    assert database.ledger("review").append("decision", "loan", {}, actor="p-1", key="decision:loan:p-1").created


def test_an_append_whose_reply_was_lost_knows_its_own_entry(database, monkeypatch):
    ledger = database.ledger()
    ledger.ping()
    execute, replies = psycopg.Connection.execute, iter(["lost"])

    def lose_one_reply(connection, query, *values, **how):
        answer = execute(connection, query, *values, **how)
        if "ledger.append" in query and next(replies, None):
            connection.close()
            raise psycopg.OperationalError("server closed the connection unexpectedly")
        return answer

    monkeypatch.setattr(psycopg.Connection, "execute", lose_one_reply)

    entry = ledger.append("run", "loan", {"n": 1}, actor="p", key="k")

    assert entry.created
    assert len(ledger.find()) == 1


def test_many_writers_leave_one_chain_without_gap_or_fork(database):
    def write(writer: int) -> None:
        ledger = database.ledger()
        for number in range(25):
            ledger.append("run", "loan", {"writer": writer}, actor="p-1", key=f"{writer}-{number}")

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(write, range(16)))

    report = verify(database.ledger("auditor"))
    assert report.whole, report.faults
    assert 400 == report.entries == report.head.seq


def test_one_key_at_the_same_moment_is_written_once(database):
    ledgers = [database.ledger() for _ in range(12)]
    for ledger in ledgers:
        ledger.ping()

    with ThreadPoolExecutor(12) as pool:
        for key in ("a", "b", "c"):
            entries = list(pool.map(lambda each, key=key: each.append("run", "loan", {}, actor="p", key=key), ledgers))
            assert sum(entry.created for entry in entries) == 1
            assert len({entry.seq for entry in entries}) == 1

    assert len(ledgers[0].find()) == 3


def test_one_ledger_serves_many_threads(database):
    ledger = database.ledger()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: ledger.append("run", "loan", {}, actor="p", key=str(number)), range(40)))

    assert [*range(1, 41)] == [entry.seq for entry in ledger.find()]


def test_a_forked_process_gets_a_connection_of_its_own(database):
    ledger = database.ledger()
    ledger.append("run", "loan", {}, actor="p", key="parent")

    child = multiprocessing.get_context("fork").Process(target=_append_and_leave, args=(ledger,))
    child.start()
    child.join(30)

    assert child.exitcode == 0
    assert [entry.key for entry in ledger.find()] == ["parent", "child"]


def _append_and_leave(ledger: Ledger) -> None:
    ledger.append("run", "loan", {}, actor="p", key="child")
    os._exit(0)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"data": {"x": float("nan")}}, "no canonical form"),
        ({"data": {"x": 1e16}}, r"beyond 2\^53"),
        ({"data": {"x": "\x00"}}, r"U\+0000"),
        ({"subject": ""}, "1 to 200 characters"),
        ({"key": "k" * 501}, "1 to 500"),
    ],
    ids=["NaN", "a float that reads back as an integer beyond 2^53", "U+0000", "no subject", "a long key"],
)
def test_what_cannot_be_an_entry_is_refused(database, change, said):
    ledger = database.ledger()
    entry = {"kind": "run", "subject": "loan", "data": {}, "actor": "p-1", "key": "k", **change}

    with pytest.raises(InputError, match=said):
        ledger.append(entry["kind"], entry["subject"], entry["data"], actor=entry["actor"], key=entry["key"])

    assert ledger.find() == []


@pytest.mark.parametrize("minutes", [-60, -2, 2, 60])
def test_a_clock_that_is_wrong_is_refused(database, minutes):
    with (
        database.connect("pipeline") as connection,
        pytest.raises(Exception, match="within 60 s of the server's clock"),
    ):
        connection.execute("SELECT ledger.append(%s)", (body_of(database, at=timedelta(minutes=minutes)),))


def test_time_does_not_run_back_when_the_servers_clock_is_set_back(database):
    ledger = database.ledger()
    ledger.append("run", "loan", {}, actor="p", key="now")
    database.tamper("UPDATE ledger.entry SET at = at + interval '5 minutes'")

    with pytest.raises(RefusedError, match="at most 120 s before the latest"):
        ledger.append("run", "loan", {}, actor="p", key="later")


def test_a_text_is_kept_recalled_and_erased(database):
    ledger = database.ledger("review")
    kept = ledger.keep("Ms. Doe's income was checked by hand – 42 000 €")

    assert {"id", "commitment"} == kept.keys()
    assert ledger.recall(kept["id"]) == "Ms. Doe's income was checked by hand – 42 000 €"
    ledger.erase(kept["id"])
    ledger.erase(kept["id"])
    assert ledger.recall(kept["id"]) is None


def test_the_same_text_is_committed_to_differently_each_time(database):
    ledger = database.ledger("review")

    assert ledger.keep("yes")["commitment"] != ledger.keep("yes")["commitment"]


def test_another_text_in_its_place_is_noticed(database):
    ledger = database.ledger("review")
    kept = ledger.keep("I reject this.")
    with database.connect("postgres") as connection:
        connection.execute("UPDATE ledger.erasable SET body = 'I approve this.'")

    with pytest.raises(TamperedError, match="commits to"):
        ledger.recall(kept["id"])


def test_a_text_that_is_gone_without_having_been_erased_is_noticed(database):
    ledger = database.ledger("review")
    kept = ledger.keep("I reject this.")
    with database.connect("postgres") as connection:
        connection.execute("DELETE FROM ledger.erasable")

    with pytest.raises(TamperedError, match="no row"):
        ledger.recall(kept["id"])


def test_erasing_what_was_never_kept_is_an_error(database):
    with pytest.raises(InputError, match="none to erase"):
        database.ledger("review").erase("text-0")


def test_a_changed_row_is_refused_by_readers_too(database):
    ledger = database.ledger()
    ledger.append("run", "loan", {"n": 1}, actor="p", key="k")
    database.tamper("UPDATE ledger.entry SET subject = 'card'")

    with pytest.raises(TamperedError, match=r"Entry 1 .*subject: expected 'loan' as in the body, found 'card'"):
        ledger.get("k")


def test_a_ledger_of_another_origin_is_refused(database):
    with pytest.raises(TamperedError, match="this is another ledger"):
        database.ledger(origin="governance-ledger/another").append("run", "loan", {}, actor="p", key="k")

    with database.connect("pipeline") as connection, pytest.raises(Exception, match="found one of another"):
        connection.execute("SELECT ledger.append(%s)", (body_of(database, log="another"),))


def test_a_replaced_database_is_noticed_on_the_next_connection(database):
    ledger = database.ledger()
    ledger.ping()
    ledger.close()
    with database.connect("postgres") as connection:
        connection.execute("DROP SCHEMA ledger CASCADE")
    install(database.dsn("postgres"))

    with pytest.raises(TamperedError, match="this is another ledger"):
        ledger.append("run", "loan", {}, actor="p", key="k")


def test_a_server_that_is_not_there_is_unavailable():
    with pytest.raises(UnavailableError, match="Nothing was recorded"):
        Ledger("host=/nonexistent user=pipeline").append("run", "loan", {}, actor="p", key="k")


def test_a_database_without_a_ledger_is_unavailable(database):
    with pytest.raises(UnavailableError, match=r"Nothing was recorded\. Apply .*schema\.sql"):
        Ledger(database.server.dsn("pipeline", "template1")).ping()


def test_a_bad_address_is_an_error_that_does_not_repeat_the_password():
    with pytest.raises(InputError, match="GOVERNANCE_LEDGER_URL") as caught:
        Ledger("postgresql//pipeline:secret@host/ledger").ping()

    assert "secret" not in str(caught.value)
