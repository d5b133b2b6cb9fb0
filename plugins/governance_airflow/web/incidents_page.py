"""What the page of a model's incidents shows: what serves, the incidents with their timelines, and a way to stop it."""

from typing import Any
from urllib.parse import quote

from governance.catalog import People, model_folders
from governance.errors import InputError
from governance.release import drill
from governance.release.stop import LONGEST_REASON, SHORTEST_REASON
from governance.reports import words
from governance.review import entries
from governance.review.incident_desk import LONGEST_REVIEW, SHORTEST_REVIEW, IncidentDesk
from governance.review.incidents import Incident

CAUSES = {
    "rolled_back": "rolled back",
    "kept": "no version to roll back to",
    "stopped": "stopped",
    "called": "the monitor calls people",
    "break_glass": "released without all signatures",
}


def context(desk: IncidentDesk, model: str, login: str, root: str) -> dict[str, Any]:
    """Return what the template needs.

    Args:
        desk: Where incidents come from.
        model: The model.
        login: Who reads.
        root: The path of the application.
    """
    known, people, ledger = desk.incidents(model), desk.desk.people(), desk.desk.ledger
    serving = entries.champion_entry(ledger, model)
    halt = None if serving else entries.halt_of(ledger, model)
    return {
        "title": f"Incidents of {model}",
        "model": model,
        "tier": desk.desk.policy(model).tier,
        "api": f"{root}/api/models/{quote(model)}",
        "serving": serving.data["version"] if serving else "",
        "stopped": halt.sentence if halt else "",
        "drill": _drill(drill.last(ledger, model)),
        "incidents": [_incident(desk, one, people, login) for one in known],
        "may_stop": not desk.may_not_stop(login, model),
        "why_not_stop": desk.may_not_stop(login, model),
        "reason_lengths": (SHORTEST_REASON, LONGEST_REASON),
        "review_lengths": (SHORTEST_REVIEW, LONGEST_REVIEW),
    }


def waiting(desk: IncidentDesk, login: str, root: str) -> list[dict[str, str]]:
    """Return the open incidents that a person may close, as rows of the Inbox."""
    rows = []
    for model in [folder.name for folder in model_folders(desk.desk.settings)]:
        try:
            known = desk.incidents(model)
        except InputError:
            continue  # a folder that has faults: the list of models says so
        rows += [_waiting(one, root) for one in known if one.is_open and not desk.may_not_close(login, one)]
    return rows


def _waiting(one: Incident, root: str) -> dict[str, str]:
    return {
        "what": "Review an incident",
        "name": one.model,
        "title": one.reason,
        "href": f"{root}/incidents/{quote(one.model)}#i-{one.id}",
        "outcome": "block" if one.cause in ("kept", "break_glass") else "warn",
        "happened": CAUSES[one.cause],
        "stands": _instead(one),
        "asked": words.moment(one.opened.at),
        "ends": "open",
        "remaining": "until somebody reviews it",
    }


def _incident(desk: IncidentDesk, one: Incident, people: People, login: str) -> dict[str, Any]:
    refused = desk.may_not_close(login, one) if one.is_open else ""
    closing = one.closing
    return {
        "id": one.id,
        "state": "open" if one.is_open else "closed",
        "icon": "wait" if one.is_open else "pass",
        "cause": CAUSES[one.cause],
        "reason": one.reason,
        "instead": _instead(one),
        "opened": f"{words.moment(one.opened.at)} UTC, {people.name(one.opened_by)}",
        "decision": one.decision or "",
        "timeline": [(f"{event.at:%d %b %H:%M:%S}", event.what, event.entry) for event in desk.timeline(one)],
        "closed": f"{people.name(closing['person'])}: {closing['review']}" if closing else "",
        "may_close": one.is_open and not refused,
        "why_not": refused,
    }


def _drill(one: drill.DrillOutcome | None) -> dict[str, Any] | None:
    """Return the last rollback drill, for people to read."""
    if one is None:
        return None
    steps = [(step, f"{seconds:.1f}") for step, seconds in one.seconds.items() if step in drill.STEPS]
    return {
        "icon": "pass" if one.in_time else "warn" if one.total is not None else "block",
        "at": f"{words.moment(one.at)} UTC",
        "reason": one.reason,
        "steps": steps if one.total is not None else [],
    }


def _instead(one: Incident) -> str:
    before, after = (version["version"] if version else "nothing" for version in (one.before, one.after))
    if one.cause == "break_glass":
        return f"{after} is permitted, {before} served"
    return f"{before} serves on" if one.cause in ("kept", "called") else f"{after} serves instead of {before}"
