"""The JSON API of standing approvals: proposing, signing, rejecting; and what the pipeline asks for under one.

The page uses it, and any other system can. The rules are the desk's
(:mod:`governance.review.standing_approval_desk`); this file only speaks HTTP.
"""

from datetime import date, datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Path, Request
from pydantic import BaseModel, ConfigDict, Field

from governance.review import standing_approval
from governance.review.standing_approval_desk import StandingApprovalDesk, StandingApprovalView
from governance_airflow.web import services
from governance_airflow.web.problems import PROBLEMS, REFUSED
from governance_airflow.web.security import LOGGED_IN, MEANT, PIPELINE, Login, Signer
from governance_airflow.web.waivers_api import AnswerOut, SignatureIn

Digest = Annotated[str, Path(pattern="^[0-9a-f]{64}$", description="What people sign: SHA-256 of the document.")]


class StandingApprovalOut(BaseModel):
    """A standing approval, and where it stands."""

    digest: str
    status: Literal["in force", "open", "rejected", "ended", "used up", "void"]
    fault: str | None = Field(description="Why it is void.")
    baseline: str = Field(description="The version that people looked at.")
    margins: dict[str, float] = Field(description="By how much a candidate may be worse than the champion.")
    releases: int = Field(description="How many versions it lets through.")
    used: list[str] = Field(description="The versions that it let through.")
    reason: str
    until: date = Field(description="Its last day, UTC.")
    permits_end: datetime = Field(description="When the permits that it gives end.")
    proposed_by: str
    proposed_at: datetime
    signed: list[AnswerOut]
    missing: dict[str, int]
    may_sign: list[str] = Field(description="The roles in which the caller may sign.")
    may_reject: list[str] = Field(description="The roles in which the caller may reject it.")
    why_not: str = Field(description="Why the caller may not sign.")


class StandingApprovalIn(BaseModel):
    """A proposal; what it is about is the version that serves."""

    model_config = ConfigDict(extra="forbid")

    releases: int
    reason: str = Field(max_length=standing_approval.LONGEST_REASON)
    until: str = Field(max_length=20, examples=["2027-01-31"])
    margins: dict[str, float] = Field(default={}, max_length=20, description="Where narrower than the policy's.")


class PermittedOut(BaseModel):
    """On whose word a candidate is permitted."""

    sentence: str


router = APIRouter(prefix="/api/models", dependencies=LOGGED_IN, responses=PROBLEMS, tags=["standing approvals"])
asked = APIRouter(prefix="/api/requests", responses=PROBLEMS, tags=["standing approvals"])
"""What the pipeline asks: no person is logged in."""


@router.get("/{model}/standing-approvals")
def list_standing_approvals(request: Request, login: Login, model: str) -> list[StandingApprovalOut]:
    """Return every standing approval that was proposed for a model, newest first."""
    return [_out(one) for one in _desk(request).views(model, login)]


@router.post("/{model}/standing-approvals", dependencies=MEANT, responses=REFUSED)
def propose(request: Request, login: Signer, model: str, body: StandingApprovalIn) -> StandingApprovalOut:
    """Propose that versions trained again may go live unread, within margins. Others sign it."""
    return _out(_desk(request).propose(login=login, model=model, **body.model_dump()))


@router.post("/{model}/standing-approvals/{digest}/signatures", dependencies=MEANT, responses=REFUSED)
def sign(request: Request, login: Signer, model: str, digest: Digest, body: SignatureIn) -> StandingApprovalOut:
    """Sign a standing approval, or reject it. One reject ends it, also after it was signed."""
    desk = _desk(request)
    return _out(desk.answer(login=login, model=model, digest=digest, answer=body.answer, role=body.role))


@asked.post("/{model}/{version}/standing-approval", responses=REFUSED)
def apply(request: Request, model: str, version: str, evidence: PIPELINE) -> PermittedOut:
    """Issue the permit of a candidate that a standing approval covers. The pipeline asks; no person can."""
    desk = _desk(request)
    actors = services.of(request).actors(model, desk.desk.request(model, version).run_id)
    use = desk.apply(model=model, version=version, evidence=evidence, run_actors=actors)
    return PermittedOut(sentence=standing_approval.sentence(use, desk.desk.people()))


def _desk(request: Request) -> StandingApprovalDesk:
    return StandingApprovalDesk(services.of(request).open_desk())


def _out(view: StandingApprovalView) -> StandingApprovalOut:
    return StandingApprovalOut.model_validate(view.to_dict())
