"""The right column of the review page: what this person sees of the decision, state by state.

One function per state, each from a request and a standing to finished text; the template only sets it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from governance.reports import words
from governance.review.desk import Request, RoleState, Standing


@dataclass(frozen=True)
class Notice:
    """A boxed message: the fact in bold, then what follows from it."""

    tone: str
    icon: str
    first: str
    rest: str = ""
    href: str = ""
    link: str = ""
    inside: bool = False


@dataclass(frozen=True)
class Decision:
    """What stands in the column.

    Attributes:
        title: Its head.
        aside: Beside the head: in which role.
        notices: Messages, in order.
        after: A muted paragraph after them.
        form: Whether one may sign here.
        roles: The roles to sign in, id and title.
        ready: What Approve does once every point is confirmed.
        ends: When it ends, where it is open.
    """

    title: str
    notices: Sequence[Notice] = ()
    aside: str = ""
    after: str = ""
    form: bool = False
    roles: Sequence[tuple[str, str]] = ()
    ready: str = ""
    ends: str = ""


@dataclass(frozen=True)
class Links:
    """Where a notice may lead."""

    run: str
    newest: str


@dataclass(frozen=True)
class SignatureLine:
    """One line of the list of signatures."""

    title: str
    state: str
    text: str
    icon: str
    signed: bool = False
    verified: bool = False
    comment: str | None = None
    findings: Sequence[str] = ()


def decision(request: Request, newest: Request, mine: Standing, links: Links, now: datetime) -> Decision:
    """Return the column for one person."""
    if request.digest != newest.digest:
        return _replaced(request, newest, links)
    if request.status in _ENDED:
        return _ENDED[request.status](request, links)
    ends = _ends(request, now)
    if request.outdated:
        first, rest = words.parted(f"Not open to sign: {request.outdated}")
        return Decision("Nothing to sign", [Notice("warn", "warn", first, rest)], ends=ends)
    if mine.signed:
        return _signed_by_me(request, mine, ends)
    if mine.may_sign:
        return _open(request, mine, ends)
    if mine.refusals:
        return _refused(mine, ends)
    first = "Your role has signed already: nothing is missing from it."
    return Decision("Nothing to sign", [Notice("", "pass", first)], ends=ends)


def _replaced(request: Request, newest: Request, links: Links) -> Decision:
    is_blocked = request.status == "blocked"
    first = "This attempt is blocked." if is_blocked else "A newer attempt replaced this one."
    rest = "It cannot be signed or released." + (" Another attempt replaced it." if is_blocked else "")
    tone, icon = ("block", "block") if is_blocked else ("warn", "warn")
    link = f"Open attempt {newest.attempt}"
    return Decision("Nothing to sign", [Notice(tone, icon, first, rest, href=links.newest, link=link)])


def _blocked(request: Request, links: Links) -> Decision:
    first = "This candidate is blocked."
    rest = "It cannot be signed or released. The rules that block it stand first in the table."
    return Decision("Nothing to sign", [_with_run(Notice("block", "block", first, rest), links)])


def _approved(request: Request, links: Links) -> Decision:
    done, needed = progress(request)
    first = f"{done} of {needed} signed: the permit is complete."
    rest = f"Release has started; it checks every digest again before {request.version} serves."
    if request.released_at:
        rest = f"Released {words.moment(request.released_at)}, after every digest was checked again."
    if request.emergency:
        first = f"Permitted without all signatures: {done} of {needed} signed, and the glass was broken."
        return Decision("Decided", [_with_run(Notice("block", "warn", first, rest), links)])
    if request.in_advance:
        first = "Permitted by a standing approval: it is within the margins that people signed in advance."
    return Decision("Decided", [_with_run(Notice("pass", "pass", first, rest), links)])


def _denied(request: Request, links: Links) -> Decision:
    no = next(one for one in request.decisions if one.answer == "reject")
    first = f"Rejected by {no.person_name} as {_title(request, no.role)}, {words.moment(no.at)}."
    rest = f"One reject ends it. Run govern_{request.model} again when what was asked for is done."
    return Decision("Decided", [_with_run(Notice("block", "block", first, rest), links)])


def _expired(request: Request, links: Links) -> Decision:
    first = f"Ended without release on {words.moment(request.expires_at)}."
    rest = f"Nothing is approved by waiting. Run govern_{request.model} again to ask anew."
    return Decision("Ended", [_with_run(Notice("warn", "wait", first, rest), links)])


_ENDED = {"blocked": _blocked, "approved": _approved, "denied": _denied, "expired": _expired}


def _signed_by_me(request: Request, mine: Standing, ends: str) -> Decision:
    own = next(one for one in request.decisions if one.person == mine.person)
    first = f"You approved as {_title(request, own.role)}, {words.moment(own.at)}."
    missing = [role.title for role in request.roles if not role.complete]
    rest = f"Waits for {words.listed(missing)}." if missing else ""
    return Decision("Decided", [Notice("pass", "pass", first, rest)], ends=ends)


def _open(request: Request, mine: Standing, ends: str) -> Decision:
    roles = [(role, _title(request, role)) for role in mine.roles_open]
    done, needed = progress(request)
    others = [role.title for role in request.roles if not role.complete and role.role != mine.roles_open[0]]
    left = needed - done - 1
    ready = f"Approving leaves {left} to sign{': ' + words.listed(others) if others else ''}."
    if left <= 0:
        ready = "Approving completes the permit and starts the release."
    aside = f"as {roles[0][1]}" if len(roles) == 1 else ""
    return Decision("Your decision", aside=aside, form=True, roles=roles, ready=ready, ends=ends)


_NOT_BY_INVOLVED = (
    "Those who build, change or start a candidate do not approve it. You can read everything here and answer "
    "questions; nobody can lift this for you."
)


def _refused(mine: Standing, ends: str) -> Decision:
    mild = {"role", "unknown"}
    notices = [
        Notice("" if one.rule in mild else "block", "lock", one.sentence, one.detail)
        for one in mine.refusals
        if one.rule not in mild or all(other.rule in mild for other in mine.refusals)
    ]
    involved = any(one.rule not in mild for one in mine.refusals)
    aside = next((f"as {one.rule}" for one in mine.refusals if one.rule in ("developer", "author")), "")
    return Decision("You may not sign", notices, aside, _NOT_BY_INVOLVED if involved else "", ends=ends)


def _with_run(notice: Notice, links: Links) -> Notice:
    return Notice(
        notice.tone, notice.icon, notice.first, notice.rest, href=links.run, link="Follow the run", inside=True
    )


def _ends(request: Request, now: datetime) -> str:
    when = f"{words.moment(request.expires_at)}, {words.remaining(request.expires_at, now)}"
    return f"Ends without release on {when}. One reject ends it. Nothing is approved by waiting."


def _title(request: Request, role: str) -> str:
    return next((state.title for state in request.roles if state.role == role), role)


def progress(request: Request) -> tuple[int, int]:
    """Return how many signatures there are, and how many are needed."""
    done = sum(min(_approvals(role), role.needed) for role in request.roles)
    return done, sum(role.needed for role in request.roles)


def _approvals(role: RoleState) -> int:
    return sum(one.answer == "approve" for one in role.decisions)


def missing(request: Request) -> list[str]:
    """Return the titles of the roles that have not signed."""
    return [role.title for role in request.roles if not role.complete]


def signatures(request: Request, mine: Standing) -> list[SignatureLine]:
    """Return who has signed and who is missing, role by role; nothing for a candidate that cannot be signed."""
    if request.status == "blocked":
        return []
    return [line for role in request.roles for line in _role_lines(request, role, mine)]


def _role_lines(request: Request, role: RoleState, mine: Standing) -> list[SignatureLine]:
    lines = [
        SignatureLine(
            role.title,
            "signed" if one.answer == "approve" else "rejected",
            f"{one.person_name}, {words.moment(one.at)}",
            "pass" if one.answer == "approve" else "block",
            signed=one.answer == "approve",
            verified=one.verified,
            comment=one.comment,
            findings=[words.finding(f.text, f.owner, f.due.isoformat(), request.people) for f in one.findings],
        )
        for one in role.decisions
    ]
    if role.complete or any(one.answer == "reject" for one in role.decisions):
        return lines
    left = role.needed - _approvals(role)
    state = "missing" if role.needed == 1 else f"{left} of {role.needed} missing"
    return [*lines, SignatureLine(role.title, state, _who(request, role, mine), "wait")]


def _who(request: Request, role: RoleState, mine: Standing) -> str:
    if request.status != "pending" or request.outdated:
        return "Did not sign."
    viewer = mine.person_name if mine.may_sign and role.role in mine.roles_open else None
    return words.who_may_sign(role.eligible, viewer)


def token(request: Request) -> str:
    """Return a text that changes when anything about the request does."""
    parts = [request.digest[:16], request.status, str(len(request.decisions)), request.outdated or ""]
    return "/".join([*parts, request.released_at.isoformat() if request.released_at else ""])


def last_event(request: Request) -> str:
    """Return the last thing that happened, in a sentence."""
    if request.released_at:
        return f"{request.model} {request.version} was released {words.moment(request.released_at)}."
    if request.emergency:
        return f"{request.model} {request.version} was permitted without all signatures. {request.emergency}"
    if request.in_advance:
        return f"{request.model} {request.version} was permitted in advance. {request.in_advance}"
    if not request.decisions:
        return "This request changed since the page was opened."
    last = request.decisions[-1]
    verb = "approved" if last.answer == "approve" else "rejected"
    return f"{last.person_name} {verb} this as {_title(request, last.role)}, {words.moment(last.at)}."
