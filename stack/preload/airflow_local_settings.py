"""Imports once, in the process that forks the tasks, what every task would otherwise import for itself.

Airflow runs this file in each of its processes that finds it on its path; only the path of what forks tasks has this
folder: the scheduler on one machine (LocalExecutor), a worker of Celery in production. The libraries of one task take
2 to 10 seconds of a core to import, and a run has a dozen tasks; forked, a task finds them loaded and shares their
memory.

Nothing of ours is imported here: a task must run the code that is in the checkout when it starts. Nor is what keeps
threads that do not survive a fork (deltalake's runtime). A library that is missing is left to the task that needs it,
which says so better.
"""

import contextlib
import importlib
import logging
import sys
import warnings

LIBRARIES = (
    "airflow.providers.openlineage.extractors",
    "airflow.providers.slack.hooks.slack_webhook",
    "httpx",
    "pandas",
    "psycopg",
    "sklearn.ensemble",
    "skops.io",
    "mlflow",
    "shap",
    "great_expectations",
)
FORK_TASKS = ("scheduler", "celery")


def preload() -> None:
    """Import the libraries; what they say on the way concerns nobody."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for name in LIBRARIES:
                with contextlib.suppress(ImportError):
                    importlib.import_module(name)
    finally:
        logging.disable(level)


if sys.argv[1:2] and sys.argv[1] in FORK_TASKS:
    preload()

__all__: list[str] = []  # Airflow takes every other name in this file for a setting
