"""The JSON API: what another system, or the page's own script, can ask and decide."""

from datetime import timedelta

import pytest

REQUESTS = "/governance/api/requests"
LOAN = f"{REQUESTS}/loan/1.0.0"
OURS = {"Origin": "http://airflow.test", "X-Governance": "page"}


@pytest.fixture
def decide(office, as_login):
    """Send a decision as somebody, over the evidence that is there unless another is given."""

    def send(login: str, answer: str = "approve", **changed):
        request = office.desk.request("loan", "1.0.0")
        body = {"evidence": request.digest, "confirmed": list(request.checklist), "comment": "", **changed}
        return as_login(login).post(f"{LOAN}/{answer}", json=body, headers=OURS)

    return send


def outcome(answer) -> tuple[int, str]:
    return answer.status_code, answer.json().get("error", "")


def test_two_people_of_both_roles_complete_the_permit(office, decide):
    office.waiting_attempt()

    first, second = decide("maria"), decide("tom")

    assert (first.json()["status"], second.json()["status"]) == ("pending", "approved")
    assert office.kinds() == ["decision", "decision", "permit"]
    assert [one.actor for one in office.ledger.find("decision")] == ["p-c6f8", "p-2b95"]


def test_one_reject_ends_it(office, decide):
    office.waiting_attempt()
    answer = decide("tom", "reject", comment="The cost is not shown for joint applications.")

    assert answer.json()["status"] == "denied"
    assert answer.json()["roles"][1]["decisions"][0]["comment"] == "The cost is not shown for joint applications."
    assert outcome(decide("maria")) == (409, "refused")


@pytest.mark.parametrize(
    ("login", "said"),
    [("dana", "You trained this model"), ("ken", "You started this run"), ("omar", "sign this: you hold neither role")],
    ids=["developer", "starter", "another role"],
)
def test_who_may_not_is_told_why_and_who_may(office, decide, login, said):
    office.waiting_attempt()
    answer = decide(login)

    assert outcome(answer) == (403, "may_not_sign")
    assert said in answer.json()["message"]
    assert answer.json()["who_can"] == ["Maria Alvarez", "Tom Okafor", "Ines Marchetti"]
    assert office.kinds() == []


def test_who_cleared_a_task_of_the_run_may_not_sign(office, decide):
    office.waiting_attempt()
    office.actors["tom"] = ["cleared"]

    answer = decide("tom")

    assert outcome(answer) == (403, "may_not_sign")
    assert "You cleared this run" in answer.json()["message"]


def test_nobody_decides_twice(office, decide):
    office.waiting_attempt()
    decide("maria")

    assert outcome(decide("maria")) == (403, "may_not_sign")
    assert office.kinds() == ["decision"]


def test_a_digest_other_than_the_one_on_screen_is_refused(office, decide):
    office.waiting_attempt()
    answer = decide("tom", evidence="ab" * 32)

    assert outcome(answer) == (409, "refused")
    assert "the evidence changed while you read it" in answer.json()["message"]


@pytest.mark.parametrize(
    ("answer", "changed", "said"),
    [
        ("approve", {"confirmed": []}, "Confirm 4 more points"),
        ("reject", {"comment": "  "}, "A reject needs a comment"),
        ("approve", {"evidence": "ee8250fb"}, "evidence"),
        ("approve", {"comment": "x" * 5000}, "comment"),
        ("approve", {"approved": True}, "approved"),
    ],
    ids=["unconfirmed", "no comment", "short digest", "long comment", "unknown field"],
)
def test_an_incomplete_decision_says_what_is_missing(office, decide, answer, changed, said):
    office.waiting_attempt()
    refused = decide("tom", answer, **changed)

    assert outcome(refused) == (422, "bad_input")
    assert said in refused.json()["message"]
    assert office.kinds() == []


def test_a_role_that_one_does_not_hold_is_refused(office, decide):
    office.waiting_attempt()

    assert outcome(decide("tom", role="model_risk")) == (403, "may_not_sign")


