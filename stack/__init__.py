"""The whole system on one machine: PostgreSQL, MLflow, Airflow and the scoring service as plain processes.

For the demo, the tests and an engineer's laptop; ``docker-compose.yaml`` is the production shape and takes its
commands and variables from the same place (:mod:`stack.services`). Nothing here needs root, Docker or a network.
Everything that is not in version control lives in one state folder, so several stacks run side by side and
deleting the folder forgets one.

Not guaranteed: that identities are separated. Each process gets only the passwords and keys of its own identity,
but under one operating-system user any process can read the files of any other. The compose file separates them.
"""
