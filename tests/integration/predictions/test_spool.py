"""From an answer to the tables, once each: the database away, kill -9 in between, a full queue, a full disk."""

import json
import logging
import os
import resource
import signal
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from governance.ledger import log as ledger_log
from governance.ledger.log import Ledger
from governance.predictions import database as prediction_log
from governance.predictions import spool as spooling
from governance.predictions.database import Database as Log
from governance.predictions.delivery import Delivery
from governance.predictions.spool import Folder, Limits, Spool, read_segment
from governance.settings import ROOT
from tests.integration.predictions.conftest import QUICK, ROW, VERSION, batch
from tests.integration.serving.services_under_test import wait_until


def rows_of(database, query="SELECT request_id FROM predictions.prediction ORDER BY segment, line"):
    with database.connect("auditor") as connection:
        return [row[0] for row in connection.execute(query)]


def files(state: Path) -> list[Path]:
    return sorted((state / "predictions").rglob("*.segment"))


def test_what_is_taken_is_in_the_table_and_in_the_ledger_and_no_longer_on_disk(database, open_log, tmp_path):
    log = open_log()
    log.take(batch("r-1", [ROW, ROW], protected=[{"black": 1}, None]))

    wait_until(lambda: log.state()["written"] == 2, 30, "the rows")

    wait_until(lambda: not files(tmp_path), 30, "the file is gone")
    assert rows_of(database) == ["r-1", "r-1"]
    (entry,) = database.ledger("auditor").find("predictions")
    assert (entry.subject, entry.writer, entry.data["rows"], entry.data["lost"]) == ("loan", "serving", 2, 0)
    with database.connect("auditor") as connection:
        (found,) = connection.execute("SELECT request_id, row, values FROM predictions.protected").fetchall()
    assert found == ("r-1", 0, {"black": 1})
    assert rows_of(database, "SELECT digest FROM predictions.segment") == [entry.data["digest"]]


def test_protected_values_are_nowhere_but_in_their_own_table(database, logged):
    logged(batch("r-1", protected=[{"black": "yes-she-is"}]))

    with database.connect("auditor") as connection:
        rest = connection.execute("SELECT p::text FROM predictions.prediction AS p").fetchall()
        rest += connection.execute("SELECT s::text FROM predictions.segment AS s").fetchall()
    assert "yes-she-is" not in str(rest)
    assert "yes-she-is" not in str([entry.body for entry in database.ledger("auditor").find()])


def test_each_version_has_segments_of_its_own(database, logged):
    other = VERSION.__class__("wage", "2.0.0", 1, "f" * 64, VERSION.features)
    logged(batch("r-1"), batch("r-2", version=other), batch("r-3"))

    assert sorted(rows_of(database, "SELECT model || rows FROM predictions.segment")) == ["loan2", "wage1"]
    assert sorted(entry.subject for entry in database.ledger("auditor").find("predictions")) == ["loan", "wage"]


def test_a_large_request_becomes_several_segments(database, logged, monkeypatch):
    monkeypatch.setattr(spooling, "SEGMENT_ROWS", 1_000)
    logged(batch("r-1", [ROW] * 2_500))

    assert rows_of(database, "SELECT rows FROM predictions.segment ORDER BY number") == [1_000, 1_000, 500]
    assert rows_of(database, "SELECT row FROM predictions.prediction ORDER BY row") == list(range(2_500))


def test_without_a_database_records_wait_on_disk_and_arrive_once_after_a_restart(database, open_log, server, tmp_path):
    away = server.dsn("serving", f"{database.name}_later")
    log = open_log(dsn=away)
    for number in range(3):
        log.take(batch(f"r-{number}"))
    wait_until(lambda: files(tmp_path) and log.state()["problem"], 30, "the files")
    assert log.state()["waiting"] == 3
    assert "no way to reach it" in log.state()["problem"]
    log.stop()
    assert files(tmp_path)

    again = open_log()

    wait_until(lambda: again.state()["written"] == 3, 30, "the rows")
    assert again.state()["waiting"] == 0
    assert rows_of(database) == ["r-0", "r-1", "r-2"]
    again.stop()
    assert list((tmp_path / "predictions").iterdir()) == []


