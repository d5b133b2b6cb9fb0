"""What a decision starts: the run that carries it out, named by the decision, so that it is started once."""

from dataclasses import dataclass, field
from typing import Any

from governance.ledger.log import Entry
from governance.monitoring.decide import HEADLINES
from governance.monitoring.watch import DECIDED, Watch
from governance.pipeline import datasets
from governance.records import Lineage

Json = dict[str, Any]

DAGS = {"retrain": "govern", "roll_back": "rollback"}
"""Action → how the id of the DAG begins that carries it out."""


@dataclass(frozen=True)
class Order:
    """A DAG run to be started.

    Attributes:
        run_id: Its id: the same decision gives the same.
        conf: Its configuration: the reason, and the key of the decision in the ledger.
        lineage: The decision that it carries out.
    """

    run_id: str
    conf: Json
    lineage: Lineage = field(default_factory=Lineage)


def order_of(watch: Watch, action: str) -> Order | str:
    """Return what an action starts for a window, or why it starts nothing.

    Raises:
        InputError: Nothing was decided yet.
    """
    entry = watch.need(DECIDED)
    found = entry.data["decision"]
    if found["action"] != action:
        return f"Decided was: {HEADLINES[found['action']]}."
    if entry.data["dry_run"]:
        return f"Decided was to {HEADLINES[action]}, but this model's monitoring is a dry run (model.yaml)."
    reason = " ".join(found["because"])[:1000]
    target = {"to": found["target"]["version"]} if found["target"] else {}
    carried_out = Lineage([datasets.decided(watch.model, entry.leaf)], [datasets.order(watch.model, _run_id(entry))])
    return Order(_run_id(entry), {"reason": reason, "decision": entry.key, **target}, carried_out)


def started_by(entry: Entry) -> tuple[str, str] | None:
    """Return DAG and run that carry a decision out; ``None`` where it starts nothing.

    Args:
        entry: The decision.
    """
    action = entry.data["decision"]["action"]
    if action not in DAGS or entry.data["dry_run"]:
        return None
    return f"{DAGS[action]}_{entry.subject}", _run_id(entry)


def _run_id(entry: Entry) -> str:
    return f"{entry.data['decision']['action']}-{entry.leaf[:24]}"
