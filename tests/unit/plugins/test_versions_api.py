"""``POST /api/models/<name>/versions``: Airflow starts the model's pipeline as whoever asks, or says why not."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from fastapi.testclient import TestClient

from governance_plugin import GovernanceApp

PATH = "/governance/api/models/loan/versions"
BODY = {"model_uri": "models:/credit/3", "reason": "Challenger of the risk team"}
OURS = {"Origin": "http://airflow.test", "X-Governance": "page"}
RUN = "manual__2026-11-26T09:00:00+00:00"


class Airflow:
    """Airflow's application with our plugin in it: it keeps what it was asked, and answers what a test wants."""

    def __init__(self, office: Any) -> None:
        self.asked: list[tuple[str, str, Any]] = []
        self.status, self.detail = 200, ""
        ours = GovernanceApp()
        ours._app = office.app
        self.app = FastAPI()
        self.app.mount("/governance", ours)
        self.app.add_api_route("/api/v2/dags/{dag_id}/dagRuns", self.trigger, methods=["POST"])

    async def trigger(self, request: Request, dag_id: str) -> JSONResponse:
        token = request.headers["Authorization"].removeprefix("Bearer ")
        self.asked.append((dag_id, token, await request.json()))
        if self.status == 500:
            raise RuntimeError("the database is away")
        if self.status != 200:
            return JSONResponse({"detail": self.detail}, self.status)
        login = token.removeprefix("token-")
        return JSONResponse({"dag_run_id": RUN, "state": "queued", "triggering_user_name": login})


@pytest.fixture
def airflow(office) -> Airflow:
    return Airflow(office)


@pytest.fixture
def post(airflow: Airflow) -> Iterator[Callable[..., Any]]:
    """Send the call as somebody, by cookie."""

    def send(login: str | None = "ken", path: str = PATH, headers: dict[str, str] = OURS, **changed: Any):
        cookies = {"_token": f"token-{login}"} if login else {}
        client = TestClient(airflow.app, base_url="http://airflow.test", cookies=cookies)
        return client.post(path, json={**BODY, **changed}, headers=headers)

    return send


def outcome(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json().get("error", "")


def test_airflow_starts_the_pipeline_as_whoever_asks(airflow, post) -> None:
    answer = post("ken", threshold=0.2, bump="major")
    assert answer.status_code == 202
    conf = {
        "reason": BODY["reason"],
        "model_uri": "models:/credit/3",
        "bump": "major",
        "parameters": {"threshold": 0.2},
    }
    assert airflow.asked == [("govern_loan", "token-ken", {"logical_date": None, "conf": conf})]
    assert answer.json() == {
        "model": "loan",
        "model_uri": "models:/credit/3",
        "dag_id": "govern_loan",
        "run_id": RUN,
        "state": "queued",
        "started_by": "ken",
        "path": "/dags/govern_loan/runs/manual__2026-11-26T09%3A00%3A00%2B00%3A00",
    }


def test_a_token_in_the_header_wins_over_a_cookie(airflow, post) -> None:
    assert post("ken", headers={"Authorization": "Bearer token-maria"}).status_code == 202
    assert airflow.asked[0][1] == "token-maria"


def test_the_configuration_holds_nothing_but_what_the_pipeline_takes(airflow, post) -> None:
    from governance.pipeline.run import REQUEST_KEYS

    post(threshold=0.3)
    assert set(airflow.asked[0][2]["conf"]) <= set(REQUEST_KEYS)


@pytest.mark.parametrize(
    ("login", "headers", "found"),
    [
        (None, OURS, (401, "not_logged_in")),
        ("outsider", OURS, (403, "no_access")),
        ("ken", {}, (403, "cross_site")),
        ("ken", {"Origin": "http://evil.test", "X-Governance": "page"}, (403, "cross_site")),
        ("ken", {"Origin": "http://airflow.test"}, (403, "cross_site")),
    ],
)
def test_it_is_guarded_as_decisions_are(airflow, post, login, headers, found) -> None:
    assert outcome(post(login, headers=headers)) == found
    assert airflow.asked == []


@pytest.mark.parametrize(
    "uri",
    ["/etc/passwd", "file:///etc/passwd", "s3://bucket/m", "http://host/m", "mlflow-artifacts://host/m", "runs:/", ""],
)
def test_a_uri_through_which_the_worker_s_own_files_could_be_read_is_refused(airflow, post, uri) -> None:
    answer = post(model_uri=uri)
    assert outcome(answer) == (409, "refused")
    assert "may not read through it what the worker may read" in answer.json()["message"]
    assert airflow.asked == []


@pytest.mark.parametrize(
    "changed", [{"reason": "no"}, {"bump": "huge"}, {"threshold": 2}, {"extra": 1}, {"model_uri": "x" * 501}]
)
def test_a_body_that_is_not_right_is_refused_and_nothing_is_called_signed(airflow, post, changed) -> None:
    answer = post(**changed)
    assert outcome(answer) == (422, "bad_input")
    assert "igned" not in answer.json()["message"]
    assert airflow.asked == []


def test_a_model_that_is_not_governed_is_not_found(airflow, post) -> None:
    assert outcome(post(path=PATH.replace("loan", "nobody"))) == (404, "not_found")
    assert airflow.asked == []


@pytest.mark.parametrize(
    ("status", "detail", "found", "said"),
    [
        (403, "Forbidden", (403, "no_access"), "Airflow does not let you start govern_loan"),
        (404, "no such", (404, "not_found"), "Airflow has no DAG govern_loan yet"),
        (400, "reason is too short", (422, "not_possible"), "reason is too short"),
        (500, "", (503, "not_possible"), "Nothing was started"),
        (503, "", (503, "not_possible"), "Nothing was started"),
    ],
)
def test_what_airflow_refuses_is_said(airflow, post, status, detail, found, said) -> None:
    airflow.status, airflow.detail = status, detail
    answer = post()
    assert outcome(answer) == found
    assert said in answer.json()["message"]


def test_it_is_in_the_description_of_the_api(post, airflow) -> None:
    client = TestClient(airflow.app, base_url="http://airflow.test", cookies={"_token": "token-ken"})
    assert "/api/models/{model}/versions" in client.get("/governance/api/openapi.json").json()["paths"]
