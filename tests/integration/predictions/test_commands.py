"""``governance predictions``: exit codes, one JSON document, and whose word labels are."""

import json
import sqlite3

import pytest

from governance import cli
from tests.integration.predictions.conftest import ROW, batch
from tests.integration.predictions.test_reading import window

LABELS = "request_id,row,label,black\nr-1,0,1,0\nr-1,1,0,1\nr-9,0,1,\n"


@pytest.fixture
def command(database, monkeypatch, capsys, tmp_path):
    """Run a command as an identity; return exit code and JSON document."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GOVERNANCE_STATE", str(tmp_path / "state"))

    def run(*arguments, login="pipeline"):
        monkeypatch.setenv("GOVERNANCE_LEDGER_URL", database.dsn(login))
        code = cli.main(["predictions", *arguments, "--json"])
        return code, json.loads(capsys.readouterr().out)

    return run


def test_verify_says_yes_and_no(database, logged, command):
    logged(batch("r-1", [ROW, ROW]))
    assert command("verify", "loan", login="auditor") == (
        0, {"segments": 1, "rows": 2, "retired": 0, "in_flight": 0, "lost": 0, "faults": [], "whole": True},
    )  # fmt: skip

    with database.connect("postgres") as connection:
        connection.execute("UPDATE predictions.prediction SET prediction = '0' WHERE row = 1")

    code, document = command("verify", login="auditor")
    assert (code, document["whole"], [fault["model"] for fault in document["faults"]]) == (2, False, ["loan"])


def test_verify_does_not_know_every_name(command):
    code, document = command("verify", "laon")

    assert (code, document["error"]["kind"]) == (1, "InputError")


def test_labels_come_from_a_file_and_again_change_nothing(database, logged, command, tmp_path):
    logged(batch("r-1", [ROW, ROW]))
    (tmp_path / "repaid.csv").write_text(LABELS)

    assert command("labels", "loan", "repaid.csv") == (
        0, {"model": "loan", "source": "repaid.csv", "accepted": 5, "unchanged": 0, "unknown": 1},
    )  # fmt: skip
    assert command("labels", "loan", "repaid.csv")[1]["unchanged"] == 5

    found = window(database)
    assert found.labels.tolist() == [1, 0]
    assert found.protected["black"].tolist() == [0, 1]


def test_labels_come_by_sql(database, logged, command, tmp_path, monkeypatch):
    logged(batch("r-1"))
    with sqlite3.connect(tmp_path / "w.db") as connection:
        connection.execute("CREATE TABLE repaid (request_id text, label int)")
        connection.execute("INSERT INTO repaid VALUES ('r-1', 0)")
    monkeypatch.setenv("GOVERNANCE_SQL_WAREHOUSE", f"sqlite:///{tmp_path}/w.db")

    assert command("labels", "loan", "sql:warehouse/repaid")[1]["accepted"] == 1
    assert window(database).labels.tolist() == [0]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("id,label\nr-1,1\n", "Expected the columns request_id"),
        ("request_id\nr-1\n", "Expected the columns request_id"),
        ("request_id,label\nr-1,7\n", "one of 0, 1"),
        ("request_id,label,religion\nr-1,1,a\n", "religion"),
        ("request_id,label\na b,1\n", "request_id of 1 to 128"),
    ],
    ids=["no request id", "nothing said", "no value of the target", "not the spec's", "no id"],
)
def test_a_file_that_cannot_be_used_changes_nothing(database, command, tmp_path, text, said):
    (tmp_path / "repaid.csv").write_text(text)

    code, document = command("labels", "loan", "repaid.csv")

    assert (code, said in document["error"]["message"]) == (1, True), document
    with database.connect("auditor") as connection:
        assert connection.execute("SELECT count(*) FROM predictions.label").fetchone() == (0,)


def test_who_may_not_write_has_the_scoring_service_do_it(command, tmp_path, monkeypatch):
    monkeypatch.setenv("GOVERNANCE_SERVING_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("GOVERNANCE_LABEL_TOKENS", str(tmp_path / "label.tokens"))
    (tmp_path / "label.tokens").write_text("desk " + "d" * 32)
    (tmp_path / "repaid.csv").write_text(LABELS)

    code, document = command("labels", "loan", "repaid.csv", login="auditor")

    assert (code, document["error"]["kind"]) == (1, "UnavailableError")
    assert "scoring service at http://127.0.0.1:1/labels" in document["error"]["message"]


def test_who_may_neither_write_nor_send_is_told_what_is_missing(command, tmp_path, monkeypatch):
    monkeypatch.setenv("GOVERNANCE_SERVING_URL", "http://127.0.0.1:1")
    (tmp_path / "repaid.csv").write_text(LABELS)

    code, document = command("labels", "loan", "repaid.csv", login="auditor")

    assert (code, document["error"]["kind"]) == (1, "InputError")
    assert "GOVERNANCE_LABEL_TOKENS" in document["error"]["message"]
