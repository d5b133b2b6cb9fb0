"""Telling people in Slack: once, as plain text, and never in the way of the pipeline."""

import json
import logging
import socket
import sys
import time
from types import SimpleNamespace

import pytest

from governance.errors import UnavailableError
from governance_airflow import notify
from governance_airflow.operators.step import ToldError
from tests.unit.plugins.airflow_task import PAGE, context, message, run_of

INGEST = SimpleNamespace(task_id="ingest", model="loan")


@pytest.fixture(autouse=True)
def everything_is_logged(caplog):
    caplog.set_level(logging.INFO, logger=notify.log.name)


@pytest.fixture
def silent_server():
    """An address that takes a connection and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture
def nobody_listens():
    """An address that refuses connections."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"http://127.0.0.1:{server.getsockname()[1]}"
    return address


def section(slack) -> str:
    [sent] = slack.messages
    return sent["blocks"][0]["text"]["text"]


def context_line(slack) -> str:
    [sent] = slack.messages
    return sent["blocks"][1]["elements"][0]["text"]


def warnings(caplog) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]


def test_a_message_arrives_with_its_text_and_a_link_to_the_page(ledger, slack):
    notify.tell(run_of(ledger), [message()])

    assert section(slack) == "loan 1.0.0 waits for Compliance."
    assert context_line(slack) == f"<{PAGE}|Open in Airflow>"
    assert slack.messages[0]["text"] == f"loan 1.0.0 waits for Compliance. {PAGE}"


def test_a_message_has_no_button(ledger, slack):
    notify.tell(run_of(ledger), [message()])

    assert "button" not in json.dumps(slack.messages)


def test_a_cleared_task_does_not_repeat_its_message(ledger, slack):
    notify.tell(run_of(ledger), [message()])
    notify.tell(run_of(ledger), [message(), message("loan 1.0.0 is released.", "released:1")])

    assert [sent["blocks"][0]["text"]["text"] for sent in slack.messages] == [
        "loan 1.0.0 waits for Compliance.",
        "loan 1.0.0 is released.",
    ]


def test_what_was_told_stands_in_the_ledger(ledger, slack):
    notify.tell(run_of(ledger), [message()])

    [entry] = ledger.find("message")
    assert (entry.subject, entry.key, entry.data["kind"]) == ("loan", "message:waiting:1", "waiting")


def test_what_cannot_be_entered_is_not_sent(ledger, slack):
    run, ledger.away = run_of(ledger), True

    with pytest.raises(UnavailableError):
        notify.tell(run, [message()])
    assert slack.messages == []


def test_slack_answering_with_an_error_holds_nothing_up(ledger, slack, caplog):
    slack.broken = True
    notify.tell(run_of(ledger), [message()])

    assert "Status Code: 500" in warnings(caplog)[0]


def test_slack_refusing_connections_holds_nothing_up(ledger, connect, nobody_listens, caplog):
    connect(nobody_listens)
    notify.tell(run_of(ledger), [message()])

    assert "Connection refused" in warnings(caplog)[0]


def test_slack_hanging_is_waited_for_until_the_timeout_only(ledger, connect, silent_server, caplog, monkeypatch):
    monkeypatch.setattr(notify, "SECONDS", 0.2)
    connect(silent_server)
    started = time.monotonic()
    notify.tell(run_of(ledger), [message()])

    assert "timed out" in warnings(caplog)[0]
    assert time.monotonic() - started < 10


def test_airflow_without_its_slack_provider_holds_nothing_up(ledger, slack, caplog, monkeypatch):
    monkeypatch.setitem(sys.modules, "airflow.providers.slack.hooks.slack_webhook", None)
    notify.tell(run_of(ledger), [message()])

    assert "slack_webhook" in warnings(caplog)[0]


def test_slack_is_waited_for_a_few_seconds_at_most():
    assert 0 < notify.SECONDS <= 5


def test_what_slack_did_not_take_stands_in_the_log(ledger, slack, caplog):
    slack.broken = True
    notify.tell(run_of(ledger), [message()])

    assert f"Message: loan 1.0.0 waits for Compliance. {PAGE}" in caplog.messages


def test_without_a_connection_the_message_goes_to_the_log(ledger, caplog, monkeypatch):
    monkeypatch.delenv("AIRFLOW_CONN_GOVERNANCE_SLACK", raising=False)
    notify.tell(run_of(ledger), [message()])

    assert f"Message: loan 1.0.0 waits for Compliance. {PAGE}" in caplog.messages
    assert "No connection governance_slack: the message stays in this log." in caplog.messages
    assert warnings(caplog) == []


def test_links_and_mentions_in_a_text_reach_slack_as_characters(ledger, slack):
    notify.tell(run_of(ledger), [message("<http://evil|Open> <!channel> & <@U1>")])

    assert section(slack) == "&lt;http://evil|Open&gt; &lt;!channel&gt; &amp; &lt;@U1&gt;"
    assert slack.messages[0]["text"] == f"{section(slack)} {PAGE}"


def test_slack_is_told_to_make_no_links_of_addresses_in_a_text(ledger, slack):
    notify.tell(run_of(ledger), [message("http://evil.test/ is where @channel goes")])

    assert slack.messages[0]["blocks"][0]["text"]["verbatim"] is True


