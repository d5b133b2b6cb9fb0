"""A window as it was known at a cut-off: rows, features, labels, protected values; once each, the same for ever."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from governance.errors import InputError
from governance.predictions import labels, record
from governance.predictions.database import Database as Log
from governance.predictions.reading import Logged, read_window
from tests.integration.predictions.conftest import ROW, VERSION, batch
from tests.integration.serving.services_under_test import wait_until

NOW = datetime.now(UTC)
YESTERDAY = NOW - timedelta(days=1)


def window(database, model="loan", since=YESTERDAY - timedelta(hours=2), until=None, as_of=None) -> Logged:
    now = datetime.now(UTC)
    return read_window(database.dsn("pipeline"), model, since, until or now + timedelta(seconds=1), as_of or now)


def tell(database, *items, model="loan"):
    log = Log(database.dsn("pipeline"))
    try:
        return labels.write(log, model, "test", list(items))
    finally:
        log.close()


def test_a_row_comes_back_as_it_was(database, logged):
    logged(batch("r-1", [ROW, [None, 7, False, 'a "b"\\\t\n ü']], at=NOW, scores=[0.1, 1e-7]))

    found = window(database)

    assert found.rows.to_dict("records") == [
        {
            "at": pd.Timestamp(NOW), "request_id": "r-1", "row": row, "version": "1.0.0", "registry_version": 3,
            "evidence": "e" * 64, "prediction": 1, "score": score,
        }
        for row, score in enumerate([0.1, 1e-7])
    ]  # fmt: skip
    expected = pd.DataFrame(
        {"income": [2500.5, np.nan], "age": [41, 7], "own": [True, False], "town": ["Bern", 'a "b"\\\t\n ü']}
    )
    pd.testing.assert_frame_equal(found.features, expected)
    assert found.labels.isna().tolist() == [True, True]
    assert found.protected.shape == (2, 0)
    assert found.unmatched == 0


def test_rows_are_ordered_by_time_request_and_row_and_the_end_is_not_in_the_window(database, logged):
    end = NOW - timedelta(minutes=1)
    logged(
        batch("b", [ROW, ROW], at=YESTERDAY), batch("a", at=YESTERDAY), batch("c", at=NOW - timedelta(hours=1)),
        batch("z", at=YESTERDAY - timedelta(seconds=1)), batch("late", at=end),
    )  # fmt: skip

    found = window(database, until=end)

    assert list(zip(found.rows["request_id"], found.rows["row"], strict=True)) == [
        ("z", 0), ("a", 0), ("b", 0), ("b", 1), ("c", 0),
    ]  # fmt: skip


def test_a_window_without_traffic_is_empty_and_has_its_columns(database):
    found = window(database)

    assert len(found.rows) == len(found.features) == len(found.labels) == len(found.protected) == 0
    assert list(found.rows.columns) == [
        "at", "request_id", "row", "version", "registry_version", "evidence", "prediction", "score",
    ]  # fmt: skip


def test_classes_have_a_score_each_and_their_names(database, logged):
    logged(batch("r-1", [ROW, ROW], predictions=["red", "blue"], scores=[[0.7, 0.2, 0.1], [0.1, 1e-9, 0.9]], at=NOW))

    rows = window(database).rows

    assert rows["prediction"].tolist() == ["red", "blue"]
    assert rows[["score_0", "score_1", "score_2"]].to_numpy().tolist() == [[0.7, 0.2, 0.1], [0.1, 1e-9, 0.9]]


def test_two_versions_with_other_features_share_a_window(database, logged):
    other = VERSION.__class__("loan", "2.0.0", 4, "f" * 64, (("income", "float64"), ("debt", "float64")))
    logged(batch("r-1", at=YESTERDAY), batch("r-2", [[1, 2]], version=other, at=NOW))

    found = window(database)

    assert found.rows["version"].tolist() == ["1.0.0", "2.0.0"]
    assert found.features["debt"].tolist()[1] == 2.0
    assert np.isnan(found.features["debt"].tolist()[0])
    assert found.features["town"].tolist() == ["Bern", None]


def test_the_same_request_again_counts_once_and_another_content_counts_twice(database, logged):
    first = batch("r-1", [ROW, ROW], at=YESTERDAY)
    again = batch("r-1", [ROW, ROW], at=YESTERDAY + timedelta(seconds=3))
    other = batch("r-1", [[9.0, 9, True, "Ulm"]], at=YESTERDAY + timedelta(seconds=5))
    logged(first, again, other)

    found = window(database)

    assert found.features["town"].tolist() == ["Bern", "Bern", "Ulm"]
    assert found.rows["at"].tolist()[:2] == [pd.Timestamp(YESTERDAY)] * 2


def test_a_retry_across_the_border_of_a_window_counts_in_the_first(database, logged):
    border = YESTERDAY
    logged(batch("r-1", at=border - timedelta(seconds=1)), batch("r-1", at=border + timedelta(seconds=1)))

    assert len(window(database, until=border).rows) == 1
    assert len(window(database, since=border).rows) == 0


def test_the_newest_label_counts_and_the_same_again_adds_no_row(database, logged):
    logged(batch("r-1", [ROW, ROW]), batch("r-2"))
    assert tell(database, {"request_id": "r-1", "row": 1, "label": 0}).accepted == 1
    assert tell(database, {"request_id": "r-1", "row": 1, "label": 0}).to_dict() == {
        "accepted": 0, "unchanged": 1, "unknown": 0,
    }  # fmt: skip

    told = tell(database, {"request_id": "r-1", "row": 1, "label": 1}, {"request_id": "r-2", "row": 0, "label": 0})

    assert told.accepted == 2
    found = window(database).labels
    assert np.isnan(found[0])
    assert found.tolist()[1:] == [1.0, 0.0]


def test_labels_in_one_message_are_taken_in_its_order(database, logged):
    logged(batch("r-1"))
    one, other = ({"request_id": "r-1", "row": 0, "label": value} for value in (1, 0))

    told = tell(database, one, one, other, one, other)

    assert (told.accepted, told.unchanged) == (4, 1)
    assert window(database).labels.tolist() == [0]


def test_a_label_that_is_earlier_than_its_request_counts_once_that_is_there(database, logged):
    assert tell(database, {"request_id": "r-9", "row": 0, "label": 1}).unknown == 1
    assert window(database).unmatched == 1

    logged(batch("r-9"))

    found = window(database)
    assert found.labels.tolist() == [1]
    assert found.unmatched == 0


def test_a_label_of_another_model_or_row_belongs_to_nobody(database, logged):
    logged(batch("r-1"))
    tell(database, {"request_id": "r-1", "row": 1, "label": 1})
    tell(database, {"request_id": "r-1", "row": 0, "label": 1}, model="wage")

    found = window(database)

    assert found.labels.isna().all()
    assert found.unmatched == 1


def test_a_cut_off_gives_what_was_known_then(database, logged):
    logged(batch("r-1"))
    tell(database, {"request_id": "r-1", "row": 0, "label": 0, "protected": {"black": 1}})
    until = datetime.now(UTC)
    before = window(database, until=until, as_of=until)
    tell(database, {"request_id": "r-1", "row": 0, "label": 1, "protected": {"black": 0}})
    logged(batch("r-2", at=until - timedelta(minutes=1)))

    then = window(database, until=until, as_of=until)
    now = window(database, until=until)

    for part in ("rows", "features", "protected"):
        pd.testing.assert_frame_equal(getattr(before, part), getattr(then, part))
    assert then.labels.tolist() == before.labels.tolist() == [0]
    assert now.rows["request_id"].tolist() == ["r-2", "r-1"]
    assert now.labels.tolist()[1] == 1
    assert now.protected["black"].tolist()[1] == 0


def test_a_cut_off_waits_for_who_began_to_write_before_it(database, logged):
    """A transaction that took its time of arrival and has not committed yet must not appear later."""
    logged(batch("r-1"))
    label = '[{"request_id": "r-1", "row": 0, "label": 1}]'
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'advisory'"
    # Another connection watches: within a transaction, PostgreSQL shows who waits as of the first look at it.
    with database.connect("postgres") as writer, database.connect("postgres") as watcher, ThreadPoolExecutor() as pool:
        with writer.transaction():
            writer.execute("SELECT predictions.write_labels('loan', 't', %s)", [label])
            found = pool.submit(window, database)
            wait_until(lambda: watcher.execute(waiting).fetchone()[0] >= 1, 30, "the reader waits")

        assert found.result().labels.tolist() == [1]


def test_protected_values_are_joined_column_by_column(database, logged):
    logged(batch("r-1", [ROW, ROW], protected=[{"black": 1}, None]), batch("r-2"))
    tell(database, {"request_id": "r-1", "row": 0, "protected": {"hispan": 0}})

    found = window(database).protected

    assert found.to_dict("list")["black"][0] == 1
    assert found.to_dict("list")["hispan"][0] == 0
    assert found.iloc[1:].isna().all().all()


def test_a_label_of_an_id_that_was_used_for_two_people_belongs_to_neither(database, logged):
    logged(batch("r-1", at=YESTERDAY), batch("r-1", [[1.0, 50, False, "Ulm"]]), batch("r-2"))
    tell(database, *({"request_id": name, "row": 0, "label": 1, "protected": {"black": 1}} for name in ("r-1", "r-2")))

    found = window(database)

    assert found.labels.isna().tolist() == [True, True, False]
    assert found.protected["black"].isna().tolist() == [True, True, False]
    assert found.unmatched == 1


def test_two_versions_that_answered_the_same_request_share_its_label(database, logged):
    later = VERSION.__class__("loan", "2.0.0", 4, "f" * 64, VERSION.features)
    logged(batch("r-1", at=YESTERDAY), batch("r-1", version=later, predictions=[0]))
    tell(database, {"request_id": "r-1", "row": 0, "label": 1})

    assert window(database).labels.tolist() == [1, 1]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"as_of": datetime.now(UTC) + timedelta(days=1)}, "cut-off that has passed"),
        ({"since": datetime.now(UTC), "until": YESTERDAY}, "window of times"),
        ({"since": datetime(2026, 1, 1)}, "with a zone"),
    ],
    ids=["a cut-off in the future", "no length", "no zone"],
)
def test_a_window_that_makes_no_sense_is_refused(database, change, said):
    with pytest.raises(InputError, match=said):
        window(database, **change)


@pytest.mark.slow
def test_a_million_rows_are_read_whole(database):
    version = VERSION.__class__("loan", "1.0.0", 3, "e" * 64, tuple((f"f{n}", "float64") for n in range(25)))
    values = " || ',' || ".join(f"""'"{name}":' || random()""" for name, _ in version.features)
    with database.connect("postgres") as connection:
        connection.execute("SELECT predictions.ensure_day((now() AT TIME ZONE 'UTC')::date)")
        connection.execute(
            "INSERT INTO predictions.segment (id, header, model, version, registry_version, evidence, digest, rows, "
            "first_at, last_at, logged_at) "
            "VALUES ('s', %s, 'loan', '1.0.0', 3, 'e', '', 1000000, date_trunc('day', now()), now(), now())",
            [record.header(version, "s", 0).decode()],
        )
        connection.execute(
            "INSERT INTO predictions.prediction "
            "SELECT 1, i, date_trunc('day', now()) + i * interval '1 us', 0, 'loan', md5(i::text), 'desk', "
            f"('{{' || {values} || '}}')::json, '1', random()::text::json FROM generate_series(1, 1000000) AS i"
        )
        connection.execute(
            "INSERT INTO predictions.label (model, request_id, row, label, arrived_at, source) "
            "SELECT 'loan', request_id, 0, '1', now(), 't' FROM predictions.prediction"
        )
        connection.execute("ANALYZE")

    found = window(database)

    assert len(found.rows) == 1_000_000
    assert found.labels.notna().all()
