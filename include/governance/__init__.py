"""Governance of machine-learning models in production.

The folders below this package are the stages of a model's life, in the order in which data meets them:
``data``, ``measures``, ``training``, ``review``, ``release``, ``serving``, ``reports``.
All of them stand on the ``ledger`` and on the plain modules beside this file.
Nothing here imports Airflow: the same functions serve the DAGs, the command line, a notebook and a CI job.
"""