def test_records_arrive_without_a_restart_when_the_database_comes_back(database, open_log, server, tmp_path):
    name = f"{database.name}_later"
    log = open_log(dsn=server.dsn("serving", name))
    log.take(batch("r-1"))
    wait_until(lambda: log.state()["problem"], 30, "it is noticed")

    with closing(psycopg.connect(server.dsn("postgres", "postgres"), autocommit=True)) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE template0")
    ledger_log.install(server.dsn("postgres", name))
    prediction_log.install(server.dsn("postgres", name))

    wait_until(lambda: log.state()["written"] == 1, 60, "the row")
    assert log.state()["problem"] is None


@pytest.mark.parametrize("reached", ["written", "committed"])
def test_what_was_killed_in_between_is_done_again_and_changes_nothing(database, open_log, tmp_path, reached):
    """The file is still there, although the database, or the ledger too, has it already."""
    spool = Spool(tmp_path / "predictions", QUICK)
    spool.take(batch("r-1", protected=[{"black": 1}]))
    spool.flush(close=True)
    kept = read_segment(spool.closed[0])
    database_log = Log(database.dsn("serving"))
    assert database_log.write_segment(kept.header, kept.rows, kept.apart)
    if reached == "committed":
        Delivery(spool, database_log, database.ledger("serving"))._commit(kept)
    spool.folder.release()

    log = open_log()

    wait_until(lambda: not files(tmp_path) and log.state()["waiting"] == 0, 30, "the file is gone and counted")
    assert (log.state()["written"], log.state()["lost"]) == (0, 0)
    assert rows_of(database) == ["r-1"]
    assert rows_of(database, "SELECT count(*) FROM predictions.protected") == [1]
    assert len(database.ledger("auditor").find("predictions")) == 1


def test_a_segment_that_came_under_another_ones_id_is_set_aside_and_the_rest_arrives(database, open_log, tmp_path):
    spool = Spool(tmp_path / "predictions", QUICK)
    spool.take(batch("r-1"))
    spool.flush(close=True)
    kept = read_segment(spool.closed[0])
    Log(database.dsn("serving")).write_segment(kept.header, kept.rows, kept.apart)
    kept.path.write_bytes(kept.path.read_bytes().replace(b"2500.5", b"9999.9"))
    spool.take(batch("r-2"))
    spool.flush(close=True)
    spool.folder.release()

    log = open_log()

    wait_until(lambda: log.state()["waiting"] == 0 and log.state()["written"] == 1, 30, "the other row")
    assert log.state()["lost"] == 1
    assert rows_of(database) == ["r-1", "r-2"]
    assert len(list((tmp_path / "predictions").rglob("*.refused"))) == 1


KILLED = """
import sys, time
sys.path[:0] = sys.argv[3:]
from pathlib import Path
from governance.ledger.log import Ledger
from governance.predictions.log import PredictionLog
from tests.integration.predictions.conftest import batch
from governance.predictions.spool import Limits
log = PredictionLog(Path(sys.argv[1]), sys.argv[2], Ledger(sys.argv[2]), Limits(flush_seconds=0.05))
log.start()
for number in range(10**9):
    log.take(batch(f"r-{number}"))
    print(number, flush=True)
    time.sleep(0.001)
"""


