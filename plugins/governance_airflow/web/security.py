"""Who asks, and whether the request is one that this person's browser was not tricked into.

Airflow authenticates (Bearer header first, else its session cookie); a plugin's routes are anonymous until they ask for
it, so every router here declares :data:`LOGGED_IN`, and a test walks all routes and fails on one that does not; the
metrics alone are also read with a token of their own (:data:`SCRAPING`), and the pipeline asks with its key's signature
for what it gets by rule alone (:data:`PIPELINE`). Reading takes what Airflow's navigation takes
to show the page (``can_read`` on *Plugins*). Signing takes a role in ``people.yaml``, which the review desk checks;
Airflow's own roles give none.

A call that changes something and is authenticated by the cookie must come from our own page: exact ``Origin``, JSON,
and the header ``X-Governance``, which no other site can send without being asked first. A Bearer token is not sent by
a browser on its own, so it needs none of this.
"""

import hmac
from typing import Annotated, Any
from urllib.parse import urlsplit

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.models.resource_details import AccessView
from airflow.api_fastapi.core_api.security import GetUserDep, bearer_scheme, get_user
from airflow.configuration import conf
from fastapi import Depends, Header, Request
from fastapi.security import HTTPAuthorizationCredentials
from pydantic import BaseModel, ConfigDict, Field

from governance.errors import TamperedError
from governance.review import asking
from governance_airflow.web import services

HEADER = "X-Governance"


class CrossSiteError(Exception):
    """A request that changes something does not come from our own page."""


class NoAccessError(Exception):
    """This login may not see plugin pages in Airflow."""


async def reader(request: Request, user: GetUserDep) -> str:
    """Return the login of who asks.

    Raises:
        NoAccessError: Airflow does not let this login see plugin pages.
        HTTPException: Nobody is logged in (401), or the token is not Airflow's (403).
    """
    if not get_auth_manager().is_authorized_view(access_view=AccessView.PLUGINS, user=user):
        raise NoAccessError(f"{user.get_name()} may not see plugin pages: Airflow's role lacks can_read on Plugins.")
    request.state.login = user.get_name()
    return str(user.get_name())


Login = Annotated[str, Depends(reader)]
Bearer = Annotated[HTTPAuthorizationCredentials | None, Depends(bearer_scheme)]


async def same_site(
    request: Request,
    login: Login,
    bearer: Bearer,
    x_governance: Annotated[str | None, Header(description="Any value; required with a cookie.")] = None,
) -> str:
    """Return the login of who changes something, once it is clear that the request is meant.

    Raises:
        CrossSiteError: The cookie authenticates it and it does not come from our own page, or it is not JSON.
    """
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise CrossSiteError(f"Expected Content-Type application/json, found {media_type or 'none'}.")
    if bearer is not None and bearer.scheme.lower() == "bearer":
        return login
    origin = request.headers.get("origin")
    if origin not in own_origins(request):
        raise CrossSiteError(f"Expected Origin {' or '.join(own_origins(request))}, found {origin or 'none'}.")
    if not x_governance:
        raise CrossSiteError(f"Expected the header {HEADER}, found none.")
    return login


async def scraper(request: Request, bearer: Bearer) -> str:
    """Return who reads the metrics: Prometheus with its own token, or a person.

    Raises:
        NoAccessError: Airflow does not let this login see plugin pages.
        HTTPException: It is neither (401, 403).
    """
    token = services.of(request).metrics_token()
    if token and bearer is not None and hmac.compare_digest(bearer.credentials.encode(), token.encode()):
        return "metrics"
    return await reader(request, await get_user(request, None, bearer))


class AskedIn(BaseModel):
    """What the pipeline asks about, and its signature of it."""

    model_config = ConfigDict(extra="forbid")

    evidence: str = Field(pattern="^[0-9a-f]{64}$", description="The digest of the candidate's evidence.")
    signature: str = Field(max_length=200, description="By the pipeline's key, over model, version and evidence.")


def pipeline(request: Request, model: str, version: str, body: AskedIn) -> str:
    """Return the evidence that the pipeline asks about, once its key's signature of the question is checked.

    Raises:
        NoAccessError: Another key signed, or another question.
    """
    try:
        keys = services.of(request).open_desk().keys
        asking.expect_signed(keys, model, version, body.evidence, body.signature)
    except TamperedError as error:
        raise NoAccessError("Only the pipeline asks for this, with the signature of its key.") from error
    return body.evidence


Signer = Annotated[str, Depends(same_site)]
LOGGED_IN: list[Any] = [Depends(reader)]
MEANT: list[Any] = [Depends(same_site)]
SCRAPING: list[Any] = [Depends(scraper)]
PIPELINE = Annotated[str, Depends(pipeline)]


def own_origins(request: Request) -> list[str]:
    """Return the origins that are ours: the one that was asked, and Airflow's own address where a proxy hides it."""
    asked = f"{request.url.scheme}://{request.headers.get('host', '')}"
    configured = urlsplit(conf.get("api", "base_url", fallback="") or "")
    known = [asked, f"{configured.scheme}://{configured.netloc}"] if configured.netloc else [asked]
    return list(dict.fromkeys(known))


def headers(nonce: str) -> dict[str, str]:
    """Return what every answer carries: nothing runs that we did not send, nobody else may frame it."""
    policy = (
        "default-src 'none'; "
        f"script-src 'nonce-{nonce}'; "
        f"style-src 'self' 'nonce-{nonce}'; "
        "img-src 'self'; connect-src 'self'; "
        "form-action 'none'; base-uri 'none'; frame-ancestors 'self'"
    )
    return {
        "Content-Security-Policy": policy,
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
    }
