"""Who starts a run where no person does, and why. Light: every parse of the DAG files reads it."""

MONITORING, SCHEDULE = "monitoring", "schedule"
"""They are nobody in people.yaml, and so sign nothing."""

ON_SCHEDULE = "Trained again on schedule, as model.yaml says."
"""Why the schedule starts one. A person who starts one has a reason of their own."""
