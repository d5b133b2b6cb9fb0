"""The DAGs as Airflow reads them; no database, no network."""

import os
import tempfile

import pytest

# Airflow reads its configuration when it is first imported.
os.environ.setdefault("AIRFLOW_HOME", tempfile.mkdtemp(prefix="airflow-"))
os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"


@pytest.fixture(scope="session")
def dag_bag():
    from airflow.dag_processing.dagbag import DagBag

    from governance.settings import ROOT

    return DagBag(ROOT / "dags")


@pytest.fixture
def govern_loan(dag_bag):
    return dag_bag.dags["govern_loan"]
