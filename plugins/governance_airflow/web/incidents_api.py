"""The JSON API of incidents: what happened, closing one with a review, and stopping a model.

The page uses it, and any other system can. Who may is the desk's to say (:mod:`governance.review.incident_desk`);
this file only speaks HTTP, behind the same guards as decisions. Stopping needs no second person and no reading: it is
the safe side.
"""

import secrets
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, BackgroundTasks, Path, Request
from pydantic import BaseModel, ConfigDict, Field

from governance.catalog import find_spec
from governance.pipeline.run import Message
from governance.release.stop import LONGEST_REASON, expect_serving, stop
from governance.review import incidents
from governance.review.incident_desk import LONGEST_REVIEW, IncidentDesk
from governance.review.incidents import Incident
from governance_airflow import notify
from governance_airflow.web import services
from governance_airflow.web.problems import PROBLEMS, REFUSED
from governance_airflow.web.security import LOGGED_IN, MEANT, Signer

IncidentId = Annotated[str, Path(pattern="^[0-9a-f]{16}$")]


class EventOut(BaseModel):
    """One line of a timeline."""

    at: datetime
    what: str
    entry: int = Field(description="Number of the entry in the ledger.")


class IncidentOut(BaseModel):
    """A version that was taken out of service, or should have been."""

    id: str
    cause: Literal["rolled_back", "kept", "stopped", "called", "break_glass"]
    reason: str
    opened_at: datetime
    opened_by: str
    decision: str | None = Field(description="Key of the entry that asked for it.")
    before: dict[str, Any] | None = Field(description="What served.")
    after: dict[str, Any] | None = Field(description="What served afterwards.")
    timeline: list[EventOut]
    closed_by: str | None
    review: str | None


class ClosingIn(BaseModel):
    """What people made of it."""

    model_config = ConfigDict(extra="forbid")

    review: str = Field(max_length=LONGEST_REVIEW, description="Cause, what was done, what prevents it from now on.")


class StopIn(BaseModel):
    """Why the model must not serve."""

    model_config = ConfigDict(extra="forbid")

    reason: str = Field(max_length=LONGEST_REASON, description="Told to whoever asks for a prediction.")


class StopOut(BaseModel):
    """What came of a stop."""

    model: str
    stopped: dict[str, Any] | None = Field(description="What served.")
    already: bool
    confirmed: bool = Field(description="Whether the scoring service said that it serves the model no more.")
    problems: list[str]
    incident: str


router = APIRouter(prefix="/api/models", dependencies=LOGGED_IN, responses=PROBLEMS, tags=["incidents"])


@router.get("/{model}/incidents")
def list_incidents(request: Request, model: str) -> list[IncidentOut]:
    """Return the incidents of a model, the open ones first."""
    desk = _desk(request)
    return [_incident(desk, one) for one in desk.incidents(model)]


@router.post("/{model}/incidents/{incident}/closing", dependencies=MEANT, responses=REFUSED)
def close_incident(
    request: Request, login: Signer, later: BackgroundTasks, model: str, incident: IncidentId, body: ClosingIn
) -> IncidentOut:
    """Close an incident with a review, as somebody who approves the model and did not act in it."""
    desk = _desk(request)
    closed = desk.close(login=login, model=model, incident=incident, review=body.review)
    person, people = desk.desk.people().by_login(login), desk.desk.people()
    text = f"The incident of {model} was closed by {people.name(person.id if person else login)}: {body.review.strip()}"
    key = f"{incidents.CLOSED}:{incident}"
    _tell(
        request,
        later,
        desk,
        model,
        person.id if person else login,
        Message(key, "incident_closed", text, _path(model), incident),
    )
    return _incident(desk, closed)


@router.post("/{model}/stop", dependencies=MEANT, responses=REFUSED)
def stop_model(request: Request, login: Signer, later: BackgroundTasks, model: str, body: StopIn) -> StopOut:
    """Take a model out of service within seconds, in a role that its tier names."""
    desk = _desk(request)
    ledger, person = desk.desk.ledger, desk.stopper(login, model)
    settings = services.of(request).settings
    expect_serving(settings, ledger, model)
    done = stop(
        settings, ledger, model=model, actor=person.id, reason=body.reason, key=f"{model}:{secrets.token_hex(8)}"
    )
    change = ledger.get(done.entry)
    opened = incidents.open_incident(ledger, change, actor=person.id) if change else None
    if opened is not None and opened.created:
        text = incidents.told(opened, find_spec(settings, model).owner.team)
        _tell(
            request,
            later,
            desk,
            model,
            person.id,
            Message(opened.key, "stopped", text, _path(model), incidents.id_of(opened)),
        )
    return StopOut(
        model=model,
        stopped=done.stopped,
        already=done.already,
        confirmed=done.confirmed,
        problems=list(done.problems),
        incident=incidents.id_of(opened) if opened else "",
    )


def _desk(request: Request) -> IncidentDesk:
    return IncidentDesk(services.of(request).open_desk())


def _path(model: str) -> str:
    return f"/plugin/governance/incidents/{model}"


def _tell(
    request: Request, later: BackgroundTasks, desk: IncidentDesk, model: str, actor: str, message: Message
) -> None:
    """Tell people once the answer is sent: Slack must not keep the person waiting who acted."""
    address = services.of(request).settings.airflow_url
    later.add_task(notify.tell_by_hand, desk.desk.ledger, address, model, actor, message)


def _incident(desk: IncidentDesk, one: Incident) -> IncidentOut:
    people, closing = desk.desk.people(), one.closing
    return IncidentOut(
        id=one.id,
        cause=one.cause,  # type: ignore[arg-type]  # pydantic checks it
        reason=one.reason,
        opened_at=one.opened.at,
        opened_by=people.name(one.opened_by),
        decision=one.decision,
        before=one.before,
        after=one.after,
        timeline=[EventOut(at=event.at, what=event.what, entry=event.entry) for event in desk.timeline(one)],
        closed_by=people.name(closing["person"]) if closing else None,
        review=closing["review"] if closing else None,
    )