def test_a_text_that_slack_would_refuse_is_cut_with_an_ellipsis(ledger, slack):
    notify.tell(run_of(ledger), [message("x" * 10_000)])

    assert section(slack) == "x" * 2899 + "…"


def test_a_text_of_just_the_length_is_not_cut(ledger, slack):
    notify.tell(run_of(ledger), [message("x" * 2900)])

    assert section(slack) == "x" * 2900


@pytest.mark.parametrize("before", range(5))
def test_a_cut_never_goes_through_an_escaped_character(ledger, slack, before):
    notify.tell(run_of(ledger), [message("x" * before + "&" * 1000)])

    cut = section(slack)
    assert cut.endswith("&amp;…")
    assert 2900 - len("&amp;") < len(cut) <= 2900


def test_where_airflows_address_is_not_known_the_path_is_shown(ledger, slack, monkeypatch):
    monkeypatch.delenv("GOVERNANCE_AIRFLOW_URL")
    notify.tell(run_of(ledger), [message()])

    assert context_line(slack) == "/plugin/governance/review/loan/1.0.0"


def test_a_failed_task_is_told_with_a_link_to_its_run(ledger, slack):
    notify.failed(context(INGEST, RuntimeError("No such file: applications.csv\nTraceback …")))

    run = "http://airflow.test/dags/govern_loan/runs/manual__2026-10-29T09%3A08%3A00%2B00%3A00"
    assert section(slack) == "govern_loan: ingest failed. No such file: applications.csv"
    assert context_line(slack) == f"<{run}|Open in Airflow>"


def test_a_task_that_is_cleared_and_fails_again_is_told_once(ledger, slack):
    for _ in range(2):
        notify.failed(context(INGEST, RuntimeError("No such file: applications.csv")))

    assert len(slack.messages) == 1


def test_a_task_that_fails_again_for_another_reason_is_told_again(ledger, slack):
    for reason in ("No such file: applications.csv", "No such column: income"):
        notify.failed(context(INGEST, RuntimeError(reason)))

    assert [sent["text"].partition(" http")[0] for sent in slack.messages] == [
        "govern_loan: ingest failed. No such file: applications.csv",
        "govern_loan: ingest failed. No such column: income",
    ]


def test_runs_of_two_dags_that_share_a_name_are_both_told(ledger, slack):
    for dag_id in ("govern_loan", "govern_cards"):
        notify.failed(context(INGEST, RuntimeError("No such file"), dag_id=dag_id))

    assert len(slack.messages) == 2


def test_the_longest_error_fits_into_the_ledgers_key(ledger, slack):
    notify.failed(context(INGEST, RuntimeError("x" * 5000)))

    assert all(len(entry.key) <= 500 for entry in ledger.find("message"))
    assert section(slack).endswith("x" * 300)


def test_a_failure_that_people_were_told_of_is_not_told_again(ledger, slack):
    notify.failed(context(INGEST, ToldError("Blocked: Parity difference race.")))

    assert slack.messages == []


def test_an_error_without_a_text_is_told_by_its_kind(ledger, slack):
    notify.failed(context(INGEST, KeyError()))

    assert section(slack) == "govern_loan: ingest failed. KeyError"


def test_a_task_whose_process_was_killed_is_told_of_as_such(ledger, slack):
    notify.failed(context(INGEST, None))

    assert section(slack) == "govern_loan: ingest failed. Its process ended without a word: killed, or out of memory."


def test_a_failure_is_told_although_the_ledger_is_what_failed(ledger, slack, caplog):
    ledger.away = True
    notify.failed(context(INGEST, UnavailableError("The ledger does not answer.")))

    assert section(slack) == "govern_loan: ingest failed. The ledger does not answer."
    assert context_line(slack).startswith("<http://airflow.test/dags/govern_loan/runs/")
    assert warnings(caplog) == ["Not entered into the ledger, told all the same: The ledger does not answer."]


def test_a_run_that_was_refused_is_told_although_there_is_no_such_run(ledger, slack):
    notify.failed(context(INGEST, RuntimeError("Unknown key '<!channel>'"), **{"<!channel>": 1}))

    assert section(slack) == "govern_loan: ingest failed. Unknown key '&lt;!channel&gt;'"
    assert ledger.entries == []


@pytest.mark.parametrize("variable", ["GOVERNANCE_LEDGER_ULR", "GOVERNANCE_PEOPLE"])
def test_a_failure_is_told_where_nothing_can_be_opened(ledger, slack, monkeypatch, variable):
    monkeypatch.setenv(variable, "/nonexistent")
    notify.failed(context(INGEST, RuntimeError("No such file")))

    assert section(slack) == "govern_loan: ingest failed. No such file"


def test_where_nothing_can_be_opened_and_slack_is_down_the_log_has_it(ledger, slack, caplog):
    ledger.away = slack.broken = True
    notify.failed(context(INGEST, RuntimeError("No such file")))

    assert any(text.startswith("Message: govern_loan: ingest failed. No such file") for text in caplog.messages)
