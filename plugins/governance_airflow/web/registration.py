"""Starting a model's pipeline on behalf of the person who asks, through Airflow's own interface.

Airflow's application is asked inside this process, with the caller's own token: so Airflow decides whether this person
may start the DAG, checks the configuration, enters the call in its log, and records the person as who triggered the
run. That person may not sign for it afterwards.
"""

from typing import Any

import httpx
from fastapi import HTTPException, Request

from governance_airflow.web.security import NoAccessError
from governance_plugin import AIRFLOW

COOKIE = "_token"
BASE = "http://airflow"
"""Nobody resolves it: the request never leaves the process."""


async def start_run(request: Request, dag_id: str, conf: dict[str, Any]) -> dict[str, Any]:
    """Start a run as whoever sends ``request``.

    Args:
        request: A request that was authenticated.
        dag_id: Which DAG.
        conf: The run's configuration.

    Returns:
        Airflow's answer: ``dag_run_id``, ``state``, ``triggering_user_name`` …

    Raises:
        NoAccessError: This person may not start it.
        HTTPException: There is no such DAG, Airflow does not take the configuration, or does not answer.
    """
    transport = httpx.ASGITransport(app=request.scope[AIRFLOW], raise_app_exceptions=False)
    headers = {"Authorization": f"Bearer {_token(request)}"}
    async with httpx.AsyncClient(transport=transport, base_url=BASE, headers=headers) as airflow:
        body = {"logical_date": None, "conf": conf}
        answer = await airflow.post(f"/api/v2/dags/{dag_id}/dagRuns", json=body)
    if answer.is_success:
        found: dict[str, Any] = answer.json()
        return found
    raise _refusal(answer, dag_id)


def _token(request: Request) -> str:
    """Return the token that authenticated the request; the header wins, as it does with Airflow."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else request.cookies.get(COOKIE, "")


def _refusal(answer: httpx.Response, dag_id: str) -> Exception:
    said = _detail(answer)
    if answer.status_code == 403:
        return NoAccessError(f"Airflow does not let you start {dag_id}: ask for a role that may.")
    if answer.status_code == 404:
        return HTTPException(404, f"Airflow has no DAG {dag_id} yet: it appears some minutes after its folder")
    if answer.status_code >= 500:
        return HTTPException(503, "Airflow does not answer. Nothing was started, and trying again is safe")
    return HTTPException(422, f"Airflow does not start {dag_id}: {said}")


def _detail(answer: httpx.Response) -> str:
    try:
        found = answer.json().get("detail")
    except (ValueError, AttributeError):
        found = None
    return str(found or answer.reason_phrase)[:300].rstrip(".")
