"""## retain_predictions

Lets go of predictions, labels and protected values that are older than each model's policy keeps them
(`predictions: {days: …, regulations: […]}`), and of the windows that were frozen of them, with Evidently's reports and
the pages of failing rows in MLflow. Every Sunday, for all models; what a regulation asks for stays.

**Normal**: seconds; on most days nothing goes. What remains of a segment is its line with digest and count; of a
window, its entries in the ledger.
**Red**: a policy cannot be read, or keeps less than a regulation asks for: the log's last line says which. Nothing was
let go. Or the database, MLflow or the snapshots' storage does not answer: clear it when it does; what is recorded as
let go and is still there goes then.
"""

from datetime import UTC, datetime, timedelta

from airflow.sdk import DAG

from governance_airflow.operators.retain import RetainOperator as Retain
from governance_airflow.runbook import for_task

with DAG(
    dag_id="retain_predictions",
    description="Old predictions of all models are let go, as their policies say",
    doc_md=__doc__,
    schedule="0 4 * * 0",
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    tags=["governance", "retain"],
    default_args={"owner": "platform", "retries": 2, "execution_timeout": timedelta(hours=1)},
):
    Retain(task_id="retain", doc_md=for_task("retain"))
