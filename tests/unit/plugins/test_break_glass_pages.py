"""Break-glass on the Review page and by the API: who may, what it leads to, who hears of it, and who reviews it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from governance.review import approvals, break_glass, incidents, permit
from governance.review.break_glass import BreakGlass
from governance.review.waiting import answer_of_role

API = "/governance/api/requests/loan/1.0.0"
PAGE = "/governance/review/loan/1.0.0"
INBOX = "/governance/inbox"
OURS = {"Origin": "http://airflow.test", "X-Governance": "page"}
REASON = "The champion denies everybody since this morning, and nobody of Compliance answers."
TODAY = datetime.now(UTC).date()
MARIA, TOM, INES = "p-c6f8", "p-2b95", "p-70ae"


@pytest.fixture(autouse=True)
def told(monkeypatch) -> list[str]:
    """What people are told in Slack."""
    found: list[str] = []
    monkeypatch.setattr("governance_airflow.notify._send", lambda text, _: found.append(text))
    return found


@pytest.fixture
def evidence(office) -> str:
    return office.waiting_attempt()


@pytest.fixture
def propose(as_login, evidence):
    def send(login: str = "maria", **changes: Any):
        body = {"evidence": evidence, "reason": REASON, "until": TODAY.isoformat(), **changes}
        return as_login(login).post(f"{API}/break-glass", json=body, headers=OURS)

    return send


@pytest.fixture
def proposed(propose) -> str:
    answer = propose()
    assert answer.status_code == 200, answer.text
    return answer.json()["digest"]


@pytest.fixture
def sign(as_login, proposed):
    def send(login: str = "tom", digest: str = "", **body: Any):
        return as_login(login).post(f"{API}/break-glass/{digest or proposed}/signatures", json=body, headers=OURS)

    return send


def issued(office, evidence: str) -> dict[str, Any]:
    return office.ledger.get(f"permit:{evidence}").data["permit"]


def outcome(answer) -> tuple[int, str]:
    return answer.status_code, answer.json().get("error", "")


class TestTwoPeople:
    def test_the_second_signature_issues_a_permit_until_the_end_of_the_last_day(self, office, evidence, sign):
        answer = sign().json()

        assert (answer["status"], answer["missing"]) == ("in force", 0)
        assert [one["person_name"] for one in answer["signed"]] == ["Maria Alvarez", "Tom Okafor"]
        found = issued(office, evidence)
        assert found["decisions"] == []
        assert datetime.fromisoformat(found["expires_at"]).date() == TODAY + timedelta(days=1)
        assert BreakGlass.from_dict(found["break_glass"]).proposal["reason"] == REASON

    def test_the_permit_is_one_that_its_verifier_believes(self, office, evidence, sign):
        sign()

        found, desk = issued(office, evidence), office.desk
        document = office.ledger.find("evidence", "loan")[-1].data["evidence"]
        one = break_glass.expect_permitted(found, document, desk.policy("loan"), desk.people(), desk.keys)
        assert one is not None
        desk.keys.verify(
            found, office.ledger.get(f"permit:{evidence}").data["signature"], permit.PURPOSE, approvals.KEY
        )

    def test_one_signature_permits_nothing(self, office, evidence, proposed):
        assert office.ledger.get(f"permit:{evidence}") is None
        assert office.desk.request("loan", "1.0.0").status == "pending"

    def test_signatures_that_were_given_already_are_kept(self, office, evidence, sign):
        office.sign("maria")

        sign()

        (kept,) = issued(office, evidence)["decisions"]
        assert kept["decision"]["person"] == MARIA

    def test_the_run_waits_for_no_role_any_more(self, office, work_on, evidence, sign):
        from governance.settings import load_settings

        work_on(office.ledger)
        entry = office.ledger.find("evidence", "loan")[-1]
        assert answer_of_role(load_settings(), office.ledger, entry, "compliance").status == "pending"

        sign()

        for role in ("model_risk", "compliance"):
            answer = answer_of_role(load_settings(), office.ledger, entry, role)
            assert answer.status == "approved"
            assert "Break-glass by Maria Alvarez and Tom Okafor" in answer.sentence

    def test_a_permit_that_the_review_key_did_not_sign_ends_no_waiting(self, office, work_on, evidence, sign):
        from governance.settings import load_settings

        sign()
        work_on(office.ledger)
        entry, forged = office.ledger.find("evidence", "loan")[-1], office.ledger.get(f"permit:{evidence}")
        changed = replace(forged, data={**forged.data, "signature": "A" * 86 + "=="})
        office.ledger.entries[office.ledger.entries.index(forged)] = changed

        assert answer_of_role(load_settings(), office.ledger, entry, "compliance").status == "pending"


class TestWhoMayNot:
    @pytest.mark.parametrize(
        ("login", "why"),
        [
            ("omar", "Model risk or Compliance may release in an emergency"),
            ("ken", "Model risk or Compliance may release"),
            ("luis", "Model risk or Compliance may release"),
            ("dana", "You changed this model"),
            ("stranger", "not in people.yaml"),
        ],
    )
    def test_neither_without_the_role_nor_who_built_it(self, office, propose, login, why):
        answer = propose(login)

        assert outcome(answer) == (403, "may_not_sign")
        assert why in answer.json()["message"] or "You trained this model" in answer.json()["message"]
        assert "break_glass" not in office.kinds()

    def test_the_answer_names_who_may_instead_in_an_emergency(self, office, propose, sign):
        assert propose("omar").json()["who_can"] == ["Maria Alvarez", "Tom Okafor", "Ines Marchetti"]
        assert sign("maria").json()["who_can"] == ["Tom Okafor", "Ines Marchetti"]

        office.actors = {"tom": ["cleared"]}
        assert sign("maria").json()["who_can"] == ["Ines Marchetti"]

    def test_nobody_may_where_the_tier_knows_no_emergency(self, office, propose, monkeypatch):
        forbids = replace(office.desk.policy("loan"), break_glass=None)
        monkeypatch.setattr(office.desk, "policy", lambda _: forbids)

        assert propose().json()["who_can"] == []

    def test_one_person_does_not_sign_twice(self, office, evidence, sign):
        assert outcome(sign("maria")) == (403, "may_not_sign")
        assert office.ledger.get(f"permit:{evidence}") is None

    @pytest.mark.parametrize("done", ["started", "cleared", "patched"])
    def test_who_touched_the_run(self, office, evidence, propose, done):
        office.actors = {"maria": [done]}

        assert outcome(propose()) == (403, "may_not_sign")

    def test_who_touched_the_run_after_signing_counts_no_more(self, office, evidence, sign):
        office.actors = {"maria": ["cleared"]}

        answer = sign()

        assert outcome(answer) == (409, "refused")
        assert "that signature is void" in answer.json()["message"]
        assert office.ledger.get(f"permit:{evidence}") is None

    def test_a_third_person_may_then_stand_in(self, office, evidence, sign):
        office.actors = {"maria": ["cleared"]}
        sign()

        assert sign("ines").status_code == 200
        signed = BreakGlass.from_dict(issued(office, evidence)["break_glass"]).signatures
        assert {one.decision["person"] for one in signed} == {TOM, INES}

    def test_a_role_that_one_does_not_hold(self, propose):
        assert outcome(propose(role="compliance")) == (403, "may_not_sign")

    def test_nobody_who_is_not_logged_in_or_was_tricked(self, as_login, evidence, proposed):
        body = {"evidence": evidence, "reason": REASON, "until": TODAY.isoformat()}
        assert as_login(None).post(f"{API}/break-glass", json=body, headers=OURS).status_code == 401
        foreign = {"Origin": "http://evil.test", "X-Governance": "page"}
        assert as_login("tom").post(f"{API}/break-glass", json=body, headers=foreign).status_code == 403
        url = f"{API}/break-glass/{proposed}/signatures"
        assert as_login("tom").post(url, json={}, headers=foreign).status_code == 403


class TestWhatIsRefused:
    @pytest.mark.parametrize("reason", ["", "  ", "urgent", "  a b  "])
    def test_without_a_reason(self, propose, reason):
        answer = propose(reason=reason)
        assert outcome(answer) == (422, "bad_input")
        assert "reason" in answer.json()["message"]

    @pytest.mark.parametrize("days", [-1, 4, 400])
    def test_an_end_in_the_past_or_too_far(self, propose, days):
        assert outcome(propose(until=(TODAY + timedelta(days=days)).isoformat())) == (422, "bad_input")
        assert propose(until=(TODAY + timedelta(days=3)).isoformat()).status_code == 200

    @pytest.mark.parametrize("until", ["", "monday", "2027-13-01"])
    def test_an_end_that_is_none(self, propose, until):
        assert outcome(propose(until=until)) == (422, "bad_input")

    def test_a_blocked_candidate(self, office, as_login):
        evidence = office.blocked_attempt()
        body = {"evidence": evidence, "reason": REASON, "until": TODAY.isoformat()}

        answer = as_login("maria").post(f"{API}/break-glass", json=body, headers=OURS)

        assert outcome(answer) == (409, "refused")
        assert "blocked already" in answer.json()["message"]

    def test_a_candidate_that_was_rejected_also_after_the_proposal(self, office, evidence, sign):
        office.sign("ines", "reject", "Not like this.")

        answer = sign()

        assert outcome(answer) == (409, "refused")
        assert office.ledger.get(f"permit:{evidence}") is None

    def test_a_candidate_whose_time_is_over(self, office, as_login):
        evidence = office.waiting_attempt(asked=timedelta(days=-8))
        body = {"evidence": evidence, "reason": REASON, "until": TODAY.isoformat()}
        assert outcome(as_login("maria").post(f"{API}/break-glass", json=body, headers=OURS)) == (409, "refused")

    def test_other_evidence_than_the_one_on_the_screen(self, propose):
        assert outcome(propose(evidence="0" * 64)) == (409, "refused")

    def test_a_second_proposal_of_one_person_while_the_first_is_open(self, office, propose, proposed):
        answer = propose(reason=f"{REASON} Once more.")

        assert outcome(answer) == (409, "refused")
        assert f"open already, until {TODAY:%d %b %Y}" in answer.json()["message"]
        assert len(office.ledger.find("break_glass")) == 1
        assert propose("tom").status_code == 200

    def test_a_new_one_may_be_made_when_the_first_is_over(self, office, evidence, propose, proposed, monkeypatch):
        from governance.review.break_glass_desk import BreakGlassDesk

        monkeypatch.setattr(BreakGlassDesk, "_status", lambda *_: "void")

        assert propose(reason=f"{REASON} Once more.").status_code == 200
        assert len(office.ledger.find("break_glass")) == 2

    def test_a_proposal_that_there_is_not(self, sign):
        assert outcome(sign(digest="0" * 64)) == (422, "bad_input")

    def test_where_the_policy_does_not_allow_it(self, office, propose, monkeypatch):
        forbids = replace(office.desk.policy("loan"), break_glass=None)
        monkeypatch.setattr(office.desk, "policy", lambda _: forbids)

        answer = propose()

        assert outcome(answer) == (403, "may_not_sign")
        assert "knows no break-glass release" in answer.json()["message"]


class TestWhenTheLedgerIsAway:
    def test_nothing_is_recorded_and_the_same_again_completes_it(self, office, evidence, sign, monkeypatch):
        from governance.errors import UnavailableError

        append = office.ledger.append

        def refuses_permits(kind, *arguments, **more):
            if kind == "permit":
                raise UnavailableError("The ledger does not answer.")
            return append(kind, *arguments, **more)

        monkeypatch.setattr(office.ledger, "append", refuses_permits)
        assert outcome(sign()) == (503, "unavailable")
        monkeypatch.setattr(office.ledger, "append", append)

        assert sign().json()["status"] == "in force"
        assert len(office.ledger.find("break_glass_signature")) == 2


class TestWhatItLeadsTo:
    def test_everyone_is_told_of_the_proposal_and_of_the_release(self, told, sign):
        assert told == [
            f"loan 1.0.0: Maria Alvarez proposes to release it without all signatures, until {TODAY:%d %b %Y}. "
            f"{REASON} 1 more must sign."
        ]

        sign()

        assert len(told) == 2
        assert told[1].startswith("loan 1.0.0 is released without all signatures, by break-glass until")

    def test_it_calls_people_out_for_its_incident_and_not_for_a_proposal(self, office, sign, monkeypatch):
        paged: list[tuple[str, str | None]] = []
        monkeypatch.setattr("governance_airflow.pager.page", lambda said, *_: paged.append((said.kind, said.incident)))

        sign()

        (one,) = incidents.of_model(office.ledger, "loan", office.desk.keys)
        assert paged == [("break_glass", one.id)]

    def test_it_opens_an_incident_once_which_neither_of_the_two_closes(self, office, as_login, sign):
        sign()
        sign()

        (one,) = incidents.of_model(office.ledger, "loan", office.desk.keys)
        assert (one.cause, one.reason, one.acted) == ("break_glass", REASON, (MARIA, TOM))
        url = f"/governance/api/models/loan/incidents/{one.id}/closing"
        body = {"review": "The champion was repaired, and this version was signed on Monday by everybody."}
        for login, status in {"maria": 403, "tom": 403, "dana": 403, "omar": 403, "ines": 200}.items():
            assert as_login(login).post(url, json=body, headers=OURS).status_code == status, login

    def test_its_timeline_tells_who_proposed_who_signed_and_that_it_is_permitted(self, office, as_login, sign):
        sign()

        (one,) = as_login("omar").get("/governance/api/models/loan/incidents").json()
        assert [event["what"] for event in one["timeline"]][:5] == [
            f"Maria Alvarez proposed to release 1.0.0 without all signatures. {REASON}",
            "Maria Alvarez signed for it.",
            "Told: loan 1.0.0: Maria Alvarez proposes to release it without all signatures, until "
            f"{TODAY:%d %b %Y}. {REASON} 1 more must sign.",
            "Tom Okafor signed for it.",
            "1.0.0 is permitted.",
        ]
        assert one["cause"] == "break_glass"

    def test_the_review_page_says_on_whose_word_it_is_permitted(self, as_login, sign):
        sign()

        page = as_login("omar").get(PAGE).text

        assert "Permitted without all signatures." in page
        assert "Break-glass by Maria Alvarez and Tom Okafor, until" in page
        assert "the permit is complete" not in page

    def test_the_page_of_incidents_and_the_inbox_show_it(self, as_login, sign):
        sign()

        assert "released without all signatures" in as_login("omar").get("/governance/incidents/loan").text
        assert "Review an incident" in as_login("ines").get(INBOX).text


class TestThePage:
    def test_who_may_finds_the_form_and_everybody_else_why_not(self, as_login, evidence):
        assert "Propose, and sign as the first" in as_login("maria").get(PAGE).text
        refused = as_login("omar").get(PAGE).text
        assert "Propose, and sign as the first" not in refused
        assert "Model risk or Compliance may release in an emergency" in refused

    def test_the_next_person_finds_a_button_and_a_row_in_the_inbox_and_the_first_does_not(self, as_login, proposed):
        assert "Sign: release it without all signatures" in as_login("tom").get(PAGE).text
        assert "Sign an emergency release" in as_login("tom").get(INBOX).text
        first = as_login("maria").get(PAGE).text
        assert "Sign: release it without all signatures" not in first
        assert "another person must be the next" in first
        assert "Sign an emergency release" not in as_login("maria").get(INBOX).text

    def test_what_people_wrote_is_escaped(self, as_login, propose):
        propose(reason="<script>alert(1)</script> and twenty characters")

        page = as_login("tom").get(PAGE).text
        assert "<script>alert(1)" not in page
        assert "&lt;script&gt;alert(1)" in page

    def test_a_tier_without_it_shows_nothing_of_it(self, office, as_login, evidence, monkeypatch):
        forbids = replace(office.desk.policy("loan"), break_glass=None)
        monkeypatch.setattr(office.desk, "policy", lambda _: forbids)

        assert "Break-glass" not in as_login("maria").get(PAGE).text
