"""Everything that knows Airflow: the sensor, lineage, Slack, and the pages and API inside Airflow's UI."""
