"""What the page of a model's exceptions shows: its waivers and its findings, as finished text."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

from governance.catalog import People, find_spec
from governance.errors import InputError
from governance.policy import Rule
from governance.records import Outcome, RuleResult
from governance.reports import words
from governance.review import waivers
from governance.review.findings import Finding
from governance.review.waiver_desk import LONGEST_REASON, SHORTEST_REASON, WaiverDesk, WaiverView

ICONS = {"in force": "pass", "open": "wait", "rejected": "block", "ended": "na", "void": "na"}


def context(desk: WaiverDesk, model: str, login: str, root: str, chosen: str | None) -> dict[str, Any]:
    """Return what the template needs.

    Args:
        desk: Where waivers and findings come from.
        model: The model.
        login: Who reads.
        root: The path of the application.
        chosen: The rule that the form begins with.
    """
    spec, policy, people = find_spec(desk.desk.settings, model), desk.desk.policy(model), desk.desk.people()
    person, now = people.by_login(login), datetime.now(UTC)
    rules = desk.rules(model)
    longest = policy.waivers.longest_days if policy.waivers else 0
    return {
        "title": f"Exceptions of {model}",
        "model": model,
        "tier": policy.tier,
        "api": f"{root}/api/models/{quote(model)}",
        "waivers": [_waiver(one, people) for one in desk.waivers(model, login)],
        "findings": [_finding(desk, one, login, model, now) for one in desk.findings(model)],
        "signers": " and ".join(people.role_title(role) for role in policy.approvals.roles),
        "rules": [(rule.id, f"{rule.title} ({_demand(rule)})", rule.id == chosen) for rule in rules],
        "parts": [*spec.protected, *(" × ".join(names) for names in spec.intersections)],
        "may_propose": bool(person and person.roles and rules),
        "why_not": _why_not(bool(person and person.roles), policy.tier, rules),
        "today": now.date().isoformat(),
        "latest": (now.date() + timedelta(days=longest)).isoformat(),
        "longest": longest,
        "reason_lengths": (SHORTEST_REASON, LONGEST_REASON),
    }


def waiting(desk: WaiverDesk, login: str, root: str) -> list[dict[str, str]]:
    """Return the waivers that a person may sign now, as rows of the Inbox."""
    models = dict.fromkeys(entry.subject for entry in desk.desk.ledger.find(waivers.PROPOSED))
    people, rows = desk.desk.people(), []
    for model in models:
        try:
            open_ = [one for one in desk.waivers(model, login) if one.may_sign]
        except InputError:
            continue  # a folder that is gone or has faults: the list of models says so
        rows += [_waiting(model, one, people, root) for one in open_]
    return rows


def _waiting(model: str, one: WaiverView, people: People, root: str) -> dict[str, str]:
    titles = [people.role_title(role) for role in one.may_sign]
    signed = [role for _, role, answer in one.signed if answer == "approve"]
    return {
        "what": f"Sign the waiver as {words.listed(titles, 'or')}",
        "name": model,
        "title": f"of {words.inside(one.title)}",
        "href": f"{root}/waivers/{quote(model)}#w-{one.digest[:12]}",
        "outcome": "waived",
        "happened": f"proposed by {one.proposed_by}",
        "stands": f"{words.listed(signed)} signed" if signed else "nobody has signed",
        "asked": words.moment(one.proposed_at),
        "ends": words.day(one.until.isoformat()),
        "remaining": "its last day",
    }


def _why_not(has_role: bool, tier: str, rules: Sequence[Rule]) -> str:
    if not rules:
        return f"Tier {tier} lets no waiver lift any rule."
    return "" if has_role else "Whoever proposes a waiver holds a role. Who holds which is written in people.yaml."


def _demand(rule: Rule) -> str:
    if rule.code:
        return f"{rule.code.kind} rule"
    shown = RuleResult(
        rule.id, rule.title, rule.measure, {}, Outcome.PASS, None, None, None, None, rule.of, rule.limits, False, ""
    )
    return " · ".join(text for text in words.limit(shown) if text)


def _waiver(one: WaiverView, people: People) -> dict[str, Any]:
    answers = [
        f"{name} {'signed' if answer == 'approve' else 'rejected'} as {role}" for name, role, answer in one.signed
    ]
    missing = [f"{count} × {title}" if count > 1 else title for title, count in one.missing.items()]
    return {
        "digest": one.digest,
        "status": one.status,
        "icon": ICONS[one.status],
        "title": one.title,
        "of": words.slice_words(one.slice) if one.slice else "all its results",
        "reason": one.reason,
        "until": words.day(one.until.isoformat()),
        "proposed": f"{one.proposed_by}, {words.moment(one.proposed_at)}",
        "signed": words.listed(answers) if answers else "Nobody has signed.",
        "missing": f"Missing: {words.listed(missing)}." if missing else "",
        "fault": f"Void: {one.fault}." if one.fault else "",
        "may_sign": [(role, people.role_title(role)) for role in one.may_sign],
        "may_reject": bool(one.may_sign) or (one.status in ("open", "in force") and "may still reject" in one.why_not),
        "why_not": one.why_not if one.status == "open" and not one.may_sign else "",
    }


def _finding(desk: WaiverDesk, one: Finding, login: str, model: str, now: datetime) -> dict[str, Any]:
    people = desk.desk.people()
    refused = desk.may_not_close(login, one, model) if one.is_open else ""
    state = "closed" if not one.is_open else "overdue" if one.is_overdue(now) else "open"
    return {
        "id": one.id,
        "state": state,
        "icon": {"closed": "pass", "overdue": "block", "open": "wait"}[state],
        "text": one.text,
        "owner": people.name(one.owner),
        "due": words.day(one.due.isoformat()),
        "raised": f"{people.name(one.raised_by)} as {people.role_title(one.role)}, with {one.version}",
        "closed": f"{people.name(str(one.closed_by))}: {one.how}" if not one.is_open else "",
        "may_close": one.is_open and not refused,
        "why_not": refused,
    }
