"""Requests that were refused for their content are counted like predictions: durably, once, without that content."""

from contextlib import closing
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from governance.predictions.database import Database as Log
from governance.predictions.reading import Refusals, read_window
from governance.predictions.record import Refusal
from governance.predictions.spool import Limits, Spool, read_segment
from tests.integration.predictions.conftest import QUICK, VERSION, batch
from tests.integration.serving.services_under_test import wait_until

DEBT = Refusal(VERSION, "missing", "debt", datetime.now(UTC) - timedelta(minutes=1), 3)
FORM = Refusal(VERSION, "form", "", datetime.now(UTC) - timedelta(minutes=1), 0)


def refused(database, as_of=None):
    now = datetime.now(UTC)
    return read_window(database.dsn("pipeline"), "loan", now - timedelta(hours=1), now, as_of or now).refused


def rows(database):
    with database.connect("pipeline") as connection:
        return connection.execute("SELECT count(*) FROM predictions.refusal").fetchone()[0]


def test_they_are_counted_by_version_fault_and_feature(database, open_log):
    log = open_log()
    for one in (DEBT, FORM, DEBT):
        log.refuse(one)
    log.stop()

    assert refused(database) == (
        Refusals("e" * 64, "missing", "debt", 2, 6),
        Refusals("e" * 64, "form", "", 1, 0),
    )
    assert log.state()["waiting"] == 0


def test_they_go_beside_predictions_and_change_nothing_of_their_segment(database, open_log):
    log = open_log()
    log.take(batch("r-1"))
    log.refuse(DEBT)
    log.stop()

    assert refused(database)[0].requests == 1
    [entry] = database.ledger("auditor").find(kind="predictions")
    assert entry.data["rows"] == 1


def test_a_thousand_in_a_second_are_one_line(tmp_path):
    spool = Spool(tmp_path)
    for _ in range(1000):
        spool.refuse(DEBT)
    spool.flush(close=True)

    [path] = spool.closed
    segment = read_segment(path)
    assert (segment.count, segment.refused.count(b"\n")) == (0, 1)
    assert segment.refused.split(b"\t")[1:] == [b"missing", b"debt", b"1000", b"3000\n"]


def test_without_a_database_they_wait_on_disk_and_arrive_once(database, open_log, server):
    nowhere = open_log(dsn=server.dsn("serving", "there_is_none"))
    nowhere.refuse(DEBT)
    nowhere.stop()
    assert rows(database) == 0

    log = open_log()
    wait_until(lambda: rows(database) == 1, 60, "what waited")
    log.stop()

    assert [one.requests for one in refused(database)] == [1]


def test_what_was_killed_after_they_were_written_is_done_again_and_changes_nothing(database, open_log, tmp_path):
    spool = Spool(tmp_path / "predictions", QUICK)
    spool.take(batch("r-1"))
    spool.refuse(DEBT)
    spool.flush(close=True)
    kept = read_segment(spool.closed[0])
    with closing(Log(database.dsn("serving"))) as database_log:
        database_log.write_refusals(kept.header, kept.refused)
    spool.folder.release()

    log = open_log()
    wait_until(lambda: log.state()["written"] == 1, 30, "the rest")

    assert [one.requests for one in refused(database)] == [1]


def test_what_arrived_after_the_cut_off_is_not_seen(database, open_log):
    before = datetime.now(UTC)
    log = open_log()
    log.refuse(DEBT)
    log.stop()

    assert refused(database, as_of=before) == ()


def test_a_full_disk_keeps_them_in_memory_until_there_is_room(tmp_path):
    spool = Spool(tmp_path, Limits(disk_bytes=0))
    spool.refuse(DEBT)
    spool.flush()
    assert not spool.closed
    spool.limits = Limits()
    spool.flush(close=True)
    assert read_segment(spool.closed[0]).refused.count(b"\n") == 1


def test_they_go_with_what_is_as_old(database, open_log):
    log = open_log()
    log.refuse(Refusal(VERSION, "missing", "debt", datetime.now(UTC) - timedelta(days=799), 1))
    log.refuse(Refusal(VERSION, "missing", "age", datetime.now(UTC), 1))
    log.stop()
    with database.connect("pipeline") as connection:
        connection.execute("SELECT predictions.retain('{}', now() - interval '790 days')")
        assert connection.execute("SELECT feature FROM predictions.refusal").fetchall() == [("age",)]


def test_one_that_was_written_cannot_be_changed(database, open_log):
    log = open_log()
    log.refuse(DEBT)
    log.stop()
    with database.connect("serving") as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute("UPDATE predictions.refusal SET requests = 0")