def test_after_kill_9_less_than_a_second_is_missing_and_the_rest_arrives_once(database, open_log, tmp_path):
    arguments = [str(tmp_path), database.dsn("serving"), str(ROOT / "include"), str(ROOT), str(ROOT / "tests")]
    command = [sys.executable, "-c", KILLED, *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        told = 0
        for line in process.stdout:
            told = int(line)
            if told >= 300 and files(tmp_path) and files(tmp_path)[0].stat().st_size > 10_000:
                break
        process.send_signal(signal.SIGKILL)
        rest = process.stdout.read().split()
    told = int(rest[-1]) if rest else told
    with files(tmp_path)[-1].open("ab") as file:
        file.write(b"P2026-01-01T00:00")

    log = open_log()

    wait_until(lambda: log.state()["waiting"] == 0 and not files(tmp_path), 60, "the rest")
    arrived = [int(name.removeprefix("r-")) for name in rows_of(database)]
    assert arrived == list(range(len(arrived)))
    assert told - 1_000 < len(arrived) <= told + 2


def test_a_line_that_was_cut_short_is_dropped_with_a_word(database, open_log, tmp_path, caplog):
    spool = Spool(tmp_path / "predictions", QUICK)
    spool.take(batch("r-1", [ROW, ROW]))
    spool.flush(close=True)
    spool.folder.release()
    (path,) = files(tmp_path)
    path.write_bytes(path.read_bytes()[:-5])

    log = open_log()

    wait_until(lambda: log.state()["written"] == 1, 30, "the whole line")
    assert "cut short and is dropped" in caplog.text


def test_a_file_without_even_a_header_goes(open_log, tmp_path):
    folder = Folder(tmp_path / "predictions" / "gone")
    (folder.path / "00000001-x.segment").write_bytes(b'{"evid')
    folder.release()

    open_log()

    wait_until(lambda: not files(tmp_path), 30, "the file is gone")


def test_two_processes_share_a_state_folder_and_take_nothing_from_each_other(database, open_log, tmp_path):
    one, other = open_log(), open_log()
    one.take(batch("r-1"))
    other.take(batch("r-2"))

    wait_until(lambda: one.state()["written"] == other.state()["written"] == 1, 30, "both")

    assert sorted(rows_of(database)) == ["r-1", "r-2"]


def test_a_full_queue_loses_what_comes_and_says_so_and_the_next_segment_tells_the_ledger(database, tmp_path, caplog):
    spool = Spool(tmp_path / "predictions", Limits(queue_rows=2))
    for number in range(4):
        spool.take(batch(f"r-{number}"))

    spool.flush(close=True)

    assert (spool.counts.lost, spool.counts.waiting) == (2, 2)
    assert "2 predictions are lost" in caplog.text
    assert json.loads(read_segment(spool.closed[0]).header)["lost"] == 2
    spool.take(batch("r-5"))
    spool.flush(close=True)
    assert json.loads(read_segment(spool.closed[1]).header)["lost"] == 0


def test_a_full_disk_loses_whole_rows_and_what_was_written_before_stays_whole(tmp_path, caplog):
    """A limit on the size of files stands for a full disk: the write fails in the middle of a line."""
    spool = Spool(tmp_path / "predictions", Limits())
    spool.take(batch("r-1"))
    spool.flush()
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (600, before[1]))
    try:
        spool.take(batch("r-2", [ROW] * 10))
        spool.flush()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    spool.take(batch("r-3"))
    spool.flush(close=True)

    (path,) = spool.closed
    segment = read_segment(path)
    assert (segment.count, segment.torn, spool.counts.lost) == (2, 0, 10)
    assert b"r-1" in segment.rows
    assert b"r-3" in segment.rows
    assert "File too large" in caplog.text


def test_no_more_than_a_limit_waits_on_disk(tmp_path):
    spool = Spool(tmp_path / "predictions", Limits(disk_bytes=1))

    for number in range(3):
        spool.take(batch(f"r-{number}"))
        spool.flush(close=True)

    assert (spool.counts.spooled, spool.counts.lost) == (1, 2)


def test_the_files_can_be_read_by_their_owner_only(tmp_path):
    spool = Spool(tmp_path / "predictions")
    spool.take(batch())
    spool.flush(close=True)

    assert os.stat(spool.closed[0]).st_mode & 0o077 == 0
    assert os.stat(spool.closed[0].parent).st_mode & 0o077 == 0


def test_a_value_that_cannot_be_written_loses_its_own_request_only(tmp_path, caplog):
    caplog.set_level(logging.DEBUG)
    spool = Spool(tmp_path / "predictions")
    spool.take(batch("r-1", [[float("nan"), 1, True, "secret"]]))
    spool.take(batch("r-2"))

    spool.flush(close=True)

    assert (spool.counts.lost, read_segment(spool.closed[0]).count) == (1, 1)
    assert "ValueError" in caplog.text
    assert "secret" not in caplog.text


def test_a_spool_that_cannot_be_made_loses_rows_and_goes_on(tmp_path):
    (tmp_path / "predictions").write_text("a file where the folder should be")
    spool = Spool(tmp_path / "predictions")
    spool.take(batch())

    spool.flush()

    assert (spool.counts.lost, spool.counts.in_memory) == (1, 0)


def test_stopping_delivers_what_is_in_memory(database, open_log):
    log = open_log(Limits())
    log.take(batch("r-1"))

    log.stop()

    assert rows_of(database) == ["r-1"]


def test_a_ledger_that_is_away_keeps_the_file(database, tmp_path):
    spool = Spool(tmp_path / "predictions", QUICK)
    spool.take(batch())
    spool.flush(close=True)
    away = Ledger("postgresql://127.0.0.1:1/none?connect_timeout=1")
    delivery = Delivery(spool, Log(database.dsn("serving")), away)

    assert not delivery._try_all()

    assert "no way to reach it" in delivery.problem
    assert len(files(tmp_path)) == 1
