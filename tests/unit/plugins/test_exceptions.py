"""Waivers and findings on the page and by the API: who proposes, who signs, who closes, and what people read."""

from datetime import UTC, datetime, timedelta

import pytest

from governance.review import waivers
from governance.review.waivers import SignedWaiver

WAIVERS = "/governance/api/models/loan/waivers"
FINDINGS = "/governance/api/models/loan/findings"
PAGE = "/governance/waivers/loan"
OURS = {"Origin": "http://airflow.test", "X-Governance": "page"}
REASON = "The new threshold is tested in the branches until spring; until then the old one serves."


def day(days: int) -> str:
    return (datetime.now(UTC).date() + timedelta(days=days)).isoformat()


def outcome(answer) -> tuple[int, str]:
    return answer.status_code, answer.json().get("error", "")


@pytest.fixture
def propose(as_login):
    """Propose a waiver of race parity as somebody; ``changed`` is another field of it."""

    def send(login: str = "omar", **changed):
        body = {"rule": "parity", "slice": {"attribute": "race"}, "reason": REASON, "until": day(30), **changed}
        return as_login(login).post(WAIVERS, json=body, headers=OURS)

    return send


@pytest.fixture
def sign(as_login):
    """Answer a waiver as somebody."""

    def send(login: str, digest: str, answer: str = "approve", **more):
        return as_login(login).post(f"{WAIVERS}/{digest}/signatures", json={"answer": answer, **more}, headers=OURS)

    return send


@pytest.fixture
def approve_with(office, as_login):
    """Have both roles approve, the first with these findings."""

    def send(*findings: dict[str, str], login: str = "maria", answer: str = "approve"):
        office.waiting_attempt()
        request = office.desk.request("loan", "1.0.0")
        body = {"evidence": request.digest, "confirmed": list(request.checklist), "findings": list(findings)}
        body["comment"] = "It is not enough." if answer == "reject" else ""
        url = f"/governance/api/requests/loan/1.0.0/{answer}"
        found = as_login(login).post(url, json=body, headers=OURS)
        if found.status_code == 200 and answer == "approve":
            office.sign("tom")
        return found

    return send


class TestProposing:
    def test_anybody_with_a_role_may(self, office, propose):
        answer = propose("omar")

        assert (answer.status_code, answer.json()["status"]) == (200, "open")
        assert answer.json()["missing"] == {"Model risk": 1, "Compliance": 1}
        assert office.kinds() == ["waiver"]

    @pytest.mark.parametrize("login", ["priya", "stranger"], ids=["no role", "not in people.yaml"])
    def test_nobody_else_may(self, office, propose, login):
        assert outcome(propose(login)) == (403, "may_not_sign")
        assert office.kinds() == []

    @pytest.mark.parametrize(
        ("changed", "told"),
        [
            ({"rule": "uncommitted_changes"}, "there is no rule"),
            ({"rule": "groups"}, "lets no waiver lift"),
            ({"slice": {"attribute": "height"}}, "race, sex, marital status, age"),
            ({"rule": "auc"}, "one result"),
            ({"reason": "Because."}, "20 to 1000 characters"),
            ({"until": "spring"}, "Expected a last day such as"),
            ({"until": day(91)}, "as tier high allows"),
            ({"until": day(-1)}, "as tier high allows"),
            ({"limit": 0.3}, "limit"),
        ],
    )
    def test_what_cannot_be_waived_is_refused_with_what_can(self, office, propose, changed, told):
        answer = propose(**changed)

        assert outcome(answer) == (422, "bad_input")
        assert told in answer.json()["message"]
        assert office.kinds() == []


