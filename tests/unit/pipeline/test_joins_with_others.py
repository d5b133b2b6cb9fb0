"""What Spark and dbt write joins our graph: their integrations name a table as we name what a model reads."""

import pytest

from governance.pipeline.datasets import raw
from tests.unit.data.lakes import SECRET, only

# As the integrations write them; the parts of their events that name data sets.
SPARK = {
    "eventType": "COMPLETE",
    "producer": "https://github.com/OpenLineage/OpenLineage/tree/1.40.0/integration/spark",
    "job": {"namespace": "spark", "name": "prepare.execute_insert_into_hadoop_fs_relation_command.applications"},
    "outputs": [
        {"namespace": "s3://lake", "name": "credit/applications.parquet"},
        {"namespace": "s3://lake", "name": "credit/applications"},
        {"namespace": "file", "name": "/data/applications.parquet"},
    ],
}
DBT = {
    "eventType": "COMPLETE",
    "producer": "https://github.com/OpenLineage/OpenLineage/tree/1.40.0/integration/dbt",
    "job": {"namespace": "dbt", "name": "warehouse.credit.bank.applications"},
    "outputs": [{"namespace": "postgres://db.bank.example:5432", "name": "warehouse.credit.applications"}],
}
WAREHOUSE = {"GOVERNANCE_SQL_WAREHOUSE": f"postgresql+psycopg2://reader:{SECRET}@db.bank.example/warehouse"}


def wrote(event):
    return {(one["namespace"], one["name"]) for one in event["outputs"]}


@pytest.mark.parametrize(
    ("event", "source"),
    [
        (SPARK, "s3://lake/credit/applications.parquet"),
        (SPARK, "delta:s3://lake/credit/applications@7"),
        (SPARK, "/data/applications.parquet"),
        (DBT, "sql:warehouse/credit.applications"),
        (DBT, "sql:warehouse/applications.sql"),
    ],
)
def test_what_another_system_wrote_is_what_a_model_reads(tmp_path, event, source):
    (tmp_path / "applications.sql").write_text("SELECT * FROM credit.applications WHERE decided ORDER BY id")
    with only(WAREHOUSE):
        read = {(one.namespace, one.name) for one in raw(source, tmp_path)}

    assert len(read & wrote(event)) == 1
