"""Incidents: a version that was taken out of service, from why it was to what people made of it afterwards.

One is opened by every rollback and every stop, by a rollback that found no version to go back to, by a window for which
the monitor calls people, and by a break-glass release, which brings a version in without all signatures. It stays open
until a person of a role that approves the model, not one of its developers and nobody who acted, closes it with a
review. A closing is signed by the review key, as that of a finding.

The timeline is not written but read: from the ledger's own entries, in its order. *Told* is what was handed to Slack;
not guaranteed is that anybody read it.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from governance import canonical
from governance.errors import TamperedError
from governance.keys import PublicKeys
from governance.ledger.log import Entry, Ledger
from governance.review import approvals, break_glass, entries
from governance.review.break_glass import BreakGlass

FORMAT = "governance-incident-closed/1"
PURPOSE = "incident"
OPENED, CLOSED = "incident", "incident_closed"
"""Kinds of entries in the ledger."""

CAUSES: Mapping[str, str] = {"rollback": "rolled_back", "no_rollback": "kept", "stop": "stopped"}
"""Kind of the entry that changed what serves (or could not) → cause."""

BREAK_GLASS = "break_glass"
"""The cause where signatures were missing."""

CALLED = "called"
"""The cause where the monitor can do nothing itself: it serves on, and people must look."""

SHOWN = (
    "operation", "resume", "rollback", "no_rollback", "stop", "release", "revert", "served", "refused",
    "break_glass", "break_glass_signature", "permit",
)  # fmt: skip
"""Kinds of entries that belong into every timeline; what tells of the incident itself, and its closing, are added."""

SENTENCES: Mapping[str, str] = {
    "operation": "{who} asked for a rollback: {reason}",
    "decided operation": "monitor_{model} asked for a rollback, in a run that {who} started: {reason}",
    "resume": "{version} may be loaded again, for it is being brought back.",
    "rollback": "{version} serves again, verified and tested live.",
    "no_rollback": "There is no version to roll back to. {version} serves on.",
    "stop": "{who} stopped the model; {version} served. {reason}",
    "release": "{version} was released.",
    "revert": "{version} was moved back. {reason}",
    "served": "The scoring service began to serve {version}.",
    "refused": "The scoring service refused version {registry_version} of MLflow. {reason}",
    "message": "Told: {text}",
    "break_glass": "{who} proposed to release {version} without all signatures. {reason}",
    "break_glass_signature": "{who} signed for it.",
    "permit": "{version} is permitted.",
    OPENED: "An incident was opened.",
    CLOSED: "{who} closed the incident.",
}
"""Kind of an entry → its line in a timeline."""

LONGEST_TIMELINE = 60
"""Events that are shown at most, from the beginning."""

Json = dict[str, Any]


@dataclass(frozen=True)
class Event:
    """One line of a timeline: when, what, and the number of the ledger's entry."""

    at: datetime
    what: str
    entry: int


@dataclass(frozen=True)
class Incident:
    """A version that was taken out of service or should have been, or that came in without all signatures.

    Attributes:
        id: Its name: 16 hexadecimal digits.
        model: The model's name.
        cause: ``rolled_back``, ``kept`` (no version to go back to, it serves on), ``stopped``, ``called`` (it serves
            on, and the monitor calls people) or ``break_glass``.
        reason: Why, as the one who acted said.
        opened_by: Pseudonymous id of who acted, or the name of a service.
        opened: The entry that opened it.
        change: Key of the entry that changed what serves.
        decision: Key of the entry that asked for it, if one did.
        before: What served: ``version``, ``registry_version``, ``evidence``; ``None`` where nothing did.
        after: What served afterwards, likewise.
        closing: The signed closing: ``person``, ``role``, ``review``, ``closed_at``; ``None`` while it is open.
        closed: Number of the entry that closed it.
        acted: Everybody who acted.
        closed: Number of the entry that closed it.
    """

    id: str
    model: str
    cause: str
    reason: str
    opened_by: str
    opened: Entry
    change: str
    decision: str | None
    before: Json | None
    after: Json | None
    closing: Json | None = None
    closed: int | None = None
    acted: tuple[str, ...] = ()

    @property
    def is_open(self) -> bool:
        """Whether nobody has closed it."""
        return self.closing is None