class TestSigning:
    def test_both_roles_put_it_in_force(self, office, propose, sign):
        digest = propose().json()["digest"]

        assert sign("maria", digest).json()["status"] == "open"
        assert sign("tom", digest).json()["status"] == "in force"
        assert office.kinds() == ["waiver", "waiver_signature", "waiver_signature"]

    def test_what_the_ledger_then_holds_verifies_by_itself(self, office, propose, sign):
        digest = propose().json()["digest"]
        for login in ("maria", "tom"):
            sign(login, digest)
        desk = office.desk
        (one,) = waivers.of_model(office.ledger, "loan")
        given = (waivers.Involved(frozenset(), frozenset()), desk.policy("loan"), desk.people(), desk.keys)

        assert SignedWaiver.from_dict(one.to_dict()) == one
        assert waivers.in_force([one], *given, datetime.now(UTC))[0].digest == digest

    @pytest.mark.parametrize(
        ("login", "said"),
        [
            ("dana", "You trained this model"),
            ("omar", "You proposed this waiver"),
            ("priya", "You hold no role that signs here"),
            ("stranger", "not in people.yaml"),
        ],
        ids=["developer", "proposer", "another role", "unknown"],
    )
    def test_who_may_not_is_told_why(self, propose, sign, login, said):
        answer = sign(login, propose().json()["digest"])

        assert outcome(answer) == (403, "may_not_sign")
        assert said in answer.json()["message"]

    def test_who_wrote_the_code_may_not(self, office, propose, sign, monkeypatch):
        digest = propose().json()["digest"]
        monkeypatch.setattr(type(office.desk), "authors", lambda self, model: frozenset({"p-c6f8"}))
        answer = sign("maria", digest)

        assert outcome(answer) == (403, "may_not_sign")
        assert "The history of the checkout says so" in answer.json()["message"]

    def test_nobody_signs_twice_but_may_take_it_back(self, propose, sign):
        digest = propose().json()["digest"]
        sign("maria", digest)

        assert outcome(sign("maria", digest)) == (403, "may_not_sign")
        assert sign("maria", digest, "reject").json()["status"] == "rejected"
        assert outcome(sign("tom", digest)) == (409, "refused")

    def test_one_in_force_can_still_be_rejected(self, propose, sign):
        digest = propose().json()["digest"]
        for login in ("maria", "tom"):
            sign(login, digest)

        assert sign("ines", digest, "reject").json()["status"] == "rejected"

    @pytest.mark.parametrize(("digest", "status"), [("0" * 64, 422), ("0", 422)], ids=["unknown", "no digest"])
    def test_one_that_is_not_there_is_refused(self, sign, digest, status):
        assert sign("maria", digest).status_code == status

    def test_another_site_cannot_sign(self, office, propose, as_login):
        digest = propose().json()["digest"]
        url = f"{WAIVERS}/{digest}/signatures"
        for headers in ({}, {"Origin": "http://evil.test", "X-Governance": "page"}, {"Origin": "http://airflow.test"}):
            answer = as_login("maria").post(url, json={"answer": "approve"}, headers=headers)

            assert outcome(answer) == (403, "cross_site")
        assert office.kinds() == ["waiver"]

    def test_without_the_ledger_nothing_is_recorded(self, office, propose, sign):
        digest = propose().json()["digest"]
        office.ledger.away = True

        assert outcome(sign("maria", digest)) == (503, "unavailable")


FINDING = {"text": "Explain what joint applications cost.", "owner": "luis", "due": day(20)}


