"""What the scoring service is asked and answers is kept; labels come in over HTTP; an answer waits for none of it."""

from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import httpx
import psycopg
import pytest

from governance.ledger.log import install
from governance.predictions import database as prediction_log
from governance.predictions.reading import Logged, read_window
from governance.predictions.verify import verify_segments
from governance.serving import app as scoring_app
from tests.integration.serving.services_under_test import scoring_process, wait_until
from tests.integration.serving.test_scoring_service import ROW, ask, put_up, until_serving
from tests.unit.release.permitted_world import FEATURES, MODEL

BANK, OTHER = "bank-" + "b" * 27, "other-" + "o" * 26


@pytest.fixture
def senders(tmp_path):
    """Who may send labels: one for every model, one for another model only."""
    path = tmp_path / "label.tokens"
    path.write_text(f"bank {BANK}\nother {OTHER} another\n")
    return path


@pytest.fixture
def served(house, serve, senders):
    scoring = serve(GOVERNANCE_LABEL_TOKENS=str(senders))
    evidence = house.candidate("run-1")
    until_serving(scoring, put_up(house, evidence))
    return scoring, evidence


def kept(house, rows: int) -> Logged:
    """Return the last hour, once it has so many rows."""

    def read() -> Logged | None:
        now = datetime.now(UTC)
        arguments = (MODEL, now - timedelta(hours=1), now + timedelta(seconds=1), now)
        found = read_window(house.database.dsn("pipeline"), *arguments)
        return found if len(found.rows) >= rows else None

    return wait_until(read, 60, f"{rows} rows")


def tell(scoring, *labels, model=MODEL, token=BANK) -> httpx.Response:
    return told(scoring, {"model": model, "labels": list(labels)}, token)


def told(scoring, body, token=BANK) -> httpx.Response:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return httpx.post(f"{scoring.url}/labels", json=body, headers=headers)


def ready(scoring) -> dict:
    return httpx.get(f"{scoring.url}/ready").json()["predictions"]


def test_what_is_asked_and_answered_is_kept_as_it_was(house, served):
    scoring, evidence = served
    body = {"dataframe_records": [ROW, {**ROW, "income": None}]}
    asked_at = datetime.now(UTC)
    answer = ask(scoring, body, headers={"X-Request-Id": "r-1", "X-Caller": "branch:7"})

    found = kept(house, 2)

    assert answer.headers["X-Request-Id"] == "r-1"
    assert found.rows["request_id"].tolist() == ["r-1", "r-1"]
    assert found.rows["prediction"].tolist() == answer.json()["predictions"]
    assert found.rows["score"].tolist() == answer.json()["scores"]
    assert set(found.rows["version"]) == {"1.0.0"}
    assert set(found.rows["evidence"]) == {evidence.data["digest"]}
    assert (found.rows["at"] - asked_at).dt.total_seconds().between(0, 30).all()
    assert list(found.features.columns) == list(FEATURES)
    assert found.features["debt"].tolist() == [100.0, 100.0]
    assert found.features["income"].isna().tolist() == [False, True]
    assert verify_segments(house.database.dsn("auditor"), house.ledger("auditor")).rows == 2


def test_a_request_without_a_sane_id_gets_one(served, subtests):
    scoring, _ = served
    for given in (None, b"", b"a b", b"x" * 129, "é".encode(), b"a;b"):
        with subtests.test(given=given):
            headers = {} if given is None else {"X-Request-Id": given}

            answer = ask(scoring, {"dataframe_records": [ROW]}, headers=headers)

            assert len(answer.headers["X-Request-Id"]) == 32


def test_a_refusal_names_the_request_too_and_keeps_nothing(served):
    scoring, _ = served

    answer = ask(scoring, {"dataframe_records": [{**ROW, "age": 17}]}, headers={"X-Request-Id": "r-1"})

    assert (answer.status_code, answer.headers["X-Request-Id"]) == (422, "r-1")
    assert ready(scoring) == {"waiting": 0, "lost": 0, "written": 0, "problem": None}


