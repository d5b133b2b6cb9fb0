"""## drill_<model>

Walks the way back to the last version whose permit is valid, on a shadow: a second scoring service that follows an
alias of its own. What serves does not change. Says how long each step took; the goal is 15 s.
By hand, or on the schedule that `monitoring: {drill: "0 5 1 * *"}` in model.yaml sets; without it, by hand only.

**Normal**: half a minute, most of it the start of the second service.
**Red** `drill`: there is no version to go back to, or none that still verifies; the log's last line says which, and
why. Nothing is broken now, but a rollback would end as the tier says (`no_rollback_target`). Have a version signed
that can stand in, or accept it knowingly. Or a service did not answer: clear it when it does.
"""

from datetime import timedelta

from airflow.sdk import DAG, get_parsing_context

from governance_airflow.models import common, governed_models
from governance_airflow.operators.drill import DrillOperator as Drill
from governance_airflow.runbook import for_task

# The DAG processor asks for all of them, a running task for its own only.
wanted = get_parsing_context().dag_id

for model in governed_models(only=wanted):
    with DAG(
        dag_id=f"drill_{model.name}",
        description=f"{model.title}: is there a way back, and how long does it take?",
        doc_md=__doc__,
        schedule=model.drill,
        max_active_runs=1,
        **common(model, "drill", execution_timeout=timedelta(minutes=10)),
    ):
        Drill(task_id="drill", model=model.name, doc_md=for_task("drill"))
