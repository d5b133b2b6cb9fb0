"""Whoever changes a prediction in the tables is found, with the segment."""

import itertools
from datetime import UTC, datetime, timedelta

import pytest

from governance.predictions.record import Version
from governance.predictions.retention import Retention, retain
from governance.predictions.verify import verify_segments
from tests.integration.predictions.conftest import ROW, VERSION, batch

TEXTS = [ROW, [None, 7, False, 'a "b"\\\t\n ü ● \x01'], [1e-7, 0, None, "●●● \U0001f600 \ud800"]]


def verified(database, model=None):
    return verify_segments(database.dsn("auditor"), database.ledger("auditor"), model)


def tamper(database, statement):
    with database.connect("postgres") as connection:
        return connection.execute(statement).rowcount


@pytest.fixture
def whole(database, logged):
    """A log of two segments of one model and one of another."""
    logged(batch("r-1", TEXTS, scores=[0.1, 1e-7, 1.0], protected=[{"black": 1}, None, None]), batch("r-2"))
    logged(batch("r-3"))
    logged(batch("r-4", version=Version("wage", "1.0.0", 1, "f" * 64, VERSION.features)))
    report = verified(database)
    assert (report.whole, report.segments, report.rows, report.in_flight, report.lost) == (True, 3, 6, 0, 0)
    return database


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE predictions.prediction SET prediction = '0' WHERE request_id = 'r-3'",
        "UPDATE predictions.prediction SET scores = '0.7500001' WHERE request_id = 'r-3'",
        "UPDATE predictions.prediction SET scores = '0.750' WHERE request_id = 'r-3'",
        "UPDATE predictions.prediction SET features = replace(features::text, 'Bern', 'Ulm')::json "
        "WHERE request_id = 'r-3'",
        "UPDATE predictions.prediction SET request_id = 'r-9' WHERE request_id = 'r-3'",
        "UPDATE predictions.prediction SET caller = 'me' WHERE request_id = 'r-3'",
        "UPDATE predictions.prediction SET at = at + interval '1 us' WHERE request_id = 'r-3'",
        "UPDATE predictions.prediction SET row = 1 WHERE request_id = 'r-3'",
        "UPDATE predictions.prediction SET model = 'wage' WHERE request_id = 'r-3'",
        "DELETE FROM predictions.prediction WHERE request_id = 'r-3'",
        "INSERT INTO predictions.prediction SELECT * FROM predictions.prediction WHERE request_id = 'r-3'",
        "INSERT INTO predictions.prediction SELECT segment + 100, line, at, row, model, request_id, caller, features, "
        "prediction, scores FROM predictions.prediction WHERE request_id = 'r-3'",
        "UPDATE predictions.segment SET header = replace(header, '1.0.0', '1.0.1') WHERE number = 2",
        "UPDATE predictions.segment SET version = '1.0.1' WHERE number = 2",
        "UPDATE predictions.segment SET evidence = 'x' WHERE number = 2",
        "UPDATE predictions.segment SET rows = 5 WHERE number = 2",
        "UPDATE predictions.segment SET last_at = last_at - interval '1 day' WHERE number = 2",
        "UPDATE predictions.segment SET retired_at = now() WHERE number = 2",
        "DELETE FROM predictions.segment WHERE number = 2",
    ],
)
def test_what_a_superuser_changes_is_found(whole, statement):
    assert tamper(whole, statement) > 0

    faults = verified(whole).faults

    assert faults
    assert {fault.model for fault in faults} <= {"loan", "wage"}


def test_the_segment_that_differs_is_named(whole):
    with whole.connect("auditor") as connection:
        ((segment,),) = connection.execute("SELECT id FROM predictions.segment WHERE number = 2").fetchall()
    tamper(whole, "UPDATE predictions.prediction SET prediction = '0' WHERE request_id = 'r-3'")

    (fault,) = verified(whole).faults

    assert (fault.segment, fault.model) == (segment, "loan")
    assert "in the ledger" in fault.message


def test_another_model_is_not_blamed(whole):
    tamper(whole, "UPDATE predictions.prediction SET prediction = '0' WHERE request_id = 'r-3'")

    assert verified(whole, "wage").whole
    assert not verified(whole, "loan").whole


