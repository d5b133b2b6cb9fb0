"""Decide about the window, record it, and say so to people where something is done or somebody must look."""

from dataclasses import replace
from typing import Any

from governance.ledger.log import Entry
from governance.monitoring.contract import differs
from governance.monitoring.decision import SHARE, Decision, Refused, Seen, decide
from governance.monitoring.facts import measurements_of, validated_of
from governance.monitoring.standing import standing_of
from governance.monitoring.watch import DECIDED, WATCHED, WINDOW, Watch
from governance.pipeline import datasets
from governance.pipeline.run import Message, Step
from governance.records import Lineage
from governance.review import incidents

Json = dict[str, Any]

HEADLINES = {
    "silent": "nothing was asked",
    "data_fault": "data fault: nothing is trained on it",
    "too_few": "too few rows to decide",
    "roll_back": "roll back",
    "call": "somebody must look",
    "retrain": "train again",
    "nothing": "nothing to do",
}
"""Each action in words."""

FAULTS = {
    "form": "The request cannot be read",
    "missing": "{} is missing",
    "unknown": "A column is no feature of the model",
    "value": "{} has a value that the contract rules out",
    "protected": "Protected values are not those of the spec",
}
"""What the scoring service refuses a request for, in words."""

ACTED = ("roll_back", "retrain")
"""What a DAG is started for."""


def decide_window(watch: Watch) -> Step:
    """Decide once. What is decided is done by the tasks that follow, which believe this entry and nothing else."""
    entry = watch.entry(DECIDED) or watch.record(DECIDED, _decided(watch))
    data = entry.data["decision"]
    measured = datasets.measured(watch.model, "monitoring", watch.need(WATCHED).leaf)
    lineage = Lineage([measured], [datasets.decided(watch.model, entry.leaf, HEADLINES[data["action"]])])
    return Step({"decision": data["action"], "because": data["because"]}, lineage, list(_messages(watch, entry)))


def sentence_of(entry: Entry) -> str:
    """Return a decision in a line."""
    data = entry.data
    day = f"{data['since'][:16].replace('T', ' ')} to {data['until'][:16].replace('T', ' ')}"
    dry = " (dry run: nothing is done)" if data["dry_run"] and data["decision"]["action"] in ACTED else ""
    headline = HEADLINES[data["decision"]["action"]]
    return f"{entry.subject}, {day}: {headline}{dry}. {' '.join(data['decision']['because'])}"


def others_of(window: Entry) -> int:
    """Return how many predictions of a window were made by other versions than the one that is judged."""
    return int(sum(window.data["by_version"].values()) - window.data["rows"])


def refused_of(window: Entry) -> Refused:
    """Return what of a window was refused; windows of before this was counted say nothing of it."""
    found = window.data.get("refused") or {"requests": 0, "rows": 0, "answered": 0, "by": []}
    why = [f"{FAULTS[one['fault']].format(one['feature'])}: {one['requests']} requests." for one in found["by"][:5]]
    return Refused(found["requests"], found["rows"], found["answered"], why)


def _decided(watch: Watch) -> Json:
    window, watched = watch.need(WINDOW), watch.need(WATCHED)
    seen = Seen(
        watch.since,
        watch.until,
        window.data["rows"],
        measurements_of(watched),
        window.data["faults"],
        validated_of(watch.evidence),
        others_of(window),
        refused_of(window),
    )
    found: Decision = decide(watch.run.policy.monitoring, seen, standing_of(watch))
    share = seen.measurement(SHARE)
    champion = watch.champion.data["evidence"] if watch.champion else None
    version = watch.champion.data["version"] if watch.champion else None
    if other := differs(window, version):
        found = replace(found, because=(*found.because, other))
    return {
        "decision": found.to_dict(),
        "reason": " ".join(found.because),
        "champion": champion,
        "evidence": champion,  # what a rollback that it asks for is about
        "version": version,
        "policy": watch.policy,
        "limits": watch.run.policy.monitoring.model_dump(),
        "share_drifted": share.value if share else None,
        "window": window.key,
        "watched": watched.key,
        "dry_run": watch.run.spec.monitoring.dry_run,
    }


def _call(watch: Watch, entry: Entry, champion: Entry) -> Message:
    """Open an incident, and call people out for it: the owner's team, and the roles that the tier has review it."""
    known = incidents.of_model(watch.ledger, watch.model, watch.run.keys)
    opened = incidents.open_call(watch.ledger, entry, champion, known)
    people = watch.run.people
    roles = " or ".join(people.role_title(role) for role in watch.run.policy.approvals.roles)
    text = (
        f"{sentence_of(entry)} {watch.model} serves on. {watch.run.spec.owner.team}: look at it, and stop it if need "
        f"be. An incident is open until {roles or 'somebody'} reviews it."
    )
    path = f"/plugin/governance/incidents/{watch.model}"
    return Message(f"monitoring:{entry.key}", "call", text, path, incidents.id_of(opened))


def _messages(watch: Watch, entry: Entry) -> list[Message]:
    found = entry.data["decision"]
    if found["action"] not in ACTED and not found["tell"]:
        return []
    path = f"/dags/monitor_{watch.model}/runs/{watch.run.run_id}"
    if found["action"] == "call" and watch.champion is not None and not entry.data["dry_run"]:
        return [_call(watch, entry, watch.champion)]
    page = watch.need(WINDOW).data.get("page")
    # The address ends it, without a full stop: people open it with a click or a copied line.
    text = f"{sentence_of(entry)} The failing rows, masked: {page}" if page else sentence_of(entry)
    return [Message(f"monitoring:{entry.key}", found["action"], text, path)]
