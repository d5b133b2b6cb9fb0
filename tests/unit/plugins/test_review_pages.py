"""The pages: every state a person can meet, in words, and nothing in them that the evidence could inject."""

import html
import re
from datetime import timedelta

import pytest

from governance.review.evidence import digest_of
from tests.unit.plugins import example, stand_in

PAGE = "/governance/review/loan/1.0.0"


def shown(answer) -> str:
    """Return the words of a page, without tags, as one line."""
    text = re.sub(r"<(script|style|title)\b.*?</\1>", " ", answer.text, flags=re.DOTALL)
    text = re.sub(r"</?(b|strong|code|a)\b[^>]*>", "", text)
    return html.unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", text)))


@pytest.fixture
def page(office, as_login):
    """Return the words of the page as somebody sees it."""
    return lambda login="tom", path=PAGE: shown(as_login(login).get(path))


def test_the_page_answers_what_a_reviewer_asks_first(office, page):
    office.waiting_attempt()
    office.sign("maria")

    text = page()

    for words in (
        "Recommends approve or deny on a mortgage application.",
        "High tier",
        "Mortgage lending",
        "Priya Raman",
        "Dana Whitfield, Luis Prado",
        "started by Ken Ito",
        "Passes, with 3 warnings.",
        "1 of 2 signed: Compliance is missing.",
        "parity difference 0.203 → 0.088, for accuracy 0.924 → 0.892 and denied applicants approved 46 % → 81 %.",
        "Parity difference race 1,989 0.088 0.054 – 0.144 ≤ 0.10 · warn > 0.05",
        "69 alternatives on record, 17 within every rule; of those that rank applicants as well as the best, "
        "the one that changes the model least was chosen.",
        "You may sign. So may Ines Marchetti.",
        "Credit history meets guidelines",
    ):
        assert words in text, words


@pytest.mark.parametrize(
    ("login", "words"),
    [
        ("dana", "You trained this model: you may not sign it."),
        ("ken", "You started this run: you may not sign it."),
        ("omar", "Model risk and Compliance sign this: you hold neither role."),
        ("nobody", "You are not in people.yaml: you may read, not sign."),
    ],
)
def test_who_may_not_sign_reads_why_and_finds_no_button(office, as_login, login, words):
    office.waiting_attempt()
    answer = as_login(login).get(PAGE)

    assert words in shown(answer)
    assert "Maria Alvarez may sign." in shown(answer)
    assert 'id="approve"' not in answer.text


def test_who_cleared_the_run_finds_no_button(office, as_login):
    office.waiting_attempt()
    office.actors["tom"] = ["cleared"]
    answer = as_login("tom").get(PAGE)

    assert "You cleared this run: you may not sign it." in shown(answer)
    assert 'id="approve"' not in answer.text


def test_a_complete_permit_says_what_happens_next(office, page):
    office.waiting_attempt()
    office.sign("maria")
    office.sign("tom")

    text = page()

    assert "2 of 2 signed: the permit is complete." in text
    assert "Release has started; it checks every digest again before 1.0.0 serves." in text


def test_who_has_signed_sees_whom_it_waits_for(office, page):
    office.waiting_attempt()
    office.sign("maria")

    assert "You approved as Model risk" in page("maria")
    assert "Waits for Compliance." in page("maria")


def test_a_reject_shows_who_and_why(office, page):
    office.waiting_attempt()
    office.sign("tom", "reject", "The cost is not shown for joint applications.")

    text = page("maria")

    assert "Rejected by Tom Okafor as Compliance" in text
    assert "The cost is not shown for joint applications." in text


def test_an_expired_request_ended_without_release(office, page):
    office.waiting_attempt(asked=timedelta(days=-8), lasts=timedelta(days=7))

    assert "Ended without release on" in page()
    assert "0 of 2 signed in time." in page()


def test_a_blocked_candidate_has_nothing_to_sign(office, as_login):
    office.blocked_attempt()
    answer = as_login("tom").get(PAGE)

    assert "Blocked: parity difference by race 0.203 is above 0.10" in shown(answer)
    assert "Nothing to sign" in shown(answer)
    assert 'id="approve"' not in answer.text


def test_a_search_that_found_nothing_is_shown_on_the_blocked_candidate(office, as_login):
    office.blocked_attempt()
    tried = [{**one, "chosen": False} for one in example.evidence()["alternatives"]["tried"]]
    run_id = office.desk.request("loan", "1.0.0").run_id
    data = {"run_id": run_id, "attempt": 1, "tried": tried}
    office.ledger.append("alternatives", "loan", data, actor="p-9a47", key="alternatives")

    answer = as_login("tom").get(PAGE)

    assert "None passes every rule." in shown(answer)
    assert "Accuracy against parity difference of 69 alternatives. None passes every rule." in answer.text


def test_the_blocked_attempt_leads_to_the_one_that_replaced_it(office, as_login):
    office.waiting_attempt()
    answer = as_login("tom").get(f"{PAGE}?attempt=1")

    assert "This attempt is blocked." in shown(answer)
    assert f'<a href="{PAGE}">Open attempt 2</a>' in answer.text


