"""Calling people out in PagerDuty: an alert for each incident, resolved when it is closed, and never in the way.

A local HTTP server plays the endpoint of the Events API v2.
"""

import json
import logging
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from governance.pipeline.run import Message
from governance_airflow import notify, pager
from tests.unit.plugins.airflow_task import run_of

KEY = "R0UTINGKEY0000000000000000000000"
INCIDENT = "0123456789abcdef"
TEXT = "loan was stopped: 1.1.0 served, and nothing does."
LINK = "http://airflow.test/plugin/governance/incidents/loan"


class Events:
    """The Events API on a free port: keeps what it took, and answers as it is told to, the last answer from then on."""

    def __init__(self) -> None:
        self.taken: list[dict[str, Any]] = []
        self.paths: list[str] = []
        self.answers = [202]
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                status = outer.answers.pop(0) if len(outer.answers) > 1 else outer.answers[0]
                outer.paths.append(self.path)
                if status == 202:
                    outer.taken.append(body)
                self.send_response(status)
                if status == 307:
                    self.send_header("Location", f"{outer.url}/elsewhere")
                self.end_headers()
                self.wfile.write(json.dumps({"status": "x", "message": f"invalid key {body['routing_key']}"}).encode())

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture(autouse=True)
def everything_is_logged(caplog):
    caplog.set_level(logging.DEBUG)


@pytest.fixture(autouse=True)
def no_slack(monkeypatch) -> list[str]:
    """What went to Slack."""
    sent: list[str] = []
    monkeypatch.setattr(notify, "_send", lambda text, _: sent.append(text))
    monkeypatch.delenv("AIRFLOW_CONN_GOVERNANCE_PAGERDUTY", raising=False)
    return sent


@pytest.fixture
def connect(monkeypatch):
    def to(address: str | None, key: str | None = KEY, **more: Any) -> None:
        connection = {"conn_type": "pagerduty_events", "password": key, "host": address, **more}
        monkeypatch.setenv("AIRFLOW_CONN_GOVERNANCE_PAGERDUTY", json.dumps(connection))

    return to


@pytest.fixture
def events(connect) -> Iterator[Events]:
    server = Events()
    connect(server.url)
    yield server
    server.close()


@pytest.fixture
def nobody_listens() -> str:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"http://127.0.0.1:{server.getsockname()[1]}"


def message(kind: str = "stopped", incident: str | None = INCIDENT, **changes: Any) -> Message:
    said = {"key": f"{kind}:1", "kind": kind, "text": TEXT, "path": "/plugin/governance/incidents/loan", **changes}
    return Message(incident=incident, **said)


def warnings(caplog) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]


class TestAnIncident:
    def test_triggers_an_alert_under_its_id_with_a_link_to_its_page(self, ledger, events):
        notify.tell(run_of(ledger), [message()])

        (event,) = events.taken
        assert events.paths == ["/v2/enqueue"]
        assert {name: event[name] for name in ("routing_key", "event_action", "dedup_key")} == {
            "routing_key": KEY,
            "event_action": "trigger",
            "dedup_key": INCIDENT,
        }
        assert event["payload"] == {
            "summary": TEXT,
            "source": "model loan",
            "severity": "critical",
            "component": "loan",
            "class": "stopped",
        }
        assert event["links"] == [{"href": LINK, "text": "Open in Airflow"}]

    @pytest.mark.parametrize("kind", ["rolled_back", "kept", "stopped", "call", "break_glass"])
    def test_of_every_kind_has_a_severity_that_pagerduty_knows(self, events, kind):
        pager.page(message(kind), "loan", LINK)

        assert events.taken[0]["payload"]["severity"] in ("critical", "error", "warning", "info")

    def test_that_is_closed_resolves_its_alert(self, ledger, events):
        notify.tell(run_of(ledger), [message(), message("incident_closed")])

        assert [one["event_action"] for one in events.taken] == ["trigger", "resolve"]
        assert len({one["dedup_key"] for one in events.taken}) == 1

    def test_told_by_hand_on_a_page_triggers_too(self, ledger, events):
        notify.tell_by_hand(ledger, "http://airflow.test/", "loan", "p-c6f8", message())

        assert events.taken[0]["links"][0]["href"] == LINK

    def test_is_paged_once_however_often_the_task_is_cleared(self, ledger, events):
        notify.tell(run_of(ledger), [message()])
        notify.tell(run_of(ledger), [message()])

        assert len(events.taken) == 1

    def test_with_a_long_text_is_cut_to_what_pagerduty_takes(self, events):
        pager.page(message(text="x" * 3000), "loan", LINK)

        assert len(events.taken[0]["payload"]["summary"]) == 1024

    def test_other_messages_call_nobody_out(self, ledger, events, no_slack):
        notify.tell(run_of(ledger), [message("waiting", None)])

        assert (events.taken, no_slack) == ([], [TEXT])


