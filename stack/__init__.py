"""The whole system on one machine: PostgreSQL, MLflow, Airflow and the scoring service as plain processes.

For the demo, the tests and an engineer's laptop. Commands and variables of every service stand in one place
(:mod:`stack.services`), for another way to run them to take from. Nothing here needs root, Docker or a network.
Everything that is not in version control lives in one state folder, so several stacks run side by side and
deleting the folder forgets one.

Not guaranteed: that identities are separated. Each process gets only the passwords and keys of its own identity,
but under one operating-system user any process can read the files of any other. Run them as different users where it
matters.
"""
