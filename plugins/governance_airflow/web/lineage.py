"""The Lineage pages: the way of a model version as a graph, with what is known of each station, and its columns.

Read from the outbox, so they are here without Marquez, too; where there is one (``MARQUEZ_URL``), they link to it.
"""

from contextlib import closing
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse
from markupsafe import Markup

from governance.catalog import find_spec, model_folders
from governance.lineage.graph import Graph, Node
from governance.lineage.marquez import page_of
from governance.lineage.outbox import Outbox
from governance.lineage.trace import Trace, trace
from governance.lineage.way import Station, Way, choose, listed, way
from governance_airflow.web import lineage_drawing, pages, services
from governance_airflow.web.problems import PROBLEMS
from governance_airflow.web.security import LOGGED_IN, Login

router = APIRouter(prefix="/lineage", dependencies=LOGGED_IN, include_in_schema=False)
api = APIRouter(prefix="/api/lineage", dependencies=LOGGED_IN, responses=PROBLEMS, tags=["lineage"])

Version = Annotated[str | None, Query(max_length=64, description="Semantic version, or a manifest's digest.")]


@router.get("")
def overview(request: Request, login: Login) -> HTMLResponse:
    """Show all models, each with its way."""
    folders = model_folders(services.of(request).settings)
    with closing(_outbox(request)) as outbox:
        graph = Graph(outbox)
        rows = [
            {
                "name": one.name,
                "href": f"{pages.root_of(request)}/lineage/{one.name}",
                "versions": _versions(graph, one.name),
            }
            for one in folders
        ]
    return _render(request, login, "lineage_models.html", {"title": "Lineage", "models": rows})


@router.get("/{model}")
def model(request: Request, login: Login, model: str, version: Version = None) -> HTMLResponse:
    """Show the way of a version: what serves, or the newest, where none is named."""
    with closing(_outbox(request)) as outbox:
        graph = Graph(outbox)
        found, whole, versions = _found(graph, model, version, listed(graph, model))
    return _render(request, login, "lineage.html", _context(request, found, whole, versions))


@api.get("/{model}")
def as_json(request: Request, model: str, version: Version = None) -> dict[str, Any]:
    """Return the way of a version: stations, edges, columns, and what is missing."""
    with closing(_outbox(request)) as outbox:
        found, whole, _ = _found(Graph(outbox), model, version, [])
    return {**found.to_dict(), "complete": whole.is_complete, "missing": list(whole.missing)}


def _found(
    graph: Graph, model: str, version: str | None, versions: list[tuple[Node, str]]
) -> tuple[Way, Trace, list[tuple[Node, str]]]:
    node = choose(graph, model, version)
    found = way(graph, node)
    return found, trace(graph, node, sorted(found.columns)), versions


def _context(request: Request, found: Way, whole: Trace, versions: list[tuple[Node, str]]) -> dict[str, Any]:
    root, marquez = pages.root_of(request), services.of(request).settings.marquez_url
    name = found.model.model
    spec = find_spec(services.of(request).settings, name)
    columns = len(found.columns)
    return {
        "title": f"{name} {found.version} · Lineage",
        "head": {"name": name, "version": found.version, "tier": f"{spec.tier.capitalize()} tier"},
        "complete": f"complete: {whole.links - columns} links, {columns} features traced" if whole.is_complete else "",
        "missing": whole.missing,
        "graph": Markup(lineage_drawing.drawing(found)),  # which escapes every text
        "stations": [_station(one, root, marquez) for one in found.nodes],
        "first": next((n for n, one in enumerate(found.nodes) if one.node == found.model), 0),
        "older": found.left_out,
        "versions": [
            {"value": node.version, "label": f"{said or '–'} · {node.version[:8]}", "chosen": node == found.model}
            for node, said in versions
        ],
        "marquez": _in_marquez(marquez, found.model),
        "columns": [
            {"name": column, "way": origins, "why": spec.features.get(column, ""), "proxy": column in spec.proxies}
            for column, origins in lineage_drawing.columns_of(found)
        ],
    }


def _station(station: Station, root: str, marquez: str | None) -> dict[str, Any]:
    review = station.node.what in ("evidence", "signed", "permit")
    written = f"{station.job}, {station.at:%d %b %Y %H:%M}" if station.at else ""
    return {
        "title": f"{station.kind} · {station.title}",
        "facts": [*station.facts, *([("Written by", written)] if written else [])],
        "marquez": _in_marquez(marquez, station.node),
        "review": f"{root}/inbox" if review else None,
    }


def _in_marquez(url: str | None, node: Node) -> str | None:
    return page_of(url, node.namespace, node.name) if url else None


def _versions(graph: Graph, model: str) -> str:
    known = list(dict.fromkeys(said for _, said in listed(graph, model) if said))
    return ", ".join(known[:5]) or "no task spoke of it yet"


def _outbox(request: Request) -> Outbox:
    return Outbox(services.of(request).settings.require("ledger_url"))


def _render(request: Request, login: str, template: str, context: dict[str, Any]) -> HTMLResponse:
    people = services.of(request).open_desk().people()
    person = people.by_login(login)
    name = [person.name, *(people.role_title(role) for role in person.roles)] if person else [login]
    return pages.render(request, template, tab="lineage", who=" · ".join(name), waiting=None, **context)