def test_what_is_refused_for_its_content_is_counted_by_its_fault_and_without_the_content(house, served):
    scoring, evidence = served
    plain = {name: value for name, value in ROW.items() if name != "debt"}
    for row, more in (
        (plain, {}),
        ({**plain, "owed": 1}, {}),
        ({**ROW, "Ms Doe": 1}, {}),
        ({**ROW, "age": 17}, {}),
        (ROW, {"params": {"protected": [{"race": "x"}] * 3}}),
    ):
        assert ask(scoring, {"dataframe_records": [row, row], **more}).status_code in (400, 422)
    httpx.post(f"{scoring.url}/models/{MODEL}/invocations", content=b"x", headers={"content-type": "application/json"})
    httpx.post(f"{scoring.url}/models/{MODEL}/invocations", content=b"x", headers={"content-type": "text/csv"})
    assert ask(scoring, {"dataframe_records": [ROW]}).is_success

    def read():
        now = datetime.now(UTC)
        found = read_window(house.database.dsn("pipeline"), MODEL, now - timedelta(hours=1), now, now).refused
        return found if sum(one.requests for one in found) >= 6 else None

    found = wait_until(read, 60, "six refusals")
    assert {(one.fault, one.feature, one.requests, one.rows) for one in found} == {
        ("missing", "debt", 2, 4), ("unknown", "", 1, 2), ("value", "age", 1, 2), ("form", "", 2, 0),
    }  # fmt: skip
    assert {one.evidence for one in found} == {evidence.data["digest"]}


def test_protected_values_beside_the_rows_never_reach_the_model_and_are_kept_apart(house, served):
    scoring, _ = served
    plain = ask(scoring, {"dataframe_records": [ROW, ROW]}).json()

    answer = ask(scoring, {"dataframe_records": [ROW, ROW], "params": {"protected": [{"group": "b"}, None]}})

    assert answer.json() == plain
    found = kept(house, 4)
    rows = found.rows["request_id"] == answer.headers["X-Request-Id"]
    assert found.protected["group"][rows].fillna("?").tolist() == ["b", "?"]
    assert "group" not in found.features


def test_protected_values_that_the_spec_does_not_name_are_refused(served, subtests):
    scoring, _ = served
    for protected in ([{"race": 1}], [{"group": [1]}], [{"group": "x" * 201}], ["a"]):
        with subtests.test(protected=str(protected)[:40]):
            answer = ask(scoring, {"dataframe_records": [ROW], "params": {"protected": protected}})

            assert answer.status_code == 422
            assert "protected" in answer.json()["message"]


def test_labels_are_taken_counted_and_read_back(house, served):
    scoring, _ = served
    name = ask(scoring, {"dataframe_records": [ROW, ROW]}).headers["X-Request-Id"]
    kept(house, 2)

    first = tell(scoring, {"request_id": name, "row": 1, "label": 0, "protected": {"group": "a"}})
    again = tell(scoring, {"request_id": name, "row": 1, "label": 0}, {"request_id": "nobody", "label": 1})

    assert first.json() == {"model": MODEL, "accepted": 2, "unchanged": 0, "unknown": 0}
    assert again.json() == {"model": MODEL, "accepted": 1, "unchanged": 1, "unknown": 1}
    found = kept(house, 2)
    assert found.labels.fillna(-1).tolist() == [-1, 0]
    assert found.protected["group"].tolist()[1] == "a"
    assert found.unmatched == 1


NONSENSE = (
    ({"labels": []}, 400, "Expected"),
    ({"model": MODEL, "labels": {}}, 400, "Expected"),
    ({"model": MODEL, "labels": []}, 400, "1 to 5,000"),
    ({"model": MODEL, "labels": [{}] * 5_001}, 413, "1 to 5,000"),
    ({"model": "other", "labels": [{"request_id": "r", "label": 1}]}, 404, "no model other"),
    ({"model": MODEL, "labels": [{"request_id": "r", "label": 2}]}, 422, "one of 0, 1"),
    ({"model": MODEL, "labels": [{"request_id": "r", "label": "yes"}]}, 422, "one of 0, 1"),
    ({"model": MODEL, "labels": [{"request_id": "r b", "label": 1}]}, 422, "request_id"),
    ({"model": MODEL, "labels": [{"request_id": "r", "row": -1, "label": 1}]}, 422, "number of the row"),
    ({"model": MODEL, "labels": [{"request_id": "r"}]}, 422, "neither"),
    ({"model": MODEL, "labels": [{"request_id": "r", "protected": {"race": 1}}]}, 422, "(group)"),
    ({"model": MODEL, "labels": [{"request_id": "r", "label": 1, "more": 1}]}, 422, "another form"),
)
"""Labels, how they are answered, and with which words."""


def test_labels_that_make_no_sense_are_refused_as_a_whole(house, served, subtests):
    scoring, _ = served
    for body, status, said in NONSENSE:
        with subtests.test(said=said, labels=str(body)[:60]):
            answer = told(scoring, body)

            assert (answer.status_code, said in answer.json()["message"]) == (status, True), answer.text
            assert no_label(house)


