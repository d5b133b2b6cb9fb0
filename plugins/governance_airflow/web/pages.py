"""The pages: the Inbox and the Review page, as HTML made on the server.

Every text comes from the evidence, the ledger or the reviewed files and is escaped by the templates; charts escape
their own. The address holds the whole state (model, version, attempt), so that a page can be shared.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from governance import canonical, reports
from governance.errors import InputError
from governance.review.break_glass_desk import BreakGlassDesk
from governance.review.desk import Request as Candidate
from governance.review.desk import ReviewDesk
from governance.review.incident_desk import IncidentDesk
from governance.review.standing_approval_desk import StandingApprovalDesk
from governance.review.waiver_desk import WaiverDesk
from governance_airflow.web import (
    break_glass_page,
    inbox_page,
    incidents_page,
    review_page,
    services,
    standing_approval_page,
    waivers_page,
)
from governance_airflow.web.security import LOGGED_IN, Login
from governance_airflow.web.waiting import rows as waiting_rows

HERE = Path(__file__).parent
MOUNT = "/governance"

STATIC = {
    "governance.css": (Path(reports.__file__).parent / "governance.css", "text/css; charset=utf-8"),
    "governance.js": (HERE / "static" / "governance.js", "text/javascript; charset=utf-8"),
    "icon.svg": (HERE / "static" / "icon.svg", "image/svg+xml"),
    "icon-dark.svg": (HERE / "static" / "icon-dark.svg", "image/svg+xml"),
}
"""All that is served as a file: a closed list, so that no path leads out of it."""

router = APIRouter(dependencies=LOGGED_IN, include_in_schema=False)


@router.get("/")
def start(request: Request) -> Response:
    """Lead to the Inbox."""
    return RedirectResponse(f"{root_of(request)}/inbox", status_code=307)


@router.get("/inbox")
def inbox(request: Request, login: Login) -> HTMLResponse:
    """Show what waits, and all models."""
    with_desk = services.of(request)
    desk = with_desk.open_desk()
    found = desk.inbox(login, services.ActorsOfRuns(with_desk.run_actors))
    standings = {
        one.digest: desk.standing(one, login, with_desk.actors(one.model, one.run_id))
        for one in [*found.waits_for_you, *found.waits_for_others]
    }
    waiting = waiting_rows(request, desk, login, root_of(request))
    context = inbox_page.context(found, standings, root_of(request), datetime.now(UTC))
    context["mine"] = [*waiting, *context["mine"]]
    return render(request, "inbox.html", tab="inbox", **who(found, waiting), **context)


@router.get("/review/{model}/{version}")
def review(
    request: Request, login: Login, model: str, version: str, attempt: Annotated[int | None, Query(ge=1)] = None
) -> HTMLResponse:
    """Show one candidate with all that is needed to decide on it."""
    with_desk = services.of(request)
    desk = with_desk.open_desk()
    newest = desk.request(model, version)
    shown = newest if attempt in (None, newest.attempt) else desk.request(model, version, attempt)
    mine = desk.standing(shown, login, with_desk.actors(model, shown.run_id))
    found = desk.inbox(login, services.ActorsOfRuns(with_desk.run_actors))
    places = review_page.Places(root_of(request), airflow_of(request), with_desk.settings.mlflow_url)
    searched = _searched_after(desk, shown)
    context = review_page.context(shown, newest, mine, places, datetime.now(UTC), searched, desk.people())
    actors = with_desk.actors(model, newest.run_id)
    glass = (BreakGlassDesk(desk), newest, login, actors, root_of(request), datetime.now(UTC).date())
    context["emergency"] = break_glass_page.context(*glass) if shown.digest == newest.digest else None
    waiting = waiting_rows(request, desk, login, root_of(request))
    return render(request, "review.html", tab="inbox", **who(found, waiting), **context)


def _searched_after(desk: ReviewDesk, shown: Candidate) -> Mapping[str, Any] | None:
    """Return the search for an alternative that followed a blocked attempt."""
    if shown.status != "blocked":
        return None
    entries = desk.ledger.backwards("alternatives", shown.model)
    mine = (entry.data for entry in entries if entry.data.get("run_id") == shown.run_id)
    return next((data for data in mine if data.get("attempt") == shown.attempt), None)


@router.get("/waivers/{model}")
def exceptions(
    request: Request,
    login: Login,
    model: str,
    rule: Annotated[str | None, Query(max_length=100, description="What the form begins with.")] = None,
) -> HTMLResponse:
    """Show the waivers and findings of a model, and let people propose, sign and close."""
    with_desk = services.of(request)
    desk = with_desk.open_desk()
    context = waivers_page.context(WaiverDesk(desk), model, login, root_of(request), rule)
    found = desk.inbox(login, services.ActorsOfRuns(with_desk.run_actors))
    waiting = waiting_rows(request, desk, login, root_of(request))
    return render(request, "waivers.html", tab="inbox", **who(found, waiting), **context)


@router.get("/standing-approvals/{model}")
def standing_approvals(request: Request, login: Login, model: str) -> HTMLResponse:
    """Show what is signed in advance for a model, and let people propose, sign and reject."""
    with_desk = services.of(request)
    desk = with_desk.open_desk()
    context = standing_approval_page.context(StandingApprovalDesk(desk), model, login, root_of(request))
    found = desk.inbox(login, services.ActorsOfRuns(with_desk.run_actors))
    waiting = waiting_rows(request, desk, login, root_of(request))
    return render(request, "standing_approvals.html", tab="inbox", **who(found, waiting), **context)


@router.get("/incidents/{model}")
def incidents(request: Request, login: Login, model: str) -> HTMLResponse:
    """Show the incidents of a model, let people close them, and stop the model."""
    with_desk = services.of(request)
    desk = with_desk.open_desk()
    context = incidents_page.context(IncidentDesk(desk), model, login, root_of(request))
    found = desk.inbox(login, services.ActorsOfRuns(with_desk.run_actors))
    waiting = waiting_rows(request, desk, login, root_of(request))
    return render(request, "incidents.html", tab="inbox", **who(found, waiting), **context)


@router.get("/static/{name}")
def static(name: str) -> Response:
    """Return one of the files that the pages need."""
    if name not in STATIC:
        raise InputError(f"Expected one of {', '.join(STATIC)}, found {name!r}.")
    path, media_type = STATIC[name]
    return Response(path.read_bytes(), media_type=media_type, headers={"Cache-Control": "private, max-age=86400"})


# --- rendering -----------------------------------------------------------------------------------------------------


def render(request: Request, template: str, *, status: int = 200, **context: Any) -> HTMLResponse:
    """Return a page; it is never stored, for it shows what one person may do at one moment."""
    shared = {
        "root": root_of(request),
        "airflow": airflow_of(request),
        "here": request.url.path + (f"?{request.url.query}" if request.url.query else ""),
        "nonce": request.state.nonce,
        "assets": _assets(),
        "tab": None,
        "who": None,
        "waiting": 0,
        "inline": None,
    }
    body = _templates().get_template(template).render({**shared, **context})
    return HTMLResponse(body, status, headers={"Cache-Control": "no-store"})


def who(inbox: Any, waivers: Sequence[Any]) -> dict[str, Any]:
    """Return the reader's name and roles, and how much waits for them: releases, incidents and waivers."""
    waiting = len(inbox.waits_for_you) + len(waivers)
    return {"who": " · ".join([inbox.person_name, *inbox.roles]), "waiting": waiting}


def root_of(request: Request) -> str:
    """Return the path under which this application is mounted."""
    return str(request.scope.get("root_path", ""))


def airflow_of(request: Request) -> str:
    """Return the path under which Airflow itself is served: empty, unless a proxy puts it below one."""
    return root_of(request).removesuffix(MOUNT)


@cache
def inline_assets() -> dict[str, str]:
    """Return style and script as text, for a page shown to nobody in particular, whom the files are not served to."""
    return {name: path.read_text() for name, (path, _) in STATIC.items()}


@cache
def _templates() -> Environment:
    return Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        extensions=["jinja2.ext.loopcontrols"],
    )


@cache
def _assets() -> str:
    return canonical.digest_of_bytes(b"".join(path.read_bytes() for path, _ in STATIC.values()))[:12]
