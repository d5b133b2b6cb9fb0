"""Incidents on the page and by the API: what happened, who closes one, and who may stop a model."""

from datetime import UTC, datetime, timedelta

import pytest

from governance.review import incidents

API = "/governance/api/models/loan"
PAGE = "/governance/incidents/loan"
OURS = {"Origin": "http://airflow.test", "X-Governance": "page"}
REVIEW = "The new threshold fell on one group. It was rolled back; the next run is judged with a rule for it."
REASON = "Approvals of one group collapsed in three windows."


def outcome(answer) -> tuple[int, str]:
    return answer.status_code, answer.json().get("error", "")


def version(number: str) -> dict:
    return {"version": number, "registry_version": int(number[2]) + 1, "evidence": number.replace(".", "") * 16}


@pytest.fixture(autouse=True)
def told(monkeypatch) -> list[str]:
    """What people are told in Slack."""
    found: list[str] = []
    monkeypatch.setattr("governance_airflow.notify._send", lambda text, _: found.append(text))
    return found


@pytest.fixture
def released(office) -> None:
    """Two releases."""
    before = None
    until = (datetime.now(UTC) + timedelta(days=90)).isoformat()
    for number in ("1.0.0", "1.1.0"):
        data = {**version(number), "previous": before, "permit_expires_at": until}
        office.ledger.append("release", "loan", data, actor="p-9a47", key=f"release:{number}")
        before = version(number)


@pytest.fixture
def rolled_back(office, released):
    """The incident of a rollback that Ken asked for; its entry."""
    asked = {"operation": "rollback", "reason": REASON, "to": None, "decision": None, "serving": version("1.1.0")}
    operation = office.ledger.append("operation", "loan", asked, actor="p-9a47", key="operation:loan:run-1")
    office.ledger.append("served", "loan", version("1.0.0"), actor="serving", key="served:1")
    data = {
        **version("1.0.0"),
        "reason": REASON,
        "decision": None,
        "previous": version("1.1.0"),
        "tried": [],
        "operation": operation.key,
        "permit_expires_at": (datetime.now(UTC) + timedelta(days=90)).isoformat(),
    }
    change = office.ledger.append("rollback", "loan", data, actor="p-9a47", key="rollback:loan:run-1")
    return incidents.open_incident(office.ledger, change, actor="p-9a47", run_id="run-1")


@pytest.fixture
def close(as_login, rolled_back):
    """Close the incident as somebody."""

    def send(login: str = "maria", review: str = REVIEW):
        url = f"{API}/incidents/{incidents.id_of(rolled_back)}/closing"
        return as_login(login).post(url, json={"review": review}, headers=OURS)

    return send


class TestElsewhere:
    """Nowhere is a model called calm whose incident nobody has reviewed."""

    def test_the_lists_of_all_models_say_that_it_is_open_and_no_longer_when_it_is_closed(self, as_login, close):
        omar = as_login("omar")
        for page in ("/governance/inbox", "/governance/monitoring"):
            assert "incident open" in omar.get(page).text, page
        assert close().status_code == 200
        for page in ("/governance/inbox", "/governance/monitoring"):
            assert "incident open" not in omar.get(page).text, page

    def test_a_rollback_that_a_monitor_decided_is_not_said_to_be_a_persons(self, office, as_login, rolled_back):
        asked = {"operation": "rollback", "reason": REASON, "to": "1.0.0", "decision": "monitoring:1", "serving": None}
        entry = office.ledger.append("operation", "loan", asked, actor="p-9a47", key="operation:loan:run-2")

        assert incidents._sentence(entry, {"p-9a47": "Ken Ito"}) == (
            f"monitor_loan asked for a rollback, in a run that Ken Ito started: {REASON}"
        )