def test_a_segment_that_is_in_no_ledger_is_in_flight_first_and_a_fault_later(whole):
    header = (
        '{"evidence":"e","features":[],"lost":0,"model":"m","registry_version":1,"segment":"s","v":1,"version":"1"}'
    )
    row = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%fZ}\tr-1\t0\tdesk\t{{}}\t1\t0.5\n"
    with whole.connect("serving") as connection:
        connection.execute("SELECT predictions.write_segment(%s, %s, '')", (header, row))
    assert (verified(whole).whole, verified(whole).in_flight) == (True, 1)

    tamper(whole, "UPDATE predictions.segment SET logged_at = logged_at - interval '1 hour' WHERE id = 's'")

    (fault,) = verified(whole).faults
    assert fault.message == "expected its digest in the ledger, found none"


def test_rows_that_were_lost_are_in_the_report(database, open_log, tmp_path):
    from governance.predictions.spool import Limits

    log = open_log(Limits(queue_rows=1, flush_seconds=30))
    for number in range(3):
        log.take(batch(f"r-{number}"))
    log.stop()

    assert (verified(database).lost, verified(database).rows) == (2, 1)


class TestRetention:
    OLD = datetime.now(UTC) - timedelta(days=400)

    @pytest.fixture
    def aged(self, database, logged):
        """Rows of two models on three days, 400 and 399 days ago and today."""
        wage = Version("wage", "1.0.0", 1, "f" * 64, VERSION.features)
        for days, version in itertools.product((0, 1, 400), (VERSION, wage)):
            at = self.OLD + timedelta(days=days)
            logged(batch(f"{version.model}-{days}", version=version, at=at, protected=[{"black": 1}]))
        return database

    def left(self, database):
        with database.connect("auditor") as connection:
            return [
                row[0] for row in connection.execute("SELECT request_id FROM predictions.prediction ORDER BY at, 1")
            ]

    def days(self, database):
        with database.connect("postgres") as connection:
            return connection.execute("SELECT count(*) FROM pg_class WHERE relname ~ '^day_[0-9]+$'").fetchone()[0]

    def test_what_every_model_may_let_go_of_goes_with_its_day(self, aged):
        kept = {"loan": Retention(365), "wage": Retention(365)}

        retired = retain(aged.dsn("pipeline"), kept)

        assert (retired.segments, retired.days, self.days(aged)) == (4, 2, 1)
        assert self.left(aged) == ["loan-400", "wage-400"]
        report = verified(aged)
        assert (report.whole, report.retired, report.segments) == (True, 4, 2)

    def test_a_model_that_keeps_longer_keeps_its_rows_of_a_day(self, aged):
        retired = retain(aged.dsn("pipeline"), {"loan": Retention(365), "wage": Retention(800, ("reg_b",))})

        assert (retired.segments, retired.days, self.days(aged)) == (2, 0, 3)
        assert self.left(aged) == ["wage-0", "wage-1", "loan-400", "wage-400"]
        assert verified(aged).whole

    def test_by_default_25_months_are_kept(self, aged):
        assert retain(aged.dsn("pipeline"), {}).segments == 0

    def test_doing_it_twice_is_the_same_as_once(self, aged):
        kept = {"loan": Retention(365), "wage": Retention(365)}
        retain(aged.dsn("pipeline"), kept)

        assert retain(aged.dsn("pipeline"), kept).segments == 0

    def test_labels_and_protected_values_go_with_their_age(self, aged):
        tamper(
            aged, "UPDATE predictions.protected SET arrived_at = arrived_at - interval '400 days' WHERE model = 'loan'"
        )

        retain(aged.dsn("pipeline"), {"loan": Retention(365)})

        with aged.connect("auditor") as connection:
            left = connection.execute("SELECT DISTINCT model FROM predictions.protected").fetchall()
        assert left == [("wage",)]

    def test_the_database_itself_refuses_what_is_younger_than_the_floor_of_all(self, aged):
        with aged.connect("pipeline") as connection, pytest.raises(Exception, match="184 days"):
            connection.execute("SELECT predictions.retain('{}', now() - interval '183 days')")