class TestWhereItDoesNotArrive:
    def test_without_a_connection_nobody_is_paged_and_slack_is_told(self, ledger, no_slack, caplog):
        notify.tell(run_of(ledger), [message()])

        assert "No connection governance_pagerduty" in caplog.text
        assert (warnings(caplog), no_slack) == ([], [TEXT])

    def test_an_error_of_theirs_is_tried_once_more(self, ledger, events):
        events.answers = [500, 202]
        notify.tell(run_of(ledger), [message()])

        assert len(events.taken) == 1

    @pytest.mark.parametrize("status", [400, 429, 500, 307])
    def test_an_error_holds_nothing_up(self, ledger, events, no_slack, caplog, status):
        events.answers = [status]
        notify.tell(run_of(ledger), [message()])

        assert warnings(caplog) == [
            f"PagerDuty did not take the event of incident {INCIDENT}: it answered {status}.",
        ]
        assert no_slack == [TEXT]

    def test_nobody_listening_holds_nothing_up(self, ledger, connect, nobody_listens, no_slack, caplog):
        connect(nobody_listens)
        notify.tell(run_of(ledger), [message()])

        assert "ConnectError" in warnings(caplog)[0]
        assert no_slack == [TEXT]

    def test_a_silent_server_is_waited_for_until_the_timeout_only(self, connect, monkeypatch, caplog):
        monkeypatch.setattr(pager, "SECONDS", 0.2)
        with socket.create_server(("127.0.0.1", 0)) as server:
            connect(f"http://127.0.0.1:{server.getsockname()[1]}")
            pager.page(message(), "loan", LINK)

        assert "Timeout" in warnings(caplog)[0]

    def test_a_redirect_is_not_followed_for_the_key_would_go_along(self, events):
        events.answers = [307, 202]
        pager.page(message(), "loan", LINK)

        assert (events.paths, events.taken) == (["/v2/enqueue"], [])

    @pytest.mark.parametrize("key", [None, ""])
    def test_a_connection_without_a_key_says_so(self, events, connect, caplog, key):
        connect(events.url, key)
        pager.page(message(), "loan", LINK)

        assert "expected the integration key" in warnings(caplog)[0]
        assert events.paths == []


class TestTheKey:
    def test_stands_in_no_log_line_whatever_happens(self, ledger, events, caplog):
        for number, answers in enumerate(([202], [400], [500], [307])):
            events.answers = answers
            notify.tell(run_of(ledger), [message(key=f"stopped:{number}")])

        assert len(events.paths) == 5
        assert KEY not in caplog.text

    @pytest.mark.parametrize("address", ["http://pager.example", "http://10.1.2.3:80", "ftp://127.0.0.1", "http://"])
    def test_crosses_no_network_unencrypted(self, connect, monkeypatch, caplog, address):
        monkeypatch.setattr("httpx.post", lambda *_, **__: pytest.fail("it was sent"))
        connect(address)
        pager.page(message(), "loan", LINK)

        assert "expected https" in warnings(caplog)[0]

    @pytest.mark.parametrize(
        ("host", "more", "address"),
        [
            (None, {}, "https://events.pagerduty.com/v2/enqueue"),
            ("events.eu.pagerduty.com", {}, "https://events.eu.pagerduty.com/v2/enqueue"),
            ("proxy.bank.example", {"port": 8443}, "https://proxy.bank.example:8443/v2/enqueue"),
            ("https://proxy.bank.example/pd/", {}, "https://proxy.bank.example/pd/v2/enqueue"),
        ],
    )
    def test_goes_to_pagerduty_unless_the_connection_names_another_address(self, connect, host, more, address):
        connect(host, **more)

        assert pager._address(pager._connection()) == address
