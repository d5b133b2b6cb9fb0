"""The pages inside Airflow's UI, and the JSON API that they and other systems use."""
