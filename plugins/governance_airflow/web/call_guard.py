"""Keeps Airflow's log true about who changed a run: refuses the calls that it would record wrongly or not at all.

:mod:`governance_airflow.run_actors` asks that log who may not sign. Airflow enters a call under the ``run_id`` that it
names anywhere, else under its ``dag_run_id``, and lets its body speak before its path, whether or not the call itself
has any use for that name: a call that changes one run could so be entered under another. It enters a body only that
is sent as ``application/json``, while the call accepts other JSON too; it takes any text as ``dry_run`` for yes, and
enters nothing, where the call takes ``"false"`` for no; and some calls it never enters. Some it enters before it asks
whether they are allowed, so that a call which is answered 403 and changes nothing would count against its sender: those
are asked first here, as Airflow does with the rest.

Every such call is refused here, before Airflow sees it, whoever sends it: with 400 and a sentence, in the form of
Airflow's own errors. Only what Airflow never enters is left alone where no governed DAG is named. What a call may name
is decided by the route that Airflow itself will choose for it.
"""

import json
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import BaseRoute, Match, Mount
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from governance_airflow.run_actors import CHANGES, GOVERNED, READS, leaves

NAMES = frozenset({"dag_id", "dag_run_id", "run_id"})
"""What Airflow takes for the DAG and the run of a call, wherever the caller puts it."""

NAMED_IN_BODY = {
    "trigger_dag_run": "dag_run_id",
    "materialize_asset": "dag_run_id",
    "post_clear_task_instances": "dag_run_id",
    "clear_dag_run_partitions": "run_id",
    "create_backfill": "dag_id",
    "create_backfill_dry_run": "dag_id",
}
"""The calls that act on what their body names at its top, and the name they take. No other has a use for one."""


class CallGuard:
    """Airflow's API server behind the guard.

    Args:
        app: What answers a call that is not refused.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request: refuse it, or hand it on as it came."""
        found = _route(scope) if scope["type"] == "http" and scope["method"] in CHANGES else None
        if found is None:
            await self._app(scope, receive, send)
            return
        _ask_access_first(found[0])
        request = Request(scope, receive)
        body = await request.body()
        sentence = refusal(request, body, *found)
        if sentence:
            await JSONResponse({"detail": sentence}, 400)(scope, receive, send)
        else:
            await self._app(scope, _again(body, receive), send)


def refusal(request: Request, body: bytes, route: BaseRoute, matched: Scope) -> str | None:
    """Return why a call that changes something is refused, or nothing.

    Args:
        request: The call.
        body: Its body.
        route: What will answer it.
        matched: What that route read from its path.
    """
    endpoint = getattr(matched.get("endpoint"), "__name__", "")
    params = matched.get("path_params", {})
    for name in sorted(NAMES & request.query_params.keys()):
        return f"Leave {name} out of the query: Airflow's log would name it in place of what this call changes."
    # The very test by which Airflow decides whether to read a body for its log.
    if body and "application/json" not in request.headers.get("content-type", ""):
        return "Send the body as Content-Type application/json: Airflow's log leaves out any other."
    try:
        said = json.loads(body or b"{}")
    except (ValueError, RecursionError):
        return "The body is not JSON."
    if isinstance(said, dict):
        for name in sorted(NAMES & said.keys() - {NAMED_IN_BODY.get(endpoint)}):
            return f"Leave {name} out of the body: Airflow's log would name it in place of what this call changes."
        if not isinstance(said.get("dry_run", True), bool):
            return "Send dry_run as true or false: Airflow's log leaves out a call with any other."
    dags = [params.get("dag_id"), *(part for name, part in leaves(said) if name == "dag_id")]
    if any(str(dag).startswith(GOVERNED) for dag in dags) and not _is_logged(route) and endpoint not in READS:
        return (
            "Airflow's log leaves out who makes this call, and whoever changes a run of a governed model may not "
            "sign for it. Set the state of one task at a time, or clear it."
        )
    return None


def _route(scope: Scope) -> tuple[BaseRoute, Scope] | None:
    """Return which of Airflow's own routes answers, and what it reads from the path; nothing for a mounted one's."""
    for route in scope["app"].routes:
        match, matched = route.matches(scope)
        if match is Match.FULL:
            return None if isinstance(route, Mount) else (route, matched)
    return None


def _is_logged(route: BaseRoute) -> bool:
    dependencies: list[Any] = getattr(route, "dependencies", [])
    return any(_logs(one.dependency) for one in dependencies)


def _logs(call: Any) -> bool:
    return getattr(call, "__module__", "") == "airflow.api_fastapi.logging.decorators"


def _ask_access_first(route: BaseRoute) -> None:
    """Have a route enter a call into the log after everything that may refuse it, and nothing else in another order."""
    asked = getattr(getattr(route, "dependant", None), "dependencies", [])
    declared = len(getattr(route, "dependencies", []))  # these come first among what the route asks
    asked[:declared] = sorted(asked[:declared], key=lambda one: _logs(one.call))


def _again(body: bytes, receive: Receive) -> Receive:
    """Return what gives the body, which can be received once, a second time."""
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive_again() -> Message:
        return messages.pop() if messages else await receive()

    return receive_again
