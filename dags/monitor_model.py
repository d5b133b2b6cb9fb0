"""## monitor_<model>

Looks at what production saw since the last time: collect → measure → decide → retrain or roll back, or nothing.
Evidently's report of the window is kept in MLflow afterwards (`report`); nothing waits for it, and nothing rests on it.
One DAG for each folder in `include/models/`; daily at 06:00, or as `monitoring:` in model.yaml says.

**Normal**: seconds. Both last tasks are skipped on most days; what was decided, and why, is in the log of `decide` and
in `governance decision <model>`.
**Red**: open the red task's log; its last line says what was expected, what was found and what to do. Clear the task:
nothing is decided, triggered or told twice. A day that was missed is filled in by a backfill, and decided as it would
have been on the day: what arrived later than its cut-off is not seen.
**By hand**: trigger it with `since` and `until`; without, it looks at the last 24 hours.
"""

from typing import Any

from airflow.sdk import DAG, CronDataIntervalTimetable, Param, chain, get_parsing_context

from governance_airflow.models import common, governed_models
from governance_airflow.operators.watch import ActOperator as Act
from governance_airflow.operators.watch import DecideOperator as Decide
from governance_airflow.operators.watch import WatchOperator as Watch
from governance_airflow.runbook import for_task

MOMENT = {"type": ["null", "string"], "format": "date-time"}
FORM = {
    "since": Param(None, description="First moment of the window; by default a day before its end.", **MOMENT),
    "until": Param(None, description="First moment after the window; by default the end of the interval.", **MOMENT),
    "as_of": Param(
        None, description="What arrived later is not seen; by default half a minute after its end.", **MOMENT
    ),
}

LAST: dict[str, Any] = {"priority_weight": 0, "max_active_tis_per_dag": 1}
"""What nothing waits for takes nobody's place: one at a time, after everything else."""

# The DAG processor asks for all of them, a running task for its own only.
wanted = get_parsing_context().dag_id

for model in governed_models(only=wanted):
    with DAG(
        dag_id=f"monitor_{model.name}",
        description=f"Watches: {model.title}",
        doc_md=__doc__,
        schedule=CronDataIntervalTimetable(model.schedule[0], timezone=model.schedule[1]),
        max_active_runs=4,
        **common(model, "monitor"),
    ) as governed:
        of = {"model": model.name}
        collect = Watch(task_id="collect", step="collect", doc_md=for_task("collect"), **of)
        measure = Watch(task_id="measure", step="measure", doc_md=for_task("watch"), **of)
        decide = Decide(task_id="decide", step="decide", doc_md=for_task("decide"), **of)
        retrain = Act(action="retrain", trigger_dag_id=f"govern_{model.name}", doc_md=for_task("act"), **of)
        roll_back = Act(action="roll_back", trigger_dag_id=f"rollback_{model.name}", doc_md=for_task("act"), **of)
        report = Watch(task_id="report", step="report", doc_md=for_task("report"), **LAST, **of)

        chain(collect, measure, decide, [retrain, roll_back, report])

    governed.params = FORM  # given last: Airflow would copy it into each task, which takes longer than all the rest
