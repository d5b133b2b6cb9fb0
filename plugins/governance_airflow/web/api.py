"""The JSON API: what waits, one request with its evidence, and taking a decision.

The page uses it, and any other system can: with a Bearer token of Airflow (``POST /auth/token``). The rules are the
desk's; this file only speaks HTTP. What goes wrong comes back as ``{error, message, who_can}``.
"""

from datetime import date, datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel, ConfigDict, Field

from governance.review import desk
from governance_airflow.web import (
    break_glass_api,
    monitoring_api,
    services,
    standing,
    standing_approval_api,
    versions_api,
    waivers_api,
)
from governance_airflow.web.problems import PROBLEMS, REFUSED
from governance_airflow.web.security import LOGGED_IN, MEANT, Login, Signer
from governance_airflow.web.waiting import rows as waiting_rows

Status = Literal["approved", "pending", "blocked", "denied", "expired"]


class FindingIn(BaseModel):
    """What is to be mended, by whom and until when."""

    model_config = ConfigDict(extra="forbid")

    text: str = Field(max_length=1000)
    owner: str = Field(max_length=200, description="A login of people.yaml.")
    due: str = Field(max_length=20, examples=["2027-01-31"])


class ConditionOut(BaseModel):
    """A finding as the decision holds it."""

    text: str
    owner: str = Field(description="Pseudonymous id.")
    due: date


class DecisionOut(BaseModel):
    """One decision."""

    person_name: str
    role: str
    answer: Literal["approve", "reject"]
    at: datetime
    verified: bool
    comment: str | None
    findings: list[ConditionOut] = []


class RoleOut(BaseModel):
    """One role that must sign."""

    role: str
    title: str
    needed: int
    complete: bool
    decisions: list[DecisionOut]
    eligible: list[str] = Field(description="Names of those who hold the role and may still sign.")


class RequestOut(BaseModel):
    """A judged candidate, and where its approval stands."""

    model: str
    version: str
    attempt: int
    registry_version: int
    status: Status
    evidence: str = Field(description="SHA-256 of the canonical evidence: what is signed.")
    verdict: str
    run_id: str
    asked_at: datetime
    expires_at: datetime
    released_at: datetime | None
    outdated: str | None = Field(description="Why it can no longer be signed, although it is pending.")
    roles: list[RoleOut]
    checklist: list[str]


class RequestDetail(RequestOut):
    """A request with the evidence itself."""

    document: dict[str, Any] = Field(description="The evidence, as it was signed.")


class WaitingOut(BaseModel):
    """How much waits for the caller: candidates, emergencies and waivers to sign, and incidents to review."""

    waiting: int


class StandingOut(BaseModel):
    """Where the caller stands towards a request, and a token that changes when anything about it does."""

    token: str
    sentence: str
    may_sign: bool
    roles_open: list[str]
    refusals: list[str]


class DecisionIn(BaseModel):
    """A decision over the evidence that the caller has read."""

    model_config = ConfigDict(extra="forbid")

    evidence: str = Field(pattern="^[0-9a-f]{64}$", description="The digest of what was read.")
    role: str | None = Field(default=None, description="Needed only by who holds several open roles.")
    confirmed: list[str] = Field(default=[], max_length=100, description="Points of the checklist, word for word.")
    comment: str = Field(default="", max_length=4000, description="Required to reject.")
    findings: list[FindingIn] = Field(default=[], max_length=20, description="To approve on condition.")


router = APIRouter(prefix="/api", dependencies=LOGGED_IN, responses=PROBLEMS, tags=["requests"])


@router.get("/requests")
def list_requests(
    request: Request, status: Annotated[Status | None, Query(description="Only these.")] = None
) -> list[RequestOut]:
    """Return the last attempt of every version that was judged, newest first."""
    found = services.of(request).open_desk().latest()
    return [_out(one) for one in found if status in (None, one.status)]


@router.get("/waiting")
def get_waiting(request: Request, login: Login) -> WaitingOut:
    """Return how much waits for the caller, as the Inbox lists it."""
    with_desk = services.of(request)
    desk_ = with_desk.open_desk()
    found = desk_.inbox(login, services.ActorsOfRuns(with_desk.run_actors))
    return WaitingOut(waiting=len(found.waits_for_you) + len(waiting_rows(request, desk_, login, "")))


