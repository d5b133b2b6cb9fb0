"""What the Review page shows of emergencies: a version that waits for signatures, and two people who do not wait."""

from datetime import date, timedelta
from typing import Any
from urllib.parse import quote

from governance.catalog import People
from governance.reports import words
from governance.review.break_glass import LONGEST_REASON, SHORTEST_REASON
from governance.review.break_glass_desk import BreakGlassDesk, BreakGlassView
from governance.review.desk import Request, RunActors

ICONS = {"in force": "warn", "open": "wait", "ended": "na", "void": "block"}


def context(
    desk: BreakGlassDesk, request: Request, login: str, run_actors: RunActors, root: str, today: date
) -> dict[str, Any] | None:
    """Return what the template needs; ``None`` where the tier knows no such thing, or nothing of it is to be shown.

    Args:
        desk: Where proposals come from.
        request: The candidate.
        login: Who reads.
        run_actors: Who started, cleared or patched the run.
        root: The path of the application.
        today: The date, UTC.
    """
    allowed, known = desk.desk.policy(request.model).break_glass, desk.views(request)
    waits = request.status == "pending" and not request.outdated
    if allowed is None or not (waits or known):
        return None
    people, why_not = desk.desk.people(), desk.why_not(request, login, run_actors)
    person = people.by_login(login)
    return {
        "api": f"{root}/api/requests/{quote(request.model)}/{quote(request.version)}/break-glass",
        "needed": allowed.people,
        "roles": " or ".join(people.role_title(role) for role in allowed.roles),
        "longest": allowed.longest_days,
        "proposals": [_proposal(desk, one, request, login, run_actors) for one in known],
        "may_propose": waits and not why_not and not any(one.status in ("open", "in force") for one in known),
        "why_not": why_not if waits else "",
        "as": _held(people, person.roles if person else (), allowed.roles),
        "evidence": request.digest,
        "today": today.isoformat(),
        "latest": (today + timedelta(days=allowed.longest_days)).isoformat(),
        "reason_lengths": (SHORTEST_REASON, LONGEST_REASON),
    }


def waiting(
    desk: BreakGlassDesk, request: Request, login: str, run_actors: RunActors, root: str
) -> list[dict[str, str]]:
    """Return the proposals that a person may sign as the next, as rows of the Inbox."""
    known = [one for one in desk.views(request) if one.status == "open" and one.missing]
    return [_waiting(one, request, root) for one in known if not desk.why_not(request, login, run_actors, one.digest)]


def _waiting(one: BreakGlassView, request: Request, root: str) -> dict[str, str]:
    names = [name for name, _ in one.signed]
    return {
        "what": "Sign an emergency release",
        "name": f"{request.model} {request.version}",
        "title": one.reason,
        "href": f"{root}/review/{quote(request.model)}/{quote(request.version)}#break-glass",
        "outcome": "block",
        "happened": f"proposed by {names[0]}" if names else "proposed",
        "stands": f"{one.missing} more must sign",
        "asked": words.moment(request.asked_at),
        "ends": words.day(one.until.isoformat()),
        "remaining": "its last day",
    }


def _proposal(
    desk: BreakGlassDesk, one: BreakGlassView, request: Request, login: str, run_actors: RunActors
) -> dict[str, Any]:
    refused = desk.why_not(request, login, run_actors, one.digest)
    people = desk.desk.people()
    person, allowed = people.by_login(login), desk.desk.policy(request.model).break_glass
    signed = words.listed([f"{name} as {role}" for name, role in one.signed]) if one.signed else "nobody"
    return {
        "digest": one.digest,
        "status": one.status,
        "icon": ICONS[one.status],
        "reason": one.reason,
        "fault": f"Void: {one.fault}." if one.status == "void" and one.fault else "",
        "until": words.day(one.until.isoformat()),
        "signed": f"Signed by {signed}.",
        "missing": f"{one.missing} more must sign." if one.status == "open" and one.missing else "",
        "may_sign": one.status == "open" and not refused,
        "why_not": refused if one.status == "open" else "",
        "as": _held(people, person.roles if person else (), allowed.roles if allowed else ()),
    }


def _held(people: People, held: Any, roles: Any) -> list[tuple[str, str]]:
    return [(role, people.role_title(role)) for role in roles if role in held]
