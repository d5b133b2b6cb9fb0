"""Nobody reaches a route without Airflow's login, and nobody is tricked into a decision."""

from collections.abc import Iterator

import pytest
from fastapi import APIRouter, FastAPI

from governance_airflow.web import security
from governance_airflow.web.app import create_app

BODY = {"evidence": "0" * 64, "confirmed": [], "comment": ""}
ASKED = "/api/requests/{model}/{version}/standing-approval"
APPROVE = "/governance/api/requests/loan/1.0.0/approve"
OURS = {"Origin": "http://airflow.test", "X-Governance": "page"}


def flattened(dependant) -> Iterator:
    yield dependant.call
    for part in dependant.dependencies:
        yield from flattened(part)


def holes(app: FastAPI) -> list[str]:
    """Return every route that answers without a login: anything but a guarded API route is one.

    The metrics have a guard of their own, which lets in whom the other one does, and Prometheus; what the pipeline asks
    for, one that lets in nobody but who has its key.
    """
    own = {"/metrics": security.scraper, ASKED: security.pipeline}
    found = []
    for route in app.routes:
        dependant = getattr(route, "dependant", None)
        guard = own.get(getattr(route, "path", ""), security.reader)
        if dependant is None or guard not in set(flattened(dependant)):
            found.append(getattr(route, "path", repr(route)))
    return found


def test_every_route_asks_for_a_login(office):
    assert holes(office.app) == []
    assert len(office.app.routes) >= 9


def test_the_walk_finds_every_kind_of_hole(office):
    async def anybody() -> str:
        return "open"

    app, inner = create_app(office.app.state.services), APIRouter()
    inner.add_api_route("/inner", anybody)
    app.include_router(inner, prefix="/deep")
    app.add_api_route("/plain", anybody)
    app.add_route("/raw", lambda request: None)
    app.mount("/sub", FastAPI())

    assert len(holes(app)) == 4


def test_every_route_that_changes_something_asks_whether_it_is_meant(office):
    changing = [route for route in office.app.routes if set(route.methods) & {"POST", "PUT", "PATCH", "DELETE"}]
    guarded = [route for route in changing if security.same_site in set(flattened(route.dependant))]

    assert len(changing) == 13
    assert [route.path for route in changing if route not in guarded] == [ASKED]


@pytest.mark.parametrize(
    "path",
    [
        "inbox",
        "review/loan/1.0.0",
        "static/governance.css",
        "static/icon.svg",
        "api/requests",
        "api/openapi.json",
        "waivers/loan",
        "api/models/loan/waivers",
        "api/models/loan/findings",
    ],
)
def test_nobody_sees_anything_without_a_login(as_login, path):
    answer = as_login(None).get(f"/governance/{path}")

    assert answer.status_code == 401
    assert "Mortgage" not in answer.text


@pytest.mark.parametrize("path", ["docs", "redoc", "openapi.json", "api/docs", "static/../app.py", "static/app.py"])
def test_there_are_no_other_doors(as_login, path):
    assert as_login("tom").get(f"/governance/{path}").status_code == 404


def test_an_anonymous_page_says_where_to_log_in_and_needs_no_guarded_file(as_login):
    answer = as_login(None).get("/governance/inbox")

    assert "Log in at Airflow" in answer.text
    assert "<style nonce=" in answer.text
    assert "/static/" not in answer.text


def test_a_forged_token_is_refused(as_login):
    client = as_login(None)

    assert client.get("/governance/api/requests", headers={"Authorization": "Bearer forged"}).status_code == 403


def test_who_may_not_see_plugin_pages_in_airflow_sees_none_here(as_login):
    answer = as_login("outsider").get("/governance/api/requests")

    assert (answer.status_code, answer.json()["error"]) == (403, "no_access")


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Governance": "page"},
        {"X-Governance": "page", "Origin": "null"},
        {"X-Governance": "page", "Origin": "http://evil.test"},
        {"X-Governance": "page", "Origin": "https://airflow.test"},
        {"X-Governance": "page", "Origin": "http://airflow.test.evil.test"},
        {"X-Governance": "page", "Origin": "http://airflow.test:81"},
        {"Origin": "http://airflow.test"},
        {"Origin": "http://airflow.test", "X-Governance": ""},
        {"X-Governance": "page", "Authorization": "Basic dG9tOnRvbQ=="},
        {"X-Governance": "page", "Authorization": "Bearer "},
    ],
)
def test_a_cookie_decides_nothing_from_elsewhere(office, as_login, headers):
    digest = office.waiting_attempt()
    answer = as_login("tom").post(APPROVE, json={**BODY, "evidence": digest}, headers=headers)

    assert (answer.status_code, answer.json()["error"]) == (403, "cross_site")
    assert office.kinds() == []


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""])
def test_what_a_form_of_another_site_can_send_is_not_accepted(office, as_login, kind):
    office.waiting_attempt()
    answer = as_login("tom").post(APPROVE, content=b"{}", headers={**OURS, "Content-Type": kind})

    assert (answer.status_code, answer.json()["error"]) == (403, "cross_site")


def test_a_bearer_token_needs_no_origin(office, as_login):
    digest = office.waiting_attempt()
    points = list(office.desk.request("loan", "1.0.0").checklist)
    answer = as_login(None).post(
        APPROVE, json={"evidence": digest, "confirmed": points}, headers={"Authorization": "Bearer token-tom"}
    )

    assert answer.status_code == 200
    assert office.kinds() == ["decision"]


def test_the_bearer_token_wins_over_the_cookie(office, as_login):
    office.waiting_attempt()
    answer = as_login("tom").get(
        "/governance/api/requests/loan/1.0.0/standing", headers={"Authorization": "Bearer token-omar"}
    )

    assert answer.json()["may_sign"] is False


def test_every_answer_lets_only_our_own_script_run_and_only_airflow_frame_it(as_login):
    client = as_login("tom")
    first, second = client.get("/governance/inbox"), client.get("/governance/inbox")
    policy = first.headers["content-security-policy"]
    nonce = policy.partition("script-src 'nonce-")[2].partition("'")[0]

    assert "default-src 'none'" in policy
    assert "frame-ancestors 'self'" in policy
    assert "unsafe" not in policy
    assert first.text.count(f'nonce="{nonce}"') == first.text.count("<script")
    assert policy != second.headers["content-security-policy"]
    assert first.headers["cache-control"] == "no-store"