def no_label(house) -> bool:
    with house.database.connect("auditor") as connection:
        return connection.execute("SELECT count(*) FROM predictions.label").fetchone() == (0,)


def test_labels_of_who_may_not_send_them_are_refused(house, served, subtests):
    scoring, _ = served
    for who, token, status, said in (
        ("nobody", None, 401, "found none"),
        ("a wrong token", "x" * 32, 401, "one that is nobody's"),
        ("most of one", BANK[:-1], 401, "one that is nobody's"),
        ("another model's sender", OTHER, 403, "other may send labels of another only"),
    ):
        with subtests.test(who):
            answer = tell(scoring, {"request_id": "r", "label": 1}, token=token)

            assert (answer.status_code, said in answer.json()["message"]) == (status, True), answer.text
            assert (answer.headers.get("www-authenticate") == "Bearer") == (status == 401)
            assert no_label(house)


def test_the_sender_goes_on_record_whatever_the_caller_says(house, served):
    scoring, _ = served
    body = {"model": MODEL, "labels": [{"request_id": "r", "label": 1}]}
    headers = {"Authorization": f"Bearer {BANK}", "X-Caller": "somebody-else"}

    httpx.post(f"{scoring.url}/labels", json=body, headers=headers).raise_for_status()

    with house.database.connect("auditor") as connection:
        assert connection.execute("SELECT source FROM predictions.label").fetchall() == [("http:bank",)]


def test_a_sender_can_be_shut_out_without_a_restart(house, served, senders):
    scoring, _ = served
    senders.write_text(f"other {OTHER} another\n")

    assert tell(scoring, {"request_id": "r", "label": 1}).status_code == 401

    senders.write_text("bank short\n")
    unreadable = tell(scoring, {"request_id": "r", "label": 1})
    assert (unreadable.status_code, str(senders) in unreadable.text) == (503, False)
    assert no_label(house)


def test_without_senders_labels_are_taken_from_nobody(house, scoring):
    answer = tell(scoring, {"request_id": "r", "label": 1})

    assert (answer.status_code, "GOVERNANCE_LABEL_TOKENS" in answer.text) == (403, True)


def test_with_the_database_away_answers_come_and_records_arrive_later_once_each(house, serve, senders):
    name = f"{house.database.name}_later"
    server = house.database.server
    settings = house.serving_settings(GOVERNANCE_LABEL_TOKENS=str(senders))
    later = replace(settings, ledger_url=server.dsn("serving", name))
    scoring = serve(scoring_app.create_app(later))
    until_serving(scoring, put_up(house, house.candidate("run-1")))

    answers = [ask(scoring, {"dataframe_records": [ROW]}) for _ in range(3)]
    refused = tell(scoring, {"request_id": "r-1", "label": 1})

    assert [answer.status_code for answer in answers] == [200] * 3
    assert refused.status_code == 503
    assert "Send these labels again later" in refused.json()["message"]
    wait_until(lambda: ready(scoring)["problem"], 30, "it says so")
    assert ready(scoring)["waiting"] == 3
    assert "governance_predictions_waiting_records 3" in httpx.get(f"{scoring.url}/metrics").text

    with closing(psycopg.connect(server.dsn("postgres", "postgres"), autocommit=True)) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE template0")
    install(server.dsn("postgres", name))
    prediction_log.install(server.dsn("postgres", name))

    wait_until(lambda: ready(scoring)["waiting"] == 0, 60, "they arrive")
    with closing(psycopg.connect(server.dsn("auditor", name))) as connection:
        found = connection.execute("SELECT request_id FROM predictions.prediction ORDER BY segment, line").fetchall()
    assert [row[0] for row in found] == [answer.headers["X-Request-Id"] for answer in answers]
    metrics = httpx.get(f"{scoring.url}/metrics").text
    assert "governance_predictions_written_total 3" in metrics
    assert "governance_predictions_lost_total 0" in metrics


def test_a_process_that_is_asked_to_end_leaves_nothing_behind(house):
    put_up(house, house.candidate("run-1"))
    settings = {
        "GOVERNANCE_ROOT": str(house.world.root),
        "GOVERNANCE_MLFLOW_URL": house.registry.url,
        "GOVERNANCE_LEDGER_URL": house.database.dsn("serving"),
    }
    service = scoring_process(house.folder, settings).start()
    wait_until(lambda: httpx.get(f"{service.url}/ready").is_success, 120, "ready")
    assert ask(service, {"dataframe_records": [ROW]}).is_success

    service.stop()

    assert len(kept(house, 1).rows) == 1
