"""The Monitoring pages: all models on one screen, one model's history, one window of it.

They read the ledger and the files in force, and change nothing. The address holds the whole state: model, window, and
how many windows the chart shows.
"""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse

from governance.catalog import model_folders
from governance.monitoring import gone
from governance.review import incidents
from governance_airflow.web import monitoring_day, monitoring_history, monitoring_page, pages, services
from governance_airflow.web.monitoring_history import Recent, Watched
from governance_airflow.web.security import LOGGED_IN, Login

router = APIRouter(prefix="/monitoring", dependencies=LOGGED_IN, include_in_schema=False)

Last = Annotated[int, Query(ge=1, le=monitoring_history.WINDOWS, description="How many windows the chart shows.")]


@router.get("")
def overview(request: Request, login: Login) -> HTMLResponse:
    """Show all models, the worst first."""
    context = monitoring_page.overview(last_words(request), pages.root_of(request), datetime.now(UTC))
    return _render(request, login, "monitoring.html", context)


@router.get("/{model}")
def model(request: Request, login: Login, model: str, last: Last = monitoring_history.WINDOWS) -> HTMLResponse:
    """Show one model's history, and its last window."""
    found = monitoring_history.history_of(services.of(request).open_desk(), model)
    return _model(request, login, found, found.windows[-1] if found.windows else None, last)


@router.get("/{model}/{entry}")
def day(
    request: Request, login: Login, model: str, entry: int, last: Last = monitoring_history.WINDOWS
) -> HTMLResponse:
    """Show one model's history, and one window of it, by the number of its decision in the ledger."""
    desk = services.of(request).open_desk()
    found = monitoring_history.history_of(desk, model)
    return _model(request, login, found, monitoring_history.day_of(desk, model, entry), last)


def last_words(request: Request) -> list[Watched]:
    """Return the last word on every governed model."""
    with_desk = services.of(request)
    recent: Recent = request.app.state.recent
    desk = with_desk.open_desk()
    unclosed = incidents.open_by_model(desk.ledger, desk.keys)
    found = recent.read(desk.ledger, [folder.name for folder in model_folders(with_desk.settings)])
    return [replace(one, incidents=unclosed[one.model]) for one in found]


def _model(
    request: Request,
    login: str,
    found: monitoring_history.History,
    chosen: monitoring_history.Window | None,
    last: int,
) -> HTMLResponse:
    root, now = pages.root_of(request), datetime.now(UTC)
    context = monitoring_page.history(found, chosen, (root, pages.airflow_of(request)), last, now)
    if chosen is not None:
        ledger = services.of(request).open_desk().ledger
        let_go = gone.let_go_of(ledger, chosen.seen) if chosen.seen else None
        report = None if let_go else monitoring_history.report_of(ledger, chosen)
        context["day"]["report"] = monitoring_day.second_opinion(report)
        context["day"] |= {"let_go": gone.sentence_of(let_go), "failing_rows": ""} if let_go else {"let_go": ""}
    every = last_words(request)
    for mine in (one for one in every if one.model == found.model and context["head"]):
        state = monitoring_page.state_of(mine, now)  # as in the list beside: one model has one state
        context["head"] |= {"icon": state.icon, "tone": state.tone, "word": state.word}
    beside = monitoring_page.rail(every, found.model, root, now)
    return _render(request, login, "monitoring_model.html", {**context, **beside})


def _render(request: Request, login: str, template: str, context: dict[str, Any]) -> HTMLResponse:
    """Return a page that says who reads; how much waits for that person is asked for by the page itself.

    For what waits is found in the evidence of every model, which takes far longer than all that is shown here.
    """
    people = services.of(request).open_desk().people()
    person = people.by_login(login)
    name = [person.name, *(people.role_title(role) for role in person.roles)] if person else [login]
    return pages.render(request, template, tab="monitoring", who=" · ".join(name), waiting=None, **context)
