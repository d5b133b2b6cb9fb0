"""What the trigger form of ``rollback_<model>`` asks, and what it says of each field."""

from airflow.sdk import Param

FORM = {
    "reason": Param("", type="string", minLength=5, description="Why: it stands in the incident that people review."),
    "to": Param(
        None,
        type=["null", "string"],
        description="The version to bring back, such as 1.2.0, and no other. Nothing means the one that served last, "
        "or the next one before it that can. One that was rolled back or stopped comes back only when it is named.",
    ),
    "decision": Param(
        None,
        type=["null", "string"],
        description="Key of the ledger's entry that asked for it; the monitoring fills it in. By hand: nothing.",
    ),
}
