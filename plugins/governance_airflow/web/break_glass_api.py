"""The JSON API of emergencies: proposing to release a version without all signatures, and being the second to sign.

The page uses it, and any other system can. The rules are the desk's (:mod:`governance.review.break_glass_desk`); this
file only speaks HTTP, behind the same guards as decisions, and tells people: at the proposal, and when it is done.
"""

from datetime import date
from typing import Annotated, Literal

from fastapi import APIRouter, BackgroundTasks, Path, Request
from pydantic import BaseModel, ConfigDict, Field

from governance.catalog import find_spec
from governance.ledger.log import Entry
from governance.pipeline.run import Message
from governance.review import break_glass, incidents
from governance.review.break_glass_desk import BreakGlassDesk, BreakGlassView
from governance.review.desk import RunActors
from governance_airflow import notify
from governance_airflow.web import services
from governance_airflow.web.problems import PROBLEMS, REFUSED
from governance_airflow.web.security import LOGGED_IN, MEANT, Signer

Digest = Annotated[str, Path(pattern="^[0-9a-f]{64}$", description="What people sign: SHA-256 of the proposal.")]


class SignerOut(BaseModel):
    """Who signed."""

    person_name: str
    role: str


class BreakGlassOut(BaseModel):
    """A proposal to release without all signatures, and where it stands."""

    digest: str
    reason: str
    until: date = Field(description="Its last day, UTC.")
    status: Literal["open", "in force", "ended", "void"]
    fault: str | None = Field(description="Why it is void.")
    signed: list[SignerOut]
    missing: int = Field(description="How many people are still needed.")


class BreakGlassIn(BaseModel):
    """A proposal, signed by the caller as the first."""

    model_config = ConfigDict(extra="forbid")

    evidence: str = Field(pattern="^[0-9a-f]{64}$", description="The digest that the caller has read.")
    reason: str = Field(max_length=break_glass.LONGEST_REASON, description="Why it cannot wait; told to everyone.")
    until: str = Field(max_length=20, examples=["2027-01-31"], description="The last day of the permit.")
    role: str | None = Field(default=None, description="Needed only by who holds several of those that may.")


class SignatureIn(BaseModel):
    """The signature of one more person."""

    model_config = ConfigDict(extra="forbid")

    role: str | None = Field(default=None, description="Needed only by who holds several of those that may.")


router = APIRouter(prefix="/api/requests", dependencies=LOGGED_IN, responses=PROBLEMS, tags=["break-glass"])


@router.get("/{model}/{version}/break-glass")
def list_proposals(request: Request, model: str, version: str) -> list[BreakGlassOut]:
    """Return everything that was proposed for a version's last evidence, newest first."""
    desk = _desk(request)
    return [_out(one) for one in desk.views(desk.desk.request(model, version))]


@router.post("/{model}/{version}/break-glass", dependencies=MEANT, responses=REFUSED)
def propose(
    request: Request, login: Signer, later: BackgroundTasks, model: str, version: str, body: BreakGlassIn
) -> BreakGlassOut:
    """Propose to release a version without all signatures, and sign it as the first. Everyone is told."""
    desk = _desk(request)
    asked = {**body.model_dump(), "run_actors": _actors(request, desk, model, version)}
    made = desk.propose(login=login, model=model, version=version, **asked)
    who = made.signed[0][0] if made.signed else login
    text = (
        f"{model} {version}: {who} proposes to release it without all signatures, until {made.until:%d %b %Y}. "
        f"{made.reason} {made.missing} more must sign."
    )
    message = Message(f"{break_glass.PROPOSED}:{made.digest}", "break_glass", text, _path(model, version))
    _tell(request, later, desk, model, login, message)
    return _out(made)


@router.post("/{model}/{version}/break-glass/{digest}/signatures", dependencies=MEANT, responses=REFUSED)
def sign(
    request: Request, login: Signer, later: BackgroundTasks, model: str, version: str, digest: Digest, body: SignatureIn
) -> BreakGlassOut:
    """Sign a proposal as one more person; the last one issues the permit and opens an incident. Everyone is told."""
    desk = _desk(request)
    actors = _actors(request, desk, model, version)
    made, opened = desk.sign(
        login=login, model=model, version=version, digest=digest, role=body.role, run_actors=actors
    )
    if opened is not None:
        _tell(request, later, desk, model, login, _opened(desk, opened))
    return _out(made)


def _opened(desk: BreakGlassDesk, opened: Entry) -> Message:
    text = incidents.told(opened, find_spec(desk.desk.settings, opened.subject).owner.team)
    path = f"/plugin/governance/incidents/{opened.subject}"
    return Message(opened.key, incidents.BREAK_GLASS, text, path, incidents.id_of(opened))


def _desk(request: Request) -> BreakGlassDesk:
    return BreakGlassDesk(services.of(request).open_desk())


def _actors(request: Request, desk: BreakGlassDesk, model: str, version: str) -> RunActors:
    return services.of(request).actors(model, desk.desk.request(model, version).run_id)


def _path(model: str, version: str) -> str:
    return f"/plugin/governance/review/{model}/{version}"


def _tell(
    request: Request, later: BackgroundTasks, desk: BreakGlassDesk, model: str, login: str, message: Message
) -> None:
    """Tell people once the answer is sent: Slack must not keep the person waiting who acted."""
    actor = desk.desk.people().identity(login)
    address = services.of(request).settings.airflow_url
    later.add_task(notify.tell_by_hand, desk.desk.ledger, address, model, actor, message)


def _out(view: BreakGlassView) -> BreakGlassOut:
    return BreakGlassOut.model_validate(view.to_dict())