class TestConditions:
    def test_they_are_part_of_the_signed_decision(self, office, approve_with):
        approve_with(FINDING)
        (decision,) = [one.data["decision"] for one in office.ledger.find("decision") if one.actor == "p-c6f8"]

        assert decision["findings"] == [{**FINDING, "owner": "p-5e2b"}]
        assert office.kinds() == ["decision", "decision", "permit"]

    @pytest.mark.parametrize(
        ("changed", "told"),
        [
            ({"text": "Hm."}, "a finding in a sentence"),
            ({"owner": "stranger"}, "not in people.yaml"),
            ({"due": day(0)}, "after today"),
            ({"due": "soon"}, "Expected a due date"),
        ],
    )
    def test_one_that_nobody_could_follow_up_is_refused(self, office, approve_with, changed, told):
        answer = approve_with({**FINDING, **changed})

        assert outcome(answer) == (422, "bad_input")
        assert told in answer.json()["message"]
        assert office.kinds() == []

    def test_a_reject_has_none(self, approve_with):
        answer = approve_with(FINDING, answer="reject")

        assert outcome(answer) == (422, "bad_input")

    def test_only_the_role_that_raised_it_closes_it(self, office, approve_with, as_login):
        approve_with(FINDING)
        (finding,) = as_login("tom").get(FINDINGS).json()
        url, how = f"{FINDINGS}/{finding['id']}/closing", {"how": "Joint applications are in the report now."}

        assert outcome(as_login("tom").post(url, json=how, headers=OURS)) == (403, "may_not_sign")
        assert outcome(as_login("dana").post(url, json=how, headers=OURS)) == (403, "may_not_sign")
        assert as_login("maria").post(url, json=how, headers=OURS).json()["closed_by"] == "Maria Alvarez"
        assert outcome(as_login("maria").post(url, json=how, headers=OURS)) == (409, "refused")

    def test_its_owner_does_not_close_it(self, approve_with, as_login):
        approve_with({**FINDING, "owner": "maria"})
        (finding,) = as_login("maria").get(FINDINGS).json()
        answer = as_login("maria").post(
            f"{FINDINGS}/{finding['id']}/closing", json={"how": "I looked at it, and it is fine."}, headers=OURS
        )

        assert "You mend this finding" in answer.json()["message"]

    def test_an_overdue_one_lets_nobody_sign(self, office, approve_with, as_login, monkeypatch):
        approve_with(FINDING)
        later = datetime.now(UTC) + timedelta(days=21)

        class Later(datetime):
            @classmethod
            def now(cls, tz=None):
                return later

        monkeypatch.setattr("governance.review.desk.datetime", Later)

        assert "is overdue: Explain what joint applications cost" in str(office.desk.request("loan", "1.0.0").outdated)


class TestPage:
    def test_it_says_what_there_is_not(self, as_login):
        page = as_login("omar").get(PAGE).text

        assert "No waiver was ever proposed for loan." in page
        assert "No version of loan was approved with findings." in page

    def test_the_form_offers_only_what_can_give_way(self, as_login):
        page = as_login("omar").get(f"{PAGE}?rule=auc").text

        assert '<option value="auc" selected>ROC AUC (≥ 0.80)</option>' in page
        assert 'value="groups"' not in page
        assert f'max="{day(90)}"' in page

    def test_who_holds_no_role_has_no_form(self, as_login):
        page = as_login("priya").get(PAGE).text

        assert "Whoever proposes a waiver holds a role." in page
        assert "data-send" not in page

    def test_only_who_may_sign_has_the_button(self, propose, as_login):
        digest = propose().json()["digest"]
        action = f"{digest}/signatures"

        assert action in as_login("maria").get(PAGE).text
        for login, why in (("omar", "You proposed this waiver"), ("dana", "You trained this model")):
            page = as_login(login).get(PAGE).text
            assert action not in page
            assert why in page

    def test_a_reason_is_text_and_nothing_else(self, propose, as_login):
        propose(reason="<script>alert(1)</script> is no reason to let it go.")
        page = as_login("maria").get(PAGE).text

        assert "<script>alert" not in page
        assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page

    def test_it_waits_in_the_inbox_of_those_who_may_sign(self, propose, as_login):
        propose()

        assert "Sign the waiver as Model risk" in as_login("maria").get("/governance/inbox").text
        assert "Sign the waiver" not in as_login("dana").get("/governance/inbox").text

    def test_a_blocked_candidate_leads_to_the_form(self, office, as_login):
        office.blocked_attempt()
        page = as_login("maria").get("/governance/review/loan/1.0.0").text

        assert 'href="/governance/waivers/loan?rule=parity"' in page
        assert "Propose a waiver of parity difference" in page

    def test_a_model_that_is_not_there_is_not_found(self, as_login):
        assert as_login("maria").get("/governance/waivers/nothing").status_code == 404
        assert as_login("maria").get("/governance/api/models/nothing/waivers").status_code == 404
        assert as_login("maria").get("/governance/api/models/nothing/findings").status_code == 404
