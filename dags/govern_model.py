"""## govern_<model>

Takes a model from data to production: ingest → validate → train → measure → judge → [alternatives → measure → judge]
→ approve (or a standing approval did, in advance) → release → announce. One DAG for each folder in `include/models/`.

**Normal**: about a minute until it waits for signatures; then as long as people take; then about ten seconds.
**Red**: open the red task's log; its last line says what was expected, what was found and what to do. Mend that and
clear the task: no step registers, releases or tells anything twice. A red `judge` is a verdict, not a fault.
**Never** mark a task successful to get on: release verifies the permit from the bytes and releases nothing without it.
"""

from airflow.sdk import DAG, CronTriggerTimetable, TaskGroup, chain, cross_downstream, get_parsing_context

from governance_airflow.form import form
from governance_airflow.models import common, governed_models
from governance_airflow.operators.step import StepOperator as Step
from governance_airflow.runbook import for_task
from governance_airflow.sensors.approval import ApprovalSensor

MEASURED_BY = {
    "quality": ["performance", "fairness", "drift"],
    "explainability": ["explainability"],
    "behaviour": ["leakage", "robustness"],
    "operations": ["operations", "lineage"],  # last, so that what was told has arrived
}


def measure_and_judge(attempt: int, group: str, judge_id: str, **of: str) -> tuple[TaskGroup, Step]:
    """Measure an attempt, in tasks that take about as long as each other, and judge it."""
    with TaskGroup(group) as measure:
        for task_id, families in MEASURED_BY.items():
            arguments = {"attempt": attempt, "families": families}
            Step(task_id=task_id, step="measure", arguments=arguments, doc_md=for_task("measure"), **of)
    arguments = {"attempt": attempt}
    return measure, Step(task_id=judge_id, step="judge", arguments=arguments, doc_md=for_task("judge"), **of)


# The DAG processor asks for all of them, a running task for its own only.
wanted = get_parsing_context().dag_id

for model in governed_models(only=wanted):
    with DAG(
        dag_id=f"govern_{model.name}",
        description=model.title,
        doc_md=__doc__,
        schedule=CronTriggerTimetable(model.retrained[0], timezone=model.retrained[1]) if model.retrained else None,
        max_active_runs=16,
        **common(model, "govern"),
    ) as governed:
        of = {"model": model.name}
        ingest = Step(task_id="ingest", step="ingest", doc_md=for_task("ingest"), **of)
        validate = Step(task_id="validate", step="validate", doc_md=for_task("validate"), **of)
        train = Step(task_id="train", step="train", doc_md=for_task("train"), **of)

        measure, judge = measure_and_judge(1, "measure", "judge", **of)
        search = Step(task_id="search_alternatives", step="search_alternatives", doc_md=for_task("search"), **of)
        measure_again, judge_again = measure_and_judge(2, "measure_alternative", "judge_alternative", **of)

        in_advance = [
            Step(task_id="standing_approval", step=step, doc_md=for_task("standing"), **of) for step in model.in_advance
        ]
        approvals = [
            ApprovalSensor(
                task_id=f"approve_{role}",
                role=role,
                retries=5,  # of what Airflow loses on a busy machine; a reject or an expiry ends it at once
                retry_exponential_backoff=False,
                execution_timeout=None,
                trigger_rule="none_failed",  # the alternative's tasks are skipped where none was needed
                doc_md=for_task("approve"),
                **of,
            )
            for role in model.roles
        ]
        release = Step(
            task_id="release",
            step="release",
            outlets=[model.asset],
            trigger_rule="none_failed",
            doc_md=for_task("release"),
            **of,
        )
        announce = Step(task_id="announce", step="announce", doc_md=for_task("announce"), **of)

        chain(ingest, validate, train, measure, judge, search, measure_again, judge_again)
        cross_downstream([judge, judge_again], [*approvals, release])
        cross_downstream([judge], in_advance)
        cross_downstream(in_advance, approvals)
        chain(approvals, release, announce)

    # Given last: Airflow would copy it into each task, which takes longer than all the rest.
    governed.params = form(scheduled=model.retrained is not None)
