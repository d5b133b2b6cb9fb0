"""The web application inside Airflow's API server: pages, API, and how they answer when something is wrong.

Airflow mounts it under ``/governance`` and authenticates nothing on it; every route here is guarded by
:mod:`governance_airflow.web.security`, FastAPI's own documentation routes are switched off, and there is no mounted
folder. What goes wrong is said in the form that was asked for: JSON under ``/api``, a page elsewhere.
"""

import logging
import secrets
from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from governance import errors
from governance.monitoring.gauges import Gauges
from governance.reports import words
from governance.review.break_glass_desk import BreakGlassDesk
from governance.review.desk import Request as Waiting
from governance_airflow.run_actors import AirflowUnavailableError
from governance_airflow.web import (
    api,
    break_glass_api,
    incidents_api,
    lineage,
    metrics,
    monitoring,
    monitoring_api,
    pages,
    security,
    services,
    standing_approval_api,
    versions_api,
    waivers_api,
)
from governance_airflow.web.monitoring_history import Recent
from governance_airflow.web.problems import Problem

log = logging.getLogger(__name__)


def create_app(with_services: services.Services | None = None) -> FastAPI:
    """Return the application.

    Args:
        with_services: What it stands on; those of a real API server by default.
    """
    app = FastAPI(title="Governance", docs_url=None, redoc_url=None, openapi_url=None)
    stand_on(app, with_services or services.production())
    app.include_router(api.router)
    app.include_router(break_glass_api.router)
    app.include_router(waivers_api.router)
    app.include_router(standing_approval_api.router)
    app.include_router(standing_approval_api.asked)
    app.include_router(versions_api.router)
    app.include_router(incidents_api.router)
    app.include_router(monitoring_api.router)
    app.include_router(pages.router)
    app.include_router(monitoring.router)
    app.include_router(lineage.api)
    app.include_router(lineage.router)
    app.include_router(metrics.router)
    app.middleware("http")(_secured)
    for kind in (errors.GovernanceError, HTTPException, RequestValidationError):
        app.add_exception_handler(kind, _answer)
    app.add_exception_handler(security.CrossSiteError, _answer)
    app.add_exception_handler(security.NoAccessError, _answer)
    return app


def stand_on(app: FastAPI, with_services: services.Services) -> None:
    """Let an application stand on other services, and forget what it remembers of those before."""
    app.state.services = with_services
    app.state.recent = Recent()
    app.state.gauges = Gauges()


async def _secured(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
    request.state.nonce = secrets.token_urlsafe(18)
    response = await call_next(request)
    response.headers.update(security.headers(request.state.nonce))
    response.headers.setdefault("Cache-Control", "no-store")
    return response


async def _answer(request: Request, error: Exception) -> Response:
    status, code, message = _explained(request, error)
    log.log(logging.WARNING if status >= 500 else logging.INFO, "%s: %s", code, error)
    if request.url.path.startswith(f"{pages.root_of(request)}/api/"):
        problem = Problem(error=code, message=message, who_can=_who_can(request, code))
        return JSONResponse(problem.model_dump(), status)
    return _notice_page(request, status, code, message)


def _explained(request: Request, error: Exception) -> tuple[int, str, str]:
    """Return the status, the word for machines, and the sentence for people."""
    if isinstance(error, errors.UnavailableError):
        return 503, "unavailable", _unavailable(request, error)
    if isinstance(error, RequestValidationError):
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        return (
            422,
            "bad_input",
            f"Not signed: {where}: {first['msg']}." if _signs(request) else f"{where}: {first['msg']}.",
        )
    if isinstance(error, HTTPException):
        return _http(error)
    for kind, (status, code) in _KINDS.items():
        if isinstance(error, kind):
            return (
                (404, "not_found", str(error))
                if status == 422 and not _is_post(request)
                else (status, code, str(error))
            )
    return 500, "not_possible", str(error)


_KINDS: dict[type[Exception], tuple[int, str]] = {
    security.CrossSiteError: (403, "cross_site"),
    security.NoAccessError: (403, "no_access"),
    errors.MayNotSignError: (403, "may_not_sign"),
    errors.TamperedError: (500, "tampered"),
    errors.RefusedError: (409, "refused"),
    errors.InputError: (422, "bad_input"),
}


def _http(error: HTTPException) -> tuple[int, str, str]:
    if error.status_code in (401, 403):
        sentence = "Not logged in, or the login has ended. Log in at Airflow, then open this page again."
        return error.status_code, "not_logged_in", sentence
    return error.status_code, "not_found" if error.status_code == 404 else "not_possible", f"{error.detail}."


def _unavailable(request: Request, error: errors.UnavailableError) -> str:
    if isinstance(error, AirflowUnavailableError):
        return f"Not signed: {words.inside(str(error))}" if _is_post(request) else str(error)
    if _is_post(request):
        return (
            "Not signed: the ledger does not answer. Nothing was confirmed, and trying again is safe: one person signs "
            "once. Your comment is kept on this page. If it lasts, tell the person on call."
        )
    return "The ledger does not answer. Nothing can be read or signed until it does; what was recorded is safe."


def _is_post(request: Request) -> bool:
    return request.method == "POST"


def _signs(request: Request) -> bool:
    return _is_post(request) and request.url.path.endswith(("/approve", "/reject"))


def _who_can(request: Request, code: str) -> list[str]:
    """Return who may sign instead, where the answer was that this person may not."""
    if code != "may_not_sign" or "version" not in request.path_params:
        return []
    try:
        found = services.of(request).open_desk().request(*_asked_for(request))
        if request.url.path.partition("/break-glass")[1]:
            return _who_can_break_the_glass(request, found)
    except errors.GovernanceError:
        return []
    names = [name for role in found.roles if not role.complete for name in role.eligible]
    return list(dict.fromkeys(names)) if found.status == "pending" else []


def _who_can_break_the_glass(request: Request, found: Waiting) -> list[str]:
    """Return who may propose, or sign the proposal in the path; nobody's ordinary signature helps there."""
    if found.status != "pending":
        return []
    of = services.of(request)
    actors = of.actors(found.model, found.run_id)
    return BreakGlassDesk(of.open_desk()).who_may(found, actors, request.path_params.get("digest"))


def _asked_for(request: Request) -> tuple[str, str]:
    return request.path_params["model"], request.path_params["version"]


def _notice_page(request: Request, status: int, code: str, message: str) -> Response:
    first, rest = words.parted(message)
    lines: list[Any] = [rest] if rest else []
    if code == "unavailable":
        lines.append("Try again; if it lasts, tell the person on call.")
    return pages.render(
        request,
        "notice.html",
        status=status,
        title=first.rstrip("."),
        tone="" if status in (401, 404) else "block",
        mark={401: "lock", 403: "lock", 404: "na"}.get(status, "block"),
        first=first,
        rest=lines,
        login=code == "not_logged_in",
        inline=pages.inline_assets() if status in (401, 403) else None,
    )
