"""The steps of ``rollback_<model>``: choose, restore, open an incident.

Restoring verifies, moves the alias, waits until it serves and tests it live, and goes on with the next version where
one fails: these are one step, for a version is chosen by whether it passes.
"""

from datetime import UTC, datetime
from typing import Any

from governance.errors import InputError
from governance.ledger.log import Entry
from governance.pipeline import datasets
from governance.pipeline.operation import Operation
from governance.pipeline.release import served
from governance.pipeline.run import Message, Step
from governance.records import Lineage
from governance.release import rollback
from governance.review import incidents

Json = dict[str, Any]


def choose_target(operation: Operation) -> Step:
    """Say what is to be left, and what may come back, the first choice first."""
    asked = operation.asked.data
    found = rollback.targets(operation.settings, operation.ledger, operation.model, datetime.now(UTC))
    serving = asked["serving"]
    summary = {
        "serving": serving["version"] if serving else None,
        "targets": [asked["to"]] if asked["to"] else [target.version for target in found],
        "reason": asked["reason"],
    }
    read = [datasets.endpoint(operation.model, serving["version"])] if serving else []
    asked_for = operation.ledger.get(asked["decision"]) if asked["decision"] else None
    read += [datasets.decided(operation.model, asked_for.leaf)] if asked_for else []
    return Step(summary, Lineage(read, [datasets.rollback(operation.model, operation.asked.leaf)]))


def restore(operation: Operation) -> Step:
    """Bring the first version back that can come back; where none can, do what the tier says."""
    asked = operation.asked.data
    done = rollback.roll_back(
        operation.settings,
        operation.ledger,
        model=operation.model,
        actor=operation.asked.actor,
        reason=asked["reason"],
        key=operation.key,
        to=asked["to"],
        decision=asked["decision"],
    )
    summary = {"action": done.action, "version": done.version, "evidence": done.evidence, "tried": list(done.tried)}
    asked_for = datasets.rollback(done.model, operation.asked.leaf)
    if done.action != "rolled_back":
        return Step(summary, Lineage([asked_for]))
    entry = operation.ledger.get(done.entry)
    manifest = entry.data["manifest"] if entry else ""
    lineage = Lineage(
        [asked_for, datasets.permit(done.model, str(done.evidence)), datasets.model_version(done.model, manifest)],
        served(
            operation.settings,
            operation.ledger,
            operation.spec,
            str(done.version),
            str(done.evidence),
            asked["serving"],
        ),
    )
    return Step(summary, lineage)


def open_incident(operation: Operation) -> Step:
    """Open an incident and tell people; where nothing came back, end the run red, so that somebody looks."""
    change = _change(operation)
    entry = incidents.open_incident(operation.ledger, change, actor=operation.asked.actor, run_id=operation.run_id)
    text = incidents.told(entry, operation.spec.owner.team)
    path = f"/plugin/governance/incidents/{operation.model}"
    message = Message(entry.key, entry.data["cause"], text, path, incidents.id_of(entry))
    failed = None if entry.data["cause"] == "rolled_back" else text
    lineage = Lineage(
        [datasets.rollback(operation.model, operation.asked.leaf)],
        [datasets.incident(operation.model, incidents.id_of(entry))],
    )
    return Step({"incident": incidents.id_of(entry)}, lineage, [message], failed=failed)


def _change(operation: Operation) -> Entry:
    for kind in ("rollback", "no_rollback", "stop"):
        entry = operation.ledger.get(f"{kind}:{operation.key}")
        if entry is not None:
            return entry
    raise InputError(
        f"Expected what came of rollback {operation.run_id} in the ledger, found nothing: clear `restore`."
    )