def open_incident(ledger: Ledger, change: Entry, *, actor: str, run_id: str | None = None) -> Entry:
    """Open the incident of a change, once.

    Args:
        ledger: The record, with the rights of the pipeline or of the review identity.
        change: A ``rollback``, ``no_rollback`` or ``stop``.
        actor: Pseudonymous id of who acted, or the name of a service.
        run_id: The run that did it, if one did.
    """
    names = ("version", "registry_version", "evidence")
    said = change.data
    held = {name: said[name] for name in names} if said["evidence"] else None
    before = said.get("previous", held)
    data = {
        "cause": CAUSES[change.kind],
        "reason": said["reason"],
        "change": change.key,
        "decision": said.get("decision"),
        "operation": said.get("operation"),
        "before": before,
        "after": held if change.kind != "stop" else None,
        "run_id": run_id,
    }
    return ledger.append(OPENED, change.subject, data, actor=actor, key=f"{OPENED}:{change.key}")


def open_call(ledger: Ledger, decided: Entry, serving: Entry, known: Sequence[Incident]) -> Entry:
    """Open the incident of a window for which people are called, or return the one that is open about the same.

    A fault that lasts is called out every morning; it is one incident until somebody has reviewed it.

    Args:
        ledger: The record, with the rights of the pipeline.
        decided: The entry of the decision.
        serving: The release of what served when the window ended.
        known: The model's incidents.
    """
    rule, key = decided.data["decision"]["rule"], f"{OPENED}:{decided.key}"
    if (mine := ledger.get(key)) is not None:
        return mine
    serves = {name: serving.data[name] for name in ("version", "registry_version", "evidence")}
    for one in known:
        same = one.before is not None and one.before["evidence"] == serves["evidence"]
        if one.is_open and one.cause == CALLED and same and one.opened.data["rule"] == rule:
            return one.opened
    data = {
        "cause": CALLED,
        "rule": rule,
        "reason": decided.data["reason"],
        "change": decided.key,
        "decision": decided.key,
        "operation": None,
        "before": serves,
        "after": serves,
        "run_id": decided.data["run_id"],
    }
    return ledger.append(OPENED, decided.subject, data, actor=decided.actor, key=key)


def open_break_glass(ledger: Ledger, permit: Entry) -> Entry:
    """Open the incident of a permit that rests on a break-glass release, once.

    Args:
        ledger: The record, with the rights of the review identity.
        permit: The entry of that permit.
    """
    issued = permit.data["permit"]
    one = BreakGlass.from_dict(issued["break_glass"])
    serving = entries.champion_entry(ledger, permit.subject)
    names = ("version", "registry_version", "evidence")
    data = {
        "cause": BREAK_GLASS,
        "reason": one.proposal["reason"],
        "change": permit.key,
        "decision": None,
        "operation": f"{break_glass.PROPOSED}:{one.digest}",
        "before": {name: serving.data[name] for name in names} if serving else None,
        "after": {name: issued[name] for name in names},
        "until": one.proposal["until"],
        "acted": [signed.decision["person"] for signed in one.signatures],
        "run_id": None,
    }
    return ledger.append(OPENED, permit.subject, data, actor=permit.actor, key=f"{OPENED}:{permit.key}")


def id_of(entry: Entry) -> str:
    """Return the name of the incident that an entry opened."""
    return canonical.digest({"incident": entry.key})[:16]


def of_model(ledger: Ledger, model: str, keys: PublicKeys) -> list[Incident]:
    """Return every incident of a model, newest first."""
    closings = {found[0]["incident"]: found for entry in ledger.find(CLOSED, model) if (found := _closing(entry, keys))}
    known = (_incident(entry) for entry in ledger.find(OPENED, model, newest_first=True))
    return [_closed(one, closings.get(one.id)) for one in known]


def open_by_model(ledger: Ledger, keys: PublicKeys) -> Counter[str]:
    """Return how many incidents of each model nobody has closed."""
    closed = {found[0]["incident"] for entry in ledger.find(CLOSED) if (found := _closing(entry, keys))}
    return Counter(entry.subject for entry in ledger.find(OPENED) if id_of(entry) not in closed)