def test_an_expired_request_takes_no_signature(office, decide):
    office.waiting_attempt(asked=timedelta(days=-8), lasts=timedelta(days=7))

    assert outcome(decide("tom")) == (409, "refused")


def test_a_blocked_candidate_takes_no_signature(office, decide):
    office.blocked_attempt()

    assert outcome(decide("tom")) == (409, "refused")


def test_without_the_ledger_nothing_is_signed(office, as_login):
    digest = office.waiting_attempt()
    office.ledger.away = True
    answer = as_login("tom").post(f"{LOAN}/approve", json={"evidence": digest}, headers=OURS)

    assert outcome(answer) == (503, "unavailable")
    assert "Not signed: the ledger does not answer." in answer.json()["message"]


def test_nobody_signs_while_it_is_not_known_who_touched_the_run(office, decide):
    office.waiting_attempt()
    office.airflow_database_away = True

    assert outcome(decide("tom")) == (503, "unavailable")
    assert office.kinds() == []


def test_each_status_has_its_word(office, as_login):
    client = as_login("omar")

    def status() -> str:
        return client.get(LOAN).json()["status"]

    office.blocked_attempt()
    assert status() == "blocked"
    office.waiting_attempt()
    assert status() == "pending"
    office.sign("maria")
    office.sign("tom")
    assert status() == "approved"


def test_requests_can_be_asked_for_by_status(office, as_login):
    office.waiting_attempt()
    client = as_login("omar")

    assert [one["version"] for one in client.get(f"{REQUESTS}?status=pending").json()] == ["1.0.0"]
    assert client.get(f"{REQUESTS}?status=denied").json() == []
    assert client.get(f"{REQUESTS}?status=lost").status_code == 422


def test_one_request_carries_its_evidence_and_an_earlier_attempt_its_own(office, as_login):
    digest = office.waiting_attempt()
    client = as_login("omar")

    found, earlier = client.get(LOAN).json(), client.get(f"{LOAN}?attempt=1").json()

    assert (found["evidence"], found["document"]["model"]["attempt"]) == (digest, 2)
    assert (earlier["status"], earlier["document"]["model"]["attempt"]) == ("blocked", 1)


def test_what_is_not_there_is_not_found(office, as_login):
    office.waiting_attempt()

    assert outcome(as_login("omar").get(f"{REQUESTS}/loan/9.9.9")) == (404, "not_found")


def test_the_standing_changes_its_token_when_somebody_signs(office, as_login):
    office.waiting_attempt()
    client = as_login("tom")
    before = client.get(f"{LOAN}/standing").json()
    office.sign("maria")
    after = client.get(f"{LOAN}/standing").json()

    assert before["may_sign"]
    assert before["token"] != after["token"]
    assert after["sentence"].startswith("Maria Alvarez approved this as Model risk, ")


def test_the_api_describes_itself(office, as_login):
    document = as_login("omar").get("/governance/api/openapi.json").json()

    assert document["openapi"].startswith("3.")
    assert set(document["paths"]) == {
        "/api/requests",
        "/api/requests/{model}/{version}",
        "/api/requests/{model}/{version}/standing",
        "/api/requests/{model}/{version}/approve",
        "/api/requests/{model}/{version}/reject",
        "/api/requests/{model}/{version}/break-glass",
        "/api/requests/{model}/{version}/break-glass/{digest}/signatures",
        "/api/models/{model}/versions",
        "/api/models/{model}/waivers",
        "/api/models/{model}/waivers/{digest}/signatures",
        "/api/models/{model}/standing-approvals",
        "/api/models/{model}/standing-approvals/{digest}/signatures",
        "/api/requests/{model}/{version}/standing-approval",
        "/api/models/{model}/findings",
        "/api/models/{model}/findings/{finding}/closing",
        "/api/waiting",
        "/api/monitoring",
        "/api/monitoring/{model}",
        "/api/monitoring/{model}/{entry}",
    }
    assert document["servers"] == [{"url": "/governance"}]
    approve = document["paths"]["/api/requests/{model}/{version}/approve"]["post"]
    assert {"401", "403", "404", "409", "422", "503"} <= set(approve["responses"])
    assert approve["security"]
