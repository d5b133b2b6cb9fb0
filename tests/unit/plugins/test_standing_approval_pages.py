"""Standing approvals on their page and by the API: who proposes and signs, and what the pipeline gets under one."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from governance.errors import RefusedError, UnavailableError
from governance.keys import PublicKeys, Signer
from governance.records import Measurement
from governance.review import asking, permit, standing_approval
from governance.review.evidence import digest_of
from governance.review.permit import Bundle
from governance.review.standing_approval_desk import StandingApprovalDesk
from governance.review.waiting import answer_of_role
from tests.unit.review import signed_world
from tests.unit.review.signed_world import CODE, FACTS, GOOD, MODEL, SAM, World

API = "/governance/api/models/card/standing-approvals"
ASK = "/governance/api/requests/card/{}/standing-approval"
PAGE = "/governance/standing-approvals/card"
OURS = {"Origin": "http://airflow.test", "X-Governance": "page"}
REASON = "The code is unchanged and nobody's opportunities depend on it: newer data alone need no reader."
TODAY = datetime.now(UTC).date()
ALLOWS = (
    "standing_approvals: {longest_days: 90, most_releases: 2, margins: {performance.accuracy_change: 0.02, "
    "performance.roc_auc_change: 0.02}}\n"
)
TIER = signed_world.TIER.replace("tier: high", "tier: low").replace("alternatives:", f"{ALLOWS}alternatives:")
SPEC = signed_world.SPEC.replace("tier: high", "tier: low")
POLICY = signed_world.POLICY.replace("extends: high", "extends: low")
PEOPLE = signed_world.PEOPLE.replace("Olga Owner, roles: []", "Olga Owner, roles: [compliance]")
FILES = {
    f"models/{MODEL}/model.yaml": SPEC,
    f"models/{MODEL}/policy.yaml": POLICY,
    f"models/{MODEL}/contract.json": "{}",
    "policies/low.yaml": TIER,
    "people.yaml": PEOPLE,
}


class Card:
    """A low-tier model on the desk: what serves, which people signed, and what is trained again."""

    def __init__(self, office: Any, key: Ed25519PrivateKey, pipeline: Signer) -> None:
        self.office, self.ledger, self.desk = office, office.ledger, office.desk
        self.world, self.pipeline = World(tier=TIER, own=POLICY, spec_text=SPEC, people_text=PEOPLE, key=key), pipeline
        self.served: dict[str, str] | None = None

    def judged(self, version: str, number: int, lower: float = -0.01, **facts: Any) -> dict[str, Any]:
        """Enter the evidence of a version, compared with what serves."""
        changes = [
            Measurement("performance.accuracy_change", 0.0, 1000, low=lower, high=0.01, method="agresti-min"),
            Measurement("performance.roc_auc_change", 0.0, 1000, low=-0.01, high=0.01, method="delong"),
        ]
        request = {"reason": "Drift", "bump": "minor", "parameters": {}, "source": None}
        more = {"version": version, "registry_version": number, "request": request, "champion": self.served, **facts}
        document = self.world.evidence((*GOOD, *changes), replace(FACTS, **more))
        digest, now = digest_of(document), datetime.now(UTC)
        run = f"run-{version}"
        self.ledger.append("run", MODEL, {"run_id": run}, actor=SAM, key=f"run:{MODEL}:{run}")
        ends = (now + timedelta(days=7)).isoformat()
        data = {"digest": digest, "evidence": document, "run_id": run, "expires_at": ends}
        self.ledger.append("evidence", MODEL, data, actor="pipeline", key=f"evidence:{digest}")
        return document

    def signed(self, document: dict[str, Any]) -> None:
        """Enter a permit that people signed over the evidence itself."""
        now, digest = datetime.now(UTC), digest_of(document)
        signed = self.world.approved(document)
        issued = permit.issue(document, signed, {}, self.world.policy, self.world.people, self.world.signer, now)
        self.ledger.append("permit", MODEL, issued, actor=signed[-1].decision["person"], key=f"permit:{digest}")

    def released(self, document: dict[str, Any]) -> None:
        """Enter that a version serves."""
        digest, version = digest_of(document), document["model"]["version"]
        data = {
            "version": version,
            "evidence": digest,
            "previous": self.served,
            "permit_expires_at": "2099-01-01T00:00Z",
        }
        self.ledger.append("release", MODEL, data, actor="pipeline", key=f"release:{digest}:{len(self.ledger.entries)}")
        self.served = {"version": version, "evidence": digest}

    def first_release(self) -> None:
        first = self.judged("1.0.0", 1)
        self.signed(first)
        self.released(first)

    def bundle(self, document: dict[str, Any]) -> Bundle:
        return self.world.bundle(document, self.ledger.get(f"permit:{digest_of(document)}").data)


@pytest.fixture
def card(office, keys, tmp_path, monkeypatch) -> Card:
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    at = {"models": tmp_path / "models", "policies": tmp_path / "policies", "people": tmp_path / "people.yaml"}
    monkeypatch.setattr("governance.review.desk.code_state", lambda *_, **__: CODE)
    private = load_pem_private_key(keys[0].read_bytes(), None)
    pipeline = Signer(asking.KEY, Ed25519PrivateKey.generate())
    office.desk.settings = replace(office.desk.settings, **at)
    office.desk.keys = PublicKeys({**office.desk.keys.keys, asking.KEY: pipeline._key.public_key()})
    made = Card(office, private, pipeline)
    made.first_release()
    return made


@pytest.fixture
def propose(as_login, card) -> Callable:
    def send(login: str = "olga", **changes: Any):
        body = {"releases": 2, "reason": REASON, "until": (TODAY + timedelta(days=60)).isoformat(), **changes}
        return as_login(login).post(API, json=body, headers=OURS)

    return send


@pytest.fixture
def proposed(propose) -> str:
    answer = propose()
    assert answer.status_code == 200, answer.text
    return answer.json()["digest"]


@pytest.fixture
def sign(as_login, proposed) -> Callable:
    def send(login: str, answer: str = "approve", digest: str = "", **body: Any):
        path = f"{API}/{digest or proposed}/signatures"
        return as_login(login).post(path, json={"answer": answer, **body}, headers=OURS)

    return send


@pytest.fixture
def in_force(sign) -> None:
    for login in ("maria", "tom"):
        answer = sign(login)
        assert answer.status_code == 200, answer.text
    assert answer.json()["status"] == "in force"


@pytest.fixture
def ask(as_login, card) -> Callable:
    """Ask as the pipeline does: logged in as nobody, with the signature of its key."""

    def send(document: dict[str, Any], signer: Signer | None = None, **changes: Any):
        version, digest = document["model"]["version"], digest_of(document)
        question = {"model": MODEL, "version": version, "evidence": digest}
        signature = (signer or card.pipeline).sign(question, asking.PURPOSE)
        return as_login(None).post(ASK.format(version), json={"evidence": digest, "signature": signature, **changes})

    return send


def refusal(answer) -> tuple[int, str]:
    return answer.status_code, answer.json()["message"]


class TestUnderOne:
    def test_the_pipeline_gets_a_permit_that_its_verifier_believes(self, card, in_force, ask):
        again = card.judged("1.1.0", 2)

        answer = ask(again)

        assert answer.status_code == 200, answer.text
        assert "Standing approval by Maria Alvarez and Tom Okafor after 1.0.0" in answer.json()["sentence"]
        found = permit.verify(card.bundle(again), card.desk.keys, "production", datetime.now(UTC))
        assert (found.version, found.standing.number, found.decisions) == ("1.1.0", 1, [])
        assert card.ledger.get(f"permit:{digest_of(again)}").actor == "standing_approval"

    def test_the_run_waits_for_no_role_any_more(self, card, keys, in_force, ask):
        again, settings = card.judged("1.1.0", 2), replace(card.desk.settings, public_keys=keys[1])
        entry = card.ledger.find("evidence", MODEL)[-1]
        assert answer_of_role(settings, card.ledger, entry, "compliance").status == "pending"

        ask(again)

        answer = answer_of_role(settings, card.ledger, entry, "compliance")
        assert (answer.status, "Standing approval by" in answer.sentence) == ("approved", True)

    def test_asked_again_it_is_the_same_permit_and_the_same_use(self, card, in_force, ask):
        again = card.judged("1.1.0", 2)

        first, second = ask(again), ask(again)

        assert first.json() == second.json()
        assert len(card.ledger.find("standing_approval_use")) == 1

    def test_a_use_that_was_claimed_before_the_process_died_is_this_evidence_s_still(
        self, card, in_force, ask, monkeypatch
    ):
        again = card.judged("1.1.0", 2)
        with monkeypatch.context() as dies:
            dies.setattr(permit, "issue", lambda *_, **__: (_ for _ in ()).throw(UnavailableError("gone")))
            assert ask(again).status_code == 503

        assert ask(again).status_code == 200
        assert [one.data["number"] for one in card.ledger.find("standing_approval_use")] == [1]

    def test_one_version_after_the_other_until_it_is_used_up(self, card, in_force, ask):
        for number, version in ((2, "1.1.0"), (3, "1.2.0")):
            again = card.judged(version, number)
            assert ask(again).status_code == 200, version
            card.released(again)

        status, said = refusal(ask(card.judged("1.3.0", 4)))

        assert (status, "none is in force" in said) == (409, True)
        (one,) = StandingApprovalDesk(card.desk).views(MODEL, "omar")
        assert (one.status, list(one.used)) == ("used up", ["1.1.0", "1.2.0"])

    def test_two_at_once_cannot_have_the_same_use(self, card, in_force, ask):
        one, other = card.judged("1.1.0", 2), card.judged("1.2.0", 3)

        assert (ask(one).status_code, ask(other).status_code) == (200, 200)
        assert [each.data["number"] for each in card.ledger.find("standing_approval_use")] == [1, 2]


class TestWhatPeopleSign:
    def test_one_worse_than_the_margin(self, card, in_force, ask):
        status, said = refusal(ask(card.judged("1.1.0", 2, lower=-0.03)))

        assert status == 409
        assert said.startswith("No standing approval covers card 1.1.0, so people sign: its accuracy may be 0.03 worse")
        assert card.ledger.find("standing_approval_use") == []
        assert card.desk.request(MODEL, "1.1.0").status == "pending"

    def test_everything_where_none_was_signed(self, card, proposed, ask):
        assert refusal(ask(card.judged("1.1.0", 2)))[1].endswith("people sign: none is in force.")

    def test_what_was_compared_with_another_version_than_serves_now(self, card, in_force, ask):
        compared_before = card.judged("1.1.0", 2)
        other = card.judged("1.2.0", 3)
        ask(other)
        card.released(other)

        assert "another version serves now" in refusal(ask(compared_before))[1]

    def test_what_follows_a_version_that_people_signed_since(self, card, in_force, ask):
        second = card.judged("2.0.0", 2)
        card.signed(second)
        card.released(second)

        assert "2.0.0 serves, which is neither 1.0.0 nor came from it" in refusal(ask(card.judged("2.1.0", 3)))[1]

    def test_everything_while_an_incident_is_open(self, card, in_force, ask, monkeypatch):
        monkeypatch.setattr("governance.review.incidents.open_by_model", lambda *_: {MODEL: 1})

        assert "an incident of the model is open" in refusal(ask(card.judged("1.1.0", 2)))[1]

    def test_everything_after_the_permit_of_the_baseline_was_revoked(self, card, in_force, ask):
        data = {"evidence": card.served["evidence"]}
        card.ledger.append("revocation", MODEL, data, actor="p-00f2", key="revocation:1")

        assert "the permit of 1.0.0 was revoked" in refusal(ask(card.judged("1.1.0", 2)))[1]

    @pytest.mark.parametrize("login", ["ines", "tom", "ada"])
    def test_everything_after_one_reject_whoever_it_is_from(self, card, in_force, sign, ask, login):
        assert sign(login, "reject").json()["status"] == "rejected"

        assert "none is in force" in refusal(ask(card.judged("1.1.0", 2)))[1]

    def test_a_run_that_somebody_cleared_who_signed_in_advance(self, card, in_force, ask):
        card.office.actors = {"tom": ["cleared"]}

        assert "somebody who signed it is involved in this version" in refusal(ask(card.judged("1.1.0", 2)))[1]

    def test_code_whose_author_by_the_history_of_the_server_signed_in_advance(self, card, in_force, ask, monkeypatch):
        author = replace(CODE.authors[0], email="maria@bank.example")
        monkeypatch.setattr("governance.review.desk.code_state", lambda *_, **__: replace(CODE, authors=(author,)))

        assert "somebody who signed it is involved" in refusal(ask(card.judged("1.1.0", 2)))[1]

    def test_everything_once_the_policy_changed(self, card, in_force, ask):
        again = card.judged("1.1.0", 2)
        path = card.desk.settings.policies / "low.yaml"
        path.write_text(path.read_text().replace("at_least: 0.8", "at_least: 0.81"))

        assert "the policy changed" in refusal(ask(again))[1]
        assert StandingApprovalDesk(card.desk).views(MODEL, "omar")[0].status == "void"

    def test_an_evidence_that_is_not_the_last_one(self, card, in_force, ask):
        again = card.judged("1.1.0", 2)
        card.judged("1.1.0", 3)

        assert "the evidence changed" in refusal(ask(again))[1]

    def test_a_candidate_that_somebody_rejected(self, card, in_force, ask):
        again = card.judged("1.1.0", 2)
        reject = card.world.decision(again, signed_world.INES, "compliance", "reject")
        card.ledger.append("decision", MODEL, reject.to_dict(), actor=signed_world.INES, key="decision:1")

        assert "is denied already" in refusal(ask(again))[1]


class TestWhoMayAsk:
    def test_not_without_the_signature_of_the_pipeline(self, card, in_force, ask):
        again = card.judged("1.1.0", 2)
        stranger = Signer(asking.KEY, Ed25519PrivateKey.generate())

        for answer in (ask(again, stranger), ask(again, signature="A" * 88), ask(again, signature="")):
            assert refusal(answer) == (403, "Only the pipeline asks for this, with the signature of its key.")
        assert card.ledger.find("permit", MODEL)[1:] == []

    def test_not_with_a_signature_of_another_question(self, card, in_force, ask):
        other, again = card.judged("1.1.0", 2), card.judged("1.2.0", 3)
        question = {"model": MODEL, "version": "1.1.0", "evidence": digest_of(other)}

        answer = ask(again, signature=card.pipeline.sign(question, asking.PURPOSE))

        assert answer.status_code == 403

    def test_a_signature_of_model_files_is_no_question(self, card, in_force, ask):
        again = card.judged("1.1.0", 2)
        question = {"model": MODEL, "version": "1.1.0", "evidence": digest_of(again)}

        assert ask(again, signature=card.pipeline.sign(question, "artifact")).status_code == 403

    def test_what_is_no_digest_is_bad_input(self, card, in_force, ask):
        assert ask(card.judged("1.1.0", 2), evidence="x").status_code == 422

    def test_the_step_asks_with_its_key_and_hears_on_whose_word(self, card, in_force, as_login, monkeypatch):
        again, client = card.judged("1.1.0", 2), as_login(None)
        monkeypatch.setattr("httpx.post", lambda url, json, timeout: client.post(url, json=json))

        said = asking.for_standing_approval("http://airflow.test/", card.pipeline, MODEL, "1.1.0", digest_of(again))

        assert said.startswith("Standing approval by Maria Alvarez and Tom Okafor")
        worse = card.judged("1.2.0", 3, lower=-0.5)
        with pytest.raises(RefusedError, match="so people sign: its accuracy may be 0"):
            asking.for_standing_approval("http://airflow.test", card.pipeline, MODEL, "1.2.0", digest_of(worse))
        card.ledger.away = True
        with pytest.raises(UnavailableError, match="clear this task"):
            asking.for_standing_approval("http://airflow.test", card.pipeline, MODEL, "1.2.0", digest_of(worse))

    def test_nobody_answers_there(self, card):
        with pytest.raises(UnavailableError, match="GOVERNANCE_AIRFLOW_URL"):
            asking.for_standing_approval("http://127.0.0.1:9", card.pipeline, MODEL, "1.1.0", "0" * 64)


class TestProposing:
    def test_it_is_about_what_serves_and_waits_for_both_roles(self, card, propose):
        made = propose(margins={"performance.accuracy_change": 0.005}).json()

        assert (made["status"], made["baseline"], made["missing"]) == (
            "open",
            "1.0.0",
            {"Model risk": 1, "Compliance": 1},
        )
        assert made["margins"] == {"performance.accuracy_change": 0.005, "performance.roc_auc_change": 0.02}

    @pytest.mark.parametrize(
        ("changes", "said"),
        [
            ({"releases": 3}, "Expected 1 to 2 versions"),
            ({"releases": 0}, "Expected 1 to 2 versions"),
            ({"reason": "newer data"}, "Expected a reason of 20 to"),
            ({"until": (TODAY + timedelta(days=91)).isoformat()}, "Expected a last day from"),
            ({"until": "soon"}, "Expected a last day such as"),
            (
                {"margins": {"performance.accuracy_change": 0.03}},
                "Expected a margin of performance.accuracy_change from 0",
            ),
            ({"margins": {"performance.mae_change": 1}}, "Expected a margin of performance.accuracy_change, perf"),
            ({"margins": {"performance.accuracy_change": -1}}, "found -1"),
        ],
    )
    def test_what_cannot_be_used_is_said(self, propose, changes, said):
        status, message = refusal(propose(**changes))
        assert (status, said in message) == (422, True), message

    def test_a_margin_that_is_no_number_or_not_finite(self, card, propose):
        for wrong in ("NaN", "Infinity", "much"):
            assert propose(margins={"performance.accuracy_change": wrong}).status_code == 422
        assert card.ledger.find(standing_approval.PROPOSED) == []

    def test_not_by_who_holds_no_role(self, propose):
        assert refusal(propose("stranger"))[0] == 403

    def test_a_developer_may_propose_and_never_sign(self, propose, as_login):
        made = propose("dana").json()

        answer = as_login("dana").post(f"{API}/{made['digest']}/signatures", json={"answer": "approve"}, headers=OURS)

        assert (answer.status_code, "You proposed this" in answer.json()["message"]) == (403, True)

    def test_one_at_a_time(self, propose, proposed):
        assert "One waits for signatures already" in refusal(propose())[1]

    def test_not_where_nothing_serves(self, card, propose):
        card.ledger.append("stop", MODEL, {"evidence": "x", "reason": "A test"}, actor="x", key="stop:1")

        assert "Nothing serves" in refusal(propose())[1]

    def test_not_over_a_version_that_nobody_read(self, card, in_force, ask, propose):
        again = card.judged("1.1.0", 2)
        ask(again)
        card.released(again)

        assert "Nobody read the evidence of 1.1.0" in refusal(propose())[1]

    def test_not_where_the_tier_knows_none(self, propose, card):
        path = card.desk.settings.policies / "low.yaml"
        path.write_text(TIER.replace(ALLOWS, ""))

        assert "Tier low knows no standing approval of card" in refusal(propose())[1]

    def test_not_from_another_site(self, as_login, card):
        body = {"releases": 1, "reason": REASON, "until": TODAY.isoformat()}
        answer = as_login("olga").post(API, json=body, headers={**OURS, "Origin": "http://evil.test"})
        assert answer.status_code == 403


class TestSigning:
    @pytest.mark.parametrize(
        ("login", "why"),
        [
            ("olga", "You proposed this"),
            ("dana", "You trained this model"),
            ("ada", "You changed this model's folder"),
            ("stranger", "not in people.yaml"),
        ],
    )
    def test_who_may_not(self, sign, login, why):
        status, said = refusal(sign(login))
        assert (status, why in said) == (403, True), said

    def test_nobody_twice(self, sign):
        assert sign("maria").json()["missing"] == {"Compliance": 1}
        assert "You have answered already" in refusal(sign("maria"))[1]

    def test_who_holds_both_roles_says_in_which(self, sign):
        assert "Say in which role" in refusal(sign("bea"))[1]
        assert sign("bea", role="compliance").json()["missing"] == {"Model risk": 1}
        assert refusal(sign("bea", role="model_risk"))[0] == 403

    def test_nothing_more_once_it_was_rejected(self, sign):
        sign("ines", "reject")

        assert "Not signed: this is rejected" in refusal(sign("maria"))[1]

    def test_one_that_is_not_there(self, sign):
        assert "found none" in refusal(sign("maria", digest="0" * 64))[1]


class TestThePage:
    def test_it_says_what_is_signed_and_offers_what_one_may(self, as_login, proposed):
        mine, proposers = as_login("maria").get(PAGE).text, as_login("olga").get(PAGE).text

        assert "1.0.0 trained again" in mine
        assert "At worst, over 2 versions: accuracy 0.04 and ROC AUC 0.04." in mine
        assert 'data-send="answer=approve"' in mine
        assert 'data-send="answer=approve"' not in proposers
        assert "You proposed this: others sign it." in proposers

    def test_it_waits_in_the_inbox_of_who_may_sign(self, as_login, proposed):
        assert f"{PAGE}#s-{proposed[:12]}" in as_login("maria").get("/governance/inbox").text
        assert f"{PAGE}#s-" not in as_login("dana").get("/governance/inbox").text
        assert as_login("maria").get("/governance/api/waiting").json() == {"waiting": 1}

    def test_the_review_page_of_what_it_let_through_says_that_nobody_read_it(self, card, as_login, in_force, ask):
        again = card.judged("1.1.0", 2)
        ask(again)

        page = as_login("maria").get("/governance/review/card/1.1.0").text

        assert "Permitted in advance: nobody signed this evidence." in page
        assert "Standing approval by Maria Alvarez and Tom Okafor" in page

    def test_a_model_without_one_says_that_people_sign(self, as_login, card):
        assert "people sign each version" in as_login("omar").get(PAGE).text

    def test_a_link_to_it_inside_airflow_leads_there(self, as_login):
        answer = as_login("maria").get("/standing-approvals/card")
        assert (answer.status_code, answer.headers["location"]) == (307, PAGE)
