"""What a decision starts: the run that carries it out, named by the decision, so that it is started once."""

from dataclasses import dataclass
from typing import Any

from governance.monitoring.decide import HEADLINES
from governance.monitoring.watch import DECIDED, Watch

Json = dict[str, Any]


@dataclass(frozen=True)
class Order:
    """A DAG run to be started.

    Attributes:
        run_id: Its id: the same decision gives the same.
        conf: Its configuration: the reason, and the key of the decision in the ledger.
    """

    run_id: str
    conf: Json


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
    target = {"to": found["target"]["version"]} if action == "roll_back" else {}
    return Order(f"{action}-{entry.leaf[:24]}", {"reason": reason, "decision": entry.key, **target})
