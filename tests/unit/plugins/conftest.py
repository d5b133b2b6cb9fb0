"""The application on the real review desk, with a ledger in memory and a login without Airflow's database."""

import os
import tempfile

# Before anything imports Airflow, which writes its configuration where this points.
os.environ.setdefault("AIRFLOW_HOME", tempfile.mkdtemp(prefix="airflow-"))