def test_a_changed_policy_closes_the_request(office, page, monkeypatch):
    office.waiting_attempt()
    monkeypatch.setattr(office.desk, "_outdated", lambda *_: "the policy changed since this evidence was written.")

    assert "Not open to sign: the policy changed since this evidence was written." in page()


def test_without_the_ledger_the_page_says_what_is_safe(office, as_login):
    office.ledger.away = True
    answer = as_login("tom").get(PAGE)

    assert answer.status_code == 503
    assert "The ledger does not answer." in shown(answer)
    assert "Try again" in shown(answer)


def test_an_unknown_version_says_what_to_run(as_login):
    answer = as_login("tom").get("/governance/review/loan/9.9.9")

    assert answer.status_code == 404
    assert "Run govern_loan." in shown(answer)


def test_the_inbox_shows_what_waits_for_me(office, page):
    office.waiting_attempt()
    office.sign("maria")

    text = page("tom", "/governance/inbox")

    assert "Sign as Compliance loan 1.0.0" in text
    assert "3 warnings, attempt 2 1 of 2 signed; Model risk has" in text
    assert "waits to be signed loan Mortgage lending · monitoring High none none" in text


def test_the_inbox_says_what_waits_for_others_and_why_not_for_me(office, page):
    office.waiting_attempt()

    assert "Nothing waits for you. loan 1.0.0 waits for Model risk and Compliance. You trained this model" in page(
        "dana", "/governance/inbox"
    )
    office.sign("maria")
    assert "loan 1.0.0 waits for Compliance. You have signed." in page("maria", "/governance/inbox")


def test_a_model_that_never_ran_is_listed_as_such(page):
    assert "not judged yet loan Mortgage lending · monitoring High none none none yet" in page(
        "tom", "/governance/inbox"
    )


def hostile(document: dict) -> dict:
    """Put markup into every text of an evidence document that people or data can influence."""
    evil = "<img src=x onerror=alert(1)>\"'</script><script>alert(2)</script>"
    document["model"]["title"] = evil
    document["request"]["reason"] = evil
    for name in ("purpose", "limitations", "assumptions"):
        document["spec"][name] = evil
    document["spec"]["target"]["known_bias"] = evil
    document["spec"]["owner"]["team"] = evil
    document["spec"]["features"]["gdlin"] = evil
    for rule in document["verdict"]["rules"]:
        rule["title"], rule["reason"] = evil, evil
    for measured in document["measurements"]:
        if measured.get("slice", {}).get("race") == "Black":
            measured["slice"]["race"] = evil
    for item in (document.get("alternatives") or {}).get("tried", []):
        item["label"] = evil
    return document


def test_nothing_in_the_evidence_becomes_markup(office, as_login):
    document = hostile(example.evidence())
    document["replaces"] = None
    stand_in.ask(office.ledger, document, digest_of(document))
    client = as_login("tom")

    for path in (PAGE, "/governance/inbox"):
        text = client.get(path).text
        assert "<img" not in text
        assert "<script>" not in text
        assert "&lt;img src=x onerror" in text


def test_a_comment_is_text(office, as_login):
    office.waiting_attempt()
    office.sign("tom", "reject", "<script>alert(1)</script>")

    assert "<script>alert" not in as_login("maria").get(PAGE).text


@pytest.mark.parametrize("login", ["tom", "dana", "omar", None])
def test_no_page_has_a_script_or_style_outside_the_policy(office, as_login, login):
    office.waiting_attempt()
    for path in (PAGE, f"{PAGE}?attempt=1", "/governance/inbox"):
        text = as_login(login).get(path).text
        tags = " ".join(re.findall(r"<[a-z][^>]*>", text))
        assert not re.search(r"\son[a-z]+\s*=", tags)
        assert not re.search(r"\sstyle\s*=", tags)
        assert not re.search(r"(src|href)\s*=\s*[\"']?(https?:)?//(?!mlflow\.test|www\.w3\.org)", tags)


def test_the_links_lead_into_airflow_and_mlflow(office, as_login):
    office.waiting_attempt()
    text = as_login("tom").get(PAGE).text

    run = "/dags/govern_loan/runs/manual__2026-10-29T09%3A08%3A00%2B00%3A00"
    assert f'<a href="{run}" data-airflow="{run}">govern_loan</a>' in text
    assert 'data-open="http://mlflow.test:5000/#/models/loan/versions/2"' in text


def test_every_file_that_the_pages_name_is_served(as_login):
    client = as_login("tom")
    named = set(re.findall(r'(?:href|src)="(/governance/static/[^"?]+)', client.get("/governance/inbox").text))

    assert len(named) == 2
    assert all(client.get(path).status_code == 200 for path in named)


def test_each_input_has_a_label_and_each_id_is_used_once(office, as_login):
    office.waiting_attempt()
    text = as_login("tom").get(PAGE).text
    ids = re.findall(r'\sid="([^"]+)"', text)
    labelled = set(re.findall(r'<label[^>]*\sfor="([^"]+)"', text))
    inputs = set(re.findall(r'<(?:textarea|select)[^>]*\sid="([^"]+)"', text))

    assert len(ids) == len(set(ids))
    assert inputs <= labelled