class TestAnIncident:
    def test_it_says_what_served_what_serves_and_why(self, as_login, rolled_back):
        (one,) = as_login("omar").get(f"{API}/incidents").json()

        assert (one["cause"], one["reason"], one["opened_by"]) == ("rolled_back", REASON, "Ken Ito")
        assert (one["before"]["version"], one["after"]["version"]) == ("1.1.0", "1.0.0")
        assert (one["closed_by"], one["review"]) == (None, None)

    def test_its_timeline_is_read_from_the_ledger_in_its_order(self, office, as_login, rolled_back):
        office.ledger.append("message", "loan", {"text": "Look."}, actor="x", key=f"message:{rolled_back.key}")
        office.ledger.append("message", "loan", {"text": "Something else."}, actor="x", key="message:waiting")

        timeline = as_login("omar").get(f"{API}/incidents").json()[0]["timeline"]

        assert [event["what"] for event in timeline] == [
            f"Ken Ito asked for a rollback: {REASON}",
            "The scoring service began to serve 1.0.0.",
            "1.0.0 serves again, verified and tested live.",
            "An incident was opened.",
            "Told: Look.",
        ]

    def test_what_came_after_it_was_closed_is_no_part_of_it(self, office, as_login, close):
        close()
        office.ledger.append("served", "loan", version("1.0.0"), actor="serving", key="served:2")

        timeline = as_login("omar").get(f"{API}/incidents").json()[0]["timeline"]
        assert timeline[-1]["what"] == "Maria Alvarez closed the incident."

    def test_the_page_shows_it_and_only_who_may_can_close_it(self, as_login, rolled_back):
        mine, theirs = (as_login(login).get(PAGE).text for login in ("maria", "ken"))

        assert REASON in mine
        assert "Close the incident" in mine
        assert "Close the incident" not in theirs
        assert "closes incidents of this model" in theirs

    def test_it_stands_first_in_the_inbox_of_who_may_close_it_and_of_nobody_else(self, as_login, rolled_back, office):
        office.waiting_attempt()

        mine, theirs = (as_login(login).get("/governance/inbox").text for login in ("maria", "ken"))

        assert mine.index("Review an incident") < mine.index("Sign as Model risk")
        assert "Review an incident" not in theirs

    def test_a_model_that_is_not_governed_has_none(self, as_login, office):
        assert as_login("maria").get("/governance/incidents/nothing").status_code == 404


class TestClosing:
    def test_it_takes_a_review_and_is_told(self, office, close, as_login, told):
        answer = close()

        assert (answer.status_code, answer.json()["closed_by"], answer.json()["review"]) == (
            200, "Maria Alvarez", REVIEW
        )  # fmt: skip
        assert told == [f"The incident of loan was closed by Maria Alvarez: {REVIEW}"]
        assert REVIEW in as_login("omar").get(PAGE).text
        assert office.kinds()[-2:] == ["incident_closed", "message"]

    @pytest.mark.parametrize(
        ("login", "said"),
        [
            ("omar", "closes incidents of this model"),
            ("priya", "closes incidents of this model"),
            ("dana", "You trained this model"),
            ("stranger", "You are not in people.yaml"),
        ],
    )
    def test_who_may_not(self, office, close, login, said):
        answer = close(login)

        assert outcome(answer) == (403, "may_not_sign")
        assert said in answer.json()["message"]
        assert "incident_closed" not in office.kinds()

    def test_not_by_the_one_who_acted(self, office, released, as_login):
        as_login("maria").post(f"{API}/stop", json={"reason": REASON}, headers=OURS)
        (one,) = as_login("maria").get(f"{API}/incidents").json()

        url = f"{API}/incidents/{one['id']}/closing"
        assert "You acted" in as_login("maria").post(url, json={"review": REVIEW}, headers=OURS).json()["message"]
        assert as_login("tom").post(url, json={"review": REVIEW}, headers=OURS).status_code == 200

    def test_not_without_a_review(self, close):
        assert outcome(close(review="Fine now.")) == (422, "bad_input")

    def test_not_twice(self, close):
        close()

        assert outcome(close("tom")) == (409, "refused")

    def test_not_from_another_site(self, as_login, rolled_back):
        url = f"{API}/incidents/{incidents.id_of(rolled_back)}/closing"
        elsewhere = {"Origin": "http://evil.test", "X-Governance": "page"}

        assert as_login("maria").post(url, json={"review": REVIEW}, headers=elsewhere).status_code == 403

    def test_a_closing_that_the_review_key_did_not_sign_closes_nothing(self, office, close, as_login):
        close()
        entry = office.ledger.entries[-2]
        forged = {**entry.data, "closing": {**entry.data["closing"], "person": "p-2b95"}}
        office.ledger.entries[-2] = type(entry)(**{**entry.__dict__, "data": forged})

        assert as_login("omar").get(f"{API}/incidents").json()[0]["closed_by"] is None


