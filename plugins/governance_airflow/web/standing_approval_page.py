"""What the page of a model's standing approvals shows: what is signed in advance, as finished text."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

from governance.catalog import People
from governance.errors import InputError
from governance.reports import words
from governance.review import standing_approval
from governance.review.standing_approval import LONGEST_REASON, SHORTEST_REASON
from governance.review.standing_approval_desk import StandingApprovalDesk, StandingApprovalView

ICONS = {"in force": "pass", "open": "wait", "rejected": "block", "ended": "na", "used up": "na", "void": "na"}

TITLES = {
    "performance.accuracy_change": "accuracy",
    "performance.roc_auc_change": "ROC AUC",
    "performance.brier_change": "Brier score",
    "performance.log_loss_change": "log loss",
    "performance.mae_change": "mean absolute error",
    "performance.rmse_change": "root mean squared error",
}


def context(desk: StandingApprovalDesk, model: str, login: str, root: str) -> dict[str, Any]:
    """Return what the template needs.

    Args:
        desk: Where standing approvals come from.
        model: The model.
        login: Who reads.
        root: The path of the application.
    """
    office, today = desk.office(model), datetime.now(UTC).date()
    allowed = office.policy.standing_approvals
    margins = allowed.margins_of(office.spec.task) if allowed else {}
    serving = desk.serving(model)
    return {
        "title": f"Standing approvals of {model}",
        "model": model,
        "tier": office.policy.tier,
        "api": f"{root}/api/models/{quote(model)}/standing-approvals",
        "approvals": [_approval(one, office.people) for one in desk.views(model, login)],
        "signers": " and ".join(office.people.role_title(role) for role in office.policy.approvals.roles),
        "serving": serving,
        "review": f"{root}/review/{quote(model)}/{quote(serving)}" if serving else "",
        "why_not": desk.may_not_propose(model, login),
        "margins": [(name, TITLES[name], f"{margin:g}") for name, margin in margins.items()],
        "most": allowed.most_releases if allowed else 0,
        "longest": allowed.longest_days if allowed else 0,
        "today": today.isoformat(),
        "latest": (today + timedelta(days=allowed.longest_days if allowed else 0)).isoformat(),
        "reason_lengths": (SHORTEST_REASON, LONGEST_REASON),
    }


def waiting(desk: StandingApprovalDesk, login: str, root: str) -> list[dict[str, str]]:
    """Return the standing approvals that a person may sign now, as rows of the Inbox."""
    models = dict.fromkeys(entry.subject for entry in desk.desk.ledger.find(standing_approval.PROPOSED))
    people, rows = desk.desk.people(), []
    for model in models:
        try:
            open_ = [one for one in desk.views(model, login) if one.may_sign]
        except InputError:
            continue  # a folder that is gone or has faults: the list of models says so
        rows += [_waiting(model, one, people, root) for one in open_]
    return rows


def _waiting(model: str, one: StandingApprovalView, people: People, root: str) -> dict[str, str]:
    titles = [people.role_title(role) for role in one.may_sign]
    signed = [role for _, role, answer in one.signed if answer == "approve"]
    return {
        "what": f"Sign in advance as {words.listed(titles, 'or')}",
        "name": model,
        "title": f"{words.plural(one.releases, 'version')} after {one.baseline}",
        "href": f"{root}/standing-approvals/{quote(model)}#s-{one.digest[:12]}",
        "outcome": "warn",
        "happened": f"proposed by {one.proposed_by}",
        "stands": f"{words.listed(signed)} signed" if signed else "nobody has signed",
        "asked": words.moment(one.proposed_at),
        "ends": words.day(one.until.isoformat()),
        "remaining": "its last day",
    }


def _approval(one: StandingApprovalView, people: People) -> dict[str, Any]:
    answers = [
        f"{name} {'signed' if answer == 'approve' else 'rejected'} as {role}" for name, role, answer in one.signed
    ]
    missing = [f"{count} × {title}" if count > 1 else title for title, count in one.missing.items()]
    return {
        "digest": one.digest,
        "status": one.status,
        "icon": ICONS[one.status],
        "baseline": one.baseline,
        "margins": words.listed([_margin(name, margin) for name, margin in one.margins.items()]),
        "at_worst": _at_worst(one.margins, one.releases),
        "let": f"{len(one.used)} of {one.releases}",
        "used": words.listed(list(one.used)),
        "reason": one.reason,
        "until": words.day(one.until.isoformat()),
        "permits_end": words.day(one.permits_end.date().isoformat()),
        "proposed": f"{one.proposed_by}, {words.moment(one.proposed_at)}",
        "signed": words.listed(answers) if answers else "Nobody has signed.",
        "missing": f"Missing: {words.listed(missing)}." if missing else "",
        "fault": f"Void: {one.fault}." if one.fault else "",
        "may_sign": [(role, people.role_title(role)) for role in one.may_sign],
        "may_reject": [(role, people.role_title(role)) for role in one.may_reject],
        "why_not": one.why_not if one.status == "open" and not one.may_sign else "",
    }


def _margin(name: str, margin: float) -> str:
    return f"{TITLES.get(name, name)} {margin:g}"


def _at_worst(margins: Mapping[str, float], releases: int) -> str:
    """Say what the margins come to if every version uses them up, for each is compared with the one before it."""
    together = [_margin(name, margin * releases) for name, margin in margins.items()]
    return f"At worst, over {words.plural(releases, 'version')}: {words.listed(together)}." if releases > 1 else ""