@router.get("/requests/{model}/{version}")
def get_request(
    request: Request,
    model: str,
    version: str,
    attempt: Annotated[int | None, Query(ge=1, description="An earlier one.")] = None,
) -> RequestDetail:
    """Return one request with its evidence."""
    found = services.of(request).open_desk().request(model, version, attempt)
    return RequestDetail(**_out(found).model_dump(), document=found.evidence)


@router.get("/requests/{model}/{version}/standing")
def get_standing(request: Request, login: Login, model: str, version: str) -> StandingOut:
    """Return whether the caller may sign, in which roles, and why not."""
    with_desk = services.of(request)
    desk_ = with_desk.open_desk()
    found = desk_.request(model, version)
    mine = desk_.standing(found, login, with_desk.actors(model, found.run_id))
    return StandingOut(
        token=standing.token(found),
        sentence=standing.last_event(found),
        may_sign=mine.may_sign,
        roles_open=list(mine.roles_open),
        refusals=[f"{one.sentence} {one.detail}".strip() for one in mine.refusals],
    )


@router.post("/requests/{model}/{version}/approve", dependencies=MEANT, responses=REFUSED)
def approve(request: Request, login: Signer, model: str, version: str, body: DecisionIn) -> RequestOut:
    """Approve a candidate in one's role, over the evidence that one has read."""
    return _decide(request, login, model, version, body, "approve")


@router.post("/requests/{model}/{version}/reject", dependencies=MEANT, responses=REFUSED)
def reject(request: Request, login: Signer, model: str, version: str, body: DecisionIn) -> RequestOut:
    """Reject a candidate. One reject ends it."""
    return _decide(request, login, model, version, body, "reject")


@router.get("/openapi.json", include_in_schema=False)
def openapi(request: Request) -> dict[str, Any]:
    """Return the OpenAPI document of this API."""
    document = get_openapi(
        title="Governance",
        version="1",
        summary="Read and decide what waits to be signed, bring models in from elsewhere, and read what is watched.",
        description=__doc__,
        routes=[
            *router.routes,
            *break_glass_api.router.routes,
            *waivers_api.router.routes,
            *standing_approval_api.router.routes,
            *standing_approval_api.asked.routes,
            *versions_api.router.routes,
            *monitoring_api.router.routes,
        ],
        servers=[{"url": request.scope.get("root_path") or "/"}],
    )
    return document


def _decide(request: Request, login: str, model: str, version: str, body: DecisionIn, answer: str) -> RequestOut:
    with_desk = services.of(request)
    desk_ = with_desk.open_desk()
    run_id = desk_.request(model, version).run_id
    decided = desk_.decide(
        login=login,
        model=model,
        version=version,
        evidence=body.evidence,
        answer=answer,
        confirmed=body.confirmed,
        comment=body.comment,
        role=body.role,
        conditions=[one.model_dump() for one in body.findings],
        run_actors=with_desk.actors(model, run_id),
    )
    return _out(decided)


def _out(found: desk.Request) -> RequestOut:
    return RequestOut(
        model=found.model,
        version=found.version,
        attempt=found.attempt,
        registry_version=found.registry_version,
        status=found.status,  # type: ignore[arg-type]  # the desk says one of the five words
        evidence=found.digest,
        verdict=found.evidence["verdict"]["outcome"],
        run_id=found.run_id,
        asked_at=found.asked_at,
        expires_at=found.expires_at,
        released_at=found.released_at,
        outdated=found.outdated,
        roles=[_role_out(role) for role in found.roles],
        checklist=list(found.checklist),
    )


def _role_out(role: desk.RoleState) -> RoleOut:
    decisions = [
        DecisionOut(
            person_name=one.person_name,
            role=one.role,
            answer=one.answer,  # type: ignore[arg-type]  # the desk checks it
            at=one.at,
            verified=one.verified,
            comment=one.comment,
            findings=[ConditionOut(text=each.text, owner=each.owner, due=each.due) for each in one.findings],
        )
        for one in role.decisions
    ]
    return RoleOut(
        role=role.role,
        title=role.title,
        needed=role.needed,
        complete=role.complete,
        decisions=decisions,
        eligible=list(role.eligible),
    )
