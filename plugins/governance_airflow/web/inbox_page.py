"""What the Inbox shows: rows of finished text, soonest first and worst first."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from governance.records import Outcome
from governance.reports import words
from governance.reports.reading import Reading
from governance.review.desk import Inbox, ModelRow, Request, Standing
from governance_airflow.web import standing


@dataclass(frozen=True)
class State:
    """A model's state in a word: how bad, how drawn, and who is waited for."""

    rank: int
    word: str
    icon: str
    tone: str = ""

    @property
    def in_order(self) -> bool:
        """Whether nobody needs to do anything."""
        return self.rank >= 9


EXPIRED = State(0, "permit expired", "lock", "bad")
STOPPED = State(0, "stopped", "block", "bad")
INCIDENT = State(0, "incident open", "fault", "bad")
FAULT = State(1, "folder has faults", "fault", "bad")
IN_ORDER = State(9, "in order", "pass")
NEVER_RUN = State(8, "not judged yet", "na", "attention")

_BY_STATUS = {
    "blocked": State(2, "blocked", "block", "bad"),
    "denied": State(3, "rejected", "block", "attention"),
    "expired": State(4, "nobody signed in time", "wait", "attention"),
    "pending": State(5, "waits to be signed", "wait", "attention"),
    "approved": State(6, "signed, not released", "wait", "attention"),
}


def context(inbox: Inbox, standings: Mapping[str, Standing], root: str, now: datetime) -> dict[str, Any]:
    """Return what the template needs."""
    models = sorted((_model_row(row, root, now) for row in inbox.models), key=lambda row: (row["rank"], row["name"]))
    calm = sum(row["in_order"] for row in models)
    others = [_other(one, standings[one.digest], root) for one in inbox.waits_for_others]
    return {
        "title": "Inbox",
        "now": words.moment(now),
        "mine": [_mine(one, standings[one.digest], root, now) for one in inbox.waits_for_you],
        "others": others,
        "empty": "Nothing waits for you.",
        "models": models,
        "filters": [
            ("all", "All", len(models)),
            ("attention", "Needs attention", len(models) - calm),
            ("order", "In order", calm),
        ],
        "tiers": [tier for tier in ("High", "Medium", "Low") if any(row["tier"] == tier for row in models)],
    }


def _href(request: Request, root: str) -> str:
    return f"{root}/review/{request.model}/{request.version}"


def _titles(request: Request, roles: Any) -> list[str]:
    return [role.title for role in request.roles if role.role in roles]


def _mine(request: Request, mine: Standing, root: str, now: datetime) -> dict[str, str]:
    return {
        "what": f"Sign as {words.listed(_titles(request, mine.roles_open), 'or')}",
        "name": f"{request.model} {request.version}",
        "title": request.evidence["model"]["title"],
        "href": _href(request, root),
        "outcome": request.evidence["verdict"]["outcome"],
        "happened": _happened(request),
        "stands": _stands(request),
        "asked": words.moment(request.asked_at, now),
        "ends": words.moment(request.expires_at, now),
        "remaining": words.remaining(request.expires_at, now),
    }


def _happened(request: Request) -> str:
    verdict = Reading(request.evidence).verdict
    blocks, warnings = len(verdict.failing()), len(verdict.with_outcome(Outcome.WARN))
    parts = [words.plural(blocks, "rule blocks", "rules block")] if blocks else []
    parts += [words.plural(warnings, "warning")] if warnings and not blocks else []
    parts += [f"attempt {request.attempt}"] if request.attempt > 1 else []
    return ", ".join(parts) or "no warnings"


def _stands(request: Request) -> str:
    done, needed = standing.progress(request)
    have = [role.title for role in request.roles if role.complete]
    said = f"; {words.listed(have)} {'has' if len(have) == 1 else 'have'}" if have else ""
    return f"{done} of {needed} signed{said}"


def _other(request: Request, mine: Standing, root: str) -> dict[str, str]:
    """Return a sentence around the link: whom it waits for, and why it is not the reader."""
    waiting = words.listed(standing.missing(request))
    involved = [one for one in mine.refusals if one.rule not in ("role", "unknown", "signed")]
    after = f" waits for {waiting}."
    if mine.signed:
        after += " You have signed."
    elif involved and set(mine.roles_held) & {role.role for role in request.roles}:
        after += f" {involved[0].sentence}"
    elif request.outdated:
        after = f" cannot be signed any more: {request.outdated}"
    return {"before": "", "name": f"{request.model} {request.version}", "after": after, "href": _href(request, root)}


def state_of(row: ModelRow, now: datetime) -> State:
    """Return a model's state in a word."""
    if row.fault:
        return FAULT
    if row.stopped:
        return STOPPED
    if row.incidents:
        return INCIDENT
    if row.permit_until and row.permit_until <= now:
        return EXPIRED
    if row.last is None:
        return IN_ORDER if row.champion else NEVER_RUN
    if row.last.status == "approved" and row.last.released_at:
        return IN_ORDER
    return _BY_STATUS[row.last.status]


def _model_row(row: ModelRow, root: str, now: datetime) -> dict[str, Any]:
    state, last = state_of(row, now), row.last
    until = row.permit_until
    waits = words.listed(standing.missing(last)) if last and last.status == "pending" else ""
    return {
        "rank": state.rank,
        "state": state.word,
        "icon": state.icon,
        "tone": state.tone,
        "in_order": state.in_order,
        "state_href": f"{root}/incidents/{row.name}" if row.stopped or row.incidents else "",
        "name": row.name,
        "owner": row.owner,
        "tier": row.tier.capitalize(),
        "href": _href(last, root) if last else "",
        "champion": row.champion,
        "permit": "valid" if until else "none",
        "permit_expired": bool(until and until <= now),
        "permit_until": f"{'since' if until <= now else 'until'} {until.day} {until:%b %Y}" if until else "",
        "outcome": last.evidence["verdict"]["outcome"] if last else "",
        "happened": f"{last.version}, {_happened(last)}" if last else (row.fault or "none yet"),
        "waits_for": f"{waits}, {last.version}" if waits and last else "",
    }