class TestStopping:
    def stop(self, as_login, login: str, reason: str = REASON):
        return as_login(login).post(f"{API}/stop", json={"reason": reason}, headers=OURS)

    @pytest.mark.parametrize("login", ["maria", "tom", "maintainers"])
    def test_the_roles_of_the_tier_may(self, office, released, as_login, told, login):
        answer = self.stop(as_login, login)

        assert (answer.status_code, answer.json()["stopped"]["version"]) == (200, "1.1.0")
        assert office.kinds()[-3:] == ["stop", "incident", "message"]
        assert told[0].startswith("loan was stopped: 1.1.0 served, and nothing does.")

    def test_what_did_not_answer_is_said(self, released, as_login):
        answer = self.stop(as_login, "maria").json()

        assert not answer["confirmed"]
        assert any("MLflow" in one for one in answer["problems"])

    @pytest.mark.parametrize("login", ["omar", "priya", "stranger"])
    def test_nobody_else_may(self, office, released, as_login, login):
        assert outcome(self.stop(as_login, login)) == (403, "may_not_sign")
        assert "stop" not in office.kinds()

    def test_a_model_that_serves_nothing_is_not_stopped(self, office, as_login, told, monkeypatch):
        monkeypatch.setattr("governance.release.registry.Registry.champion", lambda *_: None)

        answer = self.stop(as_login, "maria")

        assert outcome(answer) == (409, "refused")
        assert answer.json()["message"].startswith("Nothing of loan serves, so there is nothing to stop")
        assert (office.kinds(), told) == ([], [])

    def test_not_without_a_reason(self, office, released, as_login):
        assert outcome(self.stop(as_login, "maria", "no")) == (422, "bad_input")

    def test_twice_is_once(self, office, released, as_login, told):
        first, again = (self.stop(as_login, "maria").json() for _ in range(2))

        assert (first["already"], again["already"], first["incident"]) == (False, True, again["incident"])
        assert office.kinds().count("stop") == len(told) == 1

    def test_page_and_inbox_say_that_it_is_stopped(self, released, as_login):
        self.stop(as_login, "maria")

        assert REASON.rstrip(".") in as_login("omar").get(PAGE).text
        assert '<a href="/governance/incidents/loan">stopped</a>' in as_login("omar").get("/governance/inbox").text

    def test_the_page_offers_it_to_who_may(self, released, as_login):
        assert "Stop the model" in as_login("maria").get(PAGE).text
        assert "may stop this model" in as_login("omar").get(PAGE).text


def test_an_open_incident_counts_beside_the_link_to_the_inbox_on_every_page(rolled_back, as_login):
    assert as_login("maria").get("/governance/api/waiting").json() == {"waiting": 1}
    assert as_login("omar").get("/governance/api/waiting").json() == {"waiting": 0}


class TestTheLastDrill:
    def test_without_one_the_page_says_how_to_try(self, as_login, released):
        assert "trigger drill_loan" in as_login("omar").get(PAGE).text

    def test_the_page_says_how_long_each_step_took(self, office, as_login, released):
        for number, total in enumerate((2.0, 4.0)):
            seconds = {
                "start": 9.0,
                "ledger": 0.1,
                "choose": 0.1,
                "verify": 1.0,
                "move": 0.1,
                "serve": total,
                "test": 0.1,
            }
            said = {"outcome": "served", "leaves": version("1.1.0"), **version("1.0.0"), "tried": []}
            data = {**said, "seconds": seconds, "champion": None}
            office.ledger.append("drill", "loan", data, actor="drill", key=f"drill:{number}")

        page = as_login("omar").get(PAGE).text

        assert "loan 1.0.0 would serve instead of 1.1.0 within 5.4 s." in page
        assert "serve 4.0" in page
        assert "start 9.0" not in page


class TestWhoIsCalledOut:
    @pytest.fixture
    def paged(self, monkeypatch) -> list[tuple[str, str | None]]:
        found: list[tuple[str, str | None]] = []
        monkeypatch.setattr("governance_airflow.pager.page", lambda said, *_: found.append((said.kind, said.incident)))
        return found

    def test_a_closing_resolves_what_the_incident_triggered(self, paged, close, rolled_back):
        close()

        assert paged == [("incident_closed", incidents.id_of(rolled_back))]

    def test_a_stop_triggers_under_the_id_of_its_incident(self, office, paged, as_login, released):
        answer = as_login("maria").post(f"{API}/stop", json={"reason": REASON}, headers=OURS)

        assert paged == [("stopped", answer.json()["incident"])]
        assert answer.json()["incident"] == incidents.of_model(office.ledger, "loan", office.desk.keys)[0].id
