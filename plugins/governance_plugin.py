"""The registration card: what Airflow should know of us, and nothing else.

Every task process runs this file, so it imports nothing heavy: the web application is imported on its first request,
which only an API server that serves the UI (``--apps core``) ever gets. On ``--apps execution`` Airflow mounts no
plugin at all.

The application guards its own routes (governance_airflow/web/security.py): Airflow does not authenticate what a
plugin mounts. Airflow's own API stands behind a guard (governance_airflow/web/call_guard.py), which keeps its log true
about who changed a run; an API server that cannot import it answers nothing.

Airflow's frame opens ``/plugin/governance/<path>`` as ``/<path>``, so a link that people share,
``/plugin/governance/review/loan/1.0.0``, arrives under ``/review``: it is sent on to where the page lives.
"""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import quote

from airflow.plugins_manager import AirflowPlugin

PREFIX = "/governance"
AIRFLOW = "governance.airflow"
"""Where a request carries the application that it came through."""

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class GovernanceApp:
    """The web application, imported on its first request."""

    def __init__(self) -> None:
        self._app: Any = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if self._app is None:
            from governance_airflow.web.app import create_app

            self._app = create_app()
        # Airflow's own application: the one way to ask it something with all of its checks, as whoever asks us.
        scope[AIRFLOW] = scope.get("app")
        await self._app(scope, receive, send)


class SharedLink:
    """Sends a link to a page inside Airflow's frame on to the page.

    Airflow takes what follows ``/plugin/governance`` in a link for a path of its own: ``/review/<model>/<version>``,
    ``/waivers/<model>``, ``/incidents/<model>``, ``/monitoring/<model>``, ``/lineage/<model>``. This knows nothing, so
    it asks for no login: the page does.
    """

    def __init__(self, place: str) -> None:
        self._place = place

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request with a redirection."""
        if scope["type"] != "http":
            return
        outside = scope["root_path"].removesuffix(self._place)
        path = scope["path"].removeprefix(outside).rstrip("/")
        query = f"?{scope['query_string'].decode('ascii', 'ignore')}" if scope["query_string"] else ""
        headers = [(b"location", f"{outside}{PREFIX}{quote(path)}{query}".encode()), (b"content-length", b"0")]
        await send({"type": "http.response.start", "status": 307, "headers": headers})
        await send({"type": "http.response.body", "body": b""})


def guarded(app: Any) -> Any:
    """Return the API server behind the guard of its log, imported when the server puts itself together."""
    from governance_airflow.web.call_guard import CallGuard

    return CallGuard(app)


def linked(app: Any) -> Any:
    """Return the API server with links to ``/monitoring`` and ``/lineage``, which no place of ours matches."""
    page = SharedLink("")

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"].removeprefix(scope.get("root_path", "")) if scope["type"] == "http" else ""
        here = path in ("/monitoring", "/lineage")
        await (page if here else app)(scope, receive, send)

    return answer


class GovernancePlugin(AirflowPlugin):
    """Puts Governance into Airflow's navigation, and the application behind it."""

    name = "governance"
    fastapi_apps = [  # noqa: RUF012  # Airflow reads plain class attributes
        {"name": "governance", "app": GovernanceApp(), "url_prefix": PREFIX},
        *(
            {"name": f"governance links to {place}", "app": SharedLink(f"/{place}"), "url_prefix": f"/{place}"}
            for place in ("review", "waivers", "standing-approvals", "incidents", "monitoring", "lineage")
        ),
    ]
    fastapi_root_middlewares = [  # noqa: RUF012
        {"name": "governance call guard", "middleware": guarded},
        {"name": "governance links", "middleware": linked},
    ]
    external_views = [  # noqa: RUF012
        {
            "name": "Governance",
            "href": f"{PREFIX}/inbox",
            "destination": "nav",
            "nav_top_level": True,
            "url_route": "governance",
            "icon": f"{PREFIX}/static/icon.svg",
            "icon_dark_mode": f"{PREFIX}/static/icon-dark.svg",
        }
    ]
