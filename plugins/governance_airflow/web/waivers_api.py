"""The JSON API of exceptions: waivers and findings of a model.

The page uses it, and any other system can. The rules are the desk's (:mod:`governance.review.waiver_desk`); this file
only speaks HTTP, behind the same guards as decisions.
"""

from datetime import date, datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Request
from pydantic import BaseModel, ConfigDict, Field

from governance.review.findings import Finding
from governance.review.waiver_desk import WaiverDesk, WaiverView
from governance_airflow.web import services
from governance_airflow.web.problems import PROBLEMS, REFUSED
from governance_airflow.web.security import LOGGED_IN, MEANT, Login, Signer

Digest = Annotated[str, Path(pattern="^[0-9a-f]{64}$", description="What people sign: SHA-256 of the waiver.")]
FindingId = Annotated[str, Path(pattern="^[0-9a-f]{16}$")]


class AnswerOut(BaseModel):
    """One person's answer to a waiver."""

    person_name: str
    role: str
    answer: Literal["approve", "reject"]


class WaiverOut(BaseModel):
    """A waiver, and where it stands."""

    digest: str
    rule: str
    title: str
    slice: dict[str, str] | None
    demands: dict[str, Any] = Field(description="What the rule demanded when people signed.")
    reason: str
    until: date = Field(description="Its last day, UTC.")
    status: Literal["in force", "open", "rejected", "ended", "void"]
    fault: str | None = Field(description="Why it is void.")
    proposed_by: str
    proposed_at: datetime
    signed: list[AnswerOut]
    missing: dict[str, int]
    may_sign: list[str] = Field(description="The roles in which the caller may sign.")
    why_not: str = Field(description="Why the caller may not.")


class WaiverIn(BaseModel):
    """A proposal."""

    model_config = ConfigDict(extra="forbid")

    rule: str = Field(max_length=100)
    slice: dict[str, str] | None = Field(default=None, description='One result of it: `{"attribute": "race"}`.')
    reason: str = Field(max_length=2000)
    until: str = Field(max_length=20, examples=["2027-01-31"])


class SignatureIn(BaseModel):
    """An answer to a waiver that the caller has read."""

    model_config = ConfigDict(extra="forbid")

    answer: Literal["approve", "reject"]
    role: str | None = Field(default=None, description="Needed only by who holds several that are open.")


class FindingOut(BaseModel):
    """Something that a version was approved with, to be mended."""

    id: str
    text: str
    owner: str
    due: date
    version: str
    role: str
    raised_by: str
    closed_by: str | None
    how: str | None


class ClosingIn(BaseModel):
    """What was done about a finding."""

    model_config = ConfigDict(extra="forbid")

    how: str = Field(max_length=2000)


router = APIRouter(prefix="/api/models", dependencies=LOGGED_IN, responses=PROBLEMS, tags=["exceptions"])


@router.get("/{model}/waivers")
def list_waivers(request: Request, login: Login, model: str) -> list[WaiverOut]:
    """Return every waiver that was proposed for a model, newest first."""
    return [_waiver(one) for one in _desk(request).waivers(model, login)]


@router.post("/{model}/waivers", dependencies=MEANT, responses=REFUSED)
def propose_waiver(request: Request, login: Signer, model: str, body: WaiverIn) -> WaiverOut:
    """Propose a waiver: one rule, why, and until when. Others sign it."""
    desk = _desk(request)
    proposed = desk.propose(
        login=login, model=model, rule=body.rule, slice_=body.slice, reason=body.reason, until=body.until
    )
    return _waiver(proposed)


@router.post("/{model}/waivers/{digest}/signatures", dependencies=MEANT, responses=REFUSED)
def sign_waiver(request: Request, login: Signer, model: str, digest: Digest, body: SignatureIn) -> WaiverOut:
    """Sign a waiver, or reject it. One reject ends it, also after it was signed."""
    desk = _desk(request)
    return _waiver(desk.answer(login=login, model=model, digest=digest, answer=body.answer, role=body.role))


@router.get("/{model}/findings")
def list_findings(request: Request, model: str) -> list[FindingOut]:
    """Return the findings of a model, the open ones first."""
    desk = _desk(request)
    desk.desk.policy(model)  # a model that is not governed has no page either
    return [_finding(desk, one) for one in desk.findings(model)]


@router.post("/{model}/findings/{finding}/closing", dependencies=MEANT, responses=REFUSED)
def close_finding(request: Request, login: Signer, model: str, finding: FindingId, body: ClosingIn) -> FindingOut:
    """Close a finding, in the role that raised it."""
    desk = _desk(request)
    return _finding(desk, desk.close(login=login, model=model, finding=finding, how=body.how))


def _desk(request: Request) -> WaiverDesk:
    return WaiverDesk(services.of(request).open_desk())


def _waiver(view: WaiverView) -> WaiverOut:
    return WaiverOut.model_validate(view.to_dict())


def _finding(desk: WaiverDesk, finding: Finding) -> FindingOut:
    people = desk.desk.people()
    named = {
        "owner": people.name(finding.owner),
        "role": people.role_title(finding.role),
        "raised_by": people.name(finding.raised_by),
        "closed_by": people.name(finding.closed_by) if finding.closed_by else None,
    }
    return FindingOut.model_validate({**finding.to_dict(), **named})
