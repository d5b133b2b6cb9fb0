"""## rollback_<model>

Takes the model back to its last version whose permit is valid: choose → restore → open an incident. Triggered by
`monitor_<model>` with its decision, or by hand with a reason. One at a time for each model.

**Normal**: about ten seconds until the earlier version serves, verified from its bytes and tested live.
**Red** `restore`: nothing was moved, or what served before serves again; the log's last line says why. Clear it once
that is mended: a rollback is done once, however often it is tried.
**Red** `open_incident`: there was no version to go back to. The tier says whether the model serves on or is stopped
(`no_rollback_target`), the message says which: act now. Clearing changes nothing.
To take a model out of service at once: `governance stop MODEL --reason …`, or the button on its incidents page.
"""

from datetime import timedelta

from airflow.sdk import DAG, chain, get_parsing_context

from governance_airflow.models import common, governed_models
from governance_airflow.operators.step import StepOperator as Step
from governance_airflow.rollback_form import FORM
from governance_airflow.runbook import for_task

# The DAG processor asks for all of them, a running task for its own only.
wanted = get_parsing_context().dag_id

for model in governed_models(only=wanted):
    with DAG(
        dag_id=f"rollback_{model.name}",
        description=f"{model.title}: back to the last version whose permit is valid",
        doc_md=__doc__,
        schedule=None,
        max_active_runs=1,
        **common(
            model, "rollback", retries=5, retry_delay=timedelta(seconds=5), execution_timeout=timedelta(minutes=10)
        ),
    ) as governed:
        of = {"model": model.name}
        choose = Step(task_id="choose", step="choose_target", doc_md=for_task("choose"), **of)
        restore = Step(task_id="restore", step="restore", outlets=[model.asset], doc_md=for_task("restore"), **of)
        incident = Step(task_id="open_incident", step="open_incident", doc_md=for_task("incident"), **of)

        chain(choose, restore, incident)

    governed.params = FORM  # given last: Airflow would copy it into each task, which takes longer than all the rest