def timeline(ledger: Ledger, incident: Incident, names: Mapping[str, str]) -> list[Event]:
    """Return what happened, from the decision or request to the closing, in the order of the ledger.

    Args:
        ledger: The record.
        incident: The incident.
        names: Pseudonymous id → name.
    """
    asked = [incident.decision, incident.opened.data["operation"], incident.change]
    began = [entry for key in asked if key and (entry := ledger.get(key))]
    first = min(entry.seq for entry in [*began, incident.opened])
    found = {entry.seq: entry for entry in [*began, incident.opened]}
    for entry in ledger.find(subject=incident.model, after=first - 1):
        if incident.closed is not None and entry.seq > incident.closed:
            break
        if entry.kind in SHOWN or entry.seq == incident.closed or _tells(entry, incident):
            found[entry.seq] = entry
    events = (Event(entry.at, _sentence(entry, names), entry.seq) for _, entry in sorted(found.items()))
    return list(_first_of_a_kind(events))[:LONGEST_TIMELINE]


def told(entry: Entry, team: str) -> str:
    """Return what people are told of an incident that was opened, in a sentence or two."""
    data, model = entry.data, entry.subject
    before = data["before"]["version"] if data["before"] else "nothing"
    after = data["after"]["version"] if data["after"] else "nothing"
    what = {
        "rolled_back": f"{model} was rolled back: {after} serves instead of {before}.",
        "kept": f"{model} {before} should not serve, and there is no version to roll back to: it serves on. Act now.",
        "stopped": f"{model} was stopped: {before} served, and nothing does.",
        CALLED: f"{model} {before} serves on, and somebody must look.",
        BREAK_GLASS: f"{model} {after} is released without all signatures, by break-glass until {data.get('until')}.",
    }[data["cause"]]
    return f"{what} {team}: {data['reason']} An incident is open until somebody reviews it."


def _incident(entry: Entry) -> Incident:
    names = ("cause", "reason", "change", "decision", "before", "after")
    said = {name: entry.data[name] for name in names}
    acted = tuple(entry.data.get("acted") or [entry.actor])
    return Incident(id=id_of(entry), model=entry.subject, opened_by=entry.actor, opened=entry, acted=acted, **said)


def _closing(entry: Entry, keys: PublicKeys) -> tuple[Json, int] | None:
    """Return a closing that the review key signed, and no other."""
    closing: Json = dict(entry.data["closing"])
    try:
        keys.verify(closing, str(entry.data["signature"]), PURPOSE, approvals.KEY)
    except TamperedError:
        return None
    return (closing, entry.seq) if closing.get("format") == FORMAT else None


def _closed(incident: Incident, found: tuple[Json, int] | None) -> Incident:
    return replace(incident, closing=found[0], closed=found[1]) if found else incident


def _tells(entry: Entry, incident: Incident) -> bool:
    called = incident.decision if incident.cause == CALLED else None
    ours = [key for key in (incident.opened.key, incident.opened.data["operation"], called) if key]
    return entry.kind == "message" and any(key in entry.key for key in ours)


def _first_of_a_kind(events: Iterator[Event]) -> Iterator[Event]:
    """Leave out what says the same as the line before: several scoring services say it each."""
    last = None
    for event in events:
        if event.what != last:
            yield event
        last = event.what


def _sentence(entry: Entry, names: Mapping[str, str]) -> str:
    data = entry.data
    said = {name: data.get(name) for name in ("reason", "registry_version", "text")}
    within = data.get("proposal") or data.get("permit") or data  # whose version an entry speaks of
    said["reason"] = data.get("reason") or within.get("reason")
    who, version = names.get(entry.actor, entry.actor), within.get("version") or "nothing"
    kind = "decided operation" if entry.kind == "operation" and data.get("decision") else entry.kind
    if kind in SENTENCES:
        return SENTENCES[kind].format(who=who, version=version, model=entry.subject, **said)
    return _decided(data) or f"{who} entered: {entry.kind}."


def _decided(data: Mapping[str, Any]) -> str:
    """Return what a decision of the monitoring says of itself, in whichever field it does."""
    said: Sequence[Any] = [data.get(name) for name in ("sentence", "reason")]
    return next((f"Decided: {one}" for one in said if isinstance(one, str) and one), "")
